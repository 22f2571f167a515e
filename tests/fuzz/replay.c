/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* Runs a fuzz target over files, so that every corpus is an ordinary test under any compiler.
 * usage: X_replay FILE|FOLDER…
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int one(const char *path)
{
	FILE *file = fopen(path, "rb");
	struct stat st;
	if (!file || fstat(fileno(file), &st) < 0) {
		perror(path);
		return 1;
	}
	size_t size = (size_t)st.st_size;
	uint8_t *data = malloc(size ? size : 1); /* exact: a read past the end is seen */
	if (!data || fread(data, 1, size, file) != size) {
		perror(path);
		exit(1);
	}
	(void)fclose(file);
	(void)LLVMFuzzerTestOneInput(data, size);
	free(data);
	return 0;
}

static int folder(const char *path, int *count)
{
	struct dirent **names;
	int n = scandir(path, &names, NULL, alphasort), bad = 0;
	for (int i = 0; i < n; i++) {
		char file[4096];
		int used = snprintf(file, sizeof(file), "%s/%s", path, names[i]->d_name);
		if (names[i]->d_name[0] != '.' && used > 0 && (size_t)used < sizeof(file)) {
			bad |= one(file);
			++*count;
		}
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	return bad;
}

int main(int argc, char **argv)
{
	int count = 0, bad = LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	for (int i = 1; i < argc; i++)
		bad |= folder(argv[i], &count);
	printf("%d inputs\n", count);
	return bad || count == 0;
}
