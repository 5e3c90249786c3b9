/* libpq, loaded when the first PostgreSQL store is opened or the first database is made for a project
 * (services/): a daemon without either does not carry it and all that it links (3 MB). */
#pragma once

#include "base/err.h"

#include <libpq-fe.h>

#define PQ_FUNCTIONS(X)                                                                            \
	X(PQconnectdbParams)                                                                       \
	X(PQfinish)                                                                                \
	X(PQreset)                                                                                 \
	X(PQsetNoticeProcessor)                                                                    \
	X(PQstatus)                                                                                \
	X(PQtransactionStatus)                                                                     \
	X(PQerrorMessage)                                                                          \
	X(PQenterPipelineMode)                                                                     \
	X(PQexitPipelineMode)                                                                      \
	X(PQpipelineSync)                                                                          \
	X(PQsendQueryParams)                                                                       \
	X(PQsendPrepare)                                                                           \
	X(PQsendQueryPrepared)                                                                     \
	X(PQflush)                                                                                 \
	X(PQgetResult)                                                                             \
	X(PQexec)                                                                                  \
	X(PQclear)                                                                                 \
	X(PQresultStatus)                                                                          \
	X(PQresultErrorField)                                                                      \
	X(PQntuples)                                                                               \
	X(PQftype)                                                                                 \
	X(PQgetvalue)                                                                              \
	X(PQgetlength)                                                                             \
	X(PQgetisnull)                                                                             \
	X(PQhost)                                                                                  \
	X(PQport)                                                                                  \
	X(PQexecParams)                                                                            \
	X(PQencryptPasswordConn)                                                                   \
	X(PQfreemem)                                                                               \
	X(PQcmdTuples)                                                                             \
	X(PQcmdStatus)

struct pq {
#define PQ_MEMBER(function) __typeof__ (&(function))(function);
	PQ_FUNCTIONS(PQ_MEMBER)
#undef PQ_MEMBER
};

/* The same for every caller, for the life of the process. NULL with ERR_UNSUPPORTED when libpq is
 * not installed. Any thread. */
const struct pq *pq_load(struct err *e);
