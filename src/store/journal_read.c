/* Reading the journal: what a life before left, what is to be drained, and bodies. */
#include "store/journal_parts.h"

#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>

static void on_damage(void *ctx, struct journal_place p, uint64_t bytes)
{
	(void)ctx;
	log_event(LOG_ERROR, "journal", "damaged", F_I64("segment", p.segment),
	    F_I64("at", p.at_bytes), F_I64("bytes", bytes),
	    F_C("action", "what stands there is not applied; the file is kept"));
}

static void found(struct journal *j, const struct journal_record *r)
{
	pending_put(j->keys, sip_128(&j->sip, r->key), r->id);
	j->undrained_count++;
	j->undrained_bytes += r->length_bytes;
}

/* What a life before wrote and could not sync any more is durable before anything is made of it. */
static int sync_found(struct journal *j, uint32_t first, uint32_t last, struct err *e)
{
	struct segment_head head;
	for (uint32_t n = first; n <= last; n++) {
		struct err why;
		int fd = segment_open(j->dir, n, &head, &why);
		if (fd < 0 && why.code == ERR_INVALID)
			continue;
		if (fd < 0)
			return *e = why, -1;
		int rc = io_get()->fdatasync(fd);
		int sys = errno;
		(void)io_get()->close(fd);
		if (rc != 0)
			return err_sys(e, ERR_IO, sys, "could not sync the journal");
	}
	return 0;
}

/* Walks from the mark to the end; *ret_at: where writing may go on, or segment 0: in a new segment.
 */
int journal_recover(
    struct journal *j, struct journal_place *ret_at, uint32_t *ret_last, struct err *e)
{
	struct walk w;
	struct journal_record r;
	struct journal_place from = j->mark.next, end = from;
	int rc;
	walk_init(&w, j->dir, from, j->mark.sequence);
	w.on_damage = on_damage;
	from = end = w.at;
	while ((rc = walk_next(&w, &r, e)) > 0) {
		found(j, &r);
		if (r.sequence > j->pen.sequence)
			j->pen.sequence = r.sequence;
		end = r.next;
	}
	*ret_last = w.at.segment - 1; /* the last that is there */
	*ret_at = end;
	if (w.damage.segment) {
		*ret_at = (struct journal_place){0};
		log_event(LOG_WARN, "journal", "torn_end", F_I64("segment", w.damage.segment),
		    F_I64("at", w.damage.at_bytes), F_I64("bytes", w.damage_bytes));
	}
	if (rc == 0 && *ret_last < end.segment)
		*ret_at = (struct journal_place){0};
	walk_fini(&w);
	return rc == 0 && *ret_last >= from.segment ? sync_found(j, from.segment, *ret_last, e)
						    : rc;
}

struct journal_reader {
	struct journal *j;
	struct walk w;
	char text[LATELY_TEXT_BYTES];
	struct journal_place hurt; /* damage before the record at hand; segment 0: none */
	uint64_t hurt_bytes;
};

static void on_hurt(void *ctx, struct journal_place p, uint64_t bytes)
{
	struct journal_reader *r = ctx;
	r->hurt = p;
	r->hurt_bytes = bytes;
}

static void out_add(struct journal *j, uint64_t n)
{
	pthread_mutex_lock(&j->lock);
	j->out_count = n ? j->out_count + n : 0;
	pthread_mutex_unlock(&j->lock);
}

struct journal_reader *journal_reader_new(struct journal *j)
{
	struct journal_reader *r = mem_alloc(sizeof(*r));
	r->j = j;
	walk_init(&r->w, j->dir, j->mark.next, j->mark.sequence);
	r->w.on_damage = on_hurt;
	r->w.ctx = r;
	out_add(j, 0);
	return r;
}

void journal_reader_free(struct journal_reader *r)
{
	if (!r)
		return;
	walk_fini(&r->w);
	free(r);
}

static int read_next(struct journal_reader *r, struct journal_record *ret, struct err *e)
{
	if (lately_get(r->j->lately, r->w.sequence + 1, r->text, ret)) {
		walk_seek(&r->w, ret->next, ret->sequence);
		return 1;
	}
	pthread_mutex_lock(&r->j->lock);
	r->w.end = r->j->durable;
	pthread_mutex_unlock(&r->j->lock);
	int rc = walk_next(&r->w, ret, e);
	if (rc > 0)
		ret->hash = sip_128(&r->j->sip, ret->key);
	return rc;
}

static bool is_refused(struct journal *j, uint64_t sequence)
{
	pthread_mutex_lock(&j->lock);
	bool is = refused_has(&j->refused, sequence);
	pthread_mutex_unlock(&j->lock);
	return is;
}

/* What lies between this record and the one before it was found on opening, or is a torn end, or was refused; but where a number is
 * missing that was none of these, it was durable. */
static void tell_hurt(struct journal_reader *r, uint64_t before, uint64_t sequence)
{
	bool lost = false;
	for (uint64_t n = before + 1; r->hurt.segment && !lost && n < sequence; n++)
		lost = !is_refused(r->j, n);
	if (lost)
		on_damage(NULL, r->hurt, r->hurt_bytes);
	r->hurt = (struct journal_place){0};
}

/* At the end of all that is durable, with nothing being written and nothing on its way into the store, what counts as waiting cannot
 * be read any more: nobody is to wait for it, and its senders may try again. */
static void count_lost_off(struct journal_reader *r)
{
	struct journal *j = r->j;
	uint32_t lost = 0;
	pthread_mutex_lock(&j->lock);
	if (walk_at_end(&r->w) && r->w.end.segment == j->durable.segment &&
	    r->w.end.at_bytes == j->durable.at_bytes && !j->first && !j->writing &&
	    j->out_count == 0)
		lost = j->undrained_count;
	if (lost > 0) {
		j->undrained_count = 0;
		j->undrained_bytes = 0;
		pthread_mutex_lock(&j->keys_lock);
		pending_free(j->keys);
		j->keys = pending_new();
		pthread_mutex_unlock(&j->keys_lock);
	}
	pthread_mutex_unlock(&j->lock);
	if (lost > 0)
		log_event(LOG_ERROR, "journal", "lost", F_I64("entries", lost),
		    F_I64("segment", r->w.damage.segment), F_I64("at", r->w.damage.at_bytes),
		    F_C("action", "they cannot be read any more; the file is kept"));
}

int journal_read(struct journal_reader *r, struct journal_record *ret, struct err *e)
{
	int rc;
	do {
		uint64_t before = r->w.sequence;
		rc = read_next(r, ret, e);
		if (rc > 0)
			tell_hurt(r, before, ret->sequence);
	} while (rc > 0 && is_refused(r->j, ret->sequence));
	if (rc > 0)
		out_add(r->j, 1);
	else if (rc == 0)
		count_lost_off(r);
	return rc;
}

void journal_reader_seek(struct journal_reader *r, struct journal_place to, uint64_t sequence)
{
	walk_seek(&r->w, to, sequence);
	out_add(r->j, 0);
}

void journal_drained(struct journal *j, const struct journal_record *r, size_t n)
{
	uint64_t bytes = 0;
	pthread_mutex_lock(&j->keys_lock);
	for (size_t i = 0; i < n; i++) {
		pending_drop(j->keys, r[i].hash);
		bytes += r[i].length_bytes;
	}
	pthread_mutex_unlock(&j->keys_lock);
	pthread_mutex_lock(&j->lock);
	journal_undrained_less(j, bytes, (uint32_t)n);
	j->out_count -= n < j->out_count ? n : j->out_count;
	if (n > 0) {
		j->drained_segment = r[n - 1].next.segment;
		refused_forget(&j->refused, r[n - 1].sequence);
	}
	pthread_mutex_unlock(&j->lock);
}

int journal_body(
    struct journal *j, struct journal_place p, struct arena *a, struct str *ret, struct err *e)
{
	struct walk w;
	walk_init(&w, j->dir, p, 0);
	int rc = walk_body(&w, a, ret, e);
	bool gone = w.fd < 0;
	walk_fini(&w);
	if (rc == 0 && !gone)
		return err_set(e, ERR_INVALID,
		    "the journal is damaged in segment %u at %llu: the body is lost", p.segment,
		    (unsigned long long)p.at_bytes);
	return rc;
}

void journal_forget(struct journal *j, uint32_t oldest, uint32_t below)
{
	pthread_mutex_lock(&j->lock);
	if (below > j->drained_segment)
		below = j->drained_segment;
	if (below > j->forget_below) {
		if (j->forget_from >= j->forget_below)
			j->forget_from = oldest;
		j->forget_below = below;
		pthread_cond_signal(&j->make);
	}
	pthread_mutex_unlock(&j->lock);
}
