/* ovsdb/export_plan_p.h -- what the parts of the planner share. */
#ifndef OVSDB_EXPORT_PLAN_P_H
#define OVSDB_EXPORT_PLAN_P_H 1

#include "ovsdb/export_p.h"

enum identity { ID_ENGINE, ID_AGENT, ID_OBSERVATION, N_IDENTITIES };

struct planner {
    const struct ovs_snapshot *snap;
    const struct export_policies *policies;
    const struct export_self *self;
    uint32_t *identity[N_IDENTITIES];   /* Per bridge. */
    const struct export_policy **found;         /* Per bridge: the first that
                                                 * matches, or NULL. */
    const struct export_policy **policy;        /* The same; NULL if held. */
    bool *held;                 /* Per bridge: without export on request. */
    bool *ordered;              /* Per bridge: there was some request. */
    struct export_row scratch;          /* The row being built: most are not
                                         * kept. */
    bool oom;                           /* Sticky. */
};

/* One bridge and protocol being decided. */
struct subject {
    struct planner *pl;
    size_t index;               /* Of the bridge. */
    const struct ovs_bridge *bridge;    /* NULL: an orphan. */
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
char *format_text(struct planner *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Both take over the text. */
void plan_set_reason(struct subject *, char *text);
void plan_add_warning(struct subject *, char *text);

#define REASON(S, ...) plan_set_reason(S, format_text((S)->pl, __VA_ARGS__))
#define WARN(S, ...) plan_add_warning(S, format_text((S)->pl, __VA_ARGS__))

/* Whether rows of 'owner' are ours, by making or by adoption. */
bool plan_owner_is_us(const struct planner *, const char *owner);

void plan_decide(struct subject *, enum export_action, enum export_state);
/* Turns the wish's targets into sorted addresses without doubles.  Those that
 * can't be resolved are warned about; '*why' (heap) is the last reason. */
void plan_resolve_targets(struct subject *, char **why);
/* Fills in 's->out->desired'. */
void plan_build_row(struct subject *);
/* Takes over both texts; keeps them only if they differ. */
void plan_add_diff(struct subject *, const char *column, char *old_value,
                   char *new_value);
void plan_diff_rows(struct subject *, const struct export_row *from,
                    const struct export_row *to);
/* Why a bridge is to be without 'what' (heap). */
char *plan_unwanted_reason(struct subject *, const char *what);
/* Makes sure of the wish and its targets; false after giving the reason. */
bool plan_wish_is_good(struct subject *);

/* A new entry of the plan, or NULL: out of memory.  Its 'desired' is there
 * while it is being decided; then it is kept only if it is to be written. */
struct export_change *plan_add_change(struct planner *, struct export_plan *,
                                      size_t bridge);
/* A text that lives as long as the plan. */
const char *plan_text(struct planner *, struct export_plan *, const char *);
const char *plan_policy_name(const struct planner *,
                             const struct export_plan *,
                             const struct export_policy *);
void plan_end_change(struct planner *, struct export_plan *,
                     struct export_change *);

/* export_sample.c: adds the changes of one bridge's
 * Flow_Sample_Collector_Sets, and of those that have lost theirs. */
void plan_samples(struct planner *, struct export_plan *, size_t bridge);
void plan_orphans(struct planner *, struct export_plan *);

/* export_load.c: predicted records and bytes per second. */
void plan_load(struct subject *);

#endif /* ovsdb/export_plan_p.h */
