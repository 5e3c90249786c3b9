#include "backup/archive.h"
#include "base/ct.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/rand.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAGIC STR("SLIPBK1\n")
#define PLACE STR("backup")
#define SLOTS_MAX 2u
#define SLOT_BYTES_MAX 256u
#define TOP_MAX (8u + 4u + BACKUP_HEADER_MAX + 1u + SLOTS_MAX * (3u + SLOT_BYTES_MAX))
#define SEALED_PIECE_BYTES (BACKUP_PIECE_BYTES + STREAM_EXTRA_BYTES)

struct key {
	uint8_t p[STREAM_KEY_BYTES];
};
#define CLEANUP_KEY __attribute__((cleanup(key_wipe)))
static void key_wipe(struct key *k)
{
	ct_wipe(k->p, sizeof(k->p));
}

int backup_key_make(const struct seal_key *seal_by, struct str passphrase, struct buf *ret_sealed,
    struct buf *ret_wrapped, struct err *e)
{
	struct key k CLEANUP_KEY;
	uint8_t wrapped[STREAM_WRAPPED_BYTES];
	rand_bytes(k.p, sizeof(k.p));
	seal(seal_by, PLACE, (struct str){(const char *)k.p, sizeof(k.p)}, ret_sealed);
	if (passphrase.n) {
		if (stream_key_wrap(k.p, passphrase, wrapped, e) != 0)
			return -1;
		buf_put(ret_wrapped, wrapped, sizeof(wrapped));
	}
	return buf_check(ret_sealed, "the sealed key", e) != 0 ||
		       buf_check(ret_wrapped, "the wrapped key", e) != 0
		   ? -1
		   : 0;
}

static int key_unseal(const struct seal_key *by, struct str sealed, struct key *ret, struct err *e)
{
	struct buf clear;
	buf_init(&clear, sizeof(ret->p));
	int rc = seal_open(by, PLACE, sealed, &clear, e);
	bool fits = rc == 0 && clear.n == sizeof(ret->p);
	if (fits)
		memcpy(ret->p, clear.p, sizeof(ret->p));
	buf_wipe(&clear);
	if (fits)
		return 0;
	(void)err_set(e, ERR_FORBIDDEN, "this server's key does not open the archive");
	return err_hint(e, "it was made on another server: give the passphrase it was made with");
}

/* ---- writing ---- */

static void put_length(struct buf *b, size_t n, unsigned bytes)
{
	while (bytes-- > 0)
		buf_char(b, (char)(uint8_t)(n >> (8 * bytes)));
}

static void put_slot(struct buf *b, char kind, struct str bytes)
{
	if (bytes.n == 0)
		return;
	buf_char(b, kind);
	put_length(b, bytes.n, 2);
	buf_str(b, bytes);
}

static void put_top(struct buf *b, struct str header, const struct backup_slots *s)
{
	buf_str(b, MAGIC);
	put_length(b, header.n, 4);
	buf_str(b, header);
	buf_char(b, (char)((s->sealed.n > 0) + (s->wrapped.n > 0)));
	put_slot(b, 'K', s->sealed);
	put_slot(b, 'P', s->wrapped);
}

struct writer {
	int to;
	struct stream *stream;
	struct str also; /* of the first piece */
	size_t n;
	const atomic_bool *stop;
	char clear[BACKUP_PIECE_BYTES];
	uint8_t sealed[SEALED_PIECE_BYTES];
};

static int stopped(const atomic_bool *stop, struct err *e)
{
	return stop && atomic_load(stop) ? err_set(e, ERR_CANCELLED, "it was stopped") : 0;
}

static int writer_flush(struct writer *w, bool last, struct err *e)
{
	if (stopped(w->stop, e) != 0)
		return -1;
	stream_seal(w->stream, w->also, (struct str){w->clear, w->n}, last, w->sealed);
	w->also = STR_NONE;
	size_t n = w->n + STREAM_EXTRA_BYTES;
	w->n = 0;
	return fs_write_all(w->to, w->sealed, n, e);
}

static int writer_put(struct writer *w, struct str s, struct err *e)
{
	while (s.n > 0) {
		size_t room = sizeof(w->clear) - w->n, n = s.n < room ? s.n : room;
		if (room == 0) {
			if (writer_flush(w, false, e) != 0)
				return -1;
			continue;
		}
		memcpy(w->clear + w->n, s.p, n);
		w->n += n;
		s = str_from(s, n);
	}
	return 0;
}

/* At most n bytes, fewer at the end of the file; -1. */
static ssize_t read_full(int from, void *p, size_t n, struct err *e)
{
	size_t got = 0;
	while (got < n) {
		ssize_t r = read(from, (char *)p + got, n - got);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return err_sys(e, ERR_IO, errno, "could not read");
		if (r == 0)
			break;
		got += (size_t)r;
	}
	return (ssize_t)got;
}

static int writer_files(struct writer *w, int files, struct err *e)
{
	char part[16384];
	if (files < 0)
		return 0;
	if (lseek(files, 0, SEEK_SET) != 0)
		return err_sys(e, ERR_IO, errno, "could not go to the start of the files");
	for (;;) {
		ssize_t n = read_full(files, part, sizeof(part), e);
		if (n <= 0)
			return n < 0 ? -1 : 0;
		if (writer_put(w, (struct str){part, (size_t)n}, e) != 0)
			return -1;
	}
}

static int write_stream(int to, const struct backup_source *s, const struct key *k, struct err *e)
{
	uint8_t head[STREAM_HEAD_BYTES];
	char length[4];
	struct buf prefix;
	struct writer *w = mem_alloc(sizeof(*w));
	*w = (struct writer){.to = to, .also = s->header, .stop = s->stop};
	w->stream = stream_seal_new(k->p, head);
	buf_init(&prefix, sizeof(length));
	put_length(&prefix, s->settings.n, sizeof(length));
	int rc = fs_write_all(to, head, sizeof(head), e) != 0 ||
			 writer_put(w, buf_view(&prefix), e) != 0 ||
			 writer_put(w, s->settings, e) != 0 || writer_files(w, s->files, e) != 0 ||
			 writer_flush(w, true, e) != 0
		     ? -1
		     : 0;
	buf_fini(&prefix);
	stream_free(w->stream);
	ct_wipe(w->clear, sizeof(w->clear));
	mem_free_ptr(&w);
	return rc;
}

static int write_top(
    int to, struct str header, const struct backup_slots *slots, const struct key *k, struct err *e)
{
	CLEANUP_BUF struct buf top;
	uint8_t mark[STREAM_MARK_BYTES];
	buf_init(&top, TOP_MAX);
	put_top(&top, header, slots);
	if (header.n > BACKUP_HEADER_MAX || buf_check(&top, "the archive's header", e) != 0)
		return header.n > BACKUP_HEADER_MAX
			   ? err_set(e, ERR_TOO_LARGE, "the archive's header is too long")
			   : -1;
	stream_mark(k->p, buf_view(&top), mark);
	return fs_write_all(to, top.p, top.n, e) != 0 ||
		       fs_write_all(to, mark, sizeof(mark), e) != 0
		   ? -1
		   : 0;
}

static int synced(int fd, struct err *e)
{
	return fsync(fd) == 0 ? 0 : err_sys(e, ERR_IO, errno, "could not store the archive");
}

int backup_write(int to, const struct backup_source *s, struct err *e)
{
	struct key k CLEANUP_KEY = {{0}};
	if (s->settings.n > BACKUP_SETTINGS_MAX)
		return err_set(e, ERR_TOO_LARGE, "the project's settings are too long to be kept");
	if (key_unseal(s->seal, s->slots.sealed, &k, e) != 0)
		return -1;
	return write_top(to, s->header, &s->slots, &k, e) != 0 || write_stream(to, s, &k, e) != 0
		   ? -1
		   : synced(to, e);
}

/* ---- reading ---- */

struct top {
	struct buf bytes; /* all of it, as it stands there */
	struct str header;
	struct backup_slots slots;
};

static int broken(const char *what, struct err *e)
{
	return err_set(e, ERR_INVALID, "the archive is damaged: %s", what);
}

static size_t length_of(const char *p, unsigned bytes)
{
	size_t n = 0;
	for (unsigned i = 0; i < bytes; i++)
		n = n << 8 | (uint8_t)p[i];
	return n;
}

/* The next n bytes, appended to what was read. */
static int take(int from, struct buf *b, size_t n, struct err *e)
{
	char *to = buf_reserve(b, n);
	ssize_t got = to ? read_full(from, to, n, e) : 0;
	if (got < 0)
		return -1;
	if (!to || (size_t)got < n)
		return broken("it ends within its header", e);
	buf_commit(b, n);
	return 0;
}

static int read_slot(int from, struct top *t, size_t at[SLOTS_MAX], unsigned i, struct err *e)
{
	at[i] = t->bytes.n;
	if (take(from, &t->bytes, 3, e) != 0)
		return -1;
	char kind = t->bytes.p[at[i]];
	size_t n = length_of(t->bytes.p + at[i] + 1, 2);
	if ((kind != 'K' && kind != 'P') || n == 0 || n > SLOT_BYTES_MAX ||
	    (kind == 'P' && n != STREAM_WRAPPED_BYTES))
		return broken("a key slot is malformed", e);
	return take(from, &t->bytes, n, e);
}

static int read_top(int from, struct top *t, struct err *e)
{
	size_t at[SLOTS_MAX], start = MAGIC.n + 4;
	buf_init_parser(&t->bytes, TOP_MAX);
	if (lseek(from, 0, SEEK_SET) != 0)
		return err_sys(e, ERR_IO, errno, "could not read the archive");
	if (take(from, &t->bytes, start, e) != 0 || !str_starts(buf_view(&t->bytes), MAGIC))
		return err_set(e, ERR_INVALID, "this is no archive of slipway's");
	size_t n = length_of(t->bytes.p + MAGIC.n, 4);
	if (n > BACKUP_HEADER_MAX)
		return broken("its header is too long", e);
	if (take(from, &t->bytes, n + 1, e) != 0)
		return -1;
	unsigned count = (uint8_t)t->bytes.p[t->bytes.n - 1];
	if (count == 0 || count > SLOTS_MAX)
		return broken("its key slots are malformed", e);
	for (unsigned i = 0; i < count; i++)
		if (read_slot(from, t, at, i, e) != 0)
			return -1;
	t->header = (struct str){t->bytes.p + start, n};
	for (unsigned i = 0; i < count; i++) {
		const char *p = t->bytes.p + at[i];
		*(p[0] == 'K' ? &t->slots.sealed : &t->slots.wrapped) =
		    (struct str){p + 3, length_of(p + 1, 2)};
	}
	return 0;
}

int backup_peek(int from, struct buf *ret_header, bool *ret_passphrase, struct err *e)
{
	struct top t = {0};
	int rc = read_top(from, &t, e);
	if (rc == 0) {
		buf_str(ret_header, t.header);
		*ret_passphrase = t.slots.wrapped.n > 0;
		rc = buf_check(ret_header, "the archive's header", e);
	}
	buf_fini(&t.bytes);
	return rc;
}

static int find_key(
    const struct top *t, const struct backup_opening *o, struct key *ret, struct err *e)
{
	if (o->passphrase.n == 0)
		return key_unseal(o->seal, t->slots.sealed, ret, e);
	if (t->slots.wrapped.n == 0) {
		(void)err_set(e, ERR_INVALID, "the archive was made without a passphrase");
		return err_hint(e, "only the server that made it opens it");
	}
	return stream_key_unwrap((const uint8_t *)t->slots.wrapped.p, o->passphrase, ret->p, e);
}

/* Of the whole top, slots included: the header is what the key's owner wrote. */
static int check_mark(int from, const struct top *t, const struct key *k, struct err *e)
{
	uint8_t said[STREAM_MARK_BYTES], mark[STREAM_MARK_BYTES];
	if (read_full(from, said, sizeof(said), e) != (ssize_t)sizeof(said))
		return broken("it ends within its header", e);
	stream_mark(k->p, buf_view(&t->bytes), mark);
	return ct_eq((struct str){(char *)said, sizeof(said)},
		   (struct str){(char *)mark, sizeof(mark)})
		   ? 0
		   : broken("its header was changed", e);
}

struct reader {
	int from, files;
	struct stream *stream;
	struct str also;
	bool last;
	size_t settings_left; /* SIZE_MAX: their length is yet to come */
	struct buf *settings;
	uint8_t sealed[SEALED_PIECE_BYTES];
	char clear[BACKUP_PIECE_BYTES];
	size_t n, at; /* of clear */
};

static int reader_next(struct reader *r, struct err *e)
{
	ssize_t n = read_full(r->from, r->sealed, sizeof(r->sealed), e);
	if (n < 0)
		return -1;
	if (n < (ssize_t)STREAM_EXTRA_BYTES)
		return broken("it was cut off", e);
	if (stream_open(r->stream, r->also, (struct str){(char *)r->sealed, (size_t)n},
		(uint8_t *)r->clear, &r->last, e) != 0)
		return broken("a piece of it was changed or is missing", e);
	if (!r->last && n < (ssize_t)sizeof(r->sealed))
		return broken("it was cut off", e);
	r->also = STR_NONE;
	r->n = (size_t)n - STREAM_EXTRA_BYTES;
	r->at = 0;
	return 0;
}

/* What one piece holds: the settings' length, the settings, files. */
static int reader_use(struct reader *r, struct err *e)
{
	if (r->settings_left == SIZE_MAX) {
		if (r->n < 4)
			return broken("it holds no settings", e);
		r->settings_left = length_of(r->clear, 4);
		r->at = 4;
		if (r->settings_left > BACKUP_SETTINGS_MAX)
			return broken("its settings are too long", e);
		(void)buf_reserve(r->settings, r->settings_left); /* secrets are copied once */
	}
	size_t rest = r->n - r->at, n = rest < r->settings_left ? rest : r->settings_left;
	if (n > 0)
		buf_put(r->settings, r->clear + r->at, n);
	r->settings_left -= n;
	r->at += n;
	if (r->files < 0 || r->at == r->n)
		return 0;
	return fs_write_all(r->files, r->clear + r->at, r->n - r->at, e);
}

static int reader_end(struct reader *r, struct err *e)
{
	char more;
	if (r->settings_left > 0)
		return broken("it was cut off", e);
	ssize_t n = read_full(r->from, &more, 1, e);
	return n < 0 ? -1 : n > 0 ? broken("something follows its end", e) : 0;
}

static int read_stream(struct reader *r, const struct backup_opening *o, struct err *e)
{
	while (!r->last) {
		if (stopped(o->stop, e) != 0 || reader_next(r, e) != 0 || reader_use(r, e) != 0)
			return -1;
		if (o->settings_only && r->settings_left == 0)
			return buf_check(r->settings, "the settings", e);
	}
	return reader_end(r, e) != 0 ? -1 : buf_check(r->settings, "the settings", e);
}

static int read_pieces(int from, const struct top *t, const struct key *k,
    const struct backup_opening *o, struct buf *settings, struct err *e)
{
	uint8_t head[STREAM_HEAD_BYTES];
	if (read_full(from, head, sizeof(head), e) != (ssize_t)sizeof(head))
		return broken("it was cut off", e);
	struct reader *r = mem_alloc(sizeof(*r));
	*r = (struct reader){.from = from,
	    .files = o->files,
	    .also = t->header,
	    .settings_left = SIZE_MAX,
	    .settings = settings};
	r->stream = stream_open_new(k->p, head);
	int rc = read_stream(r, o, e);
	stream_free(r->stream);
	ct_wipe(r->clear, sizeof(r->clear));
	mem_free_ptr(&r);
	return rc;
}

int backup_read(int from, const struct backup_opening *o, struct buf *ret_header,
    struct buf *ret_settings, struct err *e)
{
	struct top t = {0};
	struct key k CLEANUP_KEY = {{0}};
	int rc = read_top(from, &t, e) != 0 || find_key(&t, o, &k, e) != 0 ||
			 check_mark(from, &t, &k, e) != 0 ||
			 read_pieces(from, &t, &k, o, ret_settings, e) != 0
		     ? -1
		     : 0;
	if (rc == 0)
		buf_str(ret_header, t.header);
	else
		buf_wipe(ret_settings);
	buf_fini(&t.bytes);
	return rc != 0 ? -1 : buf_check(ret_header, "the archive's header", e);
}

/* ---- another key slot ---- */

static int copy_rest(int from, int to, struct err *e)
{
	char part[16384];
	for (;;) {
		ssize_t n = read_full(from, part, sizeof(part), e);
		if (n <= 0)
			return n < 0 ? -1 : 0;
		if (fs_write_all(to, part, (size_t)n, e) != 0)
			return -1;
	}
}

static int rekey(int from, int to, const struct seal_key *by, const struct top *t,
    const struct key *k, struct err *e)
{
	CLEANUP_BUF struct buf sealed;
	buf_init(&sealed, SLOT_BYTES_MAX);
	seal(by, PLACE, (struct str){(const char *)k->p, sizeof(k->p)}, &sealed);
	const struct backup_slots slots = {.sealed = buf_view(&sealed)};
	off_t stream = (off_t)(t->bytes.n + STREAM_MARK_BYTES);
	if (write_top(to, t->header, &slots, k, e) != 0)
		return -1;
	if (lseek(from, stream, SEEK_SET) != stream)
		return err_sys(e, ERR_IO, errno, "could not read the archive");
	return copy_rest(from, to, e) != 0 ? -1 : synced(to, e);
}

int backup_rekey(
    int from, int to, const struct seal_key *seal_by, struct str passphrase, struct err *e)
{
	const struct backup_opening o = {.seal = seal_by, .passphrase = passphrase, .files = -1};
	struct top t = {0};
	struct key k CLEANUP_KEY = {{0}};
	struct buf settings;
	buf_init(&settings, BACKUP_SETTINGS_MAX);
	int rc = read_top(from, &t, e) != 0 || find_key(&t, &o, &k, e) != 0 ||
			 check_mark(from, &t, &k, e) != 0 ||
			 read_pieces(from, &t, &k, &o, &settings, e) != 0 ||
			 rekey(from, to, seal_by, &t, &k, e) != 0
		     ? -1
		     : 0;
	buf_wipe(&settings);
	buf_fini(&t.bytes);
	return rc;
}
