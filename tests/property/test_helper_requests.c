/* rooms: base priv render launch helper */
/* S8: random requests to the helper's table of operations. Each is judged by an oracle that shares nothing with it (requests_oracle.h): one
 * that breaks a rule must not be accepted, one that breaks none may only be refused for what is the case at the moment. Every request leaves one
 * line of audit or waits for its answer, and no descriptor more. What would start processes is requests_behind.h.
 * SLIPWAY_REQUESTS: how many, 10^8 in the long tier; SLIPWAY_JOBS: at a time; SLIPWAY_SEED. */
#include "base/clock.h"
#include "base/fs.h"
#include "base/log.h"
#include "helper/keeper.h"
#include "helper/leftovers.h"
#include "helper/ops.h"
#include "helper/sites.h"
#include "launch/cgroup.h"
#include "launch/guest.h"
#include "launch/nodes.h"
#include "launch/spawn.h"
#include "priv/priv.h"
#include "render/sites.h"
#include "render/vhost.h"

#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "requests_oracle.h"
#include "requests_draw.h"
#include "requests_behind.h"

#define REQUESTS_SHORT 150000u
#define JOBS_MAX 16u
#define AUDIT_BYTES (1u << 20)
#define EACH_ROUND 50000u /* then vhosts and certificates are drawn anew */

/* What one job has seen; the parent reads it. */
struct tally {
	uint64_t asked[PRIV_OP_COUNT], accepted[PRIV_OP_COUNT]; /* 0: no operation */
	uint64_t refused[RULE_COUNT]; /* RULE_NONE: for what is the case, which is told below */
	uint64_t moment[ERR_CODE_COUNT];
	uint64_t done, faults;
	char first[1024];
};

static struct tally *tally; /* this job's */
static struct keeper k;
static struct users registry;
static char dir[64], projects[96], state[96];
static int audit;
static const char *audit_text;
static unsigned waiting; /* answers that come later */
static bool was_ending;

/* ---- the world ---- */

static void make_project(const char *name)
{
	char path[192];
	struct err e = {0};
	struct users_record r = {0};
	(void)snprintf(path, sizeof(path), "%s/%s", projects, name);
	assert_int_equal(mkdir(path, 0755), 0);
	(void)snprintf(path, sizeof(path), "%s/%s/tmp", projects, name);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(users_add(&registry, str_c(name), &r, &e), 0);
	r.state = USERS_ACTIVE;
	assert_int_equal(users_put(&registry, &r, &e), 0);
}

static void open_audit(void)
{
	audit = memfd_create("audit", MFD_CLOEXEC);
	assert_int_equal(ftruncate(audit, AUDIT_BYTES), 0);
	audit_text = mmap(NULL, AUDIT_BYTES, PROT_READ, MAP_SHARED, audit, 0);
	assert_ptr_not_equal(audit_text, MAP_FAILED);
	log_open(LOG_INFO, audit);
}

static void open_world(void)
{
	struct err e = {0};
	strcpy(dir, "/tmp/swt-requests-XXXXXX");
	assert_non_null(mkdtemp(dir));
	(void)snprintf(projects, sizeof(projects), "%s/projects", dir);
	(void)snprintf(state, sizeof(state), "%s/state", dir);
	assert_int_equal(mkdir(projects, 0755), 0);
	assert_int_equal(users_open(&registry, state, &e), 0);
	for (size_t i = 0; i < PROJECTS; i++)
		make_project(project_names[i]);
	struct rlimit r;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &r), 0);
	r.rlim_cur = r.rlim_max < 8192 ? r.rlim_max : 8192;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &r), 0);
	open_audit();
	k = (struct keeper){
	    .incarnation = 7, .epoll = -1, .listen = -1, .signals = -1, .daemon = -1};
	k.o.roots = (struct tenant_roots){.projects = projects,
	    .run = dir,
	    .edge = dir,
	    .daemon_uid = geteuid(),
	    .users = &registry};
	k.o.instances = (struct instances_options){.roots = &k.o.roots,
	    .exec = "/nowhere/slipway-exec",
	    .tree = "/nowhere/slipway-tree",
	    .label = "swt",
	    .incarnation = 7};
	k.instances = instances_open(&k.o.instances);
	worker_init(&k.worker, &k.o.roots);
	k.edge = edge_open(&k.o.edge);
	make_things();
}

static unsigned open_descriptors(void)
{
	unsigned n = 0;
	DIR *d = opendir("/proc/self/fd");
	assert_non_null(d);
	while (readdir(d))
		n++;
	(void)closedir(d);
	return n;
}

/* ---- what went wrong ---- */

static void fault(const struct drawn *d, const char *what, const struct err *e)
{
	const struct priv_request *q = &d->q;
	if (tally->faults++ > 0)
		return;
	(void)snprintf(tally->first, sizeof(tally->first),
	    "request %llu: %s: operation %u, %zu descriptors, id %llu, release %u/%u, signal %d, "
	    "class %u sandbox %u program %u, "
	    "indices %d %d %d %d %d %d; it said %d '%.200s'",
	    (unsigned long long)tally->done, what, q->op, d->count, (unsigned long long)q->id,
	    q->release, q->start.release, q->signal, q->start.class, q->start.sandbox,
	    q->start.program, q->start.fd_argv, q->start.fd_env, q->start.fd_listen,
	    q->start.fd_stdin, q->start.fd_stdout, q->start.fd_secret, (int)e->code, e->msg);
}

/* One line of audit for what is answered, none for what waits; nothing in it that a terminal would obey. */
static void check_audit(const struct drawn *d, int rc, const struct err *e)
{
	size_t n = (size_t)lseek(audit, 0, SEEK_CUR), lines = 0, audits = 0;
	assert_true(n < AUDIT_BYTES);
	for (size_t at = 0; at < n; lines++) {
		const char *end = memchr(audit_text + at, '\n', n - at);
		size_t length_of = end ? (size_t)(end - audit_text) - at : n - at;
		if (memmem(audit_text + at, length_of, " helper refused op=", 19) ||
		    memmem(audit_text + at, length_of, " helper performed op=", 21))
			audits++;
		for (size_t i = at; i < at + length_of; i++)
			if ((unsigned char)audit_text[i] < ' ' || audit_text[i] == 0x7f)
				fault(d, "a byte in the audit that is none of text", e);
		at += length_of + 1;
	}
	if (audits != (rc == 1 ? 0 : 1))
		fault(d, "not one line of audit", e);
}

/* ---- instances ---- */

static bool has_instance(uint64_t id)
{
	for (size_t i = 0; i < id_count; i++)
		if (ids[i] == id)
			return true;
	return false;
}

static void forget_id(uint64_t id)
{
	for (size_t i = 0; i < id_count; i++)
		if (ids[i] == id)
			ids[i--] = ids[--id_count];
}

/* Some end, as the kernel would tell it; the daemon hears of all. */
static void tend_instances(unsigned one_ends_in)
{
	size_t at = 0;
	int64_t now = clock_mono_ms();
	for (struct instance *in; (in = instances_next(k.instances, &at));)
		if (in->st.pid > 0 && one_in(one_ends_in) &&
		    !instances_reaped(k.instances, in->st.pid, one_in(2) ? 0 : SIGKILL, now))
			behind.fault = "a child of its own is not known";
	(void)instances_tick(k.instances, now, true);
	at = 0;
	for (struct instance *in; (in = instances_next(k.instances, &at));)
		if (in->changed)
			instances_told(k.instances, in);
}

static void drop_instances(void)
{
	for (size_t i = 0; i < PROJECTS; i++)
		instances_purge(k.instances, str_c(project_names[i]));
	for (int i = 0; i < 100 && instances_count(k.instances) > 0; i++)
		tend_instances(1);
	if (instances_count(k.instances) != 0)
		behind.fault = "an instance outlives its project";
	id_count = 0;
}

/* ---- what waits ---- */

static void take_work(void)
{
	struct worker *w = &k.worker;
	for (; w->count > 0; w->count--) {
		struct worker_job *j = &w->waiting[w->first];
		bool released = j->op != PRIV_PROJECT_ENSURE && j->op != PRIV_PROJECT_REMOVE &&
				j->op != PRIV_SITE_CERT_SET;
		if (!project_ok(j->project, sizeof(j->project)) ||
		    (released && (j->release < 1 || j->release > 1000000000)) ||
		    (j->op == PRIV_SITE_CERT_SET && !site_ok(j->site, sizeof(j->site))))
			behind.fault = "work that breaks a rule";
		if (j->statics >= 0 && fcntl(j->statics, F_GETFD) < 0)
			behind.fault = "the descriptor of a list is not open";
		fs_close_fd(&j->statics);
		w->first = (w->first + 1) % WORKER_WAITING_MAX;
	}
	for (size_t i = 0; i < KEEPER_PENDING_MAX; i++) {
		waiting -= k.pending[i].used;
		k.pending[i].used = false;
	}
	if (waiting != 0)
		behind.fault = "answers that nobody waits for, or none for who waits";
	waiting = 0;
}

/* The daemon comes anew, the helper's end is over, root changed his mind. */
static void turn_over(void)
{
	if (one_in(64))
		tend_instances(3);
	if (one_in(500))
		take_work();
	if (one_in(5000)) {
		k.greeted = false;
		k.o.sites = one_in(2);
	}
	if (k.ending && one_in(200)) {
		k.ending = was_ending = false;
		drop_instances();
	}
	if (id_count == IDS_MAX)
		drop_instances();
}

/* ---- one request ---- */

static bool in_the_end(uint32_t op)
{
	return op == PRIV_STOP || op == PRIV_SIGNAL || op == PRIV_LIST || op == PRIV_TAKE_OUTPUT ||
	       op == PRIV_FORGET || op == PRIV_SHUTDOWN;
}

static bool of_the_moment(enum err_code code)
{
	return code == ERR_UNAVAILABLE || code == ERR_NOT_FOUND || code == ERR_CONFLICT;
}

static void judge(const struct drawn *d, int rc, enum rule broken, const struct err *e)
{
	char text[64];
	bool accepted = rc == 0 || rc == 1;
	uint32_t op = d->q.op < PRIV_OP_COUNT ? d->q.op : 0;
	tally->asked[op]++;
	tally->accepted[op] += accepted;
	if (!accepted)
		tally->refused[broken]++;
	if (!accepted && broken == RULE_NONE)
		tally->moment[e->code]++;
	(void)snprintf(text, sizeof(text), "accepted against the rule of %s", rule_names[broken]);
	if (accepted && broken != RULE_NONE)
		fault(d, text, e);
	if (accepted && was_ending && !in_the_end(d->q.op))
		fault(d, "accepted though the end has begun", e);
	if (!accepted && broken == RULE_NONE && !of_the_moment(e->code))
		fault(d, "refused though it breaks no rule", e);
	if (!accepted && e->msg[0] == '\0')
		fault(d, "refused without a word", e);
}

static void note(const struct drawn *d, int rc, const struct priv_reply *r)
{
	waiting += rc == 1;
	if (rc == 0 && d->q.op == PRIV_START)
		ids[id_count++] = r->value;
	if (rc == 0 && d->q.op == PRIV_FORGET)
		forget_id(d->q.id);
	was_ending = k.ending;
}

static void one_request(void)
{
	struct drawn d;
	struct err e = {0};
	struct priv_reply r = {0};
	int fds[PRIV_FDS_MAX], out = -1;
	draw_request(&d);
	for (size_t i = 0; i < d.count; i++)
		fds[i] = fcntl(d.with[i]->fd, F_DUPFD_CLOEXEC, 3);
	const struct oracle_state o = {k.greeted, k.o.sites, has_instance};
	enum rule broken = broken_rule(&o, &d);
	(void)lseek(audit, 0, SEEK_SET);
	int rc = ops_perform(&k, &d.q, fds, d.count, &r, &out, &e);
	check_audit(&d, rc, &e);
	judge(&d, rc, broken, &e);
	note(&d, rc, &r);
	for (size_t i = 0; i < d.count; i++)
		fs_close_fd(&fds[i]);
	fs_close_fd(&out);
	turn_over();
	if (behind.fault)
		fault(&d, behind.fault, &e);
	behind.fault = NULL;
	tally->done++;
}

static void run_job(uint64_t count)
{
	behind.last = NOBODYS_PID;
	open_world();
	unsigned before = open_descriptors();
	while (tally->done < count && tally->faults == 0) {
		make_vhosts();
		make_certificates();
		for (unsigned i = 0; i < EACH_ROUND && tally->done < count && tally->faults == 0;
		     i++)
			one_request();
		drop_drawn(vhosts, VHOSTS);
		drop_drawn(certificates, CERTIFICATES);
	}
	drop_instances();
	take_work();
	const struct drawn none = {0};
	struct err e = {0};
	if (behind.fault)
		fault(&none, behind.fault, &e);
	else if (open_descriptors() != before)
		fault(&none, "a descriptor more or less than before", &e);
	CLEANUP_FD int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(fs_remove_tree(tmp, dir + strlen("/tmp/"), &e), 0);
}

/* ---- all of them ---- */

static uint64_t number_of(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	return text ? strtoull(text, NULL, 10) : otherwise;
}

static void add_up(struct tally *all, const struct tally *one)
{
	for (size_t i = 0; i < PRIV_OP_COUNT; i++) {
		all->asked[i] += one->asked[i];
		all->accepted[i] += one->accepted[i];
	}
	for (size_t i = 0; i < RULE_COUNT; i++)
		all->refused[i] += one->refused[i];
	for (size_t i = 0; i < ERR_CODE_COUNT; i++)
		all->moment[i] += one->moment[i];
	all->done += one->done;
	all->faults += one->faults;
	if (all->first[0] == '\0')
		memcpy(all->first, one->first, sizeof(all->first));
}

static void tell(const struct tally *t)
{
	uint64_t accepted = 0;
	for (unsigned i = 0; i < PRIV_OP_COUNT; i++) {
		accepted += t->accepted[i];
		print_message("operation %2u%s: %llu asked, %llu accepted\n", i,
		    i == 0 ? " or more" : "", (unsigned long long)t->asked[i],
		    (unsigned long long)t->accepted[i]);
	}
	for (unsigned i = 1; i < RULE_COUNT; i++)
		print_message("refused, rule of %s: %llu\n", rule_names[i],
		    (unsigned long long)t->refused[i]);
	for (unsigned i = 1; i < ERR_CODE_COUNT; i++)
		if (t->moment[i] > 0)
			print_message("refused, no rule but %s: %llu\n",
			    err_class_of((enum err_code)i)->name, (unsigned long long)t->moment[i]);
	print_message("%llu requests, %llu accepted, %llu faults\n", (unsigned long long)t->done,
	    (unsigned long long)accepted, (unsigned long long)t->faults);
}

static void start_jobs(struct tally *all, unsigned jobs, uint64_t count, uint64_t first_seed)
{
	pid_t pids[JOBS_MAX];
	(void)fflush(NULL);
	for (unsigned i = 0; i < jobs; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] > 0)
			continue;
		tally = &all[i];
		seed = first_seed + ((uint64_t)i << 32);
		run_job(count / jobs + (i < count % jobs));
		exit(0); /* a profile of it is written (tools/monitor-coverage) */
	}
	for (unsigned i = 0; i < jobs; i++) {
		int status = -1;
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
}

static void no_request_that_breaks_a_rule_is_accepted(void **unused)
{
	(void)unused;
	static struct tally sum;
	uint64_t count = number_of("SLIPWAY_REQUESTS", REQUESTS_SHORT),
		 first_seed = number_of("SLIPWAY_SEED", 1);
	unsigned jobs = (unsigned)number_of("SLIPWAY_JOBS", 1);
	jobs = jobs < 1 ? 1 : jobs > JOBS_MAX ? JOBS_MAX : jobs;
	struct tally *all = mmap(NULL, JOBS_MAX * sizeof(*all), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(all, MAP_FAILED);
	start_jobs(all, jobs, count, first_seed);
	for (unsigned i = 0; i < jobs; i++)
		add_up(&sum, &all[i]);
	tell(&sum);
	if (sum.faults > 0)
		fail_msg("%s", sum.first);
	assert_int_equal(sum.done, count);
	if (count < REQUESTS_SHORT)
		return;
	/* It got through every door, and met every rule. */
	for (unsigned i = 1; i < PRIV_OP_COUNT; i++)
		assert_true(sum.accepted[i] > 0);
	for (unsigned i = 1; i < RULE_COUNT; i++)
		assert_true(sum.refused[i] > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(no_request_that_breaks_a_rule_is_accepted)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
