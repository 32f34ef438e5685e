/* The method table, and the server on a real socket with nothing behind it. */
#include <config.h>

#include "api/methods.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <ev.h>

#include "api/config.h"
#include "api/context.h"
#include "api/jsonrpc.h"
#include "api/schema.h"
#include "api/server.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "tests/unit/unit.h"

static struct json_object *
parse(const char *text)
{
    struct json_limits limits = json_default_limits;
    struct json_object *o = NULL;

    limits.size = SIZE_MAX;
    if (!text || json_parse(text, strlen(text), &limits, 0, &o, NULL)) {
        return NULL;
    }
    return o;
}

static struct json_object *
get(struct json_object *o, const char *name)
{
    struct json_object *v = NULL;

    json_object_object_get_ex(o, name, &v);
    return v;
}

#define EACH_METHOD(M)                                                   \
    for (const struct rpc_method *const *t_##M = method_tables; *t_##M;  \
         t_##M++)                                                       \
        for (const struct rpc_method *M = *t_##M; M->name; M++)

/* ---- The table. ---- */

/* "word.word", small letters. */
static bool
good_name(const char *name)
{
    bool dot = false;

    for (const char *p = name; *p; p++) {
        if (*p == '.') {
            if (p == name || !p[1] || p[1] == '.') {
                return false;
            }
            dot = true;
        } else if (!islower((unsigned char) *p) && *p != '_') {
            return false;
        }
    }
    return dot;
}

static void
check_params(const struct rpc_method *m)
{
    for (const struct rpc_param *p = m->params; p && p->name; p++) {
        struct json_object *schema = rpc_param_schema(p);
        if (!json_object_is_type(schema, json_type_object) || !p->doc
            || !*p->doc) {
            printf("\n%s: %s has no schema or documentation\n", m->name,
                   p->name);
            CU_FAIL("parameter");
        }
        for (const struct rpc_param *q = m->params; q < p; q++) {
            CU_ASSERT_STRING_NOT_EQUAL(p->name, q->name);
        }
        json_object_put(schema);
    }
}

static void
test_table(void)
{
    int n = 0;

    EACH_METHOD(m) {
        struct json_object *schema = parse(m->result_schema);
        struct json_object *result = parse(m->example_result);
        struct schema_error e;

        n++;
        if (!good_name(m->name) || !m->summary || !*m->summary || !m->call) {
            printf("\n%s\n", m->name);
            CU_FAIL("row");
        }
        EACH_METHOD(other) {
            CU_ASSERT(m == other || strcmp(m->name, other->name));
        }
        if (!json_object_is_type(schema, json_type_object) || !result) {
            printf("\n%s: schema or example does not parse\n", m->name);
            CU_FAIL("schema");
        } else if (!schema_check(schema, result, &e)) {
            printf("\n%s: the example's \"%s\": %s; expected %s\n", m->name,
                   e.path, e.reason, e.expected);
            CU_FAIL("example");
        }
        if (m->example_params) {
            struct json_object *params = parse(m->example_params);
            CU_ASSERT(json_object_is_type(params, json_type_object));
            json_object_put(params);
        }
        check_params(m);
        json_object_put(schema);
        json_object_put(result);
    }
    CU_ASSERT(n >= 10);
}

/* What https://meta.open-rpc.org/ requires of a document. */
static void
test_discover(void)
{
    struct json_object *o = methods_discover(method_tables);
    struct json_object *schema = parse(
        "{\"type\":\"object\",\"required\":[\"openrpc\",\"info\","
        "\"methods\"],\"additionalProperties\":false,\"properties\":{"
        "\"openrpc\":{\"pattern\":\"^1\\\\.[0-9]+\\\\.[0-9]+$\"},"
        "\"info\":{\"type\":\"object\",\"required\":[\"title\",\"version\"],"
        "\"properties\":{\"title\":{\"type\":\"string\"},"
        "\"version\":{\"type\":\"string\"},"
        "\"description\":{\"type\":\"string\"},"
        "\"license\":{\"type\":\"object\",\"properties\":{"
        "\"name\":{\"type\":\"string\"}}}},\"additionalProperties\":false},"
        "\"components\":{\"type\":\"object\",\"properties\":{\"errors\":"
        "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"object\","
        "\"required\":[\"code\",\"message\"]}}}},"
        "\"methods\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
        "\"required\":[\"name\",\"params\",\"result\",\"summary\","
        "\"examples\"],\"additionalProperties\":false,\"properties\":{"
        "\"name\":{\"type\":\"string\",\"minLength\":3},"
        "\"summary\":{\"type\":\"string\",\"minLength\":3},"
        "\"x-confined\":{\"type\":\"boolean\"},"
        "\"x-role\":{\"enum\":[\"viewer\",\"operator\",\"orchestrator\","
        "\"admin\",\"anybody\"]},"
        "\"tags\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
        "\"required\":[\"name\"]}},"
        "\"paramStructure\":{\"enum\":[\"by-name\",\"by-position\","
        "\"either\"]},"
        "\"params\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
        "\"required\":[\"name\",\"schema\"],\"properties\":{"
        "\"name\":{\"type\":\"string\"},\"required\":{\"type\":\"boolean\"},"
        "\"description\":{\"type\":\"string\"},"
        "\"schema\":{\"type\":\"object\"}},\"additionalProperties\":false}},"
        "\"result\":{\"type\":\"object\",\"required\":[\"name\",\"schema\"],"
        "\"properties\":{\"schema\":{\"type\":\"object\"}}},"
        "\"examples\":{\"type\":\"array\",\"minItems\":1,\"items\":{"
        "\"type\":\"object\",\"required\":[\"name\",\"params\",\"result\"],"
        "\"properties\":{\"params\":{\"type\":\"array\",\"items\":{"
        "\"required\":[\"name\",\"value\"]}},\"result\":{\"type\":"
        "\"object\",\"required\":[\"name\",\"value\"]}}}}}}}}}");
    struct schema_error e = { .path = "" };

    CU_ASSERT_PTR_NOT_NULL_FATAL(schema);
    if (!schema_check(schema, o, &e)) {
        printf("\n%s: %s; expected %s\n", e.path, e.reason, e.expected);
        CU_FAIL("not OpenRPC");
    }
    /* By position, what is required comes first. */
    struct json_object *methods = get(o, "methods");
    for (size_t i = 0; i < json_object_array_length(methods); i++) {
        struct json_object *m = json_object_array_get_idx(methods, i);
        struct json_object *params = get(m, "params");
        bool optional = false;
        for (size_t j = 0; j < json_object_array_length(params); j++) {
            struct json_object *p = json_object_array_get_idx(params, j);
            bool required = json_object_get_boolean(get(p, "required"));
            CU_ASSERT(!required || !optional);
            optional |= !required;
        }
    }
    json_object_put(schema);
    json_object_put(o);
}

/* The page about the API names every method. */
static void
test_page(void)
{
    const char *srcdir = getenv("VENTURI_SRCDIR");
    char file[512], name[80];
    static char text[65536];

    snprintf(file, sizeof file, "%s/doc/api.md", srcdir ? srcdir : ".");
    FILE *f = fopen(file, "r");
    if (!f) {
        printf("\n    skipped: no %s\n    ", file);
        return;
    }
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    EACH_METHOD(m) {
        snprintf(name, sizeof name, "`%s`", m->name);
        if (!strstr(text, name)) {
            printf("\nnot in doc/api.md: %s\n", m->name);
            CU_FAIL("page");
        }
    }
}

/* ---- Methods with nothing behind them. ---- */

static char *answer;

static void
on_send(void *aux, const char *text, size_t n)
{
    (void) aux;
    free(answer);
    answer = strndup(text, n);
}

static const struct rpc_transport transport = { .send = on_send };

/* The answer to one request, parsed; NULL if it does not come at once. */
static struct json_object *
call(struct rpc_peer *peer, const char *method, const char *params)
{
    char *text;

    if (asprintf(&text, "{\"jsonrpc\":\"2.0\",\"method\":\"%s\",\"params\":%s,"
                 "\"id\":1}", method, params ? params : "{}") < 0) {
        return NULL;
    }
    free(answer);
    answer = NULL;
    rpc_peer_text(peer, text, strlen(text), false);
    free(text);
    return parse(answer);
}

static void
check_answer(const struct rpc_method *m, struct json_object *o)
{
    struct json_object *result = get(o, "result"), *error = get(o, "error");
    struct json_object *schema = parse(m->result_schema);
    struct schema_error e;

    if (error) {
        int code = json_object_get_int(get(error, "code"));
        if (code != RPC_UNAVAILABLE && code != RPC_NOT_FOUND) {
            printf("\n%s: %s\n", m->name, answer);
            CU_FAIL("error");
        }
    } else if (!schema_check(schema, result, &e)) {
        printf("\n%s: %s: %s; expected %s\n%s\n", m->name, e.path, e.reason,
               e.expected, answer);
        CU_FAIL("answer does not fit its schema");
    }
    json_object_put(schema);
}

static void
call_all(struct api_context *context)
{
    struct rpc_core *core = rpc_core_create(method_tables,
                                            &json_default_limits, NULL,
                                            context);
    struct rpc_peer *peer = rpc_peer_create(core, &transport, NULL, NULL);

    EACH_METHOD(m) {
        struct json_object *o = call(peer, m->name, m->example_params);
        if (!o) {
            printf("\n%s: no answer\n", m->name);
            CU_FAIL("no answer");
            continue;
        }
        check_answer(m, o);
        json_object_put(o);
    }
    rpc_peer_destroy(peer);
    rpc_core_unref(core);
    free(answer);
    answer = NULL;
}

static void
test_nothing_runs(void)
{
    struct api_context context = { .started_us = 1 };

    call_all(&context);
}

static void
test_with_config(void)
{
    struct config_error e;
    struct api_context context = {
        .config = config_load(NULL, false, NULL, &e),
    };

    CU_ASSERT_PTR_NOT_NULL_FATAL(context.config);
    call_all(&context);
    config_store_destroy(context.config);
}

/* ---- The server. ---- */

static struct ev_loop *loop;
static struct api *api;
static char dir[] = "/tmp/venturi-test-api-XXXXXX";
static char path[64];

static void
run(int rounds)
{
    while (rounds--) {
        ev_run(loop, EVRUN_NOWAIT);
    }
}

static void
begin(uint32_t max_clients, size_t max_request)
{
    struct api_limits limits = { max_clients, max_request };
    char *error;

    log_set_level("off");
    strcpy(dir + sizeof dir - 7, "XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/api.sock", dir);
    loop = ev_loop_new(EVFLAG_AUTO);
    api = api_create(loop, NULL, &limits);
    CU_ASSERT_PTR_NOT_NULL_FATAL(api);
    CU_ASSERT_EQUAL(api_listen(api, path, &error), 0);
}

static void
end(void)
{
    api_destroy(api);
    ev_loop_destroy(loop);
    CU_ASSERT_EQUAL(rmdir(dir), 0);     /* The socket is gone. */
}

static int
connect_client(void)
{
    struct sockaddr_un sun = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

    snprintf(sun.sun_path, sizeof sun.sun_path, "%s", path);
    CU_ASSERT_EQUAL(connect(fd, (struct sockaddr *) &sun, sizeof sun), 0);
    return fd;
}

static void
put(int fd, const char *text)
{
    CU_ASSERT_EQUAL(send(fd, text, strlen(text), MSG_NOSIGNAL),
                    (ssize_t) strlen(text));
}

static char in[1 << 20];

/* What has come back so far. */
static const char *
take(int fd)
{
    size_t n = 0;

    for (int i = 0; i < 20; i++) {
        run(1);
        ssize_t got = recv(fd, in + n, sizeof in - 1 - n, 0);
        n += got > 0 ? (size_t) got : 0;
    }
    in[n] = '\0';
    return in;
}

static int
lines(const char *text)
{
    int n = 0;

    while ((text = strchr(text, '\n'))) {
        n++;
        text++;
    }
    return n;
}

/* True once the server has closed the connection. */
static bool
closed(int fd)
{
    char c;
    int64_t until = clock_mono_ms() + 3000;

    while (clock_mono_ms() < until) {
        run(1);
        ssize_t n = recv(fd, &c, 1, 0);
        if (!n || (n < 0 && errno != EAGAIN)) {
            return true;
        }
    }
    return false;
}

#define HEALTH "{\"jsonrpc\":\"2.0\",\"method\":\"system.health\",\"id\":1}"

static void
test_stream(void)
{
    struct stat st;

    begin(0, 0);
    CU_ASSERT_EQUAL(stat(path, &st), 0);
    CU_ASSERT_EQUAL(st.st_mode & 0777, 0660);
    int fd = connect_client();
    put(fd, HEALTH);
    CU_ASSERT_EQUAL(lines(take(fd)), 1);
    CU_ASSERT(strstr(in, "\"degraded\"") != NULL);
    put(fd, HEALTH HEALTH "\n\n  " HEALTH "[" HEALTH "]");
    CU_ASSERT_EQUAL(lines(take(fd)), 4);

    for (const char *p = HEALTH; *p; p++) {     /* Byte by byte. */
        CU_ASSERT_EQUAL(send(fd, p, 1, 0), 1);
        run(2);
    }
    CU_ASSERT_EQUAL(lines(take(fd)), 1);

    /* After what is not JSON, the next line counts. */
    put(fd, "{nonsense} " HEALTH "\n" HEALTH "\n");
    CU_ASSERT_EQUAL(lines(take(fd)), 2);
    CU_ASSERT(strstr(in, "-32700") != NULL);
    CU_ASSERT(strstr(in, "\"column\":2") != NULL);
    CU_ASSERT(strstr(in, "\"degraded\"") != NULL);
    put(fd, "a\nb\nc\nd\ne\nf\ng\nh\ni\n" HEALTH);
    CU_ASSERT_EQUAL(lines(take(fd)), 8);
    CU_ASSERT(closed(fd));
    close(fd);
    run(5);
    CU_ASSERT_EQUAL(api_n_clients(api), 0);
    end();
}

static void
test_half_close(void)
{
    begin(0, 0);
    int fd = connect_client();
    put(fd, HEALTH HEALTH);
    shutdown(fd, SHUT_WR);
    CU_ASSERT_EQUAL(lines(take(fd)), 2);
    CU_ASSERT(closed(fd));
    close(fd);
    fd = connect_client();
    put(fd, "{\"jsonrpc\":");
    shutdown(fd, SHUT_WR);
    CU_ASSERT(strstr(take(fd), "-32700") != NULL);
    CU_ASSERT(closed(fd));
    close(fd);
    end();
}

static long
max_rss(void)
{
    struct rusage u;

    getrusage(RUSAGE_SELF, &u);
    return u.ru_maxrss;
}

/* 100 MB in one string: refused at the limit, the rest thrown away. */
static void
test_too_large(void)
{
    static char chunk[65536];
    size_t sent = 0;
    bool gone = false;

    begin(0, 0);
    int fd = connect_client();
    put(fd, "{\"jsonrpc\":\"2.0\",\"method\":\"");
    memset(chunk, 'x', sizeof chunk);
    long before = max_rss();
    in[0] = '\0';
    while (sent < 100u << 20 && !gone) {
        ssize_t n = send(fd, chunk, sizeof chunk, MSG_NOSIGNAL);
        if (n > 0) {
            sent += (size_t) n;
        } else if (errno != EAGAIN) {
            gone = true;
        }
        run(1);
        if (!*in) {
            n = recv(fd, in, sizeof in - 1, 0);
            in[n > 0 ? n : 0] = '\0';
        }
    }
    CU_ASSERT(strstr(in, "-32000") != NULL);
    CU_ASSERT(max_rss() - before < 40000);
    close(fd);
    run(5);
    CU_ASSERT_EQUAL(api_n_clients(api), 0);
    end();
}

#define N_CLIENTS 1000

static void
test_clients(void)
{
    static int fds[N_CLIENTS];
    struct rlimit r;

    begin(0, 0);
    getrlimit(RLIMIT_NOFILE, &r);
    if (r.rlim_cur < 2 * N_CLIENTS + 64) {
        printf("\n    skipped: only %ld descriptors\n    ",
               (long) r.rlim_cur);
        end();
        return;
    }
    long before = max_rss();
    for (int i = 0; i < N_CLIENTS; i++) {
        fds[i] = connect_client();
        run(1);
    }
    run(5);
    CU_ASSERT_EQUAL(api_n_clients(api), N_CLIENTS);
    CU_ASSERT(max_rss() - before < 20000);
    for (int i = 0; i < N_CLIENTS; i++) {
        put(fds[i], HEALTH);
    }
    run(50);
    for (int i = 0; i < N_CLIENTS; i++) {
        ssize_t n = recv(fds[i], in, sizeof in - 1, 0);
        CU_ASSERT(n > 0 && in[n - 1] == '\n');
        close(fds[i]);
    }
    run(50);
    CU_ASSERT_EQUAL(api_n_clients(api), 0);
    end();
}

static void
test_max_clients(void)
{
    begin(2, 0);
    int a = connect_client(), b = connect_client(), c = connect_client();
    CU_ASSERT(strstr(take(c), "-32001") != NULL);
    CU_ASSERT(closed(c));
    put(a, HEALTH);
    CU_ASSERT_EQUAL(lines(take(a)), 1);
    CU_ASSERT_EQUAL(counter_get(&api_counters(api)->refused), 1);
    close(a);
    close(b);
    close(c);
    end();
}

/* Whoever does not read is not read, and is not kept in memory. */
static void
test_back_pressure(void)
{
    size_t sent = 0;
    int idle = 0;

    begin(0, 0);
    int fd = connect_client();
    while (idle < 50 && sent < 64u << 20) {
        ssize_t n = send(fd, HEALTH, strlen(HEALTH), MSG_NOSIGNAL);
        if (n == (ssize_t) strlen(HEALTH)) {
            sent += (size_t) n;
            idle = 0;
        } else if (n > 0) {     /* The rest of it must follow. */
            const char *rest = &HEALTH[n];
            while (*rest) {
                n = send(fd, rest, strlen(rest), MSG_NOSIGNAL);
                rest += n > 0 ? n : 0;
                run(1);
                if (n < 0 && ++idle > 50) {
                    break;
                }
            }
        } else {
            idle++;
        }
        run(1);
    }
    CU_ASSERT(sent < 4u << 20);
    CU_ASSERT(counter_get(&api_counters(api)->octets_out) < 4u << 20);
    /* It goes on when it reads. */
    int n = 0;
    for (int i = 0; i < 200; i++) {
        n += lines(take(fd));
    }
    CU_ASSERT((size_t) n >= sent / strlen(HEALTH) - 1);
    close(fd);
    run(5);
    end();
}

static void
test_descriptors(void)
{
    struct rlimit r, less;
    struct sockaddr_un sun = { .sun_family = AF_UNIX };

    begin(0, 0);
    int a = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    int b = connect_client();
    run(3);
    int top = dup(a);
    close(top);
    getrlimit(RLIMIT_NOFILE, &r);
    less = r;
    less.rlim_cur = (rlim_t) top;       /* Not one more. */
    setrlimit(RLIMIT_NOFILE, &less);
    snprintf(sun.sun_path, sizeof sun.sun_path, "%s", path);
    CU_ASSERT_EQUAL(connect(a, (struct sockaddr *) &sun, sizeof sun), 0);
    CU_ASSERT(closed(a));
    put(b, HEALTH);
    CU_ASSERT_EQUAL(lines(take(b)), 1);
    setrlimit(RLIMIT_NOFILE, &r);
    CU_ASSERT(counter_get(&api_counters(api)->no_descriptor) > 0);
    close(a);
    /* The listener comes back after its pause. */
    int64_t until = clock_mono_ms() + 3000;
    a = connect_client();
    while (api_n_clients(api) < 2 && clock_mono_ms() < until) {
        run(1);
    }
    CU_ASSERT_EQUAL(api_n_clients(api), 2);
    close(a);
    close(b);
    end();
}

static void
test_listen(void)
{
    struct ev_loop *loop2 = ev_loop_new(EVFLAG_AUTO);
    struct api *other = api_create(loop2, NULL, NULL);
    char *error = NULL, address[80], file[80];

    begin(0, 0);
    /* A living one is left alone. */
    snprintf(address, sizeof address, "unix:%s", path);
    CU_ASSERT_EQUAL(api_listen(other, address, &error), -EADDRINUSE);
    CU_ASSERT(error && strstr(error, path));
    free(error);
    /* What is not a socket, too. */
    snprintf(file, sizeof file, "%s/file", dir);
    fclose(fopen(file, "w"));
    CU_ASSERT_EQUAL(api_listen(other, file, &error), -EEXIST);
    free(error);
    unlink(file);
    CU_ASSERT_EQUAL(api_listen(other, "tcp:1", &error), -EINVAL);
    free(error);
    CU_ASSERT(api_listen(other, "/nonexistent/api.sock", &error) < 0);
    CU_ASSERT(error && strstr(error, "/nonexistent/api.sock"));
    free(error);
    /* A dead one is removed. */
    struct sockaddr_un sun = { .sun_family = AF_UNIX };
    snprintf(sun.sun_path, sizeof sun.sun_path, "%s/dead", dir);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CU_ASSERT_EQUAL(bind(fd, (struct sockaddr *) &sun, sizeof sun), 0);
    close(fd);
    CU_ASSERT_EQUAL(api_listen(other, sun.sun_path, &error), 0);
    api_destroy(other);
    ev_loop_destroy(loop2);
    end();
}

static int n_posted;

static void
on_post(void *aux)
{
    n_posted += (int) (intptr_t) aux;
}

static void *
poster(void *aux)
{
    for (int i = 0; i < 1000; i++) {
        api_post(api, on_post, (void *) 1);
    }
    return aux;
}

static void
test_post(void)
{
    pthread_t threads[4];

    begin(0, 0);
    n_posted = 0;
    for (int i = 0; i < 4; i++) {
        pthread_create(&threads[i], NULL, poster, NULL);
    }
    run(10);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    int64_t until = clock_mono_ms() + 3000;
    while (n_posted < 4000 && clock_mono_ms() < until) {
        run(1);
    }
    CU_ASSERT_EQUAL(n_posted, 4000);
    api_post(api, on_post, (void *) 1);
    end();                      /* Runs what is left. */
    CU_ASSERT_EQUAL(n_posted, 4001);
}

/* Random bytes, connection after connection. */
static void
test_garbage(void)
{
    unsigned seed = 7;

    begin(0, 0);
    for (int i = 0; i < 200; i++) {
        char text[257];
        int fd = connect_client();
        for (size_t j = 0; j < sizeof text; j++) {
            seed = seed * 1103515245 + 12345;
            text[j] = i % 2 ? (char) (seed >> 16)
                            : "{}[]\",:\\ \n0truefalsn"[(seed >> 16) % 20];
        }
        CU_ASSERT(send(fd, text, sizeof text, MSG_NOSIGNAL) > 0);
        if (i % 3) {
            shutdown(fd, SHUT_WR);
        }
        run(3);
        close(fd);
        run(1);
    }
    run(10);
    CU_ASSERT_EQUAL(api_n_clients(api), 0);
    end();
}

UNIT_MAIN("methods", UNIT_TEST(test_table), UNIT_TEST(test_discover),
          UNIT_TEST(test_page),
          UNIT_TEST(test_nothing_runs), UNIT_TEST(test_with_config),
          UNIT_TEST(test_stream), UNIT_TEST(test_half_close),
          UNIT_TEST(test_too_large), UNIT_TEST(test_clients),
          UNIT_TEST(test_max_clients), UNIT_TEST(test_back_pressure),
          UNIT_TEST(test_descriptors), UNIT_TEST(test_listen),
          UNIT_TEST(test_post), UNIT_TEST(test_garbage))
