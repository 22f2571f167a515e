/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "proto/word.h"

#include <string.h>

#include "core/attr.h"

static const struct {
	enum yg_words words;
	const char *word, *text[2]; /* by enum yg_lang */
} table[] = {
	{YG_WORDS_STATE, "Managed (Online)", {"Managed (Online)", "管理対象 (オンライン)"}},
	{YG_WORDS_STATE, "Managed (Offline)", {"Managed (Offline)", "管理対象 (オフライン)"}},
	{YG_WORDS_STATE, "Activation Required", {"Activation Required", "有効化が必要"}},
	{YG_WORDS_STATE, "Anti-Malware Engine Offline",
		{"Anti-Malware Engine Offline", "不正プログラム対策エンジンがオフライン"}},
	{YG_WORDS_STATE, "protected", {"protected", "保護中"}},
	{YG_WORDS_STATE, "unprotected", {"unprotected", "保護されていません"}},
	{YG_WORDS_STATE, "updating", {"updating", "アップデート中"}},
	{YG_WORDS_STATE, "unknown", {"unknown", "不明"}},
	{YG_WORDS_STATE, "online", {"online", "オンライン"}},
	{YG_WORDS_STATE, "offline", {"offline", "オフライン"}},
	{YG_WORDS_STATE, "starting", {"starting", "開始中"}},
	{YG_WORDS_STATE, "none", {"none", "なし"}},
	{YG_WORDS_STATE, "on", {"on", "有効"}},
	{YG_WORDS_STATE, "off", {"off", "無効"}},
	{YG_WORDS_STATE, "current", {"current", "最新"}},
	{YG_WORDS_STATE, "old", {"old", "最新ではありません"}},
	{YG_WORDS_STATE, "pending", {"pending", "未適用"}},
	{YG_WORDS_STATE, "waiting", {"waiting", "待機中"}},
	{YG_WORDS_STATE, "asked", {"asked", "要求済み"}},
	{YG_WORDS_STATE, "ready", {"ready", "準備完了"}},
	{YG_WORDS_STATE, "sent", {"sent", "送信済み"}},
	{YG_WORDS_STATE, "running", {"running", "実行中"}},
	{YG_WORDS_STATE, "done", {"done", "完了"}},
	{YG_WORDS_STATE, "success", {"success", "成功"}},
	{YG_WORDS_STATE, "failed", {"failed", "失敗"}},
	{YG_WORDS_STATE, "cancelled", {"cancelled", "キャンセル"}},
	{YG_WORDS_STATE, "started", {"started", "開始済み"}},
	{YG_WORDS_STATE, "skipped", {"skipped", "見送り"}},
	{YG_WORDS_STATE, "nobody", {"no computers", "対象なし"}},
	{YG_WORDS_STATE, "ok", {"ok", "有効"}},
	{YG_WORDS_STATE, "soon", {"soon", "期限間近"}},
	{YG_WORDS_STATE, "valid", {"valid", "有効"}},
	{YG_WORDS_STATE, "expired", {"expired", "期限切れ"}},

	{YG_WORDS_KIND, "update", {"update", "アップデート"}},
	{YG_WORDS_KIND, "scan", {"scan", "不正プログラム検索"}},
	{YG_WORDS_KIND, "rollback", {"rollback", "ロールバック"}},
	{YG_WORDS_KIND, "policy", {"policy", "ポリシーの送信"}},
	{YG_WORDS_KIND, "release_hold", {"release hold", "保留の解除"}},
	{YG_WORDS_KIND, "test", {"connection test", "接続テスト"}},
	{YG_WORDS_KIND, "check", {"check", "確認"}},
	{YG_WORDS_KIND, "agent", {"agent", "Agent"}},
	{YG_WORDS_KIND, "appliance", {"appliance", "Appliance"}},
	{YG_WORDS_KIND, "relay", {"relay", "Relay"}},
	{YG_WORDS_KIND, "latest", {"the newest", "最新"}},
	{YG_WORDS_KIND, "previous", {"the one before the newest", "最新の1つ前"}},
	{YG_WORDS_KIND, "pinned", {"pinned versions", "固定したバージョン"}},
	{YG_WORDS_KIND, "licence", {"licence", "ライセンス"}},
	{YG_WORDS_KIND, "certificate", {"certificate", "証明書"}},
	{YG_WORDS_KIND, "ca", {"CA", "CA"}},
	{YG_WORDS_KIND, "metadata", {"metadata", "メタデータ"}},
	{YG_WORDS_KIND, "info", {"info", "情報"}},
	{YG_WORDS_KIND, "warning", {"warning", "警告"}},
	{YG_WORDS_KIND, "error", {"error", "エラー"}},
	{YG_WORDS_KIND, "full", {"full", "すべて"}},
	{YG_WORDS_KIND, "read", {"read", "参照のみ"}},

	{YG_WORDS_PHASE, "relays", {"relays", "Relayのアップデート"}},
	{YG_WORDS_PHASE, "agents", {"agents", "Agentでの実行"}},
	{YG_WORDS_PHASE, "waiting", {"waiting", "待機"}},
	{YG_WORDS_PHASE, "compare", {"comparing", "照合"}},
	{YG_WORDS_PHASE, "metadata", {"metadata", "メタデータの確認"}},
	{YG_WORDS_PHASE, "snapshot", {"snapshot", "現在の状態の保存"}},
	{YG_WORDS_PHASE, "fetch", {"fetch", "取得"}},
	{YG_WORDS_PHASE, "stage", {"stage", "準備"}},
	{YG_WORDS_PHASE, "trial", {"trial", "試験"}},
	{YG_WORDS_PHASE, "switch", {"switch", "切り替え"}},
	{YG_WORDS_PHASE, "done", {"done", "完了"}},

	{YG_WORDS_REASON, "command", {"by command", "操作による"}},
	{YG_WORDS_REASON, "newer", {"there are newer ones", "より新しいバージョンの適用"}},
	{YG_WORDS_REASON, "rollback", {"after a rollback", "ロールバックによる"}},
	{YG_WORDS_REASON, "crash_loop",
		{"the engine ended again and again", "エンジンの異常終了の繰り返し"}},
	{YG_WORDS_REASON, "too_large", {"too large", "サイズの上限超過"}},
	{YG_WORDS_REASON, "limit", {"beyond a limit of the scan", "検索の上限超過"}},
	{YG_WORDS_REASON, "timeout", {"not done in time", "時間超過"}},
	{YG_WORDS_REASON, "encrypted", {"encrypted", "暗号化"}},
	{YG_WORDS_REASON, "broken", {"damaged", "破損"}},
	{YG_WORDS_REASON, "read", {"cannot be read", "読み取り不可"}},
	{YG_WORDS_REASON, "memory", {"not enough memory", "メモリ不足"}},
	{YG_WORDS_REASON, "engine", {"failure of the engine", "エンジンの障害"}},
	{YG_WORDS_REASON, "absent", {"not there", "存在しない"}},
	{YG_WORDS_REASON, "made_up", {"it is run now", "今すぐ実行します"}},
	{YG_WORDS_REASON, "left_out", {"it waits for its next time", "次回の予定時刻に実行します"}},
	{YG_WORDS_REASON, "success", {"it succeeded", "成功したため"}},
	{YG_WORDS_REASON, "result", {"the result came", "結果が届いたため"}},
	{YG_WORDS_REASON, "contact", {"it was heard from again", "通信が回復したため"}},
	{YG_WORDS_REASON, "protected", {"it is protected again", "保護が回復したため"}},
	{YG_WORDS_REASON, "relay", {"a relay is there", "Relayが利用可能になったため"}},
	{YG_WORDS_REASON, "settings", {"the settings were changed", "設定が変更されたため"}},
	{YG_WORDS_REASON, "deleted", {"it was deleted", "削除されたため"}},
	{YG_WORDS_REASON, "expired", {"it has expired", "有効期限が切れたため"}},
	{YG_WORDS_REASON, "renewed", {"it was renewed", "更新されたため"}},
	{YG_WORDS_REASON, "newest", {"all have the newest", "すべて最新になったため"}},
	{YG_WORDS_REASON, "the hold is released", {"the hold is released", "保留を解除しました"}},
	{YG_WORDS_REASON, "nothing was held", {"nothing was held", "保留はありませんでした"}},
	{YG_WORDS_REASON, "the spool is full",
		{"the spool is full", "未送信イベントの保存領域の不足"}},

	{YG_WORDS_WHO, "system", {"the system", "システム"}},
	{YG_WORDS_WHO, "schedule", {"schedule", "予約タスク"}},
	{YG_WORDS_WHO, "policy", {"policy", "ポリシー"}},
	{YG_WORDS_WHO, "computer", {"computer", "コンピュータ個別"}},
	{YG_WORDS_WHO, "itself", {"itself", "自動更新"}},
	{YG_WORDS_WHO, "person", {"a person", "手動 (管理者)"}},
	{YG_WORDS_WHO, "publisher", {"the publisher", "コンテンツの発行元"}},

	{YG_WORDS_CHECK, "ok", {"good", "正常"}},
	{YG_WORDS_CHECK, "bad", {"bad", "問題あり"}},
	{YG_WORDS_CHECK, "unknown", {"not known", "不明"}},
	{YG_WORDS_CHECK, "note", {"to note", "注意"}},
	{YG_WORDS_CHECK, "program", {"program", "プログラム"}},
	{YG_WORDS_CHECK, "config", {"configuration", "設定ファイル"}},
	{YG_WORDS_CHECK, "disk", {"disk", "ディスク"}},
	{YG_WORDS_CHECK, "permissions", {"permissions", "所有者と権限"}},
	{YG_WORDS_CHECK, "store", {"stored components", "保存済みコンポーネント"}},
	{YG_WORDS_CHECK, "root", {"publisher's root", "公開元のルート"}},
	{YG_WORDS_CHECK, "clock", {"clock", "時計"}},
	{YG_WORDS_CHECK, "certificate", {"certificate", "証明書"}},
	{YG_WORDS_CHECK, "names", {"names", "名前解決"}},
	{YG_WORDS_CHECK, "manager", {"Manager", "Manager"}},
	{YG_WORDS_CHECK, "relay", {"relay", "Relay"}},
	{YG_WORDS_CHECK, "relay_role", {"relay role", "Relayの役割"}},
	{YG_WORDS_CHECK, "relays", {"relays", "Relay"}},
	{YG_WORDS_CHECK, "source", {"update source", "アップデート元"}},
	{YG_WORDS_CHECK, "engine", {"engine", "エンジン"}},
	{YG_WORDS_CHECK, "licences", {"licences", "ライセンス"}},
	{YG_WORDS_CHECK, "versions", {"versions", "バージョン"}},
	{YG_WORDS_CHECK, "alarms", {"lasting problems", "継続中の問題"}},
	{YG_WORDS_CHECK, "last_update", {"last update", "前回のアップデート"}},
	{YG_WORDS_CHECK, "last_relay_update", {"relay's last update", "Relayの前回のアップデート"}},
	{YG_WORDS_CHECK, "database", {"database", "データベース"}},
	{YG_WORDS_CHECK, "ca", {"CA", "CA"}},
	{YG_WORDS_CHECK, "jobs", {"jobs", "ジョブ"}},
	{YG_WORDS_CHECK, "computers", {"computers", "コンピュータ"}},
	{YG_WORDS_CHECK, "certificates", {"certificates", "証明書"}},
	{YG_WORDS_CHECK, "alerts", {"alerts", "アラート"}},
	{YG_WORDS_CHECK, "content", {"newest components", "最新のコンポーネント"}},
};

const char *yg_word(enum yg_words words, const char *word, enum yg_lang lang)
{
	for (size_t i = 0; i < YG_COUNT(table); i++)
		if (table[i].words == words && strcmp(table[i].word, word) == 0)
			return table[i].text[lang];
	return word;
}

const char *yg_word_row(size_t row, enum yg_words *words, const char **en, const char **ja)
{
	if (row >= YG_COUNT(table))
		return NULL;
	*words = table[row].words;
	*en = table[row].text[YG_LANG_EN];
	*ja = table[row].text[YG_LANG_JA];
	return table[row].word;
}
