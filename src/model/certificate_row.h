/* What rows of projects' certificates, of sites' and of the platform's have in common. Not for other rooms. */
#pragma once

#include "model/certificate.h"
#include "model/row.h"

/* The columns; as they are read (of a table called c), as they are written, and what is written there. */
#define CERTIFICATE_READ                                                                           \
	"c.origin, c.names, c.issuer, c.serial, c.not_before_ms, c.not_after_ms, "                 \
	"c.installed_ms, c.renew_ms, c.failures, c.error, c.limited_ms, c.told_ms"
#define CERTIFICATE_COLUMNS                                                                        \
	"origin, names, issuer, serial, not_before_ms, not_after_ms, installed_ms, renew_ms, "     \
	"failures, error, limited_ms, told_ms"
#define CERTIFICATE_VALUES                                                                         \
	"$origin, $names, $issuer, $serial, $before, $after, $installed, $renew, $failures, "      \
	"$error, $limited, $told"
#define CERTIFICATE_SET                                                                            \
	"origin = $origin, names = $names, issuer = $issuer, serial = $serial, "                   \
	"not_before_ms = $before, not_after_ms = $after, installed_ms = $installed, "              \
	"renew_ms = $renew, failures = $failures, error = $error, limited_ms = $limited, "         \
	"told_ms = $told"
/* As model_certificate_too_late. */
#define CERTIFICATE_SET_BACK                                                                       \
	" SET renew_ms = $now WHERE renew_ms > 0 AND renew_ms > $far AND renew_ms > limited_ms"    \
	" AND renew_ms > not_before_ms + (not_after_ms - not_before_ms) / 3 * 2"

/* CERTIFICATE_READ from this column on. */
void certificate_row_fill(struct row *r, int first, struct model_certificate *ret);
/* CERTIFICATE_VALUES. */
void certificate_row_bind(struct store_stmt *q, const struct model_certificate *c);
/* Of a question for given_chain and given_key: 1, 0 when nothing was given, or -1. */
int certificate_row_given(struct store_stmt *q, struct arena *a, struct str *ret_chain,
    struct str *ret_key, struct err *e) WARN_UNUSED;
/* Runs a statement with CERTIFICATE_SET_BACK. */
int certificate_row_set_back(
    struct store_db *db, const char *sql, int64_t now_ms, struct err *e) WARN_UNUSED;
