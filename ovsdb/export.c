/* ovsdb/export.c -- the option table, names, and policies as plain values. */
#include <config.h>

#include "ovsdb/export.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/addr.h"
#include "lib/fnv.h"
#include "ovsdb/export_p.h"

/* The user's name of an option: its key, or else its column. */
#define OPTION_NAME(COLUMN, KEY) (sizeof(KEY) > 1 ? (KEY) : (COLUMN))

const struct export_option export_options[N_EXPORT_OPTIONS] = {
#define X(ID, TABLE, COLUMN, KEY, TYPE, MIN, MAX, DOC)          \
    [OPT_##ID] = { EXPORT_##TABLE, COLUMN, KEY,                 \
                   OPTION_NAME(COLUMN, KEY), EXPORT_T_##TYPE,   \
                   MIN, MAX, DOC },
    EXPORT_OPTIONS(X)
#undef X
};

_Static_assert(N_EXPORT_OPTIONS <= 64, "ovs_snapshot.missing_options");

struct table_words {
    const char *name, *title;
    uint16_t port;              /* IANA's, or the usual one. */
};

static const struct table_words tables[N_EXPORT_TABLES] = {
    [EXPORT_NETFLOW] = { "netflow", "NetFlow", 2055 },
    [EXPORT_SFLOW] = { "sflow", "sFlow", 6343 },
    [EXPORT_IPFIX] = { "ipfix", "IPFIX", 4739 },
};

const char *
export_table_name(enum export_table t)
{
    return t < N_EXPORT_TABLES ? tables[t].name : "unknown";
}

const char *
export_table_title(enum export_table t)
{
    return t < N_EXPORT_TABLES ? tables[t].title : "unknown";
}

enum export_option_id
export_option_find(enum export_table table, const char *name)
{
    for (int o = 0; o < N_EXPORT_OPTIONS; o++) {
        if (export_options[o].table == table
            && !strcmp(export_options[o].name, name)) {
            return (enum export_option_id) o;
        }
    }
    return N_EXPORT_OPTIONS;
}

bool
export_option_is_for_samples(enum export_option_id o)
{
    return o == OPT_IX_CACHE_ACTIVE_TIMEOUT || o == OPT_IX_CACHE_MAX_FLOWS
           || o == OPT_IX_TEMPLATE_INTERVAL || o == OPT_IX_STATS_INTERVAL
           || o == OPT_IX_TUNNEL_SAMPLING || o == OPT_IX_VIRTUAL_OBS_ID;
}

const char *
export_action_name(enum export_action action)
{
    static const char *const names[] = {
        [ACTION_NONE] = "none", [ACTION_CREATE] = "create",
        [ACTION_UPDATE] = "update", [ACTION_REMOVE] = "remove",
        [ACTION_APPEND] = "append", [ACTION_DETACH] = "detach",
        [ACTION_SKIP] = "skip",
    };
    return action <= ACTION_SKIP ? names[action] : "unknown";
}

const char *
export_state_name(enum export_state state)
{
    static const char *const names[] = {
        [STATE_OFF] = "off", [STATE_IN_SYNC] = "in-sync",
        [STATE_PENDING] = "pending", [STATE_RECEIVING] = "receiving",
        [STATE_SILENT] = "silent", [STATE_CONFLICT] = "conflict",
        [STATE_ERROR] = "error",
    };
    return state <= STATE_ERROR ? names[state] : "unknown";
}

/* Lists of strings. */

int
strings_add(char ***list, size_t *n, const char *text)
{
    char *copy = strdup(text);
    char **grown = copy ? realloc(*list, (*n + 1) * sizeof **list) : NULL;
    if (!grown) {
        free(copy);
        return -ENOMEM;
    }
    grown[(*n)++] = copy;
    *list = grown;
    return 0;
}

void
strings_clear(char ***list, size_t *n)
{
    for (size_t i = 0; i < *n; i++) {
        free((*list)[i]);
    }
    free(*list);
    *list = NULL;
    *n = 0;
}

int
strings_copy(char ***to, size_t *n_to, char *const *from, size_t n)
{
    *to = NULL;
    *n_to = 0;
    for (size_t i = 0; i < n; i++) {
        if (strings_add(to, n_to, from[i])) {
            strings_clear(to, n_to);
            return -ENOMEM;
        }
    }
    return 0;
}

static int
compare_strings(const void *a, const void *b)
{
    return strcmp(*(char *const *) a, *(char *const *) b);
}

void
strings_sort(char **list, size_t n)
{
    if (n > 1) {
        qsort(list, n, sizeof *list, compare_strings);
    }
}

bool
strings_has(char *const *list, size_t n, const char *text)
{
    for (size_t i = 0; i < n; i++) {
        if (!strcmp(list[i], text)) {
            return true;
        }
    }
    return false;
}

bool
strings_equal(char *const *a, size_t n_a, char *const *b, size_t n_b)
{
    if (n_a != n_b) {
        return false;
    }
    for (size_t i = 0; i < n_a; i++) {
        if (strcmp(a[i], b[i])) {
            return false;
        }
    }
    return true;
}

char *
strings_join(char *const *list, size_t n)
{
    size_t size = 1;
    for (size_t i = 0; i < n; i++) {
        size += strlen(list[i]) + 1;
    }
    char *text = malloc(size), *p = text;
    if (text) {
        *p = '\0';
        for (size_t i = 0; i < n; i++) {
            p = stpcpy(p, i ? " " : "");
            p = stpcpy(p, list[i]);
        }
    }
    return text;
}

/* Targets. */

char *
export_target_normal(const char *text, enum export_table table)
{
    if (!strcmp(text, "local")) {
        return strdup(text);
    }
    struct addr a;
    uint16_t port;
    char buf[ENDPOINT_STRLEN];
    if (endpoint_parse(text, tables[table].port, &a, &port) || !port
        || addr_is_zero(&a)) {
        errno = EINVAL;
        return NULL;
    }
    return strdup(endpoint_format(&a, port, buf));
}

/* Policies. */

static int
value_copy(struct export_value *to, const struct export_value *from)
{
    *to = *from;
    if (from->string) {
        to->string = strdup(from->string);
        return to->string ? 0 : -ENOMEM;
    }
    return 0;
}

static int
text_copy(char **to, const char *from)
{
    *to = from ? strdup(from) : NULL;
    return from && !*to ? -ENOMEM : 0;
}

static int
wish_copy(struct export_wish *to, const struct export_wish *from)
{
    to->wanted = from->wanted;
    to->sampling_auto = from->sampling_auto;
    int error = strings_copy(&to->targets, &to->n_targets, from->targets,
                             from->n_targets);
    for (int o = 0; o < N_EXPORT_OPTIONS && !error; o++) {
        error = value_copy(&to->value[o], &from->value[o]);
    }
    return error;
}

static int
samples_copy(struct export_policy *to, const struct export_policy *from)
{
    int error = 0;
    to->samples = calloc(from->n_samples + 1, sizeof *to->samples);
    for (size_t i = 0; to->samples && i < from->n_samples && !error; i++) {
        struct export_sample_wish *wish = &to->samples[to->n_samples++];
        wish->id = from->samples[i].id;
        wish->group = from->samples[i].group;
        error = wish_copy(&wish->ipfix, &from->samples[i].ipfix);
    }
    return to->samples ? error : -ENOMEM;
}

/* Copies into '*to', which is all zero.  On error it is half done but can be
 * destroyed. */
static int
policy_copy(struct export_policy *to, const struct export_policy *from)
{
    to->foreign = from->foreign;
    to->offload_force = from->offload_force;
    to->probe = from->probe;
    int error = text_copy(&to->name, from->name);
    error = error ? error : text_copy(&to->datapath_type,
                                      from->datapath_type);
    error = error ? error : strings_copy(&to->bridges, &to->n_bridges,
                                         from->bridges, from->n_bridges);
    error = error ? error : strings_copy(&to->exclude, &to->n_exclude,
                                         from->exclude, from->n_exclude);
    error = error ? error : strings_copy(&to->bridge_ids, &to->n_bridge_ids,
                                         from->bridge_ids,
                                         from->n_bridge_ids);
    error = error ? error : strings_copy(&to->host_ids, &to->n_host_ids,
                                         from->host_ids, from->n_host_ids);
    error = error ? error : strings_copy(&to->labels, &to->n_labels,
                                         from->labels, from->n_labels);
    for (int t = 0; t < N_EXPORT_TABLES && !error; t++) {
        error = wish_copy(&to->wish[t], &from->wish[t]);
    }
    return error ? error : samples_copy(to, from);
}

static int
hosts_copy(struct export_policies *to, const struct export_policies *from)
{
    for (size_t i = 0; i < from->n_hosts; i++) {
        const struct export_host *h = &from->hosts[i];
        struct export_host *copy = &to->hosts[to->n_hosts++];
        if (text_copy(&copy->remote, h->remote)
            || strings_copy(&copy->labels, &copy->n_labels, h->labels,
                            h->n_labels)) {
            return -ENOMEM;
        }
    }
    return 0;
}

struct export_policies *
export_policies_clone(const struct export_policies *from)
{
    struct export_policies *to = calloc(1, sizeof *to);
    if (!to) {
        return NULL;
    }
    to->list = calloc(from->n ? from->n : 1, sizeof *to->list);
    to->budget = from->budget;
    to->hosts = calloc(from->n_hosts + 1, sizeof *to->hosts);
    if (!to->list || !to->hosts
        || strings_copy(&to->labels, &to->n_labels, from->labels,
                        from->n_labels)
        || strings_copy(&to->adopt, &to->n_adopt, from->adopt,
                        from->n_adopt)
        || hosts_copy(to, from)) {
        export_policies_destroy(to);
        return NULL;
    }
    for (size_t i = 0; i < from->n; i++) {
        to->n++;
        if (policy_copy(&to->list[i], &from->list[i])) {
            export_policies_destroy(to);
            return NULL;
        }
    }
    return to;
}

static void
wish_clear(struct export_wish *wish)
{
    strings_clear(&wish->targets, &wish->n_targets);
    for (int o = 0; o < N_EXPORT_OPTIONS; o++) {
        free(wish->value[o].string);
    }
}

void
export_policies_destroy(struct export_policies *policies)
{
    for (size_t i = 0; policies && i < policies->n; i++) {
        struct export_policy *p = &policies->list[i];
        free(p->name);
        free(p->datapath_type);
        strings_clear(&p->bridges, &p->n_bridges);
        strings_clear(&p->exclude, &p->n_exclude);
        for (int t = 0; t < N_EXPORT_TABLES; t++) {
            wish_clear(&p->wish[t]);
        }
        strings_clear(&p->bridge_ids, &p->n_bridge_ids);
        strings_clear(&p->host_ids, &p->n_host_ids);
        strings_clear(&p->labels, &p->n_labels);
        for (size_t j = 0; j < p->n_samples; j++) {
            wish_clear(&p->samples[j].ipfix);
        }
        free(p->samples);
    }
    if (policies) {
        strings_clear(&policies->labels, &policies->n_labels);
        strings_clear(&policies->adopt, &policies->n_adopt);
        for (size_t i = 0; i < policies->n_hosts; i++) {
            free(policies->hosts[i].remote);
            strings_clear(&policies->hosts[i].labels,
                          &policies->hosts[i].n_labels);
        }
        free(policies->hosts);
        free(policies->list);
        free(policies);
    }
}

struct export_policies *
export_policies_default(void)
{
    static char name[] = "default", any[] = "any", star[] = "*";
    static char local[] = "local";
    char *stars[] = { star }, *locals[] = { local };
    struct export_policy policy = {
        .name = name,
        .bridges = stars, .n_bridges = 1,
        .datapath_type = any,
        .foreign = FOREIGN_RESPECT,
        .wish[EXPORT_SFLOW] = {
            .wanted = true,
            .sampling_auto = true,
            .targets = locals, .n_targets = 1,
            .value[OPT_SF_POLLING] = { .set = true, .number = 10 },
            .value[OPT_SF_HEADER] = { .set = true, .number = 128 },
        },
    };
    const struct export_policies all = {
        .list = &policy, .n = 1, .budget = EXPORT_BUDGET,
    };
    return export_policies_clone(&all);
}

/* Checks. */

static bool
option_check(const struct export_option *opt, const struct export_value *v,
             char *message, size_t size)
{
    if (opt->type == EXPORT_T_STRING) {
        size_t len = v->string ? strlen(v->string) : 0;
        if (len < 1 || (int64_t) len > opt->max) {
            snprintf(message, size, "must have 1 to %"PRId64" bytes",
                     opt->max);
            return false;
        }
    } else if (v->number < opt->min || v->number > opt->max) {
        snprintf(message, size,
                 "is %"PRId64", must be from %"PRId64" to %"PRId64,
                 v->number, opt->min, opt->max);
        return false;
    }
    return true;
}

bool
export_wish_check(const struct export_wish *wish, enum export_table table,
                  char *member, size_t member_size,
                  char *message, size_t message_size)
{
    for (int o = 0; o < N_EXPORT_OPTIONS; o++) {
        const struct export_option *opt = &export_options[o];
        if (!wish->value[o].set) {
            continue;
        }
        snprintf(member, member_size, "%s/%s", tables[table].name, opt->name);
        if (opt->table != table) {
            snprintf(message, message_size, "is an option of %s",
                     tables[opt->table].title);
            return false;
        }
        if (!option_check(opt, &wish->value[o], message, message_size)) {
            return false;
        }
    }
    snprintf(member, member_size, "%s/targets", tables[table].name);
    if (!wish->n_targets) {
        /* OVS would store [""] for NetFlow and sFlow, and turn IPFIX off. */
        snprintf(message, message_size, "must name at least one target");
        return false;
    }
    for (size_t i = 0; i < wish->n_targets; i++) {
        char *normal = export_target_normal(wish->targets[i], table);
        if (!normal) {
            snprintf(message, message_size,
                     "\"%.80s\" is neither \"local\" nor an address with a "
                     "port, such as \"192.0.2.1:%u\"", wish->targets[i],
                     tables[table].port);
            return false;
        }
        free(normal);
    }
    return true;
}

static bool
sample_check(const struct export_policy *p, size_t i, char *member,
             size_t member_size, char *message, size_t message_size)
{
    const struct export_sample_wish *wish = &p->samples[i];
    char inner[64];
    snprintf(member, member_size, "flow-sample[%u]/id", wish->id);
    for (size_t j = 0; j < i; j++) {
        if (p->samples[j].id == wish->id) {
            snprintf(message, message_size, "is used twice");
            return false;
        }
    }
    snprintf(member, member_size, "flow-sample[%u]", wish->id);
    if (!wish->ipfix.wanted && !wish->group.set) {
        snprintf(message, message_size, "must have ipfix or local_group_id");
        return false;
    }
    if (wish->group.set && (wish->group.number < 0
                            || wish->group.number > UINT32_MAX)) {
        snprintf(member, member_size, "flow-sample[%u]/local_group_id",
                 wish->id);
        snprintf(message, message_size, "must be from 0 to 4294967295");
        return false;
    }
    for (int o = 0; o < N_EXPORT_OPTIONS; o++) {
        if (wish->ipfix.value[o].set && !export_option_is_for_samples(o)) {
            snprintf(member, member_size, "flow-sample[%u]/ipfix/%s",
                     wish->id, export_options[o].name);
            snprintf(message, message_size, "is not an option of "
                     "Flow_Sample_Collector_Set");
            return false;
        }
    }
    if (wish->ipfix.wanted
        && !export_wish_check(&wish->ipfix, EXPORT_IPFIX, inner,
                              sizeof inner, message, message_size)) {
        snprintf(member, member_size, "flow-sample[%u]/%s", wish->id, inner);
        return false;
    }
    return true;
}

/* The policies before one, by name and by what they match, so that checking
 * many of them takes no longer for each: open addressing, 0 is empty, others
 * are 1 more than an index. */
struct earlier {
    const struct export_policies *all;
    size_t mask;
    uint32_t *names, *matches;
    size_t everything[4];       /* For all bridges: two of a kind collide. */
    size_t n_everything;
};

static bool
earlier_init(struct earlier *e, const struct export_policies *all)
{
    size_t room = 16;
    while (room < 2 * all->n) {
        room *= 2;
    }
    *e = (struct earlier) {
        .all = all, .mask = room - 1,
        .names = calloc(room, sizeof *e->names),
        .matches = calloc(room, sizeof *e->matches),
    };
    return e->names && e->matches;
}

static void
earlier_destroy(struct earlier *e)
{
    free(e->names);
    free(e->matches);
}

static void
earlier_put(const struct earlier *e, uint32_t *table, uint64_t hash, size_t i)
{
    size_t at = hash & e->mask;
    while (table[at]) {
        at = (at + 1) & e->mask;
    }
    table[at] = (uint32_t) i + 1;
}

static void
earlier_add(struct earlier *e, size_t i)
{
    const struct export_policy *p = &e->all->list[i];
    earlier_put(e, e->names, fnv_text(FNV_START, p->name), i);
    earlier_put(e, e->matches, export_policy_match_hash(p), i);
    if (export_policy_is_everything(p)
        && e->n_everything < sizeof e->everything / sizeof *e->everything) {
        e->everything[e->n_everything++] = i;
    }
}

static bool
earlier_has_name(const struct earlier *e, const char *name)
{
    size_t at = fnv_text(FNV_START, name) & e->mask;
    for (; e->names[at]; at = (at + 1) & e->mask) {
        if (!strcmp(e->all->list[e->names[at] - 1].name, name)) {
            return true;
        }
    }
    return false;
}

/* One is for Linux bridges alone and the other says nothing of them: they do
 * not meet. */
static bool
meet(const struct export_policy *earlier, const struct export_policy *p)
{
    return !export_policy_is_for_ovs(earlier)
           ? !export_policy_is_for_ovs(p) && p->probe
           : export_policy_is_for_ovs(p) || earlier->probe;
}

/* The first policy because of which this one would never decide anything, as
 * an index; or the number of all. */
static size_t
earlier_match(const struct earlier *e, const struct export_policy *p)
{
    const struct export_policy *list = e->all->list;
    size_t first = e->all->n, at = export_policy_match_hash(p) & e->mask;

    for (size_t i = e->n_everything; i--;) {
        if (meet(&list[e->everything[i]], p)) {
            first = e->everything[i];
        }
    }
    for (; e->matches[at]; at = (at + 1) & e->mask) {
        size_t j = e->matches[at] - 1;
        if (j < first && meet(&list[j], p)
            && export_policy_same_match(&list[j], p)) {
            first = j;
        }
    }
    return first;
}

/* Two policies collide if the later one could never decide anything. */
static bool
match_check(const struct earlier *e, const struct export_policy *p,
            char *message, size_t message_size)
{
    if (export_policy_is_nothing(p)) {
        snprintf(message, message_size, "excludes all that it names: it "
                 "would match no bridge");
        return false;
    }
    size_t j = earlier_match(e, p);
    if (j < e->all->n) {
        const struct export_policy *other = &e->all->list[j];
        snprintf(message, message_size, "collides with policy %.64s, "
                 "which stands before it and matches %s: this one would "
                 "never decide anything", other->name,
                 export_policy_is_everything(other) ? "every bridge"
                                                    : "the same bridges");
        return false;
    }
    return true;
}

static bool
ids_check(char *const *list, size_t n, char *message, size_t message_size)
{
    for (size_t i = 0; i < n; i++) {
        if (!*list[i] || *list[i] == '=') {
            snprintf(message, message_size, "\"%.80s\" is neither a key nor "
                     "key=value", list[i]);
            return false;
        }
    }
    return true;
}

static bool
policy_check(const struct earlier *e, const struct export_policy *p,
             char *member, size_t member_size, char *message,
             size_t message_size)
{
    const char *dp = p->datapath_type;

    snprintf(member, member_size, "name");
    if (!p->name || !*p->name || strlen(p->name) > 255) {
        snprintf(message, message_size, "must have 1 to 255 bytes");
        return false;
    }
    if (earlier_has_name(e, p->name)) {
        snprintf(message, message_size, "is used by two policies");
        return false;
    }
    snprintf(member, member_size, "match/datapath-type");
    if (dp && strcmp(dp, "any") && strcmp(dp, "system")
        && strcmp(dp, "netdev")) {
        snprintf(message, message_size,
                 "must be \"any\", \"system\" or \"netdev\"");
        return false;
    }
    snprintf(member, member_size, "match/external-ids");
    if (!ids_check(p->bridge_ids, p->n_bridge_ids, message, message_size)) {
        return false;
    }
    snprintf(member, member_size, "match/host-external-ids");
    if (!ids_check(p->host_ids, p->n_host_ids, message, message_size)) {
        return false;
    }
    for (int t = 0; t < N_EXPORT_TABLES; t++) {
        if (p->wish[t].wanted
            && !export_wish_check(&p->wish[t], t, member, member_size,
                                  message, message_size)) {
            return false;
        }
    }
    for (size_t j = 0; j < p->n_samples; j++) {
        if (!sample_check(p, j, member, member_size, message,
                          message_size)) {
            return false;
        }
    }
    snprintf(member, member_size, "match");
    return match_check(e, p, message, message_size);
}

int
export_policies_check(const struct export_policies *policies,
                      char *member, size_t member_size,
                      char *message, size_t message_size)
{
    struct earlier e;
    int err = 0;

    if (!earlier_init(&e, policies)) {
        snprintf(member, member_size, "policy");
        snprintf(message, message_size, "out of memory");
        err = -ENOMEM;
    }
    for (size_t i = 0; i < policies->n && !err; i++) {
        char inner[128];
        const struct export_policy *p = &policies->list[i];
        if (policy_check(&e, p, inner, sizeof inner, message,
                         message_size)) {
            earlier_add(&e, i);
        } else {
            snprintf(member, member_size, "policy[%.64s]/%s",
                     p->name ? p->name : "", inner);
            err = -EINVAL;
        }
    }
    earlier_destroy(&e);
    return err;
}
