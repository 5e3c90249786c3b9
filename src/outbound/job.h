/* One request to somebody else, as a transfer of libcurl. Not for other rooms. */
#pragma once

#include "outbound/frame.h"
#include "outbound/guard.h"

#include <curl/curl.h>

struct job {
	CURL *easy;
	uint64_t id;
	const struct guard *guard;
	int64_t begun_ms;
	uint32_t body_max;
	struct buf url, body, answer, link, headers_kept;
	size_t sent;
	struct curl_slist *headers, *to;
	const char *blocked;		      /* why an address was not asked */
	char blocked_address[CIDR_TEXT_SIZE]; /* which */
	char error[CURL_ERROR_SIZE];
};

/* Never NULL; what is wrong with the request itself is answered by the caller through job_refusal.
 */
struct job *job_new(
    uint64_t id, const struct outbound_request *r, const struct guard *g, const char *ca_file);
/* NULL: it may be started. */
const char *job_refusal(const struct outbound_request *r);
/* The answer of a transfer that has ended; its strings live until job_free. */
struct outbound_answer job_answer(struct job *j, CURLcode rc);
void job_free(struct job *j);
