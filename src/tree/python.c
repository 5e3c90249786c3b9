#include "tree/python.h"
#include "tree/say.h"
int python_env(const struct options *o, struct buf *report, struct err *e)
{
	(void)o;
	(void)report;
	return say_fail(SAY_PYTHON, e, "not there");
}
