#include <config.h>

#include "collector/decode/packet.h"

#include "tests/unit/decode_util.h"

/* A frame from 02:..:01 to 02:..:02 up to and with the Ethernet type. */
#define MACS "020000000002 020000000001 "
/* TTL 63, 10.0.0.1 to 10.0.0.2, total length 60. */
#define IPV4(PROTO, FRAG) "45 b8 003c 1234 " FRAG " 3f " PROTO \
    " 0000 0a000001 0a000002 "
/* Traffic class 0x28, flow label 0xabcde, hop limit 64, payload 0x40. */
#define IPV6(NEXT) "628abcde 0040 " NEXT " 40 " \
    "20010db8000000000000000000000001 20010db8000000000000000000000002 "
#define TCP "1f90 01bb 00000001 00000002 5012 ffff 0000 0000 "
#define UDP "0035 d431 0028 0000 "

static struct packet
parse(const char *hex, enum packet_link link, size_t wire)
{
    struct msg *m = calloc(1, sizeof *m);
    put_hex(m, hex);
    uint8_t *copy = memdup_exact(m->b, m->n);
    struct packet k;
    packet_parse(&k, link, copy, m->n, wire);
    free(copy);
    free(m);
    return k;
}

static void
test_ipv4_tcp(void)
{
    struct packet k = parse(MACS "0800 " IPV4("06", "4000") TCP,
                            PACKET_ETHERNET, 74);
    CU_ASSERT_FALSE(k.truncated);
    CU_ASSERT_TRUE(k.has_ethernet && k.has_ip && k.has_ports && k.has_tcp);
    CU_ASSERT_EQUAL(k.src_mac, 0x020000000001);
    CU_ASSERT_EQUAL(k.dst_mac, 0x020000000002);
    CU_ASSERT_EQUAL(k.ether_type, 0x0800);
    CU_ASSERT_EQUAL(k.tos, 0xb8);
    CU_ASSERT_EQUAL(k.ttl, 63);
    CU_ASSERT_EQUAL(k.proto, 6);
    CU_ASSERT_EQUAL(k.ip_bytes, 60);
    CU_ASSERT_FALSE(k.fragment);
    CU_ASSERT_FALSE(k.has_vlan);
    CHECK_ADDR(k.src, "10.0.0.1");
    CHECK_ADDR(k.dst, "10.0.0.2");
    CU_ASSERT_EQUAL(k.src_port, 8080);
    CU_ASSERT_EQUAL(k.dst_port, 443);
    CU_ASSERT_EQUAL(k.tcp_flags, 0x12);
}

static void
test_vlans(void)
{
    struct packet k = parse(MACS "88a8 6064 8100 00c8 0800 "
                            IPV4("11", "0000") UDP, PACKET_ETHERNET, 82);
    CU_ASSERT_TRUE(k.has_vlan);
    CU_ASSERT_EQUAL(k.vlan_id, 100);
    CU_ASSERT_EQUAL(k.vlan_priority, 3);
    CU_ASSERT_EQUAL(k.n_vlans, 2);
    CU_ASSERT_EQUAL(k.customer_vlan_id, 200);
    CU_ASSERT_EQUAL(k.ether_type, 0x0800);
    CU_ASSERT_EQUAL(k.src_port, 53);
    CU_ASSERT_EQUAL(k.dst_port, 54321);
    CU_ASSERT_FALSE(k.has_tcp);
}

static void
test_ipv6_extensions(void)
{
    /* Hop-by-hop options, routing, destination options, then UDP. */
    struct packet k = parse(MACS "86dd " IPV6("00")
                            "2b 00 010400000000 3c 00 000000000000 "
                            "11 01 0104000000000000000000000000 " UDP,
                            PACKET_ETHERNET, 200);
    CU_ASSERT_FALSE(k.truncated);
    CU_ASSERT_EQUAL(k.ip_version, 6);
    CU_ASSERT_EQUAL(k.tos, 0x28);
    CU_ASSERT_EQUAL(k.flow_label, 0xabcde);
    CU_ASSERT_EQUAL(k.ttl, 64);
    CU_ASSERT_EQUAL(k.ip_bytes, 104);
    CU_ASSERT_EQUAL(k.proto, 17);
    CU_ASSERT_EQUAL(k.src_port, 53);
    CHECK_ADDR(k.src, "2001:db8::1");
    CHECK_ADDR(k.dst, "2001:db8::2");
}

static void
test_ipv6_icmp_and_ah(void)
{
    struct packet k = parse(IPV6("33")
                            "3a 01 0000 00000001 00000002 80 00 0000 ",
                            PACKET_IPV6, 104);
    CU_ASSERT_FALSE(k.truncated);
    CU_ASSERT_EQUAL(k.proto, 58);
    CU_ASSERT_TRUE(k.has_icmp);
    CU_ASSERT_EQUAL(k.icmp_type, 128);
    CU_ASSERT_EQUAL(k.icmp_code, 0);
    CU_ASSERT_FALSE(k.has_ports);
}

static void
test_fragments(void)
{
    struct packet k = parse(MACS "0800 " IPV4("11", "2000") UDP,
                            PACKET_ETHERNET, 74);
    CU_ASSERT_TRUE(k.fragment && k.has_ports);
    k = parse(MACS "0800 " IPV4("11", "00b9") UDP, PACKET_ETHERNET, 74);
    CU_ASSERT_TRUE(k.fragment);
    CU_ASSERT_FALSE(k.has_ports);
    CU_ASSERT_FALSE(k.truncated);
    k = parse(MACS "86dd " IPV6("2c") "11 00 0001 00000001 " UDP,
              PACKET_ETHERNET, 118);
    CU_ASSERT_TRUE(k.fragment && k.has_ports);
    k = parse(MACS "86dd " IPV6("2c") "06 00 0100 00000001 " UDP,
              PACKET_ETHERNET, 118);
    CU_ASSERT_TRUE(k.fragment);
    CU_ASSERT_EQUAL(k.proto, 6);
    CU_ASSERT_FALSE(k.has_ports);
}

static void
test_not_ip(void)
{
    /* ARP in a padded frame. */
    struct packet k = parse(MACS "0806 0001 0800 0604 0001", PACKET_ETHERNET,
                            60);
    CU_ASSERT_FALSE(k.truncated);
    CU_ASSERT_FALSE(k.has_ip);
    CU_ASSERT_EQUAL(k.ether_type, 0x0806);
    CU_ASSERT_EQUAL(k.ip_bytes, 46);
    /* LLC; SNAP with IPv4. */
    k = parse(MACS "0027 42 42 03 0000", PACKET_ETHERNET, 53);
    CU_ASSERT_EQUAL(k.ip_bytes, 39);
    k = parse(MACS "0044 aaaa03000000 0800 " IPV4("01", "0000") "0800 0000",
              PACKET_ETHERNET, 82);
    CU_ASSERT_EQUAL(k.ether_type, 0x0800);
    CU_ASSERT_TRUE(k.has_icmp);
    CU_ASSERT_EQUAL(k.icmp_type, 8);
}

static void
test_mpls(void)
{
    struct packet k = parse(MACS "8847 00064040 000c8140 "
                            IPV4("84", "0000") UDP, PACKET_ETHERNET, 82);
    CU_ASSERT_EQUAL(k.ether_type, 0x8847);
    CU_ASSERT_EQUAL(k.proto, 132);
    CU_ASSERT_EQUAL(k.src_port, 53);
    CU_ASSERT_EQUAL(k.ip_bytes, 60);
}

/* What sFlow calls PPP and POS, and Cisco's HDLC. */
static void
test_ppp(void)
{
    static const struct { const char *hex; uint8_t version; size_t wire;
                          uint64_t bytes; } cases[] = {
        { "0021 " IPV4("06", "0000") TCP, 4, 62, 60 },
        { "ff03 0021 " IPV4("06", "0000") TCP, 4, 64, 60 },
        { "ff03 0057 " IPV6("06") TCP, 6, 108, 104 },
        { "ff03 0281 00064140 " IPV4("06", "0000") TCP, 4, 68, 60 },
        { "0f00 0800 " IPV4("06", "0000") TCP, 4, 64, 60 },
        { "8f00 86dd " IPV6("06") TCP, 6, 108, 104 },
        { "ff03 c021 0102", 0, 40, 36 },        /* LCP. */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct packet k = parse(cases[i].hex, i ? PACKET_POS : PACKET_PPP,
                                cases[i].wire);
        CU_ASSERT_EQUAL(k.has_ip, cases[i].version != 0);
        CU_ASSERT_EQUAL(k.ip_version, cases[i].version);
        CU_ASSERT_EQUAL(k.ip_bytes, cases[i].bytes);
        if (cases[i].version) {
            CU_ASSERT_EQUAL(k.dst_port, 443);
        }
        CU_ASSERT_FALSE(k.has_ethernet);
    }
    struct packet k = parse("ff03", PACKET_PPP, 0);
    CU_ASSERT_TRUE(k.truncated);
}

static void
test_offload(void)
{
    /* Segmentation offload: no total length. */
    struct packet k = parse(MACS "0800 45 00 0000 1234 0000 40 06 0000 "
                            "0a000001 0a000002 " TCP, PACKET_ETHERNET, 9014);
    CU_ASSERT_EQUAL(k.ip_bytes, 9000);
}

/* Cut anywhere inside the headers: parsing says so and keeps what it has. */
static void
test_cut(void)
{
    /* A TCP header counts up to its flags; ports are 10 bytes before. */
    struct msg *m = calloc(1, sizeof *m);
    put_hex(m, MACS "8100 0005 0800 " IPV4("06", "0000") TCP);
    for (size_t n = 0; n <= m->n; n++) {
        uint8_t *cut = memdup_exact(m->b, n);
        struct packet k;
        packet_parse(&k, PACKET_ETHERNET, cut, n, 78);
        CU_ASSERT_EQUAL(k.truncated, n < 18 + 20 + 14);
        CU_ASSERT_EQUAL(k.has_tcp, n >= 18 + 20 + 14);
        CU_ASSERT_EQUAL(k.has_ports, n >= 18 + 20 + 4);
        CU_ASSERT_EQUAL(k.has_ip, n >= 18 + 20);
        CU_ASSERT_EQUAL(k.has_ethernet, n >= 18);
        free(cut);
    }
    free(m);
}

static void
test_store(void)
{
    struct packet k = parse(MACS "0800 " IPV4("06", "4000") TCP,
                            PACKET_ETHERNET, 74);
    struct flow_batch *b = batch_create();
    b->quality[0] = 0;
    packet_store(&k, NULL, b, 0);
    CHECK_IS(b, src_port, 0, 8080);
    CHECK_IS(b, dst_port, 0, 443);
    CHECK_IS(b, tcp_flags, 0, 0x12);
    CHECK_IS(b, ip_version, 0, 4);
    CHECK_IS(b, fragment, 0, 0);
    CHECK_NULL(b, vlan_id, 0);
    CHECK_NULL(b, flow_label, 0);
    CHECK_NULL(b, icmp_type, 0);
    CU_ASSERT_EQUAL(b->quality[0], 0);
    batch_destroy(b);
}

static void
test_random(void)
{
    uint32_t seed = 1;
    for (unsigned i = 0; i < 20000; i++) {
        uint8_t bytes[128];
        for (size_t k = 0; k < sizeof bytes; k++) {
            seed = seed * 1664525 + 1013904223;
            bytes[k] = (uint8_t) (seed >> 24);
        }
        memcpy(bytes + 12, i % 2 ? "\x08\x00\x45" : "\x86\xdd\x60", 3);
        size_t n = seed % sizeof bytes;
        uint8_t *copy = memdup_exact(bytes, n);
        struct packet k;
        packet_parse(&k, seed >> 8 & 15, copy, n, seed >> 16);
        free(copy);
    }
    CU_PASS("no crash");
}

/* The inner packet: UDP from 10.0.0.1:53, or the same in a frame. */
#define INNER IPV4("11", "0000") UDP
#define INNER_FRAME "0a0000000002 0a0000000001 0800 " INNER
#define INNER_V6 IPV6("06") TCP
/* The outer one: 192.0.2.1 to 192.0.2.2, 300 bytes. */
#define OUTER(PROTO) MACS "0800 45 00 012c 0000 0000 40 " PROTO \
    " 0000 c0000201 c0000202 "
#define OUTER_UDP(PORT) OUTER("11") "c000 " PORT " 0118 0000 "
#define OUTER_V6(NEXT) MACS "86dd 60000000 0104 " NEXT " 40 " \
    "fd000000000000000000000000000001 fd000000000000000000000000000002 "
#define LONG_KEY 0x12345678

static const struct {
    const char *what, *hex;
    uint8_t type;
    bool has_vni;
    uint32_t vni;
    uint8_t proto;              /* Of the innermost packet. */
} tunnels[] = {
    { "VXLAN", OUTER_UDP("12b5") "08000000 0001c800 " INNER_FRAME,
      TUNNEL_VXLAN, true, 456, 17 },
    { "VXLAN, tagged inside", OUTER_UDP("12b5") "08000000 0001c800 "
      "0a0000000002 0a0000000001 8100 0064 0800 " INNER,
      TUNNEL_VXLAN, true, 456, 17 },
    { "VXLAN-GPE with IPv6", OUTER_UDP("12b6") "0c000002 0001c800 " INNER_V6,
      TUNNEL_VXLAN, true, 456, 6 },
    { "VXLAN over IPv6", OUTER_V6("11") "c000 12b5 0104 0000 "
      "08000000 0001c800 " INNER_FRAME, TUNNEL_VXLAN, true, 456, 17 },
    { "Geneve with options", OUTER_UDP("17c1") "02006558 00002a00 "
      "0102030405060708 " INNER_FRAME, TUNNEL_GENEVE, true, 42, 17 },
    { "Geneve with IP", OUTER_UDP("17c1") "000086dd 00002a00 " INNER_V6,
      TUNNEL_GENEVE, true, 42, 6 },
    { "GRE", OUTER("2f") "0000 0800 " INNER, TUNNEL_GRE, false, 0, 17 },
    { "GRE, everything", OUTER("2f") "b000 6558 00000000 12345678 00000001 "
      INNER_FRAME, TUNNEL_GRE, true, LONG_KEY, 17 },
    { "GRE with MPLS", OUTER("2f") "0000 8847 00064140 " INNER,
      TUNNEL_GRE, false, 0, 17 },
    { "ERSPAN I", OUTER("2f") "0000 88be " INNER_FRAME, TUNNEL_ERSPAN,
      false, 0, 17 },
    { "ERSPAN II", OUTER("2f") "1000 88be 00000001 1001f107 00000000 "
      INNER_FRAME, TUNNEL_ERSPAN, true, 0x107, 17 },
    { "ERSPAN III", OUTER("2f") "1000 22eb 00000001 20010107 00000000 "
      "00000001 0000000000000000 " INNER_FRAME, TUNNEL_ERSPAN, true, 0x107,
      17 },
    { "IP in IP", OUTER("04") INNER, TUNNEL_IPIP, false, 0, 17 },
    { "6in4", OUTER("29") INNER_V6, TUNNEL_IPIP, false, 0, 6 },
    { "4in6", OUTER_V6("04") INNER, TUNNEL_IPIP, false, 0, 17 },
    { "GTP-U", OUTER_UDP("0868") "30ff 0040 12345678 " INNER, TUNNEL_GTPU,
      true, LONG_KEY, 17 },
    { "GTP-U with extensions", OUTER_UDP("0868") "34ff 0048 12345678 "
      "000000 85 01000000 " INNER, TUNNEL_GTPU, true, LONG_KEY, 17 },
    { "LISP", OUTER_UDP("10f5") "08000000 00002a01 " INNER, TUNNEL_LISP,
      true, 42, 17 },
    { "GRE in VXLAN", OUTER_UDP("12b5") "08000000 0001c800 "
      "0a0000000002 0a0000000001 0800 " IPV4("2f", "0000") "2000 0800 "
      "00000007 " INNER_V6, TUNNEL_VXLAN, true, 456, 6 },
};

static void
check_inner(const struct packet *k, unsigned i, bool v6)
{
    CU_ASSERT_TRUE(k->has_tunnel);
    CU_ASSERT_EQUAL(k->tunnel_type, tunnels[i].type);
    CU_ASSERT_EQUAL(k->has_vni, tunnels[i].has_vni);
    CU_ASSERT_EQUAL(k->vni, tunnels[i].vni);
    CU_ASSERT_EQUAL(k->proto, tunnels[i].proto);
    CU_ASSERT_EQUAL(k->ip_bytes, 300);  /* Of the outer packet. */
    CU_ASSERT_EQUAL(k->src_mac, 0x020000000001);
    CU_ASSERT_FALSE(k->has_vlan);
    CU_ASSERT_FALSE(k->truncated);
    if (v6) {
        CHECK_ADDR(k->tunnel_src, "fd00::1");
        CHECK_ADDR(k->tunnel_dst, "fd00::2");
    } else {
        CHECK_ADDR(k->tunnel_src, "192.0.2.1");
        CHECK_ADDR(k->tunnel_dst, "192.0.2.2");
    }
    if (k->proto == 17) {
        CHECK_ADDR(k->src, "10.0.0.1");
        CU_ASSERT_EQUAL(k->src_port, 53);
        CU_ASSERT_FALSE(k->has_tcp);
    } else {
        CHECK_ADDR(k->src, "2001:db8::1");
        CU_ASSERT_EQUAL(k->dst_port, 443);
        CU_ASSERT_EQUAL(k->tcp_flags, 0x12);
    }
}

static void
test_tunnels(void)
{
    for (unsigned i = 0; i < sizeof tunnels / sizeof tunnels[0]; i++) {
        bool v6 = !strncmp(tunnels[i].hex + strlen(MACS), "86dd", 4);
        struct packet k = parse(tunnels[i].hex, PACKET_ETHERNET, 314);
        check_inner(&k, i, v6);

        /* Cut anywhere: the outer packet, or all of the inner one. */
        struct msg *m = calloc(1, sizeof *m);
        put_hex(m, tunnels[i].hex);
        for (size_t n = 0; n < m->n; n++) {
            uint8_t *copy = memdup_exact(m->b, n);
            packet_parse(&k, PACKET_ETHERNET, copy, n, 314);
            free(copy);
            CU_ASSERT_TRUE(k.truncated || n >= 34);
            if (k.has_ip && !k.has_tunnel) {
                CU_ASSERT_EQUAL(k.ip_bytes, 300);
                CU_ASSERT_EQUAL(k.src.b[15], 1);
            }
        }
        free(m);
    }
}

/* What only looks like a tunnel stays what it is. */
static void
test_no_tunnels(void)
{
    static const char *const hex[] = {
        OUTER_UDP("12b5") "00000000 0001c800 " INNER_FRAME,     /* No I. */
        OUTER_UDP("17c1") "40006558 00002a00 " INNER_FRAME,     /* Version. */
        OUTER_UDP("0868") "3001 0004 00000000 00000000",        /* Echo. */
        OUTER("2f") "0001 880b 00000000 00000000",      /* PPTP. */
        OUTER("2f") "4000 0800 00000000 " INNER,        /* Source route. */
    };
    for (unsigned i = 0; i < sizeof hex / sizeof hex[0]; i++) {
        struct packet k = parse(hex[i], PACKET_ETHERNET, 314);
        CU_ASSERT_FALSE(k.has_tunnel);
        CHECK_ADDR(k.src, "192.0.2.1");
        CU_ASSERT_EQUAL(k.ip_bytes, 300);
    }
    /* No IP inside: the outer packet, and the tunnel. */
    struct packet k = parse(OUTER_UDP("12b5") "08000000 0001c800 "
                            "ffffffffffff 0a0000000001 0806 00010800",
                            PACKET_ETHERNET, 314);
    CU_ASSERT_TRUE(k.has_tunnel);
    CU_ASSERT_EQUAL(k.vni, 456);
    CHECK_ADDR(k.src, "192.0.2.1");
    CU_ASSERT_EQUAL(k.dst_port, 4789);
    CU_ASSERT_EQUAL(k.ether_type, 0x0800);
}

/* Tunnels in tunnels without end. */
static void
test_depth(void)
{
    struct msg *m = calloc(1, sizeof *m);
    put_hex(m, MACS "0800 ");
    for (unsigned i = 0; i < 1000; i++) {
        put_hex(m, IPV4("04", "0000"));
    }
    struct packet k;
    packet_parse(&k, PACKET_ETHERNET, m->b, m->n, 0);
    CU_ASSERT_TRUE(k.has_tunnel);
    CU_ASSERT_EQUAL(k.proto, 4);
    free(m);
}

static void
test_pseudowire(void)
{
    struct packet k = parse(MACS "8847 00064040 00011140 00000000 "
                            INNER_FRAME, PACKET_ETHERNET, 100);
    CU_ASSERT_EQUAL(k.n_labels, 2);
    CU_ASSERT_EQUAL(k.labels[0] >> 4, 100);
    CU_ASSERT_EQUAL(k.labels[1] >> 4, 17);
    CHECK_ADDR(k.src, "10.0.0.1");
    CU_ASSERT_EQUAL(k.src_mac, 0x020000000001);
    CU_ASSERT_EQUAL(k.ip_bytes, 60);
    CU_ASSERT_FALSE(k.has_tunnel);
}

UNIT_MAIN("packet", UNIT_TEST(test_ipv4_tcp), UNIT_TEST(test_vlans),
          UNIT_TEST(test_ipv6_extensions), UNIT_TEST(test_ipv6_icmp_and_ah),
          UNIT_TEST(test_fragments), UNIT_TEST(test_not_ip),
          UNIT_TEST(test_mpls), UNIT_TEST(test_ppp), UNIT_TEST(test_offload), UNIT_TEST(test_cut),
          UNIT_TEST(test_store), UNIT_TEST(test_random),
          UNIT_TEST(test_tunnels), UNIT_TEST(test_no_tunnels),
          UNIT_TEST(test_depth), UNIT_TEST(test_pseudowire))
