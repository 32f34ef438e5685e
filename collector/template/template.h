/* collector/template/template.h -- templates learned from exporters.
 *
 * A template is immutable and compiled to a plan when it is learned.  Each
 * source fills only its own share of the cache; equal templates of different
 * sources are kept once.  Looking a template up takes no lock: readers stand
 * between template_read_lock() and template_read_unlock(), and what
 * template_get() lends them lives that long.
 *
 * The functions that change a cache must not be called between those two. */
#ifndef COLLECTOR_TEMPLATE_H
#define COLLECTOR_TEMPLATE_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"

#define TEMPLATE_MAX_FIELDS 512
#define TEMPLATE_VARLEN 65535   /* RFC 7011 section 7. */
#define TEMPLATE_ID_MIN 256

/* Defaults for template_cache_create(). */
#define TEMPLATE_SHARE 1024
#define TEMPLATE_TOTAL 262144
/* All templates together take no more memory than this.  Equal ones are kept
 * once: ten thousand exporters of one kind take as much as one. */
#define TEMPLATE_BYTES (64u << 20)
/* And those that came first from one address no more than this. */
#define TEMPLATE_EXPORTER_BYTES (8u << 20)

struct plan;
struct source;
struct template_cache;          /* Opaque. */

struct template_field {
    uint16_t id;                /* Without the enterprise bit. */
    uint16_t size;              /* Bytes, or TEMPLATE_VARLEN. */
    uint32_t pen;               /* Enterprise, or 0. */
};

struct template {
    uint16_t id;
    uint8_t protocol;           /* enum export_protocol. */
    bool options;
    bool fixed;                 /* No field of variable length. */
    bool ovs;                   /* Laid out exactly as Open vSwitch does. */
    uint16_t n_scope;           /* The first so many fields are scope. */
    uint16_t n_fields;
    uint32_t min_size;          /* Of a record, bytes. */
    uint16_t n_var;             /* Fields of variable length. */
    const uint16_t *gaps;       /* Bytes before each of them, and at last. */
    struct plan *plan;          /* NULL for options. */
    struct plan *reverse;       /* Other direction (RFC 5103), or NULL. */

    /* For the cache. */
    uint32_t refs;
    uint64_t hash;
    struct template *next;
    struct addr payer;          /* The exporter that brought it first. */
    struct template_field fields[];
};

/* 'share' bounds the templates of one source, 'total' the different templates
 * of all.  NULL if out of memory. */
struct template_cache *template_cache_create(size_t share, size_t total);
void template_cache_destroy(struct template_cache *);   /* NULL is fine. */

enum template_change {
    TEMPLATE_SAME,              /* Known already. */
    TEMPLATE_NEW,
    TEMPLATE_CHANGED,           /* Replaces one of the same id. */
};

/* Keeps a template of 'source'.  Returns an enum template_change, -EBADMSG if
 * it cannot be right, -ENOSPC if a share is used up, -ENOMEM. */
int template_put(struct template_cache *, const struct source *,
                 uint16_t id, bool options, unsigned n_scope,
                 const struct template_field *, unsigned n_fields);

/* Forgets one template, or all (options) templates of a source. */
void template_withdraw(struct template_cache *, const struct source *,
                       uint16_t id);
void template_withdraw_all(struct template_cache *, const struct source *,
                           bool options);

void template_read_lock(void);
void template_read_unlock(void);

/* The template 'id' of a source, or NULL. */
const struct template *template_get(const struct template_cache *,
                                    const struct source *, uint16_t id);

/* Four steps towards a template, under the lock, each of which fetches what the
 * next one needs (see decoder_prefetch()); 'p' is what the step before
 * answered. */
const void *template_prefetch_root(const struct template_cache *,
                                   const struct source *);
const void *template_prefetch_directory(const void *p);
const void *template_prefetch_slot(const void *p, uint16_t id);
const struct template *template_prefetch(const void *p);

/* What Open vSwitch means by 'id' (with or without a virtualObsID field), or
 * NULL if it has no such template.  Needs no lock. */
const struct template *template_builtin_ovs(const struct template_cache *,
                                            uint16_t id, bool virtual_obs_id);

size_t template_count(const struct template_cache *, const struct source *);
size_t template_total(struct template_cache *);

/* Calls 'each' for every template of a source while it returns true; 'each'
 * must not keep the pointer. */
void template_each(struct template_cache *, const struct source *,
                   bool (*each)(const struct template *, void *aux),
                   void *aux);

/* The size of the record of 'left' bytes at 'p', or 0 if it does not fit. */
size_t template_record_size(const struct template *, const uint8_t *p,
                            size_t left);

#endif /* collector/template/template.h */
