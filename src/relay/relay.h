/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "core/role.h"

/* The role "relay" of an agent: serves the mirror of the update repository to other agents.
 *
 * config  {port, bind, user} and descriptor 0, the agent's state folder
 * has     a listening socket, made before the sandbox; state/relay to read; nothing else
 * links   session: relay.serve {revoked, ca_bundle, cert, key} -> {port}; without it nothing is served
 *                  relay.status {} -> {port, state, connections, accepted, requests, refused}
 *         install: relay.status, as above
 *
 * It trusts nobody with anything: what it hands out is signed, and what it is asked for is a name in
 * one of three folders. Its clients are agents of the same CA that are not revoked, and the Manager.
 */

int relay_start(struct yg_role_env *env, void **self, struct yg_err *err) YG_MUST_CHECK;
void relay_link(void *self, const char *peer, const char *tag, int fd);
void relay_stop(void *self);
