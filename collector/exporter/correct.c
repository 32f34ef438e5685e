#include <config.h>

#include "collector/exporter/correct.h"

#include <urcu.h>

#include "collector/exporter/source_table.h"
#include "lib/log.h"

/* A dropped frame check sequence aside, what precedes the IP packet in a frame
 * without VLAN tag: NetFlow v5 does not say whether there was one. */
#define ETHERNET_HEADER 14

/* Open vSwitch's NetFlow counts octets of whole frames (ofproto/netflow.c takes
 * them from the datapath's flow statistics). */
static void
frames_to_packets(struct flow_batch *b, uint32_t from, uint32_t n)
{
    for (uint32_t i = from; i < from + n; i++) {
        uint64_t headers = b->raw_packets[i] * ETHERNET_HEADER;
        uint64_t frames = b->raw_bytes[i];
        BATCH_SET(b, l2_bytes, i, frames);
        b->bytes[i] = b->raw_bytes[i] = frames > headers ? frames - headers
                                                         : 0;
        b->quality[i] |= Q_L3_ESTIMATED;
    }
}

/* x * n, or all ones if that does not fit: a rate and a count of a peer must
 * not wrap around to something that looks sane. */
static uint64_t
scaled(uint64_t x, uint64_t n)
{
    uint64_t product;
    return __builtin_mul_overflow(x, n, &product) ? UINT64_MAX : product;
}

/* Scales row 'i' by its rate, or, if the exporter did, computes back what it
 * saw. */
static void
scale_row(struct flow_batch *b, uint32_t i, bool by_exporter)
{
    uint32_t rate = b->sampling[i];
    if (rate <= 1) {
        return;
    }
    if (by_exporter) {
        b->raw_packets[i] = (b->packets[i] + rate / 2) / rate;
        b->raw_bytes[i] = (b->bytes[i] + rate / 2) / rate;
        b->quality[i] |= Q_SCALED_BY_EXPORTER;
        return;
    }
    b->packets[i] = scaled(b->raw_packets[i], rate);
    b->bytes[i] = scaled(b->raw_bytes[i], rate);
    if (batch_is_valid(b, COL_l2_bytes, i)) {
        b->l2_bytes[i] = scaled(b->l2_bytes[i], rate);
    }
    if (batch_is_valid(b, COL_dropped_packets, i)) {
        b->dropped_packets[i] = scaled(b->dropped_packets[i], rate);
    }
}

/* The rate that is known of the source, if its records do not tell. */
static uint32_t
source_rate(const struct source *s, const struct observation *o)
{
    uint32_t rate = atomic_load_explicit(&s->sampling, memory_order_relaxed);
    return rate ? rate : o ? o->sampling : 0;
}

static void
scale_span(struct flow_batch *b, const struct batch_span *span,
           const struct observation *o)
{
    uint32_t rate = source_rate(span->source, o);
    bool by_exporter = (o && o->scaled_by_exporter)
                       || source_is_ovs(span->source);
    uint64_t unknown = 0;
    for (uint32_t i = span->from; i < (uint32_t) span->from + span->n; i++) {
        if (!batch_is_valid(b, COL_sampling, i)) {
            if (!rate) {
                b->quality[i] |= Q_RATE_UNKNOWN;
                unknown++;
                continue;
            }
            BATCH_SET(b, sampling, i, rate);
        }
        scale_row(b, i, by_exporter);
    }
    if (unknown) {
        counter_add(&span->source->n.rate_unknown, unknown);
    }
}

static void
name_interface(struct flow_batch *b, const struct observation *o, uint32_t i,
               enum column_id number, enum column_id name,
               const uint32_t *numbers, uint32_t *names)
{
    if (!batch_is_valid(b, number, i)) {
        return;
    }
    const struct observation_if *f = observation_if_find(o, numbers[i]);
    if (!f) {
        return;
    }
    if (!batch_is_valid(b, name, i)) {
        names[i] = f->name;
        batch_set_valid(b, name, i);
    }
    if (f->bridge && !batch_is_valid(b, COL_bridge, i)) {
        BATCH_SET(b, bridge, i, f->bridge);
    }
}

/* The end of a port's 16 bits means other things in Open vSwitch's NetFlow; so
 * does any number if the packet went through a patch port: it is one of the
 * bridge behind it, and nothing says which.  True if 'out_if' can be named. */
static bool
netflow_output(struct flow_batch *b, const struct observation *o, uint32_t i)
{
    enum { NONE = 0xfffd, MANY = 0xfffe, FORWARDED = 64, DROPPED = 128 };
    if (!o->port_mask || !batch_is_valid(b, COL_out_if, i)) {
        return true;
    }
    uint32_t port = b->out_if[i] & o->port_mask;
    uint32_t none = NONE & o->port_mask;
    if (port >= none) {
        /* Also of what goes on after recirculation it says "none". */
        BATCH_SET(b, forwarding_status, i, port == none ? DROPPED : FORWARDED);
        batch_clear_valid(b, COL_out_if, i);
        b->quality[i] |= Q_OUTPUT_UNKNOWN;
        return false;
    } else if (o->patched) {
        b->quality[i] |= Q_OUTPUT_UNKNOWN;
        return false;
    }
    return true;
}

/* Bridge, interface names and the canonical mark of a row that OVSDB knows
 * about. */
static void
observe_row(struct flow_batch *b, uint32_t i, const struct observation *o)
{
    uint8_t wanted = o->canonical_egress ? DIR_EGRESS : DIR_INGRESS;
    if (o->bridge) {
        BATCH_SET(b, bridge, i, o->bridge);
    }
    name_interface(b, o, i, COL_in_if, COL_in_if_name, b->in_if,
                   b->in_if_name);
    if (netflow_output(b, o, i)) {
        name_interface(b, o, i, COL_out_if, COL_out_if_name, b->out_if,
                       b->out_if_name);
    }
    /* A probe sees each packet once, and calls the way back of a flow
     * "egress". */
    b->canonical[i] = o->canonical
                      && (o->counts_by_if
                          || !batch_is_valid(b, COL_direction, i)
                          || b->direction[i] == wanted);
}

static void
observe_span(struct flow_batch *b, const struct batch_span *span,
             const struct observation *o)
{
    for (uint32_t i = span->from; i < (uint32_t) span->from + span->n; i++) {
        observe_row(b, i, o);
    }
}

static void
count_row(const struct flow_batch *b, uint32_t i, struct observation_stats *s)
{
    int64_t never = 0;
    if (s) {
        atomic_compare_exchange_strong(&s->first_us, &never, b->received[i]);
        atomic_store_explicit(&s->last_us, b->received[i],
                              memory_order_relaxed);
        counter_add(&s->records, 1);
        counter_add(&s->packets, b->packets[i]);
        counter_add(&s->bytes, b->bytes[i]);
        counter_add(&s->raw_packets, b->raw_packets[i]);
    }
}

/* Rows of Flow_Sample_Collector_Sets, which only their virtual_obs_id tells
 * from others of the same address and domain. */
static void
observe_samples(struct flow_batch *b, const struct batch_span *span,
                const struct observation_map *map)
{
    for (uint32_t i = span->from; i < (uint32_t) span->from + span->n; i++) {
        const struct observation *o
            = batch_is_valid(b, COL_virtual_obs_id, i)
              ? observation_of_virtual(map, span->source,
                                       b->virtual_obs_id[i]) : NULL;
        if (!o) {
            continue;
        }
        observe_row(b, i, o);
        count_row(b, i, o->stats);
    }
}

/* Rows of probes, which all come from the same address. */
static void
observe_interfaces(struct flow_batch *b, const struct batch_span *span,
                   const struct observation *o)
{
    for (uint32_t i = span->from; i < (uint32_t) span->from + span->n; i++) {
        const struct observation_if *f
            = batch_is_valid(b, COL_in_if, i)
              ? observation_if_find(o, b->in_if[i]) : NULL;
        if (f) {
            count_row(b, i, f->stats);
        }
    }
}

/* Open vSwitch reports a packet when it enters and again wherever it leaves;
 * bridges can be told to do only one of the two.  A source counts as one that
 * only sends what leaves when nothing else came for this long: rather too
 * little for a moment than everything twice. */
#define EGRESS_ONLY_AFTER_US (INT64_C(10) * 1000000)

static void
canonical_ovs(struct flow_batch *b, const struct batch_span *span)
{
    struct source *s = span->source;
    uint32_t end = (uint32_t) span->from + span->n;
    int64_t seen = atomic_load_explicit(&s->ingress_us, memory_order_relaxed);
    int64_t first = atomic_load_explicit(&s->first_us, memory_order_relaxed);
    for (uint32_t i = span->from; i < end; i++) {
        bool known = batch_is_valid(b, COL_direction, i);
        if (known && b->direction[i] == DIR_INGRESS) {
            seen = b->received[i];
        }
        bool only_egress = seen
                           ? b->received[i] - seen
                             > SOURCE_INTERFACE_S * INT64_C(1000000)
                           : b->received[i] - first > EGRESS_ONLY_AFTER_US;
        b->canonical[i] = !known || b->direction[i] == DIR_INGRESS
                          || only_egress;
    }
    if (seen) {
        atomic_store_explicit(&s->ingress_us, seen, memory_order_relaxed);
    }
}

static bool
has_direction(const struct flow_batch *b, uint32_t from, uint32_t end,
              uint8_t direction)
{
    for (uint32_t i = from; i < end; i++) {
        if (batch_is_valid(b, COL_direction, i)
            && b->direction[i] == direction) {
            return true;
        }
    }
    return false;
}

/* One interface, on both sides: this is not what a router does with a packet,
 * but what a probe says that watches a wire.  It sees each packet once, and
 * calls one of the two ways "egress" (softflowd does). */
static bool
is_watched(const struct flow_batch *b, uint32_t i)
{
    return batch_is_valid(b, COL_out_if, i) && b->out_if[i] == b->in_if[i];
}

/* An exporter that reports packets when they leave, too: such a record repeats
 * another one if the exporter also reports what enters where these packets
 * entered. */
static void
canonical_any(struct flow_batch *b, const struct batch_span *span)
{
    const struct source *s = span->source;
    uint32_t from = span->from, end = from + span->n;
    uint32_t now_s = (uint32_t) (b->received[from] / 1000000);

    memset(&b->canonical[from], 1, span->n);
    if (has_direction(b, from, end, DIR_EGRESS)) {
        source_interface_note(s, SOURCE_SENDS_EGRESS, now_s);
    } else if (!has_direction(b, from, end, DIR_INGRESS)
               || !source_interface_known(s, SOURCE_SENDS_EGRESS, now_s)) {
        return;
    }
    for (uint32_t i = from; i < end; i++) {
        if (!batch_is_valid(b, COL_direction, i)
            || !batch_is_valid(b, COL_in_if, i) || !b->in_if[i]) {
            continue;
        } else if (b->direction[i] == DIR_INGRESS) {
            if (!is_watched(b, i)) {
                source_interface_note(s, b->in_if[i], now_s);
            }
        } else {
            b->canonical[i] = !source_interface_known(s, b->in_if[i], now_s);
        }
    }
}

static void
repair_times(struct flow_batch *b, uint32_t from, uint32_t n)
{
    for (uint32_t i = from; i < from + n; i++) {
        int64_t late = b->flow_end[i] - b->received[i];
        if (late > CORRECT_MAX_FUTURE_US || late < -CORRECT_MAX_PAST_US) {
            b->flow_start[i] = b->flow_end[i] = b->received[i];
            b->quality[i] |= Q_TIME_CORRECTED;
        } else if (b->flow_start[i] > b->flow_end[i]
                   || b->flow_end[i] - b->flow_start[i]
                      > CORRECT_MAX_PAST_US) {
            b->flow_start[i] = b->flow_end[i];
            b->quality[i] |= Q_TIME_CORRECTED;
        }
    }
}

static void
count_span(struct flow_batch *b, const struct batch_span *span,
           struct observation *o)
{
    uint64_t packets = 0, bytes = 0, l2_bytes = 0, raw_packets = 0;
    uint64_t corrected = 0;
    int64_t last = 0;
    for (uint32_t i = span->from; i < (uint32_t) span->from + span->n; i++) {
        packets += b->packets[i];
        bytes += b->bytes[i];
        raw_packets += b->raw_packets[i];
        if (batch_is_valid(b, COL_l2_bytes, i)) {
            l2_bytes += b->l2_bytes[i];
        }
        corrected += (b->quality[i] & Q_TIME_CORRECTED) != 0;
        last = b->received[i];
    }
    if (corrected) {
        counter_add(&span->source->n.time_corrected, corrected);
    }
    counter_add(&span->source->n.packets, packets);
    counter_add(&span->source->n.bytes, bytes);
    if (o && o->stats) {
        struct observation_stats *s = o->stats;
        int64_t never = 0;
        atomic_compare_exchange_strong(&s->first_us, &never, last);
        atomic_store_explicit(&s->last_us, last, memory_order_relaxed);
        counter_add(&s->records, span->n);
        counter_add(&s->packets, packets);
        counter_add(&s->bytes, bytes);
        counter_add(&s->l2_bytes, l2_bytes);
        counter_add(&s->raw_packets, raw_packets);
    }
}

void
correct_multicast(struct flow_batch *b, uint32_t from, uint32_t n)
{
    for (uint32_t i = from; i < from + n; i++) {
        if (batch_is_valid(b, COL_dst_addr, i)
            && !batch_is_valid(b, COL_multicast, i)) {
            BATCH_SET(b, multicast, i, addr_is_multicast(&b->dst_addr[i]));
        }
    }
}

void
correct_process(void *aux, struct flow_batch *b)
{
    struct correct *c = aux;
    rcu_read_lock();
    const struct observation_map *map = 
        atomic_load_explicit(&c->map, memory_order_acquire);
    for (uint32_t s = 0; s < b->n_spans; s++) {
        const struct batch_span *span = &b->spans[s];
        struct observation *o = observation_of(map, span->source);
        if (o && o->counts_frames) {
            frames_to_packets(b, span->from, span->n);
        }
        scale_span(b, span, o);
        if (o) {
            observe_span(b, span, o);
        } else if (source_is_ovs(span->source)) {
            canonical_ovs(b, span);
        } else {
            canonical_any(b, span);
        }
        if (map && map->n_virtual
            && span->source->key.protocol == PROTO_IPFIX) {
            observe_samples(b, span, map);
        }
        if (o && o->counts_by_if) {
            observe_interfaces(b, span, o);
        }
        repair_times(b, span->from, span->n);
        count_span(b, span, o);
    }
    rcu_read_unlock();
    correct_multicast(b, 0, b->n);
}

void
correct_publish(struct correct *c, struct observation_map *map)
{
    struct observation_map *old = atomic_exchange(&c->map, map);
    synchronize_rcu();
    observation_map_destroy(old);
}
