/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */
#include "manager/web.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>

#include "archive/package.h"
#include "core/json.h"
#include "core/log.h"
#include "manager/api.h"
#include "manager/edge.h"
#include "proto/lang.h"

#define KEY_MAX 200 /* bytes of an API key */

struct web {
	struct edge edge;
};

/* One request on its way through the store. */
struct ask {
	struct edge_wait wait; /* first: see its users */
	struct web *web;
	const struct api_route *route;
	struct api_refusal refusal; /* what to say after all when the key is good */
	struct yg_err why;
};

/* The key of "Authorization: Bearer ygk_…", or NULL. */
static const char *bearer(const struct yg_server_request *request)
{
	const char *header = yg_server_header(request, "Authorization");
	if (!header || strncasecmp(header, "Bearer ", 7) != 0)
		return NULL;
	const char *key = header + 7 + strspn(header + 7, " ");
	size_t len = strlen(key);
	return len > 0 && len <= KEY_MAX && strncmp(key, "ygk_", 4) == 0 ? key : NULL;
}

static void refuse(struct yg_server_request *request, const struct api_refusal *refusal,
	const struct yg_err *why)
{
	yg_server_reply_error(request, refusal->status, refusal->code,
		refusal->field[0] ? refusal->field : NULL, "%s", why->msg);
}

/* The member that the store's message is about: "paths: want …". NULL when it is about none. */
static const char *field_of(const struct api_route *route, const struct yg_err *why, char out[64])
{
	size_t len = strcspn(why->msg, ":");
	if (why->code != YG_EFORMAT || why->msg[len] != ':' || len >= 64)
		return NULL;
	memcpy(out, why->msg, len);
	out[len] = '\0';
	/* "source.url" and "computers[3]" are about members too. */
	size_t top = strcspn(out, ".[");
	const struct api_member *lists[] = {route->query,
		route->body ? route->body->members : NULL};
	for (size_t i = 0; i < YG_COUNT(lists); i++)
		for (const struct api_member *m = lists[i]; m && m->name; m++)
			if (strlen(m->name) == top && strncmp(m->name, out, top) == 0)
				return out;
	return NULL;
}

/* {"files":[{name, text or value}]} as a zip file. The list of what is in it is its last file. */
static int make_package(int fd, const json_t *result, struct yg_err *err)
{
	struct yg_package *package YG_AUTO(yg_package) = yg_package_new(fd, "manager", err);
	json_t *contents YG_AUTO(yg_json) = NULL;
	size_t i;
	json_t *file;
	if (!package)
		return -1;
	json_array_foreach(json_object_get(result, "files"), i, file)
	{
		const char *name = NULL;
		const char *text = json_string_value(json_object_get(file, "text"));
		if (yg_json_str(file, "name", 300, &name, err) < 0)
			return -1;
		if (text ? yg_package_text(package, name, yg_bytes_of(text), err) < 0
			 : yg_package_json(package, name, json_object_get(file, "value"), err) < 0)
			return -1;
	}
	return yg_package_close(package, &contents, err);
}

static void reply_package(struct yg_server_request *request, const json_t *result)
{
	struct yg_err err = {0};
	int fd YG_AUTO(fd) = memfd_create("package", MFD_CLOEXEC);
	if (fd < 0)
		(void)yg_fail_sys(&err, errno, "making the package");
	if (fd < 0 || make_package(fd, result, &err) < 0) {
		edge_fail(request, &err, NULL);
		return;
	}
	yg_server_reply_file(request, yg_take_fd(fd), "application/zip", NULL);
}

static void answered(void *ctx, json_t *result, const struct yg_err *err)
{
	struct ask *ask = ctx;
	struct yg_server_request *request = ask->wait.request;
	char field[64];
	if (request && err->code != YG_OK)
		edge_fail(request, err, field_of(ask->route, err, field));
	else if (request && ask->refusal.status)
		refuse(request, &ask->refusal, &ask->why);
	else if (request && ask->route->zip)
		reply_package(request, result);
	else if (request && ask->route->status == 204)
		yg_server_reply(request, 204, "application/json", (struct yg_bytes){NULL, 0});
	else if (request)
		yg_server_reply_json(request, ask->route->status, json_incref(result));
	free(ask);
}

static void send(struct web *web, struct yg_server_request *request, const struct api_route *route,
	const char *key, const struct api_refusal *refusal, const struct yg_err *why, json_t *args)
{
	struct ask *ask = calloc(1, sizeof(*ask));
	if (!ask) {
		json_decref(args);
		yg_server_reply_error(request, 503, "unavailable", NULL,
			"out of memory; try again");
		return;
	}
	ask->web = web;
	ask->route = route;
	/* A request that is wrong in itself is told so only to those who may ask at all. */
	const char *op = route->op;
	if (refusal->status) {
		ask->refusal = *refusal;
		ask->why = *why;
		op = "keys.check";
		json_decref(args);
		args = json_object();
	}
	const char *wanted = json_string_value(json_object_get(args, "lang"));
	const char *lang = yg_lang_name(
		yg_lang_of(wanted ? wanted : yg_server_header(request, "Accept-Language")));
	(void)json_object_del(args, "lang");
	edge_hold(&ask->wait, request);
	call_store(&web->edge.store, op, args, json_pack("{s:s, s:s}", "kind", "key", "key", key),
		lang, answered, ask);
}

/* Path, query and body as the store's arguments. */
static int arguments(struct yg_server_request *request, const struct api_route *route,
	const char *id, json_t **args, struct api_refusal *refusal, struct yg_err *err)
{
	json_t *query YG_AUTO(yg_json) = json_object();
	json_t *body YG_AUTO(yg_json) = NULL;
	if (api_query(route, yg_server_query_text(request), query, refusal, err) < 0 ||
		api_body(route, yg_server_body(request), &body, refusal, err) < 0)
		return -1;
	(void)json_object_update(body, query);
	if (id[0])
		(void)json_object_set_new(body, "id", json_string(id));
	*args = yg_take(body);
	return 0;
}

static bool handle(void *ctx, struct yg_server_request *request)
{
	struct web *web = ctx;
	const char *method = yg_server_method(request);
	const struct api_route *route = NULL;
	char id[API_ID_MAX + 1];
	char allow[64];
	struct api_refusal refusal = {0};
	struct yg_err err = {0};
	if (api_find(strcmp(method, "HEAD") == 0 ? "GET" : method, yg_server_path(request), &route,
		    id, allow, &refusal, &err) < 0) {
		if (refusal.status == 405)
			yg_server_add(request, "Allow", allow);
		refuse(request, &refusal, &err);
		return true;
	}
	if (route->open) {
		yg_server_reply(request, 200, "application/json", api_document());
		return true;
	}
	const char *key = bearer(request);
	if (!key) {
		(void)yg_fail_cause(&err, YG_EUNTRUSTED, "auth.key",
			"want an API key, as \"Authorization: Bearer ygk_…\", have none");
		edge_fail(request, &err, NULL);
		return true;
	}
	json_t *args = NULL;
	if (arguments(request, route, id, &args, &refusal, &err) < 0)
		args = json_object();
	send(web, request, route, key, &refusal, &err, args);
	return true;
}

static const struct yg_server_route no_routes[] = {{0}};

int web_start(struct yg_role_env *env, void **self, struct yg_err *err)
{
	struct web *web = calloc(1, sizeof(*web));
	if (!web)
		return yg_fail(err, YG_ESYSTEM, "out of memory");
	*self = web;
	const struct yg_server_options options = {
		.name = "web",
		.client = YG_SERVER_ANYONE,
		.body_max = API_BODY_MAX,
		.connections_max = 1024,
		.routes = no_routes,
		.ctx = web,
		.before = handle,
	};
	return edge_start(&web->edge, env, "web", "manager/web", &options, err);
}

static void store_closed(void *ctx, struct yg_ipc *ipc)
{
	struct web *web = ctx;
	(void)ipc;
	call_link_drop(&web->edge.store);
}

void web_link(void *self, const char *peer, const char *tag, int fd)
{
	struct web *web = self;
	(void)tag;
	if (strcmp(peer, "ca") == 0)
		edge_link_ca(&web->edge, fd);
	else
		call_link_set(&web->edge.store, web->edge.env->loop, fd, "store", NULL,
			store_closed, web);
}

void web_stop(void *self)
{
	struct web *web = self;
	if (web)
		edge_stop(&web->edge);
	free(web);
}
