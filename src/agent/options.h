/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "core/conf.h"

/* The table of /etc/yagura/agent.conf. */
extern const struct yg_opt options_table[];
