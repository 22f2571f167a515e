/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "diagnose/signature.h"

#include <string.h>

#include "core/attr.h"

#define BROKEN_EN "A broken file that was left behind is in the way of the update."
#define BROKEN_JA "破損したファイルが残っており、アップデートを妨げています。"
#define KERNEL_EN                                                                                  \
	"The agent could not get the kernel memory that it needs to load its configuration."
#define KERNEL_JA "Agentが設定の読み込みに必要なカーネルメモリを確保できませんでした。"
#define KERNEL_HELP_EN                                                                                \
	"Assign fewer rules; use a 64-bit system; restart the operating system at planned times "     \
	"(restarting only the service helps briefly); spread the load over more computers. Behind a " \
	"virtual appliance the memory counts there: 4 GB for about 50 virtual machines and 4 GB for " \
	"each further 50, and its Filter Driver must have the same version."
#define KERNEL_HELP_JA                                                                                                                              \
	"適用するルールを減らす、64ビットOSへ移行する、計画的にOSを再起動する (サービスのみの再起動では" \
	"短期間で再発します)、負荷を分散する、のいずれかを検討してください。Virtual Applianceの保護下では"   \
	"メモリはAppliance側で必要です (仮想マシン約50台ごとに4GB)。Filter Driverのバージョンも"                        \
	"Applianceに合わせてください。"
#define VAGUE_EN "A security update failed; this line does not say why."
#define VAGUE_JA "セキュリティアップデートに失敗しましたが、この行からは原因がわかりません。"
#define VAGUE_HELP_EN                                                                                     \
	"Read TmuDump.txt (connections), iau.log and iaurelay.log of the computer with this command. "    \
	"Where a proxy inspects TLS, add its CA, or put // at the end of the source's URL to switch the " \
	"certificate check off."
#define VAGUE_HELP_JA                                                                                                                          \
	"該当コンピュータのTmuDump.txt (接続)、iau.log、iaurelay.logをこのコマンドで確認してください。"          \
	"プロキシがTLSを検査している場合は、プロキシのCAを追加するか、アップデート元URLの末尾に // を" \
	"追加して証明書の検証を無効にします。"
#define OFFLINE_EN "The anti-malware engine is offline: the computer is not protected now."
#define OFFLINE_JA                                                                                 \
	"不正プログラム対策エンジンがオフラインです。コンピュータは現在保護されていません。"
#define OFFLINE_HELP_EN                                                                                 \
	"If only one virtual machine has it: see that it is awake, that its VMware Tools have the "     \
	"drivers (sc query vsepflt, sc query vmci) and that its policy or tag is applied. If all of a " \
	"host have it: restart the agent of the appliance, and if that does not help the mux on the "   \
	"host (the guests go on)."
#define OFFLINE_HELP_JA                                                                                                                        \
	"特定の仮想マシンのみの場合: スリープしていないこと、VMware Toolsのドライバが動作していること " \
	"(sc query vsepflt、sc query vmci)、ポリシーまたはタグが適用されていることを確認してください。"         \
	"ESXi上のすべての仮想マシンの場合: ApplianceのAgentを再起動し、復旧しなければESXiのMuxを"                \
	"再起動してください (ゲストは停止しません)。"

#define NO_DRIVER_EN                                                                               \
	"A driver of the virtual machine is not installed, so the machine is not protected from outside."
#define NO_DRIVER_JA                                                                               \
	"仮想マシンのドライバがインストールされていないため、エージェントレスの保護が働いていません。"
#define NO_DRIVER_HELP_EN                                                                           \
	"Reinstall VMware Tools with Guest Introspection (NSX File Introspection) and restart the " \
	"virtual machine."
#define NO_DRIVER_HELP_JA                                                                                     \
	"Guest Introspection (NSX File Introspection) を含めてVMware Toolsを再インストールし、" \
	"仮想マシンを再起動してください。"

/* Special ones first: the first row that fits counts. */
static const struct yg_signature rows[] = {
	{.words = {"File exists", "copy_file"},
		.cause = "store.exists",
		.object = YG_SIGNATURE_PATH2,
		.sentence = {BROKEN_EN, BROKEN_JA},
		.remedy = {"Delete {object}, then restart the agent (on an appliance: the appliance).",
			"{object} を手動で削除し、Agent (Virtual Applianceの場合はAppliance) を再起動してください。"}},
	{.words = {"Service is under maint"}, .cause = "http.maintenance"},
	{.words = {"Busy with exis"},
		.cause = "update.busy",
		.remedy = {"Wait until the running update has ended, then start the update again. See that "
			   "scheduled tasks do not overlap.",
			"実行中のアップデートの完了を待って、再度アップデートを開始してください。予約タスクが"
			"重複していないか確認してください。"}},
	{.words = {"Busy with existing update"},
		.cause = "update.busy",
		.remedy = {"Wait until the running update has ended, then start the update again. See that "
			   "scheduled tasks do not overlap.",
			"実行中のアップデートの完了を待って、再度アップデートを開始してください。予約タスクが"
			"重複していないか確認してください。"}},
	{.words = {"セキュリティアップデートのタイムアウト"},
		.cause = "job.timeout",
		.sentence = {"The Manager waited for the end of a security update in vain.",
			"Managerがセキュリティアップデートの完了を確認できませんでした。"},
		.remedy = {"If the relay's success is recorded about 20 minutes earlier, this is a known fault "
			   "of old relays: upgrade the relay (9.0 SP1 Patch 5 or later). Otherwise raise the "
			   "timeout and retries.",
			"約20分前にRelayのアップデート成功が記録されている場合は、旧バージョンのRelayの既知の不具合"
			"です。Relayを9.0 SP1 Patch 5以降にアップグレードしてください。それ以外の場合は、"
			"タイムアウトとリトライの設定を見直してください。"}},
	{.words = {"Relay Webサーバ", "無効"},
		.cause = "http.busy",
		.sentence = {"The relay's web server was off: the relay was updating itself while agents "
			     "wanted to fetch.",
			"RelayのWebサーバが無効でした。Relay自身のアップデート中にAgentのアップデートが"
			"実行された可能性があります。"},
		.remedy = {"Keep the scheduled updates of relays and of agents apart, and start the update of "
			   "the agents again.",
			"RelayとAgentの予約タスクの時刻が重ならないように調整し、Agentのアップデートを再度"
			"実行してください。"}},
	{.words = {"Relay Web Server Disabled"},
		.cause = "http.busy",
		.sentence = {"The relay's web server was off: the relay was updating itself while agents "
			     "wanted to fetch.",
			"RelayのWebサーバが無効でした。Relay自身のアップデート中にAgentのアップデートが"
			"実行された可能性があります。"},
		.remedy = {"Keep the scheduled updates of relays and of agents apart, and start the update of "
			   "the agents again.",
			"RelayとAgentの予約タスクの時刻が重ならないように調整し、Agentのアップデートを再度"
			"実行してください。"}},
	{.words = {"SET_CONFIG", "ffffd8ef"},
		.cause = "engine.memory",
		.sentence = {KERNEL_EN, KERNEL_JA},
		.remedy = {KERNEL_HELP_EN, KERNEL_HELP_JA}},
	{.words = {"エンジンコマンドの失敗"}, .cause = "engine.config", .weight = YG_FIND_KIND},
	{.words = {"Engine Command Failed"}, .cause = "engine.config", .weight = YG_FIND_KIND},
	{.words = {"SET_CONFIG"}, .cause = "engine.config", .failures = true},
	{.words = {"0xe0ff000b"},
		.cause = "engine.offline",
		.weight = YG_FIND_KIND,
		.sentence = {"The anti-malware service was not up yet, as right after an installation.",
			"不正プログラム対策サービスがまだ起動していませんでした (インストール直後など)。"},
		.remedy = {"Nothing when the next event is a success. Otherwise restart the agent.",
			"次のイベントが成功であれば対応は不要です。それ以外の場合はAgentを再起動してください。"}},
	{.words = {"不正プログラム対策エンジンがオフライン"},
		.cause = "engine.offline",
		.sentence = {OFFLINE_EN, OFFLINE_JA},
		.remedy = {OFFLINE_HELP_EN, OFFLINE_HELP_JA}},
	{.words = {"Anti-Malware Engine Offline"},
		.cause = "engine.offline",
		.sentence = {OFFLINE_EN, OFFLINE_JA},
		.remedy = {OFFLINE_HELP_EN, OFFLINE_HELP_JA}},
	{.words = {"OpenService FAILED 1060"},
		.cause = "engine.offline",
		.sentence = {NO_DRIVER_EN, NO_DRIVER_JA},
		.remedy = {NO_DRIVER_HELP_EN, NO_DRIVER_HELP_JA}},
	{.words = {"サービスが見つかりません"},
		.cause = "engine.offline",
		.sentence = {NO_DRIVER_EN, NO_DRIVER_JA},
		.remedy = {NO_DRIVER_HELP_EN, NO_DRIVER_HELP_JA}},
	{.words = {"untrusted peer"},
		.cause = "auth.unknown_agent",
		.remedy = {"If the last heartbeat is recent, the refusal is local: run the command as "
			   "administrator on this computer. Otherwise the Manager does not know the agent: "
			   "activate it again.",
			"最後のハートビートが新しい場合は、ローカルでの拒否です。このコンピュータで管理者として実行して"
			"ください。古い場合は、ManagerがAgentを認識していません。再度有効化してください。"}},
	{.words = {"ライセンス", "期限"}, .cause = "update.licence"},
	{.words = {"licen", "expired"}, .cause = "update.licence", .failures = true},
	/* What the events of the Manager say about it, which is little. */
	{.words = {"パターンファイルのアップデート失敗"},
		.cause = "update.failed",
		.weight = YG_FIND_FAILED,
		.sentence = {VAGUE_EN, VAGUE_JA},
		.remedy = {VAGUE_HELP_EN, VAGUE_HELP_JA}},
	{.words = {"セキュリティアップデートの確認とダウンロード失敗"},
		.cause = "update.failed",
		.weight = YG_FIND_FAILED,
		.sentence = {VAGUE_EN, VAGUE_JA},
		.remedy = {VAGUE_HELP_EN, VAGUE_HELP_JA}},
	{.words = {"アップデートの失敗"},
		.cause = "update.failed",
		.weight = YG_FIND_FAILED,
		.sentence = {VAGUE_EN, VAGUE_JA},
		.remedy = {VAGUE_HELP_EN, VAGUE_HELP_JA}},
	{.words = {"コンポーネントをアップデートできませんでした"},
		.cause = "update.failed",
		.weight = YG_FIND_FAILED,
		.sentence = {VAGUE_EN, VAGUE_JA},
		.remedy = {VAGUE_HELP_EN, VAGUE_HELP_JA}},
	{.words = {"Update Failed"},
		.cause = "update.failed",
		.weight = YG_FIND_FAILED,
		.sentence = {VAGUE_EN, VAGUE_JA},
		.remedy = {VAGUE_HELP_EN, VAGUE_HELP_JA}},
	/* The words of our own classifier (net/failure.c) and of others for the same. */
	{.words = {"the proxy's name does not resolve"}, .cause = "proxy.dns"},
	{.words = {"resolve proxy"}, .cause = "proxy.dns"},
	{.words = {"the proxy refused the connection"}, .cause = "proxy.refused"},
	{.words = {"the proxy wants a user"}, .cause = "proxy.auth"},
	{.words = {"Proxy Authentication Required"}, .cause = "proxy.auth"},
	{.words = {"the proxy forbids"}, .cause = "proxy.forbidden"},
	{.words = {"the proxy failed"}, .cause = "proxy.failed"},
	{.words = {"does not resolve"}, .cause = "net.dns"},
	{.words = {"resolve host"}, .cause = "net.dns", .failures = true},
	{.words = {"Name or service not known"}, .cause = "net.dns"},
	{.words = {"connection was refused"}, .cause = "net.refused"},
	{.words = {"Connection refused"}, .cause = "net.refused"},
	{.words = {"No route to host"}, .cause = "net.unreachable"},
	{.words = {"Network is unreachable"}, .cause = "net.unreachable"},
	{.words = {"not reachable from here"}, .cause = "net.unreachable"},
	{.words = {"the certificate of", "has expired"}, .cause = "tls.expired"},
	{.words = {"certificate has expired"}, .cause = "tls.expired"},
	{.words = {"certificate", "not valid yet"}, .cause = "tls.not_yet"},
	{.words = {"certificate is not yet valid"}, .cause = "tls.not_yet"},
	{.words = {"who is not trusted here"}, .cause = "tls.untrusted"},
	{.words = {"unable to get local issuer"}, .cause = "tls.untrusted"},
	{.words = {"self signed certificate"}, .cause = "tls.untrusted"},
	{.words = {"self-signed certificate"}, .cause = "tls.untrusted"},
	{.words = {"certificate is for another name"}, .cause = "tls.name"},
	{.words = {"certificate", "does not match"}, .cause = "tls.name"},
	{.words = {"no connection within"}, .cause = "net.timeout"},
	{.words = {"nobody answered the connection"}, .cause = "net.timeout"},
	{.words = {"timed out"}, .cause = "net.timeout", .weight = YG_FIND_KIND, .failures = true},
	{.words = {"connection ended after"}, .cause = "net.short_body"},
	{.words = {"connection was cut"}, .cause = "net.reset"},
	{.words = {"Connection reset by peer"}, .cause = "net.reset"},
	{.words = {"a web page (text/html) came"}, .cause = "http.block_page"},
	{.words = {"a redirect that is not followed"}, .cause = "http.redirect"},
	{.words = {"No space left on device"}, .cause = "store.disk_full"},
	{.words = {"not enough space on the disk"}, .cause = "store.disk_full"},
	{.words = {"十分な空き領域がありません"}, .cause = "store.disk_full"},
	{.words = {"Disk quota exceeded"}, .cause = "store.disk_full"},
	{.words = {"Read-only file system"}, .cause = "store.read_only"},
	{.words = {"Input/output error"}, .cause = "store.io"},
	{.words = {"Permission denied"}, .cause = "store.permission", .failures = true},
	{.words = {"bad_alloc"}, .cause = "engine.memory", .weight = YG_FIND_KIND},
	{.words = {"Cannot allocate memory"}, .cause = "engine.memory", .weight = YG_FIND_KIND},
};

/* What a status says in logs that are not ours. */
static const struct {
	const char *name;
	struct yg_signature row;
} statuses[] = {
	{"IAU_STATUS_FILE_EXISTS",
		{.cause = "store.exists",
			.sentence = {BROKEN_EN, BROKEN_JA},
			.remedy = {"Find in iau.log, in the entry [err] before this one, the file that is in the "
				   "way (the second path); delete it, then restart the agent (on an appliance: "
				   "the appliance).",
				"iau.logでこの行の前にある [err] の記録から妨げとなっているファイル (2番目のパス) を"
				"特定して手動で削除し、Agent (Virtual Applianceの場合はAppliance) を再起動して"
				"ください。"}}},
	{"IAURELAY_STATUS_NOT_AVAILABLE",
		{.cause = "store.object_damaged",
			.sentence = {"A broken pattern file was left behind, here or on the relay.",
				"破損したパターンファイルが、このコンピュータまたはRelayに残っています。"},
			.remedy = {"Stop the agent, delete everything in its folder iaurepo, start the agent and "
				   "update again. If it stays, do the same on the relay.",
				"Agentを停止し、iaurepoフォルダ配下をすべて削除してからAgentを開始し、再度アップデート"
				"してください。解決しない場合は、Relayでも同様に実施してください。"}}},
	{"IAURELAY_STATUS_DIGITAL_SIGNATURE_CERT_EXPIRE",
		{.cause = "tuf.expired",
			.sentence = {"The certificate of the signature on the components has expired.",
				"コンポーネントの署名に使用された証明書の有効期限が切れています。"},
			.remedy = {"Let the relay fetch the components and their signatures anew, and upgrade the "
				   "software of relay and agent. Check the clock of this computer.",
				"Relayでコンポーネントと署名を取得し直し、RelayとAgentのソフトウェアをアップグレードして"
				"ください。コンピュータの時計も確認してください。"}}},
};

const struct yg_signature *yg_signature_row(size_t row)
{
	return row < YG_COUNT(rows) ? &rows[row] : NULL;
}

const struct yg_signature *yg_signature_find(const char *text, bool failed)
{
	for (size_t i = 0; i < YG_COUNT(rows); i++) {
		const struct yg_signature *row = &rows[i];
		if ((!row->failures || failed) && strcasestr(text, row->words[0]) &&
			(!row->words[1] || strcasestr(text, row->words[1])))
			return row;
	}
	return NULL;
}

const struct yg_signature *yg_signature_status(const char *name)
{
	for (size_t i = 0; i < YG_COUNT(statuses); i++)
		if (strcmp(statuses[i].name, name) == 0)
			return &statuses[i].row;
	return NULL;
}
