/* ovsdb/watch_p.h -- inside the watching thread. */
#ifndef OVSDB_WATCH_P_H
#define OVSDB_WATCH_P_H 1

#include "ovsdb/ovs_p.h"

#include "ovsdb/ovs_schema.h"
#include "ovsdb/watch.h"

/* ---- An endpoint in the making. ---- */

#define SHEET_LABELS 64
#define SHEET_MEMORY 65536

struct sheet {
    const char *interface;
    const char *text[BINDING_N_MEMBERS];
    struct addr addresses[BINDING_MAX_ADDRESSES];
    uint64_t macs[BINDING_MAX_MACS];
    struct sheet_label {
        const char *key, *value;
    } labels[SHEET_LABELS];
    size_t n_addresses, n_macs, n_labels;
    uint64_t vni;
    bool has_vni, by_port;
    bool inactive;              /* It is told to be somewhere else. */
    bool learned;               /* Seen on the way, not configured. */
    char label_text[BINDING_MAX_TEXT + 1];
    char memory[SHEET_MEMORY];  /* Of texts that stand nowhere else. */
    size_t used;
    struct watch_counters *n;
};

void sheet_clear(struct sheet *, struct watch_counters *);
/* A copy that lives as long as the sheet is not cleared; cut if there is not
 * room enough. */
const char *sheet_copy(struct sheet *, const char *, size_t);
/* What was said first holds.  NULL and "" are not said. */
void sheet_say(struct sheet *, enum binding_member, const char *);
void sheet_label(struct sheet *, const char *key, const char *value);
/* Addresses with spaces or commas between, also as prefixes; MAC addresses;
 * "MAC address address ...", as OVN has it. */
void sheet_addresses(struct sheet *, const char *);
void sheet_macs(struct sheet *, const char *);
void sheet_ovn_address(struct sheet *, const char *);
/* What 'rules' say of the map 'd', which is 'column' of 'table'. */
struct watch_ruleset;
void sheet_apply(struct sheet *, const struct watch_ruleset *,
                 const char *table, const char *column,
                 const struct ovsdb_datum *d);

/* The rules of the configuration, then the built-in ones, by column. */
struct watch_ruleset *watch_ruleset_create(const struct watch_rule *,
                                           size_t n);
void watch_ruleset_destroy(struct watch_ruleset *);

/* ---- Databases. ---- */

/* A row that belongs to another one. */
struct link {
    struct hmap_node node;      /* By 'from', or by a name. */
    struct uuid from, to;
};

/* Returns whether it belonged to another one before. */
bool link_set(struct hmap *, const struct uuid *from, const struct uuid *to);
const struct uuid *link_get(const struct hmap *, const struct uuid *from);
void link_remove(struct hmap *, const struct uuid *from);
void links_clear(struct hmap *);

struct feed;

struct feed_kind {
    const char *database;
    const struct schema_table *tables;
    size_t n_tables;
    const struct schema_column *columns;
    size_t n_columns;
    /* A row that is new or has changed.  Tables come in their order. */
    void (*row)(struct feed *, unsigned int table,
                const struct ovsdb_idl_row *, struct sheet *);
    /* A row is gone; may be NULL. */
    void (*gone)(struct feed *, unsigned int table, const struct uuid *);
    const struct ovsdb_idl_class *class;        /* Made at first use. */
    const struct ovsdb_idl_column **column;
};

/* The columns of a kind: X(table, id, name, type of a key, type of a value, at
 * most).  How many there may be decides how the IDL reads a change: as a whole
 * value where it is one, as what comes and goes where there may be more. */
#define WATCH_COLUMN_ID(TABLE, ID, NAME, KEY, VALUE, MAX) C_##TABLE##_##ID,
#define WATCH_COLUMN_IDS(COLUMNS) COLUMNS(WATCH_COLUMN_ID)
#define WATCH_COLUMN_WORD(TABLE, ID, NAME, KEY, VALUE, MAX)              \
    { T_##TABLE, NAME, OVSDB_TYPE_##KEY, OVSDB_TYPE_##VALUE, 0, MAX },
#define WATCH_COLUMN_WORDS(COLUMNS) COLUMNS(WATCH_COLUMN_WORD)

/* One database. */
struct feed {
    struct ovsdb_watch *watch;
    struct feed_kind *kind;
    char source[WATCH_SOURCE_SIZE];
    char *remote;
    struct ovsdb_idl *idl;
    unsigned int seqno;
    uint64_t generation;
    bool synced;                /* All was told once. */
    bool up;
    int64_t changed_us;         /* Wall clock: when 'up' became what it is. */
    bool passing;               /* All rows are being told. */
    uint32_t pass;
    bool fresh;                 /* What this connection has is not yet read. */
    bool again;                 /* All are to be told again, when due. */
    int64_t pass_due_us;        /* Monotonic. */
    int64_t now_us;             /* Wall clock, of the events under way. */

    struct hmap told;           /* struct told, by uuid. */
    struct hmap parents;        /* Ports and interfaces: what they are in. */
    struct hmap names;          /* Rows by a name. */
    struct hmap networks;       /* Ports: the network whose VNI they tell. */
    struct watch_counters n;
};

struct ovsdb_watch {
    pthread_t thread;
    int wake_fd;
    struct ovsdb_watch_config config;   /* Callbacks. */
    struct watch_ruleset *rules;
    struct feed *feeds;
    size_t n_feeds;
    struct feed *sb, *nb;       /* Or NULL. */
    struct sheet sheet;
    bool why_dirty;
    int64_t why_due_us;

    pthread_mutex_t mutex;      /* Of the next two. */
    bool stopping;
    struct watch_status *status;
};

extern struct feed_kind feed_switch, feed_southbound, feed_northbound;

/* Tells what 'sheet' says of the endpoint of row 'uuid', if it differs from
 * what was told; feed_forget(): that there is none any more. */
void feed_tell(struct feed *, const struct uuid *, const struct sheet *);
void feed_forget(struct feed *, const struct uuid *);
/* Something changed that many rows depend on. */
void feed_again(struct feed *);

/* Reading; 'c' is an index of the kind's columns.  NULL, or 0: nothing. */
const struct ovsdb_datum *feed_read(const struct feed *,
                                    const struct ovsdb_idl_row *,
                                    unsigned int c);
const char *feed_text(const struct feed *, const struct ovsdb_idl_row *,
                      unsigned int c);
int64_t feed_number(const struct feed *, const struct ovsdb_idl_row *,
                    unsigned int c);
const char *map_get(const struct ovsdb_datum *, const char *key);
const struct ovsdb_idl_row *feed_row(const struct feed *, unsigned int table,
                                     const struct uuid *);
/* The row that column 'c' refers to first. */
const struct ovsdb_idl_row *feed_ref(const struct feed *,
                                     const struct ovsdb_idl_row *,
                                     unsigned int c, unsigned int table);
/* Whether an old row has something new in column 'c'. */
bool feed_modified(const struct feed *, const struct ovsdb_idl_row *,
                   unsigned int c);
/* All rows that column 'c' of 'row' refers to belong to it.  'moved' is called
 * for those that did not; it may be NULL. */
void feed_adopt(struct feed *, const struct ovsdb_idl_row *, unsigned int c,
                void (*moved)(struct feed *, const struct uuid *));

/* The row that has a name. */
void feed_name(struct feed *, const char *name, const struct uuid *);

/* What the two databases of OVN say of sampling, to whoever wants it. */
void watch_why_collect(struct ovsdb_watch *);
void watch_why_changed(struct ovsdb_watch *);
/* Calls 'each' with every datapath of the Southbound database. */
void southbound_datapaths(const struct feed *,
                          void (*each)(void *aux, uint32_t key,
                                       const char *name), void *aux);

/* What a port of OVN is called, and of what type it is, as the map of its
 * neutron, ovn-kubernetes or kube-ovn keys says; then by its name. */
void ovn_port_says(struct feed *, const struct ovsdb_datum *ids,
                   const char *table, const char *name, struct sheet *);

#endif /* ovsdb/watch_p.h */
