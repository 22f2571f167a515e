/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>

#include "content/manifest.h"
#include "tuf/tuf.h"

/* A content set: what one computer runs, one release of each component. Its name is the SHA-256 of
 * its description; docs/repository.md, "Content set".
 */

#define YG_SET_SIZE_MAX       (16u << 20) /* bytes of a description, with forms or without */
#define YG_SET_COMPONENTS_MAX 64u

struct yg_set {
	char digest[YG_SHA256_TEXT];
	struct yg_manifest **components; /* owned; in byte order of name */
	size_t count;
};

/* A set of these manifests, which it takes over (also on failure; the array stays the caller's).
 * errors  YG_EFORMAT a component twice; YG_ELIMIT; YG_ESYSTEM
 */
struct yg_set *yg_set_new(struct yg_manifest **manifests, size_t count, struct yg_err *err)
	YG_MUST_CHECK;

/* What a refreshed client says is newest: fetches every manifest "<role>/<component>.json", checks
 * that it is of that component, and takes those whose family is wanted and whose ABI range fits.
 * Unknown components and other targets are left out.
 * in      clamav    content format level of the engine (cl_retflevel()); 0: take any
 *         families  bits 1 << YG_FAMILY_*
 * errors  those of yg_tuf_get and yg_manifest_parse; YG_ELIMIT cause content.abi: the newest release
 *         of a component is not for this engine
 */
struct yg_set *yg_set_collect(struct yg_tuf *tuf, int64_t clamav, unsigned families,
	struct yg_err *err) YG_MUST_CHECK;
#define YG_FAMILIES_ALL ((1u << YG_FAMILY_PATTERN) | (1u << YG_FAMILY_RULE))

/* The description, appended: as in set.json (that text's SHA-256 is the digest), or with the forms of
 * each file besides (what verify hands to install). errors  YG_ELIMIT, YG_ESYSTEM
 */
int yg_set_format(const struct yg_set *set, bool forms, struct yg_buf *out, struct yg_err *err)
	YG_MUST_CHECK;

/* Parse a description of either kind; the digest is computed, forms do not change it. A text that is
 * not canonical is fine: compare the digest with the name you asked for.
 * errors  YG_EFORMAT, YG_ELIMIT
 */
struct yg_set *yg_set_parse(struct yg_bytes text, struct yg_err *err) YG_MUST_CHECK;

void yg_set_free(struct yg_set *set);
YG_DEFINE_AUTO(yg_set);

/* The component of this name, or NULL. */
const struct yg_manifest *yg_set_component(const struct yg_set *set, const char *name);
