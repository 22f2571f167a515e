/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/mem.h"

/* Secrets at rest: AES-256-GCM under a master key of 32 bytes that lies in a file of its own. What is
 * sealed is bound to associated data ("settings/proxy_password"), so that one sealed value does not
 * open in the place of another. Form: 0x01, 12 bytes nonce, ciphertext, 16 bytes tag.
 */

#define YG_SEAL_EXTRA 29 /* bytes that sealing adds */
#define YG_SEAL_KEY   32 /* bytes of a key */

struct yg_seal;

/* Read the master key from a file of exactly 32 bytes.
 * errors  YG_EFORMAT another size; YG_ESYSTEM
 */
struct yg_seal *yg_seal_open(int fd, struct yg_err *err) YG_MUST_CHECK;

/* Make the file `path` (0600) with a new key when it is not there, then open it. errors  as above */
struct yg_seal *yg_seal_make(int dir, const char *path, struct yg_err *err) YG_MUST_CHECK;

/* A key of its own for somebody who must not have the master key, out of the master key's file: for the same
 * purpose always the same, and nothing of one says anything of another. source  RFC 5869, HKDF with SHA-256
 * in      purpose  a text of at most 64 bytes that nothing else uses
 * out     the caller's to wipe
 * errors  as yg_seal_open
 */
int yg_seal_derive(int fd, const char *purpose, uint8_t out[YG_SEAL_KEY], struct yg_err *err)
	YG_MUST_CHECK;
void yg_seal_free(struct yg_seal *seal);
YG_DEFINE_AUTO(yg_seal);

/* Append the sealed form to out. errors  YG_ELIMIT, YG_ESYSTEM */
int yg_seal_put(const struct yg_seal *seal, struct yg_bytes plain, struct yg_bytes bound,
	struct yg_buf *out, struct yg_err *err) YG_MUST_CHECK;

/* Append the plain bytes to out; nothing is appended on failure.
 * errors  YG_EFORMAT not such a form; YG_EUNTRUSTED another key, changed, or bound to another place;
 *         YG_ELIMIT; YG_ESYSTEM
 */
int yg_seal_get(const struct yg_seal *seal, struct yg_bytes sealed, struct yg_bytes bound,
	struct yg_buf *out, struct yg_err *err) YG_MUST_CHECK;
