/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "agent/identity.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/fs.h"
#include "core/json.h"
#include "crypto/secret.h"

#define FILE_NAME      "identity.json"
#define SIZE_MAX_BYTES (1u << 20)

static const struct {
	const char *name;
	size_t at;
	size_t max;
} members[] = {
	{"agent_id", offsetof(struct identity, agent_id), 36},
	{"manager_id", offsetof(struct identity, manager_id), 36},
	{"manager_url", offsetof(struct identity, manager_url), 1023},
	{"name", offsetof(struct identity, name), 255},
	{"key", offsetof(struct identity, key), 65536},
	{"certificate", offsetof(struct identity, cert), 65536},
	{"ca_bundle", offsetof(struct identity, cas), 1u << 19},
};

static char **text_at(struct identity *identity, size_t i)
{
	return (char **)(void *)((char *)identity + members[i].at);
}

static int check(struct identity *identity, struct yg_err *err)
{
	struct yg_x509_info info;
	char uri[64];
	if (yg_x509_read(yg_bytes_of(identity->cert), &info, err) < 0)
		return yg_wrap(err, "the agent's certificate");
	(void)snprintf(uri, sizeof(uri), "urn:yagura:agent:%s", identity->agent_id);
	if (!yg_x509_has_uri(&info, uri))
		return yg_fail(err, YG_EUNTRUSTED, "the agent's certificate is for '%s', want %s",
			info.uri_count ? info.uris[0] : "nobody", uri);
	(void)snprintf(uri, sizeof(uri), "urn:yagura:relay:%s", identity->agent_id);
	identity->relay = yg_x509_has_uri(&info, uri);
	identity->not_before_s = info.not_before_s;
	identity->not_after_s = info.not_after_s;
	return 0;
}

int identity_load(int dir, struct identity **out, struct yg_err *err)
{
	json_t *root YG_AUTO(yg_json) = NULL;
	int fd YG_AUTO(fd) = yg_fs_open(dir, FILE_NAME, err);
	if (fd < 0 || yg_json_read(fd, SIZE_MAX_BYTES, &root, err) < 0)
		return -1;
	struct identity *identity YG_AUTO(identity) = calloc(1, sizeof(*identity));
	if (!identity)
		return yg_fail_sys(err, ENOMEM, "the agent's identity");
	for (size_t i = 0; i < YG_COUNT(members); i++) {
		const char *text = NULL;
		if (yg_json_str(root, members[i].name, members[i].max, &text, err) < 0)
			return yg_wrap(err, FILE_NAME);
		char *copy = strdup(text);
		if (!copy)
			return yg_fail_sys(err, ENOMEM, "the agent's identity");
		*text_at(identity, i) = copy;
	}
	if (check(identity, err) < 0)
		return yg_wrap(err, FILE_NAME);
	*out = yg_take(identity);
	return 0;
}

int identity_save(int dir, const struct identity *identity, struct yg_err *err)
{
	struct identity copy = *identity;
	if (check(&copy, err) < 0)
		return -1;
	json_t *root YG_AUTO(yg_json) = json_object();
	for (size_t i = 0; i < YG_COUNT(members); i++) {
		const char *text = *text_at(&copy, i);
		(void)json_object_set_new(root, members[i].name, json_string(text ? text : ""));
	}
	char *text YG_AUTO(yg_secret) = yg_json_text(root);
	if (!text)
		return yg_fail_sys(err, ENOMEM, "the agent's identity");
	if (yg_fs_replace(dir, FILE_NAME, yg_bytes_of(text), 0600, err) < 0)
		return yg_wrap(err, "keeping the agent's identity");
	return 0;
}

int identity_forget(int dir, struct yg_err *err)
{
	if (yg_fs_remove(dir, FILE_NAME, err) < 0)
		return -1;
	return yg_fs_sync_dir(dir, ".", err);
}

void identity_free(struct identity *identity)
{
	if (!identity)
		return;
	yg_secret_free(yg_take(identity->key));
	for (size_t i = 0; i < YG_COUNT(members); i++)
		free(*text_at(identity, i));
	free(identity);
}

int64_t identity_renew_at(const struct identity *identity)
{
	return identity->not_before_s + (identity->not_after_s - identity->not_before_s) / 3 * 2;
}
