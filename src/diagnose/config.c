/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <fcntl.h>
#include <string.h>

#include "core/conf.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/str.h"
#include "diagnose/agent.h"

static char *trimmed(const char *from, size_t len)
{
	while (len > 0 && strchr(" \t\r", from[len - 1]))
		len--;
	size_t skip = 0;
	while (skip < len && strchr(" \t", from[skip]))
		skip++;
	return yg_str_format("%.*s", (int)(len - skip), from + skip);
}

static void take_line(json_t *out, char section[64], const char *line, size_t len)
{
	char name[160];
	const char *equals = memchr(line, '=', len);
	const char *close = memchr(line, ']', len);
	if (len > 0 && *line == '[' && close) {
		(void)!yg_str_put(section, 64, "%.*s", (int)(close - line - 1), line + 1);
		return;
	}
	if (len == 0 || *line == '#' || !equals)
		return;
	char *key YG_AUTO(mem) = trimmed(line, (size_t)(equals - line));
	char *value YG_AUTO(mem) = trimmed(equals + 1, len - (size_t)(equals - line) - 1);
	if (key && value && yg_str_put(name, sizeof(name), "%s.%s", section, key))
		(void)json_object_set_new(out, name, json_string(value));
}

json_t *yg_diagnose_config(const char *path)
{
	json_t *out = json_object();
	char section[64] = "";
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(YG_CONF_SIZE_MAX + 1);
	struct yg_err err = {0};
	if (yg_fs_read(AT_FDCWD, path, &text, &err) < 0 || yg_buf_add(&text, "", 1, &err) < 0)
		return out;
	for (const char *at = (const char *)text.data; *at;) {
		size_t len = strcspn(at, "\n");
		take_line(out, section, at, len);
		at += len + (at[len] == '\n');
	}
	return out;
}
