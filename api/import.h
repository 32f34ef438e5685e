/* api/import.h -- the one import of flow files that may run, between
 * flow.import and its thread. */
#ifndef API_IMPORT_H
#define API_IMPORT_H 1

struct dict;
struct imports;
struct store;

/* 'journal' is copied.  NULL if out of memory. */
struct imports *imports_create(struct store *, struct dict *,
                               const char *journal);

/* Ends what runs, before the store closes; its answer is delivered by
 * api_destroy().  Then imports_destroy() may be called. */
void imports_stop(struct imports *);
void imports_destroy(struct imports *);

#endif /* api/import.h */
