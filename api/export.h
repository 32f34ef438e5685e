/* api/export.h -- the one export of flows into files that may run: asked for by
 * flow.export, or due by the schedule. */
#ifndef API_EXPORT_H
#define API_EXPORT_H 1

#include <stdbool.h>
#include <stdint.h>

struct exports;
struct store;

/* 'dir' gets the files; copied.  NULL if out of memory. */
struct exports *exports_create(struct store *, const char *dir);

struct exports_schedule {
    bool on;
    int format;                 /* enum data_format. */
    int64_t delay_us;           /* So long after an hour it is exported. */
};

/* Looks whether hours are due and begins with them; to be called now and then,
 * on the main thread. */
void exports_tick(struct exports *, const struct exports_schedule *,
                  int64_t now_us);

/* Ends what runs, before the store closes; its answer is delivered by
 * api_destroy().  Then exports_destroy() may be called. */
void exports_stop(struct exports *);
void exports_destroy(struct exports *);

#endif /* api/export.h */
