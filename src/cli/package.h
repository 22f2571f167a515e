/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>

struct cli;

/* Diagnostic packages: docs/logs.md. Each returns an exit code. */
int package_agent(struct cli *cli);        /* agent diagnostic-package */
int package_manager_make(struct cli *cli); /* diagnostic-package */

/* Say what a package holds. in  contents  yg_package_close's */
int package_done(struct cli *cli, const char *path, json_t *contents);
