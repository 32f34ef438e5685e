#include <config.h>

#include "api/methods.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/context.h"
#include "api/export.h"
#include "collector/query/export.h"
#include "collector/query/query.h"
#include "collector/store/store.h"
#include "lib/clock.h"
#include "lib/log.h"

#define HOUR_US INT64_C(3600000000)
#define MAX_TOLD 1000           /* Files in an answer. */

struct export_call;

struct exports {
    struct store *store;
    char *dir;
    struct export_call *running;        /* flow.export's. */
    struct data_export *scheduled;      /* Or the schedule's. */
    _Atomic bool scheduled_done;
    int64_t scheduled_to;
};

/* One call: main thread, the export's, main thread. */
struct export_call {
    struct exports *exports;
    struct rpc_call *call;
    struct api *api;
    struct data_export *export;
    const struct data_export_result *r; /* The export's. */
    bool to_file;

    pthread_mutex_t mutex;      /* Of what follows. */
    bool posted;                /* Progress is under way. */
    double part;
    uint64_t rows;
};

/* ---- flow.export ---- */

static struct json_object *
report(const struct export_call *x)
{
    const struct data_export_result *r = x->r;
    struct json_object *o = json_object_new_object();
    struct json_object *list = json_object_new_array();

    /* As people know it; the user may reach it by another way. */
    char dir[4200];
    snprintf(dir, sizeof dir, "%s/export", rpc_context(x->call)->state_dir);
    reply_string(o, "directory", x->to_file ? NULL : dir);
    for (size_t i = 0; i < r->n_files && i < MAX_TOLD; i++) {
        struct json_object *f = json_object_new_object();
        reply_string(f, "path", r->files[i].path);
        reply_uint(f, "rows", r->files[i].rows);
        reply_uint(f, "bytes", r->files[i].bytes);
        json_object_array_add(list, f);
    }
    json_object_object_add(o, "files", list);
    reply_uint(o, "n_files", r->n_files);
    reply_uint(o, "rows", r->rows);
    reply_uint(o, "bytes", r->bytes);
    json_object_object_add(o, "elapsed_ms",
                           json_object_new_double(r->elapsed_ms));
    return o;
}

static void
deliver(void *x_)
{
    struct export_call *x = x_;

    if (x->r->status == DATA_OK) {
        struct json_object *o = report(x);
        rpc_audit(x->call, NULL, json_object_get(o));
        rpc_reply(x->call, o);
    } else {
        rpc_fail(x->call, x->r->status == DATA_CANCELLED ? RPC_CANCELLED
                                                         : RPC_FAILED,
                 NULL, "%s", x->r->error);
    }
    data_export_finish(x->export);
    if (x->exports->running == x) {
        x->exports->running = NULL;
    }
    pthread_mutex_destroy(&x->mutex);
    free(x);
}

static void
on_done(void *x_, const struct data_export_result *r)
{
    struct export_call *x = x_;

    x->r = r;
    api_post(x->api, deliver, x);
}

static void
deliver_progress(void *x_)
{
    struct export_call *x = x_;
    struct json_object *o = json_object_new_object();

    pthread_mutex_lock(&x->mutex);
    x->posted = false;
    double part = x->part;
    reply_uint(o, "flows", x->rows);
    pthread_mutex_unlock(&x->mutex);
    rpc_progress(x->call, part, o);
}

static void
on_progress(void *x_, double part, uint64_t rows)
{
    struct export_call *x = x_;

    pthread_mutex_lock(&x->mutex);
    bool post = !x->posted;
    x->posted = true;
    x->part = part;
    x->rows = rows;
    pthread_mutex_unlock(&x->mutex);
    if (post) {
        api_post(x->api, deliver_progress, x);
    }
}

static void
on_gone(void *x_)
{
    struct export_call *x = x_;

    data_export_cancel(x->export);
}

static const char *
text_of(struct json_object *params, const char *name, const char *usual)
{
    struct json_object *v = NULL;

    return json_object_object_get_ex(params, name, &v)
           ? json_object_get_string(v) : usual;
}

static void
start(struct rpc_call *call, struct exports *e, struct json_object *params,
      struct query *q, int fd)
{
    struct export_call *x = calloc(1, sizeof *x);
    struct data_export_config config = {
        .store = e->store,
        .from_us = q->from_us, .to_us = q->to_us,
        .filter = q->filter,
        .canonical = !strcmp(text_of(params, "observations", "all"),
                             "canonical"),
        .format = (enum data_format) data_format_find(
            text_of(params, "format", "parquet")),
        .partition = strcmp(text_of(params, "partition", "hour"), "day")
                     ? DATA_BY_HOUR : DATA_BY_DAY,
        .fd = fd,
        .dir = e->dir,
    };
    struct json_object *wanted = NULL;

    if (x) {
        q->filter = NULL;       /* The export's. */
        x->exports = e;
        x->call = call;
        x->api = rpc_api(call);
        x->to_file = fd >= 0;
        pthread_mutex_init(&x->mutex, NULL);
        json_object_object_get_ex(params, "progress", &wanted);
        x->export = data_export_start(&config, json_object_get_boolean(wanted)
                                               ? on_progress : NULL,
                                      on_done, x);
    } else if (fd >= 0) {
        close(fd);
    }
    if (!x || !x->export) {
        free(x);
        rpc_fail(call, RPC_INTERNAL_ERROR, NULL, "cannot start the export");
        return;
    }
    e->running = x;
    rpc_on_cancel(call, on_gone, x);
}

static void
flow_export(struct rpc_call *call, struct json_object *params)
{
    struct exports *e = rpc_context(call)->exports;
    int fd = rpc_take_fd(call);
    struct query q;
    struct stat st;

    if (!e || !e->store) {
        rpc_fail(call, RPC_UNAVAILABLE, NULL, "there is no store to export "
                 "from");
    } else if (fd >= 0 && (fstat(fd, &st) || !S_ISREG(st.st_mode))) {
        rpc_fail(call, RPC_INVALID_PARAMS, "file", "a regular file is "
                 "expected");
    } else if (e->running || e->scheduled) {
        rpc_fail(call, RPC_BUSY, NULL, "an export is running%s",
                 e->running ? "" : ", the schedule's");
    } else if (flow_read_scope(call, params, &q)) {
        start(call, e, params, &q, fd);
        query_clear(&q);
        return;
    }
    if (fd >= 0) {
        close(fd);
    }
}

/* ---- The schedule. ---- */

/* Until when hours have been exported is kept in DIR/.exported. */
static int64_t
read_mark(const struct exports *e)
{
    char path[4200];
    long long us = 0;

    snprintf(path, sizeof path, "%s/.exported", e->dir);
    FILE *f = fopen(path, "re");
    if (f) {
        us = fscanf(f, "%lld", &us) == 1 ? us : 0;
        fclose(f);
    }
    return us;
}

static void
write_mark(const struct exports *e, int64_t us)
{
    char path[4200], fresh[4210];

    snprintf(path, sizeof path, "%s/.exported", e->dir);
    snprintf(fresh, sizeof fresh, "%s.new", path);
    FILE *f = fopen(fresh, "we");
    bool ok = f && fprintf(f, "%" PRId64 "\n", us) > 0;
    ok = f && !fclose(f) && ok;
    if (!ok || rename(fresh, path)) {
        LOG_RATE(store, WARN, "%s: %s", path, strerror(errno));
    }
}

static void
on_scheduled(void *e_, const struct data_export_result *r)
{
    struct exports *e = e_;

    if (r->status == DATA_FAILED) {
        LOG_RATE(store, ERR, "export: %s", r->error);
    } else if (r->status == DATA_OK) {
        LOG(store, INFO, "export: %" PRIu64 " flows in %zu files, %.0f ms",
            r->rows, r->n_files, r->elapsed_ms);
    }
    if (r->status == DATA_OK) {
        write_mark(e, e->scheduled_to);
    }
    atomic_store(&e->scheduled_done, true);
}

/* What is over is taken note of. */
static void
end_scheduled(struct exports *e)
{
    data_export_finish(e->scheduled);
    e->scheduled = NULL;
}

void
exports_tick(struct exports *e, const struct exports_schedule *s,
             int64_t now_us)
{
    if (!e || !e->store) {
        return;
    }
    if (e->scheduled && atomic_load(&e->scheduled_done)) {
        end_scheduled(e);
    }
    if (!s->on || e->scheduled || e->running) {
        return;
    }
    int64_t to = now_us - s->delay_us;
    to -= to % HOUR_US;
    int64_t from = read_mark(e);
    if (!from) {                /* From now on. */
        from = to - HOUR_US;
    }
    if (from >= to) {
        return;
    }
    struct data_export_config config = {
        .store = e->store, .from_us = from, .to_us = to,
        .format = (enum data_format) s->format, .fd = -1, .dir = e->dir,
    };
    atomic_store(&e->scheduled_done, false);
    e->scheduled_to = to;
    e->scheduled = data_export_start(&config, NULL, on_scheduled, e);
}

/* ---- Life. ---- */

struct exports *
exports_create(struct store *store, const char *dir)
{
    struct exports *e = calloc(1, sizeof *e);

    if (e && !(e->dir = strdup(dir))) {
        free(e);
        return NULL;
    }
    if (e) {
        e->store = store;
    }
    return e;
}

void
exports_stop(struct exports *e)
{
    if (!e) {
        return;
    }
    if (e->scheduled) {
        data_export_cancel(e->scheduled);
        end_scheduled(e);
    }
    if (e->running) {
        data_export_cancel(e->running->export);
        data_export_wait(e->running->export);
    }
    e->store = NULL;
}

void
exports_destroy(struct exports *e)
{
    if (e) {
        free(e->dir);
        free(e);
    }
}

static const struct rpc_param export_params[] = {
    { "from", PARAM_TIME, false, "flows that ended then or later; an hour ago "
      "if it is left out", NULL },
    { "to", PARAM_TIME, false, "and before then; now", NULL },
    { "filter", PARAM_STRING, false, "only these flows", NULL },
    { "observations", PARAM_STRING, false, "all (the default), or one "
      "observation of each packet: canonical",
      "{\"enum\":[\"all\",\"canonical\"]}" },
    { "format", PARAM_STRING, false, "parquet is the default",
      "{\"enum\":[\"parquet\",\"csv\",\"ndjson\"]}" },
    { "partition", PARAM_STRING, false, "a file for each hour (the default), "
      "or day", "{\"enum\":[\"hour\",\"day\"]}" },
    { "progress", PARAM_BOOLEAN, false, "notify of progress", NULL },
    { NULL, PARAM_ANY, false, NULL, NULL }
};

const struct rpc_method methods_data[] = {
    {
        .name = "flow.export",
        .role = ROLE_OPERATOR,
        .summary = "Writes stored flows into files for other programs: of each "
                   "hour day=.../hour=.../flows.parquet in the directory "
                   "export of the state directory; or all into the one open "
                   "file that comes along with the request (SCM_RIGHTS).",
        .params = export_params,
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"files\",\"rows\","
            "\"bytes\"],\"properties\":{"
            "\"directory\":{\"type\":[\"string\",\"null\"]},"
            "\"files\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
            "\"properties\":{\"path\":{\"type\":\"string\"},"
            "\"rows\":{\"type\":\"integer\"},"
            "\"bytes\":{\"type\":\"integer\"}}}},"
            "\"n_files\":{\"type\":\"integer\"},"
            "\"rows\":{\"type\":\"integer\"},"
            "\"bytes\":{\"type\":\"integer\"},"
            "\"elapsed_ms\":{\"type\":\"number\"}}}",
        .example_params = "{\"from\":\"-2h\",\"format\":\"parquet\","
            "\"filter\":\"proto tcp\"}",
        .example_result =
            "{\"directory\":\"/var/lib/venturi/export\",\"files\":[{\"path\":"
            "\"day=2026-11-23/hour=07/flows.parquet\",\"rows\":5120,"
            "\"bytes\":163840}],\"n_files\":1,\"rows\":5120,"
            "\"bytes\":163840,\"elapsed_ms\":81.5}",
        .call = flow_export,
    },
    { .name = NULL }
};
