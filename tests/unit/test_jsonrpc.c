/* The JSON scanner, the schema checks and the JSON-RPC core, without a
 * socket. */
#include <config.h>

#include "api/jsonrpc.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>

#include "api/schema.h"
#include "tests/unit/unit.h"

/* ---- A table of our own. ---- */

static struct rpc_call *later[8];
static size_t n_later;
static int n_cancelled;

static int64_t
int_of(struct json_object *params, const char *name)
{
    struct json_object *v = NULL;

    json_object_object_get_ex(params, name, &v);
    return json_object_get_int64(v);
}

static void
do_subtract(struct rpc_call *call, struct json_object *params)
{
    rpc_reply(call, json_object_new_int64(int_of(params, "minuend")
                                          - int_of(params, "subtrahend")));
}

static void
do_sum(struct rpc_call *call, struct json_object *params)
{
    rpc_reply(call, json_object_new_int64(int_of(params, "a")
                                          + int_of(params, "b")
                                          + int_of(params, "c")));
}

static void
do_nothing(struct rpc_call *call, struct json_object *params)
{
    (void) params;
    rpc_reply(call, NULL);
}

static void
do_get_data(struct rpc_call *call, struct json_object *params)
{
    (void) params;
    rpc_reply_text(call, strdup("[\"hello\",5]"));
}

static void
do_echo(struct rpc_call *call, struct json_object *params)
{
    rpc_reply(call, json_object_get(params));
}

static void
on_cancel(void *aux)
{
    (void) aux;
    n_cancelled++;
}

static void
do_later(struct rpc_call *call, struct json_object *params)
{
    (void) params;
    later[n_later++] = call;
    rpc_on_cancel(call, on_cancel, NULL);
}

static void
do_fail(struct rpc_call *call, struct json_object *params)
{
    (void) params;
    rpc_fail(call, RPC_CONFLICT, "who", "it is %s", "taken");
}

static void
do_raw(struct rpc_call *call, struct json_object *params)
{
    (void) params;
    rpc_reply(call, json_object_new_string("a\xff\xc3\xa9\xe2\x82"));
}

#define P(NAME, TYPE, REQUIRED) { NAME, TYPE, REQUIRED, "doc", NULL }
#define END { NULL, PARAM_ANY, false, NULL, NULL }

static const struct rpc_param subtract_params[] = {
    P("minuend", PARAM_INTEGER, true), P("subtrahend", PARAM_INTEGER, true),
    END
};
static const struct rpc_param five_params[] = {
    P("a", PARAM_INTEGER, false), P("b", PARAM_INTEGER, false),
    P("c", PARAM_INTEGER, false), P("d", PARAM_INTEGER, false),
    P("e", PARAM_INTEGER, false), END
};
static const struct rpc_param echo_params[] = {
    P("string", PARAM_STRING, false), P("integer", PARAM_INTEGER, false),
    P("number", PARAM_NUMBER, false), P("boolean", PARAM_BOOLEAN, false),
    P("array", PARAM_ARRAY, false), P("object", PARAM_OBJECT, false),
    P("any", PARAM_ANY, false), P("time", PARAM_TIME, false),
    P("duration", PARAM_DURATION, false),
    { "words", PARAM_ARRAY, false, "doc",
      "{\"type\":\"array\",\"maxItems\":2,\"items\":{\"enum\":[\"x\",\"y\"]}}"
    },
    END
};

#define METHOD(NAME, PARAMS, CALL)                                       \
    { .name = NAME, .summary = "s", .params = PARAMS,                    \
      .result_schema = "{}", .example_result = "1", .call = CALL }

static const struct rpc_method table[] = {
    METHOD("subtract", subtract_params, do_subtract),
    METHOD("sum", five_params, do_sum),
    METHOD("update", five_params, do_nothing),
    METHOD("notify_hello", five_params, do_nothing),
    METHOD("notify_sum", five_params, do_nothing),
    METHOD("get_data", NULL, do_get_data),
    METHOD("echo", echo_params, do_echo),
    METHOD("later", NULL, do_later),
    METHOD("fail", NULL, do_fail),
    METHOD("raw", NULL, do_raw),
    { .name = NULL }
};
static const struct rpc_method *const tables[] = { table, NULL };

static char got[65536];
static size_t got_size;
static int n_got;

static void
on_send(void *aux, const char *text, size_t n)
{
    (void) aux;
    n_got++;
    if (got_size + n < sizeof got) {
        memcpy(got + got_size, text, n);
        got_size += n;
        got[got_size] = '\0';
    }
}

static const struct rpc_transport transport = { .send = on_send };

static struct rpc_core *core;
static struct rpc_peer *peer;

static void
begin(void)
{
    core = rpc_core_create(tables, &json_default_limits, NULL, NULL);
    peer = rpc_peer_create(core, &transport, NULL, NULL);
    n_later = 0;
    n_cancelled = 0;
}

static void
end(void)
{
    rpc_peer_destroy(peer);
    rpc_core_unref(core);
}

/* What comes back at once; "" for nothing. */
static const char *
ask_n(const char *text, size_t n)
{
    char *copy = memdup_exact(text, n);

    got_size = 0;
    n_got = 0;
    got[0] = '\0';
    rpc_peer_text(peer, copy, n, false);
    free(copy);
    return got;
}

static const char *
ask(const char *text)
{
    return ask_n(text, strlen(text));
}

static struct json_object *
parse(const char *text)
{
    struct json_object *o = NULL;

    if (json_parse(text, strlen(text), &json_default_limits, 0, &o, NULL)) {
        CU_FAIL("an answer is not JSON");
        printf("\n%s\n", text);
    }
    return o;
}

/* The error code of an answer; 0 for a result. */
static int
code_of(struct json_object *o)
{
    struct json_object *e = NULL, *v = NULL;

    json_object_object_get_ex(o, "error", &e);
    json_object_object_get_ex(e, "code", &v);
    return json_object_get_int(v);
}

static int
ask_code(const char *text)
{
    struct json_object *o = parse(ask(text));
    int code = code_of(o);

    json_object_put(o);
    return code;
}

/* A member of error.data as text. */
static const char *
ask_data(const char *text, const char *member)
{
    static char buf[512];
    struct json_object *o = parse(ask(text));
    struct json_object *e = NULL, *data = NULL, *v = NULL;

    json_object_object_get_ex(o, "error", &e);
    json_object_object_get_ex(e, "data", &data);
    json_object_object_get_ex(data, member, &v);
    snprintf(buf, sizeof buf, "%s", v ? json_object_get_string(v) : "");
    json_object_put(o);
    return buf;
}

/* ---- JSON. ---- */

static int
try_json(const char *text, size_t n, struct json_error *e)
{
    char *copy = memdup_exact(text, n);
    struct json_object *o;
    int err = json_parse(copy, n, &json_default_limits, JSON_UNIQUE, &o, e);

    json_object_put(o);
    free(copy);
    return err;
}

static void
test_json_values(void)
{
    static const struct {
        const char *in, *out;
    } cases[] = {
        { "9223372036854775807", "9223372036854775807" },
        { "18446744073709551615", "18446744073709551615" },
        { "18446744073709551616", "18446744073709551616" },
        { "-9223372036854775808", "-9223372036854775808" },
        { "-9223372036854775809", "-9223372036854775809" },
        { "1e400", "1e400" }, { "-0", "-0" }, { "1.50", "1.50" },
        { " \t\r\n[ 1 , null , true ] ", "[1,null,true]" },
        { "\"\\u0041\\u00e9\\ud83d\\ude00\\n\\/\"",
          "\"A\xc3\xa9\xf0\x9f\x98\x80\\n/\"" },
        { "{\"a\":{\"b\":[{}]}}", "{\"a\":{\"b\":[{}]}}" },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct json_object *o;
        CU_ASSERT_EQUAL(json_parse(cases[i].in, strlen(cases[i].in),
                                   &json_default_limits, 0, &o, NULL), 0);
        CU_ASSERT_STRING_EQUAL(
            json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN
                                           | JSON_C_TO_STRING_NOSLASHESCAPE),
            cases[i].out);
        json_object_put(o);
    }
}

static void
test_json_refused(void)
{
    static const struct {
        const char *text;
        uint32_t line, column;
    } cases[] = {
        { "", 1, 1 }, { "{", 1, 2 }, { "[1,]", 1, 4 }, { "{\"a\" 1}", 1, 6 },
        { "\n\n  nul", 3, 6 }, { "[01]", 1, 3 }, { "[1.]", 1, 4 },
        { "[1e]", 1, 4 }, { "'a'", 1, 1 }, { "[NaN]", 1, 2 },
        { "\"a\tb\"", 1, 3 }, { "\"\\x\"", 1, 3 }, { "\"\\ud800\"", 1, 8 },
        { "\"\\udc00\"", 1, 7 }, { "\"\xff\"", 1, 2 },
        { "\"\xc0\x80\"", 1, 2 }, { "\"\xed\xa0\x80\"", 1, 3 },
        { "\"\xf4\x90\x80\x80\"", 1, 3 }, { "1 2", 1, 3 },
        { "{\"a\":1,\n \"a\":2}", 2, 2 }, { "{\"a\\u0000b\":1}", 1, 2 },
        { "// c\n1", 1, 1 }, { "[1}", 1, 3 }, { "]", 1, 1 },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct json_error e = { .line = 0 };
        CU_ASSERT_EQUAL(try_json(cases[i].text, strlen(cases[i].text), &e),
                        -EINVAL);
        if (e.line != cases[i].line || e.column != cases[i].column) {
            printf("\n%s: %u:%u %s\n", cases[i].text, e.line, e.column,
                   e.message);
            CU_FAIL("position");
        }
        CU_ASSERT(e.message[0] != '\0');
    }
}

static void
test_json_limits(void)
{
    struct json_limits limits = { .size = 20, .values = 5, .containers = 3,
                                  .depth = 2 };
    struct json_error e;
    struct json_object *o;

    CU_ASSERT_EQUAL(json_parse("[1,2,3]", 7, &limits, 0, &o, &e), 0);
    json_object_put(o);
    CU_ASSERT_EQUAL(json_parse("[[[]]]", 6, &limits, 0, &o, &e), -E2BIG);
    CU_ASSERT(e.limit);
    CU_ASSERT_EQUAL(json_parse("[1,2,3,4,5]", 11, &limits, 0, &o, &e),
                    -E2BIG);
    CU_ASSERT_EQUAL(json_parse("[[],[],[]]", 10, &limits, 0, &o, &e),
                    -E2BIG);
    CU_ASSERT_EQUAL(json_parse("\"aaaaaaaaaaaaaaaaaaaaaaaaa\"", 27, &limits,
                               0, &o, &e), -E2BIG);
}

static void
test_json_truncated(void)
{
    static const char text[] =
        "{\"a\":[1,-2.5e+10,true,false,null,\"\\u00e9\xf0\x9f\x98\x80\"],"
        "\"b\":{}}";

    for (size_t n = 0; n < sizeof text - 1; n++) {
        CU_ASSERT_EQUAL(try_json(text, n, NULL), -EINVAL);
    }
    CU_ASSERT_EQUAL(try_json(text, sizeof text - 1, NULL), 0);
}

/* Byte by byte or at once: the same. */
static void
test_json_pieces(void)
{
    static const char text[] = " {\"a\":[1,2.5,\"x\\n\xc3\xa9\"]}  12 [3]4 ";
    static const size_t ends[] = { 22, 26, 30, 31 };
    struct json_scan s;
    size_t n = 0, used;

    json_scan_init(&s, &json_default_limits);
    for (size_t i = 0; i < sizeof text - 1; ) {
        enum json_verdict v = json_scan_feed(&s, text + i, 1, &used);
        i += used;
        if (v == JSON_DONE) {
            CU_ASSERT_EQUAL(i, ends[n]);
            n++;
            json_scan_init(&s, &json_default_limits);
        } else {
            CU_ASSERT_EQUAL(v, JSON_MORE);
        }
    }
    CU_ASSERT_EQUAL(n, 4);
    CU_ASSERT(json_scan_empty(&s));
}

/* ---- Corpora of others. ---- */

static bool
corpus_path(const char *name, char *path, size_t size)
{
    const char *dir = getenv("VENTURI_CORPORA");
    const char *srcdir = getenv("VENTURI_SRCDIR");

    if (dir) {
        snprintf(path, size, "%s/public/%s", dir, name);
    } else {
        snprintf(path, size, "%s/../shared/corpora/public/%s",
                 srcdir ? srcdir : ".", name);
    }
    DIR *d = opendir(path);
    if (!d) {
        printf("\n    skipped: no corpus %s (set VENTURI_CORPORA)\n    ",
               path);
        return false;
    }
    closedir(d);
    return true;
}

static char *
slurp(const char *path, size_t *n)
{
    FILE *f = fopen(path, "r");
    char *text = malloc(1 << 20);

    *n = f ? fread(text, 1, 1 << 20, f) : 0;
    if (f) {
        fclose(f);
    }
    return text;
}

static void
test_json_suite(void)
{
    char path[512], file[1024];
    struct dirent *de;
    int n_files = 0;

    if (!corpus_path("nst+JSONTestSuite/test_parsing", path, sizeof path)) {
        return;
    }
    DIR *d = opendir(path);
    while ((de = readdir(d))) {
        size_t n;
        struct json_object *o;
        if (de->d_name[0] == '.') {
            continue;
        }
        snprintf(file, sizeof file, "%s/%s", path, de->d_name);
        char *text = slurp(file, &n);
        int err = json_parse(text, n, &json_default_limits, 0, &o, NULL);
        json_object_put(o);
        free(text);
        if ((de->d_name[0] == 'y' && err) || (de->d_name[0] == 'n' && !err)) {
            printf("\n%s: %d\n", de->d_name, err);
            CU_FAIL("verdict");
        }
        n_files++;
    }
    closedir(d);
    CU_ASSERT(n_files > 100);
}

/* Two answers say the same: result, error code and id. */
static bool
same_answer(struct json_object *a, struct json_object *b)
{
    struct json_object *x = NULL, *y = NULL;

    if (code_of(a) != code_of(b)) {
        return false;
    }
    json_object_object_get_ex(a, "result", &x);
    json_object_object_get_ex(b, "result", &y);
    if (!json_object_equal(x, y)) {
        return false;
    }
    x = y = NULL;
    json_object_object_get_ex(a, "id", &x);
    json_object_object_get_ex(b, "id", &y);
    return json_object_equal(x, y);
}

static bool
same_answers(struct json_object *a, struct json_object *b)
{
    if (!json_object_is_type(a, json_type_array)
        || !json_object_is_type(b, json_type_array)) {
        return same_answer(a, b);
    }
    if (json_object_array_length(a) != json_object_array_length(b)) {
        return false;
    }
    for (size_t i = 0; i < json_object_array_length(a); i++) {
        bool found = false;
        for (size_t j = 0; j < json_object_array_length(b); j++) {
            found |= same_answer(json_object_array_get_idx(a, i),
                                 json_object_array_get_idx(b, j));
        }
        if (!found) {
            return false;
        }
    }
    return true;
}

static void
test_spec_examples(void)
{
    char path[512], file[1024];
    struct json_object *o, *cases = NULL;
    size_t n;

    if (!corpus_path("jsonrpc2-spec", path, sizeof path)) {
        return;
    }
    snprintf(file, sizeof file, "%s/section7-examples.json", path);
    char *text = slurp(file, &n);
    CU_ASSERT_EQUAL(json_parse(text, n, &json_default_limits, 0, &o, NULL),
                    0);
    free(text);
    json_object_object_get_ex(o, "cases", &cases);
    begin();
    for (size_t i = 0; i < json_object_array_length(cases); i++) {
        struct json_object *c = json_object_array_get_idx(cases, i);
        struct json_object *request = NULL, *response = NULL, *mine;
        json_object_object_get_ex(c, "request_text", &request);
        json_object_object_get_ex(c, "response", &response);
        ask(json_object_get_string(request));
        if (!response) {
            CU_ASSERT_EQUAL(n_got, 0);
            continue;
        }
        CU_ASSERT_EQUAL(n_got, 1);
        mine = parse(got);
        if (!same_answers(mine, response)) {
            printf("\n%s\n -> %s\n", json_object_to_json_string(c), got);
            CU_FAIL("differs from the specification");
        }
        json_object_put(mine);
    }
    CU_ASSERT(json_object_array_length(cases) >= 10);
    end();
    json_object_put(o);
}

/* ---- Requests. ---- */

#define R "{\"jsonrpc\":\"2.0\","

static void
test_ids(void)
{
    static const char *const ids[] = {
        "1", "0", "-5", "\"a\"", "\"\"", "null", "1.5", "1e3",
        "123456789012345678901234567890", "9007199254740993", "\"\xc3\xa9\"",
        "\"a\\\"b\\u0000\"",
    };

    begin();
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        char text[256], want[256];
        snprintf(text, sizeof text, R "\"method\":\"get_data\",\"id\":%s}",
                 ids[i]);
        snprintf(want, sizeof want, "{\"jsonrpc\":\"2.0\",\"result\":"
                 "[\"hello\",5],\"id\":%s}", ids[i]);
        CU_ASSERT_STRING_EQUAL(ask(text), want);
    }
    CU_ASSERT_EQUAL(ask_code(R "\"method\":\"get_data\",\"id\":{}}"), -32600);
    CU_ASSERT_EQUAL(ask_code(R "\"method\":\"get_data\",\"id\":[]}"), -32600);
    CU_ASSERT_EQUAL(ask_code(R "\"method\":\"get_data\",\"id\":true}"),
                    -32600);
    CU_ASSERT(strstr(got, "\"id\":null") != NULL);
    end();
}

static void
test_invalid(void)
{
    static const struct {
        const char *text;
        int code;
    } cases[] = {
        { "{}", -32600 }, { "1", -32600 }, { "\"x\"", -32600 },
        { "null", -32600 }, { "[]", -32600 }, { "{", -32700 },
        { "", -32700 }, { "\xff", -32700 },
        { R "\"method\":\"\xff\",\"id\":1}", -32700 },
        { "{\"jsonrpc\":\"1.0\",\"method\":\"get_data\",\"id\":1}", -32600 },
        { "{\"jsonrpc\":2.0,\"method\":\"get_data\",\"id\":1}", -32600 },
        { "{\"method\":\"get_data\",\"id\":1}", -32600 },
        { R "\"id\":1}", -32600 },
        { R "\"method\":1,\"id\":1}", -32600 },
        { R "\"method\":\"get_data\",\"params\":1,\"id\":1}", -32600 },
        { R "\"method\":\"get_data\",\"params\":null,\"id\":1}", -32600 },
        { R "\"method\":\"get_data\\u0000\",\"id\":1}", -32600 },
        { R "\"method\":\"nope\",\"id\":1}", -32601 },
        { R "\"method\":\"\",\"id\":1}", -32601 },
        { R "\"method\":\"get_data\",\"params\":[1],\"id\":1}", -32602 },
        { R "\"method\":\"get_data\",\"params\":{\"x\":1},\"id\":1}",
          -32602 },
        { R "\"method\":\"subtract\",\"id\":1}", -32602 },
        { R "\"method\":\"subtract\",\"params\":[1],\"id\":1}", -32602 },
        { R "\"method\":\"subtract\",\"params\":[1,\"2\"],\"id\":1}",
          -32602 },
        { R "\"method\":\"subtract\",\"params\":[1,2.5],\"id\":1}", -32602 },
        { R "\"method\":\"subtract\",\"params\":[1,null],\"id\":1}",
          -32602 },
        { R "\"method\":\"fail\",\"id\":1}", -32006 },
    };

    begin();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (ask_code(cases[i].text) != cases[i].code) {
            printf("\n%s -> %s\n", cases[i].text, got);
            CU_FAIL("code");
        }
    }
    const struct rpc_counters *n = rpc_core_counters(core);
    CU_ASSERT_EQUAL(counter_get(&n->parse_errors), 4);
    CU_ASSERT_EQUAL(counter_get(&n->invalid_requests), 13);
    CU_ASSERT_EQUAL(counter_get(&n->unknown_methods), 2);
    CU_ASSERT_EQUAL(counter_get(&n->invalid_params), 7);
    CU_ASSERT_EQUAL(counter_get(&n->failed), 1);
    end();
}

#define ECHO(PARAMS) R "\"method\":\"echo\",\"params\":" PARAMS ",\"id\":1}"

static void
test_params(void)
{
    static const char *const good[] = {
        "{}", "[]", "{\"string\":\"x\",\"integer\":1,\"number\":1.5}",
        "{\"number\":2,\"boolean\":false,\"array\":[],\"object\":{}}",
        "{\"any\":null}", "{\"string\":null}", "{\"time\":\"-1h\"}",
        "{\"time\":1732000000}", "{\"time\":\"2026-11-23T05:00:00Z\"}",
        "{\"duration\":\"15m\"}", "{\"duration\":60}",
        "{\"words\":[\"x\",\"y\"]}", "[\"s\",1,2.5,true,[],{}]",
    };
    static const char *const bad[][2] = {
        { "{\"string\":1}", "string" }, { "{\"integer\":\"1\"}", "integer" },
        { "{\"integer\":1.0}", "integer" }, { "{\"number\":true}", "number" },
        { "{\"boolean\":1}", "boolean" }, { "{\"array\":{}}", "array" },
        { "{\"object\":[]}", "object" }, { "{\"other\":1}", "other" },
        { "{\"time\":\"yesterday\"}", "time" }, { "{\"time\":[]}", "time" },
        { "{\"duration\":\"x\"}", "duration" },
        { "{\"duration\":-1}", "duration" },
        { "{\"words\":[\"x\",\"z\"]}", "words[1]" },
        { "{\"words\":[\"x\",\"y\",\"x\"]}", "words" },
        { "{\"string\":\"a\\u0000b\"}", "string" },
        { "{\"integer\":99999999999999999999}", "integer" },
        { "[1,2,3,4,5,6,7,8,9,10,11]", "[10]" },
    };
    char text[512];

    begin();
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        snprintf(text, sizeof text, ECHO("%s"), good[i]);
        if (ask_code(text)) {
            printf("\n%s -> %s\n", good[i], got);
            CU_FAIL("refused");
        }
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(text, sizeof text, ECHO("%s"), bad[i][0]);
        CU_ASSERT_EQUAL(ask_code(text), -32602);
        CU_ASSERT_STRING_EQUAL(ask_data(text, "member"), bad[i][1]);
        CU_ASSERT(*ask_data(text, "reason") != '\0');
        CU_ASSERT(*ask_data(text, "expected") != '\0');
    }
    CU_ASSERT(strstr(ask(ECHO("[\"s\",7]")), "\"integer\":7") != NULL);
    /* A null says nothing, unless anything may be said. */
    CU_ASSERT(strstr(ask(ECHO("{\"string\":null}")), "\"result\":{}")
              != NULL);
    CU_ASSERT(strstr(ask(ECHO("{\"any\":null}")), "\"any\":null") != NULL);
    end();
}

static void
test_batches(void)
{
    begin();
    /* Nothing to say: nothing is said. */
    ask("[" R "\"method\":\"update\"}," R "\"method\":\"nope\"}]");
    CU_ASSERT_EQUAL(n_got, 0);
    ask("[1," R "\"method\":\"sum\",\"params\":[1,2],\"id\":\"s\"}]");
    CU_ASSERT_EQUAL(n_got, 1);
    struct json_object *o = parse(got);
    CU_ASSERT_EQUAL(json_object_array_length(o), 2);
    CU_ASSERT_EQUAL(code_of(json_object_array_get_idx(o, 0)), -32600);
    json_object_put(o);

    /* One answer when the last is there. */
    ask("[" R "\"method\":\"later\",\"id\":1}," R "\"method\":\"sum\","
        "\"id\":2}," R "\"method\":\"later\",\"id\":3}]");
    CU_ASSERT_EQUAL(n_got, 0);
    CU_ASSERT_EQUAL(rpc_peer_pending(peer), 2);
    rpc_reply(later[1], json_object_new_int(33));
    CU_ASSERT_EQUAL(n_got, 0);
    rpc_fail(later[0], RPC_BUSY, NULL, "no");
    CU_ASSERT_EQUAL(n_got, 1);
    CU_ASSERT_EQUAL(rpc_peer_pending(peer), 0);
    o = parse(got);
    CU_ASSERT_EQUAL(json_object_array_length(o), 3);
    json_object_put(o);

    /* Too many. */
    char *big = malloc(4 * (RPC_MAX_BATCH + 2));
    strcpy(big, "[1");
    for (int i = 0; i < RPC_MAX_BATCH; i++) {
        strcat(big, ",1");
    }
    strcat(big, "]");
    CU_ASSERT_EQUAL(ask_code(big), -32600);
    free(big);
    end();
}

static void
test_later(void)
{
    begin();
    ask(R "\"method\":\"later\",\"id\":1}");
    ask(R "\"method\":\"later\",\"id\":2}");
    ask(R "\"method\":\"later\"}");
    ask("[" R "\"method\":\"later\",\"id\":4}]");
    CU_ASSERT_EQUAL(rpc_peer_pending(peer), 4);
    rpc_reply(later[1], json_object_new_int(22));
    CU_ASSERT_STRING_EQUAL(got, "{\"jsonrpc\":\"2.0\",\"result\":22,"
                           "\"id\":2}");

    /* The client goes; answers come late and go nowhere. */
    n_got = 0;
    end();
    CU_ASSERT_EQUAL(n_cancelled, 3);
    rpc_reply(later[0], json_object_new_int(1));
    rpc_reply(later[2], NULL);
    rpc_fail(later[3], RPC_FAILED, NULL, "x");
    CU_ASSERT_EQUAL(n_got, 0);
}

static void
test_utf8_out(void)
{
    begin();
    struct json_object *o = parse(ask(R "\"method\":\"raw\",\"id\":1}")), *v;
    json_object_object_get_ex(o, "result", &v);
    CU_ASSERT_STRING_EQUAL(json_object_get_string(v), "a?\xc3\xa9??");
    json_object_put(o);
    end();
}

/* Truncated or damaged requests: always one answer, always JSON. */
static void
test_damaged(void)
{
    static const char text[] = "[" ECHO("{\"string\":\"\xc3\xa9\","
        "\"array\":[1,2,{\"a\":null}]}") "," R "\"method\":\"sum\"}]";
    size_t size = sizeof text - 1;

    begin();
    for (size_t n = 0; n < size; n++) {
        ask_n(text, n);
        CU_ASSERT_EQUAL(n_got, 1);
        struct json_object *o = parse(got);
        CU_ASSERT_EQUAL(code_of(o), -32700);
        json_object_put(o);
    }
    char *copy = memdup_exact(text, size);
    unsigned seed = 1;
    for (int i = 0; i < 5000; i++) {
        seed = seed * 1103515245 + 12345;
        size_t at = seed / 65536 % size;
        char old = copy[at];
        copy[at] = (char) (seed >> 8);
        ask_n(copy, size);
        if (n_got) {
            json_object_put(parse(got));
        }
        copy[at] = old;
    }
    free(copy);
    end();
}

static void
test_schema(void)
{
    struct json_object *schema = parse(
        "{\"type\":\"object\",\"required\":[\"a\"],\"properties\":{"
        "\"a\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":9},"
        "\"b\":{\"anyOf\":[{\"type\":\"null\"},{\"type\":\"string\","
        "\"pattern\":\"^x\",\"maxLength\":3}]},"
        "\"c\":{\"type\":\"array\",\"minItems\":1,\"items\":{\"type\":"
        "[\"integer\",\"null\"]}}},\"additionalProperties\":false}");
    static const struct {
        const char *value, *path;
    } cases[] = {
        { "{\"a\":1}", NULL }, { "{\"a\":9,\"b\":null,\"c\":[1,null]}", NULL },
        { "{\"a\":1,\"b\":\"xyz\"}", NULL }, { "{}", "" }, { "1", "" },
        { "{\"a\":0}", "a" }, { "{\"a\":10}", "a" }, { "{\"a\":1.5}", "a" },
        { "{\"a\":1,\"b\":\"y\"}", "b" }, { "{\"a\":1,\"b\":\"xxxx\"}", "b" },
        { "{\"a\":1,\"c\":[]}", "c" }, { "{\"a\":1,\"c\":[1,\"x\"]}", "c[1]" },
        { "{\"a\":1,\"d\":1}", "d" },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct json_object *v = parse(cases[i].value);
        struct schema_error e;
        bool ok = schema_check(schema, v, &e);
        CU_ASSERT_EQUAL(ok, !cases[i].path);
        if (!ok) {
            CU_ASSERT_STRING_EQUAL(e.path, cases[i].path);
        }
        json_object_put(v);
    }
    json_object_put(schema);
}

UNIT_MAIN("jsonrpc", UNIT_TEST(test_json_values),
          UNIT_TEST(test_json_refused), UNIT_TEST(test_json_limits),
          UNIT_TEST(test_json_truncated), UNIT_TEST(test_json_pieces),
          UNIT_TEST(test_json_suite), UNIT_TEST(test_spec_examples),
          UNIT_TEST(test_ids), UNIT_TEST(test_invalid),
          UNIT_TEST(test_params), UNIT_TEST(test_batches),
          UNIT_TEST(test_later), UNIT_TEST(test_utf8_out),
          UNIT_TEST(test_damaged), UNIT_TEST(test_schema))
