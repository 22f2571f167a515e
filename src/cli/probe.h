/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

struct cli;

/* Tests of connections, shown step by step; the exit code is ARGS_FAILED when a step fails. */
int probe_agent(struct cli *cli);   /* yagura agent test [WHAT] */
int probe_manager(struct cli *cli); /* yagura test [--from COMPUTER|manager] [WHAT] */
