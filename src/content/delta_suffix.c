/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* Sorting by induction. A position is "small" when its suffix is smaller than the next one's, else large;
 * the first of some small ones in a row is a landmark. Once the landmarks' suffixes are in order, two
 * passes put all others between them. The landmarks get their order from their pieces of text (up to the
 * next landmark), which the same two passes sort well enough; where pieces are equal, they are names in a
 * text half as long at most, whose suffixes are sorted in the same way.
 */
#include "content/delta_suffix.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

#define TEXT_MAX (1 << 30)

/* A text of bytes (the first), or of names. */
struct text {
	const uint8_t *bytes;
	const int32_t *names;
	int32_t len, top; /* letters are 0..top */
};

struct sorter {
	struct text text;
	int32_t *order;                     /* borrowed */
	bool *small;                        /* for each position */
	int32_t *first_large, *first_small; /* for each letter: where its suffixes begin */
	int32_t *next;                      /* for each letter: where the next one goes */
	int32_t *landmark_of;               /* of position i, at i / 2: two are never neighbours */
	int32_t *landmarks, *sorted, *renamed; /* count each */
	int32_t count;
};

static void sorter_free_at(struct sorter *sorter)
{
	free(sorter->small);
	free(sorter->first_large);
	free(sorter->first_small);
	free(sorter->next);
	free(sorter->landmark_of);
	free(sorter->landmarks);
	free(sorter->sorted);
	free(sorter->renamed);
}

static int32_t letter(const struct text *text, int32_t at)
{
	return text->bytes ? text->bytes[at] : text->names[at];
}

static bool is_landmark(const struct sorter *sorter, int32_t at)
{
	return at > 0 && !sorter->small[at - 1] && sorter->small[at];
}

static void classify(struct sorter *sorter)
{
	const struct text *text = &sorter->text;
	sorter->small[text->len - 1] = false;
	for (int32_t i = text->len - 2; i >= 0; i--) {
		int32_t a = letter(text, i), b = letter(text, i + 1);
		sorter->small[i] = a == b ? sorter->small[i + 1] : a < b;
	}
	/* A letter's large suffixes come before its small ones. */
	for (int32_t i = 0; i < text->len; i++) {
		int32_t a = letter(text, i);
		if (sorter->small[i])
			sorter->first_large[a + 1]++;
		else
			sorter->first_small[a]++;
	}
	for (int32_t a = 0; a <= text->top; a++) {
		sorter->first_small[a] += sorter->first_large[a];
		sorter->first_large[a + 1] += sorter->first_small[a];
	}
}

static void restart(struct sorter *sorter, const int32_t *from)
{
	memcpy(sorter->next, from, ((size_t)sorter->text.top + 2) * sizeof(*from));
}

/* From landmarks in some order to all positions in the order that follows from it. */
static void induce(struct sorter *sorter, const int32_t *landmarks)
{
	const struct text *text = &sorter->text;
	int32_t *order = sorter->order;
	for (int32_t i = 0; i < text->len; i++)
		order[i] = -1;
	restart(sorter, sorter->first_small);
	for (int32_t i = 0; i < sorter->count; i++)
		order[sorter->next[letter(text, landmarks[i])]++] = landmarks[i];
	restart(sorter, sorter->first_large);
	order[sorter->next[letter(text, text->len - 1)]++] = text->len - 1;
	for (int32_t i = 0; i < text->len; i++) {
		int32_t at = order[i] - 1;
		if (at >= 0 && !sorter->small[at])
			order[sorter->next[letter(text, at)]++] = at;
	}
	restart(sorter, sorter->first_large);
	for (int32_t i = text->len - 1; i >= 0; i--) {
		int32_t at = order[i] - 1;
		if (at >= 0 && sorter->small[at])
			order[--sorter->next[letter(text, at) + 1]] = at;
	}
}

static int32_t piece_end(const struct sorter *sorter, int32_t landmark)
{
	return landmark + 1 < sorter->count ? sorter->landmarks[landmark + 1] : sorter->text.len;
}

/* Whether two landmarks' pieces are equal, with the letter that ends them. */
static bool same_piece(const struct sorter *sorter, int32_t a, int32_t b)
{
	int32_t at = sorter->landmarks[a], other = sorter->landmarks[b];
	int32_t len = piece_end(sorter, a) - at;
	if (piece_end(sorter, b) - other != len)
		return false;
	for (int32_t i = 0; i <= len; i++) {
		if (at + i >= sorter->text.len || other + i >= sorter->text.len ||
			letter(&sorter->text, at + i) != letter(&sorter->text, other + i))
			return false;
	}
	return true;
}

/* Landmarks become the names of their pieces. returns the greatest */
static int32_t name_pieces(struct sorter *sorter)
{
	int32_t used = 0, name = 0;
	for (int32_t i = 0; i < sorter->text.len; i++)
		if (is_landmark(sorter, sorter->order[i]))
			sorter->sorted[used++] = sorter->landmark_of[sorter->order[i] / 2];
	for (int32_t i = 0; i < used; i++) {
		if (i > 0 && !same_piece(sorter, sorter->sorted[i - 1], sorter->sorted[i]))
			name++;
		sorter->renamed[sorter->sorted[i]] = name;
	}
	return name;
}

static int sort(const struct text *text, int32_t *order, struct yg_err *err);

/* Put the landmarks' suffixes in order. */
static int sort_landmarks(struct sorter *sorter, struct yg_err *err)
{
	induce(sorter, sorter->landmarks);
	struct text text = {.names = sorter->renamed,
		.len = sorter->count,
		.top = name_pieces(sorter)};
	if (sort(&text, sorter->sorted, err) < 0)
		return -1;
	for (int32_t i = 0; i < sorter->count; i++)
		sorter->sorted[i] = sorter->landmarks[sorter->sorted[i]];
	return 0;
}

static int sorter_begin(struct sorter *sorter, struct yg_err *err)
{
	size_t len = (size_t)sorter->text.len, letters = (size_t)sorter->text.top + 2;
	sorter->small = malloc(len);
	sorter->first_large = calloc(letters, sizeof(int32_t));
	sorter->first_small = calloc(letters, sizeof(int32_t));
	sorter->next = calloc(letters, sizeof(int32_t));
	if (!sorter->small || !sorter->first_large || !sorter->first_small || !sorter->next)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	return 0;
}

static int find_landmarks(struct sorter *sorter, struct yg_err *err)
{
	for (int32_t i = 0; i < sorter->text.len; i++)
		sorter->count += is_landmark(sorter, i);
	size_t count = (size_t)sorter->count + 1, half = (size_t)sorter->text.len / 2 + 1;
	sorter->landmark_of = malloc(half * sizeof(int32_t));
	sorter->landmarks = malloc(count * sizeof(int32_t));
	sorter->sorted = malloc(count * sizeof(int32_t));
	sorter->renamed = malloc(count * sizeof(int32_t));
	if (!sorter->landmark_of || !sorter->landmarks || !sorter->sorted || !sorter->renamed)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	int32_t used = 0;
	for (int32_t i = 0; i < sorter->text.len; i++) {
		if (is_landmark(sorter, i)) {
			sorter->landmark_of[i / 2] = used;
			sorter->landmarks[used++] = i;
		}
	}
	return 0;
}

static int sort(const struct text *text, int32_t *order, struct yg_err *err)
{
	struct sorter sorter YG_AUTO(sorter) = {.text = *text, .order = order};
	if (text->len == 0)
		return 0;
	if (sorter_begin(&sorter, err) < 0)
		return -1;
	classify(&sorter);
	if (find_landmarks(&sorter, err) < 0)
		return -1;
	if (sorter.count > 0 && sort_landmarks(&sorter, err) < 0)
		return -1;
	induce(&sorter, sorter.sorted);
	return 0;
}

int yg_delta_suffix_sort(struct yg_bytes text, int32_t **order, struct yg_err *err)
{
	if (text.len > TEXT_MAX)
		return yg_fail(err, YG_ELIMIT, "want <= %d bytes, have %zu", TEXT_MAX, text.len);
	int32_t *all YG_AUTO(mem) = text.len ? malloc(text.len * sizeof(*all)) : NULL;
	if (text.len && !all)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	struct text bytes = {.bytes = text.ptr, .len = (int32_t)text.len, .top = 255};
	if (sort(&bytes, all, err) < 0)
		return -1;
	*order = yg_take(all);
	return 0;
}

/* How many bytes from `from` on are the same in the suffix at `at` and in what is wanted. */
static size_t same(struct yg_bytes text, size_t at, struct yg_bytes wanted, size_t from)
{
	size_t most = text.len - at < wanted.len ? text.len - at : wanted.len;
	const uint8_t *have = text.ptr + at;
	while (from + 8 <= most && memcmp(have + from, wanted.ptr + from, 8) == 0)
		from += 8;
	while (from < most && have[from] == wanted.ptr[from])
		from++;
	return from;
}

size_t yg_delta_suffix_find(struct yg_bytes text, const int32_t *order, struct yg_bytes wanted,
	size_t *at, uint64_t *work)
{
	*at = 0;
	if (text.len == 0)
		return 0;
	size_t low = 0, high = text.len - 1;
	size_t at_low = same(text, (size_t)order[low], wanted, 0);
	size_t at_high = same(text, (size_t)order[high], wanted, 0);
	*work += at_low + at_high;
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2, suffix = (size_t)order[middle];
		size_t begin = at_low < at_high ? at_low : at_high; /* all between have as many */
		size_t n = same(text, suffix, wanted, begin);
		*work += n - begin + 1;
		bool less = suffix + n == text.len ||
			(n < wanted.len && text.ptr[suffix + n] < wanted.ptr[n]);
		if (less) {
			low = middle;
			at_low = n;
		} else {
			high = middle;
			at_high = n;
		}
	}
	*at = (size_t)order[at_low > at_high ? low : high];
	return at_low > at_high ? at_low : at_high;
}
