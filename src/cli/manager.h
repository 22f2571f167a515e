/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

struct cli;

/* Commands to the Manager. Each returns an exit code. */
int manager_status(struct cli *cli);
int manager_computers(struct cli *cli);
int manager_computers_delete(struct cli *cli);
int manager_events(struct cli *cli);
int manager_components(struct cli *cli);
int manager_tokens(struct cli *cli);
int manager_tokens_create(struct cli *cli);
int manager_tokens_delete(struct cli *cli);
int manager_keys(struct cli *cli);
int manager_keys_create(struct cli *cli);
int manager_keys_delete(struct cli *cli);
int manager_policies(struct cli *cli);
int manager_policies_show(struct cli *cli);
int manager_policies_set(struct cli *cli);
int manager_policies_assign(struct cli *cli);
int manager_policies_delete(struct cli *cli);
