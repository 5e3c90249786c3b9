/* What the files of the helper's edge share. Private to them. */
#pragma once

#include "helper/edge.h"

#define EDGE_LOG_MAX_BYTES (64u << 20) /* then access.log becomes access.log.1 */
#define EDGE_WAITERS_MAX 16u
#define EDGE_RUN_DIR_MAX 40u
#define EDGE_CERT_NAME_SIZE (NAME_PROJECT_MAX + sizeof(".localhost"))
#define EDGE_PAIR_NAME_SIZE (NAME_PROJECT_MAX + sizeof(".pem"))
#define EDGE_NAMES_SIZE (LIMIT_DOMAINS * (NAME_DOMAIN_MAX + 1u) + 1u)

enum edge_phase {
	EDGE_DOWN,     /* nobody asked for it, or it was stopped */
	EDGE_PORT,     /* waiting for the port to become free */
	EDGE_STARTING, /* the master runs; its generation's socket does not answer yet */
	EDGE_UP,
	EDGE_BACKOFF, /* it ended by itself; tried again at retry_at */
	EDGE_STOPPING,
	EDGE_PHASE_COUNT
};

enum edge_job_state {
	EDGE_JOB_FREE,
	EDGE_JOB_QUEUED,
	EDGE_JOB_TESTING,
	EDGE_JOB_TESTED,    /* or a removal, which needs no test */
	EDGE_JOB_RELOADING, /* installed; its reload is under way */
	EDGE_JOB_STATE_COUNT
};

struct edge_job {
	enum edge_job_state state;
	uint64_t seq, order;
	char project[NAME_PROJECT_MAX + 1];
	bool remove;
	bool sites;	   /* of an nginx-site project, in staged/NAME; or, with a name, that */
	char site[NAME_SITE_MAX + 1]; /* one's certificate, certs/sites/NAME/SITE/next.pem */
	bool failed;	   /* it is over, and nothing of it stays */
	bool alone;	   /* its batch was refused: once more, by itself */
	bool had_previous; /* undo/NAME.conf holds what was there */
	bool needs_self;   /* job.N.names says for which names; not installed before it is made */
	/* a certificate from outside */
	bool pair;     /* in[] waits to be judged: struct render_vhost, chain, key */
	bool has_pair; /* test/certs/NAME.pem, once judged, goes with the vhost */
	bool drops;    /* the installed one goes */
	bool had_pair; /* undo/NAME.pem holds what was there */
	bool trusted;  /* by browsers */
	bool own;      /* the platform's: project is RENDER_HOST_NAME or RENDER_WILDCARD_NAME */
	bool anew;     /* nothing changes; of no project */
	int in[3];     /* while pair */
};

typedef long edge_render_fn(const struct render_edge *v, char *out, size_t size, struct err *e);

enum edge_where { EDGE_IN_TOP, EDGE_IN_TEST, EDGE_IN_WHOLE, EDGE_WHERE_COUNT };
struct edge_file { /* rendered at start; the vhosts and the generation apart */
	const char *name;
	edge_render_fn *render;
	enum edge_where where;
};
#define EDGE_FILES_MAX 16

/* A candidate alone; all that is served with what is staged of nginx-site projects; what is
 * installed. */
enum edge_test { EDGE_TEST_ONE, EDGE_TEST_SITES, EDGE_TEST_ALL, EDGE_TEST_COUNT };

/* A web server. Everything that differs between nginx and Apache; one table each, both run through
 * the same tests. */
struct edge_server {
	const char *name;    /* as it is called in messages */
	const char *package; /* where it comes from */
	const char *vhosts;  /* below edge_dir */
	const char *unit;    /* on a server; and those that test */
	const char *test_units[EDGE_TEST_COUNT];
	/* Signals to the master: read everything again; open the logs again; end when what is being
	 * served is done. To what a master that died has left. */
	int reload, reopen, quit, orphans;
	/* A master that cannot read its configuration ends instead of keeping the old one: so all of
	 * it is tested before each reload. */
	bool tests_all;
	/* The master alone reads certificates and opens logs, as root; its tests read them as well.
	 * Else workers do, whenever somebody comes. */
	bool master_reads;
	struct edge_file files[EDGE_FILES_MAX]; /* to the first without a name */
	long (*vhost)(const struct render_vhost *v, const struct render_tls *tls,
	    const struct render_roots *r, char *out, size_t size, struct err *e);
	/* Writes generation.conf for g->generation, which nobody serves yet. */
	int (*write_generation)(struct edge *g, struct err *e);
	/* Before a reload: the generation of before can still be asked for once the next one is
	 * served. After it: no longer. */
	int (*keep_old)(struct edge *g, struct err *e);
	void (*forget_old)(struct edge *g);
	bool (*is_new)(struct edge *g); /* somebody serves g->generation */
	bool (*is_old)(struct edge *g); /* somebody still serves the one of before */
	/* It did not come; is_new is false from now on. */
	void (*drop_new)(struct edge *g);
	pid_t (*start)(struct edge *g, struct err *e);
	pid_t (*test)(struct edge *g, enum edge_test what, struct err *e);
	/* What of these words of its own (a log, a test's output) says why it failed, made fit to
	 * show. */
	bool (*complaint)(struct str text, char *out, size_t size);
};

struct edge {
	struct edge_options o;
	const struct edge_server *server;
	enum edge_phase phase;
	int dir, vhosts, undo, test, run, certs, self,
	    test_certs, sites, staged, site_certs, whole,
	    whole_sites; /* directories, -1 until prepared */
	char edge_path[256], projects_path[64], api_socket[128];
	struct render_roots roots;
	struct render_edge fields;

	pid_t master, tester, maker; /* tester: nginx -t; maker: slipway-cert */
	unsigned tester_job, maker_job;
	uint64_t maker_order; /* of that job, which may have ended meanwhile */
	int maker_answer;
	uint32_t generation, active; /* written last; what the workers serve */
	int64_t phase_deadline, retry_at, up_since;
	unsigned failures;
	bool reloading, testing_all;
	bool adopting; /* its unit ran already: it is not started, but reads everything again */
	int gate[2]; /* Apache's generations: sockets that hold their ports, -1 none (always, as a
		      * unit: no other program gets those ports) */
	uint16_t gate_port[2];
	int64_t reload_at, reload_deadline, rotate_at; /* reload_at: not before */
	off_t log_offset; /* of error.log, before the start or reload under way */

	uint64_t waiters[EDGE_WAITERS_MAX];
	unsigned waiter_count;
	struct edge_job jobs[EDGE_JOBS_MAX];
	uint64_t next_order;
};

/* edge_files.c: the directory */
int edge_files_prepare(
    struct edge *g, struct err *e) WARN_UNUSED; /* directories, links, every file but vhosts */
int edge_files_generation(struct edge *g, struct err *e) WARN_UNUSED; /* a new generation.conf */
/* The server's files, or that one, from g->fields. */
int edge_files_render(struct edge *g, const char *name, struct err *e) WARN_UNUSED;
void edge_files_clean_sockets(struct edge *g); /* of generations that no longer live */
/* The vhost's text as the candidate of this slot; and the names that it needs a certificate for. */
int edge_files_candidate(
    struct edge *g, unsigned slot, const char *text, size_t n, struct err *e) WARN_UNUSED;
int edge_files_names(struct edge *g, unsigned slot, struct str names, struct err *e) WARN_UNUSED;
int edge_files_names_open(struct edge *g, unsigned slot, struct err *e) WARN_UNUSED; /* to read */
/* How long nginx may take to read all that is installed: the more vhosts, the longer. */
int64_t edge_files_patience_ms(struct edge *g, int64_t least_ms);
bool edge_files_installed(struct edge *g, const char *project);
bool edge_files_same(struct edge *g, const char *project, const char *text, size_t n);
int edge_files_try(struct edge *g, unsigned slot,
    struct err *e) WARN_UNUSED; /* slot's candidate into the skeleton */
int edge_files_install(struct edge *g, unsigned slot, struct err *e) WARN_UNUSED;
void edge_files_put_back(struct edge *g, unsigned slot); /* the candidate is a candidate again */
void edge_files_settle(struct edge *g, unsigned slot);	 /* forgets candidate and undo */
bool edge_files_set_aside(
    struct edge *g, const char *line); /* the vhost that the server's error line names */
void edge_files_rotate(struct edge *g);
/* Why the tester (its output) or the master (error.log from log_offset on) failed, made fit to show.
 * False when it does not say. */
bool edge_files_complaint(struct edge *g, bool tester, char *out, size_t size);

/* edge_cert.c: certificates */
int edge_cert_prepare(struct edge *g,
    struct err *e) WARN_UNUSED; /* the edge's own; waits for those that are missing */
/* The first domain is the project's own, NAME.localhost: its certificate is called so. */
int edge_cert_check(const struct render_vhost *v, struct err *e) WARN_UNUSED;
struct str edge_cert_names(const struct render_vhost *v, char out[EDGE_NAMES_SIZE]);
/* The names that dir/file is for; empty: there is none. */
struct str edge_cert_head(int dir, const char *file, char *out, size_t size);
bool edge_cert_is_for(struct edge *g, const char *project, struct str names);
pid_t edge_cert_start(
    struct edge *g, unsigned slot, struct err *e); /* slipway-cert, for needs_self */
void edge_cert_kill(pid_t pid);
int edge_cert_take(struct edge *g, const char *project, int wait_status,
    struct err *e) WARN_UNUSED; /* its answer */
void edge_cert_forget(struct edge *g, const char *project);
struct edge_answer { /* slipway-cert's; points into storage that the next one takes */
	struct str names, pem;
};
int edge_cert_answer(
    int answer, int wait_status, struct edge_answer *ret, struct err *e) WARN_UNUSED;
/* A pair from outside; waits for the verdict. */
int edge_cert_judge(const char *program, int chain, int key, struct edge_answer *ret,
    struct err *e) WARN_UNUSED;
/* mark: the second line, or "". */
/* dir/file, unless there is one for these names; or one from outside, with a mark. Waits for it. */
int edge_cert_make_self(const char *program, int dir, const char *file, struct str names,
    struct err *e) WARN_UNUSED;
int edge_cert_write(int dir, const char *file, const struct edge_answer *a, const char *mark,
    mode_t mode, struct err *e) WARN_UNUSED;

/* edge_vhost.c: requests, and certificates from outside */
int edge_pair_take(struct edge *g, unsigned slot, int wait_status, struct err *e) WARN_UNUSED;
/* What the job's vhost names, in the skeleton; in place; out again; what is left of both. */
int edge_pair_try(struct edge *g, const struct edge_job *j, struct err *e) WARN_UNUSED;
int edge_pair_install(struct edge *g, struct edge_job *j, struct err *e) WARN_UNUSED;
void edge_pair_put_back(struct edge *g, const struct edge_job *j);
void edge_pair_settle(struct edge *g, const char *project, bool gone);
/* What the installed one says of itself, in storage that the next call takes. False: none is. */
bool edge_pair_head(struct edge *g, const char *project, struct str *ret_names, bool *ret_trusted);
int edge_must_https(const struct edge *g, struct err *e) WARN_UNUSED;

/* edge_own.c: the platform's certificates */
void edge_own_look(struct edge *g); /* into g->fields */
/* Domains that have no certificate of their own, and are covered by the wildcard. */
void edge_own_cover(struct edge *g, const struct render_vhost *v, struct render_tls *tls);
int edge_own_take(struct edge *g, unsigned slot, int wait_status, struct err *e) WARN_UNUSED;
int edge_own_install(struct edge *g, struct edge_job *j, struct err *e) WARN_UNUSED;
void edge_own_put_back(struct edge *g, const struct edge_job *j);
bool edge_own_set_aside(struct edge *g, const char *line); /* as edge_files_set_aside */

/* edge_sites.c: sites of nginx-site projects */
/* In a folder of certs/sites/NAME: it was made for what is staged. */
#define EDGE_SITE_MADE "made"
int edge_sites_prepare(struct edge *g, struct err *e) WARN_UNUSED;
bool edge_sites_installed(struct edge *g, const char *project);
/* What is staged into the whole configuration, to be tested; in the place of what is served; out
 * again; what is left of both; and all that is not in use any more. */
int edge_sites_try(struct edge *g, const struct edge_job *j, struct err *e) WARN_UNUSED;
int edge_sites_install(struct edge *g, struct edge_job *j, struct err *e) WARN_UNUSED;
void edge_sites_put_back(struct edge *g, const struct edge_job *j);
void edge_sites_settle(struct edge *g, const struct edge_job *j);
void edge_sites_forget(struct edge *g, const char *project);
/* nginx could not start for what this line says: whether sites were to blame, and are out of the
 * way now. */
bool edge_sites_set_aside(struct edge *g, const char *line);

int edge_must_run(const struct edge *g, struct err *e) WARN_UNUSED;

/* edge.c, for edge_vhost.c */
/* A free slot, or -1. */
int edge_job_new(struct edge *g, uint64_t seq, const char *project, bool remove, struct err *e);
bool edge_busy(
    const struct edge *g, const char *project, uint64_t before); /* jobs older than that */

/* edge_process.c: processes and ports, whatever the server */
int edge_port_free(const struct edge *g, struct err *e) WARN_UNUSED;
bool edge_has_ipv6(const struct edge *g);
/* The master is started, or what stands for its unit; a test; a signal to the master. */
pid_t edge_server_start(struct edge *g, struct err *e);
pid_t edge_server_test(struct edge *g, enum edge_test what, struct err *e);
int edge_server_signal(const struct edge *g, int signal, struct err *e) WARN_UNUSED;
const char *edge_program(const struct edge *g);
int edge_program_check(const struct edge *g, struct err *e) WARN_UNUSED; /* it is installed */
/* With the arguments' first as its program; its words go to `out`. */
pid_t edge_spawn(struct edge *g, const char *const argv[], int out, struct err *e);
int edge_join(char *out, size_t size, const char *a, const char *b); /* -1: does not fit */
int edge_log_open(struct edge *g, struct err *e);	/* error.log, to be written */
int edge_output_open(struct edge *g, struct err *e);	/* what a test says */

/* edge_nginx.c, edge_apache.c */
extern const struct edge_server edge_nginx, edge_apache;
