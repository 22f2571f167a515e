/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* yagura-agent-net: the roles of an agent that speak to the network. */
#include "agent/fetch.h"
#include "agent/session.h"
#include "core/role.h"

int main(int argc, char **argv)
{
	return yg_role_main(argc, argv,
		(const struct yg_role[]){
			{"session", "agent/session", session_start, session_link, session_stop},
			{"fetch", "agent/fetch", fetch_start, fetch_link, fetch_stop},
			{0},
		});
}
