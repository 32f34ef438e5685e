#include <config.h>

#include "lib/clock.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t
now_us(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t
clock_mono_ms(void)
{
    return now_us(CLOCK_MONOTONIC) / 1000;
}

int64_t
clock_mono_us(void)
{
    return now_us(CLOCK_MONOTONIC);
}

int64_t
clock_wall_us(void)
{
    return now_us(CLOCK_REALTIME);
}

char *
time_format_us(int64_t us, char *buf)
{
    int64_t s = us / 1000000;
    int64_t frac = us % 1000000;
    if (frac < 0) {
        frac += 1000000;
        s--;
    }
    time_t t = (time_t) s;
    struct tm tm;
    if (!gmtime_r(&t, &tm)) {
        snprintf(buf, TIME_STRLEN, "invalid");
        return buf;
    }
    size_t n = strftime(buf, TIME_STRLEN, "%Y-%m-%dT%H:%M:%S", &tm);
    if (frac % 1000) {
        snprintf(buf + n, TIME_STRLEN - n, ".%06dZ", (int) frac);
    } else if (frac) {
        snprintf(buf + n, TIME_STRLEN - n, ".%03dZ", (int) (frac / 1000));
    } else {
        snprintf(buf + n, TIME_STRLEN - n, "Z");
    }
    return buf;
}

/* Exactly 'n' digits at '*s', which is moved past them; -1 if not there. */
static int
digits(const char **s, int n)
{
    int v = 0;
    for (int i = 0; i < n; i++, (*s)++) {
        if (**s < '0' || **s > '9') {
            return -1;
        }
        v = v * 10 + (**s - '0');
    }
    return v;
}

/* ".123456" as microseconds; further digits are dropped. */
static int
parse_fraction(const char **s, int64_t *us)
{
    int64_t scale = 100000;
    if (*++*s < '0' || **s > '9') {
        return -EINVAL;
    }
    for (*us = 0; **s >= '0' && **s <= '9'; (*s)++, scale /= 10) {
        *us += (**s - '0') * scale;
    }
    return 0;
}

/* "Z", "+01:00", "-0530" or nothing (UTC), in seconds east. */
static int
parse_zone(const char *s, int *offset)
{
    *offset = 0;
    if (!*s || ((*s == 'Z' || *s == 'z') && !s[1])) {
        return 0;
    }
    int sign = *s == '+' ? 1 : *s == '-' ? -1 : 0;
    if (!sign) {
        return -EINVAL;
    }
    s++;
    int h = digits(&s, 2);
    if (*s == ':') {
        s++;
    }
    int m = digits(&s, 2);
    if (h < 0 || h > 23 || m < 0 || m > 59 || *s) {
        return -EINVAL;
    }
    *offset = sign * (h * 3600 + m * 60);
    return 0;
}

static int
parse_rfc3339(const char *s, int64_t *us)
{
    struct tm tm = { .tm_isdst = 0 };
    int64_t fraction = 0;
    int offset = 0;

    tm.tm_year = digits(&s, 4) - 1900;
    if (*s++ != '-' || (tm.tm_mon = digits(&s, 2) - 1) < 0 || tm.tm_mon > 11
        || *s++ != '-' || (tm.tm_mday = digits(&s, 2)) < 1
        || tm.tm_mday > 31 || tm.tm_year < 0) {
        return -EINVAL;
    }
    int mday = tm.tm_mday, mon = tm.tm_mon;
    if (*s) {
        if (*s != 'T' && *s != 't' && *s != ' ') {
            return -EINVAL;
        }
        s++;
        tm.tm_hour = digits(&s, 2);
        if (*s++ != ':') {
            return -EINVAL;
        }
        tm.tm_min = digits(&s, 2);
        if (tm.tm_hour < 0 || tm.tm_hour > 23 || tm.tm_min < 0
            || tm.tm_min > 59) {
            return -EINVAL;
        }
        if (*s == ':') {
            s++;
            tm.tm_sec = digits(&s, 2);
            if (tm.tm_sec < 0 || tm.tm_sec > 60
                || (*s == '.' && parse_fraction(&s, &fraction))) {
                return -EINVAL;
            }
        }
        if (parse_zone(s, &offset)) {
            return -EINVAL;
        }
    }
    time_t t = timegm(&tm);
    if (tm.tm_sec < 60 && (tm.tm_mday != mday || tm.tm_mon != mon)) {
        return -EINVAL;                 /* The 30th of February. */
    }
    *us = ((int64_t) t - offset) * 1000000 + fraction;
    return 0;
}

int
time_parse_us(const char *s, int64_t now, int64_t *us)
{
    if (!strncmp(s, "now", 3)) {
        s += 3;
        if (!*s) {
            *us = now;
            return 0;
        }
        if (*s != '-' && *s != '+') {
            return -EINVAL;
        }
    }
    if (*s == '-' || *s == '+') {
        int64_t d;
        if (duration_parse_us(s + 1, &d)) {
            return -EINVAL;
        }
        return __builtin_add_overflow(now, *s == '-' ? -d : d, us) ? -EINVAL
                                                                   : 0;
    }
    if (*s < '0' || *s > '9') {
        return -EINVAL;
    }
    if (strlen(s) > 4 && s[4] == '-') {
        return parse_rfc3339(s, us);
    }

    char *end;
    errno = 0;
    long long whole = strtoll(s, &end, 10);
    int64_t fraction = 0;
    const char *rest = end;
    if (errno || (*rest == '.' && parse_fraction(&rest, &fraction)) || *rest
        || __builtin_mul_overflow(whole, (int64_t) 1000000, us)
        || __builtin_add_overflow(*us, fraction, us)) {
        return -EINVAL;
    }
    return 0;
}

struct unit {
    const char *name;
    uint64_t factor;
};

/* A nonnegative number, with a fraction if need be, times the unit behind
 * it. */
static int
parse_with_unit(const char *s, const struct unit *units, double *value)
{
    char *end;
    if ((*s < '0' || *s > '9') && *s != '.') {
        return -EINVAL;
    }
    /* No hexadecimal, no "inf": the first character decided. */
    if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
        return -EINVAL;
    }
    double v = strtod(s, &end);
    for (; units->name; units++) {
        if (!strcmp(end, units->name)) {
            *value = v * (double) units->factor;
            return 0;
        }
    }
    return -EINVAL;
}

int
duration_parse_us(const char *s, int64_t *us)
{
    static const struct unit units[] = {
        { "", 1000000 }, { "us", 1 }, { "ms", 1000 }, { "s", 1000000 },
        { "m", 60000000 }, { "min", 60000000 }, { "h", 3600000000 },
        { "d", UINT64_C(86400000000) }, { "w", UINT64_C(604800000000) },
        { "y", UINT64_C(31536000000000) }, { NULL, 0 },
    };
    double v;
    if (parse_with_unit(s, units, &v) || !(v < 9.2e18)) {
        return -EINVAL;
    }
    *us = (int64_t) llround(v);
    return 0;
}

int
size_parse(const char *s, uint64_t *bytes)
{
    static const struct unit units[] = {
        { "", 1 }, { "B", 1 },
        { "kB", 1000 }, { "KB", 1000 }, { "k", 1000 }, { "KiB", 1024 },
        { "MB", 1000000 }, { "M", 1000000 }, { "MiB", 1 << 20 },
        { "GB", 1000000000 }, { "G", 1000000000 }, { "GiB", 1 << 30 },
        { "TB", UINT64_C(1000000000000) }, { "T", UINT64_C(1000000000000) },
        { "TiB", UINT64_C(1) << 40 }, { NULL, 0 },
    };
    double v;
    if (parse_with_unit(s, units, &v) || !(v < 1.8e19)) {
        return -EINVAL;
    }
    *bytes = (uint64_t) v;
    return 0;
}
