/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "content/delta.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "content/codec.h"
#include "core/attr.h"
#include "core/fs.h"
#include "core/str.h"
#include "crypto/hash.h"
#include "tests/lib/cmocka_all.h"

#define FILE_MAX (16u << 20)

/* ---- two files ---- */

struct pair {
	struct yg_buf old, new;
};

static uint32_t seed;

static uint32_t any(void) /* xorshift32; seed is not 0 */
{
	seed ^= seed << 13;
	seed ^= seed >> 17;
	seed ^= seed << 5;
	return seed;
}

static void add(struct yg_buf *buf, const void *data, size_t len)
{
	struct yg_err err = {0};
	assert_int_equal(yg_buf_add(buf, data, len, &err), 0);
}

static void add_random(struct yg_buf *buf, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		uint8_t byte = (uint8_t)any();
		add(buf, &byte, 1);
	}
}

static void add_zeros(struct yg_buf *buf, size_t len)
{
	static const uint8_t zeros[65536];
	for (; len > sizeof(zeros); len -= sizeof(zeros))
		add(buf, zeros, sizeof(zeros));
	add(buf, zeros, len);
}

static void add_line(struct yg_buf *buf)
{
	struct yg_err err = {0};
	uint8_t raw[32];
	char hex[65];
	for (size_t i = 0; i < sizeof(raw); i++)
		raw[i] = (uint8_t)any();
	yg_str_hex(raw, sizeof(raw), hex);
	assert_int_equal(yg_str_addf(buf, &err, "%s:%u:Test.%u\n", hex, any() % 1000000, any()), 0);
}

static void copy(struct pair *pair, size_t from, size_t len)
{
	add(&pair->new, pair->old.data + from, len);
}

static void nothing(struct pair *pair)
{
	(void)pair;
}

static void from_nothing(struct pair *pair)
{
	add_random(&pair->new, 1000);
}

static void to_nothing(struct pair *pair)
{
	add_random(&pair->old, 1000);
}

static void same(struct pair *pair)
{
	add_random(&pair->old, 1300000);
	copy(pair, 0, pair->old.len);
}

static void one_byte(struct pair *pair)
{
	same(pair);
	pair->new.data[1234567] ^= 1;
}

static void first_and_last(struct pair *pair)
{
	same(pair);
	pair->new.data[0] ^= 1;
	pair->new.data[pair->new.len - 1] ^= 1;
}

static void strangers(struct pair *pair)
{
	add_random(&pair->old, 300000);
	add_random(&pair->new, 300000);
}

static void zeros(struct pair *pair)
{
	add_zeros(&pair->old, 1500000);
	add_zeros(&pair->new, 800000);
	add(&pair->new, "in between", 10);
	add_zeros(&pair->new, 1200000);
}

static void swapped(struct pair *pair)
{
	add_random(&pair->old, 600000);
	copy(pair, 300001, 299999);
	copy(pair, 0, 300001);
}

static void again(struct pair *pair)
{
	add_random(&pair->old, 100000);
	for (unsigned i = 0; i < 40; i++)
		copy(pair, 0, 100000);
}

static void much_new(struct pair *pair)
{
	add_random(&pair->old, 500);
	copy(pair, 0, 500);
	add_random(&pair->new, 2300000); /* several parts */
}

/* As a program's addresses: a number in every 16 bytes is another. */
static void moved(struct pair *pair)
{
	add_random(&pair->old, 1000000);
	copy(pair, 0, pair->old.len);
	for (size_t i = 7; i < pair->new.len; i += 16)
		pair->new.data[i] = (uint8_t)(pair->new.data[i] + 4u + i / 100000u);
}

/* Long runs of changes, longer than a number of one byte says. */
static void long_runs(struct pair *pair)
{
	add_random(&pair->old, 700000);
	copy(pair, 0, pair->old.len);
	for (size_t i = 0; i < pair->new.len; i++)
		pair->new.data[i] = (uint8_t)(pair->new.data[i] + (i % 4000 < 700 ? 1u : 0u));
}

/* Lines put in, taken away, edited; the first, the last and some between. */
static void lines(struct pair *pair)
{
	for (unsigned i = 0; i < 10000; i++) {
		size_t begin = pair->old.len;
		add_line(&pair->old);
		if (i % 1000 == 0 || i == 9999)
			add_line(&pair->new);
		if (i % 2001 == 17)
			continue;
		copy(pair, begin, pair->old.len - begin);
		if (i % 2500 == 33)
			pair->new.data[pair->new.len - 7] = '!';
	}
	add_line(&pair->new);
}

static void sha512(struct pair *pair)
{
	static const char text[] =
		"0123456789abcdefABCDEF0123456789\n\1\2\3\4\5\6 00112233445566778";
	add(&pair->old, "old", 3);
	for (unsigned i = 0; i < 70; i++)
		add(&pair->new, text, sizeof(text)); /* odd runs, and bytes that are words */
	for (unsigned i = 0; i < 1001; i++)
		add(&pair->new, "fe", 2); /* longer than a word */
}

static const struct {
	const char *name;
	void (*make)(struct pair *pair);
	uint64_t most; /* bytes of the delta */
} cases[] = {
	{"nothing", nothing, 6},
	{"from nothing", from_nothing, 1016},
	{"to nothing", to_nothing, 8},
	{"the same", same, 16},
	{"one byte", one_byte, 32},
	{"first and last", first_and_last, 100},
	{"strangers", strangers, 300100},
	{"zeros", zeros, 100},
	{"swapped", swapped, 64},
	{"again and again", again, 160},
	{"much new", much_new, 2300100},
	{"moved", moved, 20000},
	{"long runs", long_runs, 12000},
	{"lines", lines, 12 * 60},
	{"sha512", sha512, 300},
};

static void make(size_t i, struct pair *pair)
{
	seed = (uint32_t)i + 1;
	*pair = (struct pair){YG_BUF(FILE_MAX), YG_BUF(FILE_MAX)};
	cases[i].make(pair);
}

static void pair_free(struct pair *pair)
{
	yg_buf_free(&pair->old);
	yg_buf_free(&pair->new);
}

/* ---- there and back ---- */

static int memfd(const struct yg_buf *bytes)
{
	struct yg_err err = {0};
	int fd = memfd_create("test", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(yg_fs_write_all(fd, bytes->data, bytes->len, &err), 0);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static void hash(const struct yg_buf *bytes, char out[YG_SHA256_TEXT])
{
	struct yg_err err = {0};
	assert_int_equal(yg_hash_text(yg_buf_bytes(bytes), out, &err), 0);
}

/* Encode; `delta` is what came out. */
static int encode(const struct pair *pair, uint64_t max, struct yg_buf *delta, struct yg_err *err)
{
	int old YG_AUTO(fd) = memfd(&pair->old), new YG_AUTO(fd) = memfd(&pair->new);
	int out YG_AUTO(fd) = memfd_create("delta", MFD_CLOEXEC);
	struct yg_form form = {.encoding = YG_ENCODING_DELTA, .from = "kept"};
	char have[YG_SHA256_TEXT];
	if (yg_delta_encode(old, new, out, max, &form, err) < 0)
		return -1;
	delta->len = 0;
	assert_int_equal(yg_fs_read_fd(out, delta, err), 0);
	assert_int_equal(form.size, delta->len);
	hash(delta, have);
	assert_string_equal(form.sha256, have);
	assert_string_equal(form.from, "kept");
	return 0;
}

/* Decode a delta that is vouched for; never writes too much. */
static int decode(const struct yg_buf *old, const struct yg_buf *delta, const struct yg_buf *new,
	const char *from, struct yg_err *err)
{
	int in YG_AUTO(fd) = memfd(old), data YG_AUTO(fd) = memfd(delta);
	int out YG_AUTO(fd) = memfd_create("out", MFD_CLOEXEC);
	struct yg_buf back YG_AUTO(yg_buf) = YG_BUF(FILE_MAX);
	struct yg_form form = {.encoding = YG_ENCODING_DELTA, .size = delta->len};
	char sha256[YG_SHA256_TEXT];
	hash(delta, form.sha256);
	hash(new, sha256);
	assert_true(yg_str_put(form.from, sizeof(form.from), "%s", from));
	int bad = yg_delta_decode(in, data, out, &form, sha256, new->len, err);
	struct yg_err why = {0};
	assert_int_equal(yg_fs_read_fd(out, &back, &why), 0);
	assert_true(back.len <= new->len);
	if (bad == 0) {
		assert_int_equal(back.len, new->len);
		if (new->len > 0)
			assert_memory_equal(back.data, new->data, new->len);
	}
	return bad;
}

static void round_trip(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(cases); i++) {
		struct pair pair;
		struct yg_err err = {0};
		struct yg_buf delta YG_AUTO(yg_buf) = YG_BUF(FILE_MAX);
		struct yg_buf twin YG_AUTO(yg_buf) = YG_BUF(FILE_MAX);
		make(i, &pair);
		if (encode(&pair, FILE_MAX, &delta, &err) < 0 ||
			decode(&pair.old, &delta, &pair.new, "", &err) < 0)
			fail_msg("%s: %s", cases[i].name, err.msg);
		if (delta.len > cases[i].most)
			fail_msg("%s: %zu bytes", cases[i].name, delta.len);
		if (encode(&pair, delta.len, &twin, &err) < 0)
			fail_msg("%s again: %s", cases[i].name, err.msg);
		assert_int_equal(twin.len, delta.len);
		assert_memory_equal(twin.data, delta.data, delta.len);
		/* With less room it may look for longer, and find something. */
		if (pair.new.len < 500000 && encode(&pair, delta.len - 1, &twin, &err) == 0)
			assert_true(twin.len < delta.len);
		pair_free(&pair);
	}
}

/* Small files of every kind of stream. */
static void small(struct pair *pair)
{
	seed = 7;
	*pair = (struct pair){YG_BUF(FILE_MAX), YG_BUF(FILE_MAX)};
	for (unsigned i = 0; i < 12; i++)
		add_line(&pair->old);
	copy(pair, 0, 400);
	for (unsigned i = 0; i < 6; i++)
		add_line(&pair->new);
	copy(pair, 400, 300);
	copy(pair, 100, 300);
}

static void no_room(void **state)
{
	(void)state;
	struct pair pair;
	struct yg_buf delta YG_AUTO(yg_buf) = YG_BUF(FILE_MAX);
	small(&pair);
	for (uint64_t max = 0; max < 250; max += 30) {
		struct yg_err err = {0};
		assert_int_equal(encode(&pair, max, &delta, &err), -1);
		assert_int_equal(err.code, YG_ELIMIT);
		assert_non_null(strstr(err.msg, "the delta: want <= "));
	}
	pair_free(&pair);
}

static void flipped(void **state)
{
	(void)state;
	struct pair pair;
	struct yg_err err = {0};
	struct yg_buf delta YG_AUTO(yg_buf) = YG_BUF(FILE_MAX);
	small(&pair);
	assert_int_equal(encode(&pair, FILE_MAX, &delta, &err), 0);
	for (size_t i = 0; i < delta.len; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			delta.data[i] ^= (uint8_t)(1u << bit);
			err = (struct yg_err){0};
			if (decode(&pair.old, &delta, &pair.new, "", &err) < 0) {
				assert_true(err.code == YG_EFORMAT || err.code == YG_EUNTRUSTED);
				assert_true(strncmp(err.cause, "content.", 8) == 0);
			}
			delta.data[i] ^= (uint8_t)(1u << bit);
		}
	}
	assert_int_equal(decode(&pair.old, &delta, &pair.new, "", &err), 0);
	pair_free(&pair);
}

static void truncated(void **state)
{
	(void)state;
	struct pair pair;
	struct yg_err err = {0};
	struct yg_buf delta YG_AUTO(yg_buf) = YG_BUF(FILE_MAX);
	small(&pair);
	assert_int_equal(encode(&pair, FILE_MAX, &delta, &err), 0);
	for (size_t whole = delta.len; delta.len-- > 0;) {
		err = (struct yg_err){0};
		assert_int_equal(decode(&pair.old, &delta, &pair.new, "", &err), -1);
		assert_string_equal(err.cause, "content.format");
		assert_non_null(strstr(err.msg, "ends too early"));
		assert_true(delta.len < whole);
	}
	pair_free(&pair);
}

/* ---- what is not what it should be ---- */

static void other_base(void **state)
{
	(void)state;
	struct pair pair;
	struct yg_err err = {0};
	struct yg_buf delta YG_AUTO(yg_buf) = YG_BUF(FILE_MAX);
	char from[YG_SHA256_TEXT];
	small(&pair);
	hash(&pair.old, from);
	assert_int_equal(encode(&pair, FILE_MAX, &delta, &err), 0);
	pair.old.data[0] ^= 1;
	assert_int_equal(decode(&pair.old, &delta, &pair.new, from, &err), -1);
	assert_int_equal(err.code, YG_EUNTRUSTED);
	assert_string_equal(err.cause, "content.base");
	assert_non_null(
		strstr(err.msg, "the old file is not the one that the delta was made from"));
	pair.old.data[0] ^= 1;
	assert_int_equal(decode(&pair.old, &delta, &pair.new, from, &err), 0);
	pair.new.data[0] ^= 1; /* the base is right: the delta is of another file */
	assert_int_equal(decode(&pair.old, &delta, &pair.new, from, &err), -1);
	assert_string_equal(err.cause, "content.hash");
	pair.new.data[0] ^= 1;
	pair.old.len--;
	assert_int_equal(decode(&pair.old, &delta, &pair.new, from, &err), -1);
	assert_string_equal(err.cause, "content.base");
	pair.old.len++;
	pair_free(&pair);
}

static void not_vouched_for(void **state)
{
	(void)state;
	struct pair pair;
	struct yg_err err = {0};
	struct yg_buf delta YG_AUTO(yg_buf) = YG_BUF(FILE_MAX);
	struct yg_form form = {.encoding = YG_ENCODING_DELTA};
	small(&pair);
	assert_int_equal(encode(&pair, FILE_MAX, &delta, &err), 0);
	hash(&delta, form.sha256);
	form.size = delta.len;
	int old YG_AUTO(fd) = memfd(&pair.old);
	int out YG_AUTO(fd) = memfd_create("out", MFD_CLOEXEC);
	delta.data[5] ^= 1;
	int changed YG_AUTO(fd) = memfd(&delta);
	delta.len--;
	int shorter YG_AUTO(fd) = memfd(&delta);
	assert_int_equal(yg_delta_decode(old, changed, out, &form, "", pair.new.len, &err), -1);
	assert_int_equal(err.code, YG_EUNTRUSTED);
	assert_string_equal(err.cause, "content.hash");
	assert_non_null(strstr(err.msg, "transferred bytes: sha256: want "));
	assert_int_equal(yg_delta_decode(old, shorter, out, &form, "", pair.new.len, &err), -1);
	assert_string_equal(err.cause, "content.size");
	assert_int_equal(lseek(out, 0, SEEK_END), 0); /* the decoder saw nothing of either */
	pair_free(&pair);
}

/* Deltas of ten old bytes and as many new ones, after the header. Present: 1 copy, 2 add, 4 seek, 8 gap,
 * 16 run, 32 change, 64 text, 128 hex.
 */
static const struct {
	const char *name;
	struct yg_bytes bytes;
	const char *want; /* what comes out, or the message */
} parts[] = {
#define PART(text)                                                                                 \
	{                                                                                          \
		(const uint8_t *)(text), sizeof(text) - 1                                          \
	}
	{"a copy", PART("\x01\x02\x0a"), "abcdefghij"},
	{"two copies", PART("\x05\x04\x04\x05\x05\x00\x09"), "abcdeabcde"},
	{"two parts", PART("\x01\x02\x05\x01\x02\x05"), "abcdefghij"},
	{"text",
		PART("\x42\x02\x14\x0a"
		     "0123456789"),
		"0123456789"},
	{"words", PART("\xc2\x02\x04\x0a\x0a\x01\x05\x12\x34\x56\x78\x9a"), "123456789a"},
	{"upper", PART("\xc2\x02\x04\x0a\x0a\x02\x05\xab\xcd\xef\x78\x9a"), "ABCDEF789A"},
	{"a quoted byte",
		PART("\xc2\x02\x16\x02\x0a"
		     "\x00\x01"
		     "1234567"
		     "\x01\x01\xab"),
		"\x01"
		"1234567ab"},
	{"changes", PART("\x39\x02\x02\x02\x06\x0a\x02\x02\x01\x02\x03"), "abdfhfghij"},
	{"no operation", PART("\x00"), "an operation makes nothing"},
	{"an empty one", PART("\x05\x02\x02\x00\x02"), "an operation makes nothing"},
	{"too much copied", PART("\x01\x02\x0b"), "more comes out than is wanted"},
	{"too much of both", PART("\x43\x02\x02\x02\x0a\x01x"), "more comes out than is wanted"},
	{"2^64 - 1 copied", PART("\x01\x14\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
		"more comes out than is wanted"},
	{"65 bits", PART("\x01\x14\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),
		"a number is cut, or has more than 64 bits"},
	{"71 bits", PART("\x01\x16\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"),
		"a number is cut, or has more than 64 bits"},
	{"a cut number", PART("\x01\x02\x8a"), "a number is cut, or has more than 64 bits"},
	{"from before the file", PART("\x05\x02\x02\x05\x01"), "a copy from outside the old file"},
	{"far before it", PART("\x05\x02\x14\x05\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
		"a copy from outside the old file"},
	{"from behind it", PART("\x05\x02\x02\x05\x0c"), "a copy from outside the old file"},
	{"far behind it", PART("\x05\x02\x14\x05\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
		"a copy from outside the old file"},
	{"too little text",
		PART("\x42\x02\x12\x0a"
		     "012345678"),
		"more text is wanted than there is"},
	{"too much text",
		PART("\x42\x02\x16\x0a"
		     "0123456789a"),
		"text or changes are left over"},
	{"too many changes", PART("\x39\x02\x02\x02\x06\x0a\x02\x01\x01\x02\x03"),
		"text or changes are left over"},
	{"changes behind", PART("\x39\x02\x02\x02\x02\x0a\x0a\x00\x01"),
		"text or changes are left over"},
	{"no bytes to change by", PART("\x19\x02\x02\x02\x0a\x02\x01"),
		"changes: a number is cut, or bytes are missing"},
	{"a run without length", PART("\x29\x02\x02\x02\x0a\x02\x01"),
		"changes: a number is cut, or bytes are missing"},
	{"a run of 2^64",
		PART("\x39\x02\x02\x14\x02\x0a\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01"),
		"changes: a number is cut, or bytes are missing"},
	{"a word without digits", PART("\xc2\x02\x02\x02\x0a\x03\x01"),
		"text: a word is cut, or has no digits"},
	{"a word of none", PART("\xc2\x02\x04\x02\x0a\x01\x00\x01"),
		"text: a word is cut, or has no digits"},
	{"a cut word", PART("\xc2\x02\x02\x02\x0a\x01\x01"),
		"text: a word is cut, or has no digits"},
	{"a cut quote", PART("\xc2\x02\x02\x02\x0a\x00\x01"), "text: a word is cut"},
	{"digits left", PART("\xc2\x02\x04\x02\x0a\x61\x62\x01"), "text: digits are left over"},
	{"an empty stream", PART("\x01\x00"), "a stream is empty, or more than a part may hold"},
	{"a stream too large", PART("\x01\x82\x80\x80\x01"),
		"a stream is empty, or more than a part may hold"},
	{"streams too large", PART("\x41\x80\x80\x80\x01\x02"),
		"a stream is empty, or more than a part may hold"},
	{"nothing packed", PART("\x01\x07\x00"), "a packed stream is not smaller than it was"},
	{"packed, and larger", PART("\x01\x07\x03"), "a packed stream is not smaller than it was"},
	{"no zstd", PART("\x01\x09\x03\xff\xff\xff"), "delta: part 1: "},
	{"more than it makes", PART("\x01\x02\x0a\x01\x02\x01"), "bytes after the last part"},
	{"no part", PART(""), "the delta ends too early"},
#undef PART
};

static void by_hand(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(parts); i++) {
		struct yg_err err = {0};
		struct yg_buf delta YG_AUTO(yg_buf) = YG_BUF(1000),
				    old YG_AUTO(yg_buf) = YG_BUF(10);
		struct yg_buf back YG_AUTO(yg_buf) = YG_BUF(10);
		add(&delta, "YGd1\x0a\x0a", 6);
		add(&delta, parts[i].bytes.ptr, parts[i].bytes.len);
		add(&old, "abcdefghij", 10);
		int in YG_AUTO(fd) = memfd(&old), data YG_AUTO(fd) = memfd(&delta);
		int out YG_AUTO(fd) = memfd_create("out", MFD_CLOEXEC);
		int bad = yg_delta_decode_unchecked(in, data, out, delta.len, 10, &err);
		assert_int_equal(yg_fs_read_fd(out, &back, &(struct yg_err){0}), 0);
		if (bad ? !strstr(err.msg, parts[i].want) ||
					strcmp(err.cause, "content.format") != 0
			: back.len != 10 || memcmp(back.data, parts[i].want, 10) != 0)
			fail_msg("%s: '%s', '%.*s'", parts[i].name, err.msg, (int)back.len,
				back.data ? (char *)back.data : "");
	}
}

/* What stands before the parts. */
static void header(void **state)
{
	(void)state;
	static const struct {
		const char *bytes, *cause, *want;
		size_t len;
	} rows[] = {
		{"YGd2\x0a\x0a", "content.format", "delta: want 'YGd1' at the beginning", 6},
		{"YGd", "content.format", "delta: part 0: the delta ends too early", 3},
		{"YGd1\x8a", "content.format", "delta: part 0: the delta ends too early", 5},
		{"YGd1\x0a\x0b", "content.format", "delta: of a file of 11 bytes: want 10", 6},
		{"YGd1\x0b\x0a", "content.base", "want 11 bytes, have 10", 6},
		{"YGd1\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", "content.format",
			"delta: part 0: a number has more than 64 bits", 15},
	};
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		struct yg_err err = {0};
		struct yg_buf delta YG_AUTO(yg_buf) = YG_BUF(1000),
				    old YG_AUTO(yg_buf) = YG_BUF(10);
		add(&delta, rows[i].bytes, rows[i].len);
		add(&old, "abcdefghij", 10);
		int in YG_AUTO(fd) = memfd(&old), data YG_AUTO(fd) = memfd(&delta);
		int out YG_AUTO(fd) = memfd_create("out", MFD_CLOEXEC);
		assert_int_equal(yg_delta_decode_unchecked(in, data, out, delta.len, 10, &err), -1);
		if (!strstr(err.msg, rows[i].want))
			fail_msg("%zu: '%s'", i, err.msg);
		assert_string_equal(err.cause, rows[i].cause);
	}
}

/* Sizes beyond the limit are refused without a look at the files; sparse ones take no room. */
static void too_large(void **state)
{
	(void)state;
	struct yg_err err = {0};
	struct yg_form form = {0};
	int small_one YG_AUTO(fd) = memfd_create("small", MFD_CLOEXEC);
	int large YG_AUTO(fd) = memfd_create("large", MFD_CLOEXEC);
	int out YG_AUTO(fd) = memfd_create("out", MFD_CLOEXEC);
	assert_int_equal(ftruncate(large, (off_t)YG_FILE_SIZE_MAX + 1), 0);
	assert_int_equal(yg_delta_encode(large, small_one, out, 100, &form, &err), -1);
	assert_int_equal(err.code, YG_ELIMIT);
	assert_string_equal(err.msg, "a file: want <= 4294967296 bytes, have 4294967297");
	assert_int_equal(yg_delta_encode(small_one, large, out, 100, &form, &err), -1);
	assert_int_equal(err.code, YG_ELIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(no_room),
		cmocka_unit_test(flipped),
		cmocka_unit_test(truncated),
		cmocka_unit_test(other_base),
		cmocka_unit_test(not_vouched_for),
		cmocka_unit_test(by_hand),
		cmocka_unit_test(header),
		cmocka_unit_test(too_large),
	};
	return cmocka_run_group_tests_name("content/delta", tests, NULL, NULL);
}
