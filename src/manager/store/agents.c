/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* Who agents are: activation and certificates. What they say of themselves is in agents_beat.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/str.h"
#include "crypto/hash.h"
#include "crypto/random.h"
#include "manager/store/groups.h"
#include "manager/store/store.h"
#include "proto/wire.h"

/* Certificates of one computer within a day: answers get lost, but whoever asks without end must not fill
 * the list of revoked ones, which is bounded, when it is revoked itself.
 */
#define RENEWED_MAX 50

int store_agent_restate(struct store *store, const char *id, struct yg_err *err)
{
	return yg_db_exec(store->db,
		"UPDATE computers SET state = CASE WHEN activated IS NULL THEN 'Activation Required' WHEN "
		"online = 0 THEN 'Managed (Offline)' WHEN protection = 'unprotected' THEN 'Anti-Malware "
		"Engine Offline' ELSE 'Managed (Online)' END WHERE id = $1",
		YG_DB_ARGS(yg_db_text(id)), NULL, err);
}

int store_agent_auth(struct store *store, const char *id, const char *serial,
	struct store_asker *asker, struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT c.name, c.deleted, k.revoked, k.not_after FROM certificates k JOIN computers c ON "
		    "c.id = k.computer WHERE k.serial = $1 AND k.computer = $2",
		    YG_DB_ARGS(yg_db_text(serial), yg_db_text(id)), &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more < 0)
		return -1;
	if (more == 0)
		return yg_fail_cause(err, YG_EUNTRUSTED, "auth.unknown_agent",
			"computer '%s' with certificate %s: not known", id, serial);
	if (yg_rows_int(rows, 1) != 0 || yg_rows_int(rows, 2) != 0)
		return yg_fail_cause(err, YG_EUNTRUSTED, "auth.revoked",
			"computer '%s': certificate %s was revoked", id, serial);
	if (yg_rows_int(rows, 3) < store->clock_s)
		return yg_fail_cause(err, YG_EUNTRUSTED, "tls.expired",
			"computer '%s': certificate %s is no longer valid", id, serial);
	(void)snprintf(asker->id, sizeof(asker->id), "%s", id);
	(void)snprintf(asker->name, sizeof(asker->name), "%s", yg_rows_text(rows, 0));
	return 0;
}

struct token {
	char id[40], policy[40], group[208], name[208], relay_group[40];
	bool relay;
};

/* The token's row, when it may be used now. */
static int use_token(struct store *store, const char *text, const char *csr_sha256,
	struct token *token, char known[40], struct yg_err *err)
{
	char hash[YG_HASH_TEXT];
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_hash_text(yg_bytes_of(text), hash, err) < 0 ||
		yg_db_query(store->db,
			"SELECT id, name, policy, in_group, relay, uses, used, expires, revoked, relay_group FROM tokens WHERE "
			"secret_sha256 = $1",
			YG_DB_ARGS(yg_db_text(hash)), &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more < 0)
		return -1;
	if (more == 0)
		return yg_fail_cause(err, YG_EUNTRUSTED, "auth.token",
			"activation token: not known");
	(void)snprintf(token->id, sizeof(token->id), "%s", yg_rows_text(rows, 0));
	(void)snprintf(token->name, sizeof(token->name), "%s", yg_rows_text(rows, 1));
	const char *policy = yg_rows_text(rows, 2);
	const char *group = yg_rows_text(rows, 3);
	(void)snprintf(token->policy, sizeof(token->policy), "%s", policy ? policy : "");
	(void)snprintf(token->group, sizeof(token->group), "%s", group ? group : "");
	const char *relays = yg_rows_text(rows, 9);
	(void)snprintf(token->relay_group, sizeof(token->relay_group), "%s", relays ? relays : "");
	token->relay = yg_rows_int(rows, 4) != 0;
	if (yg_rows_int(rows, 8) != 0)
		return yg_fail_cause(err, YG_EUNTRUSTED, "auth.token",
			"activation token: withdrawn");
	if (yg_rows_int(rows, 7) < store->clock_s)
		return yg_fail_cause(err, YG_EUNTRUSTED, "auth.token_expired",
			"activation token: expired");

	/* The answer to the same request was lost: it is given again. */
	struct yg_rows *same YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT id FROM computers WHERE token = $1 AND csr_sha256 = $2 AND deleted = 0",
		    YG_DB_ARGS(yg_db_text(token->id), yg_db_text(csr_sha256)), &same, err) < 0)
		return -1;
	more = yg_rows_next(same, err);
	if (more < 0)
		return -1;
	if (more > 0) {
		(void)snprintf(known, 40, "%s", yg_rows_text(same, 0));
		return 0;
	}

	int64_t changed = 0;
	if (yg_db_exec(store->db, "UPDATE tokens SET used = used + 1 WHERE id = $1 AND used < uses",
		    YG_DB_ARGS(yg_db_text(token->id)), &changed, err) < 0)
		return -1;
	if (changed == 0)
		return yg_fail_cause(err, YG_EUNTRUSTED, "auth.token_used",
			"activation token: used up (%lld of %lld times)",
			(long long)yg_rows_int(rows, 6), (long long)yg_rows_int(rows, 6));
	return 0;
}

static int insert(struct store *store, const char *id, const struct token *token,
	const struct yg_wire_hello *hello, const json_t *hello_json, const char *csr,
	const char *address, struct yg_err *err)
{
	char policy[40];
	if (token->policy[0] != '\0')
		(void)snprintf(policy, sizeof(policy), "%s", token->policy);
	else if (store_policy_default(store, policy, err) < 0)
		return -1;
	char relays[40];
	if (token->relay_group[0] != '\0')
		(void)snprintf(relays, sizeof(relays), "%s", token->relay_group);
	else if (groups_default(store, relays, err) < 0)
		return -1;
	char *text YG_AUTO(mem) = yg_json_text(hello_json);
	if (!text)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	return yg_db_exec(store->db,
		"INSERT INTO computers (id, name, hostname, in_group, kind, address, state, protection, relay, "
		"relay_allowed, relay_port, policy, policy_has, set_has, hello, components, token, csr_sha256, "
		"online, last_seq, created, deleted, relay_group) VALUES ($1, $2, $2, $3, $4, $5, 'Activation "
		"Required', 'unknown', $6, $7, $8, $9, '', '', $10, '', $11, $12, 0, 0, $13, 0, $14)",
		YG_DB_ARGS(yg_db_text(id), yg_db_text(hello->hostname),
			yg_db_text(token->group[0] ? token->group : NULL),
			yg_db_text(hello->appliance ? "appliance" : "agent"), yg_db_text(address),
			yg_db_int(hello->relay), yg_db_int(token->relay),
			yg_db_int(hello->relay_port ? hello->relay_port : STORE_RELAY_PORT),
			yg_db_text(policy), yg_db_text(text), yg_db_text(token->id),
			yg_db_text(csr), yg_db_int(store->clock_s), yg_db_text(relays)),
		NULL, err);
}

/* errors  YG_EAGAIN it had enough certificates for now */
static int check_issued(struct store *store, const char *computer, struct yg_err *err)
{
	int64_t today = 0;
	if (yg_db_number(store->db,
		    "SELECT count(*) FROM certificates WHERE computer = $1 AND issued > $2",
		    YG_DB_ARGS(yg_db_text(computer), yg_db_int(store->clock_s - 86400)), &today,
		    err) < 0)
		return -1;
	if (today >= RENEWED_MAX)
		return yg_fail(err, YG_EAGAIN,
			"computer '%s': had %d certificates within a day; try again later",
			computer, RENEWED_MAX);
	return 0;
}

int op_agents_activate(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	(void)asker;
	const char *text;
	const char *csr;
	const char *address;
	json_t *hello_json;
	struct yg_wire_hello hello;
	struct token token = {0};
	char id[40] = "";
	if (yg_json_str(args, "token", 200, &text, err) < 0 ||
		yg_json_str(args, "csr_sha256", 64, &csr, err) < 0 ||
		yg_json_str_or(args, "address", 64, "", &address, err) < 0 ||
		yg_json_object(args, "hello", &hello_json, err) < 0)
		return -1;
	if (yg_wire_hello(hello_json, &hello, err) < 0)
		return yg_wrap(err, "hello");
	if (use_token(store, text, csr, &token, id, err) < 0)
		return -1;
	if (hello.relay && !token.relay)
		return yg_fail_cause(err, YG_EUNTRUSTED, "auth.token",
			"activation token: it is not for relays, and the agent is one");
	if (id[0] != '\0' && check_issued(store, id, err) < 0)
		return -1;
	if (id[0] == '\0') {
		char made[YG_UUID_TEXT];
		if (yg_random_uuid(made, err) < 0 ||
			insert(store, made, &token, &hello, hello_json, csr, address, err) < 0)
			return -1;
		memcpy(id, made, sizeof(made));
		if (store_event(store, 250, id, NULL,
			    json_pack("{s:s, s:s}", "computer", hello.hostname, "who", token.name),
			    err) < 0 ||
			store_event(store, 255, id, NULL,
				json_pack("{s:s, s:s}", "computer", hello.hostname, "address",
					address),
				err) < 0)
			return -1;
	}
	return store_give(json_pack("{s:s, s:b, s:s}", "agent_id", id, "relay", hello.relay,
				  "hostname", hello.hostname),
		out, err);
}

int op_agents_certificate(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	(void)asker;
	const char *id;
	const char *serial;
	const char *until;
	int64_t not_after;
	char name[208];
	if (yg_json_str(args, "agent_id", 36, &id, err) < 0 ||
		yg_json_str(args, "serial", 128, &serial, err) < 0 ||
		yg_json_str(args, "not_after", 32, &until, err) < 0 ||
		yg_clock_parse(until, &not_after, err) < 0 ||
		store_computer_name(store, id, name, err) < 0)
		return -1;
	if (serial[0] == '\0' || strspn(serial, "0123456789ABCDEF") != strlen(serial))
		return yg_fail(err, YG_EFORMAT, "serial: want upper-case hex digits, have '%s'",
			serial);

	int64_t first = 0;
	int64_t added = 0;
	if (yg_db_exec(store->db,
		    "INSERT INTO certificates (serial, computer, issued, not_after, revoked) VALUES ($1, $2, $3, "
		    "$4, 0) ON CONFLICT DO NOTHING",
		    YG_DB_ARGS(yg_db_text(serial), yg_db_text(id), yg_db_int(store->clock_s),
			    yg_db_int(not_after)),
		    &added, err) < 0)
		return -1;
	if (added == 0) { /* told twice, once by each of those who may: nothing more to do */
		int64_t same = 0;
		if (yg_db_number(store->db,
			    "SELECT count(*) FROM certificates WHERE serial = $1 AND computer = $2",
			    YG_DB_ARGS(yg_db_text(serial), yg_db_text(id)), &same, err) < 0)
			return -1;
		if (same == 0)
			return yg_fail_cause(err, YG_EFORMAT, "conflict",
				"serial %s: it is another computer's", serial);
		return store_give(json_object(), out, err);
	}
	if (yg_db_exec(store->db,
		    "UPDATE computers SET activated = $2 WHERE id = $1 AND activated IS NULL",
		    YG_DB_ARGS(yg_db_text(id), yg_db_int(store->clock_s)), &first, err) < 0 ||
		yg_db_exec(store->db, "UPDATE computers SET serial = $2 WHERE id = $1",
			YG_DB_ARGS(yg_db_text(id), yg_db_text(serial)), NULL, err) < 0 ||
		store_agent_restate(store, id, err) < 0 ||
		yg_db_exec(store->db,
			"DELETE FROM certificates WHERE not_after < $1 AND computer = $2",
			YG_DB_ARGS(yg_db_int(store->clock_s - 86400), yg_db_text(id)), NULL,
			err) < 0)
		return -1;
	if (first > 0 ? store_event(store, 704, id, NULL, json_pack("{s:s}", "computer", name),
				err) < 0
		      : store_event(store, 20004, id, NULL,
				json_pack("{s:s, s:s}", "computer", name, "expires", until),
				err) < 0)
		return -1;
	/* A new relay is a new address for everybody. */
	int64_t relay = 0;
	if (first > 0 &&
		(yg_db_number(store->db, "SELECT relay FROM computers WHERE id = $1",
			 YG_DB_ARGS(yg_db_text(id)), &relay, err) < 0 ||
			(relay != 0 && store_command_all(store, "settings", "", err) < 0)))
		return -1;
	return store_give(json_object(), out, err);
}

int op_agents_renew(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	(void)args;
	if (check_issued(store, asker->id, err) < 0)
		return -1;
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT id, relay, hostname, relay_on FROM computers WHERE id = $1 AND deleted = 0",
		    YG_DB_ARGS(yg_db_text(asker->id)), &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more < 0)
		return -1;
	if (more == 0)
		return yg_fail(err, YG_EABSENT, "computer '%s': no such computer", asker->id);
	/* Told to be a relay, it needs a certificate that says so before it can say it is one. */
	bool relay = yg_rows_null(rows, 3) ? yg_rows_int(rows, 1) != 0 : yg_rows_int(rows, 3) != 0;
	return store_give(json_pack("{s:s, s:b, s:s}", "agent_id", yg_rows_text(rows, 0), "relay",
				  relay, "hostname", yg_rows_text(rows, 2)),
		out, err);
}
