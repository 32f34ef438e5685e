/* Alerts: how soon a spike is seen, how often ordinary traffic is taken for one,
 * and what rules cost at ingest.
 *
 *     bench_alert [DAYS [FLOWS_A_SECOND [SEED [SECONDS_BETWEEN_SPIKES]]]] */
#include <config.h>

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "collector/alert/engine.h"
#include "collector/filter/filter.h"
#include "lib/dict.h"
#include "tests/unit/alert_day.h"

#define MONDAY_S INT64_C(1793577600)    /* 2026-11-02, UTC. */
#define SPIKES 100
#define RUNS 5

struct seen {
    uint64_t raised, cleared, minutes, last_minute, wrong;
    int64_t now_s;
    uint32_t address;           /* Of the spike; UINT32_MAX: none. */
    bool found;
};

static void
tell(void *seen, const struct alert_change *c)
{
    struct seen *s = seen;
    if (!c->raised) {
        s->cleared++;
        return;
    }
    struct addr a = day_addr(10, s->address);
    bool ours = s->address != UINT32_MAX && c->n_keys == 1
                && addr_equal(&a, &c->key[0].addr);
    s->found |= ours;
    s->wrong += !ours;
    s->raised++;
    if (!ours && (uint64_t) s->now_s / 60 != s->last_minute) {
        s->last_minute = (uint64_t) s->now_s / 60;
        s->minutes++;
    }
}

static void
give(void *engine, struct flow_batch *b)
{
    alert_process(engine, b);
}

static double
thread_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static struct alert_engine *
make_engine(struct dict *dict, size_t first, size_t n, double scale)
{
    struct alert_engine *e = alert_engine_create(dict);
    struct filter_error error;
    size_t bad;
    struct seen none = { .address = UINT32_MAX };
    struct alert_rule rules[8];
    for (size_t i = 0; i < n; i++) {
        /* There is a fiftieth of what a large site has. */
        memcpy(&rules[i], &alert_builtin[first + i], sizeof rules[i]);
        rules[i].minimum /= scale;
    }
    if (!e || alert_engine_set(e, rules, n, &bad, &error,
                               tell, &none)) {
        fprintf(stderr, "no engine\n");
        exit(1);
    }
    return e;
}

/* Nanoseconds a flow, of so many built-in rules. */
static double
cost(struct dict *dict, size_t first, size_t n)
{
    double best = 1e9;
    struct seen none = { .address = UINT32_MAX };
    struct flow_batch *list[64];
    struct day d;

    day_init(&d, 7, 200, MONDAY_S);
    struct alert_engine *e = make_engine(dict, first, n, 1);
    for (unsigned i = 0; i < 64; i++) {
        list[i] = batch_create();
        struct flow_batch *old = d.batch;
        d.batch = list[i];
        batch_reset(d.batch);
        batch_zero_rows(d.batch, 0, BATCH_ROWS);
        while (d.batch->n + 1 < BATCH_ROWS) {
            day_record(&d, day_address(&d), (uint32_t) day_random(&d) % 1000000,
                       16e3 / pow(day_uniform(&d), 1 / 1.2), .2);
        }
        d.batch = old;
    }
    for (int r = 0; r < RUNS; r++) {
        double begin = thread_s();
        for (unsigned i = 0; i < 256; i++) {
            alert_process(e, list[i % 64]);
        }
        double ns = (thread_s() - begin) * 1e9 / (256 * (BATCH_ROWS - 1));
        best = ns < best ? ns : best;
        alert_engine_tick(e, MONDAY_S + r, 1, tell, &none);
    }
    for (unsigned i = 0; i < 64; i++) {
        batch_destroy(list[i]);
    }
    alert_engine_destroy(e);
    day_clear(&d);
    return best;
}

int
main(int argc, char *argv[])
{
    int days = argc > 1 ? atoi(argv[1]) : 9;
    int gap_s = argc > 4 ? atoi(argv[4]) : 1200;
    double rate = argc > 2 ? atof(argv[2]) : 60;
    uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 10) : 42;
    struct dict *dict = dict_create(1 << 16, 4 << 20);
    struct alert_engine *e = make_engine(dict, 0, n_alert_builtin, 50);
    struct seen s = { .address = UINT32_MAX };
    struct day d;

    setenv("TZ", "UTC", 1);
    day_init(&d, seed, rate, MONDAY_S);
    d.give = give;
    d.aux = e;
    double begin = thread_s();
    for (int day = 0; day <= days; day++) {
        s = (struct seen) { .address = UINT32_MAX };
        for (int i = 0; i < 86400; i++) {
            day_second(&d);
            s.now_s = d.now_s;
            alert_engine_tick(e, d.now_s, 1, tell, &s);
        }
        printf("day %d: %" PRIu64 " alerts, %.2f %% of its minutes\n",
               day + 1, s.raised, (double) s.minutes / 14.4);
    }
    printf("simulated %d days with %" PRIu64 " records: %.1f s of CPU, %.1f MB "
           "of tables\n", days + 1, d.n_records, thread_s() - begin,
           (double) alert_engine_memory(e) / 1e6);

    /* Spikes of addresses that chance picks, all kinds, in the next day. */
    static const int sizes[] = { 20, 50, 100, 200, 500 };       /* Mbit/s */
    enum { N_SIZES = sizeof sizes / sizeof sizes[0] };
    unsigned found[N_SIZES] = { 0 }, at_once[N_SIZES] = { 0 };
    s = (struct seen) { .address = UINT32_MAX };
    /* In turn, so that each size comes at all times of the day. */
    for (int i = 0; i < SPIKES; i++) {
        for (size_t z = 0; z < N_SIZES; z++) {
            for (int k = 0; k < gap_s; k++) {
                day_second(&d);
                s.now_s = d.now_s;
                s.address = UINT32_MAX;
                alert_engine_tick(e, d.now_s, 1, tell, &s);
            }
            s.address = (uint32_t) (day_random(&d) % DAY_ADDRESSES);
            s.found = false;
            for (int k = 1; k <= 5; k++) {
                for (int r = 0; r < sizes[z]; r++) {
                    day_record(&d, s.address, (uint32_t) r, 1e6, .01);
                }
                day_second(&d);
                bool before = s.found;
                s.now_s = d.now_s;
                alert_engine_tick(e, d.now_s, 1, tell, &s);
                found[z] += !before && s.found && k <= 2;
                at_once[z] += !before && s.found && k == 1;
            }
        }
    }
    for (size_t z = 0; z < N_SIZES; z++) {
        printf("spikes of %d Mbit/s, one address of %d: %u of %d within 2 s, "
               "%u at the end of their first second\n", sizes[z],
               DAY_ADDRESSES, found[z], SPIKES, at_once[z]);
    }
    printf("other alerts meanwhile: %" PRIu64 "\n", s.wrong);
    day_clear(&d);
    alert_engine_destroy(e);

    printf("cost at ingest, ns a flow: built-in rules %.0f (", cost(dict, 0,
           n_alert_builtin));
    for (size_t i = 1; i < n_alert_builtin; i++) {
        printf("%s%s %.0f", i > 1 ? ", " : "", alert_builtin[i].name,
               cost(dict, i, 1));
    }
    printf("), none %.1f\n", cost(dict, 0, 1));
    dict_destroy(dict);
    return 0;
}
