#include <config.h>

#include "collector/template/ovs.h"

#include "collector/template/element.h"

/* When a group of fields is there. */
enum {
    L3_UNKNOWN, L3_IPV4, L3_IPV6, N_L3
};
enum {
    L4_UNKNOWN, L4_TCP, L4_UDP, L4_SCTP, L4_ICMP, N_L4
};

/* What a template id says. */
struct kind {
    unsigned l2, l3, l4, tunnel, egress;
    bool virtual_obs_id;
};

static bool
always(const struct kind *k)
{
    (void) k;
    return true;
}

static bool
is_egress(const struct kind *k)
{
    return k->egress;
}

static bool
has_vlan(const struct kind *k)
{
    return k->l2;
}

static bool
has_ip(const struct kind *k)
{
    return k->l3 != L3_UNKNOWN;
}

static bool
has_ipv4(const struct kind *k)
{
    return k->l3 == L3_IPV4;
}

static bool
has_ipv6(const struct kind *k)
{
    return k->l3 == L3_IPV6;
}

static bool
has_ports(const struct kind *k)
{
    return k->l4 == L4_TCP || k->l4 == L4_UDP || k->l4 == L4_SCTP;
}

static bool
has_icmp4(const struct kind *k)
{
    return k->l3 == L3_IPV4 && k->l4 == L4_ICMP;
}

static bool
has_icmp6(const struct kind *k)
{
    return k->l3 == L3_IPV6 && k->l4 == L4_ICMP;
}

static bool
has_tunnel(const struct kind *k)
{
    return k->tunnel;
}

static bool
has_virtual_obs_id(const struct kind *k)
{
    return k->virtual_obs_id;
}

static bool
has_tcp(const struct kind *k)
{
    return k->l4 == L4_TCP;
}

#define VAR TEMPLATE_VARLEN

/* In the order in which Open vSwitch puts them. */
static const struct group {
    bool (*present)(const struct kind *);
    struct template_field fields[17];   /* Ends with an id of 0. */
} groups[] = {
    { always, { { 138, 4, 0 }, { 61, 1, 0 }, { 56, 6, 0 }, { 80, 6, 0 },
                { 256, 2, 0 }, { 240, 1, 0 }, { 10, 4, 0 }, { 368, 4, 0 },
                { 82, VAR, 0 }, { 83, VAR, 0 } } },
    { is_egress, { { 14, 4, 0 }, { 369, 4, 0 }, { 82, VAR, 0 },
                   { 83, VAR, 0 } } },
    { has_vlan, { { 58, 2, 0 }, { 243, 2, 0 }, { 244, 1, 0 } } },
    { has_ip, { { 60, 1, 0 }, { 192, 1, 0 }, { 4, 1, 0 }, { 195, 1, 0 },
                { 196, 1, 0 }, { 5, 1, 0 } } },
    { has_ipv4, { { 8, 4, 0 }, { 12, 4, 0 } } },
    { has_ipv6, { { 27, 16, 0 }, { 28, 16, 0 }, { 31, 4, 0 } } },
    { has_ports, { { 7, 2, 0 }, { 11, 2, 0 } } },
    { has_icmp4, { { 176, 1, 0 }, { 177, 1, 0 } } },
    { has_icmp6, { { 178, 1, 0 }, { 179, 1, 0 } } },
    { has_tunnel, { { 893, 4, PEN_OVS }, { 894, 4, PEN_OVS },
                    { 895, 1, PEN_OVS }, { 896, 2, PEN_OVS },
                    { 897, 2, PEN_OVS }, { 891, 1, PEN_OVS },
                    { 892, VAR, PEN_OVS } } },
    { has_virtual_obs_id, { { 898, VAR, PEN_OVS } } },
    { always, { { 158, 4, 0 }, { 159, 4, 0 }, { 133, 8, 0 }, { 135, 8, 0 },
                { 2, 8, 0 }, { 86, 8, 0 }, { 354, 8, 0 }, { 355, 8, 0 },
                { 356, 8, 0 }, { 357, 8, 0 }, { 358, 8, 0 }, { 19, 8, 0 },
                { 174, 8, 0 }, { 352, 8, 0 }, { 353, 8, 0 },
                { 136, 1, 0 } } },
    { has_ip, { { 132, 8, 0 }, { 134, 8, 0 }, { 1, 8, 0 }, { 85, 8, 0 },
                { 198, 8, 0 }, { 199, 8, 0 }, { 25, 8, 0 }, { 26, 8, 0 },
                { 20, 8, 0 }, { 175, 8, 0 } } },
    { has_tcp, { { 222, 8, 0 }, { 219, 8, 0 }, { 221, 8, 0 }, { 220, 8, 0 },
                 { 218, 8, 0 }, { 223, 8, 0 } } },
};

/* The inverse of id = 256 + (((l2 * 3 + l3) * 5 + l4) * 2 + tunnel) * 2 +
 * direction. */
static bool
kind_from_id(uint16_t id, bool virtual_obs_id, struct kind *k)
{
    if (id < OVS_TEMPLATE_FIRST || id > OVS_TEMPLATE_LAST) {
        return false;
    }
    unsigned x = id - OVS_TEMPLATE_FIRST;
    k->virtual_obs_id = virtual_obs_id;
    k->egress = x % 2;
    k->tunnel = x / 2 % 2;
    k->l4 = x / 4 % N_L4;
    k->l3 = x / 4 / N_L4 % N_L3;
    k->l2 = x / 4 / N_L4 / N_L3;
    return k->l3 != L3_UNKNOWN || k->l4 == L4_UNKNOWN;
}

unsigned
ovs_template_fields(uint16_t id, bool virtual_obs_id,
                    struct template_field fields[OVS_MAX_FIELDS])
{
    struct kind kind;
    if (!kind_from_id(id, virtual_obs_id, &kind)) {
        return 0;
    }
    unsigned n = 0;
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        const struct group *g = &groups[i];
        for (const struct template_field *f = g->fields;
             f->id && g->present(&kind); f++) {
            fields[n++] = *f;
        }
    }
    return n;
}
