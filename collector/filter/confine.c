#include <config.h>

#include "collector/filter/confine.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct confine {
    struct confine *next;
    size_t n;
    char *names[CONFINE_MAX];   /* Ascending, each once. */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct confine *sets;

static int
compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static bool
same(const struct confine *c, const char *const *names, size_t n)
{
    bool equal = c->n == n;

    for (size_t i = 0; equal && i < n; i++) {
        equal = !strcmp(c->names[i], names[i]);
    }
    return equal;
}

/* Makes a set of names that are in order. */
static struct confine *
make(const char *const *names, size_t n)
{
    struct confine *c = calloc(1, sizeof *c);

    for (size_t i = 0; c && i < n; i++) {
        c->names[i] = strdup(names[i]);
        if (!c->names[i]) {
            while (i) {
                free(c->names[--i]);
            }
            free(c);
            return NULL;
        }
        c->n++;
    }
    return c;
}

int
confine_make(const char *const *names, size_t n, const struct confine **out)
{
    const char *sorted[CONFINE_MAX];
    size_t n_sorted = 0;

    *out = NULL;
    if (!n || n > CONFINE_MAX) {
        return -EINVAL;
    }
    for (size_t i = 0; i < n; i++) {
        if (!*names[i] || strlen(names[i]) > CONFINE_NAME_MAX) {
            return -EINVAL;
        }
        sorted[i] = names[i];
    }
    qsort(sorted, n, sizeof *sorted, compare);
    for (size_t i = 0; i < n; i++) {
        if (!i || strcmp(sorted[i], sorted[i - 1])) {
            sorted[n_sorted++] = sorted[i];
        }
    }
    pthread_mutex_lock(&mutex);
    struct confine *c = sets;
    while (c && !same(c, sorted, n_sorted)) {
        c = c->next;
    }
    if (!c && (c = make(sorted, n_sorted))) {
        c->next = sets;
        sets = c;
    }
    pthread_mutex_unlock(&mutex);
    *out = c;
    return c ? 0 : -ENOMEM;
}

size_t
confine_count(const struct confine *c)
{
    return c->n;
}

const char *
confine_name(const struct confine *c, size_t i)
{
    return c->names[i];
}

bool
confine_has(const struct confine *c, const char *tenant)
{
    for (size_t i = 0; tenant && i < c->n; i++) {
        if (!strcmp(c->names[i], tenant)) {
            return true;
        }
    }
    return false;
}

int
confine_end(enum column_id id)
{
    switch (id) {
    case COL_src_endpoint:
    case COL_src_tenant:
    case COL_src_network:
    case COL_src_host:
    case COL_src_labels:
    case COL_in_if_name:        /* A port is often called after its owner. */
    case COL_user_name:
        return 0;
    case COL_dst_endpoint:
    case COL_dst_tenant:
    case COL_dst_network:
    case COL_dst_host:
    case COL_dst_labels:
    case COL_out_if_name:
    case COL_dst_user_name:
        return 1;
    case COL_why_name:          /* Of an ACL or a network of either end. */
    case COL_why_policy:
    case COL_why_network:
        return CONFINE_BOTH;
    default:
        return -1;
    }
}

struct filter *
confine_sees(const struct confine *c, int end)
{
    struct filter *all = NULL;

    if (end == CONFINE_BOTH) {
        return filter_join(FILTER_AND, confine_sees(c, 0),
                           confine_sees(c, 1));
    }
    for (size_t i = 0; i < c->n; i++) {
        struct filter *t = calloc(1, sizeof *t);
        if (!t || !(t->text = strdup(c->names[i]))) {
            free(t);
            filter_destroy(all);
            return NULL;
        }
        t->op = FILTER_TERM;
        t->column = end ? COL_dst_tenant : COL_src_tenant;
        t->cmp = CMP_EQ;
        all = i ? filter_join(FILTER_OR, all, t) : t;
        if (!all) {
            return NULL;
        }
    }
    return all;
}

/* What a term says if its column is absent wherever it may not be seen: then a
 * comparison is false; that there is nothing, and "!=", are true. */
static struct filter *
mask_term(const struct confine *c, const struct filter *t)
{
    int end = t->value == FV_COLUMN ? confine_end(t->column) : -1;
    bool of_absent = t->cmp == CMP_IS_NULL || t->cmp == CMP_NE;

    if (end < 0) {
        return filter_copy(t);
    }
    struct filter *sees = confine_sees(c, end);
    if (of_absent) {
        sees = filter_join(FILTER_NOT, sees, NULL);
    }
    return filter_join(of_absent ? FILTER_OR : FILTER_AND, sees,
                       filter_copy(t));
}

static struct filter *
mask(const struct confine *c, const struct filter *f)
{
    switch (f->op) {
    case FILTER_TERM:
        return mask_term(c, f);
    case FILTER_NOT:
        return filter_join(FILTER_NOT, mask(c, f->left), NULL);
    case FILTER_AND:
    case FILTER_OR:
        return filter_join(f->op, mask(c, f->left), mask(c, f->right));
    default:
        return filter_copy(f);
    }
}

struct filter *
confine_filter(const struct confine *c, const struct filter *f)
{
    struct filter *visible = filter_join(FILTER_OR, confine_sees(c, 0),
                                         confine_sees(c, 1));

    return f ? filter_join(FILTER_AND, visible, mask(c, f)) : visible;
}
