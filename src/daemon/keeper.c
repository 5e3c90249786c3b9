#include "daemon/keeper.h"

#include "base/buf.h"

#include <stdio.h>

#define HELPER_ARGS 48

struct run *keeper_start(
    const struct settings *s, const struct layout *l, struct run_options *o, struct err *e)
{
	enum { HELPER, MONITOR, EXEC, TREE, CERT, PROGRAMS };
	static const char *const names[PROGRAMS] = {"helper", "monitor", "exec", "tree", "cert"};
	char programs[PROGRAMS][SETTINGS_PATH_MAX + 32];
	char uid[16], gid[16], web_gid[16], port[16], https[16], orphan[16];
	for (int i = 0; i < PROGRAMS; i++)
		snprintf(programs[i], sizeof(programs[i]), "%s/slipway-%s", s->libexec, names[i]);
	snprintf(https, sizeof(https), "%u", s->https_port);
	snprintf(uid, sizeof(uid), "%u", l->uid);
	snprintf(gid, sizeof(gid), "%u", l->gid);
	snprintf(web_gid, sizeof(web_gid), "%u", l->web_gid);
	snprintf(port, sizeof(port), "%u", s->edge_port);
	snprintf(orphan, sizeof(orphan), "%u", s->orphan_ms);
	const char *args[HELPER_ARGS] = {"--keeper", "--socket", l->keeper_socket, "--projects",
	    l->projects, "--run", s->run, "--edge", l->edge, "--exec", programs[EXEC], "--tree",
	    programs[TREE], "--monitor", programs[MONITOR], "--daemon-uid", uid, "--daemon-gid",
	    gid, "--web-group", web_gid, "--web-user", s->web_user, "--nginx", s->nginx,
	    "--address", s->edge_address, "--http-port", port, "--orphan-ms", orphan,
	    "--api-socket", l->edge_api_socket, "--https-port", https, "--cert", programs[CERT],
	    "--tls", s->tls ? s->tls : "intermediate", "--nginx-sites", "yes", "--edge-server",
	    s->apache ? "apache" : "nginx", "--platform-host", s->host,
	    s->trusted_proxies ? "--trusted-proxies" : NULL, s->trusted_proxies};
	o->helper_path = s->system ? NULL : programs[HELPER];
	o->helper_args = args;
	o->socket_path = l->keeper_socket;
	return run_open(o, e);
}

static void note_performed(struct trail *t, const struct run_operation *o)
{
	CLEANUP_BUF struct buf b;
	buf_init(&b, 256);
	buf_printf(&b, "%s", o->name);
	if (o->project[0])
		buf_printf(&b, " %s", o->project);
	if (o->release > 0)
		buf_printf(&b, "/%u", o->release);
	if (o->process[0])
		buf_printf(&b, " %s.%u", o->process, o->instance);
	trail_add(t, buf_view(&b));
}

void keeper_note(
    struct access *a, struct trail *t, const struct run_operation *o, const struct err *why)
{
	char action[40];
	if (!why && t)
		note_performed(t, o);
	if (!why || !a)
		return;
	(void)snprintf(action, sizeof(action), "helper.%s", o->name);
	access_note_refusal(a, action, str_c(o->project), str_c(why->msg));
}
