/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include "publisher/command.h"

/* Check a bundle's metadata as a client does, at the time given, and put its files into a folder that a web server
 * shows: a new one, or one with an older bundle of the same repository. Readers see the old or the new.
 * errors  those of yg_bundle_open and of a client's refresh; YG_EUNTRUSTED cause content.hash an object is
 *         not what its name says; YG_EFORMAT the folder has something newer
 */
int unpack_run(const struct command *command, json_t **out, struct yg_err *err) YG_MUST_CHECK;
