/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/mem.h"

/* A diagnostic package: a zip file of texts for whoever helps, without secrets.
 *
 * Every text passes yg_scrub; files of some kinds are never read (yg_package_never); what is not text stays out.
 * It has a size that it does not exceed: who adds first what matters most has that in it, and of a log that
 * is too long the newest part stays. What is in it, what was cut and what stayed out is said in its last
 * file, contents.json, and given back. docs/logs.md
 */

#define YG_PACKAGE_BYTES      (32u << 20) /* of all texts, before they are compressed */
#define YG_PACKAGE_FILE_BYTES (8u << 20)  /* of one */

struct yg_package;

/* in      fd    gets the zip; the caller's
 *         kind  "agent" or "manager"
 * errors  YG_ESYSTEM
 */
struct yg_package *yg_package_new(int fd, const char *kind, struct yg_err *err) YG_MUST_CHECK;
void yg_package_free(struct yg_package *package);
YG_DEFINE_AUTO(yg_package);

/* Add a text. An empty one is only listed.
 * in      name  path in the zip: "logs/iau.log"
 * errors  YG_ESYSTEM the zip cannot be written; all else is in the list of contents
 */
int yg_package_text(struct yg_package *package, const char *name, struct yg_bytes text,
	struct yg_err *err) YG_MUST_CHECK;
int yg_package_json(struct yg_package *package, const char *name, const json_t *value,
	struct yg_err *err) YG_MUST_CHECK;

/* Add a file, its newest bytes if it is too long. One that is not there is no entry; one that cannot be read is
 * an entry with the reason. errors  as yg_package_text
 */
int yg_package_file(struct yg_package *package, const char *name, int dir, const char *path,
	struct yg_err *err) YG_MUST_CHECK;

/* Say in the list why something is not in it. */
void yg_package_absent(struct yg_package *package, const char *name, const char *why);

/* True for files that are never read: private keys, certificates with keys, sealed secrets, identities,
 * databases. By their names.
 */
bool yg_package_never(const char *path);

/* Write the list and the end.
 * out     *contents  a new reference: {kind, version, made, bytes, secrets, files:[{name, bytes, of, secrets,
 *                    absent}]}; `of` where it was cut, `absent` where it is not in it
 */
int yg_package_close(struct yg_package *package, json_t **contents, struct yg_err *err)
	YG_MUST_CHECK;
