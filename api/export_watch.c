#include <config.h>

#include "api/export_state.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/event.h"
#include "lib/fnv.h"

/* A bridge and protocol, and how it was. */
struct was {
    uint64_t key;
    enum export_state state;
    bool seen;                  /* This time. */
    char *subject;
};

struct export_watch {
    struct was *list;           /* By key. */
    size_t n, room;
    size_t n_sorted;            /* Of them; the rest is new. */
    bool began;
};

struct export_watch *
export_watch_create(void)
{
    return calloc(1, sizeof(struct export_watch));
}

void
export_watch_destroy(struct export_watch *w)
{
    if (w) {
        for (size_t i = 0; i < w->n; i++) {
            free(w->list[i].subject);
        }
        free(w->list);
        free(w);
    }
}

static int
compare(const void *a, const void *b)
{
    const struct was *x = a, *y = b;
    return x->key < y->key ? -1 : x->key > y->key;
}

static uint64_t
key_of(const struct ovsdb_status *st)
{
    uint64_t h = fnv_text_end(fnv_text_end(FNV_START, st->remote),
                              st->bridge);
    return (h ^ st->sample_id) * 8 + (uint64_t) st->table * 2 + st->sample;
}

static struct was *
get(struct export_watch *w, const struct ovsdb_status *st)
{
    struct was key = { .key = key_of(st) };
    struct was *found = w->n_sorted
                        ? bsearch(&key, w->list, w->n_sorted, sizeof key,
                                  compare) : NULL;
    if (found) {
        return found;
    }
    if (w->n == w->room) {
        size_t room = w->room ? w->room * 2 : 64;
        struct was *list = realloc(w->list, room * sizeof *list);
        if (!list) {
            return NULL;
        }
        w->list = list;
        w->room = room;
    }
    char sample[24] = "";
    if (st->sample) {
        snprintf(sample, sizeof sample, " %u", st->sample_id);
    }
    key.state = STATE_OFF;
    if (asprintf(&key.subject, "%s %s%s", st->bridge,
                 st->sample ? "flow-sample" : export_table_name(st->table),
                 sample) < 0) {
        return NULL;
    }
    w->list[w->n] = key;
    return &w->list[w->n++];
}

static void
tell(const char *subject, const struct ovsdb_status *st, enum event_kind kind,
     enum export_state state, enum export_state before, const char *reason)
{
    event_post(kind, subject,
               EVENT_DETAIL(EVENT_TEXT("remote", st->remote),
                            EVENT_TEXT("bridge", st->bridge),
                            EVENT_TEXT("protocol",
                                       st->sample ? "flow-sample"
                                       : export_table_name(st->table)),
                            EVENT_TEXT("policy", st->policy),
                            EVENT_TEXT("state", export_state_name(state)),
                            EVENT_TEXT("before", export_state_name(before)),
                            EVENT_TEXT("reason", reason)),
               "%s: %s: %s", subject, export_state_name(state), reason);
}

static void
note(void *watch, const struct ovsdb_status *st, enum export_state state,
     const char *reason)
{
    static const struct {
        enum export_state state;
        enum event_kind kind;
    } kinds[] = {
        { STATE_RECEIVING, EVENT_export_receiving },
        { STATE_SILENT, EVENT_export_silent },
        { STATE_CONFLICT, EVENT_export_conflict },
        { STATE_ERROR, EVENT_export_error },
    };
    struct was *was = get(watch, st);
    bool told = false;

    if (!was) {
        return;
    }
    was->seen = true;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (state == kinds[i].state) {
            told = true;
            if (was->state != state) {
                tell(was->subject, st, kinds[i].kind, state, was->state,
                     reason);
                was->state = state;
            }
        }
    }
    /* On the way from one to another, nothing is news. */
    if (!told && state == STATE_OFF) {
        was->state = STATE_OFF;
    }
}

void
export_watch_step(struct export_watch *w, const struct api_context *c,
                  int64_t now_us)
{
    size_t n = 0;

    for (size_t i = 0; i < w->n; i++) {
        w->list[i].seen = false;
    }
    export_states_each(c, now_us, note, w);
    for (size_t i = 0; i < w->n; i++) {
        if (w->list[i].seen) {
            w->list[n++] = w->list[i];
            continue;
        }
        if (w->list[i].state != STATE_OFF) {
            event_post(EVENT_export_removed, w->list[i].subject, NULL,
                       "%s: no export is wanted there any more",
                       w->list[i].subject);
        }
        free(w->list[i].subject);
    }
    w->n = n;
    qsort(w->list, w->n, sizeof *w->list, compare);
    w->n_sorted = w->n;
}
