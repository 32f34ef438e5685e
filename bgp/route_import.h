/* bgp/route_import.h -- MRT files in the place of sessions: each peer of a dump
 * becomes a peer of the RIB, until it is imported again or removed.
 *
 * A thread reads the file twice: to see whether it is whole, before anything
 * changes, and to hand over records, which the main loop takes in slices. */
#ifndef BGP_ROUTE_IMPORT_H
#define BGP_ROUTE_IMPORT_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bgp/mrt.h"
#include "bgp/route.h"

struct ev_loop;
struct route_imports;                                   /* Opaque. */

#define ROUTE_IMPORT_NAME 32    /* With the NUL. */

/* NULL if out of memory.  'sink' is copied. */
struct route_imports *route_imports_create(struct ev_loop *,
                                           const struct bgp_sink *);
/* Cancels what runs (its done() is called) and forgets everything.  NULL is
 * fine. */
void route_imports_destroy(struct route_imports *);

enum route_import_status { ROUTE_IMPORT_OK, ROUTE_IMPORT_BAD_FILE,
                           ROUTE_IMPORT_DAMAGED, ROUTE_IMPORT_CANCELLED,
                           ROUTE_IMPORT_FAILED };

struct route_import_result {
    enum route_import_status status;
    char error[256];            /* Or of damage that was passed over. */
    bool replaced;              /* There was one of that name. */
    size_t n_peers;
    uint64_t announced, withdrawn;
    uint64_t refused_peers;     /* Routes of peers that are too many. */
    struct mrt_counters n;
    int64_t elapsed_ms;
};

/* 'name' is what its peers are called: "NAME ADDRESS". */
struct route_import_config {
    int fd;                     /* Taken over. */
    const char *name;
    bool damaged;               /* Take what can be read. */
    void *aux;
    void (*progress)(void *aux, double part, uint64_t records); /* Or NULL. */
    void (*done)(void *aux, const struct route_import_result *);
};

/* Begins.  Returns 0, -EBUSY if one runs, or another negative errno; then
 * done() is not called. */
int route_import_start(struct route_imports *,
                       const struct route_import_config *);
/* The one that runs; done() is called. */
void route_import_cancel(struct route_imports *);

/* Peers that go; -ENOENT: no such import; -EBUSY: it runs. */
int route_import_remove(struct route_imports *, const char *name);

struct route_import_info {
    const char *name;
    int64_t time_us;            /* When it was imported. */
    const uint32_t *peers;      /* Numbers of the RIB. */
    size_t n_peers;
};
typedef void route_import_fn(void *aux, const struct route_import_info *);
void route_imports_each(const struct route_imports *, route_import_fn *,
                        void *aux);

#endif /* bgp/route_import.h */
