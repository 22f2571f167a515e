/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/err.h"

/* What a role keeps; everything else is gone when yg_sandbox_enter returns, for ever. Each role has
 * one constant of this type, and a test that tries what is denied.
 */

/* System call groups beyond the base set (memory, clock, already open descriptors, exit). */
#define YG_SYS_FILES   (1u << 0) /* open, stat, link, rename, mkdir … (Landlock says where) */
#define YG_SYS_CONNECT (1u << 1) /* outgoing connections; the resolver's files to read */
#define YG_SYS_LISTEN  (1u << 2) /* bind, listen (accept on an open socket is in the base) */
#define YG_SYS_SPAWN   (1u << 3) /* fork, exec, kill, wait */
#define YG_SYS_THREADS (1u << 4) /* clone of threads */
#define YG_SYS_LIMITS  (1u << 5) /* its own resource limits and priority */
#define YG_SYS_LOCAL   (1u << 7) /* with YG_SYS_CONNECT: Unix sockets too (a database server) */
#define YG_SYS_ALL     (1u << 6) /* no filter: for parents, whose children would inherit it */

struct yg_sandbox_path {
	int fd;     /* directory or file to allow; borrowed until yg_sandbox_enter returns */
	bool write; /* false: read only */
	bool run;   /* programs below it may be started (YG_SYS_SPAWN) */
};

struct yg_sandbox {
	unsigned syscalls;                   /* YG_SYS_* */
	uint64_t capabilities;               /* bits 1 << CAP_*; kept if we have them */
	const char *user;                    /* user to become when started as root; NULL: stay */
	uint64_t memory_max;                 /* bytes of address space (RLIMIT_AS); 0: no limit */
	uint32_t files_max;                  /* RLIMIT_NOFILE; 0: leave */
	const struct yg_sandbox_path *paths; /* Landlock; none given means no path at all */
	uint32_t path_count;
	bool all_paths; /* no Landlock rule set: only for the parent and the walker */
};

/* Enter it: no_new_privs, limits, user, capabilities, Landlock, then the seccomp filter. A kernel
 * without Landlock is an entry in the log, not a failure; seccomp and capabilities must hold.
 * errors  YG_ESYSTEM
 */
int yg_sandbox_enter(const struct yg_sandbox *box, struct yg_err *err) YG_MUST_CHECK;

/* False in a build with a sanitizer: there, seccomp, Landlock and RLIMIT_AS are left out. */
bool yg_sandbox_walls(void);

/* Take away still more Landlock paths: nothing but these from now on (an engine after loading). */
int yg_sandbox_narrow(const struct yg_sandbox_path *paths, uint32_t count, struct yg_err *err)
	YG_MUST_CHECK;
