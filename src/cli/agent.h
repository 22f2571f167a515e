/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

struct cli;

/* Commands to the agent on this computer, over its control socket. Each returns an exit code. */
int agent_status(struct cli *cli);
int agent_components(struct cli *cli);
int agent_activate(struct cli *cli);
int agent_update(struct cli *cli);
int agent_rollback(struct cli *cli);
int agent_release_hold(struct cli *cli);
int agent_repair(struct cli *cli);
int agent_scan(struct cli *cli);
int agent_events(struct cli *cli);
