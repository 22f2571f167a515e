/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The first line of an entry of a log, whoever wrote it. */

enum yg_entry_format {
	YG_ENTRY_TEXT, /* none of these */
	YG_ENTRY_TMU,  /* "Err 20140528 06:39:39 2272 1592 HttpsConnection: text" */
	YG_ENTRY_IAU, /* "[2014-May-28 06:39:39 4467|1085278544] [app] Function [file(line)]", text below */
	YG_ENTRY_JOURNAL, /* "… agent/install: update.failed: text" */
};

struct yg_entry {
	enum yg_entry_format format;
	int64_t at_s; /* as if it were UTC; 0: not known */
	bool failed;  /* it says that something failed; of TEXT: not known, so true */
	bool ours;    /* certainly written by Yagura */
	bool theirs;  /* certainly not */
	size_t text_at; /* where the text begins in the line; of IAU the line's end: its text comes below */
	char word[32]; /* "Update", "HttpsConnection", "update.failed"; "" */
};

/* Look at a line. in  len  without a terminator in it */
void yg_entry_parse(const char *line, size_t len, struct yg_entry *out);
