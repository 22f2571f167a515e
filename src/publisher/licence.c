/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/licence.h"

#include <fcntl.h>
#include <string.h>

#include "core/clock.h"
#include "core/fs.h"
#include "core/json.h"
#include "crypto/random.h"

#define FILE_MAX 65536 /* bytes that the Manager accepts */

static int check(const struct command *command, struct yg_err *err)
{
	if (strcmp(command->operands[0], "am-wr") != 0)
		return yg_fail(err, YG_EFORMAT, "GROUP: want am-wr, have '%.64s'",
			command->operands[0]);
	if (!command->name || command->name[0] == '\0' || strlen(command->name) > 200)
		return yg_fail(err, YG_EFORMAT, "--name: want whom it is for, <= 200 bytes");
	if (!command->keys)
		return yg_fail(err, YG_EFORMAT, "--keys: want the folder of the licence key");
	if (command->ends != 0 && command->ends <= command->now)
		return yg_fail(err, YG_EFORMAT, "--ends: want later than now");
	return 0;
}

static json_t *body_of(const struct command *command, const char *id)
{
	char issued[YG_CLOCK_TEXT];
	char ends[YG_CLOCK_TEXT];
	yg_clock_format(command->now, issued);
	yg_clock_format(command->ends, ends);
	return json_pack("{s:s, s:i, s:s, s:s, s:s, s:s, s:s?}", "_type", "licence", "version", 1,
		"id", id, "group", command->operands[0], "name", command->name, "issued", issued,
		"ends", command->ends ? ends : NULL);
}

int licence_run(const struct command *command, json_t **out, struct yg_err *err)
{
	struct keys keys YG_AUTO(keys) = {.dir = -1, .ask = command->ask, .lang = command->lang};
	struct keys_ref refs[16];
	size_t count = 0;
	char id[YG_UUID_TEXT];
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(FILE_MAX);
	if (check(command, err) < 0 ||
		keys_open(&keys, command->keys, command->passphrase, false, err) < 0 ||
		keys_find(&keys, "licence", refs, 16, &count, err) < 0 ||
		yg_random_uuid(id, err) < 0)
		return -1;
	if (count == 0)
		return yg_fail(err, YG_EABSENT,
			"'%s': want a key 'licence', have none; make it with make-key licence --new-key-dir",
			command->keys);
	json_t *body YG_AUTO(yg_json) = body_of(command, id);
	if (!body)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (keys_sign(&keys, refs, count, body, &text, err) < 0 ||
		yg_fs_replace(AT_FDCWD, command->out, yg_buf_bytes(&text), 0644, err) < 0)
		return -1;
	*out = json_pack("{s:s, s:s, s:O, s:O, s:s, s:s}", "licence", id, "group",
		command->operands[0], "issued", json_object_get(body, "issued"), "ends",
		json_object_get(body, "ends"), "key", refs[0].id, "out", command->out);
	return *out ? 0 : yg_fail(err, YG_ESYSTEM, "out of memory");
}
