/* ovsdb/export_plan.c -- the difference between what is and what should be.
 *
 * Every bridge gets an identity of its own in each protocol, so that a record
 * says which bridge made it: OVS's defaults are the same for all bridges of a
 * datapath (NetFlow's engine ids, IPFIX's ids) or are renumbered when bridges
 * come and go (sFlow's sub-agents).  The identity follows from the bridge's
 * uuid; numbers already taken within the database are stepped over, and what
 * one of our rows carries already stays. */
#include <config.h>

#include "ovsdb/export.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/addr.h"
#include "lib/fnv.h"
#include "ovsdb/region.h"
#include "ovsdb/export_plan_p.h"

/* Agents of our own: 127.64.0.0/10, an address per bridge.  OVS takes any
 * literal (since 2.10) and only puts it into the datagram. */
#define AGENT_NET UINT32_C(0x7f400000)
#define AGENT_MASK UINT32_C(0x003fffff)

/* What OVS takes where sampling is not set. */
#define OVS_SAMPLING 400

static const struct identity_rule {
    enum export_table table;
    uint32_t mask;              /* Zero is never given out. */
} identity_rules[N_IDENTITIES] = {
    [ID_ENGINE] = { EXPORT_NETFLOW, 0xffff },
    [ID_AGENT] = { EXPORT_SFLOW, AGENT_MASK },
    [ID_OBSERVATION] = { EXPORT_IPFIX, UINT32_MAX },
};

char *
format_text(struct planner *pl, const char *format, ...)
{
    va_list args;
    char *text = NULL;
    va_start(args, format);
    if (vasprintf(&text, format, args) < 0) {
        text = NULL;
        pl->oom = true;
    }
    va_end(args);
    return text;
}

static char *
copy_text(struct planner *pl, const char *text)
{
    return text ? format_text(pl, "%s", text) : NULL;
}

static void
list_add(struct planner *pl, char ***list, size_t *n, const char *text)
{
    if (!text || strings_add(list, n, text)) {
        pl->oom = true;
    }
}

void
plan_set_reason(struct subject *s, char *text)
{
    free(s->out->reason);
    s->out->reason = text;
}

void
plan_add_warning(struct subject *s, char *text)
{
    list_add(s->pl, &s->out->warnings, &s->out->n_warnings, text);
    free(text);
}

/* Identities. */

/* A set of numbers: open addressing, zero means empty. */
struct number_set {
    uint32_t *slot;
    size_t mask;
};

static uint64_t
mix(uint64_t h)
{
    h = (h ^ h >> 33) * UINT64_C(0xff51afd7ed558ccd);
    h = (h ^ h >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return h ^ h >> 33;
}

static bool
number_set_add(struct number_set *set, uint32_t number)
{
    size_t i = mix(number) & set->mask;
    while (set->slot[i]) {
        if (set->slot[i] == number) {
            return false;
        }
        i = (i + 1) & set->mask;
    }
    set->slot[i] = number;
    return true;
}

static uint64_t
hash_uuid(const char *uuid)
{
    return mix(fnv_text(FNV_START, uuid));
}

/* The identity that a row carries, or 0. */
static uint32_t
row_identity(const struct export_row *row, enum identity id)
{
    static const enum export_option_id options[N_IDENTITIES] = {
        [ID_ENGINE] = OPT_NF_ENGINE_TYPE, [ID_AGENT] = OPT_SF_AGENT,
        [ID_OBSERVATION] = OPT_IX_OBS_DOMAIN_ID,
    };
    const struct export_value *v = export_row_value(row, options[id]);
    const struct export_value *low = export_row_value(row, OPT_NF_ENGINE_ID);
    struct addr a;
    switch (id) {
    case ID_ENGINE:
        return v->set && low->set
               ? (uint32_t) (v->number << 8 | low->number) & 0xffff : 0;
    case ID_AGENT:
        if (v->set && v->string && !addr_parse(v->string, &a)
            && addr_is_v4(&a)) {
            uint32_t ip = (uint32_t) a.b[12] << 24 | (uint32_t) a.b[13] << 16
                          | (uint32_t) a.b[14] << 8 | a.b[15];
            return (ip & ~AGENT_MASK) == AGENT_NET ? ip & AGENT_MASK : 0;
        }
        return 0;
    case ID_OBSERVATION:
    case N_IDENTITIES:
    default:
        return v->set ? (uint32_t) v->number : 0;
    }
}

bool
plan_owner_is_us(const struct planner *pl, const char *owner)
{
    return owner && (!strcmp(owner, pl->self->owner)
                     || strings_has(pl->policies->adopt,
                                    pl->policies->n_adopt, owner));
}

static bool
row_is_ours(const struct planner *pl, const struct export_row *row)
{
    return row->present && plan_owner_is_us(pl, row->owner);
}

/* Nobody changed the row after us: its fingerprint still fits. */
static bool
row_is_genuine(const struct export_row *row, enum export_table table)
{
    char hash[EXPORT_HASH_STRLEN];
    return row->hash && !strcmp(row->hash,
                                export_row_hash(row, table, hash));
}

static void
assign_identity(struct planner *pl, enum identity id, struct number_set *set)
{
    const struct identity_rule *rule = &identity_rules[id];
    const struct ovs_snapshot *snap = pl->snap;
    uint32_t *mine = pl->identity[id];

    for (size_t i = 0; i < snap->n_bridges; i++) {
        const struct export_row *row = &snap->bridges[i].row[rule->table];
        uint32_t n = row_identity(row, id);
        if (row->present && n && !row_is_ours(pl, row)) {
            number_set_add(set, n);
        }
    }
    for (size_t i = 0; i < snap->n_bridges; i++) {
        const struct export_row *row = &snap->bridges[i].row[rule->table];
        uint32_t n = row_identity(row, id);
        if (n && row_is_ours(pl, row) && row_is_genuine(row, rule->table)
            && number_set_add(set, n)) {
            mine[i] = n;
        }
    }
    for (size_t i = 0; i < snap->n_bridges; i++) {
        uint32_t n = (uint32_t) hash_uuid(snap->bridges[i].uuid) & rule->mask;
        /* More bridges than engine ids: they have to share. */
        for (uint32_t tries = 0; !mine[i] && tries < 0x10000; tries++) {
            if (n && number_set_add(set, n)) {
                mine[i] = n;
            }
            n = (n + 1) & rule->mask;
        }
        mine[i] = mine[i] ? mine[i] : 1;
    }
}

static void
assign_identities(struct planner *pl)
{
    size_t n = pl->snap->n_bridges, room = 64;
    while (room < 4 * n) {
        room *= 2;
    }
    for (int id = 0; id < N_IDENTITIES; id++) {
        struct number_set set = {
            .slot = calloc(room, sizeof *set.slot), .mask = room - 1,
        };
        pl->identity[id] = calloc(n ? n : 1, sizeof *pl->identity[id]);
        if (set.slot && pl->identity[id]) {
            assign_identity(pl, id, &set);
        } else {
            pl->oom = true;
        }
        free(set.slot);
    }
}

/* Which policy decides. */

static const struct export_policy *
find_policy(const struct planner *pl, const struct ovs_bridge *b)
{
    const struct export_policies *policies = pl->policies;
    for (size_t i = 0; i < policies->n; i++) {
        if (export_policy_matches(&policies->list[i], policies, pl->snap,
                                  b)) {
            return &policies->list[i];
        }
    }
    return NULL;
}

static void
choose_policies(struct planner *pl)
{
    const struct export_self *self = pl->self;
    for (size_t i = 0; i < pl->snap->n_bridges; i++) {
        const struct ovs_bridge *b = &pl->snap->bridges[i];
        const struct export_policy *p = find_policy(pl, b);
        pl->held[i] = export_orders_hold(self->orders, self->n_orders,
                                         b->name, p ? p->name : NULL,
                                         &pl->ordered[i]);
        pl->found[i] = p;
        pl->policy[i] = pl->held[i] ? NULL : p;
    }
}

/* Targets. */

static bool
is_loopback(const struct addr *a)
{
    static const uint8_t one[16] = { [15] = 1 };
    return addr_is_v4(a) ? a->b[12] == 127 : !memcmp(a->b, one, 16);
}

static bool
target_is_loopback(const char *target)
{
    struct addr a;
    uint16_t port;
    return !endpoint_parse(target, 1, &a, &port) && is_loopback(&a);
}

static bool
is_any(const struct addr *a)
{
    static const uint8_t v4[4];
    return addr_is_zero(a) || (addr_is_v4(a) && !memcmp(&a->b[12], v4, 4));
}

/* The address by which this OVS reaches our own collector, or NULL and why
 * there is none. */
static char *
resolve_local(struct subject *s, char **why)
{
    const char *local = s->pl->self->local[s->table];
    const struct ovs_snapshot *snap = s->pl->snap;
    struct addr a;
    uint16_t port;
    char buf[ENDPOINT_STRLEN];

    *why = NULL;
    if (!local || endpoint_parse(local, 0, &a, &port) || !port) {
        *why = format_text(s->pl, "our collector does not listen for %s, so "
                           "the target \"local\" has no address",
                           export_table_title(s->table));
        return NULL;
    }
    if (!snap->local && (is_loopback(&a) || is_any(&a))) {
        *why = format_text(s->pl, "the target \"local\" would be %s, which "
                           "the Open vSwitch behind %s can't reach; name an "
                           "address of this host", local,
                           snap->remote ? snap->remote : "that database");
        return NULL;
    }
    if (is_any(&a)) {
        return format_text(s->pl, addr_is_v4(&a) ? "127.0.0.1:%u"
                                                 : "[::1]:%u", port);
    }
    return copy_text(s->pl, endpoint_format(&a, port, buf));
}

/* Turns the wish's targets into sorted addresses without doubles.  Those that
 * can't be resolved are warned about; '*why' (heap) is the last reason. */
void
plan_resolve_targets(struct subject *s, char **why)
{
    *why = NULL;
    for (size_t i = 0; i < s->wish->n_targets; i++) {
        const char *text = s->wish->targets[i];
        char *target, *reason = NULL;
        if (!strcmp(text, "local")) {
            target = resolve_local(s, &reason);
        } else {
            target = export_target_normal(text, s->table);
        }
        if (target && !strings_has(s->targets, s->n_targets, target)) {
            list_add(s->pl, &s->targets, &s->n_targets, target);
        }
        if (reason) {
            free(*why);
            *why = reason;
            plan_add_warning(s, copy_text(s->pl, reason));
        }
        free(target);
    }
    strings_sort(s->targets, s->n_targets);
}

/* The row as it should be. */

static void
set_number(struct export_value *v, int64_t number)
{
    v->set = true;
    v->number = number;
}

static void
set_string(struct planner *pl, struct export_value *v, char *string)
{
    free(v->string);
    v->string = string;
    v->set = string != NULL;
    pl->oom |= !string;
}

/* "host/bridge", for a Flow_Sample_Collector_Set "host/bridge/id", which is
 * all that tells its records from others; cut to what OVS takes: 254 bytes;
 * one more and it silently turns the exporter off. */
static char *
virtual_obs_id(struct subject *s)
{
    const struct ovs_snapshot *snap = s->pl->snap;
    const char *host = snap->system_id && *snap->system_id ? snap->system_id
                       : snap->hostname && *snap->hostname ? snap->hostname
                       : NULL;
    char set[16] = "";
    if (s->out->sample) {
        snprintf(set, sizeof set, "/%u", s->out->sample_id);
    }
    char *text = format_text(s->pl, "%s%s%s%s", host ? host : "",
                             host ? "/" : "", s->bridge->name, set);
    int64_t max = export_options[OPT_IX_VIRTUAL_OBS_ID].max;
    if (text && strlen(text) > (size_t) max) {
        /* Keep the end, which tells bridges apart, at a character's start. */
        size_t from = strlen(text) - (size_t) max;
        while ((text[from] & 0xc0) == 0x80) {
            from++;
        }
        memmove(text, text + from, strlen(text + from) + 1);
    }
    return text;
}

/* What "auto" means for this bridge: what the budget says; before it has said
 * anything, what a row of ours has, so that a restart changes nothing. */
static int64_t
auto_sampling(const struct subject *s, enum export_option_id o)
{
    const struct export_value *v = export_row_value(s->row, o);
    if (s->bridge->auto_sampling) {
        return s->bridge->auto_sampling;
    }
    if (s->ours && v->set && v->number >= AUTO_SAMPLING_MIN
        && v->number <= AUTO_SAMPLING_MAX && !(v->number & (v->number - 1))
        && row_is_genuine(s->row, s->table)) {
        return v->number;
    }
    return AUTO_SAMPLING;
}

static void
fill_netflow(struct subject *s, struct export_value *v)
{
    uint32_t engine = s->pl->identity[ID_ENGINE][s->index];
    if (!v[OPT_NF_ENGINE_TYPE].set) {
        set_number(&v[OPT_NF_ENGINE_TYPE], engine >> 8);
    }
    if (!v[OPT_NF_ENGINE_ID].set) {
        set_number(&v[OPT_NF_ENGINE_ID], engine & 0xff);
    }
    /* A required column: false is absent. */
    v[OPT_NF_ADD_ID].set = v[OPT_NF_ADD_ID].set && v[OPT_NF_ADD_ID].number;
}

static void
fill_sflow(struct subject *s, struct export_value *v)
{
    bool loopback = s->pl->snap->local;
    for (size_t i = 0; i < s->n_targets; i++) {
        loopback = loopback && target_is_loopback(s->targets[i]);
    }
    /* Toward other collectors an address of ours in 127/8 would be the same
     * on every host: there OVS's own choice is better. */
    if (loopback && !v[OPT_SF_AGENT].set) {
        uint32_t ip = AGENT_NET | s->pl->identity[ID_AGENT][s->index];
        set_string(s->pl, &v[OPT_SF_AGENT],
                   format_text(s->pl, "%u.%u.%u.%u", ip >> 24,
                               ip >> 16 & 255, ip >> 8 & 255, ip & 255));
    }
    if (s->wish->sampling_auto && !v[OPT_SF_SAMPLING].set) {
        set_number(&v[OPT_SF_SAMPLING], auto_sampling(s, OPT_SF_SAMPLING));
    }
}

static void
fill_ipfix(struct subject *s, struct export_value *v)
{
    uint32_t id = s->pl->identity[ID_OBSERVATION][s->index];
    if (!v[OPT_IX_VIRTUAL_OBS_ID].set) {
        set_string(s->pl, &v[OPT_IX_VIRTUAL_OBS_ID], virtual_obs_id(s));
    }
    if (s->out->sample) {
        return;                 /* The OpenFlow action says the rest. */
    }
    if (!v[OPT_IX_OBS_DOMAIN_ID].set) {
        set_number(&v[OPT_IX_OBS_DOMAIN_ID], id);
    }
    if (!v[OPT_IX_OBS_POINT_ID].set) {
        set_number(&v[OPT_IX_OBS_POINT_ID], id);
    }
    if (s->wish->sampling_auto && !v[OPT_IX_SAMPLING].set) {
        set_number(&v[OPT_IX_SAMPLING], auto_sampling(s, OPT_IX_SAMPLING));
    }
}

/* Takes out what this server has no column for: writing it would make the
 * whole transaction fail. */
static void
drop_missing(struct subject *s, struct export_value *v)
{
    for (int o = 0; o < N_EXPORT_OPTIONS; o++) {
        if (export_options[o].table == s->table && v[o].set
            && s->pl->snap->missing_options[0] >> o & 1) {
            WARN(s, "this Open vSwitch (%s) has no column %s.%s: %s is left "
                 "out", s->pl->snap->ovs_version
                        && *s->pl->snap->ovs_version
                        ? s->pl->snap->ovs_version : "version unknown",
                 export_table_title(s->table), export_options[o].column,
                 export_options[o].name);
            free(v[o].string);
            v[o] = (struct export_value) { .set = false };
        }
    }
}

void
plan_build_row(struct subject *s)
{
    static void (*const fill[N_EXPORT_TABLES])(struct subject *,
                                               struct export_value *) = {
        [EXPORT_NETFLOW] = fill_netflow,
        [EXPORT_SFLOW] = fill_sflow,
        [EXPORT_IPFIX] = fill_ipfix,
    };
    struct planner *pl = s->pl;
    struct export_row *d = s->out->desired;
    char hash[EXPORT_HASH_STRLEN];

    d->present = true;
    d->n_refs = 1;
    if (!export_row_values(d)) {
        pl->oom = true;
        return;
    }
    pl->oom |= strings_copy(&d->targets, &d->n_targets, s->targets,
                            s->n_targets) != 0;
    for (int o = 0; o < N_EXPORT_OPTIONS; o++) {
        const struct export_value *v = &s->wish->value[o];
        if (export_options[o].table != s->table || !v->set) {
            continue;
        }
        if (export_options[o].type == EXPORT_T_STRING) {
            set_string(pl, &d->value[o], copy_text(pl, v->string));
        } else {
            set_number(&d->value[o], v->number);
        }
    }
    fill[s->table](s, d->value);
    drop_missing(s, d->value);
    d->owner = copy_text(pl, pl->self->owner);
    d->policy = copy_text(pl, s->policy->name);
    d->hash = copy_text(pl, export_row_hash(d, s->table, hash));
    if (s->ours) {
        d->prev = copy_text(pl, s->row->prev);
        pl->oom |= strings_copy(&d->extra, &d->n_extra, s->row->extra,
                                s->row->n_extra) != 0;
    }
}

/* Differences. */

/* Takes over both texts; keeps them only if they differ. */
void
plan_add_diff(struct subject *s, const char *column, char *old_value,
         char *new_value)
{
    struct export_change *c = s->out;
    struct export_diff *grown = NULL;
    if (!text_equal(old_value, new_value)) {
        grown = realloc(c->diffs, (c->n_diffs + 1) * sizeof *grown);
        s->pl->oom |= !grown;
    }
    if (!grown) {
        free(old_value);
        free(new_value);
        return;
    }
    c->diffs = grown;
    c->diffs[c->n_diffs++] = (struct export_diff) {
        column, old_value, new_value,
    };
}

static char *
targets_text(struct planner *pl, const struct export_row *row)
{
    if (!row->present || !row->n_targets) {
        return NULL;
    }
    char *text = strings_join(row->targets, row->n_targets);
    pl->oom |= !text;
    return text;
}

void
plan_diff_rows(struct subject *s, const struct export_row *from,
          const struct export_row *to)
{
    struct planner *pl = s->pl;
    plan_add_diff(s, "targets", targets_text(pl, from), targets_text(pl, to));
    for (int o = 0; o < N_EXPORT_OPTIONS; o++) {
        const struct export_option *opt = &export_options[o];
        if (opt->table == s->table) {
            plan_add_diff(s, opt->name,
                     from->present
                     ? export_value_text(opt, export_row_value(from, o))
                     : NULL,
                     to->present
                     ? export_value_text(opt, export_row_value(to, o))
                     : NULL);
        }
    }
    plan_add_diff(s, VENTURI_OWNER, copy_text(pl, from->owner),
             copy_text(pl, to->owner));
    plan_add_diff(s, VENTURI_POLICY, copy_text(pl, from->policy),
             copy_text(pl, to->policy));
    plan_add_diff(s, VENTURI_HASH, copy_text(pl, from->hash),
             copy_text(pl, to->hash));
}

/* Warnings. */

static void
warn_ipfix(struct subject *s)
{
    const struct export_value *v = s->out->desired->value;
    int64_t rate = v[OPT_IX_SAMPLING].set ? v[OPT_IX_SAMPLING].number
                                          : OVS_SAMPLING;
    bool in = !v[OPT_IX_INPUT_SAMPLING].set
              || v[OPT_IX_INPUT_SAMPLING].number;
    bool out = !v[OPT_IX_OUTPUT_SAMPLING].set
               || v[OPT_IX_OUTPUT_SAMPLING].number;
    bool timeout = v[OPT_IX_CACHE_ACTIVE_TIMEOUT].set
                   && v[OPT_IX_CACHE_ACTIVE_TIMEOUT].number;
    bool flows = v[OPT_IX_CACHE_MAX_FLOWS].set
                 && v[OPT_IX_CACHE_MAX_FLOWS].number;

    if (timeout != flows) {
        WARN(s, "cache_active_timeout and cache_max_flows must both be set "
             "and not zero: there will be no cache");
    }
    if (!in && !out) {
        WARN(s, "neither packets that come in nor packets that go out are "
             "sampled: nothing will be exported");
    }
    /* Measured: 290 to 303 bytes per record, one record per datagram. */
    double records = 100000.0 / (double) rate * (in + out);
    if (!(timeout && flows) && s->out->records_per_s < 0) {
        WARN(s, "without a cache each sampled packet is one record, one "
             "datagram and one upcall: each 100,000 packets/s will make "
             "about %.0f records/s and %.0f kB/s", records,
             records * 300 / 1000);
    }
}

/* An agent that names no address: whether OVS can make one of it can't be
 * seen in the database, but some can be told to be wrong. */
static void
warn_agent(struct subject *s)
{
    const struct export_value *v = &s->out->desired->value[OPT_SF_AGENT];
    struct addr a;
    if (!v->set) {
        WARN(s, "without an agent Open vSwitch takes the address of its "
             "route to the first target; if there is none, it exports "
             "nothing and says so only in its log");
    } else if (addr_parse(v->string, &a)) {
        bool device = strlen(v->string) < 16 && !strpbrk(v->string, "/ :");
        WARN(s, device ? "agent %s is taken for a device: if it has no IPv4 "
             "address, Open vSwitch exports nothing and says so only in its "
             "log" : "agent %s is neither an address nor the name of a "
             "device: Open vSwitch will export nothing", v->string);
    }
}

/* An identity that the policy gives to several bridges. */
static void
warn_identity(struct subject *s)
{
    static const enum export_option_id ids[N_EXPORT_TABLES] = {
        [EXPORT_NETFLOW] = OPT_NF_ENGINE_ID, [EXPORT_SFLOW] = OPT_SF_AGENT,
        [EXPORT_IPFIX] = OPT_IX_OBS_DOMAIN_ID,
    };
    size_t n = 0;
    for (size_t i = 0; s->wish->value[ids[s->table]].set
                       && i < s->pl->snap->n_bridges; i++) {
        n += s->pl->policy[i] == s->policy;
    }
    if (n > 1) {
        WARN(s, "policy %s gives the same %s to %zu bridges: their records "
             "can't be told apart", s->policy->name,
             export_options[ids[s->table]].name, n);
    }
}

static void
add_warnings(struct subject *s)
{
    const struct export_value *v = s->out->desired->value;
    enum export_option_id sampling = s->table == EXPORT_SFLOW
                                     ? OPT_SF_SAMPLING : OPT_IX_SAMPLING;
    if (s->table == EXPORT_NETFLOW) {
        WARN(s, "NetFlow makes every IPv4 megaflow exact: one datapath flow "
             "per connection and direction, more upcalls, more memory");
        /* 30 records of 48 octets share 52 of headers. */
        WARN(s, "packets do not tell how many records NetFlow makes: each "
             "1,000 short connections/s will make about 2,000 records/s and "
             "100 kB/s");
    } else {
        if (v[sampling].set && v[sampling].number == 1) {
            WARN(s, "sampling 1 sends every packet through ovs-vswitchd");
        }
        if (s->pl->snap->hw_offload) {
            WARN(s, "hardware offload is on in this Open vSwitch: sampling "
                 "takes the flows of this bridge out of the hardware");
        }
    }
    if (s->table == EXPORT_IPFIX) {
        warn_ipfix(s);
    }
    if (s->table == EXPORT_SFLOW) {
        warn_agent(s);
        if (s->out->records_per_s < 0 && s->out->records_per_100k >= 0) {
            WARN(s, "each 100,000 packets/s that come in will make about %.0f "
                 "samples/s and %.0f kB/s", s->out->records_per_100k,
                 s->out->bytes_per_100k / 1000);
        }
    }
    warn_identity(s);
    if (s->out->records_per_s >= 0) {
        WARN(s, "by what passed lately: %.0f records/s, %.0f kB/s",
             s->out->records_per_s, s->out->bytes_per_s / 1000);
    }
}

/* Decisions. */

void
plan_decide(struct subject *s, enum export_action action,
            enum export_state state)
{
    s->out->action = action;
    s->out->state = state;
}

/* Whose row it is, in words (heap). */
static char *
row_owner_text(struct subject *s)
{
    const struct export_row *row = s->row;
    char *targets = strings_join(row->targets, row->n_targets);
    char *text;
    if (row->owner) {
        text = format_text(s->pl, "another venturid (%s; targets: %s)",
                           row->owner, targets ? targets : "");
    } else if (row->n_extra
               && !strncmp(row->extra[0], "external_ids:", 13)) {
        text = format_text(s->pl, "somebody else (%s; targets: %s)",
                           row->extra[0], targets ? targets : "");
    } else {
        text = format_text(s->pl, "somebody else (no external_ids; targets: "
                           "%s)", targets ? targets : "");
    }
    free(targets);
    return text;
}

/* Another bridge has the same row.  With 'before', only those sorted before
 * this one count.  With 'appends', only those that want our target in it. */
static const struct ovs_bridge *
row_shared_by(struct subject *s, bool before, bool appends)
{
    const struct ovs_snapshot *snap = s->pl->snap;
    if (s->row->n_refs < 2) {
        return NULL;
    }
    for (size_t i = 0; i < (before ? s->index : snap->n_bridges); i++) {
        const struct export_row *row = &snap->bridges[i].row[s->table];
        const struct export_policy *p = s->pl->policy[i];
        if (i == s->index || !row->present
            || strcmp(row->uuid, s->row->uuid)) {
            continue;
        }
        if (!appends || (p && p->wish[s->table].wanted
                         && p->foreign == FOREIGN_APPEND)) {
            return &snap->bridges[i];
        }
    }
    return NULL;
}

/* Takes our row away; what it displaced comes back. */
static void
plan_remove(struct subject *s)
{
    struct export_row *d = s->out->desired;
    plan_decide(s, ACTION_REMOVE, STATE_PENDING);
    if (s->row->prev) {
        int error = export_row_decode(s->row->prev, s->table, d);
        if (error == -ENOMEM) {
            s->pl->oom = true;
        } else if (error) {
            WARN(s, "what the row had displaced was recorded in "VENTURI_PREV
                 ", which can't be read: it is not restored");
        }
    }
    plan_diff_rows(s, s->row, d);
}

static void
copy_change_lists(struct subject *s, char *const *wanted, size_t n_wanted)
{
    struct export_change *c = s->out;
    struct planner *pl = s->pl;
    const struct export_row *row = s->row;
    for (size_t i = 0; i < n_wanted; i++) {
        if (!strings_has(row->targets, row->n_targets, wanted[i])) {
            list_add(pl, &c->add, &c->n_add, wanted[i]);
        }
    }
    for (size_t i = 0; i < row->n_appended; i++) {
        if (!strings_has(wanted, n_wanted, row->appended[i])) {
            list_add(pl, &c->drop, &c->n_drop, row->appended[i]);
        }
    }
}

/* A row of somebody else, with our target in it or not: mutates the targets
 * only. */
static void
plan_mutate(struct subject *s, enum export_action action,
            char *const *wanted, size_t n_wanted)
{
    struct planner *pl = s->pl;
    struct export_change *c = s->out;
    struct export_row *d = c->desired;

    plan_decide(s, action, STATE_PENDING);
    copy_change_lists(s, wanted, n_wanted);
    pl->oom |= export_row_copy(d, s->row) != 0;
    strings_clear(&d->targets, &d->n_targets);
    strings_clear(&d->appended, &d->n_appended);
    for (size_t i = 0; i < s->row->n_targets; i++) {
        if (!strings_has(c->drop, c->n_drop, s->row->targets[i])) {
            list_add(pl, &d->targets, &d->n_targets, s->row->targets[i]);
        }
    }
    for (size_t i = 0; i < c->n_add; i++) {
        list_add(pl, &d->targets, &d->n_targets, c->add[i]);
        list_add(pl, &d->appended, &d->n_appended, c->add[i]);
    }
    for (size_t i = 0; i < s->row->n_appended; i++) {
        if (!strings_has(c->drop, c->n_drop, s->row->appended[i])
            && !strings_has(d->appended, d->n_appended,
                            s->row->appended[i])) {
            list_add(pl, &d->appended, &d->n_appended, s->row->appended[i]);
        }
    }
    strings_sort(d->targets, d->n_targets);
    strings_sort(d->appended, d->n_appended);
    plan_add_diff(s, "targets", targets_text(pl, s->row), targets_text(pl, d));
    if (action == ACTION_APPEND && s->row->n_refs > 1) {
        WARN(s, "%u bridges share this row: all of them will export to us",
             s->row->n_refs);
    }
}

/* Takes our target out of the row of somebody else, unless it would leave a
 * row without targets, which OVSDB would keep as one empty target. */
static void
plan_detach(struct subject *s, const char *why)
{
    const struct ovs_bridge *other = row_shared_by(s, false, true);
    if (other) {
        plan_decide(s, ACTION_NONE, STATE_OFF);
        REASON(s, "our target stays in a row of somebody else, which bridge "
               "%s shares and asks for", other->name);
        return;
    }
    plan_mutate(s, ACTION_DETACH, NULL, 0);
    REASON(s, "%s: our target leaves the row of somebody else", why);
    if (!s->out->desired->n_targets && s->table != EXPORT_IPFIX) {
        s->out->desired->present = false;
        WARN(s, "ours is the last target of that row: the row goes with it");
    }
}

char *
plan_unwanted_reason(struct subject *s, const char *what)
{
    return s->pl->held[s->index]
           ? format_text(s->pl, "removed on request, until export.apply")
           : s->policy
           ? format_text(s->pl, "policy %s does not ask for %s",
                         s->policy->name, what)
           : format_text(s->pl, "no policy matches this bridge");
}

static void
plan_unwanted(struct subject *s)
{
    char *why = plan_unwanted_reason(s, export_table_title(s->table));
    if (!s->row->present) {
        plan_decide(s, ACTION_NONE, STATE_OFF);
        REASON(s, "%s", why ? why : "");
    } else if (s->ours) {
        plan_remove(s);
        REASON(s, "%s", why ? why : "");
    } else if (s->row->n_appended) {
        plan_detach(s, why ? why : "");
    } else {
        char *who = row_owner_text(s);
        plan_decide(s, ACTION_NONE, STATE_OFF);
        REASON(s, "%s; the row of %s stays as it is", why ? why : "",
               who ? who : "somebody else");
        free(who);
    }
    free(why);
}

static enum export_option_id
rate_option(enum export_table table)
{
    return table == EXPORT_SFLOW ? OPT_SF_SAMPLING : OPT_IX_SAMPLING;
}

/* Whether somebody else's row samples at another rate than is wished for. */
static bool
foreign_rate_differs(const struct subject *s)
{
    enum export_option_id opt = rate_option(s->table);
    if (s->table == EXPORT_NETFLOW || s->wish->sampling_auto
        || !s->wish->value[opt].set) {
        return false;
    }
    const struct export_value *v = export_row_value(s->row, opt);
    int64_t rate = v->set ? v->number : OVS_SAMPLING;
    return rate != s->wish->value[opt].number;
}

/* The row of somebody else where we want one.  False if it is to be replaced
 * by a row of ours. */
static bool
plan_foreign(struct subject *s)
{
    const struct export_row *row = s->row;
    enum export_foreign mode = s->policy->foreign;
    bool all = true, stale = false;
    for (size_t i = 0; i < s->n_targets; i++) {
        all = all && strings_has(row->targets, row->n_targets,
                                 s->targets[i]);
    }
    for (size_t i = 0; i < row->n_appended; i++) {
        stale = stale || !strings_has(s->targets, s->n_targets,
                                      row->appended[i]);
    }
    if (mode == FOREIGN_REPLACE) {
        return false;
    }
    char *who = row_owner_text(s);
    const char *dead = row->owner ? row->owner : "";
    const char *hint = row->owner ? "; if that venturid is gone for good: "
                                    "venturictl export adopt " : "";
    if (mode == FOREIGN_RESPECT && row->n_appended) {
        plan_detach(s, "policy says to respect rows of others");
    } else if (all && !stale && !foreign_rate_differs(s)) {
        plan_decide(s, ACTION_NONE, STATE_IN_SYNC);
        REASON(s, "the row of %s has our target%s%s", who ? who : "", hint,
               dead);
    } else if (all && !stale) {
        plan_decide(s, ACTION_SKIP, STATE_CONFLICT);
        REASON(s, "the row of %s has our target, but samples at its own rate "
               "and not 1 in %lld as policy %s says (foreign: replace would)"
               "%s%s",
               who ? who : "",
               (long long) s->wish->value[rate_option(s->table)].number,
               s->policy->name, hint, dead);
    } else if (mode == FOREIGN_APPEND) {
        plan_mutate(s, ACTION_APPEND, s->targets, s->n_targets);
        REASON(s, "policy %s adds our target to the row of %s",
               s->policy->name, who ? who : "");
    } else {
        plan_decide(s, ACTION_SKIP, STATE_CONFLICT);
        REASON(s, "left alone: the row belongs to %s; policy %s says to "
               "respect it (foreign: append or replace would not)%s%s",
               who ? who : "", s->policy->name, hint, dead);
    }
    free(who);
    return true;
}

/* Sampling takes flows out of the hardware (TC and DPDK refuse the sample
 * action), so it needs to be asked for. */
static bool
offload_forbids(const struct subject *s)
{
    return s->pl->snap->hw_offload && s->table != EXPORT_NETFLOW
           && !s->policy->offload_force;
}

static void
plan_offload(struct subject *s)
{
    static const char why[] = "hardware offload is on in this Open vSwitch, "
        "and sampling would take this bridge's flows out of the hardware";
    if (s->ours) {
        plan_remove(s);
    } else {
        plan_decide(s, ACTION_SKIP, STATE_OFF);
    }
    REASON(s, "%s; policy %s says to respect that (offload: force would not)",
           why, s->policy->name);
}

static void
plan_create(struct subject *s)
{
    const struct ovs_bridge *other = s->ours ? row_shared_by(s, true, false)
                                             : NULL;
    const struct export_row none = { .present = false };
    struct export_row *d = s->out->desired;

    plan_decide(s, ACTION_CREATE, STATE_PENDING);
    plan_diff_rows(s, s->ours ? &none : s->row, d);
    if (other) {
        REASON(s, "bridge %s has the same row; each bridge needs its own",
               other->name);
    } else if (s->row->present) {
        char *who = row_owner_text(s);
        d->prev = export_row_encode(s->row, s->table);
        s->pl->oom |= !d->prev;
        REASON(s, "policy %s replaces the row of %s; it is kept in "
               VENTURI_PREV" and comes back when ours goes",
               s->policy->name, who ? who : "");
        free(who);
    } else {
        REASON(s, "policy %s asks for it", s->policy->name);
    }
}

static void
plan_update(struct subject *s)
{
    plan_diff_rows(s, s->row, s->out->desired);
    if (!s->out->n_diffs) {
        plan_decide(s, ACTION_NONE, STATE_IN_SYNC);
        REASON(s, "as policy %s wants it", s->policy->name);
        return;
    }
    plan_decide(s, ACTION_UPDATE, STATE_PENDING);
    if (row_is_genuine(s->row, s->table)) {
        REASON(s, "policy %s asks for other values", s->policy->name);
    } else {
        REASON(s, "somebody changed our row; it goes back to what policy %s "
               "says", s->policy->name);
    }
}

bool
plan_wish_is_good(struct subject *s)
{
    char member[64], message[256], *why;
    if (!export_wish_check(s->wish, s->table, member, sizeof member, message,
                           sizeof message)) {
        plan_decide(s, ACTION_SKIP, STATE_ERROR);
        REASON(s, "policy %s: %s %s", s->policy->name, member, message);
        return false;
    }
    plan_resolve_targets(s, &why);
    if (!s->n_targets) {
        plan_decide(s, ACTION_SKIP, STATE_ERROR);
        REASON(s, "%s", why ? why : "no target");
    }
    free(why);
    return s->n_targets != 0;
}

static void
plan_wanted(struct subject *s)
{
    if (!plan_wish_is_good(s)
        || (s->row->present && !s->ours && plan_foreign(s))) {
        return;
    }
    if (offload_forbids(s)) {
        plan_offload(s);
        return;
    }
    plan_build_row(s);
    plan_load(s);
    if (!s->ours || row_shared_by(s, true, false)) {
        plan_create(s);
    } else {
        plan_update(s);
    }
    if (s->out->action != ACTION_NONE) {
        add_warnings(s);
    }
}

static void
plan_one(struct planner *pl, struct export_plan *plan, size_t i,
         enum export_table table)
{
    const struct ovs_bridge *b = &pl->snap->bridges[i];
    const struct export_policy *p = pl->policy[i];
    struct export_change *out = plan_add_change(pl, plan, i);
    if (!out) {
        return;
    }
    struct subject s = {
        .pl = pl, .index = i, .bridge = b, .policy = p, .table = table,
        .wish = p && p->wish[table].wanted ? &p->wish[table] : NULL,
        .row = &b->row[table], .out = out,
    };
    s.ours = row_is_ours(pl, s.row);
    out->policy = plan_policy_name(pl, plan, p);
    out->table = table;
    if (s.wish) {
        plan_wanted(&s);
    } else {
        plan_unwanted(&s);
    }
    strings_clear(&s.targets, &s.n_targets);
    plan_end_change(pl, plan, out);
}

const char *
plan_text(struct planner *pl, struct export_plan *plan, const char *text)
{
    const char *copy = region_text(plan->region, text);
    pl->oom |= !copy;
    return copy ? copy : "";
}

/* First the bridges, then the orphans, then the policies. */
static void
copy_names(struct planner *pl, struct export_plan *plan)
{
    const struct ovs_snapshot *snap = pl->snap;
    size_t n = snap->n_bridges + snap->n_orphans + pl->policies->n;
    plan->names = region_alloc(plan->region, n * sizeof *plan->names);
    pl->oom |= !plan->names;
    for (size_t i = 0; i < n && !pl->oom; i++) {
        size_t orphan = i - snap->n_bridges;
        const char *name
            = i < snap->n_bridges ? snap->bridges[i].name
              : orphan < snap->n_orphans ? snap->orphans[orphan].bridge
              : pl->policies->list[orphan - snap->n_orphans].name;
        plan->names[plan->n_names++] = plan_text(pl, plan, name ? name : "");
    }
}

/* As many changes as there can be. */
static size_t
count_changes(const struct planner *pl)
{
    const struct ovs_snapshot *snap = pl->snap;
    size_t n = snap->n_bridges * N_EXPORT_TABLES + snap->n_orphans;
    size_t n_wished = 0;
    for (size_t i = 0; i < pl->policies->n; i++) {
        size_t m = pl->policies->list[i].n_samples;
        n_wished = m > n_wished ? m : n_wished;
    }
    for (size_t i = 0; i < snap->n_bridges; i++) {
        n += n_wished + snap->bridges[i].n_samples;
    }
    return n;
}

const char *
plan_policy_name(const struct planner *pl, const struct export_plan *plan,
                 const struct export_policy *p)
{
    return p ? plan->names[pl->snap->n_bridges + pl->snap->n_orphans
                           + (size_t) (p - pl->policies->list)] : NULL;
}

struct export_change *
plan_add_change(struct planner *pl, struct export_plan *plan, size_t bridge)
{
    const struct ovs_bridge *b = bridge < pl->snap->n_bridges
                                 ? &pl->snap->bridges[bridge] : NULL;
    struct export_change *c = &plan->changes[plan->n_changes];
    c->desired = &pl->scratch;
    c->bridge = b ? plan->names[bridge] : NULL;
    c->bridge_index = bridge;
    c->records_per_s = c->bytes_per_s = -1;
    c->records_per_100k = c->bytes_per_100k = -1;
    c->bridge_uuid = c->sample_uuid = "";
    if (b) {
        c->bridge_uuid = plan_text(pl, plan, b->uuid);
        c->ordered = pl->ordered[bridge];
    }
    plan->n_changes++;
    return c;
}

void
plan_end_change(struct planner *pl, struct export_plan *plan,
                struct export_change *c)
{
    c->desired = NULL;
    if (c->reason) {
        char *reason = c->reason;
        c->reason = region_text(plan->region, reason);
        pl->oom |= !c->reason;
        free(reason);
    }
    if (c->state == STATE_PENDING) {
        plan->n_pending++;
        c->desired = malloc(sizeof *c->desired);
        pl->oom |= !c->desired;
    }
    if (c->desired) {
        *c->desired = pl->scratch;
    } else {
        export_row_clear(&pl->scratch);
    }
    memset(&pl->scratch, 0, sizeof pl->scratch);
}

/* What a policy says that nothing follows. */
static void
warn_policies(struct planner *pl, struct export_plan *plan)
{
    for (size_t i = 0; i < pl->policies->n; i++) {
        const struct export_policy *p = &pl->policies->list[i];
        bool decides = !export_policy_is_for_ovs(p), matches = false;
        for (size_t j = 0; j < pl->snap->n_bridges && !decides; j++) {
            decides = pl->found[j] == p;
        }
        for (size_t j = 0; j < pl->snap->n_bridges && !decides && !matches;
             j++) {
            matches = export_policy_matches(p, pl->policies, pl->snap,
                                            &pl->snap->bridges[j]);
        }
        if (!decides) {
            char *text = format_text(pl, matches
                                     ? "policy %s decides nothing: others "
                                     "that stand before it match all of its "
                                     "bridges"
                                     : "policy %s matches no bridge here",
                                     p->name);
            list_add(pl, &plan->warnings, &plan->n_warnings, text);
            free(text);
        }
    }
}

static void
make_changes(struct planner *pl, struct export_plan *plan)
{
    size_t n = pl->snap->n_bridges;
    choose_policies(pl);
    for (size_t i = 0; i < n && !pl->oom; i++) {
        plan->first[i] = plan->n_changes;
        for (int t = 0; t < N_EXPORT_TABLES && !pl->oom; t++) {
            plan_one(pl, plan, i, t);
        }
        if (!pl->oom) {
            plan_samples(pl, plan, i);
        }
    }
    plan->first[n] = plan->n_changes;
    if (!pl->oom) {
        plan_orphans(pl, plan);
        warn_policies(pl, plan);
    }
    plan->first[n + 1] = plan->n_changes;
}

struct export_plan *
export_plan_make(const struct ovs_snapshot *snap,
                 const struct export_policies *policies,
                 const struct export_self *self)
{
    struct planner pl = { .snap = snap, .policies = policies, .self = self };
    size_t n = snap->n_bridges;
    struct export_plan *plan = calloc(1, sizeof *plan);
    if (!plan) {
        return NULL;
    }
    plan->region = region_create();
    if (!plan->region) {
        free(plan);
        return NULL;
    }
    plan->changes = region_alloc(plan->region, count_changes(&pl)
                                             * sizeof *plan->changes);
    plan->first = region_alloc(plan->region, (n + 2) * sizeof *plan->first);
    plan->n_bridges = n;
    plan->generation = snap->generation;
    plan->remote = copy_text(&pl, snap->remote);
    pl.policy = calloc(n + 1, sizeof *pl.policy);
    pl.found = calloc(n + 1, sizeof *pl.found);
    pl.held = calloc(n + 1, sizeof *pl.held);
    pl.ordered = calloc(n + 1, sizeof *pl.ordered);
    assign_identities(&pl);
    copy_names(&pl, plan);
    pl.oom |= !plan->changes || !plan->first || !pl.policy || !pl.found
              || !pl.held || !pl.ordered;
    if (!pl.oom) {
        make_changes(&pl, plan);
    }
    for (int id = 0; id < N_IDENTITIES; id++) {
        free(pl.identity[id]);
    }
    free(pl.policy);
    free(pl.found);
    free(pl.held);
    free(pl.ordered);
    if (pl.oom) {
        export_plan_destroy(plan);
        return NULL;
    }
    region_seal(plan->region);
    return plan;
}

static void
change_clear(struct export_change *c)
{
    for (size_t i = 0; i < c->n_diffs; i++) {
        free(c->diffs[i].old_value);
        free(c->diffs[i].new_value);
    }
    free(c->diffs);
    strings_clear(&c->add, &c->n_add);
    strings_clear(&c->drop, &c->n_drop);
    strings_clear(&c->warnings, &c->n_warnings);
    if (c->desired) {
        export_row_clear(c->desired);
        free(c->desired);
    }
}

void
export_plan_destroy(struct export_plan *plan)
{
    if (plan) {
        for (size_t i = 0; i < plan->n_changes; i++) {
            change_clear(&plan->changes[i]);
        }
        strings_clear(&plan->warnings, &plan->n_warnings);
        region_destroy(plan->region);
        free(plan->remote);
        free(plan);
    }
}
