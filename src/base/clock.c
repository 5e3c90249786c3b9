#include "base/clock.h"
#include "base/io.h"

#include <stdio.h>
#include <time.h>

#define WALL_MIN_MS (-62167219200000) /* 0000-01-01 */
#define WALL_MAX_MS 253402300799999   /* the last of 9999 */

int64_t clock_mono_us(void)
{
	return io_get()->mono_us();
}

int64_t clock_mono_ms(void)
{
	return clock_mono_us() / 1000;
}

int64_t clock_wall_ms(void)
{
	return io_get()->wall_ms();
}

void clock_format(int64_t wall_ms, char out[32])
{
	if (wall_ms < WALL_MIN_MS)
		wall_ms = WALL_MIN_MS;
	if (wall_ms > WALL_MAX_MS)
		wall_ms = WALL_MAX_MS;
	int64_t part = wall_ms % 1000;
	if (part < 0)
		part += 1000;
	time_t s = (wall_ms - part) / 1000;
	struct tm t;
	gmtime_r(&s, &t);
	snprintf(out, 32, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
	    (unsigned)(t.tm_year + 1900) % 10000, (unsigned)(t.tm_mon + 1) % 100,
	    (unsigned)t.tm_mday % 100, (unsigned)t.tm_hour % 100, (unsigned)t.tm_min % 100,
	    (unsigned)t.tm_sec % 100, (unsigned)part % 1000);
}

/* Takes exactly `count` digits off the front of *s. */
static bool take_digits(struct str *s, size_t count, int least, int most, int *ret)
{
	int v = 0;
	if (s->n < count)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (s->p[i] < '0' || s->p[i] > '9')
			return false;
		v = v * 10 + (s->p[i] - '0');
	}
	*s = str_from(*s, count);
	*ret = v;
	return v >= least && v <= most;
}

static bool take_char(struct str *s, char c)
{
	if (s->n == 0 || s->p[0] != c)
		return false;
	*s = str_from(*s, 1);
	return true;
}

static bool take_date(struct str *s, struct tm *t)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	int year, month, day;
	if (!take_digits(s, 4, 0, 9999, &year) || !take_char(s, '-') ||
	    !take_digits(s, 2, 1, 12, &month) || !take_char(s, '-') ||
	    !take_digits(s, 2, 1, 31, &day))
		return false;
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
	if (day > days[month - 1] + (month == 2 && leap))
		return false;
	t->tm_year = year - 1900;
	t->tm_mon = month - 1;
	t->tm_mday = day;
	return true;
}

/* Second 60 is let in as RFC 3339 has it; it counts as the second after. */
static bool take_time(struct str *s, struct tm *t)
{
	return take_digits(s, 2, 0, 23, &t->tm_hour) && take_char(s, ':') &&
	       take_digits(s, 2, 0, 59, &t->tm_min) && take_char(s, ':') &&
	       take_digits(s, 2, 0, 60, &t->tm_sec);
}

/* An optional fraction of any length, cut to milliseconds. */
static bool take_fraction(struct str *s, int *ret_ms)
{
	*ret_ms = 0;
	if (!take_char(s, '.'))
		return true;
	int digit, scale = 100;
	if (s->n == 0 || s->p[0] < '0' || s->p[0] > '9')
		return false;
	while (s->n > 0 && s->p[0] >= '0' && s->p[0] <= '9' && take_digits(s, 1, 0, 9, &digit)) {
		*ret_ms += digit * scale;
		scale /= 10;
	}
	return true;
}

static bool take_offset(struct str *s, int *ret_minutes)
{
	int hours, minutes;
	*ret_minutes = 0;
	if (take_char(s, 'Z') || take_char(s, 'z'))
		return true;
	bool west = s->n > 0 && s->p[0] == '-';
	if (!west && (s->n == 0 || s->p[0] != '+'))
		return false;
	*s = str_from(*s, 1);
	if (!take_digits(s, 2, 0, 23, &hours) || !take_char(s, ':') ||
	    !take_digits(s, 2, 0, 59, &minutes))
		return false;
	*ret_minutes = (hours * 60 + minutes) * (west ? -1 : 1);
	return true;
}

bool clock_parse(struct str s, int64_t *ret_wall_ms)
{
	struct tm t = {0};
	int ms, offset;
	if (!take_date(&s, &t) || !(take_char(&s, 'T') || take_char(&s, 't')) ||
	    !take_time(&s, &t) || !take_fraction(&s, &ms) || !take_offset(&s, &offset) || s.n != 0)
		return false;
	*ret_wall_ms = ((int64_t)timegm(&t) - (int64_t)offset * 60) * 1000 + ms;
	return true;
}

void clock_ago(int64_t now_ms, int64_t then_ms, char out[48])
{
	static const struct {
		const char *name;
		uint64_t s;
	} units[] = {{"year", 31536000}, {"month", 2592000}, {"day", 86400}, {"hour", 3600},
	    {"minute", 60}, {"second", 1}};
	bool future = then_ms > now_ms;
	uint64_t s =
	    (future ? (uint64_t)then_ms - (uint64_t)now_ms : (uint64_t)now_ms - (uint64_t)then_ms) /
	    1000;
	if (s == 0) {
		snprintf(out, 48, "just now");
		return;
	}
	size_t u = 0;
	while (s < units[u].s)
		u++;
	unsigned long long count = s / units[u].s;
	snprintf(out, 48, "%s%llu %s%s%s", future ? "in " : "", count, units[u].name,
	    count == 1 ? "" : "s", future ? "" : " ago");
}
