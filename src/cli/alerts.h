/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

struct cli;

/* What the Manager warns of: alerts, and what expires. Each returns an exit code. */
int alerts_list(struct cli *cli);
int alerts_expiry(struct cli *cli);
