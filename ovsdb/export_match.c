/* ovsdb/export_match.c -- which bridges a policy is for, and policies that
 * could never be for any. */
#include <config.h>

#include <fnmatch.h>
#include <string.h>

#include "lib/fnv.h"
#include "ovsdb/export_p.h"

static bool
any_match(char *const *globs, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (!fnmatch(globs[i], name, 0)) {
            return true;
        }
    }
    return false;
}

/* "key" wants the key to be there, "key=glob" its value to fit. */
static bool
id_matches(const char *wanted, char *const *ids, size_t n)
{
    size_t key = strcspn(wanted, "=");
    for (size_t i = 0; i < n; i++) {
        if (!strncmp(ids[i], wanted, key) && ids[i][key] == '=') {
            return !wanted[key]
                   || !fnmatch(wanted + key + 1, ids[i] + key + 1, 0);
        }
    }
    return false;
}

static bool
ids_match(char *const *wanted, size_t n_wanted, char *const *ids, size_t n)
{
    for (size_t i = 0; i < n_wanted; i++) {
        if (!id_matches(wanted[i], ids, n)) {
            return false;
        }
    }
    return true;
}

static bool
has_label(char *const *labels, size_t n, const char *glob)
{
    for (size_t i = 0; i < n; i++) {
        if (!fnmatch(glob, labels[i], 0)) {
            return true;
        }
    }
    return false;
}

bool
export_labels_match(const struct export_policy *p,
                    const struct export_policies *all, const char *remote)
{
    for (size_t i = 0; i < p->n_labels; i++) {
        bool found = has_label(all->labels, all->n_labels, p->labels[i]);
        for (size_t j = 0; j < all->n_hosts && !found; j++) {
            const struct export_host *h = &all->hosts[j];
            found = remote && !strcmp(h->remote, remote)
                    && has_label(h->labels, h->n_labels, p->labels[i]);
        }
        if (!found) {
            return false;
        }
    }
    return true;
}

bool
export_policy_is_for_ovs(const struct export_policy *p)
{
    bool any = p->n_samples > 0;
    for (int t = 0; t < N_EXPORT_TABLES; t++) {
        any = any || p->wish[t].wanted;
    }
    return any || !p->probe;
}

bool
export_orders_hold(const struct export_order *orders, size_t n,
                   const char *bridge, const char *policy, bool *asked)
{
    bool hold = false;
    *asked = false;
    for (size_t i = 0; i < n; i++) {
        const struct export_order *o = &orders[i];
        if ((!o->bridge || !strcmp(o->bridge, bridge))
            && (!o->policy || (policy && !strcmp(o->policy, policy)))) {
            *asked = !o->apply || !o->kept;
            hold = !o->apply;
        }
    }
    return hold;
}

bool
export_policy_matches(const struct export_policy *p,
                      const struct export_policies *all,
                      const struct ovs_snapshot *snap,
                      const struct ovs_bridge *b)
{
    const char *dp = p->datapath_type;
    const char *have = b->datapath_type && *b->datapath_type
                       ? b->datapath_type : "system";
    return export_policy_is_for_ovs(p)
           && (!dp || !strcmp(dp, "any") || !strcmp(dp, have))
           && (!p->n_bridges || any_match(p->bridges, p->n_bridges, b->name))
           && !any_match(p->exclude, p->n_exclude, b->name)
           && ids_match(p->bridge_ids, p->n_bridge_ids, b->external_ids,
                        b->n_external_ids)
           && ids_match(p->host_ids, p->n_host_ids, snap->external_ids,
                        snap->n_external_ids)
           && export_labels_match(p, all, snap->remote);
}

/* The same names, in whatever order; none is the same as "*". */
static bool
same_set(char *const *a, size_t n_a, char *const *b, size_t n_b)
{
    static char star[] = "*";
    static char *const stars[] = { star };
    a = n_a ? a : stars;
    b = n_b ? b : stars;
    n_a = n_a ? n_a : 1;
    n_b = n_b ? n_b : 1;
    for (size_t i = 0; i < n_a; i++) {
        if (!strings_has(b, n_b, a[i])) {
            return false;
        }
    }
    for (size_t i = 0; i < n_b; i++) {
        if (!strings_has(a, n_a, b[i])) {
            return false;
        }
    }
    return true;
}

static const char *
datapath_of(const struct export_policy *p)
{
    return p->datapath_type ? p->datapath_type : "any";
}

bool
export_policy_is_everything(const struct export_policy *p)
{
    return (!p->n_bridges || strings_has(p->bridges, p->n_bridges, "*"))
           && !p->n_exclude && !strcmp(datapath_of(p), "any")
           && !p->n_bridge_ids && !p->n_host_ids && !p->n_labels;
}

bool
export_policy_same_match(const struct export_policy *a,
                         const struct export_policy *b)
{
    return !strcmp(datapath_of(a), datapath_of(b))
           && same_set(a->bridges, a->n_bridges, b->bridges, b->n_bridges)
           && strings_equal(a->exclude, a->n_exclude, b->exclude,
                            b->n_exclude)
           && strings_equal(a->bridge_ids, a->n_bridge_ids, b->bridge_ids,
                            b->n_bridge_ids)
           && strings_equal(a->host_ids, a->n_host_ids, b->host_ids,
                            b->n_host_ids)
           && strings_equal(a->labels, a->n_labels, b->labels, b->n_labels);
}

uint64_t
export_policy_match_hash(const struct export_policy *p)
{
    /* Bridges are a set in any order, possibly with some twice, and none is
     * "*": the least and the largest of their hashes are the same then. */
    uint64_t least = fnv_text(FNV_START, "*"), most = least;
    for (size_t i = 0; i < p->n_bridges; i++) {
        uint64_t h = fnv_text(FNV_START, p->bridges[i]);
        least = !i || h < least ? h : least;
        most = !i || h > most ? h : most;
    }
    uint64_t h = fnv_text_end(FNV_START, datapath_of(p));
    h = fnv_bytes(fnv_bytes(h, &least, sizeof least), &most, sizeof most);
    const struct {
        char *const *list;
        size_t n;
    } rest[] = {
        { p->exclude, p->n_exclude }, { p->bridge_ids, p->n_bridge_ids },
        { p->host_ids, p->n_host_ids }, { p->labels, p->n_labels },
    };
    for (size_t r = 0; r < sizeof rest / sizeof *rest; r++) {
        for (size_t i = 0; i < rest[r].n; i++) {
            h = fnv_text_end(h, rest[r].list[i]);
        }
        h = fnv_bytes(h, &rest[r].n, sizeof rest[r].n);
    }
    return h;
}

bool
export_policy_is_nothing(const struct export_policy *p)
{
    bool all = p->n_bridges || strings_has(p->exclude, p->n_exclude, "*");
    for (size_t i = 0; i < p->n_bridges; i++) {
        all = all && (strings_has(p->exclude, p->n_exclude, p->bridges[i])
                      || strings_has(p->exclude, p->n_exclude, "*"));
    }
    return all;
}
