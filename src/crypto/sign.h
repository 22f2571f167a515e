/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "crypto/key.h"

/* Signatures as The Update Framework uses them: ed25519; ECDSA P-256 with SHA-256, DER; RSA-PSS with
 * SHA-256 and a salt of 32 bytes.
 */

#define YG_SIGN_MAX 512 /* bytes: RSA with 4096 bits */

/* errors  YG_ESYSTEM */
int yg_sign_make(const struct yg_key *key, struct yg_bytes text, uint8_t out[YG_SIGN_MAX],
	size_t *len, struct yg_err *err) YG_MUST_CHECK;

/* errors  YG_EFORMAT the public key is malformed, or keytype and scheme are not known or do not fit;
 *         YG_EUNTRUSTED the signature is not one of this key over this text
 */
int yg_sign_verify(const struct yg_public *key, struct yg_bytes text, struct yg_bytes signature,
	struct yg_err *err) YG_MUST_CHECK;

/* SHA-256 of the key itself (SubjectPublicKeyInfo): the same for every way of writing one key, such as PEM
 * with other line breaks. errors  YG_EFORMAT as yg_sign_verify; YG_ESYSTEM
 */
int yg_sign_key_hash(const struct yg_public *key, uint8_t out[32], struct yg_err *err)
	YG_MUST_CHECK;
