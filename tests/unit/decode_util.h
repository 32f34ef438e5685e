/* tests/unit/decode_util.h -- a decoder with everything it needs, and messages
 * built byte by byte. */
#ifndef TESTS_DECODE_UTIL_H
#define TESTS_DECODE_UTIL_H 1

#include <stdio.h>
#include <string.h>
#include <urcu.h>

#include "collector/decode/decoder.h"
#include "collector/exporter/source_table.h"
#include "collector/template/template.h"
#include "lib/cursor.h"
#include "lib/dict.h"
#include "lib/source.h"
#include "tests/unit/unit.h"

#define RECEIVED_US INT64_C(1700000000123456)

struct rig {
    struct dict *dict;
    struct source_table *sources;
    struct template_cache *templates;
    struct decoder_counters n;
    struct decoder *decoder;
    struct flow_batch *b;
    uint64_t flushed;           /* Rows. */
    struct addr from;
    uint16_t port;
};

static inline struct flow_batch *
rig_flush(void *aux, struct flow_batch *b)
{
    struct rig *r = aux;
    r->flushed += b->n;
    batch_reset(b);
    return b;
}

static inline void
rig_init_limits(struct rig *r, size_t sources, size_t share,
                size_t total)
{
    memset(r, 0, sizeof *r);
    r->dict = dict_create(4096, 1 << 20);
    r->sources = source_table_create(sources);
    r->templates = template_cache_create(share, total);
    r->b = batch_create();
    struct decoder_config c = {
        .dict = r->dict, .sources = r->sources, .templates = r->templates,
        .counters = &r->n, .flush = rig_flush, .aux = r,
    };
    r->decoder = decoder_create(&c);
    addr_parse("192.0.2.1", &r->from);
    r->port = 50000;
}

static inline void
rig_init(struct rig *r)
{
    rig_init_limits(r, 64, 256, 1024);
}

static inline void
rig_clear(struct rig *r)
{
    decoder_destroy(r->decoder);
    template_cache_destroy(r->templates);
    source_table_destroy(r->sources);
    dict_destroy(r->dict);
    batch_destroy(r->b);
}

/* Decodes a copy of exactly 'n' bytes. */
static inline void
rig_feed(struct rig *r, const void *data, size_t n)
{
    uint8_t *copy = memdup_exact(data, n);
    struct datagram d = {
        .data = copy, .size = n, .src = r->from, .src_port = r->port,
        .received_us = RECEIVED_US,
    };
    decoder_prefetch(r->decoder, &d, 1);      /* Must change nothing. */
    r->b = decoder_datagram(r->decoder, &d, r->b);
    free(copy);
}

/* All refusals together. */
static inline uint64_t
rig_refusals(const struct rig *r)
{
    uint64_t sum = 0;
    for (const struct counter_def *d = decoder_counter_defs; d->name; d++) {
        sum += counter_at(&r->n, d);
    }
    return sum - r->n.datagrams;
}

static inline bool
rig_first_source(struct source *s, void *aux)
{
    *(struct source **) aux = s;
    return false;
}

static inline struct source *
rig_source(struct rig *r)
{
    struct source *s = NULL;
    source_table_each(r->sources, rig_first_source, &s);
    return s;
}

/* ---- Messages. ---- */

struct msg {
    uint8_t b[65536];
    size_t n;
};

static inline void
put(struct msg *m, const void *p, size_t n)
{
    if (n) {
        memcpy(m->b + m->n, p, n);
    }
    m->n += n;
}

static inline void
put8(struct msg *m, unsigned v)
{
    m->b[m->n++] = (uint8_t) v;
}

static inline void
put16(struct msg *m, unsigned v)
{
    put8(m, v >> 8);
    put8(m, v);
}

static inline void
put32(struct msg *m, uint32_t v)
{
    put16(m, v >> 16);
    put16(m, v & 0xffff);
}

static inline void
put64(struct msg *m, uint64_t v)
{
    put32(m, (uint32_t) (v >> 32));
    put32(m, (uint32_t) v);
}

static inline void
set16(struct msg *m, size_t at, unsigned v)
{
    m->b[at] = (uint8_t) (v >> 8);
    m->b[at + 1] = (uint8_t) v;
}

static inline void
set32(struct msg *m, size_t at, uint32_t v)
{
    set16(m, at, v >> 16);
    set16(m, at + 2, v & 0xffff);
}

/* "0a 00 00 01" or "0a000001". */
static inline void
put_hex(struct msg *m, const char *hex)
{
    unsigned v;
    for (; *hex; hex += 2) {
        while (*hex == ' ') {
            hex++;
        }
        if (sscanf(hex, "%2x", &v) != 1) {
            return;
        }
        put8(m, v);
    }
}

/* IPFIX message and NetFlow v9 header; ipfix_end() fills in the length. */
static inline void
ipfix_begin(struct msg *m, uint32_t export_s, uint32_t seq, uint32_t domain)
{
    m->n = 0;
    put16(m, 10);
    put16(m, 0);
    put32(m, export_s);
    put32(m, seq);
    put32(m, domain);
}

static inline void
ipfix_end(struct msg *m)
{
    set16(m, 2, (unsigned) m->n);
}

static inline void
v9_begin(struct msg *m, uint32_t uptime_ms, uint32_t secs, uint32_t seq,
         uint32_t domain)
{
    m->n = 0;
    put16(m, 9);
    put16(m, 1);
    put32(m, uptime_ms);
    put32(m, secs);
    put32(m, seq);
    put32(m, domain);
}

static inline size_t
set_begin(struct msg *m, unsigned id)
{
    put16(m, id);
    put16(m, 0);
    return m->n - 4;
}

static inline void
set_end(struct msg *m, size_t at)
{
    set16(m, at + 2, (unsigned) (m->n - at));
}

#define CHECK_ADDR(A, TEXT)                             \
    do {                                                \
        char text__[ADDR_STRLEN];                       \
        addr_format(&(A), text__);                      \
        CU_ASSERT_STRING_EQUAL(text__, TEXT);           \
    } while (0)
#define CHECK_NULL(B, COL, ROW) \
    CU_ASSERT_FALSE(batch_is_valid(B, COL_##COL, ROW))
#define CHECK_IS(B, COL, ROW, VALUE)                            \
    do {                                                        \
        CU_ASSERT_TRUE(batch_is_valid(B, COL_##COL, ROW));      \
        CU_ASSERT_EQUAL((B)->COL[ROW], VALUE);                  \
    } while (0)
#define CHECK_TEXT(R, COL, ROW, TEXT)                                   \
    do {                                                                \
        CU_ASSERT_TRUE_FATAL(batch_is_valid((R)->b, COL_##COL, ROW));   \
        CU_ASSERT_STRING_EQUAL(dict_text((R)->dict, (R)->b->COL[ROW]),  \
                               TEXT);                                   \
    } while (0)

/* ---- IPFIX templates. ---- */

#define EXPORT_S 1699999000u
#define EXPORT_US (EXPORT_S * INT64_C(1000000))

static inline void
ipfix_fields(struct msg *m, const struct template_field *f, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        put16(m, f[i].id | (f[i].pen ? 0x8000u : 0));
        put16(m, f[i].size);
        if (f[i].pen) {
            put32(m, f[i].pen);
        }
    }
}

static inline void
ipfix_template(struct msg *m, unsigned id, const struct template_field *f,
               unsigned n)
{
    size_t at = set_begin(m, 2);
    put16(m, id);
    put16(m, n);
    ipfix_fields(m, f, n);
    set_end(m, at);
}

/* Decodes one message with a template and the one record 'hex'. */
static inline void
ipfix_one(struct rig *r, const struct template_field *f, unsigned n,
          const char *hex)
{
    static struct msg m;
    ipfix_begin(&m, EXPORT_S, 0, 1);
    ipfix_template(&m, 300, f, n);
    size_t at = set_begin(&m, 300);
    put_hex(&m, hex);
    set_end(&m, at);
    ipfix_end(&m);
    rig_init(r);
    rig_feed(r, m.b, m.n);
}

#define IPFIX_ONE(R, HEX, ...)                                          \
    do {                                                                \
        static const struct template_field f__[] = { __VA_ARGS__ };     \
        ipfix_one(R, f__, sizeof f__ / sizeof f__[0], HEX);             \
        CU_ASSERT_EQUAL(rig_refusals(R), 0);                            \
        CU_ASSERT_EQUAL((R)->b->n, 1);                                  \
    } while (0)

/* ---- Tunnels: 192.0.2.1 to 192.0.2.2, 300 bytes, around a UDP packet from
 * 10.0.0.1:53. ---- */

#define FRAME_MACS "020000000002 020000000001 "
#define FRAME_INNER "45 b8 003c 1234 0000 3f 11 0000 0a000001 0a000002 " \
    "0035 d431 0028 0000 "
#define FRAME_OUTER(PROTO) "45 00 012c 0000 0000 40 " PROTO \
    " 0000 c0000201 c0000202 "
#define PACKET_GTPU FRAME_OUTER("11") "c000 0868 0118 0000 " \
    "30ff 0040 12345678 " FRAME_INNER
#define PACKET_ERSPAN FRAME_OUTER("2f") "1000 88be 00000001 " \
    "1001f107 00000000 0a0000000002 0a0000000001 0800 " FRAME_INNER

static inline void
check_tunnelled(struct flow_batch *b, uint32_t row, uint8_t type,
                uint64_t vni)
{
    CHECK_IS(b, tunnel_type, row, type);
    CHECK_IS(b, vni, row, vni);
    CHECK_ADDR(b->tunnel_src_addr[row], "192.0.2.1");
    CHECK_ADDR(b->tunnel_dst_addr[row], "192.0.2.2");
    CHECK_ADDR(b->src_addr[row], "10.0.0.1");
    CHECK_ADDR(b->dst_addr[row], "10.0.0.2");
    CHECK_IS(b, proto, row, 17);
    CHECK_IS(b, src_port, row, 53);
    CU_ASSERT_EQUAL(b->bytes[row], 300);
    if (type == TUNNEL_GTPU) {
        CHECK_IS(b, tunnel_proto, row, 17);
        CHECK_IS(b, tunnel_src_port, row, 0xc000);
        CHECK_IS(b, tunnel_dst_port, row, 2152);
    } else {
        CHECK_IS(b, tunnel_proto, row, 47);
        CHECK_NULL(b, tunnel_src_port, row);
    }
}

#endif /* tests/unit/decode_util.h */
