/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/mem.h"
#include "crypto/key.h"
#include "crypto/sign.h"

/* Private keys that stay in a token: a smart card, a USB key, an HSM, by its PKCS#11 module. A key is named by
 * a URI (RFC 7512): token and key by their attributes, one line of text.
 *
 *     pkcs11:token=yagura;object=root;id=%01?pin-source=/etc/yagura/pin
 *
 * Modules are those that p11-kit is configured with, or the one of `module-path`. p11-kit is loaded when the
 * first key is opened. Whatever a module says is checked for its size; a signature is not checked here.
 */

#define YG_P11_URI_MAX 1024 /* bytes */
#define YG_P11_PIN_MAX 255  /* bytes */

struct yg_p11; /* one key, with a session of its token */

struct yg_p11_ask { /* where PINs come from */
	/* in  token   its label, for people
	 *     source  the URI's pin-source, or NULL
	 * out *pin    the caller's, for yg_secret_free
	 */
	int (*pin)(void *arg, const char *token, const char *source, char **pin,
		struct yg_err *err);
	void *arg;
};

/* Find the token and the key, log in where the token wants that.
 * errors  YG_EFORMAT no such URI, several tokens or keys fit, a key of a kind that is not used here, the PIN is
 *         wrong (a PIN is tried once); YG_EABSENT no p11-kit, module, token or key; YG_ESYSTEM the module fails;
 *         those of ask
 */
int yg_p11_open(const char *uri, const struct yg_p11_ask *ask, struct yg_p11 **out,
	struct yg_err *err) YG_MUST_CHECK;

/* The public half, of which the private key or a public key with its id tells. As yg_key_public.
 * errors  YG_EABSENT the token does not have it; YG_EFORMAT
 */
int yg_p11_public(struct yg_p11 *p11, struct yg_public *out, char **text, struct yg_err *err)
	YG_MUST_CHECK;

/* As yg_sign_make, by the token. errors  YG_EFORMAT the PIN; YG_ESYSTEM */
int yg_p11_sign(struct yg_p11 *p11, struct yg_bytes text, uint8_t out[YG_SIGN_MAX], size_t *len,
	struct yg_err *err) YG_MUST_CHECK;

void yg_p11_free(struct yg_p11 *p11); /* logs out; NULL is fine */
YG_DEFINE_AUTO(yg_p11);
