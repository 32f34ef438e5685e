/* collector/import/nfcapd_p.h -- inside of nfcapd: file and records. */
#ifndef COLLECTOR_NFCAPD_P_H
#define COLLECTOR_NFCAPD_P_H 1

#include <openssl/evp.h>
#include <string.h>

#include "collector/import/nfcapd.h"
#include "lib/addr.h"

/* Exporters and samplers of one file: its numbers have 16 bits, but nobody has
 * so many; the rest is kept without. */
#define NFCAPD_EXPORTERS 4096
#define NFCAPD_SAMPLERS 4096
/* Extensions have small numbers; all others are counted as one. */
#define NFCAPD_EXTENSIONS 64

/* Files are in the order of bytes of the host that wrote them; we read those
 * of our own order only, which is little-endian wherever nfdump runs. */
static inline uint16_t
le16_at(const uint8_t *p)
{
    return (uint16_t) (p[0] | p[1] << 8);
}

static inline uint32_t
le32_at(const uint8_t *p)
{
    return le16_at(p) | (uint32_t) le16_at(p + 2) << 16;
}

static inline uint64_t
le64_at(const uint8_t *p)
{
    return le32_at(p) | (uint64_t) le32_at(p + 4) << 32;
}

struct nfcapd_exporter {
    uint16_t number;
    uint32_t version, id;
    struct addr addr;
};

struct nfcapd_sampler {
    uint16_t exporter;
    int64_t id;                 /* Negative: of all its records. */
    uint32_t rate;
};

struct nfcapd {
    struct nfcapd_config c;
    struct nfcapd_counters n;
    struct nfcapd_info info;
    uint8_t compression;
    uint64_t at;                /* Of the next block. */
    uint32_t n_read;            /* Blocks. */
    bool ended;
    uint64_t end;               /* Where blocks with flows end. */
    uint8_t *raw, *block;       /* As on disk; as records. */
    size_t raw_room, block_room;
    EVP_MD_CTX *hash;

    struct nfcapd_exporter *exporters;
    size_t n_exporters;
    struct nfcapd_sampler *samplers;
    size_t n_samplers;
    uint64_t extensions[NFCAPD_EXTENSIONS];     /* Not kept whole. */
    char damage[128];           /* What is wrong with a record. */
};

/* Reads the records of a block of flows into '*b'.  0, -ECANCELED, or
 * -EBADMSG: 'f->damage' says what is wrong and '*at' where, from the begin of
 * the block's records. */
int nfcapd_records(struct nfcapd *, const uint8_t *p, size_t size,
                   struct flow_batch **b, size_t *at);

/* nfcapd_name.c: reads a record with names of interfaces; gives them to those
 * of a row. */
void nfcapd_read_names(struct nfcapd *, const uint8_t *p, size_t size);
void nfcapd_set_names(const struct nfcapd *, struct flow_batch *,
                      uint32_t row);

#endif /* collector/import/nfcapd_p.h */
