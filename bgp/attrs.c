#include <config.h>

#include "bgp/attrs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/dict.h"
#include "lib/mix.h"
#include "lib/seed.h"

#define MAX_BUCKETS ((size_t) 1 << 28)
#define FIRST_BUCKETS 1024
/* No message has more than 65,535 octets, nor then a set of attributes. */
#define MAX_COUNT UINT16_MAX
#define MAX_SET (sizeof(struct attrs) + sizeof(struct attrs_extra) \
                 + 7 * (size_t) MAX_COUNT * 4)
/* What of a block is contents: what is before 'refs', without the names, and
 * what is behind 'hash'. */
#define HEAD offsetof(struct attrs, origin_as)
#define HEAD_END offsetof(struct attrs, named)
#define TAIL offsetof(struct attrs, n_ext)
/* Blocks of multiples of this are aligned to it. */
#define LINE 32

#define CONFED(TYPE) ((TYPE) == BGP_AS_CONFED_SEQUENCE \
                      || (TYPE) == BGP_AS_CONFED_SET)

int
attrs_table_init(struct attrs_table *t, struct arena *a)
{
    *t = (struct attrs_table) { .arena = a, .n_buckets = FIRST_BUCKETS };
    void *p = mmap(NULL, MAX_BUCKETS * sizeof *t->buckets,
                   PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) {
        return -ENOMEM;
    }
    t->buckets = p;
    /* Peers choose attributes. */
    t->seed[0] = seed_make();
    t->seed[1] = seed_make();
    t->scratch = malloc(MAX_SET);
    return t->scratch ? 0 : -ENOMEM;
}

void
attrs_table_clear(struct attrs_table *t)
{
    if (t->buckets) {
        munmap(t->buckets, MAX_BUCKETS * sizeof *t->buckets);
    }
    free(t->scratch);
    memset(t, 0, sizeof *t);
}

/* ---- The table: linear hashing, a bucket is split at a time. ---- */

static uint32_t *
bucket_of(struct attrs_table *t, uint32_t hash)
{
    uint32_t i = hash & (t->n_buckets - 1);
    if (i < t->split) {
        i = hash & (2 * t->n_buckets - 1);
    }
    return &t->buckets[i];
}

static void
split_bucket(struct attrs_table *t)
{
    if (t->n_buckets >= MAX_BUCKETS / 2) {
        return;
    }
    uint32_t block = t->buckets[t->split];
    uint32_t *low = &t->buckets[t->split];
    uint32_t *high = &t->buckets[t->split + t->n_buckets];
    *low = *high = 0;
    while (block) {
        struct attrs *s = attrs_at(t->arena, block);
        uint32_t next = s->next;
        uint32_t **end = s->hash & t->n_buckets ? &high : &low;
        s->next = 0;
        **end = block;
        *end = &s->next;
        block = next;
    }
    if (++t->split == t->n_buckets) {
        t->n_buckets *= 2;
        t->split = 0;
    }
}

static size_t
set_words(const struct attrs *s)
{
    return 2u * s->n_ext + s->n_rare + s->n_as_path + s->n_communities
           + 3u * s->n_large + s->n_cluster;
}

static size_t
set_size(const struct attrs *s)
{
    size_t tail = s->n_unknown
                  + (s->flags & ATTRS_EXTRA ? sizeof(struct attrs_extra) : 0);
    return sizeof *s + set_words(s) * 4 + (tail + 3) / 4 * 4;
}

/* What is asked of the arena. */
static size_t
block_size(size_t size)
{
    return (size + LINE - 1) / LINE * LINE;
}

static bool
same_contents(const struct attrs *a, const struct attrs *b, size_t size)
{
    const uint8_t *p = (const uint8_t *) a, *q = (const uint8_t *) b;
    return a->hash == b->hash && set_size(b) == size
           && !memcmp(p + HEAD, q + HEAD, HEAD_END - HEAD)
           && !memcmp(p + TAIL, q + TAIL, size - TAIL);
}

/* ---- Packing. ---- */

static uint32_t *
put_words(uint32_t *to, const void *from, size_t n)
{
    if (n) {
        memcpy(to, from, n * 4);
    }
    return to + n;
}

static uint32_t *
put_rare(uint32_t *p, const struct bgp_attrs *a, bool hop6)
{
    if (hop6) {
        p = put_words(p, &a->next_hop, 4);
    }
    if (a->has & BGP_HAS_AGGREGATOR) {
        *p++ = a->aggregator_as;
        p = put_words(p, &a->aggregator, 4);
    }
    if (a->has & BGP_HAS_ORIGINATOR_ID) {
        *p++ = a->originator_id;
    }
    if (a->has & BGP_HAS_OTC) {
        *p++ = a->otc;
    }
    if (a->has & BGP_HAS_AIGP) {
        p = put_words(p, &a->aigp, 2);
    }
    if (a->has & BGP_HAS_LINK_LOCAL) {
        p = put_words(p, &a->link_local, 4);
    }
    return p;
}

/* First and origin AS, and the length as RFC 4271 section 9.1.2.2 and RFC 5065
 * section 5.3 count it. */
static void
survey_path(struct attrs *s, const uint32_t *path, uint32_t n)
{
    unsigned length = 0;
    bool first = true;
    for (uint32_t i = 0; i < n;) {
        uint32_t type = path[i] >> 16, count = path[i] & 0xffff;
        i++;
        if (count > n - i) {
            break;              /* Not from our parsers. */
        }
        if (!CONFED(type) && count) {
            bool sequence = type == BGP_AS_SEQUENCE;
            length += sequence ? count : 1;
            if (first && sequence) {
                s->peer_as = path[i];
            }
            first = false;
            s->origin_as = sequence ? path[i + count - 1] : 0;
        }
        i += count;
    }
    s->path_length = (uint8_t) (length < UINT8_MAX ? length : UINT8_MAX);
    s->has_origin |= length ? 0 : ATTRS_NO_PATH;
}

static bool
fits(const struct bgp_attrs *a)
{
    return a->n_as_path <= MAX_COUNT && a->n_communities <= MAX_COUNT
           && a->n_ext_communities <= MAX_COUNT
           && a->n_large_communities <= MAX_COUNT
           && a->n_cluster_list <= MAX_COUNT && a->n_unknown <= MAX_COUNT;
}

struct attrs *
attrs_pack(void *buf, const struct bgp_attrs *a,
           const struct attrs_extra *extra)
{
    struct attrs *s = buf;
    if (!fits(a)) {
        return NULL;
    }
    memset(s, 0, sizeof *s);
    s->has_origin = (uint16_t) (a->has & ATTRS_HAS);
    s->local_pref = a->has & BGP_HAS_LOCAL_PREF ? a->local_pref : 0;
    s->med = a->has & BGP_HAS_MED ? a->med : 0;
    if (a->has & BGP_HAS_ORIGIN) {
        s->has_origin |= (uint16_t) ((a->origin & 3) << 12);
    }
    if (a->has & BGP_HAS_NEXT_HOP && addr_is_v4(&a->next_hop)) {
        memcpy(&s->next_hop4, a->next_hop.b + 12, 4);
    } else if (a->has & BGP_HAS_NEXT_HOP) {
        s->has_origin |= ATTRS_HOP6;
    }
    survey_path(s, a->as_path, a->n_as_path);
    s->n_ext = (uint16_t) a->n_ext_communities;
    s->n_as_path = (uint16_t) a->n_as_path;
    s->n_communities = (uint16_t) a->n_communities;
    s->n_large = (uint16_t) a->n_large_communities;
    s->n_cluster = (uint16_t) a->n_cluster_list;
    s->n_unknown = (uint16_t) a->n_unknown;
    uint32_t *p = put_words(s->data, a->ext_communities, 2u * s->n_ext);
    uint32_t *rare = p;
    p = put_rare(p, a, s->has_origin & ATTRS_HOP6);
    s->n_rare = (uint16_t) (p - rare);
    p = put_words(p, a->as_path, s->n_as_path);
    p = put_words(p, a->communities, s->n_communities);
    p = put_words(p, a->large_communities, 3u * s->n_large);
    p = put_words(p, a->cluster_list, s->n_cluster);
    if (extra) {
        s->flags |= ATTRS_EXTRA;
        memcpy(p, extra, sizeof *extra);
        p += sizeof *extra / 4;
    }
    if (s->n_unknown) {
        p[s->n_unknown / 4] = 0;        /* The octets up to a word's end. */
        memcpy(p, a->unknown, s->n_unknown);
    }
    return s;
}

_Static_assert(sizeof(struct attrs_extra) % 4 == 0, "words");
_Static_assert(MAX_SET <= ATTRS_MAX_SIZE, "a set fits");
_Static_assert(sizeof(struct attrs) % 8 == 0,
               "extended communities are read in place");
_Static_assert(offsetof(struct attrs, refs) == LINE,
               "stamps are in one line");

uint32_t
attrs_ref(struct attrs_table *t, const struct bgp_attrs *a,
          const struct attrs_extra *extra)
{
    if (!extra && a->serial && a->serial == t->last_serial) {
        attrs_at(t->arena, t->last)->refs++;
        return t->last;
    }
    struct attrs *s = attrs_pack(t->scratch, a, extra);
    if (!s) {
        return 0;
    }
    size_t size = set_size(s);
    /* 'named' is 0 here, and makes whole words of it. */
    uint64_t h = mix_bytes(t->seed[1], t->seed[0], (const uint8_t *) s + HEAD,
                           HEAD_END + sizeof s->named - HEAD);
    h = mix_bytes(t->seed[1], h, (const uint8_t *) s + TAIL, size - TAIL);
    s->hash = (uint32_t) (h ^ h >> 32);
    uint32_t *bucket = bucket_of(t, s->hash);
    uint32_t block;
    for (block = *bucket; block;) {
        struct attrs *old = attrs_at(t->arena, block);
        if (same_contents(s, old, size)) {
            old->refs++;
            break;
        }
        block = old->next;
    }
    if (!block) {
        block = arena_alloc(t->arena, block_size(size));
        if (!block) {
            return 0;
        }
        s->refs = 1;
        s->next = *bucket;
        memcpy(attrs_at(t->arena, block), s, size);
        *bucket = block;
        if (++t->n > t->n_buckets + t->split) {
            split_bucket(t);
        }
    }
    if (!extra && a->serial) {
        attrs_at(t->arena, block)->refs++;
        uint32_t last = t->last;
        t->last = block;
        t->last_serial = a->serial;
        if (last) {
            attrs_unref(t, last);
        }
    }
    return block;
}

void
attrs_unref(struct attrs_table *t, uint32_t set)
{
    struct attrs *s = attrs_at(t->arena, set);
    if (--s->refs) {
        return;
    }
    uint32_t *link = bucket_of(t, s->hash);
    while (*link != set) {
        link = &attrs_at(t->arena, *link)->next;
    }
    *link = s->next;
    t->n--;
    arena_retire(t->arena, set, block_size(set_size(s)));
}

/* ---- Unpacking. ---- */

static const uint32_t *
rare_of(const struct attrs *s)
{
    return s->data + 2 * s->n_ext;
}

static const uint32_t *
path_of(const struct attrs *s)
{
    return rare_of(s) + s->n_rare;
}

static const uint32_t *
communities_of(const struct attrs *s)
{
    return path_of(s) + s->n_as_path;
}

static void
get_rare(const uint32_t *p, struct bgp_attrs *a, bool hop6)
{
    p += hop6 ? 4 : 0;
    if (a->has & BGP_HAS_AGGREGATOR) {
        a->aggregator_as = *p++;
        memcpy(&a->aggregator, p, 16);
        p += 4;
    }
    if (a->has & BGP_HAS_ORIGINATOR_ID) {
        a->originator_id = *p++;
    }
    if (a->has & BGP_HAS_OTC) {
        a->otc = *p++;
    }
    if (a->has & BGP_HAS_AIGP) {
        memcpy(&a->aigp, p, 8);
        p += 2;
    }
    if (a->has & BGP_HAS_LINK_LOCAL) {
        memcpy(&a->link_local, p, 16);
    }
}

void
attrs_get_extra(const struct attrs *s, struct attrs_extra *extra)
{
    memset(extra, 0, sizeof *extra);
    if (s->flags & ATTRS_EXTRA) {
        memcpy(extra, s->data + set_words(s), sizeof *extra);
    }
}

void
attrs_unpack(const struct attrs *s, struct bgp_attrs *a,
             struct attrs_extra *extra)
{
    *a = (struct bgp_attrs) {
        .has = attrs_has(s), .origin = attrs_origin(s),
        .next_hop = attrs_next_hop(s),
        .med = s->med, .local_pref = s->local_pref,
        .as_path = path_of(s), .n_as_path = s->n_as_path,
        .communities = communities_of(s),
        .n_communities = s->n_communities,
        .ext_communities = (const uint64_t *) (const void *) s->data,
        .n_ext_communities = s->n_ext,
        .n_large_communities = s->n_large,
        .n_cluster_list = s->n_cluster, .n_unknown = s->n_unknown,
    };
    const uint32_t *p = communities_of(s) + s->n_communities;
    a->large_communities = (const uint32_t (*)[3]) (const void *) p;
    p += 3 * s->n_large;
    a->cluster_list = p;
    p += s->n_cluster;
    get_rare(rare_of(s), a, s->has_origin & ATTRS_HOP6);
    attrs_get_extra(s, extra);
    p += s->flags & ATTRS_EXTRA ? sizeof *extra / 4 : 0;
    a->unknown = (const uint8_t *) p;
}

/* ---- Text. ---- */

struct text {
    char *buf;
    size_t size, n;
    bool cut;
};

__attribute__((format(printf, 2, 3)))
static void
add(struct text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t room = t->size - t->n;
    /* Room for the ellipsis stays. */
    int n = t->cut || room < 5 ? -1 : vsnprintf(t->buf + t->n, room - 3,
                                               format, args);
    va_end(args);
    if (n >= 0 && (size_t) n < room - 3) {
        t->n += (size_t) n;
    } else if (!t->cut) {
        t->cut = true;
    }
}

static size_t
finish(struct text *t)
{
    if (t->cut && t->size - t->n > 3) {
        memcpy(t->buf + t->n, "...", 3);
        t->n += 3;
    }
    if (t->size) {
        t->buf[t->n] = '\0';
    }
    return t->n;
}

size_t
attrs_format_path(const struct attrs *s, char *buf, size_t size)
{
    static const struct {
        const char *open, *between, *close;
    } marks[] = {
        [BGP_AS_SET] = { "{", ",", "}" },
        [BGP_AS_SEQUENCE] = { "", " ", "" },
        [BGP_AS_CONFED_SEQUENCE] = { "(", " ", ")" },
        [BGP_AS_CONFED_SET] = { "[", ",", "]" },
    };
    struct text t = { buf, size, 0, false };
    const uint32_t *p = path_of(s), *end = p + s->n_as_path;
    while (p < end && !t.cut) {
        uint32_t type = *p >> 16, n = *p & 0xffff;
        p++;
        if (n > (size_t) (end - p) || type < 1 || type > 4) {
            break;
        }
        add(&t, "%s%s", t.n ? " " : "", marks[type].open);
        for (uint32_t i = 0; i < n && !t.cut; i++) {
            add(&t, "%s%" PRIu32, i ? marks[type].between : "", p[i]);
        }
        add(&t, "%s", marks[type].close);
        p += n;
    }
    return finish(&t);
}

char *
ext_community_format(uint64_t c, char *buf)
{
    unsigned type = (unsigned) (c >> 56), sub = (unsigned) (c >> 48) & 0xff;
    const char *name = sub == 2 ? "rt" : sub == 3 ? "soo" : NULL;
    unsigned kind = type & ~0x40u;      /* Transitive or not. */
    if (name && kind == 0) {
        snprintf(buf, EXT_COMMUNITY_STRLEN, "%s:%u:%" PRIu32, name,
                 (unsigned) (c >> 32) & 0xffff, (uint32_t) c);
    } else if (name && kind == 2) {
        snprintf(buf, EXT_COMMUNITY_STRLEN, "%s:%" PRIu32 ":%u", name,
                 (uint32_t) (c >> 16), (unsigned) c & 0xffff);
    } else if (name && kind == 1) {
        snprintf(buf, EXT_COMMUNITY_STRLEN, "%s:%u.%u.%u.%u:%u", name,
                 (unsigned) (c >> 40) & 0xff, (unsigned) (c >> 32) & 0xff,
                 (unsigned) (c >> 24) & 0xff, (unsigned) (c >> 16) & 0xff,
                 (unsigned) c & 0xffff);
    } else {
        snprintf(buf, EXT_COMMUNITY_STRLEN, "0x%016" PRIx64, c);
    }
    return buf;
}

size_t
attrs_format_communities(const struct attrs *s, char *buf, size_t size)
{
    struct text t = { buf, size, 0, false };
    struct bgp_attrs a;
    struct attrs_extra extra;
    char one[EXT_COMMUNITY_STRLEN];

    attrs_unpack(s, &a, &extra);
    for (uint32_t i = 0; i < a.n_communities && !t.cut; i++) {
        add(&t, "%s%" PRIu32 ":%" PRIu32, t.n ? " " : "",
            a.communities[i] >> 16, a.communities[i] & 0xffff);
    }
    for (uint32_t i = 0; i < a.n_large_communities && !t.cut; i++) {
        const uint32_t *l = a.large_communities[i];
        add(&t, "%s%" PRIu32 ":%" PRIu32 ":%" PRIu32, t.n ? " " : "", l[0],
            l[1], l[2]);
    }
    for (uint32_t i = 0; i < a.n_ext_communities && !t.cut; i++) {
        add(&t, "%s%s", t.n ? " " : "",
            ext_community_format(a.ext_communities[i], one));
    }
    return finish(&t);
}

static uint32_t
make_name(const struct attrs *s, struct dict *d,
          size_t (*format)(const struct attrs *, char *, size_t))
{
    char buf[ATTRS_NAME_SIZE];
    return dict_passing(d, buf, format(s, buf, sizeof buf));
}

/* Two threads may do this at once: they write the same. */
void
attrs_make_names(const struct attrs *s, struct dict *d, uint16_t stamp)
{
    /* The block is not const: it is the arena's. */
    struct attrs *mine = (struct attrs *) (uintptr_t) s;
    if (s->n_as_path) {
        atomic_store_explicit(&mine->path_name,
                              make_name(s, d, attrs_format_path),
                              memory_order_relaxed);
    }
    if (s->n_communities || s->n_ext || s->n_large) {
        atomic_store_explicit(&mine->communities_name,
                              make_name(s, d, attrs_format_communities),
                              memory_order_relaxed);
    }
    atomic_store_explicit(&mine->named, stamp, memory_order_release);
}
