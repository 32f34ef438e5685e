/* api/methods_endpoint.c -- who is behind an address: told by orchestrators,
 * asked by people. */
#include <config.h>

#include "api/methods.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/context.h"
#include "api/endpoint.h"
#include "api/inventories.h"
#include "api/json.h"
#include "collector/filter/confine.h"
#include "collector/identity/labels.h"
#include "collector/query/query.h"
#include "lib/clock.h"
#include "lib/dict.h"

#define MAX_ENDPOINTS 10000     /* In one call. */
#define MAX_AUDITED 32          /* The audit log says how they were before. */
#define MAX_LIST 1000
#define LABEL_NAME 128          /* Of a label, where it is only named. */
#define IN_MEMORY_US INT64_C(7200000000)     /* Ended since: not in a file. */
#define MAX_LOOKED 20000       /* Endpoints that one page passes over. */

/* The journal, or NULL with the call answered. */
static struct identity_journal *
journal_of(struct rpc_call *call)
{
    struct identity_journal *j = rpc_context(call)->identities;
    if (!j) {
        rpc_fail(call, RPC_UNAVAILABLE, NULL, "identities are not kept");
    }
    return j;
}

/* ---- Telling. ---- */

/* A call that waits for the journal. */
struct telling {
    struct rpc_call *call;
    struct api *api;
    struct identity_result result;
    size_t n;
    struct identity_journal *journal;
    char *source;
    struct json_object *before; /* For the audit log; NULL: too many. */
};

static void
telling_free(struct telling *t)
{
    if (t) {
        json_object_put(t->before);
        free(t->source);
        free(t);
    }
}

struct asked {
    const struct dict *dict;
    const char *source;
    struct json_object *ids, *rows, *row;
};

static bool
add_asked(void *asked, const struct identity_row *row)
{
    struct asked *a = asked;
    a->row = endpoint_row_to_json(a->dict, row);
    return false;
}

static void
ask_locked(void *asked, const struct identity *t)
{
    struct asked *a = asked;
    json_object_object_foreach(a->ids, id, v) {
        (void) v;
        a->row = NULL;
        identity_get(t, a->source, id, add_asked, a);
        json_object_object_add(a->rows, id, a->row);
    }
}

/* How the endpoints whose ids are the members of 'ids' are now. */
static struct json_object *
rows_of(struct rpc_call *call, struct identity_journal *j,
        const char *source, struct json_object *ids)
{
    struct asked a = { .dict = rpc_context(call)->dict, .source = source,
                       .ids = ids, .rows = json_object_new_object() };
    identity_journal_locked(j, ask_locked, &a);
    return a.rows;
}

static const char *
why(int error)
{
    switch (error) {
    case -ESTALE:
        return "its generation is older than one that was told before";
    case -ENOSPC:
        return "a limit of endpoints, keys or sources is reached";
    default:
        return strerror(-error);
    }
}

static void
deliver(void *aux)
{
    struct telling *t = aux;
    const struct identity_result *r = &t->result;
    struct json_object *o = json_object_new_object();

    if (t->before) {
        rpc_audit(t->call, json_object_get(t->before), rows_of(
                      t->call, t->journal, t->source, t->before));
    }
    reply_uint(o, "accepted", t->n > r->failed ? t->n - r->failed : 0);
    reply_uint(o, "refused", r->failed);
    reply_uint(o, "ended", r->ended);
    reply_bool(o, "durable", !r->durable);
    if (r->failed) {
        char text[160];
        if (r->first_failed < t->n) {
            snprintf(text, sizeof text, "endpoints[%zu]: %s",
                     r->first_failed, why(r->first_error));
        } else {
            snprintf(text, sizeof text, "complete: %s", why(r->first_error));
        }
        reply_string(o, "error", text);
    } else {
        reply_string(o, "error", r->durable
                                 ? "it is not on disk; system.health says why"
                                 : NULL);
    }
    rpc_reply(t->call, o);
    telling_free(t);
}

/* On the journal's thread. */
static void
told(void *aux, const struct identity_result *r)
{
    struct telling *t = aux;
    t->result = *r;
    api_post(t->api, deliver, t);
}

/* 'ids' has, if they are few, the endpoints' ids as members. */
static void
submit(struct rpc_call *call, struct identity_journal *j,
       struct identity_buffer *b, size_t n, const char *source,
       struct json_object *ids)
{
    struct telling *t = calloc(1, sizeof *t);
    int error = -ENOMEM;
    if (t) {
        *t = (struct telling) { .call = call, .api = rpc_api(call), .n = n,
                                .journal = j, .source = strdup(source) };
        if (t->source && n <= MAX_AUDITED && rpc_is_audited(call)) {
            t->before = rows_of(call, j, source, ids);
        }
        error = identity_journal_submit(j, b, told, t);
    }
    if (error) {
        telling_free(t);
        identity_buffer_free(b);
        rpc_fail(call, error == -EAGAIN ? RPC_BUSY : RPC_INTERNAL_ERROR, NULL,
                 error == -EAGAIN ? "too much waits to be written; try again "
                 "in a second" : "out of memory");
    }
}

/* Reads 'generation'; false with the call answered. */
static bool
read_generation(struct rpc_call *call, struct json_object *params,
                uint64_t *generation)
{
    struct json_object *v = json_member(params, "generation");
    int64_t n = v ? json_object_get_int64(v) : 0;
    if (n < 0) {
        rpc_fail(call, RPC_INVALID_PARAMS, "generation",
                 "must not be negative");
        return false;
    }
    *generation = (uint64_t) n;
    return true;
}

static bool
read_source(struct rpc_call *call, struct json_object *params,
            const char **source)
{
    *source = json_text(params, "source");
    size_t n = strlen(*source);
    if (!n || n > 255
        || n != (size_t) json_object_get_string_len(json_member(params,
                                                           "source"))) {
        rpc_fail(call, RPC_INVALID_PARAMS, "source",
                 "one to 255 bytes, none of them 0");
        return false;
    }
    return true;
}

static void
endpoint_upsert(struct rpc_call *call, struct json_object *params)
{
    struct identity_journal *j = journal_of(call);
    struct json_object *list = json_member(params, "endpoints");
    struct identity_record rec = { .op = IDENTITY_UPSERT,
                                   .told_us = clock_wall_us() };
    const char *source;
    uint64_t generation;

    if (!j || !read_source(call, params, &source)
        || !read_generation(call, params, &generation)) {
        return;
    }
    bool complete = json_object_get_boolean(json_member(params, "complete"));
    size_t n = json_object_array_length(list);
    if (complete && !generation) {
        rpc_fail(call, RPC_INVALID_PARAMS, "generation", "complete needs a "
                 "generation: what was told with an older one is ended");
        return;
    }
    if (n > MAX_ENDPOINTS) {
        rpc_fail(call, RPC_INVALID_PARAMS, "endpoints",
                 "at most %d in one call", MAX_ENDPOINTS);
        return;
    }
    struct endpoint_reading *r = calloc(1, sizeof *r);
    struct identity_buffer b = { .data = NULL };
    struct json_object *ids = json_object_new_object();
    bool right = r != NULL;
    if (r) {
        r->dict = rpc_context(call)->dict;
        r->now_us = rec.told_us;
    }
    for (size_t i = 0; i < n && right; i++) {
        right = endpoint_read(r, json_object_array_get_idx(list, i), source,
                              generation, &rec.e);
        if (right) {
            identity_record_put(&b, r->dict, &rec);
            if (n <= MAX_AUDITED) {
                json_object_object_add(ids, rec.e.id, NULL);
            }
        } else {
            char where[96];
            snprintf(where, sizeof where, "endpoints[%zu]%s%s", i,
                     *r->member ? "." : "", r->member);
            rpc_fail(call, RPC_INVALID_PARAMS, where, "%s", r->error);
        }
    }
    if (right && complete) {
        rec.op = IDENTITY_SYNC;
        rec.e = (struct identity_endpoint) {
            .source = source, .generation = generation,
            .from_us = rec.told_us };
        identity_record_put(&b, r->dict, &rec);
    }
    if (right) {
        submit(call, j, &b, n, source, ids);
    } else {
        identity_buffer_free(&b);
        if (!r) {
            rpc_fail(call, RPC_INTERNAL_ERROR, NULL, "out of memory");
        }
    }
    json_object_put(ids);
    free(r);
}

static bool
is_id(struct json_object *v)
{
    int n = json_object_is_type(v, json_type_string)
            ? json_object_get_string_len(v) : 0;
    return n && n <= IDENTITY_MAX_TEXT
           && strlen(json_object_get_string(v)) == (size_t) n;
}

static void
endpoint_delete(struct rpc_call *call, struct json_object *params)
{
    struct identity_journal *j = journal_of(call);
    struct json_object *list = json_member(params, "ids");
    struct identity_record rec = { .op = IDENTITY_DELETE,
                                   .told_us = clock_wall_us() };
    struct identity_buffer b = { .data = NULL };

    if (!j || !read_source(call, params, &rec.e.source)) {
        return;
    }
    const char *at = json_text(params, "at");
    rec.e.from_us = rec.told_us;
    if (at && time_parse_us(at, rec.told_us, &rec.e.from_us)) {
        rpc_fail(call, RPC_INVALID_PARAMS, "at", "a time is expected");
        return;
    }
    size_t n = json_object_array_length(list);
    struct json_object *ids = json_object_new_object();
    for (size_t i = 0; i < n && i <= MAX_ENDPOINTS; i++) {
        struct json_object *v = json_object_array_get_idx(list, i);
        char where[32];
        snprintf(where, sizeof where, "ids[%zu]", i);
        const char *bad = i == MAX_ENDPOINTS ? "too many in one call"
                          : !is_id(v) ? "one to 4096 bytes are expected, none "
                                        "of them 0" : NULL;
        if (bad) {
            rpc_fail(call, RPC_INVALID_PARAMS, where, "%s", bad);
            identity_buffer_free(&b);
            json_object_put(ids);
            return;
        }
        rec.e.id = json_object_get_string(v);
        identity_record_put(&b, rpc_context(call)->dict, &rec);
        if (n <= MAX_AUDITED) {
            json_object_object_add(ids, rec.e.id, NULL);
        }
    }
    submit(call, j, &b, n, rec.e.source, ids);
    json_object_put(ids);
}

/* ---- Asking. ---- */

/* What the caller wants of all that is found. */
struct asking {
    const struct dict *dict;
    struct json_object *list;
    const char *source, *tenant, *network;
    const struct confine *confine;      /* Who asks sees these tenants alone. */
    size_t limit, looked;
};

static bool
wanted(const char *want, const char *have)
{
    return !want || !strcmp(want, have);
}

static bool
visible(const struct asking *a, const char *tenant)
{
    return !a->confine || confine_has(a->confine, tenant);
}

static void
add_match(void *aux, const struct identity_found *f)
{
    struct asking *a = aux;
    const struct past_interval *v = &f->v;
    struct json_object *o = json_object_new_object();
    reply_string(o, "source", v->source);
    reply_string(o, "id", v->id);
    reply_string(o, "interface", *v->interface ? v->interface : NULL);
    endpoint_put_members(o, v->text);
    endpoint_add_key(o, a->dict, &v->key);
    endpoint_put_interval(o, v->from_us, v->to_us);
    reply_uint(o, "trust", f->rank);
    reply_bool(o, "gap", f->gap);
    json_object_array_add(a->list, o);
}

/* Who says what of an endpoint that several tell of. */
struct provenance {
    struct json_object *match;
    struct json_object *said_by;
    const char *labels;         /* Of the most trusted one that has some. */
};

static void
add_peer(void *aux, const char *source, const struct identity_face *f)
{
    struct provenance *p = aux;
    const char *labels = identity_text(f, IDENTITY_LABELS);
    struct label l;
    /* Those that the most trusted one does not say. */
    while (json_object_object_get_ex(p->said_by, "labels", NULL)
           && labels_next(&labels, &l)) {
        char name[LABEL_NAME];
        snprintf(name, sizeof name, "label.%.*s", (int) l.key_len, l.text);
        if (!labels_have(p->labels, &l)
            && !json_object_object_get_ex(p->said_by, name, NULL)) {
            reply_string(p->said_by, name, source);
        }
    }
    for (int i = 0; i < IDENTITY_N_MEMBERS; i++) {
        const char *name = identity_members[i].name;
        if (*identity_text(f, i)
            && !json_object_object_get_ex(p->said_by, name, NULL)) {
            reply_string(p->said_by, name, source);
            p->labels = i == IDENTITY_LABELS ? identity_text(f, i)
                                             : p->labels;
        }
    }
}

static void
add_provenance(void *aux, const struct identity *t)
{
    struct json_object *list = aux;
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct provenance p = { json_object_array_get_idx(list, i),
                                json_object_new_object(), "" };
        const char *interface = json_text(p.match, "interface");
        /* What is told now; of the past only the sum is kept. */
        if (interface && !json_text(p.match, "valid_to")) {
            identity_each_peer(t, interface, add_peer, &p);
        }
        json_object_object_add(p.match, "said_by", p.said_by);
    }
}

/* A call that waits for files of the past. */
struct lookup {
    struct rpc_call *call;
    struct api *api;
    struct identity_journal *journal;
    struct json_object *params, *gaps;
    struct identity_key key;
    int64_t at_us;
    struct asking q;            /* Everybody's, until it is delivered. */
};

static void
lookup_free(struct lookup *l)
{
    json_object_put(l->q.list);
    json_object_put(l->params);
    json_object_put(l->gaps);
    free(l);
}

/* Where nobody is found, too, it matters that nobody listened. */
static void
add_gaps(void *lookup, const struct identity *t)
{
    struct lookup *l = lookup;
    size_t n;
    const struct identity_gap *g = identity_gaps(t, &n);

    for (size_t i = 0; i < n; i++) {
        if (g[i].from_us <= l->at_us && l->at_us < g[i].to_us) {
            struct json_object *o = json_object_new_object();
            reply_string(o, "source", *g[i].source ? g[i].source : NULL);
            reply_time(o, "from", g[i].from_us);
            reply_time(o, "to", g[i].to_us);
            json_object_array_add(l->gaps, o);
        }
    }
}

static void
look(struct lookup *l)
{
    identity_journal_find(l->journal, &l->key, l->at_us, add_match, &l->q);
    identity_journal_locked(l->journal, add_provenance, l->q.list);
    identity_journal_locked(l->journal, add_gaps, l);
}

/* Names of sources are not for who is confined. */
static struct json_object *
visible_gaps(const struct asking *wants, struct json_object *gaps)
{
    struct json_object *list = json_object_new_array();

    for (size_t i = 0; i < json_object_array_length(gaps); i++) {
        struct json_object *g = json_object_array_get_idx(gaps, i);
        if (!wants->confine || !json_text(g, "source")) {
            json_object_array_add(list, json_object_get(g));
        }
    }
    return list;
}

/* Who asks, and what of, is of the main thread: it may have other rights by
 * now. */
static void
deliver_lookup(void *aux)
{
    struct lookup *l = aux;
    const struct asking wants = {
        .confine = rpc_caller(l->call)->confine,
        .tenant = json_text(l->params, "tenant"),
        .network = json_text(l->params, "network"),
    };
    struct json_object *o = json_object_new_object();
    struct json_object *list = json_object_new_array();

    for (size_t i = 0; i < json_object_array_length(l->q.list); i++) {
        struct json_object *m = json_object_array_get_idx(l->q.list, i);
        const char *tenant = json_text(m, "tenant");
        const char *network = json_text(m, "network");
        if (visible(&wants, tenant ? tenant : "")
            && wanted(wants.tenant, tenant ? tenant : "")
            && wanted(wants.network, network ? network : "")) {
            json_object_array_add(list, json_object_get(m));
        }
    }
    reply_time(o, "at", l->at_us);
    json_object_object_add(o, "matches", list);
    json_object_object_add(o, "gaps", visible_gaps(&wants, l->gaps));
    rpc_reply(l->call, o);
    lookup_free(l);
}

/* On a thread of the pool. */
static void
look_and_post(void *aux)
{
    struct lookup *l = aux;
    look(l);
    api_post(l->api, deliver_lookup, l);
}

static void
endpoint_lookup(struct rpc_call *call, struct json_object *params)
{
    struct identity_journal *j = journal_of(call);
    const char *address = json_text(params, "address");
    const char *mac_text = json_text(params, "mac");
    const char *at = json_text(params, "at");
    int64_t at_us = clock_wall_us();
    struct addr a;
    uint64_t mac;

    if (!j) {
        return;
    }
    if (!address == !mac_text) {
        rpc_fail(call, RPC_INVALID_PARAMS, "address",
                 "an address or a mac is expected");
        return;
    }
    if (address && addr_parse(address, &a)) {
        rpc_fail(call, RPC_INVALID_PARAMS, "address",
                 "\"%.60s\" is no IPv4 or IPv6 address", address);
        return;
    }
    if (mac_text && mac_parse(mac_text, &mac)) {
        rpc_fail(call, RPC_INVALID_PARAMS, "mac",
                 "\"%.60s\" is no MAC address", mac_text);
        return;
    }
    if (at && time_parse_us(at, at_us, &at_us)) {
        rpc_fail(call, RPC_INVALID_PARAMS, "at", "a time is expected: "
                 "RFC 3339, epoch seconds, or relative");
        return;
    }
    struct lookup *l = calloc(1, sizeof *l);
    if (!l) {
        rpc_fail(call, RPC_INTERNAL_ERROR, NULL, "out of memory");
        return;
    }
    *l = (struct lookup) {
        .call = call, .api = rpc_api(call), .journal = j, .at_us = at_us,
        .params = json_object_get(params),
        .gaps = json_object_new_array(),
        .key = address ? identity_key_address(&a) : identity_key_mac(mac),
        .q = { .dict = rpc_context(call)->dict,
               .list = json_object_new_array() },
    };
    /* What holds now is in memory; of before, files may have to be read. */
    struct query_pool *pool = rpc_context(call)->queries;
    if (!pool || at_us > clock_wall_us() - IN_MEMORY_US) {
        look(l);
        deliver_lookup(l);
    } else if (!query_pool_run(pool, look_and_post, l)) {
        lookup_free(l);
        rpc_fail(call, RPC_BUSY, NULL, "too many queries at once; try again "
                 "later");
    }
}

static bool
add_row(void *aux, const struct identity_row *row)
{
    struct asking *a = aux;
    const char *tenant = identity_text(row->effective, IDENTITY_TENANT);
    if (visible(a, tenant) && wanted(a->source, row->source)
        && wanted(a->tenant, tenant)
        && wanted(a->network, identity_text(row->effective,
                                            IDENTITY_NETWORK))) {
        json_object_array_add(a->list, endpoint_row_to_json(a->dict, row));
    }
    /* A question that few answer must not hold up the main loop. */
    return json_object_array_length(a->list) < a->limit
           && ++a->looked < MAX_LOOKED;
}

struct listing {
    struct asking q;
    uint64_t cursor;
};

static void
list_locked(void *aux, const struct identity *t)
{
    struct listing *l = aux;
    l->cursor = identity_each(t, l->cursor, add_row, &l->q);
}

static void
endpoint_list(struct rpc_call *call, struct json_object *params)
{
    struct identity_journal *j = journal_of(call);
    struct json_object *limit = json_member(params, "limit");
    const char *cursor = json_text(params, "cursor");
    struct identity_journal_status s;
    char next[24], *end;

    if (!j) {
        return;
    }
    struct listing l = { .q = {
        .dict = rpc_context(call)->dict,
        .confine = rpc_caller(call)->confine,
        .source = json_text(params, "source"),
        .tenant = json_text(params, "tenant"),
        .network = json_text(params, "network"),
        .limit = limit ? (size_t) json_object_get_int64(limit) : 100 } };
    if (limit && (json_object_get_int64(limit) < 1 || l.q.limit > MAX_LIST)) {
        rpc_fail(call, RPC_INVALID_PARAMS, "limit", "1 to %d", MAX_LIST);
        return;
    }
    errno = 0;
    l.cursor = cursor ? strtoull(cursor, &end, 16) : 0;
    if (cursor && (errno || *end || !*cursor)) {
        rpc_fail(call, RPC_INVALID_PARAMS, "cursor",
                 "not one that endpoint.list has given");
        return;
    }
    l.q.list = json_object_new_array();
    identity_journal_locked(j, list_locked, &l);
    identity_journal_get_status(j, &s);
    snprintf(next, sizeof next, "%llx", (unsigned long long) l.cursor);
    struct json_object *o = json_object_new_object();
    json_object_object_add(o, "endpoints", l.q.list);
    reply_string(o, "next", l.cursor ? next : NULL);
    if (l.q.confine) {          /* How many others have is theirs. */
        json_object_object_add(o, "total", NULL);
    } else {
        reply_uint(o, "total", s.table.endpoints);
    }
    rpc_reply(call, o);
}

/* ---- Who tells. ---- */

struct sources {
    struct json_object *list;
    struct inventories *inventories;
    const char *name;
    struct json_object *o;      /* That of 'name'. */
};

static void
add_inventory(void *sources_, const struct inventory_status *s)
{
    struct sources *x = sources_;
    if (strcmp(s->source, x->name)) {
        return;
    }
    reply_string(x->o, "location", s->location);
    reply_time(x->o, "looked", s->looked_us);
    reply_time(x->o, "read", s->read_us);
    reply_uint(x->o, "refused", s->refused);
    reply_string(x->o, "state", s->absent ? "absent" : *s->error ? "error"
                                : s->read_us ? "read" : "pending");
    reply_string(x->o, "error", *s->error ? s->error : NULL);
}

static void
add_source(void *sources_, const struct identity_source *s)
{
    struct sources *x = sources_;
    x->name = s->name;
    x->o = json_object_new_object();
    reply_string(x->o, "source", s->name);
    reply_uint(x->o, "trust", s->rank);
    reply_uint(x->o, "endpoints", s->endpoints);
    reply_uint(x->o, "generation", s->generation);
    reply_string(x->o, "state", s->endpoints ? "telling" : "told nothing");
    if (x->inventories) {
        inventories_each(x->inventories, add_inventory, x);
    }
    json_object_array_add(x->list, x->o);
}

static void
add_sources(void *sources_, const struct identity *t)
{
    identity_each_source(t, add_source, sources_);
}

static void
endpoint_sources(struct rpc_call *call, struct json_object *params)
{
    struct identity_journal *j = journal_of(call);
    (void) params;
    if (!j) {
        return;
    }
    struct sources x = { .list = json_object_new_array(),
                         .inventories = rpc_context(call)->inventories };
    identity_journal_locked(j, add_sources, &x);
    struct json_object *o = json_object_new_object();
    json_object_object_add(o, "sources", x.list);
    rpc_reply(call, o);
}

/* ---- The table. ---- */

static const struct rpc_param upsert_params[] = {
    { "source", PARAM_STRING, true,
      "who tells it: the orchestrator's name; ids are its own", NULL },
    { "endpoints", PARAM_ARRAY, true,
      "at most 10000",
      "{\"type\":\"array\",\"items\":{\"type\":\"object\","
      "\"required\":[\"id\"],\"properties\":{"
      "\"id\":{\"type\":\"string\"},"
      "\"interface\":{\"type\":[\"string\",\"null\"],\"description\":"
      "\"the iface-id of its port: what other sources say of it is added\"},"
      "\"name\":{\"type\":[\"string\",\"null\"]},"
      "\"type\":{\"type\":[\"string\",\"null\"]},"
      "\"tenant\":{\"type\":[\"string\",\"null\"]},"
      "\"network\":{\"type\":[\"string\",\"null\"]},"
      "\"host\":{\"type\":[\"string\",\"null\"]},"
      "\"bridge\":{\"type\":[\"string\",\"null\"]},"
      "\"port\":{\"type\":[\"string\",\"null\"]},"
      "\"labels\":{\"type\":[\"object\",\"null\"]},"
      "\"addresses\":{\"type\":[\"array\",\"null\"]},"
      "\"prefixes\":{\"type\":[\"array\",\"null\"]},"
      "\"macs\":{\"type\":[\"array\",\"null\"]},"
      "\"vnis\":{\"type\":[\"array\",\"null\"]},"
      "\"valid_from\":{\"type\":[\"string\",\"integer\",\"null\"]},"
      "\"valid_to\":{\"type\":[\"string\",\"integer\",\"null\"]}}}}" },
    { "generation", PARAM_INTEGER, false,
      "a number that grows with each full synchronisation; what is told with "
      "an older one than was told before is refused; without one it is of the "
      "last", NULL },
    { "complete", PARAM_BOOLEAN, false,
      "the synchronisation of this generation is complete with this call: "
      "endpoints of the source that it did not tell are ended; needs a "
      "generation", NULL },
    { NULL, PARAM_ANY, false, NULL, NULL },
};

static const struct rpc_param delete_params[] = {
    { "source", PARAM_STRING, true, "who told it", NULL },
    { "ids", PARAM_ARRAY, true, "ids of the source, at most 10000", NULL },
    { "at", PARAM_TIME, false, "when they ended; now if not said", NULL },
    { NULL, PARAM_ANY, false, NULL, NULL },
};

static const struct rpc_param lookup_params[] = {
    { "address", PARAM_STRING, false, "an IPv4 or IPv6 address", NULL },
    { "mac", PARAM_STRING, false, "or a MAC address", NULL },
    { "at", PARAM_TIME, false, "when; now if not said", NULL },
    { "tenant", PARAM_STRING, false, "only of this tenant", NULL },
    { "network", PARAM_STRING, false, "only of this network", NULL },
    { NULL, PARAM_ANY, false, NULL, NULL },
};

static const struct rpc_param list_params[] = {
    { "source", PARAM_STRING, false, "only of this source", NULL },
    { "tenant", PARAM_STRING, false, "only of this tenant", NULL },
    { "network", PARAM_STRING, false, "only of this network", NULL },
    { "limit", PARAM_INTEGER, false,
      "about so many in a page, 1 to 1000; 100 if not said; fewer where few of "
      "the source, tenant or network are among many", NULL },
    { "cursor", PARAM_STRING, false, "\"next\" of the page before", NULL },
    { NULL, PARAM_ANY, false, NULL, NULL },
};

#define TOLD_SCHEMA                                                           \
    "{\"type\":\"object\",\"required\":[\"accepted\",\"refused\","            \
    "\"ended\",\"durable\",\"error\"],\"properties\":{"                       \
    "\"accepted\":{\"type\":\"integer\"},\"refused\":{\"type\":\"integer\"}," \
    "\"ended\":{\"type\":\"integer\"},\"durable\":{\"type\":\"boolean\"},"    \
    "\"error\":{\"type\":[\"string\",\"null\"]}}}"

#define ENDPOINT_SCHEMA                                                       \
    "{\"type\":\"object\",\"required\":[\"source\",\"id\",\"name\","          \
    "\"tenant\",\"valid_from\",\"valid_to\"]}"

#define EXAMPLE_ENDPOINT                                                      \
    "\"source\":\"nova\",\"id\":\"6f0b-1\",\"interface\":null,"               \
    "\"name\":\"web-1\",\"port\":\"tap6f0b\",\"type\":\"vm\","                \
    "\"tenant\":\"blue\",\"network\":\"blue-net\",\"host\":\"node-1\","       \
    "\"bridge\":\"br-int\",\"labels\":{\"role\":\"web\"},"                    \
    "\"addresses\":[\"10.0.0.5\"],"                                           \
    "\"valid_from\":\"2026-11-23T08:00:00Z\",\"valid_to\":null"

const struct rpc_method methods_endpoint[] = {
    {
        .name = "endpoint.upsert",
        .role = ROLE_ORCHESTRATOR,
        .summary = "Tells endpoints, or changes what was told; answered when "
                   "it is on disk.",
        .params = upsert_params,
        .result_schema = TOLD_SCHEMA,
        .example_params =
            "{\"source\":\"nova\",\"generation\":7,\"endpoints\":[{"
            "\"id\":\"6f0b-1\",\"name\":\"web-1\",\"type\":\"vm\","
            "\"tenant\":\"blue\",\"network\":\"blue-net\","
            "\"host\":\"node-1\",\"bridge\":\"br-int\","
            "\"port\":\"tap6f0b\",\"addresses\":[\"10.0.0.5\"],"
            "\"macs\":[\"52:54:00:12:34:56\"],"
            "\"labels\":{\"role\":\"web\"}}]}",
        .example_result =
            "{\"accepted\":1,\"refused\":0,\"ended\":0,\"durable\":true,"
            "\"error\":null}",
        .call = endpoint_upsert,
    },
    {
        .name = "endpoint.delete",
        .role = ROLE_ORCHESTRATOR,
        .summary = "Ends endpoints: from then on they are nobody's; what they "
                   "were before is kept.",
        .params = delete_params,
        .result_schema = TOLD_SCHEMA,
        .example_params = "{\"source\":\"nova\",\"ids\":[\"6f0b-1\"]}",
        .example_result =
            "{\"accepted\":1,\"refused\":0,\"ended\":1,\"durable\":true,"
            "\"error\":null}",
        .call = endpoint_delete,
    },
    {
        .name = "endpoint.lookup",
        .role = ROLE_VIEWER,
        .confined = true,
        .summary = "Who has an address, or had it at a time: all that fit, "
                   "the most trusted first; and which source says what, where "
                   "several tell of one interface; and in which gaps the time is: "
                   "nobody (or not this source) was listened to.",
        .params = lookup_params,
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"at\",\"matches\","
            "\"gaps\"],\"properties\":{\"at\":{\"type\":\"string\"},"
            "\"matches\":{\"type\":\"array\",\"items\":" ENDPOINT_SCHEMA
            "},\"gaps\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
            "\"required\":[\"source\",\"from\",\"to\"]}}}}",
        .example_params =
            "{\"address\":\"10.0.0.5\",\"at\":\"2026-11-23T08:30:00Z\"}",
        .example_result =
            "{\"at\":\"2026-11-23T08:30:00Z\",\"matches\":[{"
            EXAMPLE_ENDPOINT ",\"trust\":100,\"gap\":false,"
            "\"said_by\":{}}],\"gaps\":[]}",
        .call = endpoint_lookup,
    },
    {
        .name = "endpoint.list",
        .role = ROLE_VIEWER,
        .confined = true,
        .summary = "Endpoints as they are told now, a page at a time.",
        .params = list_params,
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"endpoints\",\"next\","
            "\"total\"],\"properties\":{\"endpoints\":{\"type\":\"array\","
            "\"items\":" ENDPOINT_SCHEMA "},"
            "\"next\":{\"type\":[\"string\",\"null\"]},"
            "\"total\":{\"type\":[\"integer\",\"null\"]}}}",
        .example_params = "{\"tenant\":\"blue\",\"limit\":100}",
        .example_result =
            "{\"endpoints\":[{" EXAMPLE_ENDPOINT ",\"generation\":7}],"
            "\"next\":null,\"total\":1}",
        .call = endpoint_list,
    },
    {
        .name = "endpoint.sources",
        .role = ROLE_VIEWER,
        .summary = "Who tells of endpoints, how far each is trusted, and what "
                   "came of the inventories of the configuration.",
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"sources\"],"
            "\"properties\":{\"sources\":{\"type\":\"array\",\"items\":{"
            "\"type\":\"object\",\"required\":[\"source\",\"trust\","
            "\"endpoints\",\"generation\",\"state\"],\"properties\":{"
            "\"source\":{\"type\":\"string\"},"
            "\"trust\":{\"type\":\"integer\"},"
            "\"endpoints\":{\"type\":\"integer\"},"
            "\"generation\":{\"type\":\"integer\"},"
            "\"state\":{\"enum\":[\"telling\",\"told nothing\",\"absent\","
            "\"error\",\"read\",\"pending\"]},"
            "\"location\":{\"type\":\"string\"},"
            "\"looked\":{\"type\":[\"string\",\"null\"]},"
            "\"read\":{\"type\":[\"string\",\"null\"]},"
            "\"refused\":{\"type\":\"integer\"},"
            "\"error\":{\"type\":[\"string\",\"null\"]}}}}}}",
        .example_params = "{}",
        .example_result =
            "{\"sources\":[{\"source\":\"list:sites\",\"trust\":150,"
            "\"endpoints\":214,\"generation\":1763971200000000,"
            "\"state\":\"read\",\"location\":\"/etc/venturi/sites.csv\","
            "\"looked\":\"2026-11-23T08:30:00Z\","
            "\"read\":\"2026-11-23T08:00:00Z\",\"refused\":0,"
            "\"error\":null}]}",
        .call = endpoint_sources,
    },
    { .name = NULL }
};
