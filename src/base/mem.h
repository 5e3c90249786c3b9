/* Heap that aborts when there is none (crash-only: nothing acknowledged is lost). The helper does not use it. */
#pragma once

#include "base/str.h"

void *mem_alloc(size_t n) __attribute__((malloc, returns_nonnull)); /* zeroed */
void *mem_array(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
void *mem_grow(void *p, size_t old_count, size_t new_count, size_t size) __attribute__((returns_nonnull)); /* new part zeroed */
char *mem_dup(struct str s) __attribute__((malloc, returns_nonnull)); /* with a NUL behind */
void mem_free_ptr(void *pp); /* for CLEANUP_FREE: frees *(void **)pp */
#define CLEANUP_FREE __attribute__((cleanup(mem_free_ptr)))
