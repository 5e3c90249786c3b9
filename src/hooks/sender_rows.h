/* The rows of sender.c's table, one file for senders that are alike. Not for other rooms. */
#pragma once

#include "hooks/sender.h"

extern const struct sender sender_github;
extern const struct sender sender_gitlab;
extern const struct sender sender_gitea, sender_forgejo, sender_gogs;
extern const struct sender sender_bitbucket, sender_bitbucket_server;
extern const struct sender sender_particle;
extern const struct sender sender_standard, sender_stripe;
extern const struct sender sender_generic, sender_bearer;
extern const struct sender sender_huggingface;
extern const struct sender sender_alertmanager;
