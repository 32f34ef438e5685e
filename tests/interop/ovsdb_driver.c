/* tests/interop/ovsdb_driver.c -- the OVSDB thread on a leash, for tests.
 *
 *   ovsdb_driver [--apply] [--owner ID] [--tls KEY CERT CA] REMOTE...
 *
 * reads commands from standard input and answers each with lines that end in
 * a line ".":
 *
 *   policy WORD...   one policy, "p": netflow sflow ipfix (wanted), none,
 *                    append, replace (foreign), force (offload),
 *                    match=GLOB, exclude=GLOB, ids=KEY[=GLOB],
 *                    host-ids=KEY[=GLOB], label=GLOB (wanted),
 *                    host-label=TEXT (of this host), budget=NUMBER,
 *                    TABLE.OPTION=NUMBER, target=ADDR, sample=ID (a
 *                    Flow_Sample_Collector_Set), group=ID (of the last);
 *                    "/" starts another policy, "q", "r", ...
 *   apply-to bridge|policy NAME, remove-policy NAME
 *   apply, remove [BRIDGE], plan, status, count, memory,
 *   snapshot, quit
 *
 * Fields are separated by tabs. */
#include <config.h>

#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"
#include "ovsdb/export_p.h"
#include "ovsdb/ovsdb.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t removed = PTHREAD_COND_INITIALIZER;
static int n_removed;
static bool removal_done;
static unsigned long n_changed;

static void
on_changed(void *aux)
{
    (void) aux;
    pthread_mutex_lock(&mutex);
    n_changed++;
    pthread_mutex_unlock(&mutex);
}

static void
on_removed(void *aux, int n)
{
    (void) aux;
    pthread_mutex_lock(&mutex);
    n_removed = n;
    removal_done = true;
    pthread_cond_signal(&removed);
    pthread_mutex_unlock(&mutex);
}

static void
wish_add(struct export_policy *p, enum export_table t)
{
    p->wish[t].wanted = true;
    p->wish[t].sampling_auto = true;
    if (!p->wish[t].n_targets) {
        strings_add(&p->wish[t].targets, &p->wish[t].n_targets, "local");
    }
}

static void
policy_option(struct export_policy *p, enum export_table t, char *text)
{
    char *eq = strchr(text, '=');
    if (!eq) {
        return;
    }
    *eq = '\0';
    enum export_option_id o = export_option_find(t, text);
    if (o != N_EXPORT_OPTIONS) {
        p->wish[t].value[o].set = true;
        if (export_options[o].type == EXPORT_T_STRING) {
            p->wish[t].value[o].string = strdup(eq + 1);
        } else {
            p->wish[t].value[o].number = atoll(eq + 1);
        }
    }
}

static void
add_sample(struct export_policy *p, uint32_t id)
{
    p->samples = realloc(p->samples, (p->n_samples + 1) * sizeof *p->samples);
    struct export_sample_wish *wish = &p->samples[p->n_samples++];
    memset(wish, 0, sizeof *wish);
    wish->id = id;
    wish->ipfix.wanted = true;
    strings_add(&wish->ipfix.targets, &wish->ipfix.n_targets, "local");
}

static void
policy_selector(struct export_policy *p, const char *w)
{
    if (!strncmp(w, "match=", 6)) {
        strings_add(&p->bridges, &p->n_bridges, w + 6);
    } else if (!strncmp(w, "exclude=", 8)) {
        strings_add(&p->exclude, &p->n_exclude, w + 8);
    } else if (!strncmp(w, "ids=", 4)) {
        strings_add(&p->bridge_ids, &p->n_bridge_ids, w + 4);
    } else if (!strncmp(w, "host-ids=", 9)) {
        strings_add(&p->host_ids, &p->n_host_ids, w + 9);
    } else if (!strncmp(w, "label=", 6)) {
        strings_add(&p->labels, &p->n_labels, w + 6);
    }
}

static void
policy_word(struct export_policy *p, char *w)
{
    for (int t = 0; t < N_EXPORT_TABLES; t++) {
        const char *name = export_table_name(t);
        size_t len = strlen(name);
        if (!strcmp(w, name)) {
            wish_add(p, t);
        } else if (!strncmp(w, name, len) && w[len] == '.') {
            policy_option(p, t, w + len + 1);
        }
        if (!strncmp(w, "target=", 7) && p->wish[t].wanted) {
            strings_add(&p->wish[t].targets, &p->wish[t].n_targets, w + 7);
        }
    }
    if (!strcmp(w, "append")) {
        p->foreign = FOREIGN_APPEND;
    } else if (!strcmp(w, "replace")) {
        p->foreign = FOREIGN_REPLACE;
    } else if (!strcmp(w, "force")) {
        p->offload_force = true;
    }
    policy_selector(p, w);
    if (!strncmp(w, "sample=", 7)) {
        add_sample(p, (uint32_t) strtoul(w + 7, NULL, 10));
    } else if (!strncmp(w, "group=", 6)) {
        p->samples[p->n_samples - 1].group.set = true;
        p->samples[p->n_samples - 1].group.number = atoll(w + 6);
    }
}

static struct export_policies *
policy_parse(char *words)
{
    static const char *const names[] = { "p", "q", "r", "s" };
    struct export_policies *all = calloc(1, sizeof *all);
    all->list = calloc(4, sizeof *all->list);
    all->list[0].name = strdup(names[0]);
    all->n = 1;
    all->budget = EXPORT_BUDGET;
    char *save = NULL;
    for (char *w = strtok_r(words, " ", &save); w;
         w = strtok_r(NULL, " ", &save)) {
        if (!strcmp(w, "/") && all->n < 4) {
            all->list[all->n].name = strdup(names[all->n]);
            all->n++;
        } else if (!strncmp(w, "budget=", 7)) {
            all->budget = (uint32_t) strtoul(w + 7, NULL, 10);
        } else if (!strncmp(w, "host-label=", 11)) {
            strings_add(&all->labels, &all->n_labels, w + 11);
        } else {
            policy_word(&all->list[all->n - 1], w);
        }
    }
    return all;
}

/* The protocol's name, or "flow-sample-ID". */
static const char *
what_name(enum export_table table, bool sample, uint32_t id)
{
    static char buf[40];
    snprintf(buf, sizeof buf, "flow-sample-%u", id);
    return sample ? buf : export_table_name(table);
}

static void
show_plan(struct ovsdb *o)
{
    for (size_t i = 0; i < ovsdb_n_remotes(o); i++) {
        struct export_plan *plan = ovsdb_plan(o, i);
        for (size_t j = 0; plan && j < plan->n_changes; j++) {
            const struct export_change *c = &plan->changes[j];
            char *warnings = strings_join(c->warnings, c->n_warnings);
            printf("%s\t%s\t%s\t%s\t%.0f\t%.0f\t%s\n", c->bridge,
                   what_name(c->table, c->sample, c->sample_id),
                   export_action_name(c->action), c->reason,
                   c->records_per_s, c->bytes_per_s, warnings);
            free(warnings);
        }
        for (size_t j = 0; plan && j < plan->n_warnings; j++) {
            printf("\tplan\twarning\t%s\t-1\t-1\t\n", plan->warnings[j]);
        }
        export_plan_destroy(plan);
    }
}

static void
show_status(struct ovsdb *o)
{
    size_t n;
    struct ovsdb_status *list = ovsdb_status(o, &n);
    for (size_t i = 0; i < n; i++) {
        printf("%s\t%s\t%s\t%d\t%s\n", list[i].bridge,
               what_name(list[i].table, list[i].sample, list[i].sample_id),
               export_state_name(list[i].state), list[i].applied_us != 0,
               list[i].reason);
    }
    ovsdb_status_destroy(list, n);
}

/* Bridges and protocols that are as they should be, and those that are still
 * to be written. */
static void
show_count(struct ovsdb *o)
{
    size_t n, synced = 0, pending = 0, unread = 0;
    struct ovsdb_status *list = ovsdb_status(o, &n);
    for (size_t i = 0; i < n; i++) {
        /* Without ovs-vswitchd, what is written stays "pending". */
        synced += list[i].row_is_right;
        pending += list[i].state == STATE_PENDING && !list[i].row_is_right;
    }
    ovsdb_status_destroy(list, n);
    for (size_t i = 0; i < ovsdb_n_remotes(o); i++) {
        const struct ovs_snapshot *s = ovsdb_snapshot(o, i);
        unread += !s || !s->connected;
        ovsdb_snapshot_unref(s);
    }
    printf("%zu\t%zu\n", synced, pending + unread);
}

static void
show_snapshot(struct ovsdb *o)
{
    for (size_t i = 0; i < ovsdb_n_remotes(o); i++) {
        const struct ovs_snapshot *s = ovsdb_snapshot(o, i);
        if (!s) {
            continue;
        }
        printf("%s\t%d\t%s\t%zu\t%s\n", s->remote, s->connected,
               s->ovs_version, s->n_bridges, s->reason ? s->reason : "");
        for (size_t j = 0; j < s->n_bridges; j++) {
            const struct ovs_bridge *b = &s->bridges[j];
            for (size_t k = 0; k < b->n_interfaces; k++) {
                printf("%s\t%s\t%lld\t%lld\n", b->name,
                       b->interfaces[k].name,
                       (long long) b->interfaces[k].ofport,
                       (long long) b->interfaces[k].ifindex);
            }
        }
        ovsdb_snapshot_unref(s);
    }
}

static void
do_remove(struct ovsdb *o, const char *bridge, const char *policy)
{
    removal_done = false;
    ovsdb_remove(o, *bridge ? bridge : NULL, policy, on_removed, NULL);
    pthread_mutex_lock(&mutex);
    while (!removal_done) {
        pthread_cond_wait(&removed, &mutex);
    }
    printf("%d\n", n_removed);
    pthread_mutex_unlock(&mutex);
}

static void
command(struct ovsdb *o, char *line)
{
    if (!strncmp(line, "policy", 6)) {
        struct export_policies *p = policy_parse(line + 6);
        ovsdb_set_policies(o, p);
        export_policies_destroy(p);
    } else if (!strcmp(line, "apply")) {
        ovsdb_apply(o);
    } else if (!strncmp(line, "apply-to bridge ", 16)) {
        ovsdb_apply_to(o, line + 16, NULL, NULL);
    } else if (!strncmp(line, "apply-to policy ", 16)) {
        ovsdb_apply_to(o, NULL, line + 16, NULL);
    } else if (!strncmp(line, "remove-policy ", 14)) {
        do_remove(o, "", line + 14);
    } else if (!strncmp(line, "remove", 6)) {
        do_remove(o, line + 6 + strspn(line + 6, " "), NULL);
    } else if (!strcmp(line, "plan")) {
        show_plan(o);
    } else if (!strcmp(line, "status")) {
        show_status(o);
    } else if (!strcmp(line, "memory")) {
        struct mallinfo2 m = mallinfo2();
        malloc_trim(0);
        printf("%zu\t%zu\t%zu\n", m.uordblks, m.fordblks, m.hblkhd);
    } else if (!strcmp(line, "count")) {
        show_count(o);
    } else if (!strcmp(line, "snapshot")) {
        show_snapshot(o);
    }
    puts(".");
    fflush(stdout);
}

int
main(int argc, char *argv[])
{
    char netflow[] = "127.0.0.1:2055", sflow[] = "127.0.0.1:6343";
    char ipfix[] = "127.0.0.1:4739";
    struct ovsdb_config config = {
        .owner = "driver-1",
        .local = { netflow, sflow, ipfix },
        .changed = on_changed,
    };
    int i = 1;
    log_set_level("ovsdb:debug");
    ovsdb_global_init("ovsdb_driver", false);
    for (; i < argc && argv[i][0] == '-'; i++) {
        if (!strcmp(argv[i], "--apply")) {
            config.apply = true;
        } else if (!strcmp(argv[i], "--owner") && i + 1 < argc) {
            config.owner = argv[++i];
        } else if (!strcmp(argv[i], "--tls") && i + 3 < argc) {
            ovsdb_set_tls(argv[i + 1], argv[i + 2], argv[i + 3]);
            i += 3;
        }
    }
    config.remotes = (const char *const *) &argv[i];
    config.n_remotes = (size_t) (argc - i);
    struct export_policies *policies = export_policies_default();
    struct ovsdb *o = ovsdb_start(&config, policies);
    export_policies_destroy(policies);
    if (!o) {
        return 1;
    }
    char line[1024];
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        if (!strcmp(line, "quit")) {
            break;
        }
        command(o, line);
    }
    ovsdb_stop(o);
    return 0;
}
