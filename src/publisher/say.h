/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

#include "proto/lang.h"

/* What a command did, as people read it: a line for each member, lists of objects as sections. The members
 * are those of --json; their labels are in a table, in both languages. What strangers chose (paths,
 * descriptions) cannot move the cursor: control characters become "?".
 */
void say_result(const json_t *result, enum yg_lang lang, FILE *out);

/* A member's label: of the table, or its name with spaces. Static, or written to `room`. */
const char *say_label(const char *name, enum yg_lang lang, char room[64]);

/* One row of the table, for its test. NULL behind the end. */
const char *say_row(size_t row, const char **en, const char **ja);
