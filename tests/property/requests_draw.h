/* Requests as nobody sane would send them: lawful ones, lawful ones with one to three faults, and noise; with descriptors of every kind.
 * For test_helper_requests.c and test_helper_peers.c, which include what this needs. */
#pragma once

#define PROJECTS 8
#define VHOSTS 192
#define CERTIFICATES 64
#define IDS_MAX 192

static const char *const project_names[PROJECTS] = {
    "shop", "a", "swt-two", "x9", "n0-b-c", "hooks-in", "z", "abcdefghijklmnopqrstuvwxyz012"};

static uint64_t seed;
static struct thing things[24];
static size_t thing_count, sealed_count; /* the sealed ones come first */
static struct thing vhosts[VHOSTS], certificates[CERTIFICATES];
static uint64_t ids[IDS_MAX];
static size_t id_count;

/* splitmix64 */
static uint64_t draw(uint64_t below)
{
	uint64_t z = (seed += 0x9e3779b97f4a7c15u);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return (z ^ (z >> 31)) % below;
}

static bool one_in(unsigned n)
{
	return draw(n) == 0;
}

static uint64_t draw_bits(void)
{
	return draw(UINT64_MAX) >> draw(64);
}

/* At and around the ends of a range, where mistakes are. */
static uint64_t draw_around(uint64_t max)
{
	const uint64_t v[] = {0, 1, max - 1, max, max + 1, max + 2, INT32_MAX, UINT32_MAX,
	    INT64_MAX, UINT64_MAX, (uint64_t)INT64_MAX + 1, draw(max + 1), draw_bits()};
	return v[draw(sizeof(v) / sizeof(*v))];
}

static void draw_noise(void *out, size_t n)
{
	for (uint8_t *p = out; n > 0; n--)
		*p++ = (uint8_t)draw(256);
}

static const char trouble[] = "\0\0/..-_ \n\r\t\"'\\;{}%$~^:?*[]@#A0z\x7f\x80\xc2\xe2\xff";

static void put(char *field, size_t size, const char *text)
{
	memset(field, 0, size);
	memcpy(field, text, strlen(text) < size ? strlen(text) : size);
}

static void damage(char *field, size_t size)
{
	static const char *const words[] = {
	    "a/../b", "..", "admin", "www", "localhost", "a--b", "a-", "B"};
	size_t n = length(field, size), at = draw(n + 1 < size ? n + 2 : size);
	switch (draw(6)) {
	case 0:
		memset(field, 'a', size);
		break; /* not ended */
	case 1:
		memset(field, 0, size);
		break;
	case 2:
		draw_noise(field, size);
		break;
	case 3:
		at = draw(size);
		memset(field, 'b', at);
		memset(field + at, 0, size - at);
		break;
	case 4:
		put(field, size, words[draw(sizeof(words) / sizeof(*words))]);
		break;
	default:
		field[at < size ? at : size - 1] = trouble[draw(sizeof(trouble) - 1)];
	}
}

/* ---- descriptors ---- */

static int memory_file(const void *data, size_t n, int seals)
{
	int fd = memfd_create("request", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_true(fd >= 0);
	assert_true(n == 0 || write(fd, data, n) == (ssize_t)n);
	if (seals)
		assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

#define ALL_SEALS (F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK)

static void add_thing(int fd, bool sealed)
{
	struct stat st;
	assert_true(fd >= 0 && thing_count < sizeof(things) / sizeof(*things));
	assert_int_equal(fstat(fd, &st), 0);
	things[thing_count++] =
	    (struct thing){.fd = fd, .type = st.st_mode & S_IFMT, .sealed = sealed};
}

static void make_lists(void)
{
	static char big[300000];
	add_thing(memory_file("/bin/true", 10, ALL_SEALS), true);
	add_thing(memory_file("a=b\0c=d", 8, ALL_SEALS | F_SEAL_SEAL), true);
	add_thing(memory_file("", 0, ALL_SEALS), true);
	add_thing(memory_file("/static\0../../../etc\0", 21, ALL_SEALS), true);
	add_thing(memory_file("/etc\0/static\0etc", 16, ALL_SEALS), true); /* not ended */
	add_thing(memory_file("\0\0\0\0\0\0\0", 7, ALL_SEALS), true);
	memset(big, 'a', sizeof(big));
	add_thing(memory_file(big, sizeof(big), ALL_SEALS), true);
	for (size_t i = 0; i < sizeof(big); i += 2)
		big[i] = '\0';
	add_thing(memory_file(big, sizeof(big), ALL_SEALS), true);
	draw_noise(big, 4096);
	add_thing(memory_file(big, 4096, ALL_SEALS), true);
	sealed_count = thing_count;
}

static void make_things(void)
{
	int ends[2], pair[2];
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	make_lists();
	add_thing(memory_file("list", 5, 0), false);
	add_thing(memory_file("list", 5, F_SEAL_WRITE | F_SEAL_GROW), false);
	add_thing(memory_file("list", 5, F_SEAL_WRITE | F_SEAL_SHRINK), false);
	add_thing(memory_file("list", 5, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL), false);
	add_thing(open("/dev/null", O_RDWR | O_CLOEXEC), false);
	add_thing(open("/proc/self/exe", O_RDONLY | O_CLOEXEC), false);
	add_thing(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), false);
	add_thing(open("/", O_PATH | O_CLOEXEC), false);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	add_thing(ends[0], false);
	add_thing(ends[1], false);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	add_thing(pair[0], false);
	add_thing(pair[1], false);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof(any)), 0);
	assert_int_equal(listen(fd, 1), 0);
	add_thing(fd, false);
	add_thing(epoll_create1(EPOLL_CLOEXEC), false);
}

static const struct thing *draw_thing(mode_t type, bool sealed)
{
	for (;;) {
		const struct thing *t = &things[draw(thing_count)];
		if (sealed ? t->sealed : type == 0 || t->type == type)
			return t;
	}
}

static void damage_vhost(struct render_vhost *v)
{
	struct render_static *s = &v->statics[draw(3)];
	switch (draw(15)) {
	case 12:
		memcpy(v->domains[2], v->domains[0], sizeof(v->domains[0]));
		break;
	case 13:
		memcpy(v->statics[2].url, v->statics[0].url, sizeof(v->statics[0].url));
		break;
	case 0:
		v->version = (uint32_t)draw_around(1);
		break;
	case 1:
		damage(v->project, sizeof(v->project));
		break;
	case 2:
		v->domain_count = (uint16_t)draw_around(64);
		break;
	case 3:
		damage(v->domains[draw(3)], sizeof(v->domains[0]));
		break;
	case 4:
		v->static_count = (uint16_t)draw_around(16);
		break;
	case 5:
		damage(s->url, sizeof(s->url));
		break;
	case 6:
		s->data = (uint8_t)draw_around(1);
		break;
	case 7:
		damage(s->data_path, sizeof(s->data_path));
		break;
	case 8:
		v->web_instances = (uint16_t)draw_around(10);
		break;
	case 9:
		v->maintenance = (uint8_t)draw_around(1);
		break;
	case 10:
		v->body_max_bytes = draw_around(1ull << 40);
		break;
	case 11:
		v->headers = (uint8_t)draw_around(1);
		break;
	default:
		v->request_timeout_s = (uint32_t)draw_around(86400);
	}
}

static const struct thing *draw_vhost(const char *project)
{
	for (size_t i = 0; i < PROJECTS; i++)
		if (strcmp(project_names[i], project) == 0)
			return &vhosts[i + PROJECTS * draw(VHOSTS / PROJECTS)];
	return &vhosts[draw(VHOSTS)];
}

/* Some of each project, half of them good. */
static void make_vhosts(void)
{
	for (size_t i = 0; i < VHOSTS; i++) {
		struct render_vhost *v = calloc(1, 2 * sizeof(*v));
		assert_non_null(v);
		*v = (struct render_vhost){.version = 1,
		    .domain_count = 3,
		    .static_count = 3,
		    .web_instances = (uint16_t)draw(11),
		    .body_max_bytes = 1 + draw(1ull << 40),
		    .request_timeout_s = 1 + (uint32_t)draw(86400)};
		put(v->project, sizeof(v->project), project_names[i % PROJECTS]);
		for (unsigned k = 0; k < 3; k++) {
			(void)snprintf(v->domains[k], sizeof(v->domains[k]), "%c%u.example-%u.org",
			    (int)('a' + draw(26)), k, (unsigned)draw(9999));
			(void)snprintf(v->statics[k].url, sizeof(v->statics[k].url), "/s%u/%u", k,
			    (unsigned)draw(9999));
		}
		v->statics[1].data = 1;
		put(v->statics[1].data_path, sizeof(v->statics[1].data_path), "up/loads");
		if (one_in(2))
			damage_vhost(v);
		size_t bytes = one_in(20) ? draw(2 * sizeof(*v)) : sizeof(*v);
		vhosts[i] =
		    (struct thing){memory_file(v, bytes, ALL_SEALS), S_IFREG, true, v, bytes};
	}
}

static void make_certificates(void)
{
	for (size_t i = 0; i < CERTIFICATES; i++) {
		struct render_site_cert *c = calloc(2, sizeof(*c));
		assert_non_null(c);
		*c = (struct render_site_cert){.version = (uint32_t)draw_around(1),
		    .chain_bytes = (uint32_t)draw_around(100),
		    .key_bytes = (uint32_t)draw_around(99)};
		put(c->site, sizeof(c->site), i % 2 ? "example.org" : "_");
		if (one_in(2))
			damage(c->site, sizeof(c->site));
		size_t bytes = one_in(8) ? draw(2 * sizeof(*c)) : sizeof(*c);
		certificates[i] =
		    (struct thing){memory_file(c, bytes, ALL_SEALS), S_IFREG, true, c, bytes};
	}
}

static void drop_drawn(struct thing *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		close(v[i].fd);
		free((void *)(uintptr_t)v[i].data);
	}
}

/* ---- lawful requests ---- */

static int8_t add(struct drawn *d, const struct thing *t)
{
	d->with[d->count] = t;
	return (int8_t)d->count++;
}

static void draw_limits(struct priv_limits *l)
{
	*l = (struct priv_limits){.memory_bytes = draw(1ull << 63),
	    .disk_bytes = draw(1ull << 63),
	    .cpu_milli = (uint32_t)draw(1000001),
	    .tasks = (uint32_t)draw(1000001),
	    .files = (uint32_t)draw((1 << 20) + 1)};
}

static void draw_start(struct drawn *d)
{
	struct priv_start *s = &d->q.start;
	static const char *const subdirs[] = {"", "app", "a/b.c/d", "...", "x/..y"};
	*s = (struct priv_start){.release = 1 + (uint32_t)draw(3),
	    .instance = 1 + (uint16_t)draw(3),
	    .class = (uint8_t)draw(2),
	    .sandbox = (uint8_t)draw(4),
	    .program = (uint8_t)draw(3),
	    .port = one_in(2) ? (uint16_t)draw(65536) : 0,
	    .stop_timeout_ms = (uint32_t)draw(3600001),
	    .fd_argv = -1,
	    .fd_env = -1,
	    .fd_listen = -1,
	    .fd_stdin = -1,
	    .fd_stdout = -1,
	    .fd_secret = -1};
	bool relay = s->program == PRIV_PROGRAM_RELAY, job = s->class == PRIV_JOB;
	put(s->process, sizeof(s->process),
	    one_in(3)	? "web"
	    : one_in(2) ? "w"
			: "abcdefghijklmno9");
	put(s->subdir, sizeof(s->subdir), subdirs[draw(5)]);
	draw_limits(&s->limits);
	if (s->sandbox == PRIV_SANDBOX_RUN && s->program == PRIV_PROGRAM_TENANT)
		s->limits.devices = one_in(4);
	if (relay)
		s->port = (uint16_t)(1 + draw(65535));
	if (relay || one_in(3)) {
		s->listen_count = 1;
		s->fd_listen = add(d, draw_thing(S_IFSOCK, false));
	}
	if (!relay || one_in(3))
		s->fd_argv = add(d, draw_thing(0, true));
	if (one_in(2))
		s->fd_env = add(d, draw_thing(0, true));
	if (one_in(4))
		s->fd_secret = add(d, draw_thing(0, true));
	if (!job && s->program == PRIV_PROGRAM_TENANT && one_in(4)) {
		s->ready_ms = (uint32_t)draw(3600001);
		s->watchdog_ms = (uint32_t)draw(3600001);
	}
	if (!job)
		return;
	s->time_limit_ms = one_in(2) ? (uint32_t)draw(24 * 3600000 + 1) : 0;
	s->terminal = one_in(4);
	if (s->terminal || one_in(3))
		s->fd_stdin = add(d, draw_thing(s->terminal ? S_IFCHR : 0, false));
	if (one_in(3))
		s->fd_stdout = add(d, draw_thing(0, false));
}

static void draw_lawful(struct drawn *d, uint32_t op)
{
	struct priv_request *q = &d->q;
	memset(q, 0, sizeof(*q));
	*q = (struct priv_request){.magic = PRIV_MAGIC,
	    .op = op,
	    .release = 1 + (uint32_t)draw(3),
	    .signal = 1 + (int32_t)draw(31),
	    .stop_timeout_ms = (uint32_t)draw(3600001),
	    .id = id_count > 0 ? ids[draw(id_count)] : 0};
	d->count = 0;
	put(q->project, sizeof(q->project), one_in(50) ? "nobodys" : project_names[draw(PROJECTS)]);
	switch (op) {
	case PRIV_HELLO:
		q->id = PRIV_VERSION;
		break;
	case PRIV_PROJECT_ENSURE:
		draw_limits(&q->start.limits);
		break;
	case PRIV_NARROW:
		q->start.limits.devices = (uint32_t)draw(2);
		break;
	case PRIV_OWN_CERT_REMOVE:
		q->id = draw(2);
		break;
	case PRIV_CERT_SET:
		q->id = draw(2);
		break;
	case PRIV_OWN_CERT_SET:
		q->id = draw(4);
		break;
	case PRIV_SITE_CERT_SET:
		add(d, &certificates[draw(CERTIFICATES)]);
		break;
	case PRIV_START:
		draw_start(d);
		break;
	default:
		break;
	}
	if (op == PRIV_VHOST_SET || op == PRIV_CERT_SET || op == PRIV_CERT_REMOVE)
		add(d, draw_vhost(q->project));
	unsigned lists = op == PRIV_CERT_SET || op == PRIV_OWN_CERT_SET ? 2
			 : op == PRIV_SITES_SET				? 1
			 : op == PRIV_RELEASE_SEAL			? (unsigned)draw(2)
									: 0;
	for (unsigned i = 0; i < lists; i++)
		add(d, draw_thing(0, true));
}

/* ---- and what is wrong with them ---- */

static void damage_start(struct priv_start *s)
{
	struct priv_limits *l = &s->limits;
	int8_t *const index[] = {
	    &s->fd_argv, &s->fd_env, &s->fd_listen, &s->fd_stdin, &s->fd_stdout, &s->fd_secret};
	uint8_t *const bytes[] = {&s->class, &s->sandbox, &s->program, &s->terminal};
	static const uint8_t bytes_max[] = {1, 3, 2, 1};
	uint16_t *const shorts[] = {&s->listen_count, &s->instance, &s->port};
	uint32_t *const words[] = {&s->release, &s->stop_timeout_ms, &s->time_limit_ms, &l->files,
	    &l->cpu_milli, &l->tasks, &s->ready_ms, &s->watchdog_ms, &l->devices};
	static const uint32_t words_max[] = {
	    1000000000, 3600000, 24 * 3600000, 1 << 20, 1024000, 1000000, 3600000, 3600000, 1};
	uint64_t at = draw(24);
	switch (draw(7)) {
	case 0:
		*bytes[at % 4] = (uint8_t)draw_around(bytes_max[at % 4]);
		break;
	case 1:
		*shorts[at % 3] = (uint16_t)draw_around(at % 3 ? UINT16_MAX : 1);
		break;
	case 2:
	case 3:
		*words[at % 9] = (uint32_t)draw_around(words_max[at % 9]);
		break;
	case 4:
		*(at % 2 ? &l->memory_bytes : &l->disk_bytes) = draw_around(INT64_MAX);
		break;
	case 5:
		damage(at % 2 ? s->process : s->subdir,
		    at % 2 ? sizeof(s->process) : sizeof(s->subdir));
		break;
	default:
		*index[at % 6] = one_in(3) ? (int8_t)draw(256) : (int8_t)(draw(8) - 1);
	}
}

static void damage_request(struct drawn *d)
{
	struct priv_request *q = &d->q;
	switch (draw(q->op == PRIV_START ? 24 : q->op == PRIV_NARROW ? 12 : 11)) {
	case 0:
		q->magic ^= 1u << draw(32);
		break;
	case 1:
		q->op = one_in(2) ? (uint32_t)draw(PRIV_OP_COUNT + 2) : (uint32_t)draw_bits();
		break;
	case 2:
		damage(q->project, sizeof(q->project));
		break;
	case 3:
		q->id = one_in(2) ? draw_around(4) : draw_bits();
		break;
	case 4:
		q->release = (uint32_t)draw_around(1000000000);
		break;
	case 5:
		q->signal = (int32_t)draw_around(31);
		break;
	case 6:
		q->stop_timeout_ms = (uint32_t)draw_around(3600000);
		break;
	case 7:
		q->start.limits.disk_bytes = draw_around(INT64_MAX);
		break;
	case 8:
		d->count = draw(PRIV_FDS_MAX + 1);
		break; /* fewer, or more */
	case 9:
		q->signal = -(int32_t)draw(40);
		break;
	case 10:
		if (d->count > 0)
			d->with[draw(d->count)] = draw_thing(0, false);
		break;
	case 11:
		q->start.limits.devices = (uint32_t)draw_around(1);
		break;
	default:
		damage_start(&q->start);
	}
}

static void draw_request(struct drawn *d)
{
	uint32_t op = 1 + (uint32_t)draw(PRIV_OP_COUNT - 1);
	for (size_t i = 0; i < PRIV_FDS_MAX; i++)
		d->with[i] = draw_thing(0, false);
	if (op == PRIV_SHUTDOWN && !one_in(100))
		op = PRIV_START;
	draw_lawful(d, op);
	unsigned faults = one_in(3) ? 0 : one_in(3) ? 2 + (unsigned)draw(2) : 1;
	for (unsigned i = 0; i < faults; i++)
		damage_request(d);
	if (one_in(32)) { /* noise behind a good beginning */
		draw_noise(&d->q.seq, sizeof(d->q) - offsetof(struct priv_request, seq));
		d->count = draw(PRIV_FDS_MAX + 1);
	}
}
