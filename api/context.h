/* api/context.h -- what API methods may use; filled in by daemon/.  Members
 * that are not running are NULL. */
#ifndef API_CONTEXT_H
#define API_CONTEXT_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct alerts;
struct audit;
struct bgp_speaker;
struct bmp_server;
struct config_store;
struct counter_log;
struct decoder_counters;
struct dict;
struct events;
struct exports;
struct imports;
struct inventories;
struct identity_journal;
struct input;
struct live;
struct observation_map;
struct ovsdb;
struct ovsdb_watch;
struct probe;
struct profiles;
struct query_pool;
struct rollup;
struct rib;
struct route_imports;
struct routelog;
struct source_table;
struct store;
struct tokens;
struct turns;

struct api_context {
    struct config_store *config;        /* api/config.h */
    struct ovsdb *ovsdb;
    struct ovsdb_watch *watch;          /* ovsdb/watch.h */
    struct probe *probe;                /* probe/probe.h */
    /* export.apply and export.remove for probes; 0, or a negative errno after
     * doing nothing. */
    int (*order_probes)(void *aux, bool apply, const char *interface,
                        const char *policy);
    void *probes_aux;
    struct store *store;
    struct query_pool *queries;
    struct rollup *rollup;              /* collector/query/rollup.h */
    struct profiles *profiles;          /* api/profile.h */
    struct alerts *alerts;              /* api/alert.h */
    struct events *events;              /* api/events.h */
    struct live *live;                  /* api/live.h */
    struct imports *imports;            /* api/import.h */
    struct exports *exports;            /* api/export.h */
    struct source_table *sources;
    struct counter_log *counter_log;    /* collector/exporter/counter_log.h */
    struct decoder_counters *decode_counters;
    struct input *input;                /* collector/input/input.h */
    struct tokens *tokens;              /* api/token.h */
    struct audit *audit;                /* api/audit.h */
    struct identity_journal *identities;        /* identity/journal.h */
    struct inventories *inventories;    /* api/inventories.h */
    struct dict *dict;
    struct turns *turns;                /* lib/turns.h */
    struct rib *rib;                    /* bgp/rib.h */
    struct routelog *route_history;     /* bgp/routelog.h */
    struct route_imports *route_imports;        /* bgp/route_import.h */
    struct bgp_speaker *speaker;        /* bgp/speaker.h */
    struct bmp_server *bmp;             /* bgp/bmp.h */
    /* What OVSDB says about sources, as it is when the main thread looks (it
     * alone replaces it); may be NULL. */
    struct observation_map *_Atomic *observations;
    /* Raises (true) and lowers what the OVSDB thread may do on this one, to see
     * what it sees; may be NULL. */
    void (*as_ovsdb)(void *aux, bool on);
    void *as_ovsdb_aux;
    int64_t started_us;                 /* Wall clock. */
    const char *state_dir, *run_dir;
    const char *owner;                  /* Instance id. */
};

#endif /* api/context.h */
