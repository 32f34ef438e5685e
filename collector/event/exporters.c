#include <config.h>

#include "collector/event/exporters.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collector/exporter/source_table.h"
#include "lib/column.h"
#include "lib/source.h"

#define SLOTS (EXPORTERS_MAX * 2)

struct known {
    struct addr exporter;
    uint8_t protocol;
    bool silent;
    int64_t last_us;
};

struct exporter_watch {
    char *path;
    int64_t began_us;           /* Nobody is silent for longer than this. */
    bool changed;
    size_t n;
    struct known *list;         /* EXPORTERS_MAX */
    uint32_t *slots;            /* SLOTS: place in 'list' plus 1. */
};

static uint32_t *
find_slot(struct exporter_watch *w, const struct addr *a, uint8_t protocol)
{
    uint64_t h = addr_hash(a) + protocol * UINT64_C(0x9e3779b97f4a7c15);
    uint32_t *slot = &w->slots[(h ^ h >> 32) % SLOTS];

    while (*slot) {
        const struct known *k = &w->list[*slot - 1];
        if (k->protocol == protocol && addr_equal(&k->exporter, a)) {
            break;
        }
        slot = slot + 1 < w->slots + SLOTS ? slot + 1 : w->slots;
    }
    return slot;
}

/* NULL: there are too many. */
static struct known *
get(struct exporter_watch *w, const struct addr *a, uint8_t protocol,
    bool *fresh)
{
    uint32_t *slot = find_slot(w, a, protocol);

    *fresh = !*slot;
    if (!*slot) {
        if (w->n == EXPORTERS_MAX) {
            return NULL;
        }
        w->list[w->n] = (struct known) { .exporter = *a,
                                         .protocol = protocol };
        *slot = (uint32_t) ++w->n;
        w->changed = true;
    }
    return &w->list[*slot - 1];
}

/* A line:  ADDRESS PROTOCOL LAST_US SILENT */
static void
load(struct exporter_watch *w, int64_t now_us)
{
    FILE *f = w->path ? fopen(w->path, "re") : NULL;
    char line[256], address[ADDR_STRLEN + 1];

    while (f && fgets(line, sizeof line, f)) {
        struct addr a;
        unsigned protocol, silent;
        int64_t last;
        bool fresh;
        if (sscanf(line, "%46s %u %" SCNd64 " %u", address, &protocol, &last,
                   &silent) == 4
            && protocol <= UINT8_MAX && !addr_parse(address, &a)
            && last > now_us - EXPORTERS_FORGET_US) {
            struct known *k = get(w, &a, (uint8_t) protocol, &fresh);
            if (k) {
                k->last_us = last < now_us ? last : now_us;
                k->silent = silent;
            }
        }
    }
    if (f) {
        fclose(f);
    }
    w->changed = false;
}

struct exporter_watch *
exporter_watch_create(const char *path, int64_t now_us)
{
    struct exporter_watch *w = calloc(1, sizeof *w);

    if (w) {
        w->began_us = now_us;
        w->path = path ? strdup(path) : NULL;
        w->list = calloc(EXPORTERS_MAX, sizeof *w->list);
        w->slots = calloc(SLOTS, sizeof *w->slots);
        if (!w->list || !w->slots || (path && !w->path)) {
            exporter_watch_destroy(w);
            return NULL;
        }
        load(w, now_us);
    }
    return w;
}

void
exporter_watch_destroy(struct exporter_watch *w)
{
    if (w) {
        free(w->path);
        free(w->list);
        free(w->slots);
        free(w);
    }
}

size_t
exporter_watch_count(const struct exporter_watch *w)
{
    return w->n;
}

void
exporter_watch_note(struct exporter_watch *w, const struct addr *a,
                    uint8_t protocol, int64_t last_us,
                    void (*tell)(void *, const struct exporter_change *),
                    void *aux)
{
    bool fresh;
    struct known *k = get(w, a, protocol, &fresh);

    if (!k || last_us <= k->last_us) {
        return;
    }
    struct exporter_change c = { EVENT_exporter_new, *a, protocol, last_us,
                                 0 };
    if (!fresh) {
        c.kind = EVENT_exporter_returned;
        c.last_us = k->last_us;
        c.quiet_us = last_us - k->last_us;
    }
    bool news = fresh || k->silent;
    k->last_us = last_us;
    k->silent = false;
    w->changed = true;
    if (news) {
        tell(aux, &c);
    }
}

void
exporter_watch_step(struct exporter_watch *w, int64_t now_us,
                    int64_t silence_us,
                    void (*tell)(void *, const struct exporter_change *),
                    void *aux)
{
    for (size_t i = 0; i < w->n && silence_us; i++) {
        struct known *k = &w->list[i];
        int64_t since = k->last_us > w->began_us ? k->last_us : w->began_us;
        if (!k->silent && now_us - since >= silence_us) {
            struct exporter_change c = { EVENT_exporter_silent, k->exporter,
                                         k->protocol, k->last_us,
                                         now_us - k->last_us };
            k->silent = true;
            w->changed = true;
            tell(aux, &c);
        }
    }
}

struct noting {
    struct exporter_watch *w;
    void (*tell)(void *, const struct exporter_change *);
    void *aux;
};

static bool
note_source(struct source *s, void *noting)
{
    struct noting *n = noting;
    int64_t last = s->last_us;

    if (last) {
        exporter_watch_note(n->w, &s->key.exporter, s->key.protocol, last,
                            n->tell, n->aux);
    }
    return true;
}

void
exporter_watch_sources(struct exporter_watch *w, struct source_table *t,
                       int64_t now_us, int64_t silence_us,
                       void (*tell)(void *, const struct exporter_change *),
                       void *aux)
{
    struct noting n = { w, tell, aux };

    source_table_each(t, note_source, &n);
    exporter_watch_step(w, now_us, silence_us, tell, aux);
}

int
exporter_watch_save(struct exporter_watch *w)
{
    char path[4300], address[ADDR_STRLEN];
    int err = 0;

    if (!w->path || !w->changed) {
        return 0;
    }
    snprintf(path, sizeof path, "%s.tmp", w->path);
    FILE *f = fopen(path, "we");
    for (size_t i = 0; f && i < w->n; i++) {
        const struct known *k = &w->list[i];
        fprintf(f, "%s %u %" PRId64 " %d\n",
                addr_format(&k->exporter, address), k->protocol, k->last_us,
                k->silent);
    }
    if (!f || fflush(f) || fsync(fileno(f))) {
        err = -errno;
    }
    if (f && fclose(f) && !err) {
        err = -errno;
    }
    if (!err && rename(path, w->path)) {
        err = -errno;
    }
    if (err) {
        unlink(path);
    } else {
        w->changed = false;
    }
    return err;
}

void
exporter_change_post(void *aux, const struct exporter_change *c)
{
    char address[ADDR_STRLEN];
    const char *protocol = column_word_name(&columns[COL_export_protocol],
                                            c->protocol);

    (void) aux;
    addr_format(&c->exporter, address);
    protocol = protocol ? protocol : "unknown";
    event_post(c->kind, address,
               EVENT_DETAIL(EVENT_TEXT("protocol", protocol),
                            EVENT_TIME("last", c->last_us),
                            EVENT_INT("quiet_s", c->quiet_us / 1000000)),
               c->kind == EVENT_exporter_new
               ? "%s sends %s, which it did not before"
               : c->kind == EVENT_exporter_silent
               ? "nothing comes from %s (%s) any more"
               : "%s sends %s again", address, protocol);
}
