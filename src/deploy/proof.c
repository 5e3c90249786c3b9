#include "deploy/proof.h"

int proof_judge(const struct proof_question *q, const struct outbound_answer *a, struct err *e)
{
	if (a->outcome == OUTBOUND_ANSWERED && a->status == 200 && str_eq_c(a->body, q->token))
		return 0;
	if (a->outcome == OUTBOUND_BLOCKED) {
		err_set(e, ERR_FAILED, "'%.*s' leads to %.*s, which is not a public address",
		    STR_ARG(q->host), STR_ARG(a->address));
		return err_hint(e, "let its A and AAAA records name this server's public address");
	}
	if (a->outcome == OUTBOUND_ANSWERED) {
		err_set(e, ERR_FAILED,
		    "port %u of '%.*s' is answered by another server%s%.*s (%u, not our file)",
		    q->port, STR_ARG(q->host), a->address.n ? ", " : "", STR_ARG(a->address),
		    a->status);
		return err_hint(e, "let its A and AAAA records name this server alone; what stands "
				   "in front must pass "
				   "/.well-known/acme-challenge/ on");
	}
	err_set(e, ERR_FAILED, "port %u of '%.*s' cannot be reached: %.*s", q->port,
	    STR_ARG(q->host), STR_ARG(a->text));
	return err_hint(e,
	    "let its A record name this server, and let port %u through every firewall%s%s",
	    q->port, q->give_up ? "; or give the name up: " : "", q->give_up ? q->give_up : "");
}
