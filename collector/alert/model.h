/* collector/alert/model.h -- what is usual.
 *
 * Rates are looked at as powers of two: what is twice as much is one more,
 * whether it is much or little.  Of each minute the highest second counts, since
 * it is seconds that are judged.  A level is a mean and a mean deviation, both
 * exponentially weighted; one sample moves them by four deviations at most, so
 * that a spike does not become usual.
 *
 * The hour matters: a season has 48 hours, those of working days and those of
 * weekends, learned from the sum of all keys; what a key does is compared after
 * the season is taken out. */
#ifndef COLLECTOR_ALERT_MODEL_H
#define COLLECTOR_ALERT_MODEL_H 1

#include <stdbool.h>
#include <stdint.h>

#define ALERT_HOURS 48
#define ALERT_KNOWN_MINUTES 10  /* After so many a key is judged by itself. */
#define ALERT_DEVIATIONS 6.f    /* So far from the mean is never usual. */

struct alert_level {
    float mean, dev;
    uint32_t n;                 /* Samples. */
};

/* 'memory': so many samples back it remembers. */
void alert_level_learn(struct alert_level *, float x, float memory);
/* The same for what others do, some of whom are what is to be told: where the
 * half of all samples lie, and how far below that a quarter lies.  However high
 * the highest are, they move neither, unless they are nearly half of all.
 * 'run' (0 at first): so many in a row were above, or below; what all do for an
 * hour is usual, however far it is. */
void alert_level_learn_most(struct alert_level *, int *run, float x,
                            float memory);
/* Beyond this it is not usual: so many deviations above the mean, or a ratio,
 * given as a power of two. */
float alert_level_limit(const struct alert_level *, float deviations,
                        float log2_ratio);

/* Learns, once a minute, how many deviations those may stray that are judged by
 * their own past alone.  Their rates have no common shape (one large flow is a
 * thousand small ones), so what is usual is found by what is told: in one of
 * ALERT_STRAY_MINUTES somebody goes farther ('strayed').  It stays between
 * ALERT_DEVIATIONS and ALERT_STRAY_MOST: spikes of some do not hide those of
 * others. */
#define ALERT_STRAY 8.f         /* Until more is known. */
#define ALERT_STRAY_MOST 10.f
#define ALERT_STRAY_MINUTES 500
void alert_stray_learn(float *deviations, bool strayed);

struct alert_season {
    struct alert_level all, hour[ALERT_HOURS];
};

/* An hour of the season, and the one that is nearest to it at its edges: what
 * begins every night at two may be five minutes early. */
#define ALERT_EDGE_MINUTES 10
struct alert_hour {
    uint8_t here, near_;        /* The same in the middle. */
};
struct alert_hour alert_hour_of(unsigned weekday, unsigned minute_of_day);
/* The local time. */
struct alert_hour alert_hour_at(int64_t time_s);

void alert_season_learn(struct alert_season *, const struct alert_hour *,
                        float x);
/* How much above (below) the mean the hour usually is; and the more of it and the
 * near one. */
float alert_season_offset(const struct alert_season *,
                          const struct alert_hour *);
float alert_season_most(const struct alert_season *,
                        const struct alert_hour *);

float alert_log2(double rate);  /* log2(1 + rate) */
double alert_exp2(float x);     /* And back. */

#endif /* collector/alert/model.h */
