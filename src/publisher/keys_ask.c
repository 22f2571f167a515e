/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "core/fs.h"
#include "core/str.h"
#include "crypto/secret.h"
#include "publisher/keys.h"

#define LINE_MAX_BYTES 1024

struct terminal { /* echo is off while it is open */
	int fd;
	struct termios before;
};

static void terminal_free_at(struct terminal *at)
{
	if (at->fd < 0)
		return;
	(void)tcsetattr(at->fd, TCSAFLUSH, &at->before);
	(void)close(at->fd);
}

static int terminal_open(struct terminal *terminal, struct yg_err *err)
{
	int fd YG_AUTO(fd) = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || tcgetattr(fd, &terminal->before) < 0)
		return yg_fail_sys(err, errno,
			"passphrase: want --passphrase-file, or a terminal to ask on");
	struct termios quiet = terminal->before;
	quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHONL | ISIG);
	quiet.c_lflag |= ICANON;
	if (tcsetattr(fd, TCSAFLUSH, &quiet) < 0)
		return yg_fail_sys(err, errno, "terminal");
	terminal->fd = yg_take_fd(fd);
	return 0;
}

/* One line; what is longer is refused, not cut. */
static int line(const struct terminal *terminal, const char *prompt, char out[LINE_MAX_BYTES],
	struct yg_err *err)
{
	size_t len = 0;
	if (yg_fs_write_all(terminal->fd, prompt, strlen(prompt), err) < 0)
		return -1;
	for (;;) {
		char c = 0;
		ssize_t n = read(terminal->fd, &c, 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return yg_fail_sys(err, errno, "terminal");
		if (n == 0 || c == '\n')
			break;
		if (c == '\x03' || c == '\x1c') /* ^C: echo comes back before we end */
			return yg_fail(err, YG_EFORMAT, "passphrase: interrupted");
		if (len + 1 == LINE_MAX_BYTES)
			return yg_fail(err, YG_ELIMIT, "passphrase: want <= %d bytes",
				LINE_MAX_BYTES - 1);
		out[len++] = c;
	}
	out[len] = 0;
	return yg_fs_write_all(terminal->fd, "\n", 1, err);
}

static int ask(const char *what, bool twice, enum yg_lang lang, char first[LINE_MAX_BYTES],
	char second[LINE_MAX_BYTES], struct yg_err *err)
{
	struct terminal terminal YG_AUTO(terminal) = {.fd = -1};
	char prompt[512];
	if (!yg_str_put(prompt, sizeof(prompt),
		    lang == YG_LANG_JA ? "%.300s の%sパスフレーズ: " : "Passphrase for %.300s%s: ",
		    what,
		    !twice                       ? ""
			    : lang == YG_LANG_JA ? "新しい"
						 : " (new)"))
		return yg_fail(err, YG_ELIMIT, "passphrase: name too long");
	if (terminal_open(&terminal, err) < 0 || line(&terminal, prompt, first, err) < 0)
		return -1;
	if (first[0] == 0)
		return yg_fail(err, YG_EFORMAT, "passphrase: want one, have none");
	if (!twice)
		return 0;
	if (line(&terminal, lang == YG_LANG_JA ? "もう一度: " : "Again: ", second, err) < 0)
		return -1;
	if (!yg_secret_equal_text(first, second))
		return yg_fail(err, YG_EFORMAT, "passphrase: the two are not the same");
	return 0;
}

int keys_ask(const char *what, bool twice, enum yg_lang lang, char **out, struct yg_err *err)
{
	char first[LINE_MAX_BYTES] = {0}, second[LINE_MAX_BYTES] = {0};
	int bad = ask(what, twice, lang, first, second, err);
	char *text = bad < 0 ? NULL : strdup(first);
	yg_secret_wipe(first, sizeof(first));
	yg_secret_wipe(second, sizeof(second));
	if (bad == 0 && !text)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	if (bad == 0)
		*out = text;
	return bad;
}
