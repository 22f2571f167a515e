/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>

struct cli;

/* `yagura diagnose`: exit status 0 nothing was found, 1 something, 2 it cannot be done. */
int diagnose_run(struct cli *cli);

/* Show causes as people read them, or as texts for support. in  causes  yg_findings_json's */
void diagnose_show(const struct cli *cli, const json_t *causes);

/* `yagura diagnose --log FILE...` */
int diagnose_log(struct cli *cli);
