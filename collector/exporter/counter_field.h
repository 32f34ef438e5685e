/* collector/exporter/counter_field.h -- what interfaces and hosts count, and
 * values of it.
 *
 * One list makes the names in the API, the numbers in files and what sFlow's
 * counter structures are read into. */
#ifndef COLLECTOR_COUNTER_FIELD_H
#define COLLECTOR_COUNTER_FIELD_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(name, true if it only grows, what it counts).  The order is that of the
 * bits in files: add at the end. */
#define COUNTER_FIELDS(X)                                                     \
    X(if_type, false, "ifType (RFC 2863)")                                    \
    X(if_speed, false, "bits per second")                                     \
    X(if_direction, false, "0 unknown, 1 full duplex, 2 half, 3 in, 4 out")   \
    X(if_status, false, "bit 0: administratively up; bit 1: operationally")   \
    X(in_octets, true, "octets that came in")                                 \
    X(in_unicast, true, "unicast packets that came in")                       \
    X(in_multicast, true, "multicast packets that came in")                   \
    X(in_broadcast, true, "broadcast packets that came in")                   \
    X(in_discards, true, "packets that came in and were discarded")           \
    X(in_errors, true, "packets that came in with errors")                    \
    X(in_unknown_protos, true, "packets of unknown protocols")                \
    X(out_octets, true, "octets that went out")                               \
    X(out_unicast, true, "unicast packets that went out")                     \
    X(out_multicast, true, "multicast packets that went out")                 \
    X(out_broadcast, true, "broadcast packets that went out")                 \
    X(out_discards, true, "packets to go out that were discarded")            \
    X(out_errors, true, "packets that could not go out for errors")           \
    X(promiscuous, false, "1: promiscuous")                                   \
    X(in_packets, true, "packets that came in")                               \
    X(out_packets, true, "packets that went out")                             \
    X(alignment_errors, true, "dot3StatsAlignmentErrors (RFC 3635)")          \
    X(fcs_errors, true, "dot3StatsFCSErrors")                                 \
    X(single_collisions, true, "dot3StatsSingleCollisionFrames")              \
    X(multiple_collisions, true, "dot3StatsMultipleCollisionFrames")          \
    X(sqe_test_errors, true, "dot3StatsSQETestErrors")                        \
    X(deferred, true, "dot3StatsDeferredTransmissions")                       \
    X(late_collisions, true, "dot3StatsLateCollisions")                       \
    X(excessive_collisions, true, "dot3StatsExcessiveCollisions")             \
    X(mac_transmit_errors, true, "dot3StatsInternalMacTransmitErrors")        \
    X(carrier_sense_errors, true, "dot3StatsCarrierSenseErrors")              \
    X(too_long, true, "dot3StatsFrameTooLongs")                               \
    X(mac_receive_errors, true, "dot3StatsInternalMacReceiveErrors")          \
    X(symbol_errors, true, "dot3StatsSymbolErrors")                           \
    X(datapath_id, false, "OpenFlow datapath of the port")                    \
    X(of_port, false, "OpenFlow number of the port")                          \
    X(user_time_ms, true, "processor time of the agent, in user mode")        \
    X(system_time_ms, true, "processor time of the agent, in the kernel")     \
    X(memory_used, false, "octets of memory that the agent uses")             \
    X(memory_max, false, "octets of memory that it may use")                  \
    X(files_open, false, "files that it has open")                            \
    X(files_max, false, "files that it may have open")                        \
    X(connections_open, false, "connections that it has open")                \
    X(connections_max, false, "connections that it may have open")            \
    X(dp_hits, true, "packets that matched a flow in the datapath")           \
    X(dp_misses, true, "packets that did not, and were asked about")          \
    X(dp_lost, true, "packets dropped before they could be asked about")      \
    X(dp_mask_hits, true, "masks looked at for packets")                      \
    X(dp_flows, false, "flows in the datapath")                               \
    X(dp_masks, false, "masks in the datapath")                               \
    X(vlan, false, "VLAN that the data source is")                            \
    X(vlan_octets, true, "octets of the VLAN")                                \
    X(vlan_unicast, true, "unicast packets of the VLAN")                      \
    X(vlan_multicast, true, "multicast packets of the VLAN")                  \
    X(vlan_broadcast, true, "broadcast packets of the VLAN")                  \
    X(vlan_discards, true, "packets of the VLAN that were discarded")         \
    X(wlan_tx_fragments, true, "dot11TransmittedFragmentCount")               \
    X(wlan_tx_multicast, true, "dot11MulticastTransmittedFrameCount")         \
    X(wlan_failed, true, "dot11FailedCount")                                  \
    X(wlan_retries, true, "dot11RetryCount")                                  \
    X(wlan_multiple_retries, true, "dot11MultipleRetryCount")                 \
    X(wlan_duplicates, true, "dot11FrameDuplicateCount")                      \
    X(wlan_rts_success, true, "dot11RTSSuccessCount")                         \
    X(wlan_rts_failure, true, "dot11RTSFailureCount")                         \
    X(wlan_ack_failure, true, "dot11ACKFailureCount")                         \
    X(wlan_rx_fragments, true, "dot11ReceivedFragmentCount")                  \
    X(wlan_rx_multicast, true, "dot11MulticastReceivedFrameCount")            \
    X(wlan_fcs_errors, true, "dot11FCSErrorCount")                            \
    X(wlan_tx_frames, true, "dot11TransmittedFrameCount")                     \
    X(wlan_undecryptable, true, "dot11WEPUndecryptableCount")                 \
    X(wlan_qos_discards, true, "dot11QoSDiscardedFragmentCount")              \
    X(wlan_stations, false, "dot11AssociatedStationCount")                    \
    X(wlan_polls_received, true, "dot11QoSCFPollsReceivedCount")              \
    X(wlan_polls_unused, true, "dot11QoSCFPollsUnusedCount")                  \
    X(wlan_polls_unusable, true, "dot11QoSCFPollsUnusableCount")              \
    X(wlan_polls_lost, true, "dot11QoSCFPollsLostCount")                      \
    X(lacp_actor_system, false,                                               \
      "dot3adAggPortActorSystemID: a MAC address, as a number")               \
    X(lacp_partner_system, false,                                             \
      "dot3adAggPortPartnerOperSystemID, likewise")                           \
    X(lacp_aggregator, false, "dot3adAggPortAttachedAggID")                   \
    X(lacp_state, false,                                                      \
      "octets: actor admin, actor oper, partner admin, partner oper")         \
    X(lacp_rx, true, "LACPDUs that came in")                                  \
    X(lacp_marker_rx, true, "marker PDUs that came in")                       \
    X(lacp_marker_response_rx, true, "marker response PDUs that came in")     \
    X(lacp_unknown_rx, true, "frames of slow protocols of unknown kind")      \
    X(lacp_illegal_rx, true, "illegal frames of slow protocols")              \
    X(lacp_tx, true, "LACPDUs that went out")                                 \
    X(lacp_marker_tx, true, "marker PDUs that went out")                      \
    X(lacp_marker_response_tx, true, "marker response PDUs that went out")    \
    X(cpu_5s, false, "processor use over 5 s, hundredths of a percent")       \
    X(cpu_1m, false, "processor use over a minute, hundredths of a percent")  \
    X(cpu_5m, false, "processor use over 5 minutes, hundredths of a percent") \
    X(memory_total, false, "octets of memory that the device has")            \
    X(memory_free, false, "octets of it that are free")                       \
    X(radio_elapsed_ms, true, "time that the radio was observed")             \
    X(radio_channel_ms, true, "time that it was on its channel")              \
    X(radio_busy_ms, true, "time that the channel was busy")                  \
    X(machine_type, false,                                                    \
      "sFlow's number of the processor family (3: x86_64)")                   \
    X(os_name, false, "sFlow's number of the operating system (2: Linux)")    \
    X(parent_class, false, "class of the data source that contains this one") \
    X(parent_index, false, "index of the data source that contains this one") \
    X(load_1m_milli, false, "load average over a minute, thousandths")        \
    X(load_5m_milli, false, "load average over 5 minutes, thousandths")       \
    X(load_15m_milli, false, "load average over 15 minutes, thousandths")     \
    X(processes_running, false, "processes that run")                         \
    X(processes, false, "processes that there are")                           \
    X(cpus, false, "processors")                                              \
    X(cpu_mhz, false, "clock of a processor")                                 \
    X(uptime_s, false, "time since the host started")                         \
    X(cpu_user_ms, true, "processor time in user mode")                       \
    X(cpu_nice_ms, true, "processor time of niced processes")                 \
    X(cpu_system_ms, true, "processor time in the kernel")                    \
    X(cpu_idle_ms, true, "processor time that was idle")                      \
    X(cpu_wait_ms, true, "processor time waiting for input and output")       \
    X(cpu_interrupt_ms, true, "processor time in interrupts")                 \
    X(cpu_soft_ms, true, "processor time in soft interrupts")                 \
    X(interrupts, true, "interrupts")                                         \
    X(contexts, true, "context switches")                                     \
    X(cpu_steal_ms, true, "processor time that the hypervisor took")          \
    X(cpu_guest_ms, true, "processor time of guests")                         \
    X(cpu_guest_nice_ms, true, "processor time of niced guests")              \
    X(mem_total, false, "octets of memory that the host has")                 \
    X(mem_free, false, "octets of it that are free")                          \
    X(mem_shared, false, "octets that are shared")                            \
    X(mem_buffers, false, "octets of buffers")                                \
    X(mem_cached, false, "octets of the page cache")                          \
    X(swap_total, false, "octets of swap space")                              \
    X(swap_free, false, "octets of it that are free")                         \
    X(pages_in, true, "pages read in")                                        \
    X(pages_out, true, "pages written out")                                   \
    X(swaps_in, true, "pages swapped in")                                     \
    X(swaps_out, true, "pages swapped out")                                   \
    X(disk_total, false, "octets of the disks")                               \
    X(disk_free, false, "octets of them that are free")                       \
    X(disk_fullest, false,                                                    \
      "use of the fullest partition, hundredths of a percent")                \
    X(disk_reads, true, "reads from disks")                                   \
    X(disk_read_octets, true, "octets read from disks")                       \
    X(disk_read_ms, true, "time that reads took")                             \
    X(disk_writes, true, "writes to disks")                                   \
    X(disk_written_octets, true, "octets written to disks")                   \
    X(disk_write_ms, true, "time that writes took")                           \
    X(host_in_octets, true, "octets that came into the host")                 \
    X(host_in_packets, true, "packets that came into the host")               \
    X(host_in_errors, true, "of them with errors")                            \
    X(host_in_drops, true, "of them dropped")                                 \
    X(host_out_octets, true, "octets that left the host")                     \
    X(host_out_packets, true, "packets that left the host")                   \
    X(host_out_errors, true, "of them with errors")                           \
    X(host_out_drops, true, "of them dropped")                                \
    X(ip_forwarding, false, "ipForwarding (RFC 1213)")                        \
    X(ip_default_ttl, false, "ipDefaultTTL")                                  \
    X(ip_in, true, "ipInReceives")                                            \
    X(ip_in_header_errors, true, "ipInHdrErrors")                             \
    X(ip_in_address_errors, true, "ipInAddrErrors")                           \
    X(ip_forwarded, true, "ipForwDatagrams")                                  \
    X(ip_in_unknown, true, "ipInUnknownProtos")                               \
    X(ip_in_discards, true, "ipInDiscards")                                   \
    X(ip_in_delivers, true, "ipInDelivers")                                   \
    X(ip_out, true, "ipOutRequests")                                          \
    X(ip_out_discards, true, "ipOutDiscards")                                 \
    X(ip_out_no_routes, true, "ipOutNoRoutes")                                \
    X(ip_reassembly_timeout, false, "ipReasmTimeout")                         \
    X(ip_reassembly_required, true, "ipReasmReqds")                           \
    X(ip_reassembled, true, "ipReasmOKs")                                     \
    X(ip_reassembly_failed, true, "ipReasmFails")                             \
    X(ip_fragmented, true, "ipFragOKs")                                       \
    X(ip_fragment_failed, true, "ipFragFails")                                \
    X(ip_fragments, true, "ipFragCreates")                                    \
    X(icmp_in, true, "icmpInMsgs (RFC 1213)")                                 \
    X(icmp_in_errors, true, "icmpInErrors")                                   \
    X(icmp_in_unreachable, true, "icmpInDestUnreachs")                        \
    X(icmp_in_exceeded, true, "icmpInTimeExcds")                              \
    X(icmp_in_parameter, true, "icmpInParmProbs")                             \
    X(icmp_in_quench, true, "icmpInSrcQuenchs")                               \
    X(icmp_in_redirect, true, "icmpInRedirects")                              \
    X(icmp_in_echo, true, "icmpInEchos")                                      \
    X(icmp_in_echo_reply, true, "icmpInEchoReps")                             \
    X(icmp_in_timestamp, true, "icmpInTimestamps")                            \
    X(icmp_in_mask, true, "icmpInAddrMasks")                                  \
    X(icmp_in_mask_reply, true, "icmpInAddrMaskReps")                         \
    X(icmp_out, true, "icmpOutMsgs")                                          \
    X(icmp_out_errors, true, "icmpOutErrors")                                 \
    X(icmp_out_unreachable, true, "icmpOutDestUnreachs")                      \
    X(icmp_out_exceeded, true, "icmpOutTimeExcds")                            \
    X(icmp_out_parameter, true, "icmpOutParmProbs")                           \
    X(icmp_out_quench, true, "icmpOutSrcQuenchs")                             \
    X(icmp_out_redirect, true, "icmpOutRedirects")                            \
    X(icmp_out_echo, true, "icmpOutEchos")                                    \
    X(icmp_out_echo_reply, true, "icmpOutEchoReps")                           \
    X(icmp_out_timestamp, true, "icmpOutTimestamps")                          \
    X(icmp_out_timestamp_reply, true, "icmpOutTimestampReps")                 \
    X(icmp_out_mask, true, "icmpOutAddrMasks")                                \
    X(icmp_out_mask_reply, true, "icmpOutAddrMaskReps")                       \
    X(tcp_rto_algorithm, false, "tcpRtoAlgorithm (RFC 1213)")                 \
    X(tcp_rto_min_ms, false, "tcpRtoMin")                                     \
    X(tcp_rto_max_ms, false, "tcpRtoMax")                                     \
    X(tcp_max_connections, false, "tcpMaxConn")                               \
    X(tcp_active_opens, true, "tcpActiveOpens")                               \
    X(tcp_passive_opens, true, "tcpPassiveOpens")                             \
    X(tcp_attempt_fails, true, "tcpAttemptFails")                             \
    X(tcp_resets, true, "tcpEstabResets")                                     \
    X(tcp_established, false, "tcpCurrEstab")                                 \
    X(tcp_in, true, "tcpInSegs")                                              \
    X(tcp_out, true, "tcpOutSegs")                                            \
    X(tcp_retransmitted, true, "tcpRetransSegs")                              \
    X(tcp_in_errors, true, "tcpInErrs")                                       \
    X(tcp_out_resets, true, "tcpOutRsts")                                     \
    X(tcp_in_checksum_errors, true, "segments with wrong checksums")          \
    X(udp_in, true, "udpInDatagrams (RFC 1213)")                              \
    X(udp_no_ports, true, "udpNoPorts")                                       \
    X(udp_in_errors, true, "udpInErrors")                                     \
    X(udp_out, true, "udpOutDatagrams")                                       \
    X(udp_receive_buffer_errors, true,                                        \
      "datagrams lost since a receive buffer was full")                       \
    X(udp_send_buffer_errors, true,                                           \
      "datagrams not sent since a send buffer was full")                      \
    X(udp_in_checksum_errors, true, "datagrams with wrong checksums")         \
    X(node_mhz, false, "clock of the hypervisor's processors")                \
    X(node_cpus, false, "processors of the hypervisor")                       \
    X(node_memory, false, "octets of memory of the hypervisor")               \
    X(node_memory_free, false, "octets of it that no guest has")              \
    X(node_domains, false, "guests that run")                                 \
    X(guest_state, false, "virDomainState of libvirt (1: running)")           \
    X(guest_cpu_ms, true, "processor time of the guest")                      \
    X(guest_cpus, false, "processors of the guest")                           \
    X(guest_memory, false, "octets of memory that the guest uses")            \
    X(guest_memory_max, false, "octets that it may use")                      \
    X(guest_disk_capacity, false,                                             \
      "octets that the guest's disks seem to have")                           \
    X(guest_disk_allocated, false, "octets that they take")                   \
    X(guest_disk_available, false, "octets that are left for them")           \
    X(guest_disk_reads, true, "reads of the guest")                           \
    X(guest_disk_read_octets, true, "octets that it read")                    \
    X(guest_disk_writes, true, "writes of the guest")                         \
    X(guest_disk_written_octets, true, "octets that it wrote")                \
    X(guest_disk_errors, true, "errors of its reads and writes")              \
    X(guest_in_octets, true, "octets that came into the guest")               \
    X(guest_in_packets, true, "packets that came into the guest")             \
    X(guest_in_errors, true, "of them with errors")                           \
    X(guest_in_drops, true, "of them dropped")                                \
    X(guest_out_octets, true, "octets that left the guest")                   \
    X(guest_out_packets, true, "packets that left the guest")                 \
    X(guest_out_errors, true, "of them with errors")                          \
    X(guest_out_drops, true, "of them dropped")

enum counter_field {
#define X(NAME, TOTAL, DOC) FIELD_##NAME,
    COUNTER_FIELDS(X)
#undef X
    N_COUNTER_FIELDS
};

struct counter_field_def {
    const char *name;
    bool total;                 /* Only grows, until it starts anew. */
    const char *doc;
};
extern const struct counter_field_def counter_fields[N_COUNTER_FIELDS];

/* A set of fields, 64 a word. */
#define COUNTER_WORDS ((N_COUNTER_FIELDS + 63) / 64)
struct counter_set {
    uint64_t word[COUNTER_WORDS];
};

static inline bool
counter_set_has(const struct counter_set *s, unsigned field)
{
    return s->word[field / 64] >> field % 64 & 1;
}

static inline void
counter_set_add(struct counter_set *s, unsigned field)
{
    s->word[field / 64] |= UINT64_C(1) << field % 64;
}

/* Adds all that 'other' has. */
static inline void
counter_set_join(struct counter_set *s, const struct counter_set *other)
{
    for (unsigned i = 0; i < COUNTER_WORDS; i++) {
        s->word[i] |= other->word[i];
    }
}

size_t counter_set_count(const struct counter_set *);

/* Values of the fields in 'has'. */
struct counter_values {
    struct counter_set has;
    uint64_t value[N_COUNTER_FIELDS];
};

static inline void
counter_values_put(struct counter_values *v, enum counter_field field,
                   uint64_t value)
{
    v->value[field] = value;
    counter_set_add(&v->has, field);
}

/* The values alone, in order, as many as counter_set_count(&v->has) says, and
 * back. */
void counter_values_pack(const struct counter_values *v, uint64_t *packed);
void counter_values_unpack(struct counter_values *v,
                           const struct counter_set *has,
                           const uint64_t *packed);

#endif /* collector/exporter/counter_field.h */
