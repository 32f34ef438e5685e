#include <config.h>

#include "collector/exporter/interface_counters.h"
#include "tests/unit/decode_util.h"

#define ETH_TCP "020000000002 020000000001 0800 " \
    "45b8003c12344000 3f060000 0a000001 0a000002 " \
    "1f9001bb 00000001 00000002 5012ffff 00000000 0000 "
#define ETH_TCP_SIZE 56

/* XDR pads opaque bytes. */
static void
pad4(struct msg *m, size_t from)
{
    while ((m->n - from) % 4) {
        put8(m, 0);
    }
}

static void
header(struct msg *m, uint32_t seq, uint32_t n_samples)
{
    m->n = 0;
    put32(m, 5);
    put32(m, 1);
    put_hex(m, "0a0a0a0a");     /* Agent. */
    put32(m, 3);                /* Sub-agent. */
    put32(m, seq);
    put32(m, 123456);
    put32(m, n_samples);
}

/* Sets the length of what began at 'at' with a format and a length. */
static void
end(struct msg *m, size_t at)
{
    set32(m, at + 4, (uint32_t) (m->n - at - 8));
}

static size_t
begin(struct msg *m, uint32_t format)
{
    put32(m, format);
    put32(m, 0);
    return m->n - 8;
}

static size_t
flow_begin(struct msg *m, uint32_t in, uint32_t out, uint32_t n_records)
{
    size_t at = begin(m, 1);
    put32(m, 77);
    put32(m, 2u << 24 | 1001);  /* Data source. */
    put32(m, 400);              /* Rate. */
    put32(m, 40000);
    put32(m, 0);
    put32(m, in);
    put32(m, out);
    put32(m, n_records);
    return at;
}

static void
raw_header(struct msg *m, const char *hex, uint32_t frame_length,
           uint32_t stripped)
{
    size_t at = begin(m, 1);
    put32(m, 1);
    put32(m, frame_length);
    put32(m, stripped);
    size_t size_at = m->n;
    put32(m, 0);
    size_t from = m->n;
    put_hex(m, hex);
    set32(m, size_at, (uint32_t) (m->n - from));
    pad4(m, from);
    end(m, at);
}

static void
ext_switch(struct msg *m, uint32_t vlan)
{
    size_t at = begin(m, 1001);
    put32(m, vlan);
    put32(m, 0);
    put32(m, 0);
    put32(m, 0);
    end(m, at);
}

static void
good(struct msg *m, uint32_t seq)
{
    header(m, seq, 1);
    size_t at = flow_begin(m, 3, 4, 2);
    raw_header(m, ETH_TCP, 78, 4);
    ext_switch(m, 12);
    end(m, at);
}

static void
test_raw_header(void)
{
    struct rig r;
    static struct msg m;
    rig_init(&r);
    good(&m, 1);
    rig_feed(&r, m.b, m.n);
    struct flow_batch *b = r.b;
    CU_ASSERT_EQUAL(rig_refusals(&r), 0);
    CU_ASSERT_EQUAL(b->n, 1);
    CHECK_ADDR(b->exporter[0], "10.10.10.10");
    CU_ASSERT_EQUAL(b->observation_domain_id[0], 3);
    CU_ASSERT_EQUAL(b->export_protocol[0], PROTO_SFLOW5);
    CHECK_IS(b, observation_point_id, 0, 2u << 24 | 1001);
    CU_ASSERT_EQUAL(b->flow_start[0], RECEIVED_US);
    CU_ASSERT_EQUAL(b->flow_end[0], RECEIVED_US);
    CHECK_IS(b, in_if, 0, 3);
    CHECK_IS(b, out_if, 0, 4);
    CHECK_IS(b, forwarding_status, 0, 64);
    CHECK_IS(b, sampling, 0, 400);
    CHECK_IS(b, vlan_id, 0, 12);
    CHECK_IS(b, src_mac, 0, 0x020000000001);
    CHECK_IS(b, proto, 0, 6);
    CHECK_IS(b, dst_port, 0, 443);
    /* Sampled values are left for the stage that scales. */
    CU_ASSERT_EQUAL(b->packets[0], 1);
    CU_ASSERT_EQUAL(b->bytes[0], 60);
    CU_ASSERT_EQUAL(b->raw_bytes[0], 60);
    CHECK_IS(b, l2_bytes, 0, 74);
    CU_ASSERT_EQUAL(b->quality[0], 0);
    struct source *s = rig_source(&r);
    CHECK_ADDR(s->key.exporter, "192.0.2.1");
    CHECK_ADDR(s->key.agent, "10.10.10.10");
    CU_ASSERT_EQUAL(s->sampling, 400);
    CU_ASSERT_EQUAL(s->sampling_origin, SAMPLING_HEADER);
    rig_clear(&r);
}

static void
test_expanded(void)
{
    struct rig r;
    static struct msg m;
    rig_init(&r);
    header(&m, 1, 1);
    size_t at = begin(&m, 3);
    put32(&m, 1);
    put32(&m, 0);               /* Data source class, index. */
    put32(&m, 70000);
    put32(&m, 1000);
    put32(&m, 0);
    put32(&m, 0);
    put32(&m, 0);               /* Input format, value. */
    put32(&m, 0x50000001);
    put32(&m, 1);               /* Output: dropped by a rule. */
    put32(&m, 258);
    put32(&m, 1);
    raw_header(&m, ETH_TCP, 78, 4);
    end(&m, at);
    rig_feed(&r, m.b, m.n);
    CU_ASSERT_EQUAL(r.b->n, 1);
    CHECK_IS(r.b, observation_point_id, 0, 70000);
    CHECK_IS(r.b, in_if, 0, 0x50000001);
    CHECK_NULL(r.b, out_if, 0);
    CHECK_IS(r.b, forwarding_status, 0, 129);
    CHECK_NULL(r.b, vlan_id, 0);
    CU_ASSERT_EQUAL(r.b->quality[0], 0);
    rig_clear(&r);
}

static void
test_interfaces(void)
{
    static const struct {
        uint32_t in, out;
        bool has_in, has_out, has_status;
        uint8_t status;
        uint32_t quality;
    } cases[] = {
        { 5, 6, true, true, true, 64, 0 },
        { 0, 0, false, false, false, 0, Q_OUTPUT_UNKNOWN },
        { 0x3fffffff, 0x3fffffff, false, false, true, 64, Q_OUTPUT_UNKNOWN },
        { 5, 0x40000100, true, false, true, 128, Q_OUTPUT_UNKNOWN },
        { 5, 0x40000002, true, false, true, 128, 0 },
        { 5, 0x80000003, true, false, true, 64, Q_OUTPUT_UNKNOWN },
        { 5, 0x80000000, true, false, true, 64, Q_OUTPUT_UNKNOWN },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rig r;
        static struct msg m;
        rig_init(&r);
        header(&m, 1, 1);
        size_t at = flow_begin(&m, cases[i].in, cases[i].out, 1);
        raw_header(&m, ETH_TCP, 78, 4);
        end(&m, at);
        rig_feed(&r, m.b, m.n);
        struct flow_batch *b = r.b;
        CU_ASSERT_EQUAL(batch_is_valid(b, COL_in_if, 0), cases[i].has_in);
        CU_ASSERT_EQUAL(batch_is_valid(b, COL_out_if, 0), cases[i].has_out);
        CU_ASSERT_EQUAL(batch_is_valid(b, COL_forwarding_status, 0),
                        cases[i].has_status);
        if (cases[i].has_status) {
            CU_ASSERT_EQUAL(b->forwarding_status[0], cases[i].status);
        }
        CU_ASSERT_EQUAL(b->quality[0], cases[i].quality);
        rig_clear(&r);
    }
}

static void
test_tunnel(void)
{
    struct rig r;
    static struct msg m;
    rig_init(&r);
    header(&m, 1, 1);
    size_t at = flow_begin(&m, 3, 4, 5);
    static const struct { uint32_t format; const char *hex; } tunnels[] = {
        { 1023, "00000000 00000011 ac100005 ac100006 0000 1000 0000 12b5"
                "00000000 00000000" },
        { 1024, "00000000 00000011 ac100001 ac100002 0000 1000 0000 17c1"
                "00000000 00000000" },
        { 1029, "00001389" },
        { 1030, "0000138a" },
    };
    for (size_t i = 0; i < 4; i++) {
        size_t t = begin(&m, tunnels[i].format);
        put_hex(&m, tunnels[i].hex);
        end(&m, t);
    }
    raw_header(&m, ETH_TCP, 78, 4);
    end(&m, at);
    rig_feed(&r, m.b, m.n);
    CU_ASSERT_EQUAL(rig_refusals(&r), 0);
    CHECK_IS(r.b, tunnel_type, 0, TUNNEL_GENEVE);
    CHECK_ADDR(r.b->tunnel_src_addr[0], "172.16.0.1");
    CHECK_ADDR(r.b->tunnel_dst_addr[0], "172.16.0.2");
    CHECK_IS(r.b, vni, 0, 5002);
    CHECK_IS(r.b, tunnel_proto, 0, 17);
    CHECK_IS(r.b, tunnel_src_port, 0, 4096);
    CHECK_IS(r.b, tunnel_dst_port, 0, 6081);
    rig_clear(&r);
}

/* What is in the sampled header itself. */
static void
test_inner(void)
{
    static const struct { const char *hex; uint8_t type; uint32_t vni; }
    cases[] = {
        { FRAME_MACS "0800 " PACKET_GTPU, TUNNEL_GTPU, 0x12345678 },
        { FRAME_MACS "0800 " PACKET_ERSPAN, TUNNEL_ERSPAN, 0x107 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rig r;
        static struct msg m;
        rig_init(&r);
        header(&m, 1, 1);
        size_t at = flow_begin(&m, 3, 4, 1);
        raw_header(&m, cases[i].hex, 318, 4);
        end(&m, at);
        rig_feed(&r, m.b, m.n);
        CU_ASSERT_EQUAL(rig_refusals(&r), 0);
        CU_ASSERT_EQUAL_FATAL(r.b->n, 1);
        check_tunnelled(r.b, 0, cases[i].type, cases[i].vni);
        CHECK_IS(r.b, l2_bytes, 0, 314);
        rig_clear(&r);
    }
}

static void
test_sampled_ip(void)
{
    struct rig r;
    static struct msg m;
    rig_init(&r);
    header(&m, 1, 2);
    size_t at = flow_begin(&m, 3, 4, 3);
    size_t t = begin(&m, 2);
    put_hex(&m, "0000007b 020000000001 0000 020000000002 0000 00000800");
    end(&m, t);
    t = begin(&m, 3);
    put_hex(&m, "00000069 00000006 0a000001 0a000002 00001f90 000001bb"
            "00000012 000000b8");
    end(&m, t);
    t = begin(&m, 1003);        /* AS path 64999 15169. */
    put_hex(&m, "00000001 0a000009 0000fde8 0000fbff 0000fbff 00000001"
            "00000002 00000002 0000fde7 00003b41 00000000 00000064");
    end(&m, t);
    end(&m, at);
    at = flow_begin(&m, 3, 4, 1);
    t = begin(&m, 4);
    put_hex(&m, "00000400 00000011 20010db8000000000000000000000001"
            "20010db8000000000000000000000002 00000035 0000d431 00000000"
            "00000000");
    end(&m, t);
    end(&m, at);
    rig_feed(&r, m.b, m.n);
    struct flow_batch *b = r.b;
    CU_ASSERT_EQUAL(rig_refusals(&r), 0);
    CU_ASSERT_EQUAL(b->n, 2);
    CHECK_IS(b, src_mac, 0, 0x020000000001);
    CHECK_IS(b, ether_type, 0, 0x0800);
    CHECK_IS(b, l2_bytes, 0, 119);
    CU_ASSERT_EQUAL(b->bytes[0], 105);
    CU_ASSERT_EQUAL(b->quality[0], 0);
    CHECK_IS(b, tcp_flags, 0, 0x12);
    CHECK_IS(b, src_as, 0, 64511);
    CHECK_IS(b, dst_as, 0, 15169);
    CHECK_ADDR(b->bgp_next_hop[0], "10.0.0.9");
    CHECK_TEXT(&r, as_path, 0, "64999 15169");
    CHECK_NULL(b, communities, 0);
    CHECK_IS(b, ip_version, 1, 6);
    CU_ASSERT_EQUAL(b->bytes[1], 1024);
    CHECK_NULL(b, l2_bytes, 1);
    CHECK_NULL(b, tcp_flags, 1);
    rig_clear(&r);
}

static void
put_counters(struct msg *m, uint32_t index)
{
    size_t t = begin(m, 1);
    put32(m, index);
    put32(m, 6);
    put64(m, 10000000000);
    put32(m, 1);
    put32(m, 3);
    put64(m, 123456789012);     /* In. */
    for (unsigned i = 0; i < 6; i++) {
        put32(m, 100 + i);
    }
    put64(m, 987654321098);     /* Out. */
    for (unsigned i = 0; i < 6; i++) {
        put32(m, 200 + i);
    }
    end(m, t);
    t = begin(m, 2);
    for (unsigned i = 0; i < 13; i++) {
        put32(m, i);
    }
    end(m, t);
    t = begin(m, 1004);
    put64(m, 0x42);
    put32(m, 7);
    end(m, t);
    t = begin(m, 1005);
    put32(m, 4);
    put_hex(m, "65746830");
    end(m, t);
    t = begin(m, 2207);
    for (unsigned i = 1; i <= 6; i++) {
        put32(m, i);
    }
    end(m, t);
    t = begin(m, 2203);         /* Too short: left out. */
    put32(m, 1);
    end(m, t);
    t = begin(m, 4711);
    put32(m, 1);
    end(m, t);
}

static bool
count_one(const struct interface_counters *c, void *aux)
{
    CU_ASSERT_EQUAL(c->source_id, 1);
    ++*(unsigned *) aux;
    return true;
}

static void
test_counters(void)
{
    struct rig r;
    static struct msg m;
    rig_init(&r);
    header(&m, 1, 3);
    size_t at = begin(&m, 2);
    put32(&m, 1);
    put32(&m, 5);
    put32(&m, 7);
    put_counters(&m, 5);
    end(&m, at);
    at = begin(&m, 4);
    put32(&m, 1);
    put32(&m, 0);
    put32(&m, 6);
    put32(&m, 7);
    put_counters(&m, 6);
    end(&m, at);
    at = flow_begin(&m, 5, 6, 1);
    raw_header(&m, ETH_TCP, 78, 4);
    end(&m, at);
    rig_feed(&r, m.b, m.n);
    CU_ASSERT_EQUAL(rig_refusals(&r), 0);
    struct source *s = rig_source(&r);
    CU_ASSERT_EQUAL(s->n.counter_records, 2);
    CU_ASSERT_EQUAL(s->datapath_id, 0x42);
    CU_ASSERT_EQUAL(r.b->n, 1);
    struct interface_counters_table *t = source_table_counters(r.sources);
    struct interface_counters c;
    CU_ASSERT_EQUAL(interface_counters_count(t), 2);
    CU_ASSERT_TRUE_FATAL(interface_counters_get(t, s->id, 6, &c));
    CU_ASSERT_EQUAL(c.parts, COUNTERS_GENERIC | COUNTERS_NAME);
    CU_ASSERT_FALSE(counter_set_has(&c.v.has, FIELD_user_time_ms));
    CU_ASSERT_EQUAL(c.if_index, 6);
    CU_ASSERT_EQUAL(c.v.value[FIELD_if_speed], 10000000000);
    CU_ASSERT_EQUAL(c.v.value[FIELD_in_octets], 123456789012);
    CU_ASSERT_EQUAL(c.v.value[FIELD_out_octets], 987654321098);
    CU_ASSERT_EQUAL(c.v.value[FIELD_out_errors], 204);
    CU_ASSERT_EQUAL(c.v.value[FIELD_symbol_errors], 12);
    CU_ASSERT_EQUAL(c.v.value[FIELD_of_port], 7);
    CU_ASSERT_EQUAL(c.v.value[FIELD_dp_masks], 6);
    CU_ASSERT_STRING_EQUAL(dict_text(r.dict, c.name), "eth0");
    CU_ASSERT_FALSE(interface_counters_get(t, s->id, 7, &c));
    unsigned n = 0;
    interface_counters_each(t, s->id, count_one, &n);
    CU_ASSERT_EQUAL(n, 2);
    interface_counters_each(t, s->id + 1, count_one, &n);
    CU_ASSERT_EQUAL(n, 2);
    rig_clear(&r);

    /* A block beyond its sample. */
    rig_init(&r);
    header(&m, 1, 1);
    at = begin(&m, 2);
    put_hex(&m, "00000001 00000005 00000001 00000001 00000058");
    end(&m, at);
    rig_feed(&r, m.b, m.n);
    CU_ASSERT_EQUAL(r.n.bad_sample, 1);
    rig_clear(&r);
}

/* A counter sample with one structure, of 'n' words that count from 1000. */
static void
put_words(struct msg *m, uint32_t format, uint32_t n)
{
    header(m, 1, 1);
    size_t at = begin(m, 2);
    put32(m, 1);
    put32(m, 2 << 24 | 1);
    put32(m, 1);
    size_t t = begin(m, format);
    for (uint32_t i = 0; i < n; i++) {
        put32(m, 1000 + i);
    }
    end(m, t);
    end(m, at);
}

/* Every structure of numbers alone: its size, where its first and its last
 * member are, and that nothing is taken of a shorter one. */
static void
test_counter_structures(void)
{
    static const struct {
        uint32_t format, n_words, n_later;
        enum counter_field first, last;
        unsigned last_words;
    } cases[] = {
        { 2, 13, 0, FIELD_alignment_errors, FIELD_symbol_errors, 1 },
        { 5, 7, 0, FIELD_vlan, FIELD_vlan_discards, 1 },
        { 6, 20, 0, FIELD_wlan_tx_fragments, FIELD_wlan_polls_lost, 1 },
        { 7, 14, 0, FIELD_lacp_actor_system, FIELD_lacp_marker_response_tx,
          1 },
        { 1001, 7, 0, FIELD_cpu_5s, FIELD_memory_free, 2 },
        { 1002, 3, 0, FIELD_radio_elapsed_ms, FIELD_radio_busy_ms, 1 },
        { 1004, 3, 0, FIELD_datapath_id, FIELD_of_port, 1 },
        { 2002, 2, 0, FIELD_parent_class, FIELD_parent_index, 1 },
        { 2003, 20, 3, FIELD_load_1m_milli, FIELD_cpu_guest_nice_ms, 1 },
        { 2004, 18, 0, FIELD_mem_total, FIELD_swaps_out, 1 },
        { 2005, 13, 0, FIELD_disk_total, FIELD_disk_write_ms, 1 },
        { 2006, 10, 0, FIELD_host_in_octets, FIELD_host_out_drops, 1 },
        { 2007, 19, 0, FIELD_ip_forwarding, FIELD_ip_fragments, 1 },
        { 2008, 25, 0, FIELD_icmp_in, FIELD_icmp_out_mask_reply, 1 },
        { 2009, 15, 0, FIELD_tcp_rto_algorithm, FIELD_tcp_in_checksum_errors,
          1 },
        { 2010, 7, 0, FIELD_udp_in, FIELD_udp_in_checksum_errors, 1 },
        { 2100, 7, 0, FIELD_node_mhz, FIELD_node_domains, 1 },
        { 2101, 3, 0, FIELD_guest_state, FIELD_guest_cpus, 1 },
        { 2102, 4, 0, FIELD_guest_memory, FIELD_guest_memory_max, 2 },
        { 2103, 13, 0, FIELD_guest_disk_capacity, FIELD_guest_disk_errors,
          1 },
        { 2104, 10, 0, FIELD_guest_in_octets, FIELD_guest_out_drops, 1 },
        { 2203, 10, 0, FIELD_user_time_ms, FIELD_connections_max, 1 },
        { 2207, 6, 0, FIELD_dp_hits, FIELD_dp_masks, 1 },
    };
    static struct msg m;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rig r;
        struct interface_counters c;
        uint32_t n_words = cases[i].n_words;
        rig_init(&r);
        for (uint32_t n = 0; n + cases[i].n_later < n_words; n++) {
            put_words(&m, cases[i].format, n);
            rig_feed(&r, m.b, m.n);
        }
        struct source *s = rig_source(&r);
        struct interface_counters_table *t = source_table_counters(r.sources);
        CU_ASSERT_EQUAL(interface_counters_count(t), 0);
        put_words(&m, cases[i].format, n_words);
        rig_feed(&r, m.b, m.n);
        CU_ASSERT_EQUAL(rig_refusals(&r), 0);
        CU_ASSERT_TRUE_FATAL(interface_counters_get(t, s->id, 2 << 24 | 1,
                                                    &c));
        CU_ASSERT_TRUE(counter_set_has(&c.v.has, cases[i].first));
        CU_ASSERT_TRUE(counter_set_has(&c.v.has, cases[i].last));
        CU_ASSERT_EQUAL(counter_set_count(&c.v.has),
                        cases[i].last - cases[i].first + 1u);
        uint64_t last = 1000 + n_words - 1;
        if (cases[i].last_words == 2) {
            last |= (last - 1) << 32;
        }
        CU_ASSERT_EQUAL(c.v.value[cases[i].last], last);
        rig_clear(&r);
    }
}

static void
put_host(struct msg *m, uint32_t load, uint32_t uptime, uint32_t n_adapters)
{
    header(m, 1, 1);
    size_t at = begin(m, 2);
    put32(m, 1);
    put32(m, 2 << 24 | 1);
    put32(m, 3);
    size_t t = begin(m, 2000);
    put32(m, 5);
    put_hex(m, "6e6f6465 31000000 00112233 44556677 8899aabb ccddeeff");
    put32(m, 3);
    put32(m, 2);
    put32(m, 3);
    put_hex(m, "362e3100");
    end(m, t);
    t = begin(m, 2001);
    put32(m, n_adapters);
    for (uint32_t i = 0; i < n_adapters && i < 40; i++) {
        put32(m, i);
        put32(m, 1);
        put_hex(m, "0200000000 01 0000");
    }
    end(m, t);
    t = begin(m, 2003);
    put32(m, load);
    put32(m, 0xbf800000);       /* -1: not known. */
    put32(m, 0x7fc00000);       /* Not a number. */
    for (unsigned i = 3; i < 17; i++) {
        put32(m, i == 7 ? uptime : i);
    }
    end(m, t);
    end(m, at);
}

static struct interface_counters seen_counters;

static void
see_counters(void *aux, const struct source *s,
             const struct interface_counters *c, const uint32_t *formats,
             size_t n)
{
    (void) aux;
    (void) s;
    CU_ASSERT_TRUE(n == 3 || formats[0] == 2004);
    seen_counters = *c;
}

/* A sampled header of link type 'link', then the records in 'hex', each with its
 * number and size. */
static void
feed_80211(struct rig *r, uint32_t link, const char *frame, uint32_t n,
           const char *hex)
{
    static struct msg m;
    rig_init(r);
    header(&m, 1, 1);
    size_t at = flow_begin(&m, 3, 4, n + 1);
    size_t h = m.n;
    raw_header(&m, frame, 200, 4);
    set32(&m, h + 8, link);
    put_hex(&m, hex);
    end(&m, at);
    rig_feed(r, m.b, m.n);
    CU_ASSERT_EQUAL(rig_refusals(r), 0);
    CU_ASSERT_EQUAL_FATAL(r->b->n, 1);
}

#define SNAP_IP "aaaa03000000 0800 45000064 00000000 40110000 0a000001 " \
                "0a000002 0035c000 0050 0000"

static void
test_80211(void)
{
    static const struct {
        uint32_t link;
        const char *frame;
        uint64_t src, dst;
        bool ip;
    } cases[] = {
        /* To an access point, QoS, and from one; between two, with a fourth
         * address; in one's own network. */
        { 15, "8801 0000 0a000000000f 0a0000000001 0a0000000002 0000 0000 "
              SNAP_IP, 0x0a0000000001, 0x0a0000000002, true },
        { 15, "0802 0000 0a0000000002 0a000000000f 0a0000000001 0000 "
              SNAP_IP, 0x0a0000000001, 0x0a0000000002, true },
        { 15, "0803 0000 0a000000000e 0a000000000f 0a0000000002 0000 "
              "0a0000000001 " SNAP_IP, 0x0a0000000001, 0x0a0000000002,
          true },
        { 15, "0800 0000 0a0000000002 0a0000000001 0a000000000f 0000 "
              SNAP_IP, 0x0a0000000001, 0x0a0000000002, true },
        /* Encrypted; without data; a beacon. */
        { 15, "0841 0000 0a000000000f 0a0000000001 0a0000000002 0000 "
              SNAP_IP, 0x0a0000000001, 0x0a0000000002, false },
        { 15, "4801 0000 0a000000000f 0a0000000001 0a0000000002 0000",
          0x0a0000000001, 0x0a0000000002, false },
        { 15, "8000 0000 ffffffffffff 0a0000000001 0a0000000001 0000 "
              SNAP_IP, 0, 0, false },
        { 17, "0a0000000002 0a0000000001 006c " SNAP_IP, 0x0a0000000001,
          0x0a0000000002, true },
    };
    struct rig r;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        feed_80211(&r, cases[i].link, cases[i].frame, 0, "");
        CU_ASSERT_EQUAL(batch_is_valid(r.b, COL_src_mac, 0),
                        cases[i].src != 0);
        if (cases[i].src) {
            CU_ASSERT_EQUAL(r.b->src_mac[0], cases[i].src);
            CU_ASSERT_EQUAL(r.b->dst_mac[0], cases[i].dst);
        }
        CU_ASSERT_EQUAL(batch_is_valid(r.b, COL_src_addr, 0), cases[i].ip);
        if (cases[i].ip) {
            CHECK_ADDR(r.b->dst_addr[0], "10.0.0.2");
            CHECK_IS(r.b, src_port, 0, 53);
            CHECK_IS(r.b, ether_type, 0, 0x0800);
            CU_ASSERT_EQUAL(r.b->bytes[0], 100);
        } else {
            CHECK_NULL(r.b, ether_type, 0);
        }
        rig_clear(&r);
    }

    /* What an encrypted frame held, and how it came. */
    feed_80211(&r, 15, cases[4].frame, 2,
               "000003f5 0000002c 000fac04 00000024 " SNAP_IP
               "000003f6 0000002c 00000003 6e657400 0a000000000f0000 00000004 "
               "0000000b 000000000337f980 00000020 00000064 00000000");
    CHECK_ADDR(r.b->src_addr[0], "10.0.0.1");
    CU_ASSERT_EQUAL(r.b->bytes[0], 100);
    CHECK_IS(r.b, src_mac, 0, 0x0a0000000001);
    CHECK_TEXT(&r, wlan_ssid, 0, "net");
    CHECK_IS(r.b, wlan_bssid, 0, 0x0a000000000f);
    CHECK_IS(r.b, wlan_channel, 0, 11);
    CHECK_IS(r.b, wlan_speed, 0, 54000000);
    CHECK_IS(r.b, wlan_signal, 0, 100);
    rig_clear(&r);

    /* How it went; a header that could be read is not read again. */
    feed_80211(&r, 15, cases[0].frame, 2,
               "000003f5 00000014 000fac04 0000000c aaaa03000000 0800 46000000"
               "000003f7 00000034 00000003 6e657400 0a000000000f0000 00000004 "
               "00000001 00000010 00000000 00000006 000000000337f980 0000000a "
               "00000000");
    CHECK_ADDR(r.b->src_addr[0], "10.0.0.1");
    CHECK_TEXT(&r, wlan_ssid, 0, "net");
    CHECK_IS(r.b, wlan_channel, 0, 6);
    CHECK_IS(r.b, wlan_speed, 0, 54000000);
    CHECK_NULL(r.b, wlan_signal, 0);
    rig_clear(&r);
}

static void
test_host(void)
{
    static struct msg m;
    struct rig r;
    struct interface_counters c;
    rig_init(&r);
    static const struct decoder_watch watch = { .counters = see_counters };
    struct decoder_config config = {
        .dict = r.dict, .sources = r.sources, .templates = r.templates,
        .counters = &r.n, .flush = rig_flush, .aux = &r, .watch = &watch,
    };
    decoder_destroy(r.decoder);
    r.decoder = decoder_create(&config);
    put_host(&m, 0x3f9d70a4, 99, 2);            /* 1.23 */
    rig_feed(&r, m.b, m.n);
    CU_ASSERT_EQUAL(rig_refusals(&r), 0);
    struct source *s = rig_source(&r);
    struct interface_counters_table *t = source_table_counters(r.sources);
    CU_ASSERT_TRUE_FATAL(interface_counters_get(t, s->id, 2 << 24 | 1, &c));
    CU_ASSERT_EQUAL(c.parts, COUNTERS_HOST);
    CU_ASSERT_STRING_EQUAL(dict_text(r.dict, c.name), "node1");
    CU_ASSERT_EQUAL(c.v.value[FIELD_machine_type], 3);
    CU_ASSERT_EQUAL(c.v.value[FIELD_os_name], 2);
    CU_ASSERT_EQUAL(c.v.value[FIELD_load_1m_milli], 1230);
    CU_ASSERT_FALSE(counter_set_has(&c.v.has, FIELD_load_5m_milli));
    CU_ASSERT_FALSE(counter_set_has(&c.v.has, FIELD_load_15m_milli));
    CU_ASSERT_EQUAL(c.v.value[FIELD_uptime_s], 99);
    CU_ASSERT_EQUAL(c.v.value[FIELD_contexts], 16);
    CU_ASSERT_FALSE(counter_set_has(&c.v.has, FIELD_cpu_steal_ms));
    CU_ASSERT_EQUAL(seen_counters.uuid[15], 0xff);
    CU_ASSERT_STRING_EQUAL(dict_text(r.dict, seen_counters.release), "6.1");
    CU_ASSERT_EQUAL(seen_counters.n_adapters, 2);
    CU_ASSERT_EQUAL(seen_counters.adapters[1].if_index, 1);
    CU_ASSERT_EQUAL(seen_counters.adapters[1].mac, UINT64_C(0x020000000001));

    /* What is no longer counted is no longer there; what a sample has nothing
     * of stays. */
    put_host(&m, 0xbf800000, UINT32_MAX, UINT32_MAX);
    rig_feed(&r, m.b, m.n);
    CU_ASSERT_TRUE_FATAL(interface_counters_get(t, s->id, 2 << 24 | 1, &c));
    CU_ASSERT_FALSE(counter_set_has(&c.v.has, FIELD_load_1m_milli));
    CU_ASSERT_FALSE(counter_set_has(&c.v.has, FIELD_uptime_s));
    CU_ASSERT_EQUAL(c.v.value[FIELD_contexts], 16);
    CU_ASSERT_EQUAL(seen_counters.n_adapters, COUNTER_ADAPTERS);
    put_words(&m, 2004, 18);
    rig_feed(&r, m.b, m.n);
    CU_ASSERT_TRUE_FATAL(interface_counters_get(t, s->id, 2 << 24 | 1, &c));
    CU_ASSERT_EQUAL(c.v.value[FIELD_swaps_out], 1017);
    CU_ASSERT_EQUAL(c.v.value[FIELD_contexts], 16);
    CU_ASSERT_STRING_EQUAL(dict_text(r.dict, c.name), "node1");
    rig_clear(&r);
}

static void
test_counters_bounds(void)
{
    struct interface_counters_table *t = interface_counters_create(100, 1000);
    for (uint32_t i = 0; i < 20000; i++) {
        struct interface_counters c = {
            .source_id = i % 50, .data_source = i / 50, .parts = 1,
            .if_index = i,
        };
        CU_ASSERT_EQUAL(interface_counters_put(t, &c), i < 1000);
    }
    struct interface_counters c = { .source_id = 99 };
    CU_ASSERT_FALSE(interface_counters_put(t, &c));
    CU_ASSERT_EQUAL(interface_counters_count(t), 1000);
    CU_ASSERT_EQUAL(interface_counters_refused(t), 19001);
    CU_ASSERT_TRUE(interface_counters_get(t, 49, 19, &c));
    CU_ASSERT_EQUAL(c.if_index, 999);
    interface_counters_destroy(t);
    t = interface_counters_create(10, 1000);
    for (uint32_t i = 0; i < 20; i++) {
        c = (struct interface_counters) { .source_id = 1, .data_source = i };
        CU_ASSERT_EQUAL(interface_counters_put(t, &c), i < 10);
    }
    interface_counters_destroy(t);
    interface_counters_destroy(NULL);
}

/* Everything else that may come with a sample. */
static void
test_more_records(void)
{
    static const struct { uint32_t format; const char *hex; } records[] = {
        { 1001, "0000000c 00000003 0000000d 00000001" },
        { 1002, "00000001 0a000008 00000018 ffffff80" },
        { 1003, "00000001 0a000009 0000fde8 0000fbff 0000fbff 00000002 "
                "00000002 00000002 0000fde7 00003b41 00000001 00000002 "
                "00000001 00000002 00000002 fde80001 00000002 00000064" },
        { 1004, "00000003 00000003 626f6200 00000003 00000000" },
        { 1005, "00000001 00000002 2f610000 00000004 682e6465" },
        { 1006, "00000001 0a000007 00000002 00064040 00011140 00000000" },
        { 1007, "00000001 c0000201 00000001 c0000202" },
        { 1012, "00000001 81000007" },
        { 1020, "00001f90 000001bb" },
        { 1008, "00000003 6c737000 00000009 00000005" },
        { 1009, "00000002 76630000 0000000a 00000003" },
        { 1010, "00000003 66746e00 000000ff" },
        { 1011, "00000018" },
        { 1021, "00000100 0a0000000009 0000 0a000000000a 0000 00000800" },
        { 1022, "00000100 0a0000000001 0000 0a0000000002 0000 00000800" },
        { 1021, "00000100 0a000000000b 0000 0a000000000c 0000 00000800" },
        { 1028, "00000032" },
        { 1027, "00000042" },
        { 1036, "00000002" },
        { 1037, "00000007 00000003 61636c00 00000001" },
        { 1037, "00000007 00000000 00000002" },
        { 1038, "00000004 6b667265" },
        { 1039, "00000bb8" },
        { 1040, "00001000" },
    };
    enum { N = sizeof records / sizeof records[0] };
    struct rig r;
    static struct msg m;
    rig_init(&r);
    header(&m, 1, 1);
    size_t at = flow_begin(&m, 3, 4, N);
    for (size_t i = 0; i < N; i++) {
        size_t t = begin(&m, records[i].format);
        put_hex(&m, records[i].hex);
        end(&m, t);
    }
    end(&m, at);
    rig_feed(&r, m.b, m.n);
    CU_ASSERT_EQUAL(rig_refusals(&r), 0);
    CU_ASSERT_EQUAL_FATAL(r.b->n, 1);
    CHECK_IS(r.b, vlan_id, 0, 7);
    CHECK_IS(r.b, customer_vlan_id, 0, 12);
    CHECK_IS(r.b, post_vlan_id, 0, 13);
    CHECK_ADDR(r.b->next_hop[0], "10.0.0.8");
    CHECK_ADDR(r.b->bgp_next_hop[0], "10.0.0.9");
    CHECK_IS(r.b, src_prefix_length, 0, 24);
    CHECK_IS(r.b, dst_prefix_length, 0, 25);    /* Came as a mask. */
    CHECK_IS(r.b, dst_as, 0, 2);
    CHECK_TEXT(&r, as_path, 0, "64999 15169 {1,2}");
    CHECK_TEXT(&r, communities, 0, "65000:1 0:2");
    CHECK_IS(r.b, src_peer_as, 0, 64511);
    CHECK_IS(r.b, dst_peer_as, 0, 64999);
    CHECK_IS(r.b, dst_local_pref, 0, 100);
    CHECK_TEXT(&r, user_name, 0, "bob");
    CHECK_NULL(r.b, dst_user_name, 0);
    CHECK_TEXT(&r, mpls_tunnel_name, 0, "lsp");
    CHECK_IS(r.b, mpls_tunnel_id, 0, 9);
    CHECK_IS(r.b, mpls_exp, 0, 5);
    CHECK_TEXT(&r, mpls_vc_name, 0, "vc");
    CHECK_IS(r.b, mpls_vc_id, 0, 10);
    CHECK_TEXT(&r, mpls_ftn, 0, "ftn");
    CHECK_IS(r.b, mpls_ftn_mask, 0, 255);
    CHECK_IS(r.b, mpls_fec_length, 0, 24);
    CHECK_IS(r.b, tunnel_src_mac, 0, 0x0a0000000001);
    CHECK_IS(r.b, tunnel_dst_mac, 0, 0x0a0000000002);
    CHECK_IS(r.b, inner_header_offset, 0, 50);
    CHECK_IS(r.b, egress_queue, 0, 2);
    CHECK_TEXT(&r, acl_in, 0, "acl");
    CHECK_TEXT(&r, acl_out, 0, "7");
    CHECK_TEXT(&r, drop_function, 0, "kfre");
    CHECK_IS(r.b, transit_delay, 0, 3000);
    CHECK_IS(r.b, queue_depth, 0, 4096);
    CHECK_TEXT(&r, url, 0, "h.de/a");
    CHECK_TEXT(&r, mpls_labels, 0, "100 17");
    CHECK_ADDR(r.b->nat_src_addr[0], "192.0.2.1");
    CHECK_ADDR(r.b->nat_dst_addr[0], "192.0.2.2");
    CHECK_IS(r.b, nat_src_port, 0, 8080);
    CHECK_IS(r.b, nat_dst_port, 0, 443);
    CHECK_NULL(r.b, direction, 0);
    rig_clear(&r);
}

static void
test_discarded(void)
{
    struct rig r;
    static struct msg m;
    rig_init(&r);
    header(&m, 1, 1);
    size_t at = begin(&m, 5);
    put_hex(&m, "00000001 00000000 00000003 00000000 00000003 00000004 "
            "00000101 00000001");
    raw_header(&m, ETH_TCP, 78, 4);
    end(&m, at);
    rig_feed(&r, m.b, m.n);
    CU_ASSERT_EQUAL(rig_refusals(&r), 0);
    CU_ASSERT_EQUAL_FATAL(r.b->n, 1);
    CU_ASSERT_EQUAL(r.b->packets[0], 0);
    CU_ASSERT_EQUAL(r.b->bytes[0], 0);
    CHECK_NULL(r.b, l2_bytes, 0);
    CHECK_IS(r.b, dropped_packets, 0, 1);
    CHECK_IS(r.b, dropped_bytes, 0, 60);
    CHECK_IS(r.b, drop_reason, 0, 257);
    CHECK_IS(r.b, forwarding_status, 0, 137);
    CHECK_IS(r.b, in_if, 0, 3);
    CHECK_IS(r.b, sampling, 0, 1);
    CHECK_IS(r.b, dst_port, 0, 443);
    rig_clear(&r);
}

static void
test_sequence(void)
{
    struct rig r;
    static struct msg m;
    rig_init(&r);
    static const uint32_t seqs[] = { 1, 2, 5, 6, 4, 7, 1, 2 };
    for (size_t i = 0; i < sizeof seqs / sizeof seqs[0]; i++) {
        good(&m, seqs[i]);
        rig_feed(&r, m.b, m.n);
    }
    struct source *s = rig_source(&r);
    CU_ASSERT_EQUAL(s->n.lost, 2);
    CU_ASSERT_EQUAL(s->n.reordered, 1);
    CU_ASSERT_EQUAL(s->n.restarts, 1);
    rig_clear(&r);
}

static void
test_cut(void)
{
    static struct msg m;
    good(&m, 1);
    for (size_t n = 0; n < m.n; n++) {
        struct rig r;
        rig_init(&r);
        rig_feed(&r, m.b, n);
        CU_ASSERT_EQUAL(r.b->n, 0);
        CU_ASSERT_EQUAL(n < 4 ? r.n.too_short : n < 28 ? r.n.bad_header
                        : r.n.bad_sample, 1);
        CU_ASSERT_EQUAL(rig_refusals(&r), 1);
        rig_clear(&r);
    }
}

/* Lengths inside that lie; what was set for the row must not stay. */
static void
test_lies(void)
{
    static struct msg m;
    good(&m, 1);
    static const struct { size_t at; uint32_t value; } lies[] = {
        { 4, 3 },               /* Agent address type. */
        { 24, 2 },              /* Number of samples. */
        { 32, 0xfffffff0 },     /* Sample length: all else is right. */
        { 32, 8 },
        { 64, 3 },              /* Number of records. */
        { 72, 0x7fffffff },     /* Record length. */
        { 88, 0x7fffffff },     /* Header length. */
    };
    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        struct rig r;
        static struct msg bad;
        rig_init(&r);
        bad = m;
        set32(&bad, lies[i].at, lies[i].value);
        rig_feed(&r, bad.b, bad.n);
        CU_ASSERT_EQUAL(rig_refusals(&r), 1);
        CU_ASSERT_EQUAL(lies[i].at == 4 ? r.n.bad_header : r.n.bad_sample, 1);
        uint32_t kept = lies[i].at == 24 || lies[i].at == 32;
        CU_ASSERT_EQUAL(r.b->n, kept);
        CU_ASSERT_FALSE(batch_is_valid(r.b, COL_src_addr, r.b->n));
        rig_feed(&r, m.b, m.n);
        CU_ASSERT_EQUAL(r.b->n, 1 + kept);
        rig_clear(&r);
    }
}

static void
test_random(void)
{
    struct rig r;
    static struct msg m;
    uint32_t seed = 7;
    rig_init(&r);
    for (unsigned i = 0; i < 20000; i++) {
        good(&m, i);
        for (unsigned k = 0; k < 3; k++) {
            seed = seed * 1664525 + 1013904223;
            m.b[(seed >> 8) % m.n] = (uint8_t) (seed >> 24);
        }
        rig_feed(&r, m.b, (seed >> 4) % (m.n + 1));
    }
    CU_ASSERT_EQUAL(r.n.datagrams, 20000);
    rig_clear(&r);
}

UNIT_MAIN("sflow", UNIT_TEST(test_raw_header), UNIT_TEST(test_expanded),
          UNIT_TEST(test_interfaces), UNIT_TEST(test_tunnel), UNIT_TEST(test_inner),
          UNIT_TEST(test_sampled_ip), UNIT_TEST(test_counters),
          UNIT_TEST(test_counter_structures), UNIT_TEST(test_host),
          UNIT_TEST(test_80211),
          UNIT_TEST(test_sequence), UNIT_TEST(test_cut), UNIT_TEST(test_lies),
          UNIT_TEST(test_random), UNIT_TEST(test_counters_bounds),
          UNIT_TEST(test_more_records), UNIT_TEST(test_discarded))
