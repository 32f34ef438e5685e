/* tests/unit/bgp_util.h -- BGP messages from hexadecimal text, and a sink that
 * writes down what it gets. */
#ifndef TESTS_BGP_UTIL_H
#define TESTS_BGP_UTIL_H 1

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bgp/attribute.h"
#include "tests/unit/unit.h"

/* Octets of 'hex' in a block of exactly that size.  Blanks are left out;
 * "[...]" and "(...)" stand for what is inside with its length in one, or two,
 * octets before it. */
static inline uint8_t *
unhex(const char *hex, size_t *n)
{
    uint8_t *out = malloc(strlen(hex) + 1);
    size_t open[8];
    unsigned depth = 0, have = 0, v = 0;
    *n = 0;
    for (; *hex; hex++) {
        if (*hex == '[' || *hex == '(') {
            open[depth++] = *n;
            *n += *hex == '(' ? 2 : 1;
        } else if (*hex == ']' || *hex == ')') {
            size_t at = open[--depth], size = *n - at - (*hex == ')' ? 2 : 1);
            if (*hex == ')') {
                out[at++] = (uint8_t) (size >> 8);
            }
            out[at] = (uint8_t) size;
        } else if (*hex != ' ') {
            v = v << 4 | (unsigned) (*hex <= '9' ? *hex - '0'
                                                 : (*hex | 32) - 'a' + 10);
            if (++have == 2) {
                out[(*n)++] = (uint8_t) v;
                have = v = 0;
            }
        }
    }
    uint8_t *exact = memdup_exact(out, *n);
    free(out);
    return exact;
}

/* Everything that came, a line for each. */
struct recorder {
    char text[65536];
    size_t n;
    unsigned n_announced, n_withdrawn;
    struct bgp_attrs attrs;     /* Of the last; pointers may be stale. */
    struct bgp_nlri nlri;
    uint32_t n_peers;
};

static inline void
record(struct recorder *r, const char *what, const char *rest)
{
    if (r->n < sizeof r->text - 200) {
        r->n += (size_t) sprintf(r->text + r->n, "%s %s\n", what, rest);
    }
}

static inline void
record_nlri(struct recorder *r, const char *what, const struct bgp_nlri *n)
{
    char prefix[PREFIX_STRLEN], rd[BGP_RD_STRLEN], line[200];
    int at = sprintf(line, "%s %s", bgp_family_name(n->family),
                     prefix_format(&n->prefix, prefix));
    if (n->path_id) {
        at += sprintf(line + at, " id %u", n->path_id);
    }
    if (n->rd) {
        at += sprintf(line + at, " rd %s", bgp_rd_format(n->rd, rd));
    }
    if (n->n_labels) {
        sprintf(line + at, " label %u", n->label);
    }
    r->nlri = *n;
    record(r, what, line);
}

static inline void
record_announce(void *aux, uint32_t peer, const struct bgp_nlri *n,
                const struct bgp_attrs *a)
{
    struct recorder *r = aux;
    (void) peer;
    r->n_announced++;
    r->attrs = *a;
    record_nlri(r, "+", n);
}

static inline void
record_withdraw(void *aux, uint32_t peer, const struct bgp_nlri *n)
{
    struct recorder *r = aux;
    (void) peer;
    r->n_withdrawn++;
    record_nlri(r, "-", n);
}

static inline void
record_eor(void *aux, uint32_t peer, enum bgp_family f)
{
    (void) peer;
    record(aux, "eor", bgp_family_name(f));
}

static inline void
record_stale(void *aux, uint32_t peer, enum bgp_family f)
{
    (void) peer;
    record(aux, "stale", bgp_family_name(f));
}

static inline void
record_purge(void *aux, uint32_t peer, enum bgp_family f, bool stale_only)
{
    (void) peer;
    record(aux, stale_only ? "purge-stale" : "purge", bgp_family_name(f));
}

static inline uint32_t
record_up(void *aux, const struct bgp_peer_info *info)
{
    struct recorder *r = aux;
    char a[ADDR_STRLEN];
    record(r, "up", addr_format(&info->address, a));
    return r->n_peers++;
}

static inline void
record_down(void *aux, uint32_t peer)
{
    char text[20];
    sprintf(text, "%u", peer);
    record(aux, "down", text);
}

static inline struct bgp_sink
recorder_sink(struct recorder *r)
{
    return (struct bgp_sink) {
        .aux = r, .announce = record_announce, .withdraw = record_withdraw,
        .end_of_rib = record_eor, .mark_stale = record_stale,
        .purge = record_purge, .peer_up = record_up, .peer_down = record_down,
    };
}

#endif /* tests/unit/bgp_util.h */
