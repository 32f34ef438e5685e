/* collector/event/exporters.h -- who sends, and who sends no more: events of
 * exporters.
 *
 * An exporter is an address and a protocol; its observation domains are one.
 * Those that were heard before a restart are known after it: a file of lines
 * says so.  One that says nothing for the time that is given is silent, once,
 * until it returns. */
#ifndef COLLECTOR_EVENT_EXPORTERS_H
#define COLLECTOR_EVENT_EXPORTERS_H 1

#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"
#include "lib/event.h"

struct exporter_watch;                                  /* Opaque. */
struct source_table;

#define EXPORTERS_MAX 65536     /* That are remembered. */
#define EXPORTERS_FORGET_US (INT64_C(30) * 86400 * 1000000)     /* Silent. */

/* What 'tell' is told: of EVENT_exporter_new, _silent or _returned. */
struct exporter_change {
    enum event_kind kind;
    struct addr exporter;
    uint8_t protocol;           /* enum export_protocol. */
    int64_t last_us;            /* Heard, before that. */
    int64_t quiet_us;           /* Of _silent and _returned: for so long. */
};

/* 'path' need not be there; NULL: nothing is remembered.  NULL: out of
 * memory. */
struct exporter_watch *exporter_watch_create(const char *path,
                                             int64_t now_us);
void exporter_watch_destroy(struct exporter_watch *);   /* NULL is fine. */

/* An exporter was last heard at 'last_us'. */
void exporter_watch_note(struct exporter_watch *, const struct addr *,
                         uint8_t protocol, int64_t last_us,
                         void (*tell)(void *aux,
                                      const struct exporter_change *),
                         void *aux);
/* Who is silent now for 'silence_us' (0: nobody is). */
void exporter_watch_step(struct exporter_watch *, int64_t now_us,
                         int64_t silence_us,
                         void (*tell)(void *aux,
                                      const struct exporter_change *),
                         void *aux);
/* Notes all sources of a table, then steps. */
void exporter_watch_sources(struct exporter_watch *, struct source_table *,
                            int64_t now_us, int64_t silence_us,
                            void (*tell)(void *aux,
                                         const struct exporter_change *),
                            void *aux);
/* Writes what is known, if that has changed.  0 or a negative errno. */
int exporter_watch_save(struct exporter_watch *);
size_t exporter_watch_count(const struct exporter_watch *);

/* A 'tell' that posts. */
void exporter_change_post(void *aux, const struct exporter_change *);

#endif /* collector/event/exporters.h */
