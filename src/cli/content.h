/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

struct cli;

/* What content computers should run. Each returns an exit code. */
int content_show(struct cli *cli);
int content_set(struct cli *cli);
