#include <config.h>

#include "collector/input/input.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>
#include <urcu.h>

#include "collector/exporter/source_table.h"
#include "collector/input/pace.h"
#include "collector/input/socket.h"
#include "collector/input/steer.h"
#include "collector/template/template.h"
#include "lib/dict.h"
#include "lib/ring.h"
#include "lib/source.h"
#include "tests/unit/unit.h"

/* A store that keeps up to 'room' batches. */
static struct ring *ring;
static _Atomic bool refuse;

static struct flow_batch *
get(void *aux)
{
    (void) aux;
    return atomic_load(&refuse) ? NULL : batch_create();
}

static bool
submit(void *aux, struct flow_batch *b, bool first)
{
    (void) aux;
    (void) first;
    return ring_push(ring, b);
}

static struct dict *dict;
static struct source_table *sources;
static struct template_cache *templates;
static struct decoder_counters counters;

static struct input *
open_on(const char *address, char **error)
{
    struct input_listen listen[] = {
        { .address = address, .name = "netflow" },
    };
    struct input_config c = {
        .listen = listen, .n_listen = 1, .workers = 2,
        .receive_buffer = 1 << 20, .dict = dict, .sources = sources,
        .templates = templates, .counters = &counters,
        .get = get, .submit = submit,
    };
    return input_open(&c, error);
}

/* NetFlow v5: one header, one record of 7 packets and 700 octets. */
static size_t
netflow5(uint8_t *p)
{
    memset(p, 0, 72);
    p[1] = 5;
    p[3] = 1;
    p[24] = 10;                         /* src 10.0.0.1 */
    p[27] = 1;
    p[28] = 10;                         /* dst 10.0.0.2 */
    p[31] = 2;
    p[24 + 19] = 7;
    p[24 + 22] = 700 >> 8;
    p[24 + 23] = 700 & 0xff;
    return 72;
}

static int
connect_to(const char *address)
{
    struct addr a;
    uint16_t port;
    CU_ASSERT_EQUAL_FATAL(endpoint_parse(address, 0, &a, &port), 0);
    struct sockaddr_in in = { .sin_family = AF_INET,
                              .sin_port = htons(port) };
    memcpy(&in.sin_addr, a.b + 12, 4);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    CU_ASSERT_EQUAL_FATAL(connect(fd, (struct sockaddr *) &in, sizeof in), 0);
    return fd;
}

static void
test_way_in(void)
{
    char *error;
    struct input *in = open_on("127.0.0.1:0", &error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(in);
    struct input_status st;
    CU_ASSERT_EQUAL(input_status(in, &st, 1), 1);
    CU_ASSERT_EQUAL(input_n_workers(in), 2);

    /* Sent before the workers run: held by the kernel, not lost. */
    uint8_t buf[72];
    size_t size = netflow5(buf);
    int fd = connect_to(st.address);
    CU_ASSERT_EQUAL(send(fd, buf, size, 0), (ssize_t) size);
    CU_ASSERT_EQUAL(input_start(in), 0);
    struct flow_batch *b = ring_pop(ring, 5000);
    CU_ASSERT_PTR_NOT_NULL_FATAL(b);
    CU_ASSERT_EQUAL(b->n, 1);
    CU_ASSERT_EQUAL(b->packets[0], 7);
    CU_ASSERT_EQUAL(b->bytes[0], 700);
    CU_ASSERT_TRUE(b->oldest_us > 0);
    batch_destroy(b);

    /* Sent right before the end: drained. */
    for (int i = 0; i < 100; i++) {
        CU_ASSERT_EQUAL(send(fd, buf, size, 0), (ssize_t) size);
    }
    input_stop(in);
    uint32_t n = 0;
    while ((b = ring_pop(ring, 0))) {
        n += b->n;
        batch_destroy(b);
    }
    CU_ASSERT_EQUAL(n, 100);
    input_status(in, &st, 1);
    CU_ASSERT_EQUAL(st.datagrams, 101);
    CU_ASSERT_EQUAL(st.kernel_drops, 0);
    close(fd);
    input_destroy(in);
}

static bool
sum_ring_full(struct source *s, void *sum)
{
    *(uint64_t *) sum += counter_get(&s->n.ring_full);
    return true;
}

/* No batch to be had: counted on the source, and the worker lives on. */
static void
test_no_room(void)
{
    char *error;
    struct input *in = open_on("127.0.0.1:0", &error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(in);
    struct input_status st;
    input_status(in, &st, 1);
    atomic_store(&refuse, true);
    uint8_t buf[72];
    size_t size = netflow5(buf);
    int fd = connect_to(st.address);
    CU_ASSERT_EQUAL(input_start(in), 0);
    for (int i = 0; i < 10; i++) {
        CU_ASSERT_EQUAL(send(fd, buf, size, 0), (ssize_t) size);
    }
    uint64_t lost = 0;
    for (int i = 0; i < 500 && lost < 10; i++) {
        lost = 0;
        source_table_each(sources, sum_ring_full, &lost);
        poll(NULL, 0, 10);
    }
    CU_ASSERT_EQUAL(lost, 10);
    atomic_store(&refuse, false);
    CU_ASSERT_EQUAL(send(fd, buf, size, 0), (ssize_t) size);
    struct flow_batch *b = ring_pop(ring, 5000);
    CU_ASSERT_PTR_NOT_NULL_FATAL(b);
    CU_ASSERT_EQUAL(b->n, 1);
    batch_destroy(b);
    close(fd);
    input_destroy(in);
}

static void
test_bad_addresses(void)
{
    static const char *const bad[] = { "", "127.0.0.1", "localhost:2055",
                                       "192.0.2.77:2055", "1.2.3.4:99999" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char *error = NULL;
        CU_ASSERT_PTR_NULL(open_on(bad[i], &error));
        CU_ASSERT_PTR_NOT_NULL_FATAL(error);
        CU_ASSERT_PTR_NOT_NULL(strstr(error, bad[i]));
        free(error);
    }
}

/* Two collectors do not share a port, although our workers do. */
static void
test_port_is_ours(void)
{
    char *error = NULL;
    struct input *in = open_on("127.0.0.1:0", &error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(in);
    struct input_status st;
    input_status(in, &st, 1);
    CU_ASSERT_PTR_NULL(open_on(st.address, &error));
    CU_ASSERT_PTR_NOT_NULL_FATAL(error);
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "in use"));
    free(error);
    input_destroy(in);
}

/* ---- Who goes where. ---- */

#define STEER_WORKERS 3
#define STEER_SOCKETS (2 * STEER_WORKERS + 1)

struct steered {
    int fds[STEER_SOCKETS];
    struct sockaddr_in6 to;     /* Or IPv4's. */
    socklen_t len;
};

static void
steered_open(struct steered *x, const char *address)
{
    struct addr a;
    CU_ASSERT_EQUAL_FATAL(addr_parse(address, &a), 0);
    CU_ASSERT_EQUAL(steer_n_sockets(STEER_WORKERS), STEER_SOCKETS);
    CU_ASSERT_EQUAL_FATAL(socket_bind_shared(&a, 0, 1 << 20, x->fds,
                                             STEER_SOCKETS), 0);
    x->len = sizeof x->to;
    getsockname(x->fds[0], (struct sockaddr *) &x->to, &x->len);
}

static void
steered_close(struct steered *x)
{
    for (unsigned i = 0; i < STEER_SOCKETS; i++) {
        close(x->fds[i]);
    }
}

/* The lane that a datagram from an address takes; STEER_LANES: none.  '*worker':
 * whose socket it is. */
static enum steer_lane
lane_of(struct steered *x, const char *from, unsigned *worker)
{
    struct addr a;
    struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
    struct sockaddr_in four = { .sin_family = AF_INET };
    addr_parse(from, &a);
    memcpy(&six.sin6_addr, a.b, 16);
    memcpy(&four.sin_addr, a.b + 12, 4);
    bool v4 = addr_is_v4(&a);
    int fd = socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM, 0);
    CU_ASSERT_EQUAL_FATAL(bind(fd, v4 ? (struct sockaddr *) &four
                                      : (struct sockaddr *) &six,
                               v4 ? sizeof four : sizeof six), 0);
    CU_ASSERT_EQUAL(sendto(fd, "x", 1, 0, (struct sockaddr *) &x->to, x->len),
                    1);
    close(fd);
    for (unsigned i = 0; i < STEER_SOCKETS; i++) {
        char c;
        if (recv(x->fds[i], &c, 1, MSG_DONTWAIT) == 1) {
            *worker = i % STEER_WORKERS;
            return i / STEER_WORKERS;
        }
    }
    return STEER_LANES;
}

static void
test_steer(void)
{
    struct steered x;
    struct prefix allow[3];
    struct addr known[3000];
    unsigned w, seen = 0;
    struct steer s = { .known = known, .n_known = 2,
                       .n_workers = STEER_WORKERS, .secret = 12345 };
    addr_parse("127.1.0.7", &known[0]);
    addr_parse("::1", &known[1]);
    steered_open(&x, "127.0.0.1");
    CU_ASSERT_EQUAL_FATAL(steer_attach(x.fds[0], &s, false), 0);
    CU_ASSERT_EQUAL(lane_of(&x, "127.1.0.8", &w), STEER_ANYBODY);
    CU_ASSERT_EQUAL(lane_of(&x, "127.0.0.1", &w), STEER_ANYBODY);
    for (unsigned i = 0; i < 200; i++) {        /* All workers get some. */
        CU_ASSERT_EQUAL(lane_of(&x, "127.1.0.7", &w), STEER_KNOWN);
        seen |= 1u << w;
    }
    CU_ASSERT_EQUAL(seen, (1u << STEER_WORKERS) - 1);

    prefix_parse("127.1.0.0/23", &allow[0]);
    prefix_parse("::/127", &allow[1]);
    prefix_parse("127.9.9.9", &allow[2]);
    s.allow = allow;
    s.n_allow = 3;
    CU_ASSERT_EQUAL(steer_attach(x.fds[0], &s, false), 0);
    CU_ASSERT_EQUAL(lane_of(&x, "127.1.0.7", &w), STEER_KNOWN);
    CU_ASSERT_EQUAL(lane_of(&x, "127.1.1.255", &w), STEER_ANYBODY);
    CU_ASSERT_EQUAL(lane_of(&x, "127.9.9.9", &w), STEER_ANYBODY);
    CU_ASSERT_EQUAL(lane_of(&x, "127.1.2.0", &w), STEER_REFUSED);
    CU_ASSERT_EQUAL(lane_of(&x, "127.9.9.8", &w), STEER_REFUSED);
    s.n_known = 0;              /* A name that is gone. */
    CU_ASSERT_EQUAL(steer_attach(x.fds[0], &s, false), 0);
    CU_ASSERT_EQUAL(lane_of(&x, "127.1.0.7", &w), STEER_ANYBODY);

    /* More than the kernel takes: the first ones have their place. */
    for (unsigned i = 0; i < 3000; i++) {
        known[i] = addr_from_v4_bytes((uint8_t[]) {
            127, 1, (uint8_t) (i >> 8 & 1), (uint8_t) i });
    }
    s.n_known = 3000;
    CU_ASSERT_EQUAL(steer_attach(x.fds[0], &s, false), 0);
    CU_ASSERT_EQUAL(lane_of(&x, "127.1.0.7", &w), STEER_KNOWN);
    CU_ASSERT_EQUAL(lane_of(&x, "127.9.9.8", &w), STEER_REFUSED);
    steered_close(&x);

    s.n_known = 1;
    addr_parse("::1", &known[0]);
    s.n_allow = 0;
    steered_open(&x, "::1");
    CU_ASSERT_EQUAL_FATAL(steer_attach(x.fds[0], &s, true), 0);
    CU_ASSERT_EQUAL(lane_of(&x, "::1", &w), STEER_KNOWN);
    s.n_allow = 3;
    CU_ASSERT_EQUAL(steer_attach(x.fds[0], &s, true), 0);
    CU_ASSERT_EQUAL(lane_of(&x, "::1", &w), STEER_KNOWN);
    addr_parse("::3", &known[0]);
    CU_ASSERT_EQUAL(steer_attach(x.fds[0], &s, true), 0);
    CU_ASSERT_EQUAL(lane_of(&x, "::1", &w), STEER_ANYBODY);
    prefix_parse("::2/127", &allow[1]);
    CU_ASSERT_EQUAL(steer_attach(x.fds[0], &s, true), 0);
    CU_ASSERT_EQUAL(lane_of(&x, "::1", &w), STEER_REFUSED);
    steered_close(&x);
}

/* However little room there is, the program ends with an answer. */
static void
test_steer_size(void)
{
    struct prefix allow[40];
    struct addr known[40];
    struct sock_filter f[STEER_MAX];
    struct steer s = { .known = known, .n_known = 40, .allow = allow,
                       .n_allow = 40, .n_workers = 2 };
    for (unsigned i = 0; i < 40; i++) {
        prefix_parse("2001:db8:1:2:3:4::/94", &allow[i]);
        addr_parse("2001:db8::1", &known[i]);
    }
    size_t last = 0;
    for (size_t max = 0; max < 1000; max++) {
        size_t n = steer_program(&s, true, f, max);
        CU_ASSERT_TRUE(n <= max);
        CU_ASSERT_TRUE(!n || BPF_CLASS(f[n - 1].code) == BPF_RET);
        for (size_t i = 0; i < n; i++) {        /* No jump beyond the end. */
            bool jump = BPF_CLASS(f[i].code) == BPF_JMP;
            bool always = f[i].code == (BPF_JMP | BPF_JA);
            CU_ASSERT_TRUE(!jump || (i + 1 + f[i].jf < n
                                     && (!always || i + 1 + f[i].k < n)));
        }
        last = n;
    }
    CU_ASSERT_TRUE(last > 400);
}

/* ---- TCP. ---- */

static struct input *
open_tcp(const struct prefix *allow)
{
    struct input_listen listen[] = {
        { .address = "127.0.0.1:0", .name = "ipfix", .transport = INPUT_TCP },
    };
    struct input_config c = {
        .listen = listen, .n_listen = 1, .workers = 2, .dict = dict,
        .sources = sources, .templates = templates, .counters = &counters,
        .get = get, .submit = submit, .message_ms = 200, .allow = allow,
        .n_allow = allow != NULL, .max_sessions = 8,
    };
    char *error;
    struct input *in = input_open(&c, &error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(in);
    CU_ASSERT_EQUAL(input_start(in), 0);
    return in;
}

static int
tcp_connect_from(struct input *in, const char *from)
{
    struct input_status st;
    struct addr a;
    uint16_t port;
    input_status(in, &st, 1);
    CU_ASSERT_EQUAL_FATAL(endpoint_parse(st.address, 0, &a, &port), 0);
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons(port) };
    memcpy(&to.sin_addr, a.b + 12, 4);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in me = { .sin_family = AF_INET };
    CU_ASSERT_EQUAL_FATAL(addr_parse(from, &a), 0);
    memcpy(&me.sin_addr, a.b + 12, 4);
    CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *) &me, sizeof me), 0);
    CU_ASSERT_EQUAL_FATAL(connect(fd, (struct sockaddr *) &to, sizeof to), 0);
    return fd;
}

static int
tcp_connect(struct input *in)
{
    return tcp_connect_from(in, "127.0.0.1");
}

/* True when the other side closes the session, within so many ms. */
static bool
is_closed(int fd, int ms)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    char c;
    return poll(&p, 1, ms) == 1 && recv(fd, &c, 1, 0) <= 0;
}

static const uint8_t ipfix_message[20] = {
    0, 10, 0, 20, [16] = 0, 2, 0, 4,
};

/* A byte now and then is no progress; messages are, however small. */
static void
test_slow_sender(void)
{
    struct input *in = open_tcp(NULL);
    struct input_status st;
    int slow = tcp_connect(in), steady = tcp_connect(in);
    bool closed = false;
    size_t at = 0;
    for (int i = 0; i < 100 && !closed; i++) {
        /* Never a whole message; MSG_NOSIGNAL: it may be closed already. */
        if (at < sizeof ipfix_message - 1) {
            send(slow, &ipfix_message[at++], 1, MSG_NOSIGNAL);
        }
        CU_ASSERT_EQUAL(send(steady, ipfix_message, sizeof ipfix_message,
                             MSG_NOSIGNAL), sizeof ipfix_message);
        closed = is_closed(slow, 50);
    }
    CU_ASSERT_TRUE(closed);
    CU_ASSERT_FALSE(is_closed(steady, 0));
    input_status(in, &st, 1);
    CU_ASSERT_EQUAL(st.tcp.timed_out, 1);
    CU_ASSERT_EQUAL(st.tcp.accepted, 2);
    CU_ASSERT_EQUAL(st.tcp.broken, 0);
    close(slow);
    close(steady);
    input_destroy(in);
}

/* Sessions that say nothing take all places: there is one for an exporter that
 * is known, and soon there is one for everybody. */
static void
test_crowd(void)
{
    struct input *in = open_tcp(NULL);
    struct input_status st;
    struct addr known;
    int silent[8];
    addr_parse("127.0.0.9", &known);
    CU_ASSERT_EQUAL(input_set_known(in, &known, 1), 0);
    for (unsigned i = 0; i < 8; i++) {
        silent[i] = tcp_connect_from(in, "127.0.0.2");
    }
    do {
        poll(NULL, 0, 1);
        input_status(in, &st, 1);
    } while (st.tcp.accepted < 8);
    int other = tcp_connect_from(in, "127.0.0.3");
    CU_ASSERT_TRUE(is_closed(other, 5000));
    close(other);
    int good = tcp_connect_from(in, "127.0.0.9");
    CU_ASSERT_EQUAL(send(good, ipfix_message, sizeof ipfix_message,
                         MSG_NOSIGNAL), sizeof ipfix_message);
    CU_ASSERT_FALSE(is_closed(good, 20));
    /* They go, until no more than half of all places are taken: each worker
     * looks at its own. */
    unsigned n_closed = 0;
    for (unsigned turn = 0; turn < 50 && n_closed < 5; turn++) {
        n_closed = 0;
        for (unsigned i = 0; i < 8; i++) {
            n_closed += is_closed(silent[i], 20);
        }
    }
    CU_ASSERT_TRUE(n_closed >= 5);
    CU_ASSERT_FALSE(is_closed(good, 0));
    input_status(in, &st, 1);
    CU_ASSERT_TRUE(st.tcp.timed_out >= 5 && st.tcp.timed_out <= 8);
    CU_ASSERT_EQUAL(st.tcp.refused, 1);
    for (unsigned i = 0; i < 8; i++) {
        close(silent[i]);
    }
    other = tcp_connect_from(in, "127.0.0.3");
    CU_ASSERT_FALSE(is_closed(other, 20));

    /* Where there are few, silence is no reason. */
    CU_ASSERT_FALSE(is_closed(other, 1500));
    close(other);
    close(good);
    input_destroy(in);
}

static void
test_not_allowed(void)
{
    struct prefix nobody;
    prefix_parse("192.0.2.0/24", &nobody);
    struct input *in = open_tcp(&nobody);
    struct input_status st;
    int fd = tcp_connect(in);
    CU_ASSERT_TRUE(is_closed(fd, 5000));
    input_status(in, &st, 1);
    CU_ASSERT_EQUAL(st.not_allowed, 1);
    CU_ASSERT_EQUAL(st.tcp.accepted, 0);
    close(fd);
    input_destroy(in);
}

static void
test_session_numbers(void)
{
    struct tcp_sessions *s = tcp_sessions_create(5, 3);
    struct addr a, b;
    addr_parse("192.0.2.1", &a);
    addr_parse("192.0.2.2", &b);
    CU_ASSERT_EQUAL(tcp_session_open(s, &a, false), 1);
    CU_ASSERT_EQUAL(tcp_session_open(s, &a, false), 2);
    CU_ASSERT_EQUAL(tcp_session_open(s, &b, false), 1);
    CU_ASSERT_EQUAL(tcp_session_open(s, &a, false), 3);
    CU_ASSERT_EQUAL(tcp_session_open(s, &a, false), 0);        /* Of a peer. */
    CU_ASSERT_EQUAL(tcp_session_open(s, &b, false), 2);
    CU_ASSERT_EQUAL(tcp_session_open(s, &b, false), 0);        /* In all. */
    CU_ASSERT_TRUE(tcp_sessions_crowded(s));
    CU_ASSERT_EQUAL(tcp_session_open(s, &b, true), 3);  /* There is a place */
    CU_ASSERT_EQUAL(tcp_session_open(s, &a, true), 0);  /* for the known. */
    tcp_session_close(s, &b, 3);
    tcp_session_close(s, &a, 2);
    CU_ASSERT_EQUAL(tcp_sessions_open(s), 4);
    CU_ASSERT_EQUAL(tcp_session_open(s, &a, false), 2);        /* Used again. */
    tcp_sessions_destroy(s);
}

static void
test_multicast_addresses(void)
{
    static const struct { const char *text; bool is; } cases[] = {
        { "224.0.0.1", true }, { "239.255.255.255", true },
        { "223.255.255.255", false }, { "240.0.0.1", false },
        { "ff02::1", true }, { "fe80::1", false }, { "::", false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct addr a;
        addr_parse(cases[i].text, &a);
        CU_ASSERT_EQUAL(addr_is_multicast(&a), cases[i].is);
    }
    struct addr group;
    addr_parse("239.1.2.3", &group);
    CU_ASSERT_TRUE(socket_join(&group, 0, "no-such-if", 65536) < 0);
}

/* A worker waits where several datagrams come meanwhile, else never. */
static void
test_pace(void)
{
    CU_ASSERT_EQUAL(pace_us(1, 1000000), 0);        /* One a second. */
    CU_ASSERT_EQUAL(pace_us(1, PACE_US), 0);
    CU_ASSERT_EQUAL(pace_us(1, PACE_US / PACE_MIN), PACE_US);
    CU_ASSERT_EQUAL(pace_us(1, PACE_US / PACE_MIN + 1), 0);
    CU_ASSERT_EQUAL(pace_us(PACE_MIN, PACE_US), PACE_US);
    CU_ASSERT_EQUAL(pace_us(PACE_MIN - 1, PACE_US), 0);
    CU_ASSERT_EQUAL(pace_us(1024, 1000000), 0);     /* A burst, once. */
    CU_ASSERT_EQUAL(pace_us(1024, 2 * PACE_US), PACE_US);
    CU_ASSERT_EQUAL(pace_us(0, 10), 0);
    CU_ASSERT_EQUAL(pace_us(1, -1), 0);             /* A clock set back. */

    CU_ASSERT_EQUAL(burst_next(64, 100), 64);
    CU_ASSERT_EQUAL(burst_next(64, BURST_US + 1), 32);
    CU_ASSERT_EQUAL(burst_next(1, 1000000), 1);
    CU_ASSERT_EQUAL(burst_next(1, 0), 2);
    CU_ASSERT_EQUAL(burst_next(32, BURST_US / 2), 32);
    unsigned n = 64;
    for (unsigned i = 0; i < 10; i++) { /* 1.4 ms each: one, or two. */
        n = burst_next(n, n * 1400);
    }
    CU_ASSERT_TRUE(n <= 2);
}

int
main(void)
{
    static const struct unit_test tests[] = {
        UNIT_TEST(test_way_in), UNIT_TEST(test_no_room),
        UNIT_TEST(test_bad_addresses), UNIT_TEST(test_port_is_ours),
        UNIT_TEST(test_slow_sender), UNIT_TEST(test_not_allowed),
        UNIT_TEST(test_crowd),
        UNIT_TEST(test_session_numbers), UNIT_TEST(test_multicast_addresses),
        UNIT_TEST(test_pace), UNIT_TEST(test_steer),
        UNIT_TEST(test_steer_size),
    };
    rcu_register_thread();
    dict = dict_create(1000, 100000);
    sources = source_table_create(1000);
    templates = template_cache_create(100, 1000);
    ring = ring_create(64);
    int error = unit_run("input", tests, sizeof tests / sizeof tests[0]);
    ring_destroy(ring);
    template_cache_destroy(templates);
    source_table_destroy(sources);
    dict_destroy(dict);
    rcu_unregister_thread();
    return error;
}
