/* rooms: base text crypto store model backup */
/* covers: backup/archive.c backup/settings.c */
/* Any bytes as an archive and as the JSON within one: refused, or read without reaching beyond them. An archive
 * that was not made with the key is never opened. */
#include "backup/archive.h"
#include "backup/settings.h"
#include "base/fs.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct seal_key *some_key(void)
{
	static struct seal_key *key;
	char path[] = "/tmp/slipway-fuzz-backup-XXXXXX";
	struct err e;
	if (key)
		return key;
	CLEANUP_FD int dir = mkdtemp(path) ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	key = dir < 0 ? NULL : seal_key_load(dir, "key", &e);
	if (!key || unlinkat(dir, "key", 0) != 0 || rmdir(path) != 0)
		abort();
	return key;
}

static void as_archive(const uint8_t *data, size_t size)
{
	struct err e;
	bool passphrase;
	CLEANUP_BUF struct buf header, settings;
	buf_init(&header, BACKUP_HEADER_MAX);
	buf_init(&settings, BACKUP_SETTINGS_MAX);
	CLEANUP_FD int fd = memfd_create("archive", MFD_CLOEXEC);
	const struct backup_opening o = {.seal = some_key(), .files = -1};
	if (fd < 0 || fs_write_all(fd, data, size, &e) != 0)
		abort();
	(void)!backup_peek(fd, &header, &passphrase, &e);
	buf_clear(&header);
	if (backup_read(fd, &o, &header, &settings, &e) == 0 || settings.n > 0)
		abort();
}

static void as_json(struct str s)
{
	struct err e;
	struct arena a CLEANUP_ARENA;
	struct backup_header h;
	struct backup_settings all;
	arena_init(&a, 16u << 20);
	(void)!backup_header_read(s, &a, &h, &e);
	(void)!backup_settings_read(s, &a, &all, &e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	as_archive(data, size);
	as_json((struct str){(const char *)data, size});
	return 0;
}
