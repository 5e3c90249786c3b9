/* The protocol to whoever acts for the daemon beyond its own rights: `slipway-helper`. One fixed-layout request per
 * SOCK_SEQPACKET message, descriptors beside it (SCM_RIGHTS), one fixed-layout reply. Never a path, never text that ends
 * in a configuration file: projects, processes and releases by name and number; lists as NUL-separated strings in
 * sealed memfds; vhosts as the typed struct render_vhost in a sealed memfd.
 *
 * Byte order and padding are the machine's: both ends are one build (PRIV_VERSION is checked in HELLO). Unused bytes
 * are zero. Every operation names a wanted end, answers success when it is already so, and is finished once begun.
 *
 * Embedded mode: the helper is also the *keeper* (DESIGN "Programs"): parent and reaper of project processes and of its own
 * nginx, holder of listening sockets and log pipes. Then it also accepts PRIV_START … PRIV_SHUTDOWN and sends events (seq 0). */
#pragma once

#include "base/device.h"
#include "base/err.h"
#include "base/name.h"

#include <stdint.h>

#define PRIV_VERSION 4u
#define PRIV_MAGIC 0x51495057u
#define PRIV_FDS_MAX 6
#define PRIV_OWN_COUNT 2u /* certificates that the platform has for itself: of its host, of all names below */

enum priv_op {
	PRIV_HELLO = 1,	      /* first on a connection; id: PRIV_VERSION -> version, is_root, incarnation */
	PRIV_PROJECT_ENSURE,  /* user and tree of a project, start.limits.disk_bytes as its quota -> user_no */
	PRIV_PROJECT_REMOVE,  /* kills what runs, removes tree and user */
	PRIV_RELEASE_PREPARE, /* releases/N, empty, owned by the tenant, 0700 */
	PRIV_RELEASE_SEAL,    /* root:sw-NAME, no write bit; links declared statics into public/N. fd0: statics list */
	PRIV_RELEASE_REMOVE,
	PRIV_VHOST_SET,	      /* fd0: struct render_vhost */
	PRIV_VHOST_REMOVE,
	PRIV_EDGE_CHECK,      /* is the edge running; starts it in embedded mode */
	PRIV_CERT_SET,	      /* fd0: struct render_vhost, fd1: chain, fd2: key, both PEM; id: 1 browsers trust it, 0 they do not */
	PRIV_CERT_REMOVE,     /* fd0: struct render_vhost */
	/* the keeper's */
	PRIV_START,	      /* struct priv_start; fds as its fd_… indices say -> instance id */
	PRIV_STOP,	      /* SIGTERM, after stop_timeout_ms SIGKILL; the exit comes as an event */
	PRIV_SIGNAL,
	PRIV_LIST,	      /* one event per instance, then the reply */
	PRIV_TAKE_OUTPUT,     /* -> fd: read end of the instance's output pipe (a duplicate) */
	PRIV_FORGET,	      /* drops the record of an instance that has ended, and its sockets */
	PRIV_SHUTDOWN,	      /* ends everything, the keeper too */
	PRIV_SLEEP,	      /* of a service with a listening socket: ends, and starts again when somebody knocks there */
	PRIV_SITES_SET,	      /* the edge has these of the release, tested with everything else; fd0: render/sites.h -> changes (helper/sites.h) */
	PRIV_OWN_CERT_SET,    /* the platform's own: fd0: chain, fd1: key, both PEM; id: 2 * which (0 its host's, 1 that of all names below) + trusted */
	PRIV_OWN_CERT_REMOVE, /* id: which */
	PRIV_SITE_CERT_SET,   /* fd0: struct render_site_cert of a site that is served, with chain and key */
	PRIV_EDGE_RELOAD,     /* reads all of its configuration and certificates anew */
	PRIV_NARROW,	      /* of what an instance may open, from its next start on it may open these only: start.limits.devices */
	PRIV_OP_COUNT
};

/* As the audit has it: "release-seal"; NULL for what is no operation. */
const char *priv_op_name(uint32_t op);

enum priv_class {
	PRIV_SERVICE, /* restarted with backoff until stopped */
	PRIV_JOB,     /* runs once: fetch, build, check, release command, one-off */
	PRIV_CLASS_COUNT
};
/* What a job gets of short processors, in percent of what a service gets: a build may take longer,
 * a visitor may not wait for it. */
#define PRIV_JOB_CPU_PERCENT 25u

enum priv_sandbox {
	PRIV_SANDBOX_RUN,   /* release and system read-only; data/ and a private tmp writable */
	PRIV_SANDBOX_BUILD, /* releases/N, cache/ and mirror/ writable; no data/ */
	PRIV_SANDBOX_FETCH, /* as BUILD, for slipway-tree */
	PRIV_SANDBOX_STRANGER, /* as BUILD, without cache/ and mirror/ */
	PRIV_SANDBOX_COUNT
};

enum priv_program {
	PRIV_PROGRAM_TENANT, /* what argv[0] of the list names */
	PRIV_PROGRAM_TREE,   /* our slipway-tree */
	PRIV_PROGRAM_RELAY,  /* our relay: listening socket -> 127.0.0.1:port */
	PRIV_PROGRAM_COUNT
};

struct priv_limits { /* 0: none */
	uint64_t memory_bytes, disk_bytes;
	uint32_t cpu_milli, tasks, files;
	uint32_t devices; /* base/device.h: that it may open, in a RUN sandbox only */
};

struct priv_start {
	uint32_t release;  /* working directory is releases/N, or the project's top for FETCH */
	uint16_t instance; /* from 1 */
	uint8_t class, sandbox, program;
	uint8_t terminal;  /* fd_stdin is a terminal that becomes controlling, also stdout and stderr */
	uint16_t port;	   /* relay's target, also $PORT; 0 none */
	uint16_t listen_count;	      /* 0 or 1 */
	uint32_t stop_timeout_ms;
	uint32_t time_limit_ms;	      /* jobs; 0: none */
	uint32_t watchdog_ms;	      /* a tenant's service that does not say so often that it is alive is killed; 0: it need not */
	uint32_t ready_ms;	      /* such a service is PRIV_STARTING until it says that it is ready, and is killed when it has not by then; 0: it need not */
	char process[NAME_PROCESS_MAX + 1];
	char subdir[256];	      /* working directory below the release; name_subpath or empty */
	struct priv_limits limits;
	int8_t fd_argv, fd_env, fd_listen, fd_stdin, fd_stdout, fd_secret; /* index into the message's fds; -1: none */
};

struct priv_request {
	uint32_t magic, op;
	uint64_t seq;
	char project[NAME_PROJECT_MAX + 3];
	uint64_t id;	  /* instance, for STOP, SIGNAL, TAKE_OUTPUT, FORGET */
	uint32_t release; /* RELEASE_… */
	int32_t signal;
	uint32_t stop_timeout_ms;
	uint32_t reserved;
	struct priv_start start;
};

enum priv_state { PRIV_STARTING = 1, PRIV_RUNNING, PRIV_BACKOFF, PRIV_STOPPING, PRIV_ENDED, PRIV_ASLEEP, PRIV_STATE_COUNT };
enum priv_limit_hit { PRIV_LIMIT_NONE, PRIV_LIMIT_MEMORY, PRIV_LIMIT_TIME, PRIV_LIMIT_TASKS, PRIV_LIMIT_DISK, PRIV_LIMIT_READY, PRIV_LIMIT_WATCHDOG, PRIV_LIMIT_COUNT };

/* One status record per instance. */
struct priv_status {
	uint64_t id;
	char project[NAME_PROJECT_MAX + 3];
	char process[NAME_PROCESS_MAX + 1];
	uint8_t class, state, limit_hit, program;
	uint16_t instance, port;
	uint32_t release;
	int32_t pid;	      /* 0 when not running */
	int32_t wait_status;  /* of the last end, as from waitpid(2) */
	uint32_t starts;
	uint8_t throttled; /* it uses up its processor limit */
	uint64_t started_mono_ms, ended_mono_ms, lost_output_bytes;
};

struct priv_reply {
	uint32_t magic, kind; /* enum priv_reply_kind */
	uint64_t seq;	      /* of the request; 0 for events */
	int32_t code;	      /* enum err_code */
	int32_t sys;
	uint64_t value;	      /* user_no, instance id, … */
	uint64_t incarnation; /* HELLO: random, new with each keeper */
	uint8_t is_root, version, has_quota; /* the file system holds limits.disk_bytes of a project's user */
	uint8_t reserved[5];
	struct priv_status status;
	char msg[512], hint[384];
};
enum priv_reply_kind { PRIV_REPLY = 1, PRIV_EVENT_STATUS };

/* Message I/O, for both ends; blocks unless the socket is non-blocking, then ERR_UNAVAILABLE with sys EAGAIN. Sends whole
 * messages; a short, long or surplus-fd message is ERR_INVALID, and its descriptors are closed. */
int priv_send(int sock, const void *msg, size_t size, const int *fds, size_t fd_count, struct err *e) WARN_UNUSED;
/* 1 a message, 0 the other end closed, -1 error. Received fds are close-on-exec and the caller's. */
int priv_recv(int sock, void *msg, size_t size, int fds[PRIV_FDS_MAX], size_t *ret_fd_count, struct err *e) WARN_UNUSED;
