/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "core/ipc.h"
#include "core/loop.h"

/* The role's side of core/super.h: one call in main(), three callbacks.
 *
 *     int main(int argc, char **argv)
 *     {
 *             return yg_role_main(argc, argv, (const struct yg_role[]){
 *                     {"fetch", "agent/fetch", fetch_start, fetch_link, fetch_stop}, {0}});
 *     }
 *
 * yg_role_main reads `--role NAME`, opens the loop and the channel on descriptor 3, waits for
 * "config", calls start, runs the loop until "stop", SIGTERM or the parent's end, calls stop.
 */
struct yg_role_env {
	struct yg_loop *loop;
	struct yg_ipc *parent;   /* for requests to the parent ("spawn", "connect", …) */
	json_t *config;          /* borrowed; lives as long as the role */
	const char *tag;         /* "" unless an instance */
	int fds[YG_IPC_FDS_MAX]; /* what came with the config; the role's own */
	size_t fd_count;
};

struct yg_role {
	const char *name;
	const char *label; /* for the log */

	/* Enter the sandbox, set up, give *self. Failing ends the process; the parent restarts it. */
	int (*start)(struct yg_role_env *env, void **self, struct yg_err *err);

	/* A new channel to another role; replaces an earlier one to the same peer and tag. fd is owned. */
	void (*link)(void *self, const char *peer, const char *tag, int fd);

	void (*stop)(void *self); /* before exit; NULL self is fine; may be NULL */
};

int yg_role_main(int argc, char **argv, const struct yg_role *roles);

/* Tell the parent that the first work is done (sd_notify READY waits for all standing roles). */
void yg_role_ready(struct yg_role_env *env);
