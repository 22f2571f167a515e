/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Conditional and partial requests, as far as static files need them. source  RFC 9110, 13 and 14 */

enum yg_range { YG_RANGE_NONE, YG_RANGE_PART, YG_RANGE_BEYOND };

/* Judge a Range header for a representation of `size` bytes. Units other than bytes, several ranges
 * and malformed ones are ignored, as the RFC allows: YG_RANGE_NONE, send everything.
 * out     *first, *last  byte positions, for YG_RANGE_PART
 */
enum yg_range yg_range_parse(const char *header, uint64_t size, uint64_t *first, uint64_t *last);

/* True when an If-None-Match header names this entity tag (with its quotes), or is "*". */
bool yg_range_etag_match(const char *header, const char *etag);
