/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "core/host.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/mem.h"
#include "core/str.h"

#define FACT_MAX 65536

static const struct {
	const char *name, *path;
} files[] = {
	{"os-release", "/etc/os-release"},
	{"kernel", "/proc/version"},
	{"kernel-tainted", "/proc/sys/kernel/tainted"},
	{"lsm", "/sys/kernel/security/lsm"},
	{"uptime", "/proc/uptime"},
	{"load", "/proc/loadavg"},
	{"memory", "/proc/meminfo"},
	{"cpu", "/proc/cpuinfo"},
	{"pressure-cpu", "/proc/pressure/cpu"},
	{"pressure-io", "/proc/pressure/io"},
	{"pressure-memory", "/proc/pressure/memory"},
	{"mounts", "/proc/mounts"},
	{"limits", "/proc/self/limits"},
	{"cgroup", "/proc/self/cgroup"},
	{"timezone", "/etc/timezone"},
	{"hosts", "/etc/hosts"},
	{"resolv.conf", "/etc/resolv.conf"},
	{"nsswitch.conf", "/etc/nsswitch.conf"},
	{"gai.conf", "/etc/gai.conf"},
	{"routes-4", "/proc/net/route"},
	{"routes-6", "/proc/net/ipv6_route"},
	{"interfaces", "/proc/net/dev"},
	{"sockets-tcp4", "/proc/net/tcp"},
	{"sockets-tcp6", "/proc/net/tcp6"},
};

/* What the kernel gives in pieces; cut where it is too long. */
static void read_file(const char *path, struct yg_buf *out)
{
	struct yg_err ignored = {0};
	char chunk[4096];
	int fd YG_AUTO(fd) = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	while (fd >= 0) {
		ssize_t n = read(fd, chunk, sizeof(chunk));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || yg_buf_add(out, chunk, (size_t)n, &ignored) < 0)
			break;
	}
}

static void add(json_t *list, const char *name, const struct yg_buf *text)
{
	if (text->len > 0 && yg_str_utf8_ok((const char *)text->data, text->len))
		(void)json_array_append_new(list,
			json_pack("{s:s,s:s%}", "name", name, "text", (const char *)text->data,
				text->len));
}

static void add_system(json_t *list)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(FACT_MAX);
	struct yg_err ignored = {0};
	struct utsname name;
	struct timex clock = {0};
	struct tm local = {0};
	char now[YG_CLOCK_TEXT];
	char zone[64] = "";
	time_t s = (time_t)yg_clock_now_s();
	yg_clock_format(s, now);
	if (localtime_r(&s, &local))
		(void)strftime(zone, sizeof(zone), "%Z %z", &local);
	if (uname(&name) == 0 &&
		yg_str_addf(&text, &ignored, "%s %s %s %s, host %s\n", name.sysname, name.release,
			name.version, name.machine, name.nodename) < 0)
		return;
	int state = adjtimex(&clock);
	if (yg_str_addf(&text, &ignored, "time %s, zone %s, clock %s, off by %ld us at most %ld\n",
		    now, zone, state == TIME_ERROR ? "not synchronised" : "synchronised",
		    clock.status & STA_NANO ? clock.offset / 1000 : clock.offset,
		    clock.maxerror) < 0)
		return;
	add(list, "system", &text);
}

static void add_addresses(json_t *list)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(FACT_MAX);
	struct yg_err ignored = {0};
	struct ifaddrs *all = NULL;
	if (getifaddrs(&all) < 0)
		return;
	for (const struct ifaddrs *one = all; one; one = one->ifa_next) {
		char shown[INET6_ADDRSTRLEN] = "";
		const struct sockaddr *at = one->ifa_addr;
		if (at && at->sa_family == AF_INET)
			(void)inet_ntop(AF_INET,
				&((const struct sockaddr_in *)(const void *)at)->sin_addr, shown,
				sizeof(shown));
		else if (at && at->sa_family == AF_INET6)
			(void)inet_ntop(AF_INET6,
				&((const struct sockaddr_in6 *)(const void *)at)->sin6_addr, shown,
				sizeof(shown));
		if (shown[0] &&
			yg_str_addf(&text, &ignored, "%s %s %s\n", one->ifa_name, shown,
				one->ifa_flags & IFF_UP ? "up" : "down") < 0)
			break;
	}
	freeifaddrs(all);
	add(list, "addresses", &text);
}

json_t *yg_host_facts(void)
{
	json_t *list = json_array();
	add_system(list);
	add_addresses(list);
	for (size_t i = 0; i < YG_COUNT(files); i++) {
		struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(FACT_MAX);
		read_file(files[i].path, &text);
		add(list, files[i].name, &text);
	}
	return list;
}
