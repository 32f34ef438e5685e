/* ovsdb/export_load.c -- what an exporter will send, by what passed the bridge
 * lately.  Estimates: measured sizes of what Open vSwitch 3.1 sends. */
#include <config.h>

#include "ovsdb/export_plan_p.h"

/* IPFIX: 290 to 303 octets per record, one record per datagram, with UDP and
 * IP.  sFlow: datagram and sample headers, extended switch data; counters of a
 * port.  Samples share datagrams when they come fast: then it is less. */
#define IPFIX_RECORD 300
#define SFLOW_SAMPLE 150
#define SFLOW_COUNTERS 260

static int64_t
value_or(const struct export_value *v, int64_t other)
{
    return v->set ? v->number : other;
}

/* Without what passed: what a round number of packets would come to. */
static void
load_per_100k(struct subject *s)
{
    const struct export_value *v = s->out->desired->value;
    if (s->table == EXPORT_SFLOW) {
        s->out->records_per_100k
            = 100000.0 / (double) value_or(&v[OPT_SF_SAMPLING], 400);
        s->out->bytes_per_100k = s->out->records_per_100k * (double) (
            SFLOW_SAMPLE + value_or(&v[OPT_SF_HEADER], 128));
    } else if (s->table == EXPORT_IPFIX
               && !(value_or(&v[OPT_IX_CACHE_ACTIVE_TIMEOUT], 0)
                    && value_or(&v[OPT_IX_CACHE_MAX_FLOWS], 0))) {
        s->out->records_per_100k
            = 100000.0 / (double) value_or(&v[OPT_IX_SAMPLING], 400)
              * (double) (value_or(&v[OPT_IX_INPUT_SAMPLING], 1)
                          + value_or(&v[OPT_IX_OUTPUT_SAMPLING], 1));
        s->out->bytes_per_100k = s->out->records_per_100k * IPFIX_RECORD;
    }
}

static void
load_sflow(struct subject *s)
{
    const struct export_value *v = s->out->desired->value;
    int64_t polling = value_or(&v[OPT_SF_POLLING], 30);
    double samples = s->bridge->in_pps
                     / (double) value_or(&v[OPT_SF_SAMPLING], 400);
    double counters = polling > 0 ? (double) s->bridge->n_interfaces
                                    / (double) polling : 0;
    s->out->records_per_s = samples + counters;
    s->out->bytes_per_s = samples * (double) (
        SFLOW_SAMPLE + value_or(&v[OPT_SF_HEADER], 128))
        + counters * SFLOW_COUNTERS;
}

static void
load_ipfix(struct subject *s)
{
    const struct export_value *v = s->out->desired->value;
    double sampled = s->bridge->in_pps
                     * (double) value_or(&v[OPT_IX_INPUT_SAMPLING], 1)
                     + s->bridge->out_pps
                       * (double) value_or(&v[OPT_IX_OUTPUT_SAMPLING], 1);
    double records = sampled / (double) value_or(&v[OPT_IX_SAMPLING], 400);
    int64_t timeout = value_or(&v[OPT_IX_CACHE_ACTIVE_TIMEOUT], 0);
    int64_t flows = value_or(&v[OPT_IX_CACHE_MAX_FLOWS], 0);
    /* With a cache no more than a full one each timeout, if flows last. */
    if (timeout && flows && records > (double) flows / (double) timeout) {
        records = (double) flows / (double) timeout;
    }
    s->out->records_per_s = records;
    s->out->bytes_per_s = records * IPFIX_RECORD;
}

void
plan_load(struct subject *s)
{
    if (!s->bridge || s->out->sample) {
        return;
    }
    load_per_100k(s);
    if (s->bridge->in_pps < 0 || s->bridge->out_pps < 0) {
        return;
    }
    if (s->table == EXPORT_SFLOW) {
        load_sflow(s);
    } else if (s->table == EXPORT_IPFIX) {
        load_ipfix(s);
    }
    /* NetFlow sends a record per connection: packets do not tell. */
}
