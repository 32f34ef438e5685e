/* ovsdb/watch.c -- see watch.h.
 *
 * Each database is a feed: an IDL of the columns of which something is read,
 * and for each of its rows that was told as an endpoint a hash of what was
 * said.  A change of a row tells that row again; where many rows depend on one
 * that changed, all are told again, but never for more than a third of the
 * time.  What has not changed is not told twice. */
#include "ovsdb/watch_p.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/fnv.h"
#include "lib/log.h"

/* Of silence, before the server is asked.  A server of OVN with many rows may be
 * busy with sending them for longer than a switch's ever is. */
#define SWITCH_PROBE_MS 5000
#define OVN_PROBE_MS 60000
#define MAX_TOLD (1u << 21)     /* Endpoints of one database. */
#define MIN_NAMES 8192
#define FLUSH_EVERY 256         /* Events. */
#define WHY_MIN_US 200000       /* Between two collections. */

/* An endpoint that was told. */
struct told {
    struct hmap_node node;
    struct uuid uuid;
    uint64_t hash;
    uint32_t pass;              /* In which it was there last. */
    bool learned;
};

/* ---- Links. ---- */

static struct link *
link_find(const struct hmap *map, const struct uuid *from)
{
    struct link *l;
    HMAP_FOR_EACH_WITH_HASH (l, node, uuid_hash(from), map) {
        if (uuid_equals(&l->from, from)) {
            return l;
        }
    }
    return NULL;
}

bool
link_set(struct hmap *map, const struct uuid *from, const struct uuid *to)
{
    struct link *l = link_find(map, from);
    if (!l) {
        l = xmalloc(sizeof *l);
        l->from = *from;
        l->to = *to;
        hmap_insert(map, &l->node, uuid_hash(from));
    }
    bool moved = l && !uuid_equals(&l->to, to);
    l->to = *to;
    return moved;
}

const struct uuid *
link_get(const struct hmap *map, const struct uuid *from)
{
    const struct link *l = link_find(map, from);
    return l ? &l->to : NULL;
}

void
link_remove(struct hmap *map, const struct uuid *from)
{
    struct link *l = link_find(map, from);
    if (l) {
        hmap_remove(map, &l->node);
        free(l);
    }
}

void
links_clear(struct hmap *map)
{
    struct link *l;
    HMAP_FOR_EACH_POP (l, node, map) {
        free(l);
    }
}

/* ---- Reading. ---- */

const struct ovsdb_datum *
feed_read(const struct feed *f, const struct ovsdb_idl_row *row,
          unsigned int c)
{
    return ovsdb_idl_read(row, f->kind->column[c]);
}

const char *
feed_text(const struct feed *f, const struct ovsdb_idl_row *row,
          unsigned int c)
{
    const struct ovsdb_datum *d = row ? feed_read(f, row, c) : NULL;
    const char *text = d && d->n ? json_string(d->keys[0].s) : NULL;
    return text && *text ? text : NULL;
}

int64_t
feed_number(const struct feed *f, const struct ovsdb_idl_row *row,
            unsigned int c)
{
    const struct ovsdb_datum *d = row ? feed_read(f, row, c) : NULL;
    return d && d->n ? d->keys[0].integer : 0;
}

/* Maps are sorted by key. */
const char *
map_get(const struct ovsdb_datum *d, const char *key)
{
    size_t low = 0, high = d->n;
    while (low < high) {
        size_t mid = (low + high) / 2;
        int cmp = strcmp(json_string(d->keys[mid].s), key);
        if (!cmp) {
            return json_string(d->values[mid].s);
        } else if (cmp < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return NULL;
}

const struct ovsdb_idl_row *
feed_row(const struct feed *f, unsigned int table, const struct uuid *uuid)
{
    const struct ovsdb_idl_row *row = uuid ? ovsdb_idl_get_row_for_uuid(
        f->idl, &f->kind->class->tables[table], uuid) : NULL;
    return row && row->old_datum ? row : NULL;
}

const struct ovsdb_idl_row *
feed_ref(const struct feed *f, const struct ovsdb_idl_row *row,
         unsigned int c, unsigned int table)
{
    const struct ovsdb_datum *d = row ? feed_read(f, row, c) : NULL;
    return d && d->n ? feed_row(f, table, &d->keys[0].uuid) : NULL;
}

bool
feed_modified(const struct feed *f, const struct ovsdb_idl_row *row,
              unsigned int c)
{
    return ovsdb_idl_track_is_updated(row, f->kind->column[c])
           && !ovsdb_idl_row_get_seqno(row, OVSDB_IDL_CHANGE_INSERT);
}

void
feed_adopt(struct feed *f, const struct ovsdb_idl_row *row, unsigned int c,
           void (*moved)(struct feed *, const struct uuid *))
{
    const struct ovsdb_datum *d = feed_read(f, row, c);
    for (size_t i = 0; i < d->n; i++) {
        if (link_set(&f->parents, &d->keys[i].uuid, &row->uuid) && moved
            && !f->passing) {
            moved(f, &d->keys[i].uuid);
        }
    }
}

/* Names are kept as their hashes; the row has the text. */
void
feed_name(struct feed *f, const char *name, const struct uuid *uuid)
{
    uint32_t hash = hash_string(name, 0);
    struct link *l;
    HMAP_FOR_EACH_WITH_HASH (l, node, hash, &f->names) {
        if (uuid_equals(&l->to, uuid)) {
            return;
        }
    }
    l = xzalloc(sizeof *l);
    l->to = *uuid;
    /* Those of rows that are gone are in the way. */
    if (hmap_count(&f->names) > MIN_NAMES + 4 * hmap_count(&f->told)) {
        feed_again(f);
    }
    hmap_insert(&f->names, &l->node, hash);
}

/* ---- Telling. ---- */

/* With its length, so that parts can't run into each other. */
static uint64_t
hash_more(uint64_t h, const void *p, size_t n)
{
    return (fnv_bytes(h, p, n) ^ n) * FNV_PRIME;
}

static uint64_t
hash_member(uint64_t h, const char *text)
{
    return hash_more(h, text ? text : "", text ? strlen(text) : 0);
}

static uint64_t
sheet_hash(const struct sheet *s)
{
    uint64_t h = hash_member(FNV_START, s->interface);
    for (int i = 0; i < BINDING_N_MEMBERS; i++) {
        h = hash_member(h, i == BINDING_LABELS ? s->label_text : s->text[i]);
    }
    h = hash_more(h, s->addresses, s->n_addresses * sizeof s->addresses[0]);
    h = hash_more(h, s->macs, s->n_macs * sizeof s->macs[0]);
    h = hash_more(h, &s->vni, sizeof s->vni);
    return hash_more(h, &s->by_port, sizeof s->by_port);
}

static void
tell(struct feed *f, struct binding_event *e, bool learned)
{
    e->source = learned ? WATCH_LEARNED : f->source;
    e->generation = f->generation;
    e->at_us = f->now_us;
    f->watch->config.tell(f->watch->config.aux, e);
    if (!(++f->n.events % FLUSH_EVERY)) {
        f->watch->config.flush(f->watch->config.aux);
    }
}

/* To all sources of the feed. */
static void
tell_sources(struct feed *f, struct binding_event *e)
{
    tell(f, e, false);
    if (f->kind == &feed_southbound) {
        tell(f, e, true);
    }
}

static struct told *
told_find(const struct feed *f, const struct uuid *uuid)
{
    struct told *t;
    HMAP_FOR_EACH_WITH_HASH (t, node, uuid_hash(uuid), &f->told) {
        if (uuid_equals(&t->uuid, uuid)) {
            return t;
        }
    }
    return NULL;
}

static int
compare_labels(const void *a_, const void *b_)
{
    const struct sheet_label *a = a_, *b = b_;
    return strcmp(a->key, b->key);
}

/* Appends 'text' with what separates labels escaped; false if there is not
 * room enough. */
static bool
put_escaped(char *out, size_t *n, const char *text)
{
    for (; *text; text++) {
        if (strchr(",=\\", *text)) {
            if (*n >= BINDING_MAX_TEXT) {
                return false;
            }
            out[(*n)++] = '\\';
        }
        if (*n >= BINDING_MAX_TEXT) {
            return false;
        }
        out[(*n)++] = *text;
    }
    return true;
}

/* "key=value,key=value", sorted by key; labels for which there is no room are
 * left out. */
static void
write_labels(struct sheet *s)
{
    size_t n = 0;
    qsort(s->labels, s->n_labels, sizeof s->labels[0], compare_labels);
    for (size_t i = 0; i < s->n_labels; i++) {
        size_t before = n;
        if (n && n < BINDING_MAX_TEXT) {
            s->label_text[n++] = ',';
        }
        bool fits = put_escaped(s->label_text, &n, s->labels[i].key)
                    && n < BINDING_MAX_TEXT;
        if (fits) {
            s->label_text[n++] = '=';
            fits = put_escaped(s->label_text, &n, s->labels[i].value);
        }
        if (!fits) {
            s->n->too_many++;
            n = before;
        }
    }
    s->label_text[n] = '\0';
}

void
feed_tell(struct feed *f, const struct uuid *uuid, const struct sheet *s_)
{
    struct sheet *s = CONST_CAST(struct sheet *, s_);
    struct told *t = told_find(f, uuid);
    write_labels(s);
    uint64_t hash = sheet_hash(s);
    if (t) {
        t->pass = f->pass;
        if (t->hash == hash) {
            return;
        }
    } else {
        if (hmap_count(&f->told) >= MAX_TOLD) {
            f->n.refused++;
            return;
        }
        t = xmalloc(sizeof *t);
        t->uuid = *uuid;
        t->pass = f->pass;
        hmap_insert(&f->told, &t->node, uuid_hash(uuid));
    }
    t->hash = hash;
    t->learned = s->learned;

    char id[UUID_LEN + 1];
    snprintf(id, sizeof id, UUID_FMT, UUID_ARGS(uuid));
    struct binding_event e = {
        .kind = BINDING_UPSERT, .id = id,
        .interface = s->interface,
        .addresses = s->addresses, .n_addresses = s->n_addresses,
        .macs = s->macs, .n_macs = s->n_macs,
        .vni = s->vni, .has_vni = s->has_vni, .by_port = s->by_port,
    };
    memcpy(e.text, s->text, sizeof e.text);
    e.text[BINDING_LABELS] = s->label_text;
    tell(f, &e, s->learned);
}

static void
told_end(struct feed *f, struct told *t)
{
    char id[UUID_LEN + 1];
    snprintf(id, sizeof id, UUID_FMT, UUID_ARGS(&t->uuid));
    struct binding_event e = { .kind = BINDING_DELETE, .id = id };
    tell(f, &e, t->learned);
    hmap_remove(&f->told, &t->node);
    free(t);
}

void
feed_forget(struct feed *f, const struct uuid *uuid)
{
    struct told *t = told_find(f, uuid);
    if (t) {
        told_end(f, t);
    }
}

void
feed_again(struct feed *f)
{
    f->again = true;
}

/* ---- Changes. ---- */

static void
tell_row(struct feed *f, unsigned int table, const struct ovsdb_idl_row *row)
{
    sheet_clear(&f->watch->sheet, &f->n);
    f->kind->row(f, table, row, &f->watch->sheet);
}

/* Tells all rows; what was told and is not there any more is gone. */
static void
tell_all(struct feed *f)
{
    int64_t start_us = clock_mono_us();
    f->again = false;
    f->pass++;
    f->passing = true;
    links_clear(&f->names);
    for (unsigned int t = 0; t < f->kind->n_tables; t++) {
        const struct ovsdb_idl_row *row = ovsdb_idl_first_row(
            f->idl, &f->kind->class->tables[t]);
        for (; row; row = ovsdb_idl_next_row(row)) {
            tell_row(f, t, row);
        }
    }
    f->passing = false;
    struct told *t, *next;
    HMAP_FOR_EACH_SAFE (t, next, node, &f->told) {
        if (t->pass != f->pass) {
            told_end(f, t);
        }
    }
    if (!f->synced) {
        /* Of what was told before a restart, and is not true any more. */
        struct binding_event e = { .kind = BINDING_SYNC };
        f->synced = true;
        tell_sources(f, &e);
    }
    int64_t end_us = clock_mono_us();
    f->pass_due_us = end_us + 2 * (end_us - start_us);
}

static void
tell_changes(struct feed *f)
{
    for (unsigned int t = 0; t < f->kind->n_tables; t++) {
        const struct ovsdb_idl_row *row = ovsdb_idl_track_get_first(
            f->idl, &f->kind->class->tables[t]);
        for (; row; row = ovsdb_idl_track_get_next(row)) {
            if (row->old_datum) {
                tell_row(f, t, row);
            } else {
                feed_forget(f, &row->uuid);
                if (f->kind->gone) {
                    f->kind->gone(f, t, &row->uuid);
                }
            }
        }
    }
}

static const char *
feed_reason(const struct feed *f)
{
    int error = ovsdb_idl_get_last_error(f->idl);
    return error == EOF ? "the server closed the connection"
           : error > 0 ? ovs_strerror(error) : "connecting";
}

static void
feed_went(struct feed *f, bool up)
{
    int64_t now_us = clock_wall_us();
    if (up) {
        LOG(identity, NOTICE, "%s: connected to %s", f->source, f->remote);
        if (f->synced) {
            struct binding_event e = { .kind = BINDING_GAP,
                                       .since_us = f->changed_us };
            f->n.gaps++;
            f->now_us = now_us;
            tell_sources(f, &e);
        }
        f->again = f->fresh = true;
        f->pass_due_us = 0;
    } else {
        LOG(identity, INFO, "%s: not connected to %s: %s; what it said last "
            "is kept", f->source, f->remote, feed_reason(f));
    }
    f->up = up;
    f->changed_us = now_us;
}

/* Connects, too; only then does it get the right that this may take. */
static void
run_idl(struct feed *f)
{
    const struct ovsdb_watch_config *c = &f->watch->config;
    bool reach = c->reach && !ovsdb_idl_is_connected(f->idl)
                 && strstr(f->remote, "unix:");
    if (reach) {
        c->reach(c->reach_aux, true);
    }
    ovsdb_idl_run(f->idl);
    if (reach) {
        c->reach(c->reach_aux, false);
    }
}

static void
feed_run(struct feed *f, int64_t *wake_us)
{
    run_idl(f);
    bool up = ovsdb_idl_has_ever_connected(f->idl)
              && ovsdb_idl_is_connected(f->idl);
    unsigned int seqno = ovsdb_idl_get_seqno(f->idl);
    if (up != f->up) {
        feed_went(f, up);
    }
    f->now_us = clock_wall_us();
    if (seqno != f->seqno) {
        f->seqno = seqno;
        /* The first answer of a connection may have begun with an empty
         * database: rows that are gone were deleted without a track.  (When it
         * was connected the old rows were still there.) */
        f->again |= up && f->fresh;
        f->fresh &= !up;
        if (f->synced) {
            tell_changes(f);
        }
        ovsdb_idl_track_clear(f->idl);
    }
    if (f->again && up) {
        int64_t now_us = clock_mono_us();
        if (now_us >= f->pass_due_us) {
            tell_all(f);
        } else {
            *wake_us = MIN(*wake_us, f->pass_due_us);
        }
    }
}

/* ---- The thread. ---- */

static void
make_class(struct feed_kind *k)
{
    if (!k->class) {
        k->column = xcalloc(k->n_columns, sizeof *k->column);
        k->class = schema_make(k->database, k->tables, k->n_tables,
                               k->columns, k->n_columns, k->column);
    }
}

static void
feed_open(struct feed *f)
{
    f->idl = ovsdb_idl_create_unconnected(f->kind->class, false);
    ovsdb_idl_set_leader_only(f->idl, false);   /* Relays and followers. */
    for (size_t i = 0; i < f->kind->n_columns; i++) {
        ovsdb_idl_track_add_column(f->idl, f->kind->column[i]);
    }
    ovsdb_idl_set_remote(f->idl, f->remote, true);
    ovsdb_idl_set_probe_interval(f->idl, f->kind == &feed_switch
                                         ? SWITCH_PROBE_MS : OVN_PROBE_MS);
    void *aux = f->watch->config.aux;
    f->generation = f->watch->config.generation(aux, f->source);
    if (f->kind == &feed_southbound) {
        uint64_t learned = f->watch->config.generation(aux, WATCH_LEARNED);
        f->generation = MAX(f->generation, learned);
    }
    f->changed_us = clock_wall_us();
}

static void
feed_close(struct feed *f)
{
    struct told *t;
    ovsdb_idl_destroy(f->idl);
    HMAP_FOR_EACH_POP (t, node, &f->told) {
        free(t);
    }
    links_clear(&f->parents);
    links_clear(&f->names);
    links_clear(&f->networks);
    hmap_destroy(&f->told);
    hmap_destroy(&f->parents);
    hmap_destroy(&f->names);
    hmap_destroy(&f->networks);
}

static void
publish_status(struct ovsdb_watch *w)
{
    pthread_mutex_lock(&w->mutex);
    for (size_t i = 0; i < w->n_feeds; i++) {
        const struct feed *f = &w->feeds[i];
        struct watch_status *s = &w->status[i];
        s->connected = f->up;
        s->since_us = f->changed_us;
        s->endpoints = hmap_count(&f->told);
        s->n = f->n;
        snprintf(s->reason, sizeof s->reason, "%s",
                 f->up ? "" : feed_reason(f));
    }
    pthread_mutex_unlock(&w->mutex);
}

static void
why_run(struct ovsdb_watch *w, int64_t *wake_us)
{
    int64_t now_us = clock_mono_us();
    if (w->why_dirty && now_us >= w->why_due_us) {
        w->why_dirty = false;
        watch_why_collect(w);
        int64_t end_us = clock_mono_us();
        w->why_due_us = end_us + MAX(2 * (end_us - now_us), WHY_MIN_US);
    } else if (w->why_dirty) {
        *wake_us = MIN(*wake_us, w->why_due_us);
    }
}

static void *
thread_main(void *w_)
{
    struct ovsdb_watch *w = w_;
    bool stopping = false;
    for (size_t i = 0; i < w->n_feeds; i++) {
        make_class(w->feeds[i].kind);
        feed_open(&w->feeds[i]);
    }
    while (!stopping) {
        uint64_t drained;
        ssize_t got = read(w->wake_fd, &drained, sizeof drained);
        (void) got;
        pthread_mutex_lock(&w->mutex);
        stopping = w->stopping;
        pthread_mutex_unlock(&w->mutex);

        int64_t wake_us = INT64_MAX;
        for (size_t i = 0; i < w->n_feeds && !stopping; i++) {
            feed_run(&w->feeds[i], &wake_us);
        }
        w->config.flush(w->config.aux);
        why_run(w, &wake_us);
        publish_status(w);
        ovs_strings_sweep_often();
        for (size_t i = 0; i < w->n_feeds; i++) {
            ovsdb_idl_wait(w->feeds[i].idl);
        }
        poll_fd_wait(w->wake_fd, POLLIN);
        if (wake_us != INT64_MAX) {
            int64_t left_us = wake_us - clock_mono_us();
            poll_timer_wait(left_us > 0 ? (left_us + 999) / 1000 : 0);
        }
        if (stopping) {
            poll_immediate_wake();
        }
        poll_block();
    }
    for (size_t i = 0; i < w->n_feeds; i++) {
        feed_close(&w->feeds[i]);
    }
    ovs_strings_clear();
    return NULL;
}

void
watch_source_name(size_t i, const char *remote, char *buf, size_t size)
{
    if (i) {
        snprintf(buf, size, "ovsdb %s", remote);
    } else {
        snprintf(buf, size, "ovsdb");
    }
}

static struct feed *
add_feed(struct ovsdb_watch *w, struct feed_kind *kind, const char *source,
         const char *remote)
{
    struct feed *f = &w->feeds[w->n_feeds];
    struct watch_status *s = &w->status[w->n_feeds++];
    f->watch = w;
    f->kind = kind;
    f->remote = xstrdup(remote);
    snprintf(f->source, sizeof f->source, "%s", source);
    snprintf(s->source, sizeof s->source, "%s", source);
    snprintf(s->remote, sizeof s->remote, "%s", remote);
    snprintf(s->reason, sizeof s->reason, "connecting");
    hmap_init(&f->told);
    hmap_init(&f->parents);
    hmap_init(&f->names);
    hmap_init(&f->networks);
    return f;
}

static void
watch_free(struct ovsdb_watch *w)
{
    for (size_t i = 0; i < w->n_feeds; i++) {
        free(w->feeds[i].remote);
    }
    if (w->wake_fd >= 0) {
        close(w->wake_fd);
    }
    watch_ruleset_destroy(w->rules);
    pthread_mutex_destroy(&w->mutex);
    free(w->feeds);
    free(w->status);
    free(w);
}

struct ovsdb_watch *
ovsdb_watch_start(const struct ovsdb_watch_config *config)
{
    size_t n = config->n_switches + 2;
    if (!config->n_switches && !config->southbound && !config->northbound) {
        return NULL;
    }
    struct ovsdb_watch *w = xzalloc(sizeof *w);
    w->config = *config;
    w->config.switches = NULL;          /* The caller's. */
    w->config.rules = NULL;
    w->feeds = xcalloc(n, sizeof *w->feeds);
    w->status = xcalloc(n, sizeof *w->status);
    w->rules = watch_ruleset_create(config->rules, config->n_rules);
    pthread_mutex_init(&w->mutex, NULL);
    w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    for (size_t i = 0; i < config->n_switches; i++) {
        char source[WATCH_SOURCE_SIZE];
        watch_source_name(i, config->switches[i], source, sizeof source);
        add_feed(w, &feed_switch, source, config->switches[i]);
    }
    if (config->southbound) {
        w->sb = add_feed(w, &feed_southbound, WATCH_SOUTHBOUND,
                         config->southbound);
    }
    if (config->northbound) {
        w->nb = add_feed(w, &feed_northbound, WATCH_NORTHBOUND,
                         config->northbound);
    }
    if (w->wake_fd < 0) {
        watch_free(w);
        return NULL;
    }
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    w->thread = ovs_thread_create("watch", thread_main, w);
    ovsrcu_quiesce_start();
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return w;
}

void
ovsdb_watch_stop(struct ovsdb_watch *w)
{
    if (w) {
        uint64_t one = 1;
        pthread_mutex_lock(&w->mutex);
        w->stopping = true;
        pthread_mutex_unlock(&w->mutex);
        ssize_t n = write(w->wake_fd, &one, sizeof one);
        (void) n;
        pthread_join(w->thread, NULL);
        watch_free(w);
    }
}

size_t
ovsdb_watch_status(struct ovsdb_watch *w, struct watch_status *list,
                   size_t max)
{
    pthread_mutex_lock(&w->mutex);
    size_t n = MIN(max, w->n_feeds);
    memcpy(list, w->status, n * sizeof *list);
    pthread_mutex_unlock(&w->mutex);
    return n;
}
