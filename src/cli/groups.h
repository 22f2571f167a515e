/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>

#include "core/err.h"

struct cli;

/* Commands about relays and their groups. Each returns an exit code. */
int groups_list(struct cli *cli);
int groups_create(struct cli *cli);
int groups_set(struct cli *cli);
int groups_delete(struct cli *cli);
int groups_assign(struct cli *cli);
int groups_relays(struct cli *cli);
int groups_relays_on(struct cli *cli);
int groups_relays_off(struct cli *cli);
int groups_relays_own(struct cli *cli);
int groups_relays_address(struct cli *cli);

/* The id of the group that --OPTION names goes into body[name]; nothing when it was not given. "" stays "".
 * errors  YG_EABSENT, those of api_call
 */
int groups_option(struct cli *cli, const char *option, const char *name, json_t *body,
	struct yg_err *err) YG_MUST_CHECK;
