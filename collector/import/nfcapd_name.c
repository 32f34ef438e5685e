#include <config.h>

#include "collector/import/nfcapd_p.h"

#include <stdlib.h>

#include "lib/dict.h"

/* Of one file: exporters with more do not tell names of all. */
#define MAX_NAMES 65536u
#define MAX_NAME_LEN 256u

void
nfcapd_names_clear(struct nfcapd_names *n)
{
    free(n->list);
    *n = (struct nfcapd_names) { 0 };
}

/* Where the name of an interface is, or has to be put. */
static size_t
position(const struct nfcapd_names *n, uint32_t number)
{
    size_t lo = 0, hi = n->n;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (n->list[mid].number < number) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

static void
put_name(struct nfcapd_names *n, uint32_t number, uint32_t name)
{
    size_t at = position(n, number);

    if (at < n->n && n->list[at].number == number) {
        n->list[at].name = name;
        return;
    } else if (n->n == MAX_NAMES) {
        return;
    }
    if (n->n == n->allocated) {
        size_t more = n->allocated ? 2 * n->allocated : 64;
        void *p = realloc(n->list, more * sizeof *n->list);
        if (!p) {
            return;             /* Only a name is missing. */
        }
        n->list = p;
        n->allocated = more;
    }
    memmove(&n->list[at + 1], &n->list[at],
            (n->n - at) * sizeof *n->list);
    n->list[at].number = number;
    n->list[at].name = name;
    n->n++;
}

/* After type and length: how many, the bytes of each; the longest name; and
 * each is a number and a name that zeros fill up. */
void
nfcapd_read_names(struct nfcapd *f, const uint8_t *p, size_t size)
{
    size_t count = size >= 12 ? le16_at(p + 4) : 0;
    size_t each = size >= 12 ? le16_at(p + 6) : 0;
    struct nfcapd_names *n = f->c.names;

    for (size_t at = 12; n && count && each > 4 && size - at >= each;
         count--, at += each) {
        size_t room = each - 4 < MAX_NAME_LEN ? each - 4 : MAX_NAME_LEN;
        const char *text = (const char *) p + at + 4;
        size_t len = strnlen(text, room);
        if (len) {
            put_name(n, le32_at(p + at),
                     dict_passing(f->c.dict, text, len));
        }
    }
}

static void
set_name(const struct nfcapd_names *n, struct flow_batch *b, uint32_t row,
         enum column_id number, const uint32_t *numbers, enum column_id name,
         uint32_t *names)
{
    if (batch_is_valid(b, number, row)) {
        size_t at = position(n, numbers[row]);
        if (at < n->n && n->list[at].number == numbers[row]) {
            names[row] = n->list[at].name;
            batch_set_valid(b, name, row);
        }
    }
}

/* A file does not say whose interfaces it names: with several exporters nobody
 * knows. */
void
nfcapd_set_names(const struct nfcapd *f, struct flow_batch *b, uint32_t row)
{
    struct nfcapd_names *n = f->c.names;

    if (n && f->n_exporters > n->n_exporters) {
        n->n_exporters = f->n_exporters;
    }
    if (n && n->n && n->n_exporters <= 1) {
        set_name(n, b, row, COL_in_if, b->in_if, COL_in_if_name,
                 b->in_if_name);
        set_name(n, b, row, COL_out_if, b->out_if, COL_out_if_name,
                 b->out_if_name);
    }
}
