/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "manager/store/tests.h"

#include <string.h>

#include "core/str.h"
#include "crypto/random.h"
#include "manager/store/jobs_impl.h"

#define FACT     "tests" /* the Manager's own: [{id, what, created_s, done, …}], oldest first */
#define KEPT_MAX 8
#define LATE_S   300 /* one of the Manager's own that was not answered by then is over */
#define SAID_MAX 1000

/* ---- what people see ---- */

/* Where the first target failed: *cause and *sentence point into it. */
static bool find_failure(const json_t *targets, const char **cause, const char **sentence)
{
	size_t i;
	json_t *target;
	json_array_foreach(targets, i, target)
	{
		const json_t *steps = json_object_get(target, "steps");
		size_t count = json_array_size(steps);
		const json_t *last = json_array_get(steps, count ? count - 1 : 0);
		if (json_is_true(json_object_get(last, "ok")))
			continue;
		*cause = json_string_value(json_object_get(last, "cause"));
		*sentence = json_string_value(json_object_get(last, "detail"));
		return true;
	}
	return false;
}

static const char *text_of(const char *text)
{
	return text ? text : "";
}

/* ---- the Manager's own ---- */

static int load_own(struct store *store, json_t **out, struct yg_err *err)
{
	char *text YG_AUTO(mem) = NULL;
	struct yg_err absent = {0};
	if (store_fact_get(store, FACT, &text, &absent) < 0 && absent.code != YG_EABSENT) {
		*err = absent;
		return -1;
	}
	json_t *list = store_parse(text);
	if (!json_is_array(list)) {
		json_decref(list);
		list = json_array();
	}
	*out = list;
	return list ? 0 : yg_fail(err, YG_ESYSTEM, "out of memory");
}

static int save_own(struct store *store, const json_t *list, struct yg_err *err)
{
	char *text YG_AUTO(mem) = yg_json_text(list);
	return text ? store_fact_put(store, FACT, text, err)
		    : yg_fail(err, YG_ESYSTEM, "out of memory");
}

static json_t *find_own(const json_t *list, const char *id)
{
	size_t i;
	json_t *test;
	json_array_foreach(list, i,
		test) if (strcmp(text_of(json_string_value(json_object_get(test, "id"))), id) ==
		0) return test;
	return NULL;
}

static int show_own(const struct store *store, const json_t *test, json_t **out, struct yg_err *err)
{
	const int64_t created_s = json_integer_value(json_object_get(test, "created_s"));
	json_t *targets = json_object_get(test, "targets");
	const char *cause = json_string_value(json_object_get(test, "cause"));
	const char *sentence = json_string_value(json_object_get(test, "sentence"));
	bool done = json_is_true(json_object_get(test, "done"));
	if (!done && store->clock_s > created_s + LATE_S) {
		done = true;
		cause = "job.timeout";
		sentence = "";
	}
	bool failed = text_of(cause)[0] || find_failure(targets, &cause, &sentence);
	return store_give(json_pack("{s:O, s:s, s:s, s:O, s:s, s:s?, s:s, s:s, s:o, s:o}", "id",
				  json_object_get(test, "id"), "from", "manager", "name", "",
				  "what", json_object_get(test, "what"), "state",
				  done ? "done" : "running", "outcome",
				  !done            ? NULL
					  : failed ? "failed"
						   : "success",
				  "cause", text_of(cause), "sentence", text_of(sentence), "targets",
				  targets ? json_incref(targets) : json_array(), "created",
				  store_time(created_s)),
		out, err);
}

static int create_own(struct store *store, const char *what, json_t **out, struct yg_err *err)
{
	char id[40];
	json_t *list YG_AUTO(yg_json) = NULL;
	if (strcmp(what, "manager") == 0)
		return yg_fail(err, YG_EFORMAT,
			"what: want source or relays, have 'manager': it is the Manager that tests");
	if (!store->has_content)
		return yg_fail_cause(err, YG_EAGAIN, "db.busy",
			"the Manager's own client starts again; try again");
	if (yg_random_uuid(id, err) < 0 || load_own(store, &list, err) < 0)
		return -1;
	json_t *test = json_pack("{s:s, s:s, s:I, s:b}", "id", id, "what", what, "created_s",
		(json_int_t)store->clock_s, "done", 0);
	while (json_array_size(list) >= KEPT_MAX)
		(void)json_array_remove(list, 0);
	if (store_add(list, test, err) < 0 || save_own(store, list, err) < 0)
		return -1;
	if (!store->tests)
		store->tests = json_array();
	if (store_add(store->tests, json_pack("{s:s, s:s}", "id", id, "what", what), err) < 0)
		return -1;
	return show_own(store, test, out, err);
}

int op_tests_put(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	(void)asker;
	const char *id = NULL;
	const char *cause = NULL;
	const char *sentence = NULL;
	json_t *targets = NULL;
	json_t *list YG_AUTO(yg_json) = NULL;
	if (yg_json_str(args, "id", 40, &id, err) < 0 ||
		yg_json_str_or(args, "cause", YG_ERR_CAUSE_MAX - 1, "", &cause, err) < 0 ||
		yg_json_str_or(args, "sentence", SAID_MAX, "", &sentence, err) < 0 ||
		load_own(store, &list, err) < 0)
		return -1;
	if (json_object_get(args, "targets") &&
		yg_json_array(args, "targets", 64, &targets, err) < 0)
		return -1;
	json_t *test = find_own(list, id);
	if (!test)
		return yg_fail(err, YG_EABSENT, "test '%s': no such test", id);
	(void)json_object_set_new(test, "done", json_true());
	(void)json_object_set_new(test, "cause", json_string(cause));
	(void)json_object_set_new(test, "sentence", json_string(sentence));
	if (targets)
		(void)json_object_set(test, "targets", targets);
	return save_own(store, list, err) < 0 ? -1 : store_give(json_object(), out, err);
}

/* ---- at a computer ---- */

static int show_job(struct store *store, const char *id, json_t **out, struct yg_err *err)
{
	struct yg_rows *rows YG_AUTO(yg_rows) = NULL;
	if (yg_db_query(store->db,
		    "SELECT r.computer, c.name, r.state, r.final, r.cause, r.sentence, r.detail, j.paths, "
		    "j.created FROM job_computers r JOIN jobs j ON j.id = r.job JOIN computers c ON c.id = "
		    "r.computer WHERE j.id = $1 AND j.kind = 'test'",
		    YG_DB_ARGS(yg_db_text(id)), &rows, err) < 0)
		return -1;
	int more = yg_rows_next(rows, err);
	if (more < 0)
		return -1;
	if (more == 0)
		return yg_fail(err, YG_EABSENT, "test '%s': no such test", id);
	const bool done = yg_rows_int(rows, 3) != 0;
	json_t *detail YG_AUTO(yg_json) = store_parse(yg_rows_text(rows, 6));
	json_t *what YG_AUTO(yg_json) = store_parse(yg_rows_text(rows, 7));
	json_t *targets = json_object_get(detail, "targets");
	return store_give(json_pack("{s:s, s:s, s:s, s:s, s:s, s:s?, s:s, s:s, s:o, s:o}", "id", id,
				  "from", yg_rows_text(rows, 0), "name", yg_rows_text(rows, 1),
				  "what", text_of(json_string_value(json_array_get(what, 0))),
				  "state", done ? "done" : "running", "outcome",
				  done ? yg_rows_text(rows, 2) : NULL, "cause",
				  yg_rows_text(rows, 4), "sentence", yg_rows_text(rows, 5),
				  "targets",
				  json_is_array(targets) ? json_incref(targets) : json_array(),
				  "created", store_time(yg_rows_int(rows, 8))),
		out, err);
}

/* ---- operations ---- */

int op_tests_create(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	char id[40];
	const char *from = NULL;
	const char *what = NULL;
	if (yg_json_str(args, "from", 64, &from, err) < 0 ||
		yg_json_str(args, "what", 16, &what, err) < 0)
		return -1;
	if (strcmp(from, "manager") == 0)
		return create_own(store, what, out, err);
	json_t *job YG_AUTO(yg_json) = json_pack("{s:s, s:[s], s:s}", "kind", "test", "computers",
		from, "what", what);
	if (!job)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	return store_job_make(store, asker, job, id, err) < 0 ? -1 : show_job(store, id, out, err);
}

int op_tests_get(struct store *store, const struct store_asker *asker, const json_t *args,
	json_t **out, struct yg_err *err)
{
	(void)asker;
	const char *id = NULL;
	json_t *list YG_AUTO(yg_json) = NULL;
	if (yg_json_str(args, "id", 64, &id, err) < 0 || load_own(store, &list, err) < 0)
		return -1;
	const json_t *own = find_own(list, id);
	return own ? show_own(store, own, out, err) : show_job(store, id, out, err);
}
