/* rooms: base crypto render launch helper */
/* The same with the real Apache. */
#define FIXTURE_APACHE
#include "test_edge_pair.c"
