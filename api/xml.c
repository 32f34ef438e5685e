#include <config.h>

#include "api/xml.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void
xml_init(struct xml *x, const char *text, size_t n)
{
    *x = (struct xml) { .at = text, .end = text + n };
}

static enum xml_piece
bad(struct xml *x, const char *reason)
{
    x->reason = reason;
    x->at = x->end;
    x->depth = 0;
    x->ended = x->empty = false;
    return XML_BAD;
}

static bool
is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Whether what comes begins with 'word'; takes it off. */
static bool
skip_word(struct xml *x, const char *word)
{
    size_t n = strlen(word);
    if ((size_t) (x->end - x->at) < n || memcmp(x->at, word, n)) {
        return false;
    }
    x->at += n;
    return true;
}

/* What stands before 'word'; takes both off.  False: it does not come. */
static bool
take_until(struct xml *x, const char *word, struct xml_span *out)
{
    const char *found = memmem(x->at, (size_t) (x->end - x->at), word,
                               strlen(word));
    if (!found) {
        return false;
    }
    *out = (struct xml_span) { x->at, (size_t) (found - x->at) };
    x->at = found + strlen(word);
    return true;
}

static struct xml_span
take_name(struct xml *x)
{
    struct xml_span name = { x->at, 0 };
    while (x->at < x->end && !is_space(*x->at)
           && !strchr("/>=<\"'&", *x->at)) {
        x->at++;
    }
    name.n = (size_t) (x->at - name.s);
    return name;
}

/* To the '>' that ends a tag or a declaration, which one in quotes does not. */
static bool
take_tag(struct xml *x, struct xml_span *out)
{
    char quote = 0;
    const char *p = x->at;
    for (; p < x->end && (quote || *p != '>'); p++) {
        if (quote ? *p == quote : *p == '"' || *p == '\'') {
            quote = quote ? 0 : *p;
        } else if (*p == '<') {
            return false;
        }
    }
    if (p == x->end) {
        return false;
    }
    *out = (struct xml_span) { x->at, (size_t) (p - x->at) };
    x->at = p + 1;
    return true;
}

static enum xml_piece
begin_element(struct xml *x)
{
    struct xml_span name = take_name(x);
    if (!name.n) {
        return bad(x, "an element has no name");
    }
    if (x->depth == XML_DEPTH) {
        return bad(x, "elements are nested too deeply");
    }
    if (x->seen && !x->depth) {
        return bad(x, "there is more than one outermost element");
    }
    if (!take_tag(x, &x->attributes)) {
        return bad(x, "a tag does not end");
    }
    x->empty = x->attributes.n
               && x->attributes.s[x->attributes.n - 1] == '/';
    x->attributes.n -= x->empty;
    x->names[x->depth++] = name;
    x->seen = true;
    return XML_BEGIN;
}

static enum xml_piece
end_element(struct xml *x)
{
    struct xml_span name = take_name(x);
    while (x->at < x->end && is_space(*x->at)) {
        x->at++;
    }
    if (!skip_word(x, ">")) {
        return bad(x, "a tag does not end");
    }
    const struct xml_span *open = x->depth ? &x->names[x->depth - 1] : NULL;
    if (!open || open->n != name.n || memcmp(open->s, name.s, name.n)) {
        return bad(x, "an element ends that did not begin");
    }
    x->ended = true;
    return XML_END;
}

/* A document type has at most an internal subset in brackets. */
static bool
skip_doctype(struct xml *x)
{
    int brackets = 0;
    for (; x->at < x->end; x->at++) {
        brackets += (*x->at == '[') - (*x->at == ']');
        if (*x->at == '>' && !brackets) {
            x->at++;
            return true;
        }
    }
    return false;
}

enum xml_piece
xml_next(struct xml *x)
{
    struct xml_span skipped;

    if (x->ended) {
        x->depth--;
        x->ended = false;
    }
    if (x->empty) {
        x->empty = false;
        x->ended = true;
        return XML_END;
    }
    while (x->at < x->end) {
        if (skip_word(x, "<!--")) {
            if (!take_until(x, "-->", &skipped)) {
                return bad(x, "a comment does not end");
            }
        } else if (skip_word(x, "<?")) {
            if (!take_until(x, "?>", &skipped)) {
                return bad(x, "an instruction does not end");
            }
        } else if (x->depth && skip_word(x, "<![CDATA[")) {
            if (!take_until(x, "]]>", &x->text)) {
                return bad(x, "a CDATA section does not end");
            }
            x->verbatim = true;
            return XML_TEXT;
        } else if (!x->seen && skip_word(x, "<!DOCTYPE")) {
            if (!skip_doctype(x)) {
                return bad(x, "a document type does not end");
            }
        } else if (skip_word(x, "</")) {
            return end_element(x);
        } else if (skip_word(x, "<")) {
            return begin_element(x);
        } else {
            const char *from = x->at;
            const char *next = memchr(from, '<', (size_t) (x->end - from));
            x->at = next ? next : x->end;
            x->text = (struct xml_span) { from, (size_t) (x->at - from) };
            x->verbatim = false;
            if (x->depth) {
                return XML_TEXT;
            }
            for (; from < x->at; from++) {
                if (!is_space(*from)) {
                    return bad(x, "there is text outside of elements");
                }
            }
        }
    }
    return x->reason ? XML_BAD
           : x->depth ? bad(x, "an element does not end")
           : !x->seen ? bad(x, "there is no element") : XML_DONE;
}

/* ---- What it says. ---- */

static struct xml_span
local_name(struct xml_span name)
{
    const char *colon = memchr(name.s, ':', name.n);
    if (colon) {
        name.n -= (size_t) (colon + 1 - name.s);
        name.s = colon + 1;
    }
    return name;
}

bool
xml_at(const struct xml *x, const char *path)
{
    for (size_t i = 0; i < x->depth; i++) {
        size_t n = strcspn(path, "/");
        struct xml_span name = local_name(x->names[i]);
        if (!*path || name.n != n || memcmp(name.s, path, n)) {
            return false;
        }
        path += n + (path[n] == '/');
    }
    return !*path;
}

static size_t
put_utf8(char *to, uint32_t c)
{
    if (c < 0x80) {
        to[0] = (char) c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i; i--) {
        to[i] = (char) (0x80 | (c & 0x3f));
        c >>= 6;
    }
    to[0] = (char) (0xf00 >> n | c);
    return n;
}

/* "#10" or "#xa"; 0 if it is no character. */
static uint32_t
read_reference(const char *s, size_t n)
{
    bool hex = n > 1 && s[1] == 'x';
    uint32_t c = 0;
    size_t i = hex ? 2 : 1;
    if (i >= n) {
        return 0;
    }
    for (; i < n && c <= 0x10ffff; i++) {
        uint32_t digit = s[i] >= '0' && s[i] <= '9' ? (uint32_t) (s[i] - '0')
            : hex && (s[i] | 0x20) >= 'a' && (s[i] | 0x20) <= 'f'
              ? (uint32_t) ((s[i] | 0x20) - 'a' + 10) : 99;
        if (digit == 99) {
            return 0;
        }
        c = c * (hex ? 16 : 10) + digit;
    }
    return c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : c;
}

/* Writes what "&NAME;" stands for, which is never longer than that. */
static size_t
put_entity(char *to, const char *name, size_t n)
{
    static const struct {
        const char *name;
        char c;
    } known[] = { { "lt", '<' }, { "gt", '>' }, { "amp", '&' },
                  { "quot", '"' }, { "apos", '\'' } };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strlen(known[i].name) == n && !memcmp(known[i].name, name, n)) {
            *to = known[i].c;
            return 1;
        }
    }
    uint32_t c = n > 1 && *name == '#' ? read_reference(name, n) : 0;
    return c ? put_utf8(to, c) : 0;
}

/* What is no entity of ours stays as it is written. */
static char *
decode(struct xml_span from, bool verbatim)
{
    char *text = malloc(from.n + 1);
    size_t n = 0;
    for (size_t i = 0; text && i < from.n; i++) {
        if (from.s[i] == '&' && !verbatim) {
            const char *name = from.s + i + 1;
            const char *semi = memchr(name, ';', from.n - i - 1);
            size_t taken = semi ? put_entity(text + n, name,
                                             (size_t) (semi - name)) : 0;
            if (taken) {
                n += taken;
                i = (size_t) (semi - from.s);
                continue;
            }
        }
        if (from.s[i]) {
            text[n++] = from.s[i];
        }
    }
    if (text) {
        text[n] = '\0';
    }
    return text;
}

char *
xml_attribute(const struct xml *x, const char *name)
{
    struct xml at = { .at = x->attributes.s,
                      .end = x->attributes.s + x->attributes.n };
    for (;;) {
        while (at.at < at.end && is_space(*at.at)) {
            at.at++;
        }
        struct xml_span found = take_name(&at), value;
        while (at.at < at.end && is_space(*at.at)) {
            at.at++;
        }
        if (!found.n || !skip_word(&at, "=")) {
            return NULL;
        }
        while (at.at < at.end && is_space(*at.at)) {
            at.at++;
        }
        if (at.at == at.end || (*at.at != '"' && *at.at != '\'')) {
            return NULL;
        }
        const char quote[2] = { *at.at++, '\0' };
        if (!take_until(&at, quote, &value)) {
            return NULL;
        }
        found = local_name(found);
        if (found.n == strlen(name) && !memcmp(found.s, name, found.n)) {
            return decode(value, false);
        }
    }
}

char *
xml_text(const struct xml *x)
{
    return decode(x->text, x->verbatim);
}
