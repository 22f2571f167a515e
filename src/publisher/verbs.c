/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/verbs.h"
#include "publisher/bundle.h"

#include <string.h>

#include "publisher/diff.h"
#include "publisher/import.h"
#include "publisher/init.h"
#include "publisher/keyring.h"
#include "publisher/licence.h"
#include "publisher/prune.h"
#include "publisher/release.h"
#include "publisher/resign.h"
#include "publisher/root.h"
#include "publisher/rotate.h"
#include "publisher/show.h"
#include "publisher/verify.h"
#include "publisher/wave.h"
#include "publisher/withdraw.h"

/* clang-format off */
const struct verb_row verbs_all[] = {
	{VERB_INIT, "init", "REPO", 1, 1,
		{"make keys and an empty repository", "鍵と空のリポジトリを作成する"},
		NULL, init_run},
	{VERB_MAKE_KEY, "make-key", "NAME", 1, 1,
		{"make a key on a medium, for a root elsewhere", "別の場所のルート用に、媒体に鍵を作成する"},
		"new-key-dir", keyring_make},
	{VERB_KEYS, "keys", "REPO", 1, 1,
		{"the keys that are here, and what they sign", "手元の鍵と、その鍵で署名するロールを表示する"},
		NULL, keyring_list},
	{VERB_ROTATE_KEY, "rotate-key", "REPO ROLE...", 2, COMMAND_LIST_MAX,
		{"a new key in, the old one out", "新しい鍵に置き換える"},
		NULL, rotate_run},
	{VERB_REVOKE_KEY, "revoke-key", "REPO KEY|ROLE...", 2, COMMAND_LIST_MAX,
		{"a key is no longer to be trusted, wherever it signs", "鍵を失効させ、すべてのロールから取り除く"},
		NULL, rotate_revoke},
	{VERB_SHOW_ROOT, "show-root", "FILE", 1, 1,
		{"what a pending root changes, and who has signed", "保留中のrootの変更点と署名の状況を表示する"},
		NULL, root_show},
	{VERB_SIGN_ROOT, "sign-root", "FILE", 1, 1,
		{"sign a pending root with the root keys that are here", "保留中のrootに、手元のルート鍵で署名する"},
		NULL, root_sign},
	{VERB_ADD_ROOT, "add-root", "REPO [FILE]", 1, 2,
		{"publish a pending root that has its signatures", "必要な署名がそろったrootを公開する"},
		NULL, root_add},
	{VERB_RELEASE, "release", "REPO COMPONENT", 2, 2,
		{"publish a new version of a component", "コンポーネントの新しいバージョンを公開する"},
		NULL, release_run},
	{VERB_IMPORT, "import", "REPO COMPONENT SOURCE...", 3, COMMAND_LIST_MAX,
		{"check a feed and publish it", "フィードを検査して公開する"},
		NULL, import_run},
	{VERB_DIFF, "diff", "REPO COMPONENT [A [B]] | A B", 2, 4,
		{"what a version adds and removes, in signatures", "バージョン間で増減したシグネチャを表示する"},
		NULL, diff_run},
	{VERB_WAVE, "wave", "REPO COMPONENT", 2, 2,
		{"who may take the newest version from when", "最新バージョンの公開範囲を変更する"},
		NULL, wave_run},
	{VERB_WITHDRAW, "withdraw", "REPO COMPONENT VERSION", 3, 3,
		{"take a version back", "バージョンを取り消す"},
		"reason", withdraw_run},
	{VERB_RESIGN, "resign", "REPO", 1, 1,
		{"new signatures, before the old ones expire", "期限が切れる前に署名し直す"},
		NULL, resign_run},
	{VERB_SHOW, "show", "REPO", 1, 1,
		{"what it holds", "リポジトリの内容を表示する"},
		NULL, show_run},
	{VERB_PRUNE, "prune", "REPO", 1, 1,
		{"remove what nobody needs any more", "不要になったバージョンとファイルを削除する"},
		NULL, prune_run},
	{VERB_VERIFY, "verify", "REPO|BUNDLE", 1, 1,
		{"check it as an agent does, and every object", "Agentと同じ方法で検証し、全オブジェクトを確認する"},
		NULL, verify_run},
	{VERB_BUNDLE, "bundle", "REPO|BUNDLE DIR", 1, 2,
		{"one file of it, for sites without internet", "インターネットに接続しない環境向けに1つのファイルにまとめる"},
		NULL, bundle_run},
	{VERB_TRUST, "trust", "REPO", 1, 1,
		{"write the root.json that agents are installed with", "Agentのインストールに使うroot.jsonを書き出す"},
		"out", show_trust},
	{VERB_MAKE_LICENCE, "make-licence", "GROUP", 1, 1,
		{"a licence file for a Manager", "Manager用のライセンスファイルを作成する"},
		"out", licence_run},
	{0},
};
/* clang-format on */

const struct verb_row *verbs_find(const char *name)
{
	for (const struct verb_row *row = verbs_all; row->name; row++) {
		if (strcmp(row->name, name) == 0)
			return row;
	}
	return NULL;
}
