#include <config.h>

#include "lib/event.h"
#include "lib/event_counters.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/ring.h"

const struct event_kind_def event_kinds[N_EVENT_KINDS] = {
#define X(ID, NAME, SEVERITY, DOC) { NAME, EVENT_S_##SEVERITY, DOC },
    EVENT_KINDS(X)
#undef X
};

static const char *const severities[N_EVENT_SEVERITIES] = {
    "info", "notice", "warning", "error", "critical",
};

const struct counter_def event_counter_defs[] = {
#define X(NAME, DOC) { #NAME, offsetof(struct event_counters, NAME), DOC },
    EVENT_COUNTERS(X)
#undef X
    { NULL, 0, NULL }
};
struct event_counters event_counters;

const char *
event_severity_name(enum event_severity s)
{
    return s < N_EVENT_SEVERITIES ? severities[s] : "info";
}

int
event_severity_find(const char *name, enum event_severity *s)
{
    for (int i = 0; i < N_EVENT_SEVERITIES; i++) {
        if (!strcmp(name, severities[i])) {
            *s = (enum event_severity) i;
            return 0;
        }
    }
    return -EINVAL;
}

/* ---- Making. ---- */

/* Bytes of the UTF-8 sequence at 'p' (RFC 3629), or 0. */
static size_t
utf8_length(const unsigned char *p, size_t left)
{
    static const struct {
        unsigned char first, last, second, second_last;
        size_t n;
    } rows[] = {
        { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
        { 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 },
        { 0xee, 0xef, 0x80, 0xbf, 3 }, { 0xf0, 0xf0, 0x90, 0xbf, 4 },
        { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
    };
    if (*p < 0x80) {
        return 1;
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (*p < rows[i].first || *p > rows[i].last || left < rows[i].n
            || p[1] < rows[i].second || p[1] > rows[i].second_last) {
            continue;
        }
        for (size_t k = 2; k < rows[i].n; k++) {
            if ((p[k] & 0xc0) != 0x80) {
                return 0;
            }
        }
        return rows[i].n;
    }
    return 0;
}

void
event_put_escaped(FILE *f, const char *text, size_t max)
{
    const unsigned char *p = (const unsigned char *) text;
    size_t left = strlen(text);

    for (size_t done = 0; left; ) {
        size_t n = utf8_length(p, left);
        size_t step = n ? n : 1;
        if (done + step > max) {
            return;
        }
        if (!n) {
            fputs("\\ufffd", f);
        } else if (*p == '"' || *p == '\\') {
            fprintf(f, "\\%c", *p);
        } else if (*p < 0x20 || *p == 0x7f) {
            fprintf(f, "\\u%04x", *p);
        } else {
            fwrite(p, 1, n, f);
        }
        p += step;
        left -= step;
        done += step;
    }
}

static void
put_member(FILE *f, const struct event_member *m)
{
    char time[TIME_STRLEN];

    putc('"', f);
    event_put_escaped(f, m->name, SIZE_MAX);
    fputs("\":", f);
    if (m->type == EVENT_M_INT) {
        fprintf(f, "%" PRId64, m->number);
    } else if (m->type == EVENT_M_TIME) {
        fprintf(f, m->number ? "\"%s\"" : "null",
                time_format_us(m->number, time));
    } else if (!m->text) {
        fputs("null", f);
    } else if (m->type == EVENT_M_JSON) {
        for (const char *p = m->text; *p; p++) {        /* One line. */
            putc((unsigned char) *p < 0x20 ? ' ' : *p, f);
        }
    } else {
        putc('"', f);
        event_put_escaped(f, m->text, SIZE_MAX);
        putc('"', f);
    }
}

/* What does not fit is left out, and said to be. */
static void
put_details(FILE *f, const struct event_member *m)
{
    bool first = true, omitted = false;

    for (; m && m->name; m++) {
        char *text = NULL;
        size_t size = 0;
        FILE *one = open_memstream(&text, &size);
        if (one) {
            put_member(one, m);
            fclose(one);
        }
        if (text && (size_t) ftell(f) + size + 32 <= EVENT_BODY_MAX) {
            fprintf(f, "%s%s", first ? "" : ",", text);
            first = false;
        } else {
            omitted = true;
        }
        free(text);
    }
    if (omitted) {
        fprintf(f, "%s\"omitted\":true", first ? "" : ",");
    }
}

struct event *
event_make(enum event_kind kind, enum event_severity severity,
           int64_t time_us, const char *subject,
           const struct event_member *detail, const char *message)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    if (!f) {
        return NULL;
    }
    fputs("\"subject\":\"", f);
    event_put_escaped(f, subject ? subject : "", EVENT_SUBJECT_MAX);
    fputs("\",\"message\":\"", f);
    event_put_escaped(f, message, EVENT_MESSAGE_MAX);
    fputs("\",\"detail\":{", f);
    put_details(f, detail);
    fputs("}}", f);
    struct event *e = fclose(f) ? NULL : malloc(sizeof *e + size + 1);
    if (e) {
        e->kind = kind;
        e->severity = severity;
        e->time_us = time_us;
        e->size = size;
        memcpy(e->body, text, size + 1);
    }
    free(text);
    return e;
}

/* ---- The queue. ---- */

/* What one kind has left. */
struct allowance {
    int64_t filled_ms;
    int64_t thousandths;        /* Of events. */
    uint64_t suppressed;        /* Not yet told. */
};

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;      /* 'queue' */
static struct ring *queue;
static pthread_mutex_t allowances_lock = PTHREAD_MUTEX_INITIALIZER;
static struct allowance allowances[N_EVENT_KINDS];
static counter_t lost;          /* Not yet told. */

int
event_queue_open(void)
{
    struct ring *r = ring_create(EVENT_QUEUE);
    if (!r) {
        return -ENOMEM;
    }
    event_queue_close();
    pthread_rwlock_wrlock(&lock);
    for (int i = 0; i < N_EVENT_KINDS; i++) {
        allowances[i] = (struct allowance) { clock_mono_ms(),
                                             EVENT_BURST * 1000, 0 };
    }
    queue = r;
    pthread_rwlock_unlock(&lock);
    return 0;
}

void
event_queue_close(void)
{
    struct event *e;

    pthread_rwlock_wrlock(&lock);
    while (queue && (e = ring_pop(queue, 0))) {
        free(e);
    }
    ring_destroy(queue);
    queue = NULL;
    pthread_rwlock_unlock(&lock);
}

/* May this kind post?  '*suppressed' is how many before it might not. */
static bool
admit(enum event_kind kind, uint64_t *suppressed)
{
    struct allowance *a = &allowances[kind];
    int64_t now = clock_mono_ms();

    pthread_mutex_lock(&allowances_lock);
    int64_t grown = (now - a->filled_ms) * EVENT_RATE;
    a->filled_ms = now;
    a->thousandths += grown < EVENT_BURST * 1000 ? grown
                                                 : EVENT_BURST * 1000;
    if (a->thousandths > EVENT_BURST * 1000) {
        a->thousandths = EVENT_BURST * 1000;
    }
    bool ok = a->thousandths >= 1000;
    if (ok) {
        a->thousandths -= 1000;
        *suppressed = a->suppressed;
        a->suppressed = 0;
    } else {
        a->suppressed++;
    }
    pthread_mutex_unlock(&allowances_lock);
    return ok;
}

static bool
push(struct event *e)
{
    bool ok = e && ring_push(queue, e);
    if (ok) {
        counter_inc(&event_counters.posted);
    } else {
        counter_inc(&event_counters.lost);
        free(e);
    }
    return ok;
}

/* Tells that some were lost, once there is room again. */
static void
tell_lost(void)
{
    uint64_t n = atomic_exchange(&lost, 0);
    char message[64];

    if (!n) {
        return;
    }
    snprintf(message, sizeof message, "%" PRIu64 " events were not kept", n);
    if (!push(event_make(EVENT_event_lost, EVENT_S_WARNING, clock_wall_us(),
                         "", EVENT_DETAIL(EVENT_INT("lost", (int64_t) n)),
                         message))) {
        counter_add(&lost, n);
    }
}

static void
post(enum event_kind kind, enum event_severity severity, const char *subject,
     const struct event_member *detail, const char *format, va_list args)
{
    char message[EVENT_MESSAGE_MAX + 1];
    struct event_member more[33];
    uint64_t suppressed = 0;
    size_t n = 0;

    pthread_rwlock_rdlock(&lock);
    if (!queue) {
        /* Nobody keeps events. */
    } else if (!admit(kind, &suppressed)) {
        counter_inc(&event_counters.suppressed);
    } else {
        vsnprintf(message, sizeof message, format, args);
        for (; detail && detail[n].name && n < 31; n++) {
            more[n] = detail[n];
        }
        if (suppressed) {
            more[n++] = (struct event_member) EVENT_INT(
                "suppressed", (int64_t) suppressed);
        }
        more[n].name = NULL;
        tell_lost();
        if (!push(event_make(kind, severity, clock_wall_us(), subject, more,
                             message))) {
            counter_inc(&lost);
        }
    }
    pthread_rwlock_unlock(&lock);
}

void
event_post(enum event_kind kind, const char *subject,
           const struct event_member *detail, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    post(kind, event_kinds[kind].severity, subject, detail, format, args);
    va_end(args);
}

void
event_post_as(enum event_kind kind, enum event_severity severity,
              const char *subject, const struct event_member *detail,
              const char *format, ...)
{
    va_list args;
    va_start(args, format);
    post(kind, severity, subject, detail, format, args);
    va_end(args);
}

/* The one who takes is also the one who closes: 'queue' stays. */
struct event *
event_take(int wait_ms)
{
    return queue ? ring_pop(queue, wait_ms) : NULL;
}

void
event_wake(void)
{
    pthread_rwlock_rdlock(&lock);
    if (queue) {
        ring_wake(queue);
    }
    pthread_rwlock_unlock(&lock);
}
