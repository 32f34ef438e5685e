/* collector/decode/capture_p.h -- the parts of capture.h.  Inside only. */
#ifndef COLLECTOR_CAPTURE_P_H
#define COLLECTOR_CAPTURE_P_H 1

#include "collector/decode/capture.h"
#include "collector/decode/stream.h"
#include "lib/cursor.h"

/* ---- Link layers (capture_link.c). ---- */

enum { ETHERTYPE_IPV4 = 0x0800, ETHERTYPE_IPV6 = 0x86dd };

/* Moves 'c' to the network layer of a frame.  Returns its Ethernet type, 0 if
 * there is none that we read, or -1 if the link type is not known. */
int capture_link(uint32_t link, struct cursor *c);

/* ---- Fragments (capture.c). ---- */

#define N_FRAGMENTED 64         /* Packets put together at the same time. */

struct fragmented {
    struct addr src, dst;
    uint32_t id;
    uint8_t proto;
    bool used;
    uint64_t age;               /* The frame that touched it last. */
    uint8_t *data;              /* 65536. */
    size_t total;               /* 0: not known yet. */
    uint64_t seen[65536 / 8 / 64];      /* A bit for eight bytes. */
};

/* A packet of UDP or TCP. */
struct segment {
    struct addr src, dst;
    uint8_t proto;
    int64_t time_us;
    bool cut;                   /* The capture does not hold all of it. */
    struct cursor c;            /* From the transport header on. */
};

/* Takes the network layer apart and calls capture_transport(). */
void capture_ip(struct capture *, int ether_type, struct cursor,
                int64_t time_us);
void capture_transport(struct capture *, struct segment *);

/* ---- Tunnels (capture_tunnel.c). ---- */

/* Reads what an IP packet or a UDP datagram carries, if it is a tunnel of a
 * packet that can be read; false: it is not. */
bool capture_tunnel_ip(struct capture *, uint8_t proto, struct cursor,
                       int64_t time_us);
bool capture_tunnel_udp(struct capture *, uint16_t dst_port, struct cursor,
                        int64_t time_us);

/* ---- Streams (capture_tcp.c). ---- */

#define N_STREAMS 256
#define MAX_WAITING 65536       /* Bytes of a stream that came too early. */
#define MAX_WAITING_SEGMENTS 64

struct waiting {
    uint32_t seq;
    size_t n;
    uint8_t *data;
};

struct stream {
    struct addr src, dst;
    uint16_t src_port, dst_port;
    bool from_start;
    bool syn_data;              /* Nothing has come after a SYN with data. */
    bool fin;                   /* Its end is known: */
    bool ended;                 /* it has come.  What comes yet was sent
                                 * before. */
    uint32_t fin_at, first;     /* Sequence numbers. */
    bool used, dead;            /* Dead: what comes is not looked at. */
    void *tap;                  /* Somebody else's; NULL: IPFIX. */
    uint64_t age;
    int64_t time_us;
    uint32_t next;              /* Sequence number that comes next. */
    bool begun;                 /* First bytes were seen. */
    struct ipfix_stream ipfix;
    struct waiting waiting[MAX_WAITING_SEGMENTS];
    unsigned n_waiting;
    size_t waiting_bytes;
    struct capture *capture;
};

void capture_tcp(struct capture *, struct segment *);
void capture_tcp_finish(struct capture *);

struct capture {
    const struct capture_tap *tap;
    capture_datagram_fn *each;
    void *aux;
    struct capture_counters n;
    uint64_t now;               /* Number of the frame. */
    unsigned depth;             /* Tunnels around what is being read. */
    struct fragmented fragmented[N_FRAGMENTED];
    struct stream streams[N_STREAMS];
};

#endif /* collector/decode/capture_p.h */
