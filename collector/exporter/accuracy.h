/* collector/exporter/accuracy.h -- how good estimates are: octets that flows
 * say went through an interface, beside those that its counters counted.
 *
 * Pure: plain values in, plain values out. */
#ifndef COLLECTOR_ACCURACY_H
#define COLLECTOR_ACCURACY_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum accuracy_direction { ACCURACY_IN, ACCURACY_OUT };

/* What the counters of an interface said at one time. */
struct accuracy_sample {
    int64_t time_us;
    uint64_t octets[2];         /* By enum accuracy_direction. */
};

/* What flows say of a short time, 'bucket_us' long. */
struct accuracy_bucket {
    int64_t time_us;            /* Its start. */
    uint64_t octets;            /* Estimated. */
    uint64_t error;             /* Half the 95 % confidence interval. */
    uint64_t samples;           /* Packets that were really seen. */
};

struct accuracy {
    int64_t covered_us;         /* Time that both know; 0: none. */
    double counted, estimated;
    double error;               /* Half the 95 % confidence interval. */
    double edges;               /* By how much 'counted' may be wrong since */
                                /* times begin and end between readings. */
    uint64_t samples;
};

/* The octets counted in [from_us, to_us), between samples by interpolation.
 * False if that is not known: outside of the samples, where two of them are
 * further apart than 'gap_us', or where the counter went back.  Samples are in
 * order of time. */
bool accuracy_counted(const struct accuracy_sample *, size_t n,
                      enum accuracy_direction, int64_t from_us,
                      int64_t to_us, int64_t gap_us, double *octets);

/* Compares over [from_us, to_us), bucket by bucket; where the counters do not
 * know, neither side counts.  Buckets are in order of time and start at
 * multiples of 'bucket_us'; one that is not there is one without flows. */
struct accuracy accuracy_compare(const struct accuracy_sample *, size_t n,
                                 enum accuracy_direction,
                                 const struct accuracy_bucket *,
                                 size_t n_buckets, int64_t from_us,
                                 int64_t to_us, int64_t bucket_us,
                                 int64_t gap_us);

#endif /* collector/exporter/accuracy.h */
