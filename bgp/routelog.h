/* bgp/routelog.h -- what became of routes: each announcement that changed
 * something, each withdrawal, each session that came or went, on disk.
 *
 * It watches a RIB (rib_add_watch()).  Recording copies a few hundred octets
 * into a buffer and returns; a thread of its own packs buffers into blocks,
 * writes them, at least once a second, and deletes what is too old or too
 * much.  Queries read the files, on any thread but the main one.
 *
 * A table that a peer tells for the first time is no news: its routes are
 * counted and recorded as one "table".  It ends with End-of-RIB, or when no
 * new route has come for a while.  Routes that change or go meanwhile are recorded
 * as ever.
 *
 * Files are directory/2026-11-30T22-00-00.routes, named after their first
 * record, one an hour or more: blocks, each with a header, a Bloom filter of
 * its prefixes and deflated records (bgp/routelog_p.h). */
#ifndef BGP_ROUTELOG_H
#define BGP_ROUTELOG_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgp/rib.h"
#include "lib/counter.h"
#include "lib/cursor.h"

struct routelog;                                         /* Opaque. */

/* X(id, name, of a peer) */
#define ROUTELOG_KINDS(X)                                \
    X(ANNOUNCE, "announce", false)                      \
    X(CHANGE, "change", false)                          \
    X(WITHDRAW, "withdraw", false)                      \
    X(EXPIRE, "expire", false)                          \
    X(PEER_UP, "peer-up", true)                         \
    X(PEER_DOWN, "peer-down", true)                     \
    X(TABLE, "table", true)                             \
    X(PURGE, "purge", true)                             \
    X(START, "start", true)                             \
    X(LOST, "lost", true)

enum routelog_kind {
#define X(ID, NAME, PEER) ROUTELOG_##ID,
    ROUTELOG_KINDS(X)
#undef X
    ROUTELOG_N_KINDS
};
const char *routelog_kind_name(enum routelog_kind);
/* Not about a route, but about a peer, or (start, lost) about us. */
bool routelog_kind_of_peer(enum routelog_kind);

/* X(name, what it counts) */
#define ROUTELOG_COUNTERS(X)                                                 \
    X(recorded, "Changes recorded")                                         \
    X(loaded, "Routes of tables told for the first time, not recorded one " \
      "by one")                                                             \
    X(lost, "Changes not recorded: the writer did not keep up, or the disk " \
      "is full")                                                            \
    X(blocks, "Blocks written")                                             \
    X(octets, "Octets written")                                             \
    X(raw_octets, "The same before they were packed")                       \
    X(write_errors, "Blocks that could not be written")                     \
    X(deleted, "Files deleted, too old or too many")

struct routelog_counters {
    ROUTELOG_COUNTERS(COUNTER_MEMBER)
};
extern const struct counter_def routelog_counter_defs[];

struct routelog_config {
    const char *dir;            /* Made if it is not there. */
    int64_t retention_us;       /* 0: no limit. */
    uint64_t max_bytes;         /* 0: no limit. */
    int64_t (*now_us)(void);    /* Wall clock. */
};

/* NULL with '*error' (negative errno). */
struct routelog *routelog_open(const struct routelog_config *, int *error);
/* Writes what there is, after all who hold it have released it (queries end
 * early then).  NULL is fine. */
void routelog_close(struct routelog *);
void routelog_hold(struct routelog *);
void routelog_release(struct routelog *);
/* Whether anything is recorded, and what is kept.  On the RIB's thread. */
void routelog_configure(struct routelog *, bool record, int64_t retention_us,
                        uint64_t max_bytes);

/* For rib_add_watch(); all on the RIB's thread. */
struct rib_watch routelog_watch(struct routelog *);
/* Every few seconds: tables that have come to an end. */
void routelog_tick(struct routelog *);

const struct routelog_counters *routelog_counters(const struct routelog *);
/* Files and octets on disk; the oldest record's time, or 0. */
void routelog_size(const struct routelog *, uint64_t *n_files, uint64_t *bytes,
                  int64_t *oldest_us);

/* ---- Asking. ---- */

/* Whoever told. */
struct routelog_peer {
    struct bgp_peer_info info;  /* 'name' points to the next member. */
    char name[64];
};

struct routelog_record {
    enum routelog_kind kind;
    int64_t time_us;            /* No two are the same. */
    const struct routelog_peer *peer;    /* NULL: of none. */
    struct bgp_nlri nlri;       /* Of a route; else only 'family' counts, */
    bool has_family;            /* if this is set. */
    bool best;                  /* Was, or is, the best of the prefix. */
    bool has_before, has_after;
    bool leak_before, leak_after;       /* BGP_HAS_LEAK: no attribute says so. */
    struct cursor before, after;        /* Attributes; routelog_attrs(). */
    uint64_t n;                 /* Routes; of START the time of the record
                                 * before it. */
};

/* What attributes of a record say, until the decoder's next call.  False if
 * they do not parse. */
struct bgp_decoder;
struct bgp_update;
bool routelog_attrs(struct bgp_decoder *, struct cursor, struct bgp_update *,
                   const struct bgp_attrs **);

enum routelog_match { ROUTELOG_ALL, ROUTELOG_EXACT, ROUTELOG_LONGEST,
                     ROUTELOG_LESS, ROUTELOG_MORE };

struct routelog_query {
    enum routelog_match match;
    struct prefix prefix;
    uint32_t families;          /* Bits; 0: all. */
    uint32_t kinds;             /* 1 << enum routelog_kind; 0: all. */
    const char *peer;           /* Name or address, or NULL. */
    int64_t from_us, to_us;     /* From 'from_us' until before 'to_us'. */
    bool best_only;
    size_t limit;               /* The newest so many. */
    /* Peers that have a route of the prefix now: what became of their sessions
     * is told, as that of peers in the answer.  By name. */
    const char *const *peers;
    size_t n_peers;
    int64_t deadline_us;        /* By the clock of the configuration. */
};

struct routelog_answer {
    bool more;                  /* Older ones; ask with 'to_us' = */
    int64_t next_us;
    bool timed_out;
    uint64_t records;           /* Looked at. */
    uint64_t blocks, skipped, damaged;
};

/* Calls 'each' for what matches, oldest first.  Waits for the disk.  Returns 0
 * or a negative errno. */
typedef void routelog_fn(void *aux, const struct routelog_record *);
int routelog_query(struct routelog *, const struct routelog_query *,
                  routelog_fn *each, void *aux, struct routelog_answer *);

#endif /* bgp/routelog.h */
