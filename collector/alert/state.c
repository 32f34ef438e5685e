/* collector/alert/state.c -- what rules have learned, as lines of text: a rule
 * with what it counts, its levels, its keys.  Names are texts, since their ids
 * are of one process. */
#include <config.h>

#include "collector/alert/engine_p.h"

#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lib/dict.h"

#define MAGIC "venturi-alerts 1"
#define LINE_SIZE 65536
#define SLICE 512               /* Places of a table under one lock. */

/* ---- Writing. ---- */

/* As it is, but for what separates. */
static void
put_text(FILE *f, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char) *text;
        if (c <= ' ' || c == '%' || c == 0x7f) {
            fprintf(f, "%%%02x", c);
        } else {
            putc(c, f);
        }
    }
}

/* What a rule counts: another is another rule. */
static void
put_rule(FILE *f, const struct alert_rule *r)
{
    char buf[ALERT_KEY_STRLEN];

    fputs("rule ", f);
    put_text(f, r->name);
    fprintf(f, " %s %s %" PRIu32 " %" PRIu32 " f", alert_type_names[r->type],
            alert_metric_names[r->metric], r->table, r->remember_s);
    put_text(f, r->filter);
    for (unsigned i = 0; i < r->n_keys; i++) {
        fprintf(f, " %s", alert_key_format(&r->keys[i], buf));
    }
    putc('\n', f);
}

static void
put_level(FILE *f, const struct alert_level *l)
{
    fprintf(f, " %.6g %.6g %" PRIu32, (double) l->mean, (double) l->dev,
            l->n);
}

static void
put_entry(FILE *f, const struct alert_watch *w, const struct alert_entry *x)
{
    unsigned at = 0;

    fprintf(f, "key %u %u %.6g %.6g %" PRIu64 " %" PRId64 " %" PRId64 " %u",
            x->nulls, x->state == ALERT_RAISED, (double) *alert_table_weight(&w->table, x),
            (double) x->raised_peak, x->alert, x->since_s, x->cleared_s,
            x->flaps);
    put_level(f, &x->level);
    for (unsigned i = 0; i < w->rule.n_keys; i++) {
        const struct column *c = &columns[w->rule.keys[i].column];
        fputs(" =", f);
        if (c->type == COLUMN_T_NAME) {
            uint32_t id;
            memcpy(&id, x->key + at, sizeof id);
            put_text(f, dict_text(w->table.dict, id));
        } else {
            for (unsigned k = 0; k < c->size; k++) {
                fprintf(f, "%02x", x->key[at + k]);
            }
        }
        at += c->size;
    }
    putc('\n', f);
}

/* Some at a time: flows do not wait for all of them. */
static void
put_entries(FILE *f, struct alert_watch *w)
{
    size_t n = (size_t) w->table.n_buckets * ALERT_WAYS;

    for (size_t i = 0; i < n; ) {
        pthread_mutex_lock(&w->mutex);
        for (size_t end = i + SLICE < n ? i + SLICE : n; i < end; i++) {
            const struct alert_entry *x = &w->table.entries[i];
            if (alert_table_has(&w->table, i)
                && (x->level.n || x->state == ALERT_RAISED)) {
                put_entry(f, w, x);
            }
        }
        pthread_mutex_unlock(&w->mutex);
    }
}

static void
put_season(FILE *f, const struct alert_season *s)
{
    put_level(f, &s->all);
    for (unsigned i = 0; i < ALERT_HOURS; i++) {
        put_level(f, &s->hour[i]);
    }
    putc('\n', f);
}

static void
put_watch(FILE *f, struct alert_watch *w)
{
    pthread_mutex_lock(&w->mutex);
    put_rule(f, &w->rule);
    fprintf(f, "began %" PRId64 "\n", w->began_s);
    fputs("levels", f);
    put_level(f, &w->largest);
    put_level(f, &w->largest_unknown);
    put_season(f, &w->season);
    fputs("largest", f);
    put_season(f, &w->largest_season);
    fprintf(f, "deviations %.6g\n", (double) w->deviations);
    pthread_mutex_unlock(&w->mutex);
    put_entries(f, w);
    pthread_mutex_lock(&w->mutex);
    if (w->seen.bits[0]) {
        fprintf(f, "seen %" PRId64 "\n", w->seen.began_s);
        fwrite(w->seen.bits[0], 1, SEEN_BYTES, f);
        fwrite(w->seen.bits[1], 1, SEEN_BYTES, f);
        putc('\n', f);
    }
    pthread_mutex_unlock(&w->mutex);
}

int
alert_engine_save(struct alert_engine *e, FILE *f)
{
    pthread_rwlock_rdlock(&e->lock);
    fprintf(f, MAGIC "\nnext %" PRIu64 "\n", e->next_alert);
    for (size_t i = 0; i < e->n; i++) {
        char *text = NULL;
        size_t size = 0;
        FILE *one = open_memstream(&text, &size);
        if (one) {              /* The lock is not held while disks wait. */
            put_watch(one, e->list[i]);
            fclose(one);
            fwrite(text, 1, size, f);
        }
        free(text);
    }
    fputs("end\n", f);
    pthread_rwlock_unlock(&e->lock);
    return fflush(f) || ferror(f) ? -EIO : 0;
}

/* ---- Reading. ---- */

#define LATEST_S (INT64_C(1) << 40)

/* Seconds since 1970 that may be reckoned with. */
static bool
is_time(int64_t s)
{
    return s >= 0 && s < LATEST_S;
}

static bool
get_time(const char *p, int64_t *s)
{
    *s = strtoll(p, NULL, 10);
    return is_time(*s);
}

static bool
get_level(char **p, struct alert_level *l)
{
    int used = 0;
    struct alert_level x = { 0 };
    if (sscanf(*p, "%f %f %" SCNu32 "%n", &x.mean, &x.dev, &x.n, &used) != 3
        || !(fabsf(x.mean) <= 128) || !(x.dev >= 0 && x.dev <= 128)) {
        return false;
    }
    *l = x;
    *p += used;
    return true;
}

/* The next word, without its escapes, in place.  NULL: there is none. */
static char *
get_text(char **p)
{
    char *from = *p + strspn(*p, " "), *to = from, *start = from;
    unsigned c;

    if (*from != '=') {
        return NULL;
    }
    start = to = ++from;
    while (*from && *from != ' ') {
        if (*from == '%' && sscanf(from + 1, "%2x", &c) == 1 && c) {
            *to++ = (char) c;
            from += from[2] ? 3 : 2;
        } else {
            *to++ = *from++;
        }
    }
    *p = *from ? from + 1 : from;
    *to = '\0';
    return start;
}

static bool
get_key(struct alert_watch *w, char *p, uint8_t key[ALERT_KEY_SIZE])
{
    unsigned at = 0;

    memset(key, 0, ALERT_KEY_SIZE);
    for (unsigned i = 0; i < w->rule.n_keys; i++) {
        const struct column *c = &columns[w->rule.keys[i].column];
        char *text = get_text(&p);
        if (!text) {
            return false;
        }
        if (c->type == COLUMN_T_NAME) {
            uint32_t id = dict_passing(w->table.dict, text, strlen(text));
            memcpy(key + at, &id, sizeof id);
        } else if (strlen(text) != 2u * c->size) {
            return false;
        }
        for (unsigned k = 0; c->type != COLUMN_T_NAME && k < c->size; k++) {
            unsigned byte;
            if (sscanf(text + 2 * k, "%2x", &byte) != 1) {
                return false;
            }
            key[at + k] = (uint8_t) byte;
        }
        at += c->size;
    }
    return true;
}

static bool
get_entry(struct alert_watch *w, char *p)
{
    struct alert_entry x = { .used = true };
    uint8_t key[ALERT_KEY_SIZE];
    unsigned nulls, raised, flaps;
    float weight;
    int used = 0;

    if (sscanf(p, "%u %u %f %f %" SCNu64 " %" SCNd64 " %" SCNd64 " %u%n",
               &nulls, &raised, &weight, &x.raised_peak, &x.alert,
               &x.since_s, &x.cleared_s, &flaps, &used) != 8
        || nulls > 15 || raised > 1 || flaps > 6
        || !(weight >= 0 && weight <= FLT_MAX)
        || !(x.raised_peak >= 0 && x.raised_peak <= FLT_MAX)
        || !is_time(x.since_s) || !is_time(x.cleared_s)) {
        return false;
    }
    p += used;
    if (!get_level(&p, &x.level) || !get_key(w, p, key)) {
        return false;
    }
    struct alert_entry *e = alert_table_get(
        &w->table, alert_hash(key, (uint8_t) nulls), key, (uint8_t) nulls,
        weight);
    if (e) {
        e->level = x.level;
        e->cleared_s = x.cleared_s;
        e->flaps = (uint8_t) flaps;
        e->limit = 0;           /* Until limits are worked out. */
        if (raised && e->state != ALERT_RAISED
            && w->active < ALERT_ACTIVE_MAX) {
            size_t i = (size_t) (e - w->table.entries);
            w->table.busy[i / ALERT_WAYS] |= (uint8_t) (1u << i % ALERT_WAYS);
            e->state = ALERT_RAISED;
            e->alert = x.alert;
            e->since_s = x.since_s;
            e->raised_peak = x.raised_peak;
            w->active++;
        }
    }
    return true;
}

static bool
get_season(char *p, struct alert_season *s)
{
    bool ok = get_level(&p, &s->all);
    for (unsigned i = 0; i < ALERT_HOURS && ok; i++) {
        ok = get_level(&p, &s->hour[i]);
    }
    return ok;
}

static bool
get_levels(struct alert_watch *w, char *p)
{
    return get_level(&p, &w->largest) && get_level(&p, &w->largest_unknown)
           && get_season(p, &w->season);
}

static bool
get_deviations(struct alert_watch *w, const char *p)
{
    float x;
    bool ok = sscanf(p, "%f", &x) == 1 && x >= ALERT_DEVIATIONS
              && x <= ALERT_STRAY_MOST;
    if (ok) {
        w->deviations = x;
    }
    return ok;
}

static bool
get_seen(struct alert_watch *w, FILE *f, const char *p)
{
    uint8_t *bits = malloc(2 * SEEN_BYTES);
    int64_t began_s;
    bool ok = get_time(p, &began_s) && bits && fread(bits, 1, 2 * SEEN_BYTES, f) == 2 * SEEN_BYTES
              && getc(f) == '\n';
    if (ok && w && w->seen.bits[0]) {
        w->seen.began_s = began_s;
        memcpy(w->seen.bits[0], bits, SEEN_BYTES);
        memcpy(w->seen.bits[1], bits + SEEN_BYTES, SEEN_BYTES);
    }
    free(bits);
    return ok;
}

/* The rule that still counts what the line says, or NULL. */
static struct alert_watch *
find_rule(struct alert_engine *e, const char *line)
{
    for (size_t i = 0; i < e->n; i++) {
        char *text = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);
        if (f) {
            put_rule(f, &e->list[i]->rule);
            fclose(f);
        }
        bool same = text && !strncmp(text, line, size - 1)
                    && !line[size - 1];
        free(text);
        if (same) {
            return e->list[i];
        }
    }
    return NULL;
}

static bool
get_line(struct alert_engine *e, struct alert_watch **w, char *line, FILE *f,
         bool *end)
{
    if (!strncmp(line, "next ", 5)) {
        alert_engine_next(e, strtoull(line + 5, NULL, 10));
    } else if (!strncmp(line, "rule ", 5)) {
        *w = find_rule(e, line);
    } else if (!strcmp(line, "end")) {
        *end = true;
    } else if (!strncmp(line, "seen ", 5)) {
        return get_seen(*w, f, line + 5);
    } else if (!*w) {
        return true;            /* Of a rule that is gone. */
    } else if (!strncmp(line, "began ", 6)) {
        return get_time(line + 6, &(*w)->began_s);
    } else if (!strncmp(line, "levels ", 7)) {
        return get_levels(*w, line + 7);
    } else if (!strncmp(line, "largest ", 8)) {
        return get_season(line + 8, &(*w)->largest_season);
    } else if (!strncmp(line, "deviations ", 11)) {
        return get_deviations(*w, line + 11);
    } else if (!strncmp(line, "key ", 4)) {
        return get_entry(*w, line + 4);
    } else {
        return false;
    }
    return true;
}

int
alert_engine_load(struct alert_engine *e, FILE *f)
{
    char *line = malloc(LINE_SIZE);
    struct alert_watch *w = NULL;
    bool ok = line != NULL, end = false, first = true;

    pthread_rwlock_wrlock(&e->lock);
    while (ok && !end && fgets(line, LINE_SIZE, f)) {
        size_t n = strlen(line);
        ok = n && line[n - 1] == '\n';
        line[ok ? n - 1 : n] = '\0';
        ok = ok && (first ? !strcmp(line, MAGIC)
                    : get_line(e, &w, line, f, &end));
        first = false;
    }
    for (size_t i = 0; i < e->n; i++) {
        e->list[i]->relimit = true;
    }
    pthread_rwlock_unlock(&e->lock);
    free(line);
    return ok && end ? 0 : -EBADMSG;
}
