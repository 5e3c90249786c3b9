#include "base/site.h"

#include <assert.h>

const char *site_place_text(enum site_place p)
{
	static const char *const texts[SITE_PLACE_COUNT] = {
	    [SITE_SNIPPETS_ETC] = "/etc/nginx/snippets/",
	    [SITE_SNIPPETS] = "snippets/",
	    [SITE_LIVE_ETC] = "/etc/letsencrypt/live/",
	    [SITE_LIVE] = "live/",
	    [SITE_OPTIONS] = "/etc/letsencrypt/options-ssl-nginx.conf",
	    [SITE_DHPARAMS] = "/etc/letsencrypt/ssl-dhparams.pem",
	    [SITE_SERVER] = ""};
	assert(p < SITE_PLACE_COUNT);
	return texts[p];
}

static bool cut_end(struct str *s, struct str end)
{
	if (!str_ends(*s, end))
		return false;
	s->n -= end.n;
	return true;
}

bool site_file(struct str file, struct str *ret_name, bool *ret_disabled)
{
	*ret_disabled = cut_end(&file, STR(".disabled"));
	if (!str_starts(file, STR("[")) ||
	    (!cut_end(&file, STR("].nginxconf")) && !cut_end(&file, STR("].conf"))))
		return false;
	*ret_name = str_from(file, 1);
	return true;
}
