/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "manager/boxes.h"

const struct yg_sandbox boxes_edge = {
	.memory_max = 1ull << 30,
	.files_max = 16384,
};

const struct yg_sandbox boxes_ca = {
	.memory_max = 256u << 20,
	.files_max = 64,
};

const struct yg_sandbox boxes_content = {
	/* Threads: libcurl resolves names in one. */
	.syscalls = YG_SYS_FILES | YG_SYS_CONNECT | YG_SYS_THREADS,
	.memory_max = 1ull << 30,
	.files_max = 128,
};
