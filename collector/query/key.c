#include <config.h>

#include "collector/query/key.h"

#include <stdio.h>
#include <string.h>

/* Numbers that are shown by name. */
static const struct {
    const char *name;
    enum column_id column;
    bool either;
    const char *doc;
} names[] = {
    { "proto_name", COL_proto, false, "proto, by its name" },
    { "src_service", COL_src_port, false, "src_port, by its name" },
    { "dst_service", COL_dst_port, false, "dst_port, by its name" },
    { "service", COL_src_port, true, "port of either end, by its name" },
};
#define N_NAMES (sizeof names / sizeof names[0])

/* "src_tenant", or "tenant", which is of either end: then the source's, with
 * '*either'. */
static const struct column *
column_or_end(const char *name, bool *either)
{
    const struct column *c = column_by_name(name);
    char text[80];

    if (!c && snprintf(text, sizeof text, "src_%s", name)
              < (int) sizeof text) {
        c = column_by_name(text);
        enum column_id id = c ? (enum column_id) (c - columns) : 0;
        c = c && query_other_end(id) != id ? c : NULL;
        *either = c != NULL;
    }
    return c;
}

const struct column *
query_key_parse(const char *text, struct query_key *key)
{
    char name[64];
    unsigned a, b;
    int end = 0;

    memset(key, 0, sizeof *key);
    for (size_t i = 0; i < N_NAMES; i++) {
        if (!strcmp(text, names[i].name)) {
            key->form = FORM_NAME;
            key->either = names[i].either;
            return &columns[names[i].column];
        }
    }
    bool dst = !strncmp(text, "dst_", 4);
    const char *label = dst || !strncmp(text, "src_", 4) ? text + 4 : text;
    if (!strncmp(label, "label.", 6)) {
        size_t n = strlen(label + 6);
        if (!n || n >= sizeof key->label) {
            return NULL;
        }
        key->form = FORM_LABEL;
        key->either = label == text;
        memcpy(key->label, label + 6, n);
        return &columns[dst ? COL_dst_labels : COL_src_labels];
    }
    const char *slash = strchr(text, '/');
    if (!slash || (size_t) (slash - text) >= sizeof name) {
        return column_or_end(text, &key->either);
    }
    snprintf(name, sizeof name, "%.*s", (int) (slash - text), text);
    int n = strpbrk(slash, " +-") ? 0
            : sscanf(slash, "/%3u%n/%3u%n", &a, &end, &b, &end);
    const struct column *c = column_or_end(name, &key->either);
    if (n < 1 || slash[end] || a > 128 || (n == 2 && (a > 32 || b > 128))
        || !c || c->type != COLUMN_T_ADDR) {
        return NULL;
    }
    key->form = FORM_PREFIX;
    key->v4_len = (uint8_t) (a > 32 ? 32 : a);
    key->v6_len = (uint8_t) (n == 2 ? b : a > 32 ? a : QUERY_V6_LEN);
    return c;
}

/* Whether there is a key of either end: the name without "src_", if that is not
 * the other end's ("as_path"). */
static bool
has_either(const struct column *c)
{
    return c->flags & CF_KEY && !strncmp(c->name, "src_", 4)
           && !column_by_name(c->name + 4)
           && query_other_end((enum column_id) (c - columns))
              != (enum column_id) (c - columns);
}

static void
set_word(struct query_key_word *w, const char *name, const char *format,
         const char *doc, const char *more)
{
    *w = (struct query_key_word) { .open = name[strlen(name) - 1] == '.' };
    snprintf(w->name, sizeof w->name, "%s", name);
    snprintf(w->doc, sizeof w->doc, format, doc, more);
}

/* Words made of column 'c': true if 'i', which is counted down, is among
 * them. */
static bool
word_of_column(const struct column *c, unsigned *i, struct query_key_word *w)
{
    const char *other = columns[query_other_end((enum column_id)
                                                (c - columns))].name;
    bool either = has_either(c), prefix = c->type == COLUMN_T_ADDR;
    char name[72];

    if (!(c->flags & CF_KEY)) {
        return false;
    }
    if (either && !(*i)--) {
        set_word(w, c->name + 4, "%s and %s: a flow counts for either end",
                 c->name, other);
        return true;
    }
    for (int end = 0; prefix && end <= either; end++) {
        if (!(*i)--) {
            snprintf(name, sizeof name, "%s/24", c->name + (end ? 4 : 0));
            set_word(w, name, "prefixes of that length%s%s; IPv6: /64, or "
                     "/24/56", end ? ", of either end" : "", "");
            return true;
        }
    }
    return false;
}

bool
query_key_at(unsigned i, struct query_key_word *w)
{
    static const struct { const char *name, *doc; } labels[] = {
        { "src_label.", "value of the label KEY of the source" },
        { "dst_label.", "value of the label KEY of the destination" },
        { "label.", "value of the label KEY of either end" },
    };

    if (i < N_NAMES) {
        set_word(w, names[i].name, "%s%s", names[i].doc, "");
        return true;
    }
    i -= N_NAMES;
    if (i < 3) {
        set_word(w, labels[i].name, "%s%s", labels[i].doc, "");
        return true;
    }
    i -= 3;
    for (unsigned k = 0; k < N_COLUMNS; k++) {
        if (word_of_column(&columns[k], &i, w)) {
            return true;
        }
    }
    return false;
}
