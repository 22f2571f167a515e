/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "manager/store/store.h"

#include <stdio.h>
#include <string.h>

#include "core/clock.h"
#include "core/str.h"
#include "world.h"

/* Jobs through a tree of relay groups, progress, cancelling, deadlines: exactly one result for every computer. */

#define DIGEST_C "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"

/* A tree: the default group with "relay", below it "branch" with "branch-relay"; an agent in each. */
struct tree {
	struct agent relay, branch_relay, web, branch_web;
	char top[40], branch[40];
};

static void assign(struct world *world, const struct agent *agent, const char *group)
{
	json_decref(person(world, "computers.update",
		json_pack("{s:s, s:s}", "id", agent->id, "relay_group", group)));
}

static void plant(struct world *world, struct tree *tree)
{
	activate(world, &tree->relay, "relay", true);
	activate(world, &tree->branch_relay, "branch-relay", true);
	activate(world, &tree->web, "web", false);
	activate(world, &tree->branch_web, "branch-web", false);
	json_t *list YG_AUTO(yg_json) = person(world, "relay_groups.list", NULL);
	(void)snprintf(tree->top, sizeof(tree->top), "%s",
		text(json_array_get(json_object_get(list, "items"), 0), "id"));
	json_t *made YG_AUTO(yg_json) = person(world, "relay_groups.create",
		json_pack("{s:s, s:s}", "name", "branch", "parent", tree->top));
	(void)snprintf(tree->branch, sizeof(tree->branch), "%s", text(made, "id"));
	assign(world, &tree->branch_relay, tree->branch);
	assign(world, &tree->branch_web, tree->branch);
}

static json_t *update_of(struct world *world, const struct agent *one, const struct agent *two)
{
	json_t *ids = json_pack("[s]", one->id);
	if (two)
		json_array_append_new(ids, json_string(two->id));
	return person(world, "jobs.create",
		json_pack("{s:s, s:o}", "kind", "update", "computers", ids));
}

/* One computer's entry of a job; borrowed from it. */
static const json_t *part_of(const json_t *job, const struct agent *agent, const char *as)
{
	size_t i;
	json_t *part;
	json_array_foreach(json_object_get(job, "computers"), i, part)
	{
		if (strcmp(text(part, "id"), agent->id) == 0 && strcmp(text(part, "as"), as) == 0)
			return part;
	}
	fail_msg("no part of %s as %s", agent->hostname, as);
	return NULL;
}

static void want_part(struct world *world, const char *job, const struct agent *agent,
	const char *as, const char *state, const char *cause)
{
	json_t *now YG_AUTO(yg_json) = job_get(world, job);
	const json_t *part = part_of(now, agent, as);
	if (strcmp(text(part, "state"), state) != 0 || strcmp(text(part, "cause"), cause) != 0)
		fail_msg("%s as %s: want %s '%s', have %s '%s'", agent->hostname, as, state, cause,
			text(part, "state"), text(part, "cause"));
}

static void want_group(struct world *world, const char *job, size_t which, const char *name,
	const char *state, const char *cause)
{
	json_t *now YG_AUTO(yg_json) = job_get(world, job);
	const json_t *group = json_array_get(json_object_get(now, "groups"), which);
	assert_string_equal(text(group, "name"), name);
	assert_string_equal(text(group, "state"), state);
	assert_string_equal(text(group, "cause"), cause);
}

static void no_command(struct world *world, const struct agent *agent, const char *name)
{
	char job[40];
	command_job(world, agent, name, job);
	assert_string_equal(job, "");
}

/* The relays above come first; an agent waits for its own group's relays only (U1, U4). */
static void groups_in_turn(void **state)
{
	WORLD(world);
	struct tree tree;
	plant(&world, &tree);
	json_int_t since = now_seq(&world);
	json_t *job YG_AUTO(yg_json) = update_of(&world, &tree.web, &tree.branch_web);
	char id[40];
	char ref[40];
	(void)snprintf(id, sizeof(id), "%s", text(job, "id"));
	want_history(&world, since, "1600");
	want_group(&world, id, 0, "default", "asked", "");
	want_group(&world, id, 1, "branch", "waiting", "");
	no_command(&world, &tree.branch_relay, "update.relay");
	json_t *now YG_AUTO(yg_json) = job_get(&world, id);
	const json_t *waits = json_object_get(part_of(now, &tree.branch_relay, "relay"),
		"waits_for");
	assert_string_equal(text(waits, "group"), "default");
	waits = json_object_get(part_of(now, &tree.branch_web, "agent"), "waits_for");
	assert_string_equal(text(waits, "group"), "branch");
	assert_string_equal(text(waits, "state"), "waiting");

	command_job(&world, &tree.relay, "update.relay", ref);
	result(&world, &tree.relay, 1, ref, "success", "", json_pack("{s:s}", "set", DIGEST_A));
	want_history(&world, since, "1600 1601 273 1600");
	json_t *sent YG_AUTO(yg_json) = commands(&world, &tree.web);
	const json_t *command = json_array_get(sent, json_array_size(sent) - 1);
	assert_true(json_is_true(json_object_get(command, "with_relays")));
	no_command(&world, &tree.branch_web, "update");
	want_job(&world, id, "running", "");

	command_job(&world, &tree.branch_relay, "update.relay", ref);
	result(&world, &tree.web, 1, id, "success", "", NULL);
	want_job(&world, id, "running", "");
	result(&world, &tree.branch_relay, 1, ref, "success", "", NULL);
	command_job(&world, &tree.branch_web, "update", ref);
	assert_string_equal(ref, id);
	result(&world, &tree.branch_web, 1, id, "success", "", NULL);
	want_job(&world, id, "done", "success");
	want_history(&world, since, "1600 1601 273 1600 784 1601 273 784 2204");
	json_t *events YG_AUTO(yg_json) = person(&world, "events.search",
		json_pack("{s:i, s:s}", "id", 1600, "job", id));
	assert_string_equal(
		text(json_object_get(json_array_get(json_object_get(events, "items"), 0), "params"),
			"group"),
		"branch");
}

/* Only the groups that serve the job's computers, and those above them. */
static void groups_needed(void **state)
{
	WORLD(world);
	struct tree tree;
	char ref[40];
	plant(&world, &tree);
	json_t *above YG_AUTO(yg_json) = update_of(&world, &tree.web, NULL);
	assert_int_equal(json_array_size(json_object_get(above, "groups")), 1);
	command_job(&world, &tree.relay, "update.relay", ref);
	result(&world, &tree.relay, 1, ref, "success", "", NULL);
	no_command(&world, &tree.branch_relay, "update.relay");
	result(&world, &tree.web, 1, text(above, "id"), "success", "", NULL);
	want_job(&world, text(above, "id"), "done", "success");

	/* A group whose relay is off is served by the one above. */
	json_decref(person(&world, "computers.update",
		json_pack("{s:s, s:b}", "id", tree.branch_relay.id, "relay_on", 0)));
	json_t *served YG_AUTO(yg_json) = update_of(&world, &tree.branch_web, NULL);
	want_group(&world, text(served, "id"), 0, "default", "asked", "");
	assert_int_equal(json_array_size(json_object_get(served, "groups")), 1);
	command_job(&world, &tree.relay, "update.relay", ref);
	result(&world, &tree.relay, 2, ref, "success", "", NULL);
	command_job(&world, &tree.branch_web, "update", ref);
	assert_string_equal(ref, text(served, "id"));

	/* No relay anywhere: at once, and the source is allowed (U11). */
	json_decref(person(&world, "computers.update",
		json_pack("{s:s, s:b}", "id", tree.relay.id, "relay_on", 0)));
	result(&world, &tree.branch_web, 1, ref, "success", "", NULL);
	json_int_t since = now_seq(&world);
	json_t *direct YG_AUTO(yg_json) = update_of(&world, &tree.branch_web, NULL);
	json_t *sent YG_AUTO(yg_json) = commands(&world, &tree.branch_web);
	size_t last = json_array_size(sent) - 1;
	assert_string_equal(text(json_array_get(sent, last), "job"), text(direct, "id"));
	assert_false(json_is_true(json_object_get(json_array_get(sent, last), "with_relays")));
	want_history(&world, since, "273");
}

/* A group that has not got the content fails with one cause, and so does what is below it; others go on. */
static void groups_fail(void **state)
{
	static const struct {
		const char *what;
		bool top; /* the relay above fails, else the branch's */
		const char *events, *web, *branch_web, *outcome;
		json_int_t failures; /* in 2205 */
	} rows[] = {
		{"above", true, "1600 785 1602 785 785 1602 785 2205", "failed", "failed", "failed",
			2},
		{"below", false, "1600 1601 273 1600 785 1602 785 784 2205", "success", "failed",
			"failed", 1},
	};
	WORLD(world);
	struct tree tree;
	plant(&world, &tree);
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		char ref[40];
		int seq = (int)(10 * i) + 1;
		json_int_t since = now_seq(&world);
		json_t *job YG_AUTO(yg_json) = update_of(&world, &tree.web, &tree.branch_web);
		const char *id = text(job, "id");
		command_job(&world, &tree.relay, "update.relay", ref);
		result(&world, &tree.relay, seq, ref, rows[i].top ? "failed" : "success",
			rows[i].top ? "net.refused" : "", NULL);
		no_command(&world, &tree.branch_web, "update");
		command_job(&world, &tree.branch_relay, "update.relay", ref);
		assert_int_equal(ref[0] == '\0', rows[i].top);
		if (!rows[i].top) {
			result(&world, &tree.branch_relay, seq, ref, "failed", "net.refused", NULL);
			result(&world, &tree.web, seq, id, "success", "", NULL);
		}
		want_history(&world, since, rows[i].events);
		want_part(&world, id, &tree.web, "agent", rows[i].web,
			rows[i].top ? "net.refused" : "");
		want_part(&world, id, &tree.branch_web, "agent", rows[i].branch_web, "net.refused");
		want_part(&world, id, &tree.branch_relay, "relay", "failed", "net.refused");
		want_group(&world, id, 1, "branch", "failed", "net.refused");
		want_job(&world, id, "done", rows[i].outcome);
		json_t *whole YG_AUTO(yg_json) = person(&world, "events.search",
			json_pack("{s:i, s:s}", "id", 2205, "job", id));
		const json_t *params = json_object_get(
			json_array_get(json_object_get(whole, "items"), 0), "params");
		assert_int_equal(number(params, "failed"), rows[i].failures);
		const json_t *first = json_array_get(json_object_get(params, "failures"), 0);
		assert_string_equal(text(first, "computer"), "branch-web");
		assert_string_equal(text(first, "cause"), "net.refused");
		assert_string_equal(text(first, "sentence"), "10.0.0.5 port 443");
		/* The reader's language. */
		json_t *told YG_AUTO(yg_json) = person_in(&world, "ja", "jobs.get",
			json_pack("{s:s}", "id", id));
		json_t *part;
		size_t k;
		json_array_foreach(json_object_get(told, "computers"), k, part)
		{
			bool failed = strcmp(text(part, "cause"), "net.refused") == 0;
			const char *sentence =
				"接続が拒否されました。このアドレスとポートで待ち受けているサービスがありません。";
			assert_memory_equal(text(part, "text"), failed ? sentence : "",
				failed ? strlen(sentence) : 1);
			assert_int_equal(*text(part, "remedy") != 0, failed);
		}
	}
	/* Not a computer's own failure: no alert for it but the relays'. */
	json_t *alerts YG_AUTO(yg_json) = person(&world, "alerts.list", NULL);
	size_t i;
	json_t *alert;
	json_array_foreach(json_object_get(alerts, "items"), i, alert)
		assert_string_not_equal(text(alert, "kind"), "update_failed");
}

/* A relay that is its group's and failed is told of once, though its own agent fails with it. */
static void relay_told_once(void **state)
{
	WORLD(world);
	struct agent relay;
	char ref[40];
	activate(&world, &relay, "relay", true);
	json_int_t since = now_seq(&world);
	json_t *job YG_AUTO(yg_json) = update_of(&world, &relay, NULL);
	command_job(&world, &relay, "update.relay", ref);
	result(&world, &relay, 1, ref, "failed", "net.dns", NULL);
	want_history(&world, since, "1600 785 1602 2205");
	want_part(&world, text(job, "id"), &relay, "agent", "failed", "net.dns");
}

/* Relays that say nothing: their agents are told that it was the relays. */
static void silent_group(void **state)
{
	WORLD(world);
	struct tree tree;
	char ref[40];
	plant(&world, &tree);
	json_t *job YG_AUTO(yg_json) = update_of(&world, &tree.web, &tree.branch_web);
	const char *id = text(job, "id");
	command_job(&world, &tree.relay, "update.relay", ref);
	result(&world, &tree.relay, 1, ref, "success", "", NULL);
	result(&world, &tree.web, 1, id, "success", "", NULL);
	world.store->now_s = yg_clock_now_s() + 1801;
	store_tick(world.store);
	want_part(&world, id, &tree.branch_relay, "relay", "failed", "job.timeout");
	want_part(&world, id, &tree.branch_web, "agent", "failed", "update.relay_silent");
	want_job(&world, id, "done", "failed");
}

/* A relay that has another set than the Manager knows is asked once more; then the aim is what it is (U4). */
static void relay_behind(void **state)
{
	static const struct {
		const char *what, *first, *second; /* what the relay has */
		bool again;
		const char *aim; /* of the agents */
	} rows[] = {
		{"has it", DIGEST_B, NULL, false, DIGEST_B},
		{"has it then", DIGEST_A, DIGEST_B, true, DIGEST_B},
		{"stays behind: the agents wait", DIGEST_A, DIGEST_A, true, DIGEST_B},
		{"has one that nobody knows", DIGEST_C, DIGEST_C, true, ""},
		{"does not say", "", NULL, false, DIGEST_B},
	};
	WORLD(world);
	struct agent relay;
	struct agent web;
	activate(&world, &relay, "relay", true);
	activate(&world, &web, "web", false);
	world.store->has_content = true;
	newest(&world, DIGEST_A, 1);
	int seq = 0;
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		char ref[40];
		char again[40];
		json_t *job YG_AUTO(yg_json) = update_of(&world, &web, NULL);
		command_job(&world, &relay, "update.relay", ref);
		/* The answer is kept until the Manager has looked, and is no result before. */
		result(&world, &relay, ++seq, ref, "success", "",
			json_pack("{s:s}", "set", rows[i].first));
		want_part(&world, text(job, "id"), &relay, "relay", "running", "");
		newest(&world, DIGEST_B, 2);
		command_job(&world, &relay, "update.relay", again);
		if ((again[0] != '\0') != rows[i].again)
			fail_msg("%s: asked again: '%s'", rows[i].what, again);
		if (rows[i].again) {
			assert_string_not_equal(again, ref);
			/* The first answer again says nothing any more. */
			result(&world, &relay, seq, ref, "failed", "net.dns", NULL);
			result(&world, &relay, ++seq, again, "success", "",
				json_pack("{s:s}", "set", rows[i].second));
			newest(&world, DIGEST_B, 2);
		}
		json_t *sent YG_AUTO(yg_json) = commands(&world, &web);
		if (strcmp(text(json_array_get(sent, 0), "set"), rows[i].aim) != 0)
			fail_msg("%s: aim '%s'", rows[i].what,
				text(json_array_get(sent, 0), "set"));
		result(&world, &web, ++seq, text(job, "id"), "success", "", NULL);
		want_job(&world, text(job, "id"), "done", "success");
	}
}

/* Where a run stands: of what, how much, how long still; who joined it sees that too, and whose it is (T5). */
static void progress(void **state)
{
	WORLD(world);
	struct agent web;
	activate(&world, &web, "web", false);
	json_t *job YG_AUTO(yg_json) = update_of(&world, &web, NULL);
	const char *id = text(job, "id");
	json_decref(commands(&world, &web));
	json_t *other YG_AUTO(yg_json) = update_of(&world, &web, NULL);
	(void)report(&world, &web,
		json_pack("[{s:i, s:s, s:s, s:s, s:i, s:i, s:s, s:i, s:i, s:i}]", "seq", 0, "kind",
			"progress", "job", id, "phase", "fetch", "done", 1, "of", 2, "what",
			"am-pattern", "bytes", 3000, "bytes_of", 4000, "left_s", 7));
	const char *ids[] = {id, text(other, "id")};
	for (size_t i = 0; i < 2; i++) {
		json_t *now YG_AUTO(yg_json) = job_get(&world, ids[i]);
		const json_t *part = part_of(now, &web, "agent");
		assert_string_equal(text(part, "phase"), "fetch");
		assert_string_equal(text(part, "what"), "am-pattern");
		assert_int_equal(number(part, "bytes"), 3000);
		assert_int_equal(number(part, "bytes_of"), 4000);
		assert_int_equal(number(part, "left_s"), 7);
		const json_t *waits = json_object_get(part, "waits_for");
		assert_string_equal(text(waits, "job"), i == 0 ? "" : id);
		assert_string_equal(text(waits, "by"), i == 0 ? "" : text(now, "by"));
	}
	/* Another phase is about something else; what an entry leaves out stays. */
	(void)report(&world, &web,
		json_pack("[{s:i, s:s, s:s, s:s, s:i}, {s:i, s:s, s:s, s:s}]", "seq", 0, "kind",
			"progress", "job", id, "phase", "stage", "bytes", 4000, "seq", 0, "kind",
			"progress", "job", id, "phase", "x\ny"));
	json_t *now YG_AUTO(yg_json) = job_get(&world, id);
	const json_t *part = part_of(now, &web, "agent");
	assert_string_equal(text(part, "what"), "");
	assert_int_equal(number(part, "bytes"), 4000);
	assert_int_equal(number(part, "bytes_of"), 4000);
	assert_true(json_is_null(json_object_get(part, "left_s")));
	result(&world, &web, 1, id, "success", "", NULL);
	/* Late progress does not bring it back. */
	(void)report(&world, &web,
		json_pack("[{s:i, s:s, s:s, s:s}]", "seq", 0, "kind", "progress", "job", id,
			"phase", "fetch"));
	want_part(&world, id, &web, "agent", "success", "");
	want_job(&world, text(other, "id"), "done", "success");
}

static void cancel(struct world *world, const char *id)
{
	json_decref(person(world, "jobs.cancel", json_pack("{s:s}", "id", id)));
}

static void cancelling(void **state)
{
	WORLD(world);
	struct tree tree;
	char ref[40];
	char stop[40];
	plant(&world, &tree);
	json_int_t since = now_seq(&world);

	/* Nobody has heard of it: over at once, and nobody hears of it. */
	json_t *early YG_AUTO(yg_json) = update_of(&world, &tree.web, &tree.branch_web);
	cancel(&world, text(early, "id"));
	want_job(&world, text(early, "id"), "done", "cancelled");
	no_command(&world, &tree.relay, "update.relay");
	no_command(&world, &tree.relay, "cancel");
	want_history(&world, since, "1600 20012 785 785 785 785 2205");
	char message[128];
	(void)snprintf(message, sizeof(message), "job '%s': it has ended already",
		text(early, "id"));
	person_fails(&world, "jobs.cancel", json_pack("{s:s}", "id", text(early, "id")), YG_EFORMAT,
		message);

	/* The relay works on it: it is told, and its result says what it came to. No agent begins. */
	json_t *job YG_AUTO(yg_json) = update_of(&world, &tree.web, &tree.branch_web);
	command_job(&world, &tree.relay, "update.relay", ref);
	cancel(&world, text(job, "id"));
	cancel(&world, text(job, "id"));
	json_t *told YG_AUTO(yg_json) = commands(&world, &tree.relay);
	assert_int_equal(json_array_size(told), 1);
	assert_string_equal(text(json_array_get(told, 0), "command"), "cancel");
	assert_string_equal(text(json_array_get(told, 0), "job"), ref);
	want_job(&world, text(job, "id"), "running", "");
	want_part(&world, text(job, "id"), &tree.web, "agent", "cancelled", "job.cancelled");
	result(&world, &tree.relay, 1, ref, "success", "", NULL);
	no_command(&world, &tree.branch_relay, "update.relay");
	want_part(&world, text(job, "id"), &tree.relay, "relay", "success", "");
	want_job(&world, text(job, "id"), "done", "cancelled");

	/* One that does not answer is not waited for long. */
	json_t *silent YG_AUTO(yg_json) = person(&world, "jobs.create",
		json_pack("{s:s, s:[s], s:[s]}", "kind", "scan", "computers", tree.web.id, "paths",
			"/srv"));
	command_job(&world, &tree.web, "scan", stop);
	cancel(&world, text(silent, "id"));
	world.store->now_s = yg_clock_now_s() + 61;
	store_tick(world.store);
	want_job(&world, text(silent, "id"), "done", "cancelled");
	no_command(&world, &tree.web, "cancel");
	/* Its answer changes nothing then. */
	result(&world, &tree.web, 1, stop, "success", "", NULL);
	want_part(&world, text(silent, "id"), &tree.web, "agent", "cancelled", "job.cancelled");
	person_fails(&world, "jobs.cancel", json_pack("{s:s}", "id", EPOCH_1), YG_EABSENT,
		"job '" EPOCH_1 "': no such job");
}

/* Who cancels a job does not mean those that joined it. */
static void cancelling_joined(void **state)
{
	WORLD(world);
	struct agent web;
	char id[40];
	activate(&world, &web, "web", false);
	json_t *first YG_AUTO(yg_json) = update_of(&world, &web, NULL);
	json_t *second YG_AUTO(yg_json) = update_of(&world, &web, NULL);
	json_t *third YG_AUTO(yg_json) = update_of(&world, &web, NULL);
	json_decref(commands(&world, &web));
	/* One that only waits for it ends alone. */
	cancel(&world, text(third, "id"));
	want_job(&world, text(third, "id"), "done", "cancelled");
	want_job(&world, text(first, "id"), "running", "");
	cancel(&world, text(first, "id"));
	result(&world, &web, 1, text(first, "id"), "cancelled", "job.cancelled", NULL);
	want_job(&world, text(first, "id"), "done", "cancelled");
	command_job(&world, &web, "update", id);
	assert_string_equal(id, text(second, "id"));
	result(&world, &web, 2, id, "success", "", NULL);
	want_job(&world, id, "done", "success");
}

static size_t alerts_of(struct world *world, const char *kind)
{
	json_t *list YG_AUTO(yg_json) = person(world, "alerts.list", NULL);
	size_t count = 0;
	size_t i;
	json_t *alert;
	json_array_foreach(json_object_get(list, "items"), i, alert)
		count += strcmp(text(alert, "kind"), kind) == 0;
	return count;
}

/* T4: the Manager was away at the deadline; results wait at the agents, and are heard first. */
static void deadline_after_a_restart(void **state)
{
	WORLD(world);
	struct agent web;
	struct agent db;
	activate(&world, &web, "web", false);
	activate(&world, &db, "db", false);
	json_t *job YG_AUTO(yg_json) = update_of(&world, &web, &db);
	const char *id = text(job, "id");
	json_decref(commands(&world, &web));
	json_decref(commands(&world, &db));
	world.store->now_s = yg_clock_now_s() + 4000;
	world.store->started_s = world.store->now_s - 5;
	store_tick(world.store);
	want_job(&world, id, "running", "");
	result(&world, &web, 1, id, "success", "", NULL);
	want_part(&world, id, &web, "agent", "success", "");
	world.store->now_s += 60;
	store_tick(world.store);
	want_part(&world, id, &web, "agent", "success", "");
	want_part(&world, id, &db, "agent", "failed", "job.timeout");
	want_job(&world, id, "done", "failed");

	/* A result after that changes nothing, is seen, and is seen once. */
	json_int_t since = now_seq(&world);
	for (int again = 0; again < 2; again++)
		result(&world, &db, 1, id, "success", "", NULL);
	want_part(&world, id, &db, "agent", "failed", "job.timeout");
	json_t *now YG_AUTO(yg_json) = job_get(&world, id);
	const json_t *detail = json_object_get(part_of(now, &db, "agent"), "detail");
	assert_string_equal(text(json_object_get(detail, "late"), "outcome"), "success");
	char events[64];
	history(&world, since, events, sizeof(events));
	assert_null(strstr(events, "785"));
	assert_int_equal(alerts_of(&world, "update_timeout"), 0);
}

/* A result that the agent could not keep comes without a number, as often as the command, and counts once. */
static void result_not_kept(void **state)
{
	WORLD(world);
	struct agent web;
	activate(&world, &web, "web", false);
	json_t *job YG_AUTO(yg_json) = update_of(&world, &web, NULL);
	json_decref(commands(&world, &web));
	json_int_t since = now_seq(&world);
	for (int again = 0; again < 3; again++)
		result(&world, &web, 0, text(job, "id"), "failed", "store.disk_full", NULL);
	want_history(&world, since, "785 2205");
	want_part(&world, text(job, "id"), &web, "agent", "failed", "store.disk_full");
}

/* Agents of a scheduled job come one after the other, each at its moment, and the deadline is later. */
static void spread(void **state)
{
	WORLD(world);
	struct agent agents[6];
	char names[6][8];
	for (size_t i = 0; i < YG_COUNT(agents); i++) {
		(void)snprintf(names[i], sizeof(names[i]), "web%zu", i);
		activate(&world, &agents[i], names[i], false);
		json_decref(commands(&world, &agents[i]));
	}
	int64_t start = yg_clock_now_s();
	world.store->now_s = start;
	json_t *job YG_AUTO(yg_json) = person(&world, "jobs.create",
		json_pack("{s:s, s:s, s:b, s:i}", "kind", "update", "computers", "all", "scheduled",
			1, "spread_s", 1000));
	size_t sent[3] = {0};
	for (int step = 0; step < 3; step++) {
		world.store->now_s = start + 500 * step;
		store_tick(world.store);
		for (size_t i = 0; i < YG_COUNT(agents); i++) {
			char id[40];
			beat(&world, &agents[i]);
			command_job(&world, &agents[i], "update", id);
			sent[step] += id[0] != '\0';
		}
	}
	assert_int_equal(sent[0] + sent[1] + sent[2], 6); /* each once */
	assert_true(sent[0] < 6);                         /* not all at once */
	for (size_t i = 0; i < YG_COUNT(agents); i++)
		result(&world, &agents[i], 1, text(job, "id"), "success", "", NULL);
	want_job(&world, text(job, "id"), "done", "success");
	person_fails(&world, "jobs.create",
		json_pack("{s:s, s:s, s:i}", "kind", "update", "computers", "all", "spread_s",
			86401),
		YG_ELIMIT, "spread_s: want 0..86400, have 86401");
}

/* A person who asks now does not wait for the moment that a schedule has given to the computer. */
static void spread_and_a_person(void **state)
{
	WORLD(world);
	struct agent web;
	char id[40];
	activate(&world, &web, "web", false);
	int64_t start = yg_clock_now_s();
	world.store->now_s = start;
	json_t *later YG_AUTO(yg_json) = person(&world, "jobs.create",
		json_pack("{s:s, s:s, s:b, s:i}", "kind", "update", "computers", "all", "scheduled",
			1, "spread_s", 86400));
	json_t *now YG_AUTO(yg_json) = update_of(&world, &web, NULL);
	command_job(&world, &web, "update", id);
	assert_string_equal(id, text(now, "id"));
	result(&world, &web, 1, id, "success", "", NULL);
	want_job(&world, id, "done", "success");
	want_job(&world, text(later, "id"), "running", "");
	world.store->now_s = start + 86400;
	store_tick(world.store);
	command_job(&world, &web, "update", id);
	assert_string_equal(id, text(later, "id"));
}

/* What is old goes, with its groups. */
static void old_jobs_go(void **state)
{
	WORLD(world);
	struct tree tree;
	char ref[40];
	plant(&world, &tree);
	json_t *job YG_AUTO(yg_json) = update_of(&world, &tree.web, &tree.branch_web);
	command_job(&world, &tree.relay, "update.relay", ref);
	result(&world, &tree.relay, 1, ref, "failed", "net.dns", NULL);
	want_job(&world, text(job, "id"), "done", "failed");
	world.store->now_s = yg_clock_now_s() + (int64_t)100 * 86400;
	store_tick(world.store);
	char message[80];
	(void)snprintf(message, sizeof(message), "job '%s': no such job", text(job, "id"));
	person_fails(&world, "jobs.get", json_pack("{s:s}", "id", text(job, "id")), YG_EABSENT,
		message);
}

/* A relay that is no relay any more is neither waited for nor a failure of those it served: they take from the
 * group above, as they would in a job made now. Its part has an end of its own, and of a group without relays
 * nobody says that it has the components.
 */
static void relay_leaves(void **state)
{
	static const struct {
		const char *what;
		bool by_itself, deleted, answered;
	} rows[] = {
		{"switched off", false, false, false},
		{"switched off after its answer", false, false, true},
		{"by its own configuration", true, false, false},
		{"by its own configuration, after its answer", true, false, true},
		{"deleted", false, true, false},
	};
	WORLD(world);
	struct tree tree;
	plant(&world, &tree);
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		char ref[40];
		char other[40];
		char told[128];
		int seq = (int)(10 * i) + 1;
		json_int_t since = now_seq(&world);
		json_t *job YG_AUTO(yg_json) = update_of(&world, &tree.branch_web, NULL);
		const char *id = text(job, "id");
		command_job(&world, &tree.relay, "update.relay", ref);
		result(&world, &tree.relay, seq, ref, "success", "", NULL);
		command_job(&world, &tree.branch_relay, "update.relay", other);
		if (rows[i].answered)
			result(&world, &tree.branch_relay, seq, other, "success", "", NULL);
		else
			no_command(&world, &tree.branch_web, "update");
		if (rows[i].by_itself) {
			tree.branch_relay.relay = false;
			beat(&world, &tree.branch_relay);
		} else if (rows[i].deleted)
			json_decref(person(&world, "computers.delete",
				json_pack("{s:s}", "id", tree.branch_relay.id)));
		else
			json_decref(person(&world, "computers.update",
				json_pack("{s:s, s:b}", "id", tree.branch_relay.id, "relay_on",
					0)));
		store_tick(world.store);
		want_group(&world, id, 1, "branch", "ready", "");
		history(&world, since, told, sizeof(told));
		const char *above = strstr(told, "1601");
		bool branch = above && strstr(above + 1, "1601");
		if (!above || branch != rows[i].answered)
			fail_msg("%s: want 1601 of each that has it, have %s", rows[i].what, told);
		command_job(&world, &tree.branch_web, "update", ref);
		assert_string_equal(ref, id);
		result(&world, &tree.branch_web, seq, id, "success", "", NULL);
		want_job(&world, id, "done", "success");
		if (rows[i].deleted)
			continue;
		/* What it says afterwards changes nothing. */
		result(&world, &tree.branch_relay, seq + 1, other, "failed", "net.dns", NULL);
		want_job(&world, id, "done", "success");
		if (!rows[i].by_itself)
			json_decref(person(&world, "computers.update",
				json_pack("{s:s, s:n}", "id", tree.branch_relay.id, "relay_on")));
		tree.branch_relay.relay = true;
		beat(&world, &tree.branch_relay);
	}
}

/* Who keeps what was rolled back to has not succeeded, and has not failed. */
static void held_is_no_success(void **state)
{
	WORLD(world);
	struct agent web, db;
	activate(&world, &web, "web", false);
	activate(&world, &db, "db", false);
	json_t *job YG_AUTO(yg_json) = person(&world, "jobs.create",
		json_pack("{s:s, s:[s,s], s:b, s:b}", "kind", "update", "computers", web.id, db.id,
			"relays", 0, "scheduled", 1));
	json_decref(commands(&world, &web));
	json_decref(commands(&world, &db));
	result(&world, &web, 1, text(job, "id"), "cancelled", "update.held", NULL);
	result(&world, &db, 1, text(job, "id"), "success", "", NULL);
	json_t *whole YG_AUTO(
		yg_json) = person_in(&world, "ja", "events.search", json_pack("{s:i}", "id", 2204));
	const json_t *event = json_array_get(json_object_get(whole, "items"), 0);
	assert_string_equal(text(event, "description"),
		"ジョブの対象となったすべてのコンピュータ (1台、ほかに保留中1台) "
		"でパターンファイルのアップデートに成功しました。");
}

int main(void)
{
	const struct CMUnitTest tests[] = {BOTH(groups_in_turn), BOTH(groups_needed),
		BOTH(groups_fail), BOTH(relay_told_once), BOTH(silent_group), BOTH(relay_behind),
		BOTH(progress), BOTH(cancelling), BOTH(cancelling_joined),
		BOTH(deadline_after_a_restart), BOTH(result_not_kept), BOTH(spread),
		BOTH(spread_and_a_person), BOTH(old_jobs_go), BOTH(relay_leaves),
		BOTH(held_is_no_success)};
	return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
