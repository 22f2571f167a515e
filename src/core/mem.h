/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdlib.h>
#include <unistd.h>

/* Locals that clean up after themselves, when their block ends, by whatever way it ends:
 *
 *     char *path YG_AUTO(mem) = NULL;
 *     int fd YG_AUTO(fd) = -1;
 *     struct yg_manifest *manifest YG_AUTO(yg_manifest) = NULL;
 *
 * Give them a value on the line that declares them. To pass the value on to a new owner:
 * `*out = yg_take(manifest);`
 */
#define YG_AUTO(kind) __attribute__((cleanup(kind##_free_at)))

/* Makes YG_AUTO(type) work for a `struct type *` that has a type_free(). Put it below that. */
#define YG_DEFINE_AUTO(type)                                                                       \
	static inline void type##_free_at(struct type **at)                                        \
	{                                                                                          \
		type##_free(*at);                                                                  \
	}                                                                                          \
	struct type /* takes the semicolon */

/* The pointer, which becomes NULL here: it belongs to whoever receives the result. */
#define yg_take(pointer)                                                                           \
	({                                                                                         \
		__typeof__(pointer) *at_ = &(pointer);                                             \
		__typeof__(pointer) taken_ = *at_;                                                 \
		*at_ = NULL;                                                                       \
		taken_;                                                                            \
	})

/* The same for a descriptor, which becomes -1 here. */
#define yg_take_fd(fd)                                                                             \
	({                                                                                         \
		int *fd_at_ = &(fd);                                                               \
		int fd_taken_ = *fd_at_;                                                           \
		*fd_at_ = -1;                                                                      \
		fd_taken_;                                                                         \
	})

static inline void mem_free_at(void *at)
{
	free(*(void **)at);
}

static inline void fd_free_at(const int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}
