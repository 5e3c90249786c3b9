#include "base/hex.h"

static const char digits[] = "0123456789abcdef";
static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void hex_encode(const void *p, size_t n, char *out)
{
	const uint8_t *in = p;
	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[in[i] >> 4];
		out[2 * i + 1] = digits[in[i] & 15];
	}
	out[2 * n] = '\0';
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool hex_decode(struct str s, void *out, size_t n)
{
	uint8_t *to = out;
	if (s.n % 2 != 0 || s.n / 2 != n)
		return false;
	for (size_t i = 0; i < n; i++) {
		int high = hex_value(s.p[2 * i]), low = hex_value(s.p[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		to[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static void encode(const uint8_t *in, size_t n, const char alphabet[65], bool pad, struct buf *out)
{
	for (; n > 0; in += 3) {
		size_t take = n < 3 ? n : 3;
		uint32_t v = (uint32_t)in[0] << 16;
		if (take > 1)
			v |= (uint32_t)in[1] << 8;
		if (take > 2)
			v |= in[2];
		char four[4];
		for (unsigned i = 0; i < 4; i++)
			four[i] = i <= take ? alphabet[v >> (18 - 6 * i) & 63] : '=';
		buf_put(out, four, pad ? 4 : take + 1);
		n -= take;
	}
}

void base64_encode(const void *p, size_t n, struct buf *out)
{
	encode(p, n, plain, true, out);
}

void base64url_encode(const void *p, size_t n, struct buf *out)
{
	encode(p, n, url, false, out);
}

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Decodes four characters of which the last `padding` are '='. */
static bool decode_four(const char *p, unsigned padding, struct buf *out)
{
	uint32_t v = 0;
	for (unsigned i = 0; i < 4; i++) {
		int value = i < 4 - padding ? base64_value(p[i]) : 0;
		if (value < 0)
			return false;
		v = v << 6 | (uint32_t)value;
	}
	/* RFC 4648 section 3.5: bits that padding leaves over must be zero, so one value has one
	 * text. */
	if (v & ((1u << (8 * padding)) - 1))
		return false;
	const uint8_t three[3] = {(uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
	buf_put(out, three, 3 - padding);
	return true;
}

bool base64_decode(struct str s, struct buf *out)
{
	if (s.n % 4 != 0)
		return false;
	for (size_t at = 0; at < s.n; at += 4) {
		unsigned padding = 0;
		if (at + 4 == s.n && s.p[at + 3] == '=')
			padding = s.p[at + 2] == '=' ? 2 : 1;
		if (!decode_four(s.p + at, padding, out))
			return false;
	}
	return !out->full;
}
