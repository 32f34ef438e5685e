#include <config.h>

#include "collector/store/store_p.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/dict.h"
#include "lib/log.h"

/* Batches that a block may be made of: those of the tail, full but for one,
 * and what came after them. */
#define MAX_PARTS 1024

uint32_t
segment_tail_rows(const struct segment *g)
{
    uint32_t n = 0;
    for (size_t i = 0; i < g->tail.blocks.n; i++) {
        n += g->tail.blocks.list[i]->head->n_rows;
    }
    return n;
}

static void
sync_sometimes(struct store *s, const struct segfile *f, bool always)
{
    int64_t now = clock_mono_ms();
    if (always || now - s->writer.synced_ms >= SYNC_MS) {
        fdatasync(f->fd);
        s->writer.synced_ms = now;
    }
}

/* ---- What is in the tail, as batches again. ---- */

struct parts {
    const struct flow_batch *list[MAX_PARTS];
    size_t n;
    struct flow_batch *owned[BLOCK_FRAMES + 1];
    size_t n_owned;
};

static void
parts_clear(struct parts *p)
{
    for (size_t i = 0; i < p->n_owned; i++) {
        batch_destroy(p->owned[i]);
    }
}

/* Copies 'n' bits from bit 'from' on to bit 'at', which was 0. */
static void
copy_bits(uint64_t *to, uint32_t at, const uint64_t *bits, uint32_t from,
          uint32_t n)
{
    while (n) {
        uint32_t shift = from % 64, room = 64 - at % 64;
        uint32_t take = 64 - shift < room ? 64 - shift : room;
        take = take < n ? take : n;
        uint64_t word = bits[from / 64] >> shift;
        if (take < 64) {
            word &= (UINT64_C(1) << take) - 1;
        }
        to[at / 64] |= word << at % 64;
        from += take;
        at += take;
        n -= take;
    }
}

/* Copies rows 'from' to 'from + n - 1' to the end of another batch. */
static void
copy_rows(struct flow_batch *to, const struct flow_batch *b, uint32_t from,
          uint32_t n)
{
    for (unsigned id = 0; id < N_COLUMNS; id++) {
        const struct column *c = &columns[id];
        memcpy((uint8_t *) to + c->offset + (size_t) to->n * c->size,
               (const uint8_t *) b + c->offset + (size_t) from * c->size,
               (size_t) n * c->size);
        if (c->flags & CF_NULL) {
            copy_bits(to->valid[id], to->n, b->valid[id], from, n);
        }
    }
    to->n += n;
}

static int
add_rows(struct parts *p, const struct flow_batch *b)
{
    for (uint32_t from = 0; from < b->n; ) {
        struct flow_batch *to = p->n_owned ? p->owned[p->n_owned - 1] : NULL;
        if (!to || to->n == BATCH_ROWS) {
            if (p->n_owned > BLOCK_FRAMES || !(to = batch_create())) {
                return -ENOMEM;
            }
            p->owned[p->n_owned++] = to;
            p->list[p->n++] = to;
        }
        uint32_t n = BATCH_ROWS - to->n;
        n = n < b->n - from ? n : b->n - from;
        copy_rows(to, b, from, n);
        from += n;
    }
    return 0;
}

/* Reads the tail.  -EBADMSG if that cannot be done without loss. */
static int
read_tail(struct store *s, const struct segment *g, struct parts *p)
{
    uint64_t refused = dict_refused(s->dict);
    struct block_reader *r = block_reader_create(s->dict);
    struct flow_batch *b = batch_create();
    int retval = r && b ? 0 : -ENOMEM;

    for (size_t i = 0; !retval && i < g->tail.blocks.n; i++) {
        struct segblock *block = g->tail.blocks.list[i];
        block_reader_set(r, block->head, segblock_fetch, block);
        for (unsigned f = 0; !retval && f < block_frames(block->head); f++) {
            b->n = block_frame_rows(block->head, f);
            for (unsigned id = 0; !retval && id < N_COLUMNS; id++) {
                retval = block_read(r, id, f, b);
            }
            retval = retval ? retval : add_rows(p, b);
        }
    }
    batch_destroy(b);
    block_reader_destroy(r);
    return retval ? retval : dict_refused(s->dict) > refused ? -EBADMSG : 0;
}

/* ---- Blocks. ---- */

/* Puts a block into one of the files, and tells everybody. */
static int
publish(struct store *s, struct segment *g, struct segfile *f, bool in_memory,
        uint32_t fresh)
{
    struct bytes *b = &s->writer.bytes;
    uint8_t *bytes = b->data;
    size_t size = b->size;

    if (in_memory) {
        /* Of its own size: it stays for a while. */
        bytes = malloc(size);
        if (!bytes) {
            return -ENOMEM;
        }
        memcpy(bytes, b->data, size);
    }
    int retval = segfile_write(f, bytes, size);
    if (retval) {
        if (in_memory) {
            free(bytes);
        }
        return retval;
    }
    pthread_mutex_lock(&s->lock);
    retval = segfile_add(f, bytes, size, in_memory);
    if (!retval) {
        const struct block_head *h = f->blocks.list[f->blocks.n - 1]->head;
        if (f == &g->main) {
            segblocks_clear(&g->tail.blocks);
        }
        bool first = !g->rows;
        g->rows += fresh;
        g->min_us = first || h->min_us < g->min_us ? h->min_us : g->min_us;
        g->max_us = first || h->max_us > g->max_us ? h->max_us : g->max_us;
        g->bytes = g->main.size + g->tail.size;
        segments_health(s);
    } else if (in_memory) {
        free(bytes);
    }
    pthread_mutex_unlock(&s->lock);
    return retval;
}

/* The blocks of the tail as they are, where they cannot be merged. */
static int
move_tail(struct store *s, struct segment *g)
{
    int retval = 0;
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; !retval && i < g->tail.blocks.n; i++) {
        struct segblock *b = g->tail.blocks.list[i];
        retval = segfile_write(&g->main, b->bytes, b->head->size);
        if (!retval) {
            retval = segfile_add(&g->main, b->bytes, b->head->size, false);
        }
    }
    segment_drop_merged(g);
    pthread_mutex_unlock(&s->lock);
    return retval;
}

static uint64_t
next_row(const struct segment *g)
{
    return g->tail.next_row > g->main.next_row ? g->tail.next_row
                                               : g->main.next_row;
}

/* One block of the tail's rows and those of the batches. */
static int
write_main(struct store *s, struct segment *g,
           const struct flow_batch *const *batches, size_t n, uint32_t fresh)
{
    struct writer *w = &s->writer;
    struct parts *p = calloc(1, sizeof *p);
    bool tail = g->tail.blocks.n != 0;
    int retval = p ? 0 : -ENOMEM;

    if (!retval && tail) {
        retval = read_tail(s, g, p);
        if (retval == -EBADMSG) {
            p->n = 0;
            tail = false;
            retval = move_tail(s, g);
        }
    }
    for (size_t i = 0; !retval && i < n; i++) {
        if (p->n == MAX_PARTS) {
            retval = -E2BIG;
        } else {
            p->list[p->n++] = batches[i];
        }
    }
    if (!retval && p->n) {
        uint64_t first = tail ? g->tail.blocks.list[0]->head->first_row
                              : next_row(g);
        w->bytes.size = 0;
        w->bytes.failed = false;
        retval = block_write(w->blocks, p->list, p->n, s->dict, first,
                             &w->bytes);
        if (!retval) {
            retval = publish(s, g, &g->main, false, fresh);
        }
    }
    if (p) {
        parts_clear(p);
        free(p);
    }
    if (!retval) {
        sync_sometimes(s, &g->main, false);
        /* Should this fail: what is there twice is known by its number. */
        pthread_mutex_lock(&s->lock);
        segfile_truncate(&g->tail);
        pthread_mutex_unlock(&s->lock);
    }
    return retval;
}

int
segment_append(struct store *s, struct segment *g,
               const struct flow_batch *const *batches, size_t n)
{
    struct writer *w = &s->writer;
    uint32_t rows = 0;

    for (size_t i = 0; i < n; i++) {
        rows += batches[i]->n;
    }
    if (segment_tail_rows(g) + rows >= COMMIT_ROWS) {
        return write_main(s, g, batches, n, rows);
    }
    w->bytes.size = 0;
    w->bytes.failed = false;
    int retval = block_write(w->blocks, batches, n, s->dict, next_row(g),
                             &w->bytes);
    if (!retval) {
        retval = publish(s, g, &g->tail, true, rows);
    }
    if (!retval) {
        sync_sometimes(s, &g->tail, false);
    }
    return retval;
}

int
segment_merge(struct store *s, struct segment *g)
{
    int retval = 0;
    if (g->tail.blocks.n) {
        retval = write_main(s, g, NULL, 0, 0);
    }
    if (!retval && g->main.fd >= 0) {
        fdatasync(g->main.fd);
        pthread_mutex_lock(&s->lock);
        segment_remove_tail(s, g);
        segment_measure(s, g);
        pthread_mutex_unlock(&s->lock);
    }
    return retval;
}
