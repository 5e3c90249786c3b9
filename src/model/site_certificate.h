/* Certificates of sites of nginx-site projects: as those of projects (model/certificate.h), one row per project and site, with
 * `site` set. They come from an authority only. */
#pragma once

#include "model/certificate.h"

int model_site_certificate_get(struct store_db *db, struct arena *a, int64_t project_id, struct str site,
    struct model_viewer viewer, struct model_certificate *ret, struct err *e) WARN_UNUSED; /* 1/0/-1 */
/* By site. */
int model_site_certificate_list(struct store_db *db, struct arena *a, int64_t project_id, struct model_viewer viewer,
    struct model_certificates *ret, struct err *e) WARN_UNUSED;
/* The whole row; makes it. */
int model_site_certificate_put(struct store_db *db, const struct model_certificate *c, struct err *e) WARN_UNUSED;
int model_site_certificate_remove(struct store_db *db, int64_t project_id, struct str site, struct err *e) WARN_UNUSED;
/* As model_certificate_set_back, model_certificate_take_due and model_certificate_take_ending. */
int model_site_certificate_set_back(struct store_db *db, int64_t now_ms, struct err *e) WARN_UNUSED;
int model_site_certificate_take_due(struct store_db *db, struct arena *a, int64_t now_ms, int64_t again_ms, uint32_t max,
    struct model_certificates *ret, struct err *e) WARN_UNUSED;
int model_site_certificate_take_ending(struct store_db *db, struct arena *a, int64_t now_ms, int64_t until_ms,
    int64_t told_before_ms, struct model_certificates *ret, struct err *e) WARN_UNUSED;
