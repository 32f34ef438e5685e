#include <config.h>

#include "collector/identity/labels.h"

#include <stdlib.h>
#include <string.h>

#define MAX_LABELS 256          /* Two sources' are 128. */

/* Bytes up to an unmarked 'stop', or the end of the label. */
static size_t
span(const char *s, char stop)
{
    size_t n = 0;
    while (s[n] && s[n] != stop && s[n] != ',') {
        n += s[n] == '\\' && s[n + 1] ? 2 : 1;
    }
    return n;
}

bool
labels_next(const char **text, struct label *l)
{
    if (!**text) {
        return false;
    }
    *l = (struct label) { *text, span(*text, '='), span(*text, ',') };
    *text += l->len + ((*text)[l->len] == ',');
    return true;
}

static bool
same_key(const struct label *a, const struct label *b)
{
    return a->key_len == b->key_len && !memcmp(a->text, b->text, a->key_len);
}

bool
labels_have(const char *text, const struct label *l)
{
    struct label have;
    while (labels_next(&text, &have)) {
        if (same_key(&have, l)) {
            return true;
        }
    }
    return false;
}

static int
compare(const void *a_, const void *b_)
{
    const struct label *a = a_, *b = b_;
    size_t n = a->key_len < b->key_len ? a->key_len : b->key_len;
    int cmp = memcmp(a->text, b->text, n);
    return cmp ? cmp : a->key_len < b->key_len ? -1 : a->key_len > b->key_len;
}

void
labels_merge(char *out, size_t size, const char *better, const char *worse)
{
    struct label list[MAX_LABELS];
    const char *all = better;
    size_t n = 0, used = 0, at = 0;

    for (int i = 0; i < 2; i++, better = worse) {
        struct label l;
        while (n < MAX_LABELS && labels_next(&better, &l)) {
            size_t room = used + l.len + 1;     /* A comma, or the NUL. */
            if (room <= size && (!i || !labels_have(all, &l))) {
                list[n++] = l;
                used = room;
            }
        }
    }
    qsort(list, n, sizeof *list, compare);
    for (size_t i = 0; i < n; i++) {
        if (i) {
            out[at++] = ',';
        }
        memcpy(out + at, list[i].text, list[i].len);
        at += list[i].len;
    }
    out[at] = '\0';
}
