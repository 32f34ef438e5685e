/* The configuration: model, defaults, errors, edits, files. */
#include <config.h>

#include "api/config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>
#include <libyang/libyang.h>

#include "api/json.h"
#include "api/model.h"
#include "collector/template/element.h"
#include "lib/column.h"
#include "tests/unit/unit.h"

static char dir[] = "/tmp/venturi-test-config-XXXXXX";
static char path[64], previous[80];

static void
begin(void)
{
    strcpy(dir + sizeof dir - 7, "XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/venturi.json", dir);
    snprintf(previous, sizeof previous, "%s.1", path);
}

static void
end(void)
{
    unlink(path);
    unlink(previous);
    CU_ASSERT_EQUAL(rmdir(dir), 0);     /* Nothing else was left behind. */
}

static void
write_text(const char *text)
{
    FILE *f = fopen(path, "w");

    fputs(text, f);
    fclose(f);
}

static char *
read_text(const char *name)
{
    static char text[65536];
    FILE *f = fopen(name, "r");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;

    text[n] = '\0';
    if (f) {
        fclose(f);
    }
    return text;
}

static struct json_object *
parse(const char *text)
{
    struct json_object *o = NULL;

    CU_ASSERT_EQUAL(json_parse(text, strlen(text), &json_default_limits, 0,
                               &o, NULL), 0);
    return o;
}

static struct config_store *
load(const char *text, struct config_error *e)
{
    static const struct config_override override = { .run_dir = "/run/x" };

    if (text) {
        write_text(text);
    }
    memset(e, 0, sizeof *e);
    return config_load(path, false, &override, e);
}

#define V(TEXT) "{\"venturi:venturi\":" TEXT "}"

static void
test_defaults(void)
{
    struct config_error e;

    begin();
    struct config_store *s = load(NULL, &e);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    const struct config *c = config_current(s);
    CU_ASSERT_EQUAL(c->n_ovsdb_remotes, 1);
    CU_ASSERT_STRING_EQUAL(c->ovsdb_remotes[0],
                           "unix:/var/run/openvswitch/db.sock");
    CU_ASSERT(c->export_apply);
    CU_ASSERT_EQUAL(c->policies->n, 1);
    CU_ASSERT_STRING_EQUAL(c->netflow_listen[0], "127.0.0.1:2055");
    CU_ASSERT_STRING_EQUAL(c->ipfix_listen[0], "127.0.0.1:4739");
    CU_ASSERT_STRING_EQUAL(c->sflow_listen[0], "127.0.0.1:6343");
    CU_ASSERT_EQUAL(c->workers, 0);
    CU_ASSERT_EQUAL(c->receive_buffer, 16 << 20);
    CU_ASSERT_EQUAL(c->retention_us, INT64_C(15) * 86400 * 1000000);
    CU_ASSERT_EQUAL(c->retention_bytes, UINT64_C(50000000000));
    CU_ASSERT(c->rollups);
    CU_ASSERT_EQUAL(c->minutes_us, INT64_C(90) * 86400 * 1000000);
    CU_ASSERT_EQUAL(c->minutes_bytes, UINT64_C(5000000000));
    CU_ASSERT_EQUAL(c->hours_us, INT64_C(3650) * 86400 * 1000000);
    CU_ASSERT_EQUAL(c->hours_bytes, UINT64_C(2000000000));
    CU_ASSERT_EQUAL(c->query_timeout_ms, 30000);
    CU_ASSERT_EQUAL(c->n_api_addresses, 1);
    CU_ASSERT_STRING_EQUAL(c->api_addresses[0], "unix:/run/x/api.sock");
    CU_ASSERT_EQUAL(c->max_clients, 4096);
    CU_ASSERT_EQUAL(c->max_request, 8000000);
    CU_ASSERT_STRING_EQUAL(c->log_levels[0], "info");
    CU_ASSERT_STRING_EQUAL(c->log_target, "auto");
    CU_ASSERT_STRING_EQUAL(c->user, "venturi");

    struct json_object *o = config_to_json(s, false);
    CU_ASSERT_STRING_EQUAL(json_object_to_json_string(o), "{ }");
    json_object_put(o);
    /* What is shown with defaults is itself a valid configuration. */
    o = config_to_json(s, true);
    CU_ASSERT_EQUAL(config_validate(s, o, &e), 0);
    CU_ASSERT(strstr(json_object_to_json_string(o), "\"policy\"") != NULL);
    json_object_put(o);
    config_store_destroy(s);

    CU_ASSERT_PTR_NULL(config_load(path, true, NULL, &e));
    CU_ASSERT(strstr(e.message, "No such file") != NULL);
    CU_ASSERT_STRING_EQUAL(e.path, path);
    end();
}

/* The example of the design, as it stands there but for what other parts will
 * add. */
static void
test_example(void)
{
    static const char text[] = V(
        "{\"ovsdb\":{\"remote\":[\"tcp:[::1]:6640\",\"ssl:db:6640\"]},"
        "\"export\":{\"policy\":[{\"name\":\"default\",\"match\":{"
        "\"bridges\":[\"br-*\"],\"exclude\":[\"br-ex\"],"
        "\"datapath-type\":\"any\"},\"sflow\":{\"sampling\":\"auto\","
        "\"polling\":10,\"header\":128,\"targets\":[\"local\"]},"
        "\"ipfix\":null,\"netflow\":null,\"flow-sample\":[],"
        "\"foreign\":\"append\",\"offload\":\"force\"},"
        "{\"name\":\"b\",\"ipfix\":{\"sampling\":7,\"obs_domain_id\":"
        "4294967295,\"enable-input-sampling\":false,\"virtual_obs_id\":"
        "\"x\",\"targets\":[\"192.0.2.1:4739\",\"[2001:db8::1]:1\"]}}]},"
        "\"collector\":{\"netflow\":{\"listen\":[\"none\"]},\"workers\":3},"
        "\"store\":{\"retention\":{\"raw\":\"2h\",\"size\":\"0\"}},"
        "\"api\":{\"unix\":\"/run/venturi/api.sock\"},"
        "\"log\":{\"level\":[\"info\",\"ovsdb:debug\"]}}");
    struct config_error e;

    begin();
    struct config_store *s = load(text, &e);
    if (!s) {
        printf("\n%s: %s\n", e.path, e.message);
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    const struct config *c = config_current(s);
    CU_ASSERT_EQUAL(c->n_ovsdb_remotes, 2);
    CU_ASSERT_EQUAL(c->n_netflow_listen, 0);
    CU_ASSERT_EQUAL(c->n_sflow_listen, 1);
    CU_ASSERT_EQUAL(c->workers, 3);
    CU_ASSERT_EQUAL(c->retention_us, INT64_C(7200000000));
    CU_ASSERT_EQUAL(c->retention_bytes, 0);
    CU_ASSERT_STRING_EQUAL(c->api_addresses[0],
                           "unix:/run/venturi/api.sock");
    CU_ASSERT_EQUAL(c->n_log_levels, 2);
    CU_ASSERT_STRING_EQUAL(c->log_levels[1], "ovsdb:debug");

    CU_ASSERT_EQUAL_FATAL(c->policies->n, 2);
    const struct export_policy *p = &c->policies->list[0];
    CU_ASSERT_STRING_EQUAL(p->name, "default");
    CU_ASSERT_STRING_EQUAL(p->bridges[0], "br-*");
    CU_ASSERT_STRING_EQUAL(p->exclude[0], "br-ex");
    CU_ASSERT_STRING_EQUAL(p->datapath_type, "any");
    CU_ASSERT_EQUAL(p->foreign, FOREIGN_APPEND);
    CU_ASSERT(p->offload_force);
    CU_ASSERT(!p->wish[EXPORT_IPFIX].wanted);
    const struct export_wish *w = &p->wish[EXPORT_SFLOW];
    CU_ASSERT(w->wanted && w->sampling_auto);
    CU_ASSERT(!w->value[OPT_SF_SAMPLING].set);
    CU_ASSERT_EQUAL(w->value[OPT_SF_POLLING].number, 10);
    CU_ASSERT_STRING_EQUAL(w->targets[0], "local");
    p = &c->policies->list[1];
    w = &p->wish[EXPORT_IPFIX];
    CU_ASSERT(w->wanted && !w->sampling_auto);
    CU_ASSERT_EQUAL(w->value[OPT_IX_SAMPLING].number, 7);
    CU_ASSERT_EQUAL(w->value[OPT_IX_OBS_DOMAIN_ID].number, 4294967295);
    CU_ASSERT(w->value[OPT_IX_INPUT_SAMPLING].set);
    CU_ASSERT_EQUAL(w->value[OPT_IX_INPUT_SAMPLING].number, 0);
    CU_ASSERT_STRING_EQUAL(w->value[OPT_IX_VIRTUAL_OBS_ID].string, "x");
    CU_ASSERT_EQUAL(w->n_targets, 2);
    CU_ASSERT_STRING_EQUAL(p->bridges[0], "*");
    config_store_destroy(s);
    end();
}

#define POLICY(TEXT) V("{\"export\":{\"policy\":[{\"name\":\"a\"," TEXT "}]}}")

/* Each error says where, what, and what would be valid. */
static void
test_errors(void)
{
    static const struct {
        const char *text, *path, *message;
    } cases[] = {
        { "{\n  \"a\": tru\n}", "line 2, column 11", "true" },
        { "", "line 1, column 1", "value" },
        { "{\"a\":1,\n\"a\":1}", "line 2, column 1", "second time" },
        { "[]", "/", "venturi:venturi" },
        { "null", NULL, "venturi:venturi" },
        { "{\"x\":1}", "/x", "venturi:venturi" },
        { "{\"venturi\":{}}", "/venturi", "venturi:venturi" },
        { V("1"), "/venturi:venturi", "object" },
        { V("{\"stor\":{}}"), "/venturi:venturi/stor", "store" },
        { V("{\"stor\":null}"), "/venturi:venturi/stor", "store" },
        { V("{\"stor\":[]}"), "/venturi:venturi/stor", "store" },
        { V("{\"store\":{\"retention\":{\"raw\":\"15x\"}}}"),
          "/venturi:venturi/store/retention/raw", "\"15x\"" },
        { V("{\"store\":{\"retention\":{\"raw\":\"999999999w\"}}}"),
          "/venturi:venturi/store/retention/raw", "999999999w" },
        { V("{\"store\":{\"retention\":{\"size\":\"5XB\"}}}"),
          "/venturi:venturi/store/retention/size", "50GB" },
        { V("{\"store\":{\"memory\":\"1MB\"}}"),
          "/venturi:venturi/store/memory", "32MB" },
        { V("{\"query\":{\"threads\":0}}"), "/venturi:venturi/query/threads",
          "1 to 256" },
        { V("{\"query\":{\"threads\":\"2\"}}"),
          "/venturi:venturi/query/threads", "integer" },
        { V("{\"query\":{\"threads\":99999999999999999999}}"),
          "/venturi:venturi/query/threads", "99999999999999999999" },
        { V("{\"query\":{\"timeout\":\"2h\"}}"),
          "/venturi:venturi/query/timeout", "100ms to 1h" },
        { V("{\"user\":5}"), "/venturi:venturi/user", "5" },
        { V("{\"user\":\"a\\u0000b\"}"), "/venturi:venturi", "" },
        { V("{\"collector\":{\"netflow\":{\"listen\":[]}}}"),
          "/venturi:venturi/collector/netflow/listen", "none" },
        { V("{\"collector\":{\"netflow\":{\"listen\":\"127.0.0.1:1\"}}}"),
          "/venturi:venturi/collector/netflow", "list" },
        { V("{\"collector\":{\"netflow\":{\"listen\":[\"localhost:1\"]}}}"),
          "/venturi:venturi/collector/netflow/listen", "127.0.0.1:2055" },
        { V("{\"collector\":{\"element\":[{\"enterprise\":9,\"id\":1,"
            "\"column\":\"bytes\"}]}}"),
          "/venturi:venturi/collector/element/column", "can be null" },
        { V("{\"collector\":{\"element\":[{\"enterprise\":9,\"id\":1,"
            "\"column\":\"nothing\"}]}}"),
          "/venturi:venturi/collector/element/column", "is no column" },
        { V("{\"collector\":{\"counters\":{\"interval\":\"2h\"}}}"),
          "/venturi:venturi/collector/counters/interval", "1s to 1h" },
        { V("{\"collector\":{\"sflow\":{\"listen\":[\"1.2.3.4:99999\"]}}}"),
          "/venturi:venturi/collector/sflow/listen", "127.0.0.1:2055" },
        { V("{\"collector\":{\"sflow\":{\"listen\":[\"1.2.3.444:9\"]}}}"),
          "/venturi:venturi/collector/sflow/listen", "1.2.3.444:9" },
        { V("{\"ovsdb\":{\"remote\":[\"db.sock\"]}}"),
          "/venturi:venturi/ovsdb/remote", "unix:PATH" },
        { V("{\"log\":{\"level\":[\"foo:debug\"]}}"),
          "/venturi:venturi/log/level", "ovsdb" },
        { V("{\"log\":{\"level\":[\"loud\"]}}"), "/venturi:venturi/log/level",
          "debug" },
        { V("{\"api\":{\"unix\":\"api.sock\"}}"),
          "/venturi:venturi/api/unix", "begins with /" },
        { V("{\"api\":{\"max-request\":\"1GB\"}}"),
          "/venturi:venturi/api/max-request", "64MB" },
        { V("{\"export\":{\"policy\":[]}}"),
          "/venturi:venturi/export/policy", "policy without" },
        { V("{\"export\":{\"policy\":[{}]}}"),
          "/venturi:venturi/export/policy", "name" },
        { V("{\"export\":{\"policy\":[null]}}"),
          "/venturi:venturi/export/policy[1]", "null" },
        { V("{\"export\":{\"policy\":[{\"name\":\"a\"},{\"name\":\"a\"}]}}"),
          "/venturi:export/policy[name='a']", "Duplicate" },
        { POLICY("\"foreign\":\"x\""),
          "/venturi:venturi/export/policy[name='a']/foreign", "respect" },
        { POLICY("\"sflow\":{\"sampling\":0}"),
          "/venturi:venturi/export/policy[name='a']/sflow/sampling", "auto" },
        { POLICY("\"sflow\":{\"header\":13}"),
          "/venturi:venturi/export/policy[name='a']/sflow/header",
          "14 to 1400" },
        { POLICY("\"sflow\":{\"engine_id\":1}"),
          "/venturi:venturi/export/policy[name='a']/sflow/engine_id",
          "polling" },
        { POLICY("\"ipfix\":{\"targets\":[\"1.2.3.4:0\"]}"),
          "/venturi:venturi/export/policy[name='a']/ipfix/targets",
          "192.0.2.1:2055" },
        { POLICY("\"flow-sample\":[{\"id\":4294967296}]"),
          "/venturi:venturi/export/policy[name='a']/flow-sample/id",
          "0 to 4294967295" },
        { POLICY("\"flow-sample\":[{\"id\":7}]"),
          "/venturi:venturi/export/policy[name='a']/flow-sample[7]",
          "ipfix or local_group_id" },
        { POLICY("\"match\":{\"external-ids\":[\"=x\"]}"),
          "/venturi:venturi/export/policy[name='a']/match/external-ids",
          "neither a key nor key=value" },
        { POLICY("\"match\":{\"bridges\":[\"a\"],\"exclude\":[\"a\"]}"),
          "/venturi:venturi/export/policy[name='a']/match",
          "match no bridge" },
        { POLICY("\"sflow\":{}},{\"name\":\"b\",\"match\":{\"bridges\":"
                 "[\"x\"]}"),
          "/venturi:venturi/export/policy[name='b']/match",
          "collides with policy a" },
        { V("{\"ovsdb\":{\"tls\":{\"ca\":\"/ca.pem\"}}}"),
          "/venturi:venturi/ovsdb/tls/private-key", "together" },
    };
    struct config_error e;

    begin();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct config_store *s = load(cases[i].text, &e);
        if (s || strcmp(e.path, cases[i].path ? cases[i].path : path)
            || !strstr(e.message, cases[i].message)) {
            printf("\n%s\n  %s: %s\n", cases[i].text, e.path, e.message);
            CU_FAIL("error");
        }
        config_store_destroy(s);
    }
    end();
}

static void
test_override(void)
{
    static const char *const api[] = { "unix:/a", "/b" };
    static const char *const none[] = { "none" };
    const struct config_override override = {
        .api = api, .n_api = 2, .ovsdb = none, .n_ovsdb = 1,
    };
    struct config_error e;

    begin();
    struct config_store *s = config_load(path, false, &override, &e);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    CU_ASSERT_EQUAL(config_current(s)->n_api_addresses, 2);
    CU_ASSERT_EQUAL(config_current(s)->n_ovsdb_remotes, 0);
    struct json_object *o = config_to_json(s, true);
    const char *text = json_object_to_json_string_ext(
        o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
    CU_ASSERT(strstr(text, "\"remote\":[\"none\"]") != NULL);
    CU_ASSERT(strstr(text, "\"unix\":\"/a\"") != NULL);
    json_object_put(o);

    /* Shown, but never written. */
    o = parse(V("{\"user\":\"nobody\"}"));
    CU_ASSERT_EQUAL(config_edit(s, o, true, &e), 0);
    json_object_put(o);
    CU_ASSERT(strstr(read_text(path), "none") == NULL);
    CU_ASSERT(strstr(read_text(path), "nobody") != NULL);
    config_store_destroy(s);
    end();
}

static int
edit(struct config_store *s, const char *text, bool merge,
     struct config_error *e)
{
    struct json_object *o = parse(text);
    int err = config_edit(s, o, merge, e);

    json_object_put(o);
    return err;
}

static void
test_edit(void)
{
    struct config_error e;

    begin();
    struct config_store *s = load(
        V("{\"user\":\"a\",\"export\":{\"policy\":[{\"name\":\"p\","
          "\"match\":{\"bridges\":[\"p*\"]},"
          "\"sflow\":{\"polling\":5}},{\"name\":\"q\",\"match\":"
          "{\"bridges\":[\"q*\"]}}]}}"), &e);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    CU_ASSERT_EQUAL(chmod(path, 0600), 0);
    CU_ASSERT_EQUAL(config_reload(s, &e), 0);

    /* Merged by key; lists of values are replaced; null deletes. */
    CU_ASSERT_EQUAL(edit(s, V(
        "{\"user\":null,\"export\":{\"policy\":[{\"name\":\"p\",\"sflow\":"
        "{\"header\":64}},{\"name\":\"r\",\"netflow\":{}}]},\"collector\":"
        "{\"netflow\":{\"listen\":[\"127.0.0.1:9\"]}}}"), true, &e), 0);
    const struct config *c = config_current(s);
    CU_ASSERT_STRING_EQUAL(c->user, "venturi");
    CU_ASSERT_EQUAL_FATAL(c->policies->n, 3);
    CU_ASSERT_EQUAL(
        c->policies->list[0].wish[EXPORT_SFLOW].value[OPT_SF_POLLING].number,
        5);
    CU_ASSERT_EQUAL(
        c->policies->list[0].wish[EXPORT_SFLOW].value[OPT_SF_HEADER].number,
        64);
    CU_ASSERT(c->policies->list[2].wish[EXPORT_NETFLOW].wanted);
    CU_ASSERT_EQUAL(c->n_netflow_listen, 1);
    CU_ASSERT_EQUAL(edit(s, V(
        "{\"export\":{\"policy\":[{\"name\":\"p\",\"sflow\":null}]},"
        "\"collector\":{\"netflow\":{\"listen\":[\"127.0.0.1:8\"]}}}"), true,
        &e), 0);
    c = config_current(s);
    CU_ASSERT(!c->policies->list[0].wish[EXPORT_SFLOW].wanted);
    CU_ASSERT_EQUAL(c->n_netflow_listen, 1);
    CU_ASSERT_STRING_EQUAL(c->netflow_listen[0], "127.0.0.1:8");

    /* The file says it, with the old mode; the one before is kept. */
    struct stat st;
    CU_ASSERT_EQUAL(stat(path, &st), 0);
    CU_ASSERT_EQUAL(st.st_mode & 07777, 0600);
    CU_ASSERT(strstr(read_text(path), "127.0.0.1:8") != NULL);
    CU_ASSERT(strstr(read_text(previous), "127.0.0.1:9") != NULL);
    struct config_store *again = load(NULL, &e);
    CU_ASSERT_PTR_NOT_NULL_FATAL(again);
    CU_ASSERT_EQUAL(config_current(again)->policies->n, 3);
    config_store_destroy(again);

    /* A bad edit changes nothing. */
    CU_ASSERT_EQUAL(edit(s, V("{\"query\":{\"threads\":0}}"), true, &e),
                    -EINVAL);
    CU_ASSERT_STRING_EQUAL(e.path, "/venturi:venturi/query/threads");
    CU_ASSERT_EQUAL(config_current(s), c);
    CU_ASSERT_EQUAL(edit(s, "[]", true, &e), -EINVAL);

    /* Replacing. */
    CU_ASSERT_EQUAL(edit(s, V("{}"), false, &e), 0);
    CU_ASSERT_EQUAL(config_current(s)->policies->n, 1);
    config_store_destroy(s);
    end();
}

struct applied {
    int n, fail_at;
};

static int
on_apply(void *aux, const struct config *old, const struct config *new_,
         struct config_error *e)
{
    struct applied *a = aux;

    CU_ASSERT_PTR_NOT_NULL(old);
    CU_ASSERT_PTR_NOT_NULL(new_);
    if (++a->n == a->fail_at) {
        snprintf(e->path, sizeof e->path, "/here");
        snprintf(e->message, sizeof e->message, "port in use");
        return -EADDRINUSE;
    }
    return 0;
}

/* While it is applied somebody saves the file. */
static int
on_apply_saved(void *aux, const struct config *old, const struct config *new_,
               struct config_error *e)
{
    int *n = aux;
    (void) old;
    (void) new_;
    (void) e;

    if (!(*n)++) {
        write_text(V("{\"user\":\"by-hand\"}"));
    }
    return 0;
}

/* Of a list with several keys all count: none pushes out another. */
static void
test_keys(void)
{
    struct config_error e;
    char *text = NULL;
    size_t size;

    begin();
    struct config_store *s = load(
        V("{\"collector\":{\"element\":["
          "{\"enterprise\":9,\"id\":1,\"column\":\"vni\"},"
          "{\"enterprise\":9,\"id\":2,\"column\":\"vni\"}]}}"), &e);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    CU_ASSERT_EQUAL(edit(s, V(
        "{\"collector\":{\"element\":["
        "{\"enterprise\":9,\"id\":3,\"column\":\"vni\"},"
        "{\"enterprise\":9,\"id\":2,\"column\":\"why\"}]}}"), true, &e), 0);
    CU_ASSERT_EQUAL_FATAL(config_current(s)->n_elements, 3);
    for (unsigned i = 0; i < 3; i++) {
        const struct element_mapping *m = &config_current(s)->elements[i];
        CU_ASSERT_EQUAL(m->id, i + 1);
        CU_ASSERT_STRING_EQUAL(columns[m->column].name,
                               i == 1 ? "why" : "vni");
    }
    /* Ten thousand into ten thousand, every second one is there. */
    FILE *f = open_memstream(&text, &size);
    for (int half = 0; half < 2; half++) {
        fprintf(f, "{\"venturi:venturi\":{\"collector\":{\"source\":[");
        for (int i = 0; i < 10000; i++) {
            int k = i * (half + 1);
            fprintf(f, "%s{\"name\":\"p%d\",\"address\":\"10.0.%d.%d\"}",
                    i ? "," : "", k, k >> 8, k & 0xff);
        }
        fprintf(f, "]}}}");
        fflush(f);
        CU_ASSERT_EQUAL(edit(s, text, true, &e), 0);
        rewind(f);
    }
    fclose(f);
    free(text);
    CU_ASSERT_EQUAL(config_current(s)->n_sources, 15000);
    config_store_destroy(s);
    end();
}

static void
test_saved_meanwhile(void)
{
    struct config_error e;
    int n = 0;

    begin();
    struct config_store *s = load(V("{\"user\":\"a\"}"), &e);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    config_set_apply(s, on_apply_saved, &n);
    CU_ASSERT_EQUAL(edit(s, V("{\"user\":\"b\"}"), true, &e), -ESTALE);
    CU_ASSERT_EQUAL(n, 2);      /* And back. */
    CU_ASSERT(strstr(read_text(path), "by-hand") != NULL);
    CU_ASSERT_STRING_EQUAL(config_current(s)->user, "a");
    CU_ASSERT_EQUAL(config_reload(s, &e), 0);
    CU_ASSERT_STRING_EQUAL(config_current(s)->user, "by-hand");
    CU_ASSERT_EQUAL(edit(s, V("{\"user\":\"b\"}"), true, &e), 0);
    CU_ASSERT(strstr(read_text(path), "\"b\"") != NULL);
    config_store_destroy(s);
    end();
}

static void
test_apply(void)
{
    struct applied a = { 0, 2 };
    struct config_error e;

    begin();
    struct config_store *s = load(NULL, &e);
    config_set_apply(s, on_apply, &a);
    CU_ASSERT_EQUAL(edit(s, V("{\"user\":\"x\"}"), true, &e), 0);
    CU_ASSERT_EQUAL(edit(s, V("{\"user\":\"y\"}"), true, &e), -EADDRINUSE);
    CU_ASSERT_STRING_EQUAL(e.message, "port in use");
    CU_ASSERT_STRING_EQUAL(config_current(s)->user, "x");
    CU_ASSERT(strstr(read_text(path), "\"x\"") != NULL);

    /* What cannot be written is taken back. */
    char in_the_way[sizeof path + 8];
    snprintf(in_the_way, sizeof in_the_way, "%s.tmp", path);
    CU_ASSERT_EQUAL(mkdir(in_the_way, 0700), 0);
    a = (struct applied) { 0, 0 };
    CU_ASSERT_EQUAL(edit(s, V("{\"user\":\"z\"}"), true, &e), -EEXIST);
    CU_ASSERT_EQUAL(a.n, 2);
    CU_ASSERT_STRING_EQUAL(config_current(s)->user, "x");
    CU_ASSERT(strstr(read_text(path), "\"x\"") != NULL);
    rmdir(in_the_way);
    config_store_destroy(s);
    end();
}

/* In a directory that may be written and not read, such as 0730 gives: what has
 * replaced the file is not refused for being less sure to last. */
static void
test_directory_unread(void)
{
    char private[sizeof dir + 8];
    struct config_error e;
    uid_t user = geteuid();

    begin();
    snprintf(private, sizeof private, "%s/w", dir);
    snprintf(path, sizeof path, "%s/v.json", private);
    CU_ASSERT_EQUAL(mkdir(private, 0300), 0);
    if (!user) {                /* Whom nothing is denied. */
        CU_ASSERT_EQUAL(chmod(dir, 0711) || chown(private, 65534, 65534)
                        || seteuid(65534), 0);
    }
    CU_ASSERT_EQUAL_FATAL(open(private, O_RDONLY), -1);
    struct config_store *s = load(NULL, &e);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    for (int i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL(edit(s, i ? V("{\"user\":\"b\"}")
                             : V("{\"user\":\"a\"}"), true, &e), 0);
        CU_ASSERT_PTR_NOT_NULL(strstr(read_text(path), i ? "\"b\"" : "\"a\""));
    }
    config_store_destroy(s);
    if (!user) {
        CU_ASSERT_EQUAL(seteuid(user), 0);
    }
    unlink(path);
    snprintf(previous, sizeof previous, "%s.1", path);
    unlink(previous);
    rmdir(private);
    end();
}

static void
test_hand_edits(void)
{
    struct config_error e;

    begin();
    struct config_store *s = load(V("{\"user\":\"a\"}"), &e);
    write_text(V("{\"user\":\"by-hand\"}"));
    CU_ASSERT_EQUAL(edit(s, V("{\"user\":\"b\"}"), true, &e), -ESTALE);
    CU_ASSERT(strstr(read_text(path), "by-hand") != NULL);
    CU_ASSERT_EQUAL(config_reload(s, &e), 0);
    CU_ASSERT_STRING_EQUAL(config_current(s)->user, "by-hand");
    CU_ASSERT_EQUAL(edit(s, V("{\"user\":\"b\"}"), true, &e), 0);

    /* A bad file on reload leaves all as it was. */
    write_text("{");
    CU_ASSERT_EQUAL(config_reload(s, &e), -EINVAL);
    CU_ASSERT_STRING_EQUAL(config_current(s)->user, "b");
    CU_ASSERT_PTR_NOT_NULL(config_reload_error(s));
    write_text(V("{\"user\":\"b\"}"));
    CU_ASSERT_EQUAL(config_reload(s, &e), 0);
    CU_ASSERT_PTR_NULL(config_reload_error(s));

    /* A file that is gone is no wish for defaults. */
    CU_ASSERT_EQUAL(unlink(path), 0);
    CU_ASSERT_EQUAL(config_reload(s, &e), -ENOENT);
    CU_ASSERT_STRING_EQUAL(config_current(s)->user, "b");
    config_store_destroy(s);
    end();
}

/* A symbolic link stays one. */
static void
test_link(void)
{
    char real[80];
    struct config_error e;
    struct stat st;

    begin();
    snprintf(real, sizeof real, "%s/real.json", dir);
    CU_ASSERT_EQUAL(symlink("real.json", path), 0);
    struct config_store *s = load("{}", &e);
    CU_ASSERT_EQUAL(edit(s, V("{\"user\":\"b\"}"), true, &e), 0);
    CU_ASSERT_EQUAL(lstat(path, &st), 0);
    CU_ASSERT(S_ISLNK(st.st_mode));
    CU_ASSERT(strstr(read_text(real), "\"b\"") != NULL);
    config_store_destroy(s);
    unlink(real);
    snprintf(real, sizeof real, "%s/real.json.1", dir);
    unlink(real);
    end();
}

/* The model says what the option table says. */

static void
check_number(const struct export_option *o, const struct lysc_type *type)
{
    if (type->basetype == LY_TYPE_UNION) {      /* "auto", or a number. */
        type = ((const struct lysc_type_union *) type)->types[1];
    }
    const struct lysc_range *range =
        ((const struct lysc_type_num *) type)->range;
    CU_ASSERT_PTR_NOT_NULL_FATAL(range);
    CU_ASSERT_EQUAL(range->parts[0].min_64, o->min);
    CU_ASSERT_EQUAL(range->parts[0].max_64, o->max);
}

static void
test_options(void)
{
    struct model *m = model_create();
    size_t n_leaves = 0, n_options = 0;

    CU_ASSERT_PTR_NOT_NULL_FATAL(m);
    for (size_t i = 0; i < N_EXPORT_OPTIONS; i++) {
        const struct export_option *o = &export_options[i];
        char at[256];
        snprintf(at, sizeof at, "/venturi:venturi/export/policy/%s/%s",
                 export_table_name(o->table), o->name);
        const struct lysc_node *n = lys_find_path(
            model_module(m)->ctx, NULL, at, 0);
        if (!n || n->nodetype != LYS_LEAF) {
            printf("\nnot in the model: %s\n", at);
            CU_FAIL("option");
            continue;
        }
        const struct lysc_type *type = ((struct lysc_node_leaf *) n)->type;
        switch (o->type) {
        case EXPORT_T_INT:
            check_number(o, type);
            break;
        case EXPORT_T_BOOL:
            CU_ASSERT_EQUAL(type->basetype, LY_TYPE_BOOL);
            break;
        case EXPORT_T_STRING: {
            const struct lysc_type_str *t =
                (const struct lysc_type_str *) type;
            CU_ASSERT_EQUAL(type->basetype, LY_TYPE_STRING);
            CU_ASSERT_PTR_NOT_NULL_FATAL(t->length);
            CU_ASSERT_EQUAL(t->length->parts[0].min_u64, (uint64_t) o->min);
            CU_ASSERT_EQUAL(t->length->parts[0].max_u64, (uint64_t) o->max);
        }
        }
        n_options++;
    }
    /* And nothing more. */
    for (int t = 0; t < N_EXPORT_TABLES; t++) {
        char at[256];
        const struct lysc_node *c = NULL;
        snprintf(at, sizeof at, "/venturi:venturi/export/policy/%s",
                 export_table_name((enum export_table) t));
        const struct lysc_node *parent = lys_find_path(
            model_module(m)->ctx, NULL, at, 0);
        CU_ASSERT_PTR_NOT_NULL_FATAL(parent);
        while ((c = lys_getnext(c, parent, NULL, 0))) {
            n_leaves += strcmp(c->name, "targets") != 0;
        }
    }
    CU_ASSERT_EQUAL(n_leaves, n_options);
    model_destroy(m);
}

/* The pages about the file name every node. */

static char page[262144];

static LY_ERR
check_documented(struct lysc_node *n, void *data, ly_bool *skip)
{
    char *at, want[256];

    (void) skip;
    if (!(n->nodetype & (LYS_LEAF | LYS_LEAFLIST))) {
        return LY_SUCCESS;
    }
    at = lysc_path(n, LYSC_PATH_DATA, NULL, 0);
    /* "/venturi:venturi/store/memory": what is below the container. */
    snprintf(want, sizeof want, "%s", at + strlen("/venturi:venturi/"));
    free(at);
    if (!strstr(page, want)) {
        printf("\nnot in %s: %s\n", (const char *) data, want);
        CU_FAIL("page");
    }
    return LY_SUCCESS;
}

static void
test_pages(void)
{
    static const char *const names[] = { "configuration.md",
                                         "venturi.json.5" };
    const char *srcdir = getenv("VENTURI_SRCDIR");
    struct model *m = model_create();

    for (size_t i = 0; i < 2; i++) {
        char file[512];
        snprintf(file, sizeof file, "%s/doc/%s", srcdir ? srcdir : ".",
                 names[i]);
        FILE *f = fopen(file, "r");
        if (!f) {
            printf("\n    skipped: no %s\n    ", file);
            continue;
        }
        size_t n = fread(page, 1, sizeof page - 1, f), out = 0;
        fclose(f);
        for (size_t j = 0; j < n; j++) {        /* "\-" is a hyphen. */
            if (page[j] != '\\') {
                page[out++] = page[j];
            }
        }
        page[out] = '\0';
        lysc_tree_dfs_full(model_module(m)->compiled->data, check_documented,
                           (void *) names[i]);
    }
    model_destroy(m);
}

UNIT_MAIN("config", UNIT_TEST(test_defaults), UNIT_TEST(test_example),
          UNIT_TEST(test_errors), UNIT_TEST(test_override),
          UNIT_TEST(test_edit), UNIT_TEST(test_keys),
          UNIT_TEST(test_saved_meanwhile), UNIT_TEST(test_apply),
          UNIT_TEST(test_directory_unread),
          UNIT_TEST(test_hand_edits), UNIT_TEST(test_link),
          UNIT_TEST(test_options), UNIT_TEST(test_pages))
