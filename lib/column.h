/* lib/column.h -- the column table: what a flow record can say.
 *
 * One row here is everything that the rest needs to know about a column: the
 * member of struct flow_batch, the decoder's IPFIX element, the store's
 * schema, flow.columns, the manual and the menus are all generated from it or
 * checked against it.  To add a column, add a row and teach a decoder to fill
 * it. */
#ifndef LIB_COLUMN_H
#define LIB_COLUMN_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"

/* Types.  The second argument is the C type of one value in a batch. */
#define COLUMN_TYPES(X)                                                 \
    X(U8, uint8_t, "u8", "unsigned integer, 8 bits")                    \
    X(U16, uint16_t, "u16", "unsigned integer, 16 bits")                \
    X(U32, uint32_t, "u32", "unsigned integer, 32 bits")                \
    X(U64, uint64_t, "u64", "unsigned integer, 64 bits")                \
    X(BOOL, uint8_t, "bool", "0 or 1")                                  \
    X(TIME, int64_t, "time", "microseconds since 1970, UTC")            \
    X(ADDR, struct addr, "address", "IPv4 or IPv6 address")             \
    X(MAC, uint64_t, "mac", "MAC address, in the low 48 bits")          \
    X(NAME, uint32_t, "name", "text, kept as an id of lib/dict.h")      \
    X(ENUM, uint8_t, "enum", "one of a few words")                      \
    X(BITS, uint32_t, "bits", "a set of flags, shown as words")

enum column_type {
#define X(ID, CTYPE, NAME, DOC) COLUMN_T_##ID,
    COLUMN_TYPES(X)
#undef X
    N_COLUMN_TYPES
};

/* Flags. */
#define CF_NULL 0x01    /* Can be absent; absent is shown as null. */
#define CF_KEY 0x02     /* Can be grouped by. */
#define CF_SUM 0x04     /* Can be summed up: it is a metric. */

/* X(id, type, unit, IPFIX element or 0, second element (IPv6 twin) or 0,
 *   flags, what it says)
 * The id is the name everywhere: API, CLI, filter, file. */
#define FLOW_COLUMNS(X)                                                       \
    X(received, TIME, "us", 0, 0, 0,                                          \
      "when the datagram that carried the record arrived here")               \
    X(flow_start, TIME, "us", 152, 0, 0,                                      \
      "first packet of the flow; of a sampled packet, when it was received")  \
    X(flow_end, TIME, "us", 153, 0, 0,                                        \
      "last packet of the flow; queries select and bucket by this time")      \
    X(exporter, ADDR, "", 130, 131, CF_KEY,                                   \
      "address that the datagram came from; for sFlow the agent address")     \
    X(export_protocol, ENUM, "", 0, 0, CF_KEY,                                \
      "protocol that carried the record")                                     \
    X(observation_domain_id, U32, "", 149, 0, CF_KEY,                         \
      "IPFIX observation domain, NetFlow v9 source id, NetFlow v5 engine "    \
      "type and id, sFlow sub-agent")                                         \
    X(observation_point_id, U64, "", 138, 0, CF_NULL | CF_KEY,                \
      "IPFIX observation point, sFlow data source")                           \
    X(bridge, NAME, "", 0, 0, CF_NULL | CF_KEY,                               \
      "Open vSwitch bridge that the record was made on")                      \
    X(virtual_obs_id, NAME, "", 0, 0, CF_NULL | CF_KEY,                       \
      "who made the record, as Open vSwitch's IPFIX says (virtualObsID)")     \
    X(direction, ENUM, "", 61, 0, CF_NULL | CF_KEY,                           \
      "whether the packet was seen when entering or leaving the exporter")    \
    X(canonical, BOOL, "", 0, 0, CF_KEY,                                      \
      "this record is the one observation of its packets that totals count")  \
    X(ip_version, U8, "", 60, 0, CF_NULL | CF_KEY, "IP version, 4 or 6")      \
    X(src_addr, ADDR, "", 8, 27, CF_NULL | CF_KEY, "source IP address")       \
    X(dst_addr, ADDR, "", 12, 28, CF_NULL | CF_KEY, "destination IP address") \
    X(proto, U8, "", 4, 0, CF_NULL | CF_KEY,                                  \
      "IP protocol number (protocolIdentifier)")                              \
    X(src_port, U16, "", 7, 0, CF_NULL | CF_KEY, "source transport port")     \
    X(dst_port, U16, "", 11, 0, CF_NULL | CF_KEY,                             \
      "destination transport port")                                           \
    X(tcp_flags, U16, "", 6, 0, CF_NULL | CF_KEY,                             \
      "TCP control bits, or-ed over the flow's packets")                      \
    X(icmp_type, U8, "", 176, 178, CF_NULL | CF_KEY, "ICMP or ICMPv6 type")   \
    X(icmp_code, U8, "", 177, 179, CF_NULL | CF_KEY, "ICMP or ICMPv6 code")   \
    X(tos, U8, "", 5, 0, CF_NULL | CF_KEY,                                    \
      "IPv4 type of service or IPv6 traffic class (ipClassOfService)")        \
    X(ttl, U8, "", 192, 0, CF_NULL | CF_KEY, "IPv4 TTL or IPv6 hop limit")    \
    X(ttl_max, U8, "", 53, 0, CF_NULL | CF_KEY,                               \
      "highest IPv4 TTL or IPv6 hop limit of the flow (maximumTTL)")          \
    X(flow_label, U32, "", 31, 0, CF_NULL | CF_KEY, "IPv6 flow label")        \
    X(fragment, BOOL, "", 0, 0, CF_NULL | CF_KEY,                             \
      "the packet is a fragment of a datagram")                               \
    X(fragment_offset, U16, "", 88, 0, CF_NULL | CF_KEY,                      \
      "fragment offset in the IP header, in units of 8 octets")               \
    X(multicast, BOOL, "", 206, 0, CF_NULL | CF_KEY,                          \
      "the destination is a multicast group")                                 \
    X(src_mac, MAC, "", 56, 0, CF_NULL | CF_KEY, "source MAC address")        \
    X(dst_mac, MAC, "", 80, 0, CF_NULL | CF_KEY, "destination MAC address")   \
    X(post_src_mac, MAC, "", 81, 0, CF_NULL | CF_KEY,                         \
      "source MAC address as the packet left")                                \
    X(post_dst_mac, MAC, "", 57, 0, CF_NULL | CF_KEY,                         \
      "destination MAC address as the packet left")                           \
    X(ether_type, U16, "", 256, 0, CF_NULL | CF_KEY, "Ethernet type")         \
    X(vlan_id, U16, "", 58, 243, CF_NULL | CF_KEY,                            \
      "VLAN id of the outermost tag")                                         \
    X(vlan_priority, U8, "", 244, 0, CF_NULL | CF_KEY,                        \
      "priority (PCP) of the outermost VLAN tag")                             \
    X(customer_vlan_id, U16, "", 245, 0, CF_NULL | CF_KEY,                    \
      "VLAN id of the second tag (QinQ)")                                     \
    X(post_vlan_id, U16, "", 59, 254, CF_NULL | CF_KEY,                       \
      "VLAN id of the outermost tag as the packet left")                      \
    X(mpls_label, U32, "", 70, 0, CF_NULL | CF_KEY,                           \
      "topmost MPLS label")                                                   \
    X(mpls_labels, NAME, "", 0, 0, CF_NULL | CF_KEY,                          \
      "MPLS labels from the top, with spaces between")                        \
    X(mpls_exp, U8, "", 203, 0, CF_NULL | CF_KEY,                             \
      "traffic class of the topmost label, or of the "                        \
      "tunnel or pseudowire that sFlow 1008, 1009 tell")                      \
    X(mpls_tunnel_name, NAME, "", 0, 0, CF_NULL | CF_KEY,                     \
      "MPLS tunnel, or LSP (sFlow 1008)")                                     \
    X(mpls_tunnel_id, U32, "", 0, 0, CF_NULL | CF_KEY,                        \
      "its number")                                                           \
    X(mpls_vc_name, NAME, "", 0, 0, CF_NULL | CF_KEY,                         \
      "MPLS virtual circuit, or VLL instance (sFlow 1009)")                   \
    X(mpls_vc_id, U32, "", 249, 0, CF_NULL | CF_KEY,                          \
      "its number (pseudoWireId)")                                            \
    X(mpls_ftn, NAME, "", 0, 0, CF_NULL | CF_KEY,                             \
      "entry of the FEC-to-NHLFE table, mplsFTNDescr (sFlow 1010)")           \
    X(mpls_ftn_mask, U32, "", 0, 0, CF_NULL | CF_KEY,                         \
      "which of its fields count, mplsFTNMask")                               \
    X(mpls_fec_addr, ADDR, "", 47, 140, CF_NULL | CF_KEY,                     \
      "address of the class that the topmost label stands for")               \
    X(mpls_fec_length, U8, "bits", 91, 0, CF_NULL | CF_KEY,                   \
      "length of its prefix (mplsTopLabelPrefixLength, sFlow 1011)")          \
    X(in_if, U32, "", 10, 252, CF_NULL | CF_KEY,                              \
      "input interface, as numbered by the exporter: ifIndex, or OpenFlow "   \
      "port for NetFlow from Open vSwitch")                                   \
    X(out_if, U32, "", 14, 253, CF_NULL | CF_KEY,                             \
      "output interface, numbered like in_if")                                \
    X(in_if_name, NAME, "", 82, 0, CF_NULL | CF_KEY, "input interface name")  \
    X(out_if_name, NAME, "", 0, 0, CF_NULL | CF_KEY,                          \
      "output interface name")                                                \
    X(next_hop, ADDR, "", 15, 62, CF_NULL | CF_KEY, "next hop address")       \
    X(bgp_next_hop, ADDR, "", 18, 63, CF_NULL | CF_KEY,                       \
      "next hop in BGP")                                                      \
    X(in_vrf, U32, "", 234, 0, CF_NULL | CF_KEY,                              \
      "VRF that the packet came in (ingressVRFID)")                           \
    X(out_vrf, U32, "", 235, 0, CF_NULL | CF_KEY,                             \
      "VRF that it left in (egressVRFID)")                                    \
    X(src_as, U32, "", 16, 0, CF_NULL | CF_KEY,                               \
      "AS number of the source: as exported or, where that is absent or "     \
      "0, the origin of its route")                                           \
    X(dst_as, U32, "", 17, 0, CF_NULL | CF_KEY,                               \
      "AS number of the destination, likewise")                               \
    X(src_prefix_length, U8, "bits", 9, 29, CF_NULL | CF_KEY,                 \
      "length of the source's prefix: that of its route or, without "         \
      "one, as exported")                                                     \
    X(dst_prefix_length, U8, "bits", 13, 30, CF_NULL | CF_KEY,                \
      "length of the destination's prefix, likewise")                         \
    X(as_path, NAME, "", 0, 0, CF_NULL | CF_KEY,                              \
      "AS path of the route to the destination; a set is in braces, "         \
      "confederation segments are in parentheses")                            \
    X(src_as_path, NAME, "", 0, 0, CF_NULL | CF_KEY,                          \
      "AS path of the route to the source")                                   \
    X(communities, NAME, "", 0, 0, CF_NULL | CF_KEY,                          \
      "BGP communities of the route to the destination: standard "            \
      "(65000:1), large (65000:1:2), extended (rt:65000:1)")                  \
    X(src_communities, NAME, "", 0, 0, CF_NULL | CF_KEY,                      \
      "BGP communities of the route to the source")                           \
    X(src_bgp_next_hop, ADDR, "", 0, 0, CF_NULL | CF_KEY,                     \
      "next hop in BGP of the route to the source")                           \
    X(src_peer_as, U32, "", 129, 0, CF_NULL | CF_KEY,                         \
      "first AS on the path to the source (bgpPrevAdjacentAsNumber)")         \
    X(dst_peer_as, U32, "", 128, 0, CF_NULL | CF_KEY,                         \
      "first AS on the path to the destination "                              \
      "(bgpNextAdjacentAsNumber)")                                            \
    X(src_local_pref, U32, "", 0, 0, CF_NULL | CF_KEY,                        \
      "local preference of the route to the source")                          \
    X(dst_local_pref, U32, "", 0, 0, CF_NULL | CF_KEY,                        \
      "local preference of the route to the destination")                     \
    X(src_med, U32, "", 0, 0, CF_NULL | CF_KEY,                               \
      "multi-exit discriminator of the route to the source")                  \
    X(dst_med, U32, "", 0, 0, CF_NULL | CF_KEY,                               \
      "multi-exit discriminator of the route to the destination")             \
    X(src_origin, ENUM, "", 0, 0, CF_NULL | CF_KEY,                           \
      "ORIGIN attribute of the route to the source")                          \
    X(dst_origin, ENUM, "", 0, 0, CF_NULL | CF_KEY,                           \
      "ORIGIN attribute of the route to the destination")                     \
    X(src_route_peer, NAME, "", 0, 0, CF_NULL | CF_KEY,                       \
      "BGP peer that told the route to the source")                           \
    X(dst_route_peer, NAME, "", 0, 0, CF_NULL | CF_KEY,                       \
      "BGP peer that told the route to the destination")                      \
    X(src_route_view, ENUM, "", 0, 0, CF_NULL | CF_KEY,                       \
      "whose table the route to the source was taken from")                   \
    X(dst_route_view, ENUM, "", 0, 0, CF_NULL | CF_KEY,                       \
      "whose table the route to the destination was taken from")              \
    X(src_endpoint, NAME, "", 0, 0, CF_NULL | CF_KEY,                         \
      "who has the source address: workload, container, host, site")          \
    X(dst_endpoint, NAME, "", 0, 0, CF_NULL | CF_KEY,                         \
      "who has the destination address: workload, container, host, site")     \
    X(src_tenant, NAME, "", 0, 0, CF_NULL | CF_KEY,                           \
      "tenant, project or namespace of the source")                           \
    X(dst_tenant, NAME, "", 0, 0, CF_NULL | CF_KEY,                           \
      "tenant, project or namespace of the destination")                      \
    X(src_network, NAME, "", 0, 0, CF_NULL | CF_KEY,                          \
      "network that the source address belongs to")                           \
    X(dst_network, NAME, "", 0, 0, CF_NULL | CF_KEY,                          \
      "network that the destination address belongs to")                      \
    X(src_host, NAME, "", 0, 0, CF_NULL | CF_KEY,                             \
      "host that the source runs on")                                         \
    X(dst_host, NAME, "", 0, 0, CF_NULL | CF_KEY,                             \
      "host that the destination runs on")                                    \
    X(src_labels, NAME, "", 0, 0, CF_NULL | CF_KEY,                           \
      "labels of the source, as key=value, with commas between")              \
    X(dst_labels, NAME, "", 0, 0, CF_NULL | CF_KEY,                           \
      "labels of the destination, as key=value, with commas between")         \
    X(why, ENUM, "", 0, 0, CF_NULL | CF_KEY,                                  \
      "why OVN sampled the packet: an ACL, or that it was dropped")           \
    X(why_name, NAME, "", 0, 0, CF_NULL | CF_KEY,                             \
      "the ACL: its name, or what it matches")                                \
    X(why_action, NAME, "", 0, 0, CF_NULL | CF_KEY,                           \
      "what the ACL does: allow, allow-related, drop, reject, pass")          \
    X(why_policy, NAME, "", 0, 0, CF_NULL | CF_KEY,                           \
      "the policy that the ACL carries out, or its port group or switch")     \
    X(why_network, NAME, "", 0, 0, CF_NULL | CF_KEY,                          \
      "logical switch or router in which that was decided")                   \
    X(tunnel_type, ENUM, "", 0, 0, CF_NULL | CF_KEY,                          \
      "encapsulation that the packet was in")                                 \
    X(tunnel_src_addr, ADDR, "", 0, 0, CF_NULL | CF_KEY,                      \
      "source address of the outer packet")                                   \
    X(tunnel_dst_addr, ADDR, "", 0, 0, CF_NULL | CF_KEY,                      \
      "destination address of the outer packet")                              \
    X(tunnel_proto, U8, "", 0, 0, CF_NULL | CF_KEY,                           \
      "IP protocol number of the outer packet (6876/895)")                    \
    X(tunnel_src_port, U16, "", 0, 0, CF_NULL | CF_KEY,                       \
      "source transport port of the outer packet (6876/896)")                 \
    X(tunnel_dst_port, U16, "", 0, 0, CF_NULL | CF_KEY,                       \
      "destination transport port of the outer packet (6876/897)")            \
    X(tunnel_src_mac, MAC, "", 0, 0, CF_NULL | CF_KEY,                        \
      "source MAC address of the outer frame (sFlow 1021, 1022)")             \
    X(tunnel_dst_mac, MAC, "", 0, 0, CF_NULL | CF_KEY,                        \
      "destination MAC address of the outer frame")                           \
    X(inner_header_offset, U32, "B", 0, 0, CF_NULL | CF_KEY,                  \
      "where in the sampled header the inner packet begins, as sFlow 1027 "   \
      "and 1028 say")                                                         \
    X(vni, U64, "", 351, 0, CF_NULL | CF_KEY,                                 \
      "virtual network identifier or tunnel key (layer2SegmentId)")           \
    X(nat_src_addr, ADDR, "", 225, 281, CF_NULL | CF_KEY,                     \
      "source address after translation")                                     \
    X(nat_dst_addr, ADDR, "", 226, 282, CF_NULL | CF_KEY,                     \
      "destination address after translation")                                \
    X(nat_src_port, U16, "", 227, 0, CF_NULL | CF_KEY,                        \
      "source port after translation")                                        \
    X(nat_dst_port, U16, "", 228, 0, CF_NULL | CF_KEY,                        \
      "destination port after translation")                                   \
    X(nat_event, ENUM, "", 230, 0, CF_NULL | CF_KEY,                          \
      "what a translator did (RFC 8158)")                                     \
    X(nat_instance, U32, "", 463, 0, CF_NULL | CF_KEY,                        \
      "translator within the exporter (natInstanceID)")                       \
    X(nat_pool, U32, "", 283, 0, CF_NULL | CF_KEY,                            \
      "pool of addresses that the event is about (natPoolId)")                \
    X(nat_pool_name, NAME, "", 284, 0, CF_NULL | CF_KEY, "its name")          \
    X(nat_quota, ENUM, "", 466, 0, CF_NULL | CF_KEY,                          \
      "limit that was hit (natQuotaExceededEvent)")                           \
    X(nat_threshold, ENUM, "", 467, 0, CF_NULL | CF_KEY,                      \
      "limit that came close (natThresholdEvent)")                            \
    X(nat_limit, U32, "", 0, 0, CF_NULL | CF_KEY,                             \
      "that limit, where the event says it (IPFIX elements 471 to 481)")      \
    X(nat_internal_realm, NAME, "", 464, 0, CF_NULL | CF_KEY,                 \
      "realm of the addresses before translation (internalAddressRealm)")     \
    X(nat_external_realm, NAME, "", 465, 0, CF_NULL | CF_KEY,                 \
      "realm of the addresses after translation")                             \
    X(port_range_start, U16, "", 361, 0, CF_NULL | CF_KEY,                    \
      "first port of a block that a translator gave away")                    \
    X(port_range_end, U16, "", 362, 0, CF_NULL | CF_KEY,                      \
      "last port of that block")                                              \
    X(firewall_event, ENUM, "", 233, 0, CF_NULL | CF_KEY,                     \
      "what a firewall did")                                                  \
    X(firewall_ext_event, U16, "", 0, 0, CF_NULL | CF_KEY,                    \
      "why, in the numbers of the vendor (Cisco NSEL 33002)")                 \
    X(acl_in, NAME, "", 0, 0, CF_NULL | CF_KEY,                               \
      "access list at the input, as Cisco NSEL names it, in hex")             \
    X(acl_out, NAME, "", 0, 0, CF_NULL | CF_KEY,                              \
      "access list at the output")                                            \
    X(user_name, NAME, "", 371, 0, CF_NULL | CF_KEY,                          \
      "user that the exporter knows behind the flow, or its source")                         \
    X(dst_user_name, NAME, "", 0, 0, CF_NULL | CF_KEY,                        \
      "user behind the destination (sFlow extended_user)")                    \
    X(application_id, U64, "", 95, 0, CF_NULL | CF_KEY,                       \
      "application: engine id, then selector (RFC 6759)")                     \
    X(application, NAME, "", 96, 0, CF_NULL | CF_KEY,                         \
      "application name")                                                     \
    X(url, NAME, "", 0, 0, CF_NULL | CF_KEY,                                  \
      "URL that was asked for (sFlow extended_url)")                          \
    X(wlan_ssid, NAME, "", 147, 0, CF_NULL | CF_KEY,                          \
      "name of the wireless network (wlanSSID, sFlow 1014 and 1015)")         \
    X(wlan_bssid, MAC, "", 0, 0, CF_NULL | CF_KEY,                            \
      "MAC address of its access point (sFlow 1014 and 1015)")                \
    X(wlan_channel, U16, "", 146, 0, CF_NULL | CF_KEY,                        \
      "its channel (wlanChannelId, sFlow 1014 and 1015)")                     \
    X(wlan_speed, U64, "bit/s", 0, 0, CF_NULL | CF_KEY,                       \
      "rate at which the frame was sent (sFlow 1014 and 1015)")               \
    X(wlan_signal, U16, "", 0, 0, CF_NULL | CF_KEY,                           \
      "strength at which it was received (RCPI, sFlow 1014)")                 \
    X(flow_id, U64, "", 148, 0, CF_NULL | CF_KEY,                             \
      "number that the exporter gave the flow")                               \
    X(extra, NAME, "", 0, 0, CF_NULL | CF_KEY,                                \
      "fields that no column takes, as enterprise/id=hex, where the "         \
      "configuration keeps them")                                             \
    X(flow_end_reason, ENUM, "", 136, 0, CF_NULL | CF_KEY,                    \
      "why the exporter closed the flow")                                     \
    X(forwarding_status, U8, "", 89, 0, CF_NULL | CF_KEY,                     \
      "what became of the packet (RFC 7270 section 4.12); 128 is dropped")    \
    X(drop_reason, U16, "", 0, 0, CF_NULL | CF_KEY,                           \
      "why the packet was dropped, in the numbers of sFlow (sflow_drops)")    \
    X(drop_function, NAME, "", 0, 0, CF_NULL | CF_KEY,                        \
      "function of the software that dropped the packet (sFlow 1038)")        \
    X(egress_queue, U32, "", 0, 0, CF_NULL | CF_KEY,                          \
      "queue of the output interface (sFlow 1036)")                           \
    X(queue_depth, U32, "B", 0, 0, CF_NULL | CF_KEY,                          \
      "octets that waited in the queue before the packet (sFlow 1040)")       \
    X(transit_delay, U32, "ns", 0, 0, CF_NULL | CF_KEY,                       \
      "time that the packet spent in the exporter (sFlow 1039)")              \
    X(bytes, U64, "B", 1, 23, CF_SUM,                                         \
      "estimated octets of the IP packets with their headers; of other "      \
      "frames, octets after the Ethernet header")                             \
    X(packets, U64, "packets", 2, 24, CF_SUM,                                 \
      "estimated packets that really passed")                                 \
    X(l2_bytes, U64, "B", 352, 0, CF_NULL | CF_SUM,                           \
      "estimated octets of the Ethernet frames, without the checksum: what "  \
      "an interface counts")                                                  \
    X(raw_bytes, U64, "B", 0, 0, CF_SUM,                                      \
      "octets that the exporter saw, before scaling")                         \
    X(raw_packets, U64, "packets", 0, 0, CF_SUM,                              \
      "packets that the exporter saw, before scaling")                        \
    X(dropped_packets, U64, "packets", 133, 0, CF_NULL | CF_SUM,              \
      "packets of the flow that the exporter dropped")                        \
    X(dropped_bytes, U64, "B", 132, 0, CF_NULL | CF_SUM,                      \
      "octets of the packets that the exporter dropped")                      \
    X(sampling, U32, "", 34, 305, CF_NULL | CF_KEY,                           \
      "one packet in so many was looked at; null: rate unknown, the counts "  \
      "are as exported")                                                      \
    X(quality, BITS, "", 0, 0, CF_KEY,                                        \
      "what is uncertain about this record")

enum column_id {
#define X(ID, TYPE, UNIT, IE, IE6, FLAGS, DOC) COL_##ID,
    FLOW_COLUMNS(X)
#undef X
    N_COLUMNS
};

/* Words of an ENUM or BITS column; ends with a NULL name.  Values of BITS are
 * single bits. */
struct column_word {
    uint32_t value;
    const char *name;
    const char *doc;
};

struct column {
    const char *name;
    enum column_type type;
    const char *unit;
    uint16_t ie, ie2;           /* IANA elements that fill it, or 0. */
    uint16_t flags;             /* CF_*. */
    uint16_t size;              /* Bytes of one value in a batch. */
    uint32_t offset;            /* Of its array in struct flow_batch. */
    const struct column_word *words;    /* ENUM and BITS only. */
    const char *doc;
};

extern const struct column columns[N_COLUMNS];

/* NULL if there is no such column. */
const struct column *column_by_name(const char *);
const char *column_type_name(enum column_type);

/* The word for 'value' of an ENUM column, or NULL.  And back: 0 or -EINVAL. */
const char *column_word_name(const struct column *, uint32_t value);
int column_word_value(const struct column *, const char *name,
                      uint32_t *value);

/* Values of 'export_protocol'. */
enum export_protocol {
    PROTO_UNKNOWN = 0,          /* Imported, and the file does not say. */
    PROTO_NETFLOW1 = 1,
    PROTO_NETFLOW5 = 5,
    PROTO_NETFLOW7 = 7,
    PROTO_NETFLOW9 = 9,
    PROTO_IPFIX = 10,
    PROTO_SFLOW5 = 55,
};
/* Values of 'direction' (IPFIX flowDirection). */
enum flow_direction { DIR_INGRESS = 0, DIR_EGRESS = 1 };
/* Values of 'tunnel_type': OVS's IPFIX element 6876/891. */
enum tunnel_type {
    TUNNEL_UNKNOWN = 0, TUNNEL_VXLAN = 1, TUNNEL_GRE = 2, TUNNEL_LISP = 3,
    TUNNEL_STT = 4, TUNNEL_IPSEC_GRE = 5, TUNNEL_GENEVE = 7,
    TUNNEL_IPIP = 64, TUNNEL_GTPU = 65, TUNNEL_ERSPAN = 66,
};
/* Values of 'src_origin' and 'dst_origin': the attribute's. */
enum route_origin { ROUTE_IGP = 0, ROUTE_EGP = 1, ROUTE_INCOMPLETE = 2 };
/* Values of 'src_route_view' and 'dst_route_view'. */
enum route_view { ROUTE_VIEW_EXPORTER = 1, ROUTE_VIEW_DEFAULT = 2,
                  ROUTE_VIEW_BEST = 3 };
/* Bits of 'quality'. */
enum flow_quality {
    Q_RATE_UNKNOWN = 1 << 0,    /* Sampled or not?  Nobody said. */
    Q_TIME_CORRECTED = 1 << 1,  /* Times were absurd; arrival was taken. */
    Q_SCALED_BY_EXPORTER = 1 << 2,      /* raw_* were computed back. */
    Q_L3_ESTIMATED = 1 << 3,    /* bytes derived from a frame length. */
    Q_TRUNCATED = 1 << 4,       /* Sampled header ended inside a header. */
    Q_OUTPUT_UNKNOWN = 1 << 5,  /* The output port is not known. */
};

/* A set of columns. */
struct column_set {
    uint64_t bits[(N_COLUMNS + 63) / 64];
};

static inline bool
column_set_has(const struct column_set *s, unsigned id)
{
    return s->bits[id / 64] >> id % 64 & 1;
}

static inline void
column_set_add(struct column_set *s, unsigned id)
{
    s->bits[id / 64] |= UINT64_C(1) << id % 64;
}

#endif /* lib/column.h */
