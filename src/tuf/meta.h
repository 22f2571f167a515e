/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/mem.h"

/* One file of TUF metadata: parsed with limits, then asked. Whether to believe it is for yg_meta_verify
 * and for the client's workflow (tuf/tuf.c) to say. Members that we do not know are kept, since
 * signatures are over them too. source  TUF specification 1.0.34, section 4
 */

#define YG_META_KEYS_MAX       1024u /* keys of a root, or of one role's delegations */
#define YG_META_ROLE_KEYS_MAX  256u  /* key ids of one role */
#define YG_META_SIGNATURES_MAX 256u
#define YG_META_ROLES_MAX      4096u /* delegations of one role; bins that are listed one by one */
#define YG_META_BITS_MAX       32    /* of a path's hash that choose its bin */
#define YG_META_ROLE_MAX       256u  /* bytes of a role's name, with its terminator */
#define YG_META_KEY_MAX        264u  /* bytes of "<role>.json", with the terminator */
#define YG_META_NAME_MAX       128u  /* bytes of a file name, with its terminator */
#define YG_META_URL_MAX        1024u /* bytes of a part of a URL, with its terminator */

enum yg_meta_type { YG_META_ROOT, YG_META_TIMESTAMP, YG_META_SNAPSHOT, YG_META_TARGETS };

struct yg_meta {
	enum yg_meta_type type;
	json_t *doc;       /* owned: {"signatures", "signed"} */
	json_t *body;      /* points into doc: "signed" */
	int64_t version;   /* 1.. */
	int64_t expires;   /* seconds since the epoch */
	int64_t signed_at; /* the same; 0: not there, or not a time before `expires` */
};

/* What metadata says about a file: "snapshot.json" in timestamp, "am.json" in snapshot, a target's path
 * in targets.
 */
struct yg_meta_file {
	int64_t version;      /* 0 for a target */
	bool has_length;      /* always true for a target */
	uint64_t length;      /* bytes */
	char sha256[65];      /* hex; empty when it is not given */
	char sha512[129];     /* the same */
	const json_t *custom; /* points into the metadata; NULL: none, or no object */
};

struct yg_meta_delegation {
	char role[YG_META_ROLE_MAX];
	bool terminating;
	bool covers; /* the path asked for is among those that the role may vouch for */
};

/* Parse and check the shape. errors  YG_EFORMAT cause tuf.format; YG_ELIMIT cause tuf.size */
struct yg_meta *yg_meta_parse(enum yg_meta_type type, struct yg_bytes text, size_t max,
	struct yg_err *err) YG_MUST_CHECK;
void yg_meta_free(struct yg_meta *meta);
YG_DEFINE_AUTO(yg_meta);

/* True when `by` (a root, or targets metadata with delegations) knows the role. */
bool yg_meta_knows(const struct yg_meta *by, const char *role);

/* Check the signatures of `what` against the keys and threshold that `by` gives the role. Each key
 * counts once, under whatever ids and however often it signs; signatures that are unknown, bad or of
 * an unsupported kind count nothing and harm nothing.
 * errors  YG_EUNTRUSTED cause tuf.signature, tuf.threshold, tuf.not_delegated
 */
int yg_meta_verify(const struct yg_meta *by, const char *role, const struct yg_meta *what,
	struct yg_err *err) YG_MUST_CHECK;

/* True when the role has the same keys under the same ids in both. */
bool yg_meta_same_keys(const struct yg_meta *a, const struct yg_meta *b, const char *role);

/* The entry of this name; false when there is none. */
bool yg_meta_file(const struct yg_meta *meta, const char *name, struct yg_meta_file *out);

/* Check bytes against an entry: its length and every hash it has of those we know. errors  YG_EUNTRUSTED cause tuf.hash; YG_ELIMIT cause tuf.size */
int yg_meta_check(const struct yg_meta_file *file, struct yg_bytes bytes, struct yg_err *err)
	YG_MUST_CHECK;

/* Delegations in their order; index from 0. False when there are no more. `path` may be NULL. Succinct
 * roles (TAP 15) are one terminating delegation for a path, to its bin, and without a path one for each bin.
 */
bool yg_meta_delegation(const struct yg_meta *meta, size_t index, const char *path,
	struct yg_meta_delegation *out);

/* How many delegations there are without a path: up to 2^32 bins. */
uint64_t yg_meta_delegations(const struct yg_meta *meta);

/* "am.json" for a role: the key in snapshot metadata, unchanged. False when it does not fit. */
bool yg_meta_key(const char *role, char out[YG_META_KEY_MAX]);

/* The same as a file name: all but letters, digits, '_', '-' and inner '.' percent-encoded. False when it
 * does not fit.
 */
bool yg_meta_name(const char *role, char out[YG_META_NAME_MAX]);

/* The name under which a client keeps a role: yg_meta_name, or where that is too long or means something
 * else ("floor.json"), "role@<sha256 of the role's name>.json"; '@' is in no other role's name.
 * errors  YG_ESYSTEM
 */
int yg_meta_kept_name(const char *role, char out[YG_META_NAME_MAX], struct yg_err *err)
	YG_MUST_CHECK;

/* Percent-encode what is not unreserved in a URL (RFC 3986, 2.3), nor one of `also`. False when it does
 * not fit.
 */
bool yg_meta_url(const char *text, const char *also, char out[YG_META_URL_MAX]);

/* True when a path matches a pattern in which '*', '?' and "[a-z]" or "[!a-z]" stand for anything but '/'. */
bool yg_meta_match(const char *pattern, const char *path);
