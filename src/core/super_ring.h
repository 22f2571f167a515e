/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "core/attr.h"
#include "core/err.h"

/* The rings of a supervisor's roles (core/ring.h), for core/super.c alone. What goes wrong with them stops nothing: it
 * is an entry in the log.
 */

/* Open "<role>.ring", or "<role>-<slot>.ring" for a slot from 0 on. returns the descriptor, or -1 */
int super_ring_open(int folder, const char *role, int slot);

/* Log what a process that a signal ended said last. in  ring  -1: it had none */
void super_ring_last(int ring, const char *label);

/* {"rings":[{"name","text"}],"host":[the same]} in memory. in  folder  -1: none
 * returns the descriptor, or -1. errors  YG_ELIMIT, YG_ESYSTEM
 */
int super_ring_pack(int folder, struct yg_err *err) YG_MUST_CHECK;
