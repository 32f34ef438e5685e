#include <config.h>

#include "api/methods.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/config.h"
#include "api/context.h"
#include "api/import.h"
#include "collector/import/import.h"
#include "lib/clock.h"

struct import_call;

struct imports {
    struct store *store;
    struct dict *dict;
    char *journal;
    struct import_call *running;        /* Main thread. */
};

/* One call: main thread, the import's, main thread. */
struct import_call {
    struct imports *imports;
    struct rpc_call *call;
    struct api *api;
    struct import *import;
    char *name;
    bool check;
    struct import_result r;     /* When it is over. */

    pthread_mutex_t mutex;      /* Of what follows. */
    bool posted;                /* Progress is under way. */
    bool storing;
    double part;
    uint64_t rows;
};

/* ---- The report. ---- */

static const char *const status_words[] = {
    [IMPORT_OK] = "stored", [IMPORT_BAD_FILE] = "bad-file",
    [IMPORT_DAMAGED] = "damaged", [IMPORT_KNOWN] = "known",
    [IMPORT_EXPIRED] = "expired", [IMPORT_CANCELLED] = "cancelled",
    [IMPORT_FAILED] = "failed",
};

static struct json_object *
file_totals(const struct nfcapd_info *info)
{
    if (!info->has_totals) {
        return NULL;
    }
    struct json_object *o = json_object_new_object();
    reply_uint(o, "flows", info->flows);
    reply_uint(o, "packets", info->packets);
    reply_uint(o, "bytes", info->bytes);
    return o;
}

static struct json_object *
not_kept(const struct import_result *r)
{
    struct json_object *list = json_object_new_array();
    for (unsigned i = 0; i < r->n_unkept; i++) {
        struct json_object *o = json_object_new_object();
        reply_uint(o, "extension", r->unkept[i].number);
        reply_string(o, "name", r->unkept[i].name);
        reply_uint(o, "records", r->unkept[i].n);
        json_object_array_add(list, o);
    }
    return list;
}

static struct json_object *
report(const struct import_call *ic)
{
    const struct import_result *r = &ic->r;
    struct json_object *o = json_object_new_object();
    struct json_object *damage = json_object_new_array();
    bool any = counter_get(&r->n.rows) != 0;

    reply_string(o, "name", ic->name);
    reply_string(o, "status", r->status == IMPORT_OK && ic->check
                              ? "checked" : status_words[r->status]);
    reply_string(o, "nfdump", r->info.version);
    reply_string(o, "compression", r->info.compression);
    reply_bool(o, "closed", r->info.closed);
    reply_time(o, "first", any ? r->info.first_us : 0);
    reply_time(o, "last", any ? r->info.last_us : 0);
    json_object_object_add(o, "file_totals", file_totals(&r->info));
    json_object_object_add(o, "counters",
                           reply_counters(&r->n, nfcapd_counter_defs));
    for (unsigned i = 0; i < r->n_damage; i++) {
        json_object_array_add(damage, json_object_new_string(r->damage[i]));
    }
    json_object_object_add(o, "damage", damage);
    json_object_object_add(o, "not_kept", not_kept(r));
    reply_time(o, "imported_before", r->known_us);
    reply_uint(o, "expired", r->expired);
    reply_uint(o, "resumed", r->resumed);
    reply_uint(o, "stored", r->stored);
    reply_uint(o, "lost", r->lost);
    json_object_object_add(o, "elapsed_ms",
                           json_object_new_double(r->elapsed_ms));
    return o;
}

static void
refuse(struct import_call *ic)
{
    static const struct {
        int code;
        const char *allow;      /* Parameter by which it goes all the same. */
    } refusals[] = {
        [IMPORT_BAD_FILE] = { RPC_INVALID_PARAMS, NULL },
        [IMPORT_DAMAGED] = { RPC_FAILED, "damaged" },
        [IMPORT_KNOWN] = { RPC_CONFLICT, "again" },
        [IMPORT_EXPIRED] = { RPC_CONFLICT, "expired" },
        [IMPORT_CANCELLED] = { RPC_CANCELLED, NULL },
        [IMPORT_FAILED] = { RPC_FAILED, NULL },
    };
    enum import_status status = ic->r.status;
    struct json_object *data = json_object_new_object();
    char message[sizeof ic->r.error + 256];

    snprintf(message, sizeof message, "%.200s: %s", ic->name, ic->r.error);
    reply_string(data, "reason", ic->r.error);
    reply_string(data, "status", status_words[status]);
    if (refusals[status].allow) {
        reply_string(data, "allow", refusals[status].allow);
    }
    if (status != IMPORT_BAD_FILE) {
        json_object_object_add(data, "report", report(ic));
    }
    rpc_fail_data(ic->call, refusals[status].code, message, data);
}

/* ---- Between the threads. ---- */

static void
free_call(struct import_call *ic)
{
    if (ic) {
        pthread_mutex_destroy(&ic->mutex);
        free(ic->name);
        free(ic);
    }
}

/* The end, on the main thread. */
static void
deliver(void *ic_)
{
    struct import_call *ic = ic_;

    import_finish(ic->import);
    ic->imports->running = NULL;
    if (ic->r.status == IMPORT_OK) {
        struct json_object *o = report(ic);
        rpc_audit(ic->call, NULL, json_object_get(o));
        rpc_reply(ic->call, o);
    } else {
        refuse(ic);
    }
    free_call(ic);
}

static void
on_done(void *ic_, const struct import_result *r)
{
    struct import_call *ic = ic_;

    ic->r = *r;
    api_post(ic->api, deliver, ic);
}

static void
deliver_progress(void *ic_)
{
    struct import_call *ic = ic_;
    struct json_object *o = json_object_new_object();

    pthread_mutex_lock(&ic->mutex);
    ic->posted = false;
    double part = ic->part;
    reply_string(o, "stage", ic->storing ? "store" : "check");
    reply_uint(o, "flows", ic->rows);
    pthread_mutex_unlock(&ic->mutex);
    rpc_progress(ic->call, part, o);
}

static void
on_progress(void *ic_, bool storing, double part, uint64_t rows)
{
    struct import_call *ic = ic_;

    pthread_mutex_lock(&ic->mutex);
    bool post = !ic->posted;
    ic->posted = true;
    ic->storing = storing;
    ic->part = part;
    ic->rows = rows;
    pthread_mutex_unlock(&ic->mutex);
    if (post) {
        api_post(ic->api, deliver_progress, ic);
    }
}

static void
on_gone(void *ic_)
{
    struct import_call *ic = ic_;

    if (ic->import) {
        import_cancel(ic->import);
    }
}

/* ---- flow.import ---- */

static bool
flag(struct json_object *params, const char *name)
{
    struct json_object *v = NULL;

    return json_object_object_get_ex(params, name, &v)
           && json_object_get_boolean(v);
}

static void
start(struct rpc_call *call, struct imports *im, struct json_object *params,
      int fd)
{
    const struct api_context *c = rpc_context(call);
    struct json_object *name = NULL;
    struct import_call *ic = calloc(1, sizeof *ic);

    json_object_object_get_ex(params, "name", &name);
    if (ic && !(ic->name = strdup(name ? json_object_get_string(name)
                                       : "file"))) {
        free(ic);
        ic = NULL;
    }
    if (!ic) {
        close(fd);
        rpc_fail(call, RPC_INTERNAL_ERROR, NULL, "out of memory");
        return;
    }
    int64_t retention = c->config ? config_current(c->config)->retention_us
                                  : 0;
    struct import_config config = {
        .fd = fd,
        .name = ic->name,
        .journal = im->journal,
        .store = im->store,
        .dict = im->dict,
        .rollup = c->rollup,
        .keep_from_us = retention ? clock_wall_us() - retention : 0,
        .check = flag(params, "check"),
        .again = flag(params, "again"),
        .damaged = flag(params, "damaged"),
        .expired = flag(params, "expired"),
    };
    ic->imports = im;
    ic->call = call;
    ic->api = rpc_api(call);
    ic->check = config.check;
    pthread_mutex_init(&ic->mutex, NULL);
    im->running = ic;
    rpc_on_cancel(call, on_gone, ic);
    /* What the new thread posts is delivered after this function. */
    ic->import = import_start(&config, flag(params, "progress") ? on_progress
                                                                : NULL,
                              on_done, ic);
    if (!ic->import) {
        im->running = NULL;
        rpc_on_cancel(call, NULL, NULL);
        free_call(ic);
        rpc_fail(call, RPC_INTERNAL_ERROR, NULL, "cannot start the import");
    }
}

static void
flow_import(struct rpc_call *call, struct json_object *params)
{
    struct imports *im = rpc_context(call)->imports;
    int fd = rpc_take_fd(call);

    if (!im || !im->store) {
        if (fd >= 0) {
            close(fd);
        }
        rpc_fail(call, RPC_UNAVAILABLE, NULL, "there is no store to import "
                 "to");
    } else if (fd < 0) {
        rpc_fail(call, RPC_INVALID_PARAMS, "file", "no file came along with "
                 "the request: venturictl import sends it, over a unix "
                 "socket");
    } else if (im->running) {
        close(fd);
        rpc_fail(call, RPC_BUSY, NULL, "an import is running: %s",
                 im->running->name);
    } else {
        start(call, im, params, fd);
    }
}

/* ---- Life. ---- */

struct imports *
imports_create(struct store *store, struct dict *dict, const char *journal)
{
    struct imports *im = calloc(1, sizeof *im);

    if (im && !(im->journal = strdup(journal))) {
        free(im);
        return NULL;
    }
    if (im) {
        im->store = store;
        im->dict = dict;
    }
    return im;
}

void
imports_stop(struct imports *im)
{
    if (im && im->running) {
        import_cancel(im->running->import);
        import_finish(im->running->import);
        im->running->import = NULL;
    }
    if (im) {
        im->store = NULL;
    }
}

void
imports_destroy(struct imports *im)
{
    if (im) {
        free(im->journal);
        free(im);
    }
}

static const struct rpc_param import_params[] = {
    { "name", PARAM_STRING, false, "of the file, for messages and the "
      "journal", NULL },
    { "check", PARAM_BOOLEAN, false, "only look what is in it", NULL },
    { "again", PARAM_BOOLEAN, false, "also if the same flows were imported "
      "before", NULL },
    { "damaged", PARAM_BOOLEAN, false, "store what can be read of a damaged "
      "file", NULL },
    { "expired", PARAM_BOOLEAN, false, "also if it has flows that are older "
      "than what the store keeps", NULL },
    { "progress", PARAM_BOOLEAN, false, "notify of progress", NULL },
    { NULL, PARAM_ANY, false, NULL, NULL }
};

const struct rpc_method methods_import[] = {
    {
        .name = "flow.import",
        .role = ROLE_OPERATOR,
        .summary = "Stores the flows of a file that nfcapd has written, with "
                   "their own times.  The open file comes along with the "
                   "request (SCM_RIGHTS), so only over a unix socket.",
        .params = import_params,
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"status\",\"counters\","
            "\"damage\",\"not_kept\",\"stored\"],\"properties\":{"
            "\"name\":{\"type\":\"string\"},"
            "\"status\":{\"type\":\"string\"},"
            "\"nfdump\":{\"type\":\"string\"},"
            "\"compression\":{\"type\":\"string\"},"
            "\"closed\":{\"type\":\"boolean\"},"
            "\"first\":{\"type\":[\"string\",\"null\"]},"
            "\"last\":{\"type\":[\"string\",\"null\"]},"
            "\"file_totals\":{\"type\":[\"object\",\"null\"]},"
            "\"counters\":{\"type\":\"object\"},"
            "\"damage\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},"
            "\"not_kept\":{\"type\":\"array\",\"items\":{\"type\":\"object\"}"
            "},\"imported_before\":{\"type\":[\"string\",\"null\"]},"
            "\"expired\":{\"type\":\"integer\"},"
            "\"resumed\":{\"type\":\"integer\"},"
            "\"stored\":{\"type\":\"integer\"},"
            "\"lost\":{\"type\":\"integer\"},"
            "\"elapsed_ms\":{\"type\":\"number\"}}}",
        .example_params = "{\"name\":\"nfcapd.202611230700\"}",
        .example_result =
            "{\"name\":\"nfcapd.202611230700\",\"status\":\"stored\","
            "\"nfdump\":\"1.7.1\",\"compression\":\"lz4\",\"closed\":true,"
            "\"first\":\"2026-11-23T06:59:31.250Z\","
            "\"last\":\"2026-11-23T07:04:59.900Z\","
            "\"file_totals\":{\"flows\":2,\"packets\":8,\"bytes\":4096},"
            "\"counters\":{\"blocks\":1,\"records\":2,\"rows\":2,"
            "\"exporters\":1,\"samplers\":0,\"bytes\":4096,\"packets\":8},"
            "\"damage\":[],\"not_kept\":[],\"imported_before\":null,"
            "\"expired\":0,\"resumed\":0,\"stored\":2,\"lost\":0,"
            "\"elapsed_ms\":2.5}",
        .call = flow_import,
    },
    { .name = NULL }
};
