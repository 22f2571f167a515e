/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>

struct cli;

/* Commands about logs and diagnostic packages. Each returns an exit code. */
int logs_level(struct cli *cli);           /* agent log-level */
int logs_show(struct cli *cli);            /* agent log */
int logs_package_agent(struct cli *cli);   /* agent diagnostic-package */
int logs_package_manager(struct cli *cli); /* diagnostic-package */

/* Say what a package holds. in  contents  yg_package_close's. Returns an exit code. */
int logs_package_done(struct cli *cli, const char *path, json_t *contents);
