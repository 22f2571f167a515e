/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/log.h"
#include "core/role.h"
#include "core/str.h"
#include "crypto/key.h"
#include "crypto/random.h"
#include "crypto/seal.h"
#include "crypto/secret.h"
#include "crypto/x509.h"
#include "manager/base64.h"
#include "manager/boxes.h"
#include "manager/call.h"

/* yagura-manager-ca: the only holder of the CA's key.
 *
 *     web, session ── ca.server {csr, role} ──> certificate of this Manager, 90 days
 *     session ─────── ca.agent {csr, agent_id, relay, hostname} ──> certificate of an agent, 90 days
 *     content ─────── ca.client {csr} ──> certificate as a client of relays, a week
 *
 * The key lies in the database, sealed under the master key file, of which only this role has a
 * descriptor: neither a stolen database nor the store's process gives it away. It has: that
 * descriptor, one file to write its public certificate to, the links. It has not: paths, network,
 * programs, capabilities.
 */

#define CLIENT_DAYS  7
#define DAYS         90
#define NAMES_MAX    32 /* names in a server certificate */
#define SECRET_NAME  "ca"
#define SECRET_BOUND "secrets/ca"
#define SECRET_MAX   32768 /* bytes of the CA's key and certificate as JSON */
#define AGAIN_MS     500

struct ca {
	struct yg_role_env *env;
	struct call_link store, web, session, content;
	struct yg_seal *seal;
	int bundle_fd; /* gets the certificate for people */
	struct yg_key *key;
	char *cert;   /* the CA's own; also the bundle */
	char uri[64]; /* "urn:yagura:manager:<uuid>" */
	char manager_id[40];
	bool ready; /* known to the store: requests are answered */
	struct yg_timer *again;
	unsigned session_round; /* grows with each session role that is linked */
};

/* ---- getting the key ---- */

static void begin(void *ctx);

static void forget(struct ca *ca)
{
	yg_key_free(yg_take(ca->key));
	free(yg_take(ca->cert));
}

static void try_again(struct ca *ca, const struct yg_err *err)
{
	if (err->code != YG_EAGAIN)
		yg_log_err(YG_LOG_ERROR, "ca.start", err);
	if (ca->store.ipc)
		yg_timer_set(ca->again, AGAIN_MS);
}

/* People's programs read it at any moment: a restart, which has the same to say, does not touch it. */
static void write_bundle(const struct ca *ca)
{
	struct yg_err err = {0};
	size_t len = strlen(ca->cert);
	struct yg_buf there YG_AUTO(yg_buf) = YG_BUF(SECRET_MAX);
	if (yg_fs_read_fd(ca->bundle_fd, &there, &err) == 0 && there.len == len &&
		memcmp(there.data, ca->cert, len) == 0)
		return;
	if (lseek(ca->bundle_fd, 0, SEEK_SET) < 0 ||
		yg_fs_write_all(ca->bundle_fd, ca->cert, len, &err) < 0 ||
		ftruncate(ca->bundle_fd, (off_t)len) < 0)
		yg_log(YG_LOG_WARN, "ca.bundle", "writing the CA's certificate for people failed");
}

static void published(void *ctx, json_t *result, const struct yg_err *err)
{
	struct ca *ca = ctx;
	(void)result;
	if (err->code != YG_OK) {
		try_again(ca, err);
		return;
	}
	write_bundle(ca);
	if (!ca->ready)
		yg_role_ready(ca->env);
	ca->ready = true;
}

static void publish(struct ca *ca)
{
	struct yg_err err = {0};
	uint8_t spki[32];
	char hex[65];
	if (yg_key_spki(ca->key, spki, &err) < 0) {
		try_again(ca, &err);
		return;
	}
	yg_str_hex(spki, sizeof(spki), hex);
	call_store(&ca->store, "ca.put",
		json_pack("{s:s, s:s}", "ca_bundle", ca->cert, "spki_sha256", hex), NULL, NULL,
		published, ca);
}

/* The sealed form of key and certificate, as the database keeps it. */
static int open_secret(struct ca *ca, const char *text, struct yg_err *err)
{
	struct yg_buf sealed YG_AUTO(yg_buf) = YG_BUF(2 * SECRET_MAX);
	struct yg_buf plain YG_AUTO(yg_buf) = YG_BUF(SECRET_MAX);
	json_t *secret YG_AUTO(yg_json) = NULL;
	const char *key = NULL;
	const char *cert = NULL;
	int rc = -1;
	if (base64_decode(text, &sealed, err) == 0 &&
		yg_seal_get(ca->seal, yg_buf_bytes(&sealed), yg_bytes_of(SECRET_BOUND), &plain,
			err) == 0 &&
		yg_json_parse(yg_buf_bytes(&plain), SECRET_MAX, &secret, err) == 0 &&
		yg_json_str(secret, "key", YG_KEY_PEM_MAX, &key, err) == 0 &&
		yg_json_str(secret, "cert", YG_X509_PEM_MAX, &cert, err) == 0) {
		ca->key = yg_key_load(yg_bytes_of(key), NULL, err);
		ca->cert = strdup(cert);
		rc = ca->key && ca->cert ? 0 : -1;
	}
	if (plain.data)
		yg_secret_wipe(plain.data, plain.len);
	return rc < 0 ? yg_wrap(err, "the CA's key in the database") : 0;
}

static void kept(void *ctx, json_t *result, const struct yg_err *err)
{
	struct ca *ca = ctx;
	(void)result;
	if (err->code == YG_OK) {
		yg_log(YG_LOG_NOTICE, "ca.made", "made this Manager's certificate authority");
		publish(ca);
		return;
	}
	/* Another node was first: its key is the one. */
	forget(ca);
	if (strcmp(err->cause, "conflict") == 0)
		begin(ca);
	else
		try_again(ca, err);
}

static int make(struct ca *ca, char **text, struct yg_err *err)
{
	char cn[64];
	if (!yg_str_put(cn, sizeof(cn), "Yagura CA %.8s", ca->manager_id))
		return yg_fail(err, YG_ELIMIT, "Manager id: too long");
	char *pem YG_AUTO(yg_secret) = NULL;
	if (yg_x509_make_ca(cn, &ca->key, &ca->cert, err) < 0 ||
		yg_key_save(ca->key, NULL, &pem, err) < 0)
		return -1;
	json_t *secret YG_AUTO(yg_json) = json_pack("{s:s, s:s}", "key", pem, "cert", ca->cert);
	char *plain YG_AUTO(yg_secret) = yg_json_text(secret);
	struct yg_buf sealed YG_AUTO(yg_buf) = YG_BUF(2 * SECRET_MAX);
	if (!plain ||
		yg_seal_put(ca->seal, yg_bytes_of(plain), yg_bytes_of(SECRET_BOUND), &sealed, err) <
			0)
		return plain ? -1 : yg_fail(err, YG_ESYSTEM, "out of memory");
	*text = base64_encode(yg_buf_bytes(&sealed));
	return *text ? 0 : yg_fail(err, YG_ESYSTEM, "out of memory");
}

static void got_secret(void *ctx, json_t *result, const struct yg_err *why)
{
	struct ca *ca = ctx;
	struct yg_err err = *why;
	if (err.code == YG_EABSENT) {
		char *text YG_AUTO(mem) = NULL;
		err = (struct yg_err){0};
		if (make(ca, &text, &err) == 0)
			call_store(&ca->store, "secrets.put",
				json_pack("{s:s, s:s, s:b}", "name", SECRET_NAME, "data", text,
					"only_new", 1),
				NULL, NULL, kept, ca);
		else {
			forget(ca);
			try_again(ca, &err);
		}
		return;
	}
	const char *text = NULL;
	if (err.code == YG_OK && yg_json_str(result, "data", 2 * SECRET_MAX, &text, &err) == 0 &&
		open_secret(ca, text, &err) == 0)
		publish(ca);
	else
		try_again(ca, &err);
}

static void got_manager(void *ctx, json_t *result, const struct yg_err *why)
{
	struct ca *ca = ctx;
	struct yg_err err = *why;
	const char *id = NULL;
	if (err.code == YG_OK && yg_json_str(result, "manager_id", 39, &id, &err) == 0 &&
		yg_str_put(ca->manager_id, sizeof(ca->manager_id), "%s", id) &&
		yg_str_put(ca->uri, sizeof(ca->uri), "urn:yagura:manager:%s", id))
		call_store(&ca->store, "secrets.get", json_pack("{s:s}", "name", SECRET_NAME), NULL,
			NULL, got_secret, ca);
	else
		try_again(ca, &err);
}

static void begin(void *ctx)
{
	struct ca *ca = ctx;
	if (ca->key)
		publish(ca);
	else
		call_store(&ca->store, "manager.get", json_object(), NULL, NULL, got_manager, ca);
}

/* ---- issuing ---- */

static void not_yet(struct yg_ipc *ipc, uint32_t id)
{
	struct yg_err err = {0};
	(void)yg_fail(&err, YG_EAGAIN, "the Manager's ca is starting; try again");
	yg_ipc_reply_err(ipc, id, &err);
}

/* The certificate followed by its CA: what a server presents. */
static json_t *chain(const struct ca *ca, const char *cert)
{
	char *both YG_AUTO(mem) = yg_str_format("%s%s", cert, ca->cert);
	return json_string(both ? both : cert);
}

static int issue_server(struct ca *ca, const json_t *body, char **cert, struct yg_err *err)
{
	const char *csr = NULL;
	if (yg_json_str(body, "csr", YG_X509_PEM_MAX, &csr, err) < 0)
		return -1;
	const char *dns[NAMES_MAX + 1] = {NULL};
	const char *ips[NAMES_MAX + 1] = {NULL};
	size_t dns_count = 0;
	size_t ip_count = 0;
	size_t i;
	json_t *name;
	json_array_foreach(json_object_get(ca->env->config, "names"), i, name)
	{
		uint8_t address[16];
		const char *text = json_string_value(name);
		if (!text || i >= NAMES_MAX)
			continue;
		if (inet_pton(AF_INET, text, address) == 1 ||
			inet_pton(AF_INET6, text, address) == 1)
			ips[ip_count++] = text;
		else
			dns[dns_count++] = text;
	}
	const struct yg_x509_spec spec = {
		.cn = "Yagura Manager",
		.uris = (const char *const[]){ca->uri, NULL},
		.dns = dns,
		.ips = ips,
		.use = YG_X509_SERVER,
		.days = DAYS,
	};
	return yg_x509_issue(ca->key, ca->cert, csr, &spec, cert, NULL, err);
}

static void told(void *ctx, json_t *result, const struct yg_err *err)
{
	(void)ctx;
	(void)result;
	if (err->code != YG_OK)
		yg_log_err(YG_LOG_WARN, "ca.issued", err);
}

/* For the calendar of what expires; it is told again with the next one. */
static void tell_issued(struct ca *ca, const json_t *body, const char *cert)
{
	struct yg_x509_info info;
	struct yg_err err = {0};
	char until[YG_CLOCK_TEXT];
	const char *role = json_string_value(json_object_get(body, "role"));
	if (!role || yg_x509_read(yg_bytes_of(cert), &info, &err) < 0)
		return;
	yg_clock_format(info.not_after_s, until);
	call_store(&ca->store, "ca.issued",
		json_pack("{s:s, s:s}", "role", role, "not_after", until), NULL, NULL, told, NULL);
}

static void server(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	struct ca *ca = ctx;
	struct yg_err err = {0};
	char *cert YG_AUTO(mem) = NULL;
	if (!ca->ready)
		not_yet(ipc, msg->id);
	else if (issue_server(ca, msg->body, &cert, &err) < 0)
		yg_ipc_reply_err(ipc, msg->id, &err);
	else {
		tell_issued(ca, msg->body, cert);
		yg_ipc_reply(ipc, msg->id,
			json_pack("{s:o, s:s}", "certificate", chain(ca, cert), "ca_bundle",
				ca->cert),
			NULL, 0);
	}
}

/* What the Manager is towards its relays, when it looks for new content there. */
static void client(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	struct ca *ca = ctx;
	struct yg_err err = {0};
	const char *csr = NULL;
	char *cert YG_AUTO(mem) = NULL;
	const struct yg_x509_spec spec = {
		.cn = "Yagura Manager",
		.uris = (const char *const[]){ca->uri, NULL},
		.use = YG_X509_CLIENT,
		.days = CLIENT_DAYS,
	};
	if (!ca->ready)
		not_yet(ipc, msg->id);
	else if (yg_json_str(msg->body, "csr", YG_X509_PEM_MAX, &csr, &err) < 0 ||
		yg_x509_issue(ca->key, ca->cert, csr, &spec, &cert, NULL, &err) < 0)
		yg_ipc_reply_err(ipc, msg->id, &err);
	else
		yg_ipc_reply(ipc, msg->id,
			json_pack("{s:s, s:s}", "certificate", cert, "ca_bundle", ca->cert), NULL,
			0);
}

/* An agent's certificate between its signing and the store's word that it is recorded. */
struct issued {
	struct ca *ca;
	uint32_t id;
	unsigned round; /* of the session that asked */
	json_t *reply;
};

static void recorded(void *ctx, json_t *result, const struct yg_err *err)
{
	struct issued *issued = ctx;
	struct ca *ca = issued->ca;
	(void)result;
	/* The session may have been replaced meanwhile: its agent comes again, and the number of the
	 * question may be another agent's by now.
	 */
	struct yg_ipc *ipc = issued->round == ca->session_round ? ca->session.ipc : NULL;
	if (ipc && err->code != YG_OK)
		yg_ipc_reply_err(ipc, issued->id, err);
	else if (ipc)
		yg_ipc_reply(ipc, issued->id, json_incref(issued->reply), NULL, 0);
	json_decref(issued->reply);
	free(issued);
}

static int issue_agent(struct ca *ca, const json_t *body, json_t **reply, json_t **record,
	struct yg_err *err)
{
	const char *csr = NULL;
	const char *agent = NULL;
	const char *hostname = NULL;
	bool relay = false;
	if (yg_json_str(body, "csr", YG_X509_PEM_MAX, &csr, err) < 0 ||
		yg_json_str(body, "agent_id", 36, &agent, err) < 0 ||
		yg_json_str_or(body, "hostname", 255, "", &hostname, err) < 0 ||
		yg_json_bool_or(body, "relay", false, &relay, err) < 0)
		return -1;
	if (!yg_random_uuid_ok(agent))
		return yg_fail(err, YG_EFORMAT, "agent_id: want a UUID, have '%.40s'", agent);
	char uris[2][64];
	if (!yg_str_put(uris[0], 64, "urn:yagura:agent:%s", agent) ||
		!yg_str_put(uris[1], 64, "urn:yagura:relay:%s", agent))
		return yg_fail(err, YG_ELIMIT, "agent_id: too long");
	const struct yg_x509_spec spec = {
		.cn = agent,
		.uris = (const char *const[]){uris[0], relay ? uris[1] : NULL, NULL},
		.use = YG_X509_CLIENT | (relay ? YG_X509_SERVER : 0),
		.days = DAYS,
	};
	char *cert YG_AUTO(mem) = NULL;
	char serial[YG_X509_SERIAL];
	struct yg_x509_info info;
	if (yg_x509_issue(ca->key, ca->cert, csr, &spec, &cert, serial, err) < 0 ||
		yg_x509_read(yg_bytes_of(cert), &info, err) < 0)
		return -1;
	char not_after[YG_CLOCK_TEXT];
	yg_clock_format(info.not_after_s, not_after);
	yg_log(YG_LOG_INFO, "ca.issued", "agent %s (%s): certificate %s until %s", agent, hostname,
		info.serial, not_after);
	*reply = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "certificate", cert, "ca_bundle",
		ca->cert, "serial", info.serial, "not_after", not_after, "agent_id", agent,
		"manager_id", ca->manager_id);
	*record = json_pack("{s:s, s:s, s:s}", "agent_id", agent, "serial", info.serial,
		"not_after", not_after);
	return 0;
}

static void agent(void *ctx, struct yg_ipc *ipc, struct yg_ipc_msg *msg)
{
	struct ca *ca = ctx;
	struct yg_err err = {0};
	json_t *record = NULL;
	if (!ca->ready) {
		not_yet(ipc, msg->id);
		return;
	}
	struct issued *issued = calloc(1, sizeof(*issued));
	if (!issued) {
		(void)yg_fail(&err, YG_ESYSTEM, "out of memory");
		yg_ipc_reply_err(ipc, msg->id, &err);
		return;
	}
	*issued = (struct issued){.ca = ca, .id = msg->id, .round = ca->session_round};
	if (issue_agent(ca, msg->body, &issued->reply, &record, &err) < 0) {
		yg_ipc_reply_err(ipc, msg->id, &err);
		free(issued);
		return;
	}
	call_store(&ca->store, "agents.certificate", record, NULL, NULL, recorded, issued);
}

/* ---- the role ---- */

static const struct yg_ipc_handler web_handlers[] = {{"ca.server", server}, {0}};
static const struct yg_ipc_handler content_handlers[] = {{"ca.client", client}, {0}};
static const struct yg_ipc_handler session_handlers[] = {{"ca.server", server}, {"ca.agent", agent},
	{0}};

static int start(struct yg_role_env *env, void **self, struct yg_err *err)
{
	struct ca *ca = calloc(1, sizeof(*ca));
	if (!ca)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	*self = ca;
	ca->env = env;
	ca->bundle_fd = -1;
	if (env->fd_count != 2)
		return yg_fail(err, YG_EFORMAT, "config: want 2 descriptors, have %zu",
			env->fd_count);
	if (call_start(env, "manager/ca", &boxes_ca, err) < 0)
		return -1;
	ca->seal = yg_seal_open(env->fds[0], err);
	(void)close(yg_take_fd(env->fds[0]));
	if (!ca->seal)
		return yg_wrap(err, "master key");
	ca->bundle_fd = yg_take_fd(env->fds[1]);
	ca->again = yg_loop_timer(env->loop, begin, ca);
	return ca->again ? 0 : yg_fail(err, YG_ESYSTEM, "out of memory");
}

static void closed(void *ctx, struct yg_ipc *ipc)
{
	struct ca *ca = ctx;
	struct call_link *links[] = {&ca->store, &ca->web, &ca->session, &ca->content};
	for (size_t i = 0; i < YG_COUNT(links); i++)
		if (links[i]->ipc == ipc)
			call_link_drop(links[i]);
}

static void link_to(void *self, const char *peer, const char *tag, int fd)
{
	struct ca *ca = self;
	(void)tag;
	if (strcmp(peer, "store") == 0) {
		call_link_set(&ca->store, ca->env->loop, fd, "store", NULL, closed, ca);
		begin(ca);
	} else if (strcmp(peer, "web") == 0) {
		call_link_set(&ca->web, ca->env->loop, fd, "web", web_handlers, closed, ca);
	} else if (strcmp(peer, "content") == 0) {
		call_link_set(&ca->content, ca->env->loop, fd, "content", content_handlers, closed,
			ca);
	} else {
		ca->session_round++;
		call_link_set(&ca->session, ca->env->loop, fd, "session", session_handlers, closed,
			ca);
	}
}

static void stop(void *self)
{
	struct ca *ca = self;
	if (!ca)
		return;
	yg_timer_free(ca->again);
	ca->again = NULL;
	yg_ipc_free(yg_take(ca->web.ipc));
	yg_ipc_free(yg_take(ca->session.ipc));
	yg_ipc_free(yg_take(ca->content.ipc));
	call_link_drop(&ca->store);
	yg_key_free(ca->key);
	yg_seal_free(ca->seal);
	free(ca->cert);
	fd_free_at(&ca->bundle_fd);
	free(ca);
}

int main(int argc, char **argv)
{
	return yg_role_main(argc, argv,
		(const struct yg_role[]){{"ca", "manager/ca", start, link_to, stop}, {0}});
}
