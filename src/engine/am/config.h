/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"

/* The configuration of the anti-malware engine: the document of SET_CONFIG, an object with these
 * members. What is left out has its preset. Described for operators in am.md.
 */
struct yg_am_config {
	int64_t max_file_bytes; /* of a file, and of each file inside it */
	int64_t max_scan_bytes; /* in all that comes out of one file */
	int64_t max_recursion;  /* levels of files in files */
	int64_t max_files;      /* in one file */
	int64_t max_scan_ms;    /* for one file */
	int64_t memory_max_mb;  /* private memory of the process that holds the engine */
	int64_t threads;        /* files that are scanned at once */
	bool heuristics;        /* also call malicious what only looks like it */
};

void yg_am_config_preset(struct yg_am_config *out);

/* All of it or nothing: out is untouched on failure.
 * errors  as yg_engine refuses a command: YG_EFORMAT a member that is unknown or of a wrong type;
 *         YG_ELIMIT out of range
 */
int yg_am_config_parse(const json_t *config, struct yg_am_config *out, struct yg_err *err)
	YG_MUST_CHECK;
