#include "api/routes.h"

int api_run_create(struct api_call *c, struct err *e)
{
	(void)c;
	return err_set(e, ERR_UNAVAILABLE, "commands cannot be run yet");
}
