/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "diagnose/entry.h"
#include "diagnose/finding.h"
#include "proto/lang.h"

/* Codes in logs: "IAU_STATUS_FILE_EXISTS[-1073610747(3,2,5)]", "IAURELAY_STATUS_NOT_AVAILABLE(-18)", "HTTP 503",
 * "Event ID 1001".
 */

enum yg_logcode_kind { YG_LOGCODE_STATUS, YG_LOGCODE_HTTP, YG_LOGCODE_EVENT };

struct yg_logcode {
	enum yg_logcode_kind kind;
	char name[64];     /* of a status: "IAU_STATUS_FILE_EXISTS" */
	int64_t number;    /* of a status as signed, of HTTP, of an event */
	bool has_parts;    /* of an agent's status */
	int64_t parts[3];  /* severity, facility, code */
	bool contradicts;  /* the parts do not make the number */
	const char *cause; /* NULL: no failure. Static */
	enum yg_find_weight weight;
	bool ends_well; /* an update that ends so has ended well */
};

#define YG_LOGCODES_MAX 4   /* in one entry */
#define YG_LOGCODE_TEXT 400 /* bytes of the words about one, with the terminator */

/* All codes of an entry. Returns how many. */
size_t yg_logcode_find(const char *text, const struct yg_entry *entry,
	struct yg_logcode out[YG_LOGCODES_MAX]);

/* What it is, in words: "Event 1600: Relay Group Update Requested". */
void yg_logcode_say(const struct yg_logcode *code, enum yg_lang lang, char out[YG_LOGCODE_TEXT]);
