#include <config.h>

#include "api/methods.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/context.h"
#include "api/json.h"
#include "api/value.h"
#include "collector/exporter/accuracy.h"
#include "collector/exporter/counter_log.h"
#include "collector/query/query.h"
#include "lib/addr.h"
#include "lib/clock.h"
#include "lib/column.h"
#include "lib/fnv.h"

/* Counters of interfaces over time, and how estimates compare with them.  Both
 * read files: they run on a thread of the query pool and answer by mail. */

#define MAX_POINTS 100000
#define MAX_INTERFACES 4096
#define DEFAULT_SPAN_US (INT64_C(3600) * 1000000)

/* ---- Parameters. ---- */

static const char *
text(struct json_object *params, const char *name)
{
    struct json_object *v = json_member(params, name);
    return v ? json_object_get_string(v) : NULL;
}

/* Which interfaces, and when. */
struct selection {
    int64_t from_us, to_us, step_us;
    bool has_exporter;
    struct addr exporter;
    char interface[COUNTER_TEXT];       /* Name or number; "": all. */
};

/* False after an error was answered. */
static bool
read_selection(struct rpc_call *call, struct json_object *params,
               int64_t now, struct selection *s)
{
    static const char *const times[] = { "from", "to" };
    memset(s, 0, sizeof *s);
    s->from_us = now - DEFAULT_SPAN_US;
    s->to_us = now;
    for (int i = 0; i < 2; i++) {
        const char *t = text(params, times[i]);
        if (t && time_parse_us(t, now, i ? &s->to_us : &s->from_us)) {
            rpc_fail(call, RPC_INVALID_PARAMS, times[i],
                     "\"%.40s\" is not a time", t);
            return false;
        }
    }
    if (s->from_us >= s->to_us) {
        rpc_fail(call, RPC_INVALID_PARAMS, "to",
                 "the time range ends before it begins");
        return false;
    }
    const char *exporter = text(params, "exporter");
    if (exporter && addr_parse(exporter, &s->exporter)) {
        rpc_fail(call, RPC_INVALID_PARAMS, "exporter",
                 "\"%.40s\" is not an address", exporter);
        return false;
    }
    s->has_exporter = exporter != NULL;
    const char *interface = text(params, "interface");
    snprintf(s->interface, sizeof s->interface, "%s",
             interface ? interface : "");
    const char *step = text(params, "step");
    if (step) {
        duration_parse_us(step, &s->step_us);   /* The core has checked. */
    }
    return true;
}

static bool
is_named(const struct selection *s, const char *name, uint64_t number)
{
    char buf[24];
    snprintf(buf, sizeof buf, "%" PRIu64, number);
    return !s->interface[0] || !strcmp(s->interface, name)
           || (number && !strcmp(s->interface, buf));
}

static bool
selects(const struct selection *s, const struct counter_point *p)
{
    return is_named(s, p->name, p->if_index)
           && (!s->has_exporter || (p->origin == COUNTER_SFLOW
                                    && (addr_equal(&s->exporter,
                                                   &p->exporter)
                                        || addr_equal(&s->exporter,
                                                      &p->agent))));
}

/* ---- Points, sorted by interface. ---- */

/* Chains of entries with the same hash: an entry's place in its list plus 1, 0
 * at the end.  The first of each chain is here. */
#define N_CHAINS 4096

struct chains {
    uint32_t first[N_CHAINS];
};

static uint64_t
hash_number(uint64_t h, uint64_t v)
{
    return fnv_bytes(h, &v, sizeof v);
}

static uint32_t *
chain_of(struct chains *c, uint64_t hash)
{
    return &c->first[(hash ^ hash >> 32) % N_CHAINS];
}

/* An interface that counts, with what tells it from others. */
struct counting {
    struct counter_point id;    /* Its latest point. */
    uint32_t next;              /* In its chain. */
    struct counter_set has;     /* Fields that any point had. */
    size_t n, room;
    struct stored {
        int64_t time_us;
        struct counter_set has;
        uint64_t *values;       /* Of 'has', packed. */
    } *points;                  /* Or, where octets will do: */
    struct accuracy_sample *samples;
};

struct gathering {
    const struct selection *select;
    struct chains chains;
    struct counting *list;
    size_t n, room, n_points, max_points;
    bool octets_only;
    bool truncated, out_of_memory;
};

static bool
same_interface(const struct counter_point *a, const struct counter_point *b)
{
    return a->origin == b->origin && a->domain == b->domain
           && a->data_source == b->data_source
           && addr_equal(&a->exporter, &b->exporter)
           && addr_equal(&a->agent, &b->agent)
           && (a->origin == COUNTER_SFLOW
               || (!strcmp(a->name, b->name) && !strcmp(a->bridge, b->bridge)
                   && !strcmp(a->remote, b->remote)));
}

static uint64_t
hash_interface(const struct counter_point *p)
{
    uint64_t h = fnv_bytes(p->origin, p->agent.b, sizeof p->agent.b);
    h = hash_number(h, p->data_source ^ (uint64_t) p->domain << 32);
    return p->origin == COUNTER_SFLOW
           ? h : fnv_bytes(h, p->name, strlen(p->name));
}

/* Doubles what holds 'n' things if it is full.  False: out of memory. */
static bool
grow(void *list, size_t n, size_t *room, size_t size)
{
    void **p = list;
    if (n < *room) {
        return true;
    }
    size_t more = *room ? 2 * *room : 8;
    void *bigger = realloc(*p, more * size);
    if (bigger) {
        *p = bigger;
        *room = more;
    }
    return bigger != NULL;
}

static struct counting *
find_counting(struct gathering *g, const struct counter_point *p)
{
    uint32_t *chain = chain_of(&g->chains, hash_interface(p));
    for (uint32_t i = *chain; i; i = g->list[i - 1].next) {
        if (same_interface(&g->list[i - 1].id, p)) {
            return &g->list[i - 1];
        }
    }
    if (g->n >= MAX_INTERFACES) {
        g->truncated = true;
        return NULL;
    }
    if (!grow(&g->list, g->n, &g->room, sizeof *g->list)) {
        g->out_of_memory = true;
        return NULL;
    }
    g->list[g->n] = (struct counting) { .next = *chain };
    *chain = (uint32_t) ++g->n;
    return &g->list[g->n - 1];
}

/* The octets of a point, where both are known and it is later. */
static bool
gather_octets(struct gathering *g, struct counting *c,
              const struct counter_point *p)
{
    if (!counter_set_has(&p->v.has, FIELD_in_octets)
        || !counter_set_has(&p->v.has, FIELD_out_octets)
        || (c->n && p->time_us <= c->samples[c->n - 1].time_us)) {
        return true;
    } else if (!grow(&c->samples, c->n, &c->room, sizeof *c->samples)) {
        g->out_of_memory = true;
        return false;
    }
    c->samples[c->n++] = (struct accuracy_sample) {
        p->time_us,
        { p->v.value[FIELD_in_octets], p->v.value[FIELD_out_octets] },
    };
    g->n_points++;
    return true;
}

static bool
gather(const struct counter_point *p, void *gathering)
{
    struct gathering *g = gathering;
    if (!selects(g->select, p)) {
        return true;
    }
    struct counting *c = find_counting(g, p);
    if (!c) {
        return !g->out_of_memory;
    }
    c->id = *p;
    counter_set_join(&c->has, &p->v.has);
    int64_t step = g->select->step_us;
    if (g->octets_only && g->n_points >= g->max_points) {
        g->truncated = true;
        return false;
    } else if (g->octets_only) {
        return gather_octets(g, c, p);
    } else if (step && c->n && c->points[c->n - 1].time_us / step
                        == p->time_us / step) {
        free(c->points[--c->n].values);         /* The last of a step. */
        g->n_points--;
    } else if (g->n_points >= g->max_points) {
        g->truncated = true;
        return false;
    } else if (!grow(&c->points, c->n, &c->room, sizeof *c->points)) {
        g->out_of_memory = true;
        return false;
    }
    struct stored *s = &c->points[c->n];
    s->time_us = p->time_us;
    s->has = p->v.has;
    s->values = malloc((counter_set_count(&s->has) + 1) * sizeof *s->values);
    if (!s->values) {
        g->out_of_memory = true;
        return false;
    }
    counter_values_pack(&p->v, s->values);
    c->n++;
    g->n_points++;
    return true;
}

static void
gathering_clear(struct gathering *g)
{
    for (size_t i = 0; i < g->n; i++) {
        for (size_t k = 0; g->list[i].points && k < g->list[i].n; k++) {
            free(g->list[i].points[k].values);
        }
        free(g->list[i].points);
        free(g->list[i].samples);
    }
    free(g->list);
}

static const char *
origin_name(uint8_t origin)
{
    return origin == COUNTER_OVSDB ? "ovsdb" : "sflow";
}

static void
put_text_member(FILE *f, const char *name, const char *value)
{
    fprintf(f, ",\"%s\":", name);
    if (value[0]) {
        value_put_string(f, value);
    } else {
        fputs("null", f);
    }
}

/* What tells an interface from others. */
static void
put_interface(FILE *f, const struct counter_point *p)
{
    char buf[ADDR_STRLEN];
    fprintf(f, "\"origin\":\"%s\"", origin_name(p->origin));
    if (p->origin == COUNTER_SFLOW) {
        fprintf(f, ",\"exporter\":\"%s\"", addr_format(&p->exporter, buf));
        fprintf(f, ",\"agent\":\"%s\",\"observation_domain_id\":%" PRIu32
                ",\"data_source\":%" PRIu64, addr_format(&p->agent, buf),
                p->domain, p->data_source);
    } else {
        put_text_member(f, "remote", p->remote);
        put_text_member(f, "bridge", p->bridge);
    }
    if (p->if_index) {
        fprintf(f, ",\"if_index\":%" PRIu64, p->if_index);
    } else {
        fputs(",\"if_index\":null", f);
    }
    put_text_member(f, "name", p->name);
}

/* ---- exporter.counters ---- */

struct counters_call {
    struct rpc_call *call;
    struct api *api;
    struct counter_log *log;
    struct selection select;
    struct counter_set fields;  /* Wanted. */
    size_t limit;
    char *text;                 /* The answer; NULL: out of memory. */
};

static void
put_points(FILE *f, const struct counting *c, const struct counter_set *fields)
{
    char buf[TIME_STRLEN];
    const char *comma = "";
    fputs(",\"fields\":[", f);
    for (unsigned i = 0; i < N_COUNTER_FIELDS; i++) {
        if (counter_set_has(fields, i) && counter_set_has(&c->has, i)) {
            fprintf(f, "%s\"%s\"", comma, counter_fields[i].name);
            comma = ",";
        }
    }
    fputs("],\"points\":[", f);
    for (size_t k = 0; k < c->n; k++) {
        const struct stored *s = &c->points[k];
        struct counter_values v;
        counter_values_unpack(&v, &s->has, s->values);
        fprintf(f, "%s[\"%s\"", k ? "," : "",
                time_format_us(s->time_us, buf));
        for (unsigned i = 0; i < N_COUNTER_FIELDS; i++) {
            if (!counter_set_has(fields, i)
                || !counter_set_has(&c->has, i)) {
                continue;
            } else if (counter_set_has(&v.has, i)) {
                fprintf(f, ",%" PRIu64, v.value[i]);
            } else {
                fputs(",null", f);
            }
        }
        putc(']', f);
    }
    putc(']', f);
}

static void
deliver_counters(void *aux)
{
    struct counters_call *c = aux;
    if (c->text) {
        rpc_reply_text(c->call, c->text);
    } else {
        rpc_fail(c->call, RPC_TOO_LARGE, NULL, "out of memory");
    }
    free(c);
}

/* On a thread of the pool. */
static void
run_counters(void *aux)
{
    struct counters_call *c = aux;
    struct gathering g = { .select = &c->select, .max_points = c->limit };
    size_t size;
    counter_log_read(c->log, c->select.from_us, c->select.to_us, gather, &g);
    FILE *f = g.out_of_memory ? NULL : open_memstream(&c->text, &size);
    if (f) {
        fputs("{\"interfaces\":[", f);
        for (size_t i = 0; i < g.n; i++) {
            fputs(i ? ",{" : "{", f);
            put_interface(f, &g.list[i].id);
            put_points(f, &g.list[i], &c->fields);
            putc('}', f);
        }
        fprintf(f, "],\"truncated\":%s}", g.truncated ? "true" : "false");
        if (fclose(f)) {
            free(c->text);
            c->text = NULL;
        }
    }
    gathering_clear(&g);
    api_post(c->api, deliver_counters, c);
}

/* False after an error was answered. */
static bool
read_fields(struct rpc_call *call, struct json_object *params,
            struct counter_set *fields)
{
    struct json_object *list = json_member(params, "fields");
    size_t n = list ? json_object_array_length(list) : 0;
    memset(fields, n ? 0 : 0xff, sizeof *fields);
    for (size_t k = 0; k < n; k++) {
        const char *name = json_object_get_string(
            json_object_array_get_idx(list, k));
        unsigned i = 0;
        while (i < N_COUNTER_FIELDS
               && (!name || strcmp(name, counter_fields[i].name))) {
            i++;
        }
        if (i == N_COUNTER_FIELDS) {
            char where[32];
            snprintf(where, sizeof where, "fields/%zu", k);
            rpc_fail(call, RPC_INVALID_PARAMS, where, "there is no counter "
                     "\"%.40s\"; doc/numbers.md lists them",
                     name ? name : "null");
            return false;
        }
        counter_set_add(fields, i);
    }
    return true;
}

static bool
is_ready(struct rpc_call *call, const struct api_context *c)
{
    if (!c->counter_log || !c->queries) {
        rpc_fail(call, RPC_UNAVAILABLE, NULL, "no counters are kept: the "
                 "collector or its state directory is not there");
        return false;
    }
    return true;
}

static void
exporter_counters(struct rpc_call *call, struct json_object *params)
{
    struct api_context *context = rpc_context(call);
    struct counters_call *c = calloc(1, sizeof *c);
    if (!c || !is_ready(call, context)
        || !read_selection(call, params, clock_wall_us(), &c->select)
        || !read_fields(call, params, &c->fields)) {
        if (!c) {
            rpc_fail(call, RPC_INTERNAL_ERROR, NULL, "out of memory");
        }
        free(c);
        return;
    }
    struct json_object *limit = json_member(params, "limit");
    c->call = call;
    c->api = rpc_api(call);
    c->log = context->counter_log;
    c->limit = limit ? (size_t) json_object_get_uint64(limit) : 10000;
    if (!query_pool_run(context->queries, run_counters, c)) {
        rpc_fail(call, RPC_BUSY, NULL, "too many queries at once; try again "
                 "later");
        free(c);
    }
}

/* ---- exporter.accuracy ---- */

/* Keys and metrics of the two questions about flows, of which the first is
 * about what came in; in the order of the answer, after the time. */
enum { KEY_TIME, KEY_EXPORTER, KEY_PROTOCOL, KEY_BRIDGE, KEY_DIRECTION,
       KEY_IF, KEY_IF_NAME, METRIC_L2, METRIC_L2_ERROR, METRIC_BYTES,
       METRIC_BYTES_ERROR, METRIC_RAW, N_OUTPUTS };

static const enum column_id question_keys[2][6] = {
    { COL_exporter, COL_export_protocol, COL_bridge, COL_direction, COL_in_if,
      COL_in_if_name },
    { COL_exporter, COL_export_protocol, COL_bridge, COL_direction,
      COL_out_if, COL_out_if_name },
};

struct accuracy_call {
    struct rpc_call *call;
    struct api *api;
    struct query_pool *pool;
    struct counter_log *log;
    struct selection select;
    int64_t bucket_us, gap_us;
    uint64_t id[2];
    struct query_result *result[2];
    int status;                 /* RPC_*; 0: good. */
    char error[256];
    char *text;
};

/* What flows say about one interface and direction. */
struct estimate {
    const struct query_value *key;      /* Of its first row. */
    uint32_t next;              /* In its chain. */
    uint8_t direction;          /* enum accuracy_direction. */
    bool layer2;                /* Frames, not IP packets. */
    bool has[2];                /* Records of packets seen when they came */
                                /* in (or nobody knows), and went out. */
    size_t n, room;
    struct row {
        struct accuracy_bucket b;
        uint8_t egress;
        size_t number;
    } *rows;
};

struct comparing {
    struct accuracy_call *c;
    struct gathering counters;
    struct chains chains;
    struct estimate *list;
    size_t n, room, n_compared;
    FILE *out;
};

static const char *
name_of(const struct query_value *v)
{
    return v->null || !v->text ? "" : v->text;
}

static uint64_t
number_of(const struct query_value *v)
{
    return v->null ? 0 : v->u;
}

static bool
same_estimate(const struct query_value *a, const struct query_value *b)
{
    return addr_equal(&a[KEY_EXPORTER].addr, &b[KEY_EXPORTER].addr)
           && a[KEY_PROTOCOL].u == b[KEY_PROTOCOL].u
           && number_of(&a[KEY_IF]) == number_of(&b[KEY_IF])
           && !strcmp(name_of(&a[KEY_BRIDGE]), name_of(&b[KEY_BRIDGE]))
           && !strcmp(name_of(&a[KEY_IF_NAME]), name_of(&b[KEY_IF_NAME]));
}

static struct estimate *
find_estimate(struct comparing *c, uint8_t direction,
              const struct query_value *key)
{
    uint64_t h = fnv_bytes(direction, key[KEY_EXPORTER].addr.b, 16);
    h = hash_number(h, number_of(&key[KEY_IF]) << 8 | key[KEY_PROTOCOL].u);
    uint32_t *chain = chain_of(&c->chains, h);
    for (uint32_t i = *chain; i; i = c->list[i - 1].next) {
        if (c->list[i - 1].direction == direction
            && same_estimate(c->list[i - 1].key, key)) {
            return &c->list[i - 1];
        }
    }
    if (!grow(&c->list, c->n, &c->room, sizeof *c->list)) {
        return NULL;
    }
    c->list[c->n] = (struct estimate) { .key = key, .next = *chain,
                                        .direction = direction };
    *chain = (uint32_t) ++c->n;
    return &c->list[c->n - 1];
}

static bool
add_row(struct comparing *c, uint8_t direction, const struct query_value *v)
{
    if (v[KEY_IF].null && v[KEY_IF_NAME].null) {
        return true;            /* Nobody knows where. */
    }
    struct estimate *e = find_estimate(c, direction, v);
    if (!e || !grow(&e->rows, e->n, &e->room, sizeof *e->rows)) {
        return false;
    }
    bool layer2 = !v[METRIC_L2].null && v[METRIC_L2].u;
    unsigned octets = layer2 ? METRIC_L2 : METRIC_BYTES;
    bool egress = !v[KEY_DIRECTION].null && v[KEY_DIRECTION].u == DIR_EGRESS;
    e->layer2 |= layer2;
    e->has[egress] = true;
    e->rows[e->n] = (struct row) {
        .b = { .time_us = v[KEY_TIME].time_us,
               .octets = number_of(&v[octets]),
               .error = number_of(&v[octets + 1]),
               .samples = number_of(&v[METRIC_RAW]) },
        .egress = egress, .number = e->n,
    };
    e->n++;
    return true;
}

static int
compare_rows(const void *a_, const void *b_)
{
    const struct row *a = a_, *b = b_;
    return a->b.time_us != b->b.time_us
           ? (a->b.time_us > b->b.time_us) - (a->b.time_us < b->b.time_us)
           : (a->number > b->number) - (a->number < b->number);
}

/* Packets may be reported where they come in and again where they go out.  Of
 * what came in at an interface the first kind counts if there is any, of what
 * went out the second.  Returns the buckets, in order of time; '*n' of them. */
static struct accuracy_bucket *
choose_buckets(struct estimate *e, size_t *n)
{
    struct accuracy_bucket *b = calloc(e->n + 1, sizeof *b);
    uint8_t first = e->direction == ACCURACY_OUT;
    uint8_t wanted = e->has[first] ? first : !first;
    *n = 0;
    if (e->n) {
        qsort(e->rows, e->n, sizeof *e->rows, compare_rows);
    }
    for (size_t i = 0; b && i < e->n; i++) {
        if (e->rows[i].egress == wanted) {
            b[(*n)++] = e->rows[i].b;
        }
    }
    return b;
}

/* Whether counters are of the interface that flows tell about. */
static bool
is_same(const struct estimate *e, const struct counter_point *p)
{
    const struct query_value *k = e->key;
    const char *bridge = name_of(&k[KEY_BRIDGE]);
    const char *name = name_of(&k[KEY_IF_NAME]);
    if (p->origin == COUNTER_OVSDB) {
        return bridge[0] && !strcmp(bridge, p->bridge)
               && !strcmp(name, p->name);
    }
    if (!addr_equal(&k[KEY_EXPORTER].addr, &p->agent)) {
        return false;
    }
    /* Numbers of Open vSwitch's NetFlow are not those of interfaces. */
    bool openflow = bridge[0] && k[KEY_PROTOCOL].u == PROTO_NETFLOW5;
    return (name[0] && !strcmp(name, p->name))
           || (!openflow && number_of(&k[KEY_IF])
               && number_of(&k[KEY_IF]) == p->if_index);
}

static void
put_ratio(FILE *f, const char *name, double a, double b)
{
    if (b > 0) {
        fprintf(f, ",\"%s\":%.6g", name, a / b);
    } else {
        fprintf(f, ",\"%s\":null", name);
    }
}

/* Fewer samples make no normal distribution, and little traffic may well be
 * missed. */
#define ENOUGH_SAMPLES 30
#define ENOUGH_OCTETS 1e6

static bool
is_within(const struct accuracy *a, double low, double high, double slack)
{
    return a->counted >= low - slack && a->counted <= high + slack;
}

/* Within the interval, and 1 % for what counters do otherwise (checksums).
 * Where what passed between two readings at the ends could make the difference,
 * nobody knows. */
static const char *
agreement(const struct accuracy *a, double low, double high)
{
    double slack = a->counted / 100;
    if (a->samples ? a->error > 0 && a->samples < ENOUGH_SAMPLES
                   : a->counted < ENOUGH_OCTETS) {
        return "null";
    }
    return is_within(a, low, high, slack) ? "true"
           : is_within(a, low, high, slack + a->edges) ? "null" : "false";
}

static void
put_comparison(struct comparing *c, const struct estimate *e,
               const struct counter_point *p, uint8_t direction,
               int64_t time_us, const struct accuracy *a)
{
    char buf[TIME_STRLEN];
    const struct query_value *k = e ? e->key : NULL;
    FILE *f = c->out;
    double low = a->estimated > a->error ? a->estimated - a->error : 0;
    double high = a->estimated + a->error;

    fprintf(f, "%s{\"time\":\"%s\"", c->n_compared++ ? "," : "",
            time_format_us(time_us, buf));
    fprintf(f, ",\"seconds\":%.6g,", (double) a->covered_us / 1e6);
    put_interface(f, p);
    fprintf(f, ",\"direction\":\"%s\",\"protocol\":",
            direction == ACCURACY_IN ? "in" : "out");
    value_put_string(f, k ? column_word_name(&columns[COL_export_protocol],
                                             (uint32_t) k[KEY_PROTOCOL].u)
                          : "");
    if (k && p->origin == COUNTER_OVSDB) {
        fprintf(f, ",\"exporter\":\"%s\"",
                addr_format(&k[KEY_EXPORTER].addr, buf));
    } else if (k) {
        put_text_member(f, "bridge", name_of(&k[KEY_BRIDGE]));
    }
    fprintf(f, ",\"layer\":%d,\"counted\":%.0f,\"estimated\":%.0f,"
            "\"error\":%.0f,\"samples\":%" PRIu64,
            e && !e->layer2 && e->n ? 3 : 2, a->counted, a->estimated,
            a->error, a->samples);
    put_ratio(f, "ratio", a->estimated, a->counted);
    put_ratio(f, "low", low, a->counted);
    put_ratio(f, "high", high, a->counted);
    fprintf(f, ",\"agrees\":%s}", agreement(a, low, high));
}

/* Step by step.  Steps in which nothing went through are left out. */
static bool
compare_steps(struct comparing *c, struct estimate *e,
              const struct counting *k, uint8_t direction)
{
    const struct accuracy_call *call = c->c;
    size_t n = 0;
    struct estimate none = { .direction = direction };
    struct accuracy_bucket *b = choose_buckets(e ? e : &none, &n);
    int64_t step = call->select.step_us;
    int64_t t = call->select.from_us / step * step;

    for (; b && t < call->select.to_us; t += step) {
        int64_t end = t + step < call->select.to_us ? t + step
                                                    : call->select.to_us;
        struct accuracy a = accuracy_compare(
            k->samples, k->n, direction, b, n, t, end, call->bucket_us,
            call->gap_us);
        if (a.covered_us && (a.estimated > 0 || a.counted > 0)) {
            put_comparison(c, e, &k->id, direction, t, &a);
        }
    }
    free(b);
    return b != NULL;
}

/* Each estimate with each counter of the same interface; then the counters
 * that no flow told about. */
static bool
compare_all(struct comparing *c)
{
    const struct gathering *g = &c->counters;
    bool *compared = calloc(2 * g->n + 1, sizeof *compared);
    bool done = compared != NULL;
    for (size_t i = 0; done && i < c->n; i++) {
        struct estimate *e = &c->list[i];
        for (size_t k = 0; done && k < g->n; k++) {
            if (is_same(e, &g->list[k].id)) {
                compared[2 * k + e->direction] = true;
                done = compare_steps(c, e, &g->list[k], e->direction);
            }
        }
    }
    for (size_t k = 0; done && k < 2 * g->n; k++) {
        if (!compared[k]) {
            done = compare_steps(c, NULL, &g->list[k / 2], k & 1);
        }
    }
    free(compared);
    return done;
}

static bool
answer_accuracy(struct accuracy_call *call)
{
    struct comparing c = {
        .c = call, .counters = { .select = &call->select,
                                 .octets_only = true,
                                 .max_points = 20 * MAX_POINTS },
    };
    bool done = true, truncated = false;
    size_t size;
    /* What was counted just outside is needed to know what was inside. */
    counter_log_read(call->log, call->select.from_us - call->gap_us,
                     call->select.to_us + call->gap_us, gather, &c.counters);
    for (uint8_t d = 0; d < 2; d++) {
        const struct query_result *r = call->result[d];
        truncated |= r->truncated;
        for (size_t i = 0; done && i < r->n_rows; i++) {
            done = add_row(&c, d, &r->values[i * r->n_columns]);
        }
    }
    c.out = done && !c.counters.out_of_memory
            ? open_memstream(&call->text, &size) : NULL;
    if (c.out) {
        fputs("{\"interfaces\":[", c.out);
        done = compare_all(&c);
        fprintf(c.out, "],\"truncated\":%s}",
                truncated || c.counters.truncated ? "true" : "false");
        done = !fclose(c.out) && done;
    }
    for (size_t i = 0; i < c.n; i++) {
        free(c.list[i].rows);
    }
    free(c.list);
    gathering_clear(&c.counters);
    return done && c.out;
}

static void
deliver_accuracy(void *aux)
{
    struct accuracy_call *c = aux;
    if (c->status) {
        rpc_fail(c->call, c->status, NULL, "%s", c->error);
        free(c->text);
    } else {
        rpc_reply_text(c->call, c->text);
    }
    free(c);
}

static void
finish_accuracy(struct accuracy_call *c)
{
    static const int codes[] = {
        [QUERY_TIMEOUT] = RPC_TIMEOUT, [QUERY_CANCELLED] = RPC_CANCELLED,
        [QUERY_BUSY] = RPC_BUSY, [QUERY_TOO_BIG] = RPC_TOO_LARGE,
        [QUERY_FAILED] = RPC_FAILED,
    };
    for (int d = 0; d < 2 && !c->status; d++) {
        const struct query_result *r = c->result[d];
        if (!r || r->status != QUERY_OK) {
            c->status = r ? codes[r->status] : RPC_TOO_LARGE;
            snprintf(c->error, sizeof c->error, "%s",
                     r ? r->error : "out of memory");
        }
    }
    if (!c->status && !answer_accuracy(c)) {
        c->status = RPC_TOO_LARGE;
        snprintf(c->error, sizeof c->error, "out of memory");
    }
    query_result_destroy(c->result[0]);
    query_result_destroy(c->result[1]);
    api_post(c->api, deliver_accuracy, c);
}

static void ask(struct accuracy_call *, int direction);

/* On a thread of the pool, or at once on ours. */
static void
on_result(void *aux, struct query_result *r)
{
    struct accuracy_call *c = aux;
    int d = c->result[0] ? 1 : 0;
    c->result[d] = r;
    if (d || !r || r->status != QUERY_OK) {
        finish_accuracy(c);
    } else {
        ask(c, 1);
    }
}

/* One after the other: so nothing is shared between threads. */
static void
ask(struct accuracy_call *c, int direction)
{
    static const unsigned metrics[] = { COL_l2_bytes, COL_l2_bytes, COL_bytes,
                                        COL_bytes, COL_raw_packets };
    int64_t step = c->select.step_us;
    struct query q = {
        .from_us = c->select.from_us / step * step, .to_us = c->select.to_us,
        .n_by = 6, .n_metrics = 5, .order = 0, .limit = QUERY_MAX_LIMIT,
        .bucket_us = c->bucket_us, .all_observations = true,
    };
    for (unsigned i = 0; i < q.n_by; i++) {
        q.by[i] = question_keys[direction][i];
    }
    for (unsigned i = 0; i < q.n_metrics; i++) {
        q.metrics[i] = metrics[i];
    }
    q.calc[1].fn = q.calc[3].fn = FN_ERROR;
    query_start(c->pool, &q, on_result, c);
}

#define MAX_BUCKETS 360         /* Over the whole range, or so. */

/* A part of a step, whole seconds of it: as short as it can be without there
 * being too many. */
static int64_t
bucket_of(const struct selection *s)
{
    int64_t range_s = (s->to_us - s->from_us) / 1000000 + 1;
    int64_t step_s = s->step_us / 1000000;
    int64_t bucket_s = (range_s + MAX_BUCKETS - 1) / MAX_BUCKETS;
    while (bucket_s < step_s && step_s % bucket_s) {
        bucket_s++;
    }
    return (bucket_s < step_s ? bucket_s : step_s) * 1000000;
}

static void
exporter_accuracy(struct rpc_call *call, struct json_object *params)
{
    struct api_context *context = rpc_context(call);
    struct accuracy_call *c = calloc(1, sizeof *c);
    int64_t now = clock_wall_us();
    if (!c || !is_ready(call, context)
        || !read_selection(call, params, now, &c->select)) {
        if (!c) {
            rpc_fail(call, RPC_INTERNAL_ERROR, NULL, "out of memory");
        }
        free(c);
        return;
    }
    struct selection *s = &c->select;
    s->step_us = s->step_us ? s->step_us : DEFAULT_SPAN_US;
    s->step_us = (s->step_us + 999999) / 1000000 * 1000000;
    s->to_us = s->to_us < now ? s->to_us : now;
    if (s->from_us >= s->to_us
        || (s->to_us - s->from_us) / s->step_us > 1000) {
        rpc_fail(call, RPC_INVALID_PARAMS,
                 s->from_us >= s->to_us ? "from" : "step",
                 s->from_us >= s->to_us ? "the future is not known yet"
                                        : "more than 1000 steps");
        free(c);
        return;
    }
    int64_t interval = counter_log_interval(context->counter_log);
    c->bucket_us = bucket_of(s);
    c->gap_us = 3 * (interval > 100000000 ? interval : 100000000);
    c->call = call;
    c->api = rpc_api(call);
    c->pool = context->queries;
    c->log = context->counter_log;
    ask(c, 0);
}

/* ---- The table. ---- */

#define SELECTION_PARAMS                                                    \
    { "from", PARAM_TIME, false, "the beginning; an hour ago is the "       \
      "default", NULL },                                                    \
    { "to", PARAM_TIME, false, "the end; now is the default", NULL },       \
    { "exporter", PARAM_STRING, false, "only counters of this sFlow agent " \
      "or exporter", NULL },                                                \
    { "interface", PARAM_STRING, false, "only of interfaces with this name " \
      "or number", NULL }

static const struct rpc_param counters_params[] = {
    SELECTION_PARAMS,
    { "step", PARAM_DURATION, false, "the last point of each step; all that "
      "were kept are the default", NULL },
    { "fields", PARAM_ARRAY, false, "counters to tell; all are the default",
      "{\"type\":\"array\",\"items\":{\"type\":\"string\"}}" },
    { "limit", PARAM_INTEGER, false, "at most so many points; 10000 is the "
      "default", "{\"type\":\"integer\",\"minimum\":1,\"maximum\":100000}" },
    { NULL, PARAM_ANY, false, NULL, NULL }
};

static const struct rpc_param accuracy_params[] = {
    SELECTION_PARAMS,
    { "step", PARAM_DURATION, false, "compare over times of so long; an hour "
      "is the default", NULL },
    { NULL, PARAM_ANY, false, NULL, NULL }
};

#define RESULT_SCHEMA(REQUIRED)                                             \
    "{\"type\":\"object\",\"required\":[\"interfaces\",\"truncated\"],"     \
    "\"properties\":{\"truncated\":{\"type\":\"boolean\"},"                 \
    "\"interfaces\":{\"type\":\"array\",\"items\":{\"type\":\"object\","    \
    "\"required\":[" REQUIRED "]}}}}"

const struct rpc_method methods_counters[] = {
    {
        .name = "exporter.counters",
        .role = ROLE_VIEWER,
        .summary = "What interfaces counted, over time: sFlow counter "
                   "samples and OVSDB's Interface.statistics.  Values are "
                   "as sent: most only grow.",
        .params = counters_params,
        .result_schema = RESULT_SCHEMA("\"origin\",\"fields\",\"points\""),
        .example_params = "{\"from\":\"-10m\",\"interface\":\"vnet3\","
                          "\"fields\":[\"in_octets\",\"out_octets\"]}",
        .example_result =
            "{\"interfaces\":[{\"origin\":\"sflow\","
            "\"exporter\":\"127.0.0.1\",\"agent\":\"127.0.0.1\","
            "\"observation_domain_id\":0,\"data_source\":7,\"if_index\":7,"
            "\"name\":\"vnet3\",\"fields\":[\"in_octets\",\"out_octets\"],"
            "\"points\":[[\"2026-11-23T02:00:03Z\",1000,2000],"
            "[\"2026-11-23T02:01:03Z\",61000,2500]]}],\"truncated\":false}",
        .call = exporter_counters,
    }, {
        .name = "exporter.accuracy",
        .role = ROLE_VIEWER,
        .summary = "How good the estimates are: octets that flows say went "
                   "through each interface, beside what it counted, with the "
                   "95 % confidence interval that sampling leaves.",
        .params = accuracy_params,
        .result_schema = RESULT_SCHEMA(
            "\"time\",\"origin\",\"direction\",\"counted\",\"estimated\","
            "\"error\",\"ratio\",\"agrees\""),
        .example_params = "{\"from\":\"-1d\",\"interface\":\"vnet3\"}",
        .example_result =
            "{\"interfaces\":[{\"time\":\"2026-11-23T02:00:00Z\","
            "\"seconds\":3600,\"origin\":\"ovsdb\",\"remote\":"
            "\"unix:/run/openvswitch/db.sock\",\"bridge\":\"br-int\","
            "\"if_index\":7,\"name\":\"vnet3\",\"direction\":\"in\","
            "\"protocol\":\"sflow\",\"exporter\":\"127.0.0.1\","
            "\"layer\":2,\"counted\":1000000000,\"estimated\":1004000000,"
            "\"error\":21000000,\"samples\":9000,\"ratio\":1.004,"
            "\"low\":0.983,\"high\":1.025,\"agrees\":true}],"
            "\"truncated\":false}",
        .call = exporter_accuracy,
    },
    { .name = NULL }
};
