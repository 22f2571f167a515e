/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"

/* A licence file, as yagura-publish make-licence writes it: a body and signatures over its canonical text, in the
 * form of TUF's metadata.
 *
 *     {"signed": {"_type": "licence", "version": 1, "id": "<uuid>", "group": "am-wr", "name": "Example Inc.",
 *                 "issued": "2026-11-22T00:00:00Z", "ends": "2027-11-22T00:00:00Z" or null},
 *      "signatures": [{"keyid": "…", "sig": "…"}]}
 *
 * It counts when one of the keys that people have added at the Manager has signed it.
 */

#define LICENCE_FILE_MAX 65536 /* bytes */
#define LICENCE_SIGS_MAX 16
#define LICENCE_FOREVER  0 /* of ends */

struct licence {
	char id[40], group[40], name[208];
	int64_t issued, ends; /* LICENCE_FOREVER: it does not end */
};

/* The groups that there are, by index; NULL behind the last. */
const char *licence_group(size_t index);

/* A public key as "*.pub" of the publisher holds it: {"keytype","scheme","keyval":{"public"}}.
 * out     id  SHA-256 of its canonical text, 64 digits
 * errors  YG_EFORMAT
 */
int licence_key_check(const json_t *key, char id[65], struct yg_err *err) YG_MUST_CHECK;

/* Read a file and check that a key of the array `keys` has signed it.
 * out     signer  the key's id
 * errors  YG_EFORMAT, with cause auth.licence when none of the keys has; YG_ELIMIT
 */
int licence_read(struct yg_bytes text, const json_t *keys, struct licence *out, char signer[65],
	struct yg_err *err) YG_MUST_CHECK;
