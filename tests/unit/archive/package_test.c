/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "archive/package.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "archive/archive.h"
#include "archive/zip.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/scrub.h"
#include "core/str.h"
#include "tests/lib/cmocka_all.h"

static char root[64];
static int dir = -1;

static int setup(void **state)
{
	(void)state;
	strncpy(root, "/tmp/yagura-package-XXXXXX", sizeof(root) - 1);
	if (!mkdtemp(root))
		return -1;
	dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	struct yg_err err = {0};
	(void)close(dir);
	return yg_fs_remove(AT_FDCWD, root, &err);
}

static void put(const char *name, struct yg_bytes bytes)
{
	struct yg_err err = {0};
	if (yg_fs_replace(dir, name, bytes, 0600, &err) < 0)
		fail_msg("%s", err.msg);
}

/* One package under test. */
struct made {
	int fd;
	struct yg_package *package;
	json_t *contents;
};

static struct made begin(void)
{
	struct yg_err err = {0};
	struct made m = {.fd = memfd_create("zip", MFD_CLOEXEC)};
	m.package = yg_package_new(m.fd, "agent", &err);
	if (!m.package)
		fail_msg("%s", err.msg);
	return m;
}

static void finish(struct made *m)
{
	struct yg_err err = {0};
	if (yg_package_close(m->package, &m->contents, &err) < 0)
		fail_msg("%s", err.msg);
	yg_package_free(m->package);
}

static void done(struct made *m)
{
	json_decref(m->contents);
	(void)close(m->fd);
}

struct wanted {
	const char *name;
	int fd;
};

static int want(void *ctx, const char *path, int *out, struct yg_err *err)
{
	(void)err;
	const struct wanted *wanted = ctx;
	*out = strcmp(path, wanted->name) == 0 ? wanted->fd : -1;
	return 0;
}

/* A file of the zip, read back; NULL when it is not there. */
static char *unzipped(const struct made *m, const char *name)
{
	static const struct yg_archive_limits limits = {.entries = 5000,
		.file_bytes = 64u << 20,
		.bytes = 128u << 20,
		.ratio = 5000};
	struct yg_err err = {0};
	struct wanted wanted = {name, memfd_create("file", MFD_CLOEXEC)};
	int own YG_AUTO(fd) = wanted.fd;
	struct yg_buf text YG_AUTO(yg_buf) = YG_BUF(64u << 20);
	assert_int_equal(lseek(m->fd, 0, SEEK_SET), 0);
	if (yg_archive_unpack(m->fd, false, &limits, want, &wanted, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(yg_fs_read_fd(own, &text, &err), 0);
	if (text.len == 0)
		return NULL;
	assert_int_equal(yg_buf_add(&text, "", 1, &err), 0);
	return strdup((const char *)text.data);
}

static const json_t *listed(const struct made *m, const char *name)
{
	size_t i;
	json_t *file;
	json_array_foreach(json_object_get(m->contents, "files"), i, file)
	{
		if (strcmp(json_string_value(json_object_get(file, "name")), name) == 0)
			return file;
	}
	return NULL;
}

static json_int_t number(const json_t *file, const char *name)
{
	return json_integer_value(json_object_get(file, name));
}

static void texts_are_scrubbed_and_listed(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct made m = begin();
	json_t *value YG_AUTO(
		yg_json) = json_pack("{s:s,s:s}", "user", "joe", "password", "Pflaume77");
	assert_true(yg_scrub_add("Birne88"));
	assert_int_equal(yg_package_text(m.package, "logs/a.log",
				 yg_bytes_of("line with Birne88 in it\n"), &err),
		0);
	assert_int_equal(yg_package_json(m.package, "settings.json", value, &err), 0);
	assert_int_equal(yg_package_text(m.package, "empty", (struct yg_bytes){0}, &err), 0);
	yg_package_absent(m.package, "journal.txt", "there is no program 'journalctl'");
	finish(&m);
	char *log YG_AUTO(mem) = unzipped(&m, "logs/a.log");
	char *settings YG_AUTO(mem) = unzipped(&m, "settings.json");
	char *contents YG_AUTO(mem) = unzipped(&m, "contents.json");
	assert_string_equal(log, "line with *** in it\n");
	assert_null(strstr(settings, "Pflaume77"));
	assert_non_null(strstr(settings, "\"password\": \"***\""));
	assert_non_null(strstr(contents, "\"kind\": \"agent\""));
	assert_int_equal(number(listed(&m, "logs/a.log"), "secrets"), 1);
	assert_int_equal(number(listed(&m, "logs/a.log"), "bytes"), strlen(log));
	assert_int_equal(number(listed(&m, "empty"), "bytes"), 0);
	assert_int_equal(number(m.contents, "secrets"), 2);
	assert_string_equal(json_string_value(json_object_get(listed(&m, "journal.txt"), "absent")),
		"there is no program 'journalctl'");
	done(&m);
}

static void some_files_are_never_read(void **state)
{
	(void)state;
	static const struct {
		const char *path;
		bool never;
	} rows[] = {{"state/identity/identity.json", true}, {"identity.json.tmp", true},
		{"a/server.KEY", true}, {"master.key", true}, {"master_key", true},
		{"yagura.db-wal", true}, {"x.sealed", true}, {"id_ed25519", true}, {"ca.pem", true},
		{"core.1234", true}, {"iau.log", false}, {"keys.txt", false},
		{"state/session/settings.json", false}, {"agent.conf", false},
		{"iaulogs/iau.log.1", false}};
	struct yg_err err = {0};
	for (size_t i = 0; i < YG_COUNT(rows); i++)
		if (yg_package_never(rows[i].path) != rows[i].never)
			fail_msg("'%s': want %d", rows[i].path, rows[i].never);
	put("server.key", yg_bytes_of("a secret of no known form"));
	put("binary", (struct yg_bytes){(const uint8_t *)"ELF\0x", 5});
	put("plain", yg_bytes_of("hello\n"));
	assert_int_equal(symlinkat("server.key", dir, "link.log"), 0);
	struct made m = begin();
	static const char *const names[] = {"server.key", "binary", "plain", "link.log", "nothing"};
	for (size_t i = 0; i < YG_COUNT(names); i++)
		assert_int_equal(yg_package_file(m.package, names[i], dir, names[i], &err), 0);
	finish(&m);
	char *plain YG_AUTO(mem) = unzipped(&m, "plain");
	assert_string_equal(plain, "hello\n");
	assert_string_equal(json_string_value(json_object_get(listed(&m, "server.key"), "absent")),
		"of a kind that is never read");
	assert_string_equal(json_string_value(json_object_get(listed(&m, "binary"), "absent")),
		"not a text");
	assert_non_null(
		json_object_get(listed(&m, "link.log"), "absent")); /* no link is followed */
	assert_null(listed(&m, "nothing"));
	assert_null(unzipped(&m, "server.key"));
	assert_null(unzipped(&m, "link.log"));
	done(&m);
}

/* `size` bytes of numbered lines. */
static char *many_lines(size_t size)
{
	char *text = malloc(size + 1);
	size_t at = 0;
	for (unsigned n = 0; at + 16 <= size; n++)
		at += (size_t)snprintf(text + at, size + 1 - at, "line %010u\n", n);
	text[at] = 0;
	return text;
}

static void a_long_file_keeps_its_end(void **state)
{
	(void)state;
	struct yg_err err = {0};
	char *text YG_AUTO(mem) = many_lines(YG_PACKAGE_FILE_BYTES + 5000);
	put("long.log", yg_bytes_of(text));
	struct made m = begin();
	assert_int_equal(yg_package_file(m.package, "long.log", dir, "long.log", &err), 0);
	finish(&m);
	char *have YG_AUTO(mem) = unzipped(&m, "long.log");
	size_t len = strlen(have);
	assert_in_range(len, YG_PACKAGE_FILE_BYTES - 64, YG_PACKAGE_FILE_BYTES);
	assert_int_equal(strncmp(have, "line ", 5), 0);
	assert_string_equal(have, text + strlen(text) - len);
	assert_int_equal(number(listed(&m, "long.log"), "of"), strlen(text));
	done(&m);
}

static void the_whole_has_a_bound(void **state)
{
	(void)state;
	struct yg_err err = {0};
	char *text YG_AUTO(mem) = many_lines(YG_PACKAGE_FILE_BYTES);
	struct made m = begin();
	for (int i = 0; i < 6; i++) {
		char name[16];
		assert_true(yg_str_put(name, sizeof(name), "%d.log", i));
		assert_int_equal(yg_package_text(m.package, name, yg_bytes_of(text), &err), 0);
	}
	finish(&m);
	assert_in_range(number(m.contents, "bytes"), YG_PACKAGE_BYTES - 65536, YG_PACKAGE_BYTES);
	assert_null(json_object_get(listed(&m, "3.log"), "absent"));
	assert_string_equal(json_string_value(json_object_get(listed(&m, "5.log"), "absent")),
		"no room left");
	done(&m);
}

static void a_zip_wants_paths(void **state)
{
	(void)state;
	static const char *const bad[] = {"../x", "/x", "a//b", "", "a/../b"};
	struct yg_err err = {0};
	int fd YG_AUTO(fd) = memfd_create("zip", MFD_CLOEXEC);
	struct yg_zip *zip YG_AUTO(yg_zip) = yg_zip_new(fd, &err);
	for (size_t i = 0; i < YG_COUNT(bad); i++) {
		assert_int_equal(yg_zip_add(zip, bad[i], yg_bytes_of("x"), 0, &err), -1);
		assert_int_equal(err.code, YG_EFORMAT);
	}
	assert_int_equal(yg_zip_add(zip, "a/b-c_d.txt", yg_bytes_of("x"), 0, &err), 0);
	assert_int_equal(yg_zip_close(zip, &err), 0);
}

static void a_full_disk_is_named(void **state)
{
	(void)state;
	struct yg_err err = {0};
	int fd YG_AUTO(fd) = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct yg_package *package YG_AUTO(yg_package) = yg_package_new(fd, "agent", &err);
	json_t *contents YG_AUTO(yg_json) = NULL;
	char *text YG_AUTO(mem) = many_lines(1u << 20);
	if (yg_package_text(package, "a", yg_bytes_of(text), &err) == 0)
		assert_int_equal(yg_package_close(package, &contents, &err), -1);
	assert_string_equal(err.msg, "writing the zip file: No space left on device");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_are_scrubbed_and_listed),
		cmocka_unit_test(some_files_are_never_read),
		cmocka_unit_test(a_long_file_keeps_its_end),
		cmocka_unit_test(the_whole_has_a_bound),
		cmocka_unit_test(a_zip_wants_paths),
		cmocka_unit_test(a_full_disk_is_named),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
