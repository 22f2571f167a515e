/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/ipc.h"
#include "core/loop.h"

/* The parent of a daemon: starts its roles by exec, joins them by socket pairs, restarts what dies.
 *
 *     parent ──fd 3── session ─┐            Every role has one channel to the parent, descriptor 3,
 *        ├────fd 3── install ──┤ link       and a link to each role it works with. A link is a
 *        └────fd 3── walk ─────┘            socket pair that the parent makes and hands out; when
 *                                           one side dies, it hands a new one to both.
 *
 * Two kinds of roles: *standing* ones run always; *instances* (tag != "") are started when a role
 * asks (verify and fetch for one run, an engine for one content set) and are not restarted by us:
 * whoever asked sees the link close and decides.
 *
 * Messages, parent to role:  "config" {config members of the role, "role", "tag"} + descriptors
 *                            "link" {"peer": role, "tag": tag of an instance or ""} + one descriptor
 *                            "stop" {}
 * Role to parent (requests): "spawn" {"role","tag","args":{},"adopt":bool} + descriptors for its config
 *                                    message (after those of the configuration callback; `args` stands
 *                                    as a member of its config) -> {"adopted":bool}; then a "link"
 *                                    arrives for the asker and the new one
 *                            "connect" {"role","tag","to"}     join an instance with a standing role
 *                            "end" {"role","tag"}              SIGTERM an instance, SIGKILL after 5 s
 *                            "turn" {"role","on"}              a standing role is on (true), off (false) or
 *                                                              as configured (null) from now on
 *                            "ready" {}                        (notice) its first work is done
 *                            "status" {}  -> {"roles":[{"role","tag","pid","since","restarts",
 *                                              "log_level"}]}
 *                            "log" {"level","role"?}  set the level of all processes, or of one role (or
 *                                    "parent"), also for those that start later, until the parent ends
 *                            "rings" {} -> {} + descriptor of {"rings":[{"name","text"}],"host":[the
 *                                    same, of core/host.h]}
 * Who may spawn, connect, end, turn and ask about logs is in the table.
 *
 * Parent to role besides: "log" {"level"}.
 *
 * When the role that asked for an instance dies, the instance is ended with it, unless the table says
 * `survives`: then it lives on for YG_SUPER_ORPHAN_MS with its other links, and a "spawn" of the same
 * role and tag with "adopt": true takes it over as it is; without that it is replaced by a new one.
 * Also the asker itself can take its own instance over again, and gets another link to it.
 */

#define YG_SUPER_PEERS_MAX     8
#define YG_SUPER_INSTANCES_MAX 16 /* living instances that one role may have asked for */
#define YG_SUPER_ORPHAN_MS     120000
#define YG_SUPER_FD            3 /* where a role finds its channel */
#define YG_SUPER_RING_FD       4 /* and its ring (core/ring.h), if it has one */

struct yg_super_role {
	const char *name;    /* "session"; the table ends with NULL */
	const char *program; /* file in the folder of helper programs: "yagura-agent-net" */
	bool instance;       /* started on request, tagged, not restarted */
	bool survives;       /* an instance that outlives its asker for a while */
	bool logs;           /* may send "log" and "rings" */
	const char *
		links[YG_SUPER_PEERS_MAX]; /* standing roles it is linked to (say it on one side) */
	const char
		*spawns[YG_SUPER_PEERS_MAX]; /* instances that this role may start, connect, end */
	const char *turns[YG_SUPER_PEERS_MAX]; /* standing roles that it may switch on and off */
};

struct yg_super;

/* Gives the members and descriptors of a role's "config" message. fds stay the callee's.
 * Called at each start of a role. Return NULL to leave a standing role out (a relay that is off).
 */
typedef json_t *yg_super_config(void *ctx, const char *role, int fds[YG_IPC_FDS_MAX],
	size_t *fd_count);

/* errors  YG_ESYSTEM */
struct yg_super *yg_super_new(struct yg_loop *loop, const struct yg_super_role *roles,
	yg_super_config *config, void *ctx, struct yg_err *err) YG_MUST_CHECK;

/* Start every standing role whose config is not NULL; call again after a change of configuration:
 * starts what is now on, stops what is now off. Dead ones come back after 0.1 s, doubling to 30 s;
 * ten seconds of life reset that.
 */
void yg_super_start(struct yg_super *super);

/* Stop all (SIGTERM, SIGKILL after 5 s) and call `stopped` when the last is gone. */
void yg_super_stop(struct yg_super *super, void (*stopped)(void *ctx), void *ctx);
void yg_super_free(struct yg_super *super); /* kills what still runs; NULL is fine */
YG_DEFINE_AUTO(yg_super);

/* `turn` is told what a role asks for by "turn" (1 on, 0 off, -1 as configured), and remembers it: what the
 * configuration callback says afterwards counts. Without it the request is refused.
 */
void yg_super_on_turn(struct yg_super *super, void (*turn)(void *ctx, const char *role, int on),
	void *ctx);

/* Give every role a ring in this folder: "session.ring", "fetch-0.ring". Before yg_super_start; the descriptor
 * stays the caller's and must outlive the supervisor.
 */
void yg_super_rings(struct yg_super *super, int dir);

/* Make the folder of rings and write into "parent.ring" of it, with which the parent's last lines are kept too.
 * A failure is an entry in the log. returns the descriptor for yg_super_rings, or -1
 */
int yg_super_ring_folder(int dir, const char *path);

/* Call `ready` once, when every standing role that is on has said "ready". */
void yg_super_on_ready(struct yg_super *super, void (*ready)(void *ctx), void *ctx);
bool yg_super_ready(const struct yg_super *super); /* every standing role has said "ready" */

/* Where a helper program lies: in the folder that this program was started from (a build tree), in
 * that of its executable, in ../../bin of that, else in the libexec folder of the installation.
 * errors  YG_EABSENT
 */
int yg_super_helper(const char *program, char *out, size_t size, struct yg_err *err) YG_MUST_CHECK;
