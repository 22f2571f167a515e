/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "agent/options.h"

#include <stddef.h>

const struct yg_opt options_table[] = {
	{"agent", "user", YG_OPT_TEXT, 0, 64, "",
		"user that the roles with a network become when started as root; empty: they stay"},
	{"agent", "log_level", YG_OPT_TEXT, 4, 6, "info", "error, warn, notice, info or debug"},
	{"content", "root", YG_OPT_PATH, 1, 4000, "etc/yagura/root.json",
		"the publisher's root.json that came with the installation; relative to --root"},
	{"update", "source", YG_OPT_TEXT, 0, 1023, "",
		"URL of the update source for an agent without a Manager, or whose Manager names none"},
	{"update", "ca", YG_OPT_PATH, 0, 4000, "",
		"PEM file of the CAs that this source's certificate is checked with, besides the system's"},
	{"update", "tries", YG_OPT_INT, 1, 100, "3",
		"attempts over all relays; the Manager's setting goes first"},
	{"update", "timeout_s", YG_OPT_INT, 1, 3600, "60",
		"seconds without a byte until an attempt is given up; the Manager's setting goes first"},
	{"update", "limit_s", YG_OPT_INT, 10, 604800, "21600",
		"seconds until an update that is still fetching is given up, however slowly bytes come"},
	{"relay", "enabled", YG_OPT_BOOL, 0, 0, "off", "serve content to other agents"},
	{"relay", "port", YG_OPT_INT, 0, 65535, "4122", "TCP port of the relay; 0: any free one"},
	{"relay", "bind", YG_OPT_TEXT, 0, 64, "", "address that the relay listens on; empty: all"},
	{"proxy", "manager", YG_OPT_TEXT, 0, 1023, "",
		"proxy URL (http, https, socks5h) on the way to the Manager"},
	{"proxy", "manager_user", YG_OPT_TEXT, 0, 255, "", "user at that proxy"},
	{"proxy", "manager_password", YG_OPT_TEXT, 0, 255, "", "password at that proxy"},
	{"proxy", "relay", YG_OPT_TEXT, 0, 1023, "", "proxy URL on the way to relays"},
	{"proxy", "relay_user", YG_OPT_TEXT, 0, 255, "", "user at that proxy"},
	{"proxy", "relay_password", YG_OPT_TEXT, 0, 255, "", "password at that proxy"},
	{"proxy", "source", YG_OPT_TEXT, 0, 1023, "", "proxy URL on the way to the update source"},
	{"proxy", "source_user", YG_OPT_TEXT, 0, 255, "", "user at that proxy"},
	{"proxy", "source_password", YG_OPT_TEXT, 0, 255, "", "password at that proxy"},
	{NULL, NULL, YG_OPT_TEXT, 0, 0, NULL, NULL},
};
