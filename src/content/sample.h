/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "core/buf.h"
#include "core/err.h"

/* Samples that content carries for its own trial, stored so that no scanner on the way takes them
 * for the real thing: "YGSAMPLE", then the bytes XOR 0xA5.
 */

#define YG_SAMPLE_SIZE_MAX (16u << 20) /* bytes of a sample */

/* Append the container of `plain`. errors  YG_ELIMIT, YG_ESYSTEM */
int yg_sample_encode(struct yg_bytes plain, struct yg_buf *out, struct yg_err *err) YG_MUST_CHECK;

/* Append what a container holds. errors  YG_EFORMAT no container; YG_ELIMIT; YG_ESYSTEM */
int yg_sample_decode(struct yg_bytes stored, struct yg_buf *out, struct yg_err *err) YG_MUST_CHECK;
