/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>

#include "publisher/command.h"
#include "publisher/scratch.h"

/* Does who will use the content take it? The anti-malware engine is the agents' own, in a process of its own;
 * Suricata and yarac are asked where they are installed.
 */

/* A .cvd's signature, by libclamav. path: absolute, or from the working directory.
 * errors  YG_EUNTRUSTED cause feed.untrusted
 */
int import_check_cvd(const char *path, const struct scratch *scratch, struct yg_err *err)
	YG_MUST_CHECK;

/* Try the staged component, scratch's "set/<component>".
 * out     *by     names of who looked at it, an array, a new reference; empty: nobody could
 *         *loaded signatures that the engine counted; -1: it is no engine's
 * errors  YG_EFORMAT, YG_ELIMIT: refused, cause feed.engine; YG_ESYSTEM
 */
int import_check_content(const struct command *command, const struct scratch *scratch, json_t **by,
	int64_t *loaded, struct yg_err *err) YG_MUST_CHECK;
