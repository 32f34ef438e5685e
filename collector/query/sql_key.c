#include <config.h>

#include "collector/query/sql_p.h"

#include <stdlib.h>
#include <string.h>

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
    sql_put_column(c, COL_src_port);
    fputs(", 0) < coalesce(", c->out);
    sql_put_column(c, COL_dst_port);
    fputs(", 0) OR (coalesce(", c->out);
    sql_put_column(c, COL_src_port);
    fputs(", 0) = coalesce(", c->out);
    sql_put_column(c, COL_dst_port);
    fputs(", 0) AND ", c->out);
    sql_put_column(c, COL_src_addr);
    fputs(" > ", c->out);
    sql_put_column(c, COL_dst_addr);
    fputs("))", c->out);
}

/* Key 'i' of the end that a row is of. */
void
sql_put_side(struct compiler *c, unsigned i)
{
    enum column_id id = c->q->by[i], other = query_other_end(id);
    bool either = c->q->key[i].either;

    if (either && c->end) {
        sql_put_column(c, c->end == OWN_END ? id : other);
        return;
    } else if (!either && (!c->q->bidirectional || other == id)) {
        sql_put_column(c, id);
        return;
    }
    fputs("CASE WHEN ", c->out);
    if (either) {
        fputs("e.other", c->out);
    } else {
        put_is_reply(c);
    }
    fputs(" THEN ", c->out);
    sql_put_column(c, other);
    fputs(" ELSE ", c->out);
    sql_put_column(c, id);
    fputs(" END", c->out);
}

static void
put_mask(struct compiler *c, unsigned len)
{
    struct sql_bind b = { .kind = BIND_ADDR };
    for (unsigned i = 0; i < len; i++) {
        b.addr.b[i / 8] |= (uint8_t) (0x80 >> i % 8);
    }
    sql_put_parameter(c, COLUMN_T_ADDR, b);
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
    sql_put_side(c, i);
    fputs("), ", c->out);
    sql_put_parameter(c, COLUMN_T_NAME, (struct sql_bind) {
        .kind = BIND_TEXT, .text = keep_text(c, label) });
    fputs(") THEN ", c->out);
    c->d->label(c->out, SQL_LABEL_COLUMN);
    sql_put_side(c, i);
    c->d->label(c->out, SQL_LABEL_PATTERN);
    sql_put_parameter(c, COLUMN_T_NAME, (struct sql_bind) {
        .kind = BIND_TEXT, .text = keep_text(c, pattern) });
    c->d->label(c->out, SQL_LABEL_END);
    fputs(" END", c->out);
}

void
sql_put_key(struct compiler *c, unsigned i)
{
    const struct query_key *k = &c->q->key[i];
    struct prefix v4 = { { { [10] = 0xff, [11] = 0xff } }, 96 };

    if (k->form == FORM_LABEL) {
        put_label(c, i);
        return;
    }
    if (k->form != FORM_PREFIX) {
        sql_put_side(c, i);
        return;
    }
    fputs("CASE WHEN (", c->out);
    sql_put_side(c, i);
    fputs(") BETWEEN ", c->out);
    for (int end = 0; end < 2; end++) {
        struct sql_bind b[2] = { { .kind = BIND_ADDR }, { .kind = BIND_ADDR } };
        prefix_range(&v4, &b[0].addr, &b[1].addr);
        fputs(end ? " AND " : "", c->out);
        sql_put_parameter(c, COLUMN_T_ADDR, b[end]);
    }
    for (int v6 = 0; v6 < 2; v6++) {
        fputs(v6 ? " ELSE (" : " THEN (", c->out);
        sql_put_side(c, i);
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
    sql_put_column(c, COL_sampling);
    fputs(" > 1 THEN ", c->out);
    for (int i = 0; i < 2; i++) {
        sql_put_column(c, id);
        fputs("::DOUBLE * ", c->out);
    }
    fputs("(1 - 1 / ", c->out);
    sql_put_column(c, COL_sampling);
    fputs("::DOUBLE) / greatest(", c->out);
    sql_put_column(c, COL_raw_packets);
    fputs(", 1) ELSE 0 END", c->out);
}

/* What a record adds to a metric. */
void
sql_put_metric_row(struct compiler *c, unsigned i)
{
    const struct query *q = c->q;
    unsigned fn = q->calc[i].fn;
    bool period = q->previous_us != 0;

    if (period || fn == FN_REVERSE) {
        fputs("CASE WHEN ", c->out);
        if (period) {
            sql_put_range(c, fn == FN_PREVIOUS ? q->from_us - q->previous_us
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
    } else if (fn == FN_DISTINCT && sql_is_id(c, q->metrics[i])) {
        fprintf(c->out, "d%u.text", i);
    } else {
        sql_put_column(c, q->metrics[i]);
    }
    fputs(period || fn == FN_REVERSE ? " END" : "", c->out);
}
