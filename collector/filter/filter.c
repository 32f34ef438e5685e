#include <config.h>

#include "collector/filter/filter.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "collector/filter/filter_p.h"
#include "collector/filter/grammar.h"
#include "lib/clock.h"

/* Longest value; a quoted name may be as long as names are. */
#define MAX_WORD 1024

void
filter_fail(struct filter_parse *fp, size_t position, const char *expected,
            const char *format, ...)
{
    if (fp->failed) {
        return;
    }
    fp->failed = true;
    if (fp->error) {
        va_list args;
        va_start(args, format);
        fp->error->position = position;
        vsnprintf(fp->error->message, sizeof fp->error->message, format,
                  args);
        snprintf(fp->error->expected, sizeof fp->error->expected, "%s",
                 expected);
        va_end(args);
    }
}

void
filter_destroy(struct filter *f)
{
    /* Chains lean to the left: walk down there, recurse to the right.  The
     * number of nodes is bounded anyway. */
    while (f) {
        struct filter *left = f->left;
        filter_destroy(f->right);
        free(f->text);
        free(f);
        f = left;
    }
}

struct filter *
filter_make(struct filter_parse *fp, enum filter_op op, struct filter *left,
            struct filter *right)
{
    struct filter *f = NULL;
    if (++fp->n_nodes > FILTER_MAX_NODES) {
        filter_fail(fp, fp->at, "", "more than %d terms and operators",
                    FILTER_MAX_NODES);
    } else if (!(f = calloc(1, sizeof *f))) {
        filter_fail(fp, fp->at, "", "out of memory");
    }
    if (!f) {
        filter_destroy(left);
        filter_destroy(right);
        return NULL;
    }
    f->op = op;
    f->left = left;
    f->right = right;
    return f;
}

static struct filter *
make_term(struct filter_parse *fp, enum column_id column, enum filter_cmp cmp)
{
    struct filter *f = filter_make(fp, FILTER_TERM, NULL, NULL);
    if (f) {
        f->column = column;
        f->cmp = cmp;
    }
    return f;
}

struct filter *
filter_make_null(struct filter_parse *fp, enum column_id column)
{
    return make_term(fp, column, CMP_IS_NULL);
}

struct filter *
filter_make_number(struct filter_parse *fp, enum column_id column,
                   uint64_t number)
{
    struct filter *f = make_term(fp, column, CMP_EQ);
    if (f) {
        f->number = number;
    }
    return f;
}

/* Values. */

struct value {
    const struct column *column;
    char text[MAX_WORD];
    const struct filter_span *span;
};

/* Protocols that people write by name; the registry has all of them. */
static const struct {
    const char *name;
    uint8_t number;
} protocols[] = {
    { "icmp", 1 }, { "igmp", 2 }, { "ipip", 4 }, { "tcp", 6 }, { "egp", 8 },
    { "igp", 9 }, { "udp", 17 }, { "dccp", 33 }, { "ipv6", 41 },
    { "rsvp", 46 }, { "gre", 47 }, { "esp", 50 }, { "ah", 51 },
    { "icmp6", 58 }, { "ipv6-icmp", 58 }, { "icmpv6", 58 }, { "eigrp", 88 },
    { "ospf", 89 }, { "pim", 103 }, { "vrrp", 112 }, { "l2tp", 115 },
    { "sctp", 132 }, { "udplite", 136 },
};

static const struct {
    const char *name;
    uint64_t factor;
} scales[] = {
    { "", 1 }, { "k", 1000 }, { "m", 1000000 }, { "g", 1000000000 },
    { "t", UINT64_C(1000000000000) },
};

/* "443", "0x1b", "10k".  0, -EINVAL, or -ERANGE. */
static int
parse_number(const char *text, uint64_t *number)
{
    if (!isdigit((unsigned char) text[0])) {
        return -EINVAL;
    }
    bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, hex ? 16 : 10);
    if (errno) {
        return -ERANGE;
    }
    for (size_t i = 0; i < sizeof scales / sizeof scales[0]; i++) {
        if (!strcasecmp(end, scales[i].name) && end != text) {
            return __builtin_mul_overflow(v, scales[i].factor, number)
                   ? -ERANGE : 0;
        }
    }
    return -EINVAL;
}

static bool
fail_value(struct filter_parse *fp, const struct value *v,
           const char *expected)
{
    filter_fail(fp, v->span->start, expected,
                "\"%.60s\" is not a value of %s", v->text, v->column->name);
    return false;
}

static bool
value_number(struct filter_parse *fp, const struct value *v,
             struct filter *f)
{
    unsigned size = v->column->size;
    uint64_t max = size >= 8 ? UINT64_MAX
                             : (UINT64_C(1) << 8 * size) - 1;
    if (v->column == &columns[COL_proto]) {
        for (size_t i = 0; i < sizeof protocols / sizeof protocols[0]; i++) {
            if (!strcasecmp(v->text, protocols[i].name)) {
                f->number = protocols[i].number;
                return true;
            }
        }
    }
    int e = parse_number(v->text, &f->number);
    if (e == -EINVAL) {
        return fail_value(fp, v, v->column == &columns[COL_proto]
                                 ? "tcp, udp, icmp, icmp6, sctp, a number"
                                 : "a number");
    }
    if (e || f->number > max) {
        char expected[64];
        snprintf(expected, sizeof expected, "a number up to %llu",
                 (unsigned long long) max);
        filter_fail(fp, v->span->start, expected,
                    "%.60s is too large for %s", v->text, v->column->name);
        return false;
    }
    return true;
}

static bool
value_bool(struct filter_parse *fp, const struct value *v, struct filter *f)
{
    static const char *const words[] = { "false", "true", "no", "yes", "0",
                                         "1" };
    for (unsigned i = 0; i < 6; i++) {
        if (!strcasecmp(v->text, words[i])) {
            f->number = i & 1;
            return true;
        }
    }
    return fail_value(fp, v, "true, false");
}

static bool
value_time(struct filter_parse *fp, const struct value *v, struct filter *f)
{
    int64_t us;
    if (time_parse_us(v->text, clock_wall_us(), &us) || us < 0) {
        return fail_value(fp, v, "a time such as 2026-11-23T05:00:00Z, or "
                          "-1h");
    }
    f->number = (uint64_t) us;
    return true;
}

static bool
value_addr(struct filter_parse *fp, const struct value *v, struct filter *f)
{
    if (prefix_parse(v->text, &f->prefix)) {
        return fail_value(fp, v, "an address or a prefix such as "
                          "10.0.0.0/8");
    }
    if (f->cmp != CMP_EQ && f->cmp != CMP_NE) {
        filter_fail(fp, v->span->start, "=, !=",
                    "addresses have no order: %s takes = and != only",
                    v->column->name);
        return false;
    }
    return true;
}

static bool
value_mac(struct filter_parse *fp, const struct value *v, struct filter *f)
{
    return !mac_parse(v->text, &f->number)
           || fail_value(fp, v, "a MAC address such as 00:11:22:33:44:55");
}

static bool
value_name(struct filter_parse *fp, const struct value *v, struct filter *f)
{
    if (f->cmp != CMP_EQ && f->cmp != CMP_NE) {
        filter_fail(fp, v->span->start, "=, !=",
                    "names have no order: %s takes = and != only",
                    v->column->name);
        return false;
    }
    f->text = strdup(v->text);
    if (!f->text) {
        filter_fail(fp, v->span->start, "", "out of memory");
    }
    return f->text != NULL;
}

static bool
value_word(struct filter_parse *fp, const struct value *v, struct filter *f)
{
    uint32_t word;
    if (!column_word_value(v->column, v->text, &word)) {
        f->number = word;
        return true;
    }
    if (!parse_number(v->text, &f->number)
        && f->number <= (v->column->type == COLUMN_T_ENUM ? UINT8_MAX
                                                          : UINT32_MAX)) {
        return true;
    }
    char list[sizeof fp->error->expected] = "";
    size_t used = 0;
    for (const struct column_word *w = v->column->words; w && w->name; w++) {
        if (used + strlen(w->name) + 3 < sizeof list) {
            used += (size_t) snprintf(list + used, sizeof list - used,
                                      "%s%s", used ? ", " : "", w->name);
        }
    }
    return fail_value(fp, v, list);
}

static bool
value_bits(struct filter_parse *fp, const struct value *v, struct filter *f)
{
    if (f->cmp != CMP_EQ && f->cmp != CMP_NE) {
        filter_fail(fp, v->span->start, "=, !=",
                    "%s is a set: it takes = and != only", v->column->name);
        return false;
    }
    return value_word(fp, v, f);
}

typedef bool value_fn(struct filter_parse *, const struct value *,
                      struct filter *);

static value_fn *const value_readers[N_COLUMN_TYPES] = {
    [COLUMN_T_U8] = value_number, [COLUMN_T_U16] = value_number,
    [COLUMN_T_U32] = value_number, [COLUMN_T_U64] = value_number,
    [COLUMN_T_BOOL] = value_bool, [COLUMN_T_TIME] = value_time,
    [COLUMN_T_ADDR] = value_addr, [COLUMN_T_MAC] = value_mac,
    [COLUMN_T_NAME] = value_name, [COLUMN_T_ENUM] = value_word,
    [COLUMN_T_BITS] = value_bits,
};

/* What "=" is for a type, where it is not CMP_EQ. */
static enum filter_cmp
equal_of(enum column_type type)
{
    return type == COLUMN_T_ADDR ? CMP_IN_PREFIX
           : type == COLUMN_T_BITS ? CMP_BITS_ALL : CMP_EQ;
}

struct filter *
filter_make_column(struct filter_parse *fp, enum column_id id,
                   enum filter_cmp cmp, const struct filter_word *word,
                   const struct filter_span *span)
{
    struct value v = { .column = &columns[id], .span = span };
    struct filter *f = make_term(fp, id, cmp);
    if (!f) {
        return NULL;
    }
    if (word->len >= sizeof v.text || memchr(word->text, '\0', word->len)) {
        filter_fail(fp, span->start, "", "this value is too long");
        filter_destroy(f);
        return NULL;
    }
    memcpy(v.text, word->text, word->len);
    if (!value_readers[v.column->type](fp, &v, f)) {
        filter_destroy(f);
        return NULL;
    }
    enum filter_cmp equal = equal_of(v.column->type);
    if (equal == CMP_EQ || (cmp != CMP_EQ && cmp != CMP_NE)) {
        return f;
    }
    f->cmp = equal;
    return cmp == CMP_NE ? filter_make(fp, FILTER_NOT, f, NULL) : f;
}

/* Which columns "src host", "dst host" and so on mean. */
static const enum column_id kind_columns[][2] = {
    [KIND_HOST] = { COL_src_addr, COL_dst_addr },
    [KIND_NET] = { COL_src_addr, COL_dst_addr },
    [KIND_PORT] = { COL_src_port, COL_dst_port },
    [KIND_AS] = { COL_src_as, COL_dst_as },
    [KIND_MAC] = { COL_src_mac, COL_dst_mac },
    [KIND_IF] = { COL_in_if, COL_out_if },
};

struct filter *
filter_make_kind(struct filter_parse *fp, enum filter_kind kind,
                 enum filter_side side, enum filter_cmp cmp,
                 const struct filter_word *word,
                 const struct filter_span *span)
{
    enum column_id src = kind_columns[kind][0], dst = kind_columns[kind][1];
    bool negated = false;

    if (kind == KIND_IF && (word->quoted || !word->len
                            || !isdigit((unsigned char) word->text[0]))) {
        src = COL_in_if_name;   /* "in if eth0" */
        dst = COL_out_if_name;
    }
    if (side != SIDE_ANY) {
        return filter_make_column(fp, side == SIDE_SRC ? src : dst, cmp,
                                  word, span);
    }
    if (cmp == CMP_NE) {
        /* "host != A" says that A is on neither side. */
        negated = true;
        cmp = CMP_EQ;
    }
    struct filter *a = filter_make_column(fp, src, cmp, word, span);
    struct filter *b = a ? filter_make_column(fp, dst, cmp, word, span)
                         : NULL;
    if (!b) {
        filter_destroy(a);
        return NULL;
    }
    a = filter_make(fp, FILTER_OR, a, b);
    return a && negated ? filter_make(fp, FILTER_NOT, a, NULL) : a;
}

struct filter *
filter_make_flags(struct filter_parse *fp, const struct filter_word *word,
                  const struct filter_span *span)
{
    /* RFC 9293 section 3.1, RFC 3168; the letters are nfdump's. */
    static const char letters[] = "FSRPAUEC";
    uint64_t bits = 0;
    char text[32] = "";

    if (word->len < sizeof text) {
        memcpy(text, word->text, word->len);
    }
    if (parse_number(text, &bits)) {
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
    if (!bits || bits > UINT16_MAX) {
        filter_fail(fp, span->start, "letters of FSRPAUEC, or a number",
                    "these are no TCP flags");
        return NULL;
    }
    struct filter *f = make_term(fp, COL_tcp_flags, CMP_BITS_ALL);
    if (f) {
        f->number = bits;
    }
    return f;
}

/* Lists. */

void
filter_list_destroy(struct filter_list *list)
{
    while (list) {
        struct filter_list *next = list->next;
        free(list);
        list = next;
    }
}

struct filter_list *
filter_list_add(struct filter_parse *fp, struct filter_list *list,
                const struct filter_word *word,
                const struct filter_span *span)
{
    struct filter_list *l = malloc(sizeof *l);
    if (!l) {
        filter_fail(fp, span->start, "", "out of memory");
        filter_list_destroy(list);
        return NULL;
    }
    *l = (struct filter_list) { list, *word, *span };
    return l;
}

struct filter *
filter_make_list(struct filter_parse *fp, int kind, enum filter_side side,
                 enum column_id column, struct filter_list *list)
{
    struct filter *all = NULL;
    for (struct filter_list *l = list; l; l = l->next) {
        struct filter *f
            = kind < 0
              ? filter_make_column(fp, column, CMP_EQ, &l->word, &l->span)
              : filter_make_kind(fp, (enum filter_kind) kind, side, CMP_EQ,
                                 &l->word, &l->span);
        if (f && all) {
            f = filter_make(fp, FILTER_OR, all, f);
        } else if (!f) {
            filter_destroy(all);
        }
        all = f;
        if (!all) {
            break;
        }
    }
    filter_list_destroy(list);
    return all;
}

struct filter *
filter_parse(const char *text, struct filter_error *error)
{
    struct filter_parse fp = { .text = text, .size = strlen(text),
                               .error = error };
    if (error) {
        memset(error, 0, sizeof *error);
    }
    if (fp.size > FILTER_MAX_TEXT) {
        filter_fail(&fp, FILTER_MAX_TEXT, "", "a filter has at most %d bytes",
                    FILTER_MAX_TEXT);
        return NULL;
    }
    if (filter_scanner_open(&fp)) {
        filter_fail(&fp, 0, "", "out of memory");
        return NULL;
    }
    int failed = filter_yyparse(&fp);
    filter_scanner_close(&fp);
    if (failed || fp.failed) {
        filter_fail(&fp, fp.at, "", "this is not a filter");
        filter_destroy(fp.tree);
        return NULL;
    }
    return fp.tree;
}
