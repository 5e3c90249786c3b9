/* `slipway setup`: makes a server of this machine, or takes that away. A table of steps; each can
 * look whether it is done, do it, and undo it, as often as one likes. For root, on a machine that
 * systemd runs. Everything blocks. */
#pragma once

#include "base/err.h"
#include "base/name.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SETUP_WORDS_SIZE 400
#define SETUP_TEXT_MAX 4096
#define SETUP_PROXIES_SIZE 1000

struct setup {
	/* What is wanted. */
	char domain[NAME_DOMAIN_MAX + 1]; /* the platform's own host name; empty: none yet */
	char address[64];		  /* where the web server listens; IPv4 */
	uint16_t http_port;
	uint16_t https_port; /* 0: none */
	bool https_said;     /* 0 is meant */
	char tls[16];	     /* preset; empty: intermediate */
	char edge[16];	     /* nginx or apache; empty: nginx */
	char nginx_sites[8]; /* yes: projects may be the web server's configuration; empty: no */
	char acme[200];	     /* the authority; empty: Let's Encrypt */
	char acme_mail[200]; /* where it may write to; empty: nowhere */
	char dns_hook
	    [200]; /* a program that puts records into the DNS; empty: none; "none": no more */
	char
	    postgres[200]; /* where projects get databases; empty: this machine's; "none" as well */
	char rabbitmq[200];    /* where they get brokers; empty: nowhere; "none": no more */
	char rabbitmq_ca[200]; /* whom to trust there; empty: the system's authorities */
	/* In front of the web server, and may say whom they have; empty: nobody; "none" as well. */
	char trusted_proxies[SETUP_PROXIES_SIZE];
	/* What is found and done. */
	char settings[SETUP_TEXT_MAX]; /* of server.conf, as it should be */
	uint16_t settled_port;	       /* where projects answered so far; 0: this is the first */
	bool restart;		       /* running services must hear of new settings */
};

enum setup_state {
	SETUP_DONE,  /* nothing to do */
	SETUP_TO_DO, /* make() would do what `words` say */
	SETUP_STATE_COUNT
};

struct setup_step {
	const char *name;
	/* What it would do, or what is there; changes nothing. -1: it cannot be done on this
	 * machine. */
	int (*look)(
	    struct setup *s, enum setup_state *ret, char words[SETUP_WORDS_SIZE], struct err *e);
	int (*make)(struct setup *s, struct err *e);
	/* `words` becomes the receipt: what went, or what stayed and why; empty: there was nothing.
	 */
	int (*undo)(struct setup *s, char words[SETUP_WORDS_SIZE], struct err *e);
};

/* In the order of making; undoing goes backwards. */
const struct setup_step *setup_steps(size_t *ret_count);
/* Fills the defaults and what an earlier setup has settled; -1 when this is not root's, not
 * systemd's machine, or Slipway is not installed on it. Values given before (not empty, not 0)
 * stay. */
int setup_begin(struct setup *s, struct err *e) WARN_UNUSED;

/* The folders that a server has: what slipway.tmpfiles makes. */
struct setup_folder {
	const char *path, *user, *group;
	mode_t mode;
};
const struct setup_folder *setup_folders(size_t *ret_count);
