/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "engine/am/config.h"

#include <stddef.h>
#include <string.h>

#include "core/json.h"
#include "engine/engine.h"

/* The numbers; the largest are what libclamav can hold, or what no machine should be asked for. */
static const struct number {
	const char *name;
	size_t offset;
	int64_t min, max, preset;
} numbers[] = {
	{"max_file_bytes", offsetof(struct yg_am_config, max_file_bytes), 1, INT32_MAX - 2,
		100 << 20},
	{"max_scan_bytes", offsetof(struct yg_am_config, max_scan_bytes), 1, INT64_C(1) << 40,
		400 << 20},
	{"max_recursion", offsetof(struct yg_am_config, max_recursion), 1, 100, 17},
	{"max_files", offsetof(struct yg_am_config, max_files), 1, 1000000, 10000},
	{"max_scan_ms", offsetof(struct yg_am_config, max_scan_ms), 100, 3600000, 120000},
	{"memory_max_mb", offsetof(struct yg_am_config, memory_max_mb), 16, 1 << 20, 2048},
	{"threads", offsetof(struct yg_am_config, threads), 1, 64, 2},
};

static int64_t *slot(struct yg_am_config *config, const struct number *number)
{
	return (int64_t *)(void *)((char *)config + number->offset);
}

void yg_am_config_preset(struct yg_am_config *out)
{
	*out = (struct yg_am_config){.heuristics = true};
	for (size_t i = 0; i < YG_COUNT(numbers); i++)
		*slot(out, &numbers[i]) = numbers[i].preset;
}

static const struct number *find(const char *name)
{
	for (size_t i = 0; i < YG_COUNT(numbers); i++)
		if (strcmp(numbers[i].name, name) == 0)
			return &numbers[i];
	return NULL;
}

static int take(struct yg_am_config *config, const char *name, const json_t *value,
	struct yg_err *err)
{
	if (strcmp(name, "heuristics") == 0) {
		if (!json_is_boolean(value))
			return yg_engine_refuse(err, YG_EFORMAT, YG_ENGINE_CODE_TYPE, "SET_CONFIG",
				"heuristics: want true or false, have %s", yg_json_kind(value));
		config->heuristics = json_is_true(value);
		return 0;
	}
	const struct number *number = find(name);
	if (!number)
		return yg_engine_refuse(err, YG_EFORMAT, YG_ENGINE_CODE_UNKNOWN, "SET_CONFIG",
			"'%.64s': no such member", name);
	if (!json_is_integer(value))
		return yg_engine_refuse(err, YG_EFORMAT, YG_ENGINE_CODE_TYPE, "SET_CONFIG",
			"%s: want a whole number, have %s", name, yg_json_kind(value));
	int64_t have = json_integer_value(value);
	if (have < number->min || have > number->max)
		return yg_engine_refuse(err, YG_ELIMIT, YG_ENGINE_CODE_RANGE, "SET_CONFIG",
			"%s: want %lld..%lld, have %lld", name, (long long)number->min,
			(long long)number->max, (long long)have);
	*slot(config, number) = have;
	return 0;
}

int yg_am_config_parse(const json_t *config, struct yg_am_config *out, struct yg_err *err)
{
	struct yg_am_config fresh;
	yg_am_config_preset(&fresh);
	if (!json_is_object(config))
		return yg_engine_refuse(err, YG_EFORMAT, YG_ENGINE_CODE_TYPE, "SET_CONFIG",
			"want an object, have %s", yg_json_kind(config));
	/* jansson's iterator is not const, but only reads. */
	json_t *object = (json_t *)(uintptr_t)config;
	for (void *at = json_object_iter(object); at; at = json_object_iter_next(object, at)) {
		if (take(&fresh, json_object_iter_key(at), json_object_iter_value(at), err) < 0)
			return -1;
	}
	*out = fresh;
	return 0;
}
