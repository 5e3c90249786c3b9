/* Every bound of the platform in one place; each is said in the documentation of what it bounds. */
#pragma once

#define LIMIT_HOOK_BODY_BYTES (25u << 20) /* GitHub's own limit */
#define LIMIT_API_BODY_BYTES (1u << 20)
#define LIMIT_ARCHIVE_BYTES (512ull << 20) /* an uploaded archive, compressed */
#define LIMIT_BACKUP_BYTES (256ull << 30)  /* an uploaded backup */
#define LIMIT_TREE_BYTES (4ull << 30)	   /* an unpacked source tree */
#define LIMIT_TREE_FILES 200000u
#define LIMIT_FETCH_MEMORY_BYTES (1ull << 30) /* git, ssh and slipway-tree together */
#define LIMIT_FETCH_DISK_BYTES (12ull << 30)  /* a mirror, the tree out of it, what was kept */
#define LIMIT_FETCH_TASKS 256u
#define LIMIT_BODIES_IN_FLIGHT_BYTES (256u << 20)
#define LIMIT_HEADER_BYTES (32u << 10)
#define LIMIT_HEADER_COUNT 100u
#define LIMIT_URL_BYTES (8u << 10)
#define LIMIT_CONNECTIONS 4096u
#define LIMIT_REQUEST_ARENA_BYTES (8u << 20)
#define LIMIT_MANIFEST_BYTES (256u << 10)
#define LIMIT_ARGV_COUNT 256u
#define LIMIT_ARGV_BYTES (64u << 10)
#define LIMIT_ENV_COUNT 512u
#define LIMIT_ENV_BYTES (512u << 10)
#define LIMIT_PROCESSES 16u
#define LIMIT_INSTANCES 10u /* of one process */
#define LIMIT_CPU_MILLI 1024000u /* thousandths of a processor */
#define LIMIT_PROCESSORS 1024u /* that are told apart; cpu_set_t */
#define LIMIT_PORT_FIRST 20000u /* of programs that want one */
#define LIMIT_PORTS_PER_PROJECT 10u
#define LIMIT_PORT_BLOCKS 1200u /* up to 31999, below the kernel's ephemeral ports */
#define LIMIT_STATICS 16u
#define LIMIT_DOMAINS 64u
#define LIMIT_SERVICES 8u /* of a project */
#define LIMIT_CHECKS 32u
#define LIMIT_SITE_RULES 64u
#define LIMIT_BUILD_COMMANDS 32u
#define LIMIT_LOG_LINE_BYTES (16u << 10)
#define LIMIT_LOG_BYTES (16u << 20) /* kept per process of a project */
#define LIMIT_POLL_MIN_MS 10000	 /* looking at a branch without being told */
#define LIMIT_POLL_MAX_MS 604800000
#define LIMIT_QUEUE_WAITING 100000u
