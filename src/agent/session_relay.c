/* SPDX-License-Identifier: GPL-2.0-or-later WITH cryptsetup-OpenSSL-exception */

/* The relay role of this computer, from session's side: whether there is one (the configuration says, unless the
 * Manager does), what it serves as, and a certificate that says that it may.
 */
#include <string.h>

#include "agent/session_impl.h"
#include "core/clock.h"
#include "core/fs.h"
#include "core/json.h"
#include "core/log.h"

#define EVENT_RELAY_OFF 9103
#define EVENT_RELAY_ON  9104
#define EVENT_RELAY_BAD 9105
#define RENEW_FIRST_MS  60000   /* between two requests for a certificate of a relay … */
#define RENEW_MAX_MS    3600000 /* … which a Manager may have reasons to refuse */

static void tell_bad(struct session *s, const char *cause, const char *detail)
{
	session_event(s, EVENT_RELAY_BAD,
		json_pack("{s:I,s:s,s:s}", "port", (json_int_t)s->relay_port, "cause", cause,
			"detail", detail));
}

static void served(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	struct session *s = ctx;
	int64_t port = 0;
	struct yg_err ignored = {0};
	if (err->code) {
		if (err->code != YG_EAGAIN && !s->relay_bad) {
			s->relay_bad = true; /* once, however often it is tried again */
			tell_bad(s, err->cause, err->msg);
		}
		return;
	}
	if (yg_json_int(reply->body, "port", 1, 65535, &port, &ignored) == 0)
		s->relay_port = port;
	if (!s->relay_on)
		session_event(s, EVENT_RELAY_ON,
			json_pack("{s:I}", "port", (json_int_t)s->relay_port));
	s->relay_on = true;
	s->relay_bad = false;
	session_changed(s);
}

void session_relay_serve(struct session *s)
{
	struct yg_err err = {0};
	if (!s->relay || !s->identity || !s->identity->relay)
		return; /* agents take nobody for a relay whose certificate does not say so */
	/* In a descriptor: thousands of serial numbers are more than a message holds. */
	json_t *list YG_AUTO(yg_json) = json_pack("{s:O}", "revoked", s->revoked);
	char *text YG_AUTO(mem) = list ? yg_json_text(list) : NULL;
	int fd YG_AUTO(fd) = text ? yg_fs_memfd("revoked", yg_bytes_of(text), &err) : -1;
	if (fd < 0) {
		yg_log_err(YG_LOG_ERROR, "session.relay", &err);
		return;
	}
	yg_ipc_request(s->relay, "relay.serve",
		json_pack("{s:I,s:s,s:s,s:s}", "port", (json_int_t)s->relay_port, "ca_bundle",
			s->identity->cas, "cert", s->identity->cert, "key", s->identity->key),
		&fd, 1, served, s);
}

void session_relay_gone(struct session *s)
{
	s->relay = NULL;
	if (s->relay_on)
		session_event(s, EVENT_RELAY_OFF, NULL);
	s->relay_on = false;
}

static void turned(void *ctx, struct yg_ipc_msg *reply, const struct yg_err *err)
{
	(void)ctx;
	(void)reply;
	if (err->code)
		yg_log_err(YG_LOG_ERROR, "session.relay", err);
}

/* The parent has it as configured until it is told otherwise. */
static void tell_parent(struct session *s, int on)
{
	if (on == s->relay_turned)
		return;
	s->relay_turned = on;
	yg_log(YG_LOG_NOTICE, "session.relay", "the relay is %s",
		on < 0       ? "as configured again"
			: on ? "on: the Manager has switched it"
			     : "off: the Manager has switched it");
	json_t *body = json_pack("{s:s,s:o}", "role", "relay", "on",
		on < 0 ? json_null() : json_boolean(on));
	yg_ipc_request(s->env->parent, "turn", body, NULL, 0, turned, s);
	session_changed(s);
}

/* The Manager that switched it on gives a certificate that says so, when it is asked. */
static void want_certificate(struct session *s)
{
	int64_t now = yg_clock_mono_ms();
	if (!s->relay_wanted || !s->identity || s->identity->relay || !s->manager ||
		now < s->relay_renew_ms)
		return;
	if (s->relay_renew_pause_ms == RENEW_FIRST_MS)
		tell_bad(s, "auth.denied",
			"the certificate that the Manager gave is not one of a relay");
	s->relay_renew_pause_ms = s->relay_renew_pause_ms == 0 ? RENEW_FIRST_MS
							       : s->relay_renew_pause_ms * 2;
	if (s->relay_renew_pause_ms > RENEW_MAX_MS)
		s->relay_renew_pause_ms = RENEW_MAX_MS;
	s->relay_renew_ms = now + s->relay_renew_pause_ms;
	manager_renew(s->manager);
}

void session_relay_settle(struct session *s)
{
	int on = session_settings_relay(s);
	bool configured = json_is_true(
		json_object_get(json_object_get(s->env->config, "relay"), "enabled"));
	s->relay_wanted = on < 0 ? configured : on != 0;
	tell_parent(s, on);
	if (!s->relay_wanted || (s->identity && s->identity->relay))
		s->relay_renew_ms = s->relay_renew_pause_ms = 0;
	want_certificate(s);
}
