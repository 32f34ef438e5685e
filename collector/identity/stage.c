#include <config.h>

#include "collector/identity/stage.h"

#include <stddef.h>
#include <string.h>
#include <urcu.h>

#include "collector/identity/identity_p.h"
#include "lib/batch.h"

/* Rows that are named together, their keys fetched from memory meanwhile: one
 * word of validity. */
#define RUN 64

/* Which columns a member goes to. */
static const struct {
    enum identity_member member;
    enum column_id column[2];
} outputs[] = {
    { IDENTITY_NAME, { COL_src_endpoint, COL_dst_endpoint } },
    { IDENTITY_TENANT, { COL_src_tenant, COL_dst_tenant } },
    { IDENTITY_NETWORK, { COL_src_network, COL_dst_network } },
    { IDENTITY_HOST, { COL_src_host, COL_dst_host } },
    { IDENTITY_LABELS, { COL_src_labels, COL_dst_labels } },
};
#define N_OUTPUTS (sizeof outputs / sizeof outputs[0])

static const enum column_id addr_column[2] = { COL_src_addr, COL_dst_addr };
static const enum column_id mac_column[2] = { COL_src_mac, COL_dst_mac };
static const enum column_id port_column[2] = { COL_in_if_name,
                                               COL_out_if_name };

/* Rows from 'from' on, of a batch. */
struct run {
    const struct identity *t;
    struct flow_batch *b;
    const struct addr *addr[2];
    const uint64_t *mac[2];
    uint32_t from, n;
    uint64_t valid_addr[2], valid_mac[2];
    uint64_t hints;             /* Ports or VNIs are known. */
    uint64_t hash[2][RUN];
    uint32_t index[2][RUN];     /* Bindings of addresses. */
    uint32_t *out[2][N_OUTPUTS];
    uint64_t named[2][N_OUTPUTS];       /* Rows. */
};

static uint64_t
valid_of(const struct run *r, enum column_id col)
{
    return r->b->valid[col][r->from / 64];
}

static void
run_init(struct run *r, const struct identity *t, struct flow_batch *b,
         uint32_t from)
{
    r->t = t;
    r->b = b;
    r->from = from;
    r->n = b->n - from < RUN ? b->n - from : RUN;
    uint64_t rows = r->n < 64 ? (UINT64_C(1) << r->n) - 1 : UINT64_MAX;
    r->addr[0] = r->b->src_addr + r->from;
    r->addr[1] = r->b->dst_addr + r->from;
    r->mac[0] = r->b->src_mac + r->from;
    r->mac[1] = r->b->dst_mac + r->from;
    r->hints = valid_of(r, COL_vni);
    for (int i = 0; i < 2; i++) {
        r->valid_addr[i] = valid_of(r, addr_column[i]) & rows;
        r->valid_mac[i] = valid_of(r, mac_column[i]);
        r->hints |= valid_of(r, port_column[i]) & valid_of(r, COL_bridge);
        for (size_t j = 0; j < N_OUTPUTS; j++) {
            r->out[i][j] = (uint32_t *) batch_column(b, outputs[j].column[i])
                           + from;
            r->named[i][j] = 0;
        }
    }
}

/* Finds the bindings of the addresses, step by step for all of them, so that
 * memory is waited for once and not for each. */
static void
find_bindings(struct run *r)
{
    const struct identity *t = r->t;
    const struct slots *s = atomic_load_explicit(
        &t->by_any[any_of_kind(IDENTITY_KEY_ADDRESS)].slots,
        memory_order_acquire);
    for (int i = 0; i < 2; i++) {
        for (uint32_t row = 0; row < r->n; row++) {
            uint64_t h = binding_hash(t, &r->addr[i][row],
                                      IDENTITY_KEY_ADDRESS, 128, 0);
            r->hash[i][row] = h;
            __builtin_prefetch((const void *)
                               &s->slot[(uint32_t) h & s->mask]);
        }
    }
    for (int i = 0; i < 2; i++) {
        for (uint32_t row = 0; row < r->n; row++) {
            uint32_t index = r->valid_addr[i] >> row & 1
                             ? slots_guess(s, r->hash[i][row]) : 0;
            r->index[i][row] = index;
            if (index) {
                __builtin_prefetch(binding_at(t, index));
            }
        }
    }
    for (int i = 0; i < 2; i++) {
        for (uint32_t row = 0; row < r->n; row++) {
            if (r->index[i][row]) {
                __builtin_prefetch(group_at(
                    t, binding_at(t, r->index[i][row])->group));
            }
        }
    }
}

/* The newest binding of an end's address; NULL: none. */
static const struct binding *
binding_of(const struct run *r, int side, uint32_t row)
{
    const struct addr *a = &r->addr[side][row];
    uint32_t index = r->index[side][row];
    if (index) {
        const struct binding *b = binding_at(r->t, index);
        if (addr_equal(&b->addr, a) && b->kind == IDENTITY_KEY_ADDRESS) {
            return b;
        }
        index = find_any(r->t, a, IDENTITY_KEY_ADDRESS, 128,
                         r->hash[side][row]);
    }
    return index ? binding_at(r->t, index) : NULL;
}

static void
end_of(const struct run *r, uint32_t at, int side, struct identity_end *e)
{
    const struct flow_batch *b = r->b;
    uint32_t row = r->from + at;

    *e = (struct identity_end) { .has_addr = false };
    if (batch_is_valid(b, addr_column[side], row)) {
        e->addr = r->addr[side][at];
        e->has_addr = true;
    }
    if (batch_is_valid(b, mac_column[side], row)) {
        e->mac = r->mac[side][at];
    }
    if (batch_is_valid(b, port_column[side], row)
        && batch_is_valid(b, COL_bridge, row)) {
        e->port = side ? b->out_if_name[row] : b->in_if_name[row];
        e->bridge = b->bridge[row];
    }
    if (batch_is_valid(b, COL_vni, row)) {
        e->vni = b->vni[row];
        e->has_vni = true;
    }
}

static void
name_end(struct run *r, uint32_t at, int side, const struct binding *b_)
{
    struct binding *b = (struct binding *) b_;  /* For ids first asked for. */
    struct face_group *g = group_at(r->t, b->group);
    _Atomic uint32_t *const id[N_OUTPUTS] = {
        &b->name, &g->name[GROUP_TENANT], &g->name[GROUP_NETWORK], &b->host,
        &g->name[GROUP_LABELS],
    };
    for (size_t i = 0; i < N_OUTPUTS; i++) {
        uint32_t v = name_of(r->t, b, outputs[i].member, id[i]);
        if (v) {
            r->out[side][i][at] = v;
            r->named[side][i] |= UINT64_C(1) << at;
        }
    }
}

static void
name_row(struct run *r, uint32_t at)
{
    const struct binding *b[2] = { binding_of(r, 0, at),
                                   binding_of(r, 1, at) };
    const struct addr *const addr[2] = { &r->addr[0][at], &r->addr[1][at] };
    uint64_t mac[2];
    uint32_t row = r->from + at;

    for (int i = 0; i < 2; i++) {
        mac[i] = r->valid_mac[i] >> at & 1 ? r->mac[i][at] : 0;
    }
    if (!resolve_quick(r->t, b, addr, mac,
                       mac[0] || mac[1] || (r->hints >> at & 1),
                       r->b->flow_start[row], b)) {
        struct identity_end ends[2];
        end_of(r, at, 0, &ends[0]);
        end_of(r, at, 1, &ends[1]);
        resolve_ends(r->t, ends, r->b->flow_start[row], r->b->flow_end[row],
                     b);
    }
    for (int i = 0; i < 2; i++) {
        if (b[i]) {
            name_end(r, at, i, b[i]);
        }
    }
}

void
identity_name_batch(const struct identity *t, struct flow_batch *b)
{
    if (!atomic_load_explicit(&t->in_use, memory_order_relaxed)) {
        return;                 /* Nobody has told of anybody. */
    }
    for (uint32_t from = 0; from < b->n; from += RUN) {
        struct run r;
        run_init(&r, t, b, from);
        find_bindings(&r);
        for (uint32_t i = 0; i < r.n; i++) {
            name_row(&r, i);
        }
        for (int side = 0; side < 2; side++) {
            for (size_t i = 0; i < N_OUTPUTS; i++) {
                b->valid[outputs[i].column[side]][from / 64]
                    |= r.named[side][i];
            }
        }
    }
}

void
identity_process(void *aux, struct flow_batch *b)
{
    rcu_read_lock();
    identity_name_batch(aux, b);
    rcu_read_unlock();
}

void
identity_stage_columns(void (*reads)(void *, enum column_id),
                       void (*fills)(void *, enum column_id), void *aux)
{
    static const enum column_id read[] = {
        COL_src_addr, COL_dst_addr, COL_src_mac, COL_dst_mac, COL_bridge,
        COL_in_if_name, COL_out_if_name, COL_vni, COL_flow_start,
        COL_flow_end,
    };
    for (size_t i = 0; i < sizeof read / sizeof read[0]; i++) {
        reads(aux, read[i]);
    }
    for (size_t i = 0; i < N_OUTPUTS; i++) {
        fills(aux, outputs[i].column[0]);
        fills(aux, outputs[i].column[1]);
    }
}
