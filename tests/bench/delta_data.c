/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* A big list of hashes, and the same after some days: the same numbers give the same bytes.
 * usage: delta_data LINES DAYS OUT   (DAYS 0: as on the first day; standard output: the edit script)
 *
 * A line is `sha256:size:name`, all three random; names are of a few families, numbered as they came. A
 * day takes 60 lines away, edits 10, which are given another size and name, and puts 400 new ones anywhere.
 * The edit script is the plainest: lines since the last change, `-` or `+`, and the new line.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/str.h"

#define REMOVED 60u
#define EDITED  10u
#define ADDED   400u
#define A_DAY   (REMOVED + EDITED + ADDED)

struct change {
	uint64_t line; /* before which it is, or which it is about */
	uint64_t seed; /* of the line's new fields */
	char what;     /* '-' '~' '+' */
};

static uint64_t next(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u); /* splitmix64 */
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static int put_fields(uint64_t seed, char *out, size_t size)
{
	static const char *const kinds[] = {"Win.Trojan", "Win.Malware", "Win.Dropper",
		"Doc.Downloader", "Unix.Trojan", "Andr.Adware", "Html.Phishing", "Win.Ransomware"};
	static const char *const families[] = {"Agent", "Generic", "Emotet", "Qakbot", "Mirai",
		"Fareit", "Upatre", "Zbot"};
	uint64_t a = next(&seed), b = next(&seed);
	return snprintf(out, size, ":%llu:%s.%s-%llu\n", (unsigned long long)(a % 4000000 + 64),
		kinds[b & 7], families[b >> 3 & 7],
		(unsigned long long)(1000000 + (b >> 8) % 9000000));
}

/* The hash of one seed and the fields of another: an edit keeps the hash. */
static size_t put_line(uint64_t hash, uint64_t fields, char out[160])
{
	uint8_t raw[32];
	for (unsigned i = 0; i < sizeof(raw); i += 8) {
		uint64_t word = next(&hash);
		for (unsigned j = 0; j < 8; j++)
			raw[i + j] = (uint8_t)(word >> (8 * j));
	}
	yg_str_hex(raw, sizeof(raw), out);
	return 64 + (size_t)put_fields(fields, out + 64, 96);
}

static int by_line(const void *a, const void *b)
{
	const struct change *x = a, *y = b;
	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	return x->seed < y->seed ? -1 : x->seed > y->seed;
}

static struct change *plan(uint64_t lines, uint64_t count)
{
	struct change *changes = calloc(count + 1, sizeof(*changes));
	uint64_t state = 3;
	if (!changes)
		return NULL;
	for (uint64_t i = 0; i < count; i++) {
		changes[i].line = next(&state) % lines;
		changes[i].seed = next(&state);
		changes[i].what = i % A_DAY < REMOVED  ? '-'
			: i % A_DAY < REMOVED + EDITED ? '~'
						       : '+';
	}
	changes[count].line = UINT64_MAX; /* never reached */
	qsort(changes, count, sizeof(*changes), by_line);
	return changes;
}

static void put(FILE *out, uint64_t hash, uint64_t fields)
{
	char line[160];
	(void)fwrite(line, 1, put_line(hash, fields, line), out);
}

static void write_all(FILE *out, uint64_t lines, const struct change *change)
{
	for (uint64_t i = 0, last = 0; i < lines; i++) {
		uint64_t hash = i * 2654435761u + 11, fields = hash + 1;
		bool keep = true;
		for (; change->line == i; change++) {
			printf("%llu%c\n", (unsigned long long)(i - last),
				change->what == '+' ? '+' : '-');
			last = i;
			if (change->what == '-') {
				keep = false;
				continue;
			}
			uint64_t of = change->what == '+' ? change->seed : hash;
			if (change->what == '~')
				(void)fputs("0+\n", stdout);
			put(stdout, of, change->seed + 1);
			if (change->what == '+')
				put(out, of, change->seed + 1);
			else
				fields = change->seed + 1;
		}
		if (keep)
			put(out, hash, fields);
	}
}

int main(int argc, char **argv)
{
	struct yg_err err = {0};
	uint64_t lines, days;
	if (argc != 4 || yg_str_u64(argv[1], 1u << 24, &lines, &err) < 0 || lines == 0 ||
		yg_str_u64(argv[2], 1000, &days, &err) < 0) {
		(void)fputs("usage: delta_data LINES DAYS OUT\n", stderr);
		return 2;
	}
	struct change *changes = plan(lines, days * A_DAY);
	FILE *out = fopen(argv[3], "we");
	if (!changes || !out) {
		perror(argv[3]);
		return 1;
	}
	write_all(out, lines, changes);
	free(changes);
	if (fclose(out) != 0) {
		perror(argv[3]);
		return 1;
	}
	return 0;
}
