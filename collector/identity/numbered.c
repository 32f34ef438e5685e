#include <config.h>

#include "collector/identity/numbered.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

char *
numbered_path(const char *dir, const char *what, uint64_t number)
{
    char *p;
    return asprintf(&p, "%s/%s.%" PRIu64, dir, what, number) < 0 ? NULL : p;
}

void
numbered_remove(const char *dir, const char *what, uint64_t number)
{
    char *path = numbered_path(dir, what, number);
    if (path) {
        (void) unlink(path);
        free(path);
    }
}
