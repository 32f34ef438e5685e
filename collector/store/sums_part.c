#include <config.h>

#include "collector/store/sums_p.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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
            sums_join(s, s->group[i], row);
        }
    }
    return 0;
}

/* ---- In a file. ---- */

static void
free_arenas(struct sums *s)
{
    while (s->arenas) {
        struct arena *a = s->arenas;
        s->arenas = a->next;
        free(a);
    }
    s->n_arenas = 0;
    memset(s->parts, 0, sizeof s->parts);
}

static bool
remember(struct spilled *x, uint64_t offset)
{
    if (x->n == x->allocated) {
        size_t n = x->allocated ? 2 * x->allocated : 16;
        uint64_t *p = realloc(x->offsets, n * sizeof *p);
        if (!p) {
            return false;
        }
        x->offsets = p;
        x->allocated = n;
    }
    x->offsets[x->n++] = offset;
    return true;
}

static int
write_all(int fd, const void *data, size_t size, uint64_t offset)
{
    const uint8_t *p = data;
    while (size) {
        ssize_t n = pwrite(fd, p, size, (off_t) offset);
        if (n < 0 && errno == EINTR) {
            continue;
        } else if (n <= 0) {
            return n ? -errno : -EIO;
        }
        p += n;
        size -= (size_t) n;
        offset += (uint64_t) n;
    }
    return 0;
}

int
sums_spill(struct sums *s, int fd, _Atomic uint64_t *end)
{
    for (struct arena *a = s->arenas; a; a = a->next) {
        a->offset = atomic_fetch_add(end, ARENA_BYTES);
        int e = write_all(fd, a, a->used, a->offset);
        if (e) {
            return e;
        }
    }
    s->fd = fd;
    for (unsigned i = 0; i < SUMS_PARTS; i++) {
        for (struct chunk *c = s->parts[i], *next; c; c = next) {
            /* An arena begins where its size says. */
            size_t at = (uintptr_t) c % ARENA_BYTES;
            struct arena *a = (void *) ((uint8_t *) c - at);
            if (!remember(&s->spilled[i], a->offset + at)) {
                return -ENOMEM;
            }
            next = c->next;
            s->parts[i] = next; /* It is nowhere twice. */
        }
    }
    free_arenas(s);
    return 0;
}

/* Chunk 'i' of a partition, out of the file.  NULL: it cannot be read. */
static const struct chunk *
read_piece(struct sums *s, const struct sums *of, unsigned part, size_t i)
{
    s->piece = s->piece ? s->piece : malloc(CHUNK_BYTES);
    ssize_t n = s->piece ? pread(of->fd, s->piece, CHUNK_BYTES,
                                 (off_t) of->spilled[part].offsets[i]) : -1;
    /* The last chunk of an arena may be where the file ends. */
    return n >= (ssize_t) sizeof *s->piece && s->piece->n <= of->chunk_rows
           && (size_t) n >= sizeof *s->piece
                            + (size_t) s->piece->n * of->size * 8
           ? s->piece : NULL;
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
        rows += all[i]->spilled[part].n * s->chunk_rows;
    }
    if (!sums_reserve(s, rows)) {
        return -ENOMEM;
    }
    for (unsigned i = 0; !e && i < n; i++) {
        for (struct chunk *c = all[i]->parts[part]; !e && c; c = c->next) {
            e = add_rows(s, c);
        }
        for (size_t k = 0; !e && k < all[i]->spilled[part].n; k++) {
            const struct chunk *c = read_piece(s, all[i], part, k);
            e = c ? add_rows(s, c) : -EIO;
        }
    }
    return e;
}

bool
sums_next_row(struct sums *s, struct sums_cursor *c,
              int64_t *time_us, struct sums_value *keys,
              struct sums_value *metrics)
{
    const struct chunk *chunk = c->chunk;

    while (!chunk || c->row >= chunk->n) {
        c->row = 0;
        if (chunk && !c->piece) {
            chunk = chunk->next;
        } else if (!c->began) {
            c->began = true;
            chunk = s->parts[c->part];
        } else {
            chunk = NULL;
        }
        if (!chunk && c->piece < s->spilled[c->part].n) {
            chunk = read_piece(s, s, c->part, c->piece++);
        } else if (!chunk && ++c->part >= SUMS_PARTS) {
            c->part = SUMS_PARTS - 1;   /* It stays at the end. */
            c->chunk = NULL;
            return false;
        } else if (!chunk) {
            c->began = false;
            c->piece = 0;
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
    free_arenas(s);
    s->n_split = 0;
    for (unsigned i = 0; i < SUMS_PARTS; i++) {
        free(s->spilled[i].offsets);
        s->spilled[i] = (struct spilled) { .n = 0 };
    }
}
