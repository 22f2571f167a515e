/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "publisher/command.h"

/* Publish a new version of a component: the files of a folder, more files, and samples for its trial.
 * Files that end in ".zst" are decompressed first.
 */
int release_run(const struct command *command, json_t **out, struct yg_err *err) YG_MUST_CHECK;

/* A file of a new version that somebody else has made ready, to be taken as it is. */
struct release_file {
	const char *path; /* where it lies, from the working directory; a regular file */
	const char *name; /* its path in the component: "daily.hsb", "rules/local.rules" */
};

/* release_run with these files in place of --from and --add. Of the command count besides: repo, component,
 * keys, version, description, find and pass (samples), abi_min and abi_max, level, keep, deltas and their
 * time, waves, now, days.
 */
int release_files(const struct command *command, const struct release_file *files, size_t count,
	json_t **out, struct yg_err *err) YG_MUST_CHECK;
