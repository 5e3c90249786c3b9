#include "tree/lock.h"
#include "base/clock.h"
#include "tree/say.h"

#include <sys/wait.h>

#define DEADLINE_MS 60000
#define ANSWER_MAX_BYTES 4096u

int lock_requirements(const struct lock_job *j, struct err *e)
{
	const char *const words[] = {j->python, "-I", "-c", lock_script, j->file, j->folder};
	struct child_words argv = {0};
	struct buf out CLEANUP_BUF;
	int status;
	buf_init(&out, ANSWER_MAX_BYTES);
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		child_add(&argv, words[i]);
	struct child_spec s = {&argv, j->env, NULL, clock_mono_ms() + DEADLINE_MS, false, false};
	if (child_run(&s, &out, NULL, &status, e))
		return -1;
	struct str said = str_trim(buf_view(&out));
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || said.n == 0)
		return say_fail(
		    SAY_LOCK, e, "%.*s", STR_ARG(said.n ? said : STR("it cannot be read")));
	say_note("%.*s", STR_ARG(said));
	return 0;
}
