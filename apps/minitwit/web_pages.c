/* The pages that show messages, and what is done from them. */
#include "minitwit/web.h"

#include "base/clock.h"
#include "crypto/hash.h"
#include "text/html.h"

#include <stdio.h>

struct listing {
	struct visit *v;
	int64_t rows;
};

/* One row more than is shown says that there are older ones. */
static void put_row(void *ctx, const struct timeline_row *row)
{
	struct listing *l = ctx;
	if (l->rows++ < WEB_ROWS)
		timeline_html(&l->v->page, row);
}

enum listing_kind { LIST_PUBLIC, LIST_USER, LIST_PERSONAL };

/* `u` is whose list it is; NULL: everybody's. */
static int put_rows(
    struct visit *v, enum listing_kind kind, const struct data_user *u, struct err *e)
{
	struct listing l = {.v = v};
	int64_t number = web_page_number(v->r), skip = number * WEB_ROWS;
	struct store_db *db = web_read(v, e);
	if (!db)
		return -1;
	buf_str(&v->page, STR("  <ul class=messages>\n"));
	int rc = kind == LIST_PUBLIC ? data_public(db, WEB_ROWS + 1, skip, put_row, &l, e)
		 : kind == LIST_USER ? data_by_user(db, u->name, WEB_ROWS + 1, skip, put_row, &l, e)
				     : data_personal(db, u->id, WEB_ROWS + 1, skip, put_row, &l, e);
	store_read_end(v->app->store, db);
	if (l.rows == 0)
		buf_str(&v->page, STR("    <li><em>There's no message so far.</em>\n"));
	buf_str(&v->page, STR("  </ul>\n"));
	if (number > 0 || l.rows > WEB_ROWS)
		buf_str(&v->page, STR("  <p class=pages>"));
	if (number > 0)
		buf_printf(&v->page, "<a href=\"?p=%lld\">newer</a> ", (long long)number - 1);
	if (l.rows > WEB_ROWS)
		buf_printf(&v->page, "<a href=\"?p=%lld\">older</a>", (long long)number + 1);
	return rc;
}

static void list_answer(struct visit *v, enum listing_kind kind, const struct data_user *u)
{
	struct err e = {0};
	if (put_rows(v, kind, u, &e) < 0)
		web_fail(v, &e);
	else
		web_answer(v, 200);
}

static void put_twitbox(struct visit *v)
{
	buf_str(&v->page, STR("  <div class=twitbox>\n    <h3>What's on your mind "));
	html_escape(&v->page, v->user.name);
	buf_str(&v->page, STR("?</h3>\n    <form action=\"/add_message\" method=post>\n"));
	web_put_field(v);
	buf_str(&v->page,
	    STR("      <p><input type=text name=text size=60 aria-label=\"Your message\"><!--\n"
		"      --><input type=submit value=\"Share\">\n    </form>\n  </div>\n"));
}

void web_timeline(struct http_call *c, struct http_request *r, void *ctx)
{
	struct visit v;
	(void)r;
	if (web_enter(&v, ctx, c) < 0)
		return;
	if (v.logged_in) {
		web_begin(&v, "My Timeline", STR(""));
		put_twitbox(&v);
		list_answer(&v, LIST_PERSONAL, &v.user);
	} else {
		web_redirect(&v, "/public");
	}
	web_leave(&v);
}

void web_public(struct http_call *c, struct http_request *r, void *ctx)
{
	struct visit v;
	(void)r;
	if (web_enter(&v, ctx, c) < 0)
		return;
	web_begin(&v, "Public Timeline", STR(""));
	list_answer(&v, LIST_PUBLIC, NULL);
	web_leave(&v);
}

/* 1 with *ret and whether the visitor follows them; 0 answered. */
static int user_find(struct visit *v, struct str name, struct data_user *ret, bool *ret_followed)
{
	struct err e = {0};
	struct store_db *db = web_read(v, &e);
	int rc = -1, follows = 0;
	if (db) {
		rc = app_name(name).p ? data_user_get(db, name, v->r->arena, ret, &e) : 0;
		if (rc == 1 && v->logged_in)
			follows = data_follows(db, v->user.id, ret->id, &e);
		store_read_end(v->app->store, db);
	}
	if (rc < 0 || follows < 0)
		web_fail(v, &e);
	else if (rc == 0)
		web_refuse(v, 404, "There is nobody of that name here.");
	*ret_followed = follows == 1;
	return rc == 1 && follows >= 0;
}

static void put_follow_link(struct visit *v, struct str name, bool followed)
{
	buf_str(&v->page, followed ? STR("    You are currently following this user.\n    <a "
					 "class=unfollow href=\"/")
				   : STR("    You are not yet following this user.\n    <a "
					 "class=follow href=\"/"));
	timeline_path(&v->page, name);
	buf_c(&v->page, followed ? "/unfollow" : "/follow");
	web_put_query(v);
	buf_c(&v->page, followed ? "\">Unfollow user</a>.\n" : "\">Follow user</a>.\n");
}

static void put_follow_status(struct visit *v, const struct data_user *u, bool followed)
{
	if (!v->logged_in)
		return;
	buf_str(&v->page, STR("  <div class=followstatus>\n"));
	if (u->id == v->user.id)
		buf_str(&v->page, STR("    This is you!\n"));
	else
		put_follow_link(v, u->name, followed);
	buf_str(&v->page, STR("  </div>\n"));
}

static void user_page(struct app *a, struct http_call *c, struct str name)
{
	struct visit v;
	struct data_user u;
	bool followed;
	if (web_enter(&v, a, c) < 0)
		return;
	if (user_find(&v, name, &u, &followed)) {
		web_begin(&v, "'s Timeline", u.name);
		put_follow_status(&v, &u, followed);
		list_answer(&v, LIST_USER, &u);
	}
	web_leave(&v);
}

void web_user(struct http_call *c, struct http_request *r, void *ctx)
{
	(void)r;
	user_page(ctx, c, http_param(c, "user"));
}

/* The original has no such page and takes the word for a name. */
void web_add_message_page(struct http_call *c, struct http_request *r, void *ctx)
{
	(void)r;
	user_page(ctx, c, STR("add_message"));
}

/* --- changes --- */

struct change {
	struct timeline_row row;
	struct str whom;
	bool unfollow;
	int found;
};

static int unit_message(void *ctx, struct store_db *db, struct err *e)
{
	struct change *x = ctx;
	x->found = data_message_add(db, &x->row, e);
	return x->found < 0 ? -1 : 0;
}

static int unit_follow(void *ctx, struct store_db *db, struct err *e)
{
	struct change *x = ctx;
	x->found = x->unfollow ? data_unfollow(db, x->row.user, x->whom, e)
			       : data_follow(db, x->row.user, x->whom, &x->row.id, e);
	return x->found < 0 ? -1 : 0;
}

void web_add_message(struct http_call *c, struct http_request *r, void *ctx)
{
	struct visit v;
	struct err e = {0};
	if (web_enter(&v, ctx, c) < 0)
		return;
	if (!web_known(&v) || !web_genuine(&v)) {
		web_leave(&v);
		return;
	}
	struct change x = {.row = {.user = v.user.name, .text = http_form(r, "text")}};
	bool said = x.row.text.n > 0 && x.row.text.n <= TEXT_MAX_BYTES && str_utf8_ok(x.row.text);
	if (said && store_write(v.app->store, unit_message, &x, &e) < 0) {
		web_fail(&v, &e);
	} else {
		if (said) {
			(void)board_user_changed(v.app->board, BOARD_MSGS, v.user.name);
			(void)board_public_changed(v.app->board);
			web_flash(&v, FLASH_RECORDED, STR(""));
		}
		web_redirect(&v, "/");
	}
	web_leave(&v);
}

static void redirect_to_user(struct visit *v, struct str name)
{
	CLEANUP_BUF struct buf b;
	buf_init(&b, 4096);
	buf_char(&b, '/');
	timeline_path(&b, name);
	web_redirect(v, b.p);
}

static void follow(struct app *a, struct http_call *c, bool unfollow)
{
	struct visit v;
	struct data_user u;
	struct err e = {0};
	bool followed;
	if (web_enter(&v, a, c) < 0)
		return;
	if (web_known(&v) && user_find(&v, http_param(c, "user"), &u, &followed) &&
	    web_genuine(&v)) {
		struct change x = {
		    .row = {.user = v.user.name}, .whom = u.name, .unfollow = unfollow};
		if (store_write(a->store, unit_follow, &x, &e) < 0) {
			web_fail(&v, &e);
		} else {
			(void)board_user_changed(a->board, BOARD_FOLLOWS, v.user.name);
			web_flash(&v, unfollow ? FLASH_UNFOLLOWING : FLASH_FOLLOWING, u.name);
			redirect_to_user(&v, u.name);
		}
	}
	web_leave(&v);
}

void web_follow(struct http_call *c, struct http_request *r, void *ctx)
{
	(void)r;
	follow(ctx, c, false);
}

void web_unfollow(struct http_call *c, struct http_request *r, void *ctx)
{
	(void)r;
	follow(ctx, c, true);
}
