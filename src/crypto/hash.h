/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/mem.h"

/* SHA-256, of a text at hand, of a file, and piece by piece; SHA-512 of a text. source  FIPS 180-4 */

#define YG_HASH_SIZE     32 /* bytes */
#define YG_HASH_TEXT     65 /* bytes of the lower-case hex form, with the terminator */
#define YG_HASH_512_SIZE 64 /* the same of SHA-512 */
#define YG_HASH_512_TEXT 129

struct yg_hash;

/* errors  YG_ESYSTEM out of memory */
struct yg_hash *yg_hash_new(struct yg_err *err) YG_MUST_CHECK;
void yg_hash_add(struct yg_hash *hash, const void *data, size_t len);
void yg_hash_end(struct yg_hash *hash, uint8_t out[YG_HASH_SIZE]); /* and start again, empty */
void yg_hash_free(struct yg_hash *hash);
YG_DEFINE_AUTO(yg_hash);

/* errors  YG_ESYSTEM out of memory */
int yg_hash_bytes(struct yg_bytes bytes, uint8_t out[YG_HASH_SIZE], struct yg_err *err)
	YG_MUST_CHECK;

/* The same as lower-case hex. */
int yg_hash_text(struct yg_bytes bytes, char out[YG_HASH_TEXT], struct yg_err *err) YG_MUST_CHECK;

/* SHA-512 as lower-case hex. errors  YG_ESYSTEM out of memory */
int yg_hash_512_text(struct yg_bytes bytes, char out[YG_HASH_512_TEXT], struct yg_err *err)
	YG_MUST_CHECK;

/* A whole open file, from its start, whatever the descriptor's position (which stays).
 * out     size    bytes that were hashed; may be NULL
 * errors  YG_ESYSTEM
 */
int yg_hash_fd(int fd, uint8_t out[YG_HASH_SIZE], uint64_t *size, struct yg_err *err) YG_MUST_CHECK;
