#include <config.h>

#include "lib/batch.h"

#include <stdatomic.h>
#include <stdlib.h>

struct flow_batch *
batch_create(void)
{
    struct flow_batch *b = aligned_alloc(64, (sizeof *b + 63) / 64 * 64);
    if (b) {
        b->next = NULL;
        batch_reset(b);
    }
    return b;
}

void
batch_destroy(struct flow_batch *b)
{
    free(b);
}

void
batch_receipt_unref(struct batch_receipt *r)
{
    if (r && atomic_fetch_sub(&r->n_refs, 1) == 1) {
        free(r);
    }
}

void
batch_reset(struct flow_batch *b)
{
    b->n = 0;
    b->n_spans = 0;
    b->oldest_us = 0;
    b->receipt = NULL;
    for (size_t i = 0; i < N_COLUMNS; i++) {
        memset(b->valid[i], columns[i].flags & CF_NULL ? 0 : 0xff,
               sizeof b->valid[i]);
    }
}

void
batch_set_valid_range(struct flow_batch *b, enum column_id col, uint32_t from,
                      uint32_t n)
{
    uint64_t *words = b->valid[col];
    for (uint32_t i = from, end = from + n; i < end; ) {
        uint32_t bit = i % 64;
        uint32_t take = 64 - bit < end - i ? 64 - bit : end - i;
        uint64_t mask = take == 64 ? UINT64_MAX
                        : ((UINT64_C(1) << take) - 1) << bit;
        words[i / 64] |= mask;
        i += take;
    }
}

void
batch_zero_rows(struct flow_batch *b, uint32_t from, uint32_t n)
{
    for (size_t i = 0; i < N_COLUMNS; i++) {
        memset((uint8_t *) batch_column(b, i) + (size_t) from * columns[i].size,
               0, (size_t) n * columns[i].size);
    }
}

void
batch_add_span(struct flow_batch *b, struct source *source, uint32_t from)
{
    if (from >= b->n) {
        return;
    }
    if (b->n_spans) {
        struct batch_span *last = &b->spans[b->n_spans - 1];
        if (last->source == source
            && (uint32_t) last->from + last->n == from) {
            last->n = (uint16_t) (last->n + (b->n - from));
            return;
        }
    }
    assert(b->n_spans < BATCH_SPANS);
    b->spans[b->n_spans++] = (struct batch_span) {
        .source = source,
        .from = (uint16_t) from,
        .n = (uint16_t) (b->n - from),
    };
}
