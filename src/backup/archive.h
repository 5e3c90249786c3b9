/* The file that holds a backup of one project: sealed, so that it may lie anywhere.
 *
 *   size          field
 *   8             "SLIPBK1\n"
 *   4             length of the header, big-endian, at most BACKUP_HEADER_MAX
 *   …             the header: JSON in clear (backup/settings.h), authenticated by what follows
 *   1             number of key slots, 1 or 2
 *   1 + 2 + …     each: kind, length (big-endian), bytes
 *                   'K'  the archive's key under the platform's (crypto/seal.h, place "backup")
 *                   'P'  the same under a passphrase (crypto/stream.h)
 *   32            mark of all above, keyed with the archive's key
 *   24            head of the stream
 *   …             pieces (crypto/stream.h) of 64 KiB of clear text, the last one shorter; the first is
 *                 authenticated together with the header
 *
 * The stream holds the length of the settings (4 bytes, big-endian, at most BACKUP_SETTINGS_MAX), the
 * settings (JSON, with secrets), and then, to its end, the project's files as slipway-tree packed them
 * (tree/pack.h), or nothing.
 *
 * The key is random and of this archive alone. Everything is proved to its last byte before anything of it
 * is used. All of this blocks. */
#pragma once

#include "base/buf.h"
#include "crypto/seal.h"
#include "crypto/stream.h"

#include <stdatomic.h>

#define BACKUP_HEADER_MAX (64u << 10)
#define BACKUP_SETTINGS_MAX (8u << 20)
#define BACKUP_PIECE_BYTES (64u << 10)

struct backup_slots {
	struct str sealed;  /* 'K'; n 0: none */
	struct str wrapped; /* 'P'; n 0: none */
};

/* A new key, sealed for the platform and, unless the passphrase is empty, wrapped by it. */
int backup_key_make(const struct seal_key *seal, struct str passphrase, struct buf *ret_sealed,
    struct buf *ret_wrapped, struct err *e) WARN_UNUSED;

struct backup_source {
	const struct seal_key *seal;
	struct backup_slots slots; /* as backup_key_make made them */
	struct str header, settings;
	int files;		 /* read from its start to its end; -1: none */
	const atomic_bool *stop; /* true: give up, ERR_CANCELLED; may be NULL */
};
/* Writes the archive and syncs it. */
int backup_write(int to, const struct backup_source *s, struct err *e) WARN_UNUSED;

/* The header as it stands there, not proved, and whether a passphrase opens it. */
int backup_peek(int from, struct buf *ret_header, bool *ret_passphrase, struct err *e) WARN_UNUSED;

struct backup_opening {
	const struct seal_key *seal;
	struct str passphrase; /* n 0: the platform's key opens it */
	const atomic_bool *stop;
	bool settings_only; /* only as far as the settings reach; proved before by another look */
	int files;	    /* where the files go; -1: they are proved only */
};
/* Proves all of it; then ret_header and ret_settings (the caller wipes it) are good, and `files` holds the
 * project's files. After -1 what was written to `files` is worth nothing. ERR_INVALID: damaged, cut or no archive; ERR_FORBIDDEN: this key does not open it. */
int backup_read(int from, const struct backup_opening *o, struct buf *ret_header,
    struct buf *ret_settings, struct err *e) WARN_UNUSED;

/* Proves all of `from` by the passphrase and writes it to `to` with a slot of this platform instead of all
 * others; the stream stays as it is. Synced. */
int backup_rekey(int from, int to, const struct seal_key *seal, struct str passphrase,
    struct err *e) WARN_UNUSED;
