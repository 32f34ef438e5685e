/* collector/identity/numbered.h -- files of a directory whose names are what they
 * are and a number: "log.7", "past.12". */
#ifndef COLLECTOR_IDENTITY_NUMBERED_H
#define COLLECTOR_IDENTITY_NUMBERED_H 1

#include <stdint.h>

/* A heap string; NULL if out of memory. */
char *numbered_path(const char *dir, const char *what, uint64_t number);
/* If it is there. */
void numbered_remove(const char *dir, const char *what, uint64_t number);

#endif /* collector/identity/numbered.h */
