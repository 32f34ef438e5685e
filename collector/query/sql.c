#include <config.h>

#include "collector/query/sql.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "collector/filter/confine.h"

/* 9999-12-31: later than any flow. */
#define TIME_LAST_US INT64_C(253402300799999999)

/* What one compilation carries around. */
struct compiler {
    FILE *out;
    const struct query *q;
    const struct sql_dialect *d;
    const struct sql_source *source;    /* The one being written. */
    struct sql *sql;
    size_t next;                /* Next parameter, from 1. */
    bool failed;
    bool ids;                   /* Some source has names as ids. */
    bool names;                 /* And a NAME column is grouped by. */
    bool by_row;                /* Rows cannot be summed up per segment. */
    bool p95;                   /* There is one: rows have buckets. */
    bool rollups;               /* Some sources have sums. */
    bool plain;                 /* Within a filter, which is masked itself. */
    enum { ROW_END, OWN_END, OTHER_END } end;   /* Of keys of either end. */
};

static bool
same_bind(const struct sql_bind *a, const struct sql_bind *b)
{
    if (a->kind != b->kind) {
        return false;
    }
    switch (a->kind) {
    case BIND_NUMBER:
        return a->number == b->number;
    case BIND_TIME:
        return a->time_us == b->time_us;
    case BIND_ADDR:
        return !memcmp(&a->addr, &b->addr, sizeof a->addr);
    default:
        return !strcmp(a->text, b->text);
    }
}

/* The number of a parameter that has this value.  Sources ask for mostly the
 * same ones in the same order: only the first makes them. */
static size_t
bind(struct compiler *c, struct sql_bind value)
{
    size_t n = c->next++;
    struct sql *s = c->sql;

    if (n <= s->n_binds && same_bind(&s->binds[n - 1], &value)) {
        return n;
    }
    if (s->n_binds == s->allocated) {
        size_t more = s->allocated ? s->allocated * 2 : 16;
        struct sql_bind *p = realloc(s->binds, more * sizeof *p);
        if (!p) {
            c->failed = true;
            return 1;
        }
        s->binds = p;
        s->allocated = more;
    }
    s->binds[s->n_binds++] = value;
    return c->next = s->n_binds + 1, s->n_binds;
}

static void
put_parameter(struct compiler *c, enum column_type type,
              struct sql_bind value)
{
    c->d->parameter(c->out, bind(c, value), type);
}

/* Whether a column of the source is an id of its table of names. */
static bool
is_id(const struct compiler *c, unsigned id)
{
    return columns[id].type == COLUMN_T_NAME && !c->source->scan
           && !c->source->rollup;
}

/* That an end (0: the source) is of the tenants that the asker may see. */
static void
put_sees(struct compiler *c, int end)
{
    const struct confine *confine = c->q->confine;
    if (end == CONFINE_BOTH) {
        put_sees(c, 0);
        fputs(" AND ", c->out);
        put_sees(c, 1);
        return;
    }
    enum column_id id = end ? COL_dst_tenant : COL_src_tenant;
    bool ids = is_id(c, id);

    fprintf(c->out, "f.\"%s\" IN (", columns[id].name);
    if (ids) {
        fputs("SELECT id FROM ", c->out);
        c->d->table(c->out, c->source->schema, "names");
        fputs(" WHERE text IN (", c->out);
    }
    for (size_t i = 0; i < confine_count(confine); i++) {
        fputs(i ? ", " : "", c->out);
        put_parameter(c, COLUMN_T_NAME, (struct sql_bind) {
            .kind = BIND_TEXT, .text = confine_name(confine, i) });
    }
    fputs(ids ? "))" : ")", c->out);
}

/* A column, or nothing where who asks must not see it. */
static void
put_column(struct compiler *c, enum column_id id)
{
    int end = c->plain || !c->q->confine ? -1 : confine_end(id);

    if (!column_set_has(&c->source->has, id)) {
        c->d->null(c->out, columns[id].type);
        return;
    }
    if (end >= 0) {
        fputs("CASE WHEN ", c->out);
        put_sees(c, end);
        fputs(" THEN ", c->out);
    }
    fprintf(c->out, "f.\"%s\"", columns[id].name);
    fputs(end >= 0 ? " END" : "", c->out);
}

/* Filters. */

static uint64_t
type_max(enum column_type type)
{
    switch (type) {
    case COLUMN_T_U8:
    case COLUMN_T_ENUM:
        return UINT8_MAX;
    case COLUMN_T_U16:
        return UINT16_MAX;
    case COLUMN_T_U32:
    case COLUMN_T_BITS:
        return UINT32_MAX;
    case COLUMN_T_BOOL:
        return 1;
    case COLUMN_T_TIME:
        return (uint64_t) TIME_LAST_US;
    default:
        return UINT64_MAX;
    }
}

static void
put_prefix(struct compiler *c, const struct filter *t)
{
    struct addr first, last;
    prefix_range(&t->prefix, &first, &last);
    put_column(c, t->column);
    if (t->prefix.len >= 128) {
        fputs(" = ", c->out);
        put_parameter(c, COLUMN_T_ADDR, (struct sql_bind) {
            .kind = BIND_ADDR, .addr = first });
        return;
    }
    fputs(" BETWEEN ", c->out);
    put_parameter(c, COLUMN_T_ADDR, (struct sql_bind) {
        .kind = BIND_ADDR, .addr = first });
    fputs(" AND ", c->out);
    put_parameter(c, COLUMN_T_ADDR, (struct sql_bind) {
        .kind = BIND_ADDR, .addr = last });
}

/* "text is the name", "has the word", "matches". */
static void
put_text(struct compiler *c, const struct filter *t, const char *column)
{
    struct sql_bind bind_ = { .kind = BIND_TEXT,
                              .text = t->text ? t->text : "" };
    if (t->cmp == CMP_MATCHES) {
        fprintf(c->out, "regexp_matches(%s, ", column);
        put_parameter(c, COLUMN_T_NAME, bind_);
        fputs(")", c->out);
    } else if (t->cmp == CMP_HAS_WORD) {
        fprintf(c->out, "contains(' ' || %s || ' ', ' ' || ", column);
        put_parameter(c, COLUMN_T_NAME, bind_);
        fputs(" || ' ')", c->out);
    } else if (t->cmp == CMP_HAS_LABEL) {
        fprintf(c->out, "contains(',' || %s || ',', ", column);
        put_parameter(c, COLUMN_T_NAME, bind_);
        fputs(")", c->out);
    } else {
        fprintf(c->out, "%s = ", column);
        put_parameter(c, COLUMN_T_NAME, bind_);
    }
}

static void
put_name(struct compiler *c, const struct filter *t)
{
    if (c->source->rollup || c->source->scan) {
        char column[80];
        if (!column_set_has(&c->source->has, t->column)) {
            fputs("NULL", c->out);
            return;
        }
        snprintf(column, sizeof column, "f.\"%s\"",
                 columns[t->column].name);
        put_text(c, t, column);
        return;
    }
    put_column(c, t->column);
    /* Ids differ between segments; texts do not. */
    fputs(" IN (SELECT id FROM ", c->out);
    c->d->table(c->out, c->source->schema, "names");
    fputs(" WHERE ", c->out);
    put_text(c, t, "text");
    fputs(")", c->out);
}

static void
put_bits(struct compiler *c, const struct filter *t)
{
    enum column_type type = columns[t->column].type;
    struct sql_bind value = { .kind = BIND_NUMBER,
                              .number = t->number & type_max(type) };
    putc('(', c->out);
    put_column(c, t->column);
    fputs(" & ", c->out);
    put_parameter(c, type, value);
    fputs(") = ", c->out);
    if (t->cmp == CMP_BITS_NONE) {
        value.number = 0;
    }
    put_parameter(c, type, value);
}

static void
put_number(struct compiler *c, const struct filter *t)
{
    static const char *const operators[] = {
        [CMP_EQ] = "=", [CMP_NE] = "=", [CMP_LT] = "<", [CMP_LE] = "<=",
        [CMP_GT] = ">", [CMP_GE] = ">=",
    };
    enum column_type type = columns[t->column].type;
    uint64_t max = type_max(type);

    if (t->number > max) {
        /* Beyond what the column can hold. */
        if (t->cmp == CMP_LT || t->cmp == CMP_LE) {
            put_column(c, t->column);
            fputs(" IS NOT NULL", c->out);
        } else {
            fputs("FALSE", c->out);
        }
        return;
    }
    put_column(c, t->column);
    fprintf(c->out, " %s ", operators[t->cmp]);
    if (type == COLUMN_T_TIME) {
        put_parameter(c, type, (struct sql_bind) {
            .kind = BIND_TIME, .time_us = (int64_t) t->number });
    } else {
        put_parameter(c, type, (struct sql_bind) {
            .kind = BIND_NUMBER, .number = t->number });
    }
}

/* The range of values that a comparison of integers means; false: none. */
static bool
cmp_range(enum filter_cmp cmp, uint64_t n, uint64_t *lo, uint64_t *hi)
{
    *lo = cmp == CMP_GT ? n + 1 : cmp == CMP_LT || cmp == CMP_LE ? 0 : n;
    *hi = cmp == CMP_LT ? n - 1
          : cmp == CMP_GT || cmp == CMP_GE ? UINT64_MAX : n;
    return !(cmp == CMP_GT && n == UINT64_MAX) && !(cmp == CMP_LT && !n);
}

static void
put_constant(struct compiler *c, uint64_t number)
{
    put_parameter(c, COLUMN_T_U64, (struct sql_bind) {
        .kind = BIND_NUMBER, .number = number });
}

static void
put_wide_column(struct compiler *c, enum column_id id)
{
    c->d->wide(c->out, true);
    put_column(c, id);
    c->d->wide(c->out, false);
}

/* What a quotient is divided by: packets, or time in milliseconds. */
static void
put_divisor(struct compiler *c, enum filter_value value)
{
    if (value == FV_BPP) {
        put_wide_column(c, COL_packets);
        return;
    }
    c->d->wide(c->out, true);
    c->d->elapsed_ms(c->out, true);
    put_column(c, COL_flow_start);
    fputs(", ", c->out);
    put_column(c, COL_flow_end);
    c->d->elapsed_ms(c->out, false);
    c->d->wide(c->out, false);
}

/* "value, rounded down, is in lo..hi", without dividing: exact.  By nothing it
 * is 0. */
static void
put_quotient(struct compiler *c, enum filter_value value, uint64_t lo,
             uint64_t hi)
{
    enum column_id id = value == FV_PPS ? COL_packets : COL_bytes;
    unsigned factor = value == FV_BPS ? 8000 : value == FV_PPS ? 1000 : 1;

    fputs("CASE WHEN ", c->out);
    put_divisor(c, value);
    fprintf(c->out, " = 0 THEN %s ELSE ", lo ? "FALSE" : "TRUE");
    put_wide_column(c, id);
    fprintf(c->out, " * %u >= ", factor);
    c->d->wide(c->out, true);
    put_constant(c, lo);
    c->d->wide(c->out, false);
    fputs(" * ", c->out);
    put_divisor(c, value);
    if (hi != UINT64_MAX) {
        fputs(" AND ", c->out);
        put_wide_column(c, id);
        fprintf(c->out, " * %u < ", factor);
        c->d->wide(c->out, true);
        put_constant(c, hi + 1);
        c->d->wide(c->out, false);
        fputs(" * ", c->out);
        put_divisor(c, value);
    }
    fputs(" END", c->out);
}

static void
put_computed(struct compiler *c, const struct filter *t)
{
    uint64_t lo, hi;
    if (!cmp_range(t->cmp == CMP_NE ? CMP_EQ : t->cmp, t->number, &lo, &hi)) {
        fputs("FALSE", c->out);
    } else if (t->value == FV_BPS || t->value == FV_PPS
               || t->value == FV_BPP) {
        put_quotient(c, t->value, lo, hi);
    } else {
        if (t->value == FV_DURATION) {
            put_divisor(c, t->value);
        } else {
            fputs("((", c->out);
            put_column(c, COL_observation_domain_id);
            fputs(t->value == FV_ENGINE_TYPE ? " >> 8) & 255)" : ") & 255)",
                  c->out);
        }
        fputs(" BETWEEN ", c->out);
        put_constant(c, lo);
        fputs(" AND ", c->out);
        put_constant(c, hi);
    }
}

/* A term about an absent value is false, and its negation true: SQL's third
 * value does not get out of here. */
static void
put_term(struct compiler *c, const struct filter *t, bool negate)
{
    enum column_type type = columns[t->column].type;

    if (t->cmp == CMP_IS_NULL) {
        put_column(c, t->column);
        fputs(negate ? " IS NOT NULL" : " IS NULL", c->out);
        return;
    }
    negate ^= t->cmp == CMP_NE;
    if (negate) {
        putc('(', c->out);
    }
    if (t->value != FV_COLUMN) {
        put_computed(c, t);
    } else if (t->cmp == CMP_IN_PREFIX) {
        put_prefix(c, t);
    } else if (type == COLUMN_T_NAME) {
        put_name(c, t);
    } else if (t->cmp == CMP_BITS_ALL || t->cmp == CMP_BITS_NONE) {
        put_bits(c, t);
    } else {
        put_number(c, t);
    }
    if (negate) {
        fputs(") IS NOT TRUE", c->out);
    }
}

static void
put_filter(struct compiler *c, const struct filter *f, bool negate)
{
    while (f->op == FILTER_NOT) {
        negate = !negate;
        f = f->left;
    }
    if (f->op == FILTER_ANY) {
        fputs(negate ? "FALSE" : "TRUE", c->out);
    } else if (f->op == FILTER_TERM) {
        put_term(c, f, negate);
    } else {
        /* De Morgan; chains are written without parentheses, since engines
         * bound how deep expressions nest. */
        bool and_ = (f->op == FILTER_AND) != negate;
        const struct filter *sides[] = { f->left, f->right };
        for (int i = 0; i < 2; i++) {
            bool chain = i == 0 && sides[i]->op == f->op;
            bool leaf = sides[i]->op == FILTER_TERM;
            fputs(i == 0 ? "" : and_ ? " AND " : " OR ", c->out);
            fputs(chain || leaf ? "" : "(", c->out);
            put_filter(c, sides[i], negate);
            fputs(chain || leaf ? "" : ")", c->out);
        }
    }
}

/* What the query reads from one segment. */

static int64_t
clamp_time(int64_t us)
{
    return us < 0 ? 0 : us > TIME_LAST_US ? TIME_LAST_US : us;
}

static void
put_time(struct compiler *c, int64_t us)
{
    put_parameter(c, COLUMN_T_TIME, (struct sql_bind) {
        .kind = BIND_TIME, .time_us = clamp_time(us) });
}

static void
put_range(struct compiler *c, int64_t from_us, int64_t to_us)
{
    put_column(c, COL_flow_end);
    fputs(" >= ", c->out);
    put_time(c, from_us);
    fputs(" AND ", c->out);
    put_column(c, COL_flow_end);
    fputs(" < ", c->out);
    put_time(c, to_us);
}

static void put_key(struct compiler *, unsigned);

/* Each row is there for either end; the second time only if the ends differ. */
static void
put_ends(struct compiler *c, const char *before)
{
    const char *or = " OR ";
    if (!query_either(c->q)) {
        return;
    }
    fprintf(c->out, "%s(NOT e.other", before);
    for (unsigned i = 0; i < c->q->n_by; i++) {
        if (c->q->key[i].either) {
            fputs(or, c->out);
            c->end = OWN_END;
            put_key(c, i);
            fputs(" IS DISTINCT FROM ", c->out);
            c->end = OTHER_END;
            put_key(c, i);
            c->end = ROW_END;
        }
    }
    fputs(")", c->out);
}

static void
put_where(struct compiler *c)
{
    const struct query *q = c->q;
    const struct filter *f = c->source->filter ? c->source->filter
                                               : q->filter;

    if (c->source->scan) {      /* It was told, but for this. */
        put_ends(c, " WHERE ");
        return;
    }
    fputs(" WHERE ", c->out);
    if (q->previous_us) {
        fputs("((", c->out);
        put_range(c, q->from_us, q->to_us);
        fputs(") OR (", c->out);
        put_range(c, q->from_us - q->previous_us,
                  q->to_us - q->previous_us);
        fputs("))", c->out);
    } else {
        put_range(c, q->from_us, q->to_us);
    }
    if (!q->all_observations
        && column_set_has(&c->source->has, COL_canonical)) {
        fputs(" AND ", c->out);
        put_column(c, COL_canonical);
    }
    if (f && f->op != FILTER_ANY) {
        fputs(" AND (", c->out);
        c->plain = true;
        put_filter(c, f, false);
        c->plain = false;
        fputs(")", c->out);
    }
    put_ends(c, " AND ");
}

/* Keys. */

enum column_id
query_other_end(enum column_id id)
{
    static const enum column_id pairs[][2] = {
        { COL_src_addr, COL_dst_addr }, { COL_src_port, COL_dst_port },
        { COL_src_mac, COL_dst_mac }, { COL_src_as, COL_dst_as },
        { COL_in_if, COL_out_if }, { COL_in_if_name, COL_out_if_name },
        { COL_src_prefix_length, COL_dst_prefix_length },
        { COL_src_as_path, COL_as_path },
        { COL_src_communities, COL_communities },
        { COL_src_bgp_next_hop, COL_bgp_next_hop },
        { COL_src_peer_as, COL_dst_peer_as },
        { COL_src_local_pref, COL_dst_local_pref },
        { COL_src_med, COL_dst_med }, { COL_src_origin, COL_dst_origin },
        { COL_src_route_peer, COL_dst_route_peer },
        { COL_src_route_view, COL_dst_route_view },
        { COL_src_endpoint, COL_dst_endpoint },
        { COL_src_tenant, COL_dst_tenant },
        { COL_src_network, COL_dst_network },
        { COL_src_host, COL_dst_host }, { COL_src_labels, COL_dst_labels },
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        if (pairs[i][0] == id) {
            return pairs[i][1];
        } else if (pairs[i][1] == id) {
            return pairs[i][0];
        }
    }
    return id;
}

/* Whether a record goes from the service to its client: the service is on the
 * lower port, or at the higher address. */
static void
put_is_reply(struct compiler *c)
{
    fputs("(coalesce(", c->out);
    put_column(c, COL_src_port);
    fputs(", 0) < coalesce(", c->out);
    put_column(c, COL_dst_port);
    fputs(", 0) OR (coalesce(", c->out);
    put_column(c, COL_src_port);
    fputs(", 0) = coalesce(", c->out);
    put_column(c, COL_dst_port);
    fputs(", 0) AND ", c->out);
    put_column(c, COL_src_addr);
    fputs(" > ", c->out);
    put_column(c, COL_dst_addr);
    fputs("))", c->out);
}

/* Key 'i' of the end that a row is of. */
static void
put_side(struct compiler *c, unsigned i)
{
    enum column_id id = c->q->by[i], other = query_other_end(id);
    bool either = c->q->key[i].either;

    if (either && c->end) {
        put_column(c, c->end == OWN_END ? id : other);
        return;
    } else if (!either && (!c->q->bidirectional || other == id)) {
        put_column(c, id);
        return;
    }
    fputs("CASE WHEN ", c->out);
    if (either) {
        fputs("e.other", c->out);
    } else {
        put_is_reply(c);
    }
    fputs(" THEN ", c->out);
    put_column(c, other);
    fputs(" ELSE ", c->out);
    put_column(c, id);
    fputs(" END", c->out);
}

static void
put_mask(struct compiler *c, unsigned len)
{
    struct sql_bind b = { .kind = BIND_ADDR };
    for (unsigned i = 0; i < len; i++) {
        b.addr.b[i / 8] |= (uint8_t) (0x80 >> i % 8);
    }
    put_parameter(c, COLUMN_T_ADDR, b);
}

/* A text that lives as long as the statement. */
static const char *
keep_text(struct compiler *c, const char *text)
{
    struct sql *s = c->sql;
    char **larger = realloc(s->texts, (s->n_texts + 1) * sizeof *larger);
    char *copy = larger ? strdup(text) : NULL;
    if (larger) {
        s->texts = larger;
    }
    if (!copy) {
        c->failed = true;
        return "";
    }
    return s->texts[s->n_texts++] = copy;
}

/* The value of a label; nothing where there is none. */
static void
put_label(struct compiler *c, unsigned i)
{
    const char *key = c->q->key[i].label;
    char label[2 * QUERY_MAX_LABEL + 8] = ",", pattern[2 * sizeof label + 32];
    size_t n = 0;

    filter_label_escape(label, sizeof label - 1, key, strlen(key));
    strcat(label, "=");
    for (const char *s = label; *s; s++) {
        if (strchr("\\.*+?^$|()[]{}", *s)) {
            pattern[n++] = '\\';
        }
        pattern[n++] = *s;
    }
    snprintf(pattern + n, sizeof pattern - n, "((?:[^\\\\,]|\\\\.)*)");
    fputs("CASE WHEN contains(',' || (", c->out);
    put_side(c, i);
    fputs("), ", c->out);
    put_parameter(c, COLUMN_T_NAME, (struct sql_bind) {
        .kind = BIND_TEXT, .text = keep_text(c, label) });
    fputs(") THEN ", c->out);
    c->d->label(c->out, SQL_LABEL_COLUMN);
    put_side(c, i);
    c->d->label(c->out, SQL_LABEL_PATTERN);
    put_parameter(c, COLUMN_T_NAME, (struct sql_bind) {
        .kind = BIND_TEXT, .text = keep_text(c, pattern) });
    c->d->label(c->out, SQL_LABEL_END);
    fputs(" END", c->out);
}

static void
put_key(struct compiler *c, unsigned i)
{
    const struct query_key *k = &c->q->key[i];
    struct prefix v4 = { { { [10] = 0xff, [11] = 0xff } }, 96 };

    if (k->form == FORM_LABEL) {
        put_label(c, i);
        return;
    }
    if (k->form != FORM_PREFIX) {
        put_side(c, i);
        return;
    }
    fputs("CASE WHEN (", c->out);
    put_side(c, i);
    fputs(") BETWEEN ", c->out);
    for (int end = 0; end < 2; end++) {
        struct sql_bind b[2] = { { .kind = BIND_ADDR }, { .kind = BIND_ADDR } };
        prefix_range(&v4, &b[0].addr, &b[1].addr);
        fputs(end ? " AND " : "", c->out);
        put_parameter(c, COLUMN_T_ADDR, b[end]);
    }
    for (int v6 = 0; v6 < 2; v6++) {
        fputs(v6 ? " ELSE (" : " THEN (", c->out);
        put_side(c, i);
        fputs(") & ", c->out);
        put_mask(c, v6 ? k->v6_len : 96u + k->v4_len);
    }
    fputs(" END", c->out);
}

/* Metrics. */

/* What a record adds to the variance of a sum.  It stands for k packets that
 * were picked, each as one of N, and says y in all: were the packets of one
 * size, each would add (y / k)^2 (1 - 1 / N).  0 if nothing was left out. */
static void
put_variance(struct compiler *c, enum column_id id)
{
    fputs("CASE WHEN ", c->out);
    put_column(c, COL_sampling);
    fputs(" > 1 THEN ", c->out);
    for (int i = 0; i < 2; i++) {
        put_column(c, id);
        fputs("::DOUBLE * ", c->out);
    }
    fputs("(1 - 1 / ", c->out);
    put_column(c, COL_sampling);
    fputs("::DOUBLE) / greatest(", c->out);
    put_column(c, COL_raw_packets);
    fputs(", 1) ELSE 0 END", c->out);
}

/* What a record adds to a metric. */
static void
put_metric_row(struct compiler *c, unsigned i)
{
    const struct query *q = c->q;
    unsigned fn = q->calc[i].fn;
    bool period = q->previous_us != 0;

    if (period || fn == FN_REVERSE) {
        fputs("CASE WHEN ", c->out);
        if (period) {
            put_range(c, fn == FN_PREVIOUS ? q->from_us - q->previous_us
                                           : q->from_us,
                      fn == FN_PREVIOUS ? q->to_us - q->previous_us
                                        : q->to_us);
        }
        if (fn == FN_REVERSE) {
            fputs(period ? " AND " : "", c->out);
            put_is_reply(c);
        }
        fputs(" THEN ", c->out);
    }
    if (q->metrics[i] == QUERY_METRIC_FLOWS) {
        fputs(c->source->rollup ? "f.\"flows\"" : "1", c->out);
    } else if (fn == FN_ERROR) {
        put_variance(c, q->metrics[i]);
    } else if (q->metrics[i] == COL_flow_end && c->source->rollup) {
        fputs("f.\"last\"", c->out);
    } else if (fn == FN_DISTINCT && is_id(c, q->metrics[i])) {
        fprintf(c->out, "d%u.text", i);
    } else {
        put_column(c, q->metrics[i]);
    }
    fputs(period || fn == FN_REVERSE ? " END" : "", c->out);
}

static const char *
aggregate_of(unsigned fn)
{
    return fn == FN_MIN ? "min" : fn == FN_MAX ? "max"
           : fn == FN_DISTINCT ? "count(DISTINCT " : "sum";
}

static void
put_bucket(struct compiler *c, int64_t us)
{
    size_t n = bind(c, (struct sql_bind) {
        .kind = BIND_NUMBER, .number = (uint64_t) us });
    c->d->bucket(c->out, "f.\"flow_end\"", n);
}

/* The expressions of keys (k0...) and metrics (m0...), separated by commas;
 * names as ids or, by row, as texts. */
static void
put_rows(struct compiler *c, bool aggregate)
{
    const struct query *q = c->q;
    const char *comma = "";

    if (q->bucket_us || c->p95) {
        put_bucket(c, c->p95 ? q->p95_us : q->bucket_us);
        fputs(" AS t", c->out);
        comma = ", ";
    }
    for (unsigned i = 0; i < q->n_by; i++) {
        fputs(comma, c->out);
        if (c->by_row && is_id(c, q->by[i])) {
            fprintf(c->out, "n%u.text", i);
        } else {
            put_key(c, i);
        }
        fprintf(c->out, " AS k%u", i);
        comma = ", ";
    }
    for (unsigned i = 0; i < q->n_metrics; i++) {
        fputs(comma, c->out);
        comma = ", ";
        if (aggregate) {
            fprintf(c->out, "%s(", aggregate_of(q->calc[i].fn));
        }
        put_metric_row(c, i);
        fprintf(c->out, "%s AS m%u", aggregate ? ")" : "", i);
    }
}

static void
put_group_by(struct compiler *c, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        fprintf(c->out, "%s%u", i ? ", " : " GROUP BY ", i + 1);
    }
}

static unsigned
n_keys(const struct compiler *c)
{
    return c->q->n_by + (c->q->bucket_us != 0);
}

static void
put_from(struct compiler *c)
{
    fputs(" FROM ", c->out);
    if (c->source->scan) {
        fputs(c->source->scan, c->out);
    } else {
        c->d->table(c->out, c->source->schema, c->source->rollup
                    ? c->source->rollup : "flows");
    }
    fputs(" AS f", c->out);
    if (query_either(c->q)) {
        fputs(" CROSS JOIN (VALUES (FALSE), (TRUE)) AS e(other)", c->out);
    }
}

/* The texts of a NAME column, as table 'prefix' 'i'. */
static void
put_names(struct compiler *c, char prefix, unsigned i)
{
    fputs(" LEFT JOIN ", c->out);
    c->d->table(c->out, c->source->schema, "names");
    fprintf(c->out, " AS %c%u ON %c%u.id = ", prefix, i, prefix, i);
}

/* One segment, row by row: the outer query sums up.  Names are looked up for
 * each row, where they are needed at all. */
static void
put_source_rows(struct compiler *c)
{
    const struct query *q = c->q;

    if (c->source->sums) {
        fprintf(c->out, "SELECT * FROM %s", c->source->scan);
        return;
    }
    fputs("SELECT ", c->out);
    put_rows(c, false);
    put_from(c);
    if (c->source->rollup) {
        put_where(c);
        return;
    }
    for (unsigned i = 0; c->by_row && i < q->n_by; i++) {
        if (is_id(c, q->by[i])) {
            put_names(c, 'n', i);
            put_side(c, i);
        }
    }
    for (unsigned i = 0; i < q->n_metrics; i++) {
        if (q->calc[i].fn == FN_DISTINCT && is_id(c, q->metrics[i])) {
            put_names(c, 'd', i);
            put_column(c, q->metrics[i]);
        }
    }
    put_where(c);
}

/* One segment with names: summed up by id first, so that a text is looked up
 * once a group and not once a row. */
static void
put_source_names(struct compiler *c)
{
    const struct query *q = c->q;
    bool time = q->bucket_us || c->p95;

    fputs("SELECT ", c->out);
    fputs(time ? "a.t, " : "", c->out);
    for (unsigned i = 0; i < q->n_by; i++) {
        bool name = columns[q->by[i]].type == COLUMN_T_NAME;
        fprintf(c->out, name ? "%sn%u.text AS k%u" : "%sa.k%u AS k%u",
                i ? ", " : "", i, i);
    }
    for (unsigned i = 0; i < q->n_metrics; i++) {
        fprintf(c->out, ", a.m%u", i);
    }
    fputs(" FROM (SELECT ", c->out);
    put_rows(c, true);
    put_from(c);
    put_where(c);
    put_group_by(c, q->n_by + time);
    fputs(") AS a", c->out);
    for (unsigned i = 0; i < q->n_by; i++) {
        if (columns[q->by[i]].type == COLUMN_T_NAME) {
            put_names(c, 'n', i);
            fprintf(c->out, "a.k%u", i);
        }
    }
}

static void
put_null_text(struct compiler *c, enum column_type type)
{
    if (type == COLUMN_T_NAME) {
        fputs("''", c->out);
    } else {
        c->d->null(c->out, type);
    }
}

/* No segment: the same columns and no rows. */
static void
put_nothing(struct compiler *c)
{
    const struct query *q = c->q;
    const char *comma = "";

    fputs("SELECT ", c->out);
    if (q->bucket_us || c->p95) {
        c->d->null(c->out, COLUMN_T_TIME);
        fputs(" AS t", c->out);
        comma = ", ";
    }
    for (unsigned i = 0; i < q->n_by; i++) {
        fputs(comma, c->out);
        put_null_text(c, columns[q->by[i]].type);
        fprintf(c->out, " AS k%u", i);
        comma = ", ";
    }
    for (unsigned i = 0; i < q->n_metrics; i++) {
        unsigned id = q->metrics[i];
        fputs(comma, c->out);
        put_null_text(c, id < N_COLUMNS ? columns[id].type : COLUMN_T_U64);
        fprintf(c->out, " AS m%u", i);
        comma = ", ";
    }
    fputs(" WHERE FALSE", c->out);
}

/* A metric out of those of segments or buckets. */
static void
put_metric(struct compiler *c, unsigned i)
{
    const struct query *q = c->q;
    unsigned id = q->metrics[i], fn = q->calc[i].fn;
    /* Nothing at all sums up to 0, unless it can be absent. */
    bool zero = id == QUERY_METRIC_FLOWS || !(columns[id].flags & CF_NULL);

    if (fn == FN_ERROR) {
        fprintf(c->out, "least(round(1.96 * sqrt(coalesce(sum(m%u), 0))), "
                "1.8e19)::UBIGINT", i);
    } else if (fn == FN_DISTINCT) {
        fprintf(c->out, "count(DISTINCT m%u)", i);
    } else if (fn == FN_MIN || fn == FN_MAX) {
        fprintf(c->out, "%s(m%u)", aggregate_of(fn), i);
    } else if (fn == FN_P95) {
        int64_t n = (q->to_us - q->from_us + q->p95_us - 1) / q->p95_us;
        char name[16];
        snprintf(name, sizeof name, "m%u", i);
        c->d->percentile(c->out, name, (uint64_t) n);
    } else if (id == QUERY_METRIC_FLOWS && !c->names && !c->p95
               && !c->rollups
               && fn != FN_REVERSE && !q->previous_us) {
        fputs("count(*)", c->out);
    } else {
        fprintf(c->out, zero ? "coalesce(sum(m%u), 0)" : "sum(m%u)", i);
    }
}

static void
put_select(struct compiler *c)
{
    const struct query *q = c->q;
    const char *comma = "";

    fputs("SELECT ", c->out);
    if (q->bucket_us) {
        fputs("t", c->out);
        comma = ", ";
    }
    for (unsigned i = 0; i < q->n_by; i++) {
        fprintf(c->out, "%sk%u", comma, i);
        comma = ", ";
    }
    for (unsigned i = 0; i < q->n_metrics; i++) {
        fputs(comma, c->out);
        put_metric(c, i);
        comma = ", ";
    }
}

/* Between the segments and a percentile: sums of each bucket. */
static void
put_bucket_select(struct compiler *c)
{
    const struct query *q = c->q;

    fputs("SELECT t", c->out);
    for (unsigned i = 0; i < q->n_by; i++) {
        fprintf(c->out, ", k%u", i);
    }
    for (unsigned i = 0; i < q->n_metrics; i++) {
        fprintf(c->out, ", %s(m%u) AS m%u", aggregate_of(q->calc[i].fn), i,
                i);
    }
    fputs(" FROM (", c->out);
}

/* By the column asked for, then by the others, so that the same question has
 * the same answer. */
static void
put_order(struct compiler *c)
{
    const struct query *q = c->q;
    const char *comma = " ORDER BY ";

    if (q->order >= 0) {
        fprintf(c->out, "%s%d %s NULLS LAST", comma, q->order + 1,
                q->descending ? "DESC" : "ASC");
        comma = ", ";
    }
    for (unsigned i = 0; i < n_keys(c); i++) {
        if ((int) i != q->order) {
            fprintf(c->out, "%s%u NULLS LAST", comma, i + 1);
            comma = ", ";
        }
    }
}

/* Single records. */

/* What orders records of the same time, so that pages are cut at the same place
 * each time: the later arrival comes later. */
static const enum column_id ties[] = {
    COL_received, COL_src_addr, COL_dst_addr, COL_src_port, COL_dst_port,
    COL_proto, COL_bytes, COL_packets, COL_exporter,
};
#define N_TIES (sizeof ties / sizeof ties[0])

static void
put_source_records(struct compiler *c)
{
    const struct query_records *r = &c->q->records;

    fputs("SELECT ", c->out);
    put_column(c, COL_flow_end);
    fputs(" AS k0", c->out);
    for (unsigned i = 0; i < r->n_fields; i++) {
        fputs(", ", c->out);
        if (is_id(c, r->fields[i])) {
            fprintf(c->out, "n%u.text", i);
        } else {
            put_column(c, r->fields[i]);
        }
        fprintf(c->out, " AS k%u", i + 1);
    }
    for (unsigned i = 0; i < N_TIES; i++) {
        fputs(", ", c->out);
        put_column(c, ties[i]);
        fprintf(c->out, " AS r%u", i);
    }
    put_from(c);
    for (unsigned i = 0; i < r->n_fields; i++) {
        if (is_id(c, r->fields[i])) {
            put_names(c, 'n', i);
            put_column(c, r->fields[i]);
        }
    }
    put_where(c);
}

static void
put_no_records(struct compiler *c)
{
    const struct query_records *r = &c->q->records;
    fputs("SELECT ", c->out);
    c->d->null(c->out, COLUMN_T_TIME);
    fputs(" AS k0", c->out);
    for (unsigned i = 0; i < r->n_fields; i++) {
        fputs(", ", c->out);
        put_null_text(c, columns[r->fields[i]].type);
        fprintf(c->out, " AS k%u", i + 1);
    }
    for (unsigned i = 0; i < N_TIES; i++) {
        fprintf(c->out, ", NULL AS r%u", i);
    }
    fputs(" WHERE FALSE", c->out);
}

static void
put_sources(struct compiler *c, const struct sql_source *sources, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        c->source = &sources[i];
        c->next = 1;
        fputs(i ? " UNION ALL " : "", c->out);
        if (c->q->records.on) {
            put_source_records(c);
        } else if (c->names && !c->by_row && !c->source->scan
                   && !c->source->rollup) {
            put_source_names(c);
        } else {
            put_source_rows(c);
        }
    }
    if (!n && c->q->records.on) {
        put_no_records(c);
    } else if (!n) {
        put_nothing(c);
    }
}

static void
put_records(struct compiler *c, const struct sql_source *sources, size_t n)
{
    const struct query_records *r = &c->q->records;
    fputs("SELECT k0", c->out);
    for (unsigned i = 0; i < r->n_fields; i++) {
        fprintf(c->out, ", k%u", i + 1);
    }
    fputs(" FROM (", c->out);
    put_sources(c, sources, n);
    fputs(") AS u", c->out);
    if (r->all) {
        return;
    }
    fprintf(c->out, " ORDER BY k0%s", r->oldest_first ? "" : " DESC");
    for (unsigned i = 0; i < N_TIES; i++) {
        fprintf(c->out, ", r%u NULLS LAST", i);
    }
    fprintf(c->out, " LIMIT %" PRIu64 " OFFSET %" PRIu64, c->q->limit + 1,
            r->skip);
}

static void
put_sums(struct compiler *c, const struct sql_source *sources, size_t n)
{
    put_select(c);
    fputs(" FROM (", c->out);
    if (c->p95) {
        put_bucket_select(c);
    }
    put_sources(c, sources, n);
    if (c->p95) {
        fputs(") AS b", c->out);
        put_group_by(c, c->q->n_by + 1);
    }
    fputs(") AS u", c->out);
    put_group_by(c, n_keys(c));
    if (!c->q->unordered) {
        put_order(c);
        fprintf(c->out, " LIMIT %" PRIu64, c->q->limit + 1);
    }
}

int
query_confine(const struct query *q, struct query *out)
{
    *out = *q;
    out->filter = q->confine ? confine_filter(q->confine, q->filter)
                  : filter_copy(q->filter);
    return !out->filter && (q->confine || q->filter) ? -ENOMEM : 0;
}

int
sql_compile(const struct query *q, const struct sql_source *sources,
            size_t n, const struct sql_dialect *dialect, struct sql *sql)
{
    size_t size;
    struct compiler c = { .q = q, .d = dialect, .sql = sql };

    memset(sql, 0, sizeof *sql);
    c.out = open_memstream(&sql->text, &size);
    if (!c.out) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        c.ids |= !sources[i].scan && !sources[i].rollup;
    }
    for (unsigned i = 0; i < q->n_by; i++) {
        c.names |= c.ids && columns[q->by[i]].type == COLUMN_T_NAME;
    }
    for (unsigned i = 0; i < q->n_metrics; i++) {
        c.by_row |= q->calc[i].fn == FN_DISTINCT;
        c.p95 |= q->calc[i].fn == FN_P95;
    }
    for (size_t i = 0; i < n; i++) {
        c.rollups |= sources[i].rollup || sources[i].sums;
    }
    if (q->records.on) {
        put_records(&c, sources, n);
    } else {
        put_sums(&c, sources, n);
    }
    if (fclose(c.out) || c.failed) {
        sql_clear(sql);
        return -ENOMEM;
    }
    return 0;
}

void
sql_clear(struct sql *sql)
{
    for (size_t i = 0; i < sql->n_texts; i++) {
        free(sql->texts[i]);
    }
    free(sql->texts);
    free(sql->text);
    free(sql->binds);
    memset(sql, 0, sizeof *sql);
}

char *
query_sql(const struct query *q, const char *const *schemas, size_t n)
{
    struct sql_source *sources = calloc(n + 1, sizeof *sources);
    struct sql sql;
    char *text = NULL;

    for (size_t i = 0; sources && i < n; i++) {
        sources[i].schema = schemas[i];
        for (unsigned id = 0; id < N_COLUMNS; id++) {
            column_set_add(&sources[i].has, id);
        }
    }
    struct query confined = { .filter = NULL };
    if (sources && !query_confine(q, &confined)
        && !sql_compile(&confined, sources, n, &sql_duckdb, &sql)) {
        text = sql.text;
        sql.text = NULL;
        sql_clear(&sql);
    }
    filter_destroy(confined.filter);
    free(sources);
    return text;
}
