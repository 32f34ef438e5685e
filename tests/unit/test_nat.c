#include <config.h>

#include "tests/unit/decode_util.h"

/* NAT event logging as RFC 8158 lays it out: each event's template of section
 * 5.6, with the columns that it must fill. */

#define MS_HEX "0000018bcfe56800"       /* 1700000000000. */

struct event {
    const char *name;
    uint8_t event;
    const char *hex;            /* The record. */
    unsigned n;
    struct template_field f[16];
};

#define TIME { 323, 8, 0 }
#define VRF { 234, 4, 0 }
#define PROTOCOL { 4, 1, 0 }
#define EVENT { 230, 1, 0 }
#define N_OF(...) sizeof ((struct template_field[]) { __VA_ARGS__ }) \
                  / sizeof (struct template_field)
#define FIELDS(...) N_OF(__VA_ARGS__), { __VA_ARGS__ }

/* Inside 10.0.0.1:4096 to 198.51.100.9:443, outside 203.0.113.5:50000. */
#define NAT44 TIME, VRF, { 8, 4, 0 }, { 225, 4, 0 }, PROTOCOL, { 7, 2, 0 }, \
              { 227, 2, 0 }, { 12, 4, 0 }, { 226, 4, 0 }, { 11, 2, 0 }, \
              { 228, 2, 0 }, { 229, 1, 0 }, EVENT, { 463, 4, 0 }
#define NAT44_HEX MS_HEX "00000007 0a000001 cb007105 06 1000 c350 c6336409 " \
                  "c6336409 01bb 01bb 01"
/* 2001:db8::1 to 64:ff9b::c633:6409. */
#define NAT64 TIME, { 27, 16, 0 }, { 225, 4, 0 }, PROTOCOL, { 7, 2, 0 }, \
              { 227, 2, 0 }, { 28, 16, 0 }, { 226, 4, 0 }, { 11, 2, 0 }, \
              { 228, 2, 0 }, EVENT
#define NAT64_HEX MS_HEX "20010db8000000000000000000000001 cb007105 06 1000 " \
                  "c350 0064ff9b0000000000000000c6336409 c6336409 01bb 01bb"

static const struct event events[] = {
    { "NAT44 session created", 4, NAT44_HEX "04 00000002", FIELDS(NAT44) },
    { "NAT44 session deleted", 5, NAT44_HEX "05 00000002", FIELDS(NAT44) },
    { "NAT64 session created", 6, NAT64_HEX "06", FIELDS(NAT64) },
    { "NAT64 session deleted", 7, NAT64_HEX "07", FIELDS(NAT64) },
    /* Tables of sections 5.6.1 and 5.6.2 with all that is optional. */
    { "NAT44 session between realms", 4,
      MS_HEX "00000002 0065 00000007 0a000001 cb007105 06 1000 c350 c6336409 "
      "c6336409 01bb 01bb 04 626c7565 ff0004 696e6574 04",
      FIELDS(TIME, { 463, 4, 0 }, { 58, 2, 0 }, VRF, { 8, 4, 0 },
             { 225, 4, 0 }, PROTOCOL, { 7, 2, 0 }, { 227, 2, 0 },
             { 12, 4, 0 }, { 226, 4, 0 }, { 11, 2, 0 }, { 228, 2, 0 },
             { 464, 65535, 0 }, { 465, 65535, 0 }, EVENT) },
    { "NAT44 binding", 8, MS_HEX "0a000001 cb007105 11 1000 c350 08",
      FIELDS(TIME, { 8, 4, 0 }, { 225, 4, 0 }, PROTOCOL, { 7, 2, 0 },
             { 227, 2, 0 }, EVENT) },
    { "NAT44 binding deleted", 9, MS_HEX "0a000001 cb007105 11 1000 c350 09",
      FIELDS(TIME, { 8, 4, 0 }, { 225, 4, 0 }, PROTOCOL, { 7, 2, 0 },
             { 227, 2, 0 }, EVENT) },
    { "NAT64 binding", 10,
      MS_HEX "20010db8000000000000000000000001 cb007105 11 1000 c350 0a",
      FIELDS(TIME, { 27, 16, 0 }, { 225, 4, 0 }, PROTOCOL, { 7, 2, 0 },
             { 227, 2, 0 }, EVENT) },
    { "NAT64 binding deleted", 11,
      MS_HEX "20010db8000000000000000000000001 cb007105 11 1000 c350 0b",
      FIELDS(TIME, { 27, 16, 0 }, { 225, 4, 0 }, PROTOCOL, { 7, 2, 0 },
             { 227, 2, 0 }, EVENT) },
    { "addresses exhausted", 3, MS_HEX "03 0000000c",
      FIELDS(TIME, EVENT, { 283, 4, 0 }) },
    { "ports exhausted", 12, MS_HEX "0c cb007105 06",
      FIELDS(TIME, EVENT, { 225, 4, 0 }, PROTOCOL) },
    { "sessions at their limit", 13, MS_HEX "00000002 0d 00000001 00000400",
      FIELDS(TIME, { 463, 4, 0 }, EVENT, { 466, 4, 0 }, { 471, 4, 0 }) },
    { "bindings at their limit", 13, MS_HEX "0d 00000002 00000400",
      FIELDS(TIME, EVENT, { 466, 4, 0 }, { 472, 4, 0 }) },
    { "subscribers at their limit", 13, MS_HEX "0d 00000004 00000400",
      FIELDS(TIME, EVENT, { 466, 4, 0 }, { 474, 4, 0 }) },
    { "fragments at their limit", 13,
      MS_HEX "0d 00000005 00000400 00000007 04 626c7565",
      FIELDS(TIME, EVENT, { 466, 4, 0 }, { 475, 4, 0 }, VRF,
             { 464, 65535, 0 }) },
    { "quota of a user of NAT64", 13,
      MS_HEX "0d 00000003 00000400 20010db8000000000000000000000001",
      FIELDS(TIME, EVENT, { 466, 4, 0 }, { 473, 4, 0 }, { 27, 16, 0 }) },
    { "quota of a user", 13, MS_HEX "0d 00000003 00000400 0a000001",
      FIELDS(TIME, EVENT, { 466, 4, 0 }, { 473, 4, 0 }, { 8, 4, 0 }) },
    { "threshold", 18, MS_HEX "12 00000001 00000400 0000000c",
      FIELDS(TIME, EVENT, { 467, 4, 0 }, { 476, 4, 0 }, { 283, 4, 0 }) },
    { "threshold below", 18, MS_HEX "12 00000002 00000400 0000000c",
      FIELDS(TIME, EVENT, { 467, 4, 0 }, { 477, 4, 0 }, { 283, 4, 0 }) },
    { "threshold of ports", 18, MS_HEX "12 00000003 00000400",
      FIELDS(TIME, EVENT, { 467, 4, 0 }, { 478, 4, 0 }) },
    { "threshold of ports, below", 18, MS_HEX "12 00000003 00000400",
      FIELDS(TIME, EVENT, { 467, 4, 0 }, { 479, 4, 0 }) },
    { "threshold of a user", 18, MS_HEX "12 00000004 00000400 0a000001",
      FIELDS(TIME, EVENT, { 467, 4, 0 }, { 480, 4, 0 }, { 8, 4, 0 }) },
    { "threshold of all", 18, MS_HEX "12 00000005 00000400",
      FIELDS(TIME, EVENT, { 467, 4, 0 }, { 481, 4, 0 }) },
    { "address released", 15, MS_HEX "0f 0a000001 cb007105",
      FIELDS(TIME, EVENT, { 8, 4, 0 }, { 225, 4, 0 }) },
    { "address of NAT64 bound", 14,
      MS_HEX "0e 20010db8000000000000000000000001 cb007105",
      FIELDS(TIME, EVENT, { 27, 16, 0 }, { 225, 4, 0 }) },
    { "port block back", 17, MS_HEX "0a000001 cb007105 c350 c44f 11",
      FIELDS(TIME, { 8, 4, 0 }, { 225, 4, 0 }, { 361, 2, 0 },
             { 362, 2, 0 }, EVENT) },
    { "address bound", 14, MS_HEX "0e 0a000001 cb007105",
      FIELDS(TIME, EVENT, { 8, 4, 0 }, { 225, 4, 0 }) },
    { "port block", 16,
      MS_HEX "0a000001 cb007105 c350 c44f 0001 0100 10 05 706f6f6c31",
      FIELDS(TIME, { 8, 4, 0 }, { 225, 4, 0 }, { 361, 2, 0 }, { 362, 2, 0 },
             { 363, 2, 0 }, { 364, 2, 0 }, EVENT, { 284, 65535, 0 }) },
};

static void
decode(struct rig *r, const struct event *e)
{
    static struct msg m;
    ipfix_begin(&m, EXPORT_S, 0, 1);
    ipfix_template(&m, 256, e->f, e->n);
    size_t at = set_begin(&m, 256);
    put_hex(&m, e->hex);
    set_end(&m, at);
    ipfix_end(&m);
    rig_feed(r, m.b, m.n);
}

static const struct template_field *
has(const struct event *e, uint16_t id)
{
    for (unsigned i = 0; i < e->n; i++) {
        if (e->f[i].id == id) {
            return &e->f[i];
        }
    }
    return NULL;
}

/* Quotas and thresholds: which, and where it lies; and realms. */
static void
check_limit(struct rig *r, const struct event *e)
{
    static const uint8_t quota[] = { [0] = 1, 2, 3, 4, 5 };
    static const uint8_t threshold[] = { [0] = 1, 2, 3, 3, 4, 5 };
    bool limited = false;
    for (uint16_t id = 471; id <= 481; id++) {
        if (has(e, id)) {
            limited = true;
            CHECK_IS(r->b, nat_limit, 0, 1024);
            if (id <= 475) {
                CHECK_IS(r->b, nat_quota, 0, quota[id - 471]);
            } else {
                CHECK_IS(r->b, nat_threshold, 0, threshold[id - 476]);
            }
        }
    }
    CU_ASSERT_EQUAL(batch_is_valid(r->b, COL_nat_limit, 0), limited);
    if (has(e, 464)) {
        CHECK_TEXT(r, nat_internal_realm, 0, "blue");
    }
    if (has(e, 465)) {
        CHECK_TEXT(r, nat_external_realm, 0, "inet");
    }
}

/* What every event's template names must be in its column. */
static void
test_events(void)
{
    static const struct {
        uint16_t id;
        uint8_t column;
        uint64_t value;
    } numbers[] = {
        { 234, COL_in_vrf, 7 }, { 7, COL_src_port, 4096 },
        { 227, COL_nat_src_port, 50000 }, { 11, COL_dst_port, 443 },
        { 228, COL_nat_dst_port, 443 }, { 463, COL_nat_instance, 2 },
        { 283, COL_nat_pool, 12 }, { 58, COL_vlan_id, 101 }, { 361, COL_port_range_start, 50000 },
        { 362, COL_port_range_end, 50255 },
    };
    static const struct {
        uint16_t id;
        uint8_t column;
        const char *value;
    } addresses[] = {
        { 8, COL_src_addr, "10.0.0.1" }, { 12, COL_dst_addr, "198.51.100.9" },
        { 27, COL_src_addr, "2001:db8::1" },
        { 28, COL_dst_addr, "64:ff9b::c633:6409" },
        { 225, COL_nat_src_addr, "203.0.113.5" },
        { 226, COL_nat_dst_addr, "198.51.100.9" },
    };
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        const struct event *e = &events[i];
        struct rig r;
        rig_init(&r);
        decode(&r, e);
        CU_ASSERT_EQUAL(rig_refusals(&r), 0);
        CU_ASSERT_EQUAL_FATAL(r.b->n, 1);
        CHECK_IS(r.b, nat_event, 0, e->event);
        CU_ASSERT_PTR_NOT_NULL(column_word_name(&columns[COL_nat_event],
                                                e->event));
        CU_ASSERT_EQUAL(r.b->flow_start[0], INT64_C(1700000000000000));
        for (size_t k = 0; k < sizeof numbers / sizeof numbers[0]; k++) {
            const struct column *c = &columns[numbers[k].column];
            uint64_t value = 0;
            memcpy(&value, (const char *) r.b + c->offset, c->size);
            bool is = batch_is_valid(r.b, numbers[k].column, 0);
            CU_ASSERT_EQUAL(is, has(e, numbers[k].id) != NULL);
            CU_ASSERT_TRUE(!is || value == numbers[k].value);
        }
        check_limit(&r, e);
        for (size_t k = 0; k < sizeof addresses / sizeof addresses[0]; k++) {
            const struct column *c = &columns[addresses[k].column];
            const struct addr *a
                = (const struct addr *) ((const char *) r.b + c->offset);
            struct addr wanted;
            addr_parse(addresses[k].value, &wanted);
            CU_ASSERT_TRUE(!has(e, addresses[k].id)
                           || (batch_is_valid(r.b, addresses[k].column, 0)
                               && addr_equal(a, &wanted)));
        }
        rig_clear(&r);
    }
}

static void
test_names(void)
{
    struct rig r;
    rig_init(&r);
    decode(&r, &events[sizeof events / sizeof events[0] - 1]);
    CU_ASSERT_TRUE_FATAL(batch_is_valid(r.b, COL_nat_pool_name, 0));
    CU_ASSERT_STRING_EQUAL(dict_text(r.dict, r.b->nat_pool_name[0]), "pool1");
    rig_clear(&r);
    CU_ASSERT_STRING_EQUAL(column_word_name(&columns[COL_nat_quota], 3),
                           "user");
    CU_ASSERT_STRING_EQUAL(column_word_name(&columns[COL_nat_threshold], 1),
                           "pool-high");
}

/* isMulticast (206): bits that say which family and scope. */
static void
test_multicast(void)
{
    static const struct template_field f[] = { { 12, 4, 0 }, { 206, 1, 0 } };
    static struct msg m;
    struct rig r;
    rig_init(&r);
    ipfix_begin(&m, EXPORT_S, 0, 1);
    ipfix_template(&m, 256, f, 2);
    size_t at = set_begin(&m, 256);
    put_hex(&m, "e0000001 80 0a000001 00");
    set_end(&m, at);
    ipfix_end(&m);
    rig_feed(&r, m.b, m.n);
    CU_ASSERT_EQUAL_FATAL(r.b->n, 2);
    CHECK_IS(r.b, multicast, 0, 1);
    CHECK_IS(r.b, multicast, 1, 0);
    rig_clear(&r);
}

UNIT_MAIN("nat", UNIT_TEST(test_events), UNIT_TEST(test_names),
          UNIT_TEST(test_multicast))
