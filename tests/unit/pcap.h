/* tests/unit/pcap.h -- UDP payloads out of a capture file.
 *
 * Reads pcap and pcapng of either byte order with Ethernet or Linux "cooked"
 * frames, and puts IPv4 fragments together again. */
#ifndef TESTS_PCAP_H
#define TESTS_PCAP_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cursor.h"

typedef void pcap_payload(void *aux, const uint8_t *p, size_t n);

#define PCAP_FRAGMENTS 64

struct pcap {
    bool little;                /* Byte order of the file. */
    uint32_t link;
    pcap_payload *each;
    void *aux;
    struct fragment {
        uint8_t key[9];         /* Addresses, id... */
        bool used;
        uint8_t *data;
        size_t n, have, total;  /* 'total' 0: not known yet. */
    } fragments[PCAP_FRAGMENTS];
    unsigned next;
};

static inline uint32_t
pcap_u32(const struct pcap *f, struct cursor *c)
{
    uint32_t v = cur_u32(c);
    return f->little ? __builtin_bswap32(v) : v;
}

static inline void
pcap_udp(struct pcap *f, struct cursor c)
{
    cur_skip(&c, 4);
    uint16_t size = cur_u16(&c);
    cur_skip(&c, 2);
    if (!c.bad && size >= 8) {
        size_t n = size - 8u < cur_left(&c) ? size - 8u : cur_left(&c);
        f->each(f->aux, c.p, n);
    }
}

static inline void
pcap_fragment(struct pcap *f, const uint8_t *ip, struct cursor c)
{
    uint8_t key[9];
    memcpy(key, ip + 12, 8);
    key[8] = (uint8_t) (ip[4] ^ ip[5] * 31);
    struct fragment *g = NULL;
    for (unsigned i = 0; i < PCAP_FRAGMENTS; i++) {
        if (f->fragments[i].used && !memcmp(f->fragments[i].key, key, 9)) {
            g = &f->fragments[i];
        }
    }
    if (!g) {
        g = &f->fragments[f->next++ % PCAP_FRAGMENTS];
        free(g->data);
        memset(g, 0, sizeof *g);
        memcpy(g->key, key, 9);
        g->used = true;
        g->data = calloc(1, 70000);
    }
    uint16_t bits = be16_at(ip + 6);
    size_t at = (bits & 0x1fff) * (size_t) 8, n = cur_left(&c);
    if (at + n > 70000) {
        return;
    }
    memcpy(g->data + at, c.p, n);
    g->have += n;
    if (!(bits & 0x2000)) {
        g->total = at + n;
    }
    if (g->total && g->have >= g->total) {
        pcap_udp(f, cur_init(g->data, g->total));
        free(g->data);
        memset(g, 0, sizeof *g);
    }
}

static inline void
pcap_ip(struct pcap *f, struct cursor c, uint16_t type)
{
    if (type == 0x0800) {
        const uint8_t *ip = cur_take(&c, 20);
        if (!ip || ip[9] != 17) {
            return;
        }
        uint16_t total = be16_at(ip + 2);
        cur_skip(&c, (ip[0] & 15u) * 4 - 20);
        size_t head = (ip[0] & 15u) * 4;
        struct cursor body = total > head && total - head <= cur_left(&c)
                             ? cur_sub(&c, total - head) : c;
        if (be16_at(ip + 6) & 0x3fff) {
            pcap_fragment(f, ip, body);
        } else {
            pcap_udp(f, body);
        }
    } else if (type == 0x86dd) {
        const uint8_t *ip = cur_take(&c, 40);
        if (ip && ip[6] == 17) {
            pcap_udp(f, c);
        }
    }
}

static inline void
pcap_frame(struct pcap *f, struct cursor c)
{
    cur_skip(&c, f->link == 113 ? 14 : 12);
    uint16_t type = cur_u16(&c);
    while (type == 0x8100 || type == 0x88a8) {
        cur_skip(&c, 2);
        type = cur_u16(&c);
    }
    pcap_ip(f, c, type);
}

static inline void
pcap_classic(struct pcap *f, struct cursor c)
{
    cur_skip(&c, 20);
    f->link = pcap_u32(f, &c);
    while (cur_left(&c) >= 16) {
        cur_skip(&c, 8);
        uint32_t n = pcap_u32(f, &c);
        cur_skip(&c, 4);
        struct cursor frame = cur_sub(&c, n);
        if (!frame.bad) {
            pcap_frame(f, frame);
        }
    }
}

static inline void
pcap_ng(struct pcap *f, struct cursor c)
{
    while (cur_left(&c) >= 12) {
        struct cursor block = c;
        uint32_t type = pcap_u32(f, &block);
        if (type == 0x0a0d0d0a) {
            struct cursor order = block;
            cur_skip(&order, 4);
            f->little = cur_u32(&order) == 0x4d3c2b1a;
        }
        uint32_t size = pcap_u32(f, &block);
        struct cursor body = cur_sub(&c, size);
        cur_skip(&body, 8);
        if (type == 1) {                        /* Interface. */
            uint32_t link = pcap_u32(f, &body);
            f->link = f->little ? link & 0xffff : link >> 16;
        } else if (type == 6) {                 /* Enhanced packet. */
            cur_skip(&body, 12);
            uint32_t n = pcap_u32(f, &body);
            cur_skip(&body, 4);
            struct cursor frame = cur_sub(&body, n);
            if (!frame.bad) {
                pcap_frame(f, frame);
            }
        }
    }
}

/* Calls 'each' for every UDP payload of the capture in 'data'. */
static inline void
pcap_read(const uint8_t *data, size_t n, pcap_payload *each, void *aux)
{
    struct pcap *f = calloc(1, sizeof *f);
    struct cursor c = cur_init(data, n);
    struct cursor peek = c;
    uint32_t magic = cur_u32(&peek);
    f->each = each;
    f->aux = aux;
    f->little = magic == 0xd4c3b2a1 || magic == 0x4d3cb2a1;
    if (magic == 0x0a0d0d0a) {
        pcap_ng(f, c);
    } else {
        pcap_classic(f, c);
    }
    for (unsigned i = 0; i < PCAP_FRAGMENTS; i++) {
        free(f->fragments[i].data);
    }
    free(f);
}

#endif /* tests/unit/pcap.h */
