#include "say.h"

#include <stdio.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char *const first[] = {"Roger", "Geoffrey", "Wendell", "Nathan", "Quintin", "Malcolm",
    "Zoë", "Søren", "Octavio", "Leonora", "Guadalupe", "Æsa", "Mellie", "Johnnie", "Jacqualine",
    "Świętosława"};
static const char *const last[] = {"Histand", "Stieff", "Ballan", "Sirmans", "Sitra", "Janas",
    "Mørk", "Calvert", "Bacon", "O'Hara", "Pinkleton", "Yacavone", "Schwartz", "Nuñez", "Repka",
    "Petzold"};
static const char *const words[] = {"the", "whale", "of", "a", "sea", "captain", "and", "it", "was",
    "in", "that", "upon", "harpoon", "ship", "but", "for", "old", "man", "white", "water", "ye",
    "boat", "now", "such", "over", "all", "naïve", "smørrebrød", "日本語", "😀", "—", "\"quoted\"",
    "back\\slash", "<b>bold</b>", "&amp;", "it's", "tab\there", "line\nbreak", "100%",
    "'; DROP TABLE message; --", "{\"content\":\"x\"}", "],[", "long", "time"};

static char tag[8];

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

void say_begin(uint64_t seed)
{
	snprintf(tag, sizeof(tag), "%06x", (unsigned)(mix(seed) & 0xffffff));
}

size_t say_name(uint32_t person, char out[SAY_NAME_SIZE])
{
	uint64_t h = mix(person);
	return (size_t)snprintf(out, SAY_NAME_SIZE, "%s %s %s-%u", first[h % COUNT(first)],
	    last[(h >> 8) % COUNT(last)], tag, person);
}

size_t say_text(struct say s, char out[SAY_TEXT_SIZE])
{
	size_t at =
	    (size_t)snprintf(out, SAY_TEXT_SIZE, "#%s.%u.%u.%u", tag, s.person, s.nth, s.number);
	uint64_t h = mix(((uint64_t)s.person << 32) | s.nth);
	for (unsigned count = 5 + (h & 7); count > 0; count--) {
		h = mix(h);
		const char *word = words[h % COUNT(words)];
		size_t n = strlen(word);
		out[at++] = ' ';
		memcpy(out + at, word, n);
		at += n;
	}
	return at;
}

static bool number(const char **p, const char *end, uint32_t *ret)
{
	uint64_t v = 0;
	if (*p == end || *(*p)++ != '.' || *p == end || **p < '0' || **p > '9')
		return false;
	while (*p < end && **p >= '0' && **p <= '9' && v <= UINT32_MAX)
		v = v * 10 + (uint64_t)(*(*p)++ - '0');
	*ret = (uint32_t)v;
	return v <= UINT32_MAX;
}

bool say_read(const char *p, size_t n, struct say *ret)
{
	const char *end = p + n;
	size_t tag_n = strlen(tag);
	if (n < 1 + tag_n || *p++ != '#' || memcmp(p, tag, tag_n) != 0)
		return false;
	p += tag_n;
	return number(&p, end, &ret->person) && number(&p, end, &ret->nth) &&
	       number(&p, end, &ret->number);
}
