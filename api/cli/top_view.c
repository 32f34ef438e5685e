/* venturictl top: questions and tables. */
#include <config.h>

#include "api/cli/top.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "api/cli/show.h"
#include "api/cli/table.h"

#define MAX_TEXT_WIDTH 48

const struct top_view top_views[] = {
    { 'f', "flows", "flow.query", NULL,
      "src_addr,src_port,dst_addr,dst_port,proto_name",
      "src_endpoint,dst_endpoint,proto_name,dst_service", NULL, NULL,
      { { "source", "0", false, NULL, false, 9 },
        { "port", "1", true, NULL, false, 5 },
        { "destination", "2", false, NULL, false, 9 },
        { "port", "3", true, NULL, false, 5 },
        { "proto", "4", false, NULL, false, 5 },
        { "bit/s", "bps", true, "bit", false, 9 },
        { "packet/s", "pps", true, "packets", false, 8 },
        { "bytes", "bytes", true, "B", false, 8 },
        { "flows", "flows", true, "flows", false, 6 } }, 5 },
    { 'e', "endpoints", "flow.query", NULL,
      "src_endpoint,src_tenant,src_network,src_host",
      "dst_endpoint,dst_tenant,dst_network,dst_host",
      "src_endpoint is not null", "dst_endpoint is not null",
      { { "endpoint", "0", false, NULL, false, 9 },
        { "tenant", "1", false, NULL, false, 6 },
        { "network", "2", false, NULL, false, 7 },
        { "host", "3", false, NULL, false, 4 },
        { "bit/s", "bps", true, "bit", false, 9 },
        { "packet/s", "pps", true, "packets", false, 8 },
        { "bytes", "bytes", true, "B", false, 8 },
        { "flows", "flows", true, "flows", false, 6 } }, 4 },
    { 'x', "exporters", "exporter.list", "exporters", NULL, NULL, NULL, NULL,
      { { "exporter", "exporter", false, NULL, false, 9 },
        { "name", "name", false, NULL, false, 4 },
        { "protocol", "protocol", false, NULL, false, 8 },
        { "bridge", "bridge", false, NULL, false, 6 },
        { "sampling", "sampling", true, NULL, false, 8 },
        { "datagram/s", "counters/datagrams", true, "datagrams", true, 10 },
        { "record/s", "counters/flow_records", true, "records", true, 8 },
        { "lost", "counters/lost", true, "records", false, 5 } }, 6 },
    { .key = 0 }
};

unsigned
top_n_columns(const struct top_view *v)
{
    unsigned n = 0;

    while (n < TOP_MAX_COLUMNS && v->columns[n].title) {
        n++;
    }
    return n;
}

static const char *
by_of(const struct top_state *s)
{
    return s->other && s->view->by_other ? s->view->by_other : s->view->by;
}

/* The user's filter and the view's. */
static void
set_filter(struct json_object *params, const struct top_state *s)
{
    const char *where = s->other ? s->view->where_other : s->view->where;
    char *text = NULL;

    if (s->filter && where) {
        if (asprintf(&text, "(%s) and %s", s->filter, where) < 0) {
            text = NULL;
        }
        cli_set_string(params, "filter", text);
        free(text);
    } else {
        cli_set_string(params, "filter", s->filter ? s->filter : where);
    }
}

struct json_object *
top_params(const struct top_state *s, size_t limit)
{
    struct json_object *params = json_object_new_object();
    char text[64];

    if (s->view->list) {
        json_object_object_add(params, "limit", json_object_new_int(1000));
        return params;
    }
    const char *order = s->view->columns[s->sort].name;
    bool metric = order[0] > '9';
    snprintf(text, sizeof text, "-%" PRId64 "s", s->last_s);
    cli_set_string(params, "from", text);
    cli_set_list(params, "by", by_of(s));
    cli_set_list(params, "metrics", "bps,pps,bytes,flows");
    snprintf(text, sizeof text, "%s%s", s->ascending ? "" : "-",
             metric ? order : "bps");
    cli_set_string(params, "order", text);
    json_object_object_add(params, "limit",
                           json_object_new_int64((int64_t) limit));
    set_filter(params, s);
    return params;
}

/* A column of an answer to flow.query: a key by its number, or a metric. */
static struct json_object *
row_value(struct json_object *answer, struct json_object *row,
          const char *name)
{
    struct json_object *columns = cli_at(answer, "columns");
    size_t n = json_object_array_length(columns);

    for (size_t i = 0; i < n; i++) {
        const char *have = cli_text(json_object_array_get_idx(columns, i),
                                    "name");
        bool metric = i + 4 >= n;
        if (metric ? !strcmp(have, name)
                   : name[0] == (char) ('0' + i) && !name[1]) {
            return json_object_array_get_idx(row, i);
        }
    }
    return NULL;
}

static struct json_object *
find_before(struct json_object *before, const char *list,
            struct json_object *row)
{
    struct json_object *rows = before ? cli_at(before, list) : NULL;
    int64_t id = json_object_get_int64(cli_at(row, "id"));
    size_t n = rows ? json_object_array_length(rows) : 0;

    for (size_t i = 0; i < n; i++) {
        struct json_object *o = json_object_array_get_idx(rows, i);
        if (json_object_get_int64(cli_at(o, "id")) == id) {
            return o;
        }
    }
    return NULL;
}

static bool
make_cell(const struct top_column *c, struct json_object *v,
          struct json_object *old, double seconds, struct top_cell *cell)
{
    char buf[HUMAN_STRLEN + 8];

    cell->number = -1;
    if (!v) {
        cell->text = strdup(c->right ? "-" : "");
    } else if (!c->right) {
        cell->text = table_clean(json_object_get_string(v));
    } else {
        double number = json_object_get_double(v);
        if (c->rate && (!old || seconds <= 0)) {
            cell->text = strdup("-");
            return cell->text != NULL;
        } else if (c->rate) {
            number = (number - json_object_get_double(old)) / seconds;
            number = number < 0 ? 0 : number;
        }
        cell->number = number;
        if (c->unit) {
            human_number(number, strcmp(c->unit, "B") ? "" : "B", buf);
            buf[strcspn(buf, "\n")] = '\0';
        } else {
            snprintf(buf, sizeof buf, "%.0f", number);
        }
        cell->text = strdup(buf);
    }
    return cell->text != NULL;
}

/* qsort() has no argument: what is sorted by stands in the rows. */
struct order {
    const struct top_cell *cells, *key;
    bool number, ascending;
};

static int
compare(const void *a_, const void *b_)
{
    const struct order *a = a_, *b = b_;
    int by = a->number ? (a->key->number > b->key->number)
                         - (a->key->number < b->key->number)
                       : strcmp(a->key->text, b->key->text);

    return by ? (a->ascending ? by : -by)
              : (a->cells > b->cells) - (a->cells < b->cells);
}

static bool
sort(const struct top_state *s, struct top_table *t)
{
    unsigned n = t->n_columns;
    struct order *rows = calloc(t->n_rows + 1, sizeof *rows);
    struct top_cell *sorted = calloc(t->n_rows * n + 1, sizeof *sorted);

    if (!rows || !sorted) {
        free(rows);
        free(sorted);
        return false;
    }
    for (size_t i = 0; i < t->n_rows; i++) {
        const struct top_cell *cells = t->cells + i * n;
        rows[i] = (struct order) { cells, cells + s->sort,
                                   s->view->columns[s->sort].right,
                                   s->ascending };
    }
    qsort(rows, t->n_rows, sizeof *rows, compare);
    for (size_t i = 0; i < t->n_rows; i++) {
        memcpy(sorted + i * n, rows[i].cells, n * sizeof *sorted);
    }
    free(rows);
    free(t->cells);
    t->cells = sorted;
    return true;
}

bool
top_make(const struct top_state *s, struct json_object *answer,
         struct json_object *before, double seconds, struct top_table *t)
{
    const struct top_view *v = s->view;
    struct json_object *rows = cli_at(answer, v->list ? v->list : "rows");

    *t = (struct top_table) { .view = v, .n_columns = top_n_columns(v) };
    size_t n = rows ? json_object_array_length(rows) : 0;
    t->cells = calloc(n * t->n_columns + 1, sizeof *t->cells);
    if (!t->cells) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        struct json_object *row = json_object_array_get_idx(rows, i);
        struct json_object *old = v->list ? find_before(before, v->list, row)
                                          : NULL;
        t->n_rows++;
        for (unsigned k = 0; k < t->n_columns; k++) {
            const struct top_column *c = &v->columns[k];
            if (!make_cell(c, v->list ? cli_at(row, c->name)
                                      : row_value(answer, row, c->name),
                           old ? cli_at(old, c->name) : NULL, seconds,
                           &t->cells[i * t->n_columns + k])) {
                top_clear(t);
                return false;
            }
        }
    }
    if (!sort(s, t)) {
        top_clear(t);
        return false;
    }
    return true;
}

void
top_clear(struct top_table *t)
{
    for (size_t i = 0; t->cells && i < t->n_rows * t->n_columns; i++) {
        free(t->cells[i].text);
    }
    free(t->cells);
    t->cells = NULL;
    t->n_rows = 0;
}

void
top_widths(const struct top_table *t, unsigned width,
           unsigned widths[TOP_MAX_COLUMNS])
{
    unsigned want[TOP_MAX_COLUMNS] = { 0 }, used = 0;

    for (unsigned k = 0; k < t->n_columns; k++) {
        const struct top_column *c = &t->view->columns[k];
        want[k] = c->width;
        for (size_t i = 0; i < t->n_rows; i++) {
            size_t len = strlen(t->cells[i * t->n_columns + k].text);
            len = len > MAX_TEXT_WIDTH ? MAX_TEXT_WIDTH : len;
            want[k] = len > want[k] ? (unsigned) len : want[k];
        }
        widths[k] = c->width;
    }
    /* The least of each, from the left and the column that sorts at any rate;
     * then the rest to those that want more. */
    for (unsigned k = 0; k < t->n_columns; k++) {
        unsigned gap = used ? 1 : 0;
        if (used + gap + widths[k] > width) {
            widths[k] = 0;
        } else {
            used += gap + widths[k];
        }
    }
    for (bool more = true; more && used < width; ) {
        more = false;
        for (unsigned k = 0; k < t->n_columns && used < width; k++) {
            if (widths[k] && widths[k] < want[k]) {
                widths[k]++;
                used++;
                more = true;
            }
        }
    }
}
