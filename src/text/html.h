/* Text into HTML, for element content and quoted attribute values (WHATWG HTML §13.1). */
#pragma once

#include "base/buf.h"

/* & < > " ' become references, as Flask's templates write them (&#34; and &#39;); bytes that are no
 * UTF-8 and control characters other than tab and line ends become U+FFFD. */
void html_escape(struct buf *b, struct str s);
