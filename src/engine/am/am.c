/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* libclamav as an engine.
 *
 * Threads: scans share the lock, loading and SET_CONFIG take it alone, because libclamav's options
 * must not change under a scan. Writers go first, or a busy machine would never get its SET_CONFIG.
 *
 * Paths: libclamav wants some. The files of a set are named relative to the working directory, which
 * is the component's folder while it loads and the temporary directory for ever after ("." is where
 * it unpacks). A path over /proc/self/fd would do as well, but a process that changed its user may
 * not follow those.
 *
 * What libclamav would open by itself, and cannot once the sandbox is up: libclamunrar (looked for in
 * cl_init), OpenSSL's configuration (the same), modules of iconv (asked for below), the file by its
 * name to unpack RAR (told not to by CL_SCAN_GENERAL_UNPRIVILEGED).
 */
#include "engine/am/am.h"

#include <clamav.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <iconv.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/mem.h"
#include "core/sandbox.h"
#include "core/str.h"
#include "engine/am/config.h"

#define MB            (UINT64_C(1) << 20)
#define SET_SIZE_MAX  (4u << 20) /* bytes of set.json */
#define FILES_MAX     4096       /* in one component's folder */
#define SCAN_MB       32u        /* of memory that one scan may need besides the file: to fit */
#define PATH_SIZE     4096
#define ROOM_MIN      (1u << 20)    /* bytes; with less, nothing was unpacked for sure */
#define OFFICIAL_MARK ".UNOFFICIAL" /* libclamav's, on everything that it did not verify itself */

static const char *const components[] = {"am-pattern", "am-yara", "am-hash"};

/* Formats that are loaded. Not among them: bytecode (.cbc), which is a program, and signed by nobody
 * when it does not come in a .cvd; and what only serves freshclam. What else lies in a component's
 * folder is not for this engine.
 */
static const char *const formats[] = {".cvd", ".cld", ".cud", ".db", ".hdb", ".hdu", ".hsb", ".hsu",
	".mdb", ".mdu", ".msb", ".msu", ".ndb", ".ndu", ".ldb", ".ldu", ".sdb", ".zmd", ".rmd",
	".idb", ".cdb", ".crb", ".fp", ".sfp", ".ign", ".ign2", ".ftm", ".pdb", ".gdb", ".wdb",
	".cfg", ".pwdb", ".imp", ".yar", ".yara"};

static const char *const yara_formats[] = {".yar", ".yara"};

/* Must be there before the signatures that they switch off. */
static const char *const first_formats[] = {".ign", ".ign2", ".cfg"};

/* Character sets that libclamav converts from, whose tables the C library keeps in modules: opened
 * while that is still allowed, and held, because they are forgotten when the last user is gone.
 */
static const char *const charsets[] = {"UTF-16", "UTF-32", "UTF-7", "ISO-8859-1", "ISO-8859-2",
	"ISO-8859-15", "CP1250", "CP1251", "CP1252", "CP437", "CP850", "SHIFT_JIS", "CP932",
	"EUC-JP", "ISO-2022-JP", "GB18030", "BIG5", "EUC-KR", "KOI8-R"};

struct am {
	int tmp;   /* owned; where libclamav unpacks */
	int statm; /* owned; /proc/self/statm, which no sandbox lets us open later */
	char tmp_path[PATH_SIZE];
	pthread_rwlock_t lock;    /* over what follows */
	struct cl_engine *engine; /* owned; NULL before content is loaded */
	struct yg_am_config config;
	iconv_t held[YG_COUNT(charsets)];
	size_t held_count;
};

/* ---- memory of this process ---- */

struct memory {
	uint64_t resident;
	uint64_t private; /* what RLIMIT_DATA counts */
};

static struct memory measure(const struct am *am)
{
	struct memory out = {0};
	char text[256];
	ssize_t n = pread(am->statm, text, sizeof(text) - 1, 0);
	if (n <= 0)
		return out;
	text[n] = '\0';
	/* source  proc(5): size resident shared text lib data dt, in pages */
	uint64_t values[7] = {0};
	char *rest = NULL;
	size_t count = 0;
	for (char *word = strtok_r(text, " \n", &rest); word && count < YG_COUNT(values);
		word = strtok_r(NULL, " \n", &rest)) {
		struct yg_err ignored = {
			0}; /* a kernel that writes something else: 0, "not known" */
		(void)!yg_str_u64(word, UINT64_MAX >> 16, &values[count++], &ignored);
	}
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	out.resident = values[1] * page;
	out.private = values[5] * page;
	return out;
}

/* What is there, and what the work will need, must fit into what a configuration allows. Returns
 * false, and says why, when it does not.
 */
static bool fits(const struct am *am, const struct yg_am_config *config, char *why, size_t size)
{
	struct memory now = measure(am);
	uint64_t used = !yg_sandbox_walls() || now.resident > now.private ? now.resident
									  : now.private;
	uint64_t used_mb = (used + MB - 1) / MB;
	uint64_t work_mb = (uint64_t)config->threads * SCAN_MB;
	if (used_mb + work_mb <= (uint64_t)config->memory_max_mb)
		return true;
	(void)snprintf(why, size,
		"memory_max_mb: want at least %llu, have %lld: the content takes %llu MB, scans on "
		"%lld threads %llu MB",
		(unsigned long long)(used_mb + work_mb), (long long)config->memory_max_mb,
		(unsigned long long)used_mb, (long long)config->threads,
		(unsigned long long)work_mb);
	return false;
}

/* The soft limit only: it comes up again when policy says so. */
static int limit_memory(const struct yg_am_config *config, struct yg_err *err)
{
	struct rlimit limit;
	if (!yg_sandbox_walls()) /* a sanitizer's shadow memory is many gigabytes */
		return 0;
	if (getrlimit(RLIMIT_DATA, &limit) < 0)
		return yg_fail_sys(err, errno, "reading the limit of memory");
	rlim_t want = (rlim_t)config->memory_max_mb * MB;
	limit.rlim_cur = want < limit.rlim_max ? want : limit.rlim_max;
	if (setrlimit(RLIMIT_DATA, &limit) < 0)
		return yg_fail_sys(err, errno, "limiting memory");
	return 0;
}

/* ---- what libclamav says while it loads ---- */

/* Its messages come without a context. Only the thread that loads or scans listens. */
struct listener {
	char error[160]; /* the first error: the cause; those after it are of its callers */
	uint64_t line;   /* of the file being loaded; 0 when it named none */
};

static _Thread_local struct listener *listener;

/* "Malformed hash string at line 1", "cli_loadcrt: line 3: …", "yyerror(): FILE line 3 …": the number
 * after "line ", and where it stands. NULL: no line is named.
 */
static const char *find_line(const char *message, uint64_t *line, const char **end)
{
	const char *at = strstr(message, "line ");
	if (!at)
		return NULL;
	*line = 0;
	const char *c = at + strlen("line ");
	for (; *c >= '0' && *c <= '9' && *line < UINT32_MAX; c++)
		*line = *line * 10 + (uint64_t)(*c - '0');
	*end = c;
	return *line > 0 ? at : NULL;
}

/* Without the name of the function, which is not for people, and without the line, which we say. */
static void keep(struct listener *l, const char *message)
{
	uint64_t line = 0;
	const char *end = NULL;
	const char *at = find_line(message, &line, &end);
	const char *start = message;
	const char *stop = message + strcspn(message, "\r\n");
	if (at && strncmp(message, "yyerror", strlen("yyerror")) == 0)
		start = end;
	else if (at && at - message > 4 && strncmp(at - 4, " at ", 4) == 0)
		stop = at - 4;
	const char *colon = strstr(start, ": ");
	if (colon && colon < stop && !memchr(start, ' ', (size_t)(colon - start)))
		start = colon + 2;
	while (start < stop && *start == ' ')
		start++;
	if (start >= stop)
		return;
	(void)snprintf(l->error, sizeof(l->error), "%.*s", (int)(stop - start), start);
}

static void heard(enum cl_msg severity, const char *fullmsg, const char *msg, void *context)
{
	(void)fullmsg;
	(void)context;
	if (!listener || severity < CL_MSG_ERROR)
		return;
	uint64_t line = 0;
	const char *end = NULL;
	if (listener->line == 0 && find_line(msg, &line, &end))
		listener->line = line;
	if (listener->error[0] == '\0')
		keep(listener, msg);
}

/* ---- settings ---- */

static int set_number(struct cl_engine *engine, enum cl_engine_field field, int64_t value,
	const char *name, struct yg_err *err)
{
	cl_error_t r = cl_engine_set_num(engine, field, value);
	if (r == CL_SUCCESS)
		return 0;
	return yg_engine_refuse(err, YG_EFORMAT, YG_ENGINE_CODE_ENGINE, "SET_CONFIG", "%s: %s",
		name, cl_strerror(r));
}

static int set_limits(struct cl_engine *engine, const struct yg_am_config *config,
	struct yg_err *err)
{
	const struct {
		enum cl_engine_field field;
		int64_t value;
		const char *name;
	} limits[] = {
		{CL_ENGINE_MAX_FILESIZE, config->max_file_bytes, "max_file_bytes"},
		{CL_ENGINE_MAX_SCANSIZE, config->max_scan_bytes, "max_scan_bytes"},
		{CL_ENGINE_MAX_RECURSION, config->max_recursion, "max_recursion"},
		{CL_ENGINE_MAX_FILES, config->max_files, "max_files"},
		{CL_ENGINE_MAX_SCANTIME, config->max_scan_ms, "max_scan_ms"},
		/* A file larger than this is not given to PCRE; the preset is 100 MB. */
		{CL_ENGINE_PCRE_MAX_FILESIZE, config->max_file_bytes, "max_file_bytes"},
	};
	for (size_t i = 0; i < YG_COUNT(limits); i++)
		if (set_number(engine, limits[i].field, limits[i].value, limits[i].name, err) < 0)
			return -1;
	return 0;
}

static uint32_t am_abi(void)
{
	return cl_retflevel();
}

/* With the lock held alone. */
static int apply(struct am *am, const struct yg_am_config *fresh, struct yg_err *err)
{
	char why[YG_ERR_MSG_MAX];
	if (am->engine && !fits(am, fresh, why, sizeof(why))) {
		return yg_engine_refuse(err, YG_ELIMIT, YG_ENGINE_CODE_MEMORY, "SET_CONFIG", "%s",
			why);
	}
	if (am->engine) {
		/* The old ones were accepted before, so putting them back cannot fail. */
		struct yg_err ignored = {0};
		if (set_limits(am->engine, fresh, err) < 0) {
			(void)!set_limits(am->engine, &am->config, &ignored);
			return -1;
		}
		if (limit_memory(fresh, err) < 0) {
			(void)!set_limits(am->engine, &am->config, &ignored);
			struct yg_err refused = *err;
			return yg_engine_refuse(err, refused.code, YG_ENGINE_CODE_ENGINE,
				"SET_CONFIG", "%s", refused.msg);
		}
	}
	am->config = *fresh;
	return 0;
}

static int am_configure(void *self, const json_t *config, struct yg_err *err)
{
	struct am *am = self;
	struct yg_am_config fresh;
	if (yg_am_config_parse(config, &fresh, err) < 0)
		return -1;
	(void)pthread_rwlock_wrlock(&am->lock);
	int r = apply(am, &fresh, err);
	(void)pthread_rwlock_unlock(&am->lock);
	return r;
}

static struct yg_am_config config_of(const void *self)
{
	struct am *am = (struct am *)(uintptr_t)self; /* the lock is not const */
	(void)pthread_rwlock_rdlock(&am->lock);
	struct yg_am_config config = am->config;
	(void)pthread_rwlock_unlock(&am->lock);
	return config;
}

unsigned yg_am_threads(const void *self)
{
	return (unsigned)config_of(self).threads;
}

int64_t yg_am_scan_ms(const void *self)
{
	return config_of(self).max_scan_ms;
}

/* ---- loading ---- */

static bool in_list(const char *name, const char *const *list, size_t count)
{
	const char *dot = strrchr(name, '.');
	if (!dot)
		return false;
	for (size_t i = 0; i < count; i++)
		if (strcmp(dot, list[i]) == 0)
			return true;
	return false;
}

static int wanted(const struct dirent *entry)
{
	return in_list(entry->d_name, formats, YG_COUNT(formats));
}

/* What must come first does; otherwise by name, so that the same content loads the same way. */
static int by_turn(const struct dirent **a, const struct dirent **b)
{
	bool a_first = in_list((*a)->d_name, first_formats, YG_COUNT(first_formats));
	bool b_first = in_list((*b)->d_name, first_formats, YG_COUNT(first_formats));
	if (a_first != b_first)
		return a_first ? -1 : 1;
	return strcmp((*a)->d_name, (*b)->d_name);
}

static enum yg_code code_of(cl_error_t r)
{
	switch ((int)r) {
	case CL_EMEM:
	case CL_EMAP:
		return YG_ELIMIT;
	case CL_EARG: /* what it says of a hash of a wrong length */
	case CL_EMALFDB:
	case CL_ECVD:
	case CL_EVERIFY:
	case CL_EUNPACK:
	case CL_EFORMAT:
	case CL_EPARSE:
	case CL_EBYTECODE:
		return YG_EFORMAT;
	default:
		return YG_ESYSTEM;
	}
}

static int fail_clamav(struct yg_err *err, cl_error_t r, const struct listener *said,
	const struct yg_am_config *config)
{
	/* In the middle of a line it takes want of memory for a broken line. */
	if (code_of(r) == YG_ELIMIT || strstr(said->error, "memory")) {
		return yg_fail_cause(err, YG_ELIMIT, "engine.memory",
			"not enough memory under memory_max_mb = %lld",
			(long long)config->memory_max_mb);
	}
	const char *text = said->error[0] ? said->error : cl_strerror(r);
	if (said->line > 0)
		return yg_fail_cause(err, code_of(r), "engine.load", "line %llu: %s",
			(unsigned long long)said->line, text);
	return yg_fail_cause(err, code_of(r), "engine.load", "%s", text);
}

/* In the component's folder. A name starts with '.' never: libclamav is given no options by it. */
static int load_file(struct cl_engine *engine, const char *name, const struct yg_am_config *config,
	uint64_t *signatures, struct yg_err *err)
{
	struct listener said = {0};
	unsigned count = 0;
	listener = &said;
	cl_error_t r = cl_load(name, engine, &count, CL_DB_STDOPT & ~(unsigned)CL_DB_BYTECODE);
	listener = NULL;
	/* A YARA rule that it cannot load is left out, and all is well, for libclamav. Not for us: what
	 * was published is what protects, or the content is refused.
	 */
	if (r == CL_SUCCESS && said.error[0] && in_list(name, yara_formats, YG_COUNT(yara_formats)))
		r = CL_EMALFDB;
	if (r != CL_SUCCESS) {
		(void)fail_clamav(err, r, &said, config);
		return yg_wrap(err, "%s", name);
	}
	*signatures += count;
	return 0;
}

struct names {
	struct dirent **list; /* owned */
	int count;
};

static void names_free_at(const struct names *names)
{
	for (int i = 0; i < names->count; i++)
		free(names->list[i]);
	free(names->list);
}

static int load_component(struct cl_engine *engine, int dir, const struct yg_am_config *config,
	uint64_t *signatures, struct yg_err *err)
{
	struct names names YG_AUTO(names) = {0};
	if (fchdir(dir) < 0)
		return yg_fail_sys(err, errno, "entering the folder");
	names.count = scandirat(dir, ".", &names.list, wanted, by_turn);
	if (names.count < 0)
		return yg_fail_sys(err, errno, "reading the folder");
	if (names.count > FILES_MAX)
		return yg_fail(err, YG_ELIMIT, "want <= %d files, have %d", FILES_MAX, names.count);
	for (int i = 0; i < names.count; i++)
		if (load_file(engine, names.list[i]->d_name, config, signatures, err) < 0)
			return -1;
	return 0;
}

static int load_components(struct cl_engine *engine, int set, const struct yg_am_config *config,
	uint64_t *signatures, struct yg_err *err)
{
	for (size_t i = 0; i < YG_COUNT(components); i++) {
		struct yg_err why = {0};
		int dir YG_AUTO(fd) = yg_fs_open_dir(set, components[i], &why);
		if (dir < 0 && why.code == YG_EABSENT)
			continue;
		if (dir < 0) {
			*err = why;
			return -1;
		}
		if (load_component(engine, dir, config, signatures, err) < 0)
			return yg_wrap(err, "%s", components[i]);
	}
	if (*signatures == 0)
		return yg_fail_cause(err, YG_EABSENT, "engine.load",
			"no signatures in am-pattern, am-yara or am-hash");
	return 0;
}

static int check_abi(const json_t *component, struct yg_err *err)
{
	const char *name = NULL;
	const char *engine = NULL;
	json_t *abi = NULL;
	int64_t min = 0;
	int64_t max = 0;
	if (yg_json_str(component, "name", 64, &name, err) < 0)
		return -1;
	bool ours = false;
	for (size_t i = 0; i < YG_COUNT(components); i++)
		ours = ours || strcmp(name, components[i]) == 0;
	if (!ours)
		return 0;
	if (yg_json_object(component, "abi", &abi, err) < 0)
		return yg_wrap(err, "%s", name);
	if (yg_json_str(abi, "engine", 64, &engine, err) < 0)
		return yg_wrap(err, "%s: abi", name);
	if (engine[0] == '\0') /* made for any engine */
		return 0;
	if (yg_json_int(abi, "min", 0, UINT32_MAX, &min, err) < 0 ||
		yg_json_int(abi, "max", 0, UINT32_MAX, &max, err) < 0)
		return yg_wrap(err, "%s: abi", name);
	if (strcmp(engine, "clamav") != 0)
		return yg_fail_cause(err, YG_ELIMIT, "content.abi",
			"%s: abi: want engine 'clamav', have '%s'", name, engine);
	if (am_abi() < min || am_abi() > max)
		return yg_fail_cause(err, YG_ELIMIT, "content.abi",
			"%s: abi: made for format %lld..%lld, this engine has %u", name,
			(long long)min, (long long)max, am_abi());
	return 0;
}

/* A folder without set.json is somebody's own (a test's, an operator's): he knows what he gives us. */
static int check_set(int set, struct yg_err *err)
{
	struct yg_err why = {0};
	int fd YG_AUTO(fd) = yg_fs_open(set, "set.json", &why);
	if (fd < 0 && why.code == YG_EABSENT)
		return 0;
	if (fd < 0) {
		*err = why;
		return -1;
	}
	json_t *description YG_AUTO(yg_json) = NULL;
	json_t *list = NULL;
	if (yg_json_read(fd, SET_SIZE_MAX, &description, err) < 0 ||
		yg_json_array(description, "components", 256, &list, err) < 0)
		return yg_wrap(err, "set.json");
	for (size_t i = 0; i < json_array_size(list); i++)
		if (check_abi(json_array_get(list, i), err) < 0)
			return yg_wrap(err, "set.json");
	return 0;
}

static void clamav_free_at(struct cl_engine **at)
{
	if (*at)
		(void)cl_engine_free(*at);
}

static int set_up(struct cl_engine *engine, const char *tmp, const struct yg_am_config *config,
	struct yg_err *err)
{
	if (set_limits(engine, config, err) < 0)
		return -1;
	/* Its memory of clean files knows them by MD5 up to 1.4, for which two files with one digest
	 * can be made: one clean, one not. The walker has a memory of its own.
	 */
	if (set_number(engine, CL_ENGINE_DISABLE_CACHE, 1, "cache", err) < 0 ||
		set_number(engine, CL_ENGINE_DISABLE_PE_STATS, 1, "statistics", err) < 0)
		return -1;
	cl_error_t r = cl_engine_set_str(engine, CL_ENGINE_TMPDIR, tmp);
	if (r != CL_SUCCESS)
		return yg_fail(err, YG_ESYSTEM, "temporary directory: %s", cl_strerror(r));
	return 0;
}

static int compile(struct am *am, struct cl_engine *engine, const struct yg_am_config *config,
	struct yg_err *err)
{
	struct listener said = {0};
	listener = &said;
	cl_error_t r = cl_engine_compile(engine);
	listener = NULL;
	if (r != CL_SUCCESS) {
		(void)fail_clamav(err, r, &said, config);
		return yg_wrap(err, "compiling");
	}
	/* From now on all that is unpacked goes to the working directory. */
	if (fchdir(am->tmp) < 0)
		return yg_fail_sys(err, errno, "entering the temporary directory");
	r = cl_engine_set_str(engine, CL_ENGINE_TMPDIR, ".");
	if (r != CL_SUCCESS)
		return yg_fail(err, YG_ESYSTEM, "temporary directory: %s", cl_strerror(r));
	return 0;
}

static int build(struct am *am, int set, const struct yg_am_config *config, struct cl_engine **out,
	uint64_t *signatures, struct yg_err *err)
{
	struct cl_engine *engine YG_AUTO(clamav) = cl_engine_new();
	if (!engine)
		return yg_fail_sys(err, ENOMEM, "making a scanner");
	if (set_up(engine, am->tmp_path, config, err) < 0 || check_set(set, err) < 0 ||
		load_components(engine, set, config, signatures, err) < 0 ||
		compile(am, engine, config, err) < 0)
		return -1;
	*out = yg_take(engine);
	return 0;
}

/* Put the new scanner in the old one's place, if it fits beside nothing else. */
static int install(struct am *am, struct cl_engine **engine, struct yg_err *err)
{
	struct cl_engine *old YG_AUTO(clamav) = NULL;
	(void)pthread_rwlock_wrlock(&am->lock);
	/* SET_CONFIG may have come while we loaded. */
	char why[YG_ERR_MSG_MAX];
	int r = set_limits(*engine, &am->config, err);
	if (r == 0 && !fits(am, &am->config, why, sizeof(why)))
		r = yg_fail_cause(err, YG_ELIMIT, "engine.memory", "%s", why);
	if (r == 0) {
		old = am->engine;
		am->engine = yg_take(*engine);
	}
	(void)pthread_rwlock_unlock(&am->lock);
	return r;
}

static int am_load(void *self, int set, struct yg_engine_loaded *out, struct yg_err *err)
{
	struct am *am = self;
	int64_t start = yg_clock_mono_ms();
	struct yg_am_config config = config_of(am);
	uint64_t signatures = 0;
	struct cl_engine *engine YG_AUTO(clamav) = NULL;
	if (limit_memory(&config, err) < 0)
		return -1;
	int r = build(am, set, &config, &engine, &signatures, err);
	/* Also after a failure the old content unpacks where it did. */
	if (r < 0 && fchdir(am->tmp) < 0)
		return yg_fail_sys(err, errno, "entering the temporary directory");
	(void)malloc_trim(0); /* what loading needed and scanning does not */
	if (r < 0 || install(am, &engine, err) < 0)
		return -1;
	*out = (struct yg_engine_loaded){.signatures = signatures,
		.memory_bytes = measure(am).resident,
		.seconds = (double)(yg_clock_mono_ms() - start) / 1000};
	return 0;
}

/* ---- judging ---- */

static void unjudged(struct yg_finding *out, enum yg_unjudged why)
{
	*out = (struct yg_finding){.verdict = YG_UNJUDGED, .why = why};
}

/* Findings of libclamav that mean "I could not look at all of it". Its order of precedence: a
 * signature wins over these.
 */
static const struct {
	const char *prefix;
	enum yg_unjudged why;
} not_findings[] = {
	{"Heuristics.Limits.Exceeded.MaxFileSize", YG_UNJUDGED_TOO_LARGE},
	{"Heuristics.Limits.Exceeded.MaxScanTime", YG_UNJUDGED_TIMEOUT},
	{"Heuristics.Limits.Exceeded.", YG_UNJUDGED_LIMIT},
	{"Heuristics.Encrypted.", YG_UNJUDGED_ENCRYPTED},
	{"Heuristics.Broken.", YG_UNJUDGED_BROKEN},
	{"Heuristics.XZ.DicSizeLimit", YG_UNJUDGED_LIMIT},
};

static void found(struct yg_finding *out, const char *name)
{
	for (size_t i = 0; i < YG_COUNT(not_findings); i++) {
		const char *prefix = not_findings[i].prefix;
		if (strncmp(name, prefix, strlen(prefix)) == 0) {
			unjudged(out, not_findings[i].why);
			return;
		}
	}
	*out = (struct yg_finding){.verdict = YG_MALICIOUS};
	size_t len = strnlen(name, sizeof(out->signature) - 1);
	memcpy(out->signature, name, len);
	/* All our content was verified, but by us, of which libclamav knows nothing. */
	size_t mark = strlen(OFFICIAL_MARK);
	if (len > mark && strcmp(out->signature + len - mark, OFFICIAL_MARK) == 0)
		out->signature[len - mark] = '\0';
	for (char *c = out->signature; *c; c++)
		if (*c < 0x21 ||
			*c > 0x7e) /* names are ASCII words; content that breaks it is shown so */
			*c = '?';
	if (out->signature[0] == '\0')
		memcpy(out->signature, "unnamed", sizeof("unnamed"));
}

static enum yg_unjudged why_not(cl_error_t r)
{
	switch ((int)r) {
	case CL_ETIMEOUT:
		return YG_UNJUDGED_TIMEOUT;
	case CL_EMAXSIZE:
		return YG_UNJUDGED_TOO_LARGE;
	case CL_EMAXREC:
	case CL_EMAXFILES:
		return YG_UNJUDGED_LIMIT;
	case CL_EMEM:
		return YG_UNJUDGED_MEMORY;
	case CL_EFORMAT:
	case CL_EPARSE:
	case CL_EUNPACK:
		return YG_UNJUDGED_BROKEN;
	case CL_EOPEN:
	case CL_ESTAT:
	case CL_EREAD:
	case CL_ESEEK:
	case CL_EMAP:
	case CL_EACCES:
		return YG_UNJUDGED_READ;
	default:
		return YG_UNJUDGED_ENGINE;
	}
}

/* libclamav calls a file clean that it could not unpack for lack of room, or not even begin to look at: it makes a
 * folder for each file. All that tells is what it complains of, and how much room there is.
 */
static bool had_no_room(const struct am *am, const struct listener *said)
{
	struct statfs about;
	if (strstr(said->error, "temporary") || strstr(said->error, "write") ||
		strstr(said->error, "Write"))
		return true;
	return fstatfs(am->tmp, &about) == 0 &&
		(uint64_t)about.f_bavail * (uint64_t)about.f_bsize < ROOM_MIN;
}

static void scan(const struct am *am, int fd, const char *name, struct yg_finding *out)
{
	/* All formats that this libclamav takes apart, whatever its version calls them. */
	struct cl_scan_options options = {
		.general = CL_SCAN_GENERAL_UNPRIVILEGED |
			(am->config.heuristics ? (unsigned)CL_SCAN_GENERAL_HEURISTICS : 0u),
		.parse = ~0u,
		.heuristic = CL_SCAN_HEURISTIC_EXCEEDS_MAX | CL_SCAN_HEURISTIC_ENCRYPTED_ARCHIVE |
			CL_SCAN_HEURISTIC_ENCRYPTED_DOC,
	};
	const char *signature = NULL;
	unsigned long scanned = 0;
	struct listener said = {0};
	listener = &said;
	cl_error_t r = cl_scandesc_callback(fd, name, &signature, &scanned, am->engine, &options,
		NULL);
	listener = NULL;
	if (r == CL_VIRUS)
		found(out, signature ? signature : "");
	else if (had_no_room(am, &said))
		unjudged(out, YG_UNJUDGED_SPACE);
	else if (r == CL_CLEAN || r == CL_VERIFIED)
		*out = (struct yg_finding){.verdict = YG_CLEAN};
	else
		unjudged(out, why_not(r));
}

static void am_judge(void *self, int fd, const char *name, struct yg_finding *out)
{
	struct am *am = self;
	struct stat st;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		unjudged(out, YG_UNJUDGED_READ);
		return;
	}
	(void)pthread_rwlock_rdlock(&am->lock);
	if (!am->engine)
		unjudged(out, YG_UNJUDGED_ENGINE);
	else if (st.st_size > am->config.max_file_bytes)
		unjudged(out,
			YG_UNJUDGED_TOO_LARGE); /* libclamav would call files over 2 GB clean */
	else
		scan(am, fd, name, out);
	(void)pthread_rwlock_unlock(&am->lock);
}

/* ---- life ---- */

static void am_stop(void *self)
{
	struct am *am = self;
	if (!am)
		return;
	if (am->engine)
		(void)cl_engine_free(am->engine);
	for (size_t i = 0; i < am->held_count; i++)
		(void)iconv_close(am->held[i]);
	if (am->tmp >= 0)
		(void)close(am->tmp);
	if (am->statm >= 0)
		(void)close(am->statm);
	(void)pthread_rwlock_destroy(&am->lock);
	free(am);
}

static inline void am_free_at(struct am **at)
{
	am_stop(*at);
}

static int empty_dir(int dir, struct yg_err *err)
{
	struct names names YG_AUTO(names) = {0};
	names.count = scandirat(dir, ".", &names.list, NULL, NULL);
	if (names.count < 0)
		return yg_fail_sys(err, errno, "reading the temporary directory");
	for (int i = 0; i < names.count; i++) {
		const char *name = names.list[i]->d_name;
		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
			continue;
		if (yg_fs_remove(dir, name, err) < 0)
			return yg_wrap(err, "emptying the temporary directory");
	}
	return 0;
}

static void hold_charsets(struct am *am)
{
	for (size_t i = 0; i < YG_COUNT(charsets); i++) {
		iconv_t held = iconv_open("UTF-8", charsets[i]);
		if (held != (iconv_t)-1) /* a system without it converts nothing from it, ever */
			am->held[am->held_count++] = held;
	}
}

static int init_lock(struct am *am, struct yg_err *err)
{
	pthread_rwlockattr_t attr;
	(void)pthread_rwlockattr_init(&attr);
	(void)pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	int r = pthread_rwlock_init(&am->lock, &attr);
	(void)pthread_rwlockattr_destroy(&attr);
	return r == 0 ? 0 : yg_fail_sys(err, r, "making a lock");
}

static int open_places(struct am *am, int tmp, struct yg_err *err)
{
	am->tmp = fcntl(tmp, F_DUPFD_CLOEXEC, 0);
	if (am->tmp < 0)
		return yg_fail_sys(err, errno, "keeping the temporary directory");
	am->statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	if (am->statm < 0)
		return yg_fail_sys(err, errno, "opening /proc/self/statm");
	char link[64];
	if (!yg_str_put(link, sizeof(link), "/proc/self/fd/%d", am->tmp))
		return yg_fail(err, YG_ELIMIT, "name of the temporary directory");
	ssize_t n = readlink(link, am->tmp_path, sizeof(am->tmp_path) - 1);
	if (n < 0)
		return yg_fail_sys(err, errno, "finding the temporary directory");
	am->tmp_path[n] = '\0';
	return 0;
}

static int am_start(int tmp, void **self, struct yg_err *err)
{
	struct am *am YG_AUTO(am) = calloc(1, sizeof(*am));
	if (!am)
		return yg_fail_sys(err, ENOMEM, "starting");
	am->tmp = am->statm = -1;
	yg_am_config_preset(&am->config);
	if (init_lock(am, err) < 0 || open_places(am, tmp, err) < 0 || empty_dir(am->tmp, err) < 0)
		return -1;
	if (setenv("TZ", "UTC0", 1) < 0) /* or each name of a temporary file reads /etc/localtime */
		return yg_fail_sys(err, errno, "setting the time zone");
	/* Whose signatures on databases to believe: nobody's, content was verified before it got here.
	 * libclamav 1.5 refuses to load anything when the folder that it would look into does not exist.
	 */
	if (setenv("CVD_CERTS_DIR", YG_AM_NO_CERTS, 1) < 0)
		return yg_fail_sys(err, errno, "setting the folder of certificates");
	cl_error_t r = cl_init(CL_INIT_DEFAULT);
	if (r != CL_SUCCESS)
		return yg_fail(err, YG_ESYSTEM, "libclamav: %s", cl_strerror(r));
	cl_set_clcb_msg(heard);
	unsigned char digest[SHA256_HASH_SIZE];
	(void)cl_sha256("", 0, digest, NULL); /* OpenSSL reads its configuration at first use */
	hold_charsets(am);
	*self = yg_take(am);
	return 0;
}

const struct yg_engine yg_am_engine = {
	.name = "am",
	.abi = am_abi,
	.start = am_start,
	.configure = am_configure,
	.load = am_load,
	.judge = am_judge,
	.stop = am_stop,
};
