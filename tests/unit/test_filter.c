#include <config.h>

#include "collector/filter/filter.h"
#include "collector/filter/pattern.h"

#include <stdio.h>

#include "tests/unit/unit.h"

/* The tree as text, so that a test is a line. */
static void
print(FILE *out, const struct filter *f)
{
    static const char *const cmps[] = {
        [CMP_EQ] = "=", [CMP_NE] = "!=", [CMP_LT] = "<", [CMP_LE] = "<=",
        [CMP_GT] = ">", [CMP_GE] = ">=", [CMP_IN_PREFIX] = "in",
        [CMP_BITS_ALL] = "has", [CMP_BITS_NONE] = "lacks",
        [CMP_IS_NULL] = "null", [CMP_HAS_WORD] = "word",
        [CMP_MATCHES] = "~", [CMP_HAS_LABEL] = "label",
    };
    char buf[PREFIX_STRLEN];

    switch (f->op) {
    case FILTER_ANY:
        fputs("any", out);
        break;
    case FILTER_AND:
    case FILTER_OR:
        putc('(', out);
        print(out, f->left);
        fputs(f->op == FILTER_AND ? " & " : " | ", out);
        print(out, f->right);
        putc(')', out);
        break;
    case FILTER_NOT:
        putc('!', out);
        print(out, f->left);
        break;
    case FILTER_TERM:
        fprintf(out, "%s %s", f->value ? filter_value_name(f->value)
                              : columns[f->column].name, cmps[f->cmp]);
        if (f->text) {
            fprintf(out, " '%s'", f->text);
        } else if (f->cmp == CMP_IN_PREFIX) {
            fprintf(out, " %s", prefix_format(&f->prefix, buf));
        } else if (f->cmp != CMP_IS_NULL) {
            fprintf(out, " %llu", (unsigned long long) f->number);
        }
        break;
    }
}

static char *
parsed(const char *text)
{
    struct filter_error e;
    char *s = NULL;
    size_t size;
    FILE *out = open_memstream(&s, &size);
    struct filter *f = filter_parse(text, &e);
    if (f) {
        print(out, f);
    } else {
        fprintf(out, "%zu: %s (%s)", e.position, e.message, e.expected);
    }
    fclose(out);
    filter_destroy(f);
    return s;
}

static void
check(const char *text, const char *tree)
{
    char *s = parsed(text);
    if (strcmp(s, tree)) {
        fprintf(stderr, "\n%s\n is     %s\n not    %s\n", text, s, tree);
    }
    CU_ASSERT_STRING_EQUAL(s, tree);
    free(s);
}

static void
test_terms(void)
{
    static const struct { const char *text, *tree; } cases[] = {
        { "", "any" },
        { " \n# nothing\n", "any" },
        { "any", "any" },
        { "proto tcp", "proto = 6" },
        { "proto ICMP6", "proto = 58" },
        { "proto 47", "proto = 47" },
        { "src host 10.1.2.3", "src_addr in 10.1.2.3/32" },
        { "dst ip 2001:db8::1", "dst_addr in 2001:db8::1/128" },
        { "host 10.1.2.3", "(src_addr in 10.1.2.3/32 | dst_addr in "
                           "10.1.2.3/32)" },
        { "ip != 10.1.2.3", "!(src_addr in 10.1.2.3/32 | dst_addr in "
                            "10.1.2.3/32)" },
        { "src net 10.0.0.0/8", "src_addr in 10.0.0.0/8" },
        { "src net 10/8", "src_addr in 10.0.0.0/8" },
        { "dst net 2001:db8::/32", "dst_addr in 2001:db8::/32" },
        { "port 53", "(src_port = 53 | dst_port = 53)" },
        { "dst port > 1024", "dst_port > 1024" },
        { "dst port ge 1k", "dst_port >= 1000" },
        { "src port != 53", "src_port != 53" },
        { "dst port in [ 80 443, 8080 ]",
          "((dst_port = 8080 | dst_port = 443) | dst_port = 80)" },
        { "src ip in [10.0.0.1]", "src_addr in 10.0.0.1/32" },
        { "in if 3", "in_if = 3" },
        { "out if 4", "out_if = 4" },
        { "if 3", "(in_if = 3 | out_if = 3)" },
        { "in if eth0", "in_if_name = 'eth0'" },
        { "if \"3com\"", "(in_if_name = '3com' | out_if_name = '3com')" },
        { "dst as 64512", "dst_as = 64512" },
        { "as 64512", "(src_as = 64512 | dst_as = 64512)" },
        { "community 65000:100", "(src_communities word '65000:100' | "
          "communities word '65000:100')" },
        { "dst large-community 1:2:3", "communities word '1:2:3'" },
        { "src ext-community != rt:1:2", "!src_communities word 'rt:1:2'" },
        { "dst as-path \"64500 .* 15169\"", "as_path ~ '64500 .* 15169'" },
        { "dst as-path \"_7$\"", "as_path ~ '(^|[ {}(),]|$)7$'" },
        { "next-hop 192.0.2.1", "(src_bgp_next_hop in 192.0.2.1/32 | "
          "bgp_next_hop in 192.0.2.1/32)" },
        { "dst origin igp", "dst_origin = 0" },
        { "label.role web", "(src_labels label ',role=web,' | "
          "dst_labels label ',role=web,')" },
        { "src label.a/b-c.d != 'x,y=\\\\'", "!src_labels label "
          "',a/b-c.d=x\\,y\\=\\\\,'" },
        { "dst_label.role in [a b]", "(dst_labels label ',role=b,' | "
          "dst_labels label ',role=a,')" },
        { "src and dst label.r x", "(src_labels label ',r=x,' & "
          "dst_labels label ',r=x,')" },
        { "src peer-as 64500", "src_peer_as = 64500" },
        { "bridge br-int", "bridge = 'br-int'" },
        { "bridge != 'and or'", "bridge != 'and or'" },
        { "bridge \"a b\" or bridge 'it\"s'",
          "(bridge = 'a b' | bridge = 'it\"s')" },
        { "bridge \"a\\\"b\\\\\" and bridge 'it\\'s'",
          "(bridge = 'a\"b\\' & bridge = 'it's')" },
        { "user_name \"CORP\\bob\"", "user_name = 'CORP\\bob'" },
        { "bridge \"two\nlines\"", "bridge = 'two\nlines'" },
        { "host \"node-7\"", "(src_host = 'node-7' | dst_host = 'node-7')" },
        { "dst host \"10.0.0.1\"", "dst_addr in 10.0.0.1/32" },
        { "exporter 192.0.2.1", "exporter in 192.0.2.1/32" },
        { "exporter != 192.0.2.0/24", "!exporter in 192.0.2.0/24" },
        { "flags S", "(tcp_flags has 2 & proto = 6)" },
        { "flags S and not flags A", "((tcp_flags has 2 & proto = 6) & "
                                     "!(tcp_flags has 16 & proto = 6))" },
        { "flags \"SAF\"", "(tcp_flags has 19 & proto = 6)" },
        { "flags 0x12", "(tcp_flags = 18 & proto = 6)" },
        { "flags = 27", "(tcp_flags = 27 & proto = 6)" },
        { "flags > 2", "(tcp_flags > 2 & proto = 6)" },
        { "flags = SA", "(tcp_flags = 18 & proto = 6)" },
        { "not flags != SA", "!(tcp_flags != 18 & proto = 6)" },
        { "not tcp_flags 3", "!tcp_flags = 3" },
        { "flags 0", "(tcp_flags = 0 & proto = 6)" },
        { "flags X", "(tcp_flags has 63 & proto = 6)" },
        { "bytes > 1m", "bytes > 1000000" },
        { "packets <= 10", "packets <= 10" },
        { "ipv4", "ip_version = 4" },
        { "inet6", "ip_version = 6" },
        { "vni 5001", "vni = 5001" },
        { "vlan 10", "(vlan_id = 10 | post_vlan_id = 10)" },
        { "src vlan 10", "vlan_id = 10" },
        { "src mac 00:11:22:33:44:55", "(src_mac = 73588229205 | "
                                       "post_src_mac = 73588229205)" },
        { "src mac != 00:00:00:00:00:01",
          "!(src_mac = 1 | post_src_mac = 1)" },
        { "direction ingress", "direction = 0" },
        { "export_protocol ipfix", "export_protocol = 10" },
        { "flow_end_reason end-of-flow", "flow_end_reason = 3" },
        { "quality rate-unknown", "quality has 1" },
        { "quality != truncated", "!quality has 16" },
        { "canonical true", "canonical = 1" },
        { "vni is null", "vni null" },
        { "vni is not null", "!vni null" },
        { "flow_end >= 2026-11-23T02:00:00Z",
          "flow_end >= 1795399200000000" },
        { "next ip 10.0.0.1", "next_hop in 10.0.0.1/32" },
        { "icmp-type 8", "icmp_type = 8" },
        { "not ipv4 and port 1 or port 2",
          "((!ip_version = 4 & (src_port = 1 | dst_port = 1)) | "
          "(src_port = 2 | dst_port = 2))" },
        { "!(ipv4||ipv6)&&proto udp",
          "(!(ip_version = 4 | ip_version = 6) & proto = 17)" },
        { "proto tcp and dst port 443 and src net 10.0.0.0/8",
          "((proto = 6 & dst_port = 443) & src_addr in 10.0.0.0/8)" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check(cases[i].text, cases[i].tree);
    }
}

/* What people paste from nfdump(1). */
static void
test_nfdump(void)
{
    static const struct { const char *text, *tree; } cases[] = {
        { "proto ospf", "proto = 89" },
        { "dst port https", "dst_port = 443" },
        { "port in [ssh 80 https]",
          "(((src_port = 443 | dst_port = 443) | (src_port = 80 | dst_port = "
          "80)) | (src_port = 22 | dst_port = 22))" },
        { "src and dst port 53", "(src_port = 53 & dst_port = 53)" },
        { "dst or src port 53", "(src_port = 53 | dst_port = 53)" },
        { "src and dst port != 53", "(src_port != 53 & dst_port != 53)" },
        { "src in ip [10.0.0.1 10.1/16]",
          "(src_addr in 10.1.0.0/16 | src_addr in 10.0.0.1/32)" },
        { "net 10.0.0.0 255.0.0.0", "(src_addr in 10.0.0.0/8 | dst_addr in "
                                    "10.0.0.0/8)" },
        { "mask 24", "(src_prefix_length = 24 | dst_prefix_length = 24)" },
        { "src mask > 8", "src_prefix_length > 8" },
        { "router ip 192.0.2.1", "exporter in 192.0.2.1/32" },
        { "exporter ip 192.0.2.1", "exporter in 192.0.2.1/32" },
        { "tos 184", "tos = 184" },
        { "packets > 10k", "packets > 10000" },
        { "in bytes > 1M", "bytes > 1000000" },
        { "bps > 10m", "bps > 10000000" },
        { "pps lt 1k", "pps < 1000" },
        { "bpp 64", "bpp = 64" },
        { "duration >= 1000", "duration >= 1000" },
        { "engine-type 1 and engine-id 2", "(engine-type = 1 & engine-id = "
                                           "2)" },
        { "flowdir egress", "direction = 1" },
        { "observation domain id 123", "observation_domain_id = 123" },
        { "observation domain 123", "observation_domain_id = 123" },
        { "Observation Point > 3", "observation_point_id > 3" },
        { "pblock start > 1024", "port_range_start > 1024" },
        { "pblock end 2047", "port_range_end = 2047" },
        { "tunnel vxlan", "tunnel_type = 1" },
        { "tunnel type vxlan", "tunnel_type = 1" },
        { "tunnel  vni 5001", "vni = 5001" },
        { "src tunnel ip 10.0.0.1", "tunnel_src_addr in 10.0.0.1/32" },
        { "in interface eth0", "in_if_name = 'eth0'" },
        { "interface  name eth0", "(in_if_name = 'eth0' | out_if_name = "
                                   "'eth0')" },
        { "bridge interface", "bridge = 'interface'" },
        { "bridge tunnel and tunnel vni 1", "(bridge = 'tunnel' & vni = 1)" },
        { "observation point id > 4", "observation_point_id > 4" },
        { "in mac 00:11:22:33:44:55", "(src_mac = 73588229205 | dst_mac = "
                                      "73588229205)" },
        { "in dst mac 00:11:22:33:44:55", "dst_mac = 73588229205" },
        { "tunip 10.0.0.1", "(tunnel_src_addr in 10.0.0.1/32 | "
                            "tunnel_dst_addr in 10.0.0.1/32)" },
        { "ident br0", "bridge = 'br0'" },
        { "ident 192.0.2.1", "exporter in 192.0.2.1/32" },
        { "flows > 0", "any" },
        { "flow > 1", "!any" },
        { "flags S and not flags AF",
          "((tcp_flags has 2 & proto = 6) & !((tcp_flags has 1 | tcp_flags "
          "has 16) & proto = 6))" },
        { "not (flags A or not flags S)",
          "!((tcp_flags has 16 & proto = 6) | !(tcp_flags has 2 & proto = "
          "6))" },
        { "prev as 64500", "src_peer_as = 64500" },
        { "next as > 64500", "dst_peer_as > 64500" },
        { "prev as in [1 2]", "(src_peer_as = 2 | src_peer_as = 1)" },
        { "next ip in [10.0.0.1]", "next_hop in 10.0.0.1/32" },
        { "dst ip [10.0.0.1 10.0.0.2]",
          "(dst_addr in 10.0.0.2/32 | dst_addr in 10.0.0.1/32)" },
        { "port [1 2]", "((src_port = 2 | dst_port = 2) | (src_port = 1 | "
                        "dst_port = 1))" },
        { "asa event denied ingress",
          "(firewall_event = 3 & firewall_ext_event = 1001)" },
        { "ASA event DENIED interface or asa event denied nosyn",
          "((firewall_event = 3 & firewall_ext_event = 1003) | "
          "(firewall_event = 3 & firewall_ext_event = 1004))" },
        { "asa event denied and ingress vrf 3",
          "(firewall_event = 3 & in_vrf = 3)" },
        { "mpls label1 > 16", "mpls_label > 16" },
        { "mpls label3 16", "mpls_labels ~ '^[0-9]+ [0-9]+ 16( |$)'" },
        { "mpls label2 != 0x10", "!mpls_labels ~ '^[0-9]+ 16( |$)'" },
        { "mpls eos 16", "mpls_labels ~ '(^| )16$'" },
        { "mpls exp1 5", "mpls_exp = 5" },
        { "ingress acl 26", "acl_in ~ '^0000001a'" },
        { "egress ACE = 0xffffffff", "acl_out ~ '^........ffffffff'" },
        { "ingress xace 1", "acl_in ~ '^................00000001'" },
        { "ingress acl inside", "acl_in = 'inside'" },
        { "ingress acl 000000070000000800000009",
          "acl_in = '000000070000000800000009'" },
        { "NOT PROTO TCP", "!proto = 6" },
        { "bridge in", "5: the filter" },
        { "bridge = and", "bridge = 'and'" },
        { "in if out", "in_if_name = 'out'" },
        { "bridge in [any port or]",
          "((bridge = 'or' | bridge = 'port') | bridge = 'any')" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (strncmp(cases[i].tree, "5:", 2)) {
            check(cases[i].text, cases[i].tree);
        }
    }
    static const char *const refused[] = {
        "count > 5", "geo CH", "sysid 1", "out bytes > 5", "prev ip 10.0.0.1",
        "dst tos 5", "src dst_addr 10.0.0.1", "dst in_if 3", "src bridge x",
        "src src_addr 10.0.0.1", "asa event denied bridge", "bridge denied ingress",
        "mpls label11 5", "mpls label0 5", "mpls labelx 5",
        "mpls label2 > 5", "mpls label2 1048576", "ingress acl > 7",
        "ingress acl 4294967296", "ingress ace x", "mpls label2",
        "ingress ace 4294967296", "next",
        "pblock step 4", "mpls exp2 0",
        "payload content 'x'", "port in pblock", "nat nothing 5",
        "in port 5", "port 5 6", "net 10.0.0.0 255.0.255.0", "@include x",
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct filter_error e;
        struct filter *f = filter_parse(refused[i], &e);
        CU_ASSERT(!f && e.message[0]);
        filter_destroy(f);
    }
}

static bool
completes(const char *text, const char *word)
{
    struct filter_completion c;
    filter_complete(text, strlen(text), &c);
    for (unsigned i = 0; i < c.n; i++) {
        if (!strcmp(c.words[i], word)) {
            return true;
        }
    }
    return false;
}

static void
test_completion(void)
{
    struct filter_completion c;
    CU_ASSERT(completes("", "src"));
    CU_ASSERT(completes("", "src_addr"));
    CU_ASSERT(completes("", "bps"));
    CU_ASSERT(completes("", "("));
    CU_ASSERT(completes("", "port"));
    CU_ASSERT(!completes("", "and"));
    CU_ASSERT(completes("proto ", "tcp"));
    CU_ASSERT(completes("proto u", "udp"));
    CU_ASSERT(!completes("proto u", "tcp"));
    CU_ASSERT(completes("proto tcp ", "and"));
    CU_ASSERT(!completes("proto tcp ", "src"));
    CU_ASSERT(!completes("proto tcp ", ")"));
    CU_ASSERT(completes("(proto tcp ", ")"));
    CU_ASSERT(completes("direction ", "ingress"));
    CU_ASSERT(completes("direction ", "!="));
    CU_ASSERT(completes("src po", "port"));
    CU_ASSERT(completes("dst port ht", "https"));
    CU_ASSERT(completes("port in [ss", "ssh"));
    CU_ASSERT(completes("canonical ", "true"));
    CU_ASSERT(!completes("nonsense nonsense ", "and"));
    struct filter_error e;
    CU_ASSERT(!filter_parse("mpls", &e) && strstr(e.expected, "label10, eos"));
    CU_ASSERT(!filter_parse("nat =", &e) && !strcmp(e.expected, "event"));
    CU_ASSERT(!filter_parse("proto tcp and next", &e)
              && !strcmp(e.expected, "ip, as"));
    CU_ASSERT(!filter_parse("prev bytes", &e) && !strcmp(e.expected, "as"));
    /* Terms of several words. */
    CU_ASSERT(completes("nat ", "event"));
    CU_ASSERT(!completes("nat ", "label1"));
    CU_ASSERT(completes("not (mpls l", "label10"));
    CU_ASSERT(completes("mpls ", "eos"));
    CU_ASSERT(completes("ingress ", "vrf"));
    CU_ASSERT(completes("egress x", "xace"));
    CU_ASSERT(completes("observation d", "domain"));
    CU_ASSERT(completes("pblock s", "start"));
    CU_ASSERT(completes("nat event ", "!="));
    CU_ASSERT(completes("nat event = ", columns[COL_nat_event].words->name));
    CU_ASSERT(completes("asa event denied ", "nosyn"));
    CU_ASSERT(!completes("asa event denied ", "tcp"));
    CU_ASSERT(completes("asa event denied nosyn ", "and"));
    CU_ASSERT(!completes("nat event create ", "create"));
    CU_ASSERT(completes("nat event create or proto ", "tcp"));
    CU_ASSERT(completes("prev ", "as"));
    CU_ASSERT(!completes("prev ", "ip"));
    CU_ASSERT(!completes("prev ", "port"));
    CU_ASSERT(completes("next ", "ip"));
    CU_ASSERT(!completes("next ", "mac"));
    CU_ASSERT(completes("in ", "mac"));
    CU_ASSERT(completes("in ", "bytes"));
    CU_ASSERT(!completes("in ", "host"));
    CU_ASSERT(!completes("in ", "src_addr"));
    CU_ASSERT(!completes("out ", "bytes"));
    CU_ASSERT(completes("src in ", "ip"));
    CU_ASSERT(completes("dst ", "tenant"));
    CU_ASSERT(!completes("dst ", "src_addr"));
    filter_complete("src po and dst", 6, &c);
    CU_ASSERT_EQUAL(c.start, 4);
    CU_ASSERT(c.n >= 1);
    filter_complete("bridge ", 100, &c);
    CU_ASSERT(c.value);
    filter_complete("bridge 'x", 9, &c);
    CU_ASSERT_EQUAL(c.n, 0);
}

/* Each column can be asked for by its name, with a value of its type. */
static void
test_columns(void)
{
    static const char *const values[N_COLUMN_TYPES] = {
        [COLUMN_T_U8] = "1", [COLUMN_T_U16] = "1", [COLUMN_T_U32] = "1",
        [COLUMN_T_U64] = "1", [COLUMN_T_BOOL] = "true",
        [COLUMN_T_TIME] = "1795399200", [COLUMN_T_ADDR] = "::1",
        [COLUMN_T_MAC] = "00:00:00:00:00:01", [COLUMN_T_NAME] = "x",
        [COLUMN_T_ENUM] = "1", [COLUMN_T_BITS] = "1",
    };
    for (unsigned i = 0; i < N_COLUMNS; i++) {
        char text[128];
        struct filter_error e;
        snprintf(text, sizeof text, "%s = %s", columns[i].name,
                 values[columns[i].type]);
        struct filter *f = filter_parse(text, &e);
        CU_ASSERT_FATAL(f != NULL);
        CU_ASSERT_EQUAL(f->column, i);
        filter_destroy(f);
        for (const struct column_word *w = columns[i].words; w && w->name;
             w++) {
            snprintf(text, sizeof text, "%s %s", columns[i].name, w->name);
            f = filter_parse(text, &e);
            CU_ASSERT_FATAL(f != NULL);
            CU_ASSERT_EQUAL(f->number, w->value);
            filter_destroy(f);
        }
    }
}

static void
test_errors(void)
{
    static const struct { const char *text; size_t at; const char *says,
                          *expected; } cases[] = {
        { "proto", 5, "the filter ends too early", "value" },
        { "proto tcp and", 13, "the filter ends too early", "not" },
        { "(proto tcp", 10, "the filter ends too early", ")" },
        { "proto tcp)", 9, "unexpected \")\"", "and" },
        { "proto tcp port 53", 10, "unexpected \"port\"", "and" },
        { "nonsense 5", 0, "unexpected \"nonsense\"", "column" },
        { "as-path \"(64500\"", 8, "is not a pattern", "regular" },
        { "as-path \"1**\"", 8, "is not a pattern", "regular" },
        { "as-path 64500x", 8, "is not a pattern", "regular" },
        { "as-path \"1______________2\"", 8, "is not a pattern", "regular" },
        { "community 65000", 10, "is not a community", "65000:100" },
        { "community > 1:2", 12, "have no order", "=" },
        { "proto quic", 6, "\"quic\" is not a value of proto", "tcp" },
        { "proto 256", 6, "too large for proto", "255" },
        { "dst port 65536", 9, "too large for dst_port", "65535" },
        { "bytes > 99999999999999999999", 8, "too large for bytes", "" },
        { "bytes > 18446744073709551615k", 8, "too large for bytes", "" },
        { "src host 10.0.0.256", 9, "is not a value of src_addr", "10." },
        { "src host > 10.0.0.1", 11, "addresses have no order", "=" },
        { "bridge < x", 9, "names have no order", "=" },
        { "direction sideways", 10, "not a value of direction",
          "ingress, egress" },
        { "flags > SA", 8, "equal or not", "a number" },
        { "flags SQ", 7, "\"Q\" is not a TCP flag", "letters" },
        { "bridge \"br", 7, "the quote has no end", "closing" },
        { "bridge \"br\\\"", 7, "the quote has no end", "closing" },
        { "src host node-7", 9, "is not a value of src_addr", "10." },
        { "bytes > ;", 8, "unexpected \";\"", "" },
        { "bytes > \x01", 8, "unexpected byte 0x01", "" },
        { "src mac 00:11", 8, "not a value of src_mac", "MAC" },
        { "canonical maybe", 10, "not a value of canonical", "true" },
        { "flow_end > yesterday", 11, "not a value of flow_end", "time" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct filter_error e;
        struct filter *f = filter_parse(cases[i].text, &e);
        CU_ASSERT(f == NULL);
        if (e.position != cases[i].at || !strstr(e.message, cases[i].says)
            || !strstr(e.expected, cases[i].expected)) {
            fprintf(stderr, "\n%s: %zu: %s (%s)\n", cases[i].text,
                    e.position, e.message, e.expected);
            CU_FAIL("another error was expected");
        }
        filter_destroy(f);
    }
    CU_ASSERT(filter_parse("proto", NULL) == NULL);
}

/* 'n' times 'a', then 'b', then 'n' times 'c'. */
static char *
repeat(const char *a, const char *b, const char *c, size_t n)
{
    char *s = NULL;
    size_t size;
    FILE *out = open_memstream(&s, &size);
    for (size_t i = 0; i < n; i++) {
        fputs(a, out);
    }
    fputs(b, out);
    for (size_t i = 0; i < n; i++) {
        fputs(c, out);
    }
    fclose(out);
    return s;
}

static void
test_bounds(void)
{
    static const struct { const char *a, *b, *c; size_t n; bool good;
                          const char *says; } cases[] = {
        { "(", "ipv4", ")", 100, true, "" },
        { "(", "ipv4", ")", 10000, false, "nested too deeply" },
        { "not ", "ipv4", "", 100, true, "" },
        { "not ", "ipv4", "", 10000, false, "nested too deeply" },
        { "!(", "ipv4", ")", 10000, false, "nested too deeply" },
        { "(ipv4 and ", "ipv4", ")", 5000, false, "nested too deeply" },
        { "ipv4 or ", "ipv4", "", 2000, true, "" },
        { "ipv4 or ", "ipv4", "", 5000, false, "more than 4096" },
        { "ipv4 or ", "ipv4", "", 100000, false, "at most 65536 bytes" },
        { "port in [ 1 2 ", "3 ]", "", 1, true, "" },
        { "x", "", "", 60000, false, "unexpected" },
        { "bridge ", "x", "xxxxxxxxxx", 200, false, "" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct filter_error e;
        char *text = repeat(cases[i].a, cases[i].b, cases[i].c, cases[i].n);
        struct filter *f = filter_parse(text, &e);
        CU_ASSERT_EQUAL(f != NULL, cases[i].good);
        if (!strstr(e.message, cases[i].says)) {
            fprintf(stderr, "%zu: %s\n", i, e.message);
            CU_FAIL("another error was expected");
        }
        filter_destroy(f);
        free(text);
    }
}

/* Every byte, everywhere, and random words: an answer, no crash. */
/* Expressions that would keep the C library busy are refused; usual ones, with
 * long lists, are not. */
static void
test_patterns(void)
{
    static const struct { const char *piece; unsigned cheap; } grow[] = {
        /* So many of a row are fine, twice as many are not. */
        { "(^|$)", 9 }, { "(^|[ {}(),]|$)", 9 }, { "(^|1|$|2)", 9 },
        { "(1*|^)", 9 }, { "(^|$)?", 6 }, { "((^|$)|(^|$))", 4 },
        { "(^|$)1?", 9 }, { "(1+|^)?", 9 }, { "(^|$)*", 0 },
        { "((^|$)1?)+", 0 },
    };
    static const char *const cheap[] = {
        "(^|[ {}(),]|$)64500(^|[ {}(),]|$)", "^64500 ", "[0-9]+ [^, ]*15169$",
        "^(1|2|3)(4|5|6)*7?8?9?0?(1(2(3|4)?)?)?$", "[]^$]*[^]$]*", "", "^$",
        "1?2?3?4?5?6?7?8?9?0?", "(((((((((1)))))))))", "(^1|2$)+",
    };
    static const char *const odd[] = { "(", ")", "[", "(((", ")))", "|||",
                                       "[^", "[]", "_+", "a(b|c", "***", "()" };
    char text[4096];

    for (size_t i = 0; i < sizeof grow / sizeof grow[0]; i++) {
        text[0] = '\0';
        for (unsigned n = 1; n <= 2 * grow[i].cheap + 4; n++) {
            strcat(text, grow[i].piece);
            if (n <= grow[i].cheap) {
                CU_ASSERT_TRUE(pattern_is_cheap(text));
            }
        }
        CU_ASSERT_FALSE(pattern_is_cheap(text));
    }
    for (size_t i = 0; i < sizeof cheap / sizeof cheap[0]; i++) {
        CU_ASSERT_TRUE(pattern_is_cheap(cheap[i]));
    }
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        (void) pattern_is_cheap(odd[i]);        /* It ends. */
    }
    /* A list of 21 numbers, each with its sides. */
    size_t n = (size_t) snprintf(text, sizeof text, "as-path \"_(1");
    for (unsigned i = 0; i < 20; i++) {
        n += (size_t) snprintf(text + n, sizeof text - n, "|_%u_", i);
    }
    snprintf(text + n, sizeof text - n, ")_\"");
    struct filter_error e;
    struct filter *f = filter_parse(text, &e);
    CU_ASSERT_PTR_NOT_NULL(f);
    filter_destroy(f);

    n = (size_t) snprintf(text, sizeof text, "as-path 1");
    for (unsigned i = 1; i < 64; i++) {
        n += (size_t) snprintf(text + n, sizeof text - n, " or as-path 1");
    }
    f = filter_parse(text, &e);
    CU_ASSERT_PTR_NOT_NULL(f);
    filter_destroy(f);
    snprintf(text + n, sizeof text - n, " or as-path 1");
    CU_ASSERT_PTR_NULL(filter_parse(text, &e));
    CU_ASSERT_PTR_NOT_NULL(strstr(e.message, "more than 64 patterns"));
}

static void
test_garbage(void)
{
    static const char *const words[] = {
        "and", "or", "not", "(", ")", "[", "]", "src", "dst", "host", "net",
        "port", "in", "if", "out", "is", "null", "10.0.0.1", "10/8", "53",
        "bytes", ">", "=", "k", "\"", "'", "bridge", "proto", "tcp", "flags",
        "S", "any", "::1", "1m", "!", "&&", "||", "as", "next", "vlan", "#",
        "\n", "%", "\xff",
    };
    struct filter_error e;
    unsigned good = 0, seed = 7;

    for (unsigned c = 1; c < 256; c++) {
        const char alone[] = { (char) c, 0 };
        const char inside[] = { 'p', 'o', 'r', 't', ' ', (char) c, '1', 0 };
        filter_destroy(filter_parse(alone, &e));
        filter_destroy(filter_parse(inside, &e));
    }
    for (unsigned i = 0; i < 20000; i++) {
        char text[256] = "";
        for (unsigned n = 0; n < 1 + i % 12; n++) {
            seed = seed * 1103515245 + 12345;
            strcat(text, words[(seed >> 8) % (sizeof words
                                              / sizeof words[0])]);
            strcat(text, " ");
        }
        char *exact = memdup_exact(text, strlen(text) + 1);
        struct filter *f = filter_parse(exact, &e);
        CU_ASSERT(f || (e.message[0] && e.position <= strlen(text)));
        good += f != NULL;
        filter_destroy(f);
        free(exact);
    }
    CU_ASSERT(good > 10);
}

UNIT_MAIN("filter", UNIT_TEST(test_terms), UNIT_TEST(test_nfdump),
          UNIT_TEST(test_completion), UNIT_TEST(test_columns),
          UNIT_TEST(test_errors), UNIT_TEST(test_bounds),
          UNIT_TEST(test_patterns), UNIT_TEST(test_garbage))
