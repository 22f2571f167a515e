/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "publisher/command.h"

/* Take earlier releases out of what is signed, and remove files that nobody can need any more. */
int prune_run(const struct command *command, json_t **out, struct yg_err *err) YG_MUST_CHECK;
