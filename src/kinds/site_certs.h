/* Certificates that sites, and snippets that they include, name. */
#pragma once

#include "kinds/kind.h"

/* Each must be that of a site of the plan which names one itself: nginx would not miss another before the next reload, since
 * what serves until then is still there while it judges. Fails the work with the file and the line. `sites` and `snippets` are
 * the texts of the plan's, in its order. */
void site_certs_check(struct kind_work *w, const struct str *sites, const struct str *snippets);
