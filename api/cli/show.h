/* api/cli/show.h -- what the files of commands share, and the commands that
 * stand in files of their own. */
#ifndef CLI_SHOW_H
#define CLI_SHOW_H 1

#include "api/cli/command.h"

/* A member, also of a member ("counters/bytes"), or NULL; the same as text,
 * "-" if there is none. */
struct json_object *cli_at(struct json_object *, const char *path);
const char *cli_text(struct json_object *, const char *path);

/* commands.c: adds a parameter if 'value' is not NULL: as it is; "a,b,c" as an
 * array; the value of an option as a number (false after a message). */
void cli_set_string(struct json_object *, const char *name,
                    const char *value);
void cli_set_list(struct json_object *, const char *name, const char *value);
bool cli_set_integer(struct cli *, struct json_object *, const char *name,
                     const char *option);
/* Of a question that may take long: its time limit, and whether somebody wants
 * to see how far it is.  True. */
bool cli_set_running(struct cli *, struct json_object *);
/* Whether somebody wants to see how far it is. */
void cli_set_progress(const struct cli *, struct json_object *);

/* flows.c: of options --last, --from and --to (false after a message); of the
 * operands. */
bool cli_set_range(struct cli *, struct json_object *);
void cli_set_filter(struct cli *, struct json_object *);

/* data.c */
extern const struct cli_option cli_data_options[];
int cli_export_data(struct cli *);

/* doctor.c */
extern const struct cli_option cli_doctor_options[];
bool cli_build_doctor(struct cli *, struct json_object *params);
int cli_show_doctor(struct cli *, struct json_object *result);

/* commands.c: prints a table and destroys it; 'nothing' if it has no rows. */
struct table;
void cli_print_table(struct cli *, struct table *, const char *nothing);

/* commands.c: JSON from an operand: a text that begins like JSON, "-" for
 * standard input, or the name of a file.  False after a message. */
bool cli_read_json(struct cli *, const char *operand, struct json_object **);

/* flows.c: what an answer lacks, where it says so. */
void cli_show_note(struct cli *, struct json_object *result);

/* flows.c */
extern const struct cli_option cli_records_options[], cli_series_options[];
extern const struct cli_option cli_profile_options[], cli_channel_options[];
extern const struct cli_option cli_channel_series_options[];
bool cli_build_records(struct cli *, struct json_object *params);
bool cli_build_series(struct cli *, struct json_object *params);
bool cli_build_profile(struct cli *, struct json_object *params);
bool cli_build_profile_list(struct cli *, struct json_object *params);
bool cli_build_channel(struct cli *, struct json_object *params);
bool cli_build_channel_series(struct cli *, struct json_object *params);
int cli_show_records(struct cli *, struct json_object *result);
int cli_show_series(struct cli *, struct json_object *result);
int cli_show_profiles(struct cli *, struct json_object *result);
int cli_show_profile(struct cli *, struct json_object *result);
int cli_show_channel(struct cli *, struct json_object *result);
int cli_show_channel_series(struct cli *, struct json_object *result);

/* front.c */
extern const struct cli_option cli_token_options[];
bool cli_build_token_create(struct cli *, struct json_object *params);
bool cli_build_token_revoke(struct cli *, struct json_object *params);
int cli_show_token(struct cli *, struct json_object *result);
int cli_show_tokens(struct cli *, struct json_object *result);
int cli_show_revoked(struct cli *, struct json_object *result);
extern const struct cli_option cli_limit_options[];
bool cli_build_limit(struct cli *, struct json_object *params);
bool cli_build_rollback(struct cli *, struct json_object *params);
int cli_show_history(struct cli *, struct json_object *result);
int cli_show_rollback(struct cli *, struct json_object *result);
int cli_show_audit(struct cli *, struct json_object *result);

/* top.c */
extern const struct cli_option cli_top_options[];
int cli_top(struct cli *);

/* watch.c */
extern const struct cli_option cli_watch_options[];
int cli_watch(struct cli *);

/* watch.c: subscribes ('params' is taken over) and hands on news until 'news'
 * returns false, or they end; returns the exit status. */
struct cli_follower {
    const char *method;
    void (*begin)(void *aux, struct json_object *reply);        /* Or NULL. */
    bool (*news)(void *aux, struct json_object *result);
    void *aux;
};
int cli_follow(struct cli *, struct json_object *params,
               const struct cli_follower *);

/* alerts.c */
extern const struct cli_option cli_alert_list_options[];
extern const struct cli_option cli_alert_comment_options[];
extern const struct cli_option cli_alert_mute_options[];
extern const struct cli_option cli_alert_rule_options[];
bool cli_build_alert_list(struct cli *, struct json_object *params);
bool cli_build_alert_show(struct cli *, struct json_object *params);
bool cli_build_alert_number(struct cli *, struct json_object *params);
bool cli_build_alert_mute(struct cli *, struct json_object *params);
bool cli_build_alert_rule(struct cli *, struct json_object *params);
bool cli_build_alert_rule_delete(struct cli *, struct json_object *params);
int cli_show_alerts(struct cli *, struct json_object *result);
int cli_show_alert(struct cli *, struct json_object *result);
int cli_show_alert_of(struct cli *, struct json_object *result);
int cli_show_mutes(struct cli *, struct json_object *result);
int cli_show_alert_rules(struct cli *, struct json_object *result);

/* events.c */
extern const struct cli_option cli_events_options[];
int cli_events(struct cli *);
int cli_show_kinds(struct cli *, struct json_object *result);

/* counters.c */
extern const struct cli_option cli_counters_options[];
extern const struct cli_option cli_accuracy_options[];
bool cli_build_counters(struct cli *, struct json_object *params);
bool cli_build_accuracy(struct cli *, struct json_object *params);
int cli_show_counters(struct cli *, struct json_object *result);
int cli_show_accuracy(struct cli *, struct json_object *result);

/* endpoints.c */
int cli_show_endpoint_databases(struct cli *, struct json_object *result);
extern const struct cli_option cli_who_options[];
extern const struct cli_option cli_endpoint_list_options[];
extern const struct cli_option cli_endpoint_set_options[];
extern const struct cli_option cli_endpoint_delete_options[];
bool cli_build_who(struct cli *, struct json_object *params);
bool cli_build_endpoint_list(struct cli *, struct json_object *params);
bool cli_build_endpoint_set(struct cli *, struct json_object *params);
bool cli_build_endpoint_delete(struct cli *, struct json_object *params);
int cli_show_who(struct cli *, struct json_object *result);
int cli_show_endpoints(struct cli *, struct json_object *result);
int cli_show_sources(struct cli *, struct json_object *result);
int cli_show_told(struct cli *, struct json_object *result);

/* export.c */
extern const struct cli_option cli_add_options[], cli_policy_options[];
bool cli_build_add(struct cli *, struct json_object *params);
bool cli_build_adopt(struct cli *, struct json_object *params);
int cli_show_adopt(struct cli *, struct json_object *);
bool cli_build_remove(struct cli *, struct json_object *params);
bool cli_build_policy_set(struct cli *, struct json_object *params);
bool cli_build_policy_delete(struct cli *, struct json_object *params);
int cli_show_exports(struct cli *, struct json_object *result);
int cli_show_changed(struct cli *, struct json_object *result);
int cli_show_remove(struct cli *, struct json_object *result);
int cli_show_deleted(struct cli *, struct json_object *result);
int cli_show_policies(struct cli *, struct json_object *result);

/* bgp.c */
bool cli_build_neighbor(struct cli *, struct json_object *params);
int cli_show_neighbors(struct cli *, struct json_object *result);
int cli_show_routers(struct cli *, struct json_object *result);
int cli_show_done(struct cli *, struct json_object *result);

/* route.c */
extern const struct cli_option cli_route_options[];
extern const struct cli_option cli_route_table_options[];
bool cli_build_route(struct cli *, struct json_object *params);
bool cli_build_route_table(struct cli *, struct json_object *params);
int cli_show_routes(struct cli *, struct json_object *result);
extern const struct cli_option cli_route_history_options[];
bool cli_build_route_history(struct cli *, struct json_object *params);
int cli_show_route_history(struct cli *, struct json_object *result);
extern const struct cli_option cli_route_import_options[];
int cli_route_import(struct cli *);
int cli_show_route_imports(struct cli *, struct json_object *result);
bool cli_build_route_forget(struct cli *, struct json_object *params);

/* import.c */
extern const struct cli_option cli_import_options[];
int cli_import(struct cli *);

/* export.c: probes; of export.status, nothing is said if there are none. */
int cli_show_probes(struct cli *, struct json_object *result);
/* A list of texts, each on a line "warning: ..." behind 'indent'. */
void cli_show_warnings(struct cli *, struct json_object *list,
                       const char *indent);

#endif /* api/cli/show.h */
