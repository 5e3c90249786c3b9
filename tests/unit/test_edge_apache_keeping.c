/* rooms: base render helper */
/* The same with the real Apache. */
#define FIXTURE_APACHE
#include "test_edge_keeping.c"
