#include <config.h>

#include "api/config_p.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "api/config_api.h"
#include "api/history.h"
#include "api/model.h"
#include "lib/event.h"
#include "lib/log.h"

struct config_store {
    char *path;                 /* NULL: nothing is written. */
    bool required;              /* The file was asked for by name. */
    char *reload_error;         /* Why the file was not taken over; or NULL. */
    struct config_stamp stamp;
    struct json_object *tree;   /* What the file says. */
    struct json_object *full;   /* With defaults and the command line. */
    struct config *config;
    struct config_override override;
    config_apply_fn *apply;
    void *apply_aux;
    void (*guard)(void *, bool);
    void *guard_aux;
    struct history *history;    /* Or NULL. */
    char author[256];           /* Of the next change; "": nobody told. */
    struct json_object *changes;        /* By the last one; or NULL. */
};

/* A candidate: everything that a configuration becomes. */
struct candidate {
    struct json_object *tree, *full;
    struct config *config;
};

static void
candidate_clear(struct candidate *c)
{
    json_object_put(c->tree);
    json_object_put(c->full);
    config_free(c->config);
    memset(c, 0, sizeof *c);
}

/* config.get shows what is in effect, also what the file does not say. */
static void
show_overrides(struct candidate *c, const struct config_override *o)
{
    struct json_object *root = at(c->full, MODEL_ROOT);
    const char *api = c->config->api_addresses[0];

    json_object_object_add(at(root, "api"), "unix", json_object_new_string(
                               api + (strncmp(api, "unix:", 5) ? 0 : 5)));
    if (o->n_ovsdb) {
        struct json_object *list = json_object_new_array();
        for (size_t i = 0; i < o->n_ovsdb; i++) {
            json_object_array_add(list, json_object_new_string(o->ovsdb[i]));
        }
        json_object_object_add(at(root, "ovsdb"), "remote", list);
    }
}

/* The default policy, completed by the model as if the file had it. */
static int
show_default_policy(struct model *m, struct candidate *c,
                    struct config_error *e)
{
    struct json_object *root = at(c->full, MODEL_ROOT), *full = NULL;

    if (at(root, "export/policy")) {
        return 0;
    }
    struct json_object *o = json_object_new_object();
    struct json_object *top = json_object_new_object();
    struct json_object *export = json_object_new_object();
    json_object_object_add(export, "policy",
                           config_policies_to_json(c->config->policies));
    json_object_object_add(top, "export", export);
    json_object_object_add(o, MODEL_ROOT, top);
    int err = model_validate(m, o, NULL, &full, e);
    json_object_put(o);
    if (!err) {
        json_object_object_add(at(root, "export"), "policy", json_object_get(
                                   at(full, MODEL_ROOT "/export/policy")));
    }
    json_object_put(full);
    return err;
}

static int
candidate_make(struct model *m, struct json_object *json,
               const struct config_override *override, struct candidate *c,
               struct config_error *e)
{
    memset(c, 0, sizeof *c);
    int err = model_validate(m, json, &c->tree, &c->full, e);
    if (!err) {
        err = config_make(c->full, override, &c->config, e);
    }
    if (!err) {
        c->config->api->http_is_default =
            !at(c->tree, MODEL_ROOT "/api/http/listen");
        err = show_default_policy(m, c, e);
    }
    if (err) {
        candidate_clear(c);
        return err;
    }
    show_overrides(c, override);
    return 0;
}

/* The store. */

struct config_store *
config_load(const char *path, bool required,
            const struct config_override *override, struct config_error *e)
{
    struct config_store *s = calloc(1, sizeof *s);
    struct model *m = model_create();
    struct json_object *json = NULL;
    struct candidate c;
    int err = -ENOMEM;

    if (!s || !m) {
        refuse(e, err, "/", "out of memory, or the model does not load");
        goto out;
    }
    if (override) {
        s->override = *override;
    }
    if (path && !(s->path = strdup(path))) {
        refuse(e, err, "/", "out of memory");
        goto out;
    }
    s->required = required;
    if (path) {
        err = config_read_file(path, required, &json, &s->stamp, e);
    } else {
        json = json_object_new_object();
        err = json ? 0 : -ENOMEM;
    }
    if (!err) {
        err = candidate_make(m, json, &s->override, &c, e);
    }
    if (!err) {
        s->tree = c.tree;
        s->full = c.full;
        s->config = c.config;
    }

out:
    json_object_put(json);
    model_destroy(m);
    if (err) {
        config_store_destroy(s);
        return NULL;
    }
    return s;
}

void
config_store_destroy(struct config_store *s)
{
    if (s) {
        free(s->path);
        free(s->reload_error);
        json_object_put(s->changes);
        json_object_put(s->tree);
        json_object_put(s->full);
        config_free(s->config);
        free(s);
    }
}

const struct config *
config_current(const struct config_store *s)
{
    return s->config;
}

const char *
config_path(const struct config_store *s)
{
    return s->path;
}

struct json_object *
config_to_json(const struct config_store *s, bool with_defaults)
{
    struct json_object *copy = NULL;

    json_object_deep_copy(with_defaults ? s->full : s->tree, &copy, NULL);
    return copy;
}

int
config_validate(const struct config_store *s, struct json_object *json,
                struct config_error *e)
{
    struct model *m = model_create();
    struct candidate c;

    if (!m) {
        return refuse(e, -ENOMEM, "/", "out of memory");
    }
    int err = candidate_make(m, json, &s->override, &c, e);
    if (!err) {
        candidate_clear(&c);
    }
    model_destroy(m);
    return err;
}

void
config_set_apply(struct config_store *s, config_apply_fn *apply, void *aux)
{
    s->apply = apply;
    s->apply_aux = aux;
}

void
config_set_guard(struct config_store *s, void (*guard)(void *, bool),
                 void *aux)
{
    s->guard = guard;
    s->guard_aux = aux;
}

static void
guard(struct config_store *s, bool on)
{
    if (s->guard) {
        s->guard(s->guard_aux, on);
    }
}

void
config_set_author(struct config_store *s, const char *who)
{
    snprintf(s->author, sizeof s->author, "%s", who);
}

#define MAX_TOLD_PATHS 20

/* Where, but not what: passwords are among it, and anybody reads events. */
static void
tell_change(const struct config_store *s, const char *how)
{
    size_t n = s->changes ? json_object_array_length(s->changes) : 0;
    struct json_object *paths = json_object_new_array();
    char more[40] = "";

    for (size_t i = 0; i < n && i < MAX_TOLD_PATHS; i++) {
        json_object_array_add(paths, json_object_get(at(
            json_object_array_get_idx(s->changes, i), "path")));
    }
    if (n > 1) {
        snprintf(more, sizeof more, " and %zu more", n - 1);
    }
    if (n) {
        const char *first = json_object_get_string(
            json_object_array_get_idx(paths, 0));
        event_post(EVENT_config_changed, first,
                   EVENT_DETAIL(EVENT_TEXT("how", how),
                                EVENT_TEXT("who", *s->author ? s->author
                                                             : NULL),
                                EVENT_JSON("paths",
                                           json_object_to_json_string_ext(
                                               paths,
                                               JSON_C_TO_STRING_PLAIN))),
                   "the configuration has changed: %s%s", first, more);
    }
    json_object_put(paths);
}

static void
keep_revision(struct config_store *s, const char *how)
{
    tell_change(s, how);
    if (s->history && json_object_array_length(s->changes)) {
        history_add(s->history, *s->author ? s->author : NULL, how, s->tree,
                    s->changes);
    }
    s->author[0] = '\0';
}

/* A file that was edited while nobody ran is a change, too. */
void
config_set_history(struct config_store *s, struct history *history)
{
    uint32_t newest = history_newest(history);
    struct json_object *last = newest ? history_get(history, newest) : NULL;
    struct json_object *before = at(last, "config");

    s->history = history;
    if (!before || !json_object_equal(before, s->tree)) {
        struct json_object *changes = history_diff(before, s->tree);
        history_add(history, NULL, "start", s->tree, changes);
        json_object_put(changes);
    }
    json_object_put(last);
}

const struct history *
config_history(const struct config_store *s)
{
    return s->history;
}

struct json_object *
config_last_changes(const struct config_store *s)
{
    return s->changes;
}

/* What somebody wrote by hand must not be lost. */
static int
check_file(struct config_store *s, struct config_error *e)
{
    struct config_stamp now;

    guard(s, true);
    bool changed = s->path && (config_stamp_read(s->path, &now)
                               || s->stamp.exists)
                   && !config_stamp_equal(&now, &s->stamp);
    guard(s, false);
    return changed ? refuse(e, -ESTALE, s->path, "the file was changed since "
                            "it was read; reload it first (SIGHUP)") : 0;
}

/* Applies 'c' and, with 'persist', writes it; then it is in effect.  On
 * failure everything is as it was, and 'c' is cleared.  'how' it came is for
 * the history. */
static int
commit(struct config_store *s, struct candidate *c, bool persist,
       const char *how, struct config_error *e)
{
    int err = s->apply ? s->apply(s->apply_aux, s->config, c->config, e) : 0;

    if (!err && persist && s->path) {
        err = check_file(s, e);         /* Applying may have taken a while. */
        guard(s, true);
        err = err ? err : config_write_file(s->path, c->tree, &s->stamp, e);
        guard(s, false);
        if (err && s->apply) {
            struct config_error again;
            if (s->apply(s->apply_aux, c->config, s->config, &again)) {
                LOG(config, ERR, "cannot return to the old configuration: "
                    "%s: %s", again.path, again.message);
            }
        }
    }
    if (err) {
        candidate_clear(c);
        return err;
    }
    struct candidate old = { s->tree, s->full, s->config };
    s->tree = c->tree;
    s->full = c->full;
    s->config = c->config;
    json_object_put(s->changes);
    s->changes = history_diff(old.tree, s->tree);
    keep_revision(s, how);
    candidate_clear(&old);
    return 0;
}

static int
edit(struct config_store *s, struct json_object *json, bool merge,
     const char *how, struct config_error *e)
{
    struct json_object *new = NULL;
    struct candidate c;
    int err = check_file(s, e);

    if (err) {
        return err;
    }
    struct model *m = model_create();
    if (!m) {
        return refuse(e, -ENOMEM, "/", "out of memory");
    }
    if (merge) {
        new = model_merge(m, s->tree, json, e);
        err = new ? 0 : -EINVAL;
    } else {
        new = json_object_get(json);
    }
    if (!err) {
        err = candidate_make(m, new, &s->override, &c, e);
    }
    json_object_put(new);
    model_destroy(m);
    return err ? err : commit(s, &c, true, how, e);
}

int
config_edit(struct config_store *s, struct json_object *json, bool merge,
            struct config_error *e)
{
    int err = edit(s, json, merge, "edit", e);

    if (!err) {
        LOG(config, NOTICE, "%s: changed through the API",
            s->path ? s->path : "configuration");
    }
    s->author[0] = '\0';
    return err;
}

int
config_rollback(struct config_store *s, uint32_t revision,
                struct config_error *e)
{
    struct json_object *o = s->history ? history_get(s->history, revision)
                                       : NULL;
    struct json_object *tree = at(o, "config");
    char how[40];

    if (!tree) {
        json_object_put(o);
        return refuse(e, -ENOENT, "/", "there is no revision %" PRIu32,
                      revision);
    }
    snprintf(how, sizeof how, "rollback to %" PRIu32, revision);
    int err = edit(s, tree, false, how, e);
    json_object_put(o);
    if (!err) {
        LOG(config, NOTICE, "%s: %s", s->path ? s->path : "configuration",
            how);
    }
    s->author[0] = '\0';
    return err;
}

static int
reload(struct config_store *s, struct config_error *e)
{
    struct json_object *json = NULL;
    struct candidate c;
    struct config_stamp stamp;

    if (!s->path) {
        return 0;
    }
    struct model *m = model_create();
    if (!m) {
        return refuse(e, -ENOMEM, "/", "out of memory");
    }
    guard(s, true);
    /* A file that was there and is gone is no wish for defaults. */
    int err = config_read_file(s->path, s->required || s->stamp.exists, &json,
                               &stamp, e);
    guard(s, false);
    if (!err) {
        err = candidate_make(m, json, &s->override, &c, e);
    }
    json_object_put(json);
    model_destroy(m);
    if (!err) {
        err = commit(s, &c, false, "file", e);
    }
    if (!err) {
        s->stamp = stamp;
    }
    return err;
}

int
config_reload(struct config_store *s, struct config_error *e)
{
    int err = reload(s, e);
    free(s->reload_error);
    s->reload_error = NULL;
    if (err && asprintf(&s->reload_error, "%s: %s", e->path,
                        e->message) < 0) {
        s->reload_error = NULL;
    }
    return err;
}

const char *
config_reload_error(const struct config_store *s)
{
    return s->reload_error;
}
