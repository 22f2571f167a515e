/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "pkcs11/p11.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/hash.h"
#include "crypto/parts.h"
#include "crypto/secret.h"
#include "pkcs11/find.h"

#define ID_MAX    256 /* bytes of CKA_ID */
#define POINT_MAX 256 /* bytes of CKA_EC_POINT */

struct yg_p11 {
	struct find find;
	const struct yg_p11_ask *ask;
	CK_SESSION_HANDLE session;
	bool open, logged_in;
	CK_OBJECT_HANDLE key;
	enum yg_key_type type;
};

/* ---- the PIN ---- */

/* What a failed login tells about the tries that are left; PKCS#11 has no number for them. */
static int refused(struct yg_p11 *p11, CK_RV rv, struct yg_err *err)
{
	CK_FLAGS flags = find_flags(&p11->find);
	const char *label = p11->find.label;
	if (rv == CKR_PIN_LOCKED || flags & CKF_USER_PIN_LOCKED)
		return yg_fail(err, YG_EFORMAT,
			"token '%s': its PIN is locked after too many wrong ones: unlock it with the "
			"vendor's tool (%s)",
			label, api_name(rv));
	if (rv != CKR_PIN_INCORRECT && rv != CKR_PIN_INVALID && rv != CKR_PIN_LEN_RANGE)
		return api_fail(err, rv, "token '%s': login", label);
	return yg_fail(err, YG_EFORMAT, "token '%s': the PIN is wrong (%s)%s", label, api_name(rv),
		flags & CKF_USER_PIN_FINAL_TRY           ? "; one try is left"
			: flags & CKF_USER_PIN_COUNT_LOW ? "; few tries are left"
							 : "");
}

/* One login; a PIN is never tried twice. */
static int login(struct yg_p11 *p11, CK_USER_TYPE user, struct yg_err *err)
{
	struct find *find = &p11->find;
	char *pin YG_AUTO(yg_secret) = NULL;
	if (find->flags & CKF_USER_PIN_LOCKED)
		return refused(p11, CKR_PIN_LOCKED, err);
	/* A timer with an old PIN in its file shall not lock a token. */
	if (find->flags & CKF_USER_PIN_FINAL_TRY &&
		!(find->flags & CKF_PROTECTED_AUTHENTICATION_PATH))
		return yg_fail(err, YG_EFORMAT,
			"token '%s': only one try of its PIN is left, which is not taken: log in with the "
			"vendor's tool first",
			find->label);
	/* With a PIN pad of its own the token asks itself. */
	if (!(find->flags & CKF_PROTECTED_AUTHENTICATION_PATH)) {
		const char *source = find->api.p11_kit_uri_get_pin_source(find->uri);
		if (p11->ask->pin(p11->ask->arg, find->label, source, &pin, err) < 0)
			return yg_wrap(err, "token '%s'", find->label);
		if (strlen(pin) > YG_P11_PIN_MAX)
			return yg_fail(err, YG_ELIMIT, "token '%s': PIN: want <= %d bytes",
				find->label, YG_P11_PIN_MAX);
	}
	CK_RV rv = find->module->C_Login(p11->session, user, (unsigned char *)pin,
		pin ? strlen(pin) : 0);
	return rv == CKR_OK || (rv == CKR_USER_ALREADY_LOGGED_IN && user == CKU_USER)
		? 0
		: refused(p11, rv, err);
}

/* ---- open ---- */

static int start(struct yg_p11 *p11, struct yg_err *err)
{
	struct find *find = &p11->find;
	if (find_token(find, err) < 0)
		return -1;
	CK_RV rv = find->module->C_OpenSession(find->slot, CKF_SERIAL_SESSION, NULL, NULL,
		&p11->session);
	if (rv != CKR_OK)
		return api_fail(err, rv, "token '%s': C_OpenSession", find->label);
	p11->open = true;
	if (find->flags & CKF_LOGIN_REQUIRED) {
		if (login(p11, CKU_USER, err) < 0)
			return -1;
		p11->logged_in = true;
	}
	return find_key(find, p11->session, &p11->key, err);
}

static int read_type(struct yg_p11 *p11, struct yg_err *err)
{
	CK_KEY_TYPE type = 0;
	size_t len = 0;
	find_attribute(&p11->find, p11->session, p11->key, CKA_KEY_TYPE, &type, sizeof(type), &len);
	if (len == sizeof(type) && type == CKK_EC)
		p11->type = YG_KEY_ECDSA_P256;
	else if (len == sizeof(type) && type == CKK_EC_EDWARDS)
		p11->type = YG_KEY_ED25519;
	else if (len == sizeof(type) && type == CKK_RSA)
		p11->type = YG_KEY_RSA_PSS;
	else
		return yg_fail(err, YG_EFORMAT,
			"token '%s': %s: want EC P-256, Ed25519 or RSA, have key type 0x%lx",
			p11->find.label, p11->find.object, type);
	return 0;
}

int yg_p11_open(const char *uri, const struct yg_p11_ask *ask, struct yg_p11 **out,
	struct yg_err *err)
{
	struct yg_p11 *p11 YG_AUTO(yg_p11) = calloc(1, sizeof(*p11));
	if (!p11)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	p11->ask = ask;
	if (find_parse(&p11->find, uri, err) < 0 || start(p11, err) < 0 || read_type(p11, err) < 0)
		return -1;
	*out = yg_take(p11);
	return 0;
}

void yg_p11_free(struct yg_p11 *p11)
{
	if (!p11)
		return;
	if (p11->logged_in)
		(void)p11->find.module->C_Logout(p11->session);
	if (p11->open)
		(void)p11->find.module->C_CloseSession(p11->session);
	find_close(&p11->find);
	free(p11);
}

/* ---- the public half ---- */

/* A point is wrapped in an OCTET STRING; some modules give it bare, or in a BIT STRING. */
static struct yg_bytes unwrap(struct yg_bytes point, size_t want)
{
	const uint8_t *at = point.ptr;
	if (point.len == want + 2 && at[0] == 0x04 && at[1] == want)
		return (struct yg_bytes){at + 2, want};
	if (point.len == want + 3 && at[0] == 0x03 && at[1] == want + 1 && at[2] == 0)
		return (struct yg_bytes){at + 3, want};
	return point;
}

/* The object that tells an attribute: the private key, else the public key with its id. */
static int tell(struct yg_p11 *p11, CK_ATTRIBUTE_TYPE type, uint8_t *out, size_t size, size_t *len,
	struct yg_err *err)
{
	uint8_t id[ID_MAX];
	size_t id_len = 0;
	CK_OBJECT_HANDLE public = 0;
	find_attribute(&p11->find, p11->session, p11->key, type, out, size, len);
	if (*len > 0)
		return 0;
	find_attribute(&p11->find, p11->session, p11->key, CKA_ID, id, sizeof(id), &id_len);
	if (find_public(&p11->find, p11->session, (struct yg_bytes){id, id_len}, &public, err) < 0)
		return -1;
	find_attribute(&p11->find, p11->session, public, type, out, size, len);
	if (*len > 0)
		return 0;
	return yg_fail(err, YG_EFORMAT, "token '%s': %s: its public key has no attribute 0x%lx",
		p11->find.label, p11->find.object, type);
}

int yg_p11_public(struct yg_p11 *p11, struct yg_public *out, char **text, struct yg_err *err)
{
	uint8_t first[YG_SIGN_MAX], second[POINT_MAX];
	size_t first_len = 0, second_len = 0;
	struct yg_parts parts = {.type = p11->type};
	if (p11->type == YG_KEY_RSA_PSS) {
		if (tell(p11, CKA_MODULUS, first, sizeof(first), &first_len, err) < 0 ||
			tell(p11, CKA_PUBLIC_EXPONENT, second, sizeof(second), &second_len, err) <
				0)
			return -1;
		parts.n = (struct yg_bytes){first, first_len};
		parts.e = (struct yg_bytes){second, second_len};
	} else {
		if (tell(p11, CKA_EC_POINT, second, sizeof(second), &second_len, err) < 0)
			return -1;
		parts.point = unwrap((struct yg_bytes){second, second_len},
			p11->type == YG_KEY_ED25519 ? 32 : 65);
	}
	if (yg_parts_public(&parts, out, text, err) < 0)
		return yg_wrap(err, "token '%s': %s", p11->find.label, p11->find.object);
	return 0;
}

/* ---- signing ---- */

struct how {
	CK_MECHANISM mechanism;
	CK_RSA_PKCS_PSS_PARAMS pss;
	uint8_t hash[YG_HASH_SIZE];
	struct yg_bytes input; /* the text, or its hash */
};

static bool knows(const struct yg_p11 *p11, CK_MECHANISM_TYPE type)
{
	CK_MECHANISM_INFO info;
	memset(&info, 0, sizeof(info));
	return p11->find.module->C_GetMechanismInfo(p11->find.slot, type, &info) == CKR_OK;
}

static int prepare(const struct yg_p11 *p11, struct yg_bytes text, struct how *how,
	struct yg_err *err)
{
	how->input = text;
	if (p11->type == YG_KEY_ED25519) {
		how->mechanism.mechanism = CKM_EDDSA;
		return 0;
	}
	if (p11->type == YG_KEY_RSA_PSS) {
		how->pss = (CK_RSA_PKCS_PSS_PARAMS){.hashAlg = CKM_SHA256,
			.mgf = CKG_MGF1_SHA256,
			.sLen = YG_HASH_SIZE};
		how->mechanism = (CK_MECHANISM){CKM_SHA256_RSA_PKCS_PSS, &how->pss,
			sizeof(how->pss)};
		if (knows(p11, CKM_SHA256_RSA_PKCS_PSS))
			return 0;
		how->mechanism.mechanism = CKM_RSA_PKCS_PSS;
	} else {
		how->mechanism.mechanism = CKM_ECDSA;
	}
	how->input = (struct yg_bytes){how->hash, sizeof(how->hash)};
	return yg_hash_bytes(text, how->hash, err);
}

/* A key that wants its PIN for each signature. */
static bool always_asks(struct yg_p11 *p11)
{
	CK_BBOOL always = CK_FALSE;
	size_t len = 0;
	find_attribute(&p11->find, p11->session, p11->key, CKA_ALWAYS_AUTHENTICATE, &always,
		sizeof(always), &len);
	return len == sizeof(always) && always != CK_FALSE;
}

int yg_p11_sign(struct yg_p11 *p11, struct yg_bytes text, uint8_t out[YG_SIGN_MAX], size_t *len,
	struct yg_err *err)
{
	CK_FUNCTION_LIST *module = p11->find.module;
	struct how how = {0};
	uint8_t raw[YG_SIGN_MAX];
	CK_ULONG size = sizeof(raw);
	if (prepare(p11, text, &how, err) < 0)
		return -1;
	CK_RV rv = module->C_SignInit(p11->session, &how.mechanism, p11->key);
	if (rv != CKR_OK)
		return api_fail(err, rv, "token '%s': %s: C_SignInit, mechanism 0x%lx",
			p11->find.label, p11->find.object, how.mechanism.mechanism);
	if (always_asks(p11) && login(p11, CKU_CONTEXT_SPECIFIC, err) < 0)
		return -1;
	rv = module->C_Sign(p11->session, (unsigned char *)(uintptr_t)how.input.ptr, how.input.len,
		raw, &size);
	if (rv != CKR_OK)
		return api_fail(err, rv, "token '%s': %s: C_Sign", p11->find.label,
			p11->find.object);
	if (size > sizeof(raw))
		return yg_fail(err, YG_EFORMAT,
			"token '%s': %s: signature: want <= %zu bytes, have %lu", p11->find.label,
			p11->find.object, sizeof(raw), size);
	if (p11->type == YG_KEY_ECDSA_P256) {
		if (yg_parts_ecdsa((struct yg_bytes){raw, size}, out, len, err) < 0)
			return yg_wrap(err, "token '%s': %s", p11->find.label, p11->find.object);
		return 0;
	}
	memcpy(out, raw, size);
	*len = size;
	return 0;
}
