/* ovsdb/ovs_rows.c -- see ovs_rows.h.
 *
 * The rules come from how OVSDB treats these tables: a row that no Bridge
 * refers to vanishes at commit, so the reference is set in the same
 * transaction; a row whose reference is cleared goes by itself; a column that
 * the server lacks makes the whole transaction fail; a writer that does not
 * verify what it decided by silently undoes what others wrote meanwhile. */
#include "ovsdb/ovs_p.h"

#include "ovsdb/ovs_rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ovsdb/region.h"
#include "ovsdb/export_p.h"
#include "ovsdb/ovs_schema.h"
#include "ovsdb/ovsdb.h"

/* A table of exporters in terms of the IDL. */
struct binding {
    const struct ovsdb_idl_table_class *table;
    const struct ovsdb_idl_column *targets, *external_ids;
    const struct ovsdb_idl_column *other_config;        /* Or NULL. */
    const struct ovsdb_idl_column *ref;                 /* Of Bridge. */
    /* NULL: the schema that this was compiled from lacks it. */
    const struct ovsdb_idl_column *option[N_EXPORT_OPTIONS];
    uint8_t first_option, n_options;    /* Of the table: side by side. */
};

static const struct ovsdb_idl_column *
find_column(const struct ovsdb_idl_table_class *table, const char *name)
{
    for (size_t i = 0; i < table->n_columns; i++) {
        if (!strcmp(table->columns[i].name, name)) {
            return &table->columns[i];
        }
    }
    return NULL;
}

static void
bind_table(struct binding *b, enum export_table t,
           const struct ovsdb_idl_table_class *table)
{
    b->table = table;
    b->targets = find_column(table, "targets");
    b->external_ids = find_column(table, "external_ids");
    b->other_config = find_column(table, "other_config");
    b->ref = find_column(ovs_table(OVS_BRIDGE), export_table_name(t));
    for (int o = 0; o < N_EXPORT_OPTIONS; o++) {
        if (export_options[o].table == t) {
            b->option[o] = find_column(table, export_options[o].column);
            b->first_option = (uint8_t) (o - b->n_options++);
        }
    }
}

/* The bindings, computed at the first call (on the OVSDB thread). */
static const struct binding *
binding_of(enum export_table t)
{
    static struct binding all[N_EXPORT_TABLES];
    static bool done;
    if (!done) {
        done = true;
        bind_table(&all[EXPORT_NETFLOW], EXPORT_NETFLOW,
                   ovs_table(OVS_NETFLOW));
        bind_table(&all[EXPORT_SFLOW], EXPORT_SFLOW, ovs_table(OVS_SFLOW));
        bind_table(&all[EXPORT_IPFIX], EXPORT_IPFIX, ovs_table(OVS_IPFIX));
    }
    return &all[t];
}

void
ovs_rows_monitor(struct ovsdb_idl *idl)
{
    for (int c = 0; c < N_OVS_COLUMNS; c++) {
        if (c != COL_INTERFACE_STATISTICS) {
            ovsdb_idl_add_column(idl, ovs_column(c));
        }
    }
}

void
ovs_rows_monitor_statistics(struct ovsdb_idl *idl)
{
    const struct ovsdb_idl_column *c = ovs_column(COL_INTERFACE_STATISTICS);
    ovsdb_idl_add_column(idl, c);
    /* ovs-vswitchd rewrites it for every interface every few seconds: we look
     * when we want to. */
    ovsdb_idl_omit_alert(idl, c);
}

/* Reading. */

static const char *
atom_text(const union ovsdb_atom *atom)
{
    return json_string(atom->s);
}

/* What a snapshot consists of; out of memory ends the process here, too. */

static void *
take(struct region *region, size_t n, size_t size)
{
    void *p = region_alloc(region, n * size);
    if (!p) {
        out_of_memory();
    }
    return p;
}

static char *
keep(struct region *region, const char *text)
{
    char *copy = region_text(region, text);
    if (!copy) {
        out_of_memory();
    }
    return copy;
}

static char *
keep_or_null(struct region *region, const char *text)
{
    return text ? keep(region, text) : NULL;
}

static void
read_strings(const struct ovsdb_idl_row *row,
             const struct ovsdb_idl_column *column, struct region *region,
             char ***list, size_t *n)
{
    const struct ovsdb_datum *d = ovsdb_idl_read(row, column);
    *list = d->n ? take(region, d->n, sizeof **list) : NULL;
    for (*n = 0; *n < d->n; ++*n) {
        (*list)[*n] = keep(region, atom_text(&d->keys[*n]));
    }
    strings_sort(*list, *n);
}

static void
read_option(const struct ovsdb_idl_row *row, enum export_option_id o,
            const struct ovsdb_idl_column *column, struct region *region,
            struct export_value *v)
{
    const struct ovsdb_datum *d = ovsdb_idl_read(row, column);
    if (!d->n) {
        return;
    }
    v->set = true;
    switch (export_options[o].type) {
    case EXPORT_T_STRING:
        v->string = keep(region, atom_text(&d->keys[0]));
        break;
    case EXPORT_T_BOOL:
        v->number = d->keys[0].boolean;
        break;
    case EXPORT_T_INT:
    default:
        v->number = d->keys[0].integer;
        break;
    }
    if (column->type.n_min && !v->number && !v->string) {
        v->set = false;         /* A required column's "nothing". */
    }
}

/* A key of other_config; false if it is none of ours or makes no sense. */
static bool
read_key(struct export_row *row, enum export_table table,
         struct region *region, const char *key, const char *value)
{
    enum export_option_id o = export_option_find(table, key);
    if (o == N_EXPORT_OPTIONS || !*export_options[o].key) {
        return false;
    }
    struct export_value *v = &row->value[o - row->first_value];
    v->set = true;
    if (export_options[o].type == EXPORT_T_STRING) {
        v->string = keep(region, value);
    } else {
        v->number = !strcmp(value, "true");     /* As smap_get_bool(). */
    }
    return true;
}

/* 'room' is how many there may be of them in all. */
static void
add_extra(struct export_row *row, struct region *region, size_t room,
          const char *column, const char *key, const char *value)
{
    char *text = xasprintf("%s:%s=%s", column, key, value);
    if (!row->extra) {
        row->extra = take(region, room, sizeof *row->extra);
    }
    row->extra[row->n_extra++] = keep(region, text);
    free(text);
}

static void
split_words(const char *text, struct region *region, char ***list, size_t *n)
{
    char *copy = xstrdup(text), *save = NULL;
    *n = 0;
    *list = take(region, strlen(text) / 2 + 1, sizeof **list);
    for (char *w = strtok_r(copy, " ", &save); w;
         w = strtok_r(NULL, " ", &save)) {
        (*list)[(*n)++] = keep(region, w);
    }
    free(copy);
    strings_sort(*list, *n);
}

/* False if it is none of ours. */
static bool
read_external_id(struct export_row *row, const char *owner,
                 struct region *region, const char *key, const char *value)
{
    char **own = !strcmp(key, VENTURI_OWNER) ? &row->owner
                 : !strcmp(key, VENTURI_POLICY) ? &row->policy
                 : !strcmp(key, VENTURI_HASH) ? &row->hash
                 : !strcmp(key, VENTURI_PREV) ? &row->prev
                 : NULL;
    size_t len = strlen(VENTURI_APPEND);
    if (own) {
        *own = keep(region, value);
        return true;
    }
    if (!strncmp(key, VENTURI_APPEND, len) && !strcmp(key + len, owner)) {
        split_words(value, region, &row->appended, &row->n_appended);
        return true;
    }
    return false;
}

static void
read_maps(const struct ovsdb_idl_row *idl_row, enum export_table table,
          const char *owner, struct region *region, struct export_row *row)
{
    const struct binding *b = binding_of(table);
    const struct ovsdb_datum *ids = ovsdb_idl_read(idl_row, b->external_ids);
    const struct ovsdb_datum *other
        = b->other_config ? ovsdb_idl_read(idl_row, b->other_config) : NULL;
    size_t room = ids->n + (other ? other->n : 0);
    for (size_t i = 0; i < ids->n; i++) {
        const char *key = atom_text(&ids->keys[i]);
        const char *value = atom_text(&ids->values[i]);
        if (!read_external_id(row, owner, region, key, value)) {
            add_extra(row, region, room, "external_ids", key, value);
        }
    }
    for (size_t i = 0; other && i < other->n; i++) {
        const char *key = atom_text(&other->keys[i]);
        const char *value = atom_text(&other->values[i]);
        if (!read_key(row, table, region, key, value)) {
            add_extra(row, region, room, "other_config", key, value);
        }
    }
    strings_sort(row->extra, row->n_extra);
}

static void
read_row(const struct ovsdb_idl_row *idl_row, enum export_table table,
         const char *owner, struct region *region, struct export_row *row)
{
    const struct binding *b = binding_of(table);
    memset(row, 0, sizeof *row);
    row->present = true;
    snprintf(row->uuid, sizeof row->uuid, UUID_FMT,
             UUID_ARGS(&idl_row->uuid));
    read_strings(idl_row, b->targets, region, &row->targets,
                 &row->n_targets);
    row->first_value = b->first_option;
    row->n_values = b->n_options;
    row->value = take(region, b->n_options, sizeof *row->value);
    for (int o = b->first_option; o < b->first_option + b->n_options; o++) {
        if (b->option[o] && !*export_options[o].key) {
            read_option(idl_row, o, b->option[o], region,
                        &row->value[o - b->first_option]);
        }
    }
    read_maps(idl_row, table, owner, region, row);
}

/* The row that 'br' refers to, or NULL. */
static const struct ovsdb_idl_row *
referred_row(const struct ovsdb_idl *idl, const struct ovsdb_idl_row *br,
             enum export_table table)
{
    const struct binding *b = binding_of(table);
    const struct ovsdb_datum *d = ovsdb_idl_read(br, b->ref);
    return d->n ? ovsdb_idl_get_row_for_uuid(idl, b->table, &d->keys[0].uuid)
                : NULL;
}

static const struct ovsdb_datum *
read_column(const struct ovsdb_idl_row *row, enum ovs_column c)
{
    return ovsdb_idl_read(row, ovs_column(c));
}

/* The text of a column, or 'def' if it is empty. */
static const char *
read_text(const struct ovsdb_idl_row *row, enum ovs_column c,
          const char *def)
{
    const struct ovsdb_datum *d = read_column(row, c);
    return d->n ? atom_text(&d->keys[0]) : def;
}

static int64_t
read_integer(const struct ovsdb_idl_row *row, enum ovs_column c, int64_t def)
{
    const struct ovsdb_datum *d = read_column(row, c);
    return d->n ? d->keys[0].integer : def;
}

/* The value of a key, or NULL. */
static const char *
read_map(const struct ovsdb_idl_row *row, enum ovs_column c, const char *key)
{
    const struct ovsdb_datum *d = read_column(row, c);
    for (size_t i = 0; i < d->n; i++) {
        if (!strcmp(atom_text(&d->keys[i]), key)) {
            return atom_text(&d->values[i]);
        }
    }
    return NULL;
}

static void
read_ids(const struct ovsdb_idl_row *row, enum ovs_column c,
         struct region *region, char ***list, size_t *n)
{
    const struct ovsdb_datum *d = read_column(row, c);
    *list = d->n ? take(region, d->n, sizeof **list) : NULL;
    for (*n = 0; *n < d->n; ++*n) {
        char *text = xasprintf("%s=%s", atom_text(&d->keys[*n]),
                               atom_text(&d->values[*n]));
        (*list)[*n] = keep(region, text);
        free(text);
    }
    strings_sort(*list, *n);
}

static void
format_uuid(char text[37], const struct uuid *uuid)
{
    snprintf(text, 37, UUID_FMT, UUID_ARGS(uuid));
}

/* Row 'i' of those that a column refers to, or NULL. */
static const struct ovsdb_idl_row *
follow(const struct ovsdb_idl *idl, const struct ovsdb_idl_row *row,
       enum ovs_column c, size_t i, enum ovs_table to)
{
    const struct ovsdb_datum *d = read_column(row, c);
    return i < d->n ? ovsdb_idl_get_row_for_uuid(idl, ovs_table(to),
                                                 &d->keys[i].uuid) : NULL;
}

static const struct ovsdb_idl_row *
switch_row(const struct ovsdb_idl *idl)
{
    return ovsdb_idl_first_row(idl, ovs_table(OVS_SWITCH));
}

/* NULL also if it is empty. */
static char *
keep_some(struct region *region, const char *text)
{
    return keep_or_null(region, text && *text ? text : NULL);
}

static void
read_interface(const struct ovsdb_idl_row *from, struct region *region,
               struct ovs_interface *to)
{
    to->name = keep(region, read_text(from, COL_INTERFACE_NAME, ""));
    to->type = keep(region, read_text(from, COL_INTERFACE_TYPE, ""));
    format_uuid(to->uuid, &from->uuid);
    to->ofport = read_integer(from, COL_INTERFACE_OFPORT, -1);
    to->ifindex = read_integer(from, COL_INTERFACE_IFINDEX, 0);
    to->mac_in_use = keep_some(region, read_text(
        from, COL_INTERFACE_MAC_IN_USE, NULL));
    to->error = keep_some(region, read_text(from, COL_INTERFACE_ERROR, NULL));
}

/* Calls 'f' with each interface of a bridge. */
static void
each_interface(const struct ovsdb_idl *idl, const struct ovsdb_idl_row *br,
               void (*f)(const struct ovsdb_idl_row *, void *aux), void *aux)
{
    size_t n = read_column(br, COL_BRIDGE_PORTS)->n;
    for (size_t i = 0; i < n; i++) {
        const struct ovsdb_idl_row *port = follow(idl, br, COL_BRIDGE_PORTS,
                                                  i, OVS_PORT);
        size_t m = port ? read_column(port, COL_PORT_INTERFACES)->n : 0;
        for (size_t j = 0; j < m; j++) {
            const struct ovsdb_idl_row *iface
                = follow(idl, port, COL_PORT_INTERFACES, j, OVS_INTERFACE);
            if (iface) {
                f(iface, aux);
            }
        }
    }
}

static void
count_interface(const struct ovsdb_idl_row *iface, void *n_)
{
    size_t *n = n_;
    (void) iface;
    ++*n;
}

struct adding {
    struct ovs_bridge *bridge;
    struct region *region;
};

static void
add_interface(const struct ovsdb_idl_row *iface, void *a_)
{
    struct adding *a = a_;
    struct ovs_bridge *b = a->bridge;
    read_interface(iface, a->region, &b->interfaces[b->n_interfaces++]);
}

static void
read_bridge(const struct ovsdb_idl *idl, const struct ovsdb_idl_row *br,
            const char *owner, struct region *region, struct ovs_bridge *out)
{
    struct adding adding = { out, region };
    size_t n = 0;
    out->name = keep(region, read_text(br, COL_BRIDGE_NAME, ""));
    format_uuid(out->uuid, &br->uuid);
    out->datapath_type = keep(region, read_text(br, COL_BRIDGE_DATAPATH_TYPE,
                                               ""));
    out->datapath_id = strtoull(read_text(br, COL_BRIDGE_DATAPATH_ID, "0"),
                                NULL, 16);
    out->in_pps = out->out_pps = -1;
    read_ids(br, COL_BRIDGE_EXTERNAL_IDS, region, &out->external_ids,
             &out->n_external_ids);
    each_interface(idl, br, count_interface, &n);
    out->interfaces = take(region, n, sizeof *out->interfaces);
    each_interface(idl, br, add_interface, &adding);
    for (int t = 0; t < N_EXPORT_TABLES; t++) {
        const struct ovsdb_idl_row *row = referred_row(idl, br, t);
        if (row) {
            read_row(row, t, owner, region, &out->row[t]);
        }
    }
}

static void
read_sample(const struct ovsdb_idl *idl, const struct ovsdb_idl_row *row,
            const char *owner, struct region *region,
            struct export_sample *out)
{
    const struct ovsdb_idl_row *ipfix = follow(idl, row, COL_SAMPLE_IPFIX, 0,
                                               OVS_IPFIX);
    const struct ovsdb_datum *group = read_column(row, COL_SAMPLE_GROUP);
    memset(out, 0, sizeof *out);
    out->id = (uint32_t) read_integer(row, COL_SAMPLE_ID, 0);
    format_uuid(out->uuid, &row->uuid);
    out->owner = keep_or_null(region, read_map(row, COL_SAMPLE_EXTERNAL_IDS,
                                              VENTURI_OWNER));
    if (group->n) {
        out->group.set = true;
        out->group.number = group->keys[0].integer;
    }
    if (ipfix) {
        read_row(ipfix, EXPORT_IPFIX, owner, region, &out->ipfix);
    }
}

static int
compare_samples(const void *a_, const void *b_)
{
    const struct export_sample *a = a_, *b = b_;
    return a->id < b->id ? -1 : a->id > b->id;
}

static int
compare_bridge_pointers(const void *a, const void *b)
{
    return strcmp((*(struct ovs_bridge *const *) a)->uuid,
                  (*(struct ovs_bridge *const *) b)->uuid);
}

static int
compare_to_bridge(const void *uuid, const void *b)
{
    return strcmp(uuid, (*(struct ovs_bridge *const *) b)->uuid);
}

/* The bridges by uuid (heap). */
static struct ovs_bridge **
index_bridges(struct ovs_snapshot *snap)
{
    struct ovs_bridge **index = xcalloc(snap->n_bridges + 1, sizeof *index);
    for (size_t i = 0; i < snap->n_bridges; i++) {
        index[i] = &snap->bridges[i];
    }
    if (snap->n_bridges) {
        qsort(index, snap->n_bridges, sizeof *index,
              compare_bridge_pointers);
    }
    return index;
}

static struct ovs_bridge *
bridge_of_sample(struct ovs_bridge *const *index, size_t n,
                 const struct ovsdb_idl_row *row, char uuid[37])
{
    format_uuid(uuid, &read_column(row, COL_SAMPLE_BRIDGE)->keys[0].uuid);
    struct ovs_bridge *const *found = n ? bsearch(uuid, index, n,
                                                  sizeof *index,
                                                  compare_to_bridge) : NULL;
    return found ? *found : NULL;
}

/* First how many there are, then where they go. */
static void
make_room_for_samples(const struct ovsdb_idl *idl, struct ovs_snapshot *snap,
                      struct ovs_bridge *const *index)
{
    const struct ovsdb_idl_row *row;
    char uuid[37];
    for (row = ovsdb_idl_first_row(idl, ovs_table(OVS_SAMPLE)); row;
         row = ovsdb_idl_next_row(row)) {
        struct ovs_bridge *b = bridge_of_sample(index, snap->n_bridges, row,
                                                uuid);
        ++*(b ? &b->n_samples : &snap->n_orphans);
    }
    for (size_t i = 0; i < snap->n_bridges; i++) {
        struct ovs_bridge *b = &snap->bridges[i];
        b->samples = b->n_samples ? take(snap->region, b->n_samples,
                                         sizeof *b->samples) : NULL;
        b->n_samples = 0;
    }
    snap->orphans = take(snap->region, snap->n_orphans,
                         sizeof *snap->orphans);
    snap->n_orphans = 0;
}

/* Each to its bridge; those whose bridge is not one of the switch's are
 * orphans. */
static void
read_samples(const struct ovsdb_idl *idl, const char *owner,
             struct ovs_snapshot *snap)
{
    struct ovs_bridge **index = index_bridges(snap);
    const struct ovsdb_idl_row *row;
    char uuid[37];
    make_room_for_samples(idl, snap, index);
    for (row = ovsdb_idl_first_row(idl, ovs_table(OVS_SAMPLE)); row;
         row = ovsdb_idl_next_row(row)) {
        struct ovs_bridge *b = bridge_of_sample(index, snap->n_bridges, row,
                                                uuid);
        struct export_sample *sample
            = b ? &b->samples[b->n_samples++]
                : &snap->orphans[snap->n_orphans++];
        read_sample(idl, row, owner, snap->region, sample);
        memcpy(sample->bridge_uuid, uuid, sizeof sample->bridge_uuid);
        if (!b) {
            const struct ovsdb_idl_row *br
                = follow(idl, row, COL_SAMPLE_BRIDGE, 0, OVS_BRIDGE);
            sample->bridge = keep(snap->region, br
                                  ? read_text(br, COL_BRIDGE_NAME, "")
                                  : uuid);
        }
    }
    free(index);
    for (size_t i = 0; i < snap->n_bridges; i++) {
        struct ovs_bridge *b = &snap->bridges[i];
        if (b->n_samples > 1) {
            qsort(b->samples, b->n_samples, sizeof *b->samples,
                  compare_samples);
        }
    }
}

static int
compare_bridges(const void *a, const void *b)
{
    return strcmp(((const struct ovs_bridge *) a)->name,
                  ((const struct ovs_bridge *) b)->name);
}

static int
compare_row_uuids(const void *a, const void *b)
{
    return strcmp((*(struct export_row *const *) a)->uuid,
                  (*(struct export_row *const *) b)->uuid);
}

/* Counts how many bridges refer to each row. */
static void
count_refs(struct ovs_snapshot *snap, enum export_table table)
{
    struct export_row **rows = xcalloc(snap->n_bridges + 1, sizeof *rows);
    size_t n = 0;
    for (size_t i = 0; i < snap->n_bridges; i++) {
        if (snap->bridges[i].row[table].present) {
            rows[n++] = &snap->bridges[i].row[table];
        }
    }
    if (n) {
        qsort(rows, n, sizeof *rows, compare_row_uuids);
    }
    for (size_t i = 0, j; i < n; i = j) {
        for (j = i; j < n && !strcmp(rows[i]->uuid, rows[j]->uuid); j++) {
            continue;
        }
        for (size_t k = i; k < j; k++) {
            rows[k]->n_refs = (unsigned) (j - i);
        }
    }
    free(rows);
}

static uint64_t
missing_options(const struct ovsdb_idl *idl)
{
    uint64_t missing = 0;
    for (int o = 0; o < N_EXPORT_OPTIONS; o++) {
        const struct binding *b = binding_of(export_options[o].table);
        if (!b->option[o] || !ovsdb_idl_server_has_column(idl,
                                                          b->option[o])) {
            missing |= UINT64_C(1) << o;
        }
    }
    return missing;
}

void
ovs_rows_read(const struct ovsdb_idl *idl, const char *owner,
              struct ovs_snapshot *snap)
{
    const struct ovsdb_idl_row *ovs = switch_row(idl);
    snap->missing_options[0] = missing_options(idl);
    snap->lacks_group = !ovsdb_idl_server_has_column(
        idl, ovs_column(COL_SAMPLE_GROUP));
    if (!ovs) {
        return;                 /* A database that nobody has initialized. */
    }
    const char *id = read_map(ovs, COL_SWITCH_EXTERNAL_IDS, "system-id");
    const char *host = read_map(ovs, COL_SWITCH_EXTERNAL_IDS, "hostname");
    const char *offload = read_map(ovs, COL_SWITCH_OTHER_CONFIG,
                                   "hw-offload");
    snap->ovs_version = xstrdup(read_text(ovs, COL_SWITCH_OVS_VERSION, ""));
    snap->db_version = xstrdup(read_text(ovs, COL_SWITCH_DB_VERSION, ""));
    snap->system_id = xstrdup(id ? id : "");
    snap->hostname = xstrdup(host ? host : "");
    snap->hw_offload = offload && !strcmp(offload, "true");
    snap->next_cfg = read_integer(ovs, COL_SWITCH_NEXT_CFG, 0);
    snap->cur_cfg = read_integer(ovs, COL_SWITCH_CUR_CFG, 0);
    read_ids(ovs, COL_SWITCH_EXTERNAL_IDS, snap->region, &snap->external_ids,
             &snap->n_external_ids);
    /* Through Open_vSwitch.bridges, never over the Bridge table: there orphans
     * may live on that a Flow_Sample_Collector_Set refers to. */
    size_t n = read_column(ovs, COL_SWITCH_BRIDGES)->n;
    snap->bridges = take(snap->region, n, sizeof *snap->bridges);
    for (size_t i = 0; i < n; i++) {
        const struct ovsdb_idl_row *br = follow(idl, ovs, COL_SWITCH_BRIDGES,
                                                i, OVS_BRIDGE);
        if (br) {
            read_bridge(idl, br, owner, snap->region,
                        &snap->bridges[snap->n_bridges++]);
        }
    }
    if (snap->n_bridges) {
        qsort(snap->bridges, snap->n_bridges, sizeof *snap->bridges,
              compare_bridges);
    }
    for (int t = 0; t < N_EXPORT_TABLES; t++) {
        count_refs(snap, t);
    }
    read_samples(idl, owner, snap);
    region_seal(snap->region);
}

/* Traffic. */

static void
add_statistics(const struct ovsdb_idl_row *iface, void *traffic_)
{
    struct ovs_traffic *t = traffic_;
    const struct ovsdb_datum *d = read_column(iface,
                                              COL_INTERFACE_STATISTICS);
    for (size_t i = 0; i < d->n; i++) {
        const char *key = atom_text(&d->keys[i]);
        int64_t value = d->values[i].integer;
        if (value <= 0) {
            continue;           /* -1: the device can't tell. */
        }
        if (!strcmp(key, "rx_packets")) {
            t->in_packets += (uint64_t) value;
        } else if (!strcmp(key, "tx_packets")) {
            t->out_packets += (uint64_t) value;
        }
    }
    t->known |= d->n > 0;
}

void
ovs_rows_traffic(const struct ovsdb_idl *idl,
                 void (*each)(const struct ovs_traffic *, void *aux),
                 void *aux)
{
    const struct ovsdb_idl_row *ovs = switch_row(idl);
    size_t n = ovs ? read_column(ovs, COL_SWITCH_BRIDGES)->n : 0;
    for (size_t i = 0; i < n; i++) {
        const struct ovsdb_idl_row *br = follow(idl, ovs, COL_SWITCH_BRIDGES,
                                                i, OVS_BRIDGE);
        struct ovs_traffic t = { .known = false };
        if (br) {
            format_uuid(t.bridge_uuid, &br->uuid);
            each_interface(idl, br, add_statistics, &t);
            each(&t, aux);
        }
    }
}

struct telling {
    void (*each)(void *aux, const struct ovsdb_statistics *);
    void *aux;
    struct ovsdb_statistics s;
};

static void
tell_statistics(const struct ovsdb_idl_row *iface, void *telling_)
{
    static const struct {
        const char *key;
        size_t offset;
    } keys[] = {
#define X(NAME) { #NAME, offsetof(struct ovsdb_statistics, NAME) },
        OVSDB_STATISTICS(X)
#undef X
    };
    struct telling *t = telling_;
    struct ovsdb_statistics *s = &t->s;
    const struct ovsdb_datum *d = read_column(iface,
                                              COL_INTERFACE_STATISTICS);
#define X(NAME) s->NAME = -1;
    OVSDB_STATISTICS(X)
#undef X
    for (size_t i = 0; i < d->n; i++) {
        const char *key = atom_text(&d->keys[i]);
        for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++) {
            if (!strcmp(key, keys[k].key)) {
                memcpy((char *) s + keys[k].offset, &d->values[i].integer,
                       sizeof(int64_t));
            }
        }
    }
    s->interface = read_text(iface, COL_INTERFACE_NAME, "");
    s->ifindex = read_integer(iface, COL_INTERFACE_IFINDEX, 0);
    if (d->n) {
        t->each(t->aux, s);
    }
}

void
ovs_rows_statistics(const struct ovsdb_idl *idl,
                    void (*each)(void *aux, const struct ovsdb_statistics *),
                    const char *remote, void *aux)
{
    const struct ovsdb_idl_row *ovs = switch_row(idl);
    size_t n = ovs ? read_column(ovs, COL_SWITCH_BRIDGES)->n : 0;
    struct telling t = { .each = each, .aux = aux, .s.remote = remote };
    for (size_t i = 0; i < n; i++) {
        const struct ovsdb_idl_row *br = follow(idl, ovs, COL_SWITCH_BRIDGES,
                                                i, OVS_BRIDGE);
        if (br) {
            t.s.bridge = read_text(br, COL_BRIDGE_NAME, "");
            each_interface(idl, br, tell_statistics, &t);
        }
    }
}

/* Writing. */

static struct ovsdb_datum *
datum_new(const char *key, const char *value)
{
    struct ovsdb_datum *d = xzalloc(sizeof *d);
    d->n = 1;
    d->keys = xmalloc(sizeof *d->keys);
    d->keys[0].s = ovsdb_atom_string_create(key);
    if (value) {
        d->values = xmalloc(sizeof *d->values);
        d->values[0].s = ovsdb_atom_string_create(value);
    }
    return d;
}

/* Sets a key of a map, or deletes it if 'value' is NULL, by mutation: other
 * keys are not touched, whoever writes them meanwhile. */
static void
write_key(const struct ovsdb_idl_row *row,
          const struct ovsdb_idl_column *column, const char *key,
          const char *value)
{
    if (value) {
        ovsdb_idl_txn_write_partial_map(row, column, datum_new(key, value));
    } else {
        ovsdb_idl_txn_delete_partial_map(row, column, datum_new(key, NULL));
    }
}

static void
write_targets(const struct ovsdb_idl_row *row, const struct binding *b,
              const struct export_row *want)
{
    struct ovsdb_datum d = { .n = (unsigned) want->n_targets };
    d.keys = want->n_targets ? xcalloc(want->n_targets, sizeof *d.keys)
                             : NULL;
    for (size_t i = 0; i < want->n_targets; i++) {
        d.keys[i].s = ovsdb_atom_string_create(want->targets[i]);
    }
    ovsdb_datum_sort_unique(&d, &b->targets->type);
    ovsdb_idl_txn_write(row, b->targets, &d);
}

static void
write_option(const struct ovsdb_idl_row *row,
             const struct ovsdb_idl_column *column, enum export_option_id o,
             const struct export_value *v)
{
    struct ovsdb_datum d = { .n = 0 };
    if (v->set || column->type.n_min) {
        d.n = 1;
        d.keys = xzalloc(sizeof *d.keys);
        if (export_options[o].type == EXPORT_T_STRING) {
            d.keys[0].s = ovsdb_atom_string_create(v->string ? v->string
                                                             : "");
        } else if (export_options[o].type == EXPORT_T_BOOL) {
            d.keys[0].boolean = v->set && v->number;
        } else {
            d.keys[0].integer = v->set ? v->number : 0;
        }
    }
    ovsdb_idl_txn_write(row, column, &d);
}

static void
write_options(const struct ovsdb_idl *idl, const struct ovsdb_idl_row *row,
              const struct binding *b, const struct export_row *want)
{
    for (int o = 0; o < N_EXPORT_OPTIONS; o++) {
        if (b->option[o] && !*export_options[o].key
            && ovsdb_idl_server_has_column(idl, b->option[o])) {
            write_option(row, b->option[o], o, export_row_value(want, o));
        }
    }
}

/* The keys of other_config, as text. */
static char *
key_text(const struct export_row *row, enum export_option_id o)
{
    return export_value_text(&export_options[o], export_row_value(row, o));
}

static void
update_keys(const struct ovsdb_idl_row *row, const struct binding *b,
            const struct export_row *seen, const struct export_row *want)
{
    for (int o = 0; o < N_EXPORT_OPTIONS; o++) {
        if (b->option[o] && *export_options[o].key
            && !export_value_equal(&export_options[o],
                                   export_row_value(seen, o),
                                   export_row_value(want, o))) {
            char *value = key_text(want, o);
            write_key(row, b->option[o], export_options[o].key, value);
            free(value);
        }
    }
    static const char *const ids[] = { VENTURI_OWNER, VENTURI_POLICY,
                                       VENTURI_HASH };
    const char *const old[] = { seen->owner, seen->policy, seen->hash };
    const char *const new[] = { want->owner, want->policy, want->hash };
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        if (!text_equal(old[i], new[i])) {
            write_key(row, b->external_ids, ids[i], new[i]);
        }
    }
}

/* Adds "column:key=value" to 'map' if it belongs to 'column'. */
static void
extra_to_map(const char *text, const char *column, struct smap *map)
{
    size_t len = strlen(column);
    const char *eq;
    if (strncmp(text, column, len) || text[len] != ':'
        || !(eq = strchr(text + len, '='))) {
        return;
    }
    char *key = xmemdup0(text + len + 1, (size_t) (eq - text) - len - 1);
    smap_replace(map, key, eq + 1);
    free(key);
}

static void
write_map(const struct ovsdb_idl_row *row,
          const struct ovsdb_idl_column *column, const struct smap *map)
{
    struct ovsdb_datum d;
    ovsdb_datum_from_smap(&d, map);
    ovsdb_idl_txn_write(row, column, &d);
}

static void
insert_maps(const struct ovsdb_idl_row *row, const struct binding *b,
            const struct export_row *want)
{
    struct smap ids = SMAP_INITIALIZER(&ids);
    struct smap other = SMAP_INITIALIZER(&other);
    for (size_t i = 0; i < want->n_extra; i++) {
        extra_to_map(want->extra[i], "external_ids", &ids);
        extra_to_map(want->extra[i], "other_config", &other);
    }
    const char *const keys[] = { VENTURI_OWNER, VENTURI_POLICY, VENTURI_HASH,
                                 VENTURI_PREV };
    const char *const values[] = { want->owner, want->policy, want->hash,
                                   want->prev };
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        if (values[i]) {
            smap_replace(&ids, keys[i], values[i]);
        }
    }
    for (int o = 0; o < N_EXPORT_OPTIONS; o++) {
        char *value = b->option[o] && *export_options[o].key
                      ? key_text(want, o) : NULL;
        if (value) {
            smap_replace(&other, export_options[o].key, value);
            free(value);
        }
    }
    write_map(row, b->external_ids, &ids);
    if (b->other_config) {
        write_map(row, b->other_config, &other);
    }
    smap_destroy(&ids);
    smap_destroy(&other);
}

/* A reference: to 'row', or none if it is NULL. */
static void
write_ref(const struct ovsdb_idl_row *from,
          const struct ovsdb_idl_column *column,
          const struct ovsdb_idl_row *row)
{
    struct ovsdb_datum d = { .n = 0 };
    if (row) {
        d.n = 1;
        d.keys = xzalloc(sizeof *d.keys);
        d.keys[0].uuid = row->uuid;
    }
    ovsdb_idl_txn_write(from, column, &d);
}

static void
verify_row(const struct ovsdb_idl *idl, const struct ovsdb_idl_row *row,
           const struct binding *b)
{
    for (size_t i = 0; i < b->table->n_columns; i++) {
        const struct ovsdb_idl_column *column = &b->table->columns[i];
        if (ovsdb_idl_server_has_column(idl, column)) {
            ovsdb_idl_txn_verify(row, column);
        }
    }
}

static void
mutate_targets(const struct ovsdb_idl_row *row, const struct binding *b,
               const struct export_change *c, const char *owner)
{
    for (size_t i = 0; i < c->n_add; i++) {
        ovsdb_idl_txn_write_partial_set(row, b->targets,
                                        datum_new(c->add[i], NULL));
    }
    for (size_t i = 0; i < c->n_drop; i++) {
        ovsdb_idl_txn_delete_partial_set(row, b->targets,
                                         datum_new(c->drop[i], NULL));
    }
    char *key = xasprintf(VENTURI_APPEND"%s", owner);
    char *value = c->desired->n_appended
                  ? strings_join(c->desired->appended,
                                 c->desired->n_appended)
                  : NULL;
    write_key(row, b->external_ids, key, value);
    free(key);
    free(value);
}

/* The bridge with 'uuid', if it is one of Open_vSwitch's. */
static const struct ovsdb_idl_row *
find_bridge(const struct ovsdb_idl *idl, const char *text)
{
    const struct ovsdb_idl_row *ovs = switch_row(idl);
    struct uuid uuid;
    if (!ovs || !uuid_from_string(&uuid, text)) {
        return NULL;
    }
    const union ovsdb_atom key = { .uuid = uuid };
    unsigned int at;
    return ovsdb_datum_find_key(read_column(ovs, COL_SWITCH_BRIDGES), &key,
                                OVSDB_TYPE_UUID, &at)
           ? ovsdb_idl_get_row_for_uuid(idl, ovs_table(OVS_BRIDGE), &uuid)
           : NULL;
}

static struct region *
scratch_region(void)
{
    struct region *region = region_create();
    if (!region) {
        out_of_memory();
    }
    return region;
}

static bool
row_is_as_seen(const struct ovsdb_idl_row *row, enum export_table table,
               const char *owner, const struct export_row *seen)
{
    struct export_row now = { .present = false };
    struct region *region = scratch_region();
    if (row) {
        read_row(row, table, owner, region, &now);
    }
    bool same = export_row_equal(&now, seen, table);
    region_destroy(region);
    return same;
}

static void
update_row(const struct ovsdb_idl *idl, const struct ovsdb_idl_row *row,
           const struct binding *b, const struct export_row *seen,
           const struct export_row *want)
{
    write_targets(row, b, want);
    write_options(idl, row, b, want);
    update_keys(row, b, seen, want);
}

static const struct ovsdb_idl_row *
insert_row(const struct ovsdb_idl *idl, struct ovsdb_idl_txn *txn,
           const struct binding *b, const struct export_row *want)
{
    const struct ovsdb_idl_row *row = ovsdb_idl_txn_insert(txn, b->table,
                                                           NULL);
    write_targets(row, b, want);
    write_options(idl, row, b, want);
    insert_maps(row, b, want);
    return row;
}

/* Flow_Sample_Collector_Set. */

static const struct ovsdb_idl_row *
find_row(const struct ovsdb_idl *idl, enum ovs_table t, const char *text)
{
    struct uuid uuid;
    return uuid_from_string(&uuid, text)
           ? ovsdb_idl_get_row_for_uuid(idl, ovs_table(t), &uuid) : NULL;
}

static bool
sample_is_as_seen(const struct ovsdb_idl *idl,
                  const struct ovsdb_idl_row *row, const char *owner,
                  const struct export_sample *seen)
{
    struct export_sample now;
    struct region *region = scratch_region();
    read_sample(idl, row, owner, region, &now);
    bool same = text_equal(now.owner, seen->owner) && now.id == seen->id
                && now.group.set == seen->group.set
                && now.group.number == seen->group.number
                && export_row_equal(&now.ipfix, &seen->ipfix, EXPORT_IPFIX);
    region_destroy(region);
    return same;
}

static void
write_group(const struct ovsdb_idl *idl, const struct ovsdb_idl_row *row,
            const struct export_value *v)
{
    const struct ovsdb_idl_column *column = ovs_column(COL_SAMPLE_GROUP);
    struct ovsdb_datum d = { .n = 0 };
    if (!ovsdb_idl_server_has_column(idl, column)) {
        return;
    }
    if (v->set) {
        d.n = 1;
        d.keys = xzalloc(sizeof *d.keys);
        d.keys[0].integer = v->number;
    }
    ovsdb_idl_txn_write(row, column, &d);
}

static void
insert_sample(const struct ovsdb_idl *idl, struct ovsdb_idl_txn *txn,
              const struct ovsdb_idl_row *br, const struct export_change *c,
              const char *owner)
{
    const struct ovsdb_idl_row *row
        = ovsdb_idl_txn_insert(txn, ovs_table(OVS_SAMPLE), NULL);
    struct ovsdb_datum id = { .n = 1, .keys = xzalloc(sizeof *id.keys) };
    struct smap ids = SMAP_INITIALIZER(&ids);
    id.keys[0].integer = c->sample_id;
    ovsdb_idl_txn_write(row, ovs_column(COL_SAMPLE_ID), &id);
    write_ref(row, ovs_column(COL_SAMPLE_BRIDGE), br);
    write_group(idl, row, &c->group);
    smap_add(&ids, VENTURI_OWNER, owner);
    if (c->policy) {
        smap_add(&ids, VENTURI_POLICY, c->policy);
    }
    write_map(row, ovs_column(COL_SAMPLE_EXTERNAL_IDS), &ids);
    smap_destroy(&ids);
    if (c->desired->present) {
        write_ref(row, ovs_column(COL_SAMPLE_IPFIX),
                  insert_row(idl, txn, binding_of(EXPORT_IPFIX),
                             c->desired));
    }
}

static void
update_sample(const struct ovsdb_idl *idl, struct ovsdb_idl_txn *txn,
              const struct ovsdb_idl_row *row, const struct export_change *c,
              const struct export_sample *seen, const char *owner)
{
    const struct binding *b = binding_of(EXPORT_IPFIX);
    const struct ovsdb_idl_row *ipfix = follow(idl, row, COL_SAMPLE_IPFIX, 0,
                                               OVS_IPFIX);
    write_group(idl, row, &c->group);
    if (!text_equal(seen->owner, owner)) {      /* Adopted. */
        write_key(row, ovs_column(COL_SAMPLE_EXTERNAL_IDS), VENTURI_OWNER,
                  owner);
    }
    if (c->policy) {
        write_key(row, ovs_column(COL_SAMPLE_EXTERNAL_IDS), VENTURI_POLICY,
                  c->policy);
    }
    if (ipfix && c->desired->present) {
        verify_row(idl, ipfix, b);
        update_row(idl, ipfix, b, &seen->ipfix, c->desired);
    } else {
        write_ref(row, ovs_column(COL_SAMPLE_IPFIX),
                  c->desired->present ? insert_row(idl, txn, b, c->desired)
                                      : NULL);
    }
}

int
ovs_rows_write_sample(struct ovsdb_idl *idl, struct ovsdb_idl_txn *txn,
                      const struct export_change *c,
                      const struct export_sample *seen, const char *owner)
{
    const struct ovsdb_idl_row *ovs = switch_row(idl);
    const struct ovsdb_idl_row *br = find_bridge(idl, c->bridge_uuid);
    const struct ovsdb_idl_row *row
        = seen ? find_row(idl, OVS_SAMPLE, seen->uuid) : NULL;
    if (!ovs || (seen && !row)
        || (row && !sample_is_as_seen(idl, row, owner, seen))
        || (c->action != ACTION_REMOVE && !br)) {
        return -ESTALE;
    }
    /* A bridge that goes at this moment must not get a row that keeps it. */
    ovsdb_idl_txn_verify(ovs, ovs_column(COL_SWITCH_BRIDGES));
    for (int i = 0; row && i < N_OVS_COLUMNS; i++) {
        const struct ovsdb_idl_column *column = ovs_column(i);
        if (i >= COL_SAMPLE_ID
            && ovsdb_idl_server_has_column(idl, column)) {
            ovsdb_idl_txn_verify(row, column);
        }
    }
    if (c->action == ACTION_REMOVE) {
        ovsdb_idl_txn_delete(row);
    } else if (row) {
        update_sample(idl, txn, row, c, seen, owner);
    } else {
        insert_sample(idl, txn, br, c, owner);
    }
    return 0;
}

int
ovs_rows_write(struct ovsdb_idl *idl, struct ovsdb_idl_txn *txn,
               const struct export_change *c, const struct export_row *seen,
               const char *owner)
{
    const struct binding *b = binding_of(c->table);
    const struct export_row *want = c->desired;
    const struct ovsdb_idl_row *br = find_bridge(idl, c->bridge_uuid);
    if (!br) {
        return -ESTALE;
    }
    const struct ovsdb_idl_row *row = referred_row(idl, br, c->table);
    if (!row_is_as_seen(row, c->table, owner, seen)) {
        return -ESTALE;
    }
    ovsdb_idl_txn_verify(br, b->ref);
    if (row && c->action != ACTION_APPEND) {
        verify_row(idl, row, b);
    }
    if (!want->present) {
        write_ref(br, b->ref, NULL);
    } else if (c->action == ACTION_APPEND || c->action == ACTION_DETACH) {
        mutate_targets(row, b, c, owner);
    } else if (c->action == ACTION_UPDATE) {
        update_row(idl, row, b, seen, want);
    } else {
        write_ref(br, b->ref, insert_row(idl, txn, b, want));
    }
    return 0;
}

void
ovs_rows_bump(struct ovsdb_idl *idl, struct ovsdb_idl_txn *txn)
{
    const struct ovsdb_idl_row *ovs = switch_row(idl);
    if (ovs) {
        ovsdb_idl_txn_increment(txn, ovs, ovs_column(COL_SWITCH_NEXT_CFG),
                                false);
    }
}
