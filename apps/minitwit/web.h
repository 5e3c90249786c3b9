/* What the pages share: who is looking, the frame around each page, flashes, and the guard against
 * forged requests. A visit runs on a thread that may block (pool or jobs). */
#pragma once

#include "minitwit/app.h"

#define WEB_PAGE_MAX_BYTES (8u << 20)
#define WEB_ROWS 30
#define WEB_TOKEN_CHARS 43
#define WEB_SESSION_S (31 * 86400)

/* What the next page says on top. The cookie holds numbers and a name, never text. */
enum flash {
	FLASH_NONE,
	FLASH_FOLLOWING,
	FLASH_UNFOLLOWING,
	FLASH_RECORDED,
	FLASH_REGISTERED,
	FLASH_LOGGED_IN,
	FLASH_LOGGED_OUT,
	FLASH_COUNT
};

struct visit {
	struct app *app;
	struct http_call *call;
	struct http_request *r;
	char token[WEB_TOKEN_CHARS + 1]; /* of the session cookie; made when there was none */
	bool token_made;
	bool form_shown; /* the page has a form, so the token must be kept */
	char form_token[33];
	bool logged_in;
	struct data_user user;
	struct buf page;
	struct buf headers; /* Set-Cookie lines to come */
};

/* Learns who is looking. 0; -1: answered with an error. Then web_leave is due. */
int web_enter(struct visit *v, struct app *a, struct http_call *c) WARN_UNUSED;
void web_leave(struct visit *v);

/* Everything up to the body's content: title, navigation, flashes. */
void web_begin(struct visit *v, const char *title, struct str title_name);
void web_answer(struct visit *v, int status);	    /* the rest of the frame; answers */
void web_redirect(struct visit *v, const char *to); /* 302, as Flask; `to` is a path of ours */
/* A page that says what went wrong. */
void web_refuse(struct visit *v, int status, const char *what);
/* An error of ours. */
void web_fail(struct visit *v, const struct err *e);
void web_flash(struct visit *v, enum flash f, struct str name);
void web_cookie_session(struct visit *v, const char *token); /* "" ends it */

/* True when the request may change something: it shows no sign of a browser (no Origin, Referer or
 * Sec-Fetch-Site), or comes from a page of ours and carries that page's token. Else answered. */
bool web_genuine(struct visit *v);
/* True when somebody is logged in; else answered with 401. */
bool web_known(struct visit *v);
/* The hidden field of a form, and the query of a link that changes something. */
void web_put_field(struct visit *v);
void web_put_query(struct visit *v);
/* ?p=N, from 0. */
int64_t web_page_number(const struct http_request *r);
struct store_db *web_read(struct visit *v, struct err *e);
