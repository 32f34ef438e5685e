#include <config.h>

#include "collector/alert/model.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#define FIRST_DEV 1.f           /* One sample says little. */
#define CLIP 4.f
#define QUARTER_DEV 1.2f        /* Deviations in what is between a quarter and
                                 * the half: maxima have a long upper end. */
#define MOST_DEV .5f            /* Largest ones are never that alike. */
#define STRAY_STEP .25f
#define QUANTILE_STEP 2.f
#define LONG_RUN 60
#define SEASON_MEMORY (60 * 20) /* Samples of an hour: 20 days. */
#define ALL_MEMORY (1440 * 7)

float
alert_log2(double rate)
{
    return (float) log2(1 + (rate > 0 ? rate : 0));
}

double
alert_exp2(float x)
{
    return exp2((double) x) - 1;
}

void
alert_level_learn(struct alert_level *l, float x, float memory)
{
    if (!l->n++) {
        l->mean = x;
        l->dev = FIRST_DEV;
        return;
    }
    float weight = 1 / (float) l->n, least = 1 / memory;
    float error = x - l->mean, most = CLIP * l->dev;
    weight = weight > least ? weight : least;
    if (l->n > ALERT_KNOWN_MINUTES) {
        error = error > most ? most : error < -most ? -most : error;
    }
    l->mean += weight * error;
    l->dev += weight * (fabsf(error) - l->dev);
    if (l->dev < .05f) {        /* Nothing is that regular. */
        l->dev = .05f;
    }
}

void
alert_level_learn_most(struct alert_level *l, int *run, float x, float memory)
{
    if (l->n < ALERT_KNOWN_MINUTES) {
        alert_level_learn(l, x, memory);
        return;
    }
    float weight = 1 / (float) ++l->n, least = 1 / memory;
    float step = QUANTILE_STEP * l->dev;
    weight = weight > least ? weight : least;
    bool low = x < l->mean - l->dev / QUARTER_DEV;
    step *= weight;
    *run = x > l->mean ? (*run > 0 ? *run + 1 : 1) : *run < 0 ? *run - 1 : -1;
    if (abs(*run) > LONG_RUN) {
        l->mean += (x - l->mean) / 16;
    } else {
        l->mean += x > l->mean ? step / 2 : -step / 2;
    }
    l->dev += QUARTER_DEV * step * (low ? .75f : -.25f);
    l->dev = l->dev < MOST_DEV ? MOST_DEV : l->dev;
}

float
alert_level_limit(const struct alert_level *l, float deviations,
                  float log2_ratio)
{
    float spread = deviations * l->dev;
    return l->mean + (spread > log2_ratio ? spread : log2_ratio);
}

void
alert_stray_learn(float *deviations, bool strayed)
{
    *deviations += strayed ? STRAY_STEP : -STRAY_STEP / ALERT_STRAY_MINUTES;
    *deviations = fminf(fmaxf(*deviations, ALERT_DEVIATIONS), ALERT_STRAY_MOST);
}

/* Hours 0 to 23 are of working days, 24 to 47 of weekends. */
static uint8_t
hour_index(unsigned weekday, unsigned hour)
{
    return (uint8_t) ((weekday == 0 || weekday == 6 ? 24 : 0) + hour);
}

struct alert_hour
alert_hour_of(unsigned weekday, unsigned minute_of_day)
{
    unsigned hour = minute_of_day / 60 % 24, minute = minute_of_day % 60;
    unsigned week_hour = weekday % 7 * 24 + hour, other = week_hour;

    if (minute < ALERT_EDGE_MINUTES) {
        other = (week_hour + 167) % 168;
    } else if (minute >= 60 - ALERT_EDGE_MINUTES) {
        other = (week_hour + 1) % 168;
    }
    return (struct alert_hour) { hour_index(weekday % 7, hour),
                                 hour_index(other / 24, other % 24) };
}

struct alert_hour
alert_hour_at(int64_t time_s)
{
    time_t t = (time_t) time_s;
    struct tm tm = { .tm_wday = 0 };
    localtime_r(&t, &tm);
    return alert_hour_of((unsigned) tm.tm_wday,
                         (unsigned) (tm.tm_hour * 60 + tm.tm_min));
}

void
alert_season_learn(struct alert_season *s, const struct alert_hour *h,
                   float x)
{
    alert_level_learn(&s->all, x, ALL_MEMORY);
    alert_level_learn(&s->hour[h->here], x, SEASON_MEMORY);
}

static float
hour_offset(const struct alert_season *s, unsigned hour)
{
    const struct alert_level *l = &s->hour[hour];
    return l->n >= ALERT_KNOWN_MINUTES ? l->mean - s->all.mean : 0;
}

float
alert_season_offset(const struct alert_season *s, const struct alert_hour *h)
{
    return hour_offset(s, h->here);
}

float
alert_season_most(const struct alert_season *s, const struct alert_hour *h)
{
    float here = hour_offset(s, h->here), near_ = hour_offset(s, h->near_);
    return here > near_ ? here : near_;
}
