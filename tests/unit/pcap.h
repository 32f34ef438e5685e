/* tests/unit/pcap.h -- payloads out of a capture that is in memory, by
 * collector/decode/capture.h. */
#ifndef TESTS_PCAP_H
#define TESTS_PCAP_H 1

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "collector/decode/capture.h"
#include "collector/decode/pcap.h"

typedef void pcap_payload(void *aux, const uint8_t *p, size_t n);

struct pcap_memory {
    const uint8_t *p;
    size_t left;
    pcap_payload *each;
    void *aux;
};

static inline size_t
pcap_memory_read(void *memory, void *buf, size_t n)
{
    struct pcap_memory *m = memory;
    n = n < m->left ? n : m->left;
    memcpy(buf, m->p, n);
    m->p += n;
    m->left -= n;
    return n;
}

static inline void
pcap_memory_payload(void *memory, const struct datagram *d)
{
    struct pcap_memory *m = memory;
    m->each(m->aux, d->data, d->size);
}

/* Calls 'each' for every UDP payload, and IPFIX message over TCP, of the
 * capture in 'data'. */
static inline void
pcap_read(const uint8_t *data, size_t n, pcap_payload *each, void *aux)
{
    struct pcap_memory m = { data, n, each, aux };
    struct capture *capture = capture_create(pcap_memory_payload, &m);
    struct pcap *pcap = pcap_create(pcap_memory_read, &m);
    struct pcap_frame frame;
    while (pcap_next(pcap, &frame) == PCAP_FRAME) {
        capture_frame(capture, &frame);
    }
    pcap_destroy(pcap);
    capture_destroy(capture);
}

/* The same for one Ethernet frame. */
static inline void
pcap_read_frame(const uint8_t *data, size_t n, pcap_payload *each, void *aux)
{
    struct pcap_memory m = { .each = each, .aux = aux };
    struct capture *capture = capture_create(pcap_memory_payload, &m);
    struct pcap_frame frame = { .data = data, .size = n, .link = 1 };
    capture_frame(capture, &frame);
    capture_destroy(capture);
}

#endif /* tests/unit/pcap.h */
