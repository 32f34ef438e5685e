/* tests/unit/alert_day.h -- ordinary traffic, seconds of it: 100,000 addresses,
 * busy by day, quiet at night and at weekends.
 *
 * Seeded, without a clock.  Flows begin at random; their address follows Zipf's
 * law; their sizes a Pareto distribution (1.2, from 2 kB, at most 4 GB); their
 * speed a log-normal one (median 1 Mbit/s, and one in a hundred nearly 10);
 * those that last longer than a minute are reported once a minute. */
#ifndef TESTS_ALERT_DAY_H
#define TESTS_ALERT_DAY_H 1

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/batch.h"

#define DAY_ADDRESSES 100000
#define DAY_REPORT_S 60
#define DAY_WHEEL 64            /* More than DAY_REPORT_S. */

struct day_flow {
    struct day_flow *next;
    uint32_t address, peer;
    double bits_left, bits_a_second;
};

struct day {
    uint64_t seed;
    double flows_a_second;      /* On the mean of a working day. */
    double *cumulative;         /* Zipf. */
    int64_t now_s;
    struct day_flow *wheel[DAY_WHEEL], *free;
    uint64_t n_records;
    /* Gets a batch that is full, or the last one of a second. */
    void (*give)(void *aux, struct flow_batch *);
    void *aux;
    struct flow_batch *batch;
};

static inline uint64_t
day_random(struct day *d)
{
    uint64_t z = (d->seed += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static inline double
day_uniform(struct day *d)      /* Above 0, at most 1. */
{
    return ((double) (day_random(d) >> 11) + 1) * 0x1p-53;
}

static inline double
day_normal(struct day *d)
{
    return sqrt(-2 * log(day_uniform(d)))
           * cos(6.283185307179586 * day_uniform(d));
}

/* How much of the mean there is: least at 4 o'clock, most at 16, less at
 * weekends (days 5 and 6 of each 7). */
static inline double
day_shape(int64_t s)
{
    double hour = (double) (s % 86400) / 3600;
    int64_t weekday = s / 86400 % 7;
    double busy = 1 - .7 * cos((hour - 4) * 6.283185307179586 / 24);
    return busy * (weekday >= 5 ? .55 : 1);
}

static inline void
day_init(struct day *d, uint64_t seed, double flows_a_second, int64_t from_s)
{
    double sum = 0;
    memset(d, 0, sizeof *d);
    d->seed = seed;
    d->flows_a_second = flows_a_second;
    d->now_s = from_s;
    d->cumulative = malloc(DAY_ADDRESSES * sizeof *d->cumulative);
    for (uint32_t i = 0; i < DAY_ADDRESSES; i++) {
        d->cumulative[i] = sum += 1 / pow(i + 1, .9);
    }
    d->batch = batch_create();
    batch_reset(d->batch);
    batch_zero_rows(d->batch, 0, BATCH_ROWS);
}

static inline uint32_t
day_address(struct day *d)
{
    double x = day_uniform(d) * d->cumulative[DAY_ADDRESSES - 1];
    uint32_t low = 0, high = DAY_ADDRESSES - 1;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (d->cumulative[middle] < x) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static inline void
day_flush(struct day *d)
{
    if (d->batch->n) {
        d->give(d->aux, d->batch);
        batch_reset(d->batch);
    }
}

static inline struct addr
day_addr(uint8_t net, uint32_t n)
{
    return addr_from_v4_bytes((const uint8_t[]) {
        net, (uint8_t) (n >> 16), (uint8_t) (n >> 8), (uint8_t) n });
}

/* A record that ends now. */
static inline void
day_record(struct day *d, uint32_t address, uint32_t peer, double bits,
           double seconds)
{
    struct flow_batch *b = d->batch;
    uint32_t i = b->n;
    b->flow_end[i] = b->received[i] = d->now_s * 1000000;
    b->flow_start[i] = b->flow_end[i] - (int64_t) (seconds * 1e6);
    b->canonical[i] = 1;
    BATCH_SET(b, src_addr, i, day_addr(172, peer));
    BATCH_SET(b, dst_addr, i, day_addr(10, address));
    BATCH_SET(b, proto, i, 6);
    BATCH_SET(b, src_port, i, 443);
    BATCH_SET(b, dst_port, i, (uint16_t) (1024 + peer % 60000));
    b->bytes[i] = (uint64_t) (bits / 8) + 40;
    b->packets[i] = b->bytes[i] / 1000 + 1;
    b->n++;
    d->n_records++;
    if (b->n == BATCH_ROWS) {
        day_flush(d);
    }
}

/* Reports what a flow did, up to a minute of it, when that is over. */
static inline void
day_later(struct day *d, struct day_flow *f)
{
    double lasts = f->bits_left / f->bits_a_second;
    unsigned in_s = lasts >= DAY_REPORT_S ? DAY_REPORT_S
                                          : (unsigned) ceil(lasts);
    struct day_flow **slot = &d->wheel[(d->now_s + in_s) % DAY_WHEEL];
    f->next = *slot;
    *slot = f;
}

static inline void
day_report(struct day *d, struct day_flow *f)
{
    double lasts = f->bits_left / f->bits_a_second;
    double part = lasts < DAY_REPORT_S ? lasts : DAY_REPORT_S;
    day_record(d, f->address, f->peer, part * f->bits_a_second, part);
    f->bits_left -= part * f->bits_a_second;
    if (f->bits_left > 8) {
        day_later(d, f);
    } else {
        f->next = d->free;
        d->free = f;
    }
}

static inline void
day_begin_flow(struct day *d)
{
    uint32_t address = day_address(d);
    uint32_t peer = (uint32_t) day_random(d) % 1000000;
    double bits = 16e3 / pow(day_uniform(d), 1 / 1.2);
    double speed = 1e6 * exp(day_normal(d));
    bits = bits > 32e9 ? 32e9 : bits;
    if (bits <= speed) {
        day_record(d, address, peer, bits, bits / speed);
        return;
    }
    struct day_flow *f = d->free;
    if (f) {
        d->free = f->next;
    } else {
        f = malloc(sizeof *f);
    }
    *f = (struct day_flow) { NULL, address, peer, bits, speed };
    day_later(d, f);
}

/* One second. */
static inline void
day_second(struct day *d)
{
    double n = d->flows_a_second * day_shape(d->now_s);
    struct day_flow *f = d->wheel[d->now_s % DAY_WHEEL], *next;

    d->wheel[d->now_s % DAY_WHEEL] = NULL;
    for (; f; f = next) {
        next = f->next;
        day_report(d, f);
    }
    n += sqrt(n) * day_normal(d);
    for (int i = 0; i < (int) n; i++) {
        day_begin_flow(d);
    }
    day_flush(d);
    d->now_s++;
}

static inline void
day_clear(struct day *d)
{
    for (unsigned i = 0; i <= DAY_WHEEL; i++) {
        struct day_flow **list = i < DAY_WHEEL ? &d->wheel[i] : &d->free;
        while (*list) {
            struct day_flow *f = *list;
            *list = f->next;
            free(f);
        }
    }
    free(d->cumulative);
    batch_destroy(d->batch);
}

#endif /* tests/unit/alert_day.h */
