#include <config.h>

#include "bgp/view.h"

#include <stdlib.h>
#include <string.h>

static struct view_slot *
find_slot(const struct views *v, const struct addr *exporter)
{
    uint32_t i = (uint32_t) addr_hash(exporter) & (v->n_slots - 1);
    while (v->slots[i].used && !addr_equal(&v->slots[i].exporter, exporter)) {
        i = (i + 1) & (v->n_slots - 1);
    }
    return &v->slots[i];
}

const struct view *
views_of(const struct views *v, const struct addr *exporter)
{
    const struct view_slot *s = find_slot(v, exporter);
    return s->used && s->view.n ? &s->view : NULL;
}

static bool
add_peer(const struct views *all, struct view *v, uint32_t peer)
{
    if (v->n && view_has(v, peer)) {
        return true;
    }
    if (v->n == 1) {
        v->bits = calloc(all->n_words, sizeof *v->bits);
        if (!v->bits) {
            return false;
        }
        v->bits[v->one / 64] |= UINT64_C(1) << v->one % 64;
    }
    if (v->bits) {
        v->bits[peer / 64] |= UINT64_C(1) << peer % 64;
    }
    v->one = (uint16_t) peer;
    v->n++;
    return true;
}

static bool
slot_add(struct views *all, const struct addr *exporter, uint32_t peer)
{
    struct view_slot *s = find_slot(all, exporter);
    if (!s->used) {
        s->used = true;
        s->exporter = *exporter;
        all->n_used++;
    }
    return add_peer(all, &s->view, peer);
}

static bool
is_named(const struct rib_peer *p, const char *name)
{
    struct addr a;
    size_t n = strlen(name);
    /* "rrc00" is all that "rrc00 192.0.2.1" and others were imported with. */
    return !strcmp(p->name, name)
           || (p->info.kind == BGP_PEER_FILE && !strncmp(p->name, name, n)
               && p->name[n] == ' ')
           || (!addr_parse(name, &a)
               && (addr_equal(&a, &p->info.address)
                   || (p->info.kind == BGP_PEER_BMP
                       && addr_equal(&a, &p->info.router))));
}

static struct addr
addr_of_id(uint32_t id)
{
    return addr_from_v4_bytes((uint8_t[]) {
        (uint8_t) (id >> 24), (uint8_t) (id >> 16), (uint8_t) (id >> 8),
        (uint8_t) id });
}

/* The peers that the configuration names for an exporter take the place of those
 * that are found by address. */
static bool
is_mapped(const struct stamp_config *c, const struct addr *exporter)
{
    for (size_t i = 0; i < c->n_maps; i++) {
        if (addr_equal(&c->maps[i].exporter, exporter)) {
            return true;
        }
    }
    return false;
}

static bool
add_by_address(struct views *v, const struct stamp_config *c,
               const struct rib_peer *p)
{
    bool bmp = p->info.kind == BGP_PEER_BMP;
    uint32_t id = bmp ? p->info.router_id : p->info.id;
    struct addr addresses[] = { bmp ? p->info.router : p->info.address,
                                addr_of_id(id) };
    for (int i = 0; i < 2; i++) {
        if (!addr_is_zero(&addresses[i]) && (i == 0 || id)
            && !is_mapped(c, &addresses[i])
            && !slot_add(v, &addresses[i], p->number)) {
            return false;
        }
    }
    return true;
}

static bool
add_by_name(struct views *v, const struct stamp_config *c,
            const struct rib_peer *p)
{
    for (size_t i = 0; i < c->n_maps; i++) {
        for (size_t j = 0; j < c->maps[i].n_peers; j++) {
            if (is_named(p, c->maps[i].peers[j])
                && !slot_add(v, &c->maps[i].exporter, p->number)) {
                return false;
            }
        }
    }
    for (size_t i = 0; i < c->n_defaults; i++) {
        if (is_named(p, c->defaults[i])
            && !add_peer(v, &v->defaults, p->number)) {
            return false;
        }
    }
    return true;
}

struct views *
views_build(const struct rib *rib, const struct stamp_config *c)
{
    struct views *v = calloc(1, sizeof *v);
    if (!v) {
        return NULL;
    }
    v->n_words = (rib->n_peers + 63) / 64;
    v->n_slots = 16;
    while (v->n_slots < 2 * (2 * (size_t) rib->n_peers + c->n_maps)) {
        v->n_slots *= 2;
    }
    v->slots = calloc(v->n_slots, sizeof *v->slots);
    bool ok = v->slots != NULL;
    for (uint32_t i = 0; ok && i < rib->n_peers; i++) {
        const struct rib_peer *p = rib_peer(rib, i);
        /* One whose session is down may have routes that are kept. */
        if (p && !rib->peers[i].leaving && rib->states[i].usable) {
            ok = add_by_address(v, c, p) && add_by_name(v, c, p);
        }
    }
    if (!ok) {
        views_destroy(v);
        return NULL;
    }
    return v;
}

void
views_destroy(struct views *v)
{
    if (v) {
        for (uint32_t i = 0; v->slots && i < v->n_slots; i++) {
            free(v->slots[i].view.bits);
        }
        free(v->defaults.bits);
        free(v->slots);
        free(v);
    }
}
