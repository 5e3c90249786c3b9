#include "store/binary.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

int64_t binary_i64(const char *p, int n)
{
	uint64_t v = (unsigned char)p[0] & 0x80 ? UINT64_MAX : 0;
	for (int i = 0; i < n; i++)
		v = v << 8 | (unsigned char)p[i];
	return (int64_t)v;
}

int64_t binary_numeric(const char *p, int n)
{
	if (n < 8)
		return 0;
	int64_t count = binary_i64(p, 2), weight = binary_i64(p + 2, 2), v = 0;
	bool negative = (uint16_t)binary_i64(p + 4, 2) == 0x4000;
	for (int64_t i = 0; i <= weight; i++) {
		int64_t digit = i < count && 8 + 2 * i + 2 <= n ? binary_i64(p + 8 + 2 * i, 2) : 0;
		if (__builtin_mul_overflow(v, 10000, &v) || __builtin_add_overflow(v, digit, &v))
			return negative ? INT64_MIN : INT64_MAX;
	}
	return negative ? -v : v;
}

enum err_code binary_class(const char *state)
{
	static const struct {
		const char *prefix;
		enum err_code code;
	} classes[] = {{"23505", ERR_CONFLICT}, {"53100", ERR_NO_SPACE}, {"40", ERR_UNAVAILABLE},
	    {"53", ERR_UNAVAILABLE}, {"55P03", ERR_UNAVAILABLE}, {"57014", ERR_TIMEOUT},
	    {"54", ERR_TOO_LARGE}, {"08", ERR_IO}, {"57P", ERR_IO}, {"58", ERR_IO}, {"XX", ERR_IO}};
	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
		if (strncmp(state, classes[i].prefix, strlen(classes[i].prefix)) == 0)
			return classes[i].code;
	return ERR_INTERNAL;
}
