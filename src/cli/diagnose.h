/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stdbool.h>

struct cli;

/* `yagura diagnose`: exit status 0 nothing was found, 1 something, 2 it cannot be done. */
int diagnose_run(struct cli *cli);

/* Show causes as people read them.
 * in      causes     yg_findings_json's
 *         all_known  there is nothing else that may be wrong
 */
void diagnose_show(const struct cli *cli, const json_t *causes, bool all_known);

/* The same for who helps (diagnose/support.h), a block for each that stands.
 * in  computer, id, versions  of yg_support; "" where not known
 */
void diagnose_support(const struct cli *cli, const json_t *causes, const char *computer,
	const char *id, const char *versions);

/* Show a diagnosis, {causes, checks, computer?, id?, version?, manager_version?}, in the form that was asked for.
 * Returns the exit status.
 */
int diagnose_done(const struct cli *cli, const json_t *result, size_t standing);

/* `yagura diagnose`, `… --manager`, `… --log FILE...`, `… --network-plan` */
int diagnose_agent(struct cli *cli);
int diagnose_manager(struct cli *cli);
int diagnose_log(struct cli *cli);
int diagnose_plan(struct cli *cli);
