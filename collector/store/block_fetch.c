#include <config.h>

#include <stdlib.h>
#include <string.h>

#include "collector/store/block_reader_p.h"

/* To read so much that nobody asked for is less work than to ask twice. */
#define GAP 16384u

/* Columns that are needed, by where their bodies are; none twice. */
struct needed {
    const struct block_column *columns[N_COLUMNS];
    unsigned n;
};

static void
need(struct needed *x, const struct block_head *h, unsigned id,
     unsigned depth)
{
    const struct block_column *c = id < N_COLUMNS ? block_column(h, id) : NULL;
    unsigned i = x->n;

    if (!c) {
        return;
    }
    while (i && x->columns[i - 1]->offset > c->offset) {
        i--;
    }
    for (unsigned k = i; k-- > 0 && x->columns[k]->offset == c->offset; ) {
        if (x->columns[k] == c) {
            return;
        }
    }
    memmove(&x->columns[i + 1], &x->columns[i],
            (x->n - i) * sizeof x->columns[0]);
    x->columns[i] = c;
    x->n++;
    if (depth && c->flags & FLAG_DERIVED) {
        need(x, h, c->ref, depth - 1);
    }
    if (depth && c->flags & FLAG_DERIVED && c->flags & FLAG_SAMPLED) {
        need(x, h, COL_sampling, depth - 1);
    }
    if (depth && c->nulls == NULLS_SAME) {
        need(x, h, c->nulls_of, 0);
    }
}

unsigned
block_pieces(const struct block_head *h, const struct column_set *set,
             struct block_piece pieces[BLOCK_PIECES])
{
    struct needed x = { .n = 0 };
    unsigned n = 0;
    uint64_t end = 0;           /* Of the last piece. */

    for (unsigned i = 0; i < N_COLUMNS; i++) {
        if (column_set_has(set, i)) {
            need(&x, h, i, MAX_DEPTH);
        }
    }
    for (unsigned i = 0; i < x.n; i++) {
        const struct block_column *c = x.columns[i];
        uint64_t c_end = (uint64_t) c->offset + c->size;
        if (!c->size || (n && c_end <= end)) {
            continue;
        } else if (!n || c->offset > end + GAP) {
            if (n == BLOCK_PIECES) {
                break;
            }
            pieces[n++].offset = c->offset;
        }
        end = c_end;
        pieces[n - 1].size = (uint32_t) (end - pieces[n - 1].offset);
    }
    return n;
}

const uint8_t *
block_fetched(const struct block_reader *r, uint32_t offset, uint32_t size)
{
    for (unsigned i = 0; i < r->n_pieces; i++) {
        const struct fetched *f = &r->pieces[i];
        if (offset >= f->at.offset && offset - f->at.offset <= f->at.size
            && size <= f->at.size - (offset - f->at.offset)) {
            return f->bytes + (offset - f->at.offset);
        }
    }
    return NULL;
}

/* Reads a piece, if there is room for one more and memory for it. */
static void
fetch_piece(struct block_reader *r, const struct block_piece *p)
{
    struct fetched *f = &r->pieces[r->n_pieces];
    size_t size = (size_t) p->size + PACK_SLACK;

    if (r->n_pieces == BLOCK_PIECES || block_fetched(r, p->offset, p->size)) {
        return;
    }
    if (f->allocated < size) {
        free(f->bytes);
        f->bytes = malloc(size);
        f->allocated = f->bytes ? size : 0;
    }
    if (f->bytes && !r->fetch(r->aux, p->offset, f->bytes, p->size)) {
        memset(f->bytes + p->size, 0, PACK_SLACK);
        f->at = *p;
        r->n_pieces++;
    }
}

void
block_reader_fetch(struct block_reader *r, const struct column_set *set)
{
    struct block_piece pieces[BLOCK_PIECES];
    struct column_set rest = { { 0 } };

    for (unsigned i = 0; i < N_COLUMNS; i++) {
        if (column_set_has(set, i) && !r->columns[i].tried) {
            column_set_add(&rest, i);
        }
    }
    unsigned n = block_pieces(r->head, &rest, pieces);
    for (unsigned i = 0; i < n; i++) {
        fetch_piece(r, &pieces[i]);
    }
}
