/* What visitors asked of projects, counted from the edge's log (one line of JSON for each request,
 * render/main.c and render/apache_main.c write its format). Read once a second on a pool thread, from where the log ended
 * when the daemon started; a log that was turned over is read to its end first. A line of another
 * shape is passed over and counted.
 *
 * A project is known by its own name, NAME.localhost, which the edge calls every server of it.
 * Totals since the daemon started; of at most REQUESTS_PROJECTS_MAX projects. */
#pragma once

#include "base/buf.h"
#include "base/str.h"
#include "loop/loop.h"

#include <stdbool.h>
#include <stdint.h>

#define REQUESTS_EVERY_MS 1000
#define REQUESTS_PROJECTS_MAX 16384u
#define REQUESTS_WRITE_MAX 2000u /* projects on a page of figures */

enum { REQUESTS_CLASSES = 6 }; /* by the status' first digit; 0: no status at all (000, 499) */

struct requests_sum {
	uint64_t count[REQUESTS_CLASSES];
	uint64_t bytes, duration_us; /* of bodies sent; from the first byte read to the last sent */
	int64_t last_ms;	     /* wall clock of the newest one's end; 0: none */
};
uint64_t requests_all(const struct requests_sum *s);

struct requests;
/* `log` is borrowed; what stands in it already is not counted. What cannot be read is tried again; there may be no log yet. */
struct requests *requests_open(struct loop *l, const char *log);
/* On the loop thread; a look that is under way is waited for by loop_run. NULL is fine. */
void requests_close(struct requests *r);

/* Whether there is a log that can be read, as of the last look. On the loop thread. */
bool requests_has_log(const struct requests *r);
/* From any thread. False: nobody asked anything of it. */
bool requests_of(struct requests *r, struct str project, struct requests_sum *ret);
void requests_forget(struct requests *r, struct str project);
/* Prometheus text: by project where it is `named` (the first REQUESTS_WRITE_MAX of them), else of all
 * together. */
void requests_write(struct requests *r, bool named, struct buf *out);

/* One line, without its end: 1 *ret_project (of the line) and what it adds, 0 it concerns no
 * project, -1 it has another shape. */
int requests_read_line(struct str line, struct str *ret_project, struct requests_sum *ret);
