/* The style sheet, part of the program (meson.build turns style.css into the array). */
#include "minitwit/app.h"

static const unsigned char style_css[] = {
#include "style_css.inc"
};

void web_style(struct http_call *c, struct http_request *r, void *ctx)
{
	(void)r;
	app_reply(ctx, c, 200, "text/css; charset=utf-8", "Cache-Control: max-age=300\r\n",
	    (struct str){(const char *)style_css, sizeof(style_css)});
}
