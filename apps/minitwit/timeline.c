#include "minitwit/timeline.h"

#include "crypto/hash.h"
#include "text/html.h"
#include "text/json.h"

#include <time.h>

#define EMAIL_MAX_BYTES 320

void timeline_json(struct buf *b, const struct timeline_row *row)
{
	struct json_out w;
	json_out_init(&w, b);
	json_open_object(&w, NULL);
	json_put_str(&w, "content", row->text);
	json_put_i64(&w, "pub_date", row->pub_date);
	json_put_str(&w, "user", row->user);
	json_close_object(&w);
}

void timeline_path(struct buf *b, struct str name)
{
	static const char hex[] = "0123456789ABCDEF";
	for (size_t i = 0; i < name.n; i++) {
		unsigned char c = (unsigned char)name.p[i];
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			     (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '~' ||
			     (c == '.' && name.n > 2);
		if (plain) {
			buf_char(b, (char)c);
			continue;
		}
		char three[3] = {'%', hex[c >> 4], hex[c & 15]};
		buf_put(b, three, 3);
	}
}

/* md5 of the trimmed address in lower case, as Gravatar wants it. */
static void put_gravatar(struct buf *b, struct str email)
{
	char lower[EMAIL_MAX_BYTES], name[33];
	struct str s = str_slice(str_trim(email), 0, sizeof(lower));
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		lower[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
	}
	hash_md5_hex((struct str){lower, s.n}, name);
	buf_str(b, STR("https://www.gravatar.com/avatar/"));
	buf_c(b, name);
	buf_str(b, STR("?d=identicon&amp;s=48"));
}

static void put_date(struct buf *b, int64_t pub_date)
{
	char text[40];
	time_t t = (time_t)pub_date;
	struct tm tm;
	if (gmtime_r(&t, &tm) && strftime(text, sizeof(text), "%Y-%m-%d @ %H:%M", &tm) > 0)
		buf_c(b, text);
}

void timeline_html(struct buf *b, const struct timeline_row *row)
{
	buf_str(b, STR("    <li><img src=\""));
	put_gravatar(b, row->email);
	buf_str(b, STR("\" alt=\"\" width=48 height=48><p>\n      <strong><a href=\"/"));
	timeline_path(b, row->user);
	buf_str(b, STR("\">"));
	html_escape(b, row->user);
	buf_str(b, STR("</a></strong>\n      "));
	html_escape(b, row->text);
	buf_str(b, STR("\n      <small>&mdash; "));
	put_date(b, row->pub_date);
	buf_str(b, STR("</small>\n"));
}
