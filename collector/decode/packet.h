/* collector/decode/packet.h -- what the first bytes of a packet say.
 *
 * Parsing never fails: what is not there is absent, and 'truncated' tells
 * that the bytes ended inside a header.  The parser walks one layer after the
 * other, each named by a protocol number, so that a tunnel is one more layer
 * that starts over with another packet. */
#ifndef COLLECTOR_PACKET_H
#define COLLECTOR_PACKET_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"
#include "lib/batch.h"

struct dict;

/* Numbers as in sFlow's header_protocol. */
enum packet_link {
    PACKET_ETHERNET = 1,
    PACKET_PPP = 7,
    PACKET_IPV4 = 11,
    PACKET_IPV6 = 12,
    PACKET_MPLS = 13,
    PACKET_POS = 14,
    PACKET_80211 = 15,          /* A frame from its MAC header on. */
    PACKET_AMSDU = 17,          /* A subframe of an aggregate (A-MSDU). */
    PACKET_LLC = 0x10000,       /* Ours: IEEE 802.2 with SNAP. */
};

#define PACKET_MAX_LABELS 10    /* As many as IPFIX has elements for. */
#define PACKET_MAX_TUNNELS 3    /* One in the other. */

/* Of a packet in a tunnel, what is above Ethernet is that of the innermost
 * packet; the tunnel is the outermost. */
struct packet {
    bool has_macs, has_ethernet, has_vlan, has_ip, has_ports, has_tcp, has_icmp;
    bool has_tunnel, has_tunnel_ports, has_vni;
    bool fragment, truncated;
    uint8_t n_vlans, n_labels, vlan_priority, tunnel_type;
    uint8_t ip_version, proto, tos, ttl, icmp_type, icmp_code;
    uint16_t fragment_offset, customer_vlan_id;
    uint16_t vlan_id, ether_type, src_port, dst_port, tcp_flags;
    uint32_t flow_label;
    uint64_t src_mac, dst_mac;
    struct addr src, dst;
    uint64_t ip_bytes;          /* As in column bytes: of the outer packet. */
    uint32_t vni;
    struct addr tunnel_src, tunnel_dst;
    uint8_t tunnel_proto;
    uint16_t tunnel_src_port, tunnel_dst_port;
    uint32_t labels[PACKET_MAX_LABELS]; /* As packet_store_labels() wants
                                         * them. */
};

/* Reads the 'n' bytes at 'p', the start of a packet of 'wire' bytes (0: not
 * known). */
void packet_parse(struct packet *, enum packet_link, const uint8_t *p,
                  size_t n, size_t wire);

/* Puts all but the counts into a row, and adds to its quality. */
void packet_store(const struct packet *, struct dict *, struct flow_batch *,
                  uint32_t row);

/* Puts a stack of MPLS labels into a row: entries without their TTL, 24 bits
 * (RFC 3032).  The traffic class of the first is taken where none is known. */
void packet_store_labels(const uint32_t *stack, unsigned n, struct dict *,
                         struct flow_batch *, uint32_t row);

#endif /* collector/decode/packet.h */
