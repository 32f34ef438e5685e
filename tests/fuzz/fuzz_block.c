/* tests/fuzz/fuzz_block.c -- any bytes as a block of a segment, or as the whole
 * file, as they are and with every checksum made right: what is read from it
 * stays within bounds, ends, and is the same each time, whether columns are
 * fetched by themselves or together. */
#include <config.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "collector/store/block_p.h"
#include "collector/store/segfile.h"
#include "lib/dict.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static struct dict *dict;
static struct flow_batch *batch, *again;

struct input {
    const uint8_t *data;
    size_t size;
};

static int
fetch(void *aux, uint64_t offset, void *buf, size_t size)
{
    const struct input *in = aux;
    if (offset > in->size || size > in->size - offset) {
        return -1;
    }
    memcpy(buf, in->data + offset, size);
    return 0;
}

/* Reads all there is, twice. */
static void
read_block(const struct block_head *h, block_fetch_fn *get, void *aux)
{
    struct block_reader *r = block_reader_create(dict);
    struct block_reader *o = block_reader_create(dict);
    struct column_set set;

    memset(&set, 0xff, sizeof set);
    for (unsigned id = 0; r && o && id < N_COLUMNS; id++) {
        block_reader_set(r, h, get, aux);
        block_reader_set(o, h, get, aux);
        set.bits[0] ^= UINT64_C(0x5555555555555555) << id % 2;
        block_reader_fetch(o, &set);
        for (unsigned f = 0; f < block_frames(h); f++) {
            int e = block_read(r, id, f, batch);
            int e2 = block_read(o, id, f, again);
            if (e != e2) {
                abort();
            }
            for (uint32_t i = 0; !e && i < block_frame_rows(h, f); i++) {
                size_t at = columns[id].offset + i * columns[id].size;
                if (batch_is_valid(batch, id, i)
                    != batch_is_valid(again, id, i)
                    || (batch_is_valid(batch, id, i)
                        && memcmp((uint8_t *) batch + at,
                                  (uint8_t *) again + at,
                                  columns[id].size))) {
                    abort();
                }
            }
        }
    }
    block_reader_destroy(r);
    block_reader_destroy(o);
}

/* Makes the checksums of a block right. */
static void
repair_block(uint8_t *p, size_t size)
{
    uint32_t head, whole;
    struct disk_head h;

    if (size < sizeof h || !block_sizes(p, &head, &whole) || head > size) {
        return;
    }
    memcpy(&h, p, sizeof h);
    for (unsigned i = 0; i < h.n_columns; i++) {
        struct disk_column d;
        uint8_t *at = p + sizeof h + i * sizeof d;
        memcpy(&d, at, sizeof d);
        if (d.offset <= size && d.size <= size - d.offset) {
            d.checksum = pack_checksum(p + d.offset, d.size);
            memcpy(at, &d, sizeof d);
        }
    }
    h.checksum = 0;
    memcpy(p, &h, sizeof h);
    h.checksum = pack_checksum(p, head);
    memcpy(p, &h, sizeof h);
}

static void
try_block(const uint8_t *data, size_t size)
{
    struct block_columns map = segfile_our_columns();
    struct block_head *h = block_head_read(data, size, &map);
    struct input in = { data, size };
    if (h) {
        read_block(h, fetch, &in);
        free(h);
    }
}

static void
try_file(const uint8_t *data, size_t size)
{
    char path[64];
    int fd = memfd_create("segment", MFD_CLOEXEC);
    struct segfile f;

    if (fd < 0 || write(fd, data, size) != (ssize_t) size) {
        abort();
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (!segfile_open(&f, path, size % 2)) {
        for (size_t i = 0; i < f.blocks.n; i++) {
            read_block(f.blocks.list[i]->head, segblock_fetch,
                       f.blocks.list[i]);
        }
        if (f.size > size || f.damaged > size) {
            abort();
        }
        segfile_close(&f);
    }
    close(fd);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!batch) {
        batch = batch_create();
        again = batch_create();
    }
    dict = dict_create(1000, 100000);
    uint8_t *copy = malloc(size + 1);
    if (!dict || !copy || !batch || !again) {
        abort();
    }
    memcpy(copy, data, size);
    try_block(copy, size);
    try_file(copy, size);
    repair_block(copy, size);
    try_block(copy, size);
    /* A file: its header, then the block. */
    struct bytes b = { 0 };
    if (segfile_header(&b)) {
        abort();
    }
    bytes_put(&b, copy, size);
    bytes_pad(&b, 8);
    bytes_put(&b, copy, size);
    try_file(b.data, b.size);
    bytes_free(&b);
    free(copy);
    dict_destroy(dict);
    return 0;
}
