/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "pkcs11/api.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define LIBRARY "libp11-kit.so.0"

int api_load(struct api *api, struct yg_err *err)
{
	/* Modules may leave threads behind: it stays. */
	void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (!library)
		return yg_fail(err, YG_EABSENT,
			"PKCS#11: " LIBRARY " is not installed (package libp11-kit0)");
#define X(name)                                                                                    \
	api->name = (__typeof__(api->name))dlsym(library, #name);                                  \
	if (!api->name)                                                                            \
		return yg_fail(err, YG_EFORMAT, "PKCS#11: " LIBRARY " has no " #name);
	API_FUNCTIONS(X)
#undef X
	api->p11_kit_be_quiet();
	return 0;
}

struct row {
	CK_RV rv;
	const char *name;
};

#define ROW(name)                                                                                  \
	{                                                                                          \
		name, #name                                                                        \
	}

/* What a person can meet; others have their number. source  PKCS #11 v3.0, 5.1 */
static const struct row rows[] = {
	ROW(CKR_HOST_MEMORY),
	ROW(CKR_SLOT_ID_INVALID),
	ROW(CKR_GENERAL_ERROR),
	ROW(CKR_FUNCTION_FAILED),
	ROW(CKR_ARGUMENTS_BAD),
	ROW(CKR_ATTRIBUTE_SENSITIVE),
	ROW(CKR_ATTRIBUTE_TYPE_INVALID),
	ROW(CKR_ATTRIBUTE_VALUE_INVALID),
	ROW(CKR_DATA_INVALID),
	ROW(CKR_DATA_LEN_RANGE),
	ROW(CKR_DEVICE_ERROR),
	ROW(CKR_DEVICE_MEMORY),
	ROW(CKR_DEVICE_REMOVED),
	ROW(CKR_FUNCTION_CANCELED),
	ROW(CKR_FUNCTION_NOT_SUPPORTED),
	ROW(CKR_FUNCTION_REJECTED),
	ROW(CKR_KEY_HANDLE_INVALID),
	ROW(CKR_KEY_SIZE_RANGE),
	ROW(CKR_KEY_TYPE_INCONSISTENT),
	ROW(CKR_KEY_FUNCTION_NOT_PERMITTED),
	ROW(CKR_MECHANISM_INVALID),
	ROW(CKR_MECHANISM_PARAM_INVALID),
	ROW(CKR_OBJECT_HANDLE_INVALID),
	ROW(CKR_OPERATION_ACTIVE),
	ROW(CKR_OPERATION_NOT_INITIALIZED),
	ROW(CKR_PIN_INCORRECT),
	ROW(CKR_PIN_INVALID),
	ROW(CKR_PIN_LEN_RANGE),
	ROW(CKR_PIN_EXPIRED),
	ROW(CKR_PIN_LOCKED),
	ROW(CKR_SESSION_CLOSED),
	ROW(CKR_SESSION_COUNT),
	ROW(CKR_SESSION_HANDLE_INVALID),
	ROW(CKR_TOKEN_NOT_PRESENT),
	ROW(CKR_TOKEN_NOT_RECOGNIZED),
	ROW(CKR_USER_NOT_LOGGED_IN),
	ROW(CKR_USER_PIN_NOT_INITIALIZED),
	ROW(CKR_USER_TYPE_INVALID),
	ROW(CKR_USER_TOO_MANY_TYPES),
	ROW(CKR_BUFFER_TOO_SMALL),
	ROW(CKR_CURVE_NOT_SUPPORTED),
	ROW(CKR_CRYPTOKI_NOT_INITIALIZED),
	ROW(CKR_LIBRARY_LOAD_FAILED),
};

const char *api_name(CK_RV rv)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (rows[i].rv == rv)
			return rows[i].name;
	}
	return rv >= CKR_VENDOR_DEFINED ? "an error of the vendor's own" : "another error";
}

int api_fail(struct yg_err *err, CK_RV rv, const char *fmt, ...)
{
	char text[YG_ERR_MSG_MAX];
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	bool gone = rv == CKR_DEVICE_REMOVED || rv == CKR_TOKEN_NOT_PRESENT;
	return yg_fail(err, gone ? YG_EABSENT : YG_ESYSTEM, "%s: %s (0x%lx)", text, api_name(rv),
		rv);
}
