/* collector/identity/face.c -- what is known of an endpoint, kept once. */
#include <config.h>

#include "collector/identity/identity_p.h"

#include <stdlib.h>
#include <string.h>

#include "collector/identity/labels.h"

#include "lib/dict.h"

const struct identity_member_def identity_members[IDENTITY_N_MEMBERS] = {
#define X(ID, NAME, SHARED, DOC) [IDENTITY_##ID] = { NAME, SHARED, DOC },
    IDENTITY_MEMBERS(X)
#undef X
};

#define GROUP_HEAD offsetof(struct face_group, text)
#define FACE_HEAD offsetof(struct identity_face, text)

static const char *
or_empty(const char *s)
{
    return s ? s : "";
}

/* ---- Small numbers for networks and tenants. ---- */

struct number {
    struct number *next;
    uint32_t hash, id, refs;
    char text[];
};

struct numbering {
    struct number **buckets;
    uint32_t mask, n, max;
    uint32_t last;              /* Numbers are not used again. */
    size_t bytes;
};

#define NO_NUMBER UINT32_MAX
#define NUMBERS_MIN 64
#define NUMBER_BYTES 64         /* Of texts on average, at most. */

struct numbering *
numbering_create(uint32_t max)
{
    struct numbering *n = calloc(1, sizeof *n);
    if (n) {
        n->max = max;
        n->mask = NUMBERS_MIN - 1;
        n->buckets = calloc(NUMBERS_MIN, sizeof *n->buckets);
        if (!n->buckets) {
            free(n);
            n = NULL;
        }
    }
    return n;
}

void
numbering_destroy(struct numbering *n)
{
    for (uint32_t i = 0; n && i <= n->mask; i++) {
        while (n->buckets[i]) {
            struct number *v = n->buckets[i];
            n->buckets[i] = v->next;
            free(v);
        }
    }
    if (n) {
        free(n->buckets);
        free(n);
    }
}

/* Without memory chains are longer. */
static void
numbering_grow(struct numbering *n)
{
    uint32_t mask = n->mask * 2 + 1;
    struct number **buckets = calloc((size_t) mask + 1, sizeof *buckets);
    for (uint32_t i = 0; buckets && i <= n->mask; i++) {
        while (n->buckets[i]) {
            struct number *v = n->buckets[i];
            n->buckets[i] = v->next;
            v->next = buckets[v->hash & mask];
            buckets[v->hash & mask] = v;
        }
    }
    if (buckets) {
        free(n->buckets);
        n->buckets = buckets;
        n->mask = mask;
    }
}

/* Where the number of a text is, or would be. */
static struct number **
numbering_find(struct numbering *n, const char *text, uint32_t hash)
{
    struct number **p = &n->buckets[hash & n->mask];
    while (*p && ((*p)->hash != hash || strcmp((*p)->text, text))) {
        p = &(*p)->next;
    }
    return p;
}

uint32_t
numbering_hold(struct numbering *n, const char *text)
{
    size_t size = strlen(text) + 1;
    uint32_t hash = (uint32_t) hash_text(0, text);
    struct number *v = *text ? *numbering_find(n, text, hash) : NULL;
    if (v) {
        v->refs++;
    }
    if (v || !*text) {
        return v ? v->id : 0;
    }
    if (n->n == n->max || n->last == UINT32_MAX - 1 || n->bytes + size > (size_t) n->max * NUMBER_BYTES
        || !(v = malloc(sizeof *v + size))) {
        return NO_NUMBER;
    }
    if (n->n++ > n->mask) {
        numbering_grow(n);
    }
    v->hash = hash;
    v->id = ++n->last;
    v->refs = 1;
    memcpy(v->text, text, size);
    v->next = n->buckets[hash & n->mask];
    n->buckets[hash & n->mask] = v;
    n->bytes += size;
    return v->id;
}

void
numbering_release(struct numbering *n, const char *text, uint32_t id)
{
    struct number **p = numbering_find(n, text,
                                       (uint32_t) hash_text(0, text));
    struct number *v = *p;
    if (v && v->id == id && !--v->refs) {
        *p = v->next;
        n->bytes -= strlen(text) + 1;
        n->n--;
        free(v);
    }
}

/* ---- Texts, one after the other. ---- */

static size_t
size_of_text(const char *s)
{
    return (s ? strlen(s) : 0) + 1;
}

static char *
put_text(char *at, const char *s)
{
    return stpcpy(at, or_empty(s)) + 1;
}

static const char *
nth_text(const char *s, unsigned int n)
{
    while (n--) {
        s += strlen(s) + 1;
    }
    return s;
}

/* ---- Names in the dictionary that flows use. ---- */

/* The first flow of the endpoint: two threads get the same id, one of them
 * holds it. */
uint32_t
name_first_asked(const struct identity *t, const struct binding *b,
                 enum identity_member m, _Atomic uint32_t *id)
{
    const char *s = identity_text(face_at(t, b->face), m);
    uint32_t v = dict_passing(t->dict, s, strlen(s)), none = 0;
    dict_hold(t->dict, v);
    if (!atomic_compare_exchange_strong(id, &none, v + 1)) {
        dict_release(t->dict, v);
    }
    return v;
}

/* Held as long as somebody has it; flows on their way have it for a while
 * longer. */
void
name_release(struct identity *t, _Atomic uint32_t *name)
{
    uint32_t v = atomic_exchange_explicit(name, 0, memory_order_relaxed);
    if (v) {
        dict_release(t->dict, v - 1);
    }
}

/* ---- Groups: the members that many share. ---- */

/* Which text of a group a member is. */
static const uint8_t shared_index[IDENTITY_N_MEMBERS] = {
    [IDENTITY_TYPE] = 0, [IDENTITY_TENANT] = 1, [IDENTITY_NETWORK] = 2,
    [IDENTITY_BRIDGE] = 3, [IDENTITY_LABELS] = 4,
};

static const char *
group_text(const struct face_group *g, enum identity_member m)
{
    return nth_text(g->text, shared_index[m]);
}

static uint32_t
group_hash(const struct identity *t, const char *const *text)
{
    uint64_t h = t->seed;
    for (int i = 0; i < IDENTITY_N_MEMBERS; i++) {
        if (identity_members[i].shared) {
            h = hash_text(h, or_empty(text[i]));
        }
    }
    return (uint32_t) h;
}

static bool
group_equal(const struct face_group *g, const char *const *text)
{
    const char *s = g->text;
    for (int i = 0; i < IDENTITY_N_MEMBERS; i++) {
        if (identity_members[i].shared) {
            if (strcmp(s, or_empty(text[i]))) {
                return false;
            }
            s += strlen(s) + 1;
        }
    }
    return true;
}

static bool
groups_grow(struct identity *t)
{
    uint32_t mask = t->group_mask * 2 + 1;
    uint32_t *groups = calloc((size_t) mask + 1, sizeof *groups);
    if (!groups) {
        return false;
    }
    for (uint32_t i = 0; i <= t->group_mask; i++) {
        uint32_t next;
        for (uint32_t at = t->groups[i]; at; at = next) {
            struct face_group *g = group_at(t, at);
            next = g->next;
            g->next = groups[g->hash & mask];
            groups[g->hash & mask] = at;
        }
    }
    free(t->groups);
    t->groups = groups;
    t->bytes += ((size_t) mask - t->group_mask) * sizeof *groups;
    t->group_mask = mask;
    return true;
}

static void
numbers_release(struct identity *t, const struct face_group *g)
{
    numbering_release(t->scopes, group_text(g, IDENTITY_NETWORK), g->scope);
    numbering_release(t->tenants, group_text(g, IDENTITY_TENANT), g->tenant);
}

static struct face_group *
group_make(struct identity *t, const char *const *text, uint32_t hash)
{
    size_t size = 0;
    for (int i = 0; i < IDENTITY_N_MEMBERS; i++) {
        size += identity_members[i].shared ? size_of_text(text[i]) : 0;
    }
    if (t->n_groups > t->group_mask && !groups_grow(t)) {
        return NULL;
    }
    uint32_t block = block_pool_alloc(&t->pool, GROUP_HEAD + size);
    if (!block) {
        return NULL;
    }
    struct face_group *g = group_at(t, block);
    g->self = block;
    g->hash = hash;
    g->size = (uint16_t) size;
    char *at = g->text;
    for (int i = 0; i < IDENTITY_N_MEMBERS; i++) {
        if (identity_members[i].shared) {
            at = put_text(at, text[i]);
        }
    }
    g->scope = numbering_hold(t->scopes, or_empty(text[IDENTITY_NETWORK]));
    g->tenant = numbering_hold(t->tenants, or_empty(text[IDENTITY_TENANT]));
    /* Without numbers two networks, or tenants, would seem to be one. */
    t->names_full = g->scope == NO_NUMBER || g->tenant == NO_NUMBER;
    if (t->names_full) {
        numbers_release(t, g);
        block_pool_free(&t->pool, block, GROUP_HEAD + size);
        return NULL;
    }
    g->next = t->groups[hash & t->group_mask];
    t->groups[hash & t->group_mask] = block;
    t->n_groups++;
    return g;
}

static struct face_group *
group_get(struct identity *t, const char *const *text)
{
    uint32_t hash = group_hash(t, text);
    struct face_group *g = NULL;
    for (uint32_t at = t->groups[hash & t->group_mask]; at; at = g->next) {
        g = group_at(t, at);
        if (g->hash == hash && group_equal(g, text)) {
            g->refs++;
            return g;
        }
    }
    g = group_make(t, text, hash);
    if (g) {
        g->refs++;
    }
    return g;
}

static void
group_unref(struct identity *t, struct face_group *g)
{
    if (--g->refs) {
        return;
    }
    uint32_t *p = &t->groups[g->hash & t->group_mask];
    while (*p != g->self) {
        p = &group_at(t, *p)->next;
    }
    *p = g->next;
    t->n_groups--;
    numbers_release(t, g);
    for (int i = 0; i < GROUP_N_NAMES; i++) {
        name_release(t, &g->name[i]);
    }
    limbo_add(t, g->self, GROUP_HEAD + g->size);
}

/* ---- Faces. ---- */

static uint32_t
make(struct identity *t, const char *const own[FACE_N_TEXTS],
     const char *const *text, uint16_t source, bool by_mac, uint32_t mac)
{
    size_t size = 0;
    for (int i = 0; i < FACE_N_TEXTS; i++) {
        size += size_of_text(own[i]);
    }
    t->names_full = false;
    struct face_group *g = group_get(t, text);
    uint32_t block = g ? block_pool_alloc(&t->pool, FACE_HEAD + size) : 0;
    if (!block) {
        if (g) {
            group_unref(t, g);
        }
        return 0;
    }
    struct identity_face *f = face_at(t, block);
    f->group = g;
    f->refs = 1;
    f->source = source;
    f->size = (uint16_t) (size & 0x7fff);
    f->by_mac = by_mac;
    f->mac = mac;
    char *at = f->text;
    for (int i = 0; i < FACE_N_TEXTS; i++) {
        at = put_text(at, own[i]);
    }
    return block;
}

/* The low bits of its first MAC address; 0: none. */
static uint32_t
first_mac(const struct identity_endpoint *e)
{
    for (size_t i = 0; i < e->n_keys; i++) {
        if (e->keys[i].kind == IDENTITY_KEY_MAC) {
            uint32_t low;
            memcpy(&low, e->keys[i].addr.b + 8, sizeof low);
            return low;
        }
    }
    return 0;
}

static bool
has_address(const struct identity_endpoint *e)
{
    for (size_t i = 0; i < e->n_keys; i++) {
        if (e->keys[i].kind == IDENTITY_KEY_ADDRESS
            || e->keys[i].kind == IDENTITY_KEY_PREFIX) {
            return true;
        }
    }
    return false;
}

uint32_t
face_make(struct identity *t, const struct identity_endpoint *e,
          uint16_t source)
{
    const char *own[FACE_N_TEXTS] = {
        [FACE_ID] = e->id,
        [FACE_INTERFACE] = e->interface,
        [FACE_NAME] = e->text[IDENTITY_NAME],
        [FACE_PORT] = e->text[IDENTITY_PORT],
        [FACE_HOST] = e->text[IDENTITY_HOST],
    };
    return make(t, own, e->text, source, !has_address(e), first_mac(e));
}

uint32_t
face_merge(struct identity *t, const struct identity_face *own,
           const struct identity_face *const *others, size_t n)
{
    const char *text[IDENTITY_N_MEMBERS];
    char labels[2][IDENTITY_MAX_TEXT + 1];      /* In turn. */
    bool by_mac = own->by_mac, turn = false;
    uint32_t mac = own->mac;
    for (int i = 0; i < IDENTITY_N_MEMBERS; i++) {
        text[i] = NULL;
        for (size_t j = 0; j < n && (!text[i] || !*text[i]); j++) {
            text[i] = identity_text(others[j], i);
        }
    }
    for (size_t j = 0; j < n; j++) {
        const char *more = identity_text(others[j], IDENTITY_LABELS);
        if (*more && more != text[IDENTITY_LABELS]) {   /* Each by itself. */
            turn = !turn;
            labels_merge(labels[turn], sizeof labels[0],
                         text[IDENTITY_LABELS], more);
            text[IDENTITY_LABELS] = labels[turn];
        }
        by_mac = by_mac && others[j]->by_mac;
        mac = mac ? mac : others[j]->mac;
    }
    const char *const texts[FACE_N_TEXTS] = {
        [FACE_ID] = identity_id(own),
        [FACE_INTERFACE] = identity_interface(own),
        [FACE_NAME] = text[IDENTITY_NAME],
        [FACE_PORT] = text[IDENTITY_PORT],
        [FACE_HOST] = text[IDENTITY_HOST],
    };
    return make(t, texts, text, own->source, by_mac, mac);
}

bool
face_equal(const struct identity *t, uint32_t a_, uint32_t b_)
{
    const struct identity_face *a = face_at(t, a_), *b = face_at(t, b_);
    return a_ == b_
           || (a->group == b->group && a->source == b->source
               && a->by_mac == b->by_mac && a->mac == b->mac
               && a->size == b->size && !memcmp(a->text, b->text, a->size));
}

uint32_t
face_ref(struct identity *t, uint32_t face)
{
    face_at(t, face)->refs++;
    return face;
}

void
face_unref(struct identity *t, uint32_t face)
{
    struct identity_face *f = face_at(t, face);
    if (f && !--f->refs) {
        group_unref(t, f->group);
        limbo_add(t, face, FACE_HEAD + f->size);
    }
}

void
faces_destroy(struct identity *t)
{
    for (uint32_t i = 0; t->groups && i <= t->group_mask; i++) {
        struct face_group *g;
        for (uint32_t at = t->groups[i]; at; at = g->next) {
            g = group_at(t, at);
            for (int j = 0; j < GROUP_N_NAMES; j++) {
                name_release(t, &g->name[j]);
            }
        }
    }
    free(t->groups);
    numbering_destroy(t->scopes);
    numbering_destroy(t->tenants);
}

const char *
identity_text(const struct identity_face *f, enum identity_member m)
{
    switch (m) {
    case IDENTITY_NAME:
        return nth_text(f->text, FACE_NAME);
    case IDENTITY_PORT:
        return nth_text(f->text, FACE_PORT);
    case IDENTITY_HOST:
        return nth_text(f->text, FACE_HOST);
    default:
        return group_text(f->group, m);
    }
}

const char *
identity_id(const struct identity_face *f)
{
    return f->text;
}

const char *
identity_interface(const struct identity_face *f)
{
    return nth_text(f->text, FACE_INTERFACE);
}
