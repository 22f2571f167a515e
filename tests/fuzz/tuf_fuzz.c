/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <string.h>

#include "tuf/floor.h"
#include "tuf/meta.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FLOOR 4

static const char *const names[] = {"root", "timestamp", "snapshot", "targets", "am", "bin-0",
	"bin-ff", "bin-0000000f", "snapshot.json", "targets.json", "am/am-pattern.json", NULL};

static void ask(const struct yg_meta *meta)
{
	struct yg_meta_file file;
	struct yg_meta_delegation at;
	struct yg_err err = {0};
	char name[YG_META_NAME_MAX], key[YG_META_KEY_MAX], url[YG_META_URL_MAX];
	for (const char *const *role = names; *role; role++) {
		if (yg_meta_verify(meta, *role, meta, &err) < 0)
			err = (struct yg_err){0};
		if (yg_meta_file(meta, *role, &file) &&
			yg_meta_check(&file, yg_bytes_of("some bytes"), &err) < 0)
			err = (struct yg_err){0};
		(void)yg_meta_same_keys(meta, meta, *role);
	}
	for (size_t i = 0; yg_meta_delegation(meta, i, "am/am-pattern.json", &at); i++) {
		if (yg_meta_kept_name(at.role, name, &err) < 0 || strchr(name, '/') ||
			!yg_meta_key(at.role, key) || !yg_meta_url(at.role, "", url) ||
			!yg_meta_knows(meta, at.role))
			__builtin_trap(); /* every role that was parsed has all of these */
	}
	for (size_t i = 0; i < 64 && yg_meta_delegation(meta, i, NULL, &at); i++)
		if (i >= yg_meta_delegations(meta) || !yg_meta_knows(meta, at.role))
			__builtin_trap();
}

/* The first byte says which kind it is; whatever parses is then asked everything. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct yg_err err = {0};
	if (size == 0)
		return 0;
	const struct yg_bytes text = {data + 1, size - 1};
	if (data[0] & FLOOR) {
		struct tuf_floor floor = {0};
		if (tuf_floor_parse(&floor, text, &err) == 0 &&
			(floor.root < 0 || floor.timestamp < 0 || floor.snapshot < 0))
			__builtin_trap();
		tuf_floor_done(&floor);
		return 0;
	}
	struct yg_meta *meta YG_AUTO(
		yg_meta) = yg_meta_parse((enum yg_meta_type)(data[0] & 3), text, 1 << 20, &err);
	if (meta)
		ask(meta);
	return 0;
}
