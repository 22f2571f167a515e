/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "content/bundle.h"
#include "content/manifest.h"
#include "publisher/command.h"
#include "tuf/tuf.h"

/* A repository as a client sees it: a folder, or a bundle. */

struct view {
	int dir; /* the folder; -1: a bundle */
	int file;
	struct yg_bundle *bundle; /* owned */
	int scratch;              /* a folder for nameless files */
};

#define VIEW_NONE                                                                                  \
	{                                                                                          \
		.dir = -1, .file = -1, .scratch = -1                                               \
	}

/* errors  YG_EABSENT; those of yg_bundle_open */
int view_open(struct view *view, const char *path, struct yg_err *err) YG_MUST_CHECK;
void view_free_at(struct view *view);

/* A client that begins with the root of a file, or with the view's own 1.root.json (NULL), refreshed. */
struct yg_tuf *view_client(struct view *view, const char *root, int64_t now, struct yg_err *err)
	YG_MUST_CHECK;

/* True when it has the object of this form, with as many bytes as that says. */
bool view_has(const struct view *view, const struct yg_form *form);

/* An object, open at its start: of a bundle a nameless copy. errors  YG_EABSENT; YG_ESYSTEM */
int view_object(const struct view *view, const struct yg_form *form, struct yg_err *err)
	YG_MUST_CHECK;
