#include <config.h>

#include <time.h>

#include "tests/unit/corpora.h"

/* Compares each record of the shared captures, field by field, with what
 * nfdump or sflowtool printed of it.  All keep the order of arrival. */

enum field {
    F_SA, F_DA, F_PR, F_SP, F_DP, F_BYTES, F_PACKETS, F_START, F_END, F_FLAGS,
    F_TOS, F_IN, F_OUT, F_SRC_AS, F_DST_AS, F_SRC_MASK, F_DST_MASK, F_HOP,
    F_BGP_HOP, F_VLAN, F_POST_VLAN, F_SRC_MAC, F_POST_DST_MAC, F_DST_MAC,
    F_POST_SRC_MAC, F_FWD, F_LABELS, N_FIELDS
};

static const char *const field_names[N_FIELDS] = {
    "sa", "da", "pr", "sp", "dp", "ibyt", "ipkt", "ts", "te", "flg", "stos",
    "in", "out", "sas", "das", "smk", "dmk", "nh", "nhb", "svln", "dvln",
    "ismc", "odmc", "idmc", "osmc", "fwd", "mpls",
};

struct row {
    char field[N_FIELDS][128];
};

struct rows {
    struct row *row;
    size_t n;
};

static struct row *
add_row(struct rows *rows)
{
    rows->row = realloc(rows->row, (rows->n + 1) * sizeof *rows->row);
    return memset(&rows->row[rows->n++], 0, sizeof *rows->row);
}

/* ---- Ours, printed as nfdump does. ---- */

#define FIELD(I) row->field[I], sizeof row->field[I]

static uint64_t
value(const struct flow_batch *b, enum column_id col, uint32_t i)
{
    uint64_t v = 0;
    const struct column *c = &columns[col];
    if (!(c->flags & CF_NULL) || batch_is_valid(b, col, i)) {
        memcpy(&v, (const uint8_t *) b + c->offset + (size_t) i * c->size,
               c->size);
    }
    return v;
}

static void
print_addr(char *to, size_t size, const struct flow_batch *b,
           enum column_id col, uint32_t i)
{
    char text[ADDR_STRLEN] = "";
    if (batch_is_valid(b, col, i)) {
        addr_format((const struct addr *) ((const uint8_t *) b
                                           + columns[col].offset) + i, text);
    }
    snprintf(to, size, "%s", !strcmp(text, "0.0.0.0") || !strcmp(text, "::")
                             ? "" : text);
}

static void
print_time(char *to, size_t size, int64_t us)
{
    time_t t = (time_t) (us / 1000000);
    struct tm tm;
    strftime(to, size, "%Y-%m-%d %H:%M:%S", gmtime_r(&t, &tm));
}

static void
print_mac(char *to, size_t size, uint64_t m)
{
    snprintf(to, size, "%02x:%02x:%02x:%02x:%02x:%02x",
             (unsigned) (m >> 40 & 255), (unsigned) (m >> 32 & 255),
             (unsigned) (m >> 24 & 255), (unsigned) (m >> 16 & 255),
             (unsigned) (m >> 8 & 255), (unsigned) (m & 255));
}

static void
print_numbers(struct row *row, const struct flow_batch *b, uint32_t i)
{
    static const struct { uint8_t field; uint8_t column; } map[] = {
        { F_PR, COL_proto }, { F_SP, COL_src_port }, { F_DP, COL_dst_port },
        { F_BYTES, COL_bytes }, { F_PACKETS, COL_packets },
        { F_TOS, COL_tos }, { F_IN, COL_in_if }, { F_OUT, COL_out_if },
        { F_SRC_AS, COL_src_as }, { F_DST_AS, COL_dst_as },
        { F_SRC_MASK, COL_src_prefix_length },
        { F_DST_MASK, COL_dst_prefix_length }, { F_VLAN, COL_vlan_id },
        { F_POST_VLAN, COL_post_vlan_id },
        { F_FWD, COL_forwarding_status },
    };
    for (size_t k = 0; k < sizeof map / sizeof map[0]; k++) {
        snprintf(FIELD(map[k].field), "%llu",
                 (unsigned long long) value(b, map[k].column, i));
    }
    static const struct { uint8_t field; uint8_t column; } macs[] = {
        { F_SRC_MAC, COL_src_mac }, { F_DST_MAC, COL_dst_mac },
        { F_POST_SRC_MAC, COL_post_src_mac },
        { F_POST_DST_MAC, COL_post_dst_mac },
    };
    for (size_t k = 0; k < sizeof macs / sizeof macs[0]; k++) {
        print_mac(FIELD(macs[k].field), value(b, macs[k].column, i));
    }
}

static void
print_row(struct row *row, struct dict *dict, const struct flow_batch *b,
          uint32_t i)
{
    print_numbers(row, b, i);
    print_addr(FIELD(F_SA), b, COL_src_addr, i);
    print_addr(FIELD(F_DA), b, COL_dst_addr, i);
    print_addr(FIELD(F_HOP), b, COL_next_hop, i);
    print_addr(FIELD(F_BGP_HOP), b, COL_bgp_next_hop, i);
    print_time(FIELD(F_START), b->flow_start[i]);
    print_time(FIELD(F_END), b->flow_end[i]);
    uint64_t flags = value(b, COL_tcp_flags, i);
    for (unsigned k = 0; k < 8; k++) {
        row->field[F_FLAGS][k] = flags & 0x80u >> k ? "CEUAPRSF"[k] : '.';
    }
    if (batch_is_valid(b, COL_icmp_type, i)) {
        snprintf(FIELD(F_DP), "%u", b->icmp_type[i] << 8 | b->icmp_code[i]);
    }
    if (batch_is_valid(b, COL_mpls_labels, i)) {
        snprintf(FIELD(F_LABELS), "%s", dict_text(dict, b->mpls_labels[i]));
    }
}

struct collected {
    struct rig rig;             /* First: it is the decoder's 'aux'. */
    struct rows rows;
};

static struct flow_batch *
collect(void *aux, struct flow_batch *b)
{
    struct collected *c = aux;
    for (uint32_t i = 0; i < b->n; i++) {
        print_row(add_row(&c->rows), c->rig.dict, b, i);
    }
    return rig_flush(aux, b);
}

/* ---- nfdump's. ---- */

static const char *
proto_number(const char *name)
{
    static const char *const names[][2] = {
        { "ICMP", "1" }, { "IGMP", "2" }, { "GGP", "3" }, { "IPIP", "4" },
        { "ST", "5" }, { "TCP", "6" }, { "UDP", "17" }, { "IPv6", "41" },
        { "GRE", "47" }, { "ESP", "50" }, { "AH", "51" }, { "ICMP6", "58" },
        { "OSPF", "89" }, { "PIM", "103" }, { "VRRP", "112" },
        { "SCTP", "132" },
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!strcmp(names[i][0], name)) {
            return names[i][1];
        }
    }
    return name;
}

/* "label-exp-bottom", ten of them, in our form. */
static void
read_labels(char *to, size_t size, char *const *cell)
{
    size_t n = 0;
    for (unsigned i = 0; i < 10; i++) {
        unsigned long label = strtoul(cell[i], NULL, 10);
        if (strcmp(cell[i], "0-0-0")) {
            n += (size_t) snprintf(to + n, size - n, "%s%lu", n ? " " : "",
                                   label);
        }
    }
}

static void
read_csv_row(struct row *row, char *const *cell)
{
    static const uint8_t cells[N_FIELDS] = {
        [F_SA] = 3, [F_DA] = 4, [F_PR] = 7, [F_SP] = 5, [F_DP] = 6,
        [F_BYTES] = 12, [F_PACKETS] = 11, [F_START] = 0, [F_END] = 1,
        [F_FLAGS] = 8, [F_TOS] = 10, [F_IN] = 15, [F_OUT] = 16,
        [F_SRC_AS] = 17, [F_DST_AS] = 18, [F_SRC_MASK] = 19,
        [F_DST_MASK] = 20, [F_HOP] = 23, [F_BGP_HOP] = 24, [F_VLAN] = 25,
        [F_POST_VLAN] = 26, [F_SRC_MAC] = 27, [F_POST_DST_MAC] = 28,
        [F_DST_MAC] = 29, [F_POST_SRC_MAC] = 30, [F_FWD] = 9,
    };
    for (unsigned i = 0; i < F_LABELS; i++) {
        const char *v = cell[cells[i]];
        bool none = !strcmp(v, "0.0.0.0") || !strcmp(v, "::");
        v = none ? "" : i == F_PR ? proto_number(v) : v;
        snprintf(FIELD(i), "%.*s", (int) strcspn(v, " ")
                 + (i == F_START || i == F_END ? 9 : 0), v);
    }
    read_labels(FIELD(F_LABELS), cell + 31);
}

#define N_CELLS 48

static void
read_csv(struct rows *rows, const char *name)
{
    size_t n;
    uint8_t *data = read_file(name, &n);
    CU_ASSERT_PTR_NOT_NULL_FATAL(data);
    char *text = strndup((char *) data, n), *save = NULL;
    free(data);
    bool header = true;
    for (char *line = strtok_r(text, "\n", &save); line;
         line = strtok_r(NULL, "\n", &save)) {
        char *cell[N_CELLS], *c = line;
        unsigned k = 0;
        while (k < N_CELLS && c) {
            cell[k++] = strsep(&c, ",");
        }
        if (!header && k >= 41 && strncmp(line, "Summary", 7)) {
            read_csv_row(add_row(rows), cell);
        }
        header = false;
    }
    free(text);
}

/* ---- Comparing. ---- */

static const struct exception {
    const char *id;             /* Prefix of cases; "" for all. */
    const char *fields;         /* Names with spaces between; "*" for all. */
    const char *why;
} exceptions[] = {
    { "logstash-01-", "*", "the header says 2 records, nfdump reads on" },
    { "logstash-11-", "*", "biflows are two records here" },
    { "telegraf-ipfix_example", "*", "biflows are two records here" },
    { "softflowd-ipfix-biflow-tls", "*", "biflows are two records here" },
    { "softflowd-ipfix-tcp-biflow-sip", "*", "biflows" },
    { "softflowd-v1-mixed", "*", "records of 48 octets: nfdump wants 52" },
    { "ovs-ipfix-flow-sample-tunnels", "*",
      "nfdump knows no template where Open vSwitch repeats none" },
    { "ovs-ipfix-bridge-tunnel-mixed", "ibyt ipkt dp",
      "deltas and running totals in one record: nfdump does not take the "
      "deltas; it does not read elements 176 and 177" },
    { "logstash-04-", "dp", "nfdump does not read 139, icmpTypeCodeIPv6" },
    { "logstash-08-", "dp", "nfdump does not read 139" },
    { "logstash-25-", "sa da dp",
      "addresses of both families: nfdump takes the second, which is zero; "
      "ICMP's type is in the lower half of a port" },
    { "logstash-35-", "ibyt ipkt",
      "counts of the other direction in the same record: those not zero" },
    { "akvorado-ipfix-datalink-frame", "*",
      "nfdump does not read 315, dataLinkFrameSection" },
    { "akvorado-ipfix-eompls", "*", "nfdump does not read 315" },
    { "akvorado-ipfix-mpls", "fwd", "nfdump does not read 89 in IPFIX" },
    { "pmacct-104-", "fwd", "nfdump does not read 89 in IPFIX" },
    { "pmacct-111-", "fwd nhb", "nor 89, nor 63 beside an IPv4 next hop" },
    { "pmacct-112-", "fwd svln ts te",
      "nor 89, nor 243, dot1qVlanId; swaps 21 and 22 in IPFIX" },
    { "pmacct-401-", "fwd svln sa da nhb dp ts te",
      "nor 89, 243, 18 in flows of IPv6; loses addresses of some; ICMP's "
      "type is in the lower half of a port; swaps 21 and 22 in IPFIX" },
    { "pmacct-402-", "fwd svln sa da nhb dp ts te", "the same exporter" },
    { "pmacct-501-", "fwd svln sa da nhb dp ts te", "the same exporter" },
    { "softflowd-v5-mixed", "ts te",
      "flows a day ahead of the header's sysUptime: nfdump takes them for "
      "49 days old; the stage correct repairs either" },
    { "akvorado-sflow-data-encap-vxlan",
      "srcIP dstIP IPProtocol UDPSrcPort UDPDstPort",
      "the packet in the tunnel; sflowtool prints the outer one" },
    { "lit-gopacket-layers__sflow_test.go__L224_",
      "srcSubnetMask dstSubnetMask", "masks: told as lengths, 32 and 25" },
    { "tcpdump-sflow_multiple_counter_30_pdus", "*",
      "NetFlow v5 that came to the sFlow port" },
    { NULL, NULL, NULL },
};

static bool
is_exception(const char *id, const char *field)
{
    for (const struct exception *e = exceptions; e->id; e++) {
        if (!strncmp(e->id, id, strlen(e->id))) {
            if (!strcmp(e->fields, "*")) {
                return true;
            }
            size_t n = strlen(field);
            for (const char *p = strstr(e->fields, field); p;
                 p = strstr(p + 1, field)) {
                if ((p == e->fields || p[-1] == ' ')
                    && (!p[n] || p[n] == ' ')) {
                    return true;
                }
            }
        }
    }
    return false;
}

/* What nfdump prints where it has nothing, or prints in its own way. */
static bool
is_equal(unsigned f, const char *ours, const char *theirs)
{
    if ((f == F_START || f == F_END) && !strncmp(theirs, "1970", 4)) {
        return true;            /* Reads neither 150-159 nor 322-325. */
    } else if ((f == F_SA || f == F_DA) && strchr(ours, '.')
               && !strncmp(theirs, "::", 2)) {
        theirs += 2;            /* IPv4 in what it takes for IPv6. */
    }
    return !strcmp(ours, theirs);
}

static unsigned compared;

static void
compare(const char *id, struct rows *ours, struct rows *theirs)
{
    if (ours->n != theirs->n) {
        bool known = is_exception(id, "*");
        if (!known) {
            printf("%s: %zu records, nfdump has %zu\n", id, ours->n,
                   theirs->n);
        }
        CU_ASSERT_TRUE(known);
        return;
    }
    for (unsigned f = 0; f < N_FIELDS; f++) {
        unsigned wrong = 0;
        size_t first = 0;
        for (size_t i = ours->n; i-- > 0; ) {
            if (!is_equal(f, ours->row[i].field[f],
                          theirs->row[i].field[f])) {
                wrong++;
                first = i;
            }
        }
        if (wrong && !is_exception(id, field_names[f])) {
            printf("%s: %s differs in %u of %zu records: %s, nfdump has %s\n",
                   id, field_names[f], wrong, ours->n,
                   ours->row[first].field[f], theirs->row[first].field[f]);
            CU_FAIL("field differs");
        }
        compared += (unsigned) ours->n;
    }
}

static void
run_case(struct json_object *c, const char *csv)
{
    struct collected *x = calloc(1, sizeof *x);
    struct rows theirs = { NULL, 0 };
    rig_init_limits(&x->rig, 4096, 4096, 65536);
    decoder_destroy(x->rig.decoder);
    struct decoder_config config = {
        .dict = x->rig.dict, .sources = x->rig.sources,
        .templates = x->rig.templates, .counters = &x->rig.n,
        .flush = collect, .aux = x,
    };
    x->rig.decoder = decoder_create(&config);
    feed_case(&x->rig, c);
    x->rig.b = collect(x, x->rig.b);
    read_csv(&theirs, csv);
    compare(json_object_get_string(get(c, "id")), &x->rows, &theirs);
    rig_clear(&x->rig);
    free(theirs.row);
    free(x->rows.row);
    free(x);
}

static void
test_nfdump(void)
{
    struct json_object *cases = get(manifest, "cases");
    unsigned n = 0;
    for (size_t i = 0; i < json_object_array_length(cases); i++) {
        struct json_object *c = json_object_array_get_idx(cases, i);
        struct json_object *csv = get(get(c, "expected"), "nfdump_csv");
        if (csv) {
            run_case(c, json_object_get_string(csv));
            n++;
        }
    }
    printf("%u cases, %u fields compared\n", n, compared);
    CU_ASSERT_TRUE(n > 0);
}

/* ---- sFlow, and what sflowtool printed. ---- */

enum form { DECIMAL, HEX_LABEL, HEX_MAC, ADDRESS, ADDRESS6, PATH, PAIRS };

static const struct {
    const char *key;
    uint8_t column;             /* enum column_id. */
    uint8_t form;
} sflow_keys[] = {
    { "meanSkipCount", COL_sampling, DECIMAL },
    { "inputPort", COL_in_if, DECIMAL },
    { "outputPort", COL_out_if, DECIMAL },
    { "in_vlan", COL_vlan_id, DECIMAL },
    { "out_vlan", COL_post_vlan_id, DECIMAL },
    { "decodedVLAN", COL_vlan_id, DECIMAL },
    { "decodedPriority", COL_vlan_priority, DECIMAL },
    { "dstMAC", COL_dst_mac, HEX_MAC },
    { "srcMAC", COL_src_mac, HEX_MAC },
    { "ethernet_dst", COL_dst_mac, HEX_MAC },
    { "ethernet_src", COL_src_mac, HEX_MAC },
    { "ethernet_type", COL_ether_type, DECIMAL },
    { "ip.tot_len", COL_bytes, DECIMAL },
    { "IPTOS", COL_tos, DECIMAL },
    { "IPTTL", COL_ttl, DECIMAL },
    { "IP6_label", COL_flow_label, HEX_LABEL },
    { "srcIP", COL_src_addr, ADDRESS },
    { "dstIP", COL_dst_addr, ADDRESS },
    { "srcIP6", COL_src_addr, ADDRESS6 },
    { "dstIP6", COL_dst_addr, ADDRESS6 },
    { "IPProtocol", COL_proto, DECIMAL },
    { "TCPSrcPort", COL_src_port, DECIMAL },
    { "TCPDstPort", COL_dst_port, DECIMAL },
    { "TCPFlags", COL_tcp_flags, DECIMAL },
    { "UDPSrcPort", COL_src_port, DECIMAL },
    { "UDPDstPort", COL_dst_port, DECIMAL },
    { "ICMPType", COL_icmp_type, DECIMAL },
    { "ICMPCode", COL_icmp_code, DECIMAL },
    { "nextHop", COL_next_hop, ADDRESS },
    { "srcSubnetMask", COL_src_prefix_length, DECIMAL },
    { "dstSubnetMask", COL_dst_prefix_length, DECIMAL },
    { "bgp_nexthop", COL_bgp_next_hop, ADDRESS },
    { "src_as", COL_src_as, DECIMAL },
    { "dst_as", COL_dst_as, DECIMAL },
    { "dst_as_path", COL_as_path, PATH },
    { "BGP_communities", COL_communities, PAIRS },
    { "out_VNI", COL_vni, DECIMAL },
    { "tunnel_ipv4_out_srcIP", COL_tunnel_src_addr, ADDRESS },
    { "tunnel_ipv4_out_dstIP", COL_tunnel_dst_addr, ADDRESS },
    { "discardCode", COL_drop_reason, DECIMAL },
};

static void
print_sflow(char *to, size_t size, enum form form, const struct flow_batch *b,
            struct dict *dict, enum column_id col, uint32_t i)
{
    uint64_t v = columns[col].type == COLUMN_T_ADDR ? 0 : value(b, col, i);
    switch (form) {
    case DECIMAL:
        snprintf(to, size, "%llu", (unsigned long long) v);
        break;
    case HEX_LABEL:
        snprintf(to, size, "0x%llx", (unsigned long long) v);
        break;
    case HEX_MAC:
        snprintf(to, size, "%012llx", (unsigned long long) v);
        break;
    case ADDRESS:
    case ADDRESS6:
        print_addr(to, size, b, col, i);
        break;
    default:
        snprintf(to, size, "%s", v ? dict_text(dict, (uint32_t) v) : "");
        break;
    }
}

/* sflowtool's form in ours. */
static void
convert_sflow(char *to, size_t size, enum form form, const char *text)
{
    struct addr a;
    size_t n = 0;
    *to = '\0';
    if (form == ADDRESS || form == ADDRESS6) {
        if (!addr_parse(text, &a) && strcmp(text, "0.0.0.0")) {
            char s[ADDR_STRLEN];
            snprintf(to, size, "%s", addr_format(&a, s));
        }
    } else if (form == PATH) {
        bool set = false;
        for (; *text && n + 3 < size; text++) {
            set = *text == '(' || (set && *text != ')');
            n += (size_t) snprintf(to + n, size - n, "%s",
                                   *text == '(' ? n ? " {" : "{"
                                   : *text == ')' ? text[1] ? "} " : "}"
                                   : *text == '-' ? set ? "," : " "
                                   : (char []) { *text, '\0' });
        }
    } else if (form == PAIRS) {
        char *end = (char *) text;
        for (const char *p = text; *p; p = *end ? end + 1 : end) {
            unsigned long v = strtoul(p, &end, 10);
            n += (size_t) snprintf(to + n, size - n, "%s%lu:%lu",
                                   n ? " " : "", v >> 16 & 0xffff,
                                   v & 0xffff);
            if (end == p) {
                break;
            }
        }
    } else {
        snprintf(to, size, "%s", text);
    }
}

/* sflowtool prints ~0 and 0x3fffffff for what is not known. */
static bool
is_unknown(const char *key, const char *text)
{
    return !strcmp(text, "4294967295")
           || (strstr(key, "putPort") && (!strcmp(text, "1073741823")
                                          || strchr(text, ' ')))
           || (strstr(key, "_vlan") && !strcmp(text, "0"));
}

static void
compare_line(const char *id, struct collected *x, const struct flow_batch *b,
             uint32_t i, char *line)
{
    char *text = strchr(line, ' ');
    if (!text) {
        return;
    }
    *text++ = '\0';
    for (size_t k = 0; k < sizeof sflow_keys / sizeof sflow_keys[0]; k++) {
        char ours[1024], theirs[1024];
        if (strcmp(sflow_keys[k].key, line) || is_unknown(line, text)) {
            continue;
        }
        print_sflow(ours, sizeof ours, sflow_keys[k].form, b, x->rig.dict,
                    sflow_keys[k].column, i);
        convert_sflow(theirs, sizeof theirs, sflow_keys[k].form, text);
        compared++;
        if (strcmp(ours, theirs) && !is_exception(id, line)) {
            printf("%s, sample %u: %s is %s, sflowtool has %s\n", id, i, line,
                   ours, theirs);
            CU_FAIL("field differs");
        }
    }
}

/* Walks through what sflowtool printed; rows are in the same order. */
static void
compare_sflow(const char *id, struct collected *x, const char *name)
{
    size_t n;
    uint8_t *data = read_file(name, &n);
    CU_ASSERT_PTR_NOT_NULL_FATAL(data);
    char *text = strndup((char *) data, n), *save = NULL;
    free(data);
    const struct flow_batch *b = x->rig.b;
    int row = -1;
    bool flow = false;
    for (char *line = strtok_r(text, "\n", &save); line;
         line = strtok_r(NULL, "\n", &save)) {
        if (!strncmp(line, "startSample", 11)) {
            flow = false;
        } else if (!strncmp(line, "sampleType ", 11)) {
            flow = strstr(line, "FLOW") || strstr(line, "DISCARD");
            row += flow;
        }
        if (flow && row >= 0 && (uint32_t) row < b->n) {
            compare_line(id, x, b, (uint32_t) row, line);
        }
    }
    bool known = is_exception(id, "*");
    if (row + 1 != (int) b->n && !known) {
        printf("%s: %u rows, sflowtool has %d samples\n", id, b->n, row + 1);
    }
    CU_ASSERT_TRUE(row + 1 == (int) b->n || known);
    free(text);
}

static void
test_sflowtool(void)
{
    struct json_object *cases = get(manifest, "cases");
    unsigned n = 0;
    compared = 0;
    for (size_t i = 0; i < json_object_array_length(cases); i++) {
        struct json_object *c = json_object_array_get_idx(cases, i);
        struct json_object *txt = get(get(c, "expected"), "sflowtool_txt");
        if (txt) {
            struct collected *x = calloc(1, sizeof *x);
            rig_init_limits(&x->rig, 4096, 4096, 65536);
            feed_case(&x->rig, c);
            compare_sflow(json_object_get_string(get(c, "id")), x,
                          json_object_get_string(txt));
            rig_clear(&x->rig);
            free(x);
            n++;
        }
    }
    printf("%u cases of sFlow, %u fields compared\n", n, compared);
    CU_ASSERT_TRUE(n > 0);
}

int
main(void)
{
    static const struct unit_test tests[] = {
        UNIT_TEST(test_nfdump), UNIT_TEST(test_sflowtool),
    };
    if (!corpora_open()) {
        return 77;
    }
    int result = unit_run("corpora_fields", tests,
                          sizeof tests / sizeof tests[0]);
    corpora_close();
    return result;
}
