/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "agent/install_impl.h"
#include "content/rollout.h"
#include "core/fs.h"
#include "core/log.h"
#include "core/str.h"
#include "crypto/random.h"

#define SEAT "state/seat"

unsigned install_seat(struct install *in)
{
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(16);
	struct yg_err err = {0};
	uint64_t seat = 0;
	uint32_t drawn = 0;
	char line[16];
	if (yg_fs_read(in->root, SEAT, &text, &err) == 0 && text.len > 0 && text.len < 16) {
		bool ends = text.data[text.len - 1] == '\n';
		(void)!yg_str_put(line, sizeof(line), "%.*s", (int)(text.len - ends),
			(const char *)text.data);
		if (yg_str_u64(line, YG_ROLLOUT_SEATS - 1, &seat, &err) == 0)
			return (unsigned)seat;
	}
	err = (struct yg_err){0};
	if (yg_random_bytes(&drawn, sizeof(drawn), &err) < 0)
		yg_log_err(YG_LOG_WARN, "install.seat", &err);
	seat = drawn % YG_ROLLOUT_SEATS;
	if (!yg_str_put(line, sizeof(line), "%u\n", (unsigned)seat) ||
		yg_fs_replace(in->root, SEAT, yg_bytes_of(line), 0644, &err) < 0)
		yg_log_err(YG_LOG_WARN, "install.seat", &err);
	return (unsigned)seat;
}
