/* collector/filter/filter_p.h -- what lexer, grammar and tree share. */
#ifndef COLLECTOR_FILTER_P_H
#define COLLECTOR_FILTER_P_H 1

#include <stdbool.h>

#include "collector/filter/filter.h"

#define FILTER_MAX_TEXT 65536   /* Bytes. */
#define FILTER_MAX_PATTERNS 64  /* Each takes a while to compile. */
#define FILTER_MAX_NODES 4096   /* Of the tree: bounds every recursion. */

/* Where a token stands: byte offsets, 'end' exclusive. */
struct filter_span {
    size_t start, end;
};

/* A word, number or string of the text; the bytes are not NUL-terminated. */
struct filter_word {
    const char *text;
    size_t len;
    bool quoted;
};

/* SIDE_BOTH: "src and dst". */
enum filter_side { SIDE_ANY, SIDE_SRC, SIDE_DST, SIDE_BOTH };
/* Of interfaces, and of MAC addresses as the packet came or left. */
enum filter_io { IO_ANY, IO_IN, IO_OUT };

/* Kinds of terms that are not simply a column's name: the word, and the columns
 * of the two sides.  Columns are named and not numbered here since there may be
 * none. */
#define FILTER_KINDS(X)                                                 \
    X(HOST, "host", "src_addr", "dst_addr")                             \
    X(NET, "net", "src_addr", "dst_addr")                               \
    X(PORT, "port", "src_port", "dst_port")                             \
    X(AS, "as", "src_as", "dst_as")                                     \
    X(MAC, "mac", "src_mac", "dst_mac")                                 \
    X(IF, "if", "in_if", "out_if")                                      \
    X(MASK, "mask", "src_prefix_length", "dst_prefix_length")           \
    X(VLAN, "vlan", "vlan_id", "post_vlan_id")                          \
    X(TUNIP, "tunip", "tunnel_src_addr", "tunnel_dst_addr")             \
    X(XIP, "xip", "nat_src_addr", "nat_dst_addr")                       \
    X(XPORT, "xport", "nat_src_port", "nat_dst_port")                   \
    X(PEER_AS, "peer-as", "src_peer_as", "dst_peer_as")                 \
    X(ORIGIN, "origin", "src_origin", "dst_origin")                     \
    X(ROUTE_PEER, "route-peer", "src_route_peer", "dst_route_peer")     \
    X(ENDPOINT, "endpoint", "src_endpoint", "dst_endpoint")             \
    X(TENANT, "tenant", "src_tenant", "dst_tenant")                     \
    X(NETWORK, "network", "src_network", "dst_network")                 \
    X(NEXT_HOP, "next-hop", "src_bgp_next_hop", "bgp_next_hop")         \
    X(AS_PATH, "as-path", "src_as_path", "as_path")                     \
    X(COMMUNITY, "community", "src_communities", "communities")         \
    X(LARGE, "large-community", "src_communities", "communities")       \
    X(EXT, "ext-community", "src_communities", "communities")

enum filter_kind {
#define X(ID, WORD, SRC, DST) KIND_##ID,
    FILTER_KINDS(X)
#undef X
    N_FILTER_KINDS
};

/* A word without its marks. */
struct filter_text {
    struct filter_text *next;
    char text[];
};

struct filter_parse {
    const char *text;
    size_t size;
    size_t at;                  /* Of the lexer. */
    unsigned n_nodes, n_patterns;
    struct filter *tree;
    struct filter_error *error;
    void *scanner;              /* Flex's. */
    struct filter_text *texts;  /* Until the scanner is closed. */
    int last;                   /* The token before. */
    bool in_list;
    bool denied;                /* A reason may follow: "interface". */
    int before[2];              /* Tokens before the cursor, the last first. */
    struct filter_word phrase[2];       /* "nat", "event". */
    unsigned n_phrase;          /* Words since the first, with it. */
    enum column_id column;      /* What a value would be of. */
    struct filter_completion *completion;       /* NULL: a real parse. */
    const char *prefix;         /* What is completed, 'prefix_len' bytes. */
    size_t prefix_len;
    struct filter *flags;       /* The latest "flags LETTERS"; not ours. */
    bool failed;                /* '*error' is filled in; the first wins. */
};

/* Lists of values of "in [a b c]". */
struct filter_list {
    struct filter_list *next;
    struct filter_word word;
    struct filter_span span;
};
void filter_list_destroy(struct filter_list *);
struct filter_list *filter_list_add(struct filter_parse *,
                                    struct filter_list *,
                                    const struct filter_word *,
                                    const struct filter_span *);

/* lexer.l: 0 or -ENOMEM. */
int filter_scanner_open(struct filter_parse *);
void filter_scanner_close(struct filter_parse *);

void filter_fail(struct filter_parse *, size_t position,
                 const char *expected, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* "443", "0x1b", "10k".  0, -EINVAL, or -ERANGE. */
int filter_parse_number(const char *text, uint64_t *number);

/* Constructors: they take over their operands and return NULL, with the parse
 * failed, if something is wrong. */
struct filter *filter_make(struct filter_parse *, enum filter_op,
                           struct filter *left, struct filter *right);
struct filter *filter_make_term(struct filter_parse *, enum column_id,
                                enum filter_cmp);
struct filter *filter_make_column(struct filter_parse *, enum column_id,
                                  enum filter_cmp, const struct filter_word *,
                                  const struct filter_span *);
struct filter *filter_make_kind(struct filter_parse *, enum filter_kind,
                                enum filter_io, enum filter_side,
                                enum filter_cmp, const struct filter_word *,
                                const struct filter_span *);
/* "net 10.0.0.0 255.0.0.0" */
struct filter *filter_make_netmask(struct filter_parse *, enum filter_kind,
                                   enum filter_side,
                                   const struct filter_word *,
                                   const struct filter_word *mask,
                                   const struct filter_span *);
/* phrase.c: these and those of flags and several words. */
struct filter *filter_make_not(struct filter_parse *, struct filter *);
/* "flags SA": these are set.  A number, or 'compared': the flags as a number. */
struct filter *filter_make_flags(struct filter_parse *, bool compared,
                                 enum filter_cmp, const struct filter_word *,
                                 const struct filter_span *);
struct filter *filter_make_value(struct filter_parse *, enum filter_value,
                                 enum filter_cmp, const struct filter_word *,
                                 const struct filter_span *);
struct filter *filter_make_flows(struct filter_parse *, enum filter_cmp,
                                 const struct filter_word *,
                                 const struct filter_span *);
struct filter *filter_make_ident(struct filter_parse *,
                                 const struct filter_word *,
                                 const struct filter_span *);
/* Terms of several words: "nat event", "ingress vrf", "mpls label1". */
struct filter *filter_make_phrase(struct filter_parse *,
                                  const struct filter_word *first,
                                  const struct filter_word *second,
                                  enum filter_cmp, const struct filter_word *,
                                  const struct filter_span *where,
                                  const struct filter_span *);
/* The 'i'th word that may follow 'first', NULL at the end; the column that both
 * are, or -1; reasons of "asa event denied".  For completion. */
const char *filter_phrase_at(const struct filter_word *first, unsigned i);
int filter_phrase_column(const struct filter_word *first,
                         const struct filter_word *second);
const char *filter_denial_at(unsigned i);
/* "asa event denied ingress" */
struct filter *filter_make_denied(struct filter_parse *,
                                  const struct filter_word *first,
                                  const struct filter_word *second,
                                  const struct filter_word *third,
                                  const struct filter_word *reason,
                                  const struct filter_span *);
/* "next ip", "prev as": SIDE_SRC is what was before. */
struct filter *filter_make_adjacent(struct filter_parse *, enum filter_side,
                                    enum filter_kind, enum filter_cmp,
                                    const struct filter_word *,
                                    const struct filter_span *where,
                                    const struct filter_span *);
/* One of a list.  Takes over the list. */
struct filter *filter_make_adjacents(struct filter_parse *, enum filter_side,
                                     enum filter_kind, struct filter_list *,
                                     const struct filter_span *where);
/* "src tos": of a column without sides. */
struct filter *filter_make_dir(struct filter_parse *, enum filter_side,
                               enum column_id, enum filter_cmp,
                               const struct filter_word *,
                               const struct filter_span *where,
                               const struct filter_span *);
/* "in bytes"; "out bytes" is what nobody tells. */
struct filter *filter_make_io(struct filter_parse *, enum filter_io,
                              enum column_id, enum filter_cmp,
                              const struct filter_word *,
                              const struct filter_span *where,
                              const struct filter_span *);
/* "label.role web": 'key' is the whole word; src_label. and dst_label. say the
 * side, too. */
struct filter *filter_make_label(struct filter_parse *,
                                 const struct filter_word *key,
                                 enum filter_side, enum filter_cmp,
                                 const struct filter_word *,
                                 const struct filter_span *where,
                                 const struct filter_span *);
/* One of a list.  Takes over the list. */
struct filter *filter_make_labels(struct filter_parse *,
                                  const struct filter_word *key,
                                  enum filter_side, struct filter_list *,
                                  const struct filter_span *where);
struct filter *filter_make_null(struct filter_parse *, enum column_id);
struct filter *filter_make_number(struct filter_parse *, enum column_id,
                                  uint64_t number);
/* One of a list: 'kind' or, if that is negative, column 'column'.  Takes over
 * the list. */
struct filter *filter_make_list(struct filter_parse *, int kind,
                                enum filter_io, enum filter_side,
                                enum column_id column, struct filter_list *);

/* complete.c: what token 'name' of the grammar can be after token 'last', in
 * 'buf' if that is not its name. */
const char *filter_expected(const struct filter_parse *, int last,
                            const char *name, char *buf, size_t size);
/* complete.c: adds what token 'name' of the grammar can be. */
void filter_complete_token(struct filter_parse *, const char *name);
/* lexer.l: the words that are a token by that name, one after the other; NULL
 * at the end. */
const char *filter_word_at(const char *token, unsigned i);

#endif /* collector/filter/filter_p.h */
