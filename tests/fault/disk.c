/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "tests/fault/disk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/attr.h"
#include "core/fs.h"
#include "core/mem.h"
#include "tests/lib/cmocka_all.h"

#define NAME_LEN 128
#define DATA_MAX 65536
#define CHANGES_MAX                                                                                \
	64 /* of one call: a folder that moves with all in it is one; the first look has most */
#define OPS_MAX     512
#define INODES_MAX  512
#define ENTRIES_MAX 1024
#define VARIANTS    4

struct inode {
	uint64_t ino;
	mode_t type;
	struct yg_buf now, safe; /* a file's bytes; a link's target */
};

struct entry {
	uint64_t dir, ino;
	char name[NAME_LEN];
};

struct change {
	uint64_t dir, to; /* to: 0 when the name is gone */
	char name[NAME_LEN];
	bool safe;
};

struct op {
	struct change *changes; /* owned */
	size_t count;
};

struct tree {
	struct entry entries[ENTRIES_MAX];
	size_t count;
};

struct disk {
	int root;
	uint64_t root_ino;
	struct inode inodes[INODES_MAX];
	size_t inode_count;
	struct tree base, now;
	struct op ops[OPS_MAX];
	size_t op_count;
	uint64_t syncing; /* inode that the last call made safe, or 0 */
	uint64_t *shown;  /* hashes; owned */
	size_t shown_count, shown_cap;
	uint64_t random;
};

/* ---- looking ---- */

static struct inode *find_inode(struct disk *disk, uint64_t ino)
{
	for (size_t i = disk->inode_count; i > 0; i--)
		if (disk->inodes[i - 1].ino == ino)
			return &disk->inodes[i - 1];
	return NULL;
}

static struct inode *inode_of(struct disk *disk, uint64_t ino, mode_t mode)
{
	struct inode *inode = find_inode(disk, ino);
	if (inode)
		return inode;
	assert_true(disk->inode_count < INODES_MAX);
	inode = &disk->inodes[disk->inode_count++];
	*inode = (struct inode){.ino = ino,
		.type = mode & S_IFMT,
		.now = YG_BUF(DATA_MAX),
		.safe = YG_BUF(DATA_MAX)};
	return inode;
}

static void set(struct yg_buf *to, const void *data, size_t len)
{
	struct yg_err err = {0};
	to->len = 0;
	if (len > 0)
		assert_int_equal(yg_buf_add(to, data, len, &err), 0);
}

static void read_into(int fd, struct yg_buf *to)
{
	char data[DATA_MAX];
	ssize_t n = pread(fd, data, sizeof(data), 0);
	assert_true(n >= 0 && (size_t)n < sizeof(data));
	set(to, data, (size_t)n);
}

static void look_at(struct disk *disk, int dir, const char *name, const struct stat *st)
{
	struct inode *inode = inode_of(disk, st->st_ino, st->st_mode);
	if (S_ISREG(st->st_mode)) {
		int fd YG_AUTO(fd) = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		assert_true(fd >= 0);
		read_into(fd, &inode->now);
	} else if (S_ISLNK(st->st_mode)) {
		char target[256];
		ssize_t n = readlinkat(dir, name, target, sizeof(target));
		assert_true(n > 0 && (size_t)n < sizeof(target));
		set(&inode->now, target, (size_t)n);
	}
}

static void scan(struct disk *disk, int dir, uint64_t ino, struct tree *tree)
{
	int own = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = own < 0 ? NULL : fdopendir(own);
	assert_non_null(list);
	for (struct dirent *entry; (entry = readdir(list));) {
		struct stat st;
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		assert_int_equal(fstatat(dirfd(list), entry->d_name, &st, AT_SYMLINK_NOFOLLOW), 0);
		assert_true(tree->count < ENTRIES_MAX && strlen(entry->d_name) < NAME_LEN);
		struct entry *at = &tree->entries[tree->count++];
		*at = (struct entry){.dir = ino, .ino = st.st_ino};
		memcpy(at->name, entry->d_name, strlen(entry->d_name) + 1);
		look_at(disk, dirfd(list), entry->d_name, &st);
		if (!S_ISDIR(st.st_mode))
			continue;
		int inner YG_AUTO(fd) = openat(dirfd(list), entry->d_name,
			O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		assert_true(inner >= 0);
		scan(disk, inner, st.st_ino, tree);
	}
	(void)closedir(list);
}

static struct entry *find_entry(struct tree *tree, uint64_t dir, const char *name)
{
	for (size_t i = 0; i < tree->count; i++)
		if (tree->entries[i].dir == dir && strcmp(tree->entries[i].name, name) == 0)
			return &tree->entries[i];
	return NULL;
}

static void apply(struct tree *tree, const struct change *change)
{
	struct entry *entry = find_entry(tree, change->dir, change->name);
	if (!change->to) {
		if (entry)
			*entry = tree->entries[--tree->count];
		return;
	}
	if (!entry) {
		assert_true(tree->count < ENTRIES_MAX);
		entry = &tree->entries[tree->count++];
		*entry = (struct entry){.dir = change->dir};
		memcpy(entry->name, change->name, NAME_LEN);
	}
	entry->ino = change->to;
}

static void add_change(struct op *op, const struct entry *entry, uint64_t to)
{
	if (!op->changes)
		op->changes = calloc(CHANGES_MAX, sizeof(*op->changes));
	assert_non_null(op->changes);
	assert_true(op->count < CHANGES_MAX);
	struct change *change = &op->changes[op->count++];
	*change = (struct change){.dir = entry->dir, .to = to};
	memcpy(change->name, entry->name, NAME_LEN);
}

/* What one call did, as the difference of two looks. */
static void compare(struct disk *disk, struct tree *next)
{
	struct op op = {0};
	for (size_t i = 0; i < disk->now.count; i++) {
		struct entry *was = &disk->now.entries[i];
		if (!find_entry(next, was->dir, was->name))
			add_change(&op, was, 0);
	}
	for (size_t i = 0; i < next->count; i++) {
		struct entry *is = &next->entries[i];
		struct entry *was = find_entry(&disk->now, is->dir, is->name);
		if (!was || was->ino != is->ino)
			add_change(&op, is, is->ino);
	}
	disk->now = *next;
	if (op.count == 0)
		return;
	assert_true(disk->op_count < OPS_MAX);
	disk->ops[disk->op_count++] = op;
}

/* ---- what is safe ---- */

static bool all_safe(const struct op *op)
{
	for (size_t i = 0; i < op->count; i++)
		if (!op->changes[i].safe)
			return false;
	return true;
}

static void make_safe(struct disk *disk, uint64_t ino)
{
	struct inode *inode = find_inode(disk, ino);
	if (inode && S_ISREG(inode->type))
		set(&inode->safe, inode->now.data, inode->now.len);
	for (size_t i = 0; i < disk->op_count; i++)
		for (size_t j = 0; j < disk->ops[i].count; j++)
			disk->ops[i].changes[j].safe |= disk->ops[i].changes[j].dir == ino;
	size_t done = 0;
	while (done < disk->op_count && all_safe(&disk->ops[done])) {
		for (size_t j = 0; j < disk->ops[done].count; j++)
			apply(&disk->base, &disk->ops[done].changes[j]);
		free(disk->ops[done++].changes);
	}
	disk->op_count -= done;
	memmove(disk->ops, disk->ops + done, disk->op_count * sizeof(disk->ops[0]));
}

static uint64_t inode_of_call(struct disk *disk, const struct trace_call *call)
{
	char path[64];
	struct stat st;
	if (!call || (call->nr != SYS_fsync && call->nr != SYS_fdatasync))
		return 0;
	(void)snprintf(path, sizeof(path), "/proc/%ld/fd/%d", (long)call->pid, (int)call->args[0]);
	assert_int_equal(stat(path, &st), 0);
	if (S_ISREG(st.st_mode)) { /* it may have no name yet: then only its descriptor leads there */
		int fd YG_AUTO(fd) = open(path, O_RDONLY | O_CLOEXEC);
		assert_true(fd >= 0);
		read_into(fd, &inode_of(disk, st.st_ino, st.st_mode)->now);
	}
	return st.st_ino;
}

void disk_step(struct disk *disk, const struct trace_call *call)
{
	struct tree *next = calloc(1, sizeof(*next));
	assert_non_null(next);
	if (disk->syncing)
		make_safe(disk, disk->syncing);
	scan(disk, disk->root, disk->root_ino, next);
	compare(disk, next);
	free(next);
	disk->syncing = inode_of_call(disk, call);
}

struct disk *disk_new(int root)
{
	struct stat st;
	struct disk *disk = calloc(1, sizeof(*disk));
	assert_non_null(disk);
	assert_int_equal(fstat(root, &st), 0);
	disk->root = root;
	disk->root_ino = st.st_ino;
	scan(disk, root, disk->root_ino, &disk->now);
	disk->base = disk->now;
	for (size_t i = 0; i < disk->inode_count; i++)
		set(&disk->inodes[i].safe, disk->inodes[i].now.data, disk->inodes[i].now.len);
	return disk;
}

void disk_free(struct disk *disk)
{
	for (size_t i = 0; i < disk->inode_count; i++) {
		yg_buf_free_at(&disk->inodes[i].now);
		yg_buf_free_at(&disk->inodes[i].safe);
	}
	for (size_t i = 0; i < disk->op_count; i++)
		free(disk->ops[i].changes);
	free(disk->shown);
	free(disk);
}

/* ---- states ---- */

/* One of them: which changes arrived, and which form the data of each unsafe file has. */
struct pick {
	struct disk *disk;
	bool arrived[OPS_MAX];
	uint8_t form[INODES_MAX];
};

static bool has_name(const struct disk *disk, uint64_t ino)
{
	for (size_t i = 0; i < disk->base.count; i++)
		if (disk->base.entries[i].ino == ino)
			return true;
	for (size_t i = 0; i < disk->op_count; i++)
		for (size_t j = 0; j < disk->ops[i].count; j++)
			if (disk->ops[i].changes[j].to == ino)
				return true;
	return false;
}

static bool is_unsafe(const struct disk *disk, const struct inode *inode)
{
	return has_name(disk, inode->ino) && S_ISREG(inode->type) &&
		(inode->now.len != inode->safe.len ||
			(inode->now.len > 0 &&
				memcmp(inode->now.data, inode->safe.data, inode->now.len) != 0));
}

static void content(const struct pick *pick, const struct inode *inode, struct yg_buf *out)
{
	static const uint8_t zeros[DATA_MAX];
	size_t at = (size_t)(inode - pick->disk->inodes);
	unsigned form = is_unsafe(pick->disk, inode) ? pick->form[at] : 0;
	if (form == 1) {
		set(out, inode->safe.data, inode->safe.len);
		return;
	}
	set(out, inode->now.data, inode->now.len);
	size_t keep = form == 0 ? out->len : form == 2 ? out->len / 2 : 0;
	if (out->len > keep)
		memcpy(out->data + keep, zeros, out->len - keep);
}

/* Of a change that arrived in part, the name that was taken away is there as well. */
static void apply_op(struct tree *tree, const struct op *op, bool arrived)
{
	bool removed = false;
	for (size_t i = 0; i < op->count; i++)
		removed |= op->changes[i].safe && op->changes[i].to == 0;
	for (size_t i = 0; i < op->count; i++)
		if (arrived || op->changes[i].safe || (removed && op->changes[i].to))
			apply(tree, &op->changes[i]);
}

static uint64_t mix(uint64_t hash, const void *data, size_t len)
{
	const uint8_t *at = data;
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ at[i]) * 0x100000001b3ULL;
	return hash;
}

struct build {
	const struct pick *pick;
	struct tree *tree;
	char made[INODES_MAX][256]; /* path of a file's first name */
	uint64_t hash;
	int out; /* folder to write to, or -1: only hash */
};

static void build_file(struct build *b, const struct inode *inode, const char *path)
{
	size_t at = (size_t)(inode - b->pick->disk->inodes);
	struct yg_buf data YG_AUTO(yg_buf) = YG_BUF(DATA_MAX);
	content(b->pick, inode, &data);
	b->hash = mix(b->hash, data.data, data.len);
	b->hash = mix(b->hash, b->made[at], strlen(b->made[at]));
	if (b->out >= 0 && b->made[at][0]) {
		assert_int_equal(linkat(b->out, b->made[at], b->out, path, 0), 0);
		return;
	}
	assert_true(strlen(path) < sizeof(b->made[at]));
	memcpy(b->made[at], path, strlen(path) + 1);
	if (b->out < 0)
		return;
	int fd YG_AUTO(fd) = openat(b->out, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_true(data.len == 0 || write(fd, data.data, data.len) == (ssize_t)data.len);
}

static int by_name(const void *a, const void *b)
{
	const struct entry *x = a;
	const struct entry *y = b;
	return x->dir != y->dir ? (x->dir > y->dir) - (x->dir < y->dir) : strcmp(x->name, y->name);
}

static void build_folder(struct build *b, uint64_t dir, const char *prefix, int depth)
{
	assert_true(depth < 32);
	for (size_t i = 0; i < b->tree->count; i++) {
		const struct entry *entry = &b->tree->entries[i];
		char path[256];
		if (entry->dir != dir)
			continue;
		(void)snprintf(path, sizeof(path), "%s%s%s", prefix, *prefix ? "/" : "",
			entry->name);
		b->hash = mix(b->hash, path, strlen(path) + 1);
		const struct inode *inode = find_inode(b->pick->disk, entry->ino);
		assert_non_null(inode);
		if (S_ISDIR(inode->type)) {
			if (b->out >= 0)
				assert_int_equal(mkdirat(b->out, path, 0755), 0);
			build_folder(b, entry->ino, path, depth + 1);
		} else if (S_ISLNK(inode->type)) {
			char target[256];
			(void)snprintf(target, sizeof(target), "%.*s", (int)inode->now.len,
				(const char *)inode->now.data);
			b->hash = mix(b->hash, target, strlen(target));
			if (b->out >= 0)
				assert_int_equal(symlinkat(target, b->out, path), 0);
		} else {
			build_file(b, inode, path);
		}
	}
}

static uint64_t build(const struct pick *pick, struct tree *tree, int out)
{
	struct build *b = calloc(1, sizeof(*b));
	assert_non_null(b);
	*b = (struct build){.pick = pick, .tree = tree, .out = out, .hash = 0xcbf29ce484222325ULL};
	build_folder(b, pick->disk->root_ino, "", 0);
	uint64_t hash = b->hash;
	free(b);
	return hash;
}

static bool shown_before(struct disk *disk, uint64_t hash)
{
	for (size_t i = 0; i < disk->shown_count; i++)
		if (disk->shown[i] == hash)
			return true;
	if (disk->shown_count == disk->shown_cap) {
		disk->shown_cap = disk->shown_cap ? disk->shown_cap * 2 : 1024;
		disk->shown = reallocarray(disk->shown, disk->shown_cap, sizeof(*disk->shown));
		assert_non_null(disk->shown);
	}
	disk->shown[disk->shown_count++] = hash;
	return false;
}

static size_t show(const struct pick *pick, const char *where, int mark, disk_visit *visit,
	void *ctx)
{
	struct disk *disk = pick->disk;
	struct tree *tree = calloc(1, sizeof(*tree));
	assert_non_null(tree);
	*tree = disk->base;
	for (size_t i = 0; i < disk->op_count; i++)
		apply_op(tree, &disk->ops[i], pick->arrived[i]);
	qsort(tree->entries, tree->count, sizeof(tree->entries[0]), by_name);
	size_t shown = 0;
	if (!shown_before(disk, build(pick, tree, -1) ^ (uint64_t)(unsigned)mark * 0x9e3779b9ULL)) {
		char path[96];
		struct yg_err err = {0};
		(void)snprintf(path, sizeof(path), "%s/state-XXXXXX", where);
		assert_non_null(mkdtemp(path));
		int out YG_AUTO(fd) = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(out >= 0);
		(void)build(pick, tree, out);
		visit(ctx, out, path);
		assert_int_equal(yg_fs_remove(AT_FDCWD, path, &err), 0);
		shown = 1;
	}
	free(tree);
	return shown;
}

static uint64_t draw(struct disk *disk, uint64_t below)
{
	disk->random ^= disk->random << 13;
	disk->random ^= disk->random >> 7;
	disk->random ^= disk->random << 17;
	return disk->random % below;
}

static void pick_some(struct pick *pick, size_t round)
{
	struct disk *disk = pick->disk;
	size_t n = disk->op_count;
	uint64_t kind = round < 2 ? round : 2 + draw(disk, 4);
	uint64_t one = n ? draw(disk, n) : 0;
	for (size_t i = 0; i < n; i++)
		switch (kind) {
		case 0:
		case 1:
			pick->arrived[i] = kind == 1;
			break;
		case 2:
			pick->arrived[i] = i == one;
			break;
		case 3:
			pick->arrived[i] = i != one;
			break;
		case 4:
			pick->arrived[i] = i < one;
			break;
		default:
			pick->arrived[i] = draw(disk, 2);
		}
	for (size_t i = 0; i < disk->inode_count; i++)
		pick->form[i] = (uint8_t)(round < 2 ? 1 - round : draw(disk, VARIANTS));
}

/* in  number  counts through the subsets of changes and, faster, the forms of the unsafe files */
static void pick_number(struct pick *pick, uint64_t number)
{
	for (size_t i = 0; i < pick->disk->inode_count; i++) {
		if (!is_unsafe(pick->disk, &pick->disk->inodes[i]))
			continue;
		pick->form[i] = (uint8_t)(number % VARIANTS);
		number /= VARIANTS;
	}
	for (size_t i = 0; i < pick->disk->op_count; i++, number /= 2)
		pick->arrived[i] = number % 2;
}

size_t disk_states(struct disk *disk, const char *where, size_t limit, uint64_t seed, int mark,
	disk_visit *visit, void *ctx)
{
	double all = 1;
	for (size_t i = 0; i < disk->op_count; i++)
		all *= 2;
	for (size_t i = 0; i < disk->inode_count; i++)
		if (is_unsafe(disk, &disk->inodes[i]))
			all *= VARIANTS;
	struct pick *pick = calloc(1, sizeof(*pick));
	assert_non_null(pick);
	pick->disk = disk;
	disk->random = seed * 0x9e3779b97f4a7c15ULL + 1;
	bool every = all <= (double)limit;
	size_t shown = 0;
	for (size_t i = 0; i < (every ? (size_t)all : limit); i++) {
		if (every)
			pick_number(pick, i);
		else
			pick_some(pick, i);
		shown += show(pick, where, mark, visit, ctx);
	}
	free(pick);
	return shown;
}
