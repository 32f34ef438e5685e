/* collector/decode/pcap.h -- frames out of capture files.
 *
 * Reads pcap (micro- and nanoseconds, also Kuznetzov's variant) and pcapng, of
 * either byte order, as a stream: what it needs is bounded by the largest
 * frame, not by the file.  Files are as hostile as packets. */
#ifndef COLLECTOR_PCAP_H
#define COLLECTOR_PCAP_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PCAP_MAX_FRAME 262144   /* As libpcap's. */
#define PCAP_MAGIC_SIZE 4

struct pcap;

struct pcap_frame {
    const uint8_t *data;        /* Lent until the next pcap_next(). */
    size_t size;
    uint32_t link;              /* LINKTYPE_*. */
    int64_t time_us;            /* Since 1970; 0: not told. */
};

enum pcap_status {
    PCAP_FRAME,                 /* One more frame. */
    PCAP_END,
    PCAP_TORN,                  /* The file ends inside something. */
    PCAP_BAD,                   /* It cannot go on; see pcap_reason(). */
};

/* Reads up to 'n' bytes, fewer only at the end. */
typedef size_t pcap_read_fn(void *aux, void *buf, size_t n);

/* True if the first PCAP_MAGIC_SIZE bytes are those of a capture. */
bool pcap_magic(const uint8_t *);

struct pcap *pcap_create(pcap_read_fn *, void *aux);
void pcap_destroy(struct pcap *);       /* NULL is fine. */

/* After any other answer than PCAP_FRAME there is no more. */
enum pcap_status pcap_next(struct pcap *, struct pcap_frame *);
const char *pcap_reason(const struct pcap *);

#endif /* collector/decode/pcap.h */
