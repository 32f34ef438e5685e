/* collector/template/persist.h -- templates, and sampling rates that options
 * told, over a restart.
 *
 * Exporters repeat templates every few minutes at best; data that comes before
 * could not be read.  So what was learned is kept in a file: replaced as a
 * whole, checked as a whole, read with bounds and limits like anything from
 * outside.
 *
 * Templates laid out as Open vSwitch's are not kept: they are built in
 * (ovs.h), in both layouts, and chosen by the length of the record, so that a
 * bridge that changed its layout meanwhile is not misread. */
#ifndef COLLECTOR_TEMPLATE_PERSIST_H
#define COLLECTOR_TEMPLATE_PERSIST_H 1

#include <stddef.h>
#include <stdint.h>

struct source_table;
struct template_cache;

/* What nobody sent for so long is not believed any more: RFC 7011 section 8.4
 * gives UDP templates a life of three intervals at which they are sent. */
#define PERSIST_MAX_AGE_US (INT64_C(24) * 3600 * 1000000)
#define PERSIST_MAX_SIZE (64u << 20)    /* Bytes of a file. */
#define PERSIST_HEADER 32               /* Bytes before the sources. */

struct persist_counts {
    uint32_t sources, templates;
    uint32_t expired;           /* Sources too old to be believed. */
    uint32_t refused;           /* Templates that the cache did not take. */
};

/* What there is to keep as bytes on the heap; '*state' is the same as last time
 * if nothing worth keeping has changed.  NULL if out of memory. */
uint8_t *persist_encode(struct template_cache *, struct source_table *,
                        int64_t now_us, size_t *size, uint64_t *state);

/* Fills cache and table with what persist_encode() made.  Returns 0, -EBADMSG
 * if the bytes can't be right (then nothing is taken), or -ENOTSUP for another
 * version. */
int persist_decode(const uint8_t *, size_t size, struct template_cache *,
                   struct source_table *, int64_t now_us,
                   struct persist_counts *);

/* The checksum in the header, over the bytes after it (for tests). */
uint64_t persist_checksum(const uint8_t *, size_t size);

/* The same with a file.  persist_save() replaces it atomically, and does
 * nothing if '*state' says that it is up to date.  persist_load() returns
 * -ENOENT if there is none. */
int persist_save(const char *path, struct template_cache *,
                 struct source_table *, int64_t now_us, uint64_t *state);
int persist_load(const char *path, struct template_cache *,
                 struct source_table *, int64_t now_us,
                 struct persist_counts *);

/* Whether anything may have changed since '*seen' was last filled in: cheap,
 * for a timer. */
int persist_stir(struct source_table *, uint64_t *seen);

/* A thread that saves at most every few seconds after a change, and once an
 * hour to say that the templates are still in use. */
struct persist;
struct persist *persist_start(const char *path, struct template_cache *,
                              struct source_table *);
/* Saves a last time.  NULL is fine. */
void persist_stop(struct persist *);

#endif /* collector/template/persist.h */
