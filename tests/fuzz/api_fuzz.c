/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "core/mem.h"
#include "manager/api.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* "METHOD PATH?QUERY\nBODY", as far as it is there. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};
	char *text YG_AUTO(mem) = strndup(size ? (const char *)data : "", size);
	if (!text)
		return 0;
	char *body = strchr(text, '\n');
	if (body)
		*body++ = '\0';
	char *query = strchr(text, '?');
	if (query)
		*query++ = '\0';
	for (size_t i = 0; i < YG_COUNT(methods); i++) {
		const struct api_route *route = NULL;
		char id[API_ID_MAX + 1];
		char allow[64];
		struct api_refusal refusal = {0};
		struct yg_err err = {0};
		json_t *args YG_AUTO(yg_json) = json_object();
		json_t *parsed YG_AUTO(yg_json) = NULL;
		if (api_find(methods[i], text, &route, id, allow, &refusal, &err) == 0 &&
			api_query(route, query, args, &refusal, &err) == 0)
			(void)!api_body(route, yg_bytes_of(body ? body : ""), &parsed, &refusal,
				&err);
	}
	return 0;
}
