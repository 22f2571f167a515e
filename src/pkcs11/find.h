/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>

#include "core/buf.h"
#include "pkcs11/api.h"

/* Private to pkcs11/: from a URI to the one token and the one object that it names. */

#define FIND_TOKEN_MAX 33 /* bytes of a label, with the terminator */

struct find { /* zero it; find_close in any case */
	struct api api;
	P11KitUri *uri;
	CK_FUNCTION_LIST **all; /* configured modules, ends with NULL; or NULL */
	CK_FUNCTION_LIST *one;  /* of module-path, or NULL */
	CK_FUNCTION_LIST *module;
	CK_SLOT_ID slot;
	CK_FLAGS flags;             /* of the token */
	char label[FIND_TOKEN_MAX]; /* of the token; printable */
	char object[128];           /* how messages name the key */
};

/* errors  YG_EFORMAT, YG_ELIMIT */
int find_parse(struct find *find, const char *uri, struct yg_err *err) YG_MUST_CHECK;

/* Load modules; the one token that fits. errors  YG_EABSENT; YG_EFORMAT several fit */
int find_token(struct find *find, struct yg_err *err) YG_MUST_CHECK;

/* The flags as they are now: how many PINs were wrong. */
CK_FLAGS find_flags(const struct find *find);

/* The one private key of a session's token that fits. errors  YG_EABSENT; YG_EFORMAT several fit */
int find_key(const struct find *find, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *out,
	struct yg_err *err) YG_MUST_CHECK;

/* The public key with an id. errors  YG_EABSENT */
int find_public(const struct find *find, CK_SESSION_HANDLE session, struct yg_bytes id,
	CK_OBJECT_HANDLE *out, struct yg_err *err) YG_MUST_CHECK;

/* An attribute's bytes. out  *len 0: the object has none, or does not tell */
void find_attribute(const struct find *find, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
	CK_ATTRIBUTE_TYPE type, void *out, size_t size, size_t *len);

void find_close(struct find *find);
