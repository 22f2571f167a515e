/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "diagnose/finding.h"

/* What lines of logs mean: words that stand in them, and the cause that they name. Of our own logs and of the product whose
 * formats they have (behaviour L), whose operators have searched these words for years.
 */

enum yg_signature_object {
	YG_SIGNATURE_NONE,
	YG_SIGNATURE_PATH2,  /* the file of "Path2: …", else the second path in quotation marks */
	YG_SIGNATURE_SERVICE /* the service that the lines before named */
};

struct yg_signature {
	const char *words
		[2]; /* all of them stand in the entry, whatever their case; the second may be NULL */
	const char *cause; /* NULL: no failure, only worth knowing */
	enum yg_find_weight weight;
	enum yg_signature_object object;
	bool failures; /* counts only in an entry that says that something failed */
	/* For logs that are not ours, whose reader has no `yagura agent repair`: instead of the cause's own
	 * texts, by enum yg_lang; NULL: the cause's.
	 */
	const char *sentence[2], *remedy[2];
};

/* The first row that fits a text, or NULL. in  failed  the entry says that something failed */
const struct yg_signature *yg_signature_find(const char *text, bool failed);

/* One row of the table, for its test. NULL behind the end. */
const struct yg_signature *yg_signature_row(size_t row);

/* What a status of iau.log or iaurelay.log means in a log that is not ours; NULL: nothing more than it says. */
const struct yg_signature *yg_signature_status(const char *name);
