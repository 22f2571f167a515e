/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "publisher/command.h"

/* make-licence GROUP: a licence file, signed by the keys of role "licence" in --keys. The Manager reads it
 * (manager/store/licence.h).
 */
int licence_run(const struct command *command, json_t **out, struct yg_err *err) YG_MUST_CHECK;
