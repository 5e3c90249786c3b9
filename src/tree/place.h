/* The way back of pack.h: a project's files out of the stream on standard input.
 *
 * `restore-release` (fetch sandbox, in the project's top): `release/…` into releases/N, which is empty.
 * `data-stage` (run sandbox, in the release): `data/…` into data/.slipway-restore/new, while the project serves.
 * `data-swap`: what is in data/ goes into .slipway-restore/old, what was staged comes into its place, by renames;
 * `data-back` is its inverse, and both may be run again after they were killed at any point: the empty files
 * `ready`, `out` and `back` in .slipway-restore say how far it came. Nothing of the project's runs meanwhile.
 * `data-drop` takes .slipway-restore away, with what was before.
 *
 * `service-load` (run sandbox, in the release): `services/NAME.dump` of each --service into its database.
 *
 * No link is followed on the way; what a link says is the project's business. Set-user-id and set-group-id bits
 * of files are dropped. */
#pragma once

#include "base/buf.h"
#include "tree/options.h"

int place_release(const struct options *o, struct buf *report, struct err *e) WARN_UNUSED;
int place_stage(const struct options *o, struct buf *report, struct err *e) WARN_UNUSED;
int place_services(const struct options *o, struct buf *report, struct err *e) WARN_UNUSED;
int place_swap(const struct options *o, struct buf *report, struct err *e) WARN_UNUSED;
int place_back(const struct options *o, struct buf *report, struct err *e) WARN_UNUSED;
int place_drop(const struct options *o, struct buf *report, struct err *e) WARN_UNUSED;
