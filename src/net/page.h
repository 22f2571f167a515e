/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/buf.h"

/* Web pages that come where something else was asked for: of proxies that block, of portals that want a
 * login, of servers that are closed.
 */

#define YG_PAGE_TITLE 100 /* bytes of a title, with the terminator */

/* The title of a page, as it can stand in a line of text: UTF-8 (bytes that are none become '?'), no control
 * characters, spaces collapsed, the usual entities decoded, cut with "…". False, and "", without one.
 */
bool yg_page_title(struct yg_bytes html, char out[YG_PAGE_TITLE]);

/* True when bytes begin as a page does, whatever their label says. */
bool yg_page_is(struct yg_bytes bytes);

/* True when a text tells of maintenance (English, Japanese). */
bool yg_page_says_maintenance(struct yg_bytes text);

/* True when a text tells of too much work. */
bool yg_page_says_busy(struct yg_bytes text);
