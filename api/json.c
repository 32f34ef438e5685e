#include <config.h>

#include "api/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

const struct json_limits json_default_limits = {
    .size = 8000000, .values = 250000, .containers = 50000, .depth = 32,
};

/* What the next byte may be. */
enum {
    S_START,                    /* Nothing of the value was seen. */
    S_VALUE,                    /* A value. */
    S_FIRST_VALUE,              /* A value or "]". */
    S_FIRST_KEY,                /* A member's name or "}". */
    S_KEY,                      /* A member's name. */
    S_COLON,
    S_AFTER,                    /* "," or the end of the container. */
    S_STRING,
    S_ESCAPE,                   /* After a backslash. */
    S_HEX,
    S_LITERAL,                  /* Inside true, false, null. */
    S_MINUS,                    /* A digit must follow. */
    S_ZERO,                     /* After a leading zero. */
    S_INT,
    S_DOT,                      /* A digit must follow. */
    S_FRACTION,
    S_E,                        /* A sign or digit must follow. */
    S_E_SIGN,                   /* A digit must follow. */
    S_EXPONENT,
    S_END,                      /* The value is complete. */
};

void
json_scan_init(struct json_scan *s, const struct json_limits *limits)
{
    memset(s, 0, sizeof *s);
    s->limits = limits;
    s->state = S_START;
    s->line = 1;
}

bool
json_scan_empty(const struct json_scan *s)
{
    return s->state == S_START;
}

static enum json_verdict
bad(struct json_scan *s, const char *reason)
{
    s->reason = reason;
    return JSON_BAD;
}

static enum json_verdict
beyond(struct json_scan *s, const char *reason)
{
    s->reason = reason;
    return JSON_LIMIT;
}

static bool
is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool
is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* A value has ended inside the innermost container, or altogether. */
static enum json_verdict
value_ended(struct json_scan *s)
{
    s->state = s->depth ? S_AFTER : S_END;
    return s->depth ? JSON_MORE : JSON_DONE;
}

static enum json_verdict
open_container(struct json_scan *s, bool object)
{
    if (s->depth >= s->limits->depth || s->depth >= 64) {
        return beyond(s, "nested too deeply");
    }
    if (++s->n_containers > s->limits->containers) {
        return beyond(s, "too many objects and arrays");
    }
    s->stack = s->stack << 1 | object;
    s->depth++;
    s->state = object ? S_FIRST_KEY : S_FIRST_VALUE;
    return JSON_MORE;
}

static enum json_verdict
close_container(struct json_scan *s)
{
    s->stack >>= 1;
    s->depth--;
    return value_ended(s);
}

static void
begin_string(struct json_scan *s, bool key)
{
    s->state = S_STRING;
    s->in_key = key;
    s->high_surrogate = false;
}

static enum json_verdict
begin_value(struct json_scan *s, uint8_t c)
{
    if (++s->n_values > s->limits->values) {
        return beyond(s, "too many values");
    }
    switch (c) {
    case '{':
        return open_container(s, true);
    case '[':
        return open_container(s, false);
    case '"':
        begin_string(s, false);
        return JSON_MORE;
    case '-':
        s->state = S_MINUS;
        return JSON_MORE;
    case '0':
        s->state = S_ZERO;
        return JSON_MORE;
    case 't':
        s->literal = "rue";
        break;
    case 'f':
        s->literal = "alse";
        break;
    case 'n':
        s->literal = "ull";
        break;
    default:
        if (is_digit(c)) {
            s->state = S_INT;
            return JSON_MORE;
        }
        return bad(s, "expected a value");
    }
    s->state = S_LITERAL;
    return JSON_MORE;
}

/* The first byte of a UTF-8 sequence (RFC 3629 section 4). */
static enum json_verdict
utf8_lead(struct json_scan *s, uint8_t c)
{
    s->utf8_min = 0x80;
    s->utf8_max = 0xbf;
    if (c >= 0xc2 && c <= 0xdf) {
        s->utf8_left = 1;
    } else if (c >= 0xe0 && c <= 0xef) {
        s->utf8_left = 2;
        s->utf8_min = c == 0xe0 ? 0xa0 : 0x80;
        s->utf8_max = c == 0xed ? 0x9f : 0xbf;  /* No surrogates. */
    } else if (c >= 0xf0 && c <= 0xf4) {
        s->utf8_left = 3;
        s->utf8_min = c == 0xf0 ? 0x90 : 0x80;
        s->utf8_max = c == 0xf4 ? 0x8f : 0xbf;
    } else {
        return bad(s, "invalid UTF-8");
    }
    return JSON_MORE;
}

static enum json_verdict
in_string(struct json_scan *s, uint8_t c)
{
    if (s->utf8_left) {
        if (c < s->utf8_min || c > s->utf8_max) {
            return bad(s, "invalid UTF-8");
        }
        s->utf8_left--;
        s->utf8_min = 0x80;
        s->utf8_max = 0xbf;
        return JSON_MORE;
    }
    if (s->high_surrogate && c != '\\') {
        return bad(s, "half of a surrogate pair");
    }
    if (c == '"') {
        if (s->in_key) {
            s->state = S_COLON;
            return JSON_MORE;
        }
        return value_ended(s);
    }
    if (c == '\\') {
        s->state = S_ESCAPE;
        return JSON_MORE;
    }
    if (c < 0x20) {
        return bad(s, "control character in a string");
    }
    return c < 0x80 ? JSON_MORE : utf8_lead(s, c);
}

static enum json_verdict
in_escape(struct json_scan *s, uint8_t c)
{
    if (c == 'u') {
        s->state = S_HEX;
        s->hex_left = 4;
        s->hex = 0;
        return JSON_MORE;
    }
    if (s->high_surrogate) {
        return bad(s, "half of a surrogate pair");
    }
    if (!c || !strchr("\"\\/bfnrt", c)) {
        return bad(s, "unknown escape in a string");
    }
    s->state = S_STRING;
    return JSON_MORE;
}

/* The value of a hexadecimal digit, or -1. */
static int
hex_value(uint8_t c)
{
    return is_digit(c) ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static enum json_verdict
in_hex(struct json_scan *s, uint8_t c)
{
    int v = hex_value(c);

    if (v < 0) {
        return bad(s, "expected four hexadecimal digits after \\u");
    }
    s->hex = (uint16_t) (s->hex << 4 | v);
    if (--s->hex_left) {
        return JSON_MORE;
    }
    bool low = s->hex >= 0xdc00 && s->hex <= 0xdfff;
    if (low != s->high_surrogate) {
        return bad(s, "half of a surrogate pair");
    }
    s->high_surrogate = s->hex >= 0xd800 && s->hex <= 0xdbff;
    s->state = S_STRING;
    return JSON_MORE;
}

/* In a number.  '*again' is set if 'c' is beyond its end. */
static enum json_verdict
in_number(struct json_scan *s, uint8_t c, bool *again)
{
    switch (s->state) {
    case S_MINUS:
        if (!is_digit(c)) {
            return bad(s, "expected a digit");
        }
        s->state = c == '0' ? S_ZERO : S_INT;
        return JSON_MORE;
    case S_DOT:
        if (!is_digit(c)) {
            return bad(s, "expected a digit");
        }
        s->state = S_FRACTION;
        return JSON_MORE;
    case S_E:
        if (c == '+' || c == '-') {
            s->state = S_E_SIGN;
            return JSON_MORE;
        }
        /* Fall through. */
    case S_E_SIGN:
        if (!is_digit(c)) {
            return bad(s, "expected a digit");
        }
        s->state = S_EXPONENT;
        return JSON_MORE;
    }

    if (is_digit(c)) {
        return s->state == S_ZERO ? bad(s, "leading zero") : JSON_MORE;
    }
    if (c == '.' && (s->state == S_ZERO || s->state == S_INT)) {
        s->state = S_DOT;
        return JSON_MORE;
    }
    if ((c == 'e' || c == 'E') && s->state != S_EXPONENT) {
        s->state = S_E;
        return JSON_MORE;
    }
    *again = true;
    return value_ended(s);
}

static enum json_verdict
between(struct json_scan *s, uint8_t c)
{
    bool object = s->stack & 1;

    switch (s->state) {
    case S_START:
    case S_VALUE:
        return begin_value(s, c);
    case S_FIRST_VALUE:
        return c == ']' ? close_container(s) : begin_value(s, c);
    case S_FIRST_KEY:
        if (c == '}') {
            return close_container(s);
        }
        /* Fall through. */
    case S_KEY:
        if (c != '"') {
            return bad(s, s->state == S_KEY ? "expected a member's name"
                                      : "expected a member's name or \"}\"");
        }
        begin_string(s, true);
        return JSON_MORE;
    case S_COLON:
        if (c != ':') {
            return bad(s, "expected \":\"");
        }
        s->state = S_VALUE;
        return JSON_MORE;
    default:                    /* S_AFTER */
        if (c == ',') {
            s->state = object ? S_KEY : S_VALUE;
            return JSON_MORE;
        }
        if (c == (object ? '}' : ']')) {
            return close_container(s);
        }
        return bad(s, object ? "expected \",\" or \"}\""
                             : "expected \",\" or \"]\"");
    }
}

static enum json_verdict
step(struct json_scan *s, uint8_t c, bool *again)
{
    switch (s->state) {
    case S_STRING:
        return in_string(s, c);
    case S_ESCAPE:
        return in_escape(s, c);
    case S_HEX:
        return in_hex(s, c);
    case S_LITERAL:
        if (c != (uint8_t) *s->literal) {
            return bad(s, "expected true, false or null");
        }
        s->literal++;
        return *s->literal ? JSON_MORE : value_ended(s);
    case S_MINUS: case S_ZERO: case S_INT: case S_DOT:
    case S_FRACTION: case S_E: case S_E_SIGN: case S_EXPONENT:
        return in_number(s, c, again);
    default:
        return is_space(c) ? JSON_MORE : between(s, c);
    }
}

enum json_verdict
json_scan_feed(struct json_scan *s, const char *data, size_t n, size_t *used)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t c = (uint8_t) data[i];
        bool again = false;

        /* Inside a string most bytes change nothing. */
        if (s->state == S_STRING && !s->utf8_left && !s->high_surrogate) {
            size_t from = i;
            while (i < n && c >= 0x20 && c < 0x80 && c != '"' && c != '\\') {
                c = ++i < n ? (uint8_t) data[i] : 0;
            }
            s->column += i - from;
            s->size += i - from;
            if (i >= n) {
                break;
            }
        }
        s->column++;
        enum json_verdict v = step(s, c, &again);
        if (again) {
            s->column--;
            if (v == JSON_DONE) {
                *used = i;
                return v;
            }
            i--;                /* The byte after a number: once more. */
            continue;
        }
        if (c == '\n' && v != JSON_BAD) {
            s->line++;
            s->column = 0;
        }
        if (s->state != S_START) {
            s->size++;
        }
        if (s->size > s->limits->size && v != JSON_BAD) {
            v = beyond(s, "too long");
        }
        if (v != JSON_MORE) {
            *used = i + 1;
            return v;
        }
    }
    *used = n;
    return s->size > s->limits->size ? beyond(s, "too long") : JSON_MORE;
}

enum json_verdict
json_scan_end(struct json_scan *s)
{
    switch (s->state) {
    case S_ZERO: case S_INT: case S_FRACTION: case S_EXPONENT:
        if (!s->depth) {
            s->state = S_END;
            return JSON_DONE;
        }
        break;
    case S_END:
        return JSON_DONE;
    }
    s->column++;
    return bad(s, s->state == S_START ? "expected a value"
                                      : "the text ends too early");
}

/* The builder: walks a text that the scanner has accepted. */
struct build {
    const char *p;
    unsigned flags;
    bool no_memory;
    const char *reason;         /* Set: refused. */
};

static struct json_object *build_value(struct build *);

static void
skip_space(struct build *b)
{
    while (is_space((uint8_t) *b->p)) {
        b->p++;
    }
}

static unsigned
take_hex(struct build *b)
{
    unsigned v = 0;

    for (int i = 0; i < 4; i++) {
        v = v << 4 | (unsigned) hex_value((uint8_t) *b->p++);
    }
    return v;
}

static char *
put_utf8(char *out, unsigned c)
{
    if (c < 0x80) {
        *out++ = (char) c;
    } else if (c < 0x800) {
        *out++ = (char) (0xc0 | c >> 6);
        *out++ = (char) (0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *out++ = (char) (0xe0 | c >> 12);
        *out++ = (char) (0x80 | (c >> 6 & 0x3f));
        *out++ = (char) (0x80 | (c & 0x3f));
    } else {
        *out++ = (char) (0xf0 | c >> 18);
        *out++ = (char) (0x80 | (c >> 12 & 0x3f));
        *out++ = (char) (0x80 | (c >> 6 & 0x3f));
        *out++ = (char) (0x80 | (c & 0x3f));
    }
    return out;
}

static char *
put_escape(struct build *b, char *out)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    char c = *b->p++;

    if (c != 'u') {
        const char *which = strchr(from, c);
        *out++ = which ? to[which - from] : c;
        return out;
    }
    unsigned u = take_hex(b);
    if (u >= 0xd800 && u <= 0xdbff) {
        b->p += 2;              /* The scanner saw "\u" and a low half. */
        u = 0x10000 + ((u - 0xd800) << 10) + (take_hex(b) - 0xdc00);
    }
    return put_utf8(out, u);
}

/* The text between the quotes, unescaped, on the heap. */
static char *
build_text(struct build *b, size_t *len)
{
    const char *end = ++b->p;

    while (*end != '"') {
        end += *end == '\\' ? 2 : 1;
    }
    char *text = malloc((size_t) (end - b->p) + 1);
    if (!text) {
        b->no_memory = true;
        return NULL;
    }
    char *out = text;
    while (b->p < end) {
        if (*b->p != '\\') {
            *out++ = *b->p++;
        } else {
            b->p++;
            out = put_escape(b, out);
        }
    }
    *out = '\0';
    *len = (size_t) (out - text);
    b->p = end + 1;
    return text;
}

static struct json_object *
build_string(struct build *b)
{
    const char *end = b->p + 1;
    struct json_object *o;
    size_t len;

    while (*end != '"' && *end != '\\') {
        end++;
    }
    if (*end == '"') {          /* Nothing to unescape. */
        o = json_object_new_string_len(b->p + 1, (int) (end - b->p - 1));
        b->p = end + 1;
        return o;
    }
    char *text = build_text(b, &len);
    if (!text) {
        return NULL;
    }
    o = json_object_new_string_len(text, (int) len);
    free(text);
    return o;
}

/* Integers of 64 bits as such; all others keep their text. */
static struct json_object *
build_number(struct build *b)
{
    const char *start = b->p;
    bool integer = true;
    char small[64], *text = small;

    while (*b->p && strchr("+-.eE0123456789", *b->p)) {
        integer &= !strchr(".eE", *b->p);
        b->p++;
    }
    size_t len = (size_t) (b->p - start);
    if (len >= sizeof small && !(text = malloc(len + 1))) {
        return NULL;
    }
    memcpy(text, start, len);
    text[len] = '\0';

    struct json_object *o = NULL;
    errno = 0;
    if (integer && *text == '-') {
        long long v = strtoll(text, NULL, 10);
        o = errno || !v ? NULL : json_object_new_int64(v);
    } else if (integer) {
        unsigned long long v = strtoull(text, NULL, 10);
        o = errno ? NULL : v <= INT64_MAX ? json_object_new_int64((int64_t) v)
                                          : json_object_new_uint64(v);
    }
    if (!o) {
        o = json_object_new_double_s(strtod(text, NULL), text);
    }
    if (text != small) {
        free(text);
    }
    return o;
}

static bool
build_member(struct build *b, struct json_object *o)
{
    const char *at = b->p;
    size_t len;
    char *key = build_text(b, &len);

    if (!key) {
        return false;
    }
    if (strlen(key) != len) {
        b->reason = "a member's name contains a NUL character";
    } else if (b->flags & JSON_UNIQUE
               && json_object_object_get_ex(o, key, NULL)) {
        b->reason = "the same member a second time";
    }
    if (b->reason) {
        b->p = at;
        free(key);
        return false;
    }
    skip_space(b);
    b->p++;                     /* ":" */
    skip_space(b);
    struct json_object *value = build_value(b);
    bool ok = !b->reason && !b->no_memory
              && !json_object_object_add(o, key, value);
    if (!ok) {
        json_object_put(value);
        b->no_memory |= !b->reason;
    }
    free(key);
    return ok;
}

/* An object or array; 'end' is its closing bracket. */
static struct json_object *
build_container(struct build *b, bool object)
{
    struct json_object *o = object ? json_object_new_object()
                                   : json_object_new_array_ext(4);
    char end = object ? '}' : ']';

    b->no_memory |= !o;
    b->p++;
    for (skip_space(b); o && *b->p != end; skip_space(b)) {
        if (*b->p == ',') {
            b->p++;
            continue;
        }
        bool ok;
        if (object) {
            ok = build_member(b, o);
        } else {
            struct json_object *value = build_value(b);
            ok = !b->reason && !b->no_memory
                 && !json_object_array_add(o, value);
            if (!ok) {
                json_object_put(value);
                b->no_memory |= !b->reason;
            }
        }
        if (!ok) {
            json_object_put(o);
            return NULL;
        }
    }
    b->p++;
    return o;
}

static struct json_object *
build_value(struct build *b)
{
    struct json_object *o;

    switch (*b->p) {
    case '{':
        return build_container(b, true);
    case '[':
        return build_container(b, false);
    case 'n':
        b->p += 4;
        return NULL;
    case '"':
        o = build_string(b);
        break;
    case 't':
    case 'f':
        o = json_object_new_boolean(*b->p == 't');
        b->p += *b->p == 't' ? 4 : 5;
        break;
    default:
        o = build_number(b);
    }
    b->no_memory |= !o;
    return o;
}

static int
fail(struct json_error *error, int code, uint32_t line, uint32_t column,
     const char *message)
{
    if (error) {
        error->limit = code == -E2BIG;
        error->line = line;
        error->column = column;
        snprintf(error->message, sizeof error->message, "%s", message);
    }
    return code;
}

static void
position(const char *text, const char *p, uint32_t *line, uint32_t *column)
{
    *line = *column = 1;
    for (; text < p; text++) {
        *line += *text == '\n';
        *column = *text == '\n' ? 1 : *column + 1;
    }
}

/* Scans the whole text: one value and white space. */
static int
scan_all(const char *text, size_t n, const struct json_limits *limits,
         struct json_error *error)
{
    struct json_scan s;
    size_t used = 0;

    json_scan_init(&s, limits);
    enum json_verdict v = json_scan_feed(&s, text, n, &used);
    if (v == JSON_MORE) {
        v = json_scan_end(&s);
        used = n;
    }
    if (v != JSON_DONE) {
        return fail(error, v == JSON_LIMIT ? -E2BIG : -EINVAL, s.line,
                    s.column ? s.column : 1, s.reason);
    }
    while (used < n && is_space((uint8_t) text[used])) {
        used++;
    }
    if (used < n) {
        uint32_t line, column;
        position(text, text + used, &line, &column);
        return fail(error, -EINVAL, line, column, "text after the value");
    }
    return 0;
}

int
json_parse(const char *text, size_t n, const struct json_limits *limits,
           unsigned flags, struct json_object **value,
           struct json_error *error)
{
    *value = NULL;
    int err = flags & JSON_SCANNED ? 0 : scan_all(text, n, limits, error);
    if (err) {
        return err;
    }

    struct build b = { .p = text, .flags = flags };
    char *copy = NULL;
    while (is_space((uint8_t) *b.p)) {
        b.p++;
    }
    /* Of all values only a number ends with the byte behind it. */
    if (!strchr("{[\"tfn", *b.p)) {
        copy = strndup(b.p, (size_t) (text + n - b.p));
        if (!copy) {
            return fail(error, -ENOMEM, 1, 1, "out of memory");
        }
        b.p = copy;
    }
    struct json_object *o = build_value(&b);
    if (b.reason || b.no_memory) {
        uint32_t line, column;
        position(text, b.p, &line, &column);
        err = b.reason ? fail(error, -EINVAL, line, column, b.reason)
                       : fail(error, -ENOMEM, line, column, "out of memory");
        json_object_put(o);
        o = NULL;
    }
    free(copy);
    *value = o;
    return err;
}

struct json_object *
json_member(struct json_object *o, const char *name)
{
    struct json_object *v = NULL;
    json_object_object_get_ex(o, name, &v);
    return v;
}

const char *
json_text(struct json_object *o, const char *name)
{
    struct json_object *v = json_member(o, name);
    return v ? json_object_get_string(v) : NULL;
}
