#include "base/num.h"

#include <stdio.h>

/* Decimal digits only, no leading zero; false beyond max. */
static bool digits(struct str s, uint64_t max, uint64_t *ret)
{
	if (s.n == 0 || (s.n > 1 && s.p[0] == '0'))
		return false;
	uint64_t v = 0;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		if (__builtin_mul_overflow(v, 10u, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v) || v > max)
			return false;
	}
	*ret = v;
	return true;
}

bool num_u64(struct str s, uint64_t min, uint64_t max, uint64_t *ret)
{
	uint64_t v;
	if (!digits(s, max, &v) || v < min)
		return false;
	*ret = v;
	return true;
}

bool num_i64(struct str s, int64_t min, int64_t max, int64_t *ret)
{
	bool negative = s.n > 0 && s.p[0] == '-';
	uint64_t size;
	if (!digits(str_from(s, negative), (uint64_t)INT64_MAX + negative, &size) ||
	    (negative && size == 0))
		return false;
	int64_t v = negative ? -(int64_t)(size - 1) - 1 : (int64_t)size;
	if (v < min || v > max)
		return false;
	*ret = v;
	return true;
}

struct unit {
	const char *name;
	uint64_t factor;
};

/* The digits of s and then exactly one of the units. */
static bool with_unit(struct str s, const struct unit *units, uint64_t max, uint64_t *ret)
{
	size_t n = 0;
	while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
		n++;
	for (; units->name; units++) {
		if (!str_eq_c(str_from(s, n), units->name))
			continue;
		uint64_t v;
		if (!digits(str_slice(s, 0, n), max / units->factor, &v))
			return false;
		*ret = v * units->factor;
		return true;
	}
	return false;
}

bool num_size(struct str s, uint64_t max_bytes, uint64_t *ret_bytes)
{
	static const struct unit units[] = {{"", 1}, {"K", 1ull << 10}, {"M", 1ull << 20},
	    {"G", 1ull << 30}, {"T", 1ull << 40}, {NULL, 0}};
	return with_unit(s, units, max_bytes, ret_bytes);
}

bool num_duration(struct str s, int64_t max_ms, int64_t *ret_ms)
{
	static const struct unit units[] = {
	    {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {NULL, 0}};
	uint64_t ms;
	if (max_ms < 0 || !with_unit(s, units, (uint64_t)max_ms, &ms))
		return false;
	*ret_ms = (int64_t)ms;
	return true;
}

/* 1 to 3 digits behind the point, as thousandths. */
static bool thousandths(struct str s, uint64_t *ret)
{
	if (s.n == 0 || s.n > 3)
		return false;
	uint64_t v = 0;
	for (size_t i = 0; i < 3; i++) {
		if (i < s.n && (s.p[i] < '0' || s.p[i] > '9'))
			return false;
		v = v * 10 + (i < s.n ? (uint64_t)(s.p[i] - '0') : 0);
	}
	*ret = v;
	return true;
}

bool num_milli(struct str s, int64_t max_milli, int64_t *ret_milli)
{
	size_t point = str_find(s, '.', 0);
	uint64_t whole, part = 0;
	if (point != SIZE_MAX && !thousandths(str_from(s, point + 1), &part))
		return false;
	if (max_milli < 0 || !digits(str_slice(s, 0, point), (uint64_t)max_milli / 1000, &whole))
		return false;
	/* whole * 1000 <= max_milli <= INT64_MAX, so the sum cannot wrap in 64 unsigned bits */
	uint64_t v = whole * 1000 + part;
	if (v > (uint64_t)max_milli)
		return false;
	*ret_milli = (int64_t)v;
	return true;
}

void num_size_text(uint64_t bytes, char out[32])
{
	static const char *const units[] = {"B", "KB", "MB", "GB", "TB", "PB", "EB"};
	uint64_t tenths = bytes < 1024 ? bytes * 10 : 0;
	unsigned u = 0;
	/* Rounding may carry into the next unit: 1,048,575 bytes are 1.0 MB and not 1024 KB. */
	for (uint64_t unit = 1024; tenths == 0 && bytes > 0; unit *= 1024) {
		u++;
		uint64_t t =
		    bytes / unit * 10 + (bytes % unit / 64 * 10 + unit / 128) / (unit / 64);
		if (t < 10235 || u == 6)
			tenths = t;
	}
	if (u > 0 && tenths < 100)
		snprintf(out, 32, "%u.%u %s", (unsigned)(tenths / 10), (unsigned)(tenths % 10),
		    units[u]);
	else
		snprintf(out, 32, "%u %s", (unsigned)((tenths + 5) / 10), units[u]);
}

void num_duration_text(int64_t ms, char out[32])
{
	const char *sign = ms < 0 ? "-" : "";
	uint64_t m = ms < 0 ? (uint64_t) - (ms + 1) + 1 : (uint64_t)ms, s = m / 1000;
	if (m < 100)
		snprintf(out, 32, "%s%u ms", sign, (unsigned)m);
	else if (m < 9950)
		snprintf(out, 32, "%s%u.%u s", sign, (unsigned)((m + 50) / 1000),
		    (unsigned)((m + 50) / 100 % 10));
	else if (m < 59500)
		snprintf(out, 32, "%s%u s", sign, (unsigned)((m + 500) / 1000));
	else if (s < 60)
		snprintf(out, 32, "%s1 m 0 s", sign);
	else if (s < 3600)
		snprintf(out, 32, "%s%u m %u s", sign, (unsigned)(s / 60), (unsigned)(s % 60));
	else if (s < 86400)
		snprintf(
		    out, 32, "%s%u h %u m", sign, (unsigned)(s / 3600), (unsigned)(s / 60 % 60));
	else
		snprintf(out, 32, "%s%llu d %u h", sign, (unsigned long long)(s / 86400),
		    (unsigned)(s / 3600 % 24));
}
