#include <config.h>

#include "collector/store/sums_p.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* A table of more groups than fit into caches is waited for with each record.
 * Groups are put into partitions then, by their hash, one after the other in
 * memory; each partition has few enough of them for a table that does fit. */

static struct chunk *
add_chunk(struct sums *s, unsigned part)
{
    struct arena *a = s->arenas;
    if (!a || a->used + CHUNK_BYTES > ARENA_BYTES) {
        a = aligned_alloc(ARENA_BYTES, ARENA_BYTES);
        if (!a) {
            return NULL;
        }
        madvise(a, ARENA_BYTES, MADV_HUGEPAGE);
        a->next = s->arenas;
        /* So that a chunk never shares a line with its neighbour. */
        a->used = CHUNK_BYTES;
        s->arenas = a;
        s->n_arenas++;
    }
    struct chunk *c = (void *) ((uint8_t *) a + a->used);
    a->used += CHUNK_BYTES;
    c->next = s->parts[part];
    c->n = 0;
    s->parts[part] = c;
    return c;
}

uint64_t *
sums_add_row(struct sums *s, uint32_t i, uint64_t hash)
{
    unsigned part = sums_part(hash);
    struct chunk *c = s->parts[part];

    if (!c || c->n == s->chunk_rows) {
        c = add_chunk(s, part);
        if (!c) {
            return NULL;
        }
    }
    uint64_t *row = c->rows + (size_t) c->n++ * s->size;
    for (unsigned k = 0; k < s->n_words; k++) {
        row[k] = s->words[k][i];
    }
    for (unsigned k = s->n_words; k < s->size; k++) {
        row[k] = 0;
    }
    s->n_split++;
    return row;
}

int
sums_split(struct sums *s)
{
    for (uint32_t g = 0; g < s->n; g++) {
        const uint64_t *group = sums_group(s, g);
        unsigned part = sums_part(sums_hash(group, 1, s->n_words));
        struct chunk *c = s->parts[part];
        if (!c || c->n == s->chunk_rows) {
            c = add_chunk(s, part);
            if (!c) {
                return -ENOMEM;
            }
        }
        memcpy(c->rows + (size_t) c->n++ * s->size, group, s->size * 8);
    }
    s->n_split += s->n;
    sums_empty_table(s);
    return 0;
}

bool
sums_is_split(const struct sums *s)
{
    return s->n_split != 0;
}

/* Adds rows of a chunk, a frame's worth at a time. */
static int
add_rows(struct sums *s, const struct chunk *c)
{
    for (uint32_t first = 0; first < c->n; first += FRAME_ROWS) {
        uint32_t n = c->n - first < FRAME_ROWS ? c->n - first : FRAME_ROWS;
        const uint64_t *rows = c->rows + (size_t) first * s->size, *row = rows;
        for (uint32_t i = 0; i < n; i++, row += s->size) {
            for (unsigned k = 0; k < s->n_words; k++) {
                s->words[k][i] = row[k];
            }
        }
        int e = sums_find(s, n);
        if (e) {
            return e;
        }
        row = rows;
        for (uint32_t i = 0; i < n; i++, row += s->size) {
            uint64_t *group = s->group[i];
            for (unsigned k = s->n_words; k < s->size - s->flags; k++) {
                group[k] += row[k];
            }
            if (s->flags) {
                group[s->size - 1] |= row[s->size - 1];
            }
        }
    }
    return 0;
}

int
sums_collect(struct sums *s, struct sums *const *all, unsigned n,
             unsigned part)
{
    uint64_t rows = 0;
    int e = 0;

    sums_empty_table(s);
    for (unsigned i = 0; i < n; i++) {
        for (struct chunk *c = all[i]->parts[part]; c; c = c->next) {
            rows += c->n;
        }
    }
    if (!sums_reserve(s, rows)) {
        return -ENOMEM;
    }
    for (unsigned i = 0; !e && i < n; i++) {
        for (struct chunk *c = all[i]->parts[part]; !e && c; c = c->next) {
            e = add_rows(s, c);
        }
    }
    return e;
}

bool
sums_next_row(const struct sums *s, struct sums_cursor *c,
              int64_t *time_us, struct sums_value *keys,
              struct sums_value *metrics)
{
    const struct chunk *chunk = c->chunk;

    while (!chunk || c->row >= chunk->n) {
        c->row = 0;
        chunk = chunk ? chunk->next : NULL;
        if (!chunk && c->part >= SUMS_PARTS) {
            c->chunk = NULL;
            return false;
        } else if (!chunk) {
            chunk = s->parts[c->part++];
        }
        c->chunk = chunk;
    }
    const uint64_t *row = chunk->rows + (size_t) c->row++ * s->size;
    sums_get_keys(s, row, time_us, keys);
    sums_get_metrics(s, row, metrics);
    return true;
}

void
sums_clear_parts(struct sums *s)
{
    while (s->arenas) {
        struct arena *a = s->arenas;
        s->arenas = a->next;
        free(a);
    }
    s->n_arenas = s->n_split = 0;
    memset(s->parts, 0, sizeof s->parts);
}
