/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* yagura-agent-relay: the program of role `relay`, see relay.h. */
#include "relay/relay.h"

int main(int argc, char **argv)
{
	return yg_role_main(argc, argv,
		(const struct yg_role[]){
			{"relay", "agent/relay", relay_start, relay_link, relay_stop},
			{0},
		});
}
