#include <config.h>

#include "collector/decode/capture_p.h"

/* Exports that a mirror or an underlay carries: IP in IP, GRE with IP or
 * Ethernet (also ERSPAN), VXLAN and Geneve.  What else is in a tunnel is no
 * export that could be read. */

#define MAX_DEPTH 4

enum { PROTO_IPIP = 4, PROTO_IPV6 = 41, PROTO_GRE = 47 };
enum { PORT_VXLAN = 4789, PORT_VXLAN_LINUX = 8472, PORT_GENEVE = 6081 };
enum { TYPE_TEB = 0x6558, TYPE_ERSPAN = 0x88be, TYPE_ERSPAN3 = 0x22eb };

static bool
inner(struct capture *cap, int type, struct cursor *c, int64_t time_us)
{
    if (c->bad || type <= 0 || cap->depth == MAX_DEPTH) {
        return false;
    }
    cap->depth++;
    capture_ip(cap, type, *c, time_us);
    cap->depth--;
    return true;
}

static bool
inner_frame(struct capture *cap, struct cursor *c, int64_t time_us)
{
    return inner(cap, capture_link(1, c), c, time_us);
}

/* RFC 2784 and 2890; ERSPAN's first version has no header of its own, and no
 * sequence number by which that is told. */
static bool
gre(struct capture *cap, struct cursor *c, int64_t time_us)
{
    enum { SUM = 0x8000, KEY = 0x2000, SEQUENCE = 0x1000, REVISION = 7 };
    uint16_t flags = cur_u16(c), type = cur_u16(c);

    cur_skip(c, (flags & SUM ? 4u : 0) + (flags & KEY ? 4u : 0)
                + (flags & SEQUENCE ? 4u : 0));
    if (flags & REVISION) {
        return false;
    } else if (type == TYPE_ERSPAN3) {
        const uint8_t *p = cur_take(c, 12);
        cur_skip(c, p && p[11] & 1 ? 8 : 0);    /* Subheader. */
    } else if (type == TYPE_ERSPAN) {
        cur_skip(c, flags & SEQUENCE ? 8 : 0);
    } else if (type != TYPE_TEB) {
        return inner(cap, type == ETHERTYPE_IPV4 || type == ETHERTYPE_IPV6
                          ? type : 0, c, time_us);
    }
    return inner_frame(cap, c, time_us);
}

bool
capture_tunnel_ip(struct capture *cap, uint8_t proto, struct cursor c,
                  int64_t time_us)
{
    switch (proto) {
    case PROTO_IPIP:
        return inner(cap, ETHERTYPE_IPV4, &c, time_us);
    case PROTO_IPV6:
        return inner(cap, ETHERTYPE_IPV6, &c, time_us);
    case PROTO_GRE:
        return gre(cap, &c, time_us);
    default:
        return false;
    }
}

/* RFC 7348: flags 0x08, the rest reserved.  RFC 8926: version 0.  Neither
 * begins like an export. */
bool
capture_tunnel_udp(struct capture *cap, uint16_t dst_port, struct cursor c,
                   int64_t time_us)
{
    const uint8_t *p = cur_take(&c, 8);

    if (!p) {
        return false;
    } else if (dst_port == PORT_VXLAN || dst_port == PORT_VXLAN_LINUX) {
        return p[0] == 0x08 && !p[1] && !p[7]
               && inner_frame(cap, &c, time_us);
    } else if (dst_port != PORT_GENEVE || p[0] >> 6
               || be16_at(p + 2) != TYPE_TEB) {
        return false;
    }
    cur_skip(&c, (p[0] & 0x3fu) * 4u);
    return inner_frame(cap, &c, time_us);
}
