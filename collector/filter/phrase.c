/* collector/filter/phrase.c -- terms that have a grammar of their own in
 * nfdump: flags, and terms of several words. */

#include <config.h>

#include "collector/filter/filter_p.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/addr.h"

#define TCP 6
#define MAX_LABEL 10            /* Of a stack, in nfdump's words. */

struct filter *
filter_make_flows(struct filter_parse *fp, enum filter_cmp cmp,
                  const struct filter_word *word,
                  const struct filter_span *span)
{
    struct filter *f = filter_make_column(fp, COL_bytes, cmp, word, span);
    if (!f) {
        return NULL;
    }
    /* Each record is one. */
    uint64_t n = f->number;
    bool yes = cmp == CMP_EQ ? n == 1 : cmp == CMP_NE ? n != 1
               : cmp == CMP_LT ? 1 < n : cmp == CMP_LE ? 1 <= n
               : cmp == CMP_GT ? 1 > n : 1 >= n;
    f->op = FILTER_ANY;
    return yes ? f : filter_make(fp, FILTER_NOT, f, NULL);
}

struct filter *
filter_make_ident(struct filter_parse *fp, const struct filter_word *word,
                  const struct filter_span *span)
{
    char text[ADDR_STRLEN];
    struct addr a;
    snprintf(text, sizeof text, "%.*s",
             word->len < sizeof text ? (int) word->len : 0, word->text);
    return filter_make_column(fp, addr_parse(text, &a) ? COL_bridge
                                                       : COL_exporter,
                              CMP_EQ, word, span);
}

/* Terms of several words. */

static bool
word_is(const struct filter_word *word, const char *text)
{
    return word->len == strlen(text)
           && !strncasecmp(word->text, text, word->len);
}

/* A pattern that is looked for in a column of text: 'before', which is what
 * is passed over, and the value, a number up to 'max', by 'format'. */
static struct filter *
make_pattern(struct filter_parse *fp, enum column_id id, enum filter_cmp cmp,
             const struct filter_word *word, const struct filter_span *span,
             uint64_t max, const char *before, const char *format)
{
    char text[32] = "", value[32], pattern[256];
    uint64_t number;

    if (word->len < sizeof text) {
        memcpy(text, word->text, word->len);
    }
    if (filter_parse_number(text, &number) || number > max) {
        char expected[64];
        snprintf(expected, sizeof expected, "a number up to %llu",
                 (unsigned long long) max);
        filter_fail(fp, span->start, expected, "\"%.*s\" is not a value of "
                    "%s", (int) (word->len > 60 ? 60 : word->len), word->text,
                    columns[id].name);
        return NULL;
    }
    if (cmp != CMP_EQ && cmp != CMP_NE) {
        filter_fail(fp, span->start, "=, !=", "here are only = and !=");
        return NULL;
    }
    snprintf(value, sizeof value, format, (unsigned) number);
    snprintf(pattern, sizeof pattern, "%s%s", before, value);
    struct filter *f = filter_make_term(fp, id, CMP_MATCHES);
    if (f && !(f->text = strdup(pattern))) {
        filter_fail(fp, span->start, "", "out of memory");
        filter_destroy(f);
        f = NULL;
    }
    return f && cmp == CMP_NE ? filter_make(fp, FILTER_NOT, f, NULL) : f;
}

/* "mpls label3 = 16": the third of "99 98 16".  0: not of these. */
static unsigned
label_place(const struct filter_word *second)
{
    unsigned n = 0;
    if (second->len < 6 || second->len > 7
        || strncasecmp(second->text, "label", 5)) {
        return 0;
    }
    for (size_t i = 5; i < second->len; i++) {
        if (!isdigit((unsigned char) second->text[i])) {
            return 0;
        }
        n = n * 10 + (unsigned) (second->text[i] - '0');
    }
    return n <= MAX_LABEL ? n : 0;
}

/* Labels below the first, and the last. */
static struct filter *
make_mpls(struct filter_parse *fp, const struct filter_word *second,
          enum filter_cmp cmp, const struct filter_word *word,
          const struct filter_span *span)
{
    static const uint64_t max = (1 << 20) - 1;
    char before[8 * MAX_LABEL] = "(^| )";

    if (word_is(second, "eos")) {
        return make_pattern(fp, COL_mpls_labels, cmp, word, span, max, before,
                            "%u$");
    }
    strcpy(before, "^");
    for (unsigned i = label_place(second); i > 1; i--) {
        strcat(before, "[0-9]+ ");
    }
    return make_pattern(fp, COL_mpls_labels, cmp, word, span, max, before,
                        "%u( |$)");
}

/* Cisco's names of access lists are three numbers: list, entry, and extended
 * entry; in our column 24 digits.  sFlow tells names. */
static struct filter *
make_acl(struct filter_parse *fp, bool in, const struct filter_word *second,
         enum filter_cmp cmp, const struct filter_word *word,
         const struct filter_span *span)
{
    static const char *const before[] = { "^", "^........",
                                          "^................" };
    unsigned place = word_is(second, "acl") ? 0
                     : word_is(second, "ace") ? 1 : 2;
    enum column_id id = in ? COL_acl_in : COL_acl_out;
    if (!place && (word->len == 24 || word->quoted
                   || !isdigit((unsigned char) word->text[0]))) {
        return filter_make_column(fp, id, cmp, word, span);
    }
    return make_pattern(fp, id, cmp, word, span, UINT32_MAX, before[place],
                        "%08x");
}

/* Two words that are a column: nfdump's. */
static const struct {
    const char *first, *second;
    enum column_id column;
} phrases[] = {
    { "nat", "event", COL_nat_event },
    { "asa", "event", COL_firewall_event },
    { "asa", "xevent", COL_firewall_ext_event },
    { "ingress", "vrf", COL_in_vrf }, { "egress", "vrf", COL_out_vrf },
    { "pblock", "start", COL_port_range_start },
    { "pblock", "end", COL_port_range_end },
    { "mpls", "label1", COL_mpls_label },
    { "mpls", "label", COL_mpls_label },
    { "mpls", "exp1", COL_mpls_exp }, { "mpls", "exp", COL_mpls_exp },
    { "observation", "domain", COL_observation_domain_id },
    { "observation", "point", COL_observation_point_id },
};
#define N_PHRASES (sizeof phrases / sizeof phrases[0])

/* The others, of which a part of a column is compared; for completion. */
static const struct { const char *first, *second; } parts[] = {
    { "mpls", "label2" }, { "mpls", "label3" }, { "mpls", "label4" },
    { "mpls", "label5" }, { "mpls", "label6" }, { "mpls", "label7" },
    { "mpls", "label8" }, { "mpls", "label9" }, { "mpls", "label10" },
    { "mpls", "eos" },
    { "ingress", "acl" }, { "ingress", "ace" }, { "ingress", "xace" },
    { "egress", "acl" }, { "egress", "ace" }, { "egress", "xace" },
};
#define N_PARTS (sizeof parts / sizeof parts[0])

/* Extended events of Cisco NSEL, from 1001 on. */
static const char *const denials[] = { "ingress", "egress", "interface",
                                       "nosyn" };

const char *
filter_phrase_at(const struct filter_word *first, unsigned i)
{
    for (size_t k = 0; k < N_PHRASES + N_PARTS; k++) {
        bool part = k >= N_PHRASES;
        if (word_is(first, part ? parts[k - N_PHRASES].first
                                : phrases[k].first) && !i--) {
            return part ? parts[k - N_PHRASES].second : phrases[k].second;
        }
    }
    return NULL;
}

int
filter_phrase_column(const struct filter_word *first,
                     const struct filter_word *second)
{
    for (size_t i = 0; i < N_PHRASES; i++) {
        if (word_is(first, phrases[i].first)
            && word_is(second, phrases[i].second)) {
            return (int) phrases[i].column;
        }
    }
    return -1;
}

const char *
filter_denial_at(unsigned i)
{
    return i < sizeof denials / sizeof denials[0] ? denials[i] : NULL;
}

struct filter *
filter_make_phrase(struct filter_parse *fp, const struct filter_word *first,
                   const struct filter_word *second, enum filter_cmp cmp,
                   const struct filter_word *word,
                   const struct filter_span *where,
                   const struct filter_span *span)
{
    int column = filter_phrase_column(first, second);
    if (column >= 0) {
        return filter_make_column(fp, (enum column_id) column, cmp, word,
                                  span);
    }
    if (word_is(first, "mpls") && (word_is(second, "eos")
                                   || label_place(second))) {
        return make_mpls(fp, second, cmp, word, span);
    }
    bool in = word_is(first, "ingress");
    if ((in || word_is(first, "egress"))
        && (word_is(second, "acl") || word_is(second, "ace")
            || word_is(second, "xace"))) {
        return make_acl(fp, in, second, cmp, word, span);
    }
    char list[128] = "";
    const char *next;
    for (unsigned i = 0; (next = filter_phrase_at(first, i)); i++) {
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "",
                 next);
    }
    filter_fail(fp, where->start, list, "no record says this here: \"%.*s "
                "%.*s\"", (int) first->len, first->text,
                (int) (second->len > 40 ? 40 : second->len), second->text);
    return NULL;
}

struct filter *
filter_make_denied(struct filter_parse *fp, const struct filter_word *first,
                   const struct filter_word *second,
                   const struct filter_word *third,
                   const struct filter_word *reason,
                   const struct filter_span *span)
{
    /* FW_DENIED of Cisco NSEL is the event 3. */
    if (!word_is(first, "asa") || !word_is(second, "event")
        || !word_is(third, "denied")) {
        filter_fail(fp, span->start, "and, or", "unexpected \"%.*s\"",
                    (int) (reason->len > 40 ? 40 : reason->len),
                    reason->text);
        return NULL;
    }
    for (unsigned i = 0; i < 4; i++) {
        if (word_is(reason, denials[i])) {
            struct filter *f = filter_make_number(fp, COL_firewall_event, 3);
            struct filter *g = f ? filter_make_number(
                fp, COL_firewall_ext_event, 1001 + i) : NULL;
            if (!g) {
                filter_destroy(f);
                return NULL;
            }
            return filter_make(fp, FILTER_AND, f, g);
        }
    }
    filter_fail(fp, span->start, "ingress, egress, interface, nosyn",
                "\"%.*s\" is not why a firewall denies",
                (int) (reason->len > 40 ? 40 : reason->len), reason->text);
    return NULL;
}

/* "next ip" is of the packet; of AS numbers both sides have one. */
static bool
check_adjacent(struct filter_parse *fp, enum filter_side side,
               enum filter_kind kind, const struct filter_span *where)
{
    if (kind == KIND_AS || (kind == KIND_HOST && side == SIDE_DST)) {
        return true;
    }
    filter_fail(fp, where->start, side == SIDE_DST ? "ip, as" : "as",
                "no column says this of the %s hop",
                side == SIDE_DST ? "next" : "previous");
    return false;
}

struct filter *
filter_make_adjacent(struct filter_parse *fp, enum filter_side side,
                     enum filter_kind kind, enum filter_cmp cmp,
                     const struct filter_word *word,
                     const struct filter_span *where,
                     const struct filter_span *span)
{
    return !check_adjacent(fp, side, kind, where) ? NULL
           : filter_make_column(fp, kind == KIND_HOST ? COL_next_hop
                                    : side == SIDE_DST ? COL_dst_peer_as
                                                       : COL_src_peer_as,
                                cmp, word, span);
}

struct filter *
filter_make_adjacents(struct filter_parse *fp, enum filter_side side,
                      enum filter_kind kind, struct filter_list *list,
                      const struct filter_span *where)
{
    if (!check_adjacent(fp, side, kind, where)) {
        filter_list_destroy(list);
        return NULL;
    }
    return kind == KIND_HOST
           ? filter_make_list(fp, -1, IO_ANY, SIDE_ANY, COL_next_hop, list)
           : filter_make_list(fp, KIND_PEER_AS, IO_ANY, side, COL_src_addr,
                              list);
}

struct filter *
filter_make_dir(struct filter_parse *fp, enum filter_side side,
                enum column_id id, enum filter_cmp cmp,
                const struct filter_word *word,
                const struct filter_span *where,
                const struct filter_span *span)
{
    if (id == COL_tos && side != SIDE_SRC && side != SIDE_ANY) {
        filter_fail(fp, where->start, "src tos", "no column says this of the "
                    "packet as it left");
        return NULL;
    }
    if (id != COL_tos) {
        filter_fail(fp, where->start, "host, net, port, as, ...",
                    "%s has no sides to choose from", columns[id].name);
        return NULL;
    }
    return filter_make_column(fp, id, cmp, word, span);
}

struct filter *
filter_make_io(struct filter_parse *fp, enum filter_io io, enum column_id id,
               enum filter_cmp cmp, const struct filter_word *word,
               const struct filter_span *where,
               const struct filter_span *span)
{
    if (io == IO_IN && (id == COL_bytes || id == COL_packets)) {
        return filter_make_column(fp, id, cmp, word, span);
    }
    filter_fail(fp, where->start, "in bytes, in packets", "each direction is "
                "a record of its own here");
    return NULL;
}

/* Flags. */

/* What some exporters tell of UDP, too, is nobody's flag. */
static struct filter *
of_tcp(struct filter_parse *fp, struct filter *f)
{
    struct filter *tcp = filter_make_number(fp, COL_proto, TCP);
    if (!tcp) {
        filter_destroy(f);
        return NULL;
    }
    return filter_make(fp, FILTER_AND, f, tcp);
}

struct filter *
filter_make_flags(struct filter_parse *fp, bool compared,
                  enum filter_cmp cmp, const struct filter_word *word,
                  const struct filter_span *span)
{
    /* RFC 9293 section 3.1, RFC 3168; the letters are nfdump's. */
    static const char letters[] = "FSRPAUEC";
    uint64_t bits = 0;
    char text[32] = "";

    if (word->len < sizeof text) {
        memcpy(text, word->text, word->len);
    }
    bool number = !filter_parse_number(text, &bits);
    if (!number) {
        bits = 0;
        for (size_t i = 0; i < word->len; i++) {
            const char *p = strchr(letters, toupper((unsigned char)
                                                    word->text[i]));
            if (p && *p) {
                bits |= UINT64_C(1) << (p - letters);
            } else if (word->text[i] == 'X' || word->text[i] == 'x') {
                bits |= 0x3f;
            } else {
                filter_fail(fp, span->start + i + word->quoted,
                            "letters of FSRPAUEC, or X for all of FSRPAU",
                            "\"%c\" is not a TCP flag", word->text[i]);
                return NULL;
            }
        }
    }
    if ((!bits && !number) || bits > UINT16_MAX) {
        filter_fail(fp, span->start, "letters of FSRPAUEC, or a number",
                    "these are no TCP flags");
        return NULL;
    }
    if (compared && !number && cmp != CMP_EQ && cmp != CMP_NE) {
        filter_fail(fp, span->start, "a number",
                    "letters are equal or not, no more");
        return NULL;
    }
    struct filter *f = filter_make_term(fp, COL_tcp_flags,
                                        compared || number ? cmp
                                                           : CMP_BITS_ALL);
    if (f) {
        f->number = bits;
        f = of_tcp(fp, f);
    }
    fp->flags = f && !compared && !number ? f : NULL;
    return f;
}

struct filter *
filter_make_not(struct filter_parse *fp, struct filter *f)
{
    if (f != fp->flags) {
        return filter_make(fp, FILTER_NOT, f, NULL);
    }
    /* nfdump's "not flags AF" is: neither of them. */
    uint64_t bits = f->left->number;
    struct filter *any = NULL;
    filter_destroy(f);
    fp->flags = NULL;
    for (; bits; bits &= bits - 1) {
        struct filter *t = filter_make_term(fp, COL_tcp_flags, CMP_BITS_ALL);
        if (!t) {
            filter_destroy(any);
            return NULL;
        }
        t->number = bits & -bits;
        any = any ? filter_make(fp, FILTER_OR, any, t) : t;
        if (!any) {
            return NULL;
        }
    }
    any = of_tcp(fp, any);
    return any ? filter_make(fp, FILTER_NOT, any, NULL) : NULL;
}
