/* Shapes of the platform: logs, one-off commands, people, the audit trail, errors. */
#include "api/schema_fields.h"

static const struct api_field server_audit_create[] = {
    STRING("message", REQ, 4000, "what is CRITICAL, a line each"),
    STRING("report", NUL, 254, "the file that has the rest"),
};
static const struct api_field edge_reloaded[] = {NUMBER("duration_ms", REQ, "until it served")};
static const struct api_field server_audit[] = {BOOL("accepted", REQ, "")};

static const struct api_field log_line[] = {
    TIME("at", REQ, ""),
    TEXT("process", REQ, ""),
    NUMBER("instance", REQ, ""),
    NUMBER("release", REQ, ""),
    STRING("text", REQ, 65536, "control bytes escaped"),
};
static const struct api_field log_list[] = {LIST("items", REQ, "LogLine", 10000, "in time order")};

static const struct api_field terminal[] = {
    INT("rows", REQ, 1, 1000, ""),
    INT("cols", REQ, 1, 1000, ""),
};
static const struct api_field run_create[] = {
    LIST("argv", REQ, "string", LIMIT_ARGV_COUNT, "the command, not a line for a shell"),
    OBJECT("terminal", NUL, "Terminal", "with it the command gets a terminal of this size"),
};

static const struct api_field operator_create[] = {
    STRING("name", REQ, 32,
	"a-z, 0-9, '.', '_' and '-'; a local user's name lets them use the socket"),
    STRING("role", 0, 16, "on everything: none, viewer, deployer, admin or owner; absent: none"),
};
static const struct api_field operator_[] = {
    TEXT("name", REQ, ""),
    TEXT("role", REQ, "on everything"),
    BOOL("disabled", REQ, ""),
    TIME("created_at", REQ, ""),
};
static const struct api_field operator_list[] = {LIST_OF("Operator")};
static const struct api_field token_create[] = {
    STRING("label", 0, 100, "what it is for"),
    STRING("operator", NUL, 32, "owners only: whose; absent: yours"),
    TIME("expires_at", NUL, "absent: never"),
};
static const struct api_field token[] = {
    NUMBER("id", REQ, ""),
    TEXT("label", REQ, ""),
    TEXT("operator", REQ, ""),
    TIME("created_at", REQ, ""),
    TIME("expires_at", REQ | NUL, ""),
    TIME("last_used_at", REQ | NUL, ""),
    TEXT("token", 0, "shown once, when it is made"),
};
static const struct api_field token_list[] = {LIST("items", REQ, "Token", 0, "")};
static const struct api_field grant_create[] = {
    STRING("operator", REQ, 32, ""),
    STRING("project", REQ, 64, ""),
    STRING("role", REQ, 16, "viewer, deployer, admin or owner"),
};
static const struct api_field grant[] = {
    TEXT("operator", REQ, ""),
    TEXT("project", REQ, ""),
    TEXT("role", REQ, ""),
};
static const struct api_field grant_list[] = {LIST("items", REQ, "Grant", 0, "")};
static const struct api_field audit[] = {
    NUMBER("id", REQ, ""),
    TIME("at", REQ, ""),
    TEXT("operator", REQ, ""),
    TEXT("action", REQ, ""),
    TEXT("target", REQ, ""),
    TEXT("outcome", REQ, "ok or refused"),
    TEXT("detail", REQ, ""),
    TEXT("chain", REQ, "SHA-256 over this record and the one before"),
};
static const struct api_field audit_list[] = {LIST_OF("Audit")};

static const struct api_field version[] = {
    TEXT("name", REQ, "slipway"),
    TEXT("version", REQ, ""),
    TEXT("api", REQ, "v1"),
};
static const struct api_field health[] = {TEXT("status", REQ, "ok")};
static const struct api_field whoami[] = {
    TEXT("name", REQ, "whom the platform takes you for"),
    TEXT("role", REQ, "on everything"),
    BOOL("local", REQ, "owner by the Unix socket"),
};
static const struct api_field problem[] = {
    TEXT("type", REQ, "RFC 9457"),
    TEXT("title", REQ, ""),
    NUMBER("status", REQ, ""),
    TEXT("detail", REQ, "what happened, to what, why"),
    TEXT("hint", 0, "what to do"),
    ANY("request_id", 0, "to be found in the log"),
    LIST("errors", 0, "any", 0, "fields: pointer and detail"),
};

static const struct api_schema table[] = {
    SCHEMA("ServerAuditCreate", server_audit_create, "What an audit of the server found."),
    SCHEMA("EdgeReloaded", edge_reloaded, "It serves what was read."),
    SCHEMA("ServerAudit", server_audit, "It will be told."),
    SCHEMA("LogLine", log_line, "A line of a program's output."),
    SCHEMA("LogList", log_list, "Lines."),
    SCHEMA("Terminal", terminal, "The size of a terminal."),
    SCHEMA("RunCreate", run_create, "A one-off command in the live release."),
    SCHEMA("OperatorCreate", operator_create, "A new operator."),
    SCHEMA("Operator", operator_, "A person or machine."),
    SCHEMA("OperatorList", operator_list, "Operators by name."),
    SCHEMA("TokenCreate", token_create, "A new token."),
    SCHEMA("Token", token, "A credential that speaks for an operator."),
    SCHEMA("TokenList", token_list, "Tokens."),
    SCHEMA("GrantCreate", grant_create, "A role on a project."),
    SCHEMA("Grant", grant, "A role on a project."),
    SCHEMA("GrantList", grant_list, "Roles on projects."),
    SCHEMA("Audit", audit, "One record of a change or a refusal."),
    SCHEMA("AuditList", audit_list, "The trail, newest first."),
    SCHEMA("Version", version, "This program."),
    SCHEMA("Health", health, "Whether it works."),
    SCHEMA("WhoAmI", whoami, "Who you are."),
    SCHEMA("Problem", problem, "An error (RFC 9457)."),
};
const struct api_schema_part api_schemas_platform = SCHEMA_PART(table);
