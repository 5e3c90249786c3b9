/* Signing up, in and out. Whatever hashes a password runs among the jobs. */
#include "minitwit/web.h"

#include "base/clock.h"
#include "base/rand.h"
#include "crypto/hash.h"
#include "crypto/password.h"
#include "crypto/werkzeug.h"
#include "text/html.h"

#include <stdio.h>
#include <string.h>

struct form {
	struct str username, email, password, password2;
};

/* Text that is no UTF-8 stands for nothing that could be stored. */
static struct str field(const struct http_request *r, const char *name)
{
	struct str s = http_form(r, name);
	return s.p && str_utf8_ok(s) ? s : STR("");
}

static void put_error(struct visit *v, const char *error)
{
	if (!error)
		return;
	buf_str(&v->page, STR("  <div class=error><strong>Error:</strong> "));
	html_escape(&v->page, str_c(error));
	buf_str(&v->page, STR("</div>\n"));
}

static void put_input(struct visit *v, const char *label, const char *type, const char *name,
    const char *autocomplete, struct str value)
{
	buf_printf(&v->page,
	    "      <dt><label for=%s>%s:</label>\n      <dd><input type=%s name=%s id=%s size=30 "
	    "autocomplete=%s value=\"",
	    name, label, type, name, name, autocomplete);
	html_escape(&v->page, value);
	buf_str(&v->page, STR("\">\n"));
}

static void put_submit(struct visit *v, const char *label)
{
	buf_printf(&v->page,
	    "    </dl>\n    <div class=actions><input type=submit value=\"%s\"></div>\n  </form>\n",
	    label);
}

static void login_page(struct visit *v, struct str username, const char *error)
{
	web_begin(v, "Sign In", STR(""));
	put_error(v, error);
	buf_str(&v->page, STR("  <form action=\"/login\" method=post>\n"));
	web_put_field(v);
	buf_str(&v->page, STR("    <dl>\n"));
	put_input(v, "Username", "text", "username", "username", username);
	put_input(v, "Password", "password", "password", "current-password", STR(""));
	put_submit(v, "Sign In");
	web_answer(v, 200);
}

static void register_page(struct visit *v, const struct form *f, const char *error)
{
	web_begin(v, "Sign Up", STR(""));
	put_error(v, error);
	buf_str(&v->page, STR("  <form action=\"/register\" method=post>\n"));
	web_put_field(v);
	buf_str(&v->page, STR("    <dl>\n"));
	put_input(v, "Username", "text", "username", "username", f->username);
	put_input(v, "E-Mail", "text", "email", "email", f->email);
	put_input(v, "Password", "password", "password", "new-password", STR(""));
	put_input(v, "Password <small>(repeat)</small>", "password", "password2", "new-password",
	    STR(""));
	put_submit(v, "Sign Up");
	web_answer(v, 200);
}

static void form_page(struct app *a, struct http_call *c, bool signing_up)
{
	struct visit v;
	const struct form empty = {STR(""), STR(""), STR(""), STR("")};
	if (web_enter(&v, a, c) < 0)
		return;
	if (v.logged_in)
		web_redirect(&v, "/");
	else if (signing_up)
		register_page(&v, &empty, NULL);
	else
		login_page(&v, STR(""), NULL);
	web_leave(&v);
}

void web_login_page(struct http_call *c, struct http_request *r, void *ctx)
{
	(void)r;
	form_page(ctx, c, false);
}

void web_register_page(struct http_call *c, struct http_request *r, void *ctx)
{
	(void)r;
	form_page(ctx, c, true);
}

/* --- jobs --- */

struct job {
	struct app *app;
	struct http_call *call;
};

static void start_job(struct app *a, struct http_call *c, jobs_fn *fn)
{
	struct err e = {0};
	struct job *j = arena_alloc(http_request_of(c)->arena, sizeof(*j));
	if (!j) {
		app_reply_error(a, c, 500, "out of memory");
		return;
	}
	*j = (struct job){.app = a, .call = c};
	if (jobs_add(a->jobs, fn, j, &e) < 0)
		app_reply_err(a, c, &e);
}

/* --- signing up --- */

/* Words that are paths of ours: a page at such a name could never be seen. */
static bool is_reserved(struct str name)
{
	static const char *const words[] = {"latest", "msgs", "fllws", "register", "public",
	    "login", "logout", "add_message", "static", "health", "metrics"};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (str_eq_c(name, words[i]))
			return true;
	return false;
}

struct adding {
	struct data_user user;
	int found;
};

static int unit_user(void *ctx, struct store_db *db, struct err *e)
{
	struct adding *x = ctx;
	int64_t id;
	x->found = data_user_add(db, &x->user, &id, e);
	return x->found < 0 ? -1 : 0;
}

/* NULL made, a complaint, or an error in e. */
static const char *user_make(struct visit *v, const struct form *f, struct err *e)
{
	char hash[PASSWORD_HASH_SIZE];
	struct data_user there;
	const char *fault = app_register_fault(f->username, f->email, f->password);
	if (fault)
		return fault;
	if (!str_eq(f->password, f->password2))
		return "The two passwords do not match";
	if (f->password.n > PASSWORD_MAX_BYTES)
		return "The password is too long";
	if (is_reserved(f->username))
		return app_taken;
	struct store_db *db = web_read(v, e);
	if (!db)
		return NULL;
	int rc = data_user_get(db, f->username, v->r->arena, &there, e);
	store_read_end(v->app->store, db);
	if (rc == 1)
		return app_taken;
	if (rc < 0 || password_hash_at(PASSWORD_USER, f->password, hash, e) < 0)
		return NULL;
	struct adding x = {.user = {.name = f->username, .email = f->email, .hash = str_c(hash)}};
	if (store_write(v->app->store, unit_user, &x, e) < 0)
		return NULL;
	return x.found == 1 ? NULL : app_taken;
}

static void job_register(void *ctx)
{
	struct job *j = ctx;
	struct visit v;
	struct err e = {0};
	if (web_enter(&v, j->app, j->call) < 0)
		return;
	if (web_genuine(&v)) {
		const struct form f = {.username = field(v.r, "username"),
		    .email = field(v.r, "email"),
		    .password = field(v.r, "password"),
		    .password2 = field(v.r, "password2")};
		const char *fault = user_make(&v, &f, &e);
		if (fault) {
			register_page(&v, &f, fault);
		} else if (e.code != ERR_NONE) {
			web_fail(&v, &e);
		} else {
			web_flash(&v, FLASH_REGISTERED, STR(""));
			web_redirect(&v, "/login");
		}
	}
	web_leave(&v);
}

void web_register(struct http_call *c, struct http_request *r, void *ctx)
{
	(void)r;
	start_job(ctx, c, job_register);
}

/* --- signing in --- */

struct session {
	uint8_t old_hash[HASH_SHA256_BYTES], hash[HASH_SHA256_BYTES];
	int64_t user;
	struct str better_hash; /* of a password that was hashed by Werkzeug; else STR_NONE */
};

static struct str bytes_of(const uint8_t hash[HASH_SHA256_BYTES])
{
	return (struct str){(const char *)hash, HASH_SHA256_BYTES};
}

static int unit_session(void *ctx, struct store_db *db, struct err *e)
{
	struct session *s = ctx;
	if (s->better_hash.p && data_user_rehash(db, s->user, s->better_hash, e) < 0)
		return -1;
	if (data_session_drop(db, bytes_of(s->old_hash), e) < 0)
		return -1;
	return data_session_add(
	    db, bytes_of(s->hash), s->user, clock_wall_ms() / 1000 + WEB_SESSION_S, e);
}

static bool password_right(const struct data_user *u, struct str password)
{
	char hash[PASSWORD_HASH_SIZE];
	if (werkzeug_is(u->hash))
		return werkzeug_verify(password, u->hash);
	return str_copy(u->hash, hash, sizeof(hash)) && password_verify(password, hash);
}

/* A new token at every login: one that somebody planted before is worth nothing. */
static int session_begin(
    struct visit *v, const struct data_user *u, struct str password, struct err *e)
{
	char token[RAND_TOKEN_SIZE], better[PASSWORD_HASH_SIZE];
	struct session s = {.user = u->id, .better_hash = STR_NONE};
	if (werkzeug_is(u->hash)) {
		if (password_hash_at(PASSWORD_USER, password, better, e) < 0)
			return -1;
		s.better_hash = str_c(better);
	}
	rand_token(token);
	hash_sha256(str_c(v->token), s.old_hash);
	hash_sha256(str_c(token), s.hash);
	if (store_write(v->app->store, unit_session, &s, e) < 0)
		return -1;
	web_cookie_session(v, token);
	return 0;
}

static void login(struct visit *v, struct str username, struct str password)
{
	struct err e = {0};
	struct data_user u;
	struct store_db *db = web_read(v, &e);
	int rc = db ? 0 : -1;
	if (db) {
		if (app_name(username).p)
			rc = data_user_get(db, username, v->r->arena, &u, &e);
		store_read_end(v->app->store, db);
	}
	if (rc == 0) {
		login_page(v, username, "Invalid username");
	} else if (rc == 1 && !password_right(&u, password)) {
		login_page(v, username, "Invalid password");
	} else if (rc < 0 || session_begin(v, &u, password, &e) < 0) {
		web_fail(v, &e);
	} else {
		web_flash(v, FLASH_LOGGED_IN, STR(""));
		web_redirect(v, "/");
	}
}

static void job_login(void *ctx)
{
	struct job *j = ctx;
	struct visit v;
	if (web_enter(&v, j->app, j->call) < 0)
		return;
	if (web_genuine(&v))
		login(&v, field(v.r, "username"), field(v.r, "password"));
	web_leave(&v);
}

void web_login(struct http_call *c, struct http_request *r, void *ctx)
{
	(void)r;
	start_job(ctx, c, job_login);
}

/* --- signing out --- */

static int unit_logout(void *ctx, struct store_db *db, struct err *e)
{
	return data_session_drop(db, bytes_of(ctx), e);
}

void web_logout(struct http_call *c, struct http_request *r, void *ctx)
{
	struct visit v;
	struct err e = {0};
	uint8_t hash[HASH_SHA256_BYTES];
	(void)r;
	if (web_enter(&v, ctx, c) < 0)
		return;
	if (web_genuine(&v)) {
		hash_sha256(str_c(v.token), hash);
		if (v.logged_in && store_write(v.app->store, unit_logout, hash, &e) < 0) {
			web_fail(&v, &e);
		} else {
			web_flash(&v, FLASH_LOGGED_OUT, STR(""));
			web_cookie_session(&v, "");
			web_redirect(&v, "/public");
		}
	}
	web_leave(&v);
}
