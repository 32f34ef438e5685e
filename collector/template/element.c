#include <config.h>

#include "collector/template/element.h"

#include <stddef.h>

#include "collector/template/registry.h"

#define NO_COLUMN N_COLUMNS

/* X(pen, id, conversion, rank, column, twin).  Sorted by enterprise and id.
 * Names are those of the IANA registry. */
static const struct element elements[] = {
    { 0, 1, CONV_UINT, 0, COL_bytes, 0 },       /* octetDeltaCount */
    { 0, 2, CONV_UINT, 0, COL_packets, 0 },     /* packetDeltaCount */
    { 0, 4, CONV_UINT, 0, COL_proto, 0 },       /* protocolIdentifier */
    { 0, 5, CONV_UINT, 0, COL_tos, 0 },         /* ipClassOfService */
    { 0, 6, CONV_UINT, 0, COL_tcp_flags, 0 },   /* tcpControlBits */
    { 0, 7, CONV_UINT, 0, COL_src_port, 11 },   /* sourceTransportPort */
    { 0, 8, CONV_V4, 0, COL_src_addr, 12 },     /* sourceIPv4Address */
    { 0, 9, CONV_UINT, 0, COL_src_prefix_length, 13 },
    { 0, 10, CONV_UINT, 0, COL_in_if, 14 },     /* ingressInterface */
    { 0, 11, CONV_UINT, 0, COL_dst_port, 7 },
    { 0, 12, CONV_V4, 0, COL_dst_addr, 8 },
    { 0, 13, CONV_UINT, 0, COL_dst_prefix_length, 9 },
    { 0, 14, CONV_UINT, 0, COL_out_if, 10 },    /* egressInterface */
    { 0, 15, CONV_V4, 0, COL_next_hop, 0 },     /* ipNextHopIPv4Address */
    { 0, 16, CONV_UINT, 0, COL_src_as, 17 },    /* bgpSourceAsNumber */
    { 0, 17, CONV_UINT, 0, COL_dst_as, 16 },
    { 0, 18, CONV_V4, 0, COL_bgp_next_hop, 0 },     /* bgpNextHopIPv4Address */
    { 0, 21, CONV_UPTIME, 3, COL_flow_end, 0 }, /* flowEndSysUpTime */
    { 0, 22, CONV_UPTIME, 3, COL_flow_start, 0 },
    { 0, 23, CONV_UINT, 0, COL_bytes, 0 },      /* postOctetDeltaCount */
    { 0, 24, CONV_UINT, 0, COL_packets, 0 },
    { 0, 27, CONV_V6, 0, COL_src_addr, 28 },    /* sourceIPv6Address */
    { 0, 28, CONV_V6, 0, COL_dst_addr, 27 },
    { 0, 29, CONV_UINT, 0, COL_src_prefix_length, 30 },
    { 0, 30, CONV_UINT, 0, COL_dst_prefix_length, 29 },
    { 0, 31, CONV_UINT, 0, COL_flow_label, 0 },
    { 0, 32, CONV_TYPE_CODE, 1, COL_icmp_type, 0 }, /* icmpTypeCodeIPv4 */
    { 0, 34, CONV_UINT, 0, COL_sampling, 0 },   /* samplingInterval */
    { 0, 47, CONV_V4, 0, COL_mpls_fec_addr, 0 },        /* mplsTopLabel.. */
    { 0, 48, CONV_SAMPLER, 2, COL_sampling, 0 },        /* samplerId */
    { 0, 50, CONV_UINT, 1, COL_sampling, 0 },   /* samplerRandomInterval */
    { 0, 52, CONV_UINT, 1, COL_ttl, 0 },        /* minimumTTL */
    { 0, 53, CONV_UINT, 0, COL_ttl_max, 0 },   /* maximumTTL */
    { 0, 56, CONV_MAC, 0, COL_src_mac, 80 },    /* sourceMacAddress */
    { 0, 57, CONV_MAC, 0, COL_post_dst_mac, 81 },    /* postDestination.. */
    { 0, 58, CONV_UINT, 0, COL_vlan_id, 0 },    /* vlanId */
    { 0, 59, CONV_UINT, 0, COL_post_vlan_id, 0 },
    { 0, 60, CONV_UINT, 0, COL_ip_version, 0 },
    { 0, 61, CONV_DIRECTION, 0, COL_direction, 0 },
    { 0, 62, CONV_V6, 0, COL_next_hop, 0 },     /* ipNextHopIPv6Address */
    { 0, 63, CONV_V6, 0, COL_bgp_next_hop, 0 },     /* bgpNextHopIPv6Address */
    { 0, 70, CONV_MPLS, 0, COL_mpls_label, 0 }, /* mplsTopLabel.. */
    { 0, 71, CONV_MPLS, 0, NO_COLUMN, 0 },
    { 0, 72, CONV_MPLS, 0, NO_COLUMN, 0 },
    { 0, 73, CONV_MPLS, 0, NO_COLUMN, 0 },
    { 0, 74, CONV_MPLS, 0, NO_COLUMN, 0 },
    { 0, 75, CONV_MPLS, 0, NO_COLUMN, 0 },
    { 0, 76, CONV_MPLS, 0, NO_COLUMN, 0 },
    { 0, 77, CONV_MPLS, 0, NO_COLUMN, 0 },
    { 0, 78, CONV_MPLS, 0, NO_COLUMN, 0 },
    { 0, 79, CONV_MPLS, 0, NO_COLUMN, 0 },
    { 0, 80, CONV_MAC, 0, COL_dst_mac, 56 },    /* destinationMacAddress */
    { 0, 81, CONV_MAC, 0, COL_post_src_mac, 57 },    /* postSourceMacAddress */
    { 0, 82, CONV_NAME, 0, COL_in_if_name, 0 }, /* interfaceName */
    { 0, 85, CONV_UINT, 1, COL_bytes, 0 },      /* octetTotalCount */
    { 0, 86, CONV_UINT, 1, COL_packets, 0 },
    { 0, 88, CONV_FRAGMENT, 0, COL_fragment_offset, 0 },
    { 0, 89, CONV_UINT, 0, COL_forwarding_status, 0 },
    { 0, 91, CONV_UINT, 0, COL_mpls_fec_length, 0 },
    { 0, 95, CONV_UINT, 0, COL_application_id, 0 },
    { 0, 96, CONV_NAME, 0, COL_application, 0 },
    { 0, 104, CONV_FRAME, 0, NO_COLUMN, 0 },    /* layer2packetSectionData */
    { 0, 128, CONV_UINT, 0, COL_dst_peer_as, 129 },     /* bgpNextAdj.. */
    { 0, 129, CONV_UINT, 0, COL_src_peer_as, 128 },     /* bgpPrevAdj.. */
    { 0, 132, CONV_UINT, 0, COL_dropped_bytes, 0 },
    { 0, 133, CONV_UINT, 0, COL_dropped_packets, 0 },
    { 0, 136, CONV_UINT, 0, COL_flow_end_reason, 0 },
    { 0, 138, CONV_UINT, 0, COL_observation_point_id, 0 },
    { 0, 139, CONV_TYPE_CODE, 1, COL_icmp_type, 0 }, /* icmpTypeCodeIPv6 */
    { 0, 140, CONV_V6, 0, COL_mpls_fec_addr, 0 },
    { 0, 146, CONV_UINT, 0, COL_wlan_channel, 0 },      /* wlanChannelId */
    { 0, 147, CONV_NAME, 0, COL_wlan_ssid, 0 },
    { 0, 148, CONV_UINT, 0, COL_flow_id, 0 },  /* flowId */
    { 0, 150, CONV_SECONDS, 4, COL_flow_start, 0 },
    { 0, 151, CONV_SECONDS, 4, COL_flow_end, 0 },
    { 0, 152, CONV_MS, 1, COL_flow_start, 0 },
    { 0, 153, CONV_MS, 1, COL_flow_end, 0 },
    { 0, 154, CONV_NTP, 0, COL_flow_start, 0 }, /* ..Microseconds */
    { 0, 155, CONV_NTP, 0, COL_flow_end, 0 },
    { 0, 156, CONV_NTP, 0, COL_flow_start, 0 }, /* ..Nanoseconds */
    { 0, 157, CONV_NTP, 0, COL_flow_end, 0 },
    { 0, 158, CONV_DELTA_US, 2, COL_flow_start, 0 },
    { 0, 159, CONV_DELTA_US, 2, COL_flow_end, 0 },
    { 0, 160, CONV_BOOT_MS, 0, NO_COLUMN, 0 },  /* systemInitTime.. */
    { 0, 161, CONV_DURATION_MS, 0, NO_COLUMN, 0 },
    { 0, 162, CONV_DURATION_US, 0, NO_COLUMN, 0 },
    { 0, 176, CONV_UINT, 0, COL_icmp_type, 0 },
    { 0, 177, CONV_UINT, 0, COL_icmp_code, 0 },
    { 0, 178, CONV_UINT, 0, COL_icmp_type, 0 },
    { 0, 179, CONV_UINT, 0, COL_icmp_code, 0 },
    { 0, 180, CONV_UINT, 1, COL_src_port, 181 },        /* udpSourcePort */
    { 0, 181, CONV_UINT, 1, COL_dst_port, 180 },
    { 0, 182, CONV_UINT, 1, COL_src_port, 183 },        /* tcpSourcePort */
    { 0, 183, CONV_UINT, 1, COL_dst_port, 182 },
    { 0, 192, CONV_UINT, 0, COL_ttl, 0 },       /* ipTTL */
    { 0, 193, CONV_UINT, 1, COL_proto, 0 },     /* nextHeaderIPv6 */
    { 0, 195, CONV_DSCP, 1, COL_tos, 0 },       /* ipDiffServCodePoint */
    { 0, 197, CONV_FRAGMENT_FLAGS, 0, COL_fragment, 0 },
    { 0, 203, CONV_UINT, 0, COL_mpls_exp, 0 },  /* mplsTopLabelExp */
    { 0, 206, CONV_BOOL, 0, COL_multicast, 0 }, /* isMulticast */
    { 0, 225, CONV_V4, 0, COL_nat_src_addr, 226 },
    { 0, 226, CONV_V4, 0, COL_nat_dst_addr, 225 },
    { 0, 227, CONV_UINT, 0, COL_nat_src_port, 228 },
    { 0, 228, CONV_UINT, 0, COL_nat_dst_port, 227 },
    { 0, 230, CONV_UINT, 0, COL_nat_event, 0 },
    { 0, 231, CONV_UINT, 2, COL_bytes, 232 },     /* initiatorOctets */
    { 0, 232, CONV_REVERSE, 2, NO_COLUMN, 231 },        /* responder.. */
    { 0, 233, CONV_UINT, 0, COL_firewall_event, 0 },
    { 0, 234, CONV_UINT, 0, COL_in_vrf, 235 },
    { 0, 235, CONV_UINT, 0, COL_out_vrf, 234 },
    { 0, 240, CONV_HEADER_SIZE, 0, NO_COLUMN, 0 },
    { 0, 243, CONV_UINT, 1, COL_vlan_id, 0 },   /* dot1qVlanId */
    { 0, 244, CONV_UINT, 0, COL_vlan_priority, 0 },
    { 0, 245, CONV_UINT, 0, COL_customer_vlan_id, 0 },
    { 0, 249, CONV_UINT, 0, COL_mpls_vc_id, 0 },        /* pseudoWireId */
    { 0, 252, CONV_UINT, 1, COL_in_if, 253 },   /* ingressPhysical.. */
    { 0, 253, CONV_UINT, 1, COL_out_if, 252 },
    { 0, 254, CONV_UINT, 1, COL_post_vlan_id, 0 },
    { 0, 256, CONV_UINT, 0, COL_ether_type, 0 },
    { 0, 281, CONV_V6, 0, COL_nat_src_addr, 282 },
    { 0, 282, CONV_V6, 0, COL_nat_dst_addr, 281 },
    { 0, 283, CONV_UINT, 0, COL_nat_pool, 0 },
    { 0, 284, CONV_NAME, 0, COL_nat_pool_name, 0 },
    { 0, 298, CONV_UINT, 2, COL_packets, 299 },   /* initiatorPackets */
    { 0, 299, CONV_REVERSE, 2, NO_COLUMN, 298 },
    { 0, 302, CONV_SAMPLER, 3, COL_sampling, 0 },       /* selectorId */
    { 0, 305, CONV_UINT, 1, COL_sampling, 0 },  /* samplingPacketInterval */
    { 0, 313, CONV_IP_PACKET, 0, NO_COLUMN, 0 },
    { 0, 315, CONV_FRAME, 0, NO_COLUMN, 0 },    /* dataLinkFrameSection */
    { 0, 322, CONV_SECONDS, 7, COL_flow_start, 0 },     /* observation.. */
    { 0, 323, CONV_MS, 6, COL_flow_start, 0 },
    { 0, 324, CONV_NTP, 5, COL_flow_start, 0 },
    { 0, 325, CONV_NTP, 5, COL_flow_start, 0 },
    { 0, 351, CONV_UINT, 0, COL_vni, 0 },       /* layer2SegmentId */
    { 0, 352, CONV_UINT, 0, COL_l2_bytes, 0 },  /* layer2OctetDeltaCount */
    { 0, 353, CONV_UINT, 1, COL_l2_bytes, 0 },  /* layer2OctetTotalCount */
    { 0, 361, CONV_UINT, 0, COL_port_range_start, 0 },
    { 0, 362, CONV_UINT, 0, COL_port_range_end, 0 },
    { 0, 371, CONV_NAME, 0, COL_user_name, 0 }, /* userName */
    { 0, 461, CONV_NAME, 1, COL_url, 0 },       /* httpRequestTarget */
    { 0, 463, CONV_UINT, 0, COL_nat_instance, 0 },
    { 0, 464, CONV_NAME, 0, COL_nat_internal_realm, 0 },
    { 0, 465, CONV_NAME, 0, COL_nat_external_realm, 0 },
    { 0, 466, CONV_UINT, 0, COL_nat_quota, 0 },
    { 0, 467, CONV_UINT, 0, COL_nat_threshold, 0 },
    { 0, 471, CONV_UINT, 0, COL_nat_limit, 0 },         /* maxSession.. */
    { 0, 472, CONV_UINT, 0, COL_nat_limit, 0 },
    { 0, 473, CONV_UINT, 0, COL_nat_limit, 0 },
    { 0, 474, CONV_UINT, 0, COL_nat_limit, 0 },
    { 0, 475, CONV_UINT, 0, COL_nat_limit, 0 },
    { 0, 476, CONV_UINT, 0, COL_nat_limit, 0 },         /* addressPool.. */
    { 0, 477, CONV_UINT, 0, COL_nat_limit, 0 },
    { 0, 478, CONV_UINT, 0, COL_nat_limit, 0 },
    { 0, 479, CONV_UINT, 0, COL_nat_limit, 0 },
    { 0, 480, CONV_UINT, 0, COL_nat_limit, 0 },
    { 0, 481, CONV_UINT, 0, COL_nat_limit, 0 },
    { 0, 483, CONV_COMMUNITY, 1, COL_communities, 0 },  /* bgpCommunity */
    { 0, 484, CONV_COMMUNITIES, 0, COL_src_communities, 485 },
    { 0, 485, CONV_COMMUNITIES, 0, COL_communities, 484 },
    { 0, 487, CONV_COMMUNITIES, 0, COL_src_communities, 488 },
    { 0, 488, CONV_COMMUNITIES, 0, COL_communities, 487 },
    { 0, 490, CONV_COMMUNITIES, 0, COL_src_communities, 491 },
    { 0, 491, CONV_COMMUNITIES, 0, COL_communities, 490 },
    /* Numbers that vendors took in NetFlow v9, where there are no
     * enterprises: Cisco's NSEL, Palo Alto's, ntop's. */
    { 0, 33000, CONV_HEX, 0, COL_acl_in, 0 },
    { 0, 33001, CONV_HEX, 0, COL_acl_out, 0 },
    { 0, 33002, CONV_UINT, 0, COL_firewall_ext_event, 0 },
    { 0, 40000, CONV_NAME, 0, COL_user_name, 0 },
    { 0, 40001, CONV_V4, 1, COL_nat_src_addr, 40002 },
    { 0, 40002, CONV_V4, 1, COL_nat_dst_addr, 40001 },
    { 0, 40003, CONV_UINT, 1, COL_nat_src_port, 40004 },
    { 0, 40004, CONV_UINT, 1, COL_nat_dst_port, 40003 },
    { 0, 40005, CONV_UINT, 1, COL_firewall_event, 0 },
    { 0, 56701, CONV_NAME, 1, COL_application, 0 },
    { 0, 56702, CONV_NAME, 1, COL_user_name, 0 },
    { 0, 57590, CONV_UINT, 1, COL_application_id, 0 },  /* ntop's. */
    { 0, 57591, CONV_NAME, 2, COL_application, 0 },
    { 0, 57652, CONV_NAME, 0, COL_url, 0 },
    { PEN_NOKIA, 93, CONV_NAME, 2, COL_user_name, 0 },
    { PEN_OVS, 891, CONV_UINT, 0, COL_tunnel_type, 0 },
    { PEN_OVS, 892, CONV_UINT, 1, COL_vni, 0 }, /* tunnelKey */
    { PEN_OVS, 893, CONV_V4, 0, COL_tunnel_src_addr, 894 },
    { PEN_OVS, 894, CONV_V4, 0, COL_tunnel_dst_addr, 893 },
    { PEN_OVS, 895, CONV_UINT, 0, COL_tunnel_proto, 0 },
    { PEN_OVS, 896, CONV_UINT, 0, COL_tunnel_src_port, 897 },
    { PEN_OVS, 897, CONV_UINT, 0, COL_tunnel_dst_port, 896 },
    { PEN_OVS, 898, CONV_NAME, 0, COL_virtual_obs_id, 0 },
    { PEN_NTOP, 118, CONV_UINT, 1, COL_application_id, 0 },
    { PEN_NTOP, 119, CONV_NAME, 2, COL_application, 0 },
    { PEN_NTOP, 180, CONV_NAME, 0, COL_url, 0 },
};

/* In the order of the configuration; looked at once per field of a new
 * template. */
static struct element mapped[ELEMENT_MAPPINGS];
static size_t n_mapped;

#define N_ELEMENTS (sizeof elements / sizeof elements[0])

const struct element *
element_find(uint32_t pen, uint16_t id)
{
    size_t low = 0, high = N_ELEMENTS;
    for (size_t i = 0; i < n_mapped; i++) {
        if (mapped[i].pen == pen && mapped[i].id == id) {
            return &mapped[i];
        }
    }
    while (low < high) {
        size_t mid = (low + high) / 2;
        const struct element *e = &elements[mid];
        if (e->pen == pen && e->id == id) {
            return e;
        }
        if (e->pen < pen || (e->pen == pen && e->id < id)) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return NULL;
}

/* How bytes become a value of that type; CONV_NONE: they do not. */
static enum element_conv
conv_of(enum column_type type)
{
    switch (type) {
    case COLUMN_T_U8:
    case COLUMN_T_U16:
    case COLUMN_T_U32:
    case COLUMN_T_U64:
    case COLUMN_T_ENUM:
        return CONV_UINT;
    case COLUMN_T_ADDR:
        return CONV_ADDR;
    case COLUMN_T_MAC:
        return CONV_MAC;
    case COLUMN_T_NAME:
        return CONV_NAME;
    default:
        return CONV_NONE;
    }
}

bool
element_can_fill(uint16_t column)
{
    return column < N_COLUMNS && columns[column].flags & CF_NULL
           && conv_of(columns[column].type) != CONV_NONE;
}

void
element_map(const struct element_mapping *list, size_t n)
{
    n_mapped = 0;
    for (size_t i = 0; i < n && n_mapped < ELEMENT_MAPPINGS; i++) {
        mapped[n_mapped++] = (struct element) {
            .pen = list[i].pen, .id = list[i].id, .column = list[i].column,
            .conv = (uint8_t) conv_of(columns[list[i].column].type),
        };
    }
}

uint16_t
element_twin(uint16_t id)
{
    const struct element *e = element_find(0, id);
    return e && e->reverse ? e->reverse : id;
}

bool
element_is_shared(uint16_t id)
{
    static const uint16_t shared[] = {
        4, 21, 22, 34, 48, 50, 58, 60, 95, 96, 136, 138, 148, 150, 151, 152,
        153, 154, 155, 156, 157, 158, 159, 160, 161, 162, 193, 230, 233, 240,
        243, 256, 302, 305, 322, 323, 324, 325, 351, 371, 33002, 40000, 40005,
    };
    for (size_t i = 0; i < sizeof shared / sizeof shared[0]; i++) {
        if (shared[i] == id) {
            return true;
        }
    }
    return false;
}
