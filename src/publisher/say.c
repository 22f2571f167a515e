/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/say.h"

#include <stdbool.h>
#include <string.h>

#include "core/attr.h"
#include "core/str.h"

/* clang-format off */
static const struct {
	const char *name, *text[2];
} labels[] = {
	{"added", {"added", "追加"}},
	{"added_names", {"added names", "追加された名前"}},
	{"after", {"after", "変更後"}},
	{"at", {"at", "時刻"}},
	{"before", {"before", "変更前"}},
	{"bundle", {"bundle", "バンドル"}},
	{"bytes", {"bytes", "バイト数"}},
	{"change", {"change", "変更"}},
	{"changed", {"changed", "変更"}},
	{"changed_names", {"changed names", "変更された名前"}},
	{"changes", {"changes", "変更点"}},
	{"checked_by", {"checked by", "検査したエンジン"}},
	{"complete", {"complete", "署名完了"}},
	{"component", {"component", "コンポーネント"}},
	{"components", {"components", "コンポーネント"}},
	{"containers", {"containers", "展開した書庫"}},
	{"delta_bytes", {"delta bytes", "差分のバイト数"}},
	{"deltas", {"deltas", "差分"}},
	{"deltas_left_out", {"deltas left out", "作成しなかった差分"}},
	{"deltas_not_applied", {"deltas that could not be applied", "適用できなかった差分"}},
	{"deltas_not_worth_it", {"deltas not worth it", "効果のない差分"}},
	{"description", {"description", "説明"}},
	{"dry_run", {"dry run", "試行"}},
	{"duplicates", {"duplicates", "重複"}},
	{"earlier", {"earlier", "以前のバージョン"}},
	{"elsewhere", {"keys kept elsewhere", "別の場所にある鍵"}},
	{"expires", {"expires", "有効期限"}},
	{"file", {"file", "ファイル"}},
	{"files", {"files", "ファイル"}},
	{"format", {"format", "形式"}},
	{"freed_bytes", {"bytes freed", "解放したバイト数"}},
	{"from", {"for those with version", "対象のバージョン"}},
	{"ignored", {"ignored", "無視"}},
	{"imported", {"imported", "取り込み"}},
	{"issued", {"issued", "発行日時"}},
	{"key", {"key", "鍵"}},
	{"keys", {"keys", "鍵"}},
	{"later_bytes", {"bytes that can go later", "後で解放できるバイト数"}},
	{"left_out", {"left out", "除外"}},
	{"licence", {"licence", "ライセンス"}},
	{"lost", {"cannot be read", "読み取れないマニフェスト"}},
	{"made", {"made", "作成日時"}},
	{"manifest", {"manifest", "マニフェスト"}},
	{"message", {"message", "内容"}},
	{"metadata", {"metadata", "メタデータ"}},
	{"name", {"name", "名前"}},
	{"new_files", {"new files", "新しいファイル"}},
	{"new_key", {"new key", "新しい鍵"}},
	{"next", {"expires next", "次に期限が切れるロール"}},
	{"note", {"note", "注記"}},
	{"objects", {"objects", "オブジェクト"}},
	{"old_key", {"old key", "古い鍵"}},
	{"open_percent", {"open to percent", "公開対象の割合 (%)"}},
	{"out", {"written to", "出力先"}},
	{"pending", {"waits for signatures", "署名待ちのファイル"}},
	{"percent", {"percent", "割合 (%)"}},
	{"problem", {"problem", "問題"}},
	{"problems", {"problems", "問題"}},
	{"public", {"public half", "公開鍵"}},
	{"published", {"published", "公開"}},
	{"reason", {"reason", "理由"}},
	{"release", {"release", "リリース"}},
	{"released", {"released", "リリース日時"}},
	{"releases", {"releases", "リリース"}},
	{"removed", {"removed", "削除"}},
	{"removed_names", {"removed names", "削除された名前"}},
	{"replaced", {"replaced", "置き換えた鍵"}},
	{"repository", {"repository", "リポジトリ"}},
	{"role", {"role", "ロール"}},
	{"roles", {"roles", "ロール"}},
	{"root", {"root", "root"}},
	{"root_keys", {"root keys", "ルート鍵の数"}},
	{"sample", {"sample", "検体"}},
	{"set", {"set", "セット"}},
	{"signatures", {"signatures", "署名の数"}},
	{"signatures_before", {"signatures of the root before", "前のルート鍵による署名の数"}},
	{"size", {"size", "サイズ"}},
	{"snapshot", {"snapshot", "snapshot"}},
	{"source", {"source", "取り込み元"}},
	{"threshold", {"threshold", "必要な署名の数"}},
	{"time", {"time", "日時"}},
	{"timestamp", {"timestamp", "timestamp"}},
	{"transfer_bytes", {"bytes as transferred", "転送時のバイト数"}},
	{"unchanged", {"unchanged", "変更なし"}},
	{"unreferenced", {"unreferenced", "参照されないファイル"}},
	{"unreferenced_bytes", {"unreferenced bytes", "参照されないバイト数"}},
	{"unreferenced_files", {"unreferenced files", "参照されないファイル数"}},
	{"update_bytes", {"bytes of an update", "アップデートのバイト数"}},
	{"used", {"used", "使用中"}},
	{"version", {"version", "バージョン"}},
	{"wanted", {"signatures wanted", "必要な署名の数"}},
	{"wanted_before", {"wanted of the root before", "前のルート鍵で必要な署名の数"}},
	{"warning", {"warning", "警告"}},
	{"warnings", {"warnings", "警告"}},
	{"wave", {"wave", "段階"}},
	{"waves", {"waves", "段階的な公開"}},
	{"withdrawn", {"withdrawn", "取り消し"}},
};

/* Words that stand as values. */
static const struct {
	const char *member, *word, *ja;
} words[] = {
	{"change", "key added", "鍵の追加"},
	{"change", "key removed", "鍵の削除"},
	{"change", "threshold", "必要な署名の数"},
};
/* clang-format on */

const char *say_row(size_t row, const char **en, const char **ja)
{
	if (row >= YG_COUNT(labels))
		return NULL;
	*en = labels[row].text[YG_LANG_EN];
	*ja = labels[row].text[YG_LANG_JA];
	return labels[row].name;
}

const char *say_label(const char *name, enum yg_lang lang, char room[64])
{
	for (size_t i = 0; i < YG_COUNT(labels); i++) {
		if (strcmp(labels[i].name, name) == 0)
			return labels[i].text[lang];
	}
	if (!yg_str_put(room, 64, "%s", name))
		return name;
	for (char *at = room; *at; at++)
		*at = *at == '_' ? ' ' : *at;
	return room;
}

/* C1 controls are two bytes in UTF-8: c2 80 .. c2 9f. */
static void put_clean(const char *text, FILE *out)
{
	const unsigned char *at = (const unsigned char *)text;
	for (; *at; at++) {
		bool two = at[0] == 0xc2 && at[1] >= 0x80 && at[1] <= 0x9f;
		(void)fputc(*at < ' ' || *at == 0x7f || two ? '?' : *at, out);
		at += two;
	}
}

static void put_value(const char *name, const json_t *value, enum yg_lang lang, FILE *out)
{
	const char *text = json_string_value(value);
	for (size_t i = 0; text && lang == YG_LANG_JA && i < YG_COUNT(words); i++) {
		if (strcmp(words[i].member, name) == 0 && strcmp(words[i].word, text) == 0)
			text = words[i].ja;
	}
	if (text)
		put_clean(text, out);
	else if (json_is_integer(value))
		(void)fprintf(out, "%lld", (long long)json_integer_value(value));
	else if (json_is_boolean(value) && lang == YG_LANG_JA)
		(void)fputs(json_is_true(value) ? "はい" : "いいえ", out);
	else if (json_is_boolean(value))
		(void)fputs(json_is_true(value) ? "yes" : "no", out);
}

static void put_label(const char *name, enum yg_lang lang, FILE *out)
{
	char room[64];
	put_clean(say_label(name, lang, room), out);
}

/* A list within an item: one line each. */
static void put_lines(const char *name, const json_t *list, enum yg_lang lang, FILE *out)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		json_t *item = json_array_get(list, i);
		(void)fputs("  ", out);
		put_label(name, lang, out);
		(void)fputc(':', out);
		if (!json_is_object(item)) {
			(void)fputc(' ', out);
			put_value(name, item, lang, out);
		}
		for (void *at = json_object_iter(item); at; at = json_object_iter_next(item, at)) {
			(void)fputc(' ', out);
			put_label(json_object_iter_key(at), lang, out);
			(void)fputc(' ', out);
			put_value(json_object_iter_key(at), json_object_iter_value(at), lang, out);
		}
		(void)fputc('\n', out);
	}
}

static void put_member(const char *name, const json_t *value, enum yg_lang lang, FILE *out)
{
	if (json_is_array(value)) {
		put_lines(name, value, lang, out);
		return;
	}
	put_label(name, lang, out);
	(void)fputs(": ", out);
	put_value(name, value, lang, out);
	(void)fputc('\n', out);
}

static void put_section(const char *name, const json_t *list, enum yg_lang lang, FILE *out)
{
	(void)fputc('\n', out);
	put_label(name, lang, out);
	(void)fputs(":\n", out);
	for (size_t i = 0; i < json_array_size(list); i++) {
		json_t *item = json_array_get(list, i);
		(void)fputc('\n', out);
		for (void *at = json_object_iter(item); at; at = json_object_iter_next(item, at))
			put_member(json_object_iter_key(at), json_object_iter_value(at), lang, out);
	}
}

/* A list of objects has a section of its own; a list of words, lines. An empty one is not shown. */
static bool is_section(const json_t *value)
{
	return json_is_array(value) && json_is_object(json_array_get(value, 0));
}

void say_result(const json_t *result, enum yg_lang lang, FILE *out)
{
	const char *name = NULL;
	json_t *value = NULL;
	json_t *open = (json_t *)(uintptr_t)result; /* iterating changes nothing */
	json_object_foreach(open, name, value)
	{
		if (!is_section(value))
			put_member(name, value, lang, out);
	}
	json_object_foreach(open, name, value)
	{
		if (is_section(value))
			put_section(name, value, lang, out);
	}
}
