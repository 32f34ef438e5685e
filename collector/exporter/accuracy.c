#include <config.h>

#include "collector/exporter/accuracy.h"

#include <math.h>

/* The last sample at or before 'time_us', or 'n'. */
static size_t
find(const struct accuracy_sample *s, size_t n, int64_t time_us)
{
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t middle = lo + (hi - lo) / 2;
        if (s[middle].time_us <= time_us) {
            lo = middle + 1;
        } else {
            hi = middle;
        }
    }
    return lo ? lo - 1 : n;
}

bool
accuracy_counted(const struct accuracy_sample *s, size_t n,
                 enum accuracy_direction d, int64_t from_us, int64_t to_us,
                 int64_t gap_us, double *octets)
{
    size_t i = find(s, n, from_us);
    *octets = 0;
    if (i == n || from_us >= to_us) {
        return false;
    }
    for (; i + 1 < n; i++) {
        const struct accuracy_sample *a = &s[i], *b = &s[i + 1];
        int64_t span = b->time_us - a->time_us;
        int64_t from = a->time_us > from_us ? a->time_us : from_us;
        int64_t to = b->time_us < to_us ? b->time_us : to_us;
        if (to > from) {
            if (span > gap_us || b->octets[d] < a->octets[d]) {
                return false;
            }
            *octets += (double) (b->octets[d] - a->octets[d])
                       * (double) (to - from) / (double) span;
        }
        if (b->time_us >= to_us) {
            return true;
        }
    }
    return false;
}

/* What passed between the readings around 'time_us' may have done so before or
 * after it: the most that interpolation can be wrong by there. */
static double
edge(const struct accuracy_sample *s, size_t n, enum accuracy_direction d,
     int64_t time_us)
{
    size_t i = find(s, n, time_us);
    if (i + 1 >= n || s[i].time_us == time_us
        || s[i + 1].octets[d] < s[i].octets[d]) {
        return 0;
    }
    double before = (double) (time_us - s[i].time_us)
                    / (double) (s[i + 1].time_us - s[i].time_us);
    return (double) (s[i + 1].octets[d] - s[i].octets[d])
           * (before > 0.5 ? before : 1 - before);
}

struct accuracy
accuracy_compare(const struct accuracy_sample *s, size_t n,
                 enum accuracy_direction d, const struct accuracy_bucket *b,
                 size_t n_buckets, int64_t from_us, int64_t to_us,
                 int64_t bucket_us, int64_t gap_us)
{
    struct accuracy a = { .covered_us = 0 };
    double variance = 0;
    size_t at = 0;
    int64_t end_us = INT64_MIN;         /* Of what is covered so far. */
    for (int64_t t = from_us; t + bucket_us <= to_us; t += bucket_us) {
        double octets;
        while (at < n_buckets && b[at].time_us < t) {
            at++;
        }
        if (!accuracy_counted(s, n, d, t, t + bucket_us, gap_us, &octets)) {
            continue;
        }
        if (t != end_us) {
            a.edges += edge(s, n, d, t);
            a.edges += a.covered_us ? edge(s, n, d, end_us) : 0;
        }
        end_us = t + bucket_us;
        a.covered_us += bucket_us;
        a.counted += octets;
        for (; at < n_buckets && b[at].time_us < t + bucket_us; at++) {
            /* Errors of different packets are independent: their squares
             * add up. */
            a.estimated += (double) b[at].octets;
            variance += (double) b[at].error * (double) b[at].error;
            a.samples += b[at].samples;
        }
    }
    a.edges += a.covered_us ? edge(s, n, d, end_us) : 0;
    a.error = sqrt(variance);
    return a;
}
