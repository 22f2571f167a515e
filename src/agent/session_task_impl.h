/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "agent/session_impl.h"
#include "crypto/random.h"

/* The parts of session_task.c among themselves; session_task_say.c: how far it is. */

enum what { UPDATE, UPDATE_RELAY, ROLLBACK, RELEASE_HOLD, REPAIR, SCAN, TEST };

struct task {
	struct task *next;
	struct session *session;
	enum what what;
	char job[YG_UUID_TEXT];
	json_t *command; /* a reference: the Manager's, or one made here */
	bool remote;     /* its result goes to the Manager */
	bool resumed;    /* it had begun before this process */
	bool running;    /* asked, not answered */
	bool dropped;    /* nobody wants it any more */
	struct control_call *call;
	int bundle; /* a file, instead of sources; -1: none */
	unsigned tries;
	unsigned rounds; /* times that it waited for newer settings */
	char phase[32];
	int64_t said_ms;
	json_t *result; /* final, not stored yet */
};

struct task *session_task_find(const struct session *s, const char *job); /* NULL: there is none */
bool session_task_is_update(const struct task *task); /* an agent's or a relay's */
