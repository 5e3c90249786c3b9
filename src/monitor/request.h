/* The rules of the protocol (priv/priv.h) that a message can be judged by alone: names, ranges, descriptors and what is in them. What is
 * the case at the moment - that an instance exists, that the end has begun, what root allows - is the helper's.
 *
 * Judged twice by the same lines: by the monitor, which may do nothing, before the helper sees a byte of it; and by the helper. No allocation;
 * nothing is asked of the kernel but what the descriptors are (fcntl(2), fstat(2), pread(2)). */
#pragma once

#include "priv/priv.h"
#include "render/sites.h"
#include "render/vhost.h"

#include <stdbool.h>
#include <stddef.h>

#define REQUEST_TIMEOUT_MAX_MS 3600000u

enum request_flag {
	REQUEST_PROJECT = 1,  /* names a project */
	REQUEST_RELEASE = 2,  /* names a release */
	REQUEST_INSTANCE = 4, /* names an instance */
	REQUEST_ENDING = 8    /* also while the end has begun */
};

/* 0 for what is no operation. */
unsigned request_flags(uint32_t op);

/* Magic and operation, HELLO first, then every field and descriptor. -1: ERR_FORBIDDEN before HELLO, ERR_UNSUPPORTED for another version,
 * else ERR_INVALID. Descriptors stay the caller's. */
int request_judge(const struct priv_request *q, const int *fds, size_t fd_count, bool greeted, struct err *e) WARN_UNUSED;

/* The first descriptor of a vhost's or certificate's request, which was judged: valid until the next call. NULL: it is none. */
const struct render_vhost *request_vhost(const struct priv_request *q, const int *fds, struct err *e);
/* The name of the site that a certificate is for, likewise. */
int request_site(const int *fds, char out[NAME_SITE_MAX + 4], struct err *e) WARN_UNUSED;

/* The audit's line of one operation; project "": it named none that is one. e NULL: it was performed. */
void request_audit(uint32_t op, const char *project, uint32_t release, uint64_t id, const struct err *e);
/* The same of a message as it came: what is a name is shown as one, anything else is not shown at all. */
void request_audit_message(const struct priv_request *q, uint64_t id, const struct err *e);
