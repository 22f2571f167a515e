/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stddef.h>

/* What to do with the links of a store that is opened, whatever happened to it before. A pure function
 * over a table, so that every row can be tested and drawn: docs/recovery.md.
 */

enum yg_recover_lib {
	YG_LIB_NONE,    /* no link, or one that leads to no set */
	YG_LIB_DAMAGED, /* a set, of which files are missing that nothing on this disk can replace */
	YG_LIB_WHOLE,
};

enum yg_recover_copy {
	YG_COPY_NONE,
	YG_COPY_SAME, /* leads where lib leads */
	YG_COPY_DAMAGED,
	YG_COPY_WHOLE, /* another whole set than lib's */
};

enum yg_recover_roll { YG_ROLL_NONE, YG_ROLL_DAMAGED, YG_ROLL_WHOLE };

enum yg_recover_action {
	YG_RECOVER_NOTHING,
	YG_RECOVER_DROP_COPY,    /* remove li_copy */
	YG_RECOVER_COPY_TO_ROLL, /* rename li_copy to li_roll: the switch had been made */
	YG_RECOVER_COPY_TO_LIB,  /* rename li_copy to lib: the snapshot is the only whole set */
	YG_RECOVER_ROLL_TO_LIB,  /* rename li_roll to lib, remove li_copy: the last resort */
	YG_RECOVER_KEEP_DAMAGED, /* keep lib for the next update to heal, remove li_copy: no engine now */
};
#define YG_RECOVER_ACTIONS (YG_RECOVER_KEEP_DAMAGED + 1)

struct yg_recover_step {
	enum yg_recover_action action;
	const char *why; /* half a sentence for log and report; static */
};

struct yg_recover_step yg_recover_plan(enum yg_recover_lib lib, enum yg_recover_copy copy,
	enum yg_recover_roll roll);

/* The table's rows as lines of docs/recovery.md, for the test that holds the page against the code.
 * Returns NULL after the last; else a static text.
 */
const char *yg_recover_row(size_t index);

const char *yg_recover_action_name(enum yg_recover_action action); /* "drop li_copy" */
