/* Files of nfcapd: header, blocks, compression, every extension, damage. */
#include <config.h>

#include "collector/import/nfcapd.h"

#include <bzlib.h>
#include <errno.h>
#include <inttypes.h>
#include <lz4.h>
#include <stdio.h>
#include <zstd.h>

#include "collector/import/lzo.h"
#include "lib/dict.h"
#include "tests/unit/unit.h"

#define NOW INT64_C(1795400000000000)
#define T0_MS UINT64_C(1795399200123)
#define ROOM 65536

/* ---- Files, built byte by byte. ---- */

struct bytes {
    uint8_t p[ROOM];
    size_t n;
};

static void
put(struct bytes *b, const void *p, size_t n)
{
    CU_ASSERT_FATAL(b->n + n <= ROOM);
    memcpy(b->p + b->n, p, n);
    b->n += n;
}

static void
put_le(struct bytes *b, uint64_t v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t byte = i < 8 ? (uint8_t) (v >> 8 * i) : 0;
        put(b, &byte, 1);
    }
}

static void
set_le(struct bytes *b, size_t at, uint64_t v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        b->p[at + i] = (uint8_t) (v >> 8 * i);
    }
}

static void
put_header(struct bytes *b, uint8_t compression)
{
    put_le(b, 0xa50c, 2);
    put_le(b, 2, 2);
    put_le(b, 0x01070100, 4);
    put_le(b, T0_MS / 1000, 8);
    put_le(b, compression, 1);
    put_le(b, 0, 1);
    put_le(b, 0, 2);            /* Appendix: blocks, */
    put_le(b, 1, 4);
    put_le(b, 0, 8);            /* offset. */
    put_le(b, 0, 4);
    put_le(b, 0, 4);            /* Blocks. */
}

static void
put_block(struct bytes *b, uint32_t n_records, const void *p, size_t n,
          uint16_t flags)
{
    put_le(b, n_records, 4);
    put_le(b, n, 4);
    put_le(b, 3, 2);
    put_le(b, flags, 2);
    put(b, p, n);
}

/* The file is finished: how many blocks of flows, and totals. */
static void
put_appendix(struct bytes *b, uint32_t n_blocks, uint64_t flows,
             uint64_t octets, uint64_t packets)
{
    struct bytes stat = { .n = 0 };
    set_le(b, 18, 1, 2);
    set_le(b, 24, b->n, 8);
    set_le(b, 36, n_blocks, 4);
    put_le(&stat, 0x8001, 2);
    put_le(&stat, 9, 2);
    put(&stat, "none", 5);
    put_le(&stat, 0x8002, 2);
    put_le(&stat, 148, 2);
    put_le(&stat, flows, 8);
    put_le(&stat, octets, 8);
    put_le(&stat, packets, 8);
    stat.n += 120;
    put_block(b, 2, stat.p, stat.n, 1);
}

static void
put_exporter(struct bytes *b, uint16_t number, uint32_t version, uint32_t id)
{
    put_le(b, 7, 2);
    put_le(b, 32, 2);
    put_le(b, version, 4);
    put_le(b, 0, 8);
    put_le(b, 0xc0000201, 8);   /* 192.0.2.1 */
    put_le(b, 2, 2);
    put_le(b, number, 2);
    put_le(b, id, 4);
}

static void
put_sampler(struct bytes *b, uint16_t exporter, int64_t id, uint32_t taken,
            uint32_t left)
{
    put_le(b, 15, 2);
    put_le(b, 24, 2);
    put_le(b, exporter, 2);
    put_le(b, 1, 2);
    put_le(b, (uint64_t) id, 8);
    put_le(b, taken, 4);
    put_le(b, left, 4);
}

/* A flow record begins; end_flow() fills in its length. */
static size_t
begin_flow(struct bytes *b, unsigned n_extensions, uint8_t flags,
           uint8_t version)
{
    size_t at = b->n;
    put_le(b, 11, 2);
    put_le(b, 0, 2);
    put_le(b, n_extensions, 2);
    put_le(b, 3, 1);            /* Engine type, id. */
    put_le(b, 7, 1);
    put_le(b, 1, 2);
    put_le(b, flags, 1);
    put_le(b, version, 1);
    return at;
}

static void
end_flow(struct bytes *b, size_t at)
{
    set_le(b, at + 2, b->n - at, 2);
}

static void
extension(struct bytes *b, uint16_t number, size_t size)
{
    put_le(b, number, 2);
    put_le(b, size + 4, 2);
}

static void
put_generic(struct bytes *b, uint8_t proto, uint16_t src, uint16_t dst,
            uint64_t packets, uint64_t octets)
{
    extension(b, 1, 48);
    put_le(b, T0_MS - 500, 8);
    put_le(b, T0_MS - 100, 8);
    put_le(b, T0_MS, 8);
    put_le(b, packets, 8);
    put_le(b, octets, 8);
    put_le(b, src, 2);
    put_le(b, dst, 2);
    put_le(b, proto, 1);
    put_le(b, 0x1b, 1);
    put_le(b, 64, 1);
    put_le(b, 0xb8, 1);
}

static void
put_v4(struct bytes *b)
{
    extension(b, 2, 8);
    put_le(b, 0x0a000001, 4);
    put_le(b, 0x0a000002, 4);
}

static void
small_flow(struct bytes *b, uint8_t flags, uint64_t packets, uint64_t octets)
{
    size_t at = begin_flow(b, 2, flags, 9);
    put_generic(b, 6, 1234, 443, packets, octets);
    put_v4(b);
    end_flow(b, at);
}

/* ---- Reading them. ---- */

static struct dict *dict;
static struct flow_batch *kept[64];
static unsigned n_kept;

static ssize_t
read_bytes(void *bytes, uint64_t offset, void *buf, size_t n)
{
    const struct bytes *b = bytes;
    if (offset >= b->n) {
        return 0;
    }
    n = n < b->n - offset ? n : b->n - (size_t) offset;
    memcpy(buf, b->p + offset, n);
    return (ssize_t) n;
}

static struct flow_batch *
flush(void *aux, struct flow_batch *b)
{
    (void) aux;
    if (n_kept < sizeof kept / sizeof kept[0]) {
        kept[n_kept++] = b;
        b = batch_create();
    }
    batch_reset(b);
    return b;
}

struct reading {
    struct nfcapd_counters n;
    struct nfcapd_info info;
    char damage[8][256];
    unsigned n_damage;
    char error[256];
    struct flow_batch *b;       /* The last. */
    uint64_t unkept;
    unsigned unkept_number;
};

static bool
read_file(struct bytes *file, struct reading *r)
{
    struct nfcapd_config config = {
        .read = read_bytes, .flush = flush, .aux = file, .size = file->n,
        .dict = dict, .now_us = NOW,
    };
    char why[256];
    int e;

    memset(r, 0, sizeof *r);
    struct nfcapd *f = nfcapd_open(&config, r->error, sizeof r->error);
    if (!f) {
        return false;
    }
    r->b = batch_create();
    batch_reset(r->b);
    while ((e = nfcapd_next(f, &r->b, why, sizeof why))) {
        if (e == -EBADMSG) {
            CU_ASSERT_FATAL(r->n_damage < 8);
            memcpy(r->damage[r->n_damage++], why, sizeof why);
        } else {
            CU_ASSERT_EQUAL_FATAL(e, 1);
        }
    }
    memcpy(&r->n, nfcapd_counters(f), sizeof r->n);
    nfcapd_info(f, &r->info);
    const char *name;
    nfcapd_unkept(f, 0, &r->unkept_number, &name, &r->unkept);
    nfcapd_close(f);
    return true;
}

static void
done(struct reading *r)
{
    batch_destroy(r->b);
    while (n_kept) {
        batch_destroy(kept[--n_kept]);
    }
}

static void
check_addr(const struct addr *a, const char *text)
{
    char buf[ADDR_STRLEN];
    CU_ASSERT_STRING_EQUAL(addr_format(a, buf), text);
}

#define IS(COL, VALUE)                                          \
    do {                                                        \
        CU_ASSERT(batch_is_valid(r.b, COL_##COL, 0));           \
        CU_ASSERT_EQUAL(r.b->COL[0], VALUE);                    \
    } while (0)
#define IS_NULL(COL) CU_ASSERT(!batch_is_valid(r.b, COL_##COL, 0))

/* ---- Tests. ---- */

static void
every_extension(struct bytes *b)
{
    size_t at = begin_flow(b, 29, 1, 10);
    put_generic(b, 17, 53, 4242, 7, 700);
    extension(b, 3, 32);
    put_le(b, UINT64_C(0x20010db800000000), 8);
    put_le(b, 1, 8);
    put_le(b, UINT64_C(0x20010db800000000), 8);
    put_le(b, 2, 8);
    extension(b, 4, 16);
    put_le(b, 11, 4);
    put_le(b, 12, 4);
    put(b, "\x18\x19\x01\x00\x00\x03\x00\x00", 8);
    extension(b, 5, 24);
    put_le(b, 1, 8);
    put_le(b, 0, 8);
    put_le(b, 0, 8);
    extension(b, 6, 8);
    put_le(b, 100, 4);
    put_le(b, 200, 4);
    extension(b, 7, 8);
    put_le(b, 64512, 4);
    put_le(b, 4200000000, 4);
    extension(b, 8, 4);
    put_le(b, 0xc6336401, 4);
    extension(b, 11, 16);
    put_le(b, UINT64_C(0xfe80000000000000), 8);
    put_le(b, 9, 8);
    extension(b, 12, 4);
    put_le(b, 0xc0000209, 4);
    extension(b, 14, 40);
    put_le(b, 1000 << 4, 4);
    put_le(b, 2000 << 4 | 1, 4);
    put_le(b, 3000 << 4, 4);
    put_le(b, 0, 28 - 4);
    put_le(b, 0, 4);
    extension(b, 15, 32);
    put_le(b, UINT64_C(0x020000000001), 8);
    put_le(b, UINT64_C(0x020000000002), 8);
    put_le(b, UINT64_C(0x020000000003), 8);
    put_le(b, UINT64_C(0x020000000004), 8);
    extension(b, 16, 8);
    put_le(b, 65001, 4);
    put_le(b, 65002, 4);
    extension(b, 17, 24);
    put_le(b, 0, 24);
    extension(b, 19, 16);
    put_le(b, T0_MS - 50, 8);
    put_le(b, 77, 4);
    put_le(b, 1015, 2);
    put_le(b, 3, 2);
    extension(b, 20, 8);
    put_le(b, 0xcb007101, 4);
    put_le(b, 0, 4);
    extension(b, 22, 4);
    put_le(b, 1024, 2);
    put_le(b, 80, 2);
    extension(b, 23, 24);
    put_le(b, 0x3abd7f8e, 4);   /* In the order of the network. */
    put_le(b, 0xeebae147, 4);
    put_le(b, 0, 4);
    put_le(b, 0, 12);
    extension(b, 24, 68);
    put(b, "alice", 6);
    put_le(b, 0, 62);
    extension(b, 25, 16);
    put_le(b, T0_MS - 50, 8);
    put_le(b, 1, 4);
    put_le(b, 4, 4);
    extension(b, 27, 4);
    put_le(b, 0x5a00000d, 4);
    extension(b, 28, 4);
    put(b, "labl", 4);
    extension(b, 29, 4);
    put(b, "load", 4);
    extension(b, 31, 12);
    put_le(b, 0xac100001, 4);
    put_le(b, 0xac100002, 4);
    put_le(b, 47, 4);
    extension(b, 33, 16);
    put_le(b, 5, 8);
    put_le(b, 42, 8);
    extension(b, 36, 8);
    put_le(b, 2, 4);
    put_le(b, 1, 4);
    extension(b, 37, 28);
    put_le(b, 0, 28);
    extension(b, 50, 4);
    put_le(b, 1, 4);
    extension(b, 500, 4);
    put_le(b, 1, 4);
    extension(b, 18, 12);
    put_le(b, 1, 12);
    end_flow(b, at);
}

static void
test_extensions(void)
{
    struct bytes b = { .n = 0 }, records = { .n = 0 };
    struct reading r;

    put_header(&b, 0);
    put_exporter(&records, 1, 10, 99);
    every_extension(&records);
    put_block(&b, 2, records.p, records.n, 0);
    put_appendix(&b, 1, 1, 700, 7);
    CU_ASSERT_FATAL(read_file(&b, &r));
    CU_ASSERT_EQUAL_FATAL(r.b->n, 1);
    CU_ASSERT_EQUAL(r.n_damage, 0);
    CU_ASSERT_EQUAL(r.b->flow_start[0], (int64_t) (T0_MS - 500) * 1000);
    CU_ASSERT_EQUAL(r.b->flow_end[0], (int64_t) (T0_MS - 100) * 1000);
    CU_ASSERT_EQUAL(r.b->received[0], (int64_t) T0_MS * 1000);
    CU_ASSERT_EQUAL(r.b->oldest_us, (int64_t) T0_MS * 1000);
    check_addr(&r.b->exporter[0], "192.0.2.9");
    check_addr(&r.b->src_addr[0], "2001:db8::1");
    check_addr(&r.b->dst_addr[0], "2001:db8::2");
    check_addr(&r.b->bgp_next_hop[0], "198.51.100.1");
    check_addr(&r.b->next_hop[0], "fe80::9");
    check_addr(&r.b->nat_src_addr[0], "203.0.113.1");
    IS_NULL(nat_dst_addr);
    check_addr(&r.b->tunnel_src_addr[0], "172.16.0.1");
    IS(tunnel_type, TUNNEL_GRE);
    CU_ASSERT_EQUAL(r.b->export_protocol[0], PROTO_IPFIX);
    CU_ASSERT_EQUAL(r.b->observation_domain_id[0], 42);
    IS(observation_point_id, 5);
    CU_ASSERT_EQUAL(r.b->canonical[0], 1);
    IS(ip_version, 6);
    IS(multicast, 0);
    IS(proto, 17);
    IS(src_port, 53);
    IS(dst_port, 4242);
    IS(tcp_flags, 0x1b);
    IS(forwarding_status, 64);
    IS(tos, 0xb8);
    IS(in_if, 11);
    IS(out_if, 12);
    IS(src_prefix_length, 24);
    IS(dst_prefix_length, 25);
    IS(direction, DIR_EGRESS);
    IS(flow_end_reason, 3);
    IS(vlan_id, 100);
    IS(post_vlan_id, 200);
    IS(src_as, 64512);
    IS(dst_as, 4200000000);
    IS(dst_peer_as, 65001);
    IS(src_peer_as, 65002);
    IS(mpls_label, 1000);
    CU_ASSERT_STRING_EQUAL(dict_text(dict, r.b->mpls_labels[0]),
                           "1000 2000");
    IS(src_mac, UINT64_C(0x020000000001));
    IS(post_dst_mac, UINT64_C(0x020000000002));
    IS(dst_mac, UINT64_C(0x020000000003));
    IS(post_src_mac, UINT64_C(0x020000000004));
    IS(flow_id, 77);
    IS(firewall_ext_event, 1015);
    IS(firewall_event, 3);
    IS(nat_src_port, 1024);
    IS(nat_dst_port, 80);
    IS(nat_event, 4);
    CU_ASSERT_STRING_EQUAL(dict_text(dict, r.b->acl_in[0]),
                           "8e7fbd3a47e1baee00000000");
    IS_NULL(acl_out);
    CU_ASSERT_STRING_EQUAL(dict_text(dict, r.b->user_name[0]), "alice");
    IS(application_id, 0x0d00005a);
    IS(in_vrf, 1);
    IS(out_vrf, 2);
    IS_NULL(sampling);
    CU_ASSERT_EQUAL(r.b->bytes[0], 700);
    CU_ASSERT_EQUAL(r.b->raw_bytes[0], 700);
    CU_ASSERT_EQUAL(r.b->packets[0], 7);
    CU_ASSERT_EQUAL(r.b->quality[0], Q_RATE_UNKNOWN);

    CU_ASSERT_EQUAL(r.n.records, 1);
    CU_ASSERT_EQUAL(r.n.events, 1);
    CU_ASSERT_EQUAL(r.n.exporters, 1);
    CU_ASSERT_EQUAL(r.n.other_records, 1);
    CU_ASSERT_EQUAL(r.n.unkept_extensions, 4);  /* 17, 28, 29, 37. */
    CU_ASSERT_EQUAL(r.n.unknown_extensions, 2); /* 50, 500. */
    CU_ASSERT_EQUAL(r.unkept_number, 17);
    CU_ASSERT_EQUAL(r.unkept, 1);
    CU_ASSERT(r.info.closed && r.info.has_totals);
    CU_ASSERT_EQUAL(r.info.flows, 1);
    CU_ASSERT_EQUAL(r.info.bytes, 700);
    CU_ASSERT_EQUAL(r.info.packets, 7);
    CU_ASSERT_STRING_EQUAL(r.info.version, "1.7.1");
    CU_ASSERT_STRING_EQUAL(r.info.compression, "none");
    done(&r);
}

static void
test_sampling(void)
{
    struct bytes b = { .n = 0 }, records = { .n = 0 };
    struct reading r;
    size_t at;

    put_header(&b, 0);
    put_exporter(&records, 1, 9, 0);
    put_sampler(&records, 1, -1, 1, 99);
    put_sampler(&records, 1, 5, 2, 18);
    small_flow(&records, 2, 400, 40000);
    at = begin_flow(&records, 3, 2, 9);
    put_generic(&records, 6, 1, 2, 400, 40000);
    put_v4(&records);
    extension(&records, 18, 8);
    put_le(&records, 5, 8);
    end_flow(&records, at);
    small_flow(&records, 0, 3, 300);    /* Not multiplied: who knows? */
    put_block(&b, 6, records.p, records.n, 0);
    CU_ASSERT_FATAL(read_file(&b, &r));
    CU_ASSERT_EQUAL_FATAL(r.b->n, 3);
    IS(sampling, 100);
    CU_ASSERT_EQUAL(r.b->raw_packets[0], 4);
    CU_ASSERT_EQUAL(r.b->raw_bytes[0], 400);
    CU_ASSERT_EQUAL(r.b->packets[0], 400);
    CU_ASSERT_EQUAL(r.b->quality[0], Q_SCALED_BY_EXPORTER);
    CU_ASSERT_EQUAL(r.b->sampling[1], 10);
    CU_ASSERT_EQUAL(r.b->raw_packets[1], 40);
    CU_ASSERT(!batch_is_valid(r.b, COL_sampling, 2));
    CU_ASSERT_EQUAL(r.b->quality[2], Q_RATE_UNKNOWN);
    CU_ASSERT_EQUAL(r.n.sampled, 2);
    CU_ASSERT_EQUAL(r.n.samplers, 2);
    CU_ASSERT(!r.info.closed);
    done(&r);
}

/* A record that counts both directions is two flows. */
static void
test_both_directions(void)
{
    struct bytes b = { .n = 0 }, records = { .n = 0 };
    struct reading r;

    put_header(&b, 0);
    size_t at = begin_flow(&records, 4, 0, 10);
    put_generic(&records, 6, 1234, 443, 10, 1000);
    put_v4(&records);
    records.p[records.n - 1] = 224;     /* To a group. */
    extension(&records, 4, 16);
    put_le(&records, 1, 4);
    put_le(&records, 2, 4);
    put_le(&records, 0, 8);
    extension(&records, 5, 24);
    put_le(&records, 2, 8);
    put_le(&records, 20, 8);
    put_le(&records, 2000, 8);
    end_flow(&records, at);
    put_block(&b, 1, records.p, records.n, 0);
    CU_ASSERT_FATAL(read_file(&b, &r));
    CU_ASSERT_EQUAL_FATAL(r.b->n, 2);
    CU_ASSERT_EQUAL(r.b->bytes[0], 1000);
    CU_ASSERT_EQUAL(r.b->bytes[1], 2000);
    CU_ASSERT_EQUAL(r.b->packets[1], 20);
    check_addr(&r.b->src_addr[1], "224.0.0.2");
    check_addr(&r.b->dst_addr[1], "10.0.0.1");
    IS(multicast, 1);
    CU_ASSERT(batch_is_valid(r.b, COL_multicast, 1));
    CU_ASSERT_EQUAL(r.b->multicast[1], 0);
    CU_ASSERT_EQUAL(r.b->src_port[1], 443);
    CU_ASSERT_EQUAL(r.b->dst_port[1], 1234);
    CU_ASSERT_EQUAL(r.b->in_if[1], 2);
    CU_ASSERT(!batch_is_valid(r.b, COL_tcp_flags, 1));
    CU_ASSERT_EQUAL(r.b->flow_end[1], r.b->flow_end[0]);
    CU_ASSERT_EQUAL(r.n.rows, 2);
    CU_ASSERT_EQUAL(r.n.bytes, 3000);
    CU_ASSERT_EQUAL(r.n.aggregated, 1);
    done(&r);
}

static void
test_icmp_and_times(void)
{
    struct bytes b = { .n = 0 }, records = { .n = 0 };
    struct reading r;

    put_header(&b, 0);
    size_t at = begin_flow(&records, 2, 0, 5);
    put_generic(&records, 1, 0, 0x0301, 1, 84);
    put_v4(&records);
    set_le(&records, at + 12 + 4 + 8, T0_MS * 20, 8);   /* Its end. */
    end_flow(&records, at);
    at = begin_flow(&records, 1, 0, 5);
    put_generic(&records, 47, 0, 0, 1, 84);
    set_le(&records, at + 12 + 4 + 16, UINT64_MAX, 8);  /* Arrival. */
    end_flow(&records, at);
    put_block(&b, 2, records.p, records.n, 0);
    CU_ASSERT_FATAL(read_file(&b, &r));
    CU_ASSERT_EQUAL(r.b->n + (n_kept ? kept[0]->n : 0), 2);
    struct flow_batch *first = n_kept ? kept[0] : r.b;
    CU_ASSERT_EQUAL(first->icmp_type[0], 3);
    CU_ASSERT_EQUAL(first->icmp_code[0], 1);
    CU_ASSERT(!batch_is_valid(first, COL_dst_port, 0));
    CU_ASSERT_EQUAL(first->flow_end[0], (int64_t) T0_MS * 1000);
    CU_ASSERT(first->quality[0] & Q_TIME_CORRECTED);
    CU_ASSERT_EQUAL(first->observation_domain_id[0], 3 << 8 | 7);
    uint32_t row = n_kept ? 0 : 1;
    CU_ASSERT(!batch_is_valid(r.b, COL_src_port, row));
    CU_ASSERT(r.b->received[row] <= NOW);
    CU_ASSERT_EQUAL(r.n.time_corrected, 2);
    done(&r);
}

/* Flows of another hour go into another batch: that decides where they are
 * kept. */
static void
test_hours(void)
{
    struct bytes b = { .n = 0 }, records = { .n = 0 };
    struct reading r;

    put_header(&b, 0);
    for (unsigned i = 0; i < 3; i++) {
        size_t at = begin_flow(&records, 2, 0, 9);
        put_v4(&records);       /* Extensions have no order. */
        put_generic(&records, 6, 1, 2, 1, 40);
        uint64_t shift = i / 2 * 3600000;
        for (unsigned k = 0; k < 3; k++) {
            set_le(&records, at + 12 + 12 + 4 + 8 * k, T0_MS - 7200000
                   + shift, 8);
        }
        end_flow(&records, at);
    }
    put_block(&b, 3, records.p, records.n, 0);
    CU_ASSERT_FATAL(read_file(&b, &r));
    CU_ASSERT_EQUAL_FATAL(n_kept, 1);
    CU_ASSERT_EQUAL(kept[0]->n, 2);
    CU_ASSERT_EQUAL(r.b->n, 1);
    CU_ASSERT_EQUAL(r.b->oldest_us - kept[0]->oldest_us,
                    INT64_C(3600000000));
    done(&r);
}

static size_t
compress(int how, const struct bytes *in, uint8_t *out, size_t room)
{
    unsigned n = (unsigned) room;
    switch (how) {
    case 2:
        CU_ASSERT_EQUAL(BZ2_bzBuffToBuffCompress((char *) out, &n,
                                                 (char *) in->p,
                                                 (unsigned) in->n, 9, 0, 0),
                        BZ_OK);
        return n;
    case 3:
        return (size_t) LZ4_compress_default((const char *) in->p,
                                             (char *) out, (int) in->n,
                                             (int) room);
    case 4:
        return ZSTD_compress(out, room, in->p, in->n, 3);
    default:                    /* LZO: one run of literals, then the end. */
        n = 0;
        out[n++] = 0;
        for (size_t left = in->n - 18; ; left -= 255) {
            if (left <= 255) {
                out[n++] = (uint8_t) left;
                break;
            }
            out[n++] = 0;
        }
        memcpy(out + n, in->p, in->n);
        n += (unsigned) in->n;
        memcpy(out + n, "\x11\0\0", 3);
        return n + 3;
    }
}

static void
test_compression(void)
{
    static uint8_t packed[ROOM];
    struct bytes plain = { .n = 0 }, records = { .n = 0 };
    struct reading r, of_plain;

    put_exporter(&records, 1, 9, 0);
    for (unsigned i = 0; i < 100; i++) {
        small_flow(&records, 0, i, i * 100);
    }
    put_header(&plain, 0);
    put_block(&plain, 101, records.p, records.n, 0);
    CU_ASSERT_FATAL(read_file(&plain, &of_plain));
    CU_ASSERT_EQUAL(of_plain.b->n, 100);
    for (uint8_t how = 1; how <= 4; how++) {
        struct bytes b = { .n = 0 };
        size_t n = compress(how, &records, packed, sizeof packed);
        put_header(&b, how);
        put_block(&b, 101, packed, n, 0);
        put_block(&b, 101, records.p, records.n, 1);    /* Not packed. */
        CU_ASSERT_FATAL(read_file(&b, &r));
        CU_ASSERT_EQUAL(r.n_damage, 0);
        CU_ASSERT_EQUAL(r.b->n, 200);
        CU_ASSERT_EQUAL(r.b->bytes[199], 9900);
        done(&r);

        /* The same flows, however they are packed. */
        b.n = 0;
        put_header(&b, how);
        put_block(&b, 101, packed, n, 0);
        CU_ASSERT_FATAL(read_file(&b, &r));
        CU_ASSERT(!memcmp(r.info.hash, of_plain.info.hash,
                          sizeof r.info.hash));

        /* Every bit of a packed block, turned over: nothing happens but what
         * is said. */
        for (size_t at = 0; at < n; at += n / 97 + 1) {
            struct reading bad;
            uint8_t *p = &b.p[b.n - n + at];
            *p ^= (uint8_t) (1 << at % 8);
            CU_ASSERT_FATAL(read_file(&b, &bad));
            CU_ASSERT(bad.n_damage || bad.b->n);
            *p ^= (uint8_t) (1 << at % 8);
            batch_destroy(bad.b);
        }
        done(&r);
    }
    done(&of_plain);
}

static void
check_refused(struct bytes *b, const char *word)
{
    struct reading r;
    CU_ASSERT(!read_file(b, &r));
    CU_ASSERT_PTR_NOT_NULL(strstr(r.error, word));
}

static void
test_headers(void)
{
    struct bytes b = { .n = 0 };

    check_refused(&b, "too short");
    put_header(&b, 0);
    b.p[0] = 0xa5, b.p[1] = 0x0c;
    check_refused(&b, "order of bytes");
    b.p[0] = 'P', b.p[1] = 'K';
    check_refused(&b, "not a file of nfcapd");
    set_le(&b, 0, 0xa50c, 2);
    set_le(&b, 2, 1, 2);
    check_refused(&b, "nfdump 1.6");
    set_le(&b, 2, 3, 2);
    check_refused(&b, "layout");
    set_le(&b, 2, 2, 2);
    b.p[16] = 9;
    check_refused(&b, "compressed");
    b.p[16] = 0;
    b.p[17] = 1;
    check_refused(&b, "encrypted");
}

/* A file of two blocks, the first with three flows and names, the second with
 * two. */
static size_t
two_blocks(struct bytes *b)
{
    struct bytes records = { .n = 0 };

    b->n = 0;
    put_header(b, 0);
    put_exporter(&records, 1, 9, 0);
    small_flow(&records, 0, 1, 100);
    small_flow(&records, 0, 2, 200);
    small_flow(&records, 0, 3, 300);
    put_block(b, 4, records.p, records.n, 0);
    size_t second = b->n;
    records.n = 0;
    small_flow(&records, 0, 4, 400);
    small_flow(&records, 0, 5, 500);
    put_block(b, 2, records.p, records.n, 0);
    put_appendix(b, 2, 5, 1500, 15);
    return second;
}

/* Damage is told with its place; the blocks behind it are read all the same. */
static void
test_damage(void)
{
    static const struct {
        size_t at;              /* From the first block's header on. */
        uint8_t value;
        unsigned rows;
        const char *word;
    } list[] = {
        { 0, 5, 5, "4 records, not 5" },
        { 4, 0xff, 0, "records" },      /* Its size: the next is not found. */
        { 7, 0x7f, 0, "more than the file has" },
        { 12 + 32 + 2, 3, 2, "length cannot be" },
        { 12 + 32 + 3, 0xff, 2, "length cannot be" },
        { 12 + 32 + 4, 3, 2, "ends before its extensions" },
        { 12 + 32 + 12 + 2, 0xff, 2, "longer than its flow record" },
        { 12 + 32 + 12 + 2, 3, 2, "longer than its flow record" },
        { 12 + 32 + 12 + 2, 40, 2, "too short" },
    };
    struct bytes b;
    struct reading r;
    char where[64];

    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        two_blocks(&b);
        b.p[40 + list[i].at] = list[i].value;
        CU_ASSERT_FATAL(read_file(&b, &r));
        CU_ASSERT(r.n_damage >= 1);
        snprintf(where, sizeof where, "damaged in block 1 at byte 40");
        CU_ASSERT_PTR_NOT_NULL(strstr(r.damage[0], where));
        CU_ASSERT_PTR_NOT_NULL(strstr(r.damage[0], list[i].word));
        if (list[i].rows) {
            CU_ASSERT_EQUAL(r.b->n, list[i].rows);
        }
        CU_ASSERT(r.n.bad_blocks >= 1);
        done(&r);
    }
}

/* Cut anywhere: told, unless nothing but totals is missing. */
static void
test_cut(void)
{
    struct bytes whole;
    struct reading r;

    two_blocks(&whole);
    for (size_t n = 40; n < whole.n; n++) {
        struct bytes *cut = malloc(sizeof *cut);
        CU_ASSERT_PTR_NOT_NULL_FATAL(cut);
        memcpy(cut, &whole, sizeof whole);
        cut->n = n;
        CU_ASSERT_FATAL(read_file(cut, &r));
        uint64_t end = 0;
        memcpy(&end, whole.p + 24, 8);
        CU_ASSERT_EQUAL(r.n_damage != 0, n < end);
        CU_ASSERT_EQUAL(r.b->n, n < end ? r.b->n : 5);
        CU_ASSERT(!r.info.has_totals || n > end);
        done(&r);
        free(cut);
    }
}

/* One file that nfcapd has not finished has no totals, and no damage. */
static void
test_not_closed(void)
{
    struct bytes b;
    struct reading r;

    two_blocks(&b);
    uint64_t end = 0;
    memcpy(&end, b.p + 24, 8);
    b.n = (size_t) end;
    set_le(&b, 18, 0, 2);
    set_le(&b, 24, 0, 8);
    set_le(&b, 36, 0, 4);
    CU_ASSERT_FATAL(read_file(&b, &r));
    CU_ASSERT_EQUAL(r.n_damage, 0);
    CU_ASSERT_EQUAL(r.b->n, 5);
    CU_ASSERT(!r.info.closed);
    done(&r);
}

static bool
unpacks_to(const char *in, size_t n, const char *text)
{
    uint8_t out[256];
    uint8_t *exact = memdup_exact(in, n);
    size_t made;
    bool same = !lzo_decompress(exact, n, out, sizeof out, &made)
                && made == strlen(text) && !memcmp(out, text, made);
    for (size_t cut = 0; cut < n; cut++) {      /* Never beyond the end. */
        uint8_t *less = memdup_exact(in, cut);
        CU_ASSERT_EQUAL(lzo_decompress(less, cut, out, sizeof out, &made),
                        -EBADMSG);
        free(less);
    }
    free(exact);
    return same;
}

/* Each form of an instruction, from the description of the format. */
static void
test_lzo(void)
{
    /* 3 literals in short form, then the end. */
    CU_ASSERT(unpacks_to("\x14" "abc" "\x11\0\0", 7, "abc"));
    /* A run of 4, then two bytes 4 back and one literal. */
    CU_ASSERT(unpacks_to("\x01" "abcd" "\x4d\x00" "x" "\x11\0\0", 11,
                         "abcdabcx"));
    /* A match that overlaps itself: distance 1, 5 bytes. */
    CU_ASSERT(unpacks_to("\x12" "a" "\x23\0\0" "\x11\0\0", 8, "aaaaaa"));
    /* Two bytes after one literal. */
    CU_ASSERT(unpacks_to("\x15" "abcd" "\x4d\x00" "x" "\x04\x00" "\x11\0\0",
                         13, "abcdabcxcx"));
    /* 5 to 8 bytes, distance up to 2 kB. */
    CU_ASSERT(unpacks_to("\x19" "12345678" "\x9c\x00" "\x11\0\0", 14,
                         "1234567812345"));
    /* A length that goes on: 2 + 31 + 1. */
    CU_ASSERT(unpacks_to("\x12" "a" "\x20\x01\0\0" "\x11\0\0", 9,
                         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
    uint8_t out[4];
    size_t made;
    /* Before the beginning; more than fits; bytes behind the end. */
    CU_ASSERT_EQUAL(lzo_decompress((const uint8_t *) "\x12" "a\x23\x08\0\x11\0"
                                   "\0", 8, out, 4, &made), -EBADMSG);
    CU_ASSERT_EQUAL(lzo_decompress((const uint8_t *) "\x12" "a\x23\0\0\x11\0"
                                   "\0", 8, out, 4, &made), -EBADMSG);
    CU_ASSERT_EQUAL(lzo_decompress((const uint8_t *) "\x14" "abc\x11\0\0\0", 8,
                                   out, 4, &made), -EBADMSG);
    CU_ASSERT_EQUAL(lzo_decompress((const uint8_t *) "", 0, out, 4, &made),
                    -EBADMSG);
}

static void
test_begin(void)
{
    dict = dict_create(1000, 100000);
    CU_ASSERT_PTR_NOT_NULL_FATAL(dict);
}

static void
test_end(void)
{
    dict_destroy(dict);
}

UNIT_MAIN("nfcapd", UNIT_TEST(test_begin), UNIT_TEST(test_extensions),
          UNIT_TEST(test_sampling), UNIT_TEST(test_both_directions),
          UNIT_TEST(test_icmp_and_times), UNIT_TEST(test_hours),
          UNIT_TEST(test_compression), UNIT_TEST(test_headers),
          UNIT_TEST(test_damage), UNIT_TEST(test_cut),
          UNIT_TEST(test_not_closed), UNIT_TEST(test_lzo),
          UNIT_TEST(test_end))
