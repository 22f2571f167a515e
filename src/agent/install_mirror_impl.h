/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "agent/install_impl.h"

/* The parts of a relay's mirror among themselves. install_mirror.c: metadata, publications, what is kept of them.
 * install_mirror_object.c: transfer forms, read and believed for their hash.
 */

#define MIRROR_BASE      "relay"
#define MIRROR_PATH      256 /* bytes of a path in the repository */
#define MIRROR_FULL      (MIRROR_PATH + sizeof(MIRROR_BASE))
#define MIRROR_NOTE_MAX  (8u << 20) /* bytes of one file of metadata */
#define MIRROR_NOTES_MAX 128        /* files in one run */

struct mirror_note {
	char path[MIRROR_PATH];
	struct yg_buf bytes;
};

struct install_mirror {
	int root;
	char set[YG_SHA256_TEXT];
	json_t *now,
		*before; /* {path: true} of all files but roots, of this set and the one before */
	json_t *last;    /* of this set, as published before; each may be NULL: none */
	json_t *good;    /* {path: {stamp, at}}: objects that were hashed */
	struct install_mirror_damage damage;
	struct mirror_note notes[MIRROR_NOTES_MAX];
	size_t note_count;
	const struct yg_set *also[INSTALL_MIRROR_ALSO]; /* of the run under way */
};

/* "objects/…" -> "relay/objects/…" errors  YG_ELIMIT */
int install_mirror_path(const char *path, char out[MIRROR_FULL], struct yg_err *err) YG_MUST_CHECK;
/* Make a folder of ours; what somebody left where it or one above it belongs goes (T10). errors  YG_ESYSTEM */
int install_mirror_folder(struct install_mirror *mirror, const char *folder, struct yg_err *err)
	YG_MUST_CHECK;
/* Look at every file below a folder ("metadata"), depth first; `depth` is 0. */
void install_mirror_each(struct install_mirror *mirror, const char *folder, int depth,
	void (*look)(struct install_mirror *mirror, int dir, const char *name, const char *path));
