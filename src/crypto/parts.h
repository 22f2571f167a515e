/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "crypto/key.h"
#include "crypto/sign.h"

/* Public keys and signatures out of the parts that keys in hardware have. The parts are not trusted: what
 * is no key of a kind that is used here is refused.
 */

struct yg_parts {
	enum yg_key_type type;
	struct yg_bytes point; /* ed25519: 32 bytes; P-256: 65, uncompressed */
	struct yg_bytes n, e;  /* RSA: modulus and exponent, big endian */
};

/* The public key as TUF writes it; as yg_key_public.
 * errors  YG_EFORMAT no such key; YG_ESYSTEM
 */
int yg_parts_public(const struct yg_parts *parts, struct yg_public *out, char **text,
	struct yg_err *err) YG_MUST_CHECK;

/* r and s of an ECDSA signature (32 bytes each) as DER. errors  YG_EFORMAT another length; YG_ESYSTEM */
int yg_parts_ecdsa(struct yg_bytes both, uint8_t out[YG_SIGN_MAX], size_t *len, struct yg_err *err)
	YG_MUST_CHECK;
