/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "content/recover.h"

#include <assert.h>
#include <stdbool.h>

#include "core/attr.h"

#define ANY         (~0u)
#define LIB(state)  (1u << YG_LIB_##state)
#define COPY(state) (1u << YG_COPY_##state)
#define ROLL(state) (1u << YG_ROLL_##state)

/* One macro makes both the row that is used and the line of the page that shows it. */
#define ROW(lib_, copy_, roll_, action_, why_)                                                     \
	{                                                                                          \
		lib_, copy_, roll_, YG_RECOVER_##action_, why_,                                    \
			"| `" #lib_ "` | `" #copy_ "` | `" #roll_ "` | " #action_ " | " why_ " |"  \
	}

/* The first row that fits counts. */
static const struct {
	unsigned lib, copy, roll; /* bits of the states it is for */
	enum yg_recover_action action;
	const char *why;
	const char *line;
} rows[] = {
	/* An update always has li_copy equal to lib until the one rename that switches lib. */
	ROW(LIB(WHOLE), COPY(NONE), ANY, NOTHING, "no update was under way"),
	ROW(LIB(WHOLE), COPY(SAME), ANY, DROP_COPY,
		"an update had not switched yet: the old set stays"),
	ROW(LIB(WHOLE), COPY(WHOLE), ANY, COPY_TO_ROLL,
		"an update had switched: the new set stays"),
	ROW(LIB(WHOLE), COPY(DAMAGED), ANY, DROP_COPY, "the snapshot is damaged and lib is not"),

	/* From here on the disk has lost something. */
	ROW(ANY, COPY(WHOLE), ANY, COPY_TO_LIB, "lib is damaged: the snapshot takes its place"),
	ROW(ANY, ANY, ROLL(WHOLE), ROLL_TO_LIB, "lib is damaged: the set before takes its place"),
	ROW(LIB(DAMAGED), ANY, ANY, KEEP_DAMAGED, "no set is whole: the next update heals lib"),
	ROW(LIB(NONE), COPY(NONE), ANY, NOTHING, "there is no set yet"),
	ROW(LIB(NONE), ANY, ANY, COPY_TO_LIB,
		"no set is whole: the next update heals the snapshot"),
};

struct yg_recover_step yg_recover_plan(enum yg_recover_lib lib, enum yg_recover_copy copy,
	enum yg_recover_roll roll)
{
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		if ((rows[i].lib & 1u << lib) && (rows[i].copy & 1u << copy) &&
			(rows[i].roll & 1u << roll))
			return (struct yg_recover_step){rows[i].action, rows[i].why};
	}
	assert(false && "the table covers everything");
	return (struct yg_recover_step){0};
}

const char *yg_recover_row(size_t index)
{
	return index < YG_COUNT(rows) ? rows[index].line : NULL;
}

const char *yg_recover_action_name(enum yg_recover_action action)
{
	static const char *const names[] = {
		[YG_RECOVER_NOTHING] = "nothing",
		[YG_RECOVER_DROP_COPY] = "drop li_copy",
		[YG_RECOVER_COPY_TO_ROLL] = "li_copy becomes li_roll",
		[YG_RECOVER_COPY_TO_LIB] = "li_copy becomes lib",
		[YG_RECOVER_ROLL_TO_LIB] = "li_roll becomes lib, drop li_copy",
		[YG_RECOVER_KEEP_DAMAGED] = "keep lib, drop li_copy",
	};
	return names[action];
}
