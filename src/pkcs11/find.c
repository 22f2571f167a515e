/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "pkcs11/find.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/str.h"
#include "pkcs11/p11.h"

#define MODULES_MAX 64u
#define SLOTS_MAX   256u
#define NAME_MAX_   64u /* bytes of a key's name in messages */

/* ---- the URI ---- */

static int line_ok(const char *uri, struct yg_err *err)
{
	size_t len = strlen(uri);
	if (len > YG_P11_URI_MAX)
		return yg_fail(err, YG_ELIMIT, "token address: want <= %d bytes, have %zu",
			YG_P11_URI_MAX, len);
	for (size_t i = 0; i < len; i++) {
		if (uri[i] <= ' ' || uri[i] > '~')
			return yg_fail(err, YG_EFORMAT,
				"token address: want printable ASCII without spaces, have byte 0x%02x",
				(unsigned)(unsigned char)uri[i]);
	}
	return 0;
}

/* Text of a token, as messages can have it. */
static void printable(const unsigned char *bytes, size_t len, char *out, size_t size)
{
	size_t at = 0;
	while (len > 0 && (bytes[len - 1] == ' ' || bytes[len - 1] == 0))
		len--;
	for (size_t i = 0; i < len && at + 1 < size; i++)
		out[at++] = bytes[i] >= ' ' && bytes[i] <= '~' ? (char)bytes[i] : '?';
	out[at] = 0;
}

/* "object 'root'", "id 01af", both. */
static void name_object(struct find *find)
{
	char label[NAME_MAX_] = "", id[NAME_MAX_] = "";
	const CK_ATTRIBUTE *at = find->api.p11_kit_uri_get_attribute(find->uri, CKA_LABEL);
	if (at && at->pValue)
		printable(at->pValue, at->ulValueLen, label, sizeof(label));
	at = find->api.p11_kit_uri_get_attribute(find->uri, CKA_ID);
	if (at && at->pValue) {
		size_t len = at->ulValueLen < 20 ? at->ulValueLen : 20;
		yg_str_hex(at->pValue, len, id);
	}
	if (!yg_str_put(find->object, sizeof(find->object), "key%s%s%s%s%s", label[0] ? " '" : "",
		    label, label[0] ? "'" : "", id[0] ? " with id " : "", id))
		find->object[0] = 0;
}

static int uri_ok(const struct find *find, struct yg_err *err)
{
	const struct api *api = &find->api;
	const CK_ATTRIBUTE *class = api->p11_kit_uri_get_attribute(find->uri, CKA_CLASS);
	const char *path = api->p11_kit_uri_get_module_path(find->uri);
	const CK_TOKEN_INFO *token = api->p11_kit_uri_get_token_info(find->uri);
	if (api->p11_kit_uri_any_unrecognized(find->uri))
		return yg_fail(err, YG_EFORMAT,
			"token address: want attributes of RFC 7512, have another");
	if (api->p11_kit_uri_get_pin_value(find->uri))
		return yg_fail(err, YG_EFORMAT,
			"token address: want no pin-value, which would lie there for all to read: "
			"pin-source names a file");
	if (api->p11_kit_uri_get_module_name(find->uri))
		return yg_fail(err, YG_EFORMAT,
			"token address: want module-path, have module-name");
	if (path && path[0] != '/')
		return yg_fail(err, YG_EFORMAT,
			"token address: module-path: want an absolute path, have '%.100s'", path);
	if (token->label[0] == 0 && token->serialNumber[0] == 0)
		return yg_fail(err, YG_EFORMAT, "token address: want token= or serial=, have none");
	if (!api->p11_kit_uri_get_attribute(find->uri, CKA_LABEL) &&
		!api->p11_kit_uri_get_attribute(find->uri, CKA_ID))
		return yg_fail(err, YG_EFORMAT, "token address: want object= or id=, have none");
	if (class &&
		(class->ulValueLen != sizeof(CK_OBJECT_CLASS) ||
			*(const CK_OBJECT_CLASS *)class->pValue != CKO_PRIVATE_KEY))
		return yg_fail(err, YG_EFORMAT, "token address: type: want private, have another");
	return 0;
}

int find_parse(struct find *find, const char *uri, struct yg_err *err)
{
	if (line_ok(uri, err) < 0 || api_load(&find->api, err) < 0)
		return -1;
	find->uri = find->api.p11_kit_uri_new();
	if (!find->uri)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	int bad = find->api.p11_kit_uri_parse(uri, P11_KIT_URI_FOR_ANY, find->uri);
	if (bad != P11_KIT_URI_OK)
		return yg_fail(err, YG_EFORMAT,
			"token address: want pkcs11:token=...;object=..., have '%.100s': %s", uri,
			find->api.p11_kit_uri_message(bad));
	name_object(find);
	return uri_ok(find, err);
}

/* ---- the token ---- */

static int load(struct find *find, struct yg_err *err)
{
	const char *path = find->api.p11_kit_uri_get_module_path(find->uri);
	if (!path) {
		find->all = find->api.p11_kit_modules_load_and_initialize(0);
		return find->all
			? 0
			: yg_fail(err, YG_EABSENT, "PKCS#11: p11-kit cannot load its modules");
	}
	CK_FUNCTION_LIST *module = find->api.p11_kit_module_load(path, 0);
	if (!module)
		return yg_fail(err, YG_EABSENT, "PKCS#11 module '%.200s': cannot be loaded", path);
	CK_RV rv = find->api.p11_kit_module_initialize(module);
	if (rv != CKR_OK) {
		find->api.p11_kit_module_release(module);
		return api_fail(err, rv, "PKCS#11 module '%.200s': C_Initialize", path);
	}
	find->one = module;
	return 0;
}

/* Whether the token in a slot is the one that the URI names. */
static bool fits(const struct find *find, CK_FUNCTION_LIST *module, CK_SLOT_ID slot,
	CK_TOKEN_INFO *token)
{
	const struct api *api = &find->api;
	CK_SLOT_INFO info;
	CK_SLOT_ID want = api->p11_kit_uri_get_slot_id(find->uri);
	memset(&info, 0, sizeof(info));
	memset(token, 0, sizeof(*token));
	return (want == (CK_SLOT_ID)-1 || want == slot) &&
		module->C_GetSlotInfo(slot, &info) == CKR_OK &&
		api->p11_kit_uri_match_slot_info(find->uri, &info) == 1 &&
		module->C_GetTokenInfo(slot, token) == CKR_OK &&
		api->p11_kit_uri_match_token_info(find->uri, token) == 1;
}

/* The slots of a module; one that does not answer has none. */
static CK_SLOT_ID *slots_of(CK_FUNCTION_LIST *module, CK_ULONG *count)
{
	*count = 0;
	if (module->C_GetSlotList(CK_TRUE, NULL, count) != CKR_OK || *count == 0 ||
		*count > SLOTS_MAX) {
		*count = 0;
		return NULL;
	}
	CK_ULONG max = *count;
	CK_SLOT_ID *slots = calloc(max, sizeof(*slots));
	if (!slots || module->C_GetSlotList(CK_TRUE, slots, count) != CKR_OK || *count > max)
		*count = 0;
	return slots;
}

static void look(struct find *find, CK_FUNCTION_LIST *module, size_t *found)
{
	CK_INFO info;
	CK_ULONG count = 0;
	memset(&info, 0, sizeof(info));
	if (module->C_GetInfo(&info) != CKR_OK ||
		find->api.p11_kit_uri_match_module_info(find->uri, &info) != 1)
		return;
	CK_SLOT_ID *slots YG_AUTO(mem) = slots_of(module, &count);
	for (CK_ULONG i = 0; i < count; i++) {
		CK_TOKEN_INFO token;
		if (!fits(find, module, slots[i], &token))
			continue;
		(*found)++;
		find->module = module;
		find->slot = slots[i];
		find->flags = token.flags;
		printable(token.label, sizeof(token.label), find->label, sizeof(find->label));
	}
}

int find_token(struct find *find, struct yg_err *err)
{
	size_t found = 0;
	if (load(find, err) < 0)
		return -1;
	if (find->one)
		look(find, find->one, &found);
	for (size_t i = 0; find->all && find->all[i] && i < MODULES_MAX; i++)
		look(find, find->all[i], &found);
	if (found == 1)
		return 0;
	const CK_TOKEN_INFO *want = find->api.p11_kit_uri_get_token_info(find->uri);
	char name[FIND_TOKEN_MAX], serial[FIND_TOKEN_MAX];
	printable(want->label, sizeof(want->label), name, sizeof(name));
	printable(want->serialNumber, sizeof(want->serialNumber), serial, sizeof(serial));
	const char *which = name[0] ? name : serial;
	if (found == 0)
		return yg_fail(err, YG_EABSENT,
			"token '%s' is not there: put it in; p11-kit must know its module, or "
			"module-path name it",
			which);
	return yg_fail(err, YG_EFORMAT,
		"token '%s': want one, have %zu: tell them apart by serial, or by module-path",
		which, found);
}

CK_FLAGS find_flags(const struct find *find)
{
	CK_TOKEN_INFO token;
	memset(&token, 0, sizeof(token));
	return find->module->C_GetTokenInfo(find->slot, &token) == CKR_OK ? token.flags : 0;
}

/* ---- objects ---- */

static int search(const struct find *find, CK_SESSION_HANDLE session, CK_ATTRIBUTE *want,
	CK_ULONG count, CK_OBJECT_HANDLE out[2], CK_ULONG *found, struct yg_err *err)
{
	CK_RV rv = find->module->C_FindObjectsInit(session, want, count);
	if (rv != CKR_OK)
		return api_fail(err, rv, "token '%s': C_FindObjectsInit", find->label);
	*found = 0;
	rv = find->module->C_FindObjects(session, out, 2, found);
	(void)find->module->C_FindObjectsFinal(session);
	if (rv != CKR_OK)
		return api_fail(err, rv, "token '%s': C_FindObjects", find->label);
	/* A module that names more than it was asked for wrote where it may not: believe nothing. */
	if (*found > 2)
		return yg_fail(err, YG_EFORMAT, "token '%s': want <= 2 objects, have %lu",
			find->label, *found);
	return 0;
}

int find_key(const struct find *find, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *out,
	struct yg_err *err)
{
	CK_OBJECT_CLASS class = CKO_PRIVATE_KEY;
	CK_ATTRIBUTE want[3] = {{CKA_CLASS, &class, sizeof(class)}};
	CK_ULONG count = 1, found = 0;
	CK_OBJECT_HANDLE objects[2] = {0};
	static const CK_ATTRIBUTE_TYPE types[] = {CKA_LABEL, CKA_ID};
	for (size_t i = 0; i < 2; i++) {
		const CK_ATTRIBUTE *at = find->api.p11_kit_uri_get_attribute(find->uri, types[i]);
		if (at)
			want[count++] = *at;
	}
	if (search(find, session, want, count, objects, &found, err) < 0)
		return -1;
	if (found == 0)
		return yg_fail(err, YG_EABSENT, "token '%s' has no private %s", find->label,
			find->object);
	if (found > 1)
		return yg_fail(err, YG_EFORMAT,
			"token '%s': want one private %s, have more: tell them apart by id",
			find->label, find->object);
	*out = objects[0];
	return 0;
}

int find_public(const struct find *find, CK_SESSION_HANDLE session, struct yg_bytes id,
	CK_OBJECT_HANDLE *out, struct yg_err *err)
{
	CK_OBJECT_CLASS class = CKO_PUBLIC_KEY;
	CK_ATTRIBUTE want[2] = {{CKA_CLASS, &class, sizeof(class)},
		{CKA_ID, (void *)(uintptr_t)id.ptr, id.len}};
	CK_ULONG found = 0;
	CK_OBJECT_HANDLE objects[2] = {0};
	if (search(find, session, want, 2, objects, &found, err) < 0)
		return -1;
	/* Of several that have the id any will do: the signature shows whether it was right. */
	if (found == 0)
		return yg_fail(err, YG_EABSENT,
			"token '%s' has no public key with the id of its private %s", find->label,
			find->object);
	*out = objects[0];
	return 0;
}

void find_attribute(const struct find *find, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
	CK_ATTRIBUTE_TYPE type, void *out, size_t size, size_t *len)
{
	CK_ATTRIBUTE at = {type, out, size};
	CK_RV rv = find->module->C_GetAttributeValue(session, object, &at, 1);
	*len = rv == CKR_OK && at.ulValueLen <= size ? at.ulValueLen : 0;
}

void find_close(struct find *find)
{
	if (find->one) {
		(void)find->api.p11_kit_module_finalize(find->one);
		find->api.p11_kit_module_release(find->one);
	}
	if (find->all)
		find->api.p11_kit_modules_finalize_and_release(find->all);
	if (find->uri)
		find->api.p11_kit_uri_free(find->uri);
	*find = (struct find){0};
}
