#include <config.h>

#include <json-c/json.h>

#include "tests/unit/corpora.h"

/* Replays captures that nobody here wrote and compares the number of records
 * with what independent tools settled on. */

/* Where we differ, and why that is right. */
static const struct exception {
    const char *id;
    int flow_records, options_records;  /* -1: do not compare. */
    const char *why;
} exceptions[] = {
    { "logstash-11-ipfix", 12, 1,
      "three messages in a row; the tools read the first only" },
    { "ovs-ipfix-flow-sample-tunnels", 24, 1,
      "Open vSwitch's templates are built in" },
    { "opennms-netflow9_test_juniper_data_b4_tmpl", 15, 1,
      "data before their template are kept until it comes" },
    { "vermont-correct_variable_length_template_and_data", 3, 0,
      "the manifest's note: three records by RFC 7011 section 7" },
    { "tcpdump-sflow_multiple_counter_30_pdus", 7, -1,
      "seven NetFlow v5 records came to the sFlow port; sflowtool cannot" },
    { "lit-NetGauze-crates__flow-pkt__src__wire__tests__netflow.rs__L774_"
      "good_template_wire.nfv9", 0, 0,
      "the template in force needs 2563 bytes, the set has 260" },
    { NULL, 0, 0, NULL },
};

struct totals {
    uint64_t flow_records, reverse_flows, options_records, malformed,
             no_template;
};

static bool
add_source(struct source *s, void *aux)
{
    struct totals *t = aux;
    t->reverse_flows += counter_get(&s->n.reverse_flows);
    t->flow_records += s->n.flow_records;
    t->options_records += s->n.options_records;
    t->malformed += s->n.malformed;
    t->no_template += s->n.no_template;
    return true;
}

/* Flow samples that sflowtool counted, or the settled number; -1 if none. */
static int
expected_flows(struct json_object *expected)
{
    struct json_object *n = get(expected, "flow_records");
    if (n) {
        return json_object_get_int(n);
    }
    struct json_object *samples = get(get(expected, "sflowtool"), "samples");
    if (!samples) {
        return -1;
    }
    return json_object_get_int(get(samples, "flow"))
           + json_object_get_int(get(samples, "expanded-flow"))
           + json_object_get_int(get(samples, "flow-expanded"))
           + json_object_get_int(get(samples, "discarded-packet"));
}

static int
expected_options(struct json_object *expected)
{
    struct json_object *n = get(expected, "options_records");
    return n ? json_object_get_int(n) : -1;
}

static const struct exception *
find_exception(const char *id)
{
    for (const struct exception *e = exceptions; e->id; e++) {
        if (!strcmp(e->id, id)) {
            return e;
        }
    }
    return NULL;
}

/* True if the case was compared. */
static bool
run_case(struct json_object *c)
{
    struct rig r;
    const char *id = json_object_get_string(get(c, "id"));
    rig_init_limits(&r, 4096, 4096, 65536);
    feed_case(&r, c);
    struct totals t = { 0 };
    source_table_each(r.sources, add_source, &t);
    CU_ASSERT_EQUAL(t.flow_records + t.reverse_flows, r.flushed + r.b->n);

    struct json_object *expected = get(c, "expected");
    int flows = expected_flows(expected);
    int options = expected_options(expected);
    const struct exception *e = find_exception(id);
    if (e) {
        flows = e->flow_records;
        options = e->options_records;
    }
    bool right = (flows < 0 || t.flow_records == (unsigned) flows)
                 && (options < 0 || t.options_records == (unsigned) options);
    if (!right) {
        printf("%s: %d flow and %d options records expected, %llu and %llu "
               "found; malformed %llu, no template %llu\n", id, flows,
               options, (unsigned long long) t.flow_records,
               (unsigned long long) t.options_records,
               (unsigned long long) t.malformed,
               (unsigned long long) t.no_template);
        for (const struct counter_def *d = decoder_counter_defs; d->name;
             d++) {
            if (counter_at(&r.n, d)) {
                printf("    %s %llu\n", d->name,
                       (unsigned long long) counter_at(&r.n, d));
            }
        }
    }
    CU_ASSERT_TRUE(right);
    rig_clear(&r);
    return flows >= 0;
}

/* ---- Open vSwitch 3.1.0, as recorded. ---- */

static bool
check_layout(const struct template *t, void *aux)
{
    CU_ASSERT_TRUE(t->ovs);
    *(unsigned *) aux += 1;
    return true;
}

/* Each template that it sent is what we have built in. */
static void
test_ovs_templates(void)
{
    static const struct { const char *file; unsigned n; } files[] = {
        { "ipfix-bridge-tunnel-mixed.pcap", 89 },
        { "ipfix-flow-sample-tunnels.pcap", 89 },
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct rig r;
        char name[256];
        rig_init_limits(&r, 1024, 256, 1024);
        snprintf(name, sizeof name, "openvswitch+ovs/_captures-3.1.0/%s",
                 files[i].file);
        feed_file(&r, name, "pcap");
        unsigned n = 0;
        for (struct source_key k = { .exporter = r.from, .agent = r.from,
                                     .protocol = PROTO_IPFIX };
             k.domain < 1000; k.domain++) {
            struct source *s = source_table_get(r.sources, &k);
            if (!s) {
                break;
            }
            template_each(r.templates, s, check_layout, &n);
        }
        printf("%s: %u templates\n", files[i].file, n);
        CU_ASSERT_EQUAL(n, files[i].n);
        rig_clear(&r);
    }
}

static bool
check_sequence(struct source *s, void *aux)
{
    unsigned *datagrams = aux;
    CU_ASSERT_EQUAL(s->n.lost, 0);
    CU_ASSERT_EQUAL(s->n.reordered, 0);
    *datagrams += (unsigned) s->n.datagrams;
    return true;
}

/* Nothing is missing of what Open vSwitch sent, by its own way to count. */
static void
test_ovs_sequence(void)
{
    static const char *const files[] = {
        "netflow5-expiration", "netflow5-active-expiration",
        "sflow-basic-ipv4", "ipfix-bridge-tunnel-mixed",
    };
    unsigned n = 0;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct rig r;
        char name[256];
        rig_init_limits(&r, 1024, 256, 1024);
        snprintf(name, sizeof name, "openvswitch+ovs/_captures-3.1.0/%s.pcap",
                 files[i]);
        feed_file(&r, name, "pcap");
        source_table_each(r.sources, check_sequence, &n);
        rig_clear(&r);
    }
    printf("%u datagrams of Open vSwitch in sequence\n", n);
}

static void
test_cases(void)
{
    static const char *const protocols[] = { "netflow5", "netflow9", "ipfix",
                                             "sflow5" };
    struct json_object *cases = get(manifest, "cases");
    unsigned n = 0, compared = 0;
    for (size_t i = 0; i < json_object_array_length(cases); i++) {
        struct json_object *c = json_object_array_get_idx(cases, i);
        const char *protocol = json_object_get_string(get(c, "protocol"));
        for (size_t k = 0; k < 4; k++) {
            if (!strcmp(protocol, protocols[k])) {
                n++;
                compared += run_case(c);
            }
        }
    }
    printf("%u cases replayed, %u compared\n", n, compared);
    CU_ASSERT_TRUE(n > 0);
}

int
main(void)
{
    static const struct unit_test tests[] = {
        UNIT_TEST(test_cases), UNIT_TEST(test_ovs_templates),
        UNIT_TEST(test_ovs_sequence),
    };
    if (!corpora_open()) {
        return 77;
    }
    int result = unit_run("corpora", tests,
                          sizeof tests / sizeof tests[0]);
    corpora_close();
    return result;
}
