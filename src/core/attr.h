/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

/* Compiler attributes under one short name each, and the few macros every file needs. */

#define YG_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define YG_MUST_CHECK        __attribute__((warn_unused_result))
#define YG_COUNT(array)      (sizeof(array) / sizeof((array)[0]))
