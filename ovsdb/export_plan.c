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
#include <fnmatch.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/addr.h"
#include "ovsdb/export_p.h"

/* "auto" sampling: OVS's own default.  One place, because a budget of samples
 * per second per host will choose here instead. */
#define AUTO_SAMPLING 400

/* Agents of our own: 127.64.0.0/10, an address per bridge.  OVS takes any
 * literal (since 2.10) and only puts it into the datagram. */
#define AGENT_NET UINT32_C(0x7f400000)
#define AGENT_MASK UINT32_C(0x003fffff)

enum identity { ID_ENGINE, ID_AGENT, ID_OBSERVATION, N_IDENTITIES };

static const struct identity_rule {
    enum export_table table;
    uint32_t mask;              /* Zero is never given out. */
} identity_rules[N_IDENTITIES] = {
    [ID_ENGINE] = { EXPORT_NETFLOW, 0xffff },
    [ID_AGENT] = { EXPORT_SFLOW, AGENT_MASK },
    [ID_OBSERVATION] = { EXPORT_IPFIX, UINT32_MAX },
};

struct planner {
    const struct ovs_snapshot *snap;
    const struct export_policies *policies;
    const struct export_self *self;
    uint32_t *identity[N_IDENTITIES];   /* Per bridge. */
    const struct export_policy **policy;        /* Per bridge; or NULL. */
    bool oom;                           /* Sticky. */
};

/* One bridge and protocol being decided. */
struct subject {
    struct planner *pl;
    size_t index;               /* Of the bridge. */
    const struct ovs_bridge *bridge;
    const struct export_policy *policy;
    const struct export_wish *wish;     /* NULL: not wanted. */
    const struct export_row *row;
    enum export_table table;
    bool ours;
    struct export_change *out;
    char **targets;             /* Of the wish, resolved. */
    size_t n_targets;
};

/* Text that may fail: the planner remembers. */

static char *format_text(struct planner *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static char *
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

#define REASON(S, ...) set_reason(S, format_text((S)->pl, __VA_ARGS__))
#define WARN(S, ...) add_warning(S, format_text((S)->pl, __VA_ARGS__))

static void
set_reason(struct subject *s, char *text)
{
    free(s->out->reason);
    s->out->reason = text;
}

static void
add_warning(struct subject *s, char *text)
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
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (; *uuid; uuid++) {
        h = (h ^ (uint8_t) *uuid) * UINT64_C(0x100000001b3);
    }
    return mix(h);
}

/* The identity that a row carries, or 0. */
static uint32_t
row_identity(const struct export_row *row, enum identity id)
{
    const struct export_value *v = row->value;
    struct addr a;
    switch (id) {
    case ID_ENGINE:
        return v[OPT_NF_ENGINE_TYPE].set && v[OPT_NF_ENGINE_ID].set
               ? (uint32_t) (v[OPT_NF_ENGINE_TYPE].number << 8
                             | v[OPT_NF_ENGINE_ID].number) & 0xffff : 0;
    case ID_AGENT:
        if (v[OPT_SF_AGENT].set && v[OPT_SF_AGENT].string
            && !addr_parse(v[OPT_SF_AGENT].string, &a) && addr_is_v4(&a)) {
            uint32_t ip = (uint32_t) a.b[12] << 24 | (uint32_t) a.b[13] << 16
                          | (uint32_t) a.b[14] << 8 | a.b[15];
            return (ip & ~AGENT_MASK) == AGENT_NET ? ip & AGENT_MASK : 0;
        }
        return 0;
    case ID_OBSERVATION:
    case N_IDENTITIES:
    default:
        return v[OPT_IX_OBS_DOMAIN_ID].set
               ? (uint32_t) v[OPT_IX_OBS_DOMAIN_ID].number : 0;
    }
}

static bool
row_is_ours(const struct planner *pl, const struct export_row *row)
{
    return row->present && text_equal(row->owner, pl->self->owner);
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

static bool
policy_matches(const struct export_policy *p, const struct ovs_bridge *b)
{
    const char *dp = p->datapath_type;
    const char *have = b->datapath_type && *b->datapath_type
                       ? b->datapath_type : "system";
    if (dp && strcmp(dp, "any") && strcmp(dp, have)) {
        return false;
    }
    return (!p->n_bridges || any_match(p->bridges, p->n_bridges, b->name))
           && !any_match(p->exclude, p->n_exclude, b->name);
}

static const struct export_policy *
find_policy(const struct export_policies *policies,
            const struct ovs_bridge *b)
{
    for (size_t i = 0; i < policies->n; i++) {
        if (policy_matches(&policies->list[i], b)) {
            return &policies->list[i];
        }
    }
    return NULL;
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
static void
resolve_targets(struct subject *s, char **why)
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
            add_warning(s, copy_text(s->pl, reason));
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

/* "host/bridge", cut to what OVS takes: 254 bytes; one more and it silently
 * turns the exporter off. */
static char *
virtual_obs_id(struct subject *s)
{
    const struct ovs_snapshot *snap = s->pl->snap;
    const char *host = snap->system_id && *snap->system_id ? snap->system_id
                       : snap->hostname && *snap->hostname ? snap->hostname
                       : NULL;
    char *text = host ? format_text(s->pl, "%s/%s", host, s->bridge->name)
                      : copy_text(s->pl, s->bridge->name);
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
        set_number(&v[OPT_SF_SAMPLING], AUTO_SAMPLING);
    }
}

static void
fill_ipfix(struct subject *s, struct export_value *v)
{
    uint32_t id = s->pl->identity[ID_OBSERVATION][s->index];
    if (!v[OPT_IX_OBS_DOMAIN_ID].set) {
        set_number(&v[OPT_IX_OBS_DOMAIN_ID], id);
    }
    if (!v[OPT_IX_OBS_POINT_ID].set) {
        set_number(&v[OPT_IX_OBS_POINT_ID], id);
    }
    if (!v[OPT_IX_VIRTUAL_OBS_ID].set) {
        set_string(s->pl, &v[OPT_IX_VIRTUAL_OBS_ID], virtual_obs_id(s));
    }
    if (s->wish->sampling_auto && !v[OPT_IX_SAMPLING].set) {
        set_number(&v[OPT_IX_SAMPLING], AUTO_SAMPLING);
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

static void
build_desired(struct subject *s)
{
    static void (*const fill[N_EXPORT_TABLES])(struct subject *,
                                               struct export_value *) = {
        [EXPORT_NETFLOW] = fill_netflow,
        [EXPORT_SFLOW] = fill_sflow,
        [EXPORT_IPFIX] = fill_ipfix,
    };
    struct planner *pl = s->pl;
    struct export_row *d = &s->out->desired;
    char hash[EXPORT_HASH_STRLEN];

    d->present = true;
    d->n_refs = 1;
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
static void
add_diff(struct subject *s, const char *column, char *old_value,
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

static void
diff_rows(struct subject *s, const struct export_row *from,
          const struct export_row *to)
{
    struct planner *pl = s->pl;
    add_diff(s, "targets", targets_text(pl, from), targets_text(pl, to));
    for (int o = 0; o < N_EXPORT_OPTIONS; o++) {
        const struct export_option *opt = &export_options[o];
        if (opt->table == s->table) {
            add_diff(s, opt->name,
                     from->present ? export_value_text(opt, &from->value[o])
                                   : NULL,
                     to->present ? export_value_text(opt, &to->value[o])
                                 : NULL);
        }
    }
    add_diff(s, VENTURI_OWNER, copy_text(pl, from->owner),
             copy_text(pl, to->owner));
    add_diff(s, VENTURI_POLICY, copy_text(pl, from->policy),
             copy_text(pl, to->policy));
    add_diff(s, VENTURI_HASH, copy_text(pl, from->hash),
             copy_text(pl, to->hash));
}

/* Warnings. */

static void
warn_ipfix(struct subject *s)
{
    const struct export_value *v = s->out->desired.value;
    int64_t rate = v[OPT_IX_SAMPLING].set ? v[OPT_IX_SAMPLING].number
                                          : AUTO_SAMPLING;
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
    if (!(timeout && flows)) {
        WARN(s, "without a cache each sampled packet is one record, one "
             "datagram and one upcall: each 100,000 packets/s will make "
             "about %.0f records/s and %.0f kB/s", records,
             records * 300 / 1000);
    }
}

static void
add_warnings(struct subject *s)
{
    const struct export_value *v = s->out->desired.value;
    enum export_option_id sampling = s->table == EXPORT_SFLOW
                                     ? OPT_SF_SAMPLING : OPT_IX_SAMPLING;
    if (s->table == EXPORT_NETFLOW) {
        WARN(s, "NetFlow makes every IPv4 megaflow exact: one datapath flow "
             "per connection and direction, more upcalls, more memory");
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
    if (s->table == EXPORT_SFLOW && !v[OPT_SF_AGENT].set) {
        WARN(s, "without an agent Open vSwitch takes the address of its "
             "route to the first target; if there is none, it exports "
             "nothing and says so only in its log");
    }
}

/* Decisions. */

static void
decide(struct subject *s, enum export_action action, enum export_state state)
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
    struct export_row *d = &s->out->desired;
    decide(s, ACTION_REMOVE, STATE_PENDING);
    if (s->row->prev) {
        int error = export_row_decode(s->row->prev, s->table, d);
        if (error == -ENOMEM) {
            s->pl->oom = true;
        } else if (error) {
            WARN(s, "what the row had displaced was recorded in "VENTURI_PREV
                 ", which can't be read: it is not restored");
        }
    }
    diff_rows(s, s->row, d);
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
    struct export_row *d = &c->desired;

    decide(s, action, STATE_PENDING);
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
    add_diff(s, "targets", targets_text(pl, s->row), targets_text(pl, d));
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
        decide(s, ACTION_NONE, STATE_OFF);
        REASON(s, "our target stays in a row of somebody else, which bridge "
               "%s shares and asks for", other->name);
        return;
    }
    plan_mutate(s, ACTION_DETACH, NULL, 0);
    REASON(s, "%s: our target leaves the row of somebody else", why);
    if (!s->out->desired.n_targets && s->table != EXPORT_IPFIX) {
        s->out->desired.present = false;
        WARN(s, "ours is the last target of that row: the row goes with it");
    }
}

static bool
bridge_is_held(const struct export_self *self, const char *name)
{
    for (size_t i = 0; i < self->n_held; i++) {
        if (!strcmp(self->held[i], name)) {
            return true;
        }
    }
    return self->held_all;
}

static void
plan_unwanted(struct subject *s)
{
    char *why = bridge_is_held(s->pl->self, s->bridge->name)
                ? format_text(s->pl, "removed on request, until export.apply")
                : s->policy
                ? format_text(s->pl, "policy %s does not ask for %s",
                              s->policy->name, export_table_title(s->table))
                : format_text(s->pl, "no policy matches this bridge");
    if (!s->row->present) {
        decide(s, ACTION_NONE, STATE_OFF);
        REASON(s, "%s", why ? why : "");
    } else if (s->ours) {
        plan_remove(s);
        REASON(s, "%s", why ? why : "");
    } else if (s->row->n_appended) {
        plan_detach(s, why ? why : "");
    } else {
        char *who = row_owner_text(s);
        decide(s, ACTION_NONE, STATE_OFF);
        REASON(s, "%s; the row of %s stays as it is", why ? why : "",
               who ? who : "somebody else");
        free(who);
    }
    free(why);
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
    if (mode == FOREIGN_RESPECT && row->n_appended) {
        plan_detach(s, "policy says to respect rows of others");
    } else if (all && !stale) {
        decide(s, ACTION_NONE, STATE_IN_SYNC);
        REASON(s, "the row of %s has our target", who ? who : "");
    } else if (mode == FOREIGN_APPEND) {
        plan_mutate(s, ACTION_APPEND, s->targets, s->n_targets);
        REASON(s, "policy %s adds our target to the row of %s",
               s->policy->name, who ? who : "");
    } else {
        decide(s, ACTION_SKIP, STATE_CONFLICT);
        REASON(s, "left alone: the row belongs to %s; policy %s says to "
               "respect it (foreign: append or replace would not)",
               who ? who : "", s->policy->name);
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
        decide(s, ACTION_SKIP, STATE_OFF);
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
    struct export_row *d = &s->out->desired;

    decide(s, ACTION_CREATE, STATE_PENDING);
    diff_rows(s, s->ours ? &none : s->row, d);
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
    diff_rows(s, s->row, &s->out->desired);
    if (!s->out->n_diffs) {
        decide(s, ACTION_NONE, STATE_IN_SYNC);
        REASON(s, "as policy %s wants it", s->policy->name);
        return;
    }
    decide(s, ACTION_UPDATE, STATE_PENDING);
    if (row_is_genuine(s->row, s->table)) {
        REASON(s, "policy %s asks for other values", s->policy->name);
    } else {
        REASON(s, "somebody changed our row; it goes back to what policy %s "
               "says", s->policy->name);
    }
}

static void
plan_wanted(struct subject *s)
{
    char member[64], message[256], *why;
    if (!export_wish_check(s->wish, s->table, member, sizeof member, message,
                           sizeof message)) {
        decide(s, ACTION_SKIP, STATE_ERROR);
        REASON(s, "policy %s: %s %s", s->policy->name, member, message);
        return;
    }
    resolve_targets(s, &why);
    if (!s->n_targets) {
        decide(s, ACTION_SKIP, STATE_ERROR);
        REASON(s, "%s", why ? why : "no target");
        free(why);
        return;
    }
    free(why);
    if (s->row->present && !s->ours && plan_foreign(s)) {
        return;
    }
    if (offload_forbids(s)) {
        plan_offload(s);
        return;
    }
    build_desired(s);
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
plan_one(struct planner *pl, size_t i, enum export_table table,
         struct export_change *out)
{
    const struct ovs_bridge *b = &pl->snap->bridges[i];
    const struct export_policy *p = pl->policy[i];
    struct subject s = {
        .pl = pl, .index = i, .bridge = b, .policy = p, .table = table,
        .wish = p && p->wish[table].wanted ? &p->wish[table] : NULL,
        .row = &b->row[table], .out = out,
    };
    s.ours = row_is_ours(pl, s.row);
    out->bridge = copy_text(pl, b->name);
    out->policy = p ? copy_text(pl, p->name) : NULL;
    out->table = table;
    memcpy(out->bridge_uuid, b->uuid, sizeof out->bridge_uuid);
    if (s.wish) {
        plan_wanted(&s);
    } else {
        plan_unwanted(&s);
    }
    strings_clear(&s.targets, &s.n_targets);
}

struct export_plan *
export_plan_make(const struct ovs_snapshot *snap,
                 const struct export_policies *policies,
                 const struct export_self *self)
{
    struct planner pl = { .snap = snap, .policies = policies, .self = self };
    size_t n = snap->n_bridges, room = n ? n : 1;
    struct export_plan *plan = calloc(1, sizeof *plan);
    if (!plan) {
        return NULL;
    }
    plan->changes = calloc(room * N_EXPORT_TABLES, sizeof *plan->changes);
    plan->generation = snap->generation;
    plan->remote = copy_text(&pl, snap->remote);
    pl.policy = calloc(room, sizeof *pl.policy);
    assign_identities(&pl);
    pl.oom |= !plan->changes || !pl.policy;
    for (size_t i = 0; i < n && !pl.oom; i++) {
        pl.policy[i] = bridge_is_held(self, snap->bridges[i].name) ? NULL
                       : find_policy(policies, &snap->bridges[i]);
    }
    for (size_t i = 0; i < n && !pl.oom; i++) {
        for (int t = 0; t < N_EXPORT_TABLES; t++) {
            struct export_change *c = &plan->changes[plan->n_changes++];
            plan_one(&pl, i, t, c);
            plan->n_pending += c->state == STATE_PENDING;
        }
    }
    for (int id = 0; id < N_IDENTITIES; id++) {
        free(pl.identity[id]);
    }
    free(pl.policy);
    if (pl.oom) {
        export_plan_destroy(plan);
        return NULL;
    }
    return plan;
}

static void
change_clear(struct export_change *c)
{
    free(c->bridge);
    free(c->policy);
    free(c->reason);
    for (size_t i = 0; i < c->n_diffs; i++) {
        free(c->diffs[i].old_value);
        free(c->diffs[i].new_value);
    }
    free(c->diffs);
    strings_clear(&c->add, &c->n_add);
    strings_clear(&c->drop, &c->n_drop);
    strings_clear(&c->warnings, &c->n_warnings);
    export_row_clear(&c->desired);
}

void
export_plan_destroy(struct export_plan *plan)
{
    if (plan) {
        for (size_t i = 0; i < plan->n_changes; i++) {
            change_clear(&plan->changes[i]);
        }
        free(plan->changes);
        free(plan->remote);
        free(plan);
    }
}
