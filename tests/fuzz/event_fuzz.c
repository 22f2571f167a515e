/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <stdlib.h>

#include "core/json.h"
#include "core/str.h"
#include "proto/event.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte chooses the event, the rest is its parameters. Whatever they are, the text is UTF-8 and
 * no longer than its limit.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct yg_err err = {0};
	json_t *params YG_AUTO(yg_json) = NULL;
	size_t count = 0;
	const struct yg_event *events = yg_event_all(&count);
	if (size == 0 ||
		yg_json_parse((struct yg_bytes){data + 1, size - 1}, YG_EVENT_PARAMS_MAX, &params,
			&err) < 0)
		return 0;
	uint32_t id = data[0] < count ? events[data[0]].id : data[0];
	if (yg_event_check(id, params, &err) < 0)
		err = (struct yg_err){0};
	for (int lang = YG_LANG_EN; lang <= YG_LANG_JA; lang++) {
		struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_EVENT_TEXT_MAX);
		if (yg_event_render(id, params, (enum yg_lang)lang, &text, &err) < 0)
			abort();
		if (!yg_str_utf8_ok((const char *)text.data, text.len))
			abort();
	}
	return 0;
}
