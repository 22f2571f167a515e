/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "publisher/verbs.h"

#include <string.h>

#include "publisher/init.h"
#include "publisher/release.h"
#include "publisher/resign.h"
#include "publisher/show.h"

/* clang-format off */
const struct verb_row verbs_all[] = {
	{VERB_INIT, "init", "REPO", 1, 1,
		{"make keys and an empty repository", "鍵と空のリポジトリを作成する"},
		NULL, init_run},
	{VERB_RELEASE, "release", "REPO COMPONENT", 2, 2,
		{"publish a new version of a component", "コンポーネントの新しいバージョンを公開する"},
		NULL, release_run},
	{VERB_RESIGN, "resign", "REPO", 1, 1,
		{"new signatures, before the old ones expire", "期限が切れる前に署名し直す"},
		NULL, resign_run},
	{VERB_SHOW, "show", "REPO", 1, 1,
		{"what it holds", "リポジトリの内容を表示する"},
		NULL, show_run},
	{VERB_VERIFY, "verify", "REPO", 1, 1,
		{"check it as an agent does, and every object", "Agentと同じ方法で検証し、全オブジェクトを確認する"},
		NULL, show_verify},
	{VERB_TRUST, "trust", "REPO", 1, 1,
		{"write the root.json that agents are installed with", "Agentのインストールに使うroot.jsonを書き出す"},
		"out", show_trust},
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
