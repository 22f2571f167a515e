/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdint.h>

#include "diagnose/diagnosis.h"

/* Checks of a disk and of the folders of an agent or a Manager. Nothing is changed; a nameless file is written and goes
 * at once.
 */

#define YG_FILES_FREE_MIN   (64ull << 20) /* bytes: with less an update has no room */
#define YG_FILES_INODES_MIN 500u
#define YG_FILES_PART       10u /* a tenth of a small disk is enough */

/* Room, inodes, whether it can be written, and whether the disk gives back what was written. */
void yg_files_disk(struct yg_diagnosis *diagnosis, int dir, const char *path);

/* Who owns what below an agent's folder, and who may write there. in  dir  the folder "agent"
 *         extra  another user that may own state/identity, state/session and state/am-tmp; -1: none
 */
void yg_files_owners(struct yg_diagnosis *diagnosis, int dir, const char *path, int64_t extra);

/* The live set: that `lib` leads to one, and that each of its files is there in its size. Quick: nothing is hashed. */
void yg_files_store(struct yg_diagnosis *diagnosis, int dir);
