/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "manager/options.h"

#include <stddef.h>

const struct yg_opt manager_options[] = {
	{"manager", "state", YG_OPT_PATH, 1, 4000, "/var/opt/yagura/manager",
		"folder of everything that the Manager keeps"},
	{"manager", "run", YG_OPT_PATH, 1, 4000, "/run/yagura-manager",
		"folder of what lasts until the next start: ports.json, ca.pem"},
	{"manager", "names", YG_OPT_TEXT, 0, 4096, "",
		"DNS names and addresses of this Manager for its certificates, apart by spaces; the host "
		"name and localhost are always in"},
	{"manager", "user", YG_OPT_TEXT, 0, 64, "yagura",
		"user that the roles become when started as root"},
	{"manager", "log_level", YG_OPT_TEXT, 4, 6, "info", "error, warn, notice, info or debug"},
	{"web", "bind", YG_OPT_TEXT, 1, 64,
		"::", "address that the REST API listens on; :: is all"},
	{"web", "port", YG_OPT_INT, 0, 65535, "4119",
		"TCP port of the REST API; 0: a free one, that of the last start if it can, written to ports.json"},
	{"session", "bind", YG_OPT_TEXT, 1, 64, "::", "address that agents reach; :: is all"},
	{"session", "port", YG_OPT_INT, 0, 65535, "4120",
		"TCP port for agents; 0: a free one, that of the last start if it can, written to ports.json"},
	{"database", "url", YG_OPT_TEXT, 1, 1024, "sqlite:manager.db",
		"sqlite:FILE (in the state folder unless absolute) or postgresql://… (libpq)"},
	{"secrets", "master_key", YG_OPT_PATH, 1, 4000, "master.key",
		"file with the key that seals secrets in the database; made at first start; relative to the "
		"state folder"},
	{"content", "root", YG_OPT_PATH, 1, 4000, "root.json",
		"the publisher's root.json, from which the Manager's own checking of content starts; "
		"relative to the state folder"},
	{NULL, NULL, YG_OPT_TEXT, 0, 0, NULL, NULL},
};
