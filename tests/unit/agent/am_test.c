/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* The role as its siblings see it: the real program (argv[1]), started as its parent does, with its
 * real sandbox; and, in a forked child, what that sandbox denies.
 */
#include "agent/am.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "content/sample.h"
#include "core/attr.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/log.h"
#include "core/sandbox.h"
#include "core/super.h"
#include "engine/engine.h"
#include "tests/lib/cmocka_all.h"

#define WORD      "yagura-test-sample-one"
#define NDB       "Yagura.Test.One:0:*:7961677572612d746573742d73616d706c652d6f6e65\n"
/* "EICAR-STANDARD-ANTIVIRUS", which no file here holds in the clear */
#define NDB_EICAR "Yagura.Test.Eicar:0:*:45494341522d5354414e444152442d414e54495649525553\n"
#define SECONDS   60 /* for any one answer */

static const char *program;

struct place {
	char path[64];
	int root, set;
	pid_t pid;
	struct yg_loop *loop;
	struct yg_timer *late;
	struct yg_ipc *parent, *install, *walk;
	unsigned open; /* requests without an answer */
};

static void put_text(int dir, const char *path, const char *text)
{
	struct yg_err err = {0};
	assert_int_equal(yg_fs_replace(dir, path, yg_bytes_of(text), 0644, &err), 0);
}

static void too_late(void *ctx)
{
	(void)ctx;
	fail_msg("no answer within %d seconds", SECONDS);
}

static struct yg_ipc *channel(struct place *p, int *other, const char *peer)
{
	struct yg_err err = {0};
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	*other = pair[1];
	struct yg_ipc *ipc = yg_ipc_new(p->loop, pair[0], peer, NULL, NULL, NULL, &err);
	assert_non_null(ipc);
	return ipc;
}

static struct yg_ipc *link_as(struct place *p, const char *peer)
{
	struct yg_err err = {0};
	int other = -1;
	struct yg_ipc *ipc = channel(p, &other, "am");
	assert_int_equal(yg_ipc_send(p->parent, "link",
				 json_pack("{s:s, s:s}", "peer", peer, "tag", ""), &other, 1, &err),
		0);
	(void)close(other);
	return ipc;
}

/* Root with no more than yagura-agent gives its roles, by exec. */
static void drop_bounding_set(void)
{
	const unsigned long keep = 1ul << CAP_SETUID | 1ul << CAP_SETGID | 1ul << CAP_SETPCAP |
		1ul << CAP_KILL | 1ul << CAP_DAC_READ_SEARCH;
	for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (!(keep >> cap & 1))
			(void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
}

static void start_role(struct place *p, const char *user)
{
	struct yg_err err = {0};
	int other = -1;
	p->parent = channel(p, &other, "am");
	p->pid = fork();
	assert_true(p->pid >= 0);
	if (p->pid == 0) {
		if (other != YG_SUPER_FD)
			(void)dup2(other, YG_SUPER_FD);
		(void)fcntl(YG_SUPER_FD, F_SETFD, 0);
		drop_bounding_set();
		(void)execl(program, program, "--role", "am", (char *)NULL);
		_exit(127);
	}
	(void)close(other);
	int tmp YG_AUTO(fd) = yg_fs_open_dir(p->root, "tmp", &err);
	assert_true(tmp >= 0);
	assert_int_equal(yg_ipc_send(p->parent, "config",
				 json_pack("{s:s, s:s}", "role", "am", "user", user), &tmp, 1,
				 &err),
		0);
	p->install = link_as(p, "install");
	p->walk = link_as(p, "walk");
}

static int set_up(void **state)
{
	struct yg_err err = {0};
	struct place *p = calloc(1, sizeof(*p));
	assert_non_null(p);
	(void)snprintf(p->path, sizeof(p->path), "/tmp/yagura-am-role-XXXXXX");
	assert_non_null(mkdtemp(p->path));
	p->root = yg_fs_open_dir(AT_FDCWD, p->path, &err);
	assert_true(p->root >= 0);
	assert_int_equal(mkdirat(p->root, "tmp", 0755), 0);
	assert_int_equal(mkdirat(p->root, "tmp/engine-1", 0755), 0);
	put_text(p->root, "tmp/engine-1/left-behind", "by a crash");
	assert_int_equal(yg_fs_mkdirs(p->root, "set/am-pattern", 0755, &err), 0);
	put_text(p->root, "set/am-pattern/a.ndb", NDB NDB_EICAR);
	p->set = yg_fs_open_dir(p->root, "set", &err);
	assert_true(p->set >= 0);
	p->loop = yg_loop_new(&err);
	assert_non_null(p->loop);
	p->late = yg_loop_timer(p->loop, too_late, p);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;
	struct yg_err err = {0};
	yg_ipc_free(p->walk);
	yg_ipc_free(p->install);
	yg_ipc_free(p->parent);
	if (p->pid > 0) {
		(void)kill(p->pid, SIGKILL);
		(void)waitpid(p->pid, NULL, 0);
	}
	yg_timer_free(p->late);
	yg_loop_free(p->loop);
	(void)close(p->set);
	(void)close(p->root);
	assert_int_equal(yg_fs_remove(AT_FDCWD, p->path, &err), 0);
	free(p);
	return 0;
}

/* ---- requests ---- */

struct answer {
	struct place *p;
	json_t *body; /* NULL: it failed */
	struct yg_err err;
};

static void answer_free_at(const struct answer *a)
{
	json_decref(a->body);
}

static void answered(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	struct answer *a = ctx;
	a->err = *err;
	if (err->code == YG_OK)
		a->body = json_incref(reply->body);
	if (--a->p->open == 0)
		yg_loop_stop(a->p->loop);
}

static void ask(struct place *p, struct yg_ipc *ipc, const char *name, json_t *body, const int *fds,
	size_t count, struct answer *out)
{
	out->p = p;
	p->open++;
	yg_ipc_request(ipc, name, body, fds, count, answered, out);
}

static void wait_all(struct place *p)
{
	yg_timer_set(p->late, SECONDS * 1000);
	if (p->open > 0)
		yg_loop_run(p->loop);
	yg_timer_stop(p->late);
}

/* One question; the answer as text, "code: message" for a failure. The caller frees it. */
static char *ask_text(struct place *p, struct yg_ipc *ipc, const char *name, json_t *body,
	const int *fds, size_t count)
{
	struct answer a YG_AUTO(answer) = {0};
	ask(p, ipc, name, body, fds, count, &a);
	wait_all(p);
	if (a.body)
		return yg_json_text(a.body);
	char *text = strdup(a.err.msg);
	assert_non_null(text);
	return text;
}

static void expect(struct place *p, struct yg_ipc *ipc, const char *name, json_t *body,
	const int *fds, size_t count, const char *want)
{
	char *text YG_AUTO(mem) = ask_text(p, ipc, name, body, fds, count);
	assert_string_equal(text, want);
}

static json_t *load_body(const char *set)
{
	return json_pack("{s:s, s:{}}", "set", set, "policy");
}

static void load(struct place *p)
{
	struct answer a YG_AUTO(answer) = {0};
	ask(p, p->install, "am.load", load_body("s1"), &p->set, 1, &a);
	wait_all(p);
	if (!a.body)
		fail_msg("%s", a.err.msg);
	assert_int_equal(json_integer_value(json_object_get(a.body, "signatures")), 2);
	assert_true(json_integer_value(json_object_get(a.body, "memory_bytes")) > 1 << 20);
	assert_true(json_is_real(json_object_get(a.body, "seconds")));
	assert_true(json_integer_value(json_object_get(a.body, "abi")) > 100);
}

static int memory_file(const char *text)
{
	struct yg_err err = {0};
	int fd = yg_fs_memfd("test", yg_bytes_of(text), &err);
	assert_true(fd >= 0);
	return fd;
}

static int sample(const char *text)
{
	struct yg_err err = {0};
	struct yg_buf stored YG_AUTO(yg_buf) = YG_BUF(4096);
	assert_int_equal(yg_sample_encode(yg_bytes_of(text), &stored, &err), 0);
	int fd = yg_fs_memfd("sample", yg_buf_bytes(&stored), &err);
	assert_true(fd >= 0);
	return fd;
}

static void expect_scan(struct place *p, const char *text, const char *want)
{
	int fd YG_AUTO(fd) = memory_file(text);
	expect(p, p->walk, "am.scan", json_pack("{s:s}", "name", "/x"), &fd, 1, want);
}

#define CLEAN "{\"reason\":\"\",\"signature\":\"\",\"verdict\":\"clean\"}"
#define FOUND "{\"reason\":\"\",\"signature\":\"Yagura.Test.One\",\"verdict\":\"malicious\"}"
#define LARGE "{\"reason\":\"too_large\",\"signature\":\"\",\"verdict\":\"unjudged\"}"

/* What the watch is told while nothing is scanned. */
static void expect_watch(struct place *p, json_int_t scan_max_ms)
{
	struct answer a YG_AUTO(answer) = {0};
	ask(p, p->install, "am.abi", NULL, NULL, 0, &a);
	wait_all(p);
	assert_non_null(a.body);
	assert_true(json_integer_value(json_object_get(a.body, "clamav")) > 100);
	assert_int_equal(json_integer_value(json_object_get(a.body, "slowest_ms")), 0);
	assert_int_equal(json_integer_value(json_object_get(a.body, "scan_max_ms")), scan_max_ms);
}

/* ---- tests ---- */

static void loads_and_judges(void **state)
{
	struct place *p = *state;
	start_role(p, "");
	int fd YG_AUTO(fd) = memory_file("x");
	expect(p, p->walk, "am.scan", json_pack("{s:s}", "name", "/x"), &fd, 1,
		"no content is loaded");
	load(p);
	assert_int_equal(faccessat(p->root, "tmp/engine-1", F_OK, 0), -1);
	expect_scan(p, "harmless", CLEAN);
	expect_scan(p, "before " WORD, FOUND);
	expect_watch(p, 120000);
	expect(p, p->walk, "am.scan", json_pack("{s:s}", "name", "/x"), NULL, 0,
		"want 1 descriptor, have 0");
	expect(p, p->walk, "am.scan", NULL, &fd, 1, "name: want a string, have nothing");
	/* Walk may ask for scans, and for nothing else; install the other way round. */
	expect(p, p->walk, "am.load", load_body("s1"), &p->set, 1, "no message 'am.load' here");
	expect(p, p->install, "am.scan", NULL, &fd, 1, "no message 'am.scan' here");
}

static void works_as_another_user(void **state)
{
	struct place *p = *state;
	struct stat st;
	struct passwd *nobody = getpwnam("nobody");
	if (geteuid() != 0 || !nobody) {
		print_message("skipped: only root can become another user\n");
		skip();
	}
	assert_int_equal(fchownat(p->root, "tmp", nobody->pw_uid, nobody->pw_gid, 0), 0);
	assert_int_equal(fchmodat(p->root, "tmp", 0700, 0), 0);
	assert_int_equal(fchownat(p->root, "tmp/engine-1", nobody->pw_uid, nobody->pw_gid, 0), 0);
	start_role(p, "nobody");
	load(p);
	expect_scan(p, "before " WORD, FOUND);
	assert_int_equal(faccessat(p->root, "tmp/engine-1", F_OK, 0), -1);
	char name[64];
	(void)snprintf(name, sizeof(name), "tmp/engine-%d", (int)p->pid);
	assert_int_equal(fstatat(p->root, name, &st, 0), 0);
	assert_int_equal(st.st_uid, nobody->pw_uid);
	(void)snprintf(name, sizeof(name), "/proc/%d/status", (int)p->pid);
	char text[2048] = "";
	FILE *status = fopen(name, "r");
	assert_non_null(status);
	assert_true(fread(text, 1, sizeof(text) - 1, status) > 0);
	(void)fclose(status);
	assert_non_null(strstr(text, "CapEff:\t0000000000000000"));
	assert_non_null(strstr(text, "CapPrm:\t0000000000000000"));
}

static void loads_one_set_only(void **state)
{
	struct place *p = *state;
	start_role(p, "");
	struct answer first YG_AUTO(answer) = {0}, second YG_AUTO(answer) = {0};
	ask(p, p->install, "am.load", load_body("s1"), &p->set, 1, &first);
	ask(p, p->install, "am.load", load_body("s1"), &p->set, 1, &second);
	wait_all(p);
	assert_non_null(first.body);
	assert_true(json_equal(first.body, second.body));
	load(p); /* answers as before */
	expect(p, p->install, "am.load", load_body("s2"), &p->set, 1,
		"am.load: this engine had its content: want a new one");
}

static void refuses_broken_content(void **state)
{
	struct place *p = *state;
	put_text(p->root, "set/am-pattern/b.ndb", NDB "Yagura.Broken:0:*:zz\n");
	start_role(p, "");
	expect(p, p->install, "am.load", load_body("s1"), &p->set, 1,
		"am-pattern: b.ndb: line 2: Problem parsing database");
	int fd YG_AUTO(fd) = memory_file(WORD);
	expect(p, p->walk, "am.scan", json_pack("{s:s}", "name", "/x"), &fd, 1,
		"no content is loaded");
}

static void refuses_a_policy_that_does_not_fit(void **state)
{
	struct place *p = *state;
	start_role(p, "");
	expect(p, p->install, "am.load",
		json_pack("{s:s, s:{s:i}}", "set", "s1", "policy", "max_files", 0), &p->set, 1,
		"am.load: SET_CONFIG ffffd8ec: max_files: want 1..1000000, have 0");
	load(p); /* nothing was done yet: it may be asked again */
	expect(p, p->install, "am.config",
		json_pack("{s:s, s:{s:i, s:i}}", "command", "SET_CONFIG", "config",
			"max_file_bytes", 4, "max_files", 0),
		NULL, 0, "SET_CONFIG ffffd8ec: max_files: want 1..1000000, have 0");
	expect_scan(p, "before " WORD, FOUND);
	expect(p, p->install, "am.config", json_pack("{s:s}", "command", "STOP"), NULL, 0,
		"command: want 'SET_CONFIG', have 'STOP'");
	expect(p, p->install, "am.config",
		json_pack("{s:s, s:{s:i, s:i, s:i}}", "command", "SET_CONFIG", "config",
			"max_file_bytes", 4, "max_scan_ms", 5000, "threads", 4),
		NULL, 0, "{}");
	expect_watch(p, 5000);
	expect_scan(p, "before " WORD, LARGE);
}

static void tries_samples(void **state)
{
	static const struct {
		const char *what;
		const char *find, *pass; /* names; "bad…" holds the word, "good…" does not */
		const char *want;
	} rows[] = {
		{"finds and passes", "eicar bad1 bad2", "good1", "{}"},
		{"nothing to try", "", "", "{}"},
		{"EICAR only", "eicar", "", "{}"},
		{"a sample is not found", "bad1 good1", "",
			"trial: sample 'good1': want malicious, have clean"},
		{"a clean sample is flagged", "bad1", "good1 bad2",
			"trial: sample 'bad2': want clean, have Yagura.Test.One"},
		{"a sample is no container", "broken1", "", NULL},
	};
	struct place *p = *state;
	start_role(p, "");
	load(p);
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		int fds[8];
		size_t count = 0;
		json_t *lists[2];
		const char *const texts[2] = {rows[i].find, rows[i].pass};
		for (size_t l = 0; l < 2; l++) {
			char names[64];
			char *rest = NULL;
			(void)snprintf(names, sizeof(names), "%s", texts[l]);
			lists[l] = json_array();
			for (char *n = strtok_r(names, " ", &rest); n;
				n = strtok_r(NULL, " ", &rest)) {
				(void)json_array_append_new(lists[l], json_string(n));
				if (n[0] == 'b' && n[1] == 'r')
					fds[count++] = memory_file("YGSAMP");
				else if (n[0] != 'e')
					fds[count++] = sample(n[0] == 'b' ? "x " WORD : "x");
			}
		}
		char *text YG_AUTO(mem) = ask_text(p, p->install, "am.trial",
			json_pack("{s:o, s:o}", "find", lists[0], "pass", lists[1]), fds, count);
		if (rows[i].want)
			assert_string_equal(text, rows[i].want);
		else
			assert_memory_equal(text, "trial: sample 'broken1': ", 25);
		for (size_t f = 0; f < count; f++)
			(void)close(fds[f]);
	}
	int fd YG_AUTO(fd) = sample("x");
	expect(p, p->install, "am.trial", json_pack("{s:[s, s], s:[]}", "find", "a", "b", "pass"),
		&fd, 1, "trial: find: sample 'b': no descriptor came for it");
	expect(p, p->install, "am.trial", json_pack("{s:[], s:[]}", "find", "pass"), &fd, 1,
		"trial: want 0 descriptors, have 1");
}

static void many_scans_are_all_answered(void **state)
{
	enum { SCANS = 200 };
	struct place *p = *state;
	static struct answer answers[SCANS];
	memset(answers, 0, sizeof(answers));
	start_role(p, "");
	load(p);
	int bad YG_AUTO(fd) = memory_file("x " WORD), good YG_AUTO(fd) = memory_file("x");
	for (int i = 0; i < SCANS; i++)
		ask(p, p->walk, "am.scan", json_pack("{s:s}", "name", "/x"), i % 3 ? &good : &bad,
			1, &answers[i]);
	/* Install lets go of it, as after a switch to another set: what came before is answered. */
	yg_ipc_free(p->install);
	p->install = NULL;
	wait_all(p);
	for (int i = 0; i < SCANS; i++) {
		char *text YG_AUTO(mem) = answers[i].body ? yg_json_text(answers[i].body) : NULL;
		assert_non_null(text);
		assert_string_equal(text, i % 3 ? CLEAN : FOUND);
		json_decref(answers[i].body);
	}
	/* Walk lets go of it too, and it stays a moment, for one that comes back for it. */
	yg_ipc_free(p->walk);
	p->walk = link_as(p, "walk");
	expect_scan(p, "before " WORD, FOUND);

	/* Nobody comes: it ends by itself. */
	yg_ipc_free(p->walk);
	p->walk = NULL;
	int status = -1;
	for (int i = 0; i < SECONDS * 100 && waitpid(p->pid, &status, WNOHANG) == 0; i++)
		(void)usleep(10000);
	p->pid = 0;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- what is denied ---- */

static int outcome(long rc)
{
	return rc < 0 ? errno : 0;
}

static int try_read(void)
{
	return outcome(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
}

static int try_list(void)
{
	return outcome(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static int try_create(void)
{
	return outcome(open("/tmp/yagura-am-test.new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

static int set_fd;

static int try_set(void)
{
	return outcome(openat(set_fd, "am-pattern/a.ndb", O_RDONLY | O_CLOEXEC));
}

static int try_own(void)
{
	return outcome(open("made", O_WRONLY | O_CREAT | O_CLOEXEC, 0600)); /* in its directory */
}

static int try_socket(void)
{
	return outcome(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static int try_unix(void)
{
	return outcome(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static int try_fork(void)
{
	pid_t pid = fork();
	if (pid == 0)
		_exit(0);
	return outcome(pid);
}

static int try_exec(void)
{
	static char name[] = "/bin/true";
	char *const args[] = {name, NULL};
	return outcome(execv(name, args));
}

static int try_kill(void)
{
	return outcome(kill(getppid(), 0));
}

static int try_become_root(void)
{
	return outcome(setuid(0));
}

static const struct {
	const char *what;
	int (*attempt)(void);
	bool allowed;
} tries[] = {
	{"read a file of the system", try_read, false},
	{"list a folder", try_list, false},
	{"make a file", try_create, false},
	{"read the set again, after loading", try_set, false},
	{"make a file in its temporary directory", try_own, true},
	{"use the network", try_socket, false},
	{"connect to a service of this machine", try_unix, false},
	{"make a process", try_fork, false},
	{"run a program", try_exec, false},
	{"signal another process", try_kill, false},
	{"become root", try_become_root, false},
};

/* Be the role until everybody has let go of it, and then look what is left. */
static _Noreturn void be_role(int tmp, int install)
{
	struct yg_err err = {0};
	struct yg_role_env env = {.loop = yg_loop_new(&err),
		.config = json_object(),
		.tag = "",
		.fds = {tmp},
		.fd_count = 1};
	void *self = NULL;
	if (!env.loop || am_start(&env, &self, &err) < 0) {
		(void)fprintf(stderr, "%s\n", err.msg);
		_exit(200);
	}
	am_link(self, "install", "", install);
	yg_loop_run(env.loop);
	for (unsigned i = 0; i < YG_COUNT(tries); i++) {
		if ((tries[i].attempt() == 0) != tries[i].allowed) {
			(void)fprintf(stderr, "%s: not as it should be\n", tries[i].what);
			_exit((int)i + 1);
		}
	}
	_exit(0);
}

static void denies_everything_else(void **state)
{
	struct place *p = *state;
	struct yg_err err = {0};
	if (!yg_sandbox_walls())
		skip();
	int pair[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	set_fd = p->set;
	p->pid = fork();
	assert_true(p->pid >= 0);
	if (p->pid == 0) {
		(void)close(pair[0]); /* or it would never see us go */
		be_role(yg_fs_open_dir(p->root, "tmp", &err), pair[1]);
	}
	(void)close(pair[1]);
	p->install = yg_ipc_new(p->loop, pair[0], "am", NULL, NULL, NULL, &err);
	assert_non_null(p->install);
	load(p);
	yg_ipc_free(p->install);
	p->install = NULL;
	int status = -1;
	assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
	p->pid = 0;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(int argc, char **argv)
{
#define ROW(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		ROW(loads_and_judges),
		ROW(works_as_another_user),
		ROW(loads_one_set_only),
		ROW(refuses_broken_content),
		ROW(refuses_a_policy_that_does_not_fit),
		ROW(tries_samples),
		ROW(many_scans_are_all_answered),
		ROW(denies_everything_else),
	};
	if (argc != 2) {
		(void)fprintf(stderr, "usage: %s PROGRAM-OF-THE-ROLE\n", argv[0]);
		return 2;
	}
	program = argv[1];
	yg_log_init("test", YG_LOG_WARN);
	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
