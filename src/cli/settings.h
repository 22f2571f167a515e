/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

struct cli;

/* `yagura settings`. Returns an exit code. */
int settings_run(struct cli *cli);
