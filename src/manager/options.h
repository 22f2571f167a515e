/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "core/conf.h"

/* The Manager's configuration table: parser, --check-config, --help-config and the table in the
 * manual page come from it.
 */
extern const struct yg_opt manager_options[];
