#include <config.h>

#include "collector/template/persist.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <urcu.h>

#include "collector/exporter/source_table.h"
#include "collector/template/template.h"
#include "lib/clock.h"
#include "lib/cursor.h"
#include "lib/fnv.h"
#include "lib/log.h"
#include "lib/thread.h"

/* The file, all integers big endian:
 *
 *     magic[8] version:32 n_sources:32 saved_us:64 checksum:64
 *     n_sources times
 *         exporter[16] agent[16] domain:32 protocol:8 flags:8 n_samplers:16
 *         sampling:32 n_templates:32 last_us:64
 *         n_samplers times id:64 rate:32, of interfaces INTERFACE + number
 *         n_templates times
 *             id:16 options:8 0:8 n_scope:16 n_fields:16
 *             n_fields times id:16 size:16 pen:32 */
static const uint8_t magic[8] = { 'v', 'e', 'n', 't', 't', 'p', 'l', '\n' };
#define PERSIST_VERSION 1
#define SOURCE_SIZE 56
#define INTERFACE (UINT64_C(1) << 32)

#define SAVE_EVERY_S 3
#define REFRESH_US (INT64_C(3600) * 1000000)

/* ---- Writing into memory. ---- */

struct out {
    uint8_t *data;
    size_t size, room;
    bool failed;
    struct template_cache *cache;
    uint32_t n_sources;
    uint64_t state;
};

static uint8_t *
out_room(struct out *o, size_t n)
{
    if (o->failed || o->size + n > PERSIST_MAX_SIZE) {
        o->failed = true;
        return NULL;
    }
    if (o->size + n > o->room) {
        size_t room = o->room ? 2 * o->room : 4096;
        while (room < o->size + n) {
            room *= 2;
        }
        uint8_t *p = realloc(o->data, room);
        if (!p) {
            o->failed = true;
            return NULL;
        }
        o->data = p;
        o->room = room;
    }
    o->size += n;
    return o->data + o->size - n;
}

static void
put_bytes(struct out *o, const void *data, size_t n)
{
    uint8_t *p = out_room(o, n);
    if (p) {
        memcpy(p, data, n);
    }
}

static void
put_uint(struct out *o, uint64_t v, size_t n)
{
    uint8_t *p = out_room(o, n);
    for (size_t i = 0; p && i < n; i++) {
        p[i] = (uint8_t) (v >> 8 * (n - 1 - i));
    }
}

static void
set_uint(uint8_t *p, uint64_t v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        p[i] = (uint8_t) (v >> 8 * (n - 1 - i));
    }
}

/* FNV-1a by words: against torn and damaged files, not against enemies. */
uint64_t
persist_checksum(const uint8_t *p, size_t size)
{
    uint64_t h = FNV_START ^ size;

    for (; size >= 8; p += 8, size -= 8) {
        h = (h ^ be64_at(p)) * FNV_PRIME;
        h ^= h >> 29;
    }
    return fnv_bytes(h, p, size);
}

/* Each template is written where it is found, and counted. */
struct template_out {
    struct out *out;
    uint32_t n;
};

static bool
encode_template(const struct template *t, void *w_)
{
    struct template_out *w = w_;
    struct out *o = w->out;

    if (t->ovs) {
        return true;            /* Built in. */
    }
    w->n++;
    put_uint(o, t->id, 2);
    put_uint(o, t->options, 1);
    put_uint(o, 0, 1);
    put_uint(o, t->n_scope, 2);
    put_uint(o, t->n_fields, 2);
    for (unsigned i = 0; i < t->n_fields; i++) {
        put_uint(o, t->fields[i].id, 2);
        put_uint(o, t->fields[i].size, 2);
        put_uint(o, t->fields[i].pen, 4);
    }
    return !o->failed;
}

static uint16_t
encode_samplers(struct out *o, const struct source *s)
{
    uint16_t n = 0;
    for (unsigned i = 0; i < SOURCE_SAMPLERS; i++) {
        uint64_t id;
        uint32_t rate;
        if (source_sampler_at(s, i, &id, &rate)) {
            put_uint(o, id, 8);
            put_uint(o, rate, 4);
            n++;
        }
    }
    return n;
}

static int
compare_uints(const void *a_, const void *b_)
{
    uint64_t a, b;
    memcpy(&a, a_, sizeof a);
    memcpy(&b, b_, sizeof b);
    return (a > b) - (a < b);
}

/* In order: where the source has them depends on chance. */
static uint16_t
encode_rates(struct out *o, const struct source *s)
{
    uint64_t *rates = source_has_rates(s)
                      ? malloc(SOURCE_NAMES * sizeof *rates) : NULL;
    size_t place = 0;
    uint32_t interface, rate;
    uint16_t n = 0;

    while (rates && n < SOURCE_NAMES
           && source_interface_rate_next(s, &place, &interface, &rate)) {
        rates[n++] = (uint64_t) interface << 32 | rate;
    }
    if (n) {
        qsort(rates, n, sizeof *rates, compare_uints);
    }
    for (uint16_t i = 0; i < n; i++) {
        put_uint(o, INTERFACE + (rates[i] >> 32), 8);
        put_uint(o, rates[i] & UINT32_MAX, 4);
    }
    free(rates);
    return n;
}

static bool
encode_source(struct source *s, void *o_)
{
    struct out *o = o_;
    size_t begin = o->size;
    bool told = s->sampling_origin == SAMPLING_OPTIONS;
    struct template_out w = { .out = o };

    if (s->key.session) {
        return true;            /* Its templates end with its session. */
    }
    put_bytes(o, s->key.exporter.b, 16);
    put_bytes(o, s->key.agent.b, 16);
    put_uint(o, s->key.domain, 4);
    put_uint(o, s->key.protocol, 1);
    put_uint(o, 0, 1);
    put_uint(o, 0, 2);
    put_uint(o, told ? s->sampling : 0, 4);
    put_uint(o, 0, 4);
    put_uint(o, (uint64_t) s->last_us, 8);
    uint16_t n_samplers = encode_samplers(o, s);
    n_samplers = (uint16_t) (n_samplers + encode_rates(o, s));
    template_each(o->cache, s, encode_template, &w);
    if (o->failed) {
        o->size = begin;        /* As many sources as fit. */
        return false;
    }
    if (!told && !n_samplers && !w.n) {
        o->size = begin;
        return true;
    }
    set_uint(o->data + begin + 38, n_samplers, 2);
    set_uint(o->data + begin + 44, w.n, 4);
    /* Time passes, but does not make it worth writing. */
    o->state = (o->state ^ persist_checksum(o->data + begin, 48)
                ^ persist_checksum(o->data + begin + SOURCE_SIZE,
                                   o->size - begin - SOURCE_SIZE))
               * UINT64_C(0x9e3779b97f4a7c15);
    o->n_sources++;
    return true;
}

uint8_t *
persist_encode(struct template_cache *cache, struct source_table *sources,
               int64_t now_us, size_t *size, uint64_t *state)
{
    struct out o = { .cache = cache, .state = 1 };

    put_bytes(&o, magic, sizeof magic);
    put_uint(&o, PERSIST_VERSION, 4);
    put_uint(&o, 0, 4);
    put_uint(&o, (uint64_t) now_us, 8);
    put_uint(&o, 0, 8);
    if (o.failed) {
        free(o.data);
        return NULL;
    }
    source_table_each(sources, encode_source, &o);
    set_uint(o.data + 12, o.n_sources, 4);
    set_uint(o.data + 24, persist_checksum(o.data + PERSIST_HEADER,
                                           o.size - PERSIST_HEADER), 8);
    *size = o.size;
    *state = o.state;
    return o.data;
}

/* ---- Reading. ---- */

/* Reads one template; keeps it for 'source' unless that is NULL. */
static void
decode_template(struct cursor *c, struct template_cache *cache,
                const struct source *source, struct persist_counts *n)
{
    struct template_field fields[TEMPLATE_MAX_FIELDS];
    uint16_t id = cur_u16(c);
    uint8_t options = cur_u8(c);
    cur_skip(c, 1);
    uint16_t n_scope = cur_u16(c), n_fields = cur_u16(c);

    if (n_fields > TEMPLATE_MAX_FIELDS || n_scope > n_fields) {
        c->bad = true;
        return;
    }
    for (unsigned i = 0; i < n_fields; i++) {
        fields[i].id = cur_u16(c);
        fields[i].size = cur_u16(c);
        fields[i].pen = cur_u32(c);
    }
    if (c->bad || !source) {
        return;
    }
    int result = template_put(cache, source, id, options != 0, n_scope,
                              fields, n_fields);
    if (result < 0) {
        n->refused++;
    } else {
        n->templates++;
    }
}

static void
restore_sampling(struct source *s, uint32_t rate)
{
    uint8_t none = SAMPLING_NONE;
    if (rate && atomic_compare_exchange_strong(&s->sampling_origin, &none,
                                               SAMPLING_OPTIONS)) {
        s->sampling = rate;
    }
}

/* Reads one source.  Without a table it is only looked whether it can be
 * read. */
static void
decode_source(struct cursor *c, struct template_cache *cache,
              struct source_table *sources, int64_t now_us,
              struct persist_counts *n)
{
    struct source_key key = { .domain = 0 };
    const uint8_t *p = cur_take(c, 32);
    struct source *s = NULL;

    if (!p) {
        return;
    }
    memcpy(key.exporter.b, p, 16);
    memcpy(key.agent.b, p + 16, 16);
    key.domain = cur_u32(c);
    key.protocol = cur_u8(c);
    cur_skip(c, 1);
    uint16_t n_samplers = cur_u16(c);
    uint32_t rate = cur_u32(c), n_templates = cur_u32(c);
    int64_t last_us = (int64_t) cur_u64(c);
    bool known = key.protocol == PROTO_NETFLOW9
                 || key.protocol == PROTO_IPFIX
                 || key.protocol == PROTO_NETFLOW5;
    if (sources && known && last_us < now_us + PERSIST_MAX_AGE_US
        && last_us > now_us - PERSIST_MAX_AGE_US) {
        s = source_table_get(sources, &key);
    } else if (sources) {
        n->expired++;
    }
    if (s) {
        n->sources++;
        restore_sampling(s, rate);
        s->first_us = s->first_us ? s->first_us : last_us;
        s->last_us = s->last_us ? s->last_us : last_us;
    }
    for (unsigned i = 0; i < n_samplers && !c->bad; i++) {
        uint64_t id = cur_u64(c);
        uint32_t sampler_rate = cur_u32(c);
        if (s && id >= INTERFACE) {
            source_interface_rate_set(s, (uint32_t) id, sampler_rate);
        } else if (s && sampler_rate) {
            source_sampler_set(s, id, sampler_rate);
        }
    }
    for (uint32_t i = 0; i < n_templates && !c->bad; i++) {
        decode_template(c, cache, s, n);
    }
}

static bool
decode_sources(struct cursor c, uint32_t n_sources,
               struct template_cache *cache, struct source_table *sources,
               int64_t now_us, struct persist_counts *n)
{
    for (uint32_t i = 0; i < n_sources && !c.bad; i++) {
        decode_source(&c, cache, sources, now_us, n);
    }
    return !c.bad && !cur_more(&c);
}

int
persist_decode(const uint8_t *data, size_t size, struct template_cache *cache,
               struct source_table *sources, int64_t now_us,
               struct persist_counts *n)
{
    struct cursor c = cur_init(data, size);
    const uint8_t *m = cur_take(&c, sizeof magic);

    memset(n, 0, sizeof *n);
    if (!m || memcmp(m, magic, sizeof magic)) {
        return -EBADMSG;
    }
    uint32_t version = cur_u32(&c), n_sources = cur_u32(&c);
    cur_skip(&c, 8);
    uint64_t checksum = cur_u64(&c);
    if (c.bad || version != PERSIST_VERSION) {
        return c.bad ? -EBADMSG : -ENOTSUP;
    }
    if (checksum != persist_checksum(c.p, cur_left(&c))
        /* All of it or nothing: once to look, once to do. */
        || !decode_sources(c, n_sources, cache, NULL, now_us, n)) {
        return -EBADMSG;
    }
    decode_sources(c, n_sources, cache, sources, now_us, n);
    return 0;
}

/* ---- Files. ---- */

static int
write_all(int fd, const uint8_t *p, size_t n)
{
    while (n) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno != EINTR) {
            return -errno;
        }
        p += done > 0 ? done : 0;
        n -= done > 0 ? (size_t) done : 0;
    }
    return fsync(fd) ? -errno : 0;
}

static int
replace_file(const char *path, const uint8_t *data, size_t size)
{
    char tmp[4096];
    if (snprintf(tmp, sizeof tmp, "%s.tmp", path) >= (int) sizeof tmp) {
        return -ENAMETOOLONG;
    }
    int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
                  0640);
    if (fd < 0) {
        return -errno;
    }
    int error = write_all(fd, data, size);
    if (close(fd) && !error) {
        error = -errno;
    }
    if (!error && rename(tmp, path)) {
        error = -errno;
    }
    if (error) {
        unlink(tmp);
    }
    return error;
}

int
persist_save(const char *path, struct template_cache *cache,
             struct source_table *sources, int64_t now_us, uint64_t *state)
{
    uint64_t new_state;
    size_t size;
    uint8_t *data = persist_encode(cache, sources, now_us, &size, &new_state);
    int error = data ? 0 : -ENOMEM;

    if (data && new_state != *state) {
        error = replace_file(path, data, size);
        *state = error ? *state : new_state;
    }
    free(data);
    return error;
}

int
persist_load(const char *path, struct template_cache *cache,
             struct source_table *sources, int64_t now_us,
             struct persist_counts *n)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;

    memset(n, 0, sizeof *n);
    if (fd < 0) {
        return -errno;
    }
    if (fstat(fd, &st) || !S_ISREG(st.st_mode)
        || st.st_size > PERSIST_MAX_SIZE) {
        close(fd);
        return -EBADMSG;
    }
    size_t size = (size_t) st.st_size, got = 0;
    uint8_t *data = malloc(size ? size : 1);
    while (data && got < size) {
        ssize_t k = read(fd, data + got, size - got);
        if (k <= 0) {
            break;
        }
        got += (size_t) k;
    }
    close(fd);
    int error = !data ? -ENOMEM
                : persist_decode(data, got, cache, sources, now_us, n);
    free(data);
    return error;
}

/* ---- The thread. ---- */

static bool
stir_source(struct source *s, void *sum_)
{
    uint64_t *sum = sum_;
    *sum += counter_get(&s->n.templates) + counter_get(&s->n.options_records);
    return true;
}

int
persist_stir(struct source_table *sources, uint64_t *seen)
{
    uint64_t sum = 0, old = *seen;
    source_table_each(sources, stir_source, &sum);
    *seen = sum;
    return sum != old;
}

struct persist {
    char *path;
    struct template_cache *cache;
    struct source_table *sources;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stop;                  /* Under the lock. */

    /* The thread's own. */
    uint64_t state, seen;
    int64_t saved_us;
    bool complained;
};

static void
save(struct persist *p)
{
    int64_t now = clock_wall_us();
    bool stirred = persist_stir(p->sources, &p->seen);
    bool refresh = p->seen && now - p->saved_us > REFRESH_US;

    if (!stirred && !refresh) {
        return;
    }
    uint64_t state = refresh ? 0 : p->state;
    int error = persist_save(p->path, p->cache, p->sources, now, &state);
    if (!error) {
        p->saved_us = refresh || state != p->state ? now : p->saved_us;
        p->state = state;
        p->complained = false;
    } else {
        p->seen = 0;            /* Try again. */
        if (!p->complained) {
            LOG(decode, WARN, "%s: cannot be written: %s; templates will "
                "have to be learned anew after a restart", p->path,
                strerror(-error));
            p->complained = true;
        }
    }
}

static void *
run(void *p_)
{
    struct persist *p = p_;
    bool stop = false;

    rcu_register_thread();
    while (!stop) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += SAVE_EVERY_S;
        pthread_mutex_lock(&p->lock);
        while (!p->stop && !pthread_cond_timedwait(&p->wake, &p->lock,
                                                   &until)) {
            continue;
        }
        stop = p->stop;
        pthread_mutex_unlock(&p->lock);
        save(p);
    }
    rcu_unregister_thread();
    return NULL;
}

struct persist *
persist_start(const char *path, struct template_cache *cache,
              struct source_table *sources)
{
    struct persist *p = calloc(1, sizeof *p);
    pthread_condattr_t attr;

    if (!p || !(p->path = strdup(path))) {
        free(p);
        return NULL;
    }
    p->cache = cache;
    p->sources = sources;
    p->saved_us = clock_wall_us();
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&p->wake, &attr);
    pthread_condattr_destroy(&attr);
    if (thread_start(&p->thread, "templates", run, p)) {
        pthread_cond_destroy(&p->wake);
        pthread_mutex_destroy(&p->lock);
        free(p->path);
        free(p);
        return NULL;
    }
    return p;
}

void
persist_stop(struct persist *p)
{
    if (!p) {
        return;
    }
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->thread, NULL);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p->path);
    free(p);
}
