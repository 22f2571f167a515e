/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

struct cli;

/* The logs of the agent on this computer: docs/logs.md. Each returns an exit code. */
int logs_level(struct cli *cli); /* agent log-level */
int logs_show(struct cli *cli);  /* agent log */
/* log: of the Manager on this computer. Below --root it is that of a Manager with this root. */
int logs_show_manager(struct cli *cli);
