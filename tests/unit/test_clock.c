#include <config.h>

#include "lib/clock.h"

#include "tests/unit/unit.h"

#define NOW INT64_C(1763874000000000)           /* 2025-11-23T05:00:00Z */

static void
test_time(void)
{
    static const struct { const char *in, *out; } good[] = {
        { "2026-11-23T05:00:00Z", "2026-11-23T05:00:00Z" },
        { "2026-11-23 05:00", "2026-11-23T05:00:00Z" },
        { "2026-11-23", "2026-11-23T00:00:00Z" },
        { "2026-11-23T05:00:00.25+01:00", "2026-11-23T04:00:00.250Z" },
        { "2026-11-23T05:00:00.123456789Z", "2026-11-23T05:00:00.123456Z" },
        { "1763874000", "2025-11-23T05:00:00Z" },
        { "1763874000.5", "2025-11-23T05:00:00.500Z" },
        { "0", "1970-01-01T00:00:00Z" },
        { "now", "2025-11-23T05:00:00Z" },
        { "-1h", "2025-11-23T04:00:00Z" },
        { "now-90s", "2025-11-23T04:58:30Z" },
        { "+5m", "2025-11-23T05:05:00Z" },
    };
    static const char *const bad[] = {
        "", "yesterday", "2026-13-01", "2026-02-30", "2026-11-23T25:00:00Z",
        "2026-11-23T05:00:00Q", "-1x", "nowhere", "99999999999999999999",
        "1e9", "-", "2026-11-23T05:00:00+1", "12-", "0x10",
    };
    char buf[TIME_STRLEN];
    int64_t us;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        CU_ASSERT_EQUAL(time_parse_us(good[i].in, NOW, &us), 0);
        CU_ASSERT_STRING_EQUAL(time_format_us(us, buf), good[i].out);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CU_ASSERT_NOT_EQUAL(time_parse_us(bad[i], NOW, &us), 0);
    }
    CU_ASSERT_STRING_EQUAL(time_format_us(-1, buf),
                           "1969-12-31T23:59:59.999999Z");
}

static void
test_duration(void)
{
    int64_t us;
    CU_ASSERT_EQUAL(duration_parse_us("90s", &us), 0);
    CU_ASSERT_EQUAL(us, 90000000);
    CU_ASSERT_EQUAL(duration_parse_us("1.5h", &us), 0);
    CU_ASSERT_EQUAL(us, INT64_C(5400000000));
    CU_ASSERT_EQUAL(duration_parse_us("15d", &us), 0);
    CU_ASSERT_EQUAL(us, INT64_C(1296000000000));
    CU_ASSERT_EQUAL(duration_parse_us("250ms", &us), 0);
    CU_ASSERT_EQUAL(us, 250000);
    CU_ASSERT_NOT_EQUAL(duration_parse_us("-1s", &us), 0);
    CU_ASSERT_NOT_EQUAL(duration_parse_us("1 s", &us), 0);
    CU_ASSERT_NOT_EQUAL(duration_parse_us("inf", &us), 0);
    CU_ASSERT_NOT_EQUAL(duration_parse_us("0x1s", &us), 0);
    CU_ASSERT_NOT_EQUAL(duration_parse_us("99999999999999y", &us), 0);
}

static void
test_size(void)
{
    uint64_t n;
    CU_ASSERT_EQUAL(size_parse("50GB", &n), 0);
    CU_ASSERT_EQUAL(n, UINT64_C(50000000000));
    CU_ASSERT_EQUAL(size_parse("64KiB", &n), 0);
    CU_ASSERT_EQUAL(n, 65536);
    CU_ASSERT_EQUAL(size_parse("0", &n), 0);
    CU_ASSERT_EQUAL(n, 0);
    CU_ASSERT_NOT_EQUAL(size_parse("50 GB", &n), 0);
    CU_ASSERT_NOT_EQUAL(size_parse("GB", &n), 0);
    CU_ASSERT_NOT_EQUAL(size_parse("-1", &n), 0);
}

UNIT_MAIN("clock", UNIT_TEST(test_time), UNIT_TEST(test_duration),
          UNIT_TEST(test_size))
