/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Run a function in a child process that stops before each of its system calls which change the disk, and
 * let the test say what becomes of the call. No change in what is tested: the kernel asks us
 * (seccomp_unotify(2)).
 */

struct trace_call {
	pid_t pid;
	int nr; /* of the system call: SYS_fsync */
	uint64_t args[6];
};

#define TRACE_GO   0    /* let it be made */
#define TRACE_KILL (-1) /* end the process instead; it does not happen */
/* Any number above 0 is the errno with which it fails; it does not happen. */
typedef int trace_step(void *ctx, const struct trace_call *call);

enum trace_what {
	TRACE_CHANGES, /* write, fsync, link, rename, open to create … */
	TRACE_ALL,     /* and those that fail for other reasons: any open, read, list, mmap */
};

/* Returns what `child` returned (0..127), or -1 when it was killed. Every other end is a failed test. */
int trace_run(int (*child)(void *arg), void *arg, enum trace_what what, trace_step *step,
	void *ctx);

/* Whether the kernel lets us; if not, the reason is printed. */
bool trace_possible(void);

const char *trace_name(int nr); /* "fsync" */

/* The errno values that a call may fail with, 0 after the last; none for a call that never does. */
const int *trace_errors(const struct trace_call *call);
