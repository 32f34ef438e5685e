#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "collector/query/sql.h"

/* The groups of a result as a filter: one term per key, "and" within a group,
 * "or" between them. */

/* That a label has a value, or is not there at all. */
static struct filter *
label_term(struct filter *f, const struct query_key *k,
           const struct query_value *v)
{
    size_t n = v->null ? 0 : strlen(v->text);
    size_t size = 2 * (strlen(k->label) + n) + 8;

    f->cmp = CMP_HAS_LABEL;
    f->text = malloc(size);
    if (!f->text) {
        free(f);
        return NULL;
    }
    strcpy(f->text, ",");
    filter_label_escape(f->text, size, k->label, strlen(k->label));
    strcat(f->text, "=");
    if (v->null) {
        return filter_join(FILTER_NOT, f, NULL);
    }
    filter_label_escape(f->text, size, v->text, n);
    strcat(f->text, ",");
    return f;
}

/* Of key 'i'; of a key of either end, of the source's or, with 'other', of the
 * destination's. */
static struct filter *
make_term(const struct query *q, unsigned i, bool other,
          const struct query_value *v)
{
    struct filter *f = calloc(1, sizeof *f);
    const struct query_key *k = &q->key[i];

    if (!f) {
        return NULL;
    }
    f->op = FILTER_TERM;
    f->column = other && k->either ? query_other_end(q->by[i]) : q->by[i];
    if (k->form == FORM_LABEL) {
        return label_term(f, k, v);
    }
    f->cmp = v->null ? CMP_IS_NULL : CMP_EQ;
    if (v->null) {
        return f;
    }
    switch (columns[f->column].type) {
    case COLUMN_T_ADDR:
        f->cmp = CMP_IN_PREFIX;
        f->prefix.addr = v->addr;
        f->prefix.len = (uint8_t) (k->form != FORM_PREFIX ? 128
                                   : addr_is_v4(&v->addr) ? 96 + k->v4_len
                                   : k->v6_len);
        break;
    case COLUMN_T_NAME:
        f->text = strdup(v->text);
        if (!f->text) {
            free(f);
            return NULL;
        }
        break;
    default:
        f->number = v->u;
        break;
    }
    return f;
}

/* That a record is of a group, by the keys of one end. */
static struct filter *
make_group(const struct query *q, bool other, const struct query_value *v)
{
    struct filter *group = NULL;

    for (unsigned i = 0; i < q->n_by; i++) {
        struct filter *t = make_term(q, i, other, &v[i]);
        group = i ? filter_join(FILTER_AND, group, t) : t;
        if (!group) {
            return NULL;
        }
    }
    return group;
}

struct filter *
query_group_filter(const struct query *q, const struct query_value *v)
{
    struct filter *group = make_group(q, false, v);

    return query_either(q) && group
           ? filter_join(FILTER_OR, group, make_group(q, true, v)) : group;
}

struct filter *
query_groups_filter(const struct query *q, const struct query_result *r)
{
    struct filter *all = NULL;

    for (size_t row = 0; row < r->n_rows && q->n_by; row++) {
        struct filter *group = query_group_filter(
            q, &r->values[row * r->n_columns]);
        all = row ? filter_join(FILTER_OR, all, group) : group;
        if (!all) {
            return NULL;
        }
    }
    if (!all) {
        all = calloc(1, sizeof *all);
        if (all) {
            all->op = FILTER_ANY;
        }
    }
    return all;
}
