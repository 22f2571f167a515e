/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* yagura-agent-am: the program of role `am`, apart from the other roles' so that only it loads
 * libclamav and what that brings along.
 */
#include "agent/am.h"

int main(int argc, char **argv)
{
	return yg_role_main(argc, argv,
		(const struct yg_role[]){
			{"am", "agent/am", am_start, am_link, am_stop},
			{0},
		});
}
