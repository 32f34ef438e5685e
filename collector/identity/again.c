#include <config.h>

#include "collector/identity/again.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/identity/journal.h"
#include "collector/identity/stage.h"
#include "lib/dict.h"

/* Later than any flow, and than any interval's end. */
#define FOREVER (INT64_MAX - 2)
#define ASK_EACH 1024           /* Intervals, between two questions. */

struct identity_again {
    struct identity *table;
};

struct filling {
    struct identity *table;
    struct dict *dict;
    enum identity_resolve resolve;
    int64_t now_us;
    bool (*over)(void *);
    void *aux;
    uint64_t n;
    int error;
};

/* The port of a bridge has a number of the process's dictionary in memory, and
 * none in files: it is made out of the words. */
static void
add_port(struct filling *f, const struct past_interval *v,
         struct identity_key *keys, size_t *n)
{
    const char *bridge = v->text[IDENTITY_BRIDGE];
    const char *port = v->text[IDENTITY_PORT];
    if (bridge && *bridge && port && *port) {
        keys[(*n)++] = identity_key_port(
            dict_passing(f->dict, bridge, strlen(bridge)),
            dict_passing(f->dict, port, strlen(port)));
    }
}

/* An interval as a fact about the past of its own, tied to the others of its
 * endpoint by the interface. */
static bool
add(void *filling_, const struct past_interval *v, uint8_t rank)
{
    struct filling *f = filling_;
    char tie[IDENTITY_MAX_TEXT + 1], id[24];
    struct identity_key keys[2] = { v->key };
    size_t n = v->key.kind != IDENTITY_KEY_PORT;
    struct identity_endpoint e = {
        .source = v->source, .id = id, .interface = v->interface,
        .keys = keys, .from_us = v->from_us, .to_us = v->to_us,
    };

    if (++f->n > AGAIN_MAX) {
        f->error = -E2BIG;
    } else if (f->n % ASK_EACH == 0 && f->over && f->over(f->aux)) {
        f->error = -ECANCELED;
    }
    if (f->error) {
        return false;
    }
    add_port(f, v, keys, &n);
    if (f->resolve == RESOLVE_NOW) {
        if (v->from_us > f->now_us || v->to_us <= f->now_us) {
            return true;
        }
        e.from_us = 0;
        e.to_us = FOREVER;
    }
    e.to_us = e.to_us > FOREVER ? FOREVER : e.to_us;
    if (!n || e.from_us >= e.to_us) {
        return true;
    }
    e.n_keys = n;
    memcpy(e.text, v->text, sizeof e.text);
    snprintf(id, sizeof id, "%llx", (unsigned long long) f->n);
    if (!e.interface || !*e.interface) {
        snprintf(tie, sizeof tie, "%.255s/%.3000s", v->source, v->id);
        e.interface = tie;
    }
    identity_rank(f->table, v->source, rank);
    int error = identity_upsert(f->table, &e, FOREVER);
    f->error = error == -ENOMEM || error == -ENOSPC ? error : 0;
    return !f->error;
}

int
identity_again_create(struct identity_journal *j, struct dict *dict,
                      enum identity_resolve resolve, int64_t from_us,
                      int64_t to_us, int64_t now_us, bool (*over)(void *),
                      void *aux, struct identity_again **out)
{
    struct filling f = { .dict = dict, .resolve = resolve, .now_us = now_us,
                         .over = over, .aux = aux };
    struct identity_again *a = calloc(1, sizeof *a);

    *out = NULL;
    if (!a || !(a->table = identity_create(
                    dict, &(struct identity_limits) { .names = 0 }))) {
        free(a);
        return -ENOMEM;
    }
    f.table = a->table;
    if (resolve == RESOLVE_NOW) {
        from_us = now_us;
        to_us = now_us + 1;
    }
    identity_journal_each(j, from_us, to_us, add, &f);
    if (f.error) {
        identity_again_destroy(a);
        return f.error == -ENOSPC ? -E2BIG : f.error;
    }
    *out = a;
    return 0;
}

void
identity_again_destroy(struct identity_again *a)
{
    if (a) {
        identity_destroy(a->table);
    }
    free(a);
}

void
identity_again_process(struct identity_again *a, struct flow_batch *b)
{
    identity_name_batch(a->table, b);
}
