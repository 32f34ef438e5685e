#include <config.h>

#include "api/methods.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/context.h"
#include "api/json.h"
#include "api/route_json.h"
#include "bgp/rib.h"
#include "bgp/route_import.h"

/* route.import, route.imports, route.forget. */

struct import_call {
    struct rpc_call *call;
    struct route_imports *imports;
    struct json_object *before;         /* The import of that name, or NULL. */
    char name[ROUTE_IMPORT_NAME];
};

/* ---- route.import ---- */

static struct json_object *
report(const struct import_call *ic, const struct route_import_result *r)
{
    struct json_object *o = json_object_new_object();
    reply_string(o, "name", ic->name);
    reply_bool(o, "replaced", r->replaced);
    reply_uint(o, "peers", r->n_peers);
    reply_uint(o, "announced", r->announced);
    reply_uint(o, "withdrawn", r->withdrawn);
    reply_uint(o, "refused_peers", r->refused_peers);
    reply_string(o, "damage", *r->error ? r->error : NULL);
    json_object_object_add(o, "counters",
                           reply_counters(&r->n, mrt_counter_defs));
    reply_uint(o, "elapsed_ms", (uint64_t) r->elapsed_ms);
    return o;
}

static void
on_done(void *call, const struct route_import_result *r)
{
    static const int codes[] = {
        [ROUTE_IMPORT_BAD_FILE] = RPC_INVALID_PARAMS,
        [ROUTE_IMPORT_DAMAGED] = RPC_FAILED,
        [ROUTE_IMPORT_CANCELLED] = RPC_CANCELLED,
        [ROUTE_IMPORT_FAILED] = RPC_FAILED,
    };
    struct import_call *ic = call;
    if (r->status == ROUTE_IMPORT_OK) {
        struct json_object *o = report(ic, r);
        rpc_audit(ic->call, json_object_get(ic->before), json_object_get(o));
        rpc_reply(ic->call, o);
    } else {
        rpc_fail(ic->call, codes[r->status], "file", "the file of \"%s\" %s%s",
                 ic->name, r->error, r->status == ROUTE_IMPORT_DAMAGED
                 ? " (\"damaged\": true takes what can be read)" : "");
    }
    json_object_put(ic->before);
    free(ic);
}

static void
on_progress(void *call, double part, uint64_t records)
{
    struct import_call *ic = call;
    struct json_object *o = json_object_new_object();
    reply_uint(o, "records", records);
    rpc_progress(ic->call, part, o);
}

static void
on_gone(void *call)
{
    struct import_call *ic = call;
    route_import_cancel(ic->imports);
}

static bool
read_name(struct rpc_call *call, struct json_object *params, char *name)
{
    struct json_object *v = json_member(params, "name");
    const char *text = v ? json_object_get_string(v) : "";
    size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUV"
                      "WXYZ0123456789._-");
    if (!n || text[n] || n >= ROUTE_IMPORT_NAME) {
        rpc_fail(call, RPC_INVALID_PARAMS, "name", "\"%.60s\" is not a name "
                 "of 1 to %d letters, digits, \".\", \"_\" and \"-\"", text,
                 ROUTE_IMPORT_NAME - 1);
        return false;
    }
    snprintf(name, ROUTE_IMPORT_NAME, "%s", text);
    return true;
}

static bool
flag(struct json_object *params, const char *name)
{
    struct json_object *v = json_member(params, name);
    return v && json_object_get_boolean(v);
}

static struct route_imports *
the_imports(struct rpc_call *call)
{
    struct route_imports *all = rpc_context(call)->route_imports;
    if (!all) {
        rpc_fail(call, RPC_UNAVAILABLE, NULL, "there are no routes: the RIB "
                 "does not run");
    }
    return all;
}

static struct json_object *find_import(struct rpc_call *,
                                       const struct route_imports *,
                                       const char *name);

static void
route_import(struct rpc_call *call, struct json_object *params)
{
    int fd = rpc_take_fd(call);
    char name[ROUTE_IMPORT_NAME];
    struct route_imports *all = the_imports(call);
    if (!all || !read_name(call, params, name)) {
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    if (fd < 0) {
        rpc_fail(call, RPC_INVALID_PARAMS, "file", "no file came along with "
                 "the request: venturictl route import sends it, over a unix "
                 "socket");
        return;
    }
    struct import_call *ic = calloc(1, sizeof *ic);
    if (!ic) {
        close(fd);
        rpc_fail(call, RPC_INTERNAL_ERROR, NULL, "out of memory");
        return;
    }
    ic->call = call;
    ic->imports = all;
    ic->before = find_import(call, all, name);
    memcpy(ic->name, name, sizeof name);
    struct route_import_config c = {
        .fd = fd, .name = ic->name, .damaged = flag(params, "damaged"),
        .aux = ic, .done = on_done,
        .progress = flag(params, "progress") ? on_progress : NULL,
    };
    int error = route_import_start(all, &c);
    if (error) {
        json_object_put(ic->before);
        free(ic);
        rpc_fail(call, error == -EBUSY ? RPC_BUSY : RPC_INTERNAL_ERROR, NULL,
                 error == -EBUSY ? "another import of routes is running"
                                 : "cannot start the import");
        return;
    }
    rpc_on_cancel(call, on_gone, ic);
}

/* ---- route.imports, route.forget ---- */

struct listing {
    const struct rib *rib;
    struct json_object *list;
};

static void
add_import(void *listing, const struct route_import_info *i)
{
    struct listing *l = listing;
    struct json_object *o = json_object_new_object();
    struct json_object *peers = json_object_new_array();
    uint64_t total = 0;
    for (size_t k = 0; k < i->n_peers; k++) {
        const struct rib_peer *p = rib_peer(l->rib, i->peers[k]);
        uint64_t n = 0;
        for (enum bgp_family f = 0; p && f < BGP_N_FAMILIES; f++) {
            n += p->routes[f];
        }
        total += n;
        if (p) {
            struct json_object *one = json_object_new_object();
            reply_string(one, "peer", p->name);
            reply_address(one, "address", &p->info.address);
            reply_uint(one, "as", p->info.as);
            reply_uint(one, "routes", n);
            json_object_array_add(peers, one);
        }
    }
    reply_string(o, "name", i->name);
    reply_time(o, "imported", i->time_us);
    reply_uint(o, "routes", total);
    json_object_object_add(o, "peers", peers);
    json_object_array_add(l->list, o);
}

/* For the audit log: the import of a name as route.imports tells it, or NULL;
 * the caller's. */
static struct json_object *
find_import(struct rpc_call *call, const struct route_imports *all,
            const char *name)
{
    struct listing l = { rpc_context(call)->rib, json_object_new_array() };
    struct json_object *found = NULL;

    route_imports_each(all, add_import, &l);
    for (size_t i = 0; i < json_object_array_length(l.list) && !found; i++) {
        struct json_object *o = json_object_array_get_idx(l.list, i);
        if (!strcmp(json_text(o, "name"), name)) {
            found = json_object_get(o);
        }
    }
    json_object_put(l.list);
    return found;
}

static void
route_imports(struct rpc_call *call, struct json_object *params)
{
    struct route_imports *all = the_imports(call);
    (void) params;
    if (all) {
        struct json_object *o = json_object_new_object();
        struct listing l = { rpc_context(call)->rib,
                             json_object_new_array() };
        route_imports_each(all, add_import, &l);
        json_object_object_add(o, "imports", l.list);
        rpc_reply(call, o);
    }
}

static void
route_forget(struct rpc_call *call, struct json_object *params)
{
    struct route_imports *all = the_imports(call);
    char name[ROUTE_IMPORT_NAME];
    if (!all || !read_name(call, params, name)) {
        return;
    }
    struct json_object *before = find_import(call, all, name);
    int error = route_import_remove(all, name);
    if (error) {
        json_object_put(before);
        rpc_fail(call, error == -EBUSY ? RPC_BUSY : RPC_NOT_FOUND, "name",
                 error == -EBUSY ? "\"%s\" is being imported"
                 : "there is no import \"%s\"; route.imports lists them",
                 name);
        return;
    }
    struct json_object *o = json_object_new_object();
    rpc_audit(call, before, NULL);
    reply_string(o, "forgotten", name);
    rpc_reply(call, o);
}

/* ---- The table. ---- */

static const struct rpc_param import_params[] = {
    { "name", PARAM_STRING, true, "of the import; its peers are called \"NAME "
      "ADDRESS\".  One of the same name is replaced", NULL },
    { "damaged", PARAM_BOOLEAN, false, "take what can be read of a file that "
      "breaks off", NULL },
    { "progress", PARAM_BOOLEAN, false, "notify of progress", NULL },
    { NULL, PARAM_ANY, false, NULL, NULL }
};

static const struct rpc_param no_params[] = {
    { NULL, PARAM_ANY, false, NULL, NULL }
};

static const struct rpc_param forget_params[] = {
    { "name", PARAM_STRING, true, "of the import", NULL },
    { NULL, PARAM_ANY, false, NULL, NULL }
};

const struct rpc_method methods_route_import[] = {
    {
        .name = "route.import",
        .role = ROLE_OPERATOR,
        .summary = "Takes the routes of an MRT file (a table, or messages), "
                   "in the place of sessions with its peers.  The open file "
                   "comes along with the request (SCM_RIGHTS), so only over "
                   "a unix socket.  They are gone when venturid ends.",
        .params = import_params,
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"name\",\"replaced\","
            "\"peers\",\"announced\",\"counters\"],\"properties\":{"
            "\"name\":{\"type\":\"string\"},"
            "\"replaced\":{\"type\":\"boolean\"},"
            "\"peers\":{\"type\":\"integer\"},"
            "\"announced\":{\"type\":\"integer\"},"
            "\"withdrawn\":{\"type\":\"integer\"},"
            "\"refused_peers\":{\"type\":\"integer\"},"
            "\"damage\":{\"type\":[\"string\",\"null\"]},"
            "\"counters\":{\"type\":\"object\"},"
            "\"elapsed_ms\":{\"type\":\"integer\"}}}",
        .example_params = "{\"name\":\"rrc00\"}",
        .example_result =
            "{\"name\":\"rrc00\",\"replaced\":false,\"peers\":1,"
            "\"announced\":2,\"withdrawn\":0,\"refused_peers\":0,"
            "\"damage\":null,\"counters\":{\"records\":3,"
            "\"table_routes\":2,\"messages\":0,\"states\":0,"
            "\"other_records\":0,\"bad_records\":0,\"bad_routes\":0,"
            "\"no_peer\":0,\"skipped_families\":0},\"elapsed_ms\":2}",
        .call = route_import,
    }, {
        .name = "route.imports",
        .role = ROLE_VIEWER,
        .summary = "MRT files that were imported, and their peers.",
        .params = no_params,
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"imports\"],\"properties\":{"
            "\"imports\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
            "\"required\":[\"name\",\"routes\",\"peers\"],\"properties\":{"
            "\"name\":{\"type\":\"string\"},"
            "\"imported\":{\"type\":[\"string\",\"null\"]},"
            "\"routes\":{\"type\":\"integer\"},"
            "\"peers\":{\"type\":\"array\",\"items\":{\"type\":\"object\"}"
            "}}}}}}",
        .example_params = "{}",
        .example_result =
            "{\"imports\":[{\"name\":\"rrc00\","
            "\"imported\":\"2026-11-23T05:12:31Z\",\"routes\":2,"
            "\"peers\":[{\"peer\":\"rrc00 192.0.2.1\","
            "\"address\":\"192.0.2.1\",\"as\":64500,\"routes\":2}]}]}",
        .call = route_imports,
    }, {
        .name = "route.forget",
        .role = ROLE_OPERATOR,
        .summary = "Removes an import of routes.",
        .params = forget_params,
        .result_schema =
            "{\"type\":\"object\",\"required\":[\"forgotten\"],"
            "\"properties\":{\"forgotten\":{\"type\":\"string\"}}}",
        .example_params = "{\"name\":\"rrc00\"}",
        .example_result = "{\"forgotten\":\"rrc00\"}",
        .call = route_forget,
    },
    { .name = NULL }
};
