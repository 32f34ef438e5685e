#include <config.h>

#include "collector/import/nfcapd_p.h"

#include <bzlib.h>
#include <errno.h>
#include <inttypes.h>
#include <lz4.h>
#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>

#include "collector/import/lzo.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "nfcapd files are read in one order of bytes");

#define FILE_MAGIC 0xa50c
#define FILE_HEADER 40
#define BLOCK_HEADER 12
#define BLOCK_MAX (16u << 20)   /* nfdump's have 5 MB at most. */
#define BLOCK_RECORDS 3         /* Type of block: records of any type. */
#define BLOCK_PLAIN 0x1         /* Flag: this one is not compressed. */
#define RECORD_STAT 0x8002
#define STAT_SIZE 24            /* What of it is of interest. */

const struct counter_def nfcapd_counter_defs[] = {
#define X(NAME, DOC) { #NAME, offsetof(struct nfcapd_counters, NAME), DOC },
    NFCAPD_COUNTERS(X)
#undef X
    { NULL, 0, NULL },
};

/* ---- Compression. ---- */

/* Each returns 0 and how much it made, or -EBADMSG. */

static int
unpack_lz4(const uint8_t *in, size_t n, uint8_t *out, size_t room,
           size_t *made)
{
    int size = LZ4_decompress_safe((const char *) in, (char *) out, (int) n,
                                   (int) room);
    *made = size > 0 ? (size_t) size : 0;
    return size < 0 ? -EBADMSG : 0;
}

static int
unpack_bz2(const uint8_t *in, size_t n, uint8_t *out, size_t room,
           size_t *made)
{
    unsigned size = (unsigned) room;
    int result = BZ2_bzBuffToBuffDecompress((char *) out, &size, (char *) in,
                                            (unsigned) n, 0, 0);
    *made = size;
    return result == BZ_OK ? 0 : -EBADMSG;
}

static int
unpack_zstd(const uint8_t *in, size_t n, uint8_t *out, size_t room,
            size_t *made)
{
    size_t size = ZSTD_decompress(out, room, in, n);
    *made = ZSTD_isError(size) ? 0 : size;
    return ZSTD_isError(size) ? -EBADMSG : 0;
}

static const struct {
    const char *name;
    int (*unpack)(const uint8_t *in, size_t n, uint8_t *out, size_t room,
                  size_t *made);
} compressions[] = {
    { "none", NULL },
    { "lzo", lzo_decompress },
    { "bz2", unpack_bz2 },
    { "lz4", unpack_lz4 },
    { "zstd", unpack_zstd },    /* Since nfdump 1.7.3. */
};

#define N_COMPRESSIONS (sizeof compressions / sizeof compressions[0])

/* ---- Reading. ---- */

static bool
reserve(uint8_t **p, size_t *room, size_t n)
{
    if (n <= *room) {
        return true;
    }
    uint8_t *more = realloc(*p, n);
    if (more) {
        *p = more;
        *room = n;
    }
    return more != NULL;
}

/* Reads exactly 'n' bytes.  0, -EBADMSG: the file ends before; or another
 * error. */
static int
read_at(const struct nfcapd *f, uint64_t at, void *buf, size_t n)
{
    size_t done = 0;
    while (done < n) {
        ssize_t got = f->c.read(f->c.aux, at + done, (uint8_t *) buf + done,
                                n - done);
        if (got <= 0) {
            return got ? (int) got : -EBADMSG;
        }
        done += (size_t) got;
    }
    return 0;
}

struct block {
    uint32_t n_records, size;
    uint16_t type, flags;
    size_t made;                /* In 'f->block'. */
};

/* Reads and unpacks the block at 'at' into 'f->block'.  0, or a negative
 * error with the reason; '*sound': the next block can be found all the same. */
static int
read_block(struct nfcapd *f, uint64_t at, struct block *block, bool *sound,
           char *why, size_t why_size)
{
    uint8_t head[BLOCK_HEADER];

    *sound = false;
    int e = read_at(f, at, head, sizeof head);
    if (e) {
        snprintf(why, why_size, "%s", e == -EBADMSG
                 ? "the file ends inside of the header of a block"
                 : strerror(-e));
        return e;
    }
    *block = (struct block) { le32_at(head), le32_at(head + 4),
                              le16_at(head + 8), le16_at(head + 10), 0 };
    if (block->size > BLOCK_MAX || at + sizeof head + block->size
                                   > f->c.size) {
        snprintf(why, why_size, "a block of %" PRIu32 " bytes is more than "
                 "the file has", block->size);
        return -EBADMSG;
    }
    *sound = true;
    bool plain = block->flags & BLOCK_PLAIN
                 || !compressions[f->compression].unpack;
    if (!reserve(plain ? &f->block : &f->raw, plain ? &f->block_room
                                                    : &f->raw_room,
                 block->size)
        || (!plain && !reserve(&f->block, &f->block_room, BLOCK_MAX))) {
        snprintf(why, why_size, "out of memory");
        return -ENOMEM;
    }
    e = read_at(f, at + sizeof head, plain ? f->block : f->raw, block->size);
    if (e) {
        snprintf(why, why_size, "%s", strerror(-e));
        return e;
    }
    block->made = block->size;
    e = plain ? 0
              : compressions[f->compression].unpack(f->raw, block->size,
                                                    f->block, f->block_room,
                                                    &block->made);
    if (e) {
        snprintf(why, why_size, "%s cannot unpack the block",
                 compressions[f->compression].name);
    }
    return e;
}

/* ---- The header, and what a closed file says about itself. ---- */

/* Totals are for comparison only: where they cannot be read, there are
 * none. */
static void
read_appendix(struct nfcapd *f, uint64_t at, unsigned n)
{
    struct block block;
    char why[64];
    bool sound = true;

    for (unsigned i = 0; i < n && sound; i++) {
        if (!read_block(f, at, &block, &sound, why, sizeof why)) {
            for (size_t p = 0; p + 4 <= block.made; ) {
                uint16_t size = le16_at(f->block + p + 2);
                if (size < 4 || size > block.made - p) {
                    break;
                }
                if (le16_at(f->block + p) == RECORD_STAT
                    && size >= 4 + STAT_SIZE) {
                    f->info.has_totals = true;
                    f->info.flows = le64_at(f->block + p + 4);
                    f->info.bytes = le64_at(f->block + p + 12);
                    f->info.packets = le64_at(f->block + p + 20);
                }
                p += size;
            }
        }
        at += BLOCK_HEADER + block.size;
    }
}

/* NULL, or what is wrong with the header. */
static const char *
read_header(struct nfcapd *f)
{
    uint8_t h[FILE_HEADER];

    if (f->c.size < sizeof h || read_at(f, 0, h, sizeof h)) {
        return "too short for a file of nfcapd";
    }
    if (le16_at(h) != FILE_MAGIC) {
        return h[0] == FILE_MAGIC >> 8 && h[1] == (FILE_MAGIC & 0xff)
               ? "written on a host of the other order of bytes: copy it "
                 "there with \"nfdump -r FILE -o json\" instead"
               : "not a file of nfcapd";
    }
    uint16_t version = le16_at(h + 2);
    if (version != 2) {
        return version == 1
               ? "written by nfdump 1.6; convert it first: nfdump -r FILE -w "
                 "NEW -y"
               : "of a layout that is not known here (nfdump 1.7 writes 2)";
    }
    uint32_t nfdump = le32_at(h + 4);
    snprintf(f->info.version, sizeof f->info.version, "%u.%u.%u",
             nfdump >> 24 & 0xf, nfdump >> 16 & 0xff, nfdump >> 8 & 0xff);
    f->info.created_us = (int64_t) (le64_at(h + 8) & UINT32_MAX) * 1000000;
    /* Later versions keep a level in the upper bits. */
    f->compression = h[16] & 0x0f;
    if (f->compression >= N_COMPRESSIONS) {
        return "compressed in a way that is not known here; recompress it: "
               "nfdump -r FILE -J 3";
    }
    f->info.compression = compressions[f->compression].name;
    if (h[17]) {
        return "encrypted";
    }
    uint64_t appendix = le64_at(h + 24);
    f->info.n_blocks = le32_at(h + 36);
    f->info.closed = appendix >= sizeof h;
    f->end = f->info.closed && appendix < f->c.size ? appendix : f->c.size;
    if (f->info.closed) {
        read_appendix(f, appendix, le16_at(h + 18));
    }
    return NULL;
}

struct nfcapd *
nfcapd_open(const struct nfcapd_config *config, char *error, size_t size)
{
    struct nfcapd *f = calloc(1, sizeof *f);
    const char *wrong = "out of memory";

    if (f) {
        f->c = *config;
        f->at = f->info.offset = FILE_HEADER;
        f->info.first_us = INT64_MAX;
        f->info.last_us = INT64_MIN;
        f->exporters = calloc(NFCAPD_EXPORTERS, sizeof *f->exporters);
        f->samplers = calloc(NFCAPD_SAMPLERS, sizeof *f->samplers);
        f->hash = EVP_MD_CTX_new();
        if (f->exporters && f->samplers && f->hash
            && EVP_DigestInit_ex(f->hash, EVP_sha256(), NULL)) {
            wrong = read_header(f);
        }
    }
    if (wrong) {
        snprintf(error, size, "%s", wrong);
        nfcapd_close(f);
        return NULL;
    }
    return f;
}

void
nfcapd_close(struct nfcapd *f)
{
    if (f) {
        EVP_MD_CTX_free(f->hash);
        free(f->exporters);
        free(f->samplers);
        free(f->raw);
        free(f->block);
        free(f);
    }
}

const struct nfcapd_counters *
nfcapd_counters(const struct nfcapd *f)
{
    return &f->n;
}

void
nfcapd_info(const struct nfcapd *f, struct nfcapd_info *info)
{
    EVP_MD_CTX *copy = EVP_MD_CTX_new();

    *info = f->info;
    info->offset = f->at;
    if (copy && EVP_MD_CTX_copy_ex(copy, f->hash)) {
        EVP_DigestFinal_ex(copy, info->hash, NULL);
    }
    EVP_MD_CTX_free(copy);
}

/* ---- Blocks. ---- */

/* Says where the damage is. */
static int
damaged(struct nfcapd *f, uint64_t at, const char *why, char *error,
        size_t size)
{
    counter_inc(&f->n.bad_blocks);
    snprintf(error, size, "damaged in block %" PRIu32 " at byte %" PRIu64
             ": %s", f->n_read, at, why);
    return -EBADMSG;
}

int
nfcapd_next(struct nfcapd *f, struct flow_batch **b, char *error,
            size_t size)
{
    struct block block;
    char why[160];
    uint64_t at = f->at;
    bool sound;

    if (f->ended || at >= f->end) {
        f->ended = true;
        if (at >= f->end && f->info.n_blocks
            && f->n_read < f->info.n_blocks) {
            uint32_t missing = f->info.n_blocks - f->n_read;
            f->n_read = f->info.n_blocks;
            snprintf(why, sizeof why, "%" PRIu32 " blocks of flows are "
                     "missing", missing);
            return damaged(f, at, why, error, size);
        }
        return 0;
    }
    f->n_read++;
    int e = read_block(f, at, &block, &sound, why, sizeof why);
    f->ended = !sound;
    f->at = sound ? at + BLOCK_HEADER + block.size : f->end;
    if (e == -EBADMSG) {
        if (sound) {
            counter_add(&f->n.bad_records, block.n_records);
        }
        return damaged(f, at, why, error, size);
    } else if (e) {
        snprintf(error, size, "%s", why);
        return e;
    }
    counter_inc(&f->n.blocks);
    if (block.type != BLOCK_RECORDS) {
        counter_add(&f->n.unknown_records, block.n_records);
        return 1;
    }
    uint64_t before = f->n.records + f->n.other_records
                      + f->n.unknown_records;
    size_t where = 0;
    e = nfcapd_records(f, f->block, block.made, b, &where);
    uint64_t seen = f->n.records + f->n.other_records + f->n.unknown_records
                    - before;
    if (e == -EBADMSG || (!e && seen != block.n_records)) {
        if (!e) {
            snprintf(f->damage, sizeof f->damage, "%" PRIu64 " records, not "
                     "%" PRIu32, seen, block.n_records);
        }
        counter_add(&f->n.bad_records, block.n_records > seen
                                       ? block.n_records - seen : 1);
        snprintf(why, sizeof why, "%s (byte %zu of its records)", f->damage,
                 where);
        return damaged(f, at, why, error, size);
    }
    return e ? e : 1;
}
