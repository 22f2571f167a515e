/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/attr.h"

/* The status codes of the update logs: src/proto/status.json. iau.log ends in
 * "IAU_STATUS_FILE_EXISTS[-1073610747(3,2,5)]", iaurelay.log in
 * "IAURELAY_STATUS_NOT_AVAILABLE(-18)".
 */

#define YG_STATUS_TEXT_MAX 96 /* bytes of one formatted status, with the terminator */

struct yg_status {
	const char *name;  /* "IAU_STATUS_FILE_EXISTS" */
	bool relay;        /* the relay's form, one signed number */
	uint8_t severity;  /* 0..3; agent's form only, as the two below */
	uint16_t facility; /* 0..16383 */
	uint16_t code;
	int32_t number; /* severity << 30 | facility << 16 | code as signed; the relay's number */
};

/* By full name; NULL when unknown. */
const struct yg_status *yg_status_find(const char *name);

/* What a run that failed for this cause ends with; NULL and "" is success; a cause that the table
 * lacks is the general failure. Never NULL.
 * in      relay  which of the two logs
 */
const struct yg_status *yg_status_of(const char *cause, bool relay);

/* By the number that stands in a log; NULL when unknown. */
const struct yg_status *yg_status_by_number(int64_t number, bool relay);

const struct yg_status *yg_status_all(size_t *count);

/* "IAU_STATUS_SUCCESS[0(0,0,0)]" or "IAURELAY_STATUS_NOT_AVAILABLE(-18)". */
void yg_status_format(const struct yg_status *status, char out[YG_STATUS_TEXT_MAX]);
