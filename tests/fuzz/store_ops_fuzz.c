/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* Arguments of the store's operations: the operation's name, a newline, and its JSON. An agent with a
 * certificate and a key with every right ask, so that nothing ends at the door.
 */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "manager/store/store.h"

#define AGENT "11111111-2222-4333-8444-555555555555"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct store *store;
static char key[128];

static json_t *ask(enum store_caller caller, const char *op, json_t *args, json_t *who)
{
	struct yg_err err = {0};
	json_t *out = NULL;
	json_t *call YG_AUTO(
		yg_json) = json_pack("{s:s, s:o, s:o}", "op", op, "args", args, "who", who);
	if (call && store_call(store, caller, call, &out, &err) < 0)
		assert(err.code != YG_OK && err.msg[0] != '\0');
	return out;
}

static json_t *as_system(void)
{
	return json_pack("{s:s}", "kind", "system");
}

static void begin(void)
{
	char path[] = "/tmp/yagura-store-fuzz-XXXXXX";
	char where[64];
	struct yg_err err = {0};
	yg_log_init("store_fuzz", YG_LOG_ERROR);
	int fd = mkstemp(path);
	assert(fd >= 0);
	(void)close(fd);
	(void)snprintf(where, sizeof(where), "sqlite:%s", path);
	int rc = store_open(&store, where, &err);
	assert(rc == 0);
	/* The files live as long as we do, and leave nothing behind. */
	static const char *const parts[] = {"", "-wal", "-shm"};
	for (size_t i = 0; i < YG_COUNT(parts); i++) {
		(void)snprintf(where, sizeof(where), "%s%s", path, parts[i]);
		(void)unlink(where);
	}

	json_t *made YG_AUTO(yg_json) = ask(STORE_PARENT, "keys.first", json_object(), as_system());
	(void)snprintf(key, sizeof(key), "%s", json_string_value(json_object_get(made, "key")));
	/* Nothing is kept from one input to the next, and nothing waits for the disk. */
	rc = yg_db_exec(store->db, "PRAGMA synchronous = OFF", YG_DB_NO_ARGS, NULL, &err);
	assert(rc == 0);
	rc = yg_db_exec(store->db,
		"INSERT INTO computers (id, name, hostname, kind, address, state, protection, relay, "
		"relay_allowed, relay_port, policy, policy_has, set_has, hello, components, csr_sha256, online, "
		"last_seq, created, activated, deleted) SELECT '" AGENT
		"', 'web1', 'web1', 'agent', '', '', '', 0, 1, 4122, id, '', '', '{}', '[]', '', 1, 0, 0, 0, 0 "
		"FROM policies",
		YG_DB_NO_ARGS, NULL, &err);
	assert(rc == 0);
	rc = yg_db_exec(store->db,
		"INSERT INTO certificates (serial, computer, issued, not_after, revoked) VALUES ('01', '" AGENT
		"', 0, 9999999999, 0)",
		YG_DB_NO_ARGS, NULL, &err);
	assert(rc == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!store)
		begin();
	const uint8_t *end = memchr(data, '\n', size);
	if (!end)
		return 0;
	size_t len = (size_t)(end - data);
	const struct store_op *op = store_ops;
	while (op->name && (strlen(op->name) != len || memcmp(op->name, data, len) != 0))
		op++;
	/* What would take the door away for all that come later. */
	if (!op->name || op->run == op_keys_delete || op->run == op_computers_delete)
		return 0;
	struct yg_err err = {0};
	json_t *args = NULL;
	if (yg_json_parse((struct yg_bytes){end + 1, size - len - 1}, 1 << 20, &args, &err) < 0)
		return 0;
	enum store_caller caller = op->callers & STORE_WEB ? STORE_WEB
		: op->callers & STORE_SESSION              ? STORE_SESSION
		: op->callers & STORE_CA                   ? STORE_CA
		: op->callers & STORE_CONTENT              ? STORE_CONTENT
							   : STORE_PARENT;
	json_t *who = op->kinds & STORE_KEY ? json_pack("{s:s, s:s}", "kind", "key", "key", key)
		: op->kinds & STORE_AGENT
		? json_pack("{s:s, s:s, s:s}", "kind", "agent", "id", AGENT, "serial", "01")
		: as_system();
	json_decref(ask(caller, op->name, args, who));
	return 0;
}
