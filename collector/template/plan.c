#include <config.h>

#include "collector/template/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/decode/packet.h"
#include "collector/exporter/source_table.h"
#include "collector/template/element.h"
#include "collector/template/explained.h"
#include "collector/template/registry.h"
#include "collector/template/structured.h"
#include "lib/cursor.h"
#include "lib/dict.h"
#include "lib/source.h"
#include "lib/text.h"

/* One field into one column.  The field starts 'offset' bytes after the
 * start of segment 'segment'; or it is the field of variable length that ends
 * that segment ('var'). */
struct op {
    uint8_t conv;               /* enum element_conv. */
    uint8_t code;               /* enum op_code, for single records. */
    uint8_t column;             /* enum column_id. */
    uint8_t segment;
    bool var;
    bool unless_zero;           /* An earlier op fills the column, too. */
    uint16_t offset;
    uint16_t size;              /* Unless 'var'. */
    uint16_t order;             /* In which fields came, headers first. */
    uint32_t dst;               /* Of the column in a batch, bytes. */
};

/* Records that come one at a time have no loop over rows to hide the cost of
 * choosing a conversion, so the common pairs of sizes have a code of their
 * own. */
enum op_code {
    OP_GENERAL,                 /* As for many rows. */
    OP_1_1, OP_1_2, OP_2_2, OP_2_4, OP_4_4, OP_4_8, OP_8_8,
    OP_V4, OP_V6, OP_MAC, OP_DELTA_US, OP_DSCP,
    OP_END,
};

#define FILLED_WORDS ((N_COLUMNS + 63) / 64)
#define NULLABLE_STEP 4         /* So many of 'nullable' are set at a time. */
_Static_assert(sizeof((struct flow_batch *) 0)->valid <= UINT16_MAX,
               "validity is found by 16 bits");

/* Laid out for caches: many exporters have many plans.  What every record needs
 * is in the first line, in the first bytes of 'nullable', and in 'ops'. */
struct plan {
    uint16_t n_segments;        /* Fields of variable length. */
    uint16_t n_ops;
    uint16_t n_nullable;        /* Columns that ops with a code fill, filled up
                                 * to a multiple of NULLABLE_STEP. */
    bool has_frame;
    uint8_t ip_version;         /* Of all records, or 0. */
    bool ip_version_by_row;     /* Tell by the address. */
    bool icmp_from_port;
    bool has_mpls;
    unsigned n_unknown;         /* Fields that no column takes. */
    uint64_t filled[FILLED_WORDS];      /* Columns that ops fill. */
    uint16_t nullable[N_COLUMNS + NULLABLE_STEP - 1];   /* Of the validity of
                                 * a column in a batch, bytes. */

    struct unknown {
        uint32_t pen;
        uint16_t id;
        uint8_t type;           /* enum registry_type. */
        bool learn;             /* The exporter may say what it is. */
        struct op op;
    } *unknown;
    /* Values that need others; conv CONV_NONE where missing. */
    struct op boot, duration, header_size, up_start, up_end;
    struct op mpls[PACKET_MAX_LABELS];
    uint16_t segment_size[PLAN_MAX_VARLEN + 1]; /* Before that field; at last
                                                 * what follows all. */
    struct op ops[];            /* And one of OP_END. */
};

static inline bool
fills(const struct plan *plan, unsigned column)
{
    return plan->filled[column / 64] >> column % 64 & 1;
}

static void
set_filled(struct plan *plan, unsigned column)
{
    plan->filled[column / 64] |= UINT64_C(1) << column % 64;
}

/* Where the bytes of one record, or of equal records in a row, are. */
struct view {
    const uint8_t *segment[PLAN_MAX_VARLEN + 1];
    const uint8_t *var[PLAN_MAX_VARLEN];
    uint32_t var_size[PLAN_MAX_VARLEN];
    size_t stride;
};

struct field_ref {
    const uint8_t *p;
    uint32_t size;
};

static inline struct field_ref
op_field(const struct op *op, const struct view *v, uint32_t i)
{
    if (op->var) {
        return (struct field_ref) { v->var[op->segment],
                                    v->var_size[op->segment] };
    }
    return (struct field_ref) {
        v->segment[op->segment] + op->offset + i * v->stride, op->size,
    };
}

static inline uint64_t
op_uint(const struct op *op, const struct view *v, uint32_t i)
{
    struct field_ref f = op_field(op, v, i);
    return be_uint_at(f.p, f.size);
}

/* ---- Running. ---- */

#define STORE_LOOP(DT, LOAD)                            \
    for (uint32_t i = 0; i < n; i++, s += stride) {     \
        ((DT *) dst)[i] = (DT) (LOAD);                  \
    }                                                   \
    break

#define LOAD_FUNCTION(NAME, LOAD)                                       \
    static void                                                         \
    NAME(void *dst, unsigned dst_size, uint32_t n, const uint8_t *s,    \
         size_t size, size_t stride)                                    \
    {                                                                   \
        (void) size;                                                    \
        switch (dst_size) {                                             \
        case 1: STORE_LOOP(uint8_t, LOAD);                              \
        case 2: STORE_LOOP(uint16_t, LOAD);                             \
        case 4: STORE_LOOP(uint32_t, LOAD);                             \
        default: STORE_LOOP(uint64_t, LOAD);                            \
        }                                                               \
    }

LOAD_FUNCTION(load_1, *s)
LOAD_FUNCTION(load_2, be16_at(s))
LOAD_FUNCTION(load_4, be32_at(s))
LOAD_FUNCTION(load_8, be64_at(s))
LOAD_FUNCTION(load_n, be_uint_at(s, size))

static void
run_uint(void *dst, unsigned dst_size, uint32_t n, struct field_ref f,
         size_t stride)
{
    switch (f.size) {
    case 1: load_1(dst, dst_size, n, f.p, 1, stride); break;
    case 2: load_2(dst, dst_size, n, f.p, 2, stride); break;
    case 4: load_4(dst, dst_size, n, f.p, 4, stride); break;
    case 8: load_8(dst, dst_size, n, f.p, 8, stride); break;
    default: load_n(dst, dst_size, n, f.p, f.size, stride); break;
    }
}

static void
run_v4(struct addr *dst, uint32_t n, const uint8_t *s, size_t stride)
{
    for (uint32_t i = 0; i < n; i++, s += stride) {
        dst[i] = addr_from_v4_bytes(s);
    }
}

static void
run_v6(struct addr *dst, uint32_t n, const uint8_t *s, size_t stride)
{
    for (uint32_t i = 0; i < n; i++, s += stride) {
        dst[i] = addr_from_v6_bytes(s);
    }
}

static void
run_mac(uint64_t *dst, uint32_t n, const uint8_t *s, size_t stride)
{
    for (uint32_t i = 0; i < n; i++, s += stride) {
        dst[i] = (uint64_t) be16_at(s) << 32 | be32_at(s + 2);
    }
}

/* NTP's time (RFC 7011 sections 6.1.9 and 6.1.10) in microseconds. */
static int64_t
ntp_us(uint64_t ntp)
{
    int64_t s = (int64_t) (ntp >> 32) - INT64_C(2208988800);
    uint64_t us = ((ntp & UINT32_MAX) * 1000000) >> 32;
    return s * 1000000 + (int64_t) us;
}

/* sysUptime wraps every 49.7 days: what counts is the difference to the one in
 * the header. */
static int64_t
uptime_us(const struct plan_env *env, uint64_t ms)
{
    int32_t diff = (int32_t) ((uint32_t) ms - env->uptime_ms);
    return env->export_us + (int64_t) diff * 1000;
}

static int64_t
time_us(enum element_conv conv, const struct plan_env *env, uint64_t v)
{
    /* What does not fit is as late as can be: the stage "correct" sees that it
     * cannot be right, and says so. */
    switch (conv) {
    case CONV_SECONDS:
        return v > UINT32_MAX ? INT64_MAX : (int64_t) v * 1000000;
    case CONV_MS:
        return v > INT64_MAX / 1000 ? INT64_MAX : (int64_t) v * 1000;
    case CONV_NTP:
        return ntp_us(v);
    case CONV_DELTA_US:
        /* Negative by definition (RFC 5102 section 5.9.9). */
        return env->export_us - (int64_t) (v & UINT32_MAX);
    default:
        return uptime_us(env, v);
    }
}

#define TIME_LOOP(SIZE, EXPR)                                   \
    if (op->size == SIZE) {                                     \
        const uint8_t *s = op_field(op, v, 0).p;                \
        for (uint32_t i = 0; i < n; i++, s += v->stride) {      \
            dst[i] = (EXPR);                                    \
        }                                                       \
        return;                                                 \
    }                                                           \
    break

static void
run_time(const struct op *op, const struct plan_env *env, int64_t *dst,
         uint32_t n, const struct view *v)
{
    switch (op->conv) {
    case CONV_UPTIME: TIME_LOOP(4, uptime_us(env, be32_at(s)));
    case CONV_SECONDS: TIME_LOOP(4, (int64_t) be32_at(s) * 1000000);
    case CONV_MS: TIME_LOOP(8, time_us(CONV_MS, env, be64_at(s)));
    case CONV_DELTA_US: TIME_LOOP(4, env->export_us - be32_at(s));
    }
    for (uint32_t i = 0; i < n; i++) {
        dst[i] = time_us(op->conv, env, op_uint(op, v, i));
    }
}

static void
run_name(const struct op *op, const struct plan_env *env,
         struct flow_batch *b, uint32_t row, uint32_t n,
         const struct view *v)
{
    uint32_t *dst = (uint32_t *) batch_column(b, op->column) + row;
    for (uint32_t i = 0; i < n; i++) {
        struct field_ref f = op_field(op, v, i);
        size_t len = strnlen((const char *) f.p, f.size);
        if (len) {
            dst[i] = dict_passing_recent(env->dict, env->names,
                                         (const char *) f.p, len);
            batch_set_valid(b, op->column, row + i);
        }
    }
}

static void
run_sampler(const struct op *op, const struct plan_env *env,
            struct flow_batch *b, uint32_t row, uint32_t n,
            const struct view *v)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t rate = source_sampler(env->source, op_uint(op, v, i));
        if (rate) {
            BATCH_SET(b, sampling, row + i, rate);
        }
    }
}

static void
run_type_code(const struct op *op, struct flow_batch *b, uint32_t row,
              uint32_t n, const struct view *v)
{
    for (uint32_t i = 0; i < n; i++) {
        uint64_t x = op_uint(op, v, i);
        if (op->unless_zero && !x) {
            continue;
        }
        BATCH_SET(b, icmp_type, row + i, (uint8_t) (x >> 8));
        BATCH_SET(b, icmp_code, row + i, (uint8_t) x);
    }
}

static void
run_hex(const struct op *op, const struct plan_env *env,
        struct flow_batch *b, uint32_t row, uint32_t n, const struct view *v)
{
    static const char digits[] = "0123456789abcdef";
    uint32_t *dst = (uint32_t *) batch_column(b, op->column) + row;
    char text[64];
    for (uint32_t i = 0; i < n; i++) {
        struct field_ref f = op_field(op, v, i);
        uint8_t any = 0;
        uint32_t k = 0;
        for (; k < f.size && k < sizeof text / 2; k++) {
            any |= f.p[k];
            text[2 * k] = digits[f.p[k] >> 4];
            text[2 * k + 1] = digits[f.p[k] & 15];
        }
        if (any) {
            dst[i] = dict_passing(env->dict, text, 2 * (size_t) k);
            batch_set_valid(b, op->column, row + i);
        }
    }
}

/* Standard, extended and large communities come in lists of their own, and
 * share a column. */
static void
run_communities(const struct op *op, const struct plan_env *env,
                struct flow_batch *b, uint32_t row, uint32_t n,
                const struct view *v)
{
    uint32_t *dst = (uint32_t *) batch_column(b, op->column) + row;
    for (uint32_t i = 0; i < n; i++) {
        struct field_ref f = op_field(op, v, i);
        struct text t;
        const char *before = batch_is_valid(b, op->column, row + i)
                             ? dict_text(env->dict, dst[i]) : "";
        t.n = strnlen(before, sizeof t.s / 2);
        t.cut = false;
        memcpy(t.s, before, t.n);
        size_t had = t.n;
        if (op->conv == CONV_COMMUNITY) {
            structured_community(&t, (uint32_t) be_uint_at(f.p, f.size));
        } else if (!structured_communities(&t, f.p, f.size)) {
            continue;
        }
        if (t.n > had) {
            text_finish(&t);
            dst[i] = dict_passing(env->dict, t.s, t.n);
            batch_set_valid(b, op->column, row + i);
        }
    }
}

/* Offset and flags may both tell that a packet is a fragment. */
static void
run_fragment(const struct op *op, struct flow_batch *b, uint32_t row,
             uint32_t n, const struct view *v)
{
    for (uint32_t i = row; i < row + n; i++) {
        uint16_t x = (uint16_t) op_uint(op, v, i - row);
        bool fragment = batch_is_valid(b, COL_fragment, i) && b->fragment[i];
        if (op->conv == CONV_FRAGMENT) {
            BATCH_SET(b, fragment_offset, i, x & 0x1fff);
            fragment |= (x & 0x1fff) != 0;
        } else {
            fragment |= (x & 0x20) != 0;        /* More fragments. */
        }
        BATCH_SET(b, fragment, i, fragment);
    }
}

static void
run_bool(const struct op *op, struct flow_batch *b, uint32_t row, uint32_t n,
         const struct view *v)
{
    uint8_t *dst = (uint8_t *) b + columns[op->column].offset;
    for (uint32_t i = 0; i < n; i++) {
        dst[row + i] = op_uint(op, v, i) != 0;
        batch_set_valid(b, op->column, row + i);
    }
}

static void
run_frame(const struct plan *plan, const struct op *op,
          const struct plan_env *env, struct flow_batch *b, uint32_t row,
          uint32_t n, const struct view *v)
{
    for (uint32_t i = 0; i < n; i++) {
        struct field_ref f = op_field(op, v, i);
        enum packet_link link = PACKET_ETHERNET;
        if (op->conv == CONV_IP_PACKET) {
            link = f.size && f.p[0] >> 4 == 6 ? PACKET_IPV6 : PACKET_IPV4;
        }
        struct packet packet;
        packet_parse(&packet, link, f.p, f.size, 0);
        packet_store(&packet, env->dict, b, row + i);
        if (!fills(plan, COL_bytes)) {
            b->bytes[row + i] = packet.ip_bytes;
        }
        if (!fills(plan, COL_packets)) {
            b->packets[row + i] = 1;
        }
    }
}

/* True if an earlier op has left nothing in the value at 'd'. */
static bool
is_unset(const struct op *op, const void *d)
{
    static const struct addr none[2] = { { { [10] = 0xff, 0xff } } };
    uint64_t v = 0;
    switch (columns[op->column].type) {
    case COLUMN_T_ADDR:
        return !memcmp(d, &none[0], sizeof none[0])
               || !memcmp(d, &none[1], sizeof none[1]);
    case COLUMN_T_TIME:
        return true;            /* A zero is no longer one. */
    default:
        memcpy(&v, d, columns[op->column].size);
        return !v;
    }
}

/* The second element for a column, row by row: it counts only where the first
 * is zero and it is not.  Exporters that put the addresses of both families,
 * or the counts of both directions, into every record zero what does not
 * apply. */
static void
run_unless_zero(const struct op *op, const struct plan_env *env,
                struct flow_batch *b, uint32_t row, uint32_t n,
                const struct view *v)
{
    uint8_t *dst = batch_column(b, op->column);
    unsigned size = columns[op->column].size;
    for (uint32_t i = 0; i < n; i++) {
        struct field_ref f = op_field(op, v, i);
        bool zero = true;
        for (uint32_t k = 0; k < f.size && zero; k++) {
            zero = !f.p[k];
        }
        void *d = dst + (size_t) (row + i) * size;
        if (zero || !is_unset(op, d)) {
            continue;
        }
        switch (op->conv) {
        case CONV_V4: run_v4(d, 1, f.p, 0); break;
        case CONV_V6: run_v6(d, 1, f.p, 0); break;
        case CONV_MAC: run_mac(d, 1, f.p, 0); break;
        case CONV_UINT: run_uint(d, size, 1, f, 0); break;
        case CONV_DSCP: *(uint8_t *) d = (uint8_t) (f.p[0] << 2); break;
        default:
            *(int64_t *) d = time_us(op->conv, env,
                                     be_uint_at(f.p, f.size));
            break;
        }
        batch_set_valid(b, op->column, row + i);
    }
}

static void
run_direction(const struct op *op, struct flow_batch *b, uint32_t row,
              uint32_t n, const struct view *v)
{
    uint8_t all = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint8_t x = (uint8_t) op_uint(op, v, i);
        b->direction[row + i] = x;
        all |= x;
    }
    if (all <= DIR_EGRESS) {
        batch_set_valid_range(b, COL_direction, row, n);
        return;
    }
    for (uint32_t i = row; i < row + n; i++) {
        if (b->direction[i] <= DIR_EGRESS) {
            batch_set_valid(b, COL_direction, i);
        }
    }
}

static void
run_op(const struct plan *plan, const struct op *op,
       const struct plan_env *env, struct flow_batch *b, uint32_t row,
       uint32_t n, const struct view *v)
{
    switch (op->conv) {
    case CONV_FRAME:
    case CONV_IP_PACKET:
        run_frame(plan, op, env, b, row, n, v);
        return;
    case CONV_NAME:
        run_name(op, env, b, row, n, v);
        return;
    case CONV_HEX:
        run_hex(op, env, b, row, n, v);
        return;
    case CONV_COMMUNITY:
    case CONV_COMMUNITIES:
        run_communities(op, env, b, row, n, v);
        return;
    case CONV_FRAGMENT:
    case CONV_FRAGMENT_FLAGS:
        run_fragment(op, b, row, n, v);
        return;
    case CONV_BOOL:
        run_bool(op, b, row, n, v);
        return;
    case CONV_SAMPLER:
        run_sampler(op, env, b, row, n, v);
        return;
    case CONV_TYPE_CODE:
        run_type_code(op, b, row, n, v);
        return;
    case CONV_DIRECTION:
        run_direction(op, b, row, n, v);
        return;
    }
    if (op->unless_zero) {
        run_unless_zero(op, env, b, row, n, v);
        return;
    }

    struct field_ref f = op_field(op, v, 0);
    unsigned size = columns[op->column].size;
    void *dst = (uint8_t *) batch_column(b, op->column) + (size_t) row * size;
    switch (op->conv) {
    case CONV_UINT:
        run_uint(dst, size, n, f, v->stride);
        break;
    case CONV_V4:
        run_v4(dst, n, f.p, v->stride);
        break;
    case CONV_V6:
        run_v6(dst, n, f.p, v->stride);
        break;
    case CONV_MAC:
        run_mac(dst, n, f.p, v->stride);
        break;
    case CONV_DSCP:
        for (uint32_t i = 0; i < n; i++) {
            ((uint8_t *) dst)[i] = (uint8_t) (op_uint(op, v, i) << 2);
        }
        break;
    default:
        run_time(op, env, dst, n, v);
        return;                         /* Never null. */
    }
    if (columns[op->column].flags & CF_NULL) {
        batch_set_valid_range(b, op->column, row, n);
    }
}

/* ---- What needs more than one field. ---- */

static int64_t
duration_us(const struct plan *plan, const struct view *v, uint32_t i)
{
    if (!plan->duration.conv) {
        return 0;
    }
    uint64_t d = op_uint(&plan->duration, v, i) & UINT32_MAX;
    return (int64_t) (plan->duration.conv == CONV_DURATION_MS ? d * 1000 : d);
}

/* sysUptime without one in the header (IPFIX): relative to the start of the
 * system, if the record or an options record names it; else only the duration
 * is known. */
static void
finish_uptimes(const struct plan *plan, const struct plan_env *env,
               struct flow_batch *b, uint32_t row, uint32_t n,
               const struct view *v)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t start = (uint32_t) op_uint(&plan->up_start, v, i);
        uint32_t end = (uint32_t) op_uint(&plan->up_end, v, i);
        uint64_t boot = plan->boot.conv ? op_uint(&plan->boot, v, i)
                        : (uint64_t) atomic_load_explicit(
                            &env->source->boot_ms, memory_order_relaxed);
        if (boot && boot < INT64_MAX / 2000) {
            b->flow_start[row + i] = ((int64_t) boot + start) * 1000;
            b->flow_end[row + i] = ((int64_t) boot + end) * 1000;
        } else {
            int32_t took = (int32_t) (end - start);
            b->flow_end[row + i] = env->export_us;
            b->flow_start[row + i] = env->export_us
                                     - (took > 0 ? took : 0) * INT64_C(1000);
            b->quality[row + i] |= Q_TIME_CORRECTED;
        }
    }
}

static void
finish_times(const struct plan *plan, const struct plan_env *env,
             struct flow_batch *b, uint32_t row, uint32_t n,
             const struct view *v)
{
    bool start = fills(plan, COL_flow_start);
    bool end = fills(plan, COL_flow_end);
    if (start && end) {
        return;
    }
    if (!start && !end && plan->up_start.conv && plan->up_end.conv) {
        finish_uptimes(plan, env, b, row, n, v);
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        int64_t took = duration_us(plan, v, i);
        if (start) {
            int64_t from = b->flow_start[row + i];      /* Up to INT64_MAX. */
            b->flow_end[row + i] = from > INT64_MAX - took ? INT64_MAX
                                                           : from + took;
        } else {
            if (!end) {
                b->flow_end[row + i] = env->export_us;
            }
            b->flow_start[row + i] = b->flow_end[row + i] - took;
        }
    }
}

static void
finish_counts(const struct plan *plan, struct flow_batch *b, uint32_t row,
              uint32_t n, const struct view *v)
{
    if (!fills(plan, COL_packets) && !plan->has_frame) {
        memset(&b->packets[row], 0, n * sizeof b->packets[0]);
    }
    if (!fills(plan, COL_bytes) && fills(plan, COL_l2_bytes)) {
        /* Not IP: what follows the Ethernet header. */
        for (uint32_t i = row; i < row + n; i++) {
            uint64_t header = plan->header_size.conv
                              ? op_uint(&plan->header_size, v, i - row) : 14;
            uint64_t headers = header * b->packets[i];
            uint64_t l2 = b->l2_bytes[i];
            b->bytes[i] = l2 > headers ? l2 - headers : 0;
            if (!plan->header_size.conv) {
                b->quality[i] |= Q_L3_ESTIMATED;
            }
        }
    } else if (!fills(plan, COL_bytes) && !plan->has_frame) {
        memset(&b->bytes[row], 0, n * sizeof b->bytes[0]);
    }
    if (n == 1) {
        b->raw_bytes[row] = b->bytes[row];
        b->raw_packets[row] = b->packets[row];
        return;
    }
    memcpy(&b->raw_bytes[row], &b->bytes[row], n * sizeof b->bytes[0]);
    memcpy(&b->raw_packets[row], &b->packets[row], n * sizeof b->packets[0]);
}

static void
finish_ip_version(const struct plan *plan, struct flow_batch *b, uint32_t row,
                  uint32_t n)
{
    if (plan->ip_version && n == 1) {
        BATCH_SET(b, ip_version, row, plan->ip_version);
    } else if (plan->ip_version) {
        memset(&b->ip_version[row], plan->ip_version, n);
        batch_set_valid_range(b, COL_ip_version, row, n);
    } else if (plan->ip_version_by_row) {
        for (uint32_t i = row; i < row + n; i++) {
            const struct addr *a = &b->src_addr[i];
            bool v4 = addr_is_v4(a);
            BATCH_SET(b, ip_version, i, v4 ? 4 : 6);
        }
    }
}

/* ICMP has no ports: NetFlow puts its type and code into the destination
 * port.  And exporters that have the ICMP fields in every record zero them for
 * other protocols. */
static void
finish_icmp(const struct plan *plan, struct flow_batch *b, uint32_t row,
            uint32_t n)
{
    bool from_port = plan->icmp_from_port;
    bool has_icmp = fills(plan, COL_icmp_type);
    if (!fills(plan, COL_proto) || (!from_port && !has_icmp)) {
        return;
    }
    for (uint32_t i = row; i < row + n; i++) {
        bool icmp = b->proto[i] == 1 || b->proto[i] == 58;
        if (!icmp && has_icmp) {
            batch_clear_valid(b, COL_icmp_type, i);
            batch_clear_valid(b, COL_icmp_code, i);
        } else if (icmp) {
            if (from_port) {
                uint16_t port = b->dst_port[i];
                if (port <= UINT8_MAX) {
                    /* There is no type 0 with a code: some put the type into
                     * the lower half. */
                    port = (uint16_t) (port << 8);
                }
                BATCH_SET(b, icmp_type, i, (uint8_t) (port >> 8));
                BATCH_SET(b, icmp_code, i, (uint8_t) port);
            }
            batch_clear_valid(b, COL_src_port, i);
            batch_clear_valid(b, COL_dst_port, i);
        }
    }
}

/* What the source told of the interface that a packet was sampled at: where it
 * came in or, if its records are of what goes out, there. */
static uint32_t
interface_rate(const struct source *s, const struct flow_batch *b,
               uint32_t row)
{
    bool egress = batch_is_valid(b, COL_direction, row)
                  && b->direction[row] == DIR_EGRESS;
    uint32_t rate = 0;

    for (unsigned i = 0; !rate && i < 2; i++) {
        if (egress == (i == 0)) {
            rate = batch_is_valid(b, COL_out_if, row)
                   ? source_interface_rate(s, b->out_if[row]) : 0;
        } else {
            rate = batch_is_valid(b, COL_in_if, row)
                   ? source_interface_rate(s, b->in_if[row]) : 0;
        }
    }
    return rate;
}

/* Rows whose records name no rate, from a source with rates of interfaces. */
static void
finish_rates(const struct plan_env *env, struct flow_batch *b, uint32_t row,
             uint32_t n)
{
    for (uint32_t i = row; i < row + n; i++) {
        uint32_t rate = interface_rate(env->source, b, i);
        if (rate) {
            BATCH_SET(b, sampling, i, rate);
        }
    }
}

static void
finish_sampling(const struct plan *plan, const struct plan_env *env,
                struct flow_batch *b, uint32_t row, uint32_t n)
{
    uint32_t rate = atomic_load_explicit(&env->source->sampling,
                                         memory_order_relaxed);
    bool rates = source_has_rates(env->source);
    if (!fills(plan, COL_sampling)) {
        if (rate) {
            for (uint32_t i = row; i < row + n; i++) {
                b->sampling[i] = rate;
            }
            batch_set_valid_range(b, COL_sampling, row, n);
        }
        if (rates) {
            finish_rates(env, b, row, n);
        }
        return;
    }
    for (uint32_t i = row; i < row + n; i++) {
        if (batch_is_valid(b, COL_sampling, i) && b->sampling[i]) {
            continue;
        }
        batch_clear_valid(b, COL_sampling, i);
        if (rate) {
            BATCH_SET(b, sampling, i, rate);
        }
        if (rates) {
            finish_rates(env, b, i, 1);
        }
    }
}

static void
finish_mpls(const struct plan *plan, const struct plan_env *env,
            struct flow_batch *b, uint32_t row, uint32_t n,
            const struct view *v)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t labels[PACKET_MAX_LABELS];
        unsigned n_labels = 0;
        for (unsigned k = 0; k < PACKET_MAX_LABELS; k++) {
            if (!plan->mpls[k].conv) {
                continue;
            }
            uint32_t entry = (uint32_t) op_uint(&plan->mpls[k], v, i);
            if (entry) {        /* Zero fills up the stack. */
                labels[n_labels++] = entry;
            }
            if (entry & 1) {
                break;          /* Bottom of the stack (RFC 3032). */
            }
        }
        packet_store_labels(labels, n_labels, env->dict, b, row + i);
    }
}

/* One of them: what the exporter explained by name and type, lists of values as
 * text, all else in hex.  False if there is no room left for it. */
static bool
put_unknown(const struct plan_env *env, const struct unknown *u,
            struct field_ref f, char *text, size_t *size, size_t room)
{
    static const char digits[] = "0123456789abcdef";
    struct text words = { .n = 0 };
    struct explained e = { .by_exporter = false };
    bool is_text = false;
    if (u->learn) {
        explained_get(env->source, env->dict, u->pen, u->id, &e);
    }
    if (e.by_exporter) {
        structured_value(&words, e.type, f.p, f.size, env->templates,
                         env->source, env->dict);
        is_text = true;
    } else if (structured_is(u->type)) {
        is_text = structured_format(&words, u->type, f.p, f.size,
                                    env->templates, env->source, env->dict);
    }
    if (is_text) {
        text_finish(&words);
    }
    size_t need = is_text ? words.n : 2 * (size_t) f.size;
    if (room - *size < need + 26 + sizeof e.name) {
        return false;
    }
    *size += (size_t) snprintf(text + *size, room - *size, "%s%u/%u",
                               *size ? " " : "", (unsigned) u->pen, u->id);
    *size += (size_t) snprintf(text + *size, room - *size,
                               e.by_exporter ? "(%s)=" : "=", e.name);
    if (is_text) {
        memcpy(text + *size, words.s, words.n);
        *size += words.n;
        return true;
    }
    for (uint32_t o = 0; o < f.size; o++) {
        text[(*size)++] = digits[f.p[o] >> 4];
        text[(*size)++] = digits[f.p[o] & 15];
    }
    return true;
}

/* The fields without a column, as many as there is room for. */
static void
finish_unknown(const struct plan *plan, const struct plan_env *env,
               struct flow_batch *b, uint32_t row, uint32_t n,
               const struct view *v)
{
    for (uint32_t i = 0; i < n; i++) {
        char text[2048];
        size_t size = 0;
        for (unsigned k = 0; k < plan->n_unknown; k++) {
            const struct unknown *u = &plan->unknown[k];
            struct field_ref f = op_field(&u->op, v, i);
            if (!put_unknown(env, u, f, text, &size, sizeof text)) {
                size += (size_t) snprintf(text + size, sizeof text - size,
                                          size ? " ..." : "...");
                break;
            }
        }
        BATCH_SET(b, extra, row + i, dict_passing(env->dict, text, size));
    }
}

/* Names that options records of the source gave to numbers. */
static void
finish_names(const struct plan_env *env, struct flow_batch *b, uint32_t row,
             uint32_t n)
{
    static const struct {
        uint8_t kind, number, name;
    } map[] = {
        { SOURCE_NAME_INTERFACE, COL_in_if, COL_in_if_name },
        { SOURCE_NAME_INTERFACE, COL_out_if, COL_out_if_name },
        { SOURCE_NAME_APPLICATION, COL_application_id, COL_application },
    };
    for (size_t k = 0; k < sizeof map / sizeof map[0]; k++) {
        const uint8_t *numbers = batch_column(b, map[k].number);
        unsigned size = columns[map[k].number].size;
        uint32_t *names = batch_column(b, map[k].name);
        for (uint32_t i = row; i < row + n; i++) {
            uint64_t number = 0;
            if (!batch_is_valid(b, map[k].number, i)
                || batch_is_valid(b, map[k].name, i)) {
                continue;
            }
            memcpy(&number, numbers + (size_t) i * size, size);
            uint32_t name = source_name(env->source, map[k].kind, number);
            if (name) {
                names[i] = name;
                batch_set_valid(b, map[k].name, i);
            }
        }
    }
}

/* All ops in a row that have this code. */
#define OPS_OF(CODE, STORE)                                             \
    case CODE:                                                          \
        do {                                                            \
            const uint8_t *s = v->segment[op->segment] + op->offset;    \
            void *dst = (uint8_t *) b + op->dst;                        \
            STORE;                                                      \
        } while ((++op)->code == CODE);                                 \
        break

/* The ops for one record. */
static void
run_ops_once(const struct plan *plan, const struct plan_env *env,
             struct flow_batch *b, uint32_t row, const struct view *v)
{
    const struct op *op = plan->ops;
    while (op->code != OP_END) {
        switch (op->code) {
        OPS_OF(OP_1_1, ((uint8_t *) dst)[row] = *s);
        OPS_OF(OP_1_2, ((uint16_t *) dst)[row] = *s);
        OPS_OF(OP_2_2, ((uint16_t *) dst)[row] = be16_at(s));
        OPS_OF(OP_2_4, ((uint32_t *) dst)[row] = be16_at(s));
        OPS_OF(OP_4_4, ((uint32_t *) dst)[row] = be32_at(s));
        OPS_OF(OP_4_8, ((uint64_t *) dst)[row] = be32_at(s));
        OPS_OF(OP_8_8, ((uint64_t *) dst)[row] = be64_at(s));
        OPS_OF(OP_V4, ((struct addr *) dst)[row] = addr_from_v4_bytes(s));
        OPS_OF(OP_V6, ((struct addr *) dst)[row] = addr_from_v6_bytes(s));
        OPS_OF(OP_MAC, ((uint64_t *) dst)[row]
                           = (uint64_t) be16_at(s) << 32 | be32_at(s + 2));
        OPS_OF(OP_DELTA_US, ((int64_t *) dst)[row]
                                = env->export_us - be32_at(s));
        OPS_OF(OP_DSCP, ((uint8_t *) dst)[row] = (uint8_t) (*s << 2));
        default:
            run_op(plan, op++, env, b, row, 1, v);
            break;
        }
    }
    uint64_t bit = UINT64_C(1) << row % 64;
    uint8_t *valid = (uint8_t *) &b->valid[0][row / 64];
    for (unsigned i = 0; i < plan->n_nullable; i += NULLABLE_STEP) {
#pragma GCC unroll 4
        for (unsigned k = 0; k < NULLABLE_STEP; k++) {
            *(uint64_t *) (valid + plan->nullable[i + k]) |= bit;
        }
    }
}

static void
run_view(const struct plan *plan, const struct plan_env *env,
         struct flow_batch *b, uint32_t row, uint32_t n,
         const struct view *v)
{
    if (n == 1) {
        b->quality[row] = 0;
        run_ops_once(plan, env, b, row, v);
    } else {
        memset(&b->quality[row], 0, n * sizeof b->quality[0]);
        for (unsigned i = 0; i < plan->n_ops; i++) {
            run_op(plan, &plan->ops[i], env, b, row, n, v);
        }
    }
    finish_times(plan, env, b, row, n, v);
    finish_counts(plan, b, row, n, v);
    finish_ip_version(plan, b, row, n);
    finish_icmp(plan, b, row, n);
    finish_sampling(plan, env, b, row, n);
    if (plan->has_mpls) {
        finish_mpls(plan, env, b, row, n, v);
    }
    if (env->keep_unknown && plan->n_unknown) {
        finish_unknown(plan, env, b, row, n, v);
    }
    if (source_has_names(env->source)) {
        finish_names(env, b, row, n);
    }
}

void
plan_run_fixed(const struct plan *plan, const struct plan_env *env,
               struct flow_batch *b, uint32_t row, uint32_t n,
               const uint8_t *records, size_t stride)
{
    struct view v;
    v.segment[0] = records;
    v.stride = stride;
    run_view(plan, env, b, row, n, &v);
}

size_t
plan_run_var(const struct plan *plan, const struct plan_env *env,
             struct flow_batch *b, uint32_t row, const uint8_t *p, size_t left)
{
    struct view v;
    struct cursor c = cur_init(p, left);
    size_t gap = plan->segment_size[0];
    v.stride = 0;
    v.segment[0] = p;
    for (unsigned s = 0; s < plan->n_segments; s++) {
        const uint8_t *q = cur_take(&c, gap + 1);
        if (!q) {
            return 0;
        }
        uint32_t size = q[gap];
        if (size == 255) {              /* RFC 7011 section 7. */
            size = cur_u16(&c);
        }
        v.var[s] = c.p;
        v.var_size[s] = size;
        if (!cur_take(&c, size)) {
            return 0;
        }
        v.segment[s + 1] = c.p;
        gap = plan->segment_size[s + 1];
    }
    if (!cur_take(&c, gap)) {
        return 0;
    }
    run_view(plan, env, b, row, 1, &v);
    return (size_t) (c.p - p);
}

/* ---- Compiling. ---- */

struct compiler {
    struct plan *plan;
    uint8_t protocol;
    bool reverse;
    uint8_t best[N_COLUMNS];    /* Lowest rank seen for a column. */
};

/* A field and where it is. */
struct place {
    const struct element *element;
    struct op op;
    uint8_t rank;
    uint16_t id;
};

/* The element that a field stands for in this direction, or NULL. */
static const struct element *
field_element(const struct compiler *c, const struct template_field *f,
              uint8_t *rank)
{
    uint32_t pen = f->pen;
    uint16_t id = f->id;
    uint8_t worse = 0;
    if (c->reverse) {
        if (pen == PEN_REVERSE) {
            pen = 0;
        } else if (pen) {
            return NULL;
        } else if (element_twin(id) != id) {
            id = element_twin(id);
        } else if (element_is_shared(id)) {
            worse = 100;        /* Its own times are better. */
        } else {
            return NULL;
        }
    }
    const struct element *e = element_find(pen, id);
    if (e && e->conv == CONV_REVERSE) {
        return NULL;
    }
    if (e) {
        *rank = (uint8_t) (e->rank + worse);
    }
    return e;
}

/* Whether a field of that size can be converted. */
static bool
size_fits(const struct element *e, const struct template_field *f)
{
    if (f->size == TEMPLATE_VARLEN) {
        return e->conv == CONV_UINT || e->conv == CONV_NAME
               || e->conv == CONV_HEX || e->conv == CONV_FRAME
               || e->conv == CONV_IP_PACKET || e->conv == CONV_COMMUNITIES;
    }
    switch (e->conv) {
    case CONV_ADDR:
        return f->size == 4 || f->size == 16;
    case CONV_V4:
        return f->size == 4;
    case CONV_V6:
        return f->size == 16;
    case CONV_MAC:
        return f->size == 6;
    case CONV_NTP:
        return f->size == 8;
    case CONV_MPLS:
        return f->size == 3;
    case CONV_COMMUNITY:
        return f->size == 4;
    case CONV_COMMUNITIES:
    case CONV_HEX:
    case CONV_NAME:
    case CONV_FRAME:
    case CONV_IP_PACKET:
        return f->size > 0;
    default:
        return f->size > 0 && f->size <= 8;
    }
}

/* Values that wait for others.  True if the element is one of them. */
static bool
compile_special(struct compiler *c, const struct element *e, struct op op)
{
    struct plan *plan = c->plan;
    struct op *slot = NULL;
    switch (e->conv) {
    case CONV_BOOT_MS: slot = &plan->boot; break;
    case CONV_DURATION_MS:
    case CONV_DURATION_US: slot = &plan->duration; break;
    case CONV_HEADER_SIZE: slot = &plan->header_size; break;
    case CONV_MPLS:
        slot = &plan->mpls[e->id - 70];
        plan->has_mpls = true;
        break;
    case CONV_UPTIME:
        if (c->protocol == PROTO_IPFIX) {
            slot = e->column == COL_flow_start ? &plan->up_start
                                               : &plan->up_end;
        }
        break;
    }
    if (slot && !slot->conv) {
        *slot = op;
    }
    return slot != NULL;
}

static void
compile_ops(struct compiler *c, const struct place *places, unsigned n)
{
    struct plan *plan = c->plan;
    uint16_t first_id[N_COLUMNS] = { 0 };

    for (unsigned pass = 0; pass < 2; pass++) {
        for (unsigned i = 0; i < n; i++) {
            const struct place *p = &places[i];
            bool frame = p->element->column == N_COLUMNS;
            struct op op = p->op;
            if (frame != !pass) {       /* Fields overrule headers. */
                continue;
            }
            if (frame) {
                plan->has_frame = true;
                plan->ops[plan->n_ops++] = op;
                continue;
            }
            unsigned col = op.column;
            if (fills(plan, col) && first_id[col] == p->id) {
                /* Open vSwitch's egress templates name the input interface,
                 * then, with the same element, the output interface. */
                if (col != COL_in_if_name
                    || fills(plan, COL_out_if_name)) {
                    continue;
                }
                op.column = COL_out_if_name;
                col = COL_out_if_name;
            } else if (p->rank != c->best[col]) {
                continue;
            }
            op.unless_zero = fills(plan, col);
            first_id[col] = p->id;
            set_filled(plan, col);
            if (op.conv == CONV_TYPE_CODE) {
                set_filled(plan, COL_icmp_code);
            }
            plan->ops[plan->n_ops++] = op;
        }
    }
}

/* The other direction's plan takes it. */
static bool
is_reverse(const struct template_field *f)
{
    const struct element *e = element_find(f->pen == PEN_REVERSE ? 0 : f->pen,
                                           f->id);
    return e && (f->pen == PEN_REVERSE || e->conv == CONV_REVERSE);
}

static bool
is_padding(const struct template_field *f)
{
    return !f->pen && (f->id == 210 || !f->id);
}

/* True unless out of memory. */
static bool
compile_unknown(struct plan *plan, const struct template_field *f,
                struct op op)
{
    /* Doubles at each power of two. */
    if (!(plan->n_unknown & (plan->n_unknown - 1))) {
        size_t n = plan->n_unknown ? 2 * (size_t) plan->n_unknown : 1;
        struct unknown *p = realloc(plan->unknown, n * sizeof *p);
        if (!p) {
            return false;
        }
        plan->unknown = p;
    }
    const struct registry_entry *e = registry_find(f->pen, f->id);
    plan->unknown[plan->n_unknown++] = (struct unknown) {
        f->pen, f->id, e ? e->type : (uint8_t) REG_OCT, !e && f->pen, op,
    };
    return true;
}

static enum op_code
op_code(const struct op *op)
{
    static const struct {
        uint8_t conv;
        uint16_t src, dst;
        uint8_t code;
    } codes[] = {
        { CONV_UINT, 1, 1, OP_1_1 }, { CONV_UINT, 1, 2, OP_1_2 },
        { CONV_UINT, 2, 2, OP_2_2 }, { CONV_UINT, 2, 4, OP_2_4 },
        { CONV_UINT, 4, 4, OP_4_4 }, { CONV_UINT, 4, 8, OP_4_8 },
        { CONV_UINT, 8, 8, OP_8_8 }, { CONV_V4, 4, 16, OP_V4 },
        { CONV_V6, 16, 16, OP_V6 }, { CONV_MAC, 6, 8, OP_MAC },
        { CONV_DELTA_US, 4, 8, OP_DELTA_US }, { CONV_DSCP, 1, 1, OP_DSCP },
    };
    for (size_t i = 0; !op->var && !op->unless_zero
                       && op->column < N_COLUMNS
                       && i < sizeof codes / sizeof codes[0]; i++) {
        if (codes[i].conv == op->conv && codes[i].src == op->size
            && codes[i].dst == columns[op->column].size) {
            return codes[i].code;
        }
    }
    return OP_GENERAL;
}

/* Headers first, for fields overrule them; then those with a code, equal ones
 * side by side; then the others, some of which look at what is there. */
static int
compare_ops(const void *a, const void *b)
{
    const struct op *x[2] = { a, b };
    unsigned rank[2];
    for (unsigned i = 0; i < 2; i++) {
        rank[i] = x[i]->column >= N_COLUMNS ? 0
                  : x[i]->code != OP_GENERAL ? x[i]->code : UINT8_MAX;
    }
    return rank[0] != rank[1] ? (rank[0] < rank[1] ? -1 : 1)
           : x[0]->order < x[1]->order ? -1 : x[0]->order > x[1]->order;
}

static void
compile_codes(struct plan *plan)
{
    for (unsigned i = 0; i < plan->n_ops; i++) {
        struct op *op = &plan->ops[i];
        op->order = (uint16_t) i;
        if (op->column >= N_COLUMNS) {
            continue;
        }
        op->dst = columns[op->column].offset;
        op->code = (uint8_t) op_code(op);
        if (op->code && columns[op->column].flags & CF_NULL) {
            plan->nullable[plan->n_nullable++]
                = (uint16_t) (op->column * sizeof(uint64_t[BATCH_ROWS / 64]));
        }
    }
    while (plan->n_nullable % NULLABLE_STEP) {
        plan->nullable[plan->n_nullable] = plan->nullable[0];
        plan->n_nullable++;
    }
    plan->ops[plan->n_ops].code = OP_END;
    qsort(plan->ops, plan->n_ops, sizeof plan->ops[0], compare_ops);
}

static void
compile_facts(struct plan *plan, const struct place *places, unsigned n)
{
    bool v4 = false, v6 = false;
    for (unsigned i = 0; i < n; i++) {
        if (places[i].op.column == COL_src_addr
            || places[i].op.column == COL_dst_addr) {
            v4 |= places[i].op.conv == CONV_V4;
            v6 |= places[i].op.conv == CONV_V6;
        }
    }
    if (!fills(plan, COL_ip_version) && !plan->has_frame) {
        plan->ip_version = v4 && !v6 ? 4 : v6 && !v4 ? 6 : 0;
        plan->ip_version_by_row = v4 && v6 && fills(plan, COL_src_addr);
    }
    plan->icmp_from_port = fills(plan, COL_dst_port)
                           && !fills(plan, COL_icmp_type);
}

struct plan *
plan_compile(const struct template_field *fields, unsigned n,
             uint8_t protocol, bool reverse)
{
    struct plan *plan = calloc(1, sizeof *plan + (n + 1) * sizeof(struct op));
    struct place *places = calloc(n + 1, sizeof *places);
    if (!plan || !places) {
        free(plan);
        free(places);
        return NULL;
    }
    struct compiler c = { .plan = plan, .protocol = protocol,
                          .reverse = reverse };
    memset(c.best, 0xff, sizeof c.best);

    unsigned n_places = 0;
    uint32_t offset = 0;
    for (unsigned i = 0; i < n; i++) {
        const struct template_field *f = &fields[i];
        bool var = f->size == TEMPLATE_VARLEN;
        uint8_t rank = 0;
        const struct element *e = field_element(&c, f, &rank);
        struct op op = {
            .var = var, .segment = (uint8_t) plan->n_segments,
            .offset = (uint16_t) offset, .size = f->size,
        };
        if (!e && !reverse && !is_padding(f) && protocol >= PROTO_NETFLOW9
            && !is_reverse(f) && !compile_unknown(plan, f, op)) {
            plan_destroy(plan);
            free(places);
            return NULL;
        }
        if (e && size_fits(e, f)) {
            op.conv = e->conv != CONV_ADDR ? e->conv
                      : f->size == 4 ? CONV_V4 : CONV_V6;
            op.column = (uint8_t) e->column;
            if (!compile_special(&c, e, op)) {
                places[n_places++] = (struct place) { e, op, rank, f->id };
                if (e->column < N_COLUMNS && rank < c.best[e->column]) {
                    c.best[e->column] = rank;
                }
            }
        }
        if (var) {
            plan->segment_size[plan->n_segments++] = (uint16_t) offset;
            offset = 0;
        } else {
            offset += f->size;
        }
    }
    plan->segment_size[plan->n_segments] = (uint16_t) offset;
    compile_ops(&c, places, n_places);
    compile_codes(plan);
    compile_facts(plan, places, n_places);
    free(places);
    return plan;
}

void
plan_prefetch(const struct plan *plan)
{
    if (!plan) {
        return;
    }
    const char *ops = (const char *) plan + offsetof(struct plan, ops);
    __builtin_prefetch(plan);
    __builtin_prefetch((const char *) plan + offsetof(struct plan, nullable));
    __builtin_prefetch((const char *) plan + 64);
    for (size_t i = 0; i < 16 * sizeof plan->ops[0]; i += 64) {
        __builtin_prefetch(ops + i);
    }
}

void
plan_destroy(struct plan *plan)
{
    if (plan) {
        free(plan->unknown);
        free(plan);
    }
}
