/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "tuf/meta.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte says which kind it is; whatever parses is then asked everything. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct yg_err err = {0};
	if (size == 0)
		return 0;
	struct yg_meta *meta YG_AUTO(yg_meta) = yg_meta_parse((enum yg_meta_type)(data[0] & 3),
		(struct yg_bytes){data + 1, size - 1}, 1 << 20, &err);
	struct yg_meta_file file;
	struct yg_meta_delegation at;
	if (!meta)
		return 0;
	for (const char *const *name = (const char *const[]){"root", "timestamp", "snapshot",
		     "targets", "am", "snapshot.json", "targets.json", "am/am-pattern.json", NULL};
		*name; name++) {
		if (yg_meta_verify(meta, *name, meta, &err) < 0)
			err = (struct yg_err){0};
		(void)yg_meta_file(meta, *name, &file);
		(void)yg_meta_same_keys(meta, meta, *name);
	}
	for (size_t i = 0; yg_meta_delegation(meta, i, "am/am-pattern.json", &at); i++) {
		char name[YG_META_NAME_MAX];
		(void)yg_meta_name(at.role, name);
	}
	return 0;
}
