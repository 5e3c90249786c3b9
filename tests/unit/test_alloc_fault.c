/* rooms: base loop crypto text http hooks store model queue priv launch source kinds tree outbound
 */
/* R4: the k-th allocation of a parser fails, for one k after another, over every input of the
 * committed corpora. Whatever happens, the parser answers with an error that does not blame the
 * input, or with what it says without a fault; it leaves nothing allocated and does not crash. A
 * sweep ends with the first k that a run does not reach, and prints the highest that it did.
 * SLIPWAY_LONG=1: every k of every input; else at most RUNS_MAX of one input, evenly.
 *
 * This program brings malloc and its kin itself, in front of the C library's (or a sanitizer's), so
 * that jansson, libyaml and libarchive fail as well. Three parsers with planted faults must be
 * found out. */
#include "base/fs.h"
#include "hooks/sender.h"
#include "http/scan.h"
#include "http/wire.h"
#include "kinds/kinds.h"
#include "outbound/frame.h"
#include "source/source.h"
#include "text/json.h"
#include "text/procfile.h"
#include "text/run_frame.h"
#include "text/skim.h"
#include "tree/unpack.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka needs these before it. */
#include <cmocka.h>

#define RUNS_MAX 400u
#define INPUT_MAX (4u << 20)

/* ---- the allocator in front ---- */

static struct {
	bool armed, fired;
	unsigned long k, count;
	long live;
} fault;

static bool allocation_fails(void)
{
	if (!fault.armed || ++fault.count != fault.k)
		return false;
	fault.fired = true;
	errno = ENOMEM;
	return true;
}

static void *counted(void *p)
{
	fault.live += p != NULL;
	return p;
}

/* What dlsym itself may ask for while the first of these is looked up. */
static void *early(size_t n)
{
	static _Alignas(16) char room[4096];
	static size_t used;
	size_t at = used;
	used += (n + 15) & ~(size_t)15;
	return used <= sizeof(room) ? room + at : NULL;
}

#define NEXT(name)                                                                                 \
	static __typeof__(&(name)) next;                                                           \
	static bool looking;                                                                       \
	if (!next && !looking) {                                                                   \
		looking = true;                                                                    \
		*(void **)&next = dlsym(RTLD_NEXT, #name);                                         \
	}

void *malloc(size_t n)
{
	NEXT(malloc);
	return allocation_fails() ? NULL : next ? counted(next(n)) : early(n);
}

void *calloc(size_t count, size_t n)
{
	NEXT(calloc);
	return allocation_fails() ? NULL : next ? counted(next(count, n)) : early(count * n);
}

void *realloc(void *p, size_t n)
{
	NEXT(realloc);
	if (allocation_fails() || !next)
		return NULL;
	return p ? next(p, n) : counted(next(p, n));
}

void free(void *p)
{
	NEXT(free);
	fault.live -= p != NULL;
	if (next)
		next(p);
}

/* A sanitizer's own would take its memory behind our back. */
char *strdup(const char *s)
{
	size_t n = strlen(s) + 1;
	char *p = malloc(n);
	return p ? memcpy(p, s, n) : NULL;
}

/* ---- parsers: what each makes of an input, and a print of what it understood ---- */

typedef int parser_fn(struct str in, uint64_t *print, struct err *e);

static void print_bytes(uint64_t *h, struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		*h = (*h ^ (uint8_t)s.p[i]) * 0x100000001b3u;
	*h = (*h ^ 0x100u) * 0x100000001b3u;
}

static void print_number(uint64_t *h, uint64_t n)
{
	print_bytes(h, (struct str){(const char *)&n, sizeof(n)});
}

static void print_args(uint64_t *h, struct args a)
{
	print_number(h, a.n);
	for (size_t i = 0; i < a.n; i++)
		print_bytes(h, a.v[i]);
}

static void print_json(uint64_t *h, json_t *v)
{
	const char *key;
	json_t *inner;
	size_t i;
	print_number(h, (uint64_t)json_typeof(v));
	if (json_is_object(v)) {
		json_object_foreach(v, key, inner)
		{
			print_bytes(h, str_c(key));
			print_json(h, inner);
		}
	} else if (json_is_array(v)) {
		json_array_foreach(v, i, inner) print_json(h, inner);
	} else if (json_is_string(v)) {
		print_bytes(h, (struct str){json_string_value(v), json_string_length(v)});
	} else if (json_is_integer(v)) {
		print_number(h, (uint64_t)json_integer_value(v));
	}
}

static int parse_json(struct str in, uint64_t *print, struct err *e)
{
	CLEANUP_JSON json_t *j = json_read(in, e);
	if (j)
		print_json(print, j);
	return j ? 0 : -1;
}

static void print_processes(uint64_t *h, const struct manifest_process *p, size_t count)
{
	print_number(h, count);
	for (size_t i = 0; i < count; i++) {
		print_bytes(h, p[i].name);
		print_args(h, p[i].run.argv);
		print_number(h, p[i].run.env_count);
		for (size_t k = 0; k < p[i].run.env_count; k++)
			print_bytes(h, p[i].run.env[k].value);
	}
}

static int parse_manifest(struct str in, uint64_t *print, struct err *e)
{
	struct arena a CLEANUP_ARENA;
	struct manifest m;
	arena_init(&a, 8u << 20);
	if (manifest_read(in, "slipway.yaml", &a, &m, e) != 0)
		return -1;
	print_processes(print, m.processes, m.process_count);
	for (size_t i = 0; i < m.build_count; i++)
		print_args(print, m.build[i]);
	for (size_t i = 0; i < m.check_count; i++)
		print_args(print, m.checks[i].run);
	for (size_t i = 0; i < m.static_count; i++)
		print_bytes(print, m.statics[i].url);
	for (size_t i = 0; i < m.env_count; i++)
		print_bytes(print, m.env[i].value);
	print_args(print, m.domains);
	print_args(print, m.release);
	return 0;
}

static int parse_procfile(struct str in, uint64_t *print, struct err *e)
{
	struct arena a CLEANUP_ARENA;
	struct manifest_process *p;
	size_t count;
	arena_init(&a, 8u << 20);
	if (procfile_read(in, "Procfile", &a, &p, &count, e) != 0)
		return -1;
	print_processes(print, p, count);
	return 0;
}

static int parse_skim(struct str in, uint64_t *print, struct err *e)
{
	struct arena a CLEANUP_ARENA;
	struct skim_member m[] = {{.key = "ref"}, {.key = "after"}, {.key = "deleted"}};
	arena_init(&a, 1u << 20);
	if (skim_object(in, m, 3, &a, e) != 0)
		return -1;
	for (size_t i = 0; i < 3; i++) {
		print_number(print, m[i].type);
		print_bytes(print, m[i].value);
	}
	return 0;
}

/* Header lines, an empty line and a body, as in fuzz_hook_event; what is behind the signature. */
static int parse_event(const char *sender, struct str in, uint64_t *print, struct err *e)
{
	struct http_header h[16];
	size_t n = 0;
	struct str line;
	while (str_next(&in, '\n', &line) && line.n > 0) {
		size_t colon = str_find(line, ':', 0);
		if (n < 16 && colon != SIZE_MAX)
			h[n++] = (struct http_header){
			    str_slice(line, 0, colon), str_trim(str_from(line, colon + 1))};
	}
	struct arena a CLEANUP_ARENA;
	arena_init(&a, 1u << 20);
	struct http_request r = {.headers = h, .header_count = n, .body = in, .arena = &a};
	struct sender_event ev = {0};
	if (sender_find(str_c(sender))->read(&r, &ev, e) != 0)
		return -1;
	const struct str all[] = {ev.key, ev.kind, ev.ref, ev.before, ev.after};
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		print_bytes(print, all[i]);
	print_number(print, ev.push);
	return 0;
}

static int parse_github(struct str in, uint64_t *print, struct err *e)
{
	return parse_event("github", in, print, e);
}

static int parse_generic(struct str in, uint64_t *print, struct err *e)
{
	return parse_event("generic", in, print, e);
}

static void print_plan(uint64_t *h, const struct plan *p)
{
	print_number(h, p->kind);
	print_number(h, p->process_count);
	print_number(h, p->build_count);
	print_bytes(h, p->reason);
}

/* What a plan is made of is the daemon's business, which may abort; reading the report is not. */
static int parse_report(struct str in, uint64_t *print, struct err *e)
{
	struct arena a CLEANUP_ARENA;
	struct source_result r;
	arena_init(&a, 16u << 20);
	if (source_read(in, &a, &r, e) != 0)
		return -1;
	print_bytes(print, r.commit);
	print_bytes(print, r.subject);
	print_number(print, r.tree.count);
	for (size_t i = 0; i < r.tree.count; i++)
		print_bytes(print, r.tree.entries[i].content);
	return 0;
}

/* A plan as the store keeps it. */
static int parse_plan(struct str in, uint64_t *print, struct err *e)
{
	struct arena a CLEANUP_ARENA;
	struct plan p;
	arena_init(&a, 16u << 20);
	if (plan_unpack(in, &a, &p, e) != 0)
		return -1;
	print_plan(print, &p);
	return 0;
}

static int parse_http(struct str in, uint64_t *print, struct err *e)
{
	static struct http_head h;
	struct http_wire w;
	struct http_wire_head wh;
	const char *why;
	size_t at = 0;
	if (http_scan_end(in.p, in.n, &at, &why) != HTTP_SCAN_OK ||
	    http_scan_head(in.p, at, &h) != HTTP_SCAN_OK ||
	    http_wire_head(&w, h.method, in.p, at, &wh) != 0)
		return err_set(e, ERR_INVALID, "no request");
	print_bytes(print, h.target);
	print_number(print, h.header_count);
	return 0;
}

static int parse_fields(struct str in, uint64_t *print, struct err *e)
{
	struct arena a CLEANUP_ARENA;
	arena_init(&a, 1u << 20);
	struct str cut = str_slice(in, 0, 4096);
	struct str out = http_decode(&a, cut, true);
	if (!out.p)
		return err_set(e, ERR_TOO_LARGE, "malformed, or too large");
	print_bytes(print, out);
	return 0;
}

static int parse_frame(struct str in, uint64_t *print, struct err *e)
{
	struct frame f;
	size_t used = 0;
	int got = frame_next(in, &f, &used, e);
	print_number(print, used);
	if (got == 0)
		return err_set(e, ERR_INVALID, "more is needed");
	return got < 0 ? -1 : 0;
}

static int parse_run_frame(struct str in, uint64_t *print, struct err *e)
{
	struct run_frame f;
	size_t used = 0;
	int got = run_frame_next(in, &f, &used, e);
	print_number(print, used);
	if (got == 0)
		return err_set(e, ERR_INVALID, "more is needed");
	return got < 0 ? -1 : 0;
}

static uint64_t tree_sum;

/* In whatever order they come. */
static int add_to_sum(const char *path, const struct stat *st, int type, struct FTW *at)
{
	uint64_t h = 0xcbf29ce484222325u;
	print_bytes(&h, str_c(path + at->base));
	print_number(&h, (uint64_t)type);
	print_number(&h, S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0);
	tree_sum += at->level > 0 ? h : 0;
	return 0;
}

static char top[32]; /* where archives are unpacked, while one is */

static int parse_archive(struct str in, uint64_t *print, struct err *e)
{
	int fd = memfd_create("archive", MFD_CLOEXEC);
	int into = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || into < 0 || write(fd, in.p, in.n) != (ssize_t)in.n ||
	    lseek(fd, 0, SEEK_SET) != 0)
		abort();
	int rc = unpack_archive(fd, into, 64, 256u << 10, e);
	fault.armed = false; /* looking at it is ours, not the parser's */
	tree_sum = 0;
	if (nftw(top, add_to_sum, 8, FTW_PHYS) != 0)
		abort();
	*print = tree_sum;
	close(fd);
	close(into);
	return rc;
}

/* ---- planted faults ---- */

static int plant_leak(struct str in, uint64_t *print, struct err *e)
{
	char *volatile a = malloc(16 + in.n), *volatile b = a ? malloc(16) : NULL;
	if (!b)
		return err_set(e, ERR_TOO_LARGE, "no room"); /* and a is lost */
	*print += in.n;
	free(a);
	free(b);
	return 0;
}

static int plant_crash(struct str in, uint64_t *print, struct err *e)
{
	char *volatile a = malloc(16);
	(void)e;
	*(volatile char *)a = 'x'; /* without having looked */
	*print += in.n;
	free(a);
	return 0;
}

static int plant_lie(struct str in, uint64_t *print, struct err *e)
{
	char *volatile a = malloc(16);
	(void)e;
	*print += a ? in.n : 7; /* something else is understood */
	free(a);
	return 0;
}

/* ---- the sweep ---- */

struct outcome {
	int rc;
	uint64_t print;
	unsigned long count;
	bool fired;
	struct err e;
};

static const char *once(parser_fn *parse, struct str in, unsigned long k, struct outcome *ret)
{
	*ret = (struct outcome){.print = 0xcbf29ce484222325u};
	long before = fault.live;
	fault.k = k;
	fault.count = 0;
	fault.fired = false;
	fault.armed = true;
	ret->rc = parse(in, &ret->print, &ret->e);
	fault.armed = false;
	ret->count = fault.count;
	ret->fired = fault.fired;
	if (fault.live != before)
		return "something stays allocated";
	if (ret->rc != 0 && (ret->e.code == ERR_NONE || ret->e.msg[0] == '\0'))
		return "it fails without an error";
	return NULL;
}

static const char *compare(const struct outcome *clean, const struct outcome *o)
{
	if (clean->rc != 0)
		return o->rc == 0 ? "what is wrong is accepted" : NULL;
	if (o->rc == 0)
		return o->print != clean->print ? "it understands something else" : NULL;
	return o->e.code == ERR_INVALID ? "the input is blamed" : NULL;
}

struct tally {
	unsigned long inputs, runs, highest, deaths;
};

/* NULL, or what was wrong. */
static const char *sweep(parser_fn *parse, struct str in, struct tally *t)
{
	struct outcome clean, o;
	const char *why =
	    once(parse, in, 0, &clean); /* what libraries keep for good is made here */
	why = once(parse, in, 0, &clean);
	unsigned long step = getenv("SLIPWAY_LONG") ? 1 : 1 + clean.count / RUNS_MAX;
	t->inputs++;
	for (unsigned long k = 1; !why; k += step, t->runs++) {
		why = once(parse, in, k, &o);
		if (!o.fired)
			return why;
		if (k > t->highest)
			t->highest = k;
		if (!why)
			why = compare(&clean, &o);
		if (why)
			print_message("k = %lu, error %d '%s'\n", k, (int)o.e.code, o.e.msg);
	}
	return why;
}

static size_t load(const char *path, char *room)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, room, INPUT_MAX);
	if (n < 0)
		fail_msg("%s: %s", path, strerror(errno));
	close(fd);
	return (size_t)n;
}

static void sweep_corpus(const char *what, const char *corpus, parser_fn *parse)
{
	char folder[512], path[1024];
	struct dirent **names = NULL;
	struct tally t = {0};
	snprintf(folder, sizeof(folder), "%s/fuzz/corpus/%s", TEST_DATA, corpus);
	int count = scandir(folder, &names, NULL, alphasort);
	assert_true(count > 2);
	char *room = malloc(INPUT_MAX);
	for (int i = 0; i < count; i++) {
		if (names[i]->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]->d_name);
		size_t n = load(path, room);
		const char *why = sweep(parse, (struct str){room, n}, &t);
		if (why)
			fail_msg("%s, %s: %s", what, path, why);
	}
	for (int i = 0; i < count; i++)
		free(names[i]);
	free((void *)names);
	free(room);
	print_message(
	    "%s: %lu inputs, highest k %lu, %lu runs\n", what, t.inputs, t.highest, t.runs);
}

/* libarchive itself does not survive every failed allocation (3.6.2: archive_read_open1 does not
 * look; elsewhere it exits), which is why archives are read by a program of their own, as the
 * tenant, that may die and fails its task. So here each k has a process, and dying is counted, not
 * refused; saying something wrong is. */

static bool once_aside(struct str in, unsigned long k, struct outcome *shared)
{
	struct err e;
	int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)snprintf(top, sizeof(top), "/tmp/slipway-alloc-XXXXXX");
	assert_non_null(mkdtemp(top));
	shared->fired = true; /* when it dies */
	pid_t pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
		(void)signal(SIGSEGV, SIG_DFL);
		if (dup2(null, 2) < 0)
			_exit(1);
		struct outcome o;
		(void)once(parse_archive, in, k, &o);
		*shared = o;
		_exit(0);
	}
	int status = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(fs_remove_tree(tmp, top + strlen("/tmp/"), &e), 0);
	close(tmp);
	return status == 0;
}

static const char *sweep_aside(
    struct str in, struct outcome *shared, unsigned long runs_max, struct tally *t)
{
	assert_true(once_aside(in, 0, shared));
	struct outcome clean = *shared;
	unsigned long step = getenv("SLIPWAY_LONG") ? 1 : 1 + clean.count / runs_max;
	t->inputs++;
	for (unsigned long k = 1;; k += step, t->runs++) {
		bool lives = once_aside(in, k, shared);
		if (!shared->fired)
			return NULL;
		if (k > t->highest)
			t->highest = k;
		t->deaths += !lives;
		const char *why = lives && shared->rc == 0 ? compare(&clean, shared) : NULL;
		if (why)
			return why;
	}
}

static void test_archive(void **state)
{
	char folder[512], path[1024];
	struct tally t = {0};
	(void)state;
	struct outcome *shared =
	    mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	snprintf(folder, sizeof(folder), "%s/fuzz/corpus/archive", TEST_DATA);
	char *room = malloc(INPUT_MAX);
	DIR *d = opendir(folder);
	assert_true(d != NULL && room != NULL && shared != MAP_FAILED);
	for (const struct dirent *at; (at = readdir(d)) != NULL;) {
		if (at->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, at->d_name);
		size_t n = load(path, room);
		const char *why = sweep_aside((struct str){room, n}, shared, 12, &t);
		if (why)
			fail_msg("archive, %s: %s", path, why);
	}
	closedir(d);
	free(room);
	munmap(shared, sizeof(*shared));
	print_message(
	    "archive: %lu inputs, highest k %lu, %lu runs, in %lu of them libarchive gave up\n",
	    t.inputs, t.highest, t.runs, t.deaths);
}

#define CORPUS(name, corpus)                                                                       \
	static void test_##name(void **state)                                                      \
	{                                                                                          \
		(void)state;                                                                       \
		sweep_corpus(#name, #corpus, parse_##name);                                        \
	}
CORPUS(json, json)
CORPUS(manifest, manifest)
CORPUS(procfile, procfile)
CORPUS(skim, skim)
CORPUS(github, hook_event)
CORPUS(generic, hook_event)
CORPUS(report, tree_report)
CORPUS(http, http)
CORPUS(fields, http_fields)
CORPUS(frame, outbound_frame)

/* Plans as they are kept: packed from the reports of the corpus. */
static void test_plan(void **state)
{
	static const char report[] = "C 0123456789012345678901234567890123456789\n"
				     "F 10 5 5\nindex.htmlhello\nF 8 29 29\n"
				     "Procfileweb: env A=b python3 serve.py\nE 2 34\n";
	(void)state;
	struct arena a CLEANUP_ARENA;
	struct buf b CLEANUP_BUF;
	struct source_result r;
	struct plan p;
	struct err e = {0};
	struct tally t = {0};
	arena_init(&a, 1u << 20);
	buf_init(&b, 1u << 20);
	if (source_read(str_c(report), &a, &r, &e) != 0)
		fail_msg("%s", e.msg);
	const struct kinds_input k = {.tree = &r.tree, .project = STR("x")};
	if (kinds_plan(&k, &a, &p, &e) != 0 || plan_pack(&p, &b, &e) != 0)
		fail_msg("%s", e.msg);
	const char *why = sweep(parse_plan, buf_view(&b), &t);
	if (why)
		fail_msg("plan: %s", why);
	assert_true(t.highest > 0);
	print_message("plan: highest k %lu\n", t.highest);
}

/* These allocate nothing at all. */
static void test_run_frames(void **state)
{
	const struct str inputs[] = {STR("\0\0\0\0\5hello"), STR("\x06\0\0\0\4\0\0\0\1"),
	    STR("\x20"), STR("\3\0\0\0\5hello")};
	(void)state;
	struct tally t = {0};
	for (size_t i = 0; i < sizeof(inputs) / sizeof(*inputs); i++)
		for (size_t n = 0; n <= inputs[i].n; n++)
			assert_null(sweep(parse_run_frame, str_slice(inputs[i], 0, n), &t));
	assert_int_equal(t.highest, 0);
}

static bool is_found_out(parser_fn *parse)
{
	pid_t pid = fork();
	if (pid == 0) {
		struct tally t = {0};
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
		(void)signal(SIGSEGV, SIG_DFL); /* cmocka's own would go on */
		if (dup2(null, 1) < 0 || dup2(null, 2) < 0)
			_exit(0);
		_exit(sweep(parse, STR("input"), &t) ? 1 : 0);
	}
	int status = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status != 0;
}

static void test_planted_faults_are_found(void **state)
{
	(void)state;
	assert_true(is_found_out(plant_leak));
	assert_true(is_found_out(plant_crash));
	assert_true(is_found_out(plant_lie));
	assert_false(is_found_out(parse_json));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_planted_faults_are_found),
	    cmocka_unit_test(test_json),
	    cmocka_unit_test(test_manifest),
	    cmocka_unit_test(test_procfile),
	    cmocka_unit_test(test_skim),
	    cmocka_unit_test(test_github),
	    cmocka_unit_test(test_generic),
	    cmocka_unit_test(test_report),
	    cmocka_unit_test(test_plan),
	    cmocka_unit_test(test_http),
	    cmocka_unit_test(test_fields),
	    cmocka_unit_test(test_frame),
	    cmocka_unit_test(test_run_frames),
	    cmocka_unit_test(test_archive),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
