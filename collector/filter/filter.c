#include <config.h>

#include "collector/filter/filter.h"

#include <ctype.h>
#include <errno.h>
#include <regex.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "collector/filter/filter_p.h"
#include "collector/filter/grammar.h"
#include "collector/filter/names.h"
#include "collector/filter/pattern.h"
#include "lib/clock.h"

/* Longest value; a quoted name may be as long as names are. */
#define MAX_WORD 4098          /* Names have up to 4096 bytes. */
#define MAX_PATTERN 1024

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
filter_copy(const struct filter *f)
{
    struct filter *c = f ? malloc(sizeof *c) : NULL;
    if (!c) {
        return NULL;
    }
    *c = *f;
    c->text = f->text ? strdup(f->text) : NULL;
    c->left = filter_copy(f->left);
    c->right = filter_copy(f->right);
    if ((f->text && !c->text) || (f->left && !c->left)
        || (f->right && !c->right)) {
        filter_destroy(c);
        return NULL;
    }
    return c;
}

bool
filter_equal(const struct filter *a, const struct filter *b)
{
    for (; a && b; a = a->left, b = b->left) {
        if (a->op != b->op || a->value != b->value || a->column != b->column
            || a->cmp != b->cmp || a->number != b->number
            || a->prefix.len != b->prefix.len
            || !addr_equal(&a->prefix.addr, &b->prefix.addr)
            || !a->text != !b->text || (a->text && strcmp(a->text, b->text))
            || !filter_equal(a->right, b->right)) {
            return false;
        }
    }
    return a == b;
}

struct filter *
filter_join(enum filter_op op, struct filter *left, struct filter *right)
{
    struct filter *f = left && (right || op == FILTER_NOT)
                       ? calloc(1, sizeof *f) : NULL;
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

struct filter *
filter_make_term(struct filter_parse *fp, enum column_id column,
                 enum filter_cmp cmp)
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
    return filter_make_term(fp, column, CMP_IS_NULL);
}

struct filter *
filter_make_number(struct filter_parse *fp, enum column_id column,
                   uint64_t number)
{
    struct filter *f = filter_make_term(fp, column, CMP_EQ);
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

static const struct {
    const char *name;
    uint64_t factor;
} scales[] = {
    { "", 1 }, { "k", 1000 }, { "m", 1000000 }, { "g", 1000000000 },
    { "t", UINT64_C(1000000000000) },
};

int
filter_parse_number(const char *text, uint64_t *number)
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
is_port(const struct column *c)
{
    size_t len = strlen(c->name);
    return len > 5 && !strcmp(c->name + len - 5, "_port");
}

static bool
value_number(struct filter_parse *fp, const struct value *v,
             struct filter *f)
{
    unsigned size = v->column->size;
    uint64_t max = size >= 8 ? UINT64_MAX
                             : (UINT64_C(1) << 8 * size) - 1;
    uint8_t proto;
    uint16_t port;
    if (v->column == &columns[COL_proto] && !proto_number(v->text, &proto)) {
        f->number = proto;
        return true;
    }
    if (is_port(v->column) && !service_port(v->text, &port)) {
        f->number = port;
        return true;
    }
    int e = filter_parse_number(v->text, &f->number);
    if (e == -EINVAL) {
        return fail_value(fp, v, v->column == &columns[COL_proto]
                                 ? "tcp, udp, icmp, icmp6, sctp, a number"
                             : is_port(v->column)
                                 ? "a number, or a service such as https"
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
    /* nfdump's words for ours. */
    static const struct {
        const char *theirs, *ours;
    } aliases[] = {
        { "add", "create" }, { "create", "created" }, { "term", "deleted" },
        { "delete", "deleted" }, { "deny", "denied" },
    };
    uint32_t word;
    bool found = !column_word_value(v->column, v->text, &word);
    for (size_t i = 0; !found && i < sizeof aliases / sizeof aliases[0];
         i++) {
        found = !strcasecmp(v->text, aliases[i].theirs)
                && !column_word_value(v->column, aliases[i].ours, &word);
    }
    if (found) {
        f->number = word;
        return true;
    }
    if (!filter_parse_number(v->text, &f->number)
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
    struct filter *f = filter_make_term(fp, id, cmp);
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

/* What "src host", "dst host" and so on mean: the number of the column, or -1
 * after an error. */
static int
kind_column(struct filter_parse *fp, enum filter_kind kind, enum filter_io io,
            bool dst, bool by_name, const struct filter_span *span)
{
    static const char *const names[][2] = {
#define X(ID, WORD, SRC, DST) [KIND_##ID] = { SRC, DST },
        FILTER_KINDS(X)
#undef X
    };
    const char *name = names[kind][dst];

    if (kind == KIND_IF && by_name) {
        name = dst ? "out_if_name" : "in_if_name";
    } else if (kind == KIND_HOST && by_name) {
        name = dst ? "dst_host" : "src_host";
    } else if (kind == KIND_MAC && io == IO_OUT) {
        name = dst ? "post_dst_mac" : "post_src_mac";
    }
    const struct column *c = column_by_name(name);
    if (!c && kind == KIND_VLAN) {
        c = &columns[COL_vlan_id];
    }
    if (!c) {
        filter_fail(fp, span->start, "", "no record says this here");
        return -1;
    }
    return (int) (c - columns);
}

/* Both sides at once. */
static struct filter *
make_sides(struct filter_parse *fp, int src, int dst, enum filter_op op,
           enum filter_cmp cmp, const struct filter_word *word,
           const struct filter_span *span)
{
    /* "host != A" says that A is on neither side. */
    bool negated = op == FILTER_OR && cmp == CMP_NE;
    struct filter *a = filter_make_column(fp, (enum column_id) src,
                                          negated ? CMP_EQ : cmp, word, span);
    struct filter *b = a ? filter_make_column(fp, (enum column_id) dst,
                                              negated ? CMP_EQ : cmp, word,
                                              span) : NULL;
    if (!b) {
        filter_destroy(a);
        return NULL;
    }
    a = filter_make(fp, op, a, b);
    return a && negated ? filter_make(fp, FILTER_NOT, a, NULL) : a;
}

/* Paths and communities: texts that are searched. */
static bool
is_searched(enum filter_kind kind)
{
    return kind >= KIND_AS_PATH && kind <= KIND_EXT;
}

/* What "_" is in the patterns of routers: a side of an AS number. */
#define BOUNDARY "(^|[ {}(),]|$)"

/* The pattern as every engine understands it, into 'out' of MAX_PATTERN.  False:
 * not one. */
static bool
path_pattern(const struct filter_word *word, char *out)
{
    size_t used = 0;
    for (size_t i = 0; i < word->len; i++) {
        char c = word->text[i], before = i ? word->text[i - 1] : '(';
        /* What engines disagree about. */
        if (strchr("*+?", c) && strchr("*+?(|^", before)) {
            return false;
        }
        const char *put = c == '_' ? BOUNDARY : NULL;
        size_t n = put ? strlen(put) : 1;
        if (!memchr("0123456789 .*+?^$|()[]-,_", c, 25)
            || used + n >= MAX_PATTERN) {
            return false;
        }
        memcpy(out + used, put ? put : &c, n);
        used += n;
    }
    out[used] = '\0';
    regex_t re;
    if (!used || !pattern_is_cheap(out)
        || regcomp(&re, out, REG_EXTENDED | REG_NOSUB)) {
        return false;
    }
    regfree(&re);
    return true;
}

/* "65000:100", "65000:1:2", "rt:65000:1", "0x030c000000000008". */
static bool
is_community(enum filter_kind kind, const struct filter_word *w)
{
    unsigned colons = 0, other = 0;
    for (size_t i = 0; i < w->len; i++) {
        colons += w->text[i] == ':';
        other += w->text[i] != ':' && !isdigit((unsigned char) w->text[i]);
        if (w->text[i] == ' ') {
            return false;
        }
    }
    return kind == KIND_EXT ? w->len > 0
           : !other && colons == (kind == KIND_LARGE ? 2 : 1);
}

static void
set_search(struct filter *f, enum filter_cmp cmp, const char *pattern,
           bool *failed)
{
    if (f->op != FILTER_TERM) {
        set_search(f->left, cmp, pattern, failed);
        if (f->right) {
            set_search(f->right, cmp, pattern, failed);
        }
        return;
    }
    f->cmp = cmp;
    if (pattern) {
        free(f->text);
        f->text = strdup(pattern);
        *failed |= !f->text;
    }
}

static struct filter *
make_search(struct filter_parse *fp, enum filter_kind kind,
            enum filter_side side, enum filter_cmp cmp,
            const struct filter_word *word, const struct filter_span *span)
{
    char pattern[MAX_PATTERN];
    bool path = kind == KIND_AS_PATH, failed = false;
    if (cmp != CMP_EQ && cmp != CMP_NE) {
        filter_fail(fp, span->start, "=, !=", "paths and communities have no "
                    "order");
        return NULL;
    }
    if (path && ++fp->n_patterns > FILTER_MAX_PATTERNS) {
        filter_fail(fp, span->start, "", "more than %d patterns",
                    FILTER_MAX_PATTERNS);
        return NULL;
    }
    if (path ? !path_pattern(word, pattern) : !is_community(kind, word)) {
        filter_fail(fp, span->start, path
                    ? "a regular expression such as \"_64500 .* 15169$\", of "
                      "digits, blanks and .*+?^$|()[]-_"
                    : kind == KIND_LARGE ? "such as 65000:1:2"
                    : kind == KIND_EXT ? "such as rt:65000:1"
                    : "such as 65000:100", "\"%.*s\" is not %s",
                    (int) (word->len > 60 ? 60 : word->len), word->text,
                    path ? "a pattern of AS paths" : "a community");
        return NULL;
    }
    int src = kind_column(fp, kind, IO_ANY, false, true, span);
    int dst = kind_column(fp, kind, IO_ANY, true, true, span);
    struct filter *f = side == SIDE_SRC || side == SIDE_DST
        ? filter_make_column(fp, (enum column_id) (side == SIDE_SRC ? src
                                                                    : dst),
                             CMP_EQ, word, span)
        : make_sides(fp, src, dst, side == SIDE_BOTH ? FILTER_AND : FILTER_OR,
                     CMP_EQ, word, span);
    if (f) {
        set_search(f, path ? CMP_MATCHES : CMP_HAS_WORD,
                   path ? pattern : NULL, &failed);
        if (failed) {
            filter_fail(fp, span->start, "", "out of memory");
            filter_destroy(f);
            return NULL;
        }
    }
    return f && cmp == CMP_NE ? filter_make(fp, FILTER_NOT, f, NULL) : f;
}

bool
filter_label_escape(char *out, size_t size, const char *text, size_t len)
{
    size_t used = strlen(out);
    for (size_t i = 0; i < len; i++) {
        bool mark = strchr(",=\\", text[i]) != NULL;
        if (!text[i] || used + mark + 2 > size) {
            return false;
        }
        if (mark) {
            out[used++] = '\\';
        }
        out[used++] = text[i];
    }
    out[used] = '\0';
    return true;
}

/* Of one side. */
static struct filter *
make_label(struct filter_parse *fp, enum column_id id, const char *label)
{
    struct filter *f = filter_make_term(fp, id, CMP_HAS_LABEL);
    if (f && !(f->text = strdup(label))) {
        filter_fail(fp, fp->at, "", "out of memory");
        filter_destroy(f);
        f = NULL;
    }
    return f;
}

struct filter *
filter_make_label(struct filter_parse *fp, const struct filter_word *key,
                  enum filter_side side, enum filter_cmp cmp,
                  const struct filter_word *word,
                  const struct filter_span *where,
                  const struct filter_span *span)
{
    char label[2 * MAX_WORD] = ",";
    size_t skip = strlen("label.");
    if (*key->text != 'l') {            /* "src_label.KEY" */
        if (side != SIDE_ANY) {
            filter_fail(fp, where->start, "label.KEY", "the side is said "
                        "twice");
            return NULL;
        }
        side = *key->text == 's' ? SIDE_SRC : SIDE_DST;
        skip += strlen("src_");
    }
    if (cmp != CMP_EQ && cmp != CMP_NE) {
        filter_fail(fp, span->start, "=, !=", "labels have no order: they "
                    "take = and != only");
        return NULL;
    }
    bool fits = filter_label_escape(label, sizeof label - 2, key->text + skip,
                                    key->len - skip);
    if (fits) {
        strcat(label, "=");
        fits = filter_label_escape(label, sizeof label - 2, word->text,
                                   word->len);
    }
    if (!fits) {
        filter_fail(fp, span->start, "", "this value is too long");
        return NULL;
    }
    strcat(label, ",");
    struct filter *f = NULL;
    if (side != SIDE_DST) {
        f = make_label(fp, COL_src_labels, label);
        if (!f) {
            return NULL;
        }
    }
    if (side != SIDE_SRC) {
        struct filter *g = make_label(fp, COL_dst_labels, label);
        if (!g) {
            filter_destroy(f);
            return NULL;
        }
        f = f ? filter_make(fp, side == SIDE_BOTH ? FILTER_AND : FILTER_OR,
                            f, g) : g;
    }
    return f && cmp == CMP_NE ? filter_make(fp, FILTER_NOT, f, NULL) : f;
}

/* One more of a list: 'f' (NULL: it failed), or any of 'all' before it. */
static struct filter *
add_choice(struct filter_parse *fp, struct filter *all, struct filter *f)
{
    if (!f) {
        filter_destroy(all);
        return NULL;
    }
    return all ? filter_make(fp, FILTER_OR, all, f) : f;
}

struct filter *
filter_make_labels(struct filter_parse *fp, const struct filter_word *key,
                   enum filter_side side, struct filter_list *list,
                   const struct filter_span *where)
{
    struct filter *all = NULL;
    for (struct filter_list *l = list; l; l = l->next) {
        struct filter *f = filter_make_label(fp, key, side, CMP_EQ, &l->word,
                                             where, &l->span);
        all = add_choice(fp, all, f);
        if (!all) {
            break;
        }
    }
    filter_list_destroy(list);
    return all;
}

static bool
is_address(const struct filter_word *word)
{
    char text[PREFIX_STRLEN];
    struct prefix p;

    if (word->len >= sizeof text) {
        return false;
    }
    snprintf(text, sizeof text, "%.*s", (int) word->len, word->text);
    return !prefix_parse(text, &p);
}

/* As the packet came, or as it left. */
static struct filter *
make_both_macs(struct filter_parse *fp, enum filter_side side,
               enum filter_cmp cmp, const struct filter_word *word,
               const struct filter_span *span)
{
    bool negated = cmp == CMP_NE;
    struct filter *f = NULL;
    for (enum filter_io io = IO_IN; io <= IO_OUT; io++) {
        f = add_choice(fp, f, filter_make_kind(fp, KIND_MAC, io, side,
                                               negated ? CMP_EQ : cmp, word,
                                               span));
        if (!f) {
            return NULL;
        }
    }
    return negated ? filter_make(fp, FILTER_NOT, f, NULL) : f;
}

struct filter *
filter_make_kind(struct filter_parse *fp, enum filter_kind kind,
                 enum filter_io io, enum filter_side side,
                 enum filter_cmp cmp, const struct filter_word *word,
                 const struct filter_span *span)
{
    bool by_name = kind == KIND_HOST ? word->quoted && !is_address(word)
                   : word->quoted || !word->len
                     || !isdigit((unsigned char) word->text[0]);

    if (io != IO_ANY && kind != KIND_IF && kind != KIND_MAC) {
        filter_fail(fp, span->start, "if, mac", "only interfaces and MAC "
                    "addresses are in or out");
        return NULL;
    }
    if (is_searched(kind)) {
        return make_search(fp, kind, side, cmp, word, span);
    }
    if (kind == KIND_IF && io != IO_ANY) {
        side = io == IO_IN ? SIDE_SRC : SIDE_DST;
    } else if (kind == KIND_MAC && io == IO_ANY) {
        return make_both_macs(fp, side, cmp, word, span);
    }
    int src = kind_column(fp, kind, io, false, by_name, span);
    int dst = src < 0 ? -1 : kind_column(fp, kind, io, true, by_name, span);
    if (dst < 0) {
        return NULL;
    }
    if (side == SIDE_SRC || side == SIDE_DST) {
        return filter_make_column(fp, (enum column_id) (side == SIDE_SRC
                                                        ? src : dst), cmp,
                                  word, span);
    }
    return make_sides(fp, src, dst, side == SIDE_BOTH ? FILTER_AND
                                                      : FILTER_OR, cmp, word,
                      span);
}

/* A netmask as a length, or -1. */
static int
mask_length(const char *text)
{
    struct addr a;
    int len = 0;
    if (addr_parse(text, &a)) {
        return -1;
    }
    int first = addr_is_v4(&a) ? 96 : 0;
    for (int i = first; i < 128; i++) {
        bool set = a.b[i / 8] >> (7 - i % 8) & 1;
        if (set && len != i - first) {
            return -1;
        }
        len += set;
    }
    return len;
}

struct filter *
filter_make_netmask(struct filter_parse *fp, enum filter_kind kind,
                    enum filter_side side, const struct filter_word *word,
                    const struct filter_word *mask,
                    const struct filter_span *span)
{
    char text[2 * ADDR_STRLEN + 8], mask_text[ADDR_STRLEN];
    int len = -1;

    if ((kind == KIND_NET || kind == KIND_XIP) && word->len < ADDR_STRLEN
        && mask->len < ADDR_STRLEN) {
        snprintf(mask_text, sizeof mask_text, "%.*s", (int) mask->len,
                 mask->text);
        len = mask_length(mask_text);
    }
    if (len < 0) {
        filter_fail(fp, span->start, "and, or", "unexpected \"%.*s\"",
                    (int) (mask->len > 40 ? 40 : mask->len), mask->text);
        return NULL;
    }
    snprintf(text, sizeof text, "%.*s/%d", (int) word->len, word->text, len);
    struct filter_word whole = { text, strlen(text), false };
    return filter_make_kind(fp, kind, IO_ANY, side, CMP_EQ, &whole, span);
}

/* Computed values. */

const char *
filter_value_name(enum filter_value value)
{
    static const char *const names[N_FILTER_VALUES] = {
        [FV_DURATION] = "duration", [FV_BPS] = "bps", [FV_PPS] = "pps",
        [FV_BPP] = "bpp", [FV_ENGINE_TYPE] = "engine-type",
        [FV_ENGINE_ID] = "engine-id",
    };
    return value < N_FILTER_VALUES ? names[value] : NULL;
}

struct filter *
filter_make_value(struct filter_parse *fp, enum filter_value value,
                  enum filter_cmp cmp, const struct filter_word *word,
                  const struct filter_span *span)
{
    struct filter *f = filter_make_column(fp, COL_bytes, cmp, word, span);
    if (f) {
        f->value = value;
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
filter_make_list(struct filter_parse *fp, int kind, enum filter_io io,
                 enum filter_side side, enum column_id column,
                 struct filter_list *list)
{
    struct filter *all = NULL;
    for (struct filter_list *l = list; l; l = l->next) {
        struct filter *f
            = kind < 0
              ? filter_make_column(fp, column, CMP_EQ, &l->word, &l->span)
              : filter_make_kind(fp, (enum filter_kind) kind, io, side,
                                 CMP_EQ, &l->word, &l->span);
        all = add_choice(fp, all, f);
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
