#include <config.h>

#include "api/cli/manual.h"

#include <string.h>

#include "lib/column.h"

/* What a filter is made of besides columns.  test_cli looks whether each word
 * that the grammar takes is here. */
static const struct {
    const char *term, *what;
} terms[] = {
    { "any", "Every flow; so does an empty filter." },
    { "A and B, A or B, not A, ( A )", "Also &&, || and !; not binds closest, "
      "then and, then or." },
    { "[src|dst] host ADDRESS, ip ADDRESS", "An address of either end, unless "
      "src or dst says which; \"src and dst\" is both." },
    { "[src|dst] net PREFIX", "10.0.0.0/8, 10/8, 10.0.0.0 255.0.0.0, "
      "2001:db8::/32." },
    { "[src|dst] port [CMP] N", "A port, also by service: port https." },
    { "TERM in [ A B ... ]", "One of: port in [80 443], src ip in [10.0.0.1 "
      "10.1/16]." },
    { "proto WORD", "tcp, udp, icmp, icmp6, sctp, gre, esp, ..., or a "
      "number." },
    { "ipv4, inet, ipv6, inet6", "The version." },
    { "flags FSRPAUEC", "All of these flags are set, and it is TCP; X is "
      "FSRPAU.  \"not flags AF\": neither is.  flags [CMP] N: as a number." },
    { "[src|dst] as [CMP] N, peer-as [CMP] N", "The AS of the address; the "
      "first AS of the path to it." },
    { "[src|dst] as-path \"PATTERN\"", "A regular expression in the AS path; _ "
      "is a side of a number: \"_64500_.*15169$\"." },
    { "[src|dst] community A:B, large-community A:B:C, ext-community rt:A:B",
      "The route has it." },
    { "[src|dst] next-hop ADDRESS, origin igp, route-peer NAME", "BGP next "
      "hop, ORIGIN, and who told the route." },
    { "[src|dst] host \"NAME\"", "In quotes and no address: the host on which "
      "it runs." },
    { "[src|dst] tenant NAME, endpoint NAME, network NAME", "Who has the "
      "address." },
    { "[in|out] [src|dst] mac MAC", "As the packet came in, or as it left; "
      "without in or out: any of both." },
    { "[in|out] if N", "An interface, by number or name." },
    { "[src|dst] vlan [CMP] N", "The outermost tag; src: as the packet came, "
      "dst: as it left." },
    { "[src|dst] mask [CMP] N", "Prefix length, as exported." },
    { "bytes [CMP] N, packets [CMP] N, flows [CMP] N", "Of the record." },
    { "duration [CMP] N", "Milliseconds from the first packet to the last." },
    { "bps [CMP] N, pps [CMP] N, bpp [CMP] N", "Bits and packets a second over "
      "that time, bytes a packet." },
    { "next ip ADDRESS", "Where the packet goes next, as exported." },
    { "prev as [CMP] N, next as [CMP] N", "First AS of the path to the source, "
      "to the destination." },
    { "[src|dst] tunip ADDRESS", "Of the outer packet of a tunnel." },
    { "[src|dst] xip ADDRESS, nip ADDRESS, xport N, nport N, xnet PREFIX, "
      "nnet PREFIX", "After address translation." },
    { "nat event WORD, asa event WORD, ingress vrf N, egress vrf N, pblock "
      "start N, pblock end N", "What NAT, firewalls and routers tell." },
    { "asa event denied ingress, egress, interface, nosyn", "Why Cisco's "
      "firewall denied." },
    { "ingress acl N, ace N, xace N, egress acl N, ace N, xace N", "One of the "
      "three numbers of Cisco's access list." },
    { "mpls label1 N to label10 N, mpls eos N, mpls exp1 N", "Labels from the "
      "top, the last one, and the traffic class of the first." },
    { "observation domain id N, observation point id N", "Of IPFIX and NetFlow "
      "v9." },
    { "engine-type N, engine-id N", "Of NetFlow v5." },
    { "ident NAME", "The bridge, or the exporter's address." },
    { "COLUMN [CMP] VALUE", "Any column of the list below." },
    { "COLUMN is null, is not null", "Whether the record says it at all." },
};

static void
put(FILE *f, const char *text)
{
    for (; *text; text++) {
        switch (*text) {
        case '-':
            fputs("\\-", f);
            break;
        case '\\':
            fputs("\\e", f);
            break;
        case '\'':
            fputs("\\(cq", f);
            break;
        case '"':
            fputs("\\(dq", f);
            break;
        default:
            putc(*text, f);
        }
    }
}

static void
put_column(FILE *f, const struct column *c)
{
    fputs(".TP\n.B ", f);
    put(f, c->name);
    putc('\n', f);
    put(f, column_type_name(c->type));
    if (*c->unit) {
        fputs(", ", f);
        put(f, c->unit);
    }
    fputs(": ", f);
    put(f, c->doc);
    fputs(".\n", f);
    for (const struct column_word *w = c->words; w && w->name; w++) {
        fputs(w == c->words ? "Words: " : ", ", f);
        put(f, w->name);
        fputs(w[1].name ? "" : ".\n", f);
    }
}

void
manual_filter(FILE *f)
{
    fputs(".TH VENTURI\\-FILTER 7 \"\" \"venturi " PACKAGE_VERSION
          "\" \"Venturi Manual\"\n"
          ".SH NAME\nventuri\\-filter \\- the language that picks flows\n"
          ".SH DESCRIPTION\nOne language for questions, channels, exports and "
          "subscriptions.\nIt is that of\n.BR nfdump (1),\nwith every column "
          "that a flow record can have.\n.PP\n.nf\n"
          "proto tcp and dst port 443 and src net 10.0.0.0/8\n"
          "bridge br\\-int and not (port 53 or port in [123 161])\n"
          "bytes > 1m and flags S and not flags A\n"
          "tenant blue and dst as 64512\n.fi\n.PP\n"
          "CMP is =, ==, eq (the default), !=, <>, ne, <, lt, <=, le, >, gt, "
          ">=, ge.\nNumbers may be hexadecimal (0x1b) or end in k, m, g, t.\n"
          "Names with blanks are quoted; names are case\\-sensitive, words of "
          "the language are not.\n.PP\n"
          "A term about a value that the record does not have is false, and "
          "its negation true.\n.SH TERMS\n", f);
    for (size_t i = 0; i < sizeof terms / sizeof terms[0]; i++) {
        fputs(".TP\n.B ", f);
        put(f, terms[i].term);
        putc('\n', f);
        put(f, terms[i].what);
        putc('\n', f);
    }
    fputs(".SH COLUMNS\n", f);
    for (unsigned i = 0; i < N_COLUMNS; i++) {
        put_column(f, &columns[i]);
    }
    fputs(".SH SEE ALSO\n.BR venturictl (1),\n.BR venturid (8)\n.PP\n"
          "venturictl filter check tells where a filter goes wrong, and "
          "completion in bash and zsh knows its words.\n", f);
}
