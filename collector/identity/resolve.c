/* collector/identity/resolve.c -- from what a flow says of its ends to who they
 * are.
 *
 * An address alone does not tell: tenants use the same ones.  So first the
 * network of an end is found, by the port, the MAC addresses or the VNI, and
 * then the address is looked up in it. */
#include <config.h>

#include "collector/identity/identity_p.h"

#include <string.h>

/* Packets of an endpoint that has just gone still arrive. */
#define GRACE_US (INT64_C(30) * 1000000)
/* More bindings of one key than these are not looked at: then an address is
 * ambiguous, and an old interval not found here (the journal has it). */
#define MAX_WALK 64

struct when {
    int64_t at;
    bool grace;
};

static bool
holds(const struct binding *b, struct when w)
{
    int64_t from = atomic_load_explicit(&b->from, memory_order_relaxed);
    int64_t to = atomic_load_explicit(&b->to, memory_order_acquire);
    return from <= w.at
           && (w.at < to || (w.grace && w.at - GRACE_US < to));
}

/* The most trusted one of a key and scope. */
static const struct binding *
pick(const struct identity *t, uint32_t index, struct when w)
{
    const struct binding *best = NULL;
    for (int i = 0; index && i < MAX_WALK; i++) {
        const struct binding *b = binding_at(t, index);
        if (holds(b, w)
            && (!best || t->sources[b->source].rank
                         < t->sources[best->source].rank)) {
            best = b;
        }
        index = older_of(t, b);
    }
    return best;
}

/* Addresses that many networks have: RFC 1918, 6598, 4193, link-local. */
static bool
is_private(const struct addr *a)
{
    const uint8_t *p = a->b;
    if (addr_is_v4(a)) {
        return p[12] == 10 || (p[12] == 172 && (p[13] & 0xf0) == 16)
               || (p[12] == 192 && p[13] == 168)
               || (p[12] == 100 && (p[13] & 0xc0) == 64)
               || (p[12] == 169 && p[13] == 254);
    }
    return (p[0] & 0xfe) == 0xfc || (p[0] == 0xfe && (p[1] & 0xc0) == 0x80);
}

/* What is known of where an end is. */
struct place {
    uint32_t scope, tenant;     /* 0: not known. */
};

static bool
may_be(uint32_t tenant, const struct addr *a, struct place p)
{
    return !p.tenant || !tenant || tenant == p.tenant || !is_private(a);
}

/* The one that has the key in whichever scope, if only one scope fits. */
static const struct binding *
find_anywhere(const struct identity *t, uint32_t index, const struct addr *a,
              struct place p, struct when w)
{
    const struct binding *found = NULL, *mine = NULL;
    bool two = false, two_mine = false;
    for (int i = 0; index; i++) {
        const struct binding *b = binding_at(t, index);
        if (i == MAX_WALK) {
            return mine;                /* Others may have it, too. */
        }
        if (holds(b, w)) {
            const struct face_group *g = group_at(t, b->group);
            if (p.tenant && g->tenant == p.tenant) {
                two_mine |= mine && group_at(t, mine->group)->scope
                                    != g->scope;
                mine = mine ? mine : b;
            }
            two |= found && group_at(t, found->group)->scope != g->scope;
            found = found ? found : b;
        }
        index = next_same_of(t, b);
    }
    if (mine) {
        return two_mine ? NULL : mine;
    }
    return found && !two && may_be(group_at(t, found->group)->tenant, a, p)
           ? found : NULL;
}

/* One endpoint, perhaps told by two sources. */
static bool
same_endpoint(const struct identity *t, const struct binding *a,
              const struct binding *b)
{
    if (!b || a->face == b->face) {
        return b;
    }
    const char *interface = identity_interface(face_at(t, a->face));
    return *interface && !strcmp(interface, identity_interface(
                                                face_at(t, b->face)));
}

/* Of those that have the key, in one network even, the one whose port or MAC
 * address the end has. */
static const struct binding *
find_own(const struct identity *t, uint32_t index,
         const struct binding *const hint[3], struct when w)
{
    for (int i = 0; index && i < MAX_WALK && (hint[0] || hint[1]); i++) {
        const struct binding *b = binding_at(t, index);
        if (holds(b, w) && (same_endpoint(t, b, hint[0])
                            || same_endpoint(t, b, hint[1]))) {
            return b;
        }
        index = next_same_of(t, b);
    }
    return NULL;
}

static const struct binding *
find_key(const struct identity *t, const struct addr *key, uint8_t kind,
         uint8_t len, const struct addr *a, struct place p,
         const struct binding *const hint[3], struct when w)
{
    uint32_t index = find_any(t, key, kind, len,
                              binding_hash(t, key, kind, len, 0));
    if (!index) {
        return NULL;
    }
    const struct binding *b = binding_at(t, index);
    if (!more_of(t, b)) {
        const struct face_group *g = group_at(t, b->group);
        uint32_t scope = scope_of(t, b);
        return holds(b, w) && (scope == p.scope || !scope
                               || may_be(g->tenant, a, p)) ? b : NULL;
    }
    const struct binding *own = find_own(t, index, hint, w);
    if (own) {
        return own;
    }
    uint32_t scopes[2] = { p.scope, 0 };
    for (int i = p.scope ? 0 : 1; i < 2; i++) {
        const struct binding *f = pick(
            t, find_scoped(t, key, kind, len, scopes[i]), w);
        if (f) {
            return f;
        }
    }
    return find_anywhere(t, index, a, p, w);
}

static struct addr
masked(const struct addr *a, unsigned int len)
{
    struct addr m = { { 0 } };
    memcpy(m.b, a->b, len / 8);
    if (len % 8) {
        m.b[len / 8] = (uint8_t) (a->b[len / 8] & (0xff00 >> len % 8));
    }
    return m;
}

/* The longest prefix in use that is shorter than 'len'; -1: none. */
static int
next_length(const struct identity *t, int len)
{
    for (int i = (len - 1) / 64; len > 0 && i >= 0; i--) {
        uint64_t w = atomic_load_explicit(&t->lengths[i],
                                          memory_order_relaxed);
        int top = len - 1 - i * 64;
        if (top < 63) {
            w &= (UINT64_C(2) << top) - 1;
        }
        if (w) {
            return i * 64 + 63 - __builtin_clzll(w);
        }
    }
    return -1;
}

static const struct binding *
find_address(const struct identity *t, const struct addr *a, struct place p,
             const struct binding *const hint[3], struct when w)
{
    const struct binding *f = find_key(t, a, IDENTITY_KEY_ADDRESS, 128,
                                             a, p, hint, w);
    for (int len = next_length(t, 128); !f && len >= 0;
         len = next_length(t, len)) {
        struct addr m = masked(a, (unsigned int) len);
        f = find_key(t, &m, IDENTITY_KEY_PREFIX, (uint8_t) len, a, p, hint,
                     w);
    }
    return f;
}

static const struct binding *
find_hint(const struct identity *t, const struct identity_key *k,
          struct when w)
{
    uint32_t index = find_any(t, &k->addr, k->kind, k->len,
                              binding_hash(t, &k->addr, k->kind, k->len, 0));
    return index ? find_anywhere(t, index, &k->addr,
                                 (struct place) { 0, 0 }, w) : NULL;
}

static bool
any_of(const struct identity *t, enum identity_key_kind kind)
{
    return atomic_load_explicit(&t->n_kind[kind], memory_order_relaxed);
}

/* Whose port, and whose MAC address, an end has; NULL: nobody's. */
static void
find_hints(const struct identity *t, const struct identity_end *e,
           struct when w, const struct binding *hint[3])
{
    struct identity_key k;
    if (e->port && any_of(t, IDENTITY_KEY_PORT)) {
        k = identity_key_port(e->bridge, e->port);
        hint[0] = find_hint(t, &k, w);
    }
    if (e->mac && any_of(t, IDENTITY_KEY_MAC)) {
        k = identity_key_mac(e->mac);
        hint[1] = find_hint(t, &k, w);
    }
    if (e->has_vni && any_of(t, IDENTITY_KEY_VNI)) {
        k = identity_key_vni(e->vni);
        hint[2] = find_hint(t, &k, w);
    }
}

static struct place
place_of(const struct identity *t, const struct binding *const hint[3])
{
    struct place p = { 0, 0 };
    for (int i = 0; i < 3; i++) {
        if (hint[i] && !p.scope) {
            p.scope = group_at(t, hint[i]->group)->scope;
        }
        if (hint[i] && !p.tenant) {
            p.tenant = group_at(t, hint[i]->group)->tenant;
        }
    }
    return p;
}

static const struct binding *
resolve_end(const struct identity *t, const struct identity_end *e,
            const struct binding *const hint[3], struct place p,
            struct when w)
{
    const struct binding *f = e->has_addr
                                    ? find_address(t, &e->addr, p, hint, w)
                                    : NULL;
    /* One of which no address is known is told by its MAC address, or port. */
    for (int i = 1; i >= 0 && !f; i--) {
        if (hint[i] && hint[i]->by_mac) {
            f = hint[i];
        }
    }
    return f;
}

/* The usual case: an end is known by an address that only one has, and its MAC
 * address is that one's, or there is nothing that could tell otherwise; the
 * other end is in the same network, or tenant. */
bool
resolve_quick(const struct identity *t, const struct binding *const b[2],
              const struct addr *const addr[2], const uint64_t mac[2],
              bool hints, int64_t at_us, const struct binding *found[2])
{
    const struct when w = { at_us, false };
    struct place p = { 0, 0 };
    bool own[2] = { false, false };     /* Its MAC address says so, too. */
    bool others = any_of(t, IDENTITY_KEY_PREFIX)
                  || atomic_load_explicit(&t->n_by_mac, memory_order_relaxed);
    for (int i = 0; i < 2; i++) {
        if (!b[i]) {
            continue;
        }
        if (next_same_of(t, b[i]) || !holds(b[i], w)) {
            return false;
        }
        own[i] = b[i]->mac && b[i]->mac == (uint32_t) mac[i];
        if (own[i]) {
            const struct face_group *g = group_at(t, b[i]->group);
            p = (struct place) { g->scope, g->tenant };
        }
    }
    if ((!b[0] || !b[1]) && others) {
        return false;                   /* Something else could tell. */
    }
    if ((b[0] || b[1]) && hints && !own[0] && !own[1]) {
        return false;
    }
    for (int i = 0; i < 2; i++) {
        if (b[i] && !own[i]) {
            const struct face_group *g = group_at(t, b[i]->group);
            if (g->scope && g->scope != p.scope
                && !may_be(g->tenant, addr[i], p)) {
                return false;
            }
        }
    }
    found[0] = b[0];
    found[1] = b[1];
    return true;
}

void
resolve_ends(const struct identity *t, const struct identity_end end[2],
             int64_t at_us, int64_t alt_us, const struct binding *found[2])
{
    struct when tries[3] = { { at_us, false }, { alt_us, false },
                             { at_us, true } };
    found[0] = found[1] = NULL;
    for (int n = 0; n < 3 && !(found[0] && found[1]); n++) {
        const struct binding *hint[2][3] = { { NULL } };
        struct place place[2];
        if (n == 1 && alt_us == at_us) {
            continue;
        }
        for (int i = 0; i < 2; i++) {
            find_hints(t, &end[i], tries[n], hint[i]);
            place[i] = place_of(t, hint[i]);
        }
        for (int i = 0; i < 2; i++) {
            /* Both ends of a frame are in one network. */
            struct place p = place[i].scope ? place[i] : place[!i];
            if (!found[i]) {
                found[i] = resolve_end(t, &end[i], hint[i], p, tries[n]);
            }
        }
    }
}

void
identity_resolve(const struct identity *t, const struct identity_end end[2],
                 int64_t at_us, int64_t alt_us,
                 const struct identity_face *face[2])
{
    const struct addr *const addr[2] = { &end[0].addr, &end[1].addr };
    const uint64_t mac[2] = { end[0].mac, end[1].mac };
    const struct binding *b[2] = { NULL, NULL };
    bool hints = false;
    for (int i = 0; i < 2; i++) {
        uint32_t index = !end[i].has_addr ? 0 : find_any(
            t, addr[i], IDENTITY_KEY_ADDRESS, 128,
            binding_hash(t, addr[i], IDENTITY_KEY_ADDRESS, 128, 0));
        b[i] = index ? binding_at(t, index) : NULL;
        hints = hints || mac[i] || end[i].port || end[i].has_vni;
    }
    if (!resolve_quick(t, b, addr, mac, hints, at_us, b)) {
        resolve_ends(t, end, at_us, alt_us, b);
    }
    for (int i = 0; i < 2; i++) {
        face[i] = b[i] ? face_at(t, b[i]->face) : NULL;
    }
}

size_t
identity_find_key(const struct identity *t, const struct identity_key *k,
                  int64_t at_us, struct identity_interval *list, size_t max)
{
    struct when w = { at_us, false };
    size_t n = 0;
    uint32_t index = find_any(t, &k->addr, k->kind, k->len,
                              binding_hash(t, &k->addr, k->kind, k->len, 0));
    while (index) {
        const struct binding *b = binding_at(t, index);
        uint8_t rank = t->sources[b->source].rank;
        if (holds(b, w) && (n < max || rank < list[max - 1].rank)) {
            size_t i = n < max ? n++ : max - 1;
            while (i && rank < list[i - 1].rank) {
                list[i] = list[i - 1];
                i--;
            }
            list[i] = (struct identity_interval) {
                .key = *k, .face = face_at(t, b->face),
                .source = t->sources[b->source].name, .rank = rank,
                .from_us = b->from, .to_us = b->to,
            };
        }
        index = next_same_of(t, b);
    }
    return n;
}

size_t
identity_find(const struct identity *t, const struct identity_key *key,
              int64_t at_us, struct identity_interval *list, size_t max)
{
    size_t n = identity_find_key(t, key, at_us, list, max);
    int len = key->kind == IDENTITY_KEY_ADDRESS ? next_length(t, 128) : -1;
    for (; !n && len >= 0; len = next_length(t, len)) {
        struct identity_key k = { masked(&key->addr, (unsigned int) len),
                                  IDENTITY_KEY_PREFIX, (uint8_t) len };
        n = identity_find_key(t, &k, at_us, list, max);
    }
    return n;
}

const _Atomic uint64_t *
identity_lengths(const struct identity *t)
{
    return t->lengths;
}
