/* A RabbitMQ of the test's own, from the installed package: in a temporary folder, with an epmd and a node name of its own,
 * its management plugin, and an administrator "maker" with the password "made". In clear it listens at 127.0.0.1, over TLS at
 * 127.0.0.2, which vouches for itself. Started as root it runs as the user 'rabbitmq'. */
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define RABBITMQ_PROGRAM "/usr/lib/rabbitmq/bin/rabbitmq-server"

struct rabbitmq_server {
	char dir[64], ca[96];
	uint16_t amqp, amqps, http, https, names, nodes;
	pid_t pid, epmd;
};

static inline uint16_t rabbitmq_free_port(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok = bind(fd, (struct sockaddr *)&a, n) == 0 &&
		  getsockname(fd, (struct sockaddr *)&a, &n) == 0;
	close(fd);
	return ok ? ntohs(a.sin_port) : 0;
}

static inline bool rabbitmq_listens(uint16_t port)
{
	struct sockaddr_in a = {
	    .sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok = connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
	close(fd);
	return ok;
}

static inline bool rabbitmq_wait(uint16_t port)
{
	for (int i = 0; i < 3000; i++) {
		if (rabbitmq_listens(port))
			return true;
		usleep(10000);
	}
	return false;
}

__attribute__((format(printf, 2, 3))) static inline void rabbitmq_set(
    const char *key, const char *form, ...)
{
	char value[192];
	va_list ap;
	va_start(ap, form);
	vsnprintf(value, sizeof(value), form, ap);
	va_end(ap);
	setenv(key, value, 1);
}

static inline void rabbitmq_environment(const struct rabbitmq_server *s)
{
	clearenv();
	setenv("PATH", "/usr/bin:/bin:/usr/sbin:/sbin", 1);
	setenv("LANG", "C.UTF-8", 1);
	rabbitmq_set("HOME", "%s", s->dir);
	rabbitmq_set("ERL_EPMD_ADDRESS", "127.0.0.1");
	rabbitmq_set("ERL_EPMD_PORT", "%u", s->names);
	rabbitmq_set("RABBITMQ_NODENAME", "slipway%u@localhost", s->nodes);
	rabbitmq_set("RABBITMQ_DIST_PORT", "%u", s->nodes);
	rabbitmq_set("RABBITMQ_MNESIA_BASE", "%s", s->dir);
	rabbitmq_set("RABBITMQ_LOG_BASE", "%s", s->dir);
	rabbitmq_set("RABBITMQ_PID_FILE", "%s/pid", s->dir);
	rabbitmq_set("RABBITMQ_ENABLED_PLUGINS_FILE", "%s/plugins", s->dir);
	rabbitmq_set("RABBITMQ_CONFIG_FILE", "%s/rabbit.conf", s->dir);
	rabbitmq_set("RABBITMQ_CONF_ENV_FILE", "%s/none", s->dir);
	rabbitmq_set("RABBITMQ_FEATURE_FLAGS_FILE", "%s/flags", s->dir);
}

/* A process group of its own; as the broker's user, its output in DIR/out. */
static inline pid_t rabbitmq_spawn(const struct rabbitmq_server *s, char *const argv[])
{
	char out[96];
	snprintf(out, sizeof(out), "%s/out", s->dir);
	pid_t pid = fork();
	if (pid != 0)
		return pid;
	const struct passwd *p = geteuid() == 0 ? getpwnam("rabbitmq") : NULL;
	if (setsid() < 0 ||
	    (p && (setgroups(0, NULL) != 0 || setgid(p->pw_gid) != 0 || setuid(p->pw_uid) != 0)))
		_exit(99);
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	rabbitmq_environment(s);
	int fd = open(out, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (chdir(s->dir) != 0 || fd < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0)
		_exit(98);
	execvp(argv[0], argv);
	_exit(97);
}

static inline bool rabbitmq_run(const struct rabbitmq_server *s, char *const argv[])
{
	int status;
	pid_t pid = rabbitmq_spawn(s, argv);
	return waitpid(pid, &status, 0) == pid && status == 0;
}

static inline bool rabbitmq_certificate(struct rabbitmq_server *s)
{
	char program[] = "openssl", req[] = "req", x509[] = "-x509", newkey[] = "-newkey",
	     rsa[] = "rsa:2048", nodes[] = "-nodes", keyout[] = "-keyout", key[] = "key.pem",
	     out[] = "-out", cert[] = "cert.pem", subj[] = "-subj", name[] = "/CN=127.0.0.2",
	     ext[] = "-addext", alt[] = "subjectAltName=IP:127.0.0.2";
	char *argv[] = {program, req, x509, newkey, rsa, nodes, keyout, key, out, cert, subj, name,
	    ext, alt, NULL};
	snprintf(s->ca, sizeof(s->ca), "%s/cert.pem", s->dir);
	return rabbitmq_run(s, argv);
}

__attribute__((format(printf, 3, 4))) static inline bool rabbitmq_write(
    const struct rabbitmq_server *s, const char *name, const char *form, ...)
{
	char path[96], text[2048];
	va_list ap;
	va_start(ap, form);
	int n = vsnprintf(text, sizeof(text), form, ap);
	va_end(ap);
	snprintf(path, sizeof(path), "%s/%s", s->dir, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	bool ok = fd >= 0 && write(fd, text, (size_t)n) == n;
	close(fd);
	return ok;
}

static inline bool rabbitmq_start(struct rabbitmq_server *s)
{
	char epmd[] = "epmd", a[] = "-address", ip[] = "127.0.0.1", p[] = "-port", port[8],
	     server[] = RABBITMQ_PROGRAM;
	snprintf(port, sizeof(port), "%u", s->names);
	char *names[] = {epmd, a, ip, p, port, NULL}, *broker[] = {server, NULL};
	s->epmd = rabbitmq_spawn(s, names);
	if (!rabbitmq_wait(s->names))
		return false;
	s->pid = rabbitmq_spawn(s, broker);
	return rabbitmq_wait(s->http) && rabbitmq_wait(s->amqp);
}

/* 1: runs; 0: RabbitMQ is not installed; -1: it did not start. */
static inline int rabbitmq_open(struct rabbitmq_server *s)
{
	*s = (struct rabbitmq_server){.dir = "/tmp/slipway-mq-XXXXXX"};
	uint16_t *ports[] = {&s->amqp, &s->amqps, &s->http, &s->https, &s->names, &s->nodes};
	const struct passwd *p = getpwnam("rabbitmq");
	if (access(RABBITMQ_PROGRAM, X_OK) != 0 || (geteuid() == 0 && !p))
		return 0;
	for (size_t i = 0; i < sizeof(ports) / sizeof(*ports); i++)
		*ports[i] = rabbitmq_free_port();
	if (!mkdtemp(s->dir) || (geteuid() == 0 && chown(s->dir, p->pw_uid, p->pw_gid) != 0) ||
	    !rabbitmq_certificate(s) || !rabbitmq_write(s, "plugins", "[rabbitmq_management].\n") ||
	    !rabbitmq_write(s, "rabbit.conf",
		"default_user = maker\ndefault_pass = made\nlog.console = false\n"
		"log.file.level = debug\nlog.file = rabbit.log\n"
		"listeners.tcp.1 = 127.0.0.1:%u\nlisteners.ssl.1 = 127.0.0.2:%u\n"
		"ssl_options.certfile = %s/cert.pem\nssl_options.keyfile = %s/key.pem\n"
		"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = %u\n"
		"management.ssl.ip = 127.0.0.2\nmanagement.ssl.port = %u\n"
		"management.ssl.certfile = %s/cert.pem\nmanagement.ssl.keyfile = %s/key.pem\n",
		s->amqp, s->amqps, s->dir, s->dir, s->http, s->https, s->dir, s->dir))
		return -1;
	return rabbitmq_start(s) ? 1 : -1;
}

static inline void rabbitmq_end(pid_t pid, int signal)
{
	if (pid > 0 && kill(-pid, signal) == 0)
		waitpid(pid, NULL, 0);
}

static inline void rabbitmq_close(struct rabbitmq_server *s)
{
	char rm[] = "rm", rf[] = "-rf";
	char *const argv[] = {rm, rf, s->dir, NULL};
	rabbitmq_end(s->pid, SIGKILL);
	rabbitmq_end(s->epmd, SIGKILL);
	pid_t pid = fork();
	if (pid == 0) {
		execv("/bin/rm", argv);
		_exit(97);
	}
	waitpid(pid, NULL, 0);
}

/* Answers everybody the same, `times` over; its process, or -1. */
static inline pid_t rabbitmq_pretend(const char *answer, int times, uint16_t *ret_port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(fd, (struct sockaddr *)&a, n) != 0 || listen(fd, 4) != 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &n) != 0) {
		close(fd);
		return -1;
	}
	*ret_port = ntohs(a.sin_port);
	pid_t pid = fork();
	if (pid != 0) {
		close(fd);
		return pid;
	}
	signal(SIGPIPE, SIG_IGN);
	alarm(30);
	for (int c; (c = accept(fd, NULL, NULL)) >= 0; close(c)) {
		char in[4096];
		if (read(c, in, sizeof(in)) < 0)
			_exit(1);
		for (int i = 0; i < times && write(c, answer, strlen(answer)) > 0; i++)
			;
	}
	_exit(0);
}
