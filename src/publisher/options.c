/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/attr.h"
#include "core/clock.h"
#include "core/json.h"
#include "core/str.h"

/* ---- the table ---- */

enum kind {
	KIND_TEXT,   /* const char * */
	KIND_LIST,   /* const char *[COMMAND_LIST_MAX], with a size_t that counts */
	KIND_NUMBER, /* int64_t, min..max */
	KIND_INT,    /* int, min..max */
	KIND_FLAG,   /* bool */
	KIND_TIME,   /* int64_t, seconds since the epoch */
	KIND_CHOICE, /* int: which of the words in `value` ("a|b|c"), from 0 */
};

struct option_row {
	const char *name;
	const char *value; /* what stands for the value in the help; NULL: none */
	enum kind kind;
	size_t at, count; /* offsets in struct command; count: of a list */
	uint64_t min, max;
	unsigned verbs;      /* bits of enum verb; 0: all */
	const char *help[2]; /* by enum yg_lang */
};

#define ON(verb)                 (1u << VERB_##verb)
#define AT(member)               offsetof(struct command, member)
#define TEXT(member)             KIND_TEXT, AT(member), 0, 0, 0
#define LIST(some, one)          KIND_LIST, AT(some), AT(one##_count), 0, 0
#define NUMBER(member, min, max) KIND_NUMBER, AT(member), 0, min, max
#define INT(member, min, max)    KIND_INT, AT(member), 0, min, max
#define FLAG(member)             KIND_FLAG, AT(member), 0, 0, 0
#define TIME(member)             KIND_TIME, AT(member), 0, 0, 0
#define CHOICE(member)           KIND_CHOICE, AT(member), 0, 0, 0

#define ROTATES (ON(ROTATE_KEY) | ON(REVOKE_KEY))
#define SIGNERS                                                                                    \
	(ON(INIT) | ROTATES | ON(SIGN_ROOT) | ON(ADD_ROOT) | ON(RESIGN) | WRITERS | ON(BUNDLE))
/* What gets a date of expiry. */
#define DATED   (SIGNERS & ~ON(SIGN_ROOT))
#define WRITERS (ON(RELEASE) | ON(IMPORT) | ON(WAVE) | ON(WITHDRAW) | ON(PRUNE))

/* clang-format off */
static const struct option_row options[] = {
	{"keys", "DIR", TEXT(keys), SIGNERS | ON(KEYS) | ON(MAKE_LICENCE),
		{"key folder; REPO.keys", "鍵フォルダ (初期値 REPO.keys)"}},
	{"passphrase-file", "FILE", TEXT(passphrase), SIGNERS | ON(KEYS) | ON(MAKE_LICENCE),
		{"its first line encrypts the keys", "先頭行を鍵の暗号化に使うファイル"}},
	{"key-type", "ed25519|ecdsa|rsa", CHOICE(key_type), ON(INIT) | ON(MAKE_KEY) | ROTATES,
		{"kind of new keys; ed25519", "新しい鍵の種類 (初期値 ed25519)"}},
	{"root-keys", "N", NUMBER(root_keys, 1, 32), ON(INIT),
		{"keys of the root role, 1..32; 1", "ルートロールの鍵の数、1～32 (初期値 1)"}},
	{"threshold", "M", NUMBER(threshold, 1, 32), ON(INIT) | ROTATES,
		{"how many of them must sign; 1", "署名に必要なルート鍵の数 (初期値 1)"}},
	{"root-key-dir", "DIR", LIST(root_dirs, root_dir), SIGNERS | ON(KEYS),
		{"folder (medium) of a root key; repeatable, one for each", "ルート鍵を置くフォルダ (媒体)。鍵ごとに繰り返し指定できる"}},
	{"root-passphrase-file", "FILE", LIST(root_passphrases, root_passphrase), SIGNERS | ON(KEYS),
		{"passphrase of the --root-key-dir at the same place; else asked for", "同じ順番の --root-key-dir のパスフレーズ (省略すると端末で尋ねる)"}},
	{"plain-keys", NULL, FLAG(plain_keys), ON(INIT) | ON(MAKE_KEY) | ROTATES,
		{"new keys on media are not encrypted", "媒体の新しい鍵を暗号化しない"}},
	{"public-key", "FILE", LIST(public_keys, public_key), ON(INIT) | ROTATES,
		{"public half of a key that was made elsewhere; repeatable", "別の場所で作成した鍵の公開部分。繰り返し指定できる"}},
	{"role-keys", "ROLE=M/N", LIST(role_keys, role_key), ON(INIT),
		{"a role has N keys, M of them must sign; repeatable", "ロールの鍵をN個とし、M個の署名を必要とする。繰り返し指定できる"}},
	{"key", "ID", TEXT(key), ON(ROTATE_KEY),
		{"which of the role's keys goes: its id, or the beginning", "置き換える鍵のID (先頭部分でもよい)"}},
	{"new-key-dir", "DIR", TEXT(new_dir), ROTATES | ON(MAKE_KEY),
		{"folder (medium) of the new key; the key folder", "新しい鍵を置くフォルダ (媒体) (初期値 鍵フォルダ)"}},
	{"new-passphrase-file", "FILE", TEXT(new_passphrase), ROTATES | ON(MAKE_KEY),
		{"passphrase of the --new-key-dir; else asked for", "--new-key-dir のパスフレーズ (省略すると端末で尋ねる)"}},
	{"token", "URI", TEXT(token), ON(MAKE_KEY),
		{"the key is in a token: pkcs11:token=...;object=...", "トークン内の鍵を使う (pkcs11:token=...;object=...)"}},
	{"drop", NULL, FLAG(drop), ON(REVOKE_KEY),
		{"no new key comes in its place", "代わりの鍵を作らない"}},
	{"from", "DIR", LIST(from, from), ON(RELEASE),
		{"every file of this folder; repeatable, a later one's files win", "フォルダ内の全ファイル。繰り返した場合は後のフォルダを優先する"}},
	{"from", "COMPONENT=VERSION", LIST(from, from), ON(BUNDLE),
		{"for computers that have this version; repeatable", "このバージョンを持つコンピュータ向け。繰り返し指定できる"}},
	{"add", "FILE", LIST(add, add), ON(RELEASE),
		{"one more file; repeatable", "追加するファイル。繰り返し指定できる"}},
	{"version", "N", NUMBER(version, 1, INT64_MAX), ON(RELEASE) | ON(IMPORT),
		{"version of the component; the next", "コンポーネントのバージョン (初期値は次の番号)"}},
	{"description", "TEXT", TEXT(description), ON(RELEASE) | ON(IMPORT),
		{"for people, <= 200 bytes", "説明 (200バイト以下)"}},
	{"sample-find", "FILE", LIST(find, find), ON(RELEASE) | ON(IMPORT),
		{"an engine must find it before this goes live; repeatable", "適用前にエンジンが検出すべき検体。繰り返し指定できる"}},
	{"sample-pass", "FILE", LIST(pass, pass), ON(RELEASE) | ON(IMPORT),
		{"an engine must not flag it; repeatable", "エンジンが検出してはならない検体。繰り返し指定できる"}},
	{"abi-min", "N", NUMBER(abi_min, 0, INT32_MAX), ON(RELEASE) | ON(IMPORT),
		{"lowest content format level of engines; 150", "エンジンの形式レベルの下限 (初期値 150)"}},
	{"abi-max", "N", NUMBER(abi_max, 0, INT32_MAX), ON(RELEASE) | ON(IMPORT),
		{"highest content format level of engines; 999", "エンジンの形式レベルの上限 (初期値 999)"}},
	{"level", "N", INT(level, 1, 19), ON(RELEASE) | ON(IMPORT),
		{"zstd level, 1..19; 9", "zstdの圧縮レベル、1～19 (初期値 9)"}},
	{"deltas", "N", NUMBER(deltas, 0, 30), ON(RELEASE) | ON(IMPORT),
		{"deltas from so many versions before, 0..30; 30", "差分を作る過去のバージョンの数、0～30 (初期値 30)"}},
	{"reason", "TEXT", TEXT(reason), ON(WITHDRAW),
		{"why, for people", "理由"}},
	{"wave", "TIME:PERCENT", LIST(wave, wave), ON(RELEASE) | ON(IMPORT) | ON(WAVE),
		{"from TIME (2026-11-22T04:00:00Z, +4h) on for so many of a hundred computers; repeatable", "この時刻 (2026-11-22T04:00:00Z、+4h) から適用してよいコンピュータの割合 (%)。繰り返し指定できる"}},
	{"waves", "none|default|slow|fast|emergency", CHOICE(waves), ON(RELEASE) | ON(IMPORT) | ON(WAVE),
		{"in waves over 12 hours, 6 days, 2 hours, 30 minutes; none", "段階的な公開 (12時間、6日、2時間、30分) (初期値 none)"}},
	{"all", NULL, FLAG(all), ON(WAVE),
		{"for all computers, now", "今すぐすべてのコンピュータに公開する"}},
	{"pause", NULL, FLAG(pause), ON(WAVE),
		{"for no more computers than now", "現在より広げない"}},
	{"delta-time", "SECONDS", NUMBER(delta_seconds, 0, 86400), ON(RELEASE) | ON(IMPORT),
		{"begin no delta after so long; 0: make them all", "この秒数の後は新しい差分の作成を始めない (初期値 0 = 制限なし)"}},
	{"keep", "N", NUMBER(keep, 0, 64), ON(RELEASE) | ON(IMPORT) | ON(PRUNE),
		{"earlier versions that stay beside the newest, 0..64; 30", "最新のほかに残すバージョンの数、0～64 (初期値 30)"}},
	{"days", "N", NUMBER(grace, 0, 36500), ON(PRUNE),
		{"what readers of the last N days may need stays; 7", "直近N日間の利用者に必要なものは残す (初期値 7)"}},
	{"warn-days", "N", NUMBER(warn, 0, 36500), ON(VERIFY),
		{"say what runs out within N days; 3", "N日以内に期限が切れるものを知らせる (初期値 3)"}},
	{"component", "NAME", LIST(only, only), ON(BUNDLE),
		{"files of this component only; repeatable", "このコンポーネントのファイルだけ。繰り返し指定できる"}},
	{"since", "TIME", TIME(since), ON(BUNDLE),
		{"for computers that had the newest of TIME, or a later one", "この時刻以降の最新版を持つコンピュータ向け"}},
	{"unpack", NULL, FLAG(unpack), ON(BUNDLE),
		{"BUNDLE DIR: make a repository of it", "BUNDLE DIR: バンドルからリポジトリを作成する"}},
	{"dry-run", NULL, FLAG(dry_run), ON(PRUNE) | ON(IMPORT),
		{"say what would be done", "実行せずに内容だけを表示する"}},
	{"format", "auto|clamav|yara|hash|list|suricata|ossec|lines", CHOICE(feed), ON(IMPORT),
		{"what the feed is; auto: by component and file name", "フィードの形式 (初期値 auto、コンポーネントとファイル名で判定)"}},
	{"unsigned", NULL, FLAG(unsigned_too), ON(IMPORT),
		{"take a .cld, which nobody can sign", "署名できない.cldも受け入れる"}},
	{"max-shrink", "PERCENT", NUMBER(max_shrink, 0, 100), ON(IMPORT),
		{"refuse a feed that lost more of its signatures; 20", "シグネチャがこの割合 (%) を超えて減ったフィードを拒否する (初期値 20)"}},
	{"limit", "N", NUMBER(limit, 0, 100000000), ON(DIFF),
		{"names of each kind and file that are listed; 20", "種類とファイルごとに表示する名前の数 (初期値 20)"}},
	{"force", NULL, FLAG(force), ON(IMPORT),
		{"in spite of warnings", "警告があっても実行する"}},
	{"deep", NULL, FLAG(deep), ON(VERIFY),
		{"every version and every object, read whole", "全バージョンと全オブジェクトを読み取って確認する"}},
	{"role", "ROLE", LIST(roles, role), ON(RESIGN),
		{"sign this role anew; repeatable; snapshot and timestamp", "署名し直すロール。繰り返し指定できる (初期値 snapshotとtimestamp)"}},
	{"if-due", "DAYS", NUMBER(if_due, 1, 36500), ON(RESIGN),
		{"only what runs out within so many days", "この日数以内に期限が切れる場合だけ署名する"}},
	{"root", "FILE", TEXT(root), ON(VERIFY) | ON(SHOW) | ON(BUNDLE),
		{"trust this root.json; the repository's 1.root.json", "信頼するroot.json (初期値はリポジトリの1.root.json)"}},
	{"out", "FILE", TEXT(out), ON(TRUST) | ON(BUNDLE) | ON(IMPORT) | ROTATES | ON(RESIGN) | ON(INIT) | ON(SIGN_ROOT) | ON(MAKE_LICENCE),
		{"where to write it", "出力先"}},
	{"root-days", "N", NUMBER(days.root, 1, 36500), DATED,
		{"expiry of a new root; 365", "新しいrootの有効日数 (初期値 365)"}},
	{"targets-days", "N", NUMBER(days.targets, 1, 36500), DATED,
		{"of targets and component classes; 90", "targetsとクラスロールの有効日数 (初期値 90)"}},
	{"snapshot-days", "N", NUMBER(days.snapshot, 1, 36500), DATED,
		{"of snapshot; 14", "snapshotの有効日数 (初期値 14)"}},
	{"timestamp-days", "N", NUMBER(days.timestamp, 1, 36500), DATED,
		{"of timestamp; 7", "timestampの有効日数 (初期値 7)"}},
	{"now", "TIME", TIME(now), DATED | ON(VERIFY) | ON(SHOW) | ON(IMPORT) | ON(MAKE_LICENCE),
		{"take this for the time: 2026-11-21T00:00:00Z", "現在時刻とみなす時刻 (例 2026-11-21T00:00:00Z)"}},
	{"name", "TEXT", TEXT(name), ON(MAKE_LICENCE),
		{"whom the licence is for", "ライセンスの使用者"}},
	{"ends", "TIME", TIME(ends), ON(MAKE_LICENCE),
		{"when it ends: 2027-11-21T00:00:00Z; never", "有効期限 (例 2027-11-21T00:00:00Z、初期値 無期限)"}},
	{"json", NULL, FLAG(json), 0,
		{"say what was done, and how far it is, as JSON", "結果と進行状況をJSON形式で出力する"}},
	{"lang", "en|ja", CHOICE(lang), 0,
		{"language; else from LC_ALL, LC_MESSAGES, LANG", "表示言語 (指定しない場合はLC_ALL、LC_MESSAGES、LANGに従う)"}},
	{"help", NULL, KIND_FLAG, SIZE_MAX, 0, 0, 0, 0,
		{"this text, or that of a command", "このヘルプ、またはコマンドのヘルプを表示する"}},
};
/* clang-format on */

void options_preset(struct command *command)
{
	*command = (struct command){.now = yg_clock_now_s(),
		.abi_min = 150,
		.abi_max = 999,
		.max_shrink = 20,
		.limit = 20,
		.keep = 30,
		.deltas = 30,
		.grace = 7,
		.warn = 3,
		.level = 9,
		.days = {.root = 365, .targets = 90, .snapshot = 14, .timestamp = 7}};
}

/* ---- one option ---- */

static int set_number(const struct option_row *row, const char *text, void *at,
	const struct command *command, struct yg_err *err)
{
	uint64_t value = 0;
	struct yg_err why = {0};
	if (yg_str_u64(text, row->max, &value, &why) < 0 || value < row->min)
		return yg_fail(err, YG_EFORMAT,
			OPTIONS_SAY(command->lang,
				"--%s: want a number, %llu to %llu, have '%.32s'",
				"--%s: %llu～%llu の数を指定してください ('%.32s' は使用できません)"),
			row->name, (unsigned long long)row->min, (unsigned long long)row->max,
			text);
	if (row->kind == KIND_INT)
		*(int *)at = (int)value;
	else
		*(int64_t *)at = (int64_t)value;
	return 0;
}

static int set_choice(const struct option_row *row, const char *text, int *at,
	const struct command *command, struct yg_err *err)
{
	int index = 0;
	size_t len = strlen(text);
	for (const char *word = row->value; *word; index++) {
		size_t size = strcspn(word, "|");
		if (size == len && strncmp(word, text, len) == 0) {
			*at = index;
			return 0;
		}
		word += size + (word[size] == '|');
	}
	return yg_fail(err, YG_EFORMAT,
		OPTIONS_SAY(command->lang, "--%s: want %s, have '%.32s'",
			"--%s: %s のいずれかを指定してください ('%.32s' は使用できません)"),
		row->name, row->value, text);
}

static int set_list(const struct option_row *row, const char *text, struct command *command,
	struct yg_err *err)
{
	const char **list = (void *)((char *)command + row->at);
	size_t *count = (void *)((char *)command + row->count);
	if (*count == COMMAND_LIST_MAX)
		return yg_fail(err, YG_ELIMIT,
			OPTIONS_SAY(command->lang, "--%s: want <= %u times",
				"--%s: 指定できるのは %u 回までです"),
			row->name, COMMAND_LIST_MAX);
	list[(*count)++] = text;
	return 0;
}

static int set_time(const struct option_row *row, const char *text, int64_t *at,
	const struct command *command, struct yg_err *err)
{
	struct yg_err why = {0};
	if (yg_clock_parse(text, at, &why) == 0)
		return 0;
	return yg_fail(err, YG_EFORMAT,
		OPTIONS_SAY(command->lang,
			"--%s: want a time like 2026-11-21T00:00:00Z, have '%.32s'",
			"--%s: 2026-11-21T00:00:00Z の形式で指定してください ('%.32s' は使用できません)"),
		row->name, text);
}

static int set(const struct option_row *row, const char *value, struct command *command,
	struct yg_err *err)
{
	void *at = (char *)command + row->at;
	switch (row->kind) {
	case KIND_TEXT:
		*(const char **)at = value;
		return 0;
	case KIND_LIST:
		return set_list(row, value, command, err);
	case KIND_NUMBER:
	case KIND_INT:
		return set_number(row, value, at, command, err);
	case KIND_FLAG:
		*(bool *)at = true;
		return 0;
	case KIND_TIME:
		return set_time(row, value, at, command, err);
	case KIND_CHOICE:
		return set_choice(row, value, at, command, err);
	}
	return 0;
}

static const struct option_row *find(const char *name, size_t len)
{
	for (size_t i = 0; i < YG_COUNT(options); i++) {
		if (strlen(options[i].name) == len && strncmp(options[i].name, name, len) == 0)
			return &options[i];
	}
	return NULL;
}

/* ---- the whole line ---- */

/* What must be known before the first error. */
static void early(int argc, char **argv, struct command *command)
{
	command->lang = yg_lang_environment();
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--json") == 0)
			command->json = true;
		else if (strncmp(argv[i], "--lang=", 7) == 0)
			command->lang = yg_lang_of(argv[i] + 7);
		else if (strcmp(argv[i], "--lang") == 0 && i + 1 < argc)
			command->lang = yg_lang_of(argv[i + 1]);
	}
}

struct line { /* what is read before the command is known */
	int argc;
	char **argv;
	const struct option_row *rows[2 * COMMAND_LIST_MAX]; /* options in their order */
	const char *values[2 * COMMAND_LIST_MAX];
	size_t count;
	const char *words[COMMAND_LIST_MAX + 1];
	size_t word_count;
	bool help, version;
};

/* One option at argv[*at]; moves on over its value. */
static int read_option(struct line *line, int *at, enum yg_lang lang, struct yg_err *err)
{
	const char *text = line->argv[*at], *name = text + (text[1] == '-' ? 2 : 1);
	size_t len = strcspn(name, "=");
	bool joined = name[len] == '=';
	const struct option_row *row = text[1] == '-' ? find(name, len) : NULL;
	line->help = line->help || strcmp(text, "-h") == 0 || strcmp(text, "--help") == 0;
	/* "--version" alone asks for ours; with a value it is a component's. */
	if (strcmp(text, "--version") == 0 && line->argc == 2) {
		line->version = true;
		return 0;
	}
	if (strcmp(text, "-h") == 0)
		return 0;
	if (!row)
		return yg_fail(err, YG_EFORMAT,
			OPTIONS_SAY(lang, "%.64s: no such option", "%.64s: 不明なオプションです"),
			text);
	if (!row->value && joined)
		return yg_fail(err, YG_EFORMAT,
			OPTIONS_SAY(lang, "--%s: want no value, have one",
				"--%s: 値は指定できません"),
			row->name);
	if (row->value && !joined && *at + 1 >= line->argc)
		return yg_fail(err, YG_EFORMAT,
			OPTIONS_SAY(lang, "--%s: want a value, have none",
				"--%s: 値を指定してください"),
			row->name);
	if (line->count == YG_COUNT(line->rows))
		return yg_fail(err, YG_ELIMIT,
			OPTIONS_SAY(lang, "want <= %zu options", "オプションは %zu 個までです"),
			YG_COUNT(line->rows));
	line->rows[line->count] = row;
	line->values[line->count++] = !row->value ? ""
		: joined                          ? name + len + 1
		: line->argc > *at + 1            ? line->argv[*at + 1]
						  : "";
	*at += row->value && !joined;
	return 0;
}

static int read_line(struct line *line, enum yg_lang lang, struct yg_err *err)
{
	bool options_end = false;
	for (int at = 1; at < line->argc; at++) {
		const char *text = line->argv[at];
		if (!options_end && strcmp(text, "--") == 0) {
			options_end = true;
			continue;
		}
		if (!options_end && text[0] == '-' && text[1]) {
			if (read_option(line, &at, lang, err) < 0)
				return -1;
			continue;
		}
		if (line->word_count == YG_COUNT(line->words))
			return yg_fail(err, YG_ELIMIT,
				OPTIONS_SAY(lang, "want <= %u operands", "引数は %u 個までです"),
				COMMAND_LIST_MAX);
		line->words[line->word_count++] = text;
	}
	return 0;
}

/* One name may mean different things to different commands. */
static const struct option_row *of_verb(const struct option_row *option, const struct verb_row *row)
{
	for (size_t i = 0; i < YG_COUNT(options); i++) {
		if (strcmp(options[i].name, option->name) == 0 &&
			options[i].verbs & 1u << row->verb)
			return &options[i];
	}
	return option;
}

static int fill(const struct line *line, const struct verb_row *row, struct command *command,
	struct yg_err *err)
{
	bool needed = row->needs == NULL;
	for (size_t i = 0; i < line->count; i++) {
		const struct option_row *option = of_verb(line->rows[i], row);
		if (option->at == SIZE_MAX)
			continue;
		if (option->verbs && !(option->verbs & 1u << row->verb))
			return yg_fail(err, YG_EFORMAT,
				OPTIONS_SAY(command->lang, "--%s: not an option of %s",
					"--%s: %s では使用できません"),
				option->name, row->name);
		if (set(option, line->values[i], command, err) < 0)
			return -1;
		needed = needed || strcmp(option->name, row->needs) == 0;
	}
	size_t have = line->word_count - 1;
	if (have < row->min || have > row->max)
		return yg_fail(err, YG_EFORMAT,
			OPTIONS_SAY(command->lang, "%s: want %s, have %zu operands",
				"%s: 引数は %s です (%zu 個指定されました)"),
			row->name, row->operands, have);
	if (!needed)
		return yg_fail(err, YG_EFORMAT,
			OPTIONS_SAY(command->lang, "%s: want --%s", "%s: --%s を指定してください"),
			row->name, row->needs);
	memcpy(command->operands, line->words + 1, have * sizeof(*line->words));
	command->operand_count = have;
	command->repo = have > 0 ? command->operands[0] : NULL;
	command->component = have > 1 ? command->operands[1] : NULL;
	return 0;
}

static int check(const struct command *command, struct yg_err *err)
{
	if (command->root_keys > 0 && command->threshold > command->root_keys)
		return yg_fail(err, YG_EFORMAT,
			OPTIONS_SAY(command->lang,
				"--threshold: want <= --root-keys %lld, have %lld",
				"--threshold: --root-keys の %lld 以下にしてください (現在 %lld)"),
			(long long)command->root_keys, (long long)command->threshold);
	if (command->abi_min > command->abi_max)
		return yg_fail(err, YG_EFORMAT,
			OPTIONS_SAY(command->lang, "--abi-min: want <= --abi-max %lld, have %lld",
				"--abi-min: --abi-max の %lld 以下にしてください (現在 %lld)"),
			(long long)command->abi_max, (long long)command->abi_min);
	return 0;
}

int options_parse(int argc, char **argv, struct command *command, const struct verb_row **row,
	const char **asked, struct yg_err *err)
{
	struct line line = {.argc = argc, .argv = argv};
	*row = NULL;
	*asked = NULL;
	early(argc, argv, command);
	if (read_line(&line, command->lang, err) < 0)
		return -1;
	if (line.word_count > 0) {
		*row = verbs_find(line.words[0]);
		if (!*row)
			return yg_fail(err, YG_EFORMAT,
				OPTIONS_SAY(command->lang, "'%.32s': no such command",
					"'%.32s': 不明なコマンドです"),
				line.words[0]);
	}
	if (line.help || line.version) {
		*asked = line.help ? "help" : "version";
		return 0;
	}
	if (!*row)
		return yg_fail(err, YG_EFORMAT, "%s",
			OPTIONS_SAY(command->lang, "want a command", "コマンドを指定してください"));
	if (fill(&line, *row, command, err) < 0)
		return -1;
	return check(command, err);
}

/* ---- help ---- */

static bool fits(const struct option_row *option, const struct verb_row *row)
{
	return row ? option->verbs & 1u << row->verb : option->verbs == 0;
}

static void help_options(const struct verb_row *row, enum yg_lang lang)
{
	for (size_t i = 0; i < YG_COUNT(options); i++) {
		if (!fits(&options[i], row))
			continue;
		char left[128];
		if (!yg_str_put(left, sizeof(left), "--%s%s%s", options[i].name,
			    options[i].value ? " " : "", options[i].value ? options[i].value : ""))
			continue;
		if (strlen(left) > 28)
			(void)printf("  %s\n  %-28s  %s\n", left, "", options[i].help[lang]);
		else
			(void)printf("  %-28s  %s\n", left, options[i].help[lang]);
	}
}

void options_help(const struct verb_row *row, enum yg_lang lang)
{
	if (row) {
		(void)printf("%s yagura-publish %s %s %s\n%s\n\n",
			OPTIONS_SAY(lang, "Usage:", "使用方法:"), row->name, row->operands,
			OPTIONS_SAY(lang, "[OPTION]...", "[オプション]..."), row->help[lang]);
		help_options(row, lang);
		help_options(NULL, lang);
		return;
	}
	(void)printf("%s\n\n%s\n\n",
		OPTIONS_SAY(lang, "yagura-publish: make, sign and maintain an update repository",
			"yagura-publish: アップデートリポジトリを作成、署名、保守する"),
		OPTIONS_SAY(lang, "Usage: yagura-publish COMMAND OPERAND... [OPTION]...",
			"使用方法: yagura-publish コマンド 引数... [オプション]..."));
	for (const struct verb_row *at = verbs_all; at->name; at++) {
		char left[128];
		if (yg_str_put(left, sizeof(left), "%s %s", at->name, at->operands))
			(void)printf("  %-28s  %s\n", left, at->help[lang]);
	}
	(void)printf("\n%s\n", OPTIONS_SAY(lang, "Options:", "オプション:"));
	help_options(NULL, lang);
	(void)printf("  %-28s  %s\n\n%s\n", "--version",
		OPTIONS_SAY(lang, "the version (alone)", "バージョンを表示する (単独で指定)"),
		OPTIONS_SAY(lang,
			"'yagura-publish COMMAND --help' lists a command's own options.\n"
			"Exit status: 0 done, 1 failed, 2 wrong usage.",
			"コマンド固有のオプションは「yagura-publish コマンド --help」で表示されます。\n"
			"終了ステータス: 0 成功、1 失敗、2 使用方法の誤り。"));
}

static json_t *list_json(const struct verb_row *row, enum yg_lang lang)
{
	json_t *list = json_array();
	for (size_t i = 0; i < YG_COUNT(options); i++) {
		char name[64];
		if (fits(&options[i], row) &&
			yg_str_put(name, sizeof(name), "--%s", options[i].name))
			(void)json_array_append_new(list,
				json_pack("{s:s, s:s?, s:s}", "name", name, "value",
					options[i].value, "help", options[i].help[lang]));
	}
	return list;
}

json_t *options_json(enum yg_lang lang)
{
	json_t *commands = json_array();
	for (const struct verb_row *row = verbs_all; row->name; row++)
		(void)json_array_append_new(commands,
			json_pack("{s:s, s:s, s:o, s:s}", "name", row->name, "words", row->operands,
				"options", list_json(row, lang), "help", row->help[lang]));
	return json_pack("{s:o, s:o}", "options", list_json(NULL, lang), "commands", commands);
}
