/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <jansson.h>
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

#define YG_FAMILIES_ALL ((1u << YG_FAMILY_PATTERN) | (1u << YG_FAMILY_RULE))

/* Which release of each component somebody takes. */
enum yg_take {
	YG_TAKE_LATEST,
	YG_TAKE_PREVIOUS, /* the one before the newest that its engine can load; the newest when there is none */
	YG_TAKE_PINNED, /* those that are pinned, of other components the newest */
};

/* For whom a set is collected. */
struct yg_set_want {
	int64_t clamav;    /* content format level of the engine (cl_retflevel()); 0: take any */
	unsigned families; /* bits 1 << YG_FAMILY_* */
	unsigned seat;     /* 0..YG_ROLLOUT_SEATS - 1: its place in staged rollouts */
	int64_t now;       /* seconds since the epoch, for the same */
	bool every;        /* rollouts do not concern it: a relay, a person's "now", the Manager */
	const struct yg_set *have; /* what it runs; or NULL */
	enum yg_take take;
	const json_t *pins; /* {component: version}, for YG_TAKE_PINNED; or NULL */
};

/* Why a component is not at its newest release: a cause (update.licence: its family is not wanted), a wave, or
 * neither: another one was asked for.
 */
struct yg_set_note {
	char component[YG_COMPONENT_NAME_MAX + 1];
	int64_t newest;    /* 0: not known */
	int64_t taken;     /* 0: none */
	int64_t opens;     /* when the newest opens to this seat; 0: that is not the reason */
	struct yg_err why; /* code 0: only the wave */
};

struct yg_set_notes {
	struct yg_set_note list[YG_SET_COMPONENTS_MAX];
	size_t count;
};

/* What the repository of a refreshed client has for somebody: of every known component whose family is
 * wanted the newest release "<role>/<component>.json" (or the one before, or the pinned one) that is open to the seat and whose ABI range fits,
 * else the newest that is before it and still there ("<role>/<component>@<version>.json"); somebody who has no
 * release of a component does not wait for a wave. Unknown components and other targets are left out.
 *
 * A component that fails for a reason that no other source can mend (its role has expired or does not
 * meet its threshold, its manifest is malformed, no release is for this engine, the pinned one is not offered any
 * more: content.pin) keeps the version of `have`, with the forms in which that is still offered, or is left out, and
 * is noted; without `notes`, or when nothing else is left, it fails the whole. One whose family is not wanted keeps
 * its version as well.
 * out     *notes  components that are not at their newest; may be NULL
 * errors  those of yg_tuf_get and yg_manifest_parse; YG_ELIMIT cause content.abi: no release is for
 *         this engine
 */
struct yg_set *yg_set_collect(struct yg_tuf *tuf, const struct yg_set_want *want,
	struct yg_set_notes *notes, struct yg_err *err) YG_MUST_CHECK;

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
