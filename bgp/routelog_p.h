/* bgp/routelog_p.h -- inside bgp/routelog*.c: records and blocks as they lie
 * on disk.  All numbers are big endian. */
#ifndef BGP_ROUTELOG_P_H
#define BGP_ROUTELOG_P_H 1

#include <pthread.h>
#include <stdatomic.h>

#include "bgp/routelog.h"

/* ---- Records (routelog_record.c). ----
 *
 *     size 4 (what follows), kind 1, flags 1, time 8 (microseconds), peer 2,
 *     then of a peer's kinds: family 1 (0xff: none), n 8;
 *     of routes: family 1, length 1 and as many octets of the prefix as that
 *     needs; path identifier 4; RD 8; label 4; EVPN; attributes before and
 *     after, each with 2 octets of length: those that the flags name.
 *
 * A block tells a peer (kind 0xff) before it is used: peer 2, kind, view 1
 * each, address, router 16 each, rd 8, as, local-as, id 4 each, name. */

#define ROUTELOG_PEER_KIND 0xff
#define ROUTELOG_MAX_RECORD (4 + 200 + 2 * 65535)
#define ROUTELOG_NO_PEER UINT16_MAX

/* Writes one; returns its octets, 0 if 'size' is not enough. */
size_t routelog_record_write(const struct routelog_record *, uint16_t peer,
                            uint8_t *buf, size_t size);
size_t routelog_peer_write(uint16_t peer, const struct bgp_peer_info *,
                          const char *name, uint8_t *buf, size_t size);

/* Peers of the block that is being read. */
struct routelog_peers {
    struct routelog_peer *list;
    size_t n, room;
    uint16_t *by_number;        /* RIB_MAX_PEERS: index + 1; 0: not told. */
};

/* Takes the next record; those about peers are kept in 'peers' and passed
 * over.  False at the end; '*c' is bad if something does not parse. */
bool routelog_record_read(struct cursor *c, struct routelog_peers *,
                         struct routelog_record *);
void routelog_peers_reset(struct routelog_peers *);

/* ---- Blocks (routelog_block.c). ---- */

#define ROUTELOG_MAGIC UINT32_C(0x56524831)      /* "VRH1" */
#define ROUTELOG_HEADER 56
#define ROUTELOG_RAW (128u << 10)
/* A block that has one long record only is as large as that. */
#define ROUTELOG_MAX_RAW (ROUTELOG_RAW + ROUTELOG_MAX_RECORD)
#define ROUTELOG_MAX_BLOOM (64u << 10)

struct routelog_block {
    uint32_t raw_size, stored_size, stored_crc;
    uint32_t n_records;
    bool packed;
    bool has_peers;             /* Records of peers' kinds. */
    uint32_t bloom_size;        /* Octets, a power of 2. */
    int64_t first_us, last_us;
};

/* A buffer that is filled. */
struct routelog_chunk {
    struct routelog_chunk *next;
    size_t n, room;
    uint32_t n_records, n_hashes;
    uint32_t n_gaps;            /* Of the records, ROUTELOG_LOST, */
    uint64_t n_missing;         /* and how many changes those stand for. */
    bool has_peers;
    int64_t first_us, last_us;
    uint64_t seen[RIB_MAX_PEERS / 64];  /* Peers that are told. */
    uint64_t *hashes;
    uint64_t last_wide;         /* The last wide one among them. */
    uint32_t hashes_room;
    uint8_t data[];
};

/* Of a prefix itself; and of the wide one around it that stands for all inside
 * of it, if it is that long (else 0). */
uint64_t routelog_hash(const struct prefix *);
uint64_t routelog_wide_hash(const struct prefix *);
bool routelog_bloom_has(const uint8_t *bloom, uint32_t size, uint64_t hash);

/* Header, filter and records as one piece; the caller frees it.  NULL: out of
 * memory. */
uint8_t *routelog_block_make(const struct routelog_chunk *, size_t *size);
/* ROUTELOG_HEADER octets, and then the filter too.  False: no block. */
bool routelog_block_parse(const uint8_t *, struct routelog_block *);
bool routelog_block_check(const uint8_t *header, const uint8_t *bloom,
                         const struct routelog_block *);
/* Unpacks into 'raw' (of 'raw_size').  False: damaged. */
bool routelog_block_unpack(const struct routelog_block *,
                           const uint8_t *stored, uint8_t *raw);

/* ---- Files and the writer (routelog_file.c). ---- */

struct routelog_file {
    char name[64];
    int64_t start_us;
    uint64_t size;
};

#define ROUTELOG_MAX_CHUNKS 256

struct routelog {
    char *dir;
    int64_t (*now_us)(void);
    pthread_t writer;
    struct routelog_counters n;
    atomic_bool closing;

    pthread_mutex_t mutex;      /* Of what follows. */
    pthread_cond_t wake, done;
    bool stop, paused;
    int64_t retention_us;
    uint64_t max_bytes;
    struct routelog_chunk *open; /* Being filled. */
    struct routelog_chunk *full, **full_end;
    unsigned n_chunks;
    uint64_t asked, written;    /* Flushes. */
    uint64_t lost;              /* Since it was told last. */
    int64_t last_us;            /* Of the newest record. */
    unsigned n_holds;           /* Queries. */
    uint64_t n_files, bytes;
    int64_t oldest_us;

    /* The writer's. */
    int fd;
    uint64_t fd_size;
    int64_t fd_hour;
    int64_t tidied_us;

    struct routelog_phases *phases;      /* routelog.c */
};

void *routelog_writer(void *log);
/* Adds a record.  'peer': its number, ROUTELOG_NO_PEER: of none. */
void routelog_add(struct routelog *, struct routelog_record *, uint16_t peer,
                 const struct rib_peer *);
/* Waits until what was recorded before is on disk. */
void routelog_flush(struct routelog *);
/* Files, oldest first; the caller frees.  Negative errno on error. */
int routelog_list(const char *dir, struct routelog_file **, size_t *n);

#endif /* bgp/routelog_p.h */
