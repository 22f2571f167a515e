/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* yagura-agent-store: the roles of an agent that hold files. */
#include "agent/install.h"
#include "agent/verify.h"
#include "agent/walk.h"
#include "core/role.h"

int main(int argc, char **argv)
{
	return yg_role_main(argc, argv,
		(const struct yg_role[]){
			{"install", "agent/install", install_start, install_link, install_stop},
			{"verify", "agent/verify", verify_start, verify_link, verify_stop},
			{"walk", "agent/walk", walk_start, walk_link, walk_stop},
			{0},
		});
}
