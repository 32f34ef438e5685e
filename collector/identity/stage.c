#include <config.h>

#include "collector/identity/stage.h"

#include <stddef.h>
#include <urcu.h>

#include "collector/identity/identity_p.h"
#include "lib/batch.h"

/* Rows whose keys are fetched from memory together. */
#define RUN 32

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

static struct addr *
addr_array(struct flow_batch *b, int side)
{
    return side ? b->dst_addr : b->src_addr;
}

/* Fetches what naming rows 'from' to 'to' will read, step by step for all of
 * them, so that the waits for memory overlap: slots, the bindings that they lead
 * to, their faces, and their groups. */
static void
fetch(const struct identity *t, struct flow_batch *b, uint32_t from,
      uint32_t to)
{
    const struct slots *s = atomic_load_explicit(&t->by_any.slots,
                                                 memory_order_acquire);
    const struct binding *found[RUN * 2];
    uint64_t hash[RUN * 2];
    uint32_t n = 0, m = 0;
    for (uint32_t row = from; row < to; row++) {
        for (int i = 0; i < 2; i++) {
            hash[n] = binding_hash(t, &addr_array(b, i)[row],
                                   IDENTITY_KEY_ADDRESS, 128, 0);
            __builtin_prefetch((const void *)
                               &s->slot[(uint32_t) hash[n++] & s->mask]);
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t index = slots_guess(s, hash[i]);
        if (index) {
            found[m] = binding_at(t, index);
            __builtin_prefetch(found[m++]);
        }
    }
    /* Of a binding that is being used again, both may be of either user: what
     * is fetched in vain does no harm. */
    for (uint32_t i = 0; i < m; i++) {
        const char *f = (const char *) found[i]->face;
        __builtin_prefetch(f);
        __builtin_prefetch(f + offsetof(struct identity_face, size));
    }
    for (uint32_t i = 0; i < m; i++) {
        if (found[i]->face) {
            const char *g = (const char *) found[i]->face->group;
            __builtin_prefetch(g);
            __builtin_prefetch(g + offsetof(struct face_group, size));
        }
    }
}

static void
end_of(const struct flow_batch *b, uint32_t row, int side,
       struct identity_end *e)
{
    enum column_id mac = side ? COL_dst_mac : COL_src_mac;
    enum column_id port = side ? COL_out_if_name : COL_in_if_name;

    *e = (struct identity_end) { .has_addr = false };
    if (batch_is_valid(b, addr_column[side], row)) {
        e->addr = side ? b->dst_addr[row] : b->src_addr[row];
        e->has_addr = true;
    }
    if (batch_is_valid(b, mac, row)) {
        e->mac = side ? b->dst_mac[row] : b->src_mac[row];
    }
    if (batch_is_valid(b, port, row) && batch_is_valid(b, COL_bridge, row)) {
        e->port = side ? b->out_if_name[row] : b->in_if_name[row];
        e->bridge = b->bridge[row];
    }
    if (batch_is_valid(b, COL_vni, row)) {
        e->vni = b->vni[row];
        e->has_vni = true;
    }
}

static void
name_end(const struct identity *t, struct flow_batch *b, uint32_t row,
         int side, const struct identity_face *f)
{
    for (size_t i = 0; i < N_OUTPUTS; i++) {
        enum column_id col = outputs[i].column[side];
        uint32_t id = identity_name(t, f, outputs[i].member);
        if (id) {
            ((uint32_t *) batch_column(b, col))[row] = id;
            batch_set_valid(b, col, row);
        }
    }
}

static void
name_row(const struct identity *t, struct flow_batch *b, uint32_t row)
{
    const struct identity_face *f[2];
    struct identity_end ends[2];

    end_of(b, row, 0, &ends[0]);
    end_of(b, row, 1, &ends[1]);
    identity_resolve(t, ends, b->flow_start[row], b->flow_end[row], f);
    for (int i = 0; i < 2; i++) {
        if (f[i]) {
            name_end(t, b, row, i, f[i]);
        }
    }
}

void
identity_name_batch(const struct identity *t, struct flow_batch *b)
{
    if (!atomic_load_explicit(&t->in_use, memory_order_relaxed)) {
        return;                 /* Nobody has told of anybody. */
    }
    for (uint32_t row = 0; row < b->n; row += RUN) {
        uint32_t end = row + RUN < b->n ? row + RUN : b->n;
        fetch(t, b, row, end);
        for (uint32_t i = row; i < end; i++) {
            name_row(t, b, i);
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
