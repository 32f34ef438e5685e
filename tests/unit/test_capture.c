#include <config.h>

#include "collector/decode/capture.h"

#include <errno.h>

#include "collector/decode/capture_p.h"
#include "collector/decode/pcap.h"
#include "tests/unit/decode_util.h"

/* ---- A sink. ---- */

struct sink {
    struct capture *capture;
    unsigned n;
    size_t size;                /* Of the last datagram. */
    uint8_t data[65536];
    struct addr src;
    uint16_t src_port;
};

static void
on_datagram(void *sink, const struct datagram *d)
{
    struct sink *s = sink;
    s->n++;
    s->size = d->size;
    memcpy(s->data, d->data, d->size);
    s->src = d->src;
    s->src_port = d->src_port;
}

static struct sink *
sink_create(void)
{
    struct sink *s = calloc(1, sizeof *s);
    s->capture = capture_create(on_datagram, s);
    return s;
}

static void
sink_destroy(struct sink *s)
{
    capture_destroy(s->capture);
    free(s);
}

static void
give(struct sink *s, uint32_t link, const void *data, size_t n)
{
    uint8_t *copy = memdup_exact(data, n);
    struct pcap_frame f = { .data = copy, .size = n, .link = link,
                            .time_us = RECEIVED_US };
    capture_frame(s->capture, &f);
    free(copy);
}

/* ---- Packets. ---- */

#define PAYLOAD "0005 0000 cafe babe"

/* 192.0.2.7:4242 to 192.0.2.8:2055. */
static void
put_ip4(struct msg *m, unsigned id, unsigned offset_bits, unsigned proto,
        size_t n)
{
    put16(m, 0x4500);
    put16(m, (unsigned) (20 + n));
    put16(m, id);
    put16(m, offset_bits);
    put8(m, 64);
    put8(m, proto);
    put16(m, 0);
    put_hex(m, "c0000207 c0000208");
}

static void
put_udp(struct msg *m, size_t n)
{
    put16(m, 4242);
    put16(m, 2055);
    put16(m, (unsigned) (8 + n));
    put16(m, 0);
}

static void
put_ipv4_udp(struct msg *m)
{
    put_ip4(m, 1, 0, 17, 16);
    put_udp(m, 8);
    put_hex(m, PAYLOAD);
}

static void
put_ipv6_udp(struct msg *m, const char *extension, unsigned next)
{
    put_hex(m, "60000000");
    put16(m, (unsigned) (16 + strlen(extension) / 2));
    put8(m, next);
    put8(m, 64);
    put_hex(m, "20010db8000000000000000000000007");
    put_hex(m, "20010db8000000000000000000000008");
    put_hex(m, extension);
    put_udp(m, 8);
    put_hex(m, PAYLOAD);
}

#define MACS "020000000001 020000000002"

static const struct {
    uint32_t link;
    const char *header;
    bool v6;
} links[] = {
    { 1, MACS "0800", false },
    { 1, MACS "86dd", true },
    { 1, MACS "8100 0064 0800", false },
    { 1, MACS "88a8 0064 8100 0065 86dd", true },
    { 1, MACS "8847 00010000 00020100", false },
    { 1, MACS "8847 00010100", true },
    { 1, MACS "8864 1100 0001 0026 0021", false },
    { 1, MACS "0030 aaaa03 000000 0800", false },
    { 1, MACS "9200 0064 9300 0065 0800", false },
    { 1, MACS "88e7 00000100" MACS "8100 0064 86dd", true },
    { 1, MACS "8847 00010140" MACS "0800", false },
    { 1, MACS "8847 00010140 00000000" MACS "86dd", true },
    { 10, "50" MACS "aaaa03 000000 0800", false },
    { 105, "0802 0000" MACS "020000000003 0000 aaaa03 000000 0800", false },
    { 105, "8803 0000" MACS "020000000003 0000 020000000004 0000 "
           "aaaa03 000000 86dd", true },
    { 127, "00 00 0900 00000000 00 0802 0000" MACS "020000000003 0000 "
           "aaaa03 000000 0800", false },
    { 109, "02000000 00000000 00000000", true },
    { 205, "00 0f00 0800", false }, { 206, "01 1841 03cc", false },
    { 240, "00000000" MACS "0800", false },
    { 241, "00000000 55555555555555d5" MACS "86dd", true },
    { 274, "55555555555555d5" MACS "0800", false },
    { 0, "02000000", false }, { 0, "00000002", false },
    { 0, "1e000000", true }, { 0, "0000001c", true },
    { 108, "00000002", false }, { 108, "00000018", true },
    { 9, "0021", false }, { 9, "ff03 0057", true }, { 9, "21", false },
    { 9, "0f00 0800", false }, { 50, "ff03 0021", false },
    { 12, "", false }, { 14, "", true }, { 101, "", false },
    { 101, "", true }, { 228, "", false }, { 229, "", true },
    { 104, "0f00 0800", false }, { 104, "8f00 86dd", true },
    { 107, "1841 03cc", false }, { 107, "1841 038e", true },
    { 107, "1841 0800", false }, { 107, "1841 0300 80 000000 0800", false },
    { 51, "1100 0001 0042 0021", false }, { 51, "1100 0001 0042 0057", true },
    { 204, "00 ff03 0021", false }, { 204, "01 0057", true },
    { 117, "3d 02 00 00 0000000000000000000000000000000000000000000000000000"
      "0000000000000000000000000000000000000000000000000000000000000000 0000",
      false },
    { 239, "02 00 0000 0800 0100 0800 0200 0500 0a00 70000000 2000 0900",
      false },
    { 239, "0a 00 0000 0008 0001 00000000 0020 0009", true },
    { 113, "0000 0001 0006 020000000001 0000 0800", false },
    { 113, "0000 0001 0006 020000000001 0000 8100 0064 86dd", true },
    { 276, "0800 0000 00000001 0001 00 06 0200000000010000", false },
    { 178, "4d4743 00" MACS "0800", false },
    { 178, "4d4743 80 0004 01020304" MACS "86dd", true },
    { 178, "4d4743 02 00000002", false },
};

static void
test_links(void)
{
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++) {
        struct sink *s = sink_create();
        struct msg m = { .n = 0 };
        put_hex(&m, links[i].header);
        if (links[i].v6) {
            put_ipv6_udp(&m, "", 17);
        } else {
            put_ipv4_udp(&m);
        }
        give(s, links[i].link, m.b, m.n);
        if (s->n != 1) {
            printf("\nlink %u \"%s\"\n", links[i].link, links[i].header);
        }
        CU_ASSERT_EQUAL(s->n, 1);
        CU_ASSERT_EQUAL(s->size, 8);
        CU_ASSERT_EQUAL(s->src_port, 4242);
        CHECK_ADDR(s->src, links[i].v6 ? "2001:db8::7" : "192.0.2.7");
        /* Cut off anywhere: never more than what is there. */
        for (size_t n = 0; n < m.n; n++) {
            s->size = 0;
            give(s, links[i].link, m.b, n);
            CU_ASSERT_TRUE(s->size < 8);
        }
        sink_destroy(s);
    }
    struct sink *s = sink_create();
    give(s, 4711, "x", 1);
    CU_ASSERT_EQUAL(capture_counters(s->capture)->unknown_link, 1);
    sink_destroy(s);
}

/* ---- Fragments. ---- */

/* The piece from byte 'at' of a datagram with 'total' bytes of payload. */
static void
give_piece(struct sink *s, unsigned id, size_t at, size_t n, size_t total)
{
    struct msg whole = { .n = 0 }, m = { .n = 0 };
    put_udp(&whole, total);
    for (size_t i = 0; i < total; i++) {
        put8(&whole, (unsigned) i & 0xff);
    }
    bool more = at + n < whole.n;
    put_ip4(&m, id, (unsigned) (at / 8) | (more ? 0x2000 : 0), 17, n);
    put(&m, whole.b + at, n);
    give(s, 101, m.b, m.n);
}

static void
test_fragments(void)
{
    struct sink *s = sink_create();
    /* 8 + 2000 bytes in three pieces: in order, the other way round, twice. */
    give_piece(s, 1, 0, 800, 2000);
    give_piece(s, 1, 800, 800, 2000);
    CU_ASSERT_EQUAL(s->n, 0);
    give_piece(s, 1, 1600, 408, 2000);
    CU_ASSERT_EQUAL(s->n, 1);
    CU_ASSERT_EQUAL(s->size, 2000);
    CU_ASSERT_EQUAL(s->data[1999], 1999 & 0xff);
    give_piece(s, 2, 1600, 408, 2000);
    give_piece(s, 2, 1600, 408, 2000);
    give_piece(s, 2, 800, 800, 2000);
    CU_ASSERT_EQUAL(s->n, 1);
    give_piece(s, 2, 0, 800, 2000);
    CU_ASSERT_EQUAL(s->n, 2);
    CU_ASSERT_EQUAL(s->data[1999], 1999 & 0xff);

    /* Many that never end give way, and are counted. */
    for (unsigned i = 0; i < 1000; i++) {
        give_piece(s, 100 + i, 0, 800, 2000);
    }
    CU_ASSERT_EQUAL(capture_counters(s->capture)->fragment_lost,
                    1000 - N_FRAGMENTED);
    capture_finish(s->capture);
    CU_ASSERT_EQUAL(capture_counters(s->capture)->fragment_lost, 1000);
    CU_ASSERT_EQUAL(s->n, 2);
    sink_destroy(s);
}

static void
test_ipv6_fragments(void)
{
    struct sink *s = sink_create();
    struct msg m = { .n = 0 };
    put_ipv6_udp(&m, "1100000000000000", 0);    /* A hop-by-hop header. */
    give(s, 101, m.b, m.n);
    CU_ASSERT_EQUAL(s->n, 1);
    m.n = 0;
    put_ipv6_udp(&m, "1100000000000001", 44);   /* A fragment that is all. */
    give(s, 101, m.b, m.n);
    CU_ASSERT_EQUAL(s->n, 2);
    m.n = 0;
    put_ipv6_udp(&m, "1100000100000001", 44);   /* And more come. */
    give(s, 101, m.b, m.n);
    CU_ASSERT_EQUAL(s->n, 2);
    m.n = 0;
    put_hex(&m, "60000000 0010 2c 40 20010db8000000000000000000000007"
            "20010db8000000000000000000000008 1100001000000001"
            "0102030405060708");
    give(s, 101, m.b, m.n);
    /* The UDP header says 16 bytes: the rest is left out. */
    CU_ASSERT_EQUAL(s->n, 3);
    CU_ASSERT_EQUAL(s->size, 8);
    sink_destroy(s);
}

/* ---- Streams. ---- */

enum { FIN = 1, SYN = 2, RST = 4, ACK = 16 };

static void
give_tcp(struct sink *s, unsigned port, uint32_t seq, unsigned flags,
         const uint8_t *p, size_t n)
{
    struct msg m = { .n = 0 };
    put_ip4(&m, 1, 0, 6, 20 + n);
    put16(&m, port);
    put16(&m, 4739);
    put32(&m, seq);
    put32(&m, 0);
    put8(&m, 5 << 4);
    put8(&m, flags);
    put16(&m, 65535);
    put32(&m, 0);
    put(&m, p, n);
    give(s, 101, m.b, m.n);
}

/* 'n' IPFIX messages of 20 bytes. */
static void
put_messages(struct msg *m, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        put16(m, 10);
        put16(m, 20);
        put32(m, 1700000000);
        put32(m, i);
        put32(m, 7);
        put_hex(m, "00020004");
    }
}

static void
test_streams(void)
{
    struct sink *s = sink_create();
    struct msg m = { .n = 0 };
    put_messages(&m, 10);
    uint32_t seq = UINT32_MAX - 30;     /* Wraps around. */

    /* Byte by byte. */
    give_tcp(s, 1000, seq - 1, SYN, NULL, 0);
    for (size_t i = 0; i < m.n; i++) {
        give_tcp(s, 1000, seq + (uint32_t) i, ACK, m.b + i, 1);
        CU_ASSERT_EQUAL(s->n, (i + 1) / 20);
    }
    give_tcp(s, 1000, seq + (uint32_t) m.n, FIN, NULL, 0);

    /* Out of order, overlapping, twice; and without its begin. */
    s->n = 0;
    give_tcp(s, 1001, seq, ACK, m.b, 30);
    give_tcp(s, 1001, seq + 90, ACK, m.b + 90, 110);
    give_tcp(s, 1001, seq + 20, ACK, m.b + 20, 40);
    give_tcp(s, 1001, seq, ACK, m.b, 30);
    CU_ASSERT_EQUAL(s->n, 3);
    give_tcp(s, 1001, seq + 50, ACK, m.b + 50, 60);
    CU_ASSERT_EQUAL(s->n, 10);
    CU_ASSERT_EQUAL(s->src_port, 1001);

    /* The same ports again. */
    give_tcp(s, 1001, 5, SYN, NULL, 0);
    give_tcp(s, 1001, 6, ACK, m.b, 25);
    CU_ASSERT_EQUAL(s->n, 11);
    give_tcp(s, 1001, 31, RST, NULL, 0);
    CU_ASSERT_EQUAL(capture_counters(s->capture)->stream_end, 1);
    sink_destroy(s);
}

static void
test_bad_streams(void)
{
    struct sink *s = sink_create();
    const struct capture_counters *n = capture_counters(s->capture);
    struct msg m = { .n = 0 };
    put_messages(&m, 10);

    give_tcp(s, 1, 1, ACK, (const uint8_t *) "GET / HTTP/1.0\r\n", 16);
    give_tcp(s, 1, 17, ACK, m.b, m.n);
    CU_ASSERT_EQUAL(n->not_ipfix, 1);
    CU_ASSERT_EQUAL(s->n, 0);

    /* A gap that is never filled. */
    give_tcp(s, 2, 1, ACK, m.b, 20);
    give_tcp(s, 2, 100, ACK, m.b, 20);
    CU_ASSERT_EQUAL(s->n, 1);
    for (unsigned i = 0; i < MAX_WAITING_SEGMENTS; i++) {
        give_tcp(s, 2, 200 + i * 20, ACK, m.b, 20);
    }
    CU_ASSERT_EQUAL(n->stream_gap, 1);
    give_tcp(s, 2, 21, ACK, m.b, 40);
    CU_ASSERT_EQUAL(s->n, 1);

    /* More streams than there is room for. */
    for (unsigned i = 0; i < 4 * N_STREAMS; i++) {
        give_tcp(s, 1000 + i, 1, ACK, m.b, 10);
    }
    CU_ASSERT_TRUE(n->stream_limit >= 3 * N_STREAMS - 2);
    give_tcp(s, 1, 1, ACK, m.b, 20);
    CU_ASSERT_EQUAL(s->n, 2);
    sink_destroy(s);
}

/* ---- IPFIX out of a stream. ---- */

static void
count_message(void *n, const uint8_t *p, size_t size)
{
    CU_ASSERT_EQUAL(be16_at(p + 2), size);
    ++*(unsigned *) n;
}

static void
test_ipfix_stream(void)
{
    struct msg m = { .n = 0 };
    put_messages(&m, 7);
    for (size_t step = 1; step <= m.n; step++) {
        struct ipfix_stream s = { .held = NULL };
        unsigned n = 0;
        for (size_t at = 0; at < m.n; at += step) {
            size_t size = m.n - at < step ? m.n - at : step;
            uint8_t *copy = memdup_exact(m.b + at, size);
            CU_ASSERT_EQUAL(ipfix_stream_feed(&s, copy, size, count_message,
                                              &n), 0);
            free(copy);
        }
        CU_ASSERT_EQUAL(n, 7);
        CU_ASSERT_FALSE(ipfix_stream_partial(&s));
        ipfix_stream_clear(&s);
    }
    /* The largest message, in two pieces; one that cannot be. */
    struct ipfix_stream s = { .held = NULL };
    unsigned n = 0;
    uint8_t *big = calloc(1, 65535);
    memcpy(big, "\0\x0a\xff\xff", 4);
    CU_ASSERT_EQUAL(ipfix_stream_feed(&s, big, 5, count_message, &n), 0);
    CU_ASSERT_TRUE(ipfix_stream_partial(&s));
    CU_ASSERT_TRUE(s.room < 100);
    CU_ASSERT_EQUAL(ipfix_stream_feed(&s, big + 5, 65530, count_message, &n),
                    0);
    CU_ASSERT_EQUAL(n, 1);
    static const uint8_t bad[][4] = { { 0, 10, 0, 15 }, { 0, 9, 1, 0 },
                                      { 1, 10, 1, 0 }, { 0, 10, 0, 0 } };
    for (size_t i = 0; i < 4; i++) {
        CU_ASSERT_EQUAL(ipfix_stream_feed(&s, bad[i], 4, count_message, &n),
                        -EBADMSG);
        ipfix_stream_clear(&s);
    }
    free(big);
}

/* ---- Files. ---- */

struct source_file {
    const uint8_t *p;
    size_t n, at;
};

static size_t
read_some(void *file, void *buf, size_t n)
{
    struct source_file *f = file;
    n = f->n - f->at < n ? f->n - f->at : n;
    memcpy(buf, f->p + f->at, n);
    f->at += n;
    return n;
}

/* How many frames; the last one and the end go there. */
static unsigned
count_frames(const struct msg *m, struct pcap_frame *last,
             enum pcap_status *end)
{
    struct source_file f = { .p = m->b, .n = m->n };
    struct pcap *pcap = pcap_create(read_some, &f);
    struct pcap_frame frame;
    unsigned n = 0;
    while ((*end = pcap_next(pcap, &frame)) == PCAP_FRAME) {
        *last = frame;
        n++;
    }
    CU_ASSERT_PTR_NOT_NULL(pcap_reason(pcap));
    pcap_destroy(pcap);
    return n;
}

static void
test_pcap(void)
{
    static const char *const files[] = {
        /* Big, little, nanoseconds, Kuznetzov's. */
        "a1b2c3d4 0002 0004 00000000 00000000 00010000 00000071"
        "65000000 0000007b 00000002 00000002 abcd",
        "d4c3b2a1 0200 0400 00000000 00000000 00000100 71000000"
        "00000065 7b000000 02000000 02000000 abcd",
        "4d3cb2a1 0200 0400 00000000 00000000 00000100 71000000"
        "00000065 78e00100 02000000 02000000 abcd",
        "34cdb2a1 0200 0400 00000000 00000000 00000100 71000000"
        "00000065 7b000000 02000000 02000000 0000000000000000 abcd",
        /* pcapng, both orders, with an unknown block. */
        "0a0d0d0a 0000001c 1a2b3c4d 0001 0000 ffffffffffffffff 0000001c"
        "00000001 00000014 0071 0000 00010000 00000014"
        "00000bad 00000010 00000000 00000010"
        "00000006 00000024 00000000 0005c7ae 30f4007b 00000002 00000002"
        "abcd0000 00000024",
        "0a0d0d0a 1c000000 4d3c2b1a 0100 0000 ffffffffffffffff 1c000000"
        "01000000 20000000 7100 0000 00000100 0900 0100 09000000 00000000"
        "20000000"
        "06000000 24000000 00000000 4f868a17 78e0c5a1 02000000 02000000"
        "abcd0000 24000000",
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct msg m = { .n = 0 };
        struct pcap_frame last = { .size = 0 };
        enum pcap_status end;
        put_hex(&m, files[i]);
        CU_ASSERT_TRUE(pcap_magic(m.b));
        CU_ASSERT_EQUAL(count_frames(&m, &last, &end), 1);
        CU_ASSERT_EQUAL(end, PCAP_END);
        CU_ASSERT_EQUAL(last.size, 2);
        CU_ASSERT_EQUAL(last.link, 113);
        if (i < 4) {
            CU_ASSERT_EQUAL(last.time_us, INT64_C(1694498816000123));
        }
        for (size_t n = 1; n < m.n; n++) {
            struct msg cut = m;
            cut.n = n;
            CU_ASSERT_EQUAL(count_frames(&cut, &last, &end), 0);
            CU_ASSERT_TRUE(end == PCAP_TORN || end == PCAP_END);
        }
    }
}

static void
test_bad_pcap(void)
{
    static const char *const files[] = {
        "0badcafe 00000000",
        "a1b2c3d4 0002 0004 00000000 00000000 00010000 00000001"
        "65000000 0000007b 00040001 00040001",
        "0a0d0d0a 0000001c 00000000 0001 0000 ffffffffffffffff 0000001c",
        "0a0d0d0a 00000004 1a2b3c4d 0001 0000",
        "0a0d0d0a 0000001c 1a2b3c4d 0001 0000 ffffffffffffffff 0000001c"
        "00000001 00000000",
        "0a0d0d0a 0000001c 1a2b3c4d 0001 0000 ffffffffffffffff 0000001c"
        "00000001 0000000d",
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct msg m = { .n = 0 };
        struct pcap_frame last;
        enum pcap_status end;
        put_hex(&m, files[i]);
        CU_ASSERT_EQUAL(count_frames(&m, &last, &end), 0);
        CU_ASSERT_EQUAL(end, PCAP_BAD);
    }
}

UNIT_MAIN("capture", UNIT_TEST(test_links), UNIT_TEST(test_fragments),
          UNIT_TEST(test_ipv6_fragments), UNIT_TEST(test_streams),
          UNIT_TEST(test_bad_streams), UNIT_TEST(test_ipfix_stream),
          UNIT_TEST(test_pcap), UNIT_TEST(test_bad_pcap))
