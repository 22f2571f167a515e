/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "cli/agent.h"
#include "cli/alerts.h"
#include "cli/cli.h"
#include "cli/content.h"
#include "cli/diagnose.h"
#include "cli/groups.h"
#include "cli/jobs.h"
#include "cli/licences.h"
#include "cli/logs.h"
#include "cli/manager.h"
#include "cli/package.h"
#include "cli/probe.h"
#include "cli/settings.h"
#include "cli/tasks.h"

#define MANY ARGS_WORDS_MAX

static const struct args_option wait_only[] = {
	{"--wait", NULL,
		{"show progress, end with the job's outcome",
			"進行状況を表示し、ジョブの結果で終了する"}},
	{0},
};

static const struct args_option alerts[] = {
	{"--all", NULL,
		{"those that ended, too, with the reason", "終了したアラートも理由と共に表示する"}},
	{0},
};

#define TASK_OPTIONS                                                                               \
	{"--every", "SECONDS", {"so often", "実行間隔 (秒)"}},                                     \
		{"--hourly", "MINUTE", {"at this minute of every hour", "毎時この分に実行する"}},  \
		{"--daily", "HH:MM", {"every day at", "毎日この時刻に実行する"}},                  \
		{"--weekly", "HH:MM",                                                              \
			{"at, on the days of --weekdays",                                          \
				"--weekdaysの曜日のこの時刻に実行する"}},                          \
		{"--weekdays", "mon,thu", {"days for --weekly", "--weeklyの曜日"}},                \
		{"--zone", "ZONE",                                                                 \
			{"time zone, as Asia/Tokyo; UTC",                                          \
				"タイムゾーン (例 Asia/Tokyo、初期値 UTC)"}},                      \
		{"--kind", "KIND",                                                                 \
			{"update, scan or check; update", "update、scan、check (初期値 update)"}}, \
		{"--computers", "A,B", {"names or ids", "名前またはID"}},                          \
		{"--relay-group", "G",                                                             \
			{"computers of this group", "このRelayグループのコンピュータ"}},           \
		{"--policy", "P", {"computers with this policy", "このポリシーのコンピュータ"}},   \
		{"--all-computers", NULL,                                                          \
			{"all; this is the default", "すべてのコンピュータ (初期値)"}},            \
		{"--paths", "/A,/B", {"what a scan looks at", "検索の対象パス"}},                  \
		{"--window", "SECONDS",                                                            \
			{"spread the computers' starts over so long; 0",                           \
				"開始時刻を分散させる期間 (秒、初期値 0)"}},                       \
		{"--missed", "WHAT",                                                               \
			{"when the Manager was not there: run or skip; run",                       \
				"Managerの停止中に予定時刻を過ぎた場合: run、skip (初期値 run)"}}, \
		{"--no-relays", NULL,                                                              \
			{"only from what the relays have",                                         \
				"Relayが持つコンテンツのみを使用する"}},                           \
		{"--enable", NULL, {"it runs; this is the default", "有効にする (初期値)"}},       \
	{                                                                                          \
		"--disable", NULL,                                                                 \
		{                                                                                  \
			"it does not run", "無効にする"                                       \
		}                                                                                  \
	}

static const struct args_option tasks_create_options[] = {TASK_OPTIONS, {0}};

static const struct args_option tasks_set_options[] = {TASK_OPTIONS,
	{"--name", "NAME", {"another name", "新しい名前"}}, {0}};

static const struct args_option content_options[] = {
	{"--mode", "MODE",
		{"latest, previous, pinned, or policy: what the policy says",
			"latest、previous、pinned、policy (ポリシーに従う)"}},
	{"--pins", "NAME=N,…", {"these versions of components", "コンポーネントの固定バージョン"}},
	{0},
};

static const struct args_option update[] = {
	{"--computers", "A,B", {"names or ids; all", "名前またはID (初期値: すべて)"}},
	{"--relays", NULL,
		{"the relays fetch first; this is the default",
			"先にRelayをアップデートする (初期値)"}},
	{"--no-relays", NULL,
		{"only from what the relays have", "Relayが持つコンテンツのみを使用する"}},
	{"--scheduled", NULL,
		{"respect holds, as a run by the clock does", "予約タスクと同様に保留を尊重する"}},
	{"--wait", NULL,
		{"show progress, end with the job's outcome",
			"進行状況を表示し、ジョブの結果で終了する"}},
	{0},
};

static const struct args_option events[] = {
	{"--computer", "C", {"name or id", "コンピュータの名前またはID"}},
	{"--id", "N", {"the event's number", "イベントID"}},
	{"--level", "LEVEL", {"info, warning or error", "info、warning、error"}},
	{"--text", "TEXT", {"part of name or description", "名前または説明の一部"}},
	{"--from", "TIME",
		{"not before, as 2026-11-21T22:47:43Z", "開始時刻 (例 2026-11-21T22:47:43Z)"}},
	{"--to", "TIME", {"before", "終了時刻"}},
	{"--limit", "N", {"at most so many; 50", "最大件数 (初期値 50)"}},
	{"--support", NULL,
		{"those with a cause, in the form for support",
			"原因コードのあるイベントをサポートへの連絡用に表示する"}},
	{0},
};

static const struct args_option agent_events_options[] = {
	{"--limit", "N", {"at most so many; 20", "最大件数 (初期値 20)"}},
	{0},
};

static const struct args_option activate[] = {
	{"--token", "TOKEN",
		{"from 'yagura tokens create'", "「yagura tokens create」で作成したトークン"}},
	{"--name", "NAME",
		{"name of this computer at the Manager; its host name",
			"Managerでの表示名 (初期値: ホスト名)"}},
	{0},
};

static const struct args_option tokens[] = {
	{"--name", "NAME", {"what it is for", "用途を示す名前"}},
	{"--uses", "N", {"activations; 1", "有効化できる回数 (初期値 1)"}},
	{"--valid", "SECONDS", {"how long; a day", "有効期間 (秒、初期値 1日)"}},
	{"--policy", "P", {"of the computers that use it", "適用するポリシー"}},
	{"--relay-group", "G", {"of the computers that use it", "割り当てるRelayグループ"}},
	{"--no-relay", NULL, {"none of them may be a relay", "Relayとしての使用を許可しない"}},
	{0},
};

static const struct args_option relay_group_create[] = {
	{"--parent", "GROUP",
		{"its relays take from those of this group; without it from the update source",
			"取得元のRelayグループ (省略時はアップデート元)"}},
	{"--default", NULL, {"new computers join it", "新しいコンピュータの所属先にする"}},
	{0},
};

static const struct args_option relay_group_set[] = {
	{"--name", "NAME", {"another name", "新しい名前"}},
	{"--parent", "GROUP",
		{"its relays take from those of this group; '' for the update source",
			"取得元のRelayグループ ('' でアップデート元)"}},
	{"--default", NULL, {"new computers join it", "新しいコンピュータの所属先にする"}},
	{0},
};

static const struct args_option keys[] = {
	{"--role", "ROLE", {"full or read; full", "fullまたはread (初期値 full)"}},
	{0},
};

static const struct args_option policies[] = {
	{"--name", "NAME",
		{"the policy that is replaced or made",
			"置き換える、または作成するポリシーの名前"}},
	{0},
};

static const struct args_option agent_update_options[] = {
	{"--bundle", "FILE",
		{"from a bundle of the publisher's; a relay serves it too",
			"公開元のバンドルファイルから更新する (Relayはその内容も配布する)"}},
	{0},
};

static const struct args_option jobs[] = {
	{"--support", NULL,
		{"what failed in the job, in the form for support",
			"ジョブの失敗をサポートへの連絡用に表示する"}},
	{0},
};

static const struct args_option diagnose[] = {
	{"--log", NULL,
		{"read logs (FILE...; -: stdin) and say what they mean",
			"ログ (FILE...、- は標準入力) を読み取り、内容と対処方法を表示する"}},
	{"--manager", NULL,
		{"the Manager, instead of the agent on this computer",
			"このコンピュータのAgentではなくManagerを調べる"}},
	{"--network-plan", NULL,
		{"who connects to whom, for those who run firewalls and proxies",
			"ファイアウォールやプロキシの管理者向けの通信一覧を作成する"}},
	{"--format", "md|csv", {"of the network plan; md", "通信一覧の形式 (初期値 md)"}},
	{"--out", "FILE",
		{"where the network plan goes; stdout", "通信一覧の出力先 (初期値 標準出力)"}},
	{"--support", NULL,
		{"causes in the form for support: code, sentence, computer, time, versions",
			"サポートへの連絡用に、原因コード、内容、コンピュータ、時刻、バージョンを表示する"}},
	{0},
};

static const struct args_option log_options[] = {
	{"--role", "ROLE", {"only of this process", "指定したプロセスのみ"}},
	{"--level", "LEVEL",
		{"up to error, warn, notice, info, debug or trace; all",
			"error、warn、notice、info、debug、traceまで (初期値: すべて)"}},
	{"--limit", "N", {"only the last N lines", "最後のN行のみ"}},
	{0},
};

static const struct args_option log_level_options[] = {
	{"--role", "ROLE",
		{"of this process: parent, session, install, …; of all",
			"指定したプロセス (parent、session、installなど) のみ (初期値: すべて)"}},
	{0},
};

static const struct args_option package_options[] = {
	{"--out", "FILE",
		{"where to; a name with host and time in this folder",
			"保存先 (初期値: 現在のフォルダにホスト名と時刻を含む名前で保存)"}},
	{0},
};

static const struct args_option test_options[] = {
	{"--from", "COMPUTER",
		{"the computer that tests, or manager; manager",
			"接続テストを行うコンピュータ、またはmanager (初期値)"}},
	{0},
};

const struct args_command cli_commands[] = {
	{"agent status", "", 0, 0, NULL, agent_status,
		{"state of the agent on this computer", "このコンピュータのAgentの状態"}},
	{"agent components", "", 0, 0, NULL, agent_components,
		{"what content it runs", "使用中のコンポーネント"}},
	{"agent activate", "", 0, 0, activate, agent_activate,
		{"let a Manager manage it: --url URL --token TOKEN",
			"Managerの管理下に置く: --url URL --token TOKEN"}},
	{"agent update", "", 0, 0, agent_update_options, agent_update,
		{"security update now", "今すぐセキュリティアップデートを行う"}},
	{"agent rollback", "", 0, 0, NULL, agent_rollback,
		{"back to the components before", "以前のコンポーネントに戻す"}},
	{"agent release-hold", "", 0, 0, NULL, agent_release_hold,
		{"let updates take the components again that were left",
			"ロールバックによる保留を解除する"}},
	{"agent scan", "PATH...", 1, MANY, NULL, agent_scan,
		{"look for malware; exit status 1 when some is found",
			"不正プログラムを検索する (検出時の終了ステータスは1)"}},
	{"agent test", "[WHAT]", 0, 1, NULL, probe_agent,
		{"test the connection to relays, source or manager, step by step; relays",
			"接続テストを行う: relays (初期値)、source、manager"}},
	{"agent repair", "", 0, 0, NULL, agent_repair,
		{"check and mend the stored components",
			"保存されているコンポーネントを確認、修復する"}},
	{"agent events", "", 0, 0, agent_events_options, agent_events,
		{"its newest events", "最新のイベント"}},
	{"agent log", "", 0, 0, log_options, logs_show,
		{"the last lines of all its processes, at every level",
			"全プロセスの直近のログ (全レベル)"}},
	{"agent log-level", "[LEVEL]", 0, 1, log_level_options, logs_level,
		{"show or change what is logged: error, warn, notice, info or debug",
			"ログレベルの表示、変更 (error、warn、notice、info、debug)"}},
	{"agent diagnostic-package", "", 0, 0, package_options, package_agent,
		{"a zip file for support, without secrets; also when the agent does not run",
			"サポート用の診断パッケージ (zip、機密情報なし) を作成する (Agent停止中も可)"}},
	{"diagnose", "[FILE]...", 0, MANY, diagnose, diagnose_run,
		{"what is wrong, and what helps; exit status 1 when something is",
			"問題と対処方法を調べる (問題がある場合の終了ステータスは1)"}},
	{"log", "", 0, 0, log_options, logs_show_manager,
		{"the last lines of all processes of the Manager on this computer",
			"このコンピュータのManagerの全プロセスの直近のログ"}},
	{"diagnostic-package", "", 0, 0, package_options, package_manager_make,
		{"a zip file of the Manager's for support, without secrets",
			"サポート用にManagerの診断パッケージ (zip、機密情報なし) を作成する"}},
	{"status", "", 0, 0, NULL, manager_status, {"the Manager at a glance", "Managerの概要"}},
	{"computers", "[COMPUTER]", 0, 1, NULL, manager_computers,
		{"computers, or one of them", "コンピュータの一覧、または詳細"}},
	{"computers delete", "COMPUTER", 1, 1, NULL, manager_computers_delete,
		{"deactivate it and revoke its certificate",
			"コンピュータを無効化し、証明書を失効させる"}},
	{"update", "", 0, 0, update, jobs_update,
		{"security update of computers", "コンピュータのセキュリティアップデート"}},
	{"rollback", "COMPUTER...", 1, MANY, wait_only, jobs_rollback,
		{"computers back to the components before",
			"コンピュータを以前のコンポーネントに戻す"}},
	{"release-hold", "COMPUTER...", 1, MANY, wait_only, jobs_release_hold,
		{"end the hold that a rollback left", "ロールバックによる保留を解除する"}},
	{"scan", "COMPUTER PATH...", 2, MANY, wait_only, jobs_scan,
		{"malware scan on a computer; with --wait, exit status 1 when some is found",
			"コンピュータの不正プログラム検索 (--waitで検出時の終了ステータスは1)"}},
	{"events", "", 0, 0, events, manager_events,
		{"events, newest first", "イベント (新しい順)"}},
	{"components", "", 0, 0, NULL, manager_components,
		{"newest components, and who runs what", "最新のコンポーネントと適用状況"}},
	{"jobs cancel", "JOB", 1, 1, wait_only, jobs_cancel,
		{"cancel a job: computers that work on it are told to stop",
			"ジョブのキャンセル (実行中のコンピュータには中止を指示)"}},
	{"jobs", "[JOB]", 0, 1, jobs, jobs_list,
		{"jobs, or one with every computer's result",
			"ジョブの一覧、またはコンピュータごとの結果"}},
	{"test", "[WHAT]", 0, 1, test_options, probe_manager,
		{"test the connection to source, relays or manager, step by step",
			"接続テストを行う: source、relays、manager"}},
	{"tokens", "", 0, 0, NULL, manager_tokens, {"activation tokens", "有効化トークンの一覧"}},
	{"tokens create", "", 0, 0, tokens, manager_tokens_create,
		{"a new one; printed once", "有効化トークンを作成する (表示は一度だけ)"}},
	{"tokens delete", "ID", 1, 1, NULL, manager_tokens_delete,
		{"withdraw one", "有効化トークンを取り消す"}},
	{"keys", "", 0, 0, NULL, manager_keys, {"API keys", "APIキーの一覧"}},
	{"keys create", "NAME", 1, 1, keys, manager_keys_create,
		{"a new one; printed once", "APIキーを作成する (表示は一度だけ)"}},
	{"keys delete", "ID", 1, 1, NULL, manager_keys_delete,
		{"withdraw one", "APIキーを取り消す"}},
	{"relays", "", 0, 0, NULL, groups_relays,
		{"relays: state, group, content, addresses",
			"Relayの一覧 (状態、グループ、コンテンツ、アドレス)"}},
	{"relays on", "COMPUTER...", 1, MANY, NULL, groups_relays_on,
		{"let computers be relays", "コンピュータのRelay機能を有効にする"}},
	{"relays off", "COMPUTER...", 1, MANY, NULL, groups_relays_off,
		{"let computers be no relays", "コンピュータのRelay機能を無効にする"}},
	{"relays own", "COMPUTER...", 1, MANY, NULL, groups_relays_own,
		{"let computers' own configuration decide",
			"Relay機能の有効、無効をAgentの構成に任せる"}},
	{"relays address", "COMPUTER [URL]...", 1, 17, NULL, groups_relays_address,
		{"where a relay is reached; without URL what its agent says",
			"Relayのアドレスを設定する (URL省略時はAgentの通知に従う)"}},
	{"relay-groups", "[GROUP]", 0, 1, NULL, groups_list,
		{"groups of relays, or one of them", "Relayグループの一覧、または詳細"}},
	{"relay-groups create", "NAME", 1, 1, relay_group_create, groups_create,
		{"a new one", "Relayグループを作成する"}},
	{"relay-groups set", "GROUP", 1, 1, relay_group_set, groups_set,
		{"change its name or what it takes from", "Relayグループの名前や取得元を変更する"}},
	{"relay-groups assign", "GROUP COMPUTER...", 2, MANY, NULL, groups_assign,
		{"let computers belong to it", "コンピュータにRelayグループを割り当てる"}},
	{"relay-groups delete", "GROUP", 1, 1, NULL, groups_delete,
		{"remove one that nothing belongs to", "使用されていないRelayグループを削除する"}},
	{"alerts", "", 0, 0, alerts, alerts_list,
		{"what lasts and wants a person", "対応が必要なアラート"}},
	{"expiry", "", 0, 0, NULL, alerts_expiry,
		{"everything that expires, the first first", "有効期限の一覧 (近い順)"}},
	{"tasks", "", 0, 0, NULL, tasks_list, {"scheduled tasks", "予約タスクの一覧"}},
	{"tasks create", "NAME", 1, 1, tasks_create_options, tasks_create,
		{"a new one, with one of --every, --hourly, --daily and --weekly",
			"予約タスクを作成する (--every、--hourly、--daily、--weeklyのいずれかを指定)"}},
	{"tasks set", "TASK", 1, 1, tasks_set_options, tasks_change,
		{"change what is named", "予約タスクを変更する"}},
	{"tasks run", "TASK", 1, 1, NULL, tasks_run, {"run it now", "今すぐ実行する"}},
	{"tasks delete", "TASK", 1, 1, NULL, tasks_delete, {"delete it", "予約タスクを削除する"}},
	{"licences", "", 0, 0, NULL, licences_list,
		{"licences, and the keys that may sign them", "ライセンスと署名用の鍵の一覧"}},
	{"licences add", "FILE", 1, 1, NULL, licences_add,
		{"add a licence file", "ライセンスファイルを追加する"}},
	{"licences add-key", "FILE", 1, 1, NULL, licences_add_key,
		{"a public key that may sign licences", "ライセンスに署名できる公開鍵を追加する"}},
	{"licences remove", "ID", 1, 1, NULL, licences_remove,
		{"a licence or a key", "ライセンスまたは鍵を削除する"}},
	{"content", "", 0, 0, NULL, content_show,
		{"what content computers should run", "コンピュータのコンテンツ指定の一覧"}},
	{"content set", "COMPUTER...", 1, MANY, content_options, content_set,
		{"newest, the one before, or pinned versions",
			"最新、1つ前、または固定バージョンを指定する"}},
	{"settings", "[NAME|NAME=VALUE]...", 0, MANY, NULL, settings_run,
		{"show or change settings; @FILE takes a value from a file, @- from standard input",
			"設定の表示、変更 (値 @FILE でファイル、@- で標準入力から指定)"}},
	{"policies", "", 0, 0, NULL, manager_policies, {"policies", "ポリシーの一覧"}},
	{"policies show", "POLICY", 1, 1, NULL, manager_policies_show,
		{"the document of one", "ポリシーの内容を表示する"}},
	{"policies set", "FILE", 1, 1, policies, manager_policies_set,
		{"make or replace one from a JSON file",
			"JSONファイルからポリシーを作成、置換する"}},
	{"policies assign", "POLICY COMPUTER...", 2, MANY, NULL, manager_policies_assign,
		{"let computers have it", "ポリシーをコンピュータに割り当てる"}},
	{"policies send", "COMPUTER...", 1, MANY, wait_only, jobs_send_policy,
		{"send computers their policy again", "コンピュータにポリシーを再送信する"}},
	{"policies delete", "POLICY", 1, 1, NULL, manager_policies_delete,
		{"remove one that no computer uses", "使用されていないポリシーを削除する"}},
	{0},
};
