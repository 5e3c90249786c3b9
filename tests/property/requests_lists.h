/* What is in a sealed file that the worker judges: lists of static paths and of sites, nearly lawful. For test_helper_peers.c, which includes
 * what this needs. */
#pragma once

static const char site_text[] =
    "server {\n\tlisten 80;\n\tinclude snippets/a.conf;\n\tssl_certificate "
    "live/a.org/fullchain.pem;\n}\n";

#define SITES 3u
#define EDITS 8u

static size_t fill_sites(uint8_t *out, size_t size)
{
	struct {
		struct render_sites head;
		struct render_site_file files[SITES];
		struct site_edit edits[EDITS];
		char domains[64];
	} list = {.head = {1, SITES, EDITS, 64, (uint8_t)draw(2), {0}, "sites", "snippets"},
	    .domains = "a.org b.example.org"};
	assert_true(sizeof(list) <= size);
	for (unsigned i = 0; i < SITES; i++) {
		struct render_site_file *f = &list.files[i];
		*f = (struct render_site_file){.bytes = sizeof(site_text) - 1,
		    .certified = (uint32_t)draw(2),
		    .first_edit = (uint32_t)draw(EDITS),
		    .domains_n = one_in(2) ? 19 : 0};
		f->edit_count = (uint32_t)draw(EDITS + 1 - f->first_edit);
		put(f->name, sizeof(f->name), one_in(30) ? "[..].nginxconf" : "[a.org].nginxconf");
		if (one_in(20))
			damage(f->name, sizeof(f->name));
		if (one_in(20))
			f->edit_count = (uint32_t)draw_around(EDITS);
		if (one_in(20))
			f->domains_n = (uint32_t)draw_around(64);
	}
	for (unsigned i = 0; i < EDITS; i++)
		list.edits[i] = (struct site_edit){
		    one_in(2) ? 8 : (uint32_t)draw_around(sizeof(site_text)),
		    one_in(2) ? (uint32_t)SITE_SERVER : (uint32_t)draw_around(SITE_PLACE_COUNT)};
	if (one_in(20))
		list.head.file_count = (uint32_t)draw_around(SITES);
	if (one_in(20))
		damage(list.head.folder, sizeof(list.head.folder));
	memcpy(out, &list, sizeof(list));
	return one_in(20) ? draw(size) : sizeof(list);
}

/* URL, path, URL, …; the first alone are lawful. */
static size_t fill_statics(uint8_t *out, size_t size)
{
	static const char *const words[] = {"/s", "sites", "/", ".", "", "/../..", "../../../..",
	    "/etc", "sites/../..", "live", "/.slipway", "a//b"};
	size_t n = 0;
	for (uint64_t left = draw(40); left > 0; left--) {
		const char *word = words[draw(12)];
		if (n + strlen(word) + 1 > size)
			break;
		memcpy(out + n, word, strlen(word) + 1);
		n += strlen(word) + 1;
	}
	return n;
}
