#include <config.h>

#include "api/value.h"

#include <inttypes.h>
#include <string.h>

#include "collector/filter/names.h"
#include "lib/addr.h"
#include "lib/clock.h"
#include "lib/dict.h"

/* The size of the UTF-8 character at 'p' (RFC 3629), or 0 if it is none. */
static unsigned
utf8_size(const unsigned char *p)
{
    unsigned n = *p < 0x80 ? 1 : *p < 0xc2 ? 0 : *p < 0xe0 ? 2
                 : *p < 0xf0 ? 3 : *p < 0xf5 ? 4 : 0;
    for (unsigned i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) {    /* Also the end of the text. */
            return 0;
        }
    }
    if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f)
        || (*p == 0xf0 && p[1] < 0x90) || (*p == 0xf4 && p[1] > 0x8f)) {
        return 0;
    }
    return n;
}

void
value_put_string(FILE *f, const char *text)
{
    putc('"', f);
    for (const unsigned char *p = (const unsigned char *) text; *p; ) {
        unsigned n = utf8_size(p);
        if (*p == '"' || *p == '\\') {
            putc('\\', f);
            putc(*p, f);
        } else if (*p < 0x20) {
            fprintf(f, "\\u%04x", *p);
        } else if (n) {
            fwrite(p, 1, n, f);
        } else {
            fputs("\\ufffd", f);
        }
        p += n ? n : 1;
    }
    putc('"', f);
}

static void
put_number(FILE *f, const struct query_value *v, const struct column *c)
{
    (void) c;
    fprintf(f, "%" PRIu64, v->u);
}

static void
put_bool(FILE *f, const struct query_value *v, const struct column *c)
{
    (void) c;
    fputs(v->u ? "true" : "false", f);
}

static void
put_time(FILE *f, const struct query_value *v, const struct column *c)
{
    char buf[TIME_STRLEN];
    (void) c;
    fprintf(f, "\"%s\"", time_format_us(v->time_us, buf));
}

static void
put_addr(FILE *f, const struct query_value *v, const struct column *c)
{
    char buf[ADDR_STRLEN];
    (void) c;
    fprintf(f, "\"%s\"", addr_format(&v->addr, buf));
}

static void
put_mac(FILE *f, const struct query_value *v, const struct column *c)
{
    char buf[MAC_STRLEN];
    (void) c;
    fprintf(f, "\"%s\"", mac_format(v->u, buf));
}

static void
put_name(FILE *f, const struct query_value *v, const struct column *c)
{
    (void) c;
    value_put_string(f, v->text);
}

static void
put_enum(FILE *f, const struct query_value *v, const struct column *c)
{
    const char *word = c ? column_word_name(c, (uint32_t) v->u) : NULL;
    if (word) {
        value_put_string(f, word);
    } else {
        put_number(f, v, c);
    }
}

/* Words with commas between them; bits without a word as a number. */
static void
put_bits(FILE *f, const struct query_value *v, const struct column *c)
{
    uint64_t left = v->u;
    const char *comma = "";
    putc('"', f);
    for (const struct column_word *w = c ? c->words : NULL; w && w->name;
         w++) {
        if (left & w->value) {
            fprintf(f, "%s%s", comma, w->name);
            left &= ~(uint64_t) w->value;
            comma = ",";
        }
    }
    if (left) {
        fprintf(f, "%s0x%" PRIx64, comma, left);
    }
    putc('"', f);
}

typedef void put_fn(FILE *, const struct query_value *,
                    const struct column *);

static put_fn *const puts_[N_COLUMN_TYPES] = {
    [COLUMN_T_U8] = put_number, [COLUMN_T_U16] = put_number,
    [COLUMN_T_U32] = put_number, [COLUMN_T_U64] = put_number,
    [COLUMN_T_BOOL] = put_bool, [COLUMN_T_TIME] = put_time,
    [COLUMN_T_ADDR] = put_addr, [COLUMN_T_MAC] = put_mac,
    [COLUMN_T_NAME] = put_name, [COLUMN_T_ENUM] = put_enum,
    [COLUMN_T_BITS] = put_bits,
};

void
value_put(FILE *f, enum column_type type, const struct column *c,
          const struct query_value *v)
{
    if (puts_[type]) {
        puts_[type](f, v, c);
    } else {
        fputs("null", f);
    }
}

void
value_put_result(FILE *f, const struct query_column *c,
                 const struct query_value *v)
{
    const char *name = NULL;
    char buf[PREFIX_STRLEN];

    if (v->null) {
        fputs("null", f);
    } else if (c->real) {
        fprintf(f, "%.6f", v->real);
    } else if (c->key.form == FORM_PREFIX) {
        struct prefix p = { v->addr, (uint8_t) (addr_is_v4(&v->addr)
                                                ? 96 + c->key.v4_len
                                                : c->key.v6_len) };
        fprintf(f, "\"%s\"", prefix_format(&p, buf));
    } else if (c->key.form == FORM_NAME) {
        name = c->type == COLUMN_T_U8 ? proto_name((uint8_t) v->u)
                                      : service_name((uint16_t) v->u);
        if (name) {
            value_put_string(f, name);
        } else {
            fprintf(f, "\"%" PRIu64 "\"", v->u);
        }
    } else {
        value_put(f, c->type, c->column, v);
    }
}

/* A value out of a batch. */
static struct query_value
value_get(const struct dict *dict, struct flow_batch *b, enum column_id id,
          uint32_t row)
{
    const struct column *c = &columns[id];
    const uint8_t *p = (const uint8_t *) batch_column(b, id)
                       + (size_t) c->size * row;
    struct query_value v = { .null = false };
    if (c->type == COLUMN_T_ADDR) {
        memcpy(&v.addr, p, sizeof v.addr);
    } else if (c->type == COLUMN_T_TIME) {
        memcpy(&v.time_us, p, sizeof v.time_us);
    } else if (c->type == COLUMN_T_NAME) {
        uint32_t name;
        memcpy(&name, p, sizeof name);
        v.text = (char *) dict_text(dict, name);
    } else if (c->size == 1) {
        v.u = *p;
    } else if (c->size == 2) {
        uint16_t u;
        memcpy(&u, p, sizeof u);
        v.u = u;
    } else if (c->size == 4) {
        uint32_t u;
        memcpy(&u, p, sizeof u);
        v.u = u;
    } else {
        memcpy(&v.u, p, sizeof v.u);
    }
    return v;
}

void
value_put_row(FILE *f, const struct dict *dict, struct flow_batch *b,
              uint32_t row)
{
    const char *comma = "";
    putc('{', f);
    for (unsigned id = 0; id < N_COLUMNS; id++) {
        const struct column *c = &columns[id];
        if (c->flags & CF_NULL && !batch_is_valid(b, id, row)) {
            continue;
        }
        struct query_value v = value_get(dict, b, id, row);
        fprintf(f, "%s\"%s\":", comma, c->name);
        value_put(f, c->type, c, &v);
        comma = ",";
    }
    putc('}', f);
}
