/* rooms: base loop crypto text store model queue access source priv render launch run outbound
 * notify edge observe kinds deploy */
/* Whether a name leads here: what each answer to the question for our file is taken for, and what is said of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "deploy/proof.h"

#define TOKEN "token-that-only-we-know"

static struct err e;

static int judge(const struct outbound_answer *a, const char *give_up)
{
	const struct proof_question q = {
	    .host = STR("a.example.org"), .port = 80, .token = TOKEN, .give_up = give_up};
	e = (struct err){0};
	return proof_judge(&q, a, &e);
}

static void refused(const struct outbound_answer *a, const char *msg, const char *hint)
{
	assert_int_equal(judge(a, "slipway domains remove shop a.example.org"), -1);
	assert_int_equal(e.code, ERR_FAILED);
	assert_string_equal(e.msg, msg);
	assert_string_equal(e.hint, hint);
}

static void our_file_is_a_proof(void **state)
{
	(void)state;
	const struct outbound_answer ours = {.outcome = OUTBOUND_ANSWERED,
	    .status = 200,
	    .body = STR(TOKEN),
	    .address = STR("192.0.2.1")};
	assert_int_equal(judge(&ours, NULL), 0);
	assert_int_equal(e.code, ERR_NONE);
}

static void another_server_answers(void **state)
{
	(void)state;
	static const char hint[] =
	    "let its A and AAAA records name this server alone; what stands in front must pass "
	    "/.well-known/acme-challenge/ on";
	struct outbound_answer a = {
	    .outcome = OUTBOUND_ANSWERED, .status = 404, .address = STR("192.0.2.1")};
	refused(&a,
	    "port 80 of 'a.example.org' is answered by another server, 192.0.2.1 (404, not our "
	    "file)",
	    hint);
	a.address = STR_NONE;
	refused(&a, "port 80 of 'a.example.org' is answered by another server (404, not our file)",
	    hint);
	/* its file, a piece of it, it and more; with a status that is none of success */
	static const char *const bodies[] = {
	    "", "another", "token-that-only-we-kno", (TOKEN "\n"), ("x" TOKEN)};
	a.status = 200;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++) {
		a.body = str_c(bodies[i]);
		refused(&a,
		    "port 80 of 'a.example.org' is answered by another server (200, not our file)",
		    hint);
	}
	a.body = STR(TOKEN);
	a.status = 301;
	refused(&a, "port 80 of 'a.example.org' is answered by another server (301, not our file)",
	    hint);
}

static void an_address_that_is_not_public(void **state)
{
	(void)state;
	const struct outbound_answer a = {.outcome = OUTBOUND_BLOCKED,
	    .address = STR("10.0.0.7"),
	    .body = STR(TOKEN),
	    .status = 200,
	    .text = STR("it is private")};
	refused(&a, "'a.example.org' leads to 10.0.0.7, which is not a public address",
	    "let its A and AAAA records name this server's public address");
}

static void what_cannot_be_reached(void **state)
{
	(void)state;
	static const enum outbound_outcome outcomes[] = {
	    OUTBOUND_UNREACHABLE, OUTBOUND_TIMED_OUT, OUTBOUND_REFUSED, OUTBOUND_UNTRUSTED};
	struct outbound_answer a = {
	    .text = STR("connection refused"), .status = 200, .body = STR(TOKEN)};
	for (size_t i = 0; i < sizeof(outcomes) / sizeof(*outcomes); i++) {
		a.outcome = outcomes[i];
		refused(&a, "port 80 of 'a.example.org' cannot be reached: connection refused",
		    "let its A record name this server, and let port 80 through every firewall; or "
		    "give the name up: "
		    "slipway domains remove shop a.example.org");
	}
	assert_int_equal(judge(&a, NULL), -1);
	assert_string_equal(
	    e.hint, "let its A record name this server, and let port 80 through every firewall");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(our_file_is_a_proof),
	    cmocka_unit_test(another_server_answers),
	    cmocka_unit_test(an_address_that_is_not_public),
	    cmocka_unit_test(what_cannot_be_reached),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
