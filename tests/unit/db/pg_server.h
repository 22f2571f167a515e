/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>

/* A PostgreSQL server of the test's own, in a temporary folder, on a Unix socket only. It and the
 * folder go away with the test, however that ends. Needs no root, and gives it up where it has it:
 * the server refuses to run as root.
 */

/* The server's URL, or NULL with the reason in *why (a literal). One server a process. */
const char *pg_server_start(const char **why);

/* Stop at once, as a crash would, and optionally start again. */
bool pg_server_crash(bool again);

void pg_server_stop(void);
