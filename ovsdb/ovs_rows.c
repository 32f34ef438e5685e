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

#include "ovsdb/export_p.h"

/* A table of exporters in terms of the IDL. */
struct binding {
    const struct ovsdb_idl_table_class *table;
    const struct ovsdb_idl_column *targets, *external_ids;
    const struct ovsdb_idl_column *other_config;        /* Or NULL. */
    const struct ovsdb_idl_column *ref;                 /* Of Bridge. */
    /* NULL: the schema that this was compiled from lacks it. */
    const struct ovsdb_idl_column *option[N_EXPORT_OPTIONS];
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
    b->ref = find_column(&ovsrec_table_bridge, export_table_name(t));
    for (int o = 0; o < N_EXPORT_OPTIONS; o++) {
        if (export_options[o].table == t) {
            b->option[o] = find_column(table, export_options[o].column);
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
                   &ovsrec_table_netflow);
        bind_table(&all[EXPORT_SFLOW], EXPORT_SFLOW, &ovsrec_table_sflow);
        bind_table(&all[EXPORT_IPFIX], EXPORT_IPFIX, &ovsrec_table_ipfix);
    }
    return &all[t];
}

void
ovs_rows_monitor(struct ovsdb_idl *idl)
{
    /* Chosen one by one: "everything" would pull Interface.statistics, which
     * ovs-vswitchd rewrites for every interface every few seconds. */
    static const struct ovsdb_idl_column *const columns[] = {
        &ovsrec_open_vswitch_col_bridges,
        &ovsrec_open_vswitch_col_next_cfg,
        &ovsrec_open_vswitch_col_cur_cfg,
        &ovsrec_open_vswitch_col_external_ids,
        &ovsrec_open_vswitch_col_other_config,
        &ovsrec_open_vswitch_col_ovs_version,
        &ovsrec_open_vswitch_col_db_version,
        &ovsrec_bridge_col_name,
        &ovsrec_bridge_col_ports,
        &ovsrec_bridge_col_datapath_id,
        &ovsrec_bridge_col_datapath_type,
        &ovsrec_bridge_col_netflow,
        &ovsrec_bridge_col_sflow,
        &ovsrec_bridge_col_ipfix,
        &ovsrec_port_col_interfaces,
        &ovsrec_interface_col_name,
        &ovsrec_interface_col_type,
        &ovsrec_interface_col_ofport,
        &ovsrec_interface_col_ifindex,
        &ovsrec_interface_col_mac_in_use,
        &ovsrec_interface_col_error,
    };
    for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
        ovsdb_idl_add_column(idl, columns[i]);
    }
    for (int t = 0; t < N_EXPORT_TABLES; t++) {
        const struct binding *b = binding_of(t);
        for (size_t i = 0; i < b->table->n_columns; i++) {
            ovsdb_idl_add_column(idl, &b->table->columns[i]);
        }
    }
}

/* Reading. */

static const char *
atom_text(const union ovsdb_atom *atom)
{
    return json_string(atom->s);
}

/* Out of memory ends the process here as everywhere in libopenvswitch. */
static void
must(int error)
{
    if (error) {
        out_of_memory();
    }
}

static void
read_strings(const struct ovsdb_idl_row *row,
             const struct ovsdb_idl_column *column, char ***list, size_t *n)
{
    const struct ovsdb_datum *d = ovsdb_idl_read(row, column);
    for (size_t i = 0; i < d->n; i++) {
        must(strings_add(list, n, atom_text(&d->keys[i])));
    }
    strings_sort(*list, *n);
}

static void
read_option(const struct ovsdb_idl_row *row, enum export_option_id o,
            const struct ovsdb_idl_column *column, struct export_value *v)
{
    const struct ovsdb_datum *d = ovsdb_idl_read(row, column);
    if (!d->n) {
        return;
    }
    switch (export_options[o].type) {
    case EXPORT_T_STRING:
        v->string = xstrdup(atom_text(&d->keys[0]));
        v->set = true;
        break;
    case EXPORT_T_BOOL:
        v->number = d->keys[0].boolean;
        v->set = true;
        break;
    case EXPORT_T_INT:
    default:
        v->number = d->keys[0].integer;
        v->set = true;
        break;
    }
    if (column->type.n_min && !v->number && !v->string) {
        v->set = false;         /* A required column's "nothing". */
    }
}

/* A key of other_config; false if it is none of ours or makes no sense. */
static bool
read_key(struct export_row *row, enum export_table table, const char *key,
         const char *value)
{
    enum export_option_id o = export_option_find(table, key);
    if (o == N_EXPORT_OPTIONS || !*export_options[o].key) {
        return false;
    }
    struct export_value *v = &row->value[o];
    v->set = true;
    if (export_options[o].type == EXPORT_T_STRING) {
        v->string = xstrdup(value);
    } else {
        v->number = !strcmp(value, "true");     /* As smap_get_bool(). */
    }
    return true;
}

static void
add_extra(struct export_row *row, const char *column, const char *key,
          const char *value)
{
    char *text = xasprintf("%s:%s=%s", column, key, value);
    must(strings_add(&row->extra, &row->n_extra, text));
    free(text);
}

static void
split_words(const char *text, char ***list, size_t *n)
{
    char *copy = xstrdup(text), *save = NULL;
    for (char *w = strtok_r(copy, " ", &save); w;
         w = strtok_r(NULL, " ", &save)) {
        must(strings_add(list, n, w));
    }
    free(copy);
    strings_sort(*list, *n);
}

static void
read_external_id(struct export_row *row, const char *owner, const char *key,
                 const char *value)
{
    char **own = !strcmp(key, VENTURI_OWNER) ? &row->owner
                 : !strcmp(key, VENTURI_POLICY) ? &row->policy
                 : !strcmp(key, VENTURI_HASH) ? &row->hash
                 : !strcmp(key, VENTURI_PREV) ? &row->prev
                 : NULL;
    size_t len = strlen(VENTURI_APPEND);
    if (own) {
        *own = xstrdup(value);
    } else if (!strncmp(key, VENTURI_APPEND, len)
               && !strcmp(key + len, owner)) {
        split_words(value, &row->appended, &row->n_appended);
    } else {
        add_extra(row, "external_ids", key, value);
    }
}

static void
read_row(const struct ovsdb_idl_row *idl_row, enum export_table table,
         const char *owner, struct export_row *row)
{
    const struct binding *b = binding_of(table);
    memset(row, 0, sizeof *row);
    row->present = true;
    snprintf(row->uuid, sizeof row->uuid, UUID_FMT,
             UUID_ARGS(&idl_row->uuid));
    read_strings(idl_row, b->targets, &row->targets, &row->n_targets);
    for (int o = 0; o < N_EXPORT_OPTIONS; o++) {
        if (b->option[o] && !*export_options[o].key) {
            read_option(idl_row, o, b->option[o], &row->value[o]);
        }
    }
    const struct ovsdb_datum *d = ovsdb_idl_read(idl_row, b->external_ids);
    for (size_t i = 0; i < d->n; i++) {
        read_external_id(row, owner, atom_text(&d->keys[i]),
                         atom_text(&d->values[i]));
    }
    if (b->other_config) {
        d = ovsdb_idl_read(idl_row, b->other_config);
        for (size_t i = 0; i < d->n; i++) {
            const char *key = atom_text(&d->keys[i]);
            const char *value = atom_text(&d->values[i]);
            if (!read_key(row, table, key, value)) {
                add_extra(row, "other_config", key, value);
            }
        }
    }
    strings_sort(row->extra, row->n_extra);
}

/* The row that 'br' refers to, or NULL. */
static const struct ovsdb_idl_row *
referred_row(const struct ovsdb_idl *idl, const struct ovsrec_bridge *br,
             enum export_table table)
{
    const struct binding *b = binding_of(table);
    const struct ovsdb_datum *d = ovsdb_idl_read(&br->header_, b->ref);
    return d->n ? ovsdb_idl_get_row_for_uuid(idl, b->table, &d->keys[0].uuid)
                : NULL;
}

static char *
dup_or_null(const char *text)
{
    return text && *text ? xstrdup(text) : NULL;
}

static void
read_interface(const struct ovsrec_interface *from, struct ovs_interface *to)
{
    to->name = xstrdup(from->name);
    to->type = xstrdup(from->type);
    snprintf(to->uuid, sizeof to->uuid, UUID_FMT,
             UUID_ARGS(&from->header_.uuid));
    to->ofport = from->n_ofport ? from->ofport[0] : -1;
    to->ifindex = from->n_ifindex ? from->ifindex[0] : 0;
    to->mac_in_use = dup_or_null(from->mac_in_use);
    to->error = dup_or_null(from->error);
}

static void
read_interfaces(const struct ovsrec_bridge *br, struct ovs_bridge *out)
{
    size_t n = 0;
    for (size_t i = 0; i < br->n_ports; i++) {
        n += br->ports[i]->n_interfaces;
    }
    out->interfaces = xcalloc(n ? n : 1, sizeof *out->interfaces);
    for (size_t i = 0; i < br->n_ports; i++) {
        const struct ovsrec_port *port = br->ports[i];
        for (size_t j = 0; j < port->n_interfaces; j++) {
            read_interface(port->interfaces[j],
                           &out->interfaces[out->n_interfaces++]);
        }
    }
}

static void
read_bridge(const struct ovsdb_idl *idl, const struct ovsrec_bridge *br,
            const char *owner, struct ovs_bridge *out)
{
    out->name = xstrdup(br->name);
    snprintf(out->uuid, sizeof out->uuid, UUID_FMT,
             UUID_ARGS(&br->header_.uuid));
    out->datapath_type = xstrdup(br->datapath_type);
    out->datapath_id = br->datapath_id ? strtoull(br->datapath_id, NULL, 16)
                                       : 0;
    read_interfaces(br, out);
    for (int t = 0; t < N_EXPORT_TABLES; t++) {
        const struct ovsdb_idl_row *row = referred_row(idl, br, t);
        if (row) {
            read_row(row, t, owner, &out->row[t]);
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
    const struct ovsrec_open_vswitch *ovs = ovsrec_open_vswitch_first(idl);
    snap->missing_options[0] = missing_options(idl);
    if (!ovs) {
        return;                 /* A database that nobody has initialized. */
    }
    snap->ovs_version = xstrdup(ovs->ovs_version ? ovs->ovs_version : "");
    snap->db_version = xstrdup(ovs->db_version ? ovs->db_version : "");
    snap->system_id = xstrdup(smap_get_def(&ovs->external_ids, "system-id",
                                           ""));
    snap->hostname = xstrdup(smap_get_def(&ovs->external_ids, "hostname",
                                          ""));
    snap->hw_offload = smap_get_bool(&ovs->other_config, "hw-offload",
                                     false);
    snap->next_cfg = ovs->next_cfg;
    snap->cur_cfg = ovs->cur_cfg;
    /* Through Open_vSwitch.bridges, never over the Bridge table: there orphans
     * may live on that a Flow_Sample_Collector_Set refers to. */
    snap->bridges = xcalloc(ovs->n_bridges + 1, sizeof *snap->bridges);
    for (size_t i = 0; i < ovs->n_bridges; i++) {
        read_bridge(idl, ovs->bridges[i], owner,
                    &snap->bridges[snap->n_bridges++]);
    }
    if (snap->n_bridges) {
        qsort(snap->bridges, snap->n_bridges, sizeof *snap->bridges,
              compare_bridges);
    }
    for (int t = 0; t < N_EXPORT_TABLES; t++) {
        count_refs(snap, t);
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
            write_option(row, b->option[o], o, &want->value[o]);
        }
    }
}

/* The keys of other_config, as text. */
static char *
key_text(const struct export_row *row, enum export_option_id o)
{
    return export_value_text(&export_options[o], &row->value[o]);
}

static void
update_keys(const struct ovsdb_idl_row *row, const struct binding *b,
            const struct export_row *seen, const struct export_row *want)
{
    for (int o = 0; o < N_EXPORT_OPTIONS; o++) {
        if (b->option[o] && *export_options[o].key
            && !export_value_equal(&export_options[o], &seen->value[o],
                                   &want->value[o])) {
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

/* Bridge's reference: to 'row', or none if it is NULL. */
static void
write_ref(const struct ovsrec_bridge *br, const struct binding *b,
          const struct ovsdb_idl_row *row)
{
    struct ovsdb_datum d = { .n = 0 };
    if (row) {
        d.n = 1;
        d.keys = xzalloc(sizeof *d.keys);
        d.keys[0].uuid = row->uuid;
    }
    ovsdb_idl_txn_write(&br->header_, b->ref, &d);
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
    char *value = c->desired.n_appended
                  ? strings_join(c->desired.appended, c->desired.n_appended)
                  : NULL;
    write_key(row, b->external_ids, key, value);
    free(key);
    free(value);
}

/* The bridge with 'uuid', if it is one of Open_vSwitch's. */
static const struct ovsrec_bridge *
find_bridge(const struct ovsdb_idl *idl, const char *text)
{
    const struct ovsrec_open_vswitch *ovs = ovsrec_open_vswitch_first(idl);
    struct uuid uuid;
    if (!ovs || !uuid_from_string(&uuid, text)) {
        return NULL;
    }
    for (size_t i = 0; i < ovs->n_bridges; i++) {
        if (uuid_equals(&ovs->bridges[i]->header_.uuid, &uuid)) {
            return ovs->bridges[i];
        }
    }
    return NULL;
}

static bool
row_is_as_seen(const struct ovsdb_idl_row *row, enum export_table table,
               const char *owner, const struct export_row *seen)
{
    struct export_row now = { .present = false };
    if (row) {
        read_row(row, table, owner, &now);
    }
    bool same = export_row_equal(&now, seen, table);
    export_row_clear(&now);
    return same;
}

int
ovs_rows_write(struct ovsdb_idl *idl, const struct export_change *c,
               const struct export_row *seen, const char *owner)
{
    const struct binding *b = binding_of(c->table);
    const struct export_row *want = &c->desired;
    const struct ovsrec_bridge *br = find_bridge(idl, c->bridge_uuid);
    if (!br) {
        return -ESTALE;
    }
    const struct ovsdb_idl_row *row = referred_row(idl, br, c->table);
    if (!row_is_as_seen(row, c->table, owner, seen)) {
        return -ESTALE;
    }
    ovsdb_idl_txn_verify(&br->header_, b->ref);
    if (row && c->action != ACTION_APPEND) {
        verify_row(idl, row, b);
    }
    if (!want->present) {
        write_ref(br, b, NULL);
    } else if (c->action == ACTION_APPEND || c->action == ACTION_DETACH) {
        mutate_targets(row, b, c, owner);
    } else if (c->action == ACTION_UPDATE) {
        write_targets(row, b, want);
        write_options(idl, row, b, want);
        update_keys(row, b, seen, want);
    } else {
        row = ovsdb_idl_txn_insert(ovsdb_idl_txn_get(&br->header_), b->table,
                                   NULL);
        write_targets(row, b, want);
        write_options(idl, row, b, want);
        insert_maps(row, b, want);
        write_ref(br, b, row);
    }
    return 0;
}

void
ovs_rows_bump(struct ovsdb_idl *idl, struct ovsdb_idl_txn *txn)
{
    const struct ovsrec_open_vswitch *ovs = ovsrec_open_vswitch_first(idl);
    if (ovs) {
        ovsdb_idl_txn_increment(txn, &ovs->header_,
                                &ovsrec_open_vswitch_col_next_cfg, false);
    }
}
