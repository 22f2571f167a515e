/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "core/err.h"
#include "core/mem.h"
#include "diagnose/finding.h"
#include "proto/lang.h"

/* Reads logs and says what they mean: TmuDump.txt, iau.log and iaurelay.log (update/logs.h), ours and those of the
 * product that has had them for years, lines of our journal, and any text in which a known code, event or sentence
 * stands. Several files are one story: a success after a failure ends it, whichever file says so.
 */

#define YG_LOGREAD_FILE_MAX  (4ull << 30) /* bytes of one file, unpacked */
#define YG_LOGREAD_ENTRY_MAX 8192         /* bytes of one entry; the rest of it is passed over */

struct yg_logread;

struct yg_logread *yg_logread_new(enum yg_lang lang, struct yg_err *err) YG_MUST_CHECK;
void yg_logread_free(struct yg_logread *logread);
YG_DEFINE_AUTO(yg_logread);

/* A whole file. in  name  as it is called in the result
 * errors  YG_EFORMAT damaged; YG_ESYSTEM; the file is part of the result in any case
 */
int yg_logread_file(struct yg_logread *logread, const char *name, int fd, struct yg_err *err)
	YG_MUST_CHECK;

/* The same from memory: for tests. */
int yg_logread_bytes(struct yg_logread *logread, const char *name, const void *bytes, size_t len,
	struct yg_err *err) YG_MUST_CHECK;

/* Call it once, at the end. {files:[{name, format:"tmudump"|"iau"|"journal"|"text", product:"yagura"|"other"|"",
 * lines, entries, whole}], causes:[…] (yg_findings_json), notes:[{text, count, seen}] (what is no failure),
 * unknown:[{seen}] (failures that no row of the table fits; the first ten), unknown_count}. A new reference; NULL when
 * memory is out.
 * out     *standing  how many causes stand
 */
json_t *yg_logread_result(struct yg_logread *logread, size_t *standing) YG_MUST_CHECK;
