#include <config.h>

#include "collector/decode/sflow_p.h"

#include <string.h>

#include "collector/exporter/interface_counters.h"
#include "collector/exporter/source_table.h"
#include "lib/dict.h"

/* Counter samples of sFlow version 5 (sflow_version_5.txt), and the structures
 * of sflow_80211.txt, sflow_lag.txt, sflow_openflow.txt, sflow_host.txt,
 * sflow_host_ip.txt and sflow_application.txt at sflow.org.
 *
 * A structure is a list of members in the order of the wire. */

enum form {
    FORM_U32, FORM_U64,         /* All ones: the agent does not count that */
                                /* (sFlow version 5, section 5.3). */
    FORM_BITS32, FORM_BITS64,   /* Any value means something. */
    FORM_MAC,                   /* Six octets, padded to eight. */
    FORM_LOAD,                  /* A float, into thousandths; < 0: unknown. */
};

struct member {
    uint8_t field;              /* enum counter_field. */
    uint8_t form;               /* enum form. */
};

_Static_assert(N_COUNTER_FIELDS <= UINT8_MAX, "field of a member");

#define U32(FIELD) { FIELD_##FIELD, FORM_U32 }
#define U64(FIELD) { FIELD_##FIELD, FORM_U64 }
#define BITS32(FIELD) { FIELD_##FIELD, FORM_BITS32 }
#define BITS64(FIELD) { FIELD_##FIELD, FORM_BITS64 }
#define MAC(FIELD) { FIELD_##FIELD, FORM_MAC }
#define LOAD(FIELD) { FIELD_##FIELD, FORM_LOAD }

static const struct member generic[] = {
    U32(if_type), U64(if_speed), U32(if_direction), U32(if_status),
    U64(in_octets), U32(in_unicast), U32(in_multicast), U32(in_broadcast),
    U32(in_discards), U32(in_errors), U32(in_unknown_protos), U64(out_octets),
    U32(out_unicast), U32(out_multicast), U32(out_broadcast),
    U32(out_discards), U32(out_errors), U32(promiscuous),
};

static const struct member ethernet[] = {
    U32(alignment_errors), U32(fcs_errors), U32(single_collisions),
    U32(multiple_collisions), U32(sqe_test_errors), U32(deferred),
    U32(late_collisions), U32(excessive_collisions), U32(mac_transmit_errors),
    U32(carrier_sense_errors), U32(too_long), U32(mac_receive_errors),
    U32(symbol_errors),
};

static const struct member vlan[] = {
    U32(vlan), U64(vlan_octets), U32(vlan_unicast), U32(vlan_multicast),
    U32(vlan_broadcast), U32(vlan_discards),
};

static const struct member wlan[] = {
    U32(wlan_tx_fragments), U32(wlan_tx_multicast), U32(wlan_failed),
    U32(wlan_retries), U32(wlan_multiple_retries), U32(wlan_duplicates),
    U32(wlan_rts_success), U32(wlan_rts_failure), U32(wlan_ack_failure),
    U32(wlan_rx_fragments), U32(wlan_rx_multicast), U32(wlan_fcs_errors),
    U32(wlan_tx_frames), U32(wlan_undecryptable), U32(wlan_qos_discards),
    U32(wlan_stations), U32(wlan_polls_received), U32(wlan_polls_unused),
    U32(wlan_polls_unusable), U32(wlan_polls_lost),
};

static const struct member lacp[] = {
    MAC(lacp_actor_system), MAC(lacp_partner_system), U32(lacp_aggregator),
    BITS32(lacp_state), U32(lacp_rx), U32(lacp_marker_rx),
    U32(lacp_marker_response_rx), U32(lacp_unknown_rx), U32(lacp_illegal_rx),
    U32(lacp_tx), U32(lacp_marker_tx), U32(lacp_marker_response_tx),
};

static const struct member processor[] = {
    U32(cpu_5s), U32(cpu_1m), U32(cpu_5m), U64(memory_total),
    U64(memory_free),
};

static const struct member radio[] = {
    U32(radio_elapsed_ms), U32(radio_channel_ms), U32(radio_busy_ms),
};

static const struct member of_port[] = {
    BITS64(datapath_id), U32(of_port),
};

static const struct member host_parent[] = {
    U32(parent_class), U32(parent_index),
};

static const struct member host_cpu[] = {
    LOAD(load_1m_milli), LOAD(load_5m_milli), LOAD(load_15m_milli),
    U32(processes_running), U32(processes), U32(cpus), U32(cpu_mhz),
    U32(uptime_s), U32(cpu_user_ms), U32(cpu_nice_ms), U32(cpu_system_ms),
    U32(cpu_idle_ms), U32(cpu_wait_ms), U32(cpu_interrupt_ms),
    U32(cpu_soft_ms), U32(interrupts), U32(contexts), U32(cpu_steal_ms),
    U32(cpu_guest_ms), U32(cpu_guest_nice_ms),
};

static const struct member host_memory[] = {
    U64(mem_total), U64(mem_free), U64(mem_shared), U64(mem_buffers),
    U64(mem_cached), U64(swap_total), U64(swap_free), U32(pages_in),
    U32(pages_out), U32(swaps_in), U32(swaps_out),
};

static const struct member host_disk[] = {
    U64(disk_total), U64(disk_free), U32(disk_fullest), U32(disk_reads),
    U64(disk_read_octets), U32(disk_read_ms), U32(disk_writes),
    U64(disk_written_octets), U32(disk_write_ms),
};

static const struct member host_net[] = {
    U64(host_in_octets), U32(host_in_packets), U32(host_in_errors),
    U32(host_in_drops), U64(host_out_octets), U32(host_out_packets),
    U32(host_out_errors), U32(host_out_drops),
};

static const struct member ip[] = {
    U32(ip_forwarding), U32(ip_default_ttl), U32(ip_in),
    U32(ip_in_header_errors), U32(ip_in_address_errors), U32(ip_forwarded),
    U32(ip_in_unknown), U32(ip_in_discards), U32(ip_in_delivers), U32(ip_out),
    U32(ip_out_discards), U32(ip_out_no_routes), U32(ip_reassembly_timeout),
    U32(ip_reassembly_required), U32(ip_reassembled),
    U32(ip_reassembly_failed), U32(ip_fragmented), U32(ip_fragment_failed),
    U32(ip_fragments),
};

static const struct member icmp[] = {
    U32(icmp_in), U32(icmp_in_errors), U32(icmp_in_unreachable),
    U32(icmp_in_exceeded), U32(icmp_in_parameter), U32(icmp_in_quench),
    U32(icmp_in_redirect), U32(icmp_in_echo), U32(icmp_in_echo_reply),
    U32(icmp_in_timestamp), U32(icmp_in_mask), U32(icmp_in_mask_reply),
    U32(icmp_out), U32(icmp_out_errors), U32(icmp_out_unreachable),
    U32(icmp_out_exceeded), U32(icmp_out_parameter), U32(icmp_out_quench),
    U32(icmp_out_redirect), U32(icmp_out_echo), U32(icmp_out_echo_reply),
    U32(icmp_out_timestamp), U32(icmp_out_timestamp_reply),
    U32(icmp_out_mask), U32(icmp_out_mask_reply),
};

static const struct member tcp[] = {
    U32(tcp_rto_algorithm), U32(tcp_rto_min_ms), U32(tcp_rto_max_ms),
    U32(tcp_max_connections), U32(tcp_active_opens), U32(tcp_passive_opens),
    U32(tcp_attempt_fails), U32(tcp_resets), U32(tcp_established),
    U32(tcp_in), U32(tcp_out), U32(tcp_retransmitted), U32(tcp_in_errors),
    U32(tcp_out_resets), U32(tcp_in_checksum_errors),
};

static const struct member udp[] = {
    U32(udp_in), U32(udp_no_ports), U32(udp_in_errors), U32(udp_out),
    U32(udp_receive_buffer_errors), U32(udp_send_buffer_errors),
    U32(udp_in_checksum_errors),
};

static const struct member node[] = {
    U32(node_mhz), U32(node_cpus), U64(node_memory), U64(node_memory_free),
    U32(node_domains),
};

static const struct member guest_cpu[] = {
    U32(guest_state), U32(guest_cpu_ms), U32(guest_cpus),
};

static const struct member guest_memory[] = {
    U64(guest_memory), U64(guest_memory_max),
};

static const struct member guest_disk[] = {
    U64(guest_disk_capacity), U64(guest_disk_allocated),
    U64(guest_disk_available), U32(guest_disk_reads),
    U64(guest_disk_read_octets), U32(guest_disk_writes),
    U64(guest_disk_written_octets), U32(guest_disk_errors),
};

static const struct member guest_net[] = {
    U64(guest_in_octets), U32(guest_in_packets), U32(guest_in_errors),
    U32(guest_in_drops), U64(guest_out_octets), U32(guest_out_packets),
    U32(guest_out_errors), U32(guest_out_drops),
};

static const struct member app[] = {
    U32(user_time_ms), U32(system_time_ms), U64(memory_used), U64(memory_max),
    U32(files_open), U32(files_max), U32(connections_open),
    U32(connections_max),
};

static const struct member datapath[] = {
    U32(dp_hits), U32(dp_misses), U32(dp_lost), U32(dp_mask_hits),
    U32(dp_flows), U32(dp_masks),
};
#undef U32
#undef U64
#undef BITS32
#undef BITS64
#undef MAC
#undef LOAD

/* ---- What is not only numbers; read before the members. ---- */

static void
read_if_index(struct interface_counters *k, struct cursor *c, struct dict *d)
{
    (void) d;
    k->if_index = cur_u32(c);
}

static uint32_t
read_text(struct cursor *c, struct dict *d)
{
    size_t n;
    const char *text = sflow_string(c, &n);
    return text ? dict_passing(d, text, n < 255 ? n : 255) : 0;
}

static void
read_port_name(struct interface_counters *k, struct cursor *c, struct dict *d)
{
    uint32_t name = read_text(c, d);
    if (!c->bad) {
        k->name = name;
    }
}

/* The uuid has no length before it, whatever its notation in sflow_host.txt
 * may mean: no agent sends one. */
static void
read_host(struct interface_counters *k, struct cursor *c, struct dict *d)
{
    uint32_t name = read_text(c, d);
    const uint8_t *uuid = cur_take(c, sizeof k->uuid);
    uint32_t machine = cur_u32(c), os = cur_u32(c);
    uint32_t release = read_text(c, d);
    if (c->bad) {
        return;
    }
    memcpy(k->uuid, uuid, sizeof k->uuid);
    k->release = release;
    if (!(k->parts & COUNTERS_NAME)) {
        k->name = name;
    }
    counter_set_add(&k->came, FIELD_machine_type);
    counter_set_add(&k->came, FIELD_os_name);
    counter_values_put(&k->v, FIELD_machine_type, machine);
    counter_values_put(&k->v, FIELD_os_name, os);
}

static void
read_adapters(struct interface_counters *k, struct cursor *c, struct dict *d)
{
    (void) d;
    uint32_t n = cur_u32(c);
    for (uint32_t i = 0; i < n && !c->bad; i++) {
        uint32_t if_index = cur_u32(c);
        uint32_t n_macs = cur_u32(c);
        for (uint32_t m = 0; m < n_macs && !c->bad; m++) {
            uint64_t mac = cur_u64(c) >> 16;
            if (!c->bad && k->n_adapters < COUNTER_ADAPTERS) {
                k->adapters[k->n_adapters++] = (struct counter_adapter) {
                    if_index, mac,
                };
            }
        }
    }
}

/* ---- The structures. ---- */

#define MEMBERS(LIST) LIST, sizeof LIST / sizeof LIST[0]
#define MAX_MEMBERS 32

static const struct structure {
    uint32_t format, part;
    void (*read)(struct interface_counters *, struct cursor *, struct dict *);
    const struct member *members;
    size_t n;
    size_t n_later;             /* Of 'n': members that old agents lack. */
} structures[] = {
    { 1, COUNTERS_GENERIC, read_if_index, MEMBERS(generic), 0 },
    { 2, 0, NULL, MEMBERS(ethernet), 0 },
    { 5, 0, NULL, MEMBERS(vlan), 0 },
    { 6, 0, NULL, MEMBERS(wlan), 0 },
    { 7, 0, NULL, MEMBERS(lacp), 0 },
    { 1001, 0, NULL, MEMBERS(processor), 0 },
    { 1002, 0, NULL, MEMBERS(radio), 0 },
    { 1004, 0, NULL, MEMBERS(of_port), 0 },
    { 1005, COUNTERS_NAME, read_port_name, NULL, 0, 0 },
    { 2000, COUNTERS_HOST, read_host, NULL, 0, 0 },
    { 2001, 0, read_adapters, NULL, 0, 0 },
    { 2002, 0, NULL, MEMBERS(host_parent), 0 },
    { 2003, 0, NULL, MEMBERS(host_cpu), 3 },
    { 2004, 0, NULL, MEMBERS(host_memory), 0 },
    { 2005, 0, NULL, MEMBERS(host_disk), 0 },
    { 2006, 0, NULL, MEMBERS(host_net), 0 },
    { 2007, 0, NULL, MEMBERS(ip), 0 },
    { 2008, 0, NULL, MEMBERS(icmp), 0 },
    { 2009, 0, NULL, MEMBERS(tcp), 0 },
    { 2010, 0, NULL, MEMBERS(udp), 0 },
    { 2100, 0, NULL, MEMBERS(node), 0 },
    { 2101, 0, NULL, MEMBERS(guest_cpu), 0 },
    { 2102, 0, NULL, MEMBERS(guest_memory), 0 },
    { 2103, 0, NULL, MEMBERS(guest_disk), 0 },
    { 2104, 0, NULL, MEMBERS(guest_net), 0 },
    { 2203, 0, NULL, MEMBERS(app), 0 },
    { 2207, 0, NULL, MEMBERS(datapath), 0 },
};

/* False: the agent does not know it. */
static bool
read_load(uint32_t bits, uint64_t *value)
{
    float load;
    memcpy(&load, &bits, sizeof load);
    bool known = load >= 0 && load < 1e9f;
    *value = known ? (uint64_t) ((double) load * 1000 + 0.5) : 0;
    return known;
}

static bool
read_member(struct cursor *c, enum form form, uint64_t *value)
{
    switch (form) {
    case FORM_U32:
        *value = cur_u32(c);
        return *value != UINT32_MAX;
    case FORM_U64:
        *value = cur_u64(c);
        return *value != UINT64_MAX;
    case FORM_BITS32:
        *value = cur_u32(c);
        return true;
    case FORM_BITS64:
        *value = cur_u64(c);
        return true;
    case FORM_MAC:
        *value = cur_u64(c) >> 16;
        return true;
    case FORM_LOAD:
        return read_load(cur_u32(c), value);
    }
    return false;
}

/* Nothing of a structure that is too short: it is as good as unknown. */
static void
read_structure(struct interface_counters *k, struct cursor *c,
               struct dict *dict, const struct structure *s)
{
    uint64_t values[MAX_MEMBERS];
    bool known[MAX_MEMBERS];
    size_t n = 0;
    if (s->read) {
        s->read(k, c, dict);
    }
    while (n < s->n && (n < s->n - s->n_later || cur_more(c))) {
        known[n] = read_member(c, (enum form) s->members[n].form, &values[n]);
        n++;
    }
    if (c->bad) {
        return;
    }
    k->parts |= s->part;
    for (size_t i = 0; i < n; i++) {
        unsigned field = s->members[i].field;
        counter_set_add(&k->came, field);
        if (known[i]) {
            counter_values_put(&k->v, (enum counter_field) field, values[i]);
        }
    }
}

/* The formats of the blocks of a sample. */
struct formats {
    uint32_t list[DECODER_STRUCTURES];
    size_t n;
};

static bool
read_block(struct interface_counters *k, struct cursor *c, struct dict *dict,
           struct formats *seen)
{
    uint32_t format = cur_u32(c), size = cur_u32(c);
    struct cursor body = cur_sub(c, size);
    if (body.bad) {
        return false;
    }
    if (seen->n < DECODER_STRUCTURES) {
        seen->list[seen->n++] = format;
    }
    for (size_t i = 0; i < sizeof structures / sizeof structures[0]; i++) {
        if (structures[i].format == format) {
            read_structure(k, &body, dict, &structures[i]);
            break;
        }
    }
    return true;
}

bool
sflow_counter_sample(struct decoder *dec, struct source *source,
                     struct cursor *c, bool expanded)
{
    struct interface_counters k = {
        .source = source, .source_id = source->id,
        .updated_us = dec->d->received_us,
    };
    cur_skip(c, 4);             /* Sequence number. */
    struct formats seen = { .n = 0 };
    k.data_source = sflow_data_source(c, expanded);
    uint32_t n = cur_u32(c);
    if (c->bad) {
        return false;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (!read_block(&k, c, dec->c.dict, &seen)) {
            return false;
        }
    }
    counter_inc(&source->n.counter_records);
    if (dec->c.watch) {
        dec->c.watch->counters(dec->c.watch->aux, source, &k, seen.list,
                               seen.n);
    }
    if (k.parts || counter_set_count(&k.came)) {
        interface_counters_put(source_table_counters(dec->c.sources), &k);
    }
    if (counter_set_has(&k.v.has, FIELD_datapath_id)) {
        source_set_datapath(source, k.v.value[FIELD_datapath_id]);
    }
    if (k.parts & COUNTERS_NAME && !(k.data_source >> 24)) {
        source_name_set(source, SOURCE_NAME_INTERFACE, k.data_source,
                        dec->c.dict, k.name);
    }
    return true;
}
