/* What every answer says in its header X-MiniTwit-Version: which release gave it. */
#pragma once

#define MINITWIT_VERSION "1.0"
