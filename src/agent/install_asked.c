/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <stdlib.h>

#include "agent/install_impl.h"

/* A channel that is freed forgets the requests that are open on it, and with them what their callbacks would have
 * freed, and whom they would have answered. So these are in a list.
 */

struct install_asked *install_asked_new(struct install *in, const struct yg_ipc *of)
{
	struct install_asked *asked = calloc(1, sizeof(*asked));
	if (!asked)
		abort(); /* the parent starts us again */
	asked->in = in;
	asked->of = of;
	asked->next = in->asked;
	in->asked = asked;
	return asked;
}

void install_asked_free(struct install_asked *asked)
{
	struct install_asked **at = &asked->in->asked;
	while (*at != asked)
		at = &(*at)->next;
	*at = asked->next;
	json_decref(asked->body);
	free(asked);
}

void install_asked_lost(struct install *in, const struct yg_ipc *of)
{
	struct yg_err why = {0};
	(void)yg_fail(&why, YG_EAGAIN, "who was asked has gone");
	for (struct install_asked *asked = in->asked; asked;) {
		struct install_asked *next = asked->next;
		if (!of || asked->of == of) {
			if (of && asked->id && asked->session == in->session && in->session)
				yg_ipc_reply_err(in->session, asked->id, &why);
			install_asked_free(asked);
		}
		asked = next;
	}
}
