/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "content/manifest.h"
#include "publisher/release.h"

/* Which files a new release has: found by the command line, checked for their names and kinds, each name
 * once, in byte order.
 */

enum source_kind { SOURCE_PLAIN, SOURCE_ZSTD, SOURCE_SAMPLE };

struct source {
	char *path; /* owned; where it lies, from the working directory */
	char *name; /* owned; its path in the component */
	enum source_kind kind;
	size_t folder; /* from which --from it is, for those that replace another; 0: named itself */
};

struct sources {
	const struct sources_kind *kind; /* what the component has */
	struct source *list;             /* owned */
	size_t count, cap;
};

/* Everything --from, --add, --sample-find and --sample-pass name; or the files given and the samples.
 * Free them in any case.
 * errors  YG_EFORMAT unknown component, a kind of file that it does not have, two files of one name;
 *         YG_ELIMIT; YG_ESYSTEM
 */
int sources_find(struct sources *sources, const struct command *command, struct yg_err *err)
	YG_MUST_CHECK;
int sources_take(struct sources *sources, const struct command *command,
	const struct release_file *files, size_t count, struct yg_err *err) YG_MUST_CHECK;
void sources_free_at(struct sources *sources);

/* The family of a known component. */
enum yg_family sources_family(const char *component);

/* The bytes as they will lie with an engine: the file itself, or a nameless one in folder `dir` with what it
 * decodes to.
 * returns a descriptor at its start, or -1
 */
int sources_open(const struct source *source, int dir, struct yg_err *err) YG_MUST_CHECK;
