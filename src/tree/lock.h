/* Python's lock files (uv.lock, poetry.lock, Pipfile.lock) into words that pip follows exactly. The
 * reading is a small Python program, lock.py, embedded here: it runs in the interpreter that the
 * environment is made with, so that environment markers are judged by their own author's code. */
#pragma once

#include "base/err.h"
#include "tree/child.h"

#define LOCK_REQUIREMENTS "lock-requirements.txt" /* NAME==VERSION --hash=… */
#define LOCK_CONSTRAINTS "lock-constraints.txt"	  /* NAME==VERSION */

extern const char lock_script[]; /* lock.py, ended by NUL */

struct lock_job {
	const char *python; /* an interpreter that has pip */
	const char *file;   /* below the working directory */
	const char *folder; /* where the two lists are written */
	const struct child_words *env;
};

/* Writes both lists and says a note. -1 with SAY_LOCK when the file cannot be followed: a package
 * from git or a path, one without a hash, a Python that it is not for, text that cannot be read. */
int lock_requirements(const struct lock_job *j, struct err *e) WARN_UNUSED;
