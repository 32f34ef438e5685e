/* tests/unit/test_gen.c -- datagrams of venturi-gen, read back by hand. */
#include <config.h>

#include "gen/gen.h"
#include "gen/options.h"
#include "tests/unit/unit.h"

#include <netinet/in.h>

#define NOW_US INT64_C(1795400000250000)
#define MAX_TEMPLATES 512

static struct gen_config
small_config(enum gen_protocol protocol)
{
    return (struct gen_config) {
        .protocol = protocol,
        .exporters = 2,
        .domains = 2,
        .seed = 7,
        .ipv6_percent = 30,
        .vlan_percent = 20,
        .egress_percent = 50,
        .tunnel_percent = 20,
        .hosts = 50,
        .flows = 400,
        .zipf = 1.1,
    };
}

static void
start(struct gen *g, const struct gen_config *config)
{
    CU_ASSERT_EQUAL_FATAL(gen_init(g, config), 0);
    for (uint32_t i = 0; i < config->exporters; i++) {
        uint8_t b[4] = { 127, 1, 0, 1 + i };
        g->exporters[i].agent = addr_from_v4_bytes(b);
    }
    g->boot_us = NOW_US - 1000000000;
    CU_ASSERT_EQUAL_FATAL(gen_prepare(g), 0);
}

static uint16_t
u16(const uint8_t *p)
{
    return p[0] << 8 | p[1];
}

static uint32_t
u32(const uint8_t *p)
{
    return (uint32_t) u16(p) << 16 | u16(p + 2);
}

static uint64_t
u64(const uint8_t *p)
{
    return (uint64_t) u32(p) << 32 | u32(p + 4);
}

static struct gen_sum
sum_all(const struct gen *g)
{
    struct gen_sum s = { 0 };
    for (uint32_t i = 0; i < g->n_flows; i++) {
        s.records += g->flows[i].sum.records;
        s.packets += g->flows[i].sum.packets;
        s.bytes += g->flows[i].sum.bytes;
        s.l2_bytes += g->flows[i].sum.l2_bytes;
    }
    return s;
}

static void
test_model(void)
{
    struct gen_config config = small_config(GEN_IPFIX);
    struct gen g;
    uint32_t n_v6 = 0;

    start(&g, &config);
    CU_ASSERT_EQUAL(g.n_streams, 4);
    CU_ASSERT_EQUAL(g.n_flows, 400);
    for (uint32_t i = 0; i < g.n_flows; i++) {
        const struct gen_flow *f = &g.flows[i];
        const struct gen_stream *s = &g.streams[f->stream];
        CU_ASSERT(i >= s->first && i < s->first + s->n_v4 + s->n_v6);
        CU_ASSERT_EQUAL(f->version, i < s->first + s->n_v4 ? 4 : 6);
        CU_ASSERT_EQUAL(addr_is_v4(&f->src), f->version == 4);
        CU_ASSERT(!addr_equal(&f->src, &f->dst));
        n_v6 += f->version == 6;
    }
    CU_ASSERT(n_v6 >= 110 && n_v6 <= 130);
    gen_clear(&g);
}

/* A host's popularity falls with its rank. */
static void
test_skew(void)
{
    struct gen_config config = small_config(GEN_IPFIX);
    struct gen g;
    uint32_t n[50] = { 0 };

    config.flows = 20000;
    start(&g, &config);
    for (uint32_t i = 0; i < g.n_flows; i++) {
        n[g.flows[i].src_host]++;
    }
    CU_ASSERT(n[0] > 3 * n[4] && n[4] > 3 * n[30] && n[30] > 0);
    gen_clear(&g);
}

/* The same seed gives the same bytes, another one does not. */
static void
test_seed(void)
{
    for (int p = 0; p < N_GEN_PROTOCOLS; p++) {
        struct gen_config config = small_config(p);
        uint8_t a[GEN_MAX_PAYLOAD] = { 0 }, b[GEN_MAX_PAYLOAD] = { 0 };
        struct gen g;
        size_t sizes[3];
        for (int i = 0; i < 3; i++) {
            uint8_t *buf = i ? b : a;
            uint32_t n = 10;
            config.seed = i < 2 ? 7 : 8;
            start(&g, &config);
            memset(buf, 0, sizeof a);
            sizes[i] = g.encoder->fill(&g, &g.streams[0], NOW_US, &n, buf);
            CU_ASSERT(sizes[i] > 0 && sizes[i] <= GEN_MAX_PAYLOAD);
            if (i == 1) {
                CU_ASSERT_EQUAL(sizes[1], sizes[0]);
                CU_ASSERT(!memcmp(a, b, sizeof a));
            } else if (i == 2) {
                CU_ASSERT(memcmp(a, b, sizeof a));
            }
            gen_clear(&g);
        }
    }
}

static void
test_netflow5(void)
{
    struct gen_config config = small_config(GEN_NETFLOW5);
    uint8_t buf[GEN_MAX_PAYLOAD];
    struct gen_sum sum = { 0 };
    struct gen g;

    config.sampling = 100;
    start(&g, &config);
    for (uint32_t i = 0; i < 20; i++) {
        uint32_t n = 1000;
        size_t size = g.encoder->fill(&g, &g.streams[1], NOW_US, &n, buf);
        CU_ASSERT_EQUAL(n, 30);
        CU_ASSERT_EQUAL(size, 24 + 30 * 48);
        CU_ASSERT_EQUAL(u16(buf), 5);
        CU_ASSERT_EQUAL(u16(buf + 2), 30);
        CU_ASSERT_EQUAL(u32(buf + 8), NOW_US / 1000000);
        CU_ASSERT_EQUAL(u32(buf + 16), i * 30);
        CU_ASSERT_EQUAL(u16(buf + 20), 1);
        CU_ASSERT_EQUAL(u16(buf + 22), 1 << 14 | 100);
        for (uint32_t j = 0; j < n; j++) {
            const uint8_t *r = buf + 24 + j * 48;
            sum.packets += u32(r + 16);
            sum.bytes += u32(r + 20);
            CU_ASSERT(u32(r + 24) <= u32(r + 28));
            CU_ASSERT(u32(r + 28) <= u32(buf + 4));
        }
    }
    CU_ASSERT_EQUAL(sum_all(&g).records, 600);
    CU_ASSERT_EQUAL(sum_all(&g).packets, sum.packets);
    CU_ASSERT_EQUAL(sum_all(&g).bytes, sum.bytes);
    gen_clear(&g);
}

/* Fields of templates, for the two protocols that have them. */
struct field {
    uint16_t id, size;
    uint32_t pen;
};

static struct template {
    uint16_t n;
    struct field fields[80];
} templates[MAX_TEMPLATES];

/* Reads template records of a set; returns their number. */
static unsigned
read_templates(const uint8_t *p, const uint8_t *end)
{
    unsigned n = 0;
    while (end - p >= 8) {
        struct template *t = &templates[u16(p)];
        CU_ASSERT_FATAL(u16(p) < MAX_TEMPLATES && u16(p + 2) <= 80);
        t->n = u16(p + 2);
        p += 4;
        for (unsigned i = 0; i < t->n; i++, p += 4) {
            t->fields[i] = (struct field) { u16(p), u16(p + 2), 0 };
            if (u16(p) & 0x8000) {
                t->fields[i].pen = u32(p + 4);
                p += 4;
            }
        }
        CU_ASSERT(p <= end);
        n++;
    }
    return n;
}

/* Reads a record by its template; returns what follows. */
static const uint8_t *
read_record(const uint8_t *p, uint16_t id, struct gen_sum *sum)
{
    const struct template *t = &templates[id];
    CU_ASSERT_FATAL(t->n > 0);
    for (unsigned i = 0; i < t->n; i++) {
        const struct field *f = &t->fields[i];
        size_t size = f->size == UINT16_MAX ? *p++ : f->size;
        uint64_t v = size == 8 ? u64(p) : size == 4 ? u32(p) : 0;
        if (!f->pen) {
            sum->packets += f->id == 2 ? v : 0;
            sum->bytes += f->id == 1 ? v : 0;
            sum->l2_bytes += f->id == 352 ? v : 0;
        }
        p += size;
    }
    sum->records++;
    return p;
}

static void
read_sets(const uint8_t *p, const uint8_t *end, unsigned *n_templates,
          struct gen_sum *sum)
{
    while (p < end) {
        const uint8_t *next = p + u16(p + 2);
        CU_ASSERT_FATAL(u16(p + 2) >= 4 && next <= end);
        if (u16(p) == 0 || u16(p) == 2) {
            *n_templates += read_templates(p + 4, next);
        } else if (u16(p) >= 256 && u16(p) != 258 && u16(p) != 462) {
            const uint8_t *r = p + 4;
            while (next - r > 3) {
                r = read_record(r, u16(p), sum);
            }
            CU_ASSERT(r <= next);
        }
        p = next;
    }
}

static void
check_templated(enum gen_protocol protocol, size_t header, uint32_t step)
{
    struct gen_config config = small_config(protocol);
    uint8_t buf[GEN_MAX_PAYLOAD];
    struct gen_sum sum = { 0 };
    unsigned n_templates = 0;
    uint32_t sequence;
    struct gen g;

    memset(templates, 0, sizeof templates);
    config.sampling = 64;
    start(&g, &config);
    struct gen_stream *s = &g.streams[3];
    size_t size = g.encoder->templates(&g, s, 0, NOW_US, buf);
    CU_ASSERT_EQUAL(g.encoder->templates(&g, s, 1, NOW_US, buf + size), 0);
    read_sets(buf + header, buf + size, &n_templates, &sum);
    CU_ASSERT_EQUAL(n_templates, 2);
    sequence = s->sequence;
    CU_ASSERT_EQUAL(sequence, 1);
    for (int i = 0; i < 50; i++) {
        uint32_t n = i % 2 ? 1000 : 7;
        size = g.encoder->fill(&g, s, NOW_US, &n, buf);
        CU_ASSERT(size <= GEN_MAX_PAYLOAD && n > 0 && (i % 2 || n == 7));
        CU_ASSERT_EQUAL(u16(buf), header == 16 ? 10 : 9);
        CU_ASSERT_EQUAL(u16(buf + 2), header == 16 ? size : n);
        CU_ASSERT_EQUAL(u32(buf + header - 8), sequence);
        CU_ASSERT_EQUAL(u32(buf + header - 4), s->domain);
        sequence += step ? step : n;
        read_sets(buf + header, buf + size, &n_templates, &sum);
    }
    CU_ASSERT_EQUAL(sum_all(&g).records, sum.records);
    CU_ASSERT_EQUAL(sum_all(&g).packets, sum.packets);
    CU_ASSERT_EQUAL(sum_all(&g).bytes, sum.bytes);
    gen_clear(&g);
}

static void
test_netflow9(void)
{
    check_templated(GEN_NETFLOW9, 20, 1);
}

static void
test_ipfix(void)
{
    check_templated(GEN_IPFIX, 16, 0);
}

/* OVS's 88 templates, then each record exactly as long as its template says,
 * one to a datagram, multiplied by the rate. */
static void
check_ovs(const char *virtual_obs_id)
{
    struct gen_config config = small_config(GEN_IPFIX_OVS);
    uint8_t buf[GEN_MAX_PAYLOAD];
    struct gen_sum sum = { 0 };
    unsigned n_templates = 0, i;
    struct gen g;
    size_t size;

    memset(templates, 0, sizeof templates);
    config.virtual_obs_id = virtual_obs_id;
    start(&g, &config);
    CU_ASSERT_EQUAL(g.sampling, 400);
    struct gen_stream *s = &g.streams[0];
    for (i = 0; (size = g.encoder->templates(&g, s, i, NOW_US, buf)); i++) {
        CU_ASSERT(size <= GEN_MAX_PAYLOAD);
        CU_ASSERT_EQUAL(u16(buf + 2), size);
        read_sets(buf + 16, buf + size, &n_templates, &sum);
    }
    CU_ASSERT_EQUAL(n_templates, 88);
    CU_ASSERT_EQUAL(i, 20);
    CU_ASSERT_EQUAL(g.exporters[0].sequence, 1);
    for (uint32_t j = 0; j < 2000; j++) {
        uint32_t n = 100;
        size = g.encoder->fill(&g, &g.streams[j % 2], NOW_US, &n, buf);
        CU_ASSERT_EQUAL(n, 1);
        CU_ASSERT_EQUAL(u16(buf + 2), size);
        CU_ASSERT_EQUAL(u16(buf + 18), size - 16);
        CU_ASSERT_EQUAL(u32(buf + 4), NOW_US / 1000000 + 1);
        CU_ASSERT_EQUAL(u32(buf + 8), 1 + j);
        CU_ASSERT_EQUAL(u32(buf + 12), j % 2);
        const uint8_t *end = read_record(buf + 20, u16(buf + 16), &sum);
        CU_ASSERT_PTR_EQUAL(end, buf + size);
    }
    CU_ASSERT_EQUAL(sum_all(&g).records, 2000);
    CU_ASSERT_EQUAL(sum.packets, 2000 * 400);
    CU_ASSERT_EQUAL(sum.bytes, sum_all(&g).bytes * 400);
    CU_ASSERT_EQUAL(sum.l2_bytes, sum_all(&g).l2_bytes * 400);
    CU_ASSERT_EQUAL(g.exporters[0].ovs.packets, sum.packets);
    gen_clear(&g);
}

static void
test_ovs(void)
{
    check_ovs(NULL);
    check_ovs("host-1/br0");
}

static uint16_t
checksum(const uint8_t *p, size_t n, uint32_t sum)
{
    for (size_t i = 0; i < n; i++) {
        sum += i % 2 ? p[i] : p[i] << 8;
    }
    sum = (sum >> 16) + (sum & 0xffff);
    sum += sum >> 16;
    return ~sum;
}

/* Checks a sampled frame whose first 'n' octets are at 'p'; the rest of it is
 * zeros, which change no checksum.  Returns its IP octets. */
static uint32_t
check_frame(const uint8_t *p, size_t n, uint32_t frame_size)
{
    size_t l3 = u16(p + 12) == 0x8100 ? 18 : 14;
    const uint8_t *ip = p + l3;
    bool v4 = u16(ip - 2) == 0x0800;
    size_t header = v4 ? 20 : 40, addrs = v4 ? 12 : 8;
    uint8_t proto = v4 ? ip[9] : ip[6];
    uint32_t total = v4 ? u16(ip + 2) : 40u + u16(ip + 4);

    CU_ASSERT_EQUAL(u16(ip - 2), v4 ? 0x0800 : 0x86dd);
    CU_ASSERT_EQUAL(total + l3, frame_size);
    if (v4) {
        CU_ASSERT_EQUAL(checksum(ip, 20, 0), 0);
    }
    if (proto == IPPROTO_UDP) {
        CU_ASSERT_EQUAL(u16(ip + header + 4), total - header);
    }
    if (proto == IPPROTO_TCP || proto == IPPROTO_UDP
        || proto == IPPROTO_ICMPV6) {
        uint32_t pseudo = proto + total - header;
        for (size_t i = addrs; i < header; i += 2) {
            pseudo += u16(ip + i);
        }
        CU_ASSERT_EQUAL(checksum(ip + header, n - l3 - header, pseudo), 0);
    }
    return total;
}

static void
test_sflow(void)
{
    struct gen_config config = small_config(GEN_SFLOW);
    uint8_t buf[GEN_MAX_PAYLOAD];
    uint64_t bytes = 0, n_samples = 0;
    struct gen g;

    start(&g, &config);
    struct gen_stream *s = &g.streams[3];
    for (uint32_t i = 1; i <= 200; i++) {
        uint32_t n = i % 2 ? 1000 : 3;
        size_t size = g.encoder->fill(&g, s, NOW_US, &n, buf);
        CU_ASSERT(size <= 1400 && n > 2 && (i % 2 || n == 3));
        CU_ASSERT_EQUAL(u32(buf), 5);
        CU_ASSERT_EQUAL(u32(buf + 8), 0x7f010002);
        CU_ASSERT_EQUAL(u32(buf + 12), s->domain);
        CU_ASSERT_EQUAL(u32(buf + 16), i);
        CU_ASSERT_EQUAL(u32(buf + 24), n);
        const uint8_t *p = buf + 28;
        for (uint32_t j = 0; j < n; j++) {
            const uint8_t *raw = p + 8 + 32 + 24;
            n_samples++;
            CU_ASSERT_EQUAL(u32(p), 1);
            CU_ASSERT_EQUAL(u32(p + 8), n_samples);
            CU_ASSERT_EQUAL(u32(p + 16), 400);
            CU_ASSERT_EQUAL(u32(p + 20), n_samples * 400);
            CU_ASSERT_EQUAL(u32(raw), 1);
            CU_ASSERT_EQUAL(u32(raw + 16), 4);
            bytes += check_frame(raw + 24, u32(raw + 20),
                                 u32(raw + 12) - 4);
            p += 8 + u32(p + 4);
        }
        CU_ASSERT_PTR_EQUAL(p, buf + size);
    }
    CU_ASSERT_EQUAL(sum_all(&g).records, n_samples);
    CU_ASSERT_EQUAL(sum_all(&g).packets, n_samples);
    CU_ASSERT_EQUAL(sum_all(&g).bytes, bytes);
    gen_clear(&g);
}

static enum options_result
parse(const char *line, struct gen_config *config)
{
    char *copy = strdup(line), *argv[16] = { "venturi-gen" };
    FILE *errors = fopen("/dev/null", "w");
    int argc = 1;

    for (char *save, *s = strtok_r(copy, " ", &save); s && argc < 15;
         s = strtok_r(NULL, " ", &save)) {
        argv[argc++] = s;
    }
    enum options_result r = options_parse(argc, argv, NOW_US, config,
                                          errors);
    fclose(errors);
    free(copy);
    return r;
}

static void
test_options(void)
{
    static const char *const bad[] = {
        "--protocol netflow8", "--port 0", "--port 65536", "--rate -1",
        "--rate 1x", "--ipv6 101", "--hosts 1", "--duration soon", "extra",
        "--exporters 0", "--exporters 10000 --domains 10000", "--nonsense",
        "--sampling 0", "--sampling 20000", "--span 1h --count 0",
        "--zipf nan", "--count",
    };
    struct gen_config c;

    CU_ASSERT_EQUAL(parse("", &c), OPTIONS_RUN);
    CU_ASSERT_EQUAL(c.protocol, GEN_NETFLOW5);
    CU_ASSERT_EQUAL(c.count, 1000);
    CU_ASSERT_EQUAL(parse("-t localhost -p 9995 --protocol sflow --rate 100 "
                          "--duration 5m --zipf 0.9 --json", &c),
                    OPTIONS_RUN);
    CU_ASSERT_EQUAL(c.port, 9995);
    CU_ASSERT_EQUAL(c.protocol, GEN_SFLOW);
    CU_ASSERT_EQUAL(c.count, 0);
    CU_ASSERT_EQUAL(c.rate, 100);
    CU_ASSERT_EQUAL(c.duration_us, 300 * INT64_C(1000000));
    CU_ASSERT_DOUBLE_EQUAL(c.zipf, 0.9, 1e-9);
    CU_ASSERT(c.json);
    CU_ASSERT_EQUAL(parse("--help", &c), OPTIONS_HELP);
    CU_ASSERT_EQUAL(parse("--version", &c), OPTIONS_VERSION);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        CU_ASSERT_EQUAL(parse(bad[i], &c), OPTIONS_BAD);
    }
}

UNIT_MAIN("gen", UNIT_TEST(test_model), UNIT_TEST(test_skew),
          UNIT_TEST(test_seed), UNIT_TEST(test_netflow5),
          UNIT_TEST(test_netflow9), UNIT_TEST(test_ipfix),
          UNIT_TEST(test_ovs), UNIT_TEST(test_sflow),
          UNIT_TEST(test_options))
