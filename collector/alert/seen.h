/* collector/alert/seen.h -- has a key been there before?  Two Bloom filters, of
 * a megabyte each: one that fills, one that was filled before it.  A key that
 * was not there may be taken for one that was (one in a hundred at 800,000
 * keys), never the other way round within half the time. */
#ifndef COLLECTOR_ALERT_SEEN_H
#define COLLECTOR_ALERT_SEEN_H 1

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define SEEN_BYTES (1u << 20)
#define SEEN_HASHES 6

struct alert_seen {
    int64_t began_s;            /* When the one that fills began. */
    uint8_t *bits[2];
};

int alert_seen_init(struct alert_seen *, int64_t now_s);
void alert_seen_clear(struct alert_seen *);
bool alert_seen_has(const struct alert_seen *, uint64_t hash);
void alert_seen_add(struct alert_seen *, uint64_t hash);
/* Begins anew when half of 'remember_s' is over. */
void alert_seen_age(struct alert_seen *, int64_t now_s, uint32_t remember_s);

#endif /* collector/alert/seen.h */
