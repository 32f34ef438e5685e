#include <config.h>

#include "bgp/routelog_p.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* From the newest file to the oldest, from the last block of each to the
 * first, until there are as many as were asked for. */

#define HOUR_US (INT64_C(3600) * 1000000)
#define MAX_BLOCKS (1u << 20)   /* Of a file. */

/* A record with what it points to, ours. */
struct kept {
    struct routelog_record r;
    struct routelog_peer peer;
    uint8_t data[];
};

struct list {
    struct kept **items;        /* Newest first. */
    size_t n, room;
};

struct scan {
    struct routelog *h;
    const struct routelog_query *q;
    struct routelog_answer *a;
    enum routelog_match match;
    struct prefix prefix;
    bool has_addr;
    struct addr peer_addr;
    uint64_t hashes[129];       /* Any of them may be in a block. */
    unsigned n_hashes;
    bool all_blocks;

    struct routelog_peers peers;
    uint8_t *raw, *stored;
    uint32_t *offsets;
    size_t offsets_room;
    struct list routes, sessions;
    int64_t scanned_us;         /* All that is younger. */
    int longest;                /* ROUTELOG_LONGEST: so far; -1: none. */
    int error;
};

/* ---- Which records. ---- */

static bool
prefix_in(const struct prefix *inner, const struct prefix *outer)
{
    bool v4 = addr_is_v4(&inner->addr) && inner->len >= 96;
    bool outer_v4 = addr_is_v4(&outer->addr) && outer->len >= 96;
    return inner->len >= outer->len && v4 == outer_v4
           && prefix_contains(outer, &inner->addr);
}

static bool
prefix_matches(const struct scan *s, const struct prefix *p)
{
    switch (s->match) {
    case ROUTELOG_EXACT:
        return p->len == s->prefix.len
               && addr_equal(&p->addr, &s->prefix.addr);
    case ROUTELOG_LESS:
    case ROUTELOG_LONGEST:
        return prefix_in(&s->prefix, p);
    case ROUTELOG_MORE:
        return !s->prefix.len || prefix_in(p, &s->prefix);
    default:
        return true;
    }
}

static bool
peer_matches(const struct scan *s, const struct routelog_peer *p)
{
    return !s->q->peer
           || (p && (!strcmp(p->name, s->q->peer)
                     || (s->has_addr
                         && (addr_equal(&p->info.address, &s->peer_addr)
                             || addr_equal(&p->info.router,
                                           &s->peer_addr)))));
}

static bool
matches(const struct scan *s, const struct routelog_record *r)
{
    const struct routelog_query *q = s->q;
    bool of_peer = routelog_kind_of_peer(r->kind);
    if (r->time_us < q->from_us || r->time_us >= q->to_us
        || (q->kinds && !(q->kinds >> r->kind & 1))
        || (r->has_family && q->families
            && !(q->families >> r->nlri.family & 1))) {
        return false;
    }
    if (of_peer) {
        return !r->peer || peer_matches(s, r->peer);
    }
    return (!q->best_only || r->best) && prefix_matches(s, &r->nlri.prefix)
           && peer_matches(s, r->peer);
}

/* ---- What is kept. ---- */

static struct kept *
copy(const struct routelog_record *r)
{
    size_t before = cur_left(&r->before), after = cur_left(&r->after);
    struct kept *k = malloc(sizeof *k + before + after);
    if (!k) {
        return NULL;
    }
    k->r = *r;
    if (before) {
        memcpy(k->data, r->before.p, before);
    }
    if (after) {
        memcpy(k->data + before, r->after.p, after);
    }
    k->r.before = cur_init(k->data, before);
    k->r.after = cur_init(k->data + before, after);
    if (r->peer) {
        k->peer = *r->peer;
        k->peer.info.name = k->peer.name;
        k->r.peer = &k->peer;
    }
    return k;
}

static void
list_clear(struct list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->items[i]);
    }
    l->n = 0;
}

static void
keep(struct scan *s, struct list *l, const struct routelog_record *r)
{
    if (l->n == l->room) {
        size_t room = l->room ? 2 * l->room : 64;
        struct kept **items = realloc(l->items, room * sizeof *items);
        if (!items) {
            s->error = -ENOMEM;
            return;
        }
        l->items = items;
        l->room = room;
    }
    l->items[l->n] = copy(r);
    if (!l->items[l->n]) {
        s->error = -ENOMEM;
        return;
    }
    l->n++;
}

#define MAX_SESSIONS(S) (16 * (S)->q->limit)

/* Those of sessions are judged when all routes are known, so more of them are
 * kept for the time being. */
static bool
is_full(const struct scan *s)
{
    return s->routes.n > s->q->limit || s->sessions.n > MAX_SESSIONS(s);
}

/* Returns false when there is enough. */
static bool
take(struct scan *s, const struct routelog_record *r)
{
    if (!matches(s, r)) {
        return true;
    }
    bool of_peer = routelog_kind_of_peer(r->kind);
    if (s->match == ROUTELOG_LONGEST && !of_peer) {
        if (r->nlri.prefix.len < s->longest) {
            return true;
        }
        if (r->nlri.prefix.len > s->longest) {
            list_clear(&s->routes);
            s->longest = r->nlri.prefix.len;
        } else if (s->routes.n > s->q->limit) {
            return true;        /* A longer one may still come. */
        }
    }
    keep(s, of_peer ? &s->sessions : &s->routes, r);
    return !s->error && (s->match == ROUTELOG_LONGEST
                         ? s->sessions.n <= MAX_SESSIONS(s) : !is_full(s));
}

/* ---- Blocks and files. ---- */

static bool
block_wanted(const struct scan *s, const struct routelog_block *b,
             const uint8_t *bloom)
{
    if (b->last_us < s->q->from_us || b->first_us >= s->q->to_us) {
        return false;
    }
    if (s->all_blocks || b->has_peers) {
        return true;
    }
    for (unsigned i = 0; i < s->n_hashes; i++) {
        if (routelog_bloom_has(bloom, b->bloom_size, s->hashes[i])) {
            return true;
        }
    }
    return false;
}

/* The records of an unpacked block, the last one first.  False: enough. */
static bool
scan_records(struct scan *s, size_t size)
{
    struct cursor c = cur_init(s->raw, size);
    struct routelog_record r;
    size_t n = 0;
    routelog_peers_reset(&s->peers);
    for (const uint8_t *at = c.p;
         routelog_record_read(&c, &s->peers, &r); at = c.p) {
        s->a->records++;
        if (!matches(s, &r)) {
            continue;
        }
        if (n == s->offsets_room) {
            size_t room = n ? 2 * n : 1024;
            uint32_t *offsets = realloc(s->offsets, room * sizeof *offsets);
            if (!offsets) {
                s->error = -ENOMEM;
                return false;
            }
            s->offsets = offsets;
            s->offsets_room = room;
        }
        s->offsets[n++] = (uint32_t) (at - s->raw);
    }
    s->a->damaged += c.bad;
    while (n--) {
        /* A peer that is told before the record is told once more. */
        struct cursor one = cur_init(s->raw + s->offsets[n],
                                     size - s->offsets[n]);
        if (routelog_record_read(&one, &s->peers, &r) && !take(s, &r)) {
            return false;
        }
    }
    return true;
}

static bool
scan_block(struct scan *s, int fd, off_t at)
{
    uint8_t header[ROUTELOG_HEADER];
    struct routelog_block b;
    if (pread(fd, header, sizeof header, at) != sizeof header
        || !routelog_block_parse(header, &b)) {
        s->a->damaged++;
        return true;
    }
    size_t n = b.bloom_size + b.stored_size;
    if (pread(fd, s->stored, n, at + ROUTELOG_HEADER) != (ssize_t) n
        || !routelog_block_check(header, s->stored, &b)) {
        s->a->damaged++;
        return true;
    }
    s->scanned_us = b.first_us;
    if (!block_wanted(s, &b, s->stored)) {
        s->a->skipped++;
        return true;
    }
    s->a->blocks++;
    if (!routelog_block_unpack(&b, s->stored + b.bloom_size, s->raw)) {
        s->a->damaged++;
        return true;
    }
    return scan_records(s, b.raw_size);
}

/* Where the blocks of a file begin.  What ends in the midst of one is what we
 * were killed over, or what is being written just now. */
static off_t *
find_blocks(const struct scan *s, int fd, size_t *n)
{
    struct stat st;
    size_t room = 0;
    off_t *list = NULL;
    *n = 0;
    off_t at = 0, size = fstat(fd, &st) ? 0 : st.st_size;
    while (size - at >= ROUTELOG_HEADER && *n < MAX_BLOCKS) {
        uint8_t header[ROUTELOG_HEADER];
        struct routelog_block b;
        if (pread(fd, header, sizeof header, at) != sizeof header
            || !routelog_block_parse(header, &b)) {
            s->a->damaged++;
            break;
        }
        off_t next = at + ROUTELOG_HEADER + (off_t) b.bloom_size
                     + (off_t) b.stored_size;
        if (next > size) {
            break;
        }
        if (*n == room) {
            room = room ? 2 * room : 256;
            off_t *more = realloc(list, room * sizeof *more);
            if (!more) {
                break;
            }
            list = more;
        }
        if (b.last_us >= s->q->from_us && b.first_us < s->q->to_us) {
            list[(*n)++] = at;
        }
        at = next;
    }
    return list;
}

static bool
scan_file(struct scan *s, const char *name)
{
    char path[4096];
    size_t n;
    bool more = true;
    snprintf(path, sizeof path, "%s/%s", s->h->dir, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return true;            /* Deleted meanwhile. */
    }
    off_t *blocks = find_blocks(s, fd, &n);
    while (n-- && more) {
        more = scan_block(s, fd, blocks[n]);
        if (more && (s->h->now_us() > s->q->deadline_us
                     || atomic_load(&s->h->closing))) {
            s->a->timed_out = true;
            more = false;
        }
    }
    free(blocks);
    close(fd);
    return more;
}

/* ---- The answer. ---- */

static bool
is_relevant(const struct scan *s, const struct routelog_record *r)
{
    if (!r->peer || s->q->match == ROUTELOG_ALL || s->q->peer) {
        return true;
    }
    for (size_t i = 0; i < s->q->n_peers; i++) {
        if (!strcmp(s->q->peers[i], r->peer->name)) {
            return true;
        }
    }
    for (size_t i = 0; i < s->routes.n; i++) {
        if (!strcmp(s->routes.items[i]->peer.name, r->peer->name)) {
            return true;
        }
    }
    return false;
}

static int
compare_kept(const void *a_, const void *b_)
{
    const struct kept *a = *(struct kept *const *) a_;
    const struct kept *b = *(struct kept *const *) b_;
    return a->r.time_us > b->r.time_us ? -1 : a->r.time_us < b->r.time_us;
}

/* Both lists as one, the newest of it, oldest first. */
static void
answer(struct scan *s, routelog_fn *each, void *aux)
{
    struct kept **all = malloc((s->routes.n + s->sessions.n + 1)
                               * sizeof *all);
    size_t n = 0;
    if (!all) {
        s->error = -ENOMEM;
        return;
    }
    /* So far back all has been looked at. */
    int64_t horizon = s->a->timed_out ? s->scanned_us
                      : s->sessions.n > MAX_SESSIONS(s)
                        ? s->sessions.items[s->sessions.n - 1]->r.time_us
                        : INT64_MIN;
    for (size_t i = 0; i < s->routes.n; i++) {
        all[n++] = s->routes.items[i];
    }
    for (size_t i = 0; i < s->sessions.n; i++) {
        if (is_relevant(s, &s->sessions.items[i]->r)) {
            all[n++] = s->sessions.items[i];
        }
    }
    qsort(all, n, sizeof *all, compare_kept);
    while (n && all[n - 1]->r.time_us < horizon) {
        n--;
    }
    s->a->more = n > s->q->limit || horizon > INT64_MIN;
    s->a->next_us = horizon;
    if (n > s->q->limit) {
        n = s->q->limit;
        s->a->next_us = all[n - 1]->r.time_us;
    }
    while (n--) {
        each(aux, &all[n]->r);
    }
    free(all);
}

static void
prepare(struct scan *s)
{
    s->match = s->q->match;
    s->prefix = s->q->prefix;
    s->longest = -1;
    s->scanned_us = s->q->to_us;
    s->has_addr = s->q->peer && !addr_parse(s->q->peer, &s->peer_addr);
    if (s->match == ROUTELOG_EXACT) {
        s->hashes[s->n_hashes++] = routelog_hash(&s->prefix);
    } else if (s->match == ROUTELOG_LESS || s->match == ROUTELOG_LONGEST) {
        bool v4 = s->prefix.len >= 96 && addr_is_v4(&s->prefix.addr);
        for (int len = s->prefix.len; len >= (v4 ? 96 : 0); len--) {
            struct prefix p = { .len = (uint8_t) len };
            struct addr last;
            prefix_range(&(struct prefix) { s->prefix.addr, p.len },
                         &p.addr, &last);
            s->hashes[s->n_hashes++] = routelog_hash(&p);
        }
    } else if (s->match == ROUTELOG_MORE) {
        s->hashes[0] = routelog_wide_hash(&s->prefix);
        s->n_hashes = s->hashes[0] != 0;
    }
    s->all_blocks = !s->n_hashes;
}

int
routelog_query(struct routelog *h, const struct routelog_query *q,
              routelog_fn *each, void *aux, struct routelog_answer *a)
{
    struct scan *s = calloc(1, sizeof *s);
    struct routelog_file *files = NULL;
    size_t n = 0;
    memset(a, 0, sizeof *a);
    if (!s) {
        return -ENOMEM;
    }
    s->h = h;
    s->q = q;
    s->a = a;
    s->raw = malloc(ROUTELOG_MAX_RAW);
    s->stored = malloc(ROUTELOG_MAX_RAW + ROUTELOG_MAX_BLOOM);
    s->peers.by_number = calloc(RIB_MAX_PEERS, sizeof *s->peers.by_number);
    if (!s->raw || !s->stored || !s->peers.by_number) {
        s->error = -ENOMEM;
    } else {
        prepare(s);
        routelog_flush(h);
        s->error = routelog_list(h->dir, &files, &n);
    }
    for (bool more = !s->error; n && more;) {
        n--;
        /* A file has an hour, and what came in a moment of the next. */
        if (files[n].start_us >= q->to_us) {
            continue;
        }
        if (files[n].start_us + 2 * HOUR_US < q->from_us) {
            break;
        }
        more = scan_file(s, files[n].name);
    }
    if (!s->error) {
        answer(s, each, aux);
    }
    int error = s->error;
    list_clear(&s->routes);
    list_clear(&s->sessions);
    free(s->routes.items);
    free(s->sessions.items);
    free(files);
    free(s->offsets);
    free(s->peers.list);
    free(s->peers.by_number);
    free(s->stored);
    free(s->raw);
    free(s);
    return error;
}
