#include <config.h>

#include "collector/identity/why.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <urcu.h>

#include "lib/batch.h"
#include "lib/dict.h"

/* A point, or the key of a network. */
struct entry {
    uint64_t key;               /* 0: empty. */
    uint32_t name, action, policy;
};

/* Kinds of keys, above their 32 bits. */
#define KEY_SAMPLE (UINT64_C(1) << 32)
#define KEY_LABEL (UINT64_C(2) << 32)
#define KEY_NETWORK (UINT64_C(3) << 32)

struct why_table {
    struct dict *dict;
    uint8_t app[256];           /* enum why_kind; 0: none. */
    struct entry *entry;        /* Open addressing. */
    uint32_t n, mask;
    bool failed;                /* Out of memory. */
    bool any;                   /* There is something to be found. */
};

struct why {
    struct why_table *_Atomic table;
};

static uint32_t
slot_of(const struct why_table *t, uint64_t key)
{
    uint32_t i = (uint32_t) ((key * UINT64_C(0x9e3779b97f4a7c15)) >> 32)
                 & t->mask;
    while (t->entry[i].key && t->entry[i].key != key) {
        i = (i + 1) & t->mask;
    }
    return i;
}

static const struct entry *
find(const struct why_table *t, uint64_t key)
{
    const struct entry *e = &t->entry[slot_of(t, key)];
    return e->key ? e : NULL;
}

static bool
grow(struct why_table *t)
{
    struct why_table more = *t;
    more.mask = t->mask ? 2 * t->mask + 1 : 63;
    more.entry = calloc((size_t) more.mask + 1, sizeof *more.entry);
    if (!more.entry) {
        t->failed = true;
        return false;
    }
    for (uint32_t i = 0; t->entry && i <= t->mask; i++) {
        if (t->entry[i].key) {
            more.entry[slot_of(&more, t->entry[i].key)] = t->entry[i];
        }
    }
    free(t->entry);
    *t = more;
    return true;
}

/* What is said of a key, held as long as the table. */
static uint32_t
hold(struct why_table *t, const char *text)
{
    uint32_t id = text ? dict_passing(t->dict, text, strlen(text)) : 0;
    if (id) {
        dict_hold(t->dict, id);
    }
    return id;
}

static void
let_go(struct why_table *t, uint32_t id)
{
    if (id) {
        dict_release(t->dict, id);
    }
}

/* Keeps what two agree in. */
static void
agree(struct why_table *t, uint32_t *mine, uint32_t other)
{
    let_go(t, other);
    if (*mine != other) {
        let_go(t, *mine);
        *mine = 0;
    }
}

static void
add(struct why_table *t, const struct entry *e)
{
    if (t->n >= t->mask / 4 * 3 && !grow(t)) {
        let_go(t, e->name);
        let_go(t, e->action);
        let_go(t, e->policy);
        return;
    }
    struct entry *at = &t->entry[slot_of(t, e->key)];
    if (!at->key) {
        t->n++;
        *at = *e;
    } else {
        agree(t, &at->name, e->name);
        agree(t, &at->action, e->action);
        agree(t, &at->policy, e->policy);
    }
}

struct why_table *
why_table_create(struct dict *dict)
{
    struct why_table *t = calloc(1, sizeof *t);
    if (t) {
        t->dict = dict;
    }
    if (t && !grow(t)) {
        free(t);
        t = NULL;
    }
    return t;
}

void
why_table_destroy(struct why_table *t)
{
    if (t) {
        for (uint32_t i = 0; i <= t->mask; i++) {
            let_go(t, t->entry[i].name);
            let_go(t, t->entry[i].action);
            let_go(t, t->entry[i].policy);
        }
        free(t->entry);
        free(t);
    }
}

void
why_add_app(struct why_table *t, uint8_t id, bool drop)
{
    if (id) {
        t->app[id] = drop ? WHY_DROP : WHY_ACL;
        t->any = true;
    }
}

void
why_add_acl(struct why_table *t, uint32_t point, bool label,
            const char *name, const char *action, const char *policy)
{
    add(t, &(struct entry) { point | (label ? KEY_LABEL : KEY_SAMPLE),
                             hold(t, name), hold(t, action),
                             hold(t, policy) });
    t->any = t->any || label;
}

void
why_add_network(struct why_table *t, uint32_t key, const char *name)
{
    add(t, &(struct entry) { key | KEY_NETWORK, hold(t, name), 0, 0 });
}

struct why *
why_create(void)
{
    return calloc(1, sizeof(struct why));
}

void
why_destroy(struct why *w)
{
    if (w) {
        why_table_destroy(w->table);
        free(w);
    }
}

bool
why_publish(struct why *w, struct why_table *t)
{
    if (t->failed) {
        return false;
    }
    struct why_table *old = atomic_exchange(&w->table, t);
    synchronize_rcu();
    why_table_destroy(old);
    return true;
}

static void
say(struct flow_batch *b, uint32_t row, enum column_id c, uint32_t *column,
    uint32_t name)
{
    if (name) {
        column[row] = name;
        batch_set_valid(b, c, row);
    }
}

static void
explain(const struct why_table *t, struct flow_batch *b, uint32_t row)
{
    uint32_t domain = b->observation_domain_id[row];
    uint8_t app = (uint8_t) (domain >> 24);
    uint64_t key = domain & 0xffffff;
    uint64_t point = batch_is_valid(b, COL_observation_point_id, row)
                     ? b->observation_point_id[row] : 0;
    const struct entry *network = key ? find(t, key | KEY_NETWORK) : NULL;
    const struct entry *acl = NULL;
    if (point <= UINT32_MAX && point && (!app || t->app[app] == WHY_ACL)) {
        acl = find(t, point | (app ? KEY_SAMPLE : KEY_LABEL));
    }
    /* Without an application both must be known: anybody's bridge may have a
     * small number as its domain. */
    if (app ? !t->app[app] : !acl || !network) {
        return;
    }
    b->why[row] = app ? t->app[app] : WHY_ACL;
    batch_set_valid(b, COL_why, row);
    if (acl) {
        say(b, row, COL_why_name, b->why_name, acl->name);
        say(b, row, COL_why_action, b->why_action, acl->action);
        say(b, row, COL_why_policy, b->why_policy, acl->policy);
    }
    say(b, row, COL_why_network, b->why_network, network ? network->name : 0);
    if (key && !batch_is_valid(b, COL_vni, row)) {
        b->vni[row] = key;
        batch_set_valid(b, COL_vni, row);
    }
}

void
why_process(void *aux, struct flow_batch *b)
{
    struct why *w = aux;
    rcu_read_lock();
    const struct why_table *t = atomic_load_explicit(&w->table,
                                                     memory_order_acquire);
    for (uint32_t row = 0; t && t->any && row < b->n; row++) {
        if (b->export_protocol[row] == PROTO_IPFIX
            && b->observation_domain_id[row]) {
            explain(t, b, row);
        }
    }
    rcu_read_unlock();
}
