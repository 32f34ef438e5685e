#include <config.h>

#include "api/http_head.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

#define MAX 1000

static int
check(const char *text, struct http_head *h)
{
    return http_head_check(text, strlen(text), MAX, h);
}

static void
test_good(void)
{
    static const char *const good[] = {
        "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.0\r\nHost:\r\n\r\n",
        "GET /rpc HTTP/1.1\r\nHost: a\r\nUpgrade: \t WebSocket \t\r\n\r\n",
        "POST /rpc?a=%20 HTTP/1.1\r\nHost: a\r\nX-y:\tz \t\r\n"
        "X-y: \xc3\xa4\r\nCONTENT-length: 23\r\n\r\n",
    };
    struct http_head h;

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        size_t n = strlen(good[i]);
        CU_ASSERT_EQUAL(check(good[i], &h), 0);
        CU_ASSERT_EQUAL(h.size, n);
        CU_ASSERT_EQUAL(h.length, i == 3 ? 23u : 0u);
        /* Cut anywhere it goes on, and what follows is none of it. */
        for (size_t k = 0; k < n; k++) {
            char *cut = malloc(k ? k : 1);
            memcpy(cut, good[i], k);
            CU_ASSERT_EQUAL(http_head_check(cut, k, MAX, &h), -EAGAIN);
            free(cut);
        }
        char more[300];
        snprintf(more, sizeof more, "%sGET / HTTP/1.1\r\n \n", good[i]);
        CU_ASSERT_EQUAL(check(more, &h), 0);
        CU_ASSERT_EQUAL(h.size, n);
    }
}

static void
test_bad(void)
{
    static const struct {
        const char *text;
        int status;
    } bad[] = {
        { "OPTIONS * HTTP/1.1\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nupgrade: websocket, h2c\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nUpgrade:\r\n\r\n", 400 },
        { "GET / HTTP/1.1\n\n", 400 },          /* Bare LF. */
        { "GET / HTTP/1.1\r\nA: b\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nA: b\rC: d\r\n\r\n", 400 },  /* Bare CR. */
        { "GET / HTTP/1.1\r\nA: b\r\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", 400 },  /* Folded. */
        { "GET / HTTP/1.1\r\n\tA: b\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nA : b\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nA\t: b\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\n: b\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nA\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nA\xc3\xa4: b\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nA: \x1b[2J\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nA: b\x7f\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", 400 },
        { "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
          400 },
        { "GET / HTTP/1.1\r\nTransfer-Encoding: a\r\nTransfer-Encoding: b\r\n"
          "\r\n", 400 },
        { "GET /\r\n\r\n", 400 }, { "GET  / HTTP/1.1\r\n\r\n", 400 },
        { " GET / HTTP/1.1\r\n\r\n", 400 }, { "\r\n\r\n", 400 },
        { "GET / HTTP/1.1 \r\n\r\n", 400 }, { "GET /a b HTTP/1.1\r\n\r\n",
                                              400 },
        { "GET http://a/ HTTP/1.1\r\n\r\n", 400 },
        { "GET *a HTTP/1.1\r\n\r\n", 400 },
        { "GET /\x01 HTTP/1.1\r\n\r\n", 400 },
        { "GET / HTTP/1.1x\r\n\r\n", 400 }, { "GET / http/1.1\r\n\r\n", 400 },
        { "GET / HTTP/2.0\r\n\r\n", 505 }, { "GET / HTTP/1.2\r\n\r\n", 505 },
        { "PUT / HTTP/1.1\r\n\r\n", 405 }, { "get / HTTP/1.1\r\n\r\n", 405 },
        { "\x16\x03\x01", 400 },                /* TLS, without a line. */
    };
    struct http_head h;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CU_ASSERT_EQUAL(check(bad[i].text, &h), bad[i].status);
        CU_ASSERT_TRUE(h.reason && *h.reason);
    }
    CU_ASSERT_EQUAL(http_head_check("GET / HTTP/1.1\r\nA: \0\r\n\r\n", 24,
                                    MAX, &h), 400);
}

static void
test_count(void)
{
    static const char text[] = "GET /X-User: HTTP/1.1\r\nX-User: a\r\n"
                               "X-Users: b\r\nx-uSER:\r\nX-User";

    CU_ASSERT_EQUAL(http_head_count(text, sizeof text - 1, "X-User"), 2);
    CU_ASSERT_EQUAL(http_head_count(text, sizeof text - 1, "x-users"), 1);
    CU_ASSERT_EQUAL(http_head_count(text, sizeof text - 1, "GET "), 0);
    for (size_t n = 0; n < sizeof text; n++) {
        char *cut = memdup_exact(text, n);
        CU_ASSERT_TRUE(http_head_count(cut, n, "X-User") <= 2);
        free(cut);
    }
}

/* Longer than may be: said as soon as it is, and not before. */
static void
test_long(void)
{
    char text[MAX + 10];
    struct http_head h;
    size_t n = (size_t) snprintf(text, sizeof text,
                                 "GET / HTTP/1.1\r\nA: ");

    memset(text + n, 'b', sizeof text - n);
    CU_ASSERT_EQUAL(http_head_check(text, MAX - 1, MAX, &h), -EAGAIN);
    CU_ASSERT_EQUAL(http_head_check(text, MAX, MAX, &h), 431);
    CU_ASSERT_EQUAL(http_head_check(text, MAX + 5, MAX, &h), 431);
    memcpy(text + MAX - 4, "\r\n\r\n", 4);
    CU_ASSERT_EQUAL(http_head_check(text, MAX + 5, MAX, &h), 0);
    CU_ASSERT_EQUAL(h.size, MAX);
    memset(text, 'A', sizeof text);
    CU_ASSERT_EQUAL(http_head_check(text, MAX, MAX, &h), 414);
}

UNIT_MAIN("http_head", UNIT_TEST(test_good), UNIT_TEST(test_bad),
          UNIT_TEST(test_count), UNIT_TEST(test_long))
