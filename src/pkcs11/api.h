/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <p11-kit/p11-kit.h>
#include <p11-kit/pkcs11.h>
#include <p11-kit/uri.h>

#include "core/err.h"

/* Private to pkcs11/: p11-kit, loaded when it is used (docs/decisions/0005 says why), and the names of what
 * modules answer.
 */

#define API_FUNCTIONS(X)                                                                           \
	X(p11_kit_be_quiet)                                                                        \
	X(p11_kit_modules_load_and_initialize)                                                     \
	X(p11_kit_modules_finalize_and_release)                                                    \
	X(p11_kit_module_load)                                                                     \
	X(p11_kit_module_initialize)                                                               \
	X(p11_kit_module_finalize)                                                                 \
	X(p11_kit_module_release)                                                                  \
	X(p11_kit_uri_new)                                                                         \
	X(p11_kit_uri_parse)                                                                       \
	X(p11_kit_uri_free)                                                                        \
	X(p11_kit_uri_message)                                                                     \
	X(p11_kit_uri_any_unrecognized)                                                            \
	X(p11_kit_uri_get_attribute)                                                               \
	X(p11_kit_uri_get_token_info)                                                              \
	X(p11_kit_uri_get_slot_id)                                                                 \
	X(p11_kit_uri_match_module_info)                                                           \
	X(p11_kit_uri_match_slot_info)                                                             \
	X(p11_kit_uri_match_token_info)                                                            \
	X(p11_kit_uri_get_module_name)                                                             \
	X(p11_kit_uri_get_module_path)                                                             \
	X(p11_kit_uri_get_pin_source)                                                              \
	X(p11_kit_uri_get_pin_value)

struct api {
#define X(name) __typeof__(name) *name;
	API_FUNCTIONS(X)
#undef X
};

/* errors  YG_EABSENT p11-kit is not installed */
int api_load(struct api *api, struct yg_err *err) YG_MUST_CHECK;

const char *api_name(CK_RV rv); /* "CKR_PIN_INCORRECT"; for others what class they are of */

/* As yg_fail, with the name of what a module answered appended. */
int api_fail(struct yg_err *err, CK_RV rv, const char *fmt, ...) YG_PRINTF(3, 4);
