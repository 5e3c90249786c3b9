#include "text/html.h"

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '&' && c != '<' && c != '>' && c != '"' && c != '\'';
}

static void put_special(struct buf *b, unsigned char c)
{
	switch (c) {
	case '&':
		buf_str(b, STR("&amp;"));
		return;
	case '<':
		buf_str(b, STR("&lt;"));
		return;
	case '>':
		buf_str(b, STR("&gt;"));
		return;
	case '"':
		buf_str(b, STR("&#34;"));
		return;
	case '\'':
		buf_str(b, STR("&#39;"));
		return;
	case '\t':
	case '\n':
	case '\r':
		buf_char(b, (char)c);
		return;
	default:
		buf_str(b, STR("\xef\xbf\xbd"));
	}
}

void html_escape(struct buf *b, struct str s)
{
	while (s.n > 0) {
		size_t run = 0;
		while (run < s.n && is_plain((unsigned char)s.p[run]))
			run++;
		buf_put(b, s.p, run);
		s = str_from(s, run);
		if (s.n == 0)
			return;
		uint32_t point;
		size_t step = (unsigned char)s.p[0] >= 0x80 ? str_utf8_next(s, &point) : 0;
		if (step > 0)
			buf_put(b, s.p, step);
		else
			put_special(b, (unsigned char)s.p[0]);
		s = str_from(s, step > 0 ? step : 1);
	}
}
