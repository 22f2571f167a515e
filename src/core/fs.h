/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "core/buf.h"
#include "core/err.h"

/* Files, relative to a directory descriptor, so that nothing depends on the working directory.
 * Everything that writes is whole or not at all, and on disk when it returns: written to a
 * temporary, fsync, rename or link, fsync of the directory; docs/durability.md. A call that a signal cut
 * short is made again.
 */

/* Open a regular file for reading (links refused).
 * returns the descriptor, or -1. errors  YG_EABSENT; YG_EFORMAT not a regular file; YG_ESYSTEM
 */
int yg_fs_open(int dir, const char *path, struct yg_err *err) YG_MUST_CHECK;

/* openat with O_CLOEXEC. returns the descriptor, or -1. errors  YG_EABSENT, YG_ESYSTEM */
int yg_fs_open_flags(int dir, const char *path, int flags, mode_t mode, struct yg_err *err)
	YG_MUST_CHECK;

/* Open a directory (the last component may be a symbolic link). errors  YG_EABSENT, YG_ESYSTEM */
int yg_fs_open_dir(int dir, const char *path, struct yg_err *err) YG_MUST_CHECK;

/* Append the whole file to `buf`, from its start, whatever the descriptor's position.
 * errors  YG_ELIMIT more than buf->max; YG_ESYSTEM
 */
int yg_fs_read_fd(int fd, struct yg_buf *buf, struct yg_err *err) YG_MUST_CHECK;

/* yg_fs_open and yg_fs_read_fd, with the name in the error. */
int yg_fs_read(int dir, const char *path, struct yg_buf *buf, struct yg_err *err) YG_MUST_CHECK;

/* Write all bytes, whatever write() does in pieces. errors  YG_ESYSTEM */
int yg_fs_write_all(int fd, const void *data, size_t len, struct yg_err *err) YG_MUST_CHECK;

/* Replace or create a file at once: readers see the old bytes or the new. errors  YG_ESYSTEM */
int yg_fs_replace(int dir, const char *path, struct yg_bytes bytes, mode_t mode, struct yg_err *err)
	YG_MUST_CHECK;

/* A nameless file in directory `dir`, open for reading and writing (O_TMPFILE, or what comes nearest).
 * returns the descriptor, or -1. errors  YG_ESYSTEM
 */
int yg_fs_tmpfile(int dir, struct yg_err *err) YG_MUST_CHECK;

/* Give a nameless file its name and mode for ever, after fsync. A file that is there already stays
 * and is no error: names are hashes where this is used. A file that has a name already is copied, and so is
 * one that the file system cannot name.
 * errors  YG_ESYSTEM
 */
int yg_fs_link_tmpfile(int fd, int dir, const char *path, mode_t mode, struct yg_err *err)
	YG_MUST_CHECK;

/* Append the bytes of one file, from its start, at the position of another. errors  YG_ESYSTEM */
int yg_fs_copy(int from, int to, struct yg_err *err) YG_MUST_CHECK;

/* The same into a new file, which then takes the place of what is at `path`. errors  YG_ESYSTEM */
int yg_fs_copy_to(int from, int dir, const char *path, mode_t mode, struct yg_err *err)
	YG_MUST_CHECK;

/* Have blocks for the first `bytes` of a file; its size stays. held: false where the file system cannot.
 * errors  YG_ESYSTEM (ENOSPC, EDQUOT)
 */
int yg_fs_allocate(int fd, uint64_t bytes, bool *held, struct yg_err *err) YG_MUST_CHECK;

/* Point a symbolic link somewhere, in one rename. errors  YG_ESYSTEM */
int yg_fs_symlink(int dir, const char *target, const char *path, struct yg_err *err) YG_MUST_CHECK;

/* What a symbolic link holds. errors  YG_EABSENT; YG_EFORMAT not a link, or too long; YG_ESYSTEM */
int yg_fs_readlink(int dir, const char *path, char *out, size_t size, struct yg_err *err)
	YG_MUST_CHECK;

/* Make a directory and those above it, as far as they are missing. errors  YG_ESYSTEM, with ENOTDIR where
 * something else is in the way
 */
int yg_fs_mkdirs(int dir, const char *path, mode_t mode, struct yg_err *err) YG_MUST_CHECK;

/* Remove a file, or a directory with all in it; links are not followed; absent is no error.
 * errors  YG_ESYSTEM
 */
int yg_fs_remove(int dir, const char *path, struct yg_err *err) YG_MUST_CHECK;

/* fsync, of an open file or of a directory by name. errors  YG_ESYSTEM: "'<what>': fsync: <why>" */
int yg_fs_sync(int fd, const char *what, struct yg_err *err) YG_MUST_CHECK;
int yg_fs_sync_dir(int dir, const char *path, struct yg_err *err) YG_MUST_CHECK;

/* A sealed, read-only file in memory that holds the bytes: the form in which anything large goes
 * from process to process. returns the descriptor, or -1. errors  YG_ESYSTEM
 */
int yg_fs_memfd(const char *name, struct yg_bytes bytes, struct yg_err *err) YG_MUST_CHECK;
