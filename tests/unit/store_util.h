/* tests/unit/store_util.h -- stores in scratch directories, and flows for
 * them, for the tests of store and query. */
#ifndef TESTS_STORE_UTIL_H
#define TESTS_STORE_UTIL_H 1

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collector/store/store.h"
#include "lib/batch.h"
#include "lib/dict.h"
#include "lib/source.h"

#define UTIL_HOUR INT64_C(3600000000)
/* 2026-11-23T02:00:00Z */
#define UTIL_T0 INT64_C(1795399200000000)

static inline int
util_unlink(const char *path, const struct stat *st, int type, struct FTW *f)
{
    (void) st, (void) type, (void) f;
    return remove(path);
}

static inline void
util_rmdir(const char *dir)
{
    nftw(dir, util_unlink, 16, FTW_DEPTH | FTW_PHYS);
}

/* A scratch directory; the caller frees the name. */
static inline char *
util_mkdir(void)
{
    const char *tmp = getenv("TMPDIR");
    char *dir = NULL;
    if (asprintf(&dir, "%s/venturi-store-XXXXXX", tmp ? tmp : "/tmp") < 0
        || !mkdtemp(dir)) {
        perror("mkdtemp");
        exit(1);
    }
    return dir;
}

static inline struct store *
util_open(const char *dir, struct dict *dict, const struct store_config *more)
{
    struct store_config c = more ? *more : (struct store_config) { 0 };
    char *error = NULL;
    c.dir = dir;
    c.query_threads = c.query_threads ? c.query_threads : 2;
    struct store *s = store_open(&c, dict, &error);
    if (!s) {
        fprintf(stderr, "store_open: %s\n", error);
        free(error);
    }
    return s;
}

/* xorshift64*: the same everywhere. */
static inline uint64_t
util_random(uint64_t *state)
{
    uint64_t x = *state ? *state : 88172645463325252ULL;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * UINT64_C(2685821657736338717);
}

/* One value of any column, by its type. */
static inline void
util_random_value(struct flow_batch *b, unsigned id, uint32_t row,
                  uint64_t *seed, const uint32_t *names, unsigned n_names)
{
    const struct column *c = &columns[id];
    uint8_t *p = (uint8_t *) batch_column(b, id) + (size_t) row * c->size;
    uint64_t r = util_random(seed);

    switch (c->type) {
    case COLUMN_T_TIME:
        r = (uint64_t) b->oldest_us + r % 1000000;
        break;
    case COLUMN_T_ADDR:
        memset(p, 0, 16);
        if (r & 1) {
            p[10] = p[11] = 0xff;
            p[12] = 10;
        } else {
            p[0] = 0x20, p[1] = 1, p[2] = 0xd, p[3] = 0xb8;
        }
        p[15] = r >> 8 & 31;
        return;
    case COLUMN_T_NAME:
        r = names[r % n_names];
        break;
    case COLUMN_T_BOOL:
        r &= 1;
        break;
    case COLUMN_T_U64:
        r &= 0xffff;
        break;
    case COLUMN_T_MAC:
        r = r & 7;
        break;
    case COLUMN_T_ENUM:
        r = c->words && c->words[0].name ? c->words[0].value : 0;
        break;
    default:
        r &= 15;
        break;
    }
    memcpy(p, &r, c->size);     /* Little-endian, as the store demands. */
}

/* 'n' random rows that arrived at 'arrival_us' (and a second after it).  A
 * quarter of the nullable values are null. */
static inline void
util_fill(struct flow_batch *b, uint32_t n, int64_t arrival_us,
          uint64_t *seed, struct dict *dict, struct source *source)
{
    static const char *const texts[] = { "br-int", "br-ex", "eth0", "tap1",
                                         "veth-\xff\xc0", "größe",
                                         "64500 15169", "64500 {1,2} 15169",
                                         "65000:100 65000:1:2 rt:65000:1",
                                         "65000:1001", "15169 64500" };
    enum { N_TEXTS = sizeof texts / sizeof texts[0] };
    uint32_t names[N_TEXTS];
    for (unsigned i = 0; i < N_TEXTS; i++) {
        names[i] = dict_intern(dict, texts[i], strlen(texts[i]));
    }
    b->oldest_us = arrival_us;
    for (unsigned id = 0; id < N_COLUMNS; id++) {
        for (uint32_t i = 0; i < n; i++) {
            util_random_value(b, id, i, seed, names, N_TEXTS);
            if (!(columns[id].flags & CF_NULL) || util_random(seed) % 4) {
                batch_set_valid(b, id, i);
            } else {
                batch_clear_valid(b, id, i);
            }
        }
    }
    b->n = n;
    batch_add_span(b, source, 0);
}

/* Waits until 'rows' rows are committed or lost; false after 10 s. */
static inline bool
util_wait(struct store *s, uint64_t rows)
{
    const struct store_counters *n = store_counters(s);
    for (int i = 0; i < 1000; i++) {
        if (counter_get(&n->rows) + counter_get(&n->lost) >= rows) {
            return true;
        }
        usleep(10000);
    }
    return false;
}

#endif /* tests/unit/store_util.h */
