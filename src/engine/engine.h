/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/attr.h"
#include "core/err.h"

/* What one protection engine that judges files is, to the agent. An engine lives in engine/<name>/
 * with its manual page, and fills in one constant of this type. It is given everything it needs as
 * descriptors: it opens no sockets, never logs, and has its process for itself (it may change the
 * working directory and the limits of the process). Engines of another kind (network, behaviour)
 * get a struct of their own.
 */

#define YG_ENGINE_SIGNATURE_MAX 200 /* bytes of a signature's name, with the terminator */

enum yg_verdict {
	YG_CLEAN,
	YG_MALICIOUS,
	YG_UNJUDGED, /* not all of it could be looked at: policy decides what follows, not we */
};

/* Why there is no judgement. The words for messages are those of yg_engine_unjudged_name. */
enum yg_unjudged {
	YG_UNJUDGED_NOT,       /* there is one */
	YG_UNJUDGED_TOO_LARGE, /* longer than max_file_bytes, or something in it is */
	YG_UNJUDGED_LIMIT,     /* max_scan_bytes, max_recursion or max_files was reached */
	YG_UNJUDGED_TIMEOUT,   /* max_scan_ms was reached */
	YG_UNJUDGED_ENCRYPTED, /* it, or something in it, cannot be opened without a password */
	YG_UNJUDGED_BROKEN,    /* its format is broken */
	YG_UNJUDGED_READ,      /* the system did not let us read it */
	YG_UNJUDGED_MEMORY,    /* memory_max_mb was reached */
	YG_UNJUDGED_SPACE,     /* there is no room to unpack it: the disk is full, or read-only */
	YG_UNJUDGED_ENGINE,    /* no content is loaded, or the engine failed in another way */
};

struct yg_finding {
	enum yg_verdict verdict;
	enum yg_unjudged why;                    /* of YG_UNJUDGED */
	char signature[YG_ENGINE_SIGNATURE_MAX]; /* of YG_MALICIOUS; ASCII; else "" */
};

struct yg_engine_loaded {
	uint64_t signatures;
	uint64_t memory_bytes; /* resident memory of this process, after loading */
	double seconds;        /* that loading took */
};

struct yg_engine {
	const char *name; /* "am" */

	/* Content format level that this engine understands: abi.min <= abi() <= abi.max must hold
	 * for content. May be called at any time.
	 */
	uint32_t (*abi)(void);

	/* Make an instance with preset configuration and no content. Before the sandbox is entered.
	 * in      tmp     directory for what is unpacked, emptied here and by nobody else; borrowed
	 * out     *self   freed by stop
	 * errors  YG_ESYSTEM
	 */
	int (*start)(int tmp, void **self, struct yg_err *err);

	/* SET_CONFIG: take a configuration as a whole, or refuse it as a whole: then the one before
	 * stays in force. Waits for calls of judge that run.
	 * errors  cause engine.config or engine.memory; the message begins "SET_CONFIG ffffd8ef: " with the code (yg_engine_code);
	 *         YG_EFORMAT; YG_ELIMIT out of range, or does not fit into memory
	 */
	int (*configure)(void *self, const json_t *config, struct yg_err *err);

	/* Take the content of a set: all of it or, on failure, none. Calls of judge may run.
	 * in      set     directory of a set: a folder a component, and set.json; borrowed
	 * errors  YG_EFORMAT names file and line; YG_ELIMIT abi or memory; YG_EABSENT; YG_ESYSTEM
	 */
	int (*load)(void *self, int set, struct yg_engine_loaded *out, struct yg_err *err);

	/* Judge what is open for reading, from its start. Same content, configuration and bytes, same
	 * answer, but for YG_UNJUDGED. Any number of threads at once. `name` is for messages only.
	 */
	void (*judge)(void *self, int fd, const char *name, struct yg_finding *out);

	void (*stop)(void *self); /* no call may run; NULL is fine */
};

#define YG_ENGINE_EICAR "eicar" /* the sample that is made here and never stored */

/* Find out if an engine with new content may go live: it must find each of the first `find_count`
 * samples, and flag none of those after them. Samples are containers (content/sample.h), but for
 * YG_ENGINE_EICAR, which has no descriptor: its entry in `fds` is not looked at.
 * in      names, fds  `count` of each; borrowed
 * errors  YG_EFORMAT names the sample, and what was found; YG_ESYSTEM
 */
int yg_engine_trial(const struct yg_engine *engine, void *self, const char *const *names,
	const int *fds, size_t count, size_t find_count, struct yg_err *err) YG_MUST_CHECK;

const char *yg_engine_verdict_name(enum yg_verdict verdict); /* "clean", "malicious", "unjudged" */
const char *yg_engine_unjudged_name(
	enum yg_unjudged why); /* "too_large", …; "" for YG_UNJUDGED_NOT */

/* Codes of engine commands that failed, as they stand in event 1001: two's complement in hex. */
#define YG_ENGINE_CODE_MEMORY  0xffffd8efu /* does not fit into memory */
#define YG_ENGINE_CODE_UNKNOWN 0xffffd8eeu /* a member that this engine does not know */
#define YG_ENGINE_CODE_TYPE    0xffffd8edu /* a member of another type than wanted */
#define YG_ENGINE_CODE_RANGE   0xffffd8ecu /* a number out of its range */
#define YG_ENGINE_CODE_ENGINE  0xffffd8ebu /* the engine behind it refused */

/* Record that a command was refused: "SET_CONFIG ffffd8ef: <fmt>". Returns -1. */
int yg_engine_refuse(struct yg_err *err, enum yg_code code, uint32_t engine_code,
	const char *command, const char *fmt, ...) YG_PRINTF(5, 6);

/* The code in such a message, whatever was put in front of it. Returns false when there is none. */
bool yg_engine_code(const char *message, const char *command, uint32_t *out);
