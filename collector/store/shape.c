#include <config.h>

#include "collector/store/shape.h"

#include <inttypes.h>
#include <string.h>

#include "collector/store/schema.h"

/* An IPv4-mapped IPv6 address as a number, less the IPv4 address. */
#define V4_MAPPED "281470681743360"

enum column_id
shape_base(enum column_id id)
{
    /* What is not sampled was seen as it was; a sampled packet has one time
     * only. */
    return id == COL_bytes ? COL_raw_bytes
           : id == COL_packets ? COL_raw_packets
           : id == COL_flow_start || id == COL_received ? COL_flow_end
           : N_COLUMNS;
}

bool
shape_has_narrow(enum column_id id)
{
    return columns[id].type == COLUMN_T_ADDR
           || columns[id].type == COLUMN_T_U64;
}

/* Rows. */

static bool
is_v4(const struct addr *a)
{
    uint64_t high;
    uint32_t middle;
    memcpy(&high, a->b, sizeof high);
    memcpy(&middle, a->b + 8, sizeof middle);
    return !high && middle == UINT32_C(0xffff0000);     /* Little-endian. */
}

static bool
row_is_v4(const struct flow_batch *b, uint32_t row)
{
    return (is_v4(&b->src_addr[row])
            || !batch_is_valid(b, COL_src_addr, row))
           && (is_v4(&b->dst_addr[row])
               || !batch_is_valid(b, COL_dst_addr, row));
}

void
row_sets_make(const struct flow_batch *b, struct row_set sets[N_ROW_KINDS])
{
    for (unsigned k = 0; k < N_ROW_KINDS; k++) {
        memset(sets[k].bits, 0, sizeof sets[k].bits);
        sets[k].n = 0;
    }
    for (uint32_t i = 0; i < b->n; i++) {
        unsigned k = row_is_v4(b, i) ? ROW_V4 : ROW_OTHER;
        sets[k].bits[i / 64] |= UINT64_C(1) << i % 64;
        sets[k].index[sets[k].n++] = (uint16_t) i;
    }
    for (unsigned k = 0; k < N_ROW_KINDS; k++) {
        sets[k].all = sets[k].n == b->n;
    }
}

/* Learning. */

/* Which of the chosen rows have a value: 0 none, 1 some, 2 all. */
static unsigned
presence(const struct flow_batch *b, enum column_id id,
         const struct row_set *rows)
{
    uint64_t any = 0, missing = 0;

    if (!(columns[id].flags & CF_NULL)) {
        return 2;
    }
    for (uint32_t i = 0; i < (b->n + 63) / 64; i++) {
        any |= b->valid[id][i] & rows->bits[i];
        missing |= ~b->valid[id][i] & rows->bits[i];
    }
    return !any ? 0 : missing ? 1 : 2;
}

static uint64_t
v4_number(const struct addr *a)
{
    uint32_t v;
    memcpy(&v, a->b + 12, sizeof v);
    return __builtin_bswap32(v);
}

/* The value of a row as a number; false if 64 bits are not enough. */
static bool
number(const struct flow_batch *b, enum column_id id, uint32_t row,
       uint64_t *value)
{
    const struct column *c = &columns[id];
    const uint8_t *p = (const uint8_t *) b + c->offset
                       + (size_t) row * c->size;
    *value = 0;
    if (c->type == COLUMN_T_ADDR) {
        struct addr a;
        memcpy(&a, p, sizeof a);
        *value = v4_number(&a);
        return is_v4(&a);
    }
    memcpy(value, p, c->size);
    if (c->type == COLUMN_T_BOOL) {
        *value = *value != 0;
    } else if (c->type == COLUMN_T_MAC) {
        *value &= UINT64_C(0xffffffffffff);
    }
    return true;
}

/* Whether all chosen rows have the value of row 'like', bit by bit. */
static bool
all_alike(const struct flow_batch *b, enum column_id id,
          const struct row_set *rows, uint32_t like)
{
    size_t size = columns[id].size;
    const uint8_t *p = (const uint8_t *) b + columns[id].offset;
    const uint16_t *at = rows->index;

#define ALIKE(TYPE)                                     \
    do {                                                \
        const TYPE *v = (const TYPE *) (const void *) p; \
        for (uint32_t i = 0; i < rows->n; i++) {        \
            if (v[at[i]] != v[like]) {                  \
                return false;                           \
            }                                           \
        }                                               \
    } while (0)

    if (rows->all && size < 16) {
        /* Each equals the next. */
        return !memcmp(p, p + size, (b->n - 1) * size);
    } else if (size == 1) {
        ALIKE(uint8_t);
    } else if (size == 2) {
        ALIKE(uint16_t);
    } else if (size == 4) {
        ALIKE(uint32_t);
    } else if (size == 8) {
        ALIKE(uint64_t);
    } else {
        for (uint32_t i = 0; i < rows->n; i++) {
            if (memcmp(p + at[i] * size, p + like * size, size)) {
                return false;
            }
        }
    }
#undef ALIKE
    return true;
}

static bool
all_equal(const struct flow_batch *b, enum column_id id,
          const struct row_set *rows, uint64_t value)
{
    uint64_t v;
    return number(b, id, rows->index[0], &v) && v == value
           && all_alike(b, id, rows, rows->index[0]);
}

static bool
any_wide(const struct flow_batch *b, enum column_id id,
         const struct row_set *rows)
{
    bool v4 = columns[id].type == COLUMN_T_ADDR;
    const struct addr *addrs = batch_column((struct flow_batch *) b, id);
    const uint64_t *numbers = batch_column((struct flow_batch *) b, id);

    if (!shape_has_narrow(id)) {
        return true;
    }
    for (uint32_t i = 0; i < rows->n; i++) {
        uint32_t row = rows->index[i];
        if ((v4 ? !is_v4(&addrs[row]) : numbers[row] > UINT32_MAX)
            && batch_is_valid(b, id, row)) {
            return true;
        }
    }
    return false;
}

static bool
all_times(const struct flow_batch *b, enum column_id id,
          const struct row_set *rows, uint64_t factor)
{
    const uint64_t *x = batch_column((struct flow_batch *) b, id);
    const uint64_t *y = batch_column((struct flow_batch *) b,
                                     shape_base(id));
    for (uint32_t i = 0; i < rows->n; i++) {
        uint32_t row = rows->index[i];
        uint64_t product;
        if (__builtin_mul_overflow(y[row], factor, &product)
            || x[row] != product) {
            return false;
        }
    }
    return true;
}

static void
set_stored(struct shape_column *c)
{
    c->kind = c->wide ? SHAPE_WIDE : SHAPE_NARROW;
    c->value = 0;
}

/* A number by which the first row's column may be its base's multiple. */
static uint64_t
guess_factor(const struct flow_batch *b, enum column_id id, uint32_t row)
{
    return columns[id].type != COLUMN_T_TIME
           && batch_is_valid(b, COL_sampling, row) && b->sampling[row]
           ? b->sampling[row] : 1;
}

static void
learn_first(struct shape_column *c, const struct flow_batch *b,
            enum column_id id, const struct row_set *rows, unsigned present)
{
    uint32_t row = rows->index[0];
    enum column_type type = columns[id].type;

    *c = (struct shape_column) { .kind = SHAPE_ABSENT };
    if (!present) {
        return;
    }
    c->wide = any_wide(b, id, rows);
    if (present == 2 && type != COLUMN_T_TIME && type != COLUMN_T_NAME
        && number(b, id, row, &c->value)
        && all_equal(b, id, rows, c->value)) {
        c->kind = SHAPE_CONST;
    } else if (shape_base(id) != N_COLUMNS
               && all_times(b, id, rows,
                            c->value = guess_factor(b, id, row))) {
        c->kind = SHAPE_TIMES;
    } else {
        set_stored(c);
    }
}

static void
learn_more(struct shape_column *c, const struct flow_batch *b,
           enum column_id id, const struct row_set *rows, unsigned present)
{
    if (!present && c->kind != SHAPE_CONST && c->kind != SHAPE_TIMES) {
        return;
    }
    if (c->kind == SHAPE_ABSENT) {
        c->wide = any_wide(b, id, rows);
        set_stored(c);
        return;
    }
    if (present && !c->wide) {
        c->wide = any_wide(b, id, rows);
    }
    if ((c->kind == SHAPE_CONST
         && (present < 2 || !all_equal(b, id, rows, c->value)))
        || (c->kind == SHAPE_TIMES && !all_times(b, id, rows, c->value))
        || c->kind >= SHAPE_NARROW) {
        set_stored(c);
    }
}

void
shape_learn(struct shape *s, const struct flow_batch *b,
            const struct row_set *rows, bool first)
{
    if (!rows->n) {
        return;
    }
    for (unsigned id = 0; id < N_COLUMNS; id++) {
        unsigned present = presence(b, id, rows);
        (first ? learn_first : learn_more)(&s->column[id], b, id, rows,
                                           present);
    }
}

/* Order. */

void
shape_generalise(struct shape *s)
{
    for (unsigned id = 0; id < N_COLUMNS; id++) {
        if (s->column[id].kind == SHAPE_CONST
            || s->column[id].kind == SHAPE_TIMES) {
            set_stored(&s->column[id]);
        }
    }
}

static bool
column_covers(const struct shape_column *t, const struct shape_column *n)
{
    switch ((enum shape_kind) t->kind) {
    case SHAPE_WIDE:
        return true;
    case SHAPE_NARROW:
        return n->kind == SHAPE_ABSENT || !n->wide;
    case SHAPE_CONST:
    case SHAPE_TIMES:
        return n->kind == t->kind && n->value == t->value;
    default:
        return n->kind == SHAPE_ABSENT;
    }
}

bool
shape_covers(const struct shape *table, const struct shape *need)
{
    for (unsigned id = 0; id < N_COLUMNS; id++) {
        if (!column_covers(&table->column[id], &need->column[id])) {
            return false;
        }
    }
    return true;
}

void
shape_join(struct shape *a, const struct shape *b)
{
    for (unsigned id = 0; id < N_COLUMNS; id++) {
        struct shape_column *x = &a->column[id];
        const struct shape_column *y = &b->column[id];
        if (column_covers(x, y)) {
            continue;
        }
        if (column_covers(y, x)) {
            *x = *y;
        } else {
            x->wide |= y->wide;
            set_stored(x);
        }
    }
}

static unsigned
stored_size(const struct shape *s, enum column_id id)
{
    return s->column[id].kind == SHAPE_NARROW ? 4
           : s->column[id].kind == SHAPE_WIDE ? columns[id].size : 0;
}

unsigned
shape_cost(const struct shape *s)
{
    unsigned cost = 0;
    for (unsigned id = 0; id < N_COLUMNS; id++) {
        unsigned size = stored_size(s, id);
        cost += size ? size + 4 : 0;
    }
    return cost;
}

bool
shape_stored(const struct shape *s, enum column_id id)
{
    return s->column[id].kind >= SHAPE_NARROW;
}

/* SQL. */

void
shape_put_columns(FILE *f, const struct shape *s)
{
    const char *comma = "";
    for (unsigned id = 0; id < N_COLUMNS; id++) {
        if (shape_stored(s, id)) {
            fprintf(f, "%s\"%s\" %s", comma, columns[id].name,
                    s->column[id].kind == SHAPE_NARROW
                    ? "UINTEGER" : schema_sql_type(columns[id].type));
            comma = ", ";
        }
    }
}

static void
put_value(FILE *f, const struct shape *s, enum column_id id)
{
    const struct shape_column *c = &s->column[id];
    const char *type = schema_sql_type(columns[id].type);
    bool addr = columns[id].type == COLUMN_T_ADDR;

    switch ((enum shape_kind) c->kind) {
    case SHAPE_CONST:
        fprintf(f, addr ? "(%" PRIu64 "::%s + " V4_MAPPED "::%s)"
                        : "%" PRIu64 "::%s", c->value, type, type);
        break;
    case SHAPE_TIMES:
        if (c->value == 1) {
            put_value(f, s, shape_base(id));
        } else {
            putc('(', f);
            put_value(f, s, shape_base(id));
            fprintf(f, " * %" PRIu64 "::%s)", c->value, type);
        }
        break;
    case SHAPE_NARROW:
        fprintf(f, addr ? "(\"%s\"::%s + " V4_MAPPED "::%s)" : "\"%s\"::%s",
                columns[id].name, type, type);
        break;
    case SHAPE_WIDE:
        fprintf(f, "\"%s\"", columns[id].name);
        break;
    default:
        fprintf(f, "NULL::%s", type);
        break;
    }
}

void
shape_put_select(FILE *f, const struct shape *s)
{
    for (unsigned id = 0; id < N_COLUMNS; id++) {
        fputs(id ? ", " : "", f);
        put_value(f, s, id);
        fprintf(f, " AS \"%s\"", columns[id].name);
    }
}
