/* collector/identity/face.c -- what is known of an endpoint, kept once. */
#include <config.h>

#include "collector/identity/identity_p.h"

#include <stdlib.h>
#include <string.h>

#include "lib/dict.h"

const struct identity_member_def identity_members[IDENTITY_N_MEMBERS] = {
#define X(ID, NAME, SHARED, DOC) [IDENTITY_##ID] = { NAME, SHARED, DOC },
    IDENTITY_MEMBERS(X)
#undef X
};

static const char *
or_empty(const char *s)
{
    return s ? s : "";
}

/* ---- Small numbers for networks and tenants. ---- */

struct numbering {
    struct dict *dict;
};

struct numbering *
numbering_create(uint32_t max)
{
    struct numbering *n = calloc(1, sizeof *n);
    if (n) {
        n->dict = dict_create(max, (size_t) max * 64);
        if (!n->dict) {
            free(n);
            n = NULL;
        }
    }
    return n;
}

void
numbering_destroy(struct numbering *n)
{
    if (n) {
        dict_destroy(n->dict);
        free(n);
    }
}

uint32_t
numbering_get(struct numbering *n, const char *text)
{
    return *text ? dict_intern(n->dict, text, strlen(text)) : 0;
}

/* ---- Names in the dictionary that flows use. ---- */

/* Held as long as somebody has it; flows on their way have it for a while
 * longer. */
static void
release_name(struct identity *t, _Atomic uint32_t *name)
{
    uint32_t v = atomic_exchange_explicit(name, 0, memory_order_relaxed);
    if (v) {
        dict_release(t->dict, v - 1);
    }
}

/* ---- Groups: the members that many share. ---- */

static uint64_t
group_hash(const struct identity *t, const char *const *text)
{
    uint64_t h = t->seed;
    for (int i = 0; i < IDENTITY_N_MEMBERS; i++) {
        if (identity_members[i].shared) {
            h = hash_text(h, or_empty(text[i]));
        }
    }
    return h;
}

static bool
group_equal(const struct face_group *g, const char *const *text)
{
    for (int i = 0; i < IDENTITY_N_MEMBERS; i++) {
        if (identity_members[i].shared
            && strcmp(g->text + g->at[i], or_empty(text[i]))) {
            return false;
        }
    }
    return true;
}

static bool
groups_grow(struct identity *t)
{
    uint32_t mask = t->group_mask * 2 + 1;
    struct face_group **groups = calloc((size_t) mask + 1, sizeof *groups);
    if (!groups) {
        return false;
    }
    for (uint32_t i = 0; i <= t->group_mask; i++) {
        struct face_group *g, *next;
        for (g = t->groups[i]; g; g = next) {
            next = g->next;
            g->next = groups[g->hash & mask];
            groups[g->hash & mask] = g;
        }
    }
    free(t->groups);
    t->groups = groups;
    t->group_mask = mask;
    return true;
}

static struct face_group *
group_make(struct identity *t, const char *const *text, uint64_t hash)
{
    size_t size = 1;
    for (int i = 0; i < IDENTITY_N_MEMBERS; i++) {
        if (identity_members[i].shared && text[i] && *text[i]) {
            size += strlen(text[i]) + 1;
        }
    }
    if (t->n_groups > t->group_mask && !groups_grow(t)) {
        return NULL;
    }
    struct face_group *g = block_pool_alloc(&t->pool, sizeof *g + size);
    if (!g) {
        return NULL;
    }
    g->hash = hash;
    g->size = (uint16_t) size;
    size_t at = 1;
    for (int i = 0; i < IDENTITY_N_MEMBERS; i++) {
        if (identity_members[i].shared && text[i] && *text[i]) {
            g->at[i] = (uint16_t) at;
            at += (size_t) (stpcpy(g->text + at, text[i])
                            - (g->text + at)) + 1;
        }
    }
    g->scope = numbering_get(t->scopes, g->text + g->at[IDENTITY_NETWORK]);
    g->tenant = numbering_get(t->tenants, g->text + g->at[IDENTITY_TENANT]);
    g->next = t->groups[hash & t->group_mask];
    t->groups[hash & t->group_mask] = g;
    t->n_groups++;
    return g;
}

static struct face_group *
group_get(struct identity *t, const char *const *text)
{
    uint64_t hash = group_hash(t, text);
    struct face_group *g = t->groups[hash & t->group_mask];
    while (g && (g->hash != hash || !group_equal(g, text))) {
        g = g->next;
    }
    if (!g) {
        g = group_make(t, text, hash);
    }
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
    for (int i = 0; i < IDENTITY_N_MEMBERS; i++) {
        release_name(t, &g->name[i]);
    }
    struct face_group **p = &t->groups[g->hash & t->group_mask];
    while (*p != g) {
        p = &(*p)->next;
    }
    *p = g->next;
    t->n_groups--;
    limbo_add(t, g, sizeof *g + g->size);
}

/* ---- Faces. ---- */

static struct identity_face *
make(struct identity *t, const char *const own[FACE_N_TEXTS],
     const char *const *text, uint16_t source, bool by_mac, uint32_t mac)
{
    size_t size = 1;
    for (int i = 0; i < FACE_N_TEXTS; i++) {
        size += own[i] && *own[i] ? strlen(own[i]) + 1 : 0;
    }
    struct face_group *g = group_get(t, text);
    struct identity_face *f = g ? block_pool_alloc(&t->pool, sizeof *f + size)
                                : NULL;
    if (!f) {
        if (g) {
            group_unref(t, g);
        }
        return NULL;
    }
    f->group = g;
    f->refs = 1;
    f->source = source;
    f->size = (uint16_t) size;
    f->by_mac = by_mac;
    f->mac = mac;
    size_t at = 1;
    for (int i = 0; i < FACE_N_TEXTS; i++) {
        if (own[i] && *own[i]) {
            f->at[i] = (uint16_t) at;
            at += (size_t) (stpcpy(f->text + at, own[i])
                            - (f->text + at)) + 1;
        }
    }
    return f;
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

struct identity_face *
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

struct identity_face *
face_merge(struct identity *t, struct identity_face *own,
           struct identity_face *const *others, size_t n)
{
    const char *text[IDENTITY_N_MEMBERS];
    bool by_mac = own->by_mac;
    uint32_t mac = own->mac;
    for (int i = 0; i < IDENTITY_N_MEMBERS; i++) {
        text[i] = NULL;
        for (size_t j = 0; j < n && (!text[i] || !*text[i]); j++) {
            text[i] = identity_text(others[j], i);
        }
    }
    for (size_t j = 0; j < n; j++) {
        by_mac = by_mac && others[j]->by_mac;
        mac = mac ? mac : others[j]->mac;
    }
    const char *const texts[FACE_N_TEXTS] = {
        [FACE_ID] = own->text + own->at[FACE_ID],
        [FACE_INTERFACE] = own->text + own->at[FACE_INTERFACE],
        [FACE_NAME] = text[IDENTITY_NAME],
        [FACE_PORT] = text[IDENTITY_PORT],
        [FACE_HOST] = text[IDENTITY_HOST],
    };
    return make(t, texts, text, own->source, by_mac, mac);
}

bool
face_equal(const struct identity_face *a, const struct identity_face *b)
{
    if (a->group != b->group || a->source != b->source
        || a->by_mac != b->by_mac || a->mac != b->mac) {
        return false;
    }
    for (int i = 0; i < FACE_N_TEXTS; i++) {
        if (strcmp(a->text + a->at[i], b->text + b->at[i])) {
            return false;
        }
    }
    return true;
}

struct identity_face *
face_ref(struct identity_face *f)
{
    f->refs++;
    return f;
}

void
face_unref(struct identity *t, struct identity_face *f)
{
    if (f && !--f->refs) {
        release_name(t, &f->name);
        release_name(t, &f->port);
        release_name(t, &f->host);
        group_unref(t, f->group);
        limbo_add(t, f, sizeof *f + f->size);
    }
}

void
faces_destroy(struct identity *t)
{
    free(t->groups);
    numbering_destroy(t->scopes);
    numbering_destroy(t->tenants);
}

const char *
identity_text(const struct identity_face *f, enum identity_member m)
{
    switch (m) {
    case IDENTITY_NAME:
        return f->text + f->at[FACE_NAME];
    case IDENTITY_PORT:
        return f->text + f->at[FACE_PORT];
    case IDENTITY_HOST:
        return f->text + f->at[FACE_HOST];
    default:
        return f->group->text + f->group->at[m];
    }
}

const char *
identity_id(const struct identity_face *f)
{
    return f->text + f->at[FACE_ID];
}

const char *
identity_interface(const struct identity_face *f)
{
    return f->text + f->at[FACE_INTERFACE];
}

uint32_t
identity_name(const struct identity *t, const struct identity_face *f,
              enum identity_member m)
{
    struct identity_face *w = (struct identity_face *) f;
    _Atomic uint32_t *id = m == IDENTITY_NAME ? &w->name
                           : m == IDENTITY_PORT ? &w->port
                           : m == IDENTITY_HOST ? &w->host
                           : &w->group->name[m];
    uint32_t v = atomic_load_explicit(id, memory_order_relaxed);
    if (!v) {
        /* The first flow of the endpoint: two threads get the same id, one of
         * them holds it. */
        const char *s = identity_text(f, m);
        uint32_t none = 0;
        v = dict_passing(t->dict, s, strlen(s)) + 1;
        dict_hold(t->dict, v - 1);
        if (!atomic_compare_exchange_strong(id, &none, v)) {
            dict_release(t->dict, v - 1);
        }
    }
    return v - 1;
}
