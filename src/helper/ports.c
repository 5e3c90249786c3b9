#include "helper/ports.h"

#include "base/clock.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/log.h"
#include "helper/systemctl.h"
#include "launch/tool.h"
#include "render/ports.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NFT "/usr/sbin/nft"
#define UNIT "slipway-ports.service"
#define FILE_NAME "ports.nft"
#define EVERY_MS 200
#define NFT_MS 10000
#define WORDS_SIZE 300

static struct {
	struct ports_options o;
	struct render_port_owner v[LIMIT_PORT_BLOCKS];
	size_t n;
	bool waits; /* v is not in force yet */
	int64_t not_before_ms;
} ports;

static int run_nft(struct err *e)
{
	char path[512], words[WORDS_SIZE];
	int status;
	if (ports.o.units)
		return systemctl("start", "--quiet", NULL, UNIT, SYSTEMCTL_MS, e);
	if (access(NFT, X_OK) != 0)
		return err_set(e, ERR_UNAVAILABLE, "there is no " NFT);
	(void)snprintf(path, sizeof(path), "%s/" FILE_NAME, ports.o.state);
	const char *const argv[] = {NFT, "-f", path, NULL};
	if (launch_tool(argv, clock_mono_ms() + NFT_MS, &status, words, sizeof(words), e) != 0)
		return -1;
	return status == 0 ? 0 : err_set(e, ERR_FAILED, "nft: %s", words);
}

static int put_in_force(struct err *e)
{
	static char text[RENDER_PORTS_TEXT_MAX];
	long n = render_ports(ports.o.table, ports.v, ports.n, text, sizeof(text), e);
	CLEANUP_FD int dir = n < 0 ? -1 : open(ports.o.state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return n < 0 ? -1
			     : err_set(e, ERR_UNAVAILABLE, "'%s' cannot be opened", ports.o.state);
	return fs_write_atomic(dir, FILE_NAME, text, (size_t)n, 0600, e) != 0 ? -1 : run_nft(e);
}

static void apply(int64_t now_ms)
{
	struct err e;
	ports.waits = false;
	ports.not_before_ms = now_ms + EVERY_MS;
	if (ports.o.root && put_in_force(&e) != 0)
		log_event(LOG_WARN, "keeper", "ports_open", F_ERR(&e),
		    F_C("hint", "other users of this machine reach the ports of projects: apt "
				"install nftables"));
}

void ports_open(const struct ports_options *o)
{
	ports.o = *o;
	/* nothing was left where nothing was ever put */
	char path[512];
	(void)snprintf(path, sizeof(path), "%s/" FILE_NAME, o->state);
	ports.waits = access(path, F_OK) == 0;
}

void ports_close(void)
{
	bool any = ports.n > 0;
	ports.n = 0;
	if (any)
		apply(clock_mono_ms());
}

/* 1: it is new. */
static int claim(uid_t uid, uint16_t port, struct err *e)
{
	unsigned block = (port - LIMIT_PORT_FIRST) / LIMIT_PORTS_PER_PROJECT;
	if (!ports.o.root || port < LIMIT_PORT_FIRST || block >= LIMIT_PORT_BLOCKS)
		return 0;
	uint16_t first = (uint16_t)(LIMIT_PORT_FIRST + block * LIMIT_PORTS_PER_PROJECT);
	for (size_t i = 0; i < ports.n; i++)
		if (ports.v[i].first == first)
			return ports.v[i].uid == uid
				   ? 0
				   : err_set(e, ERR_CONFLICT, "port %u is another project's", port);
	ports.v[ports.n++] = (struct render_port_owner){uid, first};
	ports.waits = true;
	return 1;
}

int ports_claim(uid_t uid, uint16_t port, int64_t now_ms, struct err *e)
{
	int rc = claim(uid, port, e);
	if (rc == 1)
		(void)ports_tick(now_ms);
	return rc < 0 ? -1 : 0;
}

void ports_adopt(uid_t uid, uint16_t port)
{
	struct err ignored;
	(void)!claim(uid, port, &ignored);
}

void ports_forget(uid_t uid)
{
	size_t kept = 0;
	for (size_t i = 0; i < ports.n; i++)
		if (ports.v[i].uid != uid)
			ports.v[kept++] = ports.v[i];
	ports.waits = ports.waits || kept != ports.n;
	ports.n = kept;
}

int64_t ports_tick(int64_t now_ms)
{
	if (ports.waits && now_ms >= ports.not_before_ms)
		apply(now_ms);
	return ports.waits ? ports.not_before_ms : DEADLINE_NEVER;
}
