#include <config.h>

#include "lib/addr.h"

#include <netinet/in.h>

#include "tests/unit/unit.h"

static void
test_text(void)
{
    static const char *const good[] = { "192.0.2.1", "2001:db8::1", "::",
                                        "0.0.0.0", "255.255.255.255" };
    static const char *const bad[] = { "", "1.2.3", "1.2.3.4.5", "256.1.1.1",
                                       "::1::", "1.2.3.4 ", "localhost" };
    char buf[ADDR_STRLEN];
    struct addr a;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        CU_ASSERT_EQUAL(addr_parse(good[i], &a), 0);
        CU_ASSERT_STRING_EQUAL(addr_format(&a, buf), good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CU_ASSERT_NOT_EQUAL(addr_parse(bad[i], &a), 0);
    }
    CU_ASSERT_EQUAL(addr_parse("::ffff:1.2.3.4", &a), 0);
    CU_ASSERT_TRUE(addr_is_v4(&a));
}

static void
test_prefix(void)
{
    static const struct { const char *in, *out; } good[] = {
        { "10.1.2.3/8", "10.0.0.0/8" }, { "10/8", "10.0.0.0/8" },
        { "172.16/12", "172.16.0.0/12" }, { "192.0.2.1", "192.0.2.1/32" },
        { "2001:db8:ffff::/33", "2001:db8:8000::/33" },
        { "0.0.0.0/0", "0.0.0.0/0" }, { "::/0", "::/0" },
        { "2001:db8::1", "2001:db8::1/128" },
    };
    static const char *const bad[] = { "10.0.0.0/33", "10.0.0.0/", "/8",
                                       "::/129", "10.0.0.0/-1", "10./8",
                                       "1.2.3.4.5/8", "300/8" };
    char buf[PREFIX_STRLEN];
    struct prefix p;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        CU_ASSERT_EQUAL(prefix_parse(good[i].in, &p), 0);
        CU_ASSERT_STRING_EQUAL(prefix_format(&p, buf), good[i].out);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CU_ASSERT_NOT_EQUAL(prefix_parse(bad[i], &p), 0);
    }

    struct addr a, first, last;
    prefix_parse("192.0.2.64/26", &p);
    prefix_range(&p, &first, &last);
    CU_ASSERT_STRING_EQUAL(addr_format(&first, buf), "192.0.2.64");
    CU_ASSERT_STRING_EQUAL(addr_format(&last, buf), "192.0.2.127");
    CU_ASSERT_TRUE(prefix_contains(&p, &first));
    CU_ASSERT_TRUE(prefix_contains(&p, &last));
    addr_parse("192.0.2.63", &a);
    CU_ASSERT_FALSE(prefix_contains(&p, &a));
    addr_parse("192.0.2.128", &a);
    CU_ASSERT_FALSE(prefix_contains(&p, &a));
}

static void
test_mac(void)
{
    char buf[MAC_STRLEN];
    uint64_t mac;
    CU_ASSERT_EQUAL(mac_parse("00:1B:21:0a:b:ff", &mac), 0);
    CU_ASSERT_STRING_EQUAL(mac_format(mac, buf), "00:1b:21:0a:0b:ff");
    CU_ASSERT_NOT_EQUAL(mac_parse("00:1b:21:0a:0b", &mac), 0);
    CU_ASSERT_NOT_EQUAL(mac_parse("00:1b:21:0a:0b:ff:1", &mac), 0);
    CU_ASSERT_NOT_EQUAL(mac_parse("00:1b:21:0a:0b:fff", &mac), 0);
    CU_ASSERT_NOT_EQUAL(mac_parse("", &mac), 0);
}

static void
test_endpoint(void)
{
    static const struct { const char *in; uint16_t port; const char *out; }
    good[] = {
        { "127.0.0.1:2055", 0, "127.0.0.1:2055" },
        { "[::1]:4739", 0, "[::1]:4739" },
        { "::1", 6343, "[::1]:6343" }, { "10.0.0.1", 1, "10.0.0.1:1" },
        { "[2001:db8::1]", 9, "[2001:db8::1]:9" },
    };
    static const char *const bad[] = { "127.0.0.1", "127.0.0.1:", "[::1",
                                       "[::1]x", "1.2.3.4:70000", ":2055",
                                       "1.2.3.4:-1", "x:1" };
    char buf[ENDPOINT_STRLEN];
    struct addr a;
    uint16_t port;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        CU_ASSERT_EQUAL(endpoint_parse(good[i].in, good[i].port, &a, &port),
                        0);
        CU_ASSERT_STRING_EQUAL(endpoint_format(&a, port, buf), good[i].out);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CU_ASSERT_NOT_EQUAL(endpoint_parse(bad[i], 0, &a, &port), 0);
    }

    struct sockaddr_in in = { .sin_family = AF_INET,
                              .sin_port = htons(53),
                              .sin_addr = { htonl(0x0a000001) } };
    CU_ASSERT_TRUE(addr_from_sockaddr((struct sockaddr *) &in, &a, &port));
    CU_ASSERT_STRING_EQUAL(endpoint_format(&a, port, buf), "10.0.0.1:53");
}

UNIT_MAIN("addr", UNIT_TEST(test_text), UNIT_TEST(test_prefix),
          UNIT_TEST(test_mac), UNIT_TEST(test_endpoint))
