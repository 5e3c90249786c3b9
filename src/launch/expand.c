#include "launch/expand.h"

bool expand_lookup(const struct args *env, struct str key, struct str *ret)
{
	for (size_t i = env->n; i-- > 0;) {
		struct str s = env->v[i];
		if (s.n > key.n && s.p[key.n] == '=' && str_starts(s, key)) {
			*ret = str_from(s, key.n + 1);
			return true;
		}
	}
	return false;
}

/* What stands between the marks: NAME, or NAME \x03 default. */
static int put_variable(struct str mark, const struct args *env, struct buf *out, struct err *e)
{
	size_t cut = str_find(mark, EXPAND_DEFAULT, 0);
	struct str name = cut == SIZE_MAX ? mark : str_slice(mark, 0, cut), value = STR_NONE;
	if (name.n == 0 || str_find(mark, EXPAND_OPEN, 0) != SIZE_MAX)
		return err_set(e, ERR_INVALID, "an argument has marks that do not match");
	bool found = expand_lookup(env, name, &value);
	if (cut != SIZE_MAX && (!found || value.n == 0))
		value = str_from(mark, cut + 1);
	buf_str(out, value);
	return 0;
}

int expand_arg(struct str s, const struct args *env, struct buf *out, struct err *e)
{
	while (s.n > 0) {
		size_t open = str_find(s, EXPAND_OPEN, 0);
		struct str plain = open == SIZE_MAX ? s : str_slice(s, 0, open);
		if (str_find(plain, EXPAND_CLOSE, 0) != SIZE_MAX)
			return err_set(e, ERR_INVALID, "an argument has marks that do not match");
		buf_str(out, plain);
		if (open == SIZE_MAX)
			break;
		size_t close = str_find(s, EXPAND_CLOSE, open);
		if (close == SIZE_MAX)
			return err_set(e, ERR_INVALID, "an argument has marks that do not match");
		if (put_variable(str_slice(s, open + 1, close - open - 1), env, out, e) != 0)
			return -1;
		s = str_from(s, close + 1);
	}
	return buf_check(out, "an expanded argument", e);
}
