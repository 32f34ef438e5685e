#include <config.h>

#include "daemon/watch.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/config.h"
#include "api/config_identity.h"
#include "collector/identity/journal.h"
#include "collector/identity/why.h"
#include "lib/clock.h"
#include "lib/dict.h"
#include "lib/log.h"
#include "ovsdb/watch.h"

/* How far each is trusted: doc/identity.md. */
static const struct {
    const char *source;
    uint8_t rank;
} ranks[] = {
    { WATCH_NORTHBOUND, 110 },
    { WATCH_SOUTHBOUND, 120 },
    { WATCH_LEARNED, 180 },
};
#define SWITCH_RANK 200

#define FULL (256 << 10)        /* Octets that are handed over together. */
#define WAIT_MS 20              /* While the journal has enough to do. */

struct watching {
    struct identity_journal *journal;
    struct dict *dict;
    struct why *why;
    struct ovsdb_watch *watch;
    atomic_bool stopping;
    struct identity_buffer buffer;      /* The watching thread's. */
};

/* ---- On the watching thread. ---- */

static uint64_t
first_generation(void *w_, const char *source)
{
    struct watching *w = w_;
    uint64_t last = identity_journal_generation(w->journal, source);
    uint64_t now = (uint64_t) clock_wall_us();
    return now > last ? now : last + 1;
}

static void
applied(void *aux, const struct identity_result *r)
{
    (void) aux;
    if (r->failed) {
        LOG_RATE(identity, WARN, "%zu endpoints of a database were refused: "
                 "%s", r->failed, r->first_error == -ENOSPC
                 ? "a limit of endpoints or keys is reached"
                 : strerror(-r->first_error));
    }
}

/* Waits while the journal is behind: that holds up nothing but this thread. */
static void
flush(void *w_)
{
    struct watching *w = w_;
    int error = 0;
    while (w->buffer.n) {
        error = identity_journal_submit(w->journal, &w->buffer, applied,
                                        NULL);
        if (error != -EAGAIN || atomic_load(&w->stopping)) {
            break;
        }
        struct timespec wait = { 0, WAIT_MS * 1000000L };
        nanosleep(&wait, NULL);
    }
    if (error) {
        identity_buffer_free(&w->buffer);
    }
    w->buffer = (struct identity_buffer) { .data = NULL };
}

static uint32_t
intern(struct watching *w, const char *text)
{
    return dict_passing(w->dict, text, strlen(text));
}

static size_t
keys_of(struct watching *w, const struct binding_event *e,
        struct identity_key *keys)
{
    size_t n = 0;
    const char *bridge = e->text[BINDING_BRIDGE];
    const char *port = e->text[BINDING_PORT];
    for (size_t i = 0; i < e->n_addresses; i++) {
        keys[n++] = identity_key_address(&e->addresses[i]);
    }
    for (size_t i = 0; i < e->n_macs; i++) {
        keys[n++] = identity_key_mac(e->macs[i]);
    }
    if (e->has_vni) {
        keys[n++] = identity_key_vni(e->vni);
    }
    if (e->by_port && bridge && port) {
        keys[n++] = identity_key_port(intern(w, bridge), intern(w, port));
    }
    return n;
}

static void
tell(void *w_, const struct binding_event *e)
{
    static const enum identity_op ops[] = {
        [BINDING_UPSERT] = IDENTITY_UPSERT,
        [BINDING_DELETE] = IDENTITY_DELETE,
        [BINDING_SYNC] = IDENTITY_SYNC,
        [BINDING_GAP] = IDENTITY_GAP,
    };
    static const enum identity_member members[BINDING_N_MEMBERS] = {
#define X(ID, NAME) [BINDING_##ID] = IDENTITY_##ID,
        BINDING_MEMBERS(X)
#undef X
    };
    struct watching *w = w_;
    struct identity_key keys[BINDING_MAX_ADDRESSES + BINDING_MAX_MACS + 2];
    struct identity_record r = { .op = ops[e->kind], .told_us = e->at_us };
    r.e.source = e->source;
    r.e.generation = e->generation;
    r.e.from_us = e->kind == BINDING_GAP ? e->since_us : e->at_us;
    r.e.to_us = e->kind == BINDING_GAP ? e->at_us : IDENTITY_OPEN;
    if (e->kind == BINDING_UPSERT || e->kind == BINDING_DELETE) {
        r.e.id = e->id;
    }
    if (e->kind == BINDING_UPSERT) {
        r.e.interface = e->interface;
        for (int i = 0; i < BINDING_N_MEMBERS; i++) {
            r.e.text[members[i]] = e->text[i];
        }
        r.e.keys = keys;
        r.e.n_keys = keys_of(w, e, keys);
    }
    identity_record_put(&w->buffer, w->dict, &r);
    if (w->buffer.n >= FULL) {
        flush(w);
    }
}

static void
tell_why(void *w_, const struct watch_why *list)
{
    struct watching *w = w_;
    struct why_table *t = why_table_create(w->dict);
    for (size_t i = 0; t && i < list->n_apps; i++) {
        why_add_app(t, list->apps[i].id, list->apps[i].drop);
    }
    for (size_t i = 0; t && i < list->n_acls; i++) {
        const struct watch_why_acl *a = &list->acls[i];
        why_add_acl(t, a->point, a->label, a->name, a->action, a->policy);
    }
    for (size_t i = 0; t && i < list->n_networks; i++) {
        why_add_network(t, list->networks[i].key, list->networks[i].name);
    }
    if (t && why_publish(w->why, t)) {
        t = NULL;
    }
    if (t) {
        LOG_RATE(identity, WARN, "%s", "out of memory: what OVN says of "
                 "samples is as it was");
        why_table_destroy(t);
    }
}

/* ---- On the main thread. ---- */

struct watching *
watching_create(struct identity_journal *journal, struct dict *dict,
                struct why *why)
{
    struct watching *w = calloc(1, sizeof *w);
    if (w) {
        w->journal = journal;
        w->dict = dict;
        w->why = why;
    }
    return w;
}

void
watching_stop(struct watching *w)
{
    if (w) {
        atomic_store(&w->stopping, true);
        ovsdb_watch_stop(w->watch);
        w->watch = NULL;
        atomic_store(&w->stopping, false);
        identity_buffer_free(&w->buffer);
        w->buffer = (struct identity_buffer) { .data = NULL };
    }
}

void
watching_destroy(struct watching *w)
{
    if (w) {
        watching_stop(w);
        free(w);
    }
}

static char *
join(char *const *list, size_t n)
{
    size_t size = 1;
    for (size_t i = 0; i < n; i++) {
        size += strlen(list[i]) + 1;
    }
    char *text = n ? malloc(size) : NULL;
    char *p = text;
    for (size_t i = 0; text && i < n; i++) {
        p += sprintf(p, "%s%s", i ? "," : "", list[i]);
    }
    return text;
}

/* A source that is not listened to any more tells nothing that still holds. */
static void
end_source(struct watching *w, const char *source)
{
    if (!identity_journal_generation(w->journal, source)) {
        return;                 /* It never told anything. */
    }
    struct identity_record r = { .op = IDENTITY_SYNC,
                                 .told_us = clock_wall_us() };
    struct identity_buffer b = { .data = NULL };
    r.e.source = source;
    r.e.generation = first_generation(w, source);
    r.e.from_us = r.told_us;
    identity_record_put(&b, w->dict, &r);
    if (identity_journal_submit(w->journal, &b, applied, NULL)) {
        identity_buffer_free(&b);
    }
}

struct ranking {
    struct identity *table;             /* NULL: through the journal. */
    struct identity_journal *journal;
};

static void
rank(const struct ranking *r, const char *source, uint8_t to)
{
    if (r->table) {
        (void) identity_rank(r->table, source, to);
    } else {
        (void) identity_journal_rank(r->journal, source, to);
    }
}

static void
rank_sources(const struct ranking *r, const struct config *c)
{
    char source[WATCH_SOURCE_SIZE];
    for (size_t i = 0; i < sizeof ranks / sizeof ranks[0]; i++) {
        rank(r, ranks[i].source, ranks[i].rank);
    }
    for (size_t i = 0; i < c->n_ovsdb_remotes; i++) {
        watch_source_name(i, c->ovsdb_remotes[i], source, sizeof source);
        rank(r, source, SWITCH_RANK);
    }
}

void
watching_rank(struct identity *table, const struct config *c)
{
    rank_sources(&(struct ranking) { table, NULL }, c);
}

void
watching_configure(struct watching *w, const struct config *c,
                   void (*reach)(void *aux, bool on), void *aux)
{
    char *southbound = join(c->identity->southbound,
                            c->identity->n_southbound);
    char *northbound = join(c->identity->northbound,
                            c->identity->n_northbound);
    struct ovsdb_watch_config wc = {
        .switches = (const char *const *) c->ovsdb_remotes,
        .n_switches = c->identity->ovsdb ? c->n_ovsdb_remotes : 0,
        .southbound = southbound, .northbound = northbound,
        .rules = c->identity->rules, .n_rules = c->identity->n_rules,
        .generation = first_generation,
        .tell = tell, .flush = flush, .why = tell_why, .aux = w,
        .reach = reach, .reach_aux = aux,
    };
    watching_stop(w);
    rank_sources(&(struct ranking) { NULL, w->journal }, c);
    if (!southbound) {
        end_source(w, WATCH_SOUTHBOUND);
        end_source(w, WATCH_LEARNED);
    }
    if (!northbound) {
        end_source(w, WATCH_NORTHBOUND);
    }
    if (!wc.n_switches) {
        end_source(w, "ovsdb");
    }
    w->watch = ovsdb_watch_start(&wc);
    free(southbound);
    free(northbound);
}

struct ovsdb_watch *
watching_watch(const struct watching *w)
{
    return w->watch;
}
