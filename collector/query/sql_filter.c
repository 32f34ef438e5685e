#include <config.h>

#include "collector/query/sql_p.h"

static uint64_t
type_max(enum column_type type)
{
    switch (type) {
    case COLUMN_T_U8:
    case COLUMN_T_ENUM:
        return UINT8_MAX;
    case COLUMN_T_U16:
        return UINT16_MAX;
    case COLUMN_T_U32:
    case COLUMN_T_BITS:
        return UINT32_MAX;
    case COLUMN_T_BOOL:
        return 1;
    case COLUMN_T_TIME:
        return (uint64_t) TIME_LAST_US;
    default:
        return UINT64_MAX;
    }
}

static void
put_prefix(struct compiler *c, const struct filter *t)
{
    struct addr first, last;
    prefix_range(&t->prefix, &first, &last);
    sql_put_column(c, t->column);
    if (t->prefix.len >= 128) {
        fputs(" = ", c->out);
        sql_put_parameter(c, COLUMN_T_ADDR, (struct sql_bind) {
            .kind = BIND_ADDR, .addr = first });
        return;
    }
    fputs(" BETWEEN ", c->out);
    sql_put_parameter(c, COLUMN_T_ADDR, (struct sql_bind) {
        .kind = BIND_ADDR, .addr = first });
    fputs(" AND ", c->out);
    sql_put_parameter(c, COLUMN_T_ADDR, (struct sql_bind) {
        .kind = BIND_ADDR, .addr = last });
}

/* "text is the name", "has the word", "matches". */
static void
put_text(struct compiler *c, const struct filter *t, const char *column)
{
    struct sql_bind bind_ = { .kind = BIND_TEXT,
                              .text = t->text ? t->text : "" };
    if (t->cmp == CMP_MATCHES) {
        fprintf(c->out, "regexp_matches(%s, ", column);
        sql_put_parameter(c, COLUMN_T_NAME, bind_);
        fputs(")", c->out);
    } else if (t->cmp == CMP_HAS_WORD) {
        fprintf(c->out, "contains(' ' || %s || ' ', ' ' || ", column);
        sql_put_parameter(c, COLUMN_T_NAME, bind_);
        fputs(" || ' ')", c->out);
    } else if (t->cmp == CMP_HAS_LABEL) {
        fprintf(c->out, "contains(',' || %s || ',', ", column);
        sql_put_parameter(c, COLUMN_T_NAME, bind_);
        fputs(")", c->out);
    } else {
        fprintf(c->out, "%s = ", column);
        sql_put_parameter(c, COLUMN_T_NAME, bind_);
    }
}

static void
put_name(struct compiler *c, const struct filter *t)
{
    if (c->source->rollup || c->source->scan) {
        char column[80];
        if (!column_set_has(&c->source->has, t->column)) {
            fputs("NULL", c->out);
            return;
        }
        snprintf(column, sizeof column, "f.\"%s\"",
                 columns[t->column].name);
        put_text(c, t, column);
        return;
    }
    sql_put_column(c, t->column);
    /* Ids differ between segments; texts do not. */
    fputs(" IN (SELECT id FROM ", c->out);
    c->d->table(c->out, c->source->schema, "names");
    fputs(" WHERE ", c->out);
    put_text(c, t, "text");
    fputs(")", c->out);
}

static void
put_bits(struct compiler *c, const struct filter *t)
{
    enum column_type type = columns[t->column].type;
    struct sql_bind value = { .kind = BIND_NUMBER,
                              .number = t->number & type_max(type) };
    putc('(', c->out);
    sql_put_column(c, t->column);
    fputs(" & ", c->out);
    sql_put_parameter(c, type, value);
    fputs(") = ", c->out);
    if (t->cmp == CMP_BITS_NONE) {
        value.number = 0;
    }
    sql_put_parameter(c, type, value);
}

static void
put_number(struct compiler *c, const struct filter *t)
{
    static const char *const operators[] = {
        [CMP_EQ] = "=", [CMP_NE] = "=", [CMP_LT] = "<", [CMP_LE] = "<=",
        [CMP_GT] = ">", [CMP_GE] = ">=",
    };
    enum column_type type = columns[t->column].type;
    uint64_t max = type_max(type);

    if (t->number > max) {
        /* Beyond what the column can hold. */
        if (t->cmp == CMP_LT || t->cmp == CMP_LE) {
            sql_put_column(c, t->column);
            fputs(" IS NOT NULL", c->out);
        } else {
            fputs("FALSE", c->out);
        }
        return;
    }
    sql_put_column(c, t->column);
    fprintf(c->out, " %s ", operators[t->cmp]);
    if (type == COLUMN_T_TIME) {
        sql_put_parameter(c, type, (struct sql_bind) {
            .kind = BIND_TIME, .time_us = (int64_t) t->number });
    } else {
        sql_put_parameter(c, type, (struct sql_bind) {
            .kind = BIND_NUMBER, .number = t->number });
    }
}

/* The range of values that a comparison of integers means; false: none. */
static bool
cmp_range(enum filter_cmp cmp, uint64_t n, uint64_t *lo, uint64_t *hi)
{
    *lo = cmp == CMP_GT ? n + 1 : cmp == CMP_LT || cmp == CMP_LE ? 0 : n;
    *hi = cmp == CMP_LT ? n - 1
          : cmp == CMP_GT || cmp == CMP_GE ? UINT64_MAX : n;
    return !(cmp == CMP_GT && n == UINT64_MAX) && !(cmp == CMP_LT && !n);
}

static void
put_constant(struct compiler *c, uint64_t number)
{
    sql_put_parameter(c, COLUMN_T_U64, (struct sql_bind) {
        .kind = BIND_NUMBER, .number = number });
}

static void
put_wide_column(struct compiler *c, enum column_id id)
{
    c->d->wide(c->out, true);
    sql_put_column(c, id);
    c->d->wide(c->out, false);
}

/* What a quotient is divided by: packets, or time in milliseconds. */
static void
put_divisor(struct compiler *c, enum filter_value value)
{
    if (value == FV_BPP) {
        put_wide_column(c, COL_packets);
        return;
    }
    c->d->wide(c->out, true);
    c->d->elapsed_ms(c->out, true);
    sql_put_column(c, COL_flow_start);
    fputs(", ", c->out);
    sql_put_column(c, COL_flow_end);
    c->d->elapsed_ms(c->out, false);
    c->d->wide(c->out, false);
}

/* "value, rounded down, is in lo..hi", without dividing: exact.  By nothing it
 * is 0. */
static void
put_quotient(struct compiler *c, enum filter_value value, uint64_t lo,
             uint64_t hi)
{
    enum column_id id = value == FV_PPS ? COL_packets : COL_bytes;
    unsigned factor = value == FV_BPS ? 8000 : value == FV_PPS ? 1000 : 1;

    fputs("CASE WHEN ", c->out);
    put_divisor(c, value);
    fprintf(c->out, " = 0 THEN %s ELSE ", lo ? "FALSE" : "TRUE");
    put_wide_column(c, id);
    fprintf(c->out, " * %u >= ", factor);
    c->d->wide(c->out, true);
    put_constant(c, lo);
    c->d->wide(c->out, false);
    fputs(" * ", c->out);
    put_divisor(c, value);
    if (hi != UINT64_MAX) {
        fputs(" AND ", c->out);
        put_wide_column(c, id);
        fprintf(c->out, " * %u < ", factor);
        c->d->wide(c->out, true);
        put_constant(c, hi + 1);
        c->d->wide(c->out, false);
        fputs(" * ", c->out);
        put_divisor(c, value);
    }
    fputs(" END", c->out);
}

static void
put_computed(struct compiler *c, const struct filter *t)
{
    uint64_t lo, hi;
    if (!cmp_range(t->cmp == CMP_NE ? CMP_EQ : t->cmp, t->number, &lo, &hi)) {
        fputs("FALSE", c->out);
    } else if (t->value == FV_BPS || t->value == FV_PPS
               || t->value == FV_BPP) {
        put_quotient(c, t->value, lo, hi);
    } else {
        if (t->value == FV_DURATION) {
            put_divisor(c, t->value);
        } else {
            fputs("((", c->out);
            sql_put_column(c, COL_observation_domain_id);
            fputs(t->value == FV_ENGINE_TYPE ? " >> 8) & 255)" : ") & 255)",
                  c->out);
        }
        fputs(" BETWEEN ", c->out);
        put_constant(c, lo);
        fputs(" AND ", c->out);
        put_constant(c, hi);
    }
}

/* A term about an absent value is false, and its negation true: SQL's third
 * value does not get out of here. */
static void
put_term(struct compiler *c, const struct filter *t, bool negate)
{
    enum column_type type = columns[t->column].type;

    if (t->cmp == CMP_IS_NULL) {
        sql_put_column(c, t->column);
        fputs(negate ? " IS NOT NULL" : " IS NULL", c->out);
        return;
    }
    negate ^= t->cmp == CMP_NE;
    if (negate) {
        putc('(', c->out);
    }
    if (t->value != FV_COLUMN) {
        put_computed(c, t);
    } else if (t->cmp == CMP_IN_PREFIX) {
        put_prefix(c, t);
    } else if (type == COLUMN_T_NAME) {
        put_name(c, t);
    } else if (t->cmp == CMP_BITS_ALL || t->cmp == CMP_BITS_NONE) {
        put_bits(c, t);
    } else {
        put_number(c, t);
    }
    if (negate) {
        fputs(") IS NOT TRUE", c->out);
    }
}

void
sql_put_filter(struct compiler *c, const struct filter *f, bool negate)
{
    while (f->op == FILTER_NOT) {
        negate = !negate;
        f = f->left;
    }
    if (f->op == FILTER_ANY) {
        fputs(negate ? "FALSE" : "TRUE", c->out);
    } else if (f->op == FILTER_TERM) {
        put_term(c, f, negate);
    } else {
        /* De Morgan; chains are written without parentheses, since engines
         * bound how deep expressions nest. */
        bool and_ = (f->op == FILTER_AND) != negate;
        const struct filter *sides[] = { f->left, f->right };
        for (int i = 0; i < 2; i++) {
            bool chain = i == 0 && sides[i]->op == f->op;
            bool leaf = sides[i]->op == FILTER_TERM;
            fputs(i == 0 ? "" : and_ ? " AND " : " OR ", c->out);
            fputs(chain || leaf ? "" : "(", c->out);
            sql_put_filter(c, sides[i], negate);
            fputs(chain || leaf ? "" : ")", c->out);
        }
    }
}
