/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

struct cli;

/* Commands that make jobs, and what became of them. Each returns an exit code. */
int jobs_list(struct cli *cli);
int jobs_cancel(struct cli *cli);
int jobs_update(struct cli *cli);
int jobs_rollback(struct cli *cli);
int jobs_release_hold(struct cli *cli);
int jobs_scan(struct cli *cli);
int jobs_send_policy(struct cli *cli);
