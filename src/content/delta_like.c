/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "content/delta_like.h"

#include "content/delta_suffix.h"
#include "core/fs.h"

#define BETTER     8u           /* bytes that a match must be better by than to go on */
#define WORK_LEAST (1ull << 28) /* bytes that may be compared … */
#define WORK_EACH  512u         /* … and for each byte of the files */

/* A piece of the new file that lies in the old one: new_at there is old_at here. */
struct place {
	size_t old, new;
};

struct liker {
	struct yg_bytes old, new;
	int32_t *order;
	uint64_t work, work_max;
	struct yg_delta_coder *coder; /* borrowed */
};

static void liker_free_at(struct liker *liker)
{
	free(liker->order);
}

/* Whether a byte of the new file is what it would be were it copied from where `place` says. */
static bool agrees(const struct liker *liker, const struct place *place, size_t at)
{
	size_t from = place->old + (at - place->new); /* at may be before it: this wraps */
	return from < liker->old.len && liker->old.ptr[from] == liker->new.ptr[at];
}

/* A match that is not what going on from `now` gives anyway. `from` is where to look first.
 * out     found   its place; .new is the file's end when there is none
 *         len     of the match, there
 */
static int find_other(struct liker *liker, const struct place *now, size_t from,
	struct place *found, size_t *len, struct yg_err *err)
{
	size_t agreed = 0, counted = from; /* bytes that agree, of those from `at` to `counted` */
	for (size_t at = from; at < liker->new.len; at++) {
		struct yg_bytes wanted = {liker->new.ptr + at, liker->new.len - at};
		if (counted < at)
			counted = at;
		*len = yg_delta_suffix_find(liker->old, liker->order, wanted, &found->old,
			&liker->work);
		if (liker->work > liker->work_max)
			return yg_fail(err, YG_ELIMIT, "it takes too long to compare the files");
		for (; counted < at + *len; counted++)
			agreed += agrees(liker, now, counted);
		if (*len > 0 && *len == agreed) { /* the same place, or no better one */
			at += *len - 1;
			agreed = 0;
			continue;
		}
		if (*len > agreed + BETTER) {
			found->new = at;
			return 0;
		}
		if (counted > at && agrees(liker, now, at))
			agreed--;
	}
	*found = (struct place){0, liker->new.len};
	*len = 0;
	return 0;
}

/* How far going on from a place is more right than wrong, at most to `end`. */
static size_t reach(const struct liker *liker, const struct place *place, size_t end)
{
	size_t best = 0;
	int64_t score = 0, top = 0;
	for (size_t i = 0; place->new + i < end && place->old + i < liker->old.len; i++) {
		score += agrees(liker, place, place->new + i) ? 1 : -1;
		if (score > top) {
			top = score;
			best = i + 1;
		}
	}
	return best;
}

/* The same backwards, at most to `begin`. */
static size_t reach_back(const struct liker *liker, const struct place *place, size_t begin)
{
	size_t best = 0;
	int64_t score = 0, top = 0;
	for (size_t i = 1; i <= place->new - begin &&i <= place->old; i++) {
		score += agrees(liker, place, place->new - i) ? 1 : -1;
		if (score > top) {
			top = score;
			best = i;
		}
	}
	return best;
}

/* Where of [begin, end), which both could copy, the first should leave off. */
static size_t parting(const struct liker *liker, const struct place *first,
	const struct place *second, size_t begin, size_t end)
{
	size_t best = begin;
	int64_t score = 0, top = 0;
	for (size_t at = begin; at < end; at++) {
		score += agrees(liker, first, at);
		score -= agrees(liker, second, at);
		if (score > top) {
			top = score;
			best = at + 1;
		}
	}
	return best;
}

static int match_all(struct liker *liker, struct yg_err *err)
{
	struct place now = {0, 0}; /* of the copy that is not yet written */
	size_t from = 0;
	while (now.new < liker->new.len) {
		struct place found;
		size_t len;
		if (find_other(liker, &now, from, &found, &len, err) < 0)
			return -1;
		from = found.new + len;
		size_t end = now.new + reach(liker, &now, found.new);
		size_t back = len > 0 ? reach_back(liker, &found, now.new) : 0;
		found.new -= back;
		found.old -= back;
		if (end > found.new) {
			end = parting(liker, &now, &found, found.new, end);
			found.old += end - found.new;
			found.new = end;
		}
		if (found.new > now.new &&yg_delta_code_op(liker->coder, now.old, end - now.new,
					found.new - end, false, err) < 0)
			return -1;
		now = found;
	}
	return 0;
}

int yg_delta_like_match(int old, uint64_t old_size, int new, uint64_t new_size,
	struct yg_delta_coder *coder, struct yg_err *err)
{
	struct yg_buf in_old YG_AUTO(yg_buf) = YG_BUF(YG_DELTA_LIKE_MAX);
	struct yg_buf in_new YG_AUTO(yg_buf) = YG_BUF(YG_DELTA_LIKE_MAX);
	struct liker liker YG_AUTO(liker) = {.coder = coder,
		.work_max = WORK_LEAST + WORK_EACH * (old_size + new_size)};
	if (yg_fs_read_fd(old, &in_old, err) < 0 || yg_fs_read_fd(new, &in_new, err) < 0)
		return -1;
	if (in_old.len != old_size || in_new.len != new_size)
		return yg_fail(err, YG_ESYSTEM, "a file changed while it was read");
	liker.old = yg_buf_bytes(&in_old);
	liker.new = yg_buf_bytes(&in_new);
	if (yg_delta_suffix_sort(liker.old, &liker.order, err) < 0)
		return -1;
	return match_all(&liker, err);
}
