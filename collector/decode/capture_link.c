#include <config.h>

#include "collector/decode/capture_p.h"

/* https://www.tcpdump.org/linktypes.html */

#define MAX_DEPTH 4             /* Frames in each other. */

static bool
is_tag(int type)
{
    return type == 0x8100 || type == 0x88a8 || type == 0x9100
           || type == 0x9200 || type == 0x9300;
}

static int ether_type(int type, struct cursor *c, unsigned depth);

static int
inner_ethernet(struct cursor *c, unsigned depth)
{
    cur_skip(c, 12);
    return depth < MAX_DEPTH ? ether_type(cur_u16(c), c, depth + 1) : 0;
}

/* MPLS labels, then whatever its first nibble says; if nothing, a pseudowire
 * of Ethernet (RFC 4448), whose control word begins with zero. */
static int
skip_mpls(struct cursor *c, unsigned depth)
{
    const uint8_t *p;
    do {
        p = cur_take(c, 4);
    } while (p && !(p[2] & 1));
    if (!cur_more(c)) {
        return 0;
    }
    if (c->p[0] >> 4 == 4 || c->p[0] >> 4 == 6) {
        return c->p[0] >> 4 == 4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6;
    }
    struct cursor with = *c, without = *c;
    cur_skip(&with, c->p[0] >> 4 ? SIZE_MAX : 4);
    int type = inner_ethernet(&with, depth);
    *c = with;
    if (with.bad || !type) {
        type = inner_ethernet(&without, depth);
        *c = without;
    }
    return type;
}

static int
ppp_protocol(uint16_t protocol)
{
    return protocol == 0x0021 ? ETHERTYPE_IPV4
           : protocol == 0x0057 ? ETHERTYPE_IPV6 : 0;
}

/* What follows in IEEE 802.2's LLC, where it is SNAP. */
static int
llc_snap(struct cursor *c)
{
    const uint8_t *llc = cur_take(c, 6);
    return llc && llc[0] == 0xaa && llc[1] == 0xaa ? cur_u16(c) : 0;
}

/* What an Ethernet type leads to: tags, labels, PPPoE and provider backbones
 * are passed. */
static int
ether_type(int type, struct cursor *c, unsigned depth)
{
    while (is_tag(type)) {
        cur_skip(c, 2);
        type = cur_u16(c);
    }
    if (type == 0x8847 || type == 0x8848) {
        return skip_mpls(c, depth);
    } else if (type == 0x88e7) {        /* IEEE 802.1ah. */
        cur_skip(c, 4);
        return inner_ethernet(c, depth);
    } else if (type == 0x8864) {
        cur_skip(c, 6);
        return ppp_protocol(cur_u16(c));
    } else if (type < 0x600) {          /* IEEE 802.3: a length, then LLC. */
        type = llc_snap(c);
    }
    return type == ETHERTYPE_IPV4 || type == ETHERTYPE_IPV6 ? type : 0;
}

static int
ethernet(struct cursor *c)
{
    return inner_ethernet(c, 0);
}

static int
raw_ip(struct cursor *c)
{
    if (!cur_more(c)) {
        return 0;
    }
    return c->p[0] >> 4 == 4 ? ETHERTYPE_IPV4
           : c->p[0] >> 4 == 6 ? ETHERTYPE_IPV6 : 0;
}

/* BSD's loopback: an address family in the byte order of the host, whichever
 * that was; IPv6 has another number on every system. */
static int
null_loopback(struct cursor *c)
{
    uint32_t family = cur_u32(c);
    if (family > 0xffff) {
        family = __builtin_bswap32(family);
    }
    return family == 2 ? ETHERTYPE_IPV4
           : family == 10 || family == 24 || family == 28 || family == 30
             ? ETHERTYPE_IPV6 : 0;
}

/* RFC 1661 and 1662; some capture Cisco HDLC under this name. */
static int
ppp(struct cursor *c)
{
    if (cur_left(c) >= 4 && (c->p[0] == 0x0f || c->p[0] == 0x8f)
        && c->p[1] == 0) {
        cur_skip(c, 2);
        return ether_type(cur_u16(c), c, 0);
    }
    if (cur_left(c) >= 2 && c->p[0] == 0xff && c->p[1] == 0x03) {
        cur_skip(c, 2);
    }
    if (!cur_more(c)) {
        return 0;
    }
    /* The protocol may be shortened to one byte, which is odd then. */
    return ppp_protocol(c->p[0] & 1 ? cur_u8(c) : cur_u16(c));
}

/* One byte tells who sent it. */
static int
ppp_with_direction(struct cursor *c)
{
    cur_skip(c, 1);
    return ppp(c);
}

static int
pppoe(struct cursor *c)
{
    cur_skip(c, 6);
    return ppp_protocol(cur_u16(c));
}

/* BSD's packet filter: a header that begins with its length, without the
 * padding to four bytes. */
static int
pflog(struct cursor *c)
{
    const uint8_t *p = cur_take(c, 1);
    if (!p) {
        return 0;
    }
    cur_skip(c, ((*p + 3u) & ~3u) - 1);
    return raw_ip(c);
}

/* Linux's netfilter log: values after their length and type, in the byte order
 * of the host; the packet is one of them. */
static int
nflog(struct cursor *c)
{
    enum { PAYLOAD = 9 };
    cur_skip(c, 4);
    while (cur_left(c) >= 4) {
        uint16_t size = cur_u16(c), type = cur_u16(c);
        bool little = type > 0xff;      /* There are few types. */
        size = little ? __builtin_bswap16(size) : size;
        type = little ? __builtin_bswap16(type) : type;
        if (size < 4) {
            break;
        } else if (type == PAYLOAD) {
            return raw_ip(c);
        }
        cur_skip(c, ((size + 3u) & ~3u) - 4);
    }
    return 0;
}

static int
cisco_hdlc(struct cursor *c)
{
    cur_skip(c, 2);
    return ether_type(cur_u16(c), c, 0);
}

/* RFC 2427, and Cisco's own, which has an Ethernet type instead. */
static int
frame_relay(struct cursor *c)
{
    const uint8_t *p;
    do {                                /* Q.922: the last byte is odd. */
        p = cur_take(c, 1);
    } while (p && !(*p & 1));
    if (cur_left(c) < 2) {
        return 0;
    }
    if (c->p[0] != 0x03) {
        return ether_type(cur_u16(c), c, 0);
    }
    cur_skip(c, 1);
    uint8_t nlpid = cur_u8(c);
    if (!nlpid) {                       /* Padding. */
        nlpid = cur_u8(c);
    }
    if (nlpid == 0x80) {                /* SNAP: OUI and type. */
        cur_skip(c, 3);
        return ether_type(cur_u16(c), c, 0);
    }
    return nlpid == 0xcc ? ETHERTYPE_IPV4
           : nlpid == 0x8e ? ETHERTYPE_IPV6 : 0;
}

static int
linux_sll(struct cursor *c)
{
    cur_skip(c, 14);
    return ether_type(cur_u16(c), c, 0);
}

static int
linux_sll2(struct cursor *c)
{
    int type = cur_u16(c);
    cur_skip(c, 18);
    return ether_type(type, c, 0);
}

/* Juniper: "MGC", flags, and extensions if flag 0x80 says so; flag 0x02: the
 * frame's own header is not there, but a protocol family. */
static int
juniper_ethernet(struct cursor *c)
{
    const uint8_t *p = cur_take(c, 4);
    if (!p || p[0] != 0x4d || p[1] != 0x47 || p[2] != 0x43) {
        return 0;
    }
    if (p[3] & 0x80) {
        cur_skip(c, cur_u16(c));
    }
    if (p[3] & 0x02) {
        cur_skip(c, 4);
        return raw_ip(c);
    }
    return ethernet(c);
}

/* A token ring or FDDI: frame control, addresses, LLC. */
static int
fddi(struct cursor *c)
{
    cur_skip(c, 13);
    return ether_type(llc_snap(c), c, 0);
}

/* OpenBSD's IPsec interface: what follows its 12 bytes is IP. */
static int
enc(struct cursor *c)
{
    cur_skip(c, 12);
    return raw_ip(c);
}

static int
cisco_hdlc_with_direction(struct cursor *c)
{
    cur_skip(c, 1);
    return cisco_hdlc(c);
}

static int
frame_relay_with_direction(struct cursor *c)
{
    cur_skip(c, 1);
    return frame_relay(c);
}

/* Hilscher's analyzers; the second keeps preambles. */
static int
netanalyzer(struct cursor *c)
{
    cur_skip(c, 4);
    return ethernet(c);
}

static int
netanalyzer_transparent(struct cursor *c)
{
    cur_skip(c, 12);
    return ethernet(c);
}

static int
with_preamble(struct cursor *c)
{
    cur_skip(c, 8);
    return ethernet(c);
}

/* IEEE 802.11: data frames that are not encrypted. */
static int
wlan(struct cursor *c)
{
    enum { TYPE = 0x0c, DATA = 0x08, NO_DATA = 0x40, QOS = 0x80 };
    enum { BOTH_DS = 3, PROTECTED = 0x40, ORDER = 0x80 };
    const uint8_t *p = cur_take(c, 24);
    if (!p || (p[0] & TYPE) != DATA || p[0] & NO_DATA || p[1] & PROTECTED) {
        return 0;
    }
    cur_skip(c, (p[1] & BOTH_DS) == BOTH_DS ? 6 : 0);   /* Address 4. */
    if (p[0] & QOS) {
        cur_skip(c, p[1] & ORDER ? 6 : 2);
    }
    return ether_type(llc_snap(c), c, 0);
}

/* With a header before it that says its length, in little endian. */
static int
radiotap(struct cursor *c)
{
    const uint8_t *p = cur_take(c, 4);
    size_t size = p ? p[2] | (size_t) p[3] << 8 : 0;
    cur_skip(c, size >= 4 ? size - 4 : SIZE_MAX);
    return wlan(c);
}

static const struct {
    uint16_t link;
    int (*read)(struct cursor *);
} links[] = {
    { 0, null_loopback }, { 1, ethernet }, { 9, ppp }, { 12, raw_ip },
    { 10, fddi }, { 14, raw_ip }, { 50, ppp }, { 51, pppoe }, { 101, raw_ip },
    { 104, cisco_hdlc }, { 105, wlan }, { 107, frame_relay },
    { 108, null_loopback }, { 109, enc }, { 113, linux_sll }, { 117, pflog },
    { 127, radiotap }, { 178, juniper_ethernet }, { 204, ppp_with_direction },
    { 205, cisco_hdlc_with_direction }, { 206, frame_relay_with_direction },
    { 228, raw_ip }, { 229, raw_ip }, { 239, nflog }, { 240, netanalyzer },
    { 241, netanalyzer_transparent }, { 274, with_preamble },
    { 276, linux_sll2 },
};

int
capture_link(uint32_t link, struct cursor *c)
{
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++) {
        if (links[i].link == link) {
            int type = links[i].read(c);
            return c->bad ? 0 : type;
        }
    }
    return -1;
}
