/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

struct cli;

/* Scheduled tasks of the Manager. Each returns an exit code. */
int tasks_list(struct cli *cli);
int tasks_create(struct cli *cli);
int tasks_change(struct cli *cli);
int tasks_delete(struct cli *cli);
int tasks_run(struct cli *cli);
