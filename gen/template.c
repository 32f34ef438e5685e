/* gen/template.c -- NetFlow version 9 (RFC 3954) and IPFIX (RFC 7011) as a
 * router sends them: one template per IP version, several records in a
 * message, and the sampling rate in an options record.
 *
 * Both come from one table of fields. */
#include <config.h>

#include "gen/gen.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#define TEMPLATE_V4 256
#define TEMPLATE_V6 257
#define TEMPLATE_SAMPLING 258
#define VAR_RECORD_MAX 128

/* Fields of a record: X(what, IPv4 element, IPv6 element (of times: element in
 * version 9, in IPFIX), size in v9, size in IPFIX (0: by IP version)). */
#define RECORD_FIELDS(X)                                                \
    X(SRC_ADDR, 8, 27, 0, 0)    /* Size by IP version. */               \
    X(DST_ADDR, 12, 28, 0, 0)                                           \
    X(SRC_PORT, 7, 7, 2, 2)                                             \
    X(DST_PORT, 11, 11, 2, 2)                                           \
    X(PROTO, 4, 4, 1, 1)                                                \
    X(TCP_FLAGS, 6, 6, 1, 2)                                            \
    X(TOS, 5, 5, 1, 1)                                                  \
    X(DIRECTION, 61, 61, 1, 1)                                          \
    X(ICMP, 32, 139, 2, 2)                                              \
    X(IN_IF, 10, 10, 4, 4)                                              \
    X(OUT_IF, 14, 14, 4, 4)                                             \
    X(SRC_AS, 16, 16, 4, 4)                                             \
    X(DST_AS, 17, 17, 4, 4)                                             \
    X(SRC_MASK, 9, 29, 1, 1)                                            \
    X(DST_MASK, 13, 30, 1, 1)                                           \
    X(PACKETS, 2, 2, 4, 8)                                              \
    X(BYTES, 1, 1, 4, 8)                                                \
    X(FIRST, 22, 152, 4, 8)     /* v9: ms of uptime; IPFIX: of 1970. */ \
    X(LAST, 21, 153, 4, 8)

enum record_field {
#define X(ID, IE4, IE6, SIZE9, SIZE10) F_##ID,
    RECORD_FIELDS(X)
#undef X
    N_FIELDS
};

struct field {
    uint16_t ie4, ie6;
    uint8_t size9, size10;
};

static const struct field fields[N_FIELDS] = {
#define X(ID, IE4, IE6, SIZE9, SIZE10) [F_##ID] = { IE4, IE6, SIZE9, SIZE10 },
    RECORD_FIELDS(X)
#undef X
};

static bool
is_ipfix(const struct gen *g)
{
    return g->config.protocol == GEN_IPFIX;
}

static uint8_t
field_size(const struct gen *g, unsigned i, uint8_t version)
{
    const struct field *f = &fields[i];
    if (!f->size9) {
        return version == 4 ? 4 : 16;
    }
    return is_ipfix(g) ? f->size10 : f->size9;
}

static uint16_t
field_element(const struct gen *g, unsigned i, uint8_t version)
{
    /* IPFIX times have elements of their own (RFC 7012); version 9 has one
     * element for ICMP type and code of both versions of IP. */
    if (i == F_FIRST || i == F_LAST) {
        return is_ipfix(g) ? fields[i].ie6 : fields[i].ie4;
    }
    if (i == F_ICMP && !is_ipfix(g)) {
        return fields[i].ie4;
    }
    return version == 4 ? fields[i].ie4 : fields[i].ie6;
}

/* Where a field begins in its record; N_FIELDS: the record's size. */
static size_t
field_offset(const struct gen *g, unsigned field, uint8_t version)
{
    size_t ofs = 0;
    for (unsigned i = 0; i < field; i++) {
        ofs += field_size(g, i, version);
    }
    return ofs;
}

static uint64_t
field_value(const struct gen_flow *f, unsigned i)
{
    const uint64_t values[N_FIELDS] = {
        [F_SRC_PORT] = f->src_port,
        [F_DST_PORT] = f->dst_port,
        [F_PROTO] = f->proto,
        [F_TCP_FLAGS] = f->tcp_flags,
        [F_TOS] = f->tos,
        [F_DIRECTION] = f->direction,
        [F_ICMP] = f->icmp_type << 8 | f->icmp_code,
        [F_IN_IF] = f->in_if,
        [F_OUT_IF] = f->out_if,
        [F_SRC_AS] = f->src_as,
        [F_DST_AS] = f->dst_as,
        [F_SRC_MASK] = f->version == 4 ? 24 : 64,
        [F_DST_MASK] = f->version == 4 ? 24 : 64,
    };
    return values[i];
}

static void
put_record(const struct gen *g, const struct gen_flow *f, uint8_t *p)
{
    for (unsigned i = 0; i < N_FIELDS; i++) {
        if (i == F_SRC_ADDR || i == F_DST_ADDR) {
            p = put_addr(p, i == F_SRC_ADDR ? &f->src : &f->dst, f->version);
        } else {
            p = put_uint(p, field_value(f, i), field_size(g, i, f->version));
        }
    }
}

static int
template_prepare(struct gen *g)
{
    g->records = calloc(g->n_flows, VAR_RECORD_MAX);
    if (!g->records) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < g->n_flows; i++) {
        g->offsets[i] = i * VAR_RECORD_MAX;
        put_record(g, &g->flows[i], g->records + g->offsets[i]);
    }
    return 0;
}

static uint8_t *
put_header(const struct gen *g, const struct gen_stream *s, int64_t now_us,
           uint8_t *p)
{
    if (is_ipfix(g)) {
        p = put_u16(p, 10);
        p += 2;                                 /* Length: see finish(). */
        p = put_u32(p, now_us / 1000000);
    } else {
        p = put_u16(p, 9);
        p += 2;                                 /* Count: see finish(). */
        p = put_u32(p, (now_us - g->boot_us) / 1000);
        p = put_u32(p, now_us / 1000000);
    }
    p = put_u32(p, s->sequence);
    return put_u32(p, s->domain);
}

/* Fills in what the header says of the message, and moves the sequence on:
 * version 9 counts datagrams, IPFIX counts data records. */
static size_t
finish(const struct gen *g, struct gen_stream *s, uint32_t n_records,
       uint32_t n_data, uint8_t *buf, const uint8_t *end)
{
    put_u16(buf + 2, is_ipfix(g) ? (size_t) (end - buf) : n_records);
    s->sequence += is_ipfix(g) ? n_data : 1;
    return end - buf;
}

static uint8_t *
put_template(const struct gen *g, uint8_t version, uint8_t *p)
{
    p = put_u16(p, is_ipfix(g) ? 2 : 0);
    p = put_u16(p, 4 + 4 + 4 * N_FIELDS);
    p = put_u16(p, version == 4 ? TEMPLATE_V4 : TEMPLATE_V6);
    p = put_u16(p, N_FIELDS);
    for (unsigned i = 0; i < N_FIELDS; i++) {
        p = put_u16(p, field_element(g, i, version));
        p = put_u16(p, field_size(g, i, version));
    }
    return p;
}

/* Version 9: scope System, then interval (34) and algorithm (35, 1:
 * deterministic).  A set is padded to 4 octets. */
static uint8_t *
put_sampling_v9(const struct gen *g, const struct gen_stream *s, uint8_t *p)
{
    p = put_u16(p, 1);
    p = put_u16(p, 4 + 6 + 12 + 2);
    p = put_u16(p, TEMPLATE_SAMPLING);
    p = put_u16(p, 4);                          /* Scope length. */
    p = put_u16(p, 8);                          /* Option length. */
    p = put_u16(put_u16(p, 1), 4);
    p = put_u16(put_u16(p, 34), 4);
    p = put_u16(put_u16(p, 35), 1);
    p = put_u16(p, 0);                          /* Padding. */

    p = put_u16(p, TEMPLATE_SAMPLING);
    p = put_u16(p, 4 + 9 + 3);
    p = put_u32(p, s->domain);
    p = put_u32(p, g->sampling);
    p = put_u8(p, 1);
    memset(p, 0, 3);
    return p + 3;
}

/* IPFIX: scope observationDomainId, then algorithm (1: systematic, by count),
 * one packet in an interval, the rest its space (RFC 5477 section 8.2). */
static uint8_t *
put_sampling_ipfix(const struct gen *g, const struct gen_stream *s,
                   uint8_t *p)
{
    p = put_u16(p, 3);
    p = put_u16(p, 4 + 6 + 16);
    p = put_u16(p, TEMPLATE_SAMPLING);
    p = put_u16(p, 4);
    p = put_u16(p, 1);                          /* Scope fields. */
    p = put_u16(put_u16(p, 149), 4);
    p = put_u16(put_u16(p, 304), 2);
    p = put_u16(put_u16(p, 305), 4);
    p = put_u16(put_u16(p, 306), 4);

    p = put_u16(p, TEMPLATE_SAMPLING);
    p = put_u16(p, 4 + 14);
    p = put_u32(p, s->domain);
    p = put_u16(p, 1);
    p = put_u32(p, 1);
    return put_u32(p, g->sampling - 1);
}

static size_t
template_templates(struct gen *g, struct gen_stream *s, unsigned i,
                   int64_t now_us, uint8_t *buf)
{
    if (i) {
        return 0;
    }
    uint8_t *p = put_header(g, s, now_us, buf);
    p = put_template(g, 4, p);
    p = put_template(g, 6, p);
    if (!g->sampling) {
        return finish(g, s, 2, 0, buf, p);
    }
    p = is_ipfix(g) ? put_sampling_ipfix(g, s, p) : put_sampling_v9(g, s, p);
    return finish(g, s, 4, 1, buf, p);
}

/* A data set of 'n' records. */
static uint8_t *
put_set(struct gen *g, const struct gen_stream *s, uint8_t version,
        uint32_t n, int64_t now_us, uint8_t *start)
{
    bool v4 = version == 4, ipfix = is_ipfix(g);
    size_t size = field_offset(g, N_FIELDS, version);
    size_t hot = field_offset(g, F_PACKETS, version);
    int64_t clock_ms = (now_us - (ipfix ? 0 : g->boot_us)) / 1000;
    uint8_t *p = start + 4;

    for (uint32_t i = 0; i < n; i++, p += size) {
        struct gen_draw d;
        gen_draw(g, s->first + (v4 ? 0 : s->n_v4), v4 ? s->n_v4 : s->n_v6,
                 &d);
        memcpy(p, g->records + g->offsets[d.flow - g->flows], size);
        int64_t last = clock_ms - d.ago_ms;
        uint8_t *q = p + hot;
        if (ipfix) {
            q = put_u64(put_u64(q, d.packets), d.bytes);
            put_u64(put_u64(q, last - d.age_ms), last);
        } else {
            q = put_u32(put_u32(q, d.packets), d.bytes);
            put_u32(put_u32(q, last - d.age_ms), last);
        }
    }
    while (!ipfix && (p - start) % 4) {         /* RFC 3954 section 5.3. */
        p = put_u8(p, 0);
    }
    put_u16(start, v4 ? TEMPLATE_V4 : TEMPLATE_V6);
    put_u16(start + 2, p - start);
    return p;
}

static size_t
template_fill(struct gen *g, struct gen_stream *s, int64_t now_us,
              uint32_t *n, uint8_t *buf)
{
    /* Header, two set headers, padding; then whatever fits of the larger. */
    size_t largest = field_offset(g, N_FIELDS, s->n_v6 ? 6 : 4);
    uint32_t room = (GEN_MAX_PAYLOAD - 20 - 2 * 8) / largest;
    *n = *n < room ? *n : room;

    uint32_t n_v6 = gen_share_v6(g, s, *n);
    uint8_t *p = put_header(g, s, now_us, buf);
    if (*n > n_v6) {
        p = put_set(g, s, 4, *n - n_v6, now_us, p);
    }
    if (n_v6) {
        p = put_set(g, s, 6, n_v6, now_us, p);
    }
    return finish(g, s, *n, *n, buf, p);
}

#define TEMPLATE_ENCODER(NAME, DOC, PORT) {             \
        .name = NAME,                                   \
        .doc = DOC,                                     \
        .port = PORT,                                   \
        .max_sampling = UINT32_MAX,                     \
        .ipv6 = true,                                   \
        .template_interval_us = 60 * INT64_C(1000000),  \
        .prepare = template_prepare,                    \
        .templates = template_templates,                \
        .fill = template_fill,                          \
    }

const struct gen_encoder gen_netflow9 =
    TEMPLATE_ENCODER("netflow9", "NetFlow version 9", 2055);
const struct gen_encoder gen_ipfix =
    TEMPLATE_ENCODER("ipfix", "IPFIX as a router sends it", 4739);
