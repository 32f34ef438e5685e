#include <config.h>

#include "collector/alert/engine.h"
#include "collector/alert/engine_p.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "collector/alert/model.h"
#include "collector/alert/seen.h"
#include "collector/alert/table.h"
#include "collector/filter/filter.h"
#include "lib/dict.h"
#include "tests/unit/alert_day.h"

#include "tests/unit/unit.h"

#define MONDAY_S INT64_C(1793577600)

struct told {
    unsigned raised, cleared, usual, bare, largest;
    uint64_t alert;
    char rule[ALERT_NAME];
    struct tap_value key[ALERT_KEYS];
    double rate, limit, expected, share;
    unsigned n_top, flaps;
    struct addr dst;
};

static void
tell(void *told, const struct alert_change *c)
{
    struct told *t = told;
    if (!c->raised) {
        t->cleared++;
        t->usual += c->usual;
        return;
    }
    t->raised++;
    t->bare += !c->capture || !c->capture->n;
    t->largest += c->rate > 8e6;
    t->alert = c->alert;
    t->rate = c->rate;
    t->limit = c->limit;
    t->expected = c->expected;
    t->flaps = c->flaps;
    t->n_top = c->capture ? c->capture->n : 0;
    t->dst = c->capture ? c->capture->value[ALERT_CTX_dst_addr].addr
                        : (struct addr) { { 0 } };
    t->share = c->capture ? c->capture->top[0].volume / c->capture->total : 0;
    snprintf(t->rule, sizeof t->rule, "%s", c->rule->name);
    memcpy(t->key, c->key, sizeof t->key);
}

static struct alert_rule
rule(enum alert_type type, const char *by)
{
    struct alert_rule r;
    memcpy(&r, &alert_rule_default, sizeof r);
    strcpy(r.name, "r");
    r.type = type;
    r.learn_s = 0;
    if (by) {
        CU_ASSERT_EQUAL(alert_key_parse(by, &r.keys[0]), 0);
        r.n_keys = 1;
    }
    return r;
}

static struct dict *dict;
static struct flow_batch *batch;

static struct alert_engine *
engine(const struct alert_rule *r, size_t n)
{
    struct alert_engine *e = alert_engine_create(dict);
    struct filter_error error;
    struct told t = { 0 };
    size_t bad;
    CU_ASSERT_EQUAL_FATAL(alert_engine_set(e, r, n, &bad, &error, tell, &t),
                          0);
    return e;
}

/* A record of so many bits that took so long. */
static void
flow(uint32_t dst, double bits, double seconds)
{
    uint32_t i = batch->n++;
    batch->flow_end[i] = MONDAY_S * 1000000;
    batch->flow_start[i] = batch->flow_end[i] - (int64_t) (seconds * 1e6);
    batch->canonical[i] = 1;
    BATCH_SET(batch, dst_addr, i, day_addr(10, dst));
    BATCH_SET(batch, src_addr, i, day_addr(172, 1));
    BATCH_SET(batch, proto, i, 17);
    BATCH_SET(batch, src_port, i, 53);
    BATCH_SET(batch, dst_port, i, 4000);
    batch->bytes[i] = (uint64_t) (bits / 8);
    batch->packets[i] = 1;
}

static void
second(struct alert_engine *e, int64_t *now, struct told *t)
{
    alert_process(e, batch);
    batch_reset(batch);
    alert_engine_tick(e, ++*now, 1, tell, t);
}

static void
test_keys(void)
{
    static const struct {
        const char *text;
        int result;
        unsigned bits4, bits6;
    } list[] = {
        { "dst_addr", 0, 32, 128 }, { "src_addr/24", 0, 24, 64 },
        { "src_addr/24/56", 0, 24, 56 }, { "src_addr/48", 0, 32, 48 },
        { "src_tenant", 0, 32, 128 }, { "bytes", -EINVAL, 0, 0 },
        { "nothing", -EINVAL, 0, 0 }, { "src_tenant/8", -EINVAL, 0, 0 },
        { "dst_addr/", -EINVAL, 0, 0 }, { "dst_addr/24/", -EINVAL, 0, 0 },
        { "dst_addr/33/200", -EINVAL, 0, 0 }, { "", -EINVAL, 0, 0 },
        { "dst_addr/24x", -EINVAL, 0, 0 },
    };
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        struct alert_key k = { 0 };
        int got = alert_key_parse(list[i].text, &k);
        CU_ASSERT_EQUAL(got, list[i].result);
        if (!got) {
            CU_ASSERT_EQUAL(k.bits4, list[i].bits4);
            CU_ASSERT_EQUAL(k.bits6, list[i].bits6);
        }
    }
}

static void
test_threshold(void)
{
    struct alert_rule r = rule(ALERT_THRESHOLD, "dst_addr");
    struct told t = { 0 };
    int64_t now = MONDAY_S;
    r.above = 1e6;
    r.clear_s = 5;
    struct alert_engine *e = engine(&r, 1);
    second(e, &now, &t);
    flow(1, 1e6, 0);            /* Not more than it. */
    flow(2, 900e3, 0);
    second(e, &now, &t);
    CU_ASSERT_EQUAL(t.raised, 0);
    flow(1, 900e3, 0);
    flow(1, 600e3, .5);
    second(e, &now, &t);
    CU_ASSERT_EQUAL(t.raised, 1);
    CU_ASSERT_DOUBLE_EQUAL(t.rate, 1.5e6, 100);
    CU_ASSERT_DOUBLE_EQUAL(t.limit, 1e6, 1);
    struct addr a = day_addr(10, 1);
    CU_ASSERT_TRUE(addr_equal(&t.key[0].addr, &a));
    CU_ASSERT_TRUE(addr_equal(&t.dst, &a));
    CU_ASSERT_EQUAL(t.n_top, 1);
    CU_ASSERT_DOUBLE_EQUAL(t.share, 1, .01);
    /* It goes on: nothing new; then it is over after five seconds. */
    flow(1, 2e6, 0);
    second(e, &now, &t);
    for (int i = 0; i < 6; i++) {
        CU_ASSERT_EQUAL(t.cleared, 0);
        second(e, &now, &t);
    }
    CU_ASSERT_EQUAL(t.cleared, 1);
    CU_ASSERT_EQUAL(t.raised, 1);
    /* Again: it flaps, and clears later. */
    flow(1, 2e6, 0);
    second(e, &now, &t);
    CU_ASSERT_EQUAL(t.raised, 2);
    CU_ASSERT_EQUAL(t.flaps, 1);
    for (int i = 0; i < 11; i++) {
        CU_ASSERT_EQUAL(t.cleared, 1);
        second(e, &now, &t);
    }
    CU_ASSERT_EQUAL(t.cleared, 2);
    alert_engine_destroy(e);
}

/* What took a minute is not a spike, though it comes at once. */
static void
test_spread(void)
{
    struct alert_rule r = rule(ALERT_THRESHOLD, "dst_addr");
    struct told t = { 0 };
    int64_t now = MONDAY_S;
    r.above = 1.2e6;
    struct alert_engine *e = engine(&r, 1);
    for (int i = 0; i < 300; i++) {
        if (i % 60 == 0) {
            flow(1, 60e6, 60);          /* 1 Mbit/s all the time. */
        }
        if (i == 100) {
            flow(2, 3600e6, 3600);
        }
        second(e, &now, &t);
    }
    CU_ASSERT_EQUAL(t.raised, 0);
    struct alert_rule lower = rule(ALERT_THRESHOLD, "dst_addr");
    lower.above = .9e6;
    t = (struct told) { 0 };
    alert_engine_destroy(e);
    e = engine(&lower, 1);
    for (int i = 0; i < 300; i++) {
        if (i % 60 == 0) {
            flow(1, 60e6, 60);
        }
        second(e, &now, &t);
    }
    CU_ASSERT_EQUAL(t.raised, 1);       /* And never over. */
    CU_ASSERT_EQUAL(t.cleared, 0);
    alert_engine_destroy(e);
}

static void
test_hold_filter_prefix_names(void)
{
    struct alert_rule r[3] = { rule(ALERT_THRESHOLD, "dst_addr/24"),
                               rule(ALERT_THRESHOLD, NULL),
                               rule(ALERT_THRESHOLD, "dst_tenant") };
    struct told t = { 0 };
    int64_t now = MONDAY_S;
    strcpy(r[0].name, "prefix");
    r[0].above = 1e6;
    r[0].filter = (char *) "proto udp";
    r[0].hold_s = 3;
    strcpy(r[1].name, "none");
    r[1].above = 1;
    r[1].filter = (char *) "proto tcp";
    strcpy(r[2].name, "tenant");
    r[2].above = 50e6;
    struct alert_engine *e = engine(r, 3);
    for (int i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(t.raised, 0);
        flow(1, 600e3, 0);
        flow(200, 600e3, 0);
        flow(256, 600e3, 0);
        second(e, &now, &t);
    }
    CU_ASSERT_EQUAL(t.raised, 1);
    CU_ASSERT_STRING_EQUAL(t.rule, "prefix");
    struct addr a = day_addr(10, 0);
    CU_ASSERT_TRUE(addr_equal(&t.key[0].addr, &a));
    uint32_t blue = dict_passing(dict, "blue", 4);
    flow(1, 60e6, 0);
    BATCH_SET(batch, dst_tenant, 0, blue);
    flow(1, 40e6, 0);           /* Nobody's. */
    second(e, &now, &t);
    CU_ASSERT_STRING_EQUAL(t.rule, "tenant");
    CU_ASSERT_FALSE(t.key[0].null);
    CU_ASSERT_EQUAL(t.key[0].u, blue);
    /* A rule that goes clears its alerts; others stay as they are. */
    struct filter_error error;
    size_t bad;
    CU_ASSERT_EQUAL(alert_engine_set(e, r, 1, &bad, &error, tell, &t), 0);
    CU_ASSERT_EQUAL(t.cleared, 1);
    r[0].filter = (char *) "proto udp and";
    CU_ASSERT_EQUAL(alert_engine_set(e, r, 1, &bad, &error, tell, &t),
                    -EINVAL);
    CU_ASSERT_EQUAL(bad, 0);
    CU_ASSERT_EQUAL(t.cleared, 1);
    alert_engine_destroy(e);
}

/* A million keys: the table stays as it is, and what is large is found. */
static void
test_million_keys(void)
{
    struct alert_rule r = rule(ALERT_THRESHOLD, "dst_addr");
    struct told t = { 0 };
    struct alert_rule_status s;
    int64_t now = MONDAY_S;
    r.above = 50e6;
    r.table = 1024;
    struct alert_engine *e = engine(&r, 1);
    uint64_t memory = alert_engine_memory(e);
    for (uint32_t i = 0; i < 1000000; i++) {
        flow(i, 800, 0);
        if (i % 100 == 0) {
            flow(77, 5e5, 0);
        }
        if (batch->n > 2000) {
            alert_process(e, batch);
            batch_reset(batch);
        }
        if (i % 20000 == 19999) {       /* 50,000 keys a second, or so. */
            second(e, &now, &t);
        }
    }
    CU_ASSERT_EQUAL(t.raised, 1);
    struct addr a = day_addr(10, 77);
    CU_ASSERT_TRUE(addr_equal(&t.key[0].addr, &a));
    CU_ASSERT_EQUAL(alert_engine_memory(e), memory);
    CU_ASSERT_TRUE(alert_engine_status(e, "r", &s));
    CU_ASSERT_EQUAL(s.keys, 1024);
    CU_ASSERT_TRUE(s.evicted > 1000);
    alert_engine_destroy(e);
}

/* More keys than one rule may have alerts. */
static void
test_too_many_alerts(void)
{
    struct alert_rule r = rule(ALERT_THRESHOLD, "dst_addr");
    struct told t = { 0 };
    int64_t now = MONDAY_S;
    r.above = 1e6;
    struct alert_engine *e = engine(&r, 1);
    for (uint32_t i = 0; i < 1000; i++) {
        flow(i, i < 1000 - ALERT_ACTIVE_MAX ? 2e6 : 9e6, 0);
    }
    second(e, &now, &t);
    CU_ASSERT_EQUAL(t.raised, ALERT_ACTIVE_MAX);
    CU_ASSERT_EQUAL(t.bare, 0);         /* Each with what is behind it. */
    CU_ASSERT_EQUAL(t.largest, ALERT_ACTIVE_MAX);
    CU_ASSERT_EQUAL(counter_get(&alert_engine_counters(e)->refused),
                    1000 - ALERT_ACTIVE_MAX);
    alert_engine_destroy(e);
}

/* One after the other: what was told needs no room any more. */
static void
test_one_by_one(void)
{
    struct alert_rule r = rule(ALERT_THRESHOLD, "dst_addr");
    struct told t = { 0 };
    int64_t now = MONDAY_S;
    r.above = 1e6;
    r.clear_s = 3;
    struct alert_engine *e = engine(&r, 1);
    for (uint32_t i = 0; i < 400; i++) {
        for (uint32_t k = i; k > 0 && i - k < 50; k--) {
            flow(k, 2e6, 0);
        }
        second(e, &now, &t);
    }
    CU_ASSERT_EQUAL(t.raised, 399);
    CU_ASSERT_EQUAL(t.bare, 0);
    alert_engine_destroy(e);
}

/* Somebody sets another threshold, or puts the clock back: it is over. */
static void
test_over(void)
{
    struct alert_rule r = rule(ALERT_THRESHOLD, "dst_addr");
    struct told t = { 0 };
    struct filter_error error;
    int64_t now = MONDAY_S;
    size_t bad;
    r.above = 1e6;
    r.clear_s = 3;
    struct alert_engine *e = engine(&r, 1);
    flow(1, 2e6, 0);
    second(e, &now, &t);
    CU_ASSERT_EQUAL(t.raised, 1);
    r.above = 5e6;
    CU_ASSERT_EQUAL(alert_engine_set(e, &r, 1, &bad, &error, tell, &t), 0);
    for (int i = 0; i < 5; i++) {
        flow(1, 2e6, 0);
        second(e, &now, &t);
    }
    CU_ASSERT_EQUAL(t.cleared, 1);
    flow(1, 9e6, 0);
    second(e, &now, &t);
    CU_ASSERT_EQUAL(t.raised, 2);
    second(e, &now, &t);
    now -= 86400;
    for (int i = 0; i < 8; i++) {       /* It flaps: twice as long. */
        second(e, &now, &t);
    }
    CU_ASSERT_EQUAL(t.cleared, 2);
    alert_engine_destroy(e);
}

static void *
process(void *engine)
{
    alert_process(engine, batch);
    return NULL;
}

struct outside {
    struct alert_engine *engine;
    unsigned n;
};

/* Flows go on while an alert is looked into: else this never returns. */
static void
tell_outside(void *outside, const struct alert_change *c)
{
    struct outside *o = outside;
    pthread_t thread;

    (void) c;
    CU_ASSERT_EQUAL(pthread_create(&thread, NULL, process, o->engine), 0);
    CU_ASSERT_EQUAL(pthread_join(thread, NULL), 0);
    o->n++;
}

static void
test_told_without_a_lock(void)
{
    struct alert_rule r = rule(ALERT_THRESHOLD, "dst_addr");
    r.above = 1e6;
    r.clear_s = 1;
    struct alert_engine *e = engine(&r, 1);
    struct outside o = { .engine = e };
    for (uint32_t i = 0; i < 3; i++) {
        flow(i, 2e6, 0);
    }
    alert_process(e, batch);
    batch_reset(batch);
    flow(9, 100, 0);
    for (int i = 1; i < 5; i++) {
        alert_engine_tick(e, MONDAY_S + i, 1, tell_outside, &o);
    }
    CU_ASSERT_EQUAL(o.n, 6);
    batch_reset(batch);
    alert_engine_destroy(e);
}

static void
test_new(void)
{
    struct alert_rule r = rule(ALERT_NEW, "dst_addr");
    struct told t = { 0 };
    int64_t now = MONDAY_S;
    r.learn_s = 60;
    r.minimum = 1000;
    r.clear_s = 10;
    struct alert_engine *e = engine(&r, 1);
    for (int i = 0; i < 61; i++) {
        flow(1, 5000, 0);
        flow(2, 500, 0);        /* Below the minimum. */
        second(e, &now, &t);
    }
    CU_ASSERT_EQUAL(t.raised, 0);
    flow(1, 5000, 0);
    flow(2, 5000, 0);
    flow(3, 5000, 0);
    second(e, &now, &t);
    CU_ASSERT_EQUAL(t.raised, 2);
    for (int i = 0; i < 20; i++) {
        flow(3, 5000, 0);
        second(e, &now, &t);
    }
    CU_ASSERT_EQUAL(t.raised, 2);
    CU_ASSERT_EQUAL(t.cleared, 2);
    alert_engine_destroy(e);
}

static void
test_model(void)
{
    struct alert_level l = { 0 };
    for (int i = 0; i < 200; i++) {
        alert_level_learn(&l, i % 2 ? 20.f : 21.f, 1440);
    }
    CU_ASSERT_DOUBLE_EQUAL(l.mean, 20.5, .1);
    float before = l.mean;
    alert_level_learn(&l, 40, 1440);    /* A spike moves it by little. */
    CU_ASSERT_TRUE(l.mean - before < .02f);
    CU_ASSERT_TRUE(alert_level_limit(&l, 6, 2) > l.mean + 2);
    CU_ASSERT_DOUBLE_EQUAL(alert_exp2(alert_log2(12345)), 12345, 1);
    /* Monday 00:05 is close to Sunday's 23 h. */
    struct alert_hour h = alert_hour_of(1, 5);
    CU_ASSERT_EQUAL(h.here, 0);
    CU_ASSERT_EQUAL(h.near_, 24 + 23);
    h = alert_hour_of(5, 23 * 60 + 55);
    CU_ASSERT_EQUAL(h.here, 23);
    CU_ASSERT_EQUAL(h.near_, 24);
    h = alert_hour_of(0, 0);
    CU_ASSERT_EQUAL(h.near_, 24 + 23);
    h = alert_hour_of(3, 12 * 60 + 30);
    CU_ASSERT_EQUAL(h.here, 12);
    CU_ASSERT_EQUAL(h.near_, 12);
    struct alert_season s = { 0 };
    for (int day = 0; day < 5; day++) {
        for (unsigned m = 0; m < 1440; m++) {
            h = alert_hour_of(1 + (unsigned) day, m);
            alert_season_learn(&s, &h, m / 60 == 3 ? 25.f : 20.f);
        }
    }
    h = alert_hour_of(2, 3 * 60 + 30);
    CU_ASSERT_DOUBLE_EQUAL(alert_season_offset(&s, &h), 4.9, .3);
    h = alert_hour_of(2, 2 * 60 + 55);
    CU_ASSERT_DOUBLE_EQUAL(alert_season_most(&s, &h), 4.9, .3);
    h = alert_hour_of(2, 12 * 60);
    CU_ASSERT_DOUBLE_EQUAL(alert_season_offset(&s, &h), -.1, .15);
}

/* Whatever the shape of what they do, one minute in so many is told; and
 * neither much nor nothing makes it blind or nervous. */
static void
test_model_of_strays(void)
{
    float d = ALERT_STRAY;
    for (int i = 0; i < 100 * ALERT_STRAY_MINUTES; i++) {
        alert_stray_learn(&d, i % (ALERT_STRAY_MINUTES + 1) == 0);
    }
    CU_ASSERT_DOUBLE_EQUAL(d, ALERT_STRAY, .3);
    for (int i = 0; i < 100; i++) {
        alert_stray_learn(&d, true);
    }
    CU_ASSERT_EQUAL(d, ALERT_STRAY_MOST);
    /* A week is forgotten in some days. */
    for (int i = 0; i < 6 * 1440; i++) {
        alert_stray_learn(&d, false);
    }
    CU_ASSERT_EQUAL(d, ALERT_DEVIATIONS);
}

struct day_seen {
    struct addr spike;
    bool spiking, found;
    int64_t minute;
    unsigned n_minutes;         /* With a false alarm. */
    struct day *day;
};

static void
on_day(void *seen, const struct alert_change *c)
{
    struct day_seen *s = seen;
    if (c->raised && s->spiking && addr_equal(&c->key[0].addr, &s->spike)) {
        s->found = true;
    } else if (c->raised && s->minute != s->day->now_s / 60) {
        s->minute = s->day->now_s / 60;
        s->n_minutes++;
    }
}

static void
on_batch(void *e, struct flow_batch *b)
{
    alert_process(e, b);
}

/* Days of ordinary traffic, then a spike in each hour of one more: of the size
 * of what the largest ordinary flows are.  It was well told on the second day
 * once, and ever worse after it. */
static void
test_days(void)
{
    enum { DAYS = 4, PER_SECOND = 15 };
    struct alert_rule r[4];
    struct day d;
    struct day_seen s = { .minute = 0, .day = &d };
    struct filter_error error;
    size_t bad;
    CU_ASSERT_EQUAL_FATAL(n_alert_builtin, 4);
    for (size_t i = 0; i < 4; i++) {
        memcpy(&r[i], &alert_builtin[i], sizeof r[i]);
        r[i].minimum /= 50;
    }
    struct alert_engine *e = alert_engine_create(dict);
    CU_ASSERT_EQUAL_FATAL(alert_engine_set(e, r, 4, &bad, &error, on_day, &s),
                          0);
    day_init(&d, 20261201, PER_SECOND, MONDAY_S);
    d.give = on_batch;
    d.aux = e;
    for (int day = 0; day <= DAYS; day++) {
        s.n_minutes = 0;
        for (int i = 0; i < 86400; i++) {
            day_second(&d);
            alert_engine_tick(e, d.now_s, 1, on_day, &s);
        }
        CU_ASSERT_TRUE(s.n_minutes < 15);       /* One in a hundred. */
    }
    unsigned n_found = 0;
    for (int hour = 0; hour < 24; hour++) {
        for (int i = 0; i < 3600; i++) {
            day_second(&d);
            alert_engine_tick(e, d.now_s, 1, on_day, &s);
        }
        uint32_t who = (uint32_t) (day_random(&d) % DAY_ADDRESSES);
        s.spike = day_addr(10, who);
        s.spiking = true;
        s.found = false;
        for (uint32_t i = 0; i < 50; i++) {
            day_record(&d, who, i, 1e6, .01);
        }
        day_second(&d);
        alert_engine_tick(e, d.now_s, 1, on_day, &s);
        s.spiking = false;
        n_found += s.found;
    }
    CU_ASSERT_EQUAL(n_found, 24);
    day_clear(&d);
    alert_engine_destroy(e);
}

/* Of others' minutes four in ten have what is to be told: what is usual among
 * the rest is still usual. */
static void
test_model_of_others(void)
{
    struct alert_level clean = { 0 }, mixed = { 0 };
    uint32_t r = 1;
    int run[2] = { 0, 0 };
    for (int i = 0; i < 20000; i++) {
        r = r * 1664525u + 1013904223u;
        float x = 20 + (float) (r >> 8) * 0x1p-24f;
        alert_level_learn_most(&clean, &run[0], x, 1440);
        alert_level_learn_most(&mixed, &run[1],
                               i % 5 < 2 && i > 2000 ? 29 : x, 1440);
    }
    CU_ASSERT_DOUBLE_EQUAL(clean.mean, 20.5, .1);
    CU_ASSERT_TRUE(clean.dev > .15f && clean.dev < .6f);
    CU_ASSERT_TRUE(mixed.mean < 21.f);
    CU_ASSERT_TRUE(alert_level_limit(&mixed, 6, 1.6f) < 25.f);
    /* What all of them do for some hours is usual. */
    for (int i = 0; i < 240; i++) {
        alert_level_learn_most(&mixed, &run[1], 29 + (float) (i % 10) * .1f,
                               1440);
    }
    /* Within what there was (29.0 to 29.9), which raises nothing; ten times as
     * much still would. */
    CU_ASSERT_TRUE(mixed.mean >= 29.f && mixed.mean <= 29.9f);
    CU_ASSERT_TRUE(alert_level_limit(&mixed, 6, 1.6f) > 29.9f);
    CU_ASSERT_TRUE(alert_level_limit(&mixed, 6, 1.6f) < 29.9f + 3.3f);
}

/* An hour with much traffic each night is usual; the same at noon is not. */
static void
test_time_of_day(void)
{
    struct alert_rule r = rule(ALERT_BASELINE, NULL);
    struct told t = { 0 };
    int64_t now = MONDAY_S;
    setenv("TZ", "UTC", 1);
    tzset();
    r.minimum = 1e6;
    r.ratio = 4;
    r.learn_s = 3 * 86400;
    struct alert_engine *e = engine(&r, 1);
    for (int64_t s = 0; s < 5 * 86400; s += 10) {
        bool night = s / 3600 % 24 == 2;
        bool noon = s / 86400 == 4 && s / 3600 % 24 == 12;
        double bits = night ? 40e6 : noon ? 40e6 : 2e6;
        flow(1, bits * (.9 + .02 * (double) (s / 10 % 10)), 0);
        alert_process(e, batch);
        batch_reset(batch);
        now = MONDAY_S + s;
        if (noon && !t.raised) {
            CU_ASSERT_EQUAL(t.raised, 0);
        }
        alert_engine_tick(e, now, 1, tell, &t);
        if (!noon && s / 86400 <= 4 && s / 3600 < 4 * 24 + 12) {
            CU_ASSERT_EQUAL_FATAL(t.raised, 0);
        }
    }
    CU_ASSERT_EQUAL(t.raised, 1);
    CU_ASSERT_TRUE(t.expected > 1e6 && t.expected < 4e6);
    alert_engine_destroy(e);
}

/* Little, in an hour that has much, is below nothing once the hour is taken out:
 * that, the hours of the largest, and how far is usual come back as they are. */
static void
test_levels_kept(const struct alert_rule *rules, char *text, size_t size)
{
    struct alert_engine *e = engine(rules, 3), *again = engine(rules, 3);
    FILE *f = fmemopen(text, size, "r");
    CU_ASSERT_EQUAL(alert_engine_load(e, f), 0);
    fclose(f);
    struct alert_watch *w = alert_watch_find(e, "b");
    unsigned n = 0;
    for (size_t i = 0; i < (size_t) w->table.n_buckets * ALERT_WAYS; i++) {
        if (alert_table_has(&w->table, i)) {
            w->table.entries[i].level.mean = -1.5f;
            n++;
        }
    }
    CU_ASSERT_EQUAL(n, 1);
    w->largest.mean = -2;
    w->deviations = 7.25f;
    w->largest_season.all = (struct alert_level) { 20, 1, 90 };
    w->largest_season.hour[47] = (struct alert_level) { 23, 2, 30 };
    char *second = NULL;
    f = open_memstream(&second, &size);
    CU_ASSERT_EQUAL(alert_engine_save(e, f), 0);
    fclose(f);
    f = fmemopen(second, size, "r");
    CU_ASSERT_EQUAL(alert_engine_load(again, f), 0);
    fclose(f);
    free(second);
    w = alert_watch_find(again, "b");
    for (size_t i = 0; i < (size_t) w->table.n_buckets * ALERT_WAYS; i++) {
        CU_ASSERT_TRUE(!alert_table_has(&w->table, i)
                       || w->table.entries[i].level.mean == -1.5f);
    }
    CU_ASSERT_EQUAL(w->largest.mean, -2);
    CU_ASSERT_EQUAL(w->deviations, 7.25f);
    CU_ASSERT_EQUAL(w->largest_season.all.n, 90);
    CU_ASSERT_EQUAL(w->largest_season.hour[47].mean, 23);
    alert_engine_destroy(e);
    alert_engine_destroy(again);
}

/* What was learned and raised is there after a restart; damage takes no more
 * than what follows it. */
static void
test_state(void)
{
    struct alert_rule r[3] = { rule(ALERT_THRESHOLD, "dst_tenant"),
                               rule(ALERT_BASELINE, "dst_addr"),
                               rule(ALERT_NEW, "dst_tenant") };
    struct told t = { 0 };
    int64_t now = MONDAY_S;
    strcpy(r[0].name, "a");
    r[0].above = 1e6;
    strcpy(r[1].name, "b");
    r[1].minimum = 1e6;
    r[1].filter = (char *) "proto udp";
    strcpy(r[2].name, "c");
    r[2].learn_s = 3600;
    struct alert_engine *e = engine(r, 3);
    uint32_t name = dict_passing(dict, "we \"b%=\n", 8);
    for (int i = 0; i < 1200; i++) {
        flow(1, 10e6, 0);
        BATCH_SET(batch, dst_tenant, 0, name);
        second(e, &now, &t);
    }
    CU_ASSERT_EQUAL(t.raised, 1);
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    CU_ASSERT_EQUAL(alert_engine_save(e, f), 0);
    fclose(f);
    alert_engine_destroy(e);

    e = engine(r, 3);
    f = fmemopen(text, size, "r");
    CU_ASSERT_EQUAL(alert_engine_load(e, f), 0);
    fclose(f);
    struct alert_rule_status s;
    alert_engine_status(e, "a", &s);
    CU_ASSERT_EQUAL(s.active, 1);
    t = (struct told) { 0 };
    flow(1, 10e6, 0);
    BATCH_SET(batch, dst_tenant, 0, name);
    second(e, &now, &t);
    CU_ASSERT_EQUAL(t.raised, 0);       /* It is raised already. */
    flow(1, 900e6, 0);
    second(e, &now, &t);
    CU_ASSERT_EQUAL(t.raised, 2);       /* And what is usual is known. */
    CU_ASSERT_STRING_EQUAL(t.rule, "b");
    CU_ASSERT_TRUE(t.alert >= 2);
    for (int i = 0; i < 200; i++) {     /* And when it is over. */
        flow(1, 10e3, 0);
        BATCH_SET(batch, dst_tenant, 0, name);
        second(e, &now, &t);
    }
    alert_engine_status(e, "a", &s);
    CU_ASSERT_EQUAL(s.active, 0);
    alert_engine_destroy(e);

    test_levels_kept(r, text, size);
    for (size_t n = 0; n < size; n += size > 5000 ? 997 : 1) {
        e = engine(r, 3);
        f = fmemopen(text, n ? n : 1, "r");
        CU_ASSERT_EQUAL(alert_engine_load(e, f), -EBADMSG);
        fclose(f);
        alert_engine_destroy(e);
    }
    /* Another filter counts something else: it learns anew. */
    r[1].filter = (char *) "proto tcp";
    e = engine(r, 3);
    f = fmemopen(text, size, "r");
    CU_ASSERT_EQUAL(alert_engine_load(e, f), 0);
    fclose(f);
    alert_engine_status(e, "b", &s);
    CU_ASSERT_EQUAL(s.keys, 0);
    alert_engine_destroy(e);
    free(text);
}

static uint64_t
mixed(uint64_t i)
{
    uint8_t key[ALERT_KEY_SIZE] = { 0 };
    memcpy(key, &i, sizeof i);
    return alert_hash(key, 0);
}

static void
test_seen(void)
{
    struct alert_seen s;
    unsigned wrong = 0;
    CU_ASSERT_EQUAL(alert_seen_init(&s, 0), 0);
    for (uint64_t i = 0; i < 800000; i++) {
        alert_seen_add(&s, mixed(i));
    }
    for (uint64_t i = 0; i < 1000000; i++) {
        bool has = alert_seen_has(&s, mixed(i));
        CU_ASSERT_TRUE_FATAL(has || i >= 800000);
        wrong += i >= 800000 && has;
    }
    CU_ASSERT_TRUE(wrong < 4000);       /* Of 200,000: 2 %. */
    alert_seen_age(&s, 50, 100);
    CU_ASSERT_TRUE(alert_seen_has(&s, mixed(1)));
    alert_seen_age(&s, 100, 100);
    CU_ASSERT_FALSE(alert_seen_has(&s, mixed(1)));
    alert_seen_clear(&s);
}

int
main(void)
{
    static const struct unit_test tests[] = {
        UNIT_TEST(test_keys), UNIT_TEST(test_threshold),
        UNIT_TEST(test_spread), UNIT_TEST(test_hold_filter_prefix_names),
        UNIT_TEST(test_million_keys), UNIT_TEST(test_too_many_alerts),
          UNIT_TEST(test_one_by_one), UNIT_TEST(test_over),
          UNIT_TEST(test_told_without_a_lock),
        UNIT_TEST(test_new), UNIT_TEST(test_model),
        UNIT_TEST(test_model_of_others), UNIT_TEST(test_model_of_strays),
        UNIT_TEST(test_days),
        UNIT_TEST(test_time_of_day), UNIT_TEST(test_state),
        UNIT_TEST(test_seen),
    };
    dict = dict_create(1 << 16, 4 << 20);
    batch = batch_create();
    batch_reset(batch);
    batch_zero_rows(batch, 0, BATCH_ROWS);
    int status = unit_run("alert", tests, sizeof tests / sizeof tests[0]);
    batch_destroy(batch);
    dict_destroy(dict);
    return status;
}
