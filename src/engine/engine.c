/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "engine/engine.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "content/sample.h"
#include "core/fs.h"
#include "core/mem.h"
#include "core/str.h"

#define CONTAINER_EXTRA 4096u /* bytes that a container may be longer than its sample */
#define EICAR_MASK      0x5au

/* The 68 bytes of the EICAR test file, masked: a program or a source file that held them in the
 * clear would be taken away by any scanner that sees it.
 */
static const uint8_t eicar_masked[] = {0x02, 0x6f, 0x15, 0x7b, 0x0a, 0x7f, 0x1a, 0x1b, 0x0a, 0x01,
	0x6e, 0x06, 0x0a, 0x00, 0x02, 0x6f, 0x6e, 0x72, 0x0a, 0x04, 0x73, 0x6d, 0x19, 0x19, 0x73,
	0x6d, 0x27, 0x7e, 0x1f, 0x13, 0x19, 0x1b, 0x08, 0x77, 0x09, 0x0e, 0x1b, 0x14, 0x1e, 0x1b,
	0x08, 0x1e, 0x77, 0x1b, 0x14, 0x0e, 0x13, 0x0c, 0x13, 0x08, 0x0f, 0x09, 0x77, 0x0e, 0x1f,
	0x09, 0x0e, 0x77, 0x1c, 0x13, 0x16, 0x1f, 0x7b, 0x7e, 0x12, 0x71, 0x12, 0x70};

static int open_eicar(struct yg_err *err)
{
	uint8_t plain[sizeof(eicar_masked)];
	for (size_t i = 0; i < sizeof(plain); i++)
		plain[i] = eicar_masked[i] ^ EICAR_MASK;
	return yg_fs_memfd("eicar", (struct yg_bytes){plain, sizeof(plain)}, err);
}

static int open_sample(const char *name, int fd, struct yg_err *err)
{
	if (strcmp(name, YG_ENGINE_EICAR) == 0)
		return open_eicar(err);
	struct yg_buf stored YG_AUTO(yg_buf) = YG_BUF(YG_SAMPLE_SIZE_MAX + CONTAINER_EXTRA);
	struct yg_buf plain YG_AUTO(yg_buf) = YG_BUF(YG_SAMPLE_SIZE_MAX);
	if (yg_fs_read_fd(fd, &stored, err) < 0 ||
		yg_sample_decode(yg_buf_bytes(&stored), &plain, err) < 0)
		return -1;
	return yg_fs_memfd("sample", yg_buf_bytes(&plain), err);
}

static int try_one(const struct yg_engine *engine, void *self, const char *name, int stored,
	bool find, struct yg_err *err)
{
	struct yg_err why = {0};
	int fd YG_AUTO(fd) = open_sample(name, stored, &why);
	if (fd < 0)
		return yg_fail_cause(err, why.code, "engine.trial", "%s", why.msg);
	struct yg_finding finding = {0};
	engine->judge(self, fd, name, &finding);
	if (find && finding.verdict != YG_MALICIOUS) {
		return yg_fail_cause(err, YG_EFORMAT, "engine.trial_miss",
			"want malicious, have %s%s%s", yg_engine_verdict_name(finding.verdict),
			finding.verdict == YG_UNJUDGED ? ": " : "",
			yg_engine_unjudged_name(finding.why));
	}
	if (!find && finding.verdict == YG_MALICIOUS)
		return yg_fail_cause(err, YG_EFORMAT, "engine.trial_flag", "want clean, have %s",
			finding.signature);
	return 0;
}

int yg_engine_trial(const struct yg_engine *engine, void *self, const char *const *names,
	const int *fds, size_t count, size_t find_count, struct yg_err *err)
{
	for (size_t i = 0; i < count; i++) {
		if (try_one(engine, self, names[i], fds[i], i < find_count, err) < 0)
			return yg_wrap(err, "sample '%s'", names[i]);
	}
	return 0;
}

const char *yg_engine_verdict_name(enum yg_verdict verdict)
{
	static const char *const names[] = {
		[YG_CLEAN] = "clean",
		[YG_MALICIOUS] = "malicious",
		[YG_UNJUDGED] = "unjudged",
	};
	return names[verdict];
}

const char *yg_engine_unjudged_name(enum yg_unjudged why)
{
	static const char *const names[] = {
		[YG_UNJUDGED_NOT] = "",
		[YG_UNJUDGED_TOO_LARGE] = "too_large",
		[YG_UNJUDGED_LIMIT] = "limit",
		[YG_UNJUDGED_TIMEOUT] = "timeout",
		[YG_UNJUDGED_ENCRYPTED] = "encrypted",
		[YG_UNJUDGED_BROKEN] = "broken",
		[YG_UNJUDGED_READ] = "read",
		[YG_UNJUDGED_MEMORY] = "memory",
		[YG_UNJUDGED_SPACE] = "space",
		[YG_UNJUDGED_ENGINE] = "engine",
	};
	return names[why];
}

int yg_engine_refuse(struct yg_err *err, enum yg_code code, uint32_t engine_code,
	const char *command, const char *fmt, ...)
{
	char text[YG_ERR_MSG_MAX];
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, args); /* cut when it does not fit */
	va_end(args);
	const char *cause = engine_code == YG_ENGINE_CODE_MEMORY ? "engine.memory"
								 : "engine.config";
	return yg_fail_cause(err, code, cause, "%s %08x: %s", command, engine_code, text);
}

bool yg_engine_code(const char *message, const char *command, uint32_t *out)
{
	const char *at = strstr(message, command);
	if (!at)
		return false;
	at += strlen(command);
	uint8_t bytes[4];
	char digits[2 * sizeof(bytes) + 1];
	struct yg_err ignored = {0}; /* no code there is an answer, not a failure */
	if (strlen(at) < 2 + 2 * sizeof(bytes) || at[0] != ' ' || at[1 + 2 * sizeof(bytes)] != ':')
		return false;
	memcpy(digits, at + 1, 2 * sizeof(bytes));
	digits[2 * sizeof(bytes)] = '\0';
	if (yg_str_unhex("code", digits, bytes, sizeof(bytes), &ignored) < 0)
		return false;
	*out = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
		bytes[3];
	return true;
}
