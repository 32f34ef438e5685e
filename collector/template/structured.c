#include <config.h>

#include "collector/template/structured.h"

#include <inttypes.h>
#include <string.h>

#include "collector/template/explained.h"
#include "collector/template/template.h"
#include "lib/addr.h"
#include "lib/cursor.h"
#include "lib/text.h"

/* ---- Values. ---- */

static void
add_hex(struct text *t, const uint8_t *p, size_t n)
{
    text_add(t, "0x");
    for (size_t i = 0; i < n && !t->cut; i++) {
        text_add(t, "%02x", p[i]);
    }
}

static void
add_string(struct text *t, const uint8_t *p, size_t n)
{
    text_add(t, "\"");
    for (size_t i = 0; i < n && p[i] && !t->cut; i++) {
        if (p[i] == '"' || p[i] == '\\') {
            text_add(t, "\\%c", p[i]);
        } else if (p[i] < ' ' || p[i] == 0x7f) {
            text_add(t, "\\x%02x", p[i]);
        } else {
            text_add(t, "%c", p[i]);
        }
    }
    text_add(t, "\"");
}

static void
add_signed(struct text *t, const uint8_t *p, size_t n)
{
    unsigned unused = 64 - 8 * (unsigned) n;
    text_add(t, "%" PRId64, (int64_t) (be_uint_at(p, n) << unused) >> unused);
}

static void
add_float(struct text *t, const uint8_t *p, size_t n)
{
    uint32_t v32 = n == 4 ? be32_at(p) : 0;
    uint64_t v64 = n == 8 ? be64_at(p) : 0;
    float f32;
    double f64;
    memcpy(&f32, &v32, sizeof f32);
    memcpy(&f64, &v64, sizeof f64);
    text_add(t, "%.*g", n == 4 ? 9 : 17, n == 4 ? (double) f32 : f64);
}

struct lookup {
    const struct template_cache *templates;
    const struct source *source;
    const struct dict *dict;
    unsigned depth;
};

static bool try_list(struct text *, enum registry_type,
                     const uint8_t *p, size_t n, struct lookup);

/* By its type or, where the size is not right for it, in hex. */
static void
add_value(struct text *t, enum registry_type type, const uint8_t *p, size_t n,
          const struct lookup *l)
{
    char buf[ADDR_STRLEN];
    struct addr a;
    bool number = n >= 1 && n <= 8;
    if (type == REG_STR) {
        add_string(t, p, n);
    } else if (number && (type <= REG_U64 || type == REG_BOOL
                          || (type >= REG_SEC && type <= REG_MS))) {
        text_add(t, "%" PRIu64, be_uint_at(p, n));
    } else if (number && type <= REG_S64) {
        add_signed(t, p, n);
    } else if (type == REG_F64 && (n == 4 || n == 8)) {
        add_float(t, p, n);
    } else if ((type == REG_V4 && n == 4) || (type == REG_V6 && n == 16)) {
        a = n == 4 ? addr_from_v4_bytes(p) : addr_from_v6_bytes(p);
        text_add(t, "%s", addr_format(&a, buf));
    } else if (type == REG_MAC && n == 6) {
        text_add(t, "%02x:%02x:%02x:%02x:%02x:%02x", p[0], p[1], p[2], p[3], p[4],
            p[5]);
    } else if (structured_is(type) && l->depth < STRUCTURED_DEPTH) {
        struct lookup inner = *l;
        inner.depth++;
        if (!try_list(t, type, p, n, inner)) {
            add_hex(t, p, n);
        }
    } else {
        add_hex(t, p, n);
    }
}

/* ---- Lists. ---- */

static void
add_semantic(struct text *t, uint8_t semantic)
{
    /* RFC 6313 section 4.4. */
    static const char *const words[] = {
        "noneOf", "exactlyOneOf", "oneOrMoreOf", "allOf", "ordered",
    };
    text_add(t, "%s[", semantic < sizeof words / sizeof words[0]
                  ? words[semantic] : "undefined");
}

/* The next value; the cursor is bad afterwards if it is not there. */
static struct cursor
take_value(struct cursor *c, uint16_t size)
{
    size_t n = size;
    if (size == TEMPLATE_VARLEN) {      /* RFC 7011 section 7. */
        n = cur_u8(c);
        n = n == 255 ? cur_u16(c) : n;
    }
    return cur_sub(c, n);
}

/* What a basicList says of its elements.  False: there is none. */
struct list_head {
    uint8_t semantic;
    uint16_t id, size;
    uint32_t pen;
};

static bool
read_list_head(struct cursor *c, struct list_head *h)
{
    h->semantic = cur_u8(c);
    h->id = cur_u16(c);
    h->size = cur_u16(c);
    h->pen = h->id & 0x8000 ? cur_u32(c) : 0;
    h->id &= 0x7fff;
    return !c->bad && h->size;
}

static bool
add_basic_list(struct text *t, struct cursor *c,
               const struct lookup *l)
{
    struct list_head h;
    struct explained e;
    if (!read_list_head(c, &h)) {
        return false;
    }
    explained_get(l->source, l->dict, h.pen, h.id, &e);
    add_semantic(t, h.semantic);
    text_add(t, "%s", e.name);
    while (cur_more(c)) {       /* Each turn eats at least a byte. */
        struct cursor value = take_value(c, h.size);
        if (value.bad) {
            return false;
        }
        text_add(t, " ");
        add_value(t, e.type, value.p, cur_left(&value), l);
    }
    return true;
}

static void
add_record(struct text *t, const struct template *tmpl,
           struct cursor *c, const struct lookup *l)
{
    struct explained e;
    text_add(t, "(");
    for (unsigned i = 0; i < tmpl->n_fields; i++) {
        const struct template_field *f = &tmpl->fields[i];
        struct cursor value = take_value(c, f->size);
        explained_get(l->source, l->dict, f->pen, f->id, &e);
        text_add(t, "%s%s ", i ? " " : "", e.name);
        add_value(t, e.type, value.p, cur_left(&value), l);
    }
    text_add(t, ")");
}

/* Records of one template, to the end of 'c'. */
static bool
add_records(struct text *t, uint16_t id, struct cursor *c,
            const struct lookup *l)
{
    const struct template *tmpl = l->templates
        ? template_get(l->templates, l->source, id) : NULL;
    text_add(t, "%u", id);
    if (!tmpl) {
        text_add(t, "(");
        add_hex(t, c->p, cur_left(c));
        text_add(t, ")");
        cur_skip(c, cur_left(c));
        return true;
    }
    while (cur_more(c)) {
        size_t size = template_record_size(tmpl, c->p, cur_left(c));
        if (!size) {
            return false;
        }
        struct cursor record = cur_sub(c, size);
        add_record(t, tmpl, &record, l);
    }
    return true;
}

static bool
add_multi_list(struct text *t, struct cursor *c,
               const struct lookup *l)
{
    for (bool first = true; cur_more(c); first = false) {
        uint16_t id = cur_u16(c), size = cur_u16(c);
        struct cursor records = cur_sub(c, size >= 4 ? size - 4u : SIZE_MAX);
        text_add(t, "%s", first ? "" : " ");
        if (records.bad || !add_records(t, id, &records, l)) {
            return false;
        }
    }
    return true;
}

static bool
add_list(struct text *t, enum registry_type type, struct cursor c,
         struct lookup l)
{
    bool good;
    if (type == REG_LIST) {
        good = add_basic_list(t, &c, &l);
    } else {
        add_semantic(t, cur_u8(&c));
        uint16_t id = type == REG_STL ? cur_u16(&c) : 0;
        good = !c.bad && (type == REG_STL ? add_records(t, id, &c, &l)
                                          : add_multi_list(t, &c, &l));
    }
    text_add(t, "]");
    return good;
}

/* As add_list(), but leaves nothing of a list that is malformed. */
static bool
try_list(struct text *t, enum registry_type type, const uint8_t *p,
         size_t n, struct lookup l)
{
    size_t before = t->n;
    bool cut = t->cut;
    if (add_list(t, type, cur_init(p, n), l)) {
        return true;
    }
    t->n = before;
    t->cut = cut;
    return false;
}

bool
structured_format(struct text *t, enum registry_type type,
                  const uint8_t *p, size_t n,
                  const struct template_cache *templates,
                  const struct source *source, const struct dict *dict)
{
    struct lookup l = {
        .templates = templates, .source = source, .dict = dict,
    };
    return try_list(t, type, p, n, l);
}

void
structured_value(struct text *t, enum registry_type type,
                 const uint8_t *p, size_t n,
                 const struct template_cache *templates,
                 const struct source *source, const struct dict *dict)
{
    struct lookup l = {
        .templates = templates, .source = source, .dict = dict,
    };
    add_value(t, type, p, n, &l);
}

/* ---- BGP communities (RFC 8549). ---- */

enum { COMMUNITY = 483, EXTENDED = 486, LARGE = 489 };

void
structured_community(struct text *t, uint32_t x)
{
    text_add(t, "%s%u:%u", t->n ? " " : "", x >> 16, x & 0xffff);
}

/* Route targets and sites of origin (RFC 4360, 5668) by their names. */
static void
add_extended(struct text *t, const uint8_t *p)
{
    const char *name = p[1] == 2 ? "rt" : p[1] == 3 ? "soo" : NULL;
    uint8_t kind = p[0] & 0xbf;         /* Transitive or not. */
    text_add(t, "%s", t->n ? " " : "");
    if (name && kind == 0) {
        text_add(t, "%s:%u:%" PRIu32, name, be16_at(p + 2), be32_at(p + 4));
    } else if (name && kind == 1) {
        text_add(t, "%s:%u.%u.%u.%u:%u", name, p[2], p[3], p[4], p[5],
            be16_at(p + 6));
    } else if (name && kind == 2) {
        text_add(t, "%s:%" PRIu32 ":%u", name, be32_at(p + 2), be16_at(p + 6));
    } else {
        text_add(t, "0x%016" PRIx64, be64_at(p));
    }
}

static bool
add_community(struct text *t, uint16_t id, const uint8_t *p,
              size_t n)
{
    if (id == COMMUNITY && n == 4) {
        structured_community(t, be32_at(p));
    } else if (id == EXTENDED && n == 8) {
        add_extended(t, p);
    } else if (id == LARGE && n == 12) {
        text_add(t, "%s%" PRIu32 ":%" PRIu32 ":%" PRIu32, t->n ? " " : "",
            be32_at(p), be32_at(p + 4), be32_at(p + 8));
    } else {
        return false;
    }
    return true;
}

bool
structured_communities(struct text *t, const uint8_t *p, size_t n)
{
    struct cursor c = cur_init(p, n);
    struct list_head h;
    if (!read_list_head(&c, &h) || h.pen) {
        return false;
    }
    while (cur_more(&c)) {
        struct cursor value = take_value(&c, h.size);
        if (value.bad || !add_community(t, h.id, value.p, cur_left(&value))) {
            return false;
        }
    }
    return true;
}
