/* tests/interop/flood.c -- sends hostile datagrams as fast as it can, from as
 * many made-up addresses as one likes (a raw socket: needs root), and prints
 * how many went.
 *
 *     flood PORT KIND SECONDS [DATAGRAMS [SOURCES]]
 *
 * to 127.0.0.1, from 127.64.0.0 on; DATAGRAMS 0: no limit but the time.  Every
 * kind is something that costs the receiver more than its sender, or tries
 * to. */
#include <config.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define HEADERS 28              /* IPv4 and UDP. */
#define MAX (65535 - HEADERS)
#define BURST 32
#define FIRST_SOURCE 0x7f400000u        /* 127.64.0.0 */

/* A datagram being made. */
struct out {
    size_t n;
    uint8_t p[MAX];
};

static uint64_t seed = 20261201;

static uint32_t
any(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (uint32_t) (seed >> 16);
}

static void
put8(struct out *o, uint32_t v)
{
    if (o->n < MAX) {
        o->p[o->n++] = (uint8_t) v;
    }
}

static void
put16(struct out *o, uint32_t v)
{
    put8(o, v >> 8);
    put8(o, v);
}

static void
put32(struct out *o, uint32_t v)
{
    put16(o, v >> 16);
    put16(o, v);
}

static void
put_random(struct out *o, size_t n)
{
    while (n--) {
        put8(o, any());
    }
}

static void
ipfix_begin(struct out *o, uint32_t time, uint32_t domain)
{
    put16(o, 10);
    put16(o, 0);                /* ipfix_end() */
    put32(o, time);
    put32(o, 0);
    put32(o, domain);
}

static void
ipfix_end(struct out *o, size_t from)
{
    size_t n = o->n - from;
    o->p[from + 2] = (uint8_t) (n >> 8);
    o->p[from + 3] = (uint8_t) n;
}

/* ---- The kinds.  'i' counts datagrams. ---- */

static void
kind_garbage(struct out *o, uint32_t i)
{
    static const uint16_t versions[] = { 0, 1, 5, 7, 9, 10, 65535 };
    put16(o, versions[i % 7]);
    put_random(o, any() % 1400);
}

static void
kind_empty(struct out *o, uint32_t i)
{
    (void) o;
    (void) i;
}

static void
kind_byte(struct out *o, uint32_t i)
{
    put8(o, i);
}

static void
kind_long(struct out *o, uint32_t i)
{
    put16(o, i % 2 ? 10 : 9);
    while (o->n < MAX) {
        put8(o, 0xff);
    }
}

/* New templates without end, in domains without end. */
static void
kind_templates(struct out *o, uint32_t i)
{
    ipfix_begin(o, 1800000000, i / 16);
    put16(o, 2);
    put16(o, 4 + 100 * 44);
    for (uint32_t k = 0; k < 100; k++) {
        put16(o, 256 + (i % 16 * 100 + k));
        put16(o, 10);
        for (uint32_t f = 0; f < 10; f++) {
            put16(o, 1 + any() % 400);
            put16(o, 4);
        }
    }
    ipfix_end(o, 0);
}

/* One template that is another each time. */
static void
kind_churn(struct out *o, uint32_t i)
{
    (void) i;
    ipfix_begin(o, 1800000000, 1);
    put16(o, 2);
    put16(o, 4 + 1000 * 44);
    for (uint32_t k = 0; k < 1000; k++) {
        put16(o, 256);
        put16(o, 10);
        for (uint32_t f = 0; f < 10; f++) {
            put16(o, 1 + any() % 400);
            put16(o, 4);
        }
    }
    ipfix_end(o, 0);
}

/* 65,535 fields, of which there are as many as fit. */
static void
kind_wide(struct out *o, uint32_t i)
{
    ipfix_begin(o, 1800000000, i);
    put16(o, 2);
    put16(o, MAX - 16);
    put16(o, 256);
    put16(o, 65535);
    while (o->n < MAX) {
        put16(o, 1);
        put16(o, 65535);
    }
    ipfix_end(o, 0);
}

/* The widest that is allowed. */
static void
kind_512(struct out *o, uint32_t i)
{
    ipfix_begin(o, 1800000000, i / 16);
    for (uint32_t t = 0; t < 30; t++) {
        put16(o, 2);
        put16(o, 8 + 512 * 4);
        put16(o, 256 + i % 16 * 30 + t);
        put16(o, 512);
        for (uint32_t f = 0; f < 512; f++) {
            put16(o, 1 + any() % 400);
            put16(o, any() % 8);
        }
    }
    ipfix_end(o, 0);
}

/* Data without templates, in the smallest sets there are. */
static void
kind_sets(struct out *o, uint32_t i)
{
    ipfix_begin(o, 1800000000, i % 8 * 256);
    while (o->n + 5 < MAX) {
        put16(o, 999);
        put16(o, 5);
        put8(o, 0);
    }
    ipfix_end(o, 0);
}

/* A template again and again, for which others have left data waiting. */
static void
kind_release(struct out *o, uint32_t i)
{
    if (i % 2) {
        kind_sets(o, 0);
        return;
    }
    ipfix_begin(o, 1800000000, 0);
    put16(o, 2);
    put16(o, 4 + 8000 * 8);
    for (uint32_t k = 0; k < 8000; k++) {
        put16(o, 256);
        put16(o, 1);
        put16(o, 1);
        put16(o, 4);
    }
    ipfix_end(o, 0);
}

/* All templates are withdrawn, 16,000 times. */
static void
kind_withdraw(struct out *o, uint32_t i)
{
    if (i % 64 == 0) {
        ipfix_begin(o, 1800000000, 0);
        put16(o, 2);
        put16(o, 4 + 1024 * 8);
        for (uint32_t k = 0; k < 1024; k++) {
            put16(o, 256 + k);
            put16(o, 1);
            put16(o, 1);
            put16(o, 4);
        }
        ipfix_end(o, 0);
        return;
    }
    ipfix_begin(o, 1800000000, 0);
    put16(o, 2);
    put16(o, 4 + 16000 * 4);
    for (uint32_t k = 0; k < 16000; k++) {
        put16(o, 2);
        put16(o, 0);
    }
    ipfix_end(o, 0);
}

/* 4,000 messages in a datagram, each of another domain. */
static void
kind_domains(struct out *o, uint32_t i)
{
    for (uint32_t k = 0; k < 4000; k++) {
        size_t from = o->n;
        ipfix_begin(o, 1800000000, i * 4000 + k);
        ipfix_end(o, from);
    }
}

/* Records of one byte: 65,000 flows in a datagram. */
static void
kind_records(struct out *o, uint32_t i)
{
    ipfix_begin(o, 1800000000, 0);
    if (i % 64 == 0) {
        put16(o, 2);
        put16(o, 12);
        put16(o, 256);
        put16(o, 1);
        put16(o, 4);
        put16(o, 1);
    }
    size_t left = MAX - o->n;
    put16(o, 256);
    put16(o, (uint32_t) left);
    put_random(o, left - 4);
    ipfix_end(o, 0);
}

/* Names for interfaces, as options records. */
static void
kind_names(struct out *o, uint32_t i)
{
    ipfix_begin(o, 1800000000, 0);
    if (i % 64 == 0) {
        put16(o, 3);
        put16(o, 18);
        put16(o, 256);
        put16(o, 2);
        put16(o, 1);
        put16(o, 10);           /* ingressInterface */
        put16(o, 4);
        put16(o, 82);           /* interfaceName */
        put16(o, 8);
    }
    put16(o, 256);
    put16(o, 4 + 5000 * 12);
    for (uint32_t k = 0; k < 5000; k++) {
        put32(o, any() % 100000);
        put32(o, any());
        put32(o, any());
    }
    ipfix_end(o, 0);
}

static void
v5_record(struct out *o, uint32_t first_ms, uint32_t last_ms)
{
    put32(o, 0x0a000000 | (any() & 0xffffff));
    put32(o, 0x0a000000 | (any() & 0xffffff));
    put32(o, 0);
    put32(o, 0x00010002);
    put32(o, 10);
    put32(o, 1000);
    put32(o, first_ms);
    put32(o, last_ms);
    put32(o, any());
    put32(o, 0x00000600);
    put32(o, 0);
    put32(o, 0);
}

static void
v5(struct out *o, uint32_t time, unsigned n_records)
{
    put16(o, 5);
    put16(o, n_records);
    put32(o, 1000);
    put32(o, time);
    put32(o, 0);
    put32(o, 0);
    put32(o, 0);
    for (unsigned k = 0; k < n_records; k++) {
        v5_record(o, 500, 600);
    }
}

/* Good NetFlow v5 of one flow. */
static void
kind_flow(struct out *o, uint32_t i)
{
    (void) i;
    v5(o, (uint32_t) time(NULL), 1);
}

/* Good flows, as many as fit. */
static void
kind_flows(struct out *o, uint32_t i)
{
    (void) i;
    v5(o, (uint32_t) time(NULL), 30);
}

/* Hours, days, years that have not been, each datagram another. */
static void
kind_future(struct out *o, uint32_t i)
{
    v5(o, (uint32_t) time(NULL) + i * 3600u, 30);
}

/* sFlow: agents without end, each with a counter sample of an interface. */
static void
kind_agents(struct out *o, uint32_t i)
{
    put32(o, 5);
    put32(o, 1);
    put32(o, 0x0b000000 + i);
    put32(o, 0);
    put32(o, 1);
    put32(o, 1000);
    put32(o, 1);                /* Samples. */
    put32(o, 2);                /* Counters sample: */
    put32(o, 12 + 8 + 88);
    put32(o, 1);
    put32(o, i);
    put32(o, 1);
    put32(o, 1);                /* generic interface */
    put32(o, 88);
    put32(o, i);
    put_random(o, 84);
}

static const struct {
    const char *name;
    void (*make)(struct out *, uint32_t i);
} kinds[] = {
    { "garbage", kind_garbage }, { "empty", kind_empty },
    { "byte", kind_byte }, { "long", kind_long },
    { "templates", kind_templates }, { "churn", kind_churn },
    { "wide", kind_wide }, { "512", kind_512 }, { "sets", kind_sets },
    { "release", kind_release }, { "withdraw", kind_withdraw },
    { "domains", kind_domains }, { "records", kind_records },
    { "names", kind_names }, { "flow", kind_flow }, { "flows", kind_flows },
    { "future", kind_future }, { "agents", kind_agents },
};

/* ---- Sending. ---- */

static uint8_t packets[BURST][HEADERS + MAX];
static struct iovec iov[BURST];
static struct mmsghdr msgs[BURST];

static void
make(unsigned slot, size_t kind, uint32_t i, uint32_t n_sources, uint16_t port)
{
    static struct out o;
    struct iphdr ip = {
        .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP,
        .saddr = htonl(FIRST_SOURCE + i % n_sources),
        .daddr = htonl(INADDR_LOOPBACK),
    };
    o.n = 0;
    kinds[kind].make(&o, i);
    uint16_t udp[4] = { htons(40000), htons(port),
                        htons((uint16_t) (o.n + 8)), 0 };
    memcpy(packets[slot], &ip, sizeof ip);
    memcpy(packets[slot] + sizeof ip, udp, sizeof udp);
    memcpy(packets[slot] + HEADERS, o.p, o.n);
    iov[slot].iov_len = HEADERS + o.n;
}

static double
seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double) t.tv_sec + (double) t.tv_nsec * 1e-9;
}

static uint64_t
send_all(int fd, size_t kind, uint16_t port, double duration, uint64_t max,
         uint32_t n_sources)
{
    double end = seconds() + duration;
    uint64_t n = 0;
    while ((!max || n < max) && seconds() < end) {
        unsigned k = 0;
        for (; k < BURST && (!max || n + k < max); k++) {
            make(k, kind, (uint32_t) n + k, n_sources, port);
        }
        int sent = sendmmsg(fd, msgs, k, 0);
        if (sent < 0 && errno != ENOBUFS && errno != EINTR) {
            perror("flood: sendmmsg");
            exit(1);
        }
        n += sent > 0 ? (unsigned) sent : 0;
    }
    return n;
}

int
main(int argc, char *argv[])
{
    size_t kind = 0;
    while (argc >= 4 && kind < sizeof kinds / sizeof kinds[0]
           && strcmp(argv[2], kinds[kind].name)) {
        kind++;
    }
    if (argc < 4 || kind == sizeof kinds / sizeof kinds[0]) {
        fprintf(stderr, "usage: flood PORT KIND SECONDS [DATAGRAMS "
                "[SOURCES]]\n");
        return 1;
    }
    uint64_t max = argc > 4 ? strtoull(argv[4], NULL, 10) : 0;
    uint32_t n_sources = argc > 5 ? (uint32_t) strtoul(argv[5], NULL, 10) : 1;
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) },
    };
    int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
    if (fd < 0) {
        perror("flood: raw socket");
        return 1;
    }
    for (unsigned k = 0; k < BURST; k++) {
        iov[k].iov_base = packets[k];
        msgs[k].msg_hdr.msg_iov = &iov[k];
        msgs[k].msg_hdr.msg_iovlen = 1;
        msgs[k].msg_hdr.msg_name = &to;
        msgs[k].msg_hdr.msg_namelen = sizeof to;
    }
    printf("%llu\n", (unsigned long long) send_all(
        fd, kind, (uint16_t) atoi(argv[1]), atof(argv[3]), max,
        n_sources ? n_sources : 1));
    return 0;
}
