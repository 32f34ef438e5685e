#include <config.h>

#include "lib/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

uint64_t
addr_hash(const struct addr *a)
{
    uint64_t hi, lo;
    memcpy(&hi, a->b, 8);
    memcpy(&lo, a->b + 8, 8);

    /* splitmix64's finisher over both halves. */
    uint64_t h = hi * UINT64_C(0x9e3779b97f4a7c15) ^ lo;
    h = (h ^ h >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    h = (h ^ h >> 27) * UINT64_C(0x94d049bb133111eb);
    return h ^ h >> 31;
}

char *
addr_format(const struct addr *a, char *buf)
{
    if (addr_is_v4(a)) {
        inet_ntop(AF_INET, a->b + 12, buf, ADDR_STRLEN);
    } else {
        inet_ntop(AF_INET6, a->b, buf, ADDR_STRLEN);
    }
    return buf;
}

int
addr_parse(const char *s, struct addr *a)
{
    uint8_t v4[4];
    if (inet_pton(AF_INET, s, v4) == 1) {
        *a = addr_from_v4_bytes(v4);
        return 0;
    }
    return inet_pton(AF_INET6, s, a->b) == 1 ? 0 : -EINVAL;
}

static void
clear_host_bits(struct prefix *p)
{
    for (unsigned i = p->len; i < 128; i++) {
        p->addr.b[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
    }
}

/* "10", "10.1" or "10.1.2" of the short forms "10/8", "10.1/16". */
static int
parse_short_v4(const char *s, struct addr *a)
{
    uint8_t v4[4] = { 0, 0, 0, 0 };
    for (int i = 0; i < 4; i++) {
        char *end;
        if (*s < '0' || *s > '9') {
            return -EINVAL;
        }
        unsigned long v = strtoul(s, &end, 10);
        if (v > 255) {
            return -EINVAL;
        }
        v4[i] = (uint8_t) v;
        if (!*end) {
            *a = addr_from_v4_bytes(v4);
            return 0;
        }
        if (*end != '.') {
            return -EINVAL;
        }
        s = end + 1;
    }
    return -EINVAL;
}

int
prefix_parse(const char *s, struct prefix *p)
{
    const char *slash = strchr(s, '/');
    if (!slash) {
        p->len = 128;
        return addr_parse(s, &p->addr);
    }

    char host[ADDR_STRLEN];
    size_t n = (size_t) (slash - s);
    if (n >= sizeof host) {
        return -EINVAL;
    }
    memcpy(host, s, n);
    host[n] = '\0';
    if (addr_parse(host, &p->addr) && parse_short_v4(host, &p->addr)) {
        return -EINVAL;
    }

    char *end;
    unsigned long len = strtoul(slash + 1, &end, 10);
    unsigned long max = addr_is_v4(&p->addr) ? 32 : 128;
    if (slash[1] < '0' || slash[1] > '9' || *end || len > max) {
        return -EINVAL;
    }
    p->len = (uint8_t) (len + (128 - max));
    clear_host_bits(p);
    return 0;
}

char *
prefix_format(const struct prefix *p, char *buf)
{
    addr_format(&p->addr, buf);
    unsigned len = p->len;
    if (addr_is_v4(&p->addr) && len >= 96) {
        len -= 96;
    }
    size_t n = strlen(buf);
    snprintf(buf + n, PREFIX_STRLEN - n, "/%u", len);
    return buf;
}

bool
prefix_contains(const struct prefix *p, const struct addr *a)
{
    unsigned bytes = p->len / 8, bits = p->len % 8;
    if (memcmp(p->addr.b, a->b, bytes)) {
        return false;
    }
    return !bits || !((p->addr.b[bytes] ^ a->b[bytes]) >> (8 - bits));
}

void
prefix_range(const struct prefix *p, struct addr *first, struct addr *last)
{
    struct prefix copy = *p;
    clear_host_bits(&copy);
    *first = *last = copy.addr;
    for (unsigned i = p->len; i < 128; i++) {
        last->b[i / 8] |= (uint8_t) (0x80 >> i % 8);
    }
}

char *
mac_format(uint64_t mac, char *buf)
{
    snprintf(buf, MAC_STRLEN, "%02x:%02x:%02x:%02x:%02x:%02x",
             (unsigned) (mac >> 40) & 0xff, (unsigned) (mac >> 32) & 0xff,
             (unsigned) (mac >> 24) & 0xff, (unsigned) (mac >> 16) & 0xff,
             (unsigned) (mac >> 8) & 0xff, (unsigned) mac & 0xff);
    return buf;
}

int
mac_parse(const char *s, uint64_t *mac)
{
    uint64_t v = 0;
    for (int i = 0; i < 6; i++) {
        unsigned byte = 0;
        int digits = 0;
        for (; digits < 2; digits++, s++) {
            char c = *s;
            if (c >= '0' && c <= '9') {
                byte = byte * 16 + (unsigned) (c - '0');
            } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
                byte = byte * 16 + (unsigned) ((c | 0x20) - 'a' + 10);
            } else {
                break;
            }
        }
        if (!digits || (i < 5 ? *s != ':' && *s != '-' : *s != '\0')) {
            return -EINVAL;
        }
        s++;
        v = v << 8 | byte;
    }
    *mac = v;
    return 0;
}

bool
addr_from_sockaddr(const struct sockaddr *sa, struct addr *a, uint16_t *port)
{
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *) sa;
        *a = addr_from_v4_bytes((const uint8_t *) &in->sin_addr);
        *port = ntohs(in->sin_port);
        return true;
    }
    if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *) sa;
        *a = addr_from_v6_bytes((const uint8_t *) &in6->sin6_addr);
        *port = ntohs(in6->sin6_port);
        return true;
    }
    memset(a, 0, sizeof *a);
    *port = 0;
    return false;
}

int
endpoint_parse(const char *s, uint16_t default_port, struct addr *a,
               uint16_t *port)
{
    char host[ADDR_STRLEN];
    const char *end, *colon = NULL;

    if (*s == '[') {
        end = strchr(++s, ']');
        if (!end || (end[1] && end[1] != ':')) {
            return -EINVAL;
        }
        colon = end[1] ? end + 1 : NULL;
    } else {
        colon = strchr(s, ':');
        if (colon && strchr(colon + 1, ':')) {
            colon = NULL;               /* A bare IPv6 address. */
        }
        end = colon ? colon : s + strlen(s);
    }
    size_t n = (size_t) (end - s);
    if (n >= sizeof host) {
        return -EINVAL;
    }
    memcpy(host, s, n);
    host[n] = '\0';
    if (addr_parse(host, a)) {
        return -EINVAL;
    }
    if (!colon) {
        *port = default_port;
        return default_port ? 0 : -EINVAL;
    }
    char *stop;
    unsigned long v = strtoul(colon + 1, &stop, 10);
    if (colon[1] < '0' || colon[1] > '9' || *stop || v > UINT16_MAX) {
        return -EINVAL;
    }
    *port = (uint16_t) v;
    return 0;
}

char *
endpoint_format(const struct addr *a, uint16_t port, char *buf)
{
    char host[ADDR_STRLEN];
    addr_format(a, host);
    snprintf(buf, ENDPOINT_STRLEN, addr_is_v4(a) ? "%s:%u" : "[%s]:%u", host,
             port);
    return buf;
}
