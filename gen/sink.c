/* gen/sink.c */
#include <config.h>

#include "gen/sink.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define SEND_BUFFER (4 << 20)
#define REFUSED_RETRIES 8
#define PCAP_MAGIC 0xa1b2c3d4u
#define PCAP_ETHERNET 1
#define FIRST_SOURCE_PORT 40000

struct source {
    struct addr addr;
    uint16_t port;
    int fd;
};

struct sink {
    struct sockaddr_storage target;
    socklen_t target_len;
    struct addr target_addr;
    uint16_t target_port;
    char name[ENDPOINT_STRLEN + 256];
    uint32_t n_sources;
    struct source *sources;
    uint64_t refused;
    FILE *pcap;
    bool pcap_failed;
    struct iovec iov[SINK_BURST];
    struct mmsghdr msgs[SINK_BURST];
    uint8_t buffers[SINK_BURST][GEN_MAX_PAYLOAD];
};

static char *
message(const char *what, const char *why)
{
    char *text;
    return asprintf(&text, "%s: %s", what, why) < 0 ? NULL : text;
}

static bool
is_loopback_v4(const struct sink *s)
{
    return addr_is_v4(&s->target_addr) && s->target_addr.b[12] == 127;
}

static char *
resolve(struct sink *s, const struct gen *g)
{
    const char *host = g->config.host ? g->config.host : "127.0.0.1";
    uint16_t port = g->config.port ? g->config.port : g->encoder->port;
    struct addrinfo hints = { .ai_socktype = SOCK_DGRAM }, *list;
    char service[8], text[ENDPOINT_STRLEN];

    snprintf(service, sizeof service, "%u", port);
    int error = getaddrinfo(host, service, &hints, &list);
    if (error) {
        return message(host, gai_strerror(error));
    }
    memcpy(&s->target, list->ai_addr, list->ai_addrlen);
    s->target_len = list->ai_addrlen;
    freeaddrinfo(list);
    addr_from_sockaddr((struct sockaddr *) &s->target, &s->target_addr,
                       &s->target_port);
    if (g->config.pcap) {
        snprintf(s->name, sizeof s->name, "%s", g->config.pcap);
    } else {
        snprintf(s->name, sizeof s->name, "%s",
                 endpoint_format(&s->target_addr, port, text));
    }
    return NULL;
}

/* The address that exporter 'i' sends from, if it has one of its own. */
static struct addr
loopback_source(uint32_t i)
{
    uint32_t id = i + 1 + i / 254 * 2;          /* Not .0, not .255. */
    uint8_t b[4] = { 127, 1 + (id >> 16), id >> 8, id };
    return addr_from_v4_bytes(b);
}

static char *
open_socket(struct sink *s, uint32_t i, bool own_address)
{
    struct source *src = &s->sources[i];
    struct sockaddr_storage local;
    socklen_t len = sizeof local;
    int size = SEND_BUFFER;

    src->fd = socket(s->target.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (src->fd < 0) {
        return message("socket", strerror(errno));
    }
    setsockopt(src->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    if (own_address) {
        struct sockaddr_in sin = { .sin_family = AF_INET };
        struct addr a = loopback_source(i);
        memcpy(&sin.sin_addr, a.b + 12, 4);
        if (bind(src->fd, (struct sockaddr *) &sin, sizeof sin)) {
            return message("bind", strerror(errno));
        }
    }
    if (connect(src->fd, (struct sockaddr *) &s->target, s->target_len)
        || getsockname(src->fd, (struct sockaddr *) &local, &len)) {
        return message(s->name, strerror(errno));
    }
    addr_from_sockaddr((struct sockaddr *) &local, &src->addr, &src->port);
    return NULL;
}

/* In a file nothing is bound: the sources are as they would be on the wire. */
static void
name_source(struct sink *s, uint32_t i, bool own_address)
{
    static const uint8_t v4[] = { 192, 0, 2, 1 };
    static const uint8_t v6[16] = { 0x20, 1, 0x0d, 0xb8, [15] = 1 };
    struct source *src = &s->sources[i];

    src->port = FIRST_SOURCE_PORT + (own_address ? 0 : i);
    src->addr = own_address ? loopback_source(i)
                : addr_is_v4(&s->target_addr) ? addr_from_v4_bytes(v4)
                : addr_from_v6_bytes(v6);
}

static void
raise_file_limit(uint32_t n)
{
    struct rlimit limit;
    if (!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur < n + 64) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static char *
open_sources(struct sink *s, struct gen *g)
{
    bool own_address = is_loopback_v4(s) && s->n_sources > 1;
    char *error = NULL;

    raise_file_limit(s->n_sources);
    for (uint32_t i = 0; i < s->n_sources && !error; i++) {
        if (s->pcap) {
            name_source(s, i, own_address);
        } else {
            error = open_socket(s, i, own_address);
        }
        g->exporters[i].agent = s->sources[i].addr;
    }
    /* Exporters that share an address must differ in their domains. */
    for (uint32_t i = 0; i < g->n_streams && !own_address; i++) {
        g->streams[i].domain = i;
    }
    return error;
}

static void
pcap_u32(struct sink *s, uint32_t v)
{
    s->pcap_failed |= fwrite(&v, sizeof v, 1, s->pcap) != 1;
}

static char *
open_pcap(struct sink *s, const char *path)
{
    s->pcap = fopen(path, "wbe");
    if (!s->pcap) {
        return message(path, strerror(errno));
    }
    pcap_u32(s, PCAP_MAGIC);
    pcap_u32(s, 2 | 4u << 16);                  /* Version 2.4. */
    pcap_u32(s, 0);
    pcap_u32(s, 0);
    pcap_u32(s, 65535);
    pcap_u32(s, PCAP_ETHERNET);
    return NULL;
}

struct sink *
sink_open(struct gen *g, char **error)
{
    struct sink *s = calloc(1, sizeof *s);
    *error = NULL;
    if (!s) {
        return NULL;
    }
    s->n_sources = g->config.exporters;
    s->sources = calloc(s->n_sources, sizeof *s->sources);
    for (uint32_t i = 0; s->sources && i < s->n_sources; i++) {
        s->sources[i].fd = -1;
    }
    for (unsigned i = 0; i < SINK_BURST; i++) {
        s->iov[i].iov_base = s->buffers[i];
        s->msgs[i].msg_hdr.msg_iov = &s->iov[i];
        s->msgs[i].msg_hdr.msg_iovlen = 1;
    }
    *error = s->sources ? resolve(s, g) : message("memory", strerror(ENOMEM));
    if (!*error && g->config.pcap) {
        *error = open_pcap(s, g->config.pcap);
    }
    if (!*error) {
        *error = open_sources(s, g);
    }
    if (*error) {
        sink_close(s);
        return NULL;
    }
    return s;
}

int
sink_close(struct sink *s)
{
    int error = 0;
    if (!s) {
        return 0;
    }
    for (uint32_t i = 0; s->sources && i < s->n_sources; i++) {
        if (s->sources[i].fd >= 0) {
            close(s->sources[i].fd);
        }
    }
    if (s->pcap && (fclose(s->pcap) || s->pcap_failed)) {
        error = -EIO;
    }
    free(s->sources);
    free(s);
    return error;
}

uint8_t *
sink_buffer(struct sink *s, unsigned i)
{
    return s->buffers[i];
}

/* The internet checksum's sum of words; an odd last octet is padded. */
static uint32_t
sum_words(const uint8_t *p, size_t n, uint32_t sum)
{
    for (size_t i = 0; i < n; i++) {
        sum += i % 2 ? p[i] : (uint32_t) p[i] << 8;
    }
    return sum;
}

static uint16_t
fold(uint32_t sum)
{
    sum = (sum >> 16) + (sum & 0xffff);
    sum += sum >> 16;
    return ~sum;
}

/* Ethernet, IP and UDP headers of a payload of 'size' bytes. */
static size_t
put_headers(const struct sink *s, const struct source *src,
            const uint8_t *payload, size_t size, uint8_t *h)
{
    bool v4 = addr_is_v4(&s->target_addr);
    uint8_t *p = put_uint(h, UINT64_C(0x020000000002), 6);

    p = put_uint(p, UINT64_C(0x020000000001), 6);
    p = put_u16(p, v4 ? 0x0800 : 0x86dd);
    uint8_t *ip = p;
    if (v4) {
        p = put_u16(p, 0x4500);
        p = put_u16(p, 28 + size);
        p = put_u32(p, 0x4000);
        p = put_u16(p, 64 << 8 | IPPROTO_UDP);
        p = put_u16(p, 0);
    } else {
        p = put_u32(p, 6u << 28);
        p = put_u16(p, 8 + size);
        p = put_u16(p, IPPROTO_UDP << 8 | 64);
    }
    uint8_t *addrs = p;
    p = put_addr(p, &src->addr, v4 ? 4 : 6);
    p = put_addr(p, &s->target_addr, v4 ? 4 : 6);
    if (v4) {
        put_u16(ip + 10, fold(sum_words(ip, 20, 0)));
    }
    uint8_t *udp = p;
    p = put_u16(p, src->port);
    p = put_u16(p, s->target_port);
    p = put_u16(p, 8 + size);
    p = put_u16(p, 0);

    uint32_t sum = sum_words(addrs, udp - addrs, IPPROTO_UDP + 8 + size);
    sum = sum_words(udp, 8, sum);
    sum = sum_words(payload, size, sum);
    uint16_t checksum = fold(sum);
    put_u16(udp + 6, checksum ? checksum : 0xffff);
    return p - h;
}

static int
write_pcap(struct sink *s, uint32_t exporter, const size_t *sizes,
           unsigned n, int64_t now_us)
{
    for (unsigned i = 0; i < n; i++) {
        uint8_t h[64];
        size_t len = put_headers(s, &s->sources[exporter], s->buffers[i],
                                 sizes[i], h);
        pcap_u32(s, now_us / 1000000);
        pcap_u32(s, now_us % 1000000);
        pcap_u32(s, len + sizes[i]);
        pcap_u32(s, len + sizes[i]);
        s->pcap_failed |= fwrite(h, len, 1, s->pcap) != 1
                          || fwrite(s->buffers[i], sizes[i], 1,
                                    s->pcap) != 1;
    }
    return s->pcap_failed ? -EIO : 0;
}

/* A connected UDP socket reports a refusal of an earlier datagram at the next
 * send, which then was not sent: that one is tried again. */
static int
send_burst(struct sink *s, int fd, unsigned n)
{
    unsigned done = 0, retries = 0;
    while (done < n) {
        int sent = sendmmsg(fd, s->msgs + done, n - done, 0);
        if (sent > 0) {
            done += sent;
            retries = 0;
        } else if (errno == ECONNREFUSED && retries++ < REFUSED_RETRIES) {
            s->refused++;
        } else if (errno != EINTR && errno != ENOBUFS) {
            return -errno;
        }
    }
    return 0;
}

int
sink_send(struct sink *s, uint32_t exporter, const size_t *sizes, unsigned n,
          int64_t now_us)
{
    if (s->pcap) {
        return write_pcap(s, exporter, sizes, n, now_us);
    }
    for (unsigned i = 0; i < n; i++) {
        s->iov[i].iov_len = sizes[i];
    }
    return send_burst(s, s->sources[exporter].fd, n);
}

uint64_t
sink_refused(const struct sink *s)
{
    return s->refused;
}

const char *
sink_target(const struct sink *s)
{
    return s->name;
}

void
sink_source(const struct sink *s, uint32_t exporter, struct addr *addr,
            uint16_t *port)
{
    *addr = s->sources[exporter].addr;
    *port = s->sources[exporter].port;
}
