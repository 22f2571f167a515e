/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "diagnose/logread.h"

#include <string.h>

#include "core/json.h"
#include "core/str.h"
#include "diagnose/signature.h"
#include "tests/lib/cmocka_all.h"

/* Every line and every code that the troubleshooting articles of old show (behaviours L, T, E, K), and what they say of it. */

static const char excerpt[] =
	"[2014-May-28 06:39:39 4467|1085278544] [app] Merge [src/common/src/rtpatch_merger.cpp(129)]\n"
	"End Rtpatch Merge, result: IAU_STATUS_SUCCESS[0(0,0,0)]\n"
	"[2014-May-28 06:39:39 4467|1085278544] [app] GetPackages [src/core/src/context.cpp(802)]\n"
	"Succeed to get update packages, start to install.\n"
	"[2014-May-28 06:39:41 4467|1085278544] [err] Install [src/common/src/remote_package.cpp(199)]\n"
	"Dynamic exception type: boost::filesystem3::filesystem_error\n"
	"std::exception::what: boost::filesystem::copy_file: File exists:\n"
	"\"/var/opt/ds_agent/lib/iaudata/iaudata5a/temp/3PAgPcpP/ssaptn.511\", "
	"\"/var/opt/ds_agent/lib/resource/c3t536871936/151100/ssaptn.511\"\n"
	"\n"
	"Path1: /var/opt/ds_agent/lib/iaudata/iaudata5a/temp/3PAgPcpP/ssaptn.511\n"
	"Path2: /var/opt/ds_agent/lib/resource/c3t536871936/151100/ssaptn.511\n"
	"[2014-May-28 06:39:41 4467|1085278544] [app] Update [src/core/src/context.cpp(487)]\n"
	"Update finished with result : IAU_STATUS_FILE_EXISTS[-1073610747(3,2,5)]\n";

#define DRIVER_STOPPED                                                                             \
	"SERVICE_NAME: vsepflt\n        TYPE               : 2  FILE_SYSTEM_DRIVER\n"              \
	"        STATE              : 1  STOPPED\n"

/* The first cause that stands, and words that stand in its remedy, in both languages ("" for none). */
struct row {
	const char *log;
	const char *cause; /* "": none stands */
	const char *object;
	const char *en, *ja;
	const char *note; /* English; NULL */
};

static const struct row rows[] = {
	/* S0, TmuDump.txt */
	{"Err yyyymmdd hh:mm:ss 2272 1592 HttpsConnection: Server Error: HTTP 503 Service Unavailable\n"
	 "Err yyyymmdd hh:mm:ss 2272 1592 TmDownloader: Service is under maintainence\n",
		"http.maintenance", "", "", "", NULL},
	{"Err 20140528 06:39:39 2272 1592 HttpsConnection: Server Error: HTTP 503 Service Unavailable\n",
		"http.maintenance", "", "", "", NULL},
	{"Err 20140528 06:39:39 2272 1592 TmDownloader: Service is under maintainence\n",
		"http.maintenance", "", "", "", NULL},
	{"HTTP ステータスコード「503」", "http.maintenance", "", "", "", NULL},
	/* S0, iau.log */
	{excerpt, "store.exists", "/var/opt/ds_agent/lib/resource/c3t536871936/151100/ssaptn.511",
		"Delete /var/opt/ds_agent/lib/resource/c3t536871936/151100/ssaptn.511, then restart",
		"/var/opt/ds_agent/lib/resource/c3t536871936/151100/ssaptn.511 を手動で削除し",
		NULL},
	{"Update finished with result : IAU_STATUS_FILE_EXISTS[-1073610747(3,2,5)]\n",
		"store.exists", "", "the second path", "2番目のパス", NULL},
	{"IAU_STATUS_FILE_EXISTS", "store.exists", "", "the second path", "2番目のパス", NULL},
	{"[2014-May-28 06:39:39 4467|1085278544] [app] Merge [src/common/src/rtpatch_merger.cpp(129)]\n"
	 "End Rtpatch Merge, result: IAU_STATUS_SUCCESS[0(0,0,0)]\n",
		"", "", "", "", "IAU_STATUS_SUCCESS: success"},
	/* S0, iaurelay.log */
	{"IAURELAY_STATUS_NOT_AVAILABLE(-18)", "store.object_damaged", "", "iaurepo", "iaurepo",
		NULL},
	{"IAURELAY_STATUS_DIGITAL_SIGNATURE_CERT_EXPIRE (-24)", "tuf.expired", "", "clock", "時計",
		NULL},
	{"-24 IAURELAY_STATUS_DIGITAL_SIGNATURE_CERT_EXPIRE", "tuf.expired", "", "relay", "Relay",
		NULL},
	/* S0, messages */
	{"Busy with exisiting update", "update.busy", "", "Wait until", "完了を待って", NULL},
	{"コンポーネントをアップデートできませんでした: [セキュリティアップデートのタイムアウト。]",
		"job.timeout", "", "20 minutes", "約20分前", NULL},
	{"イベント:Relay Webサーバの無効化\n説明:Relay Webサーバが無効になっています。\n",
		"http.busy", "", "apart", "重ならない", NULL},
	{"イベントID 1600 : Relayグループのアップデートの要求", "", "", "", "",
		"Event 1600: Relay Group Update Requested"},
	{"イベントID 1601 : Relayグループのアップデートの成功", "", "", "", "",
		"Event 1601: Relay Group Update Success"},
	{"イベントID 273 : セキュリティアップデートの要求", "", "", "", "", "Event 273: "},
	{"イベントID 276 : セキュリティアップデートのダウンロード", "", "", "", "", "Event 276: "},
	{"イベントID 784 : セキュリティアップデート成功", "", "", "", "", "Event 784: "},
	/* S1 */
	{"不正プログラム対策エンジンがオフライン", "engine.offline", "", "mux", "Mux", NULL},
	{"Anti-Malware Engine Offline", "engine.offline", "", "sc query vsepflt",
		"sc query vsepflt", NULL},
	{DRIVER_STOPPED, "engine.offline", "vsepflt", "VMware Tools", "VMware Tools", NULL},
	{"SERVICE_NAME: vmci\n STATE : 4 RUNNING\n", "", "", "", "", "The service vmci is running"},
	{"SERVICE_NAME: vmci\n STATE : 4 RUNNING\n" DRIVER_STOPPED, "engine.offline", "vsepflt",
		"Repair", "再インストール", NULL},
	{"セキュリティアップデート:Agent/Appliance でのパターンファイルのアップデート失敗",
		"update.failed", "", "//", "//", NULL},
	{"セキュリティアップデート:セキュリティアップデートの確認とダウンロード失敗",
		"update.failed", "", "TmuDump.txt", "TmuDump.txt", NULL},
	{"https://ipv6-iaus.trendmicro.com/iau_server.dll//", "", "", "", "",
		"The certificate of this source is not checked: its URL ends in //"},
	/* A name that is cut, between two letters. */
	{"SERVICE_NAME: vsepｾｾｾｾｾｾｾｾｾｾｾｾｾｾｾｾｾｾｾｾｾｾｾｾｾflt\n STATE : 1 STOPPED\n", "engine.offline",
		"vsepｾｾｾｾｾｾｾｾｾｾｾｾｾｾｾｾｾｾｾ", "VMware Tools", "VMware Tools", NULL},
	{"[SC] EnumQueryServicesStatus:OpenService FAILED 1060:", "engine.offline", "",
		"VMware Tools", "VMware Tools", NULL},
	{"サービスが見つかりません", "engine.offline", "", "VMware Tools", "VMware Tools", NULL},
	/* S3 */
	{"レベル: エラー\nイベントID: 1001\nイベント: エンジンコマンドの失敗\n説明: 次のエラーにより、"
	 "エンジンコマンドコードSET_CONFIGは失敗しました: ffffd8ef (unknown error ffffd8ef)。\n",
		"engine.memory", "", "fewer rules", "ルールを減らす", NULL},
	{"イベントID: 1001", "engine.config", "", "policy", "ポリシー", NULL},
	{"「アップデートの失敗」アラート", "update.failed", "", "iau.log", "iau.log", NULL},
	/* Others that its operators know. */
	{"9017 AMSP error code (0xe0ff000b)", "engine.offline", "", "next event", "次のイベント",
		NULL},
	{"403 - Forbidden - untrusted peer.", "auth.unknown_agent", "", "heartbeat", "ハートビート",
		NULL},
	{"Err 20260101 00:00:00 1 2 HttpsConnection: Server Error: HTTP 407 Proxy Authentication Required",
		"proxy.auth", "", "credentials", "認証情報", NULL},
	{"Err 20260101 00:00:00 1 2 HttpsConnection: https://r:4122/x: r:4122 (10.0.0.5 port 4122): the "
	 "connection was refused",
		"net.refused", "", "server", "サーバ", NULL},
	/* Our journal names causes. */
	{"Nov 22 06:00:00 web1 yagura-agent[7]: agent/install: update.failed: no room [store.disk_full]",
		"store.disk_full", "", "space", "空き容量", NULL},
	{"<3>agent/session: manager.failed: heartbeat: the host name does not resolve", "net.dns",
		"", "DNS", "DNS", NULL},
	{"<4>agent/install: engine.offline: it ended, starting again in 100 ms", "engine.offline",
		"", "log", "ログ", NULL},
	{"<4>agent/install: engine.offline: it ended\n<6>agent/am: engine.loaded: 2 signatures", "",
		"", "", "", NULL},
	{"<6>agent: agent.stop: stopping\n<4>agent/install: engine.offline: it ended\n", "", "", "",
		"", NULL},
	{"<6>agent: agent.stop: x\n<6>agent: agent.ready: y\n<4>agent/install: engine.offline: it ended\n",
		"engine.offline", "", "log", "ログ", NULL},
	{"<5>manager: manager.stopping: x\n<4>manager/store: engine.offline: it ended\n", "", "",
		"", "", NULL},
	{"<6>agent: agent.stop: x\n<4>agent/install: update.failed: it ended [update.interrupted]\n",
		"", "", "", "", NULL},
	/* A start after a stop that fails never says that it is ready. */
	{"<6>agent: agent.stop: x\n<3>agent: agent.start: no room [store.disk_full]\n",
		"store.disk_full", "", "space", "空き容量", NULL},
	{"<6>agent: agent.stop: x\n<3>agent: super.start: am: no\n<4>agent/install: engine.offline: it "
	 "ended\n",
		"engine.offline", "", "log", "ログ", NULL},
	/* One program stops, another has trouble. */
	{"<6>agent: agent.stop: x\n<3>manager/store: store.tick: no room [store.disk_full]\n",
		"store.disk_full", "", "space", "空き容量", NULL},
	/* Not alarmed by: what went well, words that are close. */
	{"<6>agent: agent.ready: all roles run\nInf 20260101 00:00:00 1 2 HttpsConnection: HTTP 200, 5 bytes\n",
		"", "", "", "", NULL},
	{"", "", "", "", "", NULL},
	{"just a text\nwith lines [brackets] (5)\n", "", "", "", "", NULL},
};

static const char *text_at(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));
	return text ? text : "";
}

static json_t *read_text(const char *log, size_t len, enum yg_lang lang, size_t *standing)
{
	struct yg_err err = {0};
	struct yg_logread *logread YG_AUTO(yg_logread) = yg_logread_new(lang, &err);
	assert_non_null(logread);
	assert_int_equal(yg_logread_bytes(logread, "a.log", log, len, &err), 0);
	json_t *result = yg_logread_result(logread, standing);
	assert_non_null(result);
	return result;
}

static void check_row(const struct row *row, enum yg_lang lang)
{
	size_t standing = 0;
	json_t *result YG_AUTO(yg_json) = read_text(row->log, strlen(row->log), lang, &standing);
	/* One that is over does not stand. */
	const json_t *first = *row->cause ? json_array_get(json_object_get(result, "causes"), 0)
					  : NULL;
	const char *helps = lang == YG_LANG_JA ? row->ja : row->en;
	if (standing != (*row->cause ? 1u : 0u) ||
		strcmp(text_at(first, "cause"), row->cause) != 0 ||
		strcmp(text_at(first, "object"), row->object) != 0 ||
		!strstr(text_at(first, "remedy"), helps)) {
		char *text YG_AUTO(mem) = yg_json_text(result);
		fail_msg("%s\nwant %s %s '%s', have %zu: %s", row->log, row->cause, row->object,
			helps, standing, text);
	}
	if (!row->note || lang != YG_LANG_EN)
		return;
	const json_t *note = json_array_get(json_object_get(result, "notes"), 0);
	assert_non_null(strstr(text_at(note, "text"), row->note));
}

static void says_what_lines_mean(void **state)
{
	(void)state;
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		check_row(&rows[i], YG_LANG_EN);
		check_row(&rows[i], YG_LANG_JA);
	}
}

/* A success ends what was before it, in the same log or, by the time, in another. */
static void success_ends_failures(void **state)
{
	(void)state;
	static const char good[] =
		"[2014-May-28 07:00:00 1|2] [app] Update [src/core/src/context.cpp(487)]\n"
		"Update finished with result : IAU_STATUS_SUCCESS[0(0,0,0)]\n";
	static const char busy[] =
		"Err 20140528 06:39:39 1 2 TmDownloader: Service is under maintainence\n";
	static const char later[] =
		"Err 20140528 08:00:00 1 2 TmDownloader: Service is under maintainence\n";
	const struct {
		const char *first, *second;
		size_t standing;
	} cases[] = {{excerpt, good, 0}, {busy, good, 0}, {good, busy, 0}, {good, later, 1}};
	for (size_t i = 0; i < YG_COUNT(cases); i++) {
		struct yg_err err = {0};
		size_t standing = 9;
		struct yg_logread *logread YG_AUTO(yg_logread) = yg_logread_new(YG_LANG_EN, &err);
		assert_int_equal(yg_logread_bytes(logread, "TmuDump.txt", cases[i].first,
					 strlen(cases[i].first), &err),
			0);
		assert_int_equal(yg_logread_bytes(logread, "iau.log", cases[i].second,
					 strlen(cases[i].second), &err),
			0);
		json_t *result YG_AUTO(yg_json) = yg_logread_result(logread, &standing);
		assert_non_null(result);
		assert_int_equal(standing, cases[i].standing);
	}
}

/* The file that blocks is named once, not each time it blocks. */
static void repeats_are_one(void **state)
{
	(void)state;
	size_t standing = 0;
	char *twice YG_AUTO(mem) = yg_str_format("%s%s%s", excerpt, excerpt, excerpt);
	json_t *result YG_AUTO(yg_json) = read_text(twice, strlen(twice), YG_LANG_EN, &standing);
	const json_t *cause = json_array_get(json_object_get(result, "causes"), 0);
	assert_int_equal(standing, 1);
	assert_int_equal(json_integer_value(json_object_get(cause, "count")), 6);
	assert_string_equal(text_at(cause, "last"), "2014-05-28T06:39:41Z");
	const json_t *file = json_array_get(json_object_get(result, "files"), 0);
	assert_string_equal(text_at(file, "format"), "iau");
	assert_string_equal(text_at(file, "product"), "other");
}

/* Failures that nobody has described are shown, not hidden. */
static void unknown_is_shown(void **state)
{
	(void)state;
	size_t standing = 9;
	static const char log[] = "Err 20260101 00:00:00 1 2 Weird: the moon is full\n";
	json_t *result YG_AUTO(yg_json) = read_text(log, strlen(log), YG_LANG_EN, &standing);
	assert_int_equal(standing, 0);
	assert_int_equal(json_integer_value(json_object_get(result, "unknown_count")), 1);
	const json_t *one = json_array_get(json_object_get(result, "unknown"), 0);
	assert_string_equal(text_at(one, "seen"), "a.log:1: the moon is full");
}

/* Whoever is told to stop ends its processes: nothing to explain. */
static void stopping_ends_processes(void **state)
{
	(void)state;
	static const struct {
		const char *program, *word;
	} programs[] = {{"agent", "agent.stop"}, {"manager", "manager.stopping"}};
	for (size_t i = 0; i < YG_COUNT(programs); i++) {
		size_t standing = 9;
		char *log YG_AUTO(mem) = yg_str_format("<6>%s: %s: x\n<4>%s: super.exit: x ended\n",
			programs[i].program, programs[i].word, programs[i].program);
		json_t *result YG_AUTO(
			yg_json) = read_text(log, strlen(log), YG_LANG_EN, &standing);
		assert_int_equal(json_integer_value(json_object_get(result, "unknown_count")), 0);
	}
}

static size_t as_utf16(const char *text, bool big, char *out)
{
	size_t len = 0;
	for (; *text; text++) {
		out[len++] = big ? 0 : *text;
		out[len++] = big ? *text : 0;
	}
	return len;
}

static void codings(void **state)
{
	(void)state;
	char wide[2 * sizeof(excerpt) + 2];
	size_t standing = 0;
	for (int big = 0; big < 2; big++) {
		size_t len = as_utf16(excerpt, big, wide);
		json_t *result YG_AUTO(yg_json) = read_text(wide, len, YG_LANG_EN, &standing);
		assert_int_equal(standing, 1);
		const json_t *cause = json_array_get(json_object_get(result, "causes"), 0);
		assert_string_equal(text_at(cause, "cause"), "store.exists");
	}
	/* "イベントID: 1001" in Shift_JIS */
	static const char sjis[] = "\x83\x43\x83\x78\x83\x93\x83\x67ID: 1001\r\n";
	json_t *result YG_AUTO(yg_json) = read_text(sjis, sizeof(sjis) - 1, YG_LANG_EN, &standing);
	const json_t *cause = json_array_get(json_object_get(result, "causes"), 0);
	assert_string_equal(text_at(cause, "cause"), "engine.config");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_what_lines_mean),
		cmocka_unit_test(success_ends_failures),
		cmocka_unit_test(repeats_are_one),
		cmocka_unit_test(unknown_is_shown),
		cmocka_unit_test(stopping_ends_processes),
		cmocka_unit_test(codings),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
