/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "publisher/command.h"

/* Make keys and the first metadata of a repository, and say what was made. */
int init_run(const struct command *command, json_t **out, struct yg_err *err) YG_MUST_CHECK;
