#include <config.h>

#include "collector/alert/seen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int
alert_seen_init(struct alert_seen *s, int64_t now_s)
{
    s->began_s = now_s;
    s->bits[0] = calloc(1, SEEN_BYTES);
    s->bits[1] = calloc(1, SEEN_BYTES);
    if (!s->bits[0] || !s->bits[1]) {
        alert_seen_clear(s);
        return -ENOMEM;
    }
    return 0;
}

void
alert_seen_clear(struct alert_seen *s)
{
    free(s->bits[0]);
    free(s->bits[1]);
    memset(s, 0, sizeof *s);
}

static uint32_t
place(uint64_t hash, unsigned i)
{
    uint32_t step = (uint32_t) (hash >> 32) | 1;
    return ((uint32_t) hash + i * step) % (SEEN_BYTES * 8);
}

bool
alert_seen_has(const struct alert_seen *s, uint64_t hash)
{
    bool first = true, second = true;
    for (unsigned i = 1; i <= SEEN_HASHES; i++) {
        uint32_t p = place(hash, i);
        first &= s->bits[0][p / 8] >> p % 8 & 1;
        second &= s->bits[1][p / 8] >> p % 8 & 1;
    }
    return first || second;
}

void
alert_seen_add(struct alert_seen *s, uint64_t hash)
{
    for (unsigned i = 1; i <= SEEN_HASHES; i++) {
        uint32_t p = place(hash, i);
        s->bits[0][p / 8] |= (uint8_t) (1u << p % 8);
    }
}

void
alert_seen_age(struct alert_seen *s, int64_t now_s, uint32_t remember_s)
{
    if (now_s - s->began_s >= remember_s / 2) {
        uint8_t *old = s->bits[1];
        s->bits[1] = s->bits[0];
        s->bits[0] = old;
        memset(old, 0, SEEN_BYTES);
        s->began_s = now_s;
    }
}
