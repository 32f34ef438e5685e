#include <config.h>

#include "lib/column.h"

#include <errno.h>
#include <string.h>

#include "lib/batch.h"

static const struct column_word words_export_protocol[] = {
    { PROTO_UNKNOWN, "unknown", "an imported file did not say" },
    { PROTO_NETFLOW1, "netflow1", "NetFlow version 1" },
    { PROTO_NETFLOW5, "netflow5", "NetFlow version 5" },
    { PROTO_NETFLOW7, "netflow7", "NetFlow version 7" },
    { PROTO_NETFLOW9, "netflow9", "NetFlow version 9 (RFC 3954)" },
    { PROTO_IPFIX, "ipfix", "IPFIX (RFC 7011)" },
    { PROTO_SFLOW5, "sflow", "sFlow version 5" },
    { 0, NULL, NULL },
};

static const struct column_word words_direction[] = {
    { DIR_INGRESS, "ingress", "seen when entering" },
    { DIR_EGRESS, "egress", "seen when leaving" },
    { 0, NULL, NULL },
};

static const struct column_word words_tunnel_type[] = {
    { TUNNEL_UNKNOWN, "unknown", "some tunnel" },
    { TUNNEL_VXLAN, "vxlan", "VXLAN (RFC 7348)" },
    { TUNNEL_GRE, "gre", "GRE (RFC 2784)" },
    { TUNNEL_LISP, "lisp", "LISP (RFC 6830)" },
    { TUNNEL_STT, "stt", "STT" },
    { TUNNEL_IPSEC_GRE, "ipsec-gre", "GRE in IPsec" },
    { TUNNEL_GENEVE, "geneve", "Geneve (RFC 8926)" },
    { TUNNEL_IPIP, "ipip", "IP in IP (RFC 2003)" },
    { TUNNEL_GTPU, "gtp-u", "GTP-U" },
    { TUNNEL_ERSPAN, "erspan", "ERSPAN" },
    { 0, NULL, NULL },
};

/* RFC 5102 section 5.11.3. */
static const struct column_word words_flow_end_reason[] = {
    { 1, "idle-timeout", "no packet for the idle timeout" },
    { 2, "active-timeout", "reported while it goes on" },
    { 3, "end-of-flow", "its end was seen" },
    { 4, "forced-end", "the exporter was told to" },
    { 5, "lack-of-resources", "the exporter needed the room" },
    { 0, NULL, NULL },
};

/* RFC 8158 section 5.1. */
static const struct column_word words_nat_event[] = {
    { 1, "create", "translation made" },
    { 2, "delete", "translation ended" },
    { 3, "addresses-exhausted", "no address left" },
    { 4, "nat44-create", "NAT44 session made" },
    { 5, "nat44-delete", "NAT44 session ended" },
    { 6, "nat64-create", "NAT64 session made" },
    { 7, "nat64-delete", "NAT64 session ended" },
    { 8, "nat44-bib-create", "NAT44 binding made" },
    { 9, "nat44-bib-delete", "NAT44 binding ended" },
    { 10, "nat64-bib-create", "NAT64 binding made" },
    { 11, "nat64-bib-delete", "NAT64 binding ended" },
    { 12, "ports-exhausted", "no port left" },
    { 13, "quota-exceeded", "a limit was hit" },
    { 14, "address-create", "address binding made" },
    { 15, "address-delete", "address binding ended" },
    { 16, "port-block-create", "block of ports given" },
    { 17, "port-block-delete", "block of ports taken back" },
    { 18, "threshold-reached", "close to a limit" },
    { 0, NULL, NULL },
};

/* IANA, natQuotaExceededEvent and natThresholdEvent (RFC 8158). */
static const struct column_word words_nat_quota[] = {
    { 1, "sessions", "as many sessions as there may be" },
    { 2, "bindings", "as many bindings (BIB entries) as there may be" },
    { 3, "user", "as many entries of a user as there may be" },
    { 4, "hosts", "as many active hosts or subscribers as there may be" },
    { 5, "fragments", "as many fragments waiting as there may be" },
    { 0, NULL, NULL },
};
static const struct column_word words_nat_threshold[] = {
    { 1, "pool-high", "much of an address pool is in use" },
    { 2, "pool-low", "little of an address pool is in use" },
    { 3, "ports-high", "many address and port mappings" },
    { 4, "user-high", "many address and port mappings of a user" },
    { 5, "addresses-high", "many address mappings in all" },
    { 0, NULL, NULL },
};

/* IANA, firewallEvent. */
static const struct column_word words_firewall_event[] = {
    { 0, "ignore", "no event" },
    { 1, "created", "flow created" },
    { 2, "deleted", "flow ended" },
    { 3, "denied", "flow denied" },
    { 4, "alert", "flow alert" },
    { 5, "update", "flow goes on" },
    { 0, NULL, NULL },
};

/* See collector/identity/why.h. */
static const struct column_word words_why[] = {
    { 1, "acl", "an ACL sampled it" },
    { 2, "drop", "it was dropped" },
    { 0, NULL, NULL },
};

/* RFC 4271 section 5.1.1. */
#define ORIGIN_WORDS                                                    \
    { ROUTE_IGP, "igp", "from inside of the origin's network" },        \
    { ROUTE_EGP, "egp", "learned by EGP (RFC 904)" },                   \
    { ROUTE_INCOMPLETE, "incomplete", "learned by other means" },       \
    { 0, NULL, NULL }
#define VIEW_WORDS                                                      \
    { ROUTE_VIEW_EXPORTER, "exporter", "the exporter's own peer" },     \
    { ROUTE_VIEW_DEFAULT, "default", "the configured default view" },   \
    { ROUTE_VIEW_BEST, "best", "the best of all peers" },               \
    { 0, NULL, NULL }

static const struct column_word words_src_origin[] = { ORIGIN_WORDS };
static const struct column_word words_dst_origin[] = { ORIGIN_WORDS };
static const struct column_word words_src_route_view[] = { VIEW_WORDS };
static const struct column_word words_dst_route_view[] = { VIEW_WORDS };

static const struct column_word words_quality[] = {
    { Q_RATE_UNKNOWN, "rate-unknown", "nobody told the sampling rate" },
    { Q_TIME_CORRECTED, "time-corrected",
      "times were absurd, arrival was taken" },
    { Q_SCALED_BY_EXPORTER, "scaled-by-exporter",
      "the exporter scaled; raw counts were computed back" },
    { Q_L3_ESTIMATED, "l3-estimated", "bytes derived from a frame length" },
    { Q_TRUNCATED, "truncated", "the sampled header ended too early" },
    { Q_OUTPUT_UNKNOWN, "output-unknown", "the output port is not known" },
    { 0, NULL, NULL },
};

const struct column columns[N_COLUMNS] = {
#define X(ID, TYPE, UNIT, IE, IE6, FLAGS, DOC)                          \
    [COL_##ID] = { #ID, COLUMN_T_##TYPE, UNIT, IE, IE6, FLAGS,          \
                   sizeof(COLUMN_CTYPE_##TYPE),                         \
                   offsetof(struct flow_batch, ID),                     \
                   WORDS_##TYPE(ID), DOC },
#define WORDS_ENUM(ID) words_##ID
#define WORDS_BITS(ID) words_##ID
#define WORDS_U8(ID) NULL
#define WORDS_U16(ID) NULL
#define WORDS_U32(ID) NULL
#define WORDS_U64(ID) NULL
#define WORDS_BOOL(ID) NULL
#define WORDS_TIME(ID) NULL
#define WORDS_ADDR(ID) NULL
#define WORDS_MAC(ID) NULL
#define WORDS_NAME(ID) NULL
    FLOW_COLUMNS(X)
#undef X
};

const struct column *
column_by_name(const char *name)
{
    for (size_t i = 0; i < N_COLUMNS; i++) {
        if (!strcmp(columns[i].name, name)) {
            return &columns[i];
        }
    }
    return NULL;
}

const char *
column_type_name(enum column_type type)
{
    static const char *const names[] = {
#define X(ID, CTYPE, NAME, DOC) NAME,
        COLUMN_TYPES(X)
#undef X
    };
    return names[type];
}

const char *
column_word_name(const struct column *c, uint32_t value)
{
    for (const struct column_word *w = c->words; w && w->name; w++) {
        if (w->value == value) {
            return w->name;
        }
    }
    return NULL;
}

int
column_word_value(const struct column *c, const char *name, uint32_t *value)
{
    for (const struct column_word *w = c->words; w && w->name; w++) {
        if (!strcmp(w->name, name)) {
            *value = w->value;
            return 0;
        }
    }
    return -EINVAL;
}
