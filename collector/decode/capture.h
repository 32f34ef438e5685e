/* collector/decode/capture.h -- datagrams out of captured frames.
 *
 * Takes frames of any common link type apart: VLAN and MPLS, IPv4 and IPv6,
 * tunnels, fragments (put together), UDP payloads, and TCP streams (put in
 * order) that carry IPFIX messages.  Everything that waits for more is bounded; what has
 * to give way is counted. */
#ifndef COLLECTOR_CAPTURE_H
#define COLLECTOR_CAPTURE_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/decode/decoder.h"
#include "lib/counter.h"

struct capture;                 /* Opaque. */
struct pcap_frame;

#define CAPTURE_COUNTERS(X)                                             \
    X(frames, "Frames read")                                            \
    X(udp, "UDP datagrams found")                                       \
    X(tcp, "TCP segments with data found")                              \
    X(unknown_link, "Frames of a link type that is not known")          \
    X(not_ip, "Frames without UDP or TCP over IP")                      \
    X(cut_short, "Packets that the capture does not hold whole")        \
    X(fragment_lost, "Packets of which fragments are missing")          \
    X(stream_gap, "TCP streams with bytes missing, given up there")     \
    X(stream_limit, "TCP streams given up to make room for others")     \
    X(not_ipfix, "TCP streams that do not carry IPFIX")                 \
    X(stream_end, "TCP streams that end inside a message")

struct capture_counters {
    CAPTURE_COUNTERS(COUNTER_MEMBER)
};
extern const struct counter_def capture_counter_defs[];

/* The datagram is lent; an IPFIX message of a stream counts as one. */
typedef void capture_datagram_fn(void *aux, const struct datagram *);

struct capture *capture_create(capture_datagram_fn *, void *aux);
void capture_destroy(struct capture *); /* NULL is fine. */

void capture_frame(struct capture *, const struct pcap_frame *);

/* Streams of other protocols. */
struct capture_stream {
    struct addr src, dst;
    uint16_t src_port, dst_port;
    bool from_start;            /* The capture has its beginning. */
};
struct capture_tap {
    void *aux;
    /* The first octets of a stream, which bytes() gets, too: a handle, or NULL
     * if it is none of yours. */
    void *(*begin)(void *aux, const struct capture_stream *,
                   const uint8_t *, size_t);
    void (*bytes)(void *stream, const uint8_t *, size_t, int64_t time_us);
    /* Octets are missing here. */
    void (*gap)(void *stream);
    void (*end)(void *stream);
};
void capture_set_tap(struct capture *, const struct capture_tap *);

/* The file has ended: nothing that waits will come any more. */
void capture_finish(struct capture *);

const struct capture_counters *capture_counters(const struct capture *);

/* True if 'n' bytes can be an Ethernet frame with UDP or TCP in it: length or
 * checksum of the IP header is right. */
bool capture_looks_ethernet(const uint8_t *, size_t n);

#endif /* collector/decode/capture.h */
