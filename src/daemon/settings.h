/* What slipwayd was started with: flags over defaults. */
#pragma once

#include "base/err.h"
#include "base/log.h"
#include "notify/notify.h"

#include <stdbool.h>
#include <stdint.h>

#define SETTINGS_PATH_MAX 256
#define SETTINGS_RANGES_MAX 32

struct settings {
	char state[SETTINGS_PATH_MAX];	 /* absolute; everything that lasts */
	char run[SETTINGS_PATH_MAX];	 /* absolute, at most 40 bytes: a socket path ends at 107 */
	char libexec[SETTINGS_PATH_MAX]; /* where slipway-helper and its kin are */
	char http_address[64];
	uint16_t http_port; /* API and console */
	char edge_address[64];
	uint16_t edge_port, https_port; /* https_port 0: none */
	bool https_said;
	const char *tls;		 /* preset; NULL: the helper's default */
	const char *trusted_proxies;	 /* by commas; NULL: none */
	const char *acme, *acme_staging; /* directories of certificate authorities */
	const char *acme_mail;		 /* of the account with them; empty: none */
	const char *acme_ca;		 /* NULL: the system's authorities vouch for theirs */
	uint16_t acme_http_port;	 /* where they look for their answers */
	const char *certbot;
	const char *host;     /* the platform's own */
	const char *dns_hook; /* edge/dns_hook.h's program; NULL: none */
	char user[33];	      /* the daemon's own, when started as root */
	char web_user[33];    /* the web server's workers, when started as root */
	bool apache;	      /* that server is Apache, not nginx */
	char nginx[SETTINGS_PATH_MAX];
	unsigned parallel; /* tasks at once */
	enum log_level log_level;
	uint32_t orphan_ms;	  /* how long projects outlive a daemon that does not come back */
	char metrics_address[64]; /* empty: no listener of their own */
	uint16_t metrics_port;
	bool metrics_said; /* not merely the default, which may be taken */
	bool system;	   /* systemd started us, and the helper beside us */
	const char *outbound_allow[SETTINGS_RANGES_MAX + 1]; /* NULL-ended; borrowed from argv */
	const char *outbound_ca;	    /* NULL: the system's certificate authorities */
	const char *github_api;		    /* of hooks that say no other, no '/' behind */
	struct notify_schedule retries;	    /* of notifications */
	const char *postgres;		    /* where databases for projects are made */
	unsigned postgres_connections;	    /* of one project's role at once */
	const char *rabbitmq;		    /* where brokers for projects are made; NULL: nowhere */
	const char *rabbitmq_ca;	    /* NULL: the system's certificate authorities */
	unsigned rabbitmq_connections, rabbitmq_queues; /* of one project's vhost at once */
	char public_url[SETTINGS_PATH_MAX]; /* where senders of hooks reach us; empty: the API's
					       address */
};

/* 1: go on; 0: --help or --version was answered; -1: wrong, ERR_USAGE. */
int settings_parse(int argc, char *const *argv, struct settings *ret, struct err *e) WARN_UNUSED;
