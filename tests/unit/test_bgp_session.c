#include <config.h>

#include "bgp/session.h"

#include "tests/unit/bgp_util.h"

/* A neighbour that exists on paper: what the session wants is written down as
 * text, one word for each thing. */

static struct bgp_session *s;
static struct recorder routes;
static struct bgp_decoder *decoder;
static char log_[8192];
static uint8_t last[2][BGP_MAX_SIZE];
static uint64_t n_routes;
static int64_t now;

#define V4 (1u << BGP_IPV4_UNICAST)
#define V6 (1u << BGP_IPV6_UNICAST)

static void
note(const char *format, unsigned a, unsigned b, unsigned c)
{
    size_t n = strlen(log_);
    snprintf(log_ + n, sizeof log_ - n, format, a, b, c);
}

static void
on_connect(void *aux)
{
    note("connect ", 0, 0, 0);
}

static void
on_send(void *aux, enum bgp_slot slot, const uint8_t *p, size_t n)
{
    struct bgp_header h;
    struct bgp_error e;
    CU_ASSERT(bgp_header_parse(p, BGP_MAX_SIZE, &h, &e));
    CU_ASSERT_EQUAL(h.size, n);
    memcpy(last[slot], p, n);
    if (h.type == BGP_NOTIFICATION) {
        note(slot ? "notify-in(%u/%u) " : "notify(%u/%u) ", p[19], p[20], 0);
    } else if (h.type == BGP_ROUTE_REFRESH) {
        note("refresh(%u/%u,%u) ", be16_at(p + 19), p[22], p[21]);
    } else {
        strcat(log_, h.type == BGP_OPEN ? "open" : h.type == BGP_UPDATE
               ? "eor" : "keepalive");
        strcat(log_, slot ? "-in " : " ");
    }
}

static void
on_close(void *aux, enum bgp_slot slot)
{
    strcat(log_, slot ? "close-in " : "close ");
}

static uint64_t
count_routes(void *aux, uint32_t peer, enum bgp_family f)
{
    return f == BGP_IPV4_UNICAST ? n_routes : 0;
}

static void
on_event(void *aux, const char *kind, const char *text)
{
    strcat(log_, kind);
    strcat(log_, "! ");
}

static struct bgp_config
config(void)
{
    struct bgp_config c = {
        .port = 179, .local_as = 65000, .router_id = 0x0a000005,
        .as_first = 65001, .as_last = 65001, .families = V4 | V6,
        .hold_s = 90, .connect_retry_s = 40, .add_path = true,
        .graceful = true, .stale_max_s = 600, .long_stale_max_s = 86400,
        .role = BGP_ROLE_NONE, .warn_percent = 80,
    };
    addr_parse("192.0.2.1", &c.address);
    return c;
}

static void
begin(const struct bgp_config *c)
{
    struct bgp_io io = { NULL, on_connect, on_send, on_close, count_routes,
                         on_event };
    memset(&routes, 0, sizeof routes);
    struct bgp_sink sink = recorder_sink(&routes);
    log_[0] = '\0';
    now = 1000000;
    n_routes = 0;
    decoder = bgp_decoder_create();
    s = bgp_session_create(c, &io, &sink, decoder, 42);
    bgp_session_start(s, now);
}

static void
finish(void)
{
    bgp_session_destroy(s, now);
    bgp_decoder_destroy(decoder);
}

/* What happened since the last call. */
static void
expect_at(int line, const char *text)
{
    size_t n = strlen(log_);
    if (n) {
        log_[n - 1] = '\0';
    }
    if (strcmp(log_, text)) {
        fprintf(stderr, "line %d: got \"%s\", not \"%s\"\n", line, log_,
                text);
        CU_FAIL("what happened");
    }
    log_[0] = '\0';
}
#define expect(TEXT) expect_at(__LINE__, TEXT)

static void
expect_routes_at(int line, const char *text)
{
    if (strcmp(routes.text, text)) {
        fprintf(stderr, "line %d: got \"%s\", not \"%s\"\n", line,
                routes.text, text);
        CU_FAIL("routes");
    }
    routes.text[0] = '\0';
    routes.n = 0;
}
#define expect_routes(TEXT) expect_routes_at(__LINE__, TEXT)

static enum bgp_state
state(void)
{
    struct bgp_session_info info;
    bgp_session_info(s, &info);
    return info.state;
}

static void
get(enum bgp_slot slot, const uint8_t *p, size_t n)
{
    uint8_t *exact = memdup_exact(p, n);
    bgp_session_input(s, slot, exact, n, n, now);
    free(exact);
}

static void
get_message(enum bgp_slot slot, uint8_t type, const char *hex)
{
    size_t n;
    uint8_t buf[BGP_MAX_SIZE], *body = unhex(hex, &n);
    memset(buf, 0xff, 16);
    buf[16] = (uint8_t) ((n + 19) >> 8);
    buf[17] = (uint8_t) (n + 19);
    buf[18] = type;
    memcpy(buf + 19, body, n);
    get(slot, buf, n + 19);
    free(body);
}

/* Their OPEN: AS 65001, 192.0.2.1, hold 30 s. */
#define OPEN_HEAD "04 fde9 001e c0000201 "
#define CAPS "0104 00010001 0104 00020001 0200 4600 4104 0000fde9 "
#define OPEN OPEN_HEAD "[02[" CAPS "]]"
/* Restart after 120 s, IPv4 kept, IPv6 not. */
#define GR "400a 0078 00010180 00020100 "
#define OPEN_GR OPEN_HEAD "[02[" CAPS GR "]]"
#define NET "() (400101 00 40020a 0202 0000fde9 0000fdea 400304 c0000201) " \
            "18 0a0102"

static void
connect_out(void)
{
    struct addr local;
    addr_parse("192.0.2.5", &local);
    bgp_session_connected(s, &local, now);
}

static void
accept_in(void)
{
    uint8_t reason[BGP_MAX_SIZE];
    size_t n;
    struct addr local;
    addr_parse("192.0.2.5", &local);
    CU_ASSERT(bgp_session_admits(s, now, reason, &n));
    bgp_session_accepted(s, &local, now);
}

static unsigned
refused(void)
{
    uint8_t reason[BGP_MAX_SIZE];
    size_t n;
    return bgp_session_admits(s, now, reason, &n) ? 0 : reason[20];
}

static void
establish(const char *open)
{
    connect_out();
    get_message(BGP_OUT, BGP_OPEN, open);
    get_message(BGP_OUT, BGP_KEEPALIVE, "");
    CU_ASSERT_EQUAL(state(), BGP_ESTABLISHED);
    log_[0] = '\0';
    routes.text[0] = '\0';
    routes.n = 0;
}

static void
begin_established(const char *open)
{
    struct bgp_config c = config();
    begin(&c);
    establish(open);
}

static void
test_connect(void)
{
    struct bgp_config c = config();
    begin(&c);
    expect("connect");
    CU_ASSERT_EQUAL(state(), BGP_CONNECT);
    connect_out();
    expect("open");
    CU_ASSERT_EQUAL(state(), BGP_OPEN_SENT);
    get_message(BGP_OUT, BGP_OPEN, OPEN);
    expect("keepalive");
    CU_ASSERT_EQUAL(state(), BGP_OPEN_CONFIRM);
    get_message(BGP_OUT, BGP_KEEPALIVE, "");
    expect("up!");
    expect_routes("up 192.0.2.1\n");
    CU_ASSERT_EQUAL(state(), BGP_ESTABLISHED);
    get_message(BGP_OUT, BGP_UPDATE, NET);
    expect_routes("+ ipv4-unicast 10.1.2.0/24\n");
    struct bgp_session_info info;
    bgp_session_info(s, &info);
    CU_ASSERT_EQUAL(info.hold_s, 30);
    CU_ASSERT_EQUAL(info.families, V4 | V6);
    CU_ASSERT(info.as4);
    CU_ASSERT_FALSE(info.extended);
    CU_ASSERT(info.enhanced_refresh);
    CU_ASSERT_EQUAL(info.as, 65001);
    finish();
    expect("notify(6/3) close");
    expect_routes("down 0\n");
}

/* Who fails is tried again, between 75 and 100 % of the time. */
static void
test_retry(void)
{
    struct bgp_config c = config();
    begin(&c);
    expect("connect");
    bgp_session_broken(s, BGP_OUT, "Connection refused", now);
    expect("close");
    CU_ASSERT_EQUAL(state(), BGP_ACTIVE);
    int64_t in = bgp_session_next_ms(s) - now;
    CU_ASSERT(in >= 30000 && in <= 40000);
    now += in;
    bgp_session_tick(s, now);
    expect("connect");
    /* Nothing comes of it: once more. */
    now = bgp_session_next_ms(s);
    bgp_session_tick(s, now);
    expect("close connect");
    struct bgp_session_info info;
    bgp_session_info(s, &info);
    CU_ASSERT_EQUAL(info.n->connects, 3);
    CU_ASSERT_EQUAL(info.n->connect_failures, 2);
    CU_ASSERT_STRING_EQUAL(info.last_error, "Connection refused");
    finish();
}

static void
test_passive(void)
{
    struct bgp_config c = config();
    c.passive = true;
    begin(&c);
    expect("");
    CU_ASSERT_EQUAL(state(), BGP_ACTIVE);
    CU_ASSERT_EQUAL(bgp_session_next_ms(s), INT64_MAX);
    accept_in();
    expect("open-in");
    get_message(BGP_IN, BGP_OPEN, OPEN);
    get_message(BGP_IN, BGP_KEEPALIVE, "");
    expect("keepalive-in up!");
    CU_ASSERT_EQUAL(refused(), BGP_E_CEASE_COLLISION);
    bgp_session_broken(s, BGP_IN, "reset", now);
    expect("close-in down!");
    expect_routes("up 192.0.2.1\ndown 0\n");
    CU_ASSERT_EQUAL(state(), BGP_ACTIVE);
    finish();
}

/* What is wrong with an OPEN, and what we say to it. */
static void
test_open_errors(void)
{
    static const struct {
        const char *open, *answer;
    } cases[] = {
        { "03 fde9 001e c0000201 00", "notify(2/1) close" },
        { "04 fdea 001e c0000201 00", "notify(2/2) close" },
        { "04 fde9 001e 00000000 00", "notify(2/3) close" },
        { "04 fde9 001e c0000201 02 0100", "notify(2/4) close" },
        { "04 fde9 0002 c0000201 00", "notify(2/6) close" },
        { "04 fde9 001e c0000201 [02[0104 00190046 0901 00]]",
          "notify(2/7) close" },
        { "04 fde9 001e c0000201 04 0202 4101", "notify(2/0) close" },
        { "04 fde9 001e c0000201 05 0203 0901 04", "notify(2/11) close" },
        { "04 fde9 001e c0000201 00", "notify(2/11) close" },
        { "04 fde9 001e c0000201 08 0206 0901 00 0901 03",
          "notify(2/11) close" },
        { "04 fde9 001e c0000201 05 0203 0901 00", "keepalive" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bgp_config c = config();
        c.role = BGP_ROLE_CUSTOMER;
        c.role_strict = true;
        begin(&c);
        connect_out();
        log_[0] = '\0';
        get_message(BGP_OUT, BGP_OPEN, cases[i].open);
        expect(cases[i].answer);
        finish();
    }
    /* IBGP with our own identifier (RFC 6286); AS 4200000001 as told. */
    struct bgp_config c = config();
    c.as_first = c.as_last = 65000;
    begin(&c);
    connect_out();
    log_[0] = '\0';
    get_message(BGP_OUT, BGP_OPEN, "04 fde8 001e 0a000005 00");
    expect("notify(2/3) close");
    finish();
    c.as_first = 4200000000;
    c.as_last = 4294967294;
    begin(&c);
    connect_out();
    log_[0] = '\0';
    get_message(BGP_OUT, BGP_OPEN, "04 5ba0 001e c0000201 [02[4104 fa56ea01"
                "]]");
    expect("keepalive");
    finish();
}

/* Messages at the wrong time (RFC 6608). */
static void
test_fsm_errors(void)
{
    static const struct {
        uint8_t type;
        const char *body;
    } messages[] = {
        { BGP_OPEN, OPEN }, { BGP_UPDATE, NET }, { BGP_KEEPALIVE, "" },
        { BGP_ROUTE_REFRESH, "00010001" },
    };
    static const char *const wanted[3][4] = {
        { "keepalive", "notify(5/1) close", "notify(5/1) close",
          "notify(5/1) close" },
        { "notify(5/2) close", "notify(5/2) close", "up!",
          "notify(5/2) close" },
        { "notify(5/3) close down!", "", "",
          "refresh(1/1,1) refresh(1/1,2)" },
    };
    for (int st = 0; st < 3; st++) {
        for (int m = 0; m < 4; m++) {
            struct bgp_config c = config();
            begin(&c);
            connect_out();
            if (st > 0) {
                get_message(BGP_OUT, BGP_OPEN, OPEN);
            }
            if (st > 1) {
                get_message(BGP_OUT, BGP_KEEPALIVE, "");
            }
            log_[0] = '\0';
            get_message(BGP_OUT, messages[m].type, messages[m].body);
            expect(wanted[st][m]);
            finish();
        }
    }
}

static void
test_header_errors(void)
{
    static const struct {
        uint8_t at, value;
        const char *answer;
    } cases[] = {
        { 3, 0xfe, "notify(1/1) close down!" },
        { 17, 18, "notify(1/2) close down!" },
        { 17, 20, "notify(1/2) close down!" },
        { 16, 0x11, "notify(1/2) close down!" },
        { 18, 9, "notify(1/3) close down!" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t p[32];
        begin_established(OPEN);
        memset(p, 0, sizeof p);
        bgp_keepalive_write(p);
        p[cases[i].at] = cases[i].value;
        get(BGP_OUT, p, 32);
        expect(cases[i].answer);
        finish();
    }
}

static void
test_update_errors(void)
{
    static const struct {
        const char *body, *answer, *routes;
    } cases[] = {
        { "0001 0000", "malformed! notify(3/1) close down!", "down 0\n" },
        { "() (40f700) 18 0a0102", "malformed! notify(3/2) close down!",
          "down 0\n" },
        { "() () 21 0102030405", "malformed! notify(3/3) close down!",
          "down 0\n" },
        { "() (400101 00 400200 400304 c0000201) 21 0102030405",
          "malformed! notify(3/10) close down!", "down 0\n" },
        { "() (400101 05 400200 400304 c0000201) 18 0a0102", "malformed!",
          "- ipv4-unicast 10.1.2.0/24\n" },
        { "() (400101 00 400200 400304 c0000201 400601 00) 18 0a0102", "",
          "+ ipv4-unicast 10.1.2.0/24\n" },
        { "() (400101 00 400200) 18 0a0102", "malformed!",
          "- ipv4-unicast 10.1.2.0/24\n" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        begin_established(OPEN);
        get_message(BGP_OUT, BGP_UPDATE, cases[i].body);
        if (i != 2) {
            expect(cases[i].answer);
            expect_routes(cases[i].routes);
        } else {                /* The longer prefix is what is worse. */
            CU_ASSERT_PTR_NOT_NULL(strstr(log_, "notify(3/10)"));
        }
        finish();
    }
}

static void
test_timers(void)
{
    begin_established(OPEN);
    int64_t in = bgp_session_next_ms(s) - now;  /* 30 s / 3, less jitter. */
    CU_ASSERT(in >= 7500 && in <= 10000);
    for (int i = 0; i < 10; i++) {
        now = bgp_session_next_ms(s);
        bgp_session_tick(s, now);
        expect("keepalive");
        get_message(BGP_OUT, BGP_KEEPALIVE, "");
    }
    for (now += 29000; bgp_session_next_ms(s) <= now; ) {
        bgp_session_tick(s, now);
    }
    CU_ASSERT_EQUAL(state(), BGP_ESTABLISHED);
    log_[0] = '\0';
    now += 1000;
    bgp_session_tick(s, now);
    expect("notify(4/0) close down!");
    finish();
    /* A hold time of 0: no keepalives, and no end. */
    begin_established("04 fde9 0000 c0000201 [02[" CAPS "]]");
    CU_ASSERT_EQUAL(bgp_session_next_ms(s), INT64_MAX);
    finish();
    /* No OPEN within 4 minutes. */
    struct bgp_config c = config();
    begin(&c);
    connect_out();
    log_[0] = '\0';
    now += 240000;
    bgp_session_tick(s, now);
    expect("notify(4/0) close");
    finish();
}

/* RFC 4271 section 6.8: our identifier is 10.0.0.5. */
static void
collide(const char *open, bool open_out_first, const char *wanted)
{
    struct bgp_config c = config();
    begin(&c);
    connect_out();
    accept_in();
    log_[0] = '\0';
    get_message(open_out_first ? BGP_OUT : BGP_IN, BGP_OPEN, open);
    get_message(open_out_first ? BGP_IN : BGP_OUT, BGP_OPEN, open);
    expect(wanted);
    finish();
}

static void
test_collision(void)
{
    const char *higher = "04 fde9 001e c0000201 00";
    const char *lower = "04 fde9 001e 0a000004 00";
    const char *same = "04 fde9 001e 0a000005 00";      /* Higher AS. */
    collide(higher, true, "keepalive notify(6/7) close keepalive-in");
    collide(higher, false, "keepalive-in notify(6/7) close");
    collide(lower, true, "keepalive notify-in(6/7) close-in");
    collide(lower, false, "keepalive-in notify-in(6/7) close-in keepalive");
    collide(same, true, "keepalive notify(6/7) close keepalive-in");
    /* One is up already: the other has to go. */
    struct bgp_config c = config();
    begin(&c);
    accept_in();
    connect_out();
    get_message(BGP_IN, BGP_OPEN, lower);
    get_message(BGP_IN, BGP_KEEPALIVE, "");
    log_[0] = '\0';
    get_message(BGP_OUT, BGP_OPEN, lower);
    expect("notify(6/7) close");
    CU_ASSERT_EQUAL(state(), BGP_ESTABLISHED);
    finish();
    /* Accepted while we try: the attempt is given up. */
    begin(&c);
    accept_in();
    get_message(BGP_IN, BGP_OPEN, lower);
    log_[0] = '\0';
    get_message(BGP_IN, BGP_KEEPALIVE, "");
    expect("close up!");
    CU_ASSERT(bgp_session_next_ms(s) > now + 5000);
    finish();
}

static void
test_graceful_restart(void)
{
    begin_established(OPEN_GR);
    get_message(BGP_OUT, BGP_UPDATE, NET);
    routes.text[0] = '\0';
    routes.n = 0;
    bgp_session_broken(s, BGP_OUT, "connection reset", now);
    expect("close down!");
    expect_routes("stale ipv4-unicast\nstale ipv6-unicast\n");
    /* Back in time: what was not kept goes at once, the rest at the end. */
    now += 5000;
    accept_in();
    get_message(BGP_IN, BGP_OPEN, OPEN_GR);
    get_message(BGP_IN, BGP_KEEPALIVE, "");
    expect("open-in keepalive-in eor-in eor-in up!");
    expect_routes("up 192.0.2.1\npurge-stale ipv6-unicast\n");
    get_message(BGP_IN, BGP_UPDATE, "0000 0000");
    expect_routes("eor ipv4-unicast\n");
    struct bgp_session_info info;
    bgp_session_info(s, &info);
    CU_ASSERT_EQUAL(info.stale, 0);
    CU_ASSERT_EQUAL(info.complete, V4);
    /* Down again, and not back after 120 s. */
    bgp_session_broken(s, BGP_IN, "connection reset", now);
    routes.text[0] = '\0';
    routes.n = 0;
    log_[0] = '\0';
    now += 119000;
    bgp_session_tick(s, now);
    expect_routes("");
    now += 1000;
    bgp_session_tick(s, now);
    expect_routes("purge-stale ipv4-unicast\npurge-stale ipv6-unicast\n"
                  "down 1\n");
    finish();
    /* A NOTIFICATION is the end (RFC 4724), unless both said otherwise. */
    begin_established(OPEN_GR);
    get_message(BGP_OUT, BGP_NOTIFICATION, "0602");
    expect_routes("down 0\n");
    finish();
    begin_established(OPEN_HEAD "[02[" CAPS "400a 4078 00010180 00020100]]");
    get_message(BGP_OUT, BGP_NOTIFICATION, "0602");
    expect_routes("stale ipv4-unicast\nstale ipv6-unicast\n");
    finish();
    begin_established(OPEN_HEAD "[02[" CAPS "400a 4078 00010180 00020100]]");
    get_message(BGP_OUT, BGP_NOTIFICATION, "0609 0602");
    expect_routes("down 0\n");
    finish();
}

/* Restart after restart: what was stale before and has not come since goes, and
 * the longer time of RFC 9494 is counted once. */
static void
test_restarts(void)
{
    begin_established(OPEN_HEAD "[02[" CAPS "4006 0078 00010180 4707 00010180"
                      " 000e10]]");
    for (int i = 0; i < 2; i++) {
        bgp_session_broken(s, i ? BGP_IN : BGP_OUT, "connection reset", now);
        expect_routes(i ? "purge-stale ipv4-unicast\nstale ipv4-unicast\n"
                          "purge ipv6-unicast\n"
                        : "stale ipv4-unicast\npurge ipv6-unicast\n");
        now += 5000;
        accept_in();
        get_message(BGP_IN, BGP_OPEN, OPEN_HEAD "[02[" CAPS "4006 0078 "
                    "00010180 4707 00010180 000e10]]");
        get_message(BGP_IN, BGP_KEEPALIVE, "");
        expect_routes("up 192.0.2.1\n");
    }
    bgp_session_broken(s, BGP_IN, "connection reset", now);
    expect_routes("purge-stale ipv4-unicast\nstale ipv4-unicast\n"
                  "purge ipv6-unicast\n");
    now += 120000;
    bgp_session_tick(s, now);   /* Now the hour begins. */
    int64_t end = now + 3600000;
    for (int i = 0; i < 3; i++) {
        now += 5000;
        accept_in();
        get_message(BGP_IN, BGP_OPEN, OPEN_HEAD "[02[" CAPS "4006 0078 "
                    "00010180 4707 00010180 000e10]]");
        get_message(BGP_IN, BGP_KEEPALIVE, "");
        expect_routes("up 192.0.2.1\n");
        bgp_session_broken(s, BGP_IN, "connection reset", now);
        expect_routes("stale ipv4-unicast\npurge ipv6-unicast\n");
        now += 120000;
        bgp_session_tick(s, now);
        expect_routes("");
    }
    now = end - 1;
    bgp_session_tick(s, now);
    expect_routes("");
    now = end;
    bgp_session_tick(s, now);
    expect_routes("purge-stale ipv4-unicast\ndown 5\n");
    finish();
}

/* The peer connects anew while we believe that all is well. */
static void
test_silent_restart(void)
{
    begin_established(OPEN_GR);
    accept_in();
    expect("close down! open-in");
    expect_routes("stale ipv4-unicast\nstale ipv6-unicast\n");
    finish();
    begin_established(OPEN);
    CU_ASSERT_EQUAL(refused(), BGP_E_CEASE_COLLISION);
    finish();
}

static void
test_long_lived(void)
{
    /* Restart time 0, long-lived: IPv4 for an hour. */
    begin_established(OPEN_HEAD "[02[" CAPS "400a 0000 00010180 00020180"
                      "4707 00010180 000e10]]");
    bgp_session_broken(s, BGP_OUT, "connection reset", now);
    expect_routes("stale ipv4-unicast\nstale ipv6-unicast\n");
    bgp_session_tick(s, now);
    expect_routes("purge-stale ipv6-unicast\n");
    now += 3599000;
    bgp_session_tick(s, now);
    expect_routes("");
    now += 1000;
    bgp_session_tick(s, now);
    expect_routes("purge-stale ipv4-unicast\ndown 0\n");
    finish();
}

static void
test_refresh(void)
{
    begin_established(OPEN);
    CU_ASSERT(bgp_session_refresh(s));
    expect("refresh(1/1,0) refresh(2/1,0)");
    get_message(BGP_OUT, BGP_ROUTE_REFRESH, "00010101");
    expect_routes("stale ipv4-unicast\n");
    get_message(BGP_OUT, BGP_ROUTE_REFRESH, "00010201");
    expect_routes("purge-stale ipv4-unicast\n");
    get_message(BGP_OUT, BGP_ROUTE_REFRESH, "00010201");        /* Again. */
    get_message(BGP_OUT, BGP_ROUTE_REFRESH, "00190046");        /* Not ours. */
    get_message(BGP_OUT, BGP_ROUTE_REFRESH, "0001ff01");
    expect_routes("");
    expect("");
    get_message(BGP_OUT, BGP_ROUTE_REFRESH, "000101");
    expect("notify(7/1) close down!");
    finish();
    /* One who never says the end. */
    begin_established(OPEN);
    get_message(BGP_OUT, BGP_ROUTE_REFRESH, "00020101");
    routes.n = 0;
    for (int i = 0; i < 14; i++) {
        now += 28000;
        get_message(BGP_OUT, BGP_KEEPALIVE, "");
        bgp_session_tick(s, now);
    }
    expect_routes("purge-stale ipv6-unicast\n");
    finish();
    /* Without RFC 7313 what is cut is of a wrong length. */
    begin_established("04 fde9 001e c0000201 00");
    CU_ASSERT_FALSE(bgp_session_refresh(s));
    get_message(BGP_OUT, BGP_ROUTE_REFRESH, "00010101ff");
    expect("");
    get_message(BGP_OUT, BGP_ROUTE_REFRESH, "000101");
    expect("notify(1/2) close down!");
    finish();
}

static void
test_limit(void)
{
    struct bgp_config c = config();
    c.max_prefixes = 10;
    c.idle_after_limit_s = 60;
    begin(&c);
    establish(OPEN_GR);
    n_routes = 9;
    get_message(BGP_OUT, BGP_UPDATE, NET);
    expect("warning!");
    get_message(BGP_OUT, BGP_UPDATE, NET);
    expect("");
    n_routes = 11;
    get_message(BGP_OUT, BGP_UPDATE, NET);
    expect("notify(6/1) close down!");
    CU_ASSERT_EQUAL(memcmp(last[0] + 21, "\0\x01\x01\0\0\0\x0a", 7), 0);
    CU_ASSERT_EQUAL(state(), BGP_IDLE);
    CU_ASSERT_EQUAL(refused(), BGP_E_CEASE_REJECTED);
    now += 60000;
    bgp_session_tick(s, now);
    expect("connect");
    finish();
    /* A lower limit holds at once. */
    c.max_prefixes = 20;
    c.idle_after_limit_s = 0;
    begin(&c);
    establish(OPEN);
    n_routes = 11;
    get_message(BGP_OUT, BGP_UPDATE, NET);
    log_[0] = '\0';
    c.max_prefixes = 12;
    CU_ASSERT_FALSE(bgp_session_configure(s, &c, now));
    expect("warning!");
    c.max_prefixes = 10;
    CU_ASSERT_TRUE(bgp_session_configure(s, &c, now));
    expect("notify(6/1) close down!");
    finish();
    /* Without a time it waits for an operator. */
    c.max_prefixes = 10;
    c.idle_after_limit_s = 0;
    begin(&c);
    establish(OPEN);
    n_routes = 11;
    get_message(BGP_OUT, BGP_UPDATE, NET);
    log_[0] = '\0';
    CU_ASSERT_EQUAL(bgp_session_next_ms(s), INT64_MAX);
    bgp_session_reset(s, now);
    expect("connect");
    finish();
}

static void
test_configure(void)
{
    struct bgp_config c = config();
    begin_established(OPEN);
    c.max_prefixes = 5;
    snprintf(c.name, sizeof c.name, "edge");
    CU_ASSERT_FALSE(bgp_session_configure(s, &c, now));
    expect("");
    c.shutdown = true;
    snprintf(c.shutdown_text, sizeof c.shutdown_text, "see you");
    CU_ASSERT(bgp_session_configure(s, &c, now));
    expect("notify(6/2) close down!");
    CU_ASSERT_EQUAL(memcmp(last[0] + 21, "\x07see you", 8), 0);
    CU_ASSERT_EQUAL(refused(), BGP_E_CEASE_SHUTDOWN);
    CU_ASSERT_EQUAL(state(), BGP_IDLE);
    c.shutdown = false;
    bgp_session_configure(s, &c, now);
    expect("connect");
    establish(OPEN);
    c.hold_s = 30;
    CU_ASSERT(bgp_session_configure(s, &c, now));
    expect("notify(6/6) close down! connect");
    establish(OPEN);
    bgp_session_reset(s, now);
    expect("notify(6/4) close down! connect");
    finish();
}

/* Up and down every second: soon it has to wait, longer and longer. */
static void
test_flapping(void)
{
    struct bgp_config c = config();
    unsigned n_up = 0, n_refused = 0;
    c.passive = true;
    begin(&c);
    for (int i = 0; i < 600; i++) {
        uint8_t reason[BGP_MAX_SIZE];
        size_t n;
        now += 1000;
        bgp_session_tick(s, now);
        log_[0] = '\0';
        routes.n = 0;
        if (!bgp_session_admits(s, now, reason, &n)) {
            CU_ASSERT_EQUAL(reason[20], BGP_E_CEASE_REJECTED);
            n_refused++;
            continue;
        }
        accept_in();
        get_message(BGP_IN, BGP_OPEN, OPEN);
        get_message(BGP_IN, BGP_KEEPALIVE, "");
        bgp_session_broken(s, BGP_IN, "reset", now);
        n_up++;
    }
    CU_ASSERT(n_up >= 5 && n_up < 60);
    CU_ASSERT(n_refused > 500);
    struct bgp_session_info info;
    bgp_session_info(s, &info);
    CU_ASSERT_EQUAL(info.n->flaps, n_up);
    CU_ASSERT_EQUAL(info.n->rejected, n_refused);
    /* Quiet for a while, and all is forgiven. */
    now += 600000;
    bgp_session_tick(s, now);
    for (int i = 0; i < 4; i++) {
        accept_in();
        get_message(BGP_IN, BGP_OPEN, OPEN);
        get_message(BGP_IN, BGP_KEEPALIVE, "");
        bgp_session_broken(s, BGP_IN, "reset", now);
    }
    CU_ASSERT_EQUAL(refused(), 0);
    finish();
}

/* In pieces, and more than one at once. */
static void
test_stream(void)
{
    uint8_t buf[3 * BGP_HEADER_SIZE];
    begin_established(OPEN);
    for (int i = 0; i < 3; i++) {
        bgp_keepalive_write(buf + i * BGP_HEADER_SIZE);
    }
    for (size_t n = 0; n < sizeof buf; n++) {
        size_t used = bgp_session_input(s, BGP_OUT, buf, n, SIZE_MAX, now);
        CU_ASSERT_EQUAL(used, n / BGP_HEADER_SIZE * BGP_HEADER_SIZE);
    }
    CU_ASSERT_EQUAL(bgp_session_input(s, BGP_OUT, buf, sizeof buf, 1, now),
                    BGP_HEADER_SIZE);
    /* Nothing is read on a connection that is gone. */
    CU_ASSERT_EQUAL(bgp_session_input(s, BGP_IN, buf, sizeof buf, SIZE_MAX,
                                      now), 0);
    finish();
}

UNIT_MAIN("bgp session", UNIT_TEST(test_connect), UNIT_TEST(test_retry),
          UNIT_TEST(test_passive), UNIT_TEST(test_open_errors),
          UNIT_TEST(test_fsm_errors), UNIT_TEST(test_header_errors),
          UNIT_TEST(test_update_errors), UNIT_TEST(test_timers),
          UNIT_TEST(test_collision), UNIT_TEST(test_graceful_restart),
          UNIT_TEST(test_restarts), UNIT_TEST(test_silent_restart),
          UNIT_TEST(test_long_lived),
          UNIT_TEST(test_refresh), UNIT_TEST(test_limit),
          UNIT_TEST(test_configure), UNIT_TEST(test_flapping),
          UNIT_TEST(test_stream))
