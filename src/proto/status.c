/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "proto/status.h"

#include <stdio.h>
#include <string.h>

#include "proto/tables.h"

const struct yg_status *yg_status_all(size_t *count)
{
	*count = yg_tables_status_count;
	return yg_tables_statuses;
}

const struct yg_status *yg_status_find(const char *name)
{
	for (size_t i = 0; i < yg_tables_status_count; i++)
		if (strcmp(name, yg_tables_statuses[i].name) == 0)
			return &yg_tables_statuses[i];
	return NULL;
}

const struct yg_status *yg_status_by_number(int64_t number, bool relay)
{
	for (size_t i = 0; i < yg_tables_status_count; i++)
		if (yg_tables_statuses[i].relay == relay && yg_tables_statuses[i].number == number)
			return &yg_tables_statuses[i];
	return NULL;
}

/* "net.refused" fits itself, "net.*" and "*". */
static bool fits(const char *pattern, const char *cause)
{
	size_t len = strlen(pattern);
	if (pattern[len - 1] == '*')
		return strncmp(pattern, cause, len - 1) == 0;
	return strcmp(pattern, cause) == 0;
}

const struct yg_status *yg_status_of(const char *cause, bool relay)
{
	if (!cause || !*cause)
		return yg_status_by_number(0, relay);
	/* The last row of each form takes every cause; gen-proto checks that. */
	const struct yg_status *found = &yg_tables_statuses[0];
	for (size_t i = 0; i < yg_tables_status_cause_count; i++) {
		const struct yg_tables_status_cause *row = &yg_tables_status_causes[i];
		found = &yg_tables_statuses[row->status];
		if (found->relay == relay && fits(row->cause, cause))
			break;
	}
	return found;
}

void yg_status_format(const struct yg_status *status, char out[YG_STATUS_TEXT_MAX])
{
	/* Names are shorter than 64 bytes: gen-proto checks that. */
	if (status->relay)
		(void)snprintf(out, YG_STATUS_TEXT_MAX, "%s(%d)", status->name, status->number);
	else
		(void)snprintf(out, YG_STATUS_TEXT_MAX, "%s[%d(%d,%d,%d)]", status->name,
			status->number, status->severity, status->facility, status->code);
}
