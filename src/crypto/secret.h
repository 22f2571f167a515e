/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What must leave no trace: compared in constant time, wiped before it is freed.
 *
 *     char *pem YG_AUTO(yg_secret) = NULL;
 */

/* Equal, in a time that depends on len only. */
bool yg_secret_equal(const void *a, const void *b, size_t len);

/* Equal texts; the time depends on the lengths only. */
bool yg_secret_equal_text(const char *a, const char *b);

void yg_secret_wipe(void *data, size_t len);

/* Wipe up to the terminator and free; NULL is fine. */
void yg_secret_free(char *text);

static inline void yg_secret_free_at(char **at)
{
	yg_secret_free(*at);
}
