/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"

/* The messages of docs/wire.md between agent and Manager, checked once where they arrive. After a
 * check every member has the stated type and size, and can be read with yg_json_* (which cannot
 * fail then) or json_object_get. Members that nobody knows stay and are ignored. Errors name the
 * place: "heartbeat: status: components[3]: version: want a number, have a string". Examples of
 * each: src/proto/examples/<name>.json.
 */

enum yg_wire {
	YG_WIRE_ACTIVATE,       /* {hello, token, csr} */
	YG_WIRE_ACTIVATE_REPLY, /* {agent_id, certificate, ca_bundle, manager_id} */
	YG_WIRE_RENEW,          /* {csr} */
	YG_WIRE_RENEW_REPLY,    /* {certificate, ca_bundle} */
	YG_WIRE_HEARTBEAT,      /* {hello, status} */
	YG_WIRE_HEARTBEAT_REPLY, /* {time, interval_s, policy, settings, revoked, ca_bundle_sha256} */
	YG_WIRE_COMMANDS_REPLY, /* {commands}: each has seq and command; see yg_wire_command */
	YG_WIRE_EVENTS,         /* {epoch, entries} */
	YG_WIRE_EVENTS_REPLY,   /* {ack} */
	YG_WIRE_POLICY_REPLY,   /* {policy, fingerprint} */
	YG_WIRE_CA_REPLY,       /* {ca_bundle} */
	YG_WIRE_ERROR,          /* {error: {code, message, field}} */
	/* Parts, for those who make them. */
	YG_WIRE_HELLO,
	YG_WIRE_STATUS,
	YG_WIRE_SETTINGS,
	YG_WIRE_COMMAND, /* any command with all that it needs */
	YG_WIRE_ENTRY,   /* one entry of events: kind event, result or progress */
};
#define YG_WIRE_KINDS 17

#define YG_WIRE_SIZE_MAX     (1u << 20) /* bytes of any message but a policy */
#define YG_WIRE_POLICY_MAX   (4u << 20)
#define YG_WIRE_ENTRIES_MAX  500 /* of one events request */
#define YG_WIRE_COMMANDS_MAX 100
#define YG_WIRE_WAIT_MAX_S   55 /* longest hold of the commands request */

/* "activate", "activate-reply", …: also the example's file name. */
const char *yg_wire_name(enum yg_wire kind);

/* errors  YG_EFORMAT missing, wrong type or not allowed; YG_ELIMIT too long, too many, too great */
int yg_wire_check(enum yg_wire kind, const json_t *value, struct yg_err *err) YG_MUST_CHECK;

/* yg_json_parse and yg_wire_check in one. out  *out a new reference; untouched on failure */
int yg_wire_parse(enum yg_wire kind, struct yg_bytes text, json_t **out, struct yg_err *err)
	YG_MUST_CHECK;

/* Commands to agents. */
enum yg_wire_do {
	YG_DO_UPDATE_RELAY, /* "update.relay" {job} */
	YG_DO_UPDATE,       /* "update" {job, set, scheduled, with_relays} */
	YG_DO_ROLLBACK,     /* "rollback" {job} */
	YG_DO_SCAN,         /* "scan" {job, paths} */
	YG_DO_POLICY,       /* "policy" */
	YG_DO_SETTINGS,     /* "settings" */
	YG_DO_RELEASE_HOLD, /* "release_hold" {job} */
	YG_DO_DEACTIVATE,   /* "deactivate" */
	YG_DO_CANCEL,       /* "cancel" {job}: end that job, its result says how it ended */
	YG_DO_TEST, /* "test" {job, what}: try connections, the result's detail is {targets} */
};
#define YG_WIRE_DOS 10

struct yg_wire_command {
	int64_t seq;
	enum yg_wire_do what;
	const char *job;     /* UUID, or NULL where the command has none */
	const char *set;     /* update: digest that is aimed at, or "" */
	bool scheduled;      /* update */
	bool with_relays;    /* update: the job includes the relays (U11) */
	const json_t *paths; /* scan: array of absolute paths */
	const char *test;    /* test: "relays", "source" or "manager"; or "" */
};

const char *yg_wire_do_name(enum yg_wire_do what);

/* One command of a commands reply. Pointers point into `value`.
 * errors  YG_EABSENT a command that this version does not know (say so in a result, go on with the
 *         next); YG_EFORMAT, YG_ELIMIT
 */
int yg_wire_command(const json_t *value, struct yg_wire_command *out, struct yg_err *err)
	YG_MUST_CHECK;

struct yg_wire_hello {
	const char *version;        /* "0.1.0" */
	bool appliance;             /* kind */
	bool relay;                 /* "relay" is among the roles */
	const char *hostname;       /* never empty */
	const char *os;             /* "" when not said */
	uint16_t relay_port;        /* 0: none */
	const json_t *addresses;    /* array of strings, or NULL */
	const json_t *capabilities; /* array of strings, or NULL */
};

/* Pointers point into `value`. errors  as yg_wire_check; YG_EFORMAT no common protocol */
int yg_wire_hello(const json_t *value, struct yg_wire_hello *out, struct yg_err *err) YG_MUST_CHECK;

#define YG_WIRE_PROTOCOL 1 /* the version that this build speaks */

/* "11111111-2222-4333-8444-555555555555", lower case. */
bool yg_wire_uuid_ok(const char *text);
/* 64 lower-case hex digits. */
bool yg_wire_digest_ok(const char *text);

/* A new {"error":{"code","message","field"}}; field may be NULL. NULL when memory is out. */
json_t *yg_wire_error(const char *code, const char *message, const char *field);
