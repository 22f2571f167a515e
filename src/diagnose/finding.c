/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "diagnose/finding.h"

#include <stdlib.h>
#include <string.h>

#include "core/attr.h"
#include "core/clock.h"
#include "core/json.h"
#include "core/str.h"
#include "proto/cause.h"

struct finding {
	char cause[YG_ERR_CAUSE_MAX];
	enum yg_find_how how;
	enum yg_find_weight weight;
	char *object, *source; /* owned; NULL. source is "" when there were several */
	json_t *seen;          /* owned */
	const char *sentence[2], *remedy[2];
	int64_t first_s, last_s;
	uint64_t count;
	bool over;
	const struct finding *by; /* explains it; NULL */
	size_t number;            /* in the order of finding */
};

struct yg_findings {
	struct finding *items;
	size_t count, room;
};

/* What must work first; a cause belongs to the first row that it begins with. */
static const char *const order[] = {"agent.", "manager.", "db.", "store.disk_full",
	"store.read_only", "store.io", "system.", "clock.", "store.", "auth.", "net.url", "net.dns",
	"net.", "proxy.", "tls.", "http.", "tuf.", "feed.", "content.", "engine.", "scan.",
	"update.licence", "update.", "job."};

/* The cause on the left is why the one on the right was seen. A name ends with '.' when it stands for its area. */
static const struct {
	const char *why, *what;
} explains[] = {
	{"agent.config", "agent.offline"},
	{"agent.silent", "engine.offline"},
	{"agent.role", "engine.offline"},
	{"agent.role", "engine.absent"},
	{"clock.", "tls.expired"},
	{"clock.", "tls.not_yet"},
	{"clock.", "tuf.expired"},
	{"clock.", "auth.expired"},
	{"clock.", "auth.token_expired"},
	{"clock.ahead", "clock.wrong"},
	{"clock.behind", "clock.wrong"},
	{"store.disk_full", "store.io"},
	{"store.disk_full", "store.read_only"},
	{"store.disk_full", "update.interrupted"},
	{"store.read_only", "store.io"},
	{"store.read_only", "update.interrupted"},
	{"store.permission", "store.io"},
	{"store.permission", "system.error"},
	{"store.object_damaged", "store.missing"},
	{"store.object_damaged", "engine."},
	{"store.missing", "engine."},
	{"engine.memory", "engine.offline"},
	{"engine.memory", "engine.load"},
	{"engine.load", "engine.offline"},
	{"engine.crash", "engine.offline"},
	{"net.dns", "update.relay_behind"},
	{"db.unreachable", "manager.offline"},
	/* Nothing can have come while nothing could be fetched. */
	{"net.", "engine.absent"},
	{"proxy.", "engine.absent"},
	{"tls.", "engine.absent"},
	{"http.", "engine.absent"},
	{"tuf.", "engine.absent"},
	{"content.", "engine.absent"},
	{"store.", "engine.absent"},
	{"clock.", "engine.absent"},
	{"update.no_source", "engine.absent"},
	{"update.source_unset", "update.no_source"},
	{"update.source_unset", "engine.absent"},
	{"engine.absent", "relay.empty"},
	{"net.", "relay.empty"},
	{"proxy.", "relay.empty"},
	{"tls.", "relay.empty"},
	{"http.", "relay.empty"},
	{"tuf.", "relay.empty"},
	{"store.", "relay.empty"},
	{"clock.", "relay.empty"},
	{"agent.role", "relay.off"},
	{"store.disk_full", "relay.off"},
	{"agent.offline", "engine.offline"},
	{"agent.offline", "engine.absent"},
};

struct yg_findings *yg_findings_new(struct yg_err *err)
{
	struct yg_findings *findings = calloc(1, sizeof(*findings));
	if (!findings)
		(void)yg_fail(err, YG_ESYSTEM, "out of memory");
	return findings;
}

static void drop(struct finding *finding)
{
	free(finding->object);
	free(finding->source);
	json_decref(finding->seen);
}

void yg_findings_free(struct yg_findings *findings)
{
	if (!findings)
		return;
	for (size_t i = 0; i < findings->count; i++)
		drop(&findings->items[i]);
	free(findings->items);
	free(findings);
}

static bool same_object(const char *a, const char *b)
{
	return !a || !b || strcmp(a, b) == 0;
}

static struct finding *find(const struct yg_findings *findings, const struct yg_found *found)
{
	for (size_t i = 0; i < findings->count; i++) {
		struct finding *at = &findings->items[i];
		if (strcmp(at->cause, found->cause) == 0 && same_object(at->object, found->object))
			return at;
	}
	return NULL;
}

static int keep(char **at, const char *text, struct yg_err *err)
{
	if (*at || !text || !*text)
		return 0;
	*at = strdup(text);
	return *at ? 0 : yg_fail(err, YG_ESYSTEM, "out of memory");
}

/* The first places and the last one: a failure that is repeated for weeks is one failure. */
static void note_seen(struct finding *at, const char *text)
{
	if (!text || !*text)
		return;
	json_t *line = json_stringn_nocheck(text, strlen(text));
	if (!line)
		return;
	for (size_t i = 0; i < json_array_size(at->seen); i++) {
		if (json_equal(json_array_get(at->seen, i), line)) {
			json_decref(line);
			return;
		}
	}
	if (json_array_size(at->seen) < YG_FIND_SEEN)
		(void)json_array_append_new(at->seen, line);
	else
		(void)json_array_set_new(at->seen, YG_FIND_SEEN - 1, line);
}

static struct finding *another(struct yg_findings *findings, const struct yg_found *found,
	struct yg_err *err)
{
	if (findings->count == findings->room) {
		size_t room = findings->room ? findings->room * 2 : 16;
		struct finding *more = realloc(findings->items, room * sizeof(*more));
		if (!more) {
			(void)yg_fail(err, YG_ESYSTEM, "out of memory");
			return NULL;
		}
		findings->items = more;
		findings->room = room;
	}
	struct finding *at = &findings->items[findings->count];
	*at = (struct finding){.how = found->how,
		.weight = found->weight,
		.number = findings->count,
		.seen = json_array()};
	if (!at->seen ||
		!yg_str_put(at->cause, sizeof(at->cause), "%.*s", (int)sizeof(at->cause) - 1,
			found->cause)) {
		json_decref(at->seen);
		(void)yg_fail(err, YG_ESYSTEM, "out of memory");
		return NULL;
	}
	findings->count++;
	return at;
}

int yg_findings_add(struct yg_findings *findings, const struct yg_found *found, struct yg_err *err)
{
	struct finding *at = find(findings, found);
	if (!at && findings->count >= YG_FINDINGS_MAX)
		return 0;
	if (!at && !(at = another(findings, found, err)))
		return -1;
	if (found->how < at->how)
		at->how = found->how;
	if (found->weight < at->weight)
		at->weight = found->weight;
	for (size_t i = 0; i < YG_COUNT(at->remedy); i++) {
		/* What knows the object knows more. */
		if (found->sentence[i] && (found->object || !at->sentence[i]))
			at->sentence[i] = found->sentence[i];
		if (found->remedy[i] && (found->object || !at->remedy[i]))
			at->remedy[i] = found->remedy[i];
	}
	if (found->at_s && (!at->first_s || found->at_s < at->first_s))
		at->first_s = found->at_s;
	if (found->at_s > at->last_s)
		at->last_s = found->at_s;
	at->count++;
	at->over = false;
	note_seen(at, found->seen);
	if (at->source && (!found->source || strcmp(at->source, found->source) != 0))
		at->source[0] = 0;
	return keep(&at->object, found->object, err) < 0 ? -1
							 : keep(&at->source, found->source, err);
}

void yg_findings_over(struct yg_findings *findings, int64_t until_s, const char *source,
	const char *area)
{
	for (size_t i = 0; i < findings->count; i++) {
		struct finding *at = &findings->items[i];
		bool here = strncmp(at->cause, area, strlen(area)) == 0 &&
			(!source || (at->source && strcmp(at->source, source) == 0));
		if (at->how == YG_FIND_LOG && here &&
			(!until_s || (at->last_s && at->last_s <= until_s)))
			at->over = true;
	}
}

/* ---- the rule ---- */

static bool starts(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static size_t step(const char *cause)
{
	for (size_t i = 0; i < YG_COUNT(order); i++)
		if (starts(cause, order[i]))
			return i;
	return YG_COUNT(order);
}

/* "net." is an area, "net.dns" a cause. */
static bool means(const char *name, const char *cause)
{
	return name[strlen(name) - 1] == '.' ? starts(cause, name) : strcmp(cause, name) == 0;
}

static bool same_area(const char *a, const char *b)
{
	size_t len = strcspn(a, ".");
	return len == strcspn(b, ".") && strncmp(a, b, len) == 0;
}

static bool explained(const struct finding *why, const struct finding *what)
{
	if (why == what || strcmp(why->cause, what->cause) == 0 || (why->over && !what->over))
		return false;
	for (size_t i = 0; i < YG_COUNT(explains); i++)
		if (means(explains[i].why, why->cause) && means(explains[i].what, what->cause))
			return true;
	if (why->weight != YG_FIND_NAMES)
		return false;
	if (what->weight == YG_FIND_KIND && same_area(why->cause, what->cause))
		return true;
	/* An update fails for what it needs; that the engine is down is another matter. */
	return what->weight == YG_FIND_FAILED && strcmp(why->cause, "engine.offline") != 0;
}

static int compare(const void *left, const void *right)
{
	const struct finding *a = left;
	const struct finding *b = right;
	const int64_t keys[][2] = {
		{a->over, b->over},
		{a->how, b->how},
		{a->weight, b->weight},
		{(int64_t)step(a->cause), (int64_t)step(b->cause)},
		{b->last_s, a->last_s},
		{(int64_t)a->number, (int64_t)b->number},
	};
	for (size_t i = 0; i < YG_COUNT(keys); i++)
		if (keys[i][0] != keys[i][1])
			return keys[i][0] < keys[i][1] ? -1 : 1;
	return 0;
}

void yg_findings_settle(struct yg_findings *findings)
{
	struct finding *items = findings->items;
	for (size_t i = 0; i < findings->count; i++)
		items[i].by = NULL;
	if (findings->count > 0)
		qsort(items, findings->count, sizeof(*items), compare);
	for (size_t i = 0; i < findings->count; i++)
		for (size_t k = 0; k < findings->count && !items[i].by; k++)
			if (!items[k].by && explained(&items[k], &items[i]))
				items[i].by = &items[k];
	/* Why of why: below the one that explains them all. There is no circle: who is explained explains nobody. */
	for (size_t i = 0; i < findings->count; i++)
		while (items[i].by && items[i].by->by)
			items[i].by = items[i].by->by;
}

size_t yg_findings_standing(const struct yg_findings *findings)
{
	size_t count = 0;
	for (size_t i = 0; i < findings->count; i++)
		count += !findings->items[i].over && !findings->items[i].by;
	return count;
}

/* ---- as JSON ---- */

/* "{object}" is the only parameter of a remedy. */
static char *fill(const char *text, const char *object)
{
	static const char name[] = "{object}";
	const char *at = strstr(text, name);
	if (!at)
		return yg_str_format("%s", text);
	return yg_str_format("%.*s%s%s", (int)(at - text), text, object ? object : "?",
		at + sizeof(name) - 1);
}

static json_t *time_or_null(int64_t s)
{
	char text[YG_CLOCK_TEXT];
	if (!s)
		return json_null();
	yg_clock_format(s, text);
	return json_string(text);
}

static const char *sentence_of(const struct finding *at, enum yg_lang lang)
{
	const struct yg_cause *cause = yg_cause_find(at->cause);
	return at->sentence[lang] ? at->sentence[lang]
		: cause           ? yg_cause_text(cause, lang)
				  : at->cause;
}

static json_t *one(const struct yg_findings *findings, const struct finding *at, enum yg_lang lang)
{
	static const char *const hows[] = {"checked", "run", "log"};
	const struct yg_cause *cause = yg_cause_find(at->cause);
	const char *remedy = at->remedy[lang] ? at->remedy[lang]
		: cause                       ? yg_cause_remedy(cause, lang)
					      : "";
	const char *by_itself = cause && !at->remedy[lang] ? yg_cause_auto(cause, lang) : "";
	char *helps YG_AUTO(mem) = fill(remedy, at->object);
	char *says YG_AUTO(mem) = fill(sentence_of(at, lang), at->object);
	json_t *below YG_AUTO(yg_json) = json_array();
	for (size_t i = 0; i < findings->count; i++)
		if (findings->items[i].by == at)
			(void)json_array_append_new(below,
				json_pack("{s:s, s:s, s:O}", "cause", findings->items[i].cause,
					"sentence", sentence_of(&findings->items[i], lang), "seen",
					findings->items[i].seen));
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:O, s:I, s:o, s:o, s:s, s:b, s:O}", "cause",
		at->cause, "sentence", says ? says : "", "remedy", helps ? helps : "", "auto",
		by_itself, "object", at->object ? at->object : "", "seen", at->seen, "count",
		(json_int_t)at->count, "first", time_or_null(at->first_s), "last",
		time_or_null(at->last_s), "how", hows[at->how], "over", (int)at->over, "explains",
		below);
}

json_t *yg_findings_json(const struct yg_findings *findings, enum yg_lang lang)
{
	json_t *list YG_AUTO(yg_json) = json_array();
	for (size_t i = 0; i < findings->count; i++)
		if (!findings->items[i].by &&
			json_array_append_new(list, one(findings, &findings->items[i], lang)) < 0)
			return NULL;
	return yg_take(list);
}
