/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "content/delta_block.h"

#include <errno.h>
#include <string.h>

#define BLOCK       64u          /* bytes that are hashed: the hash's 64 bits make it so */
#define BLOCKS_MAX  (1u << 22)   /* more blocks than that are made fewer by leaving gaps */
#define TAG_BITS    10           /* of a slot: how much of the hash it keeps */
#define PROBES      8            /* slots looked at for a hash */
#define WINDOW_SIZE (256u << 10) /* bytes of a file in memory */
#define FAR_SIZE    (12u << 10)
#define BACK_MAX    4096u /* bytes that a match grows backwards */
#define MARGIN      8192u /* bytes before a wanted place that are read with it */
#define STAY_MIN    16u   /* bytes alike that make it worth to go on where the old file is */
#define BATCH       16u   /* blocks hashed before their slots are looked at */

/* A piece of a file. */
struct window {
	int fd;
	uint64_t size, at;
	size_t len, cap, margin;
	uint8_t *data; /* cap bytes, owned */
};

/* What both files have: `len` bytes. */
struct match {
	uint64_t old, new, len;
};

struct matcher {
	struct window old, far, new; /* far: where a hash led to, away from the match before */
	uint32_t *slots;             /* tag and block + 1, or 0 */
	unsigned slot_bits;
	uint64_t stride; /* bytes from block to block */
	uint64_t gear[256];
};

static void matcher_free_at(struct matcher *matcher)
{
	free(matcher->old.data);
	free(matcher->far.data);
	free(matcher->new.data);
	free(matcher->slots);
}

static int window_fill(struct window *window, uint64_t at, struct yg_err *err)
{
	window->at = at;
	window->len = 0;
	while (window->len < window->cap) {
		ssize_t n = pread(window->fd, window->data + window->len, window->cap - window->len,
			(off_t)(at + window->len));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return yg_fail_sys(err, errno, "reading");
		if (n == 0)
			break;
		window->len += (size_t)n;
	}
	return 0;
}

/* The bytes at `at`, `len` of them (which are in the file); NULL on failure. Valid until the next call. */
static const uint8_t *window_get(struct window *window, uint64_t at, size_t len, struct yg_err *err)
{
	if (at < window->at || at + len > window->at + window->len) {
		uint64_t from = at > window->margin ? at - window->margin : 0;
		if (window_fill(window, from, err) < 0)
			return NULL;
		if (at + len > window->at + window->len) {
			(void)yg_fail(err, YG_ESYSTEM, "a file became shorter while it was read");
			return NULL;
		}
	}
	return window->data + (at - window->at);
}

/* Bytes from `at` that the window has at once, some at least unless the file ends there. */
static size_t window_ahead(const struct window *window, uint64_t at)
{
	uint64_t left = window->size - at;
	size_t most = window->cap - window->margin;
	if (at >= window->at && at < window->at + window->len)
		most = (size_t)(window->at + window->len - at);
	return left < most ? (size_t)left : most;
}

/* ---- the index ---- */

static void gear_begin(struct matcher *matcher)
{
	uint64_t x = 0; /* source  splitmix64, Sebastiano Vigna, public domain */
	for (unsigned i = 0; i < 256; i++) {
		uint64_t z = (x += 0x9e3779b97f4a7c15u);
		z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
		z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
		matcher->gear[i] = z ^ (z >> 31);
	}
}

/* The hash of BLOCK bytes: each byte's number, doubled for every byte after it. Moving on by a byte is
 * one shift, which also forgets the first. Four lines at once are faster.
 */
static uint64_t block_hash(const uint64_t gear[256], const uint8_t *block)
{
	uint64_t a = 0, b = 0, c = 0, d = 0;
	for (unsigned i = 0; i < BLOCK / 4; i++) {
		a = (a << 1) + gear[block[i]];
		b = (b << 1) + gear[block[i + BLOCK / 4]];
		c = (c << 1) + gear[block[i + BLOCK / 2]];
		d = (d << 1) + gear[block[i + BLOCK / 4 * 3]];
	}
	return (a << 48) + (b << 32) + (c << 16) + d;
}

static uint64_t mixed(uint64_t hash)
{
	return hash * 0x9e3779b97f4a7c15u;
}

static uint32_t tag_of(const struct matcher *matcher, uint64_t mix)
{
	uint64_t tag = mix >> (64 - matcher->slot_bits - TAG_BITS);
	return (uint32_t)(tag & ((1u << TAG_BITS) - 1)) << (32 - TAG_BITS);
}

static void slot_add(struct matcher *matcher, uint64_t mix, uint32_t block)
{
	uint64_t at = mix >> (64 - matcher->slot_bits), mask = (1ull << matcher->slot_bits) - 1;
	for (unsigned i = 0; i < PROBES; i++, at = (at + 1) & mask) {
		if (matcher->slots[at] == 0) {
			matcher->slots[at] = tag_of(matcher, mix) | (block + 1);
			return;
		}
	}
}

/* Hash blocks of one piece of the file; their slots are asked for early, since memory is slow. */
static void index_piece(struct matcher *matcher, const uint8_t *data, uint32_t block,
	uint32_t count)
{
	uint64_t mix[BATCH];
	for (uint32_t done = 0; done < count;) {
		uint32_t n = count - done < BATCH ? count - done : BATCH;
		for (uint32_t i = 0; i < n; i++) {
			mix[i] = mixed(
				block_hash(matcher->gear, data + (done + i) * matcher->stride));
			__builtin_prefetch(&matcher->slots[mix[i] >> (64 - matcher->slot_bits)], 1);
		}
		for (uint32_t i = 0; i < n; i++)
			slot_add(matcher, mix[i], block + done + i);
		done += n;
	}
}

static int index_old(struct matcher *matcher, struct yg_err *err)
{
	uint64_t size = matcher->old.size;
	uint32_t blocks = size < BLOCK ? 0 : (uint32_t)((size - BLOCK) / matcher->stride + 1);
	matcher->slot_bits = 10;
	while ((1ull << matcher->slot_bits) < 2ull * blocks)
		matcher->slot_bits++;
	matcher->slots = calloc((size_t)1 << matcher->slot_bits, sizeof(*matcher->slots));
	if (!matcher->slots)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	uint32_t most = (uint32_t)((WINDOW_SIZE - MARGIN - BLOCK) / matcher->stride);
	for (uint32_t block = 0; block < blocks;) {
		uint32_t n = blocks - block < most ? blocks - block : most;
		const uint8_t *data = window_get(&matcher->old, block * matcher->stride,
			(size_t)((n - 1) * matcher->stride + BLOCK), err);
		if (!data)
			return -1;
		index_piece(matcher, data, block, n);
		block += n;
	}
	return 0;
}

/* ---- matches ---- */

static size_t alike(const uint8_t *a, const uint8_t *b, size_t len)
{
	size_t n = 0;
	for (; n + 4096 <= len && memcmp(a + n, b + n, 4096) == 0; n += 4096)
		;
	for (; n + 64 <= len && memcmp(a + n, b + n, 64) == 0; n += 64)
		;
	while (n < len && a[n] == b[n])
		n++;
	return n;
}

/* Make a match as long as it can be. */
static int grow(struct matcher *matcher, struct match *match, struct yg_err *err)
{
	for (;;) {
		uint64_t old = match->old + match->len, new = match->new + match->len;
		size_t a = window_ahead(&matcher->old, old), b = window_ahead(&matcher->new, new);
		size_t len = a < b ? a : b;
		if (len == 0)
			return 0;
		const uint8_t *in_old = window_get(&matcher->old, old, len, err);
		const uint8_t *in_new = window_get(&matcher->new, new, len, err);
		if (!in_old || !in_new)
			return -1;
		size_t n = alike(in_old, in_new, len);
		match->len += n;
		if (n < len)
			return 0;
	}
}

/* Move the beginning of a match back, at most to `floor` in the new file. */
static int grow_back(struct matcher *matcher, struct match *match, uint64_t floor,
	struct yg_err *err)
{
	uint64_t most = match->new - floor < match->old ? match->new - floor : match->old;
	size_t len = most < BACK_MAX ? (size_t)most : BACK_MAX;
	const uint8_t *old = window_get(&matcher->far, match->old - len, len, err);
	const uint8_t *new = window_get(&matcher->new, match->new - len, len, err);
	if (!old || !new)
		return -1;
	while (len > 0 && old[len - 1] == new[len - 1]) {
		len--;
		match->old--;
		match->new --;
		match->len++;
	}
	return 0;
}

/* Whether one of the old blocks with this hash is what is at `at`. returns 1, 0, -1 */
static int look_up(struct matcher *matcher, uint64_t hash, uint64_t at, struct match *out,
	struct yg_err *err)
{
	uint64_t mix = mixed(hash), mask = (1ull << matcher->slot_bits) - 1;
	uint64_t slot = mix >> (64 - matcher->slot_bits);
	uint32_t tag = tag_of(matcher, mix), block_mask = (1u << (32 - TAG_BITS)) - 1;
	for (unsigned i = 0; i < PROBES && matcher->slots[slot]; i++, slot = (slot + 1) & mask) {
		if ((matcher->slots[slot] & ~block_mask) != tag)
			continue;
		uint64_t from = ((matcher->slots[slot] & block_mask) - 1u) *
			(uint64_t)matcher->stride;
		const uint8_t *old = window_get(&matcher->far, from, BLOCK, err);
		const uint8_t *new = window_get(&matcher->new, at, BLOCK, err);
		if (!old || !new)
			return -1;
		if (memcmp(old, new, BLOCK) == 0) {
			*out = (struct match){from, at, BLOCK};
			return 1;
		}
	}
	return 0;
}

/* Whether the files agree again at `at`, bytes having been replaced by as many. returns 1, 0, -1 */
static int stays(struct matcher *matcher, const struct match *before, uint64_t at,
	struct match *out, struct yg_err *err)
{
	uint64_t from = before->old + (at - before->new);
	if (from + STAY_MIN > matcher->old.size || at + STAY_MIN > matcher->new.size)
		return 0;
	const uint8_t *old = window_get(&matcher->old, from, STAY_MIN, err);
	const uint8_t *new = window_get(&matcher->new, at, STAY_MIN, err);
	if (!old || !new)
		return -1;
	*out = (struct match){from, at, STAY_MIN};
	return memcmp(old, new, STAY_MIN) == 0;
}

/* The next match after `before`, not yet grown; `new` is the file's end when there is none. */
static int find_next(struct matcher *matcher, const struct match *before, struct match *out,
	struct yg_err *err)
{
	uint64_t at = before->new + before->len, end = matcher->new.size, hash = 0;
	bool fresh = true;
	for (; at + STAY_MIN <= end; at++) {
		int found = stays(matcher, before, at, out, err);
		if (found == 0 && at + BLOCK <= end) {
			const uint8_t *data = window_get(&matcher->new, at, BLOCK, err);
			if (!data)
				return -1;
			hash = fresh ? block_hash(matcher->gear, data)
				     : (hash << 1) + matcher->gear[data[BLOCK - 1]];
			fresh = false;
			found = look_up(matcher, hash, at, out, err);
		}
		if (found < 0)
			return -1;
		if (found)
			return grow_back(matcher, out, before->new + before->len, err);
	}
	*out = (struct match){0, end, 0};
	return 0;
}

/* Text was put in: where it begins and ends can be moved when the bytes before it are like its last ones,
 * and lines are what the texts have in common. Shortens the first match, and the second from its front.
 */
static int settle(struct matcher *matcher, struct match *first, struct match *second,
	struct yg_err *err)
{
	uint64_t end = first->old + first->len;
	if (second->len == 0 || second->old >= end || second->old + second->len < end)
		return 0;
	uint64_t over = end - second->old;
	size_t most = (size_t)(over < first->len ? over : first->len);
	const uint8_t *new = window_get(&matcher->new, first->new + first->len - most, most, err);
	if (!new)
		return -1;
	for (size_t back = 0; back < most; back++) {
		if (new[most - back - 1] != '\n')
			continue;
		first->len -= back;
		second->old += over - back;
		second->new += over - back;
		second->len -= over - back;
		return 0;
	}
	return 0;
}

static int match_all(struct matcher *matcher, struct yg_delta_coder *coder, struct yg_err *err)
{
	struct match first = {0, 0, 0}, second;
	if (grow(matcher, &first, err) < 0)
		return -1;
	for (uint64_t end = matcher->new.size; first.new < end; first = second) {
		if (find_next(matcher, &first, &second, err) < 0 ||
			settle(matcher, &first, &second, err) < 0 ||
			yg_delta_code_op(coder, first.old, first.len,
				second.new - first.new - first.len, true, err) < 0 ||
			(second.len > 0 && grow(matcher, &second, err) < 0))
			return -1;
	}
	return 0;
}

static int window_begin(struct window *window, int fd, uint64_t size, size_t cap, size_t margin,
	struct yg_err *err)
{
	*window = (struct window){fd, size, 0, 0, cap, margin, malloc(cap)};
	return window->data ? 0 : yg_fail(err, YG_ESYSTEM, "out of memory");
}

int yg_delta_block_match(int old, uint64_t old_size, int new, uint64_t new_size,
	struct yg_delta_coder *coder, struct yg_err *err)
{
	struct matcher matcher YG_AUTO(matcher) = {.stride = BLOCK};
	while (old_size / matcher.stride >= BLOCKS_MAX - 1)
		matcher.stride *= 2;
	gear_begin(&matcher);
	if (window_begin(&matcher.old, old, old_size, WINDOW_SIZE, MARGIN, err) < 0 ||
		window_begin(&matcher.far, old, old_size, FAR_SIZE, MARGIN, err) < 0 ||
		window_begin(&matcher.new, new, new_size, WINDOW_SIZE, MARGIN, err) < 0 ||
		index_old(&matcher, err) < 0)
		return -1;
	return match_all(&matcher, coder, err);
}
