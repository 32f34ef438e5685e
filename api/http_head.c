#include <config.h>

#include "api/http_head.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* What of it is there, and what may be there once only. */
struct text {
    const char *p;
    size_t n;
};

#define MAX_NUMBER 18           /* Digits that fit 64 bits. */

static int
refuse(struct http_head *h, int status, const char *reason)
{
    h->reason = reason;
    return status;
}

static bool
equals(struct text t, const char *s)
{
    return t.n == strlen(s) && !strncasecmp(t.p, s, t.n);
}

/* RFC 9110 section 5.6.2. */
static bool
is_token(struct text t)
{
    for (size_t i = 0; i < t.n; i++) {
        unsigned char c = (unsigned char) t.p[i];
        if ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') {
            continue;
        }
        if (c <= 0x20 || c >= 0x7f || (!(c >= '0' && c <= '9')
                                       && !strchr("!#$%&'*+-.^_`|~", c))) {
            return false;
        }
    }
    return t.n > 0;
}

/* Bytes that stand in a value: no control characters but the tabulator. */
static bool
is_value(struct text t)
{
    for (size_t i = 0; i < t.n; i++) {
        unsigned char c = (unsigned char) t.p[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    return true;
}

/* Takes a word that ends with a blank. */
static struct text
take_word(struct text *line)
{
    const char *end = memchr(line->p, ' ', line->n);
    size_t n = end ? (size_t) (end - line->p) : line->n;
    struct text word = { line->p, n };

    line->p += n + (end != NULL);
    line->n -= n + (end != NULL);
    return word;
}

/* RFC 9112 section 3. */
static int
check_request_line(struct text line, struct http_head *h)
{
    static const char *const known[] = {
        "GET", "HEAD", "POST", "OPTIONS",
    };
    struct text method = take_word(&line);
    struct text target = take_word(&line);
    bool found = false;

    if (!is_token(method)) {
        return refuse(h, 400, "this is not HTTP");
    }
    for (size_t i = 0; i < target.n; i++) {
        if (target.p[i] <= 0x20 || target.p[i] >= 0x7f) {
            return refuse(h, 400, "bad characters in the path");
        }
    }
    if (!target.n || !line.n) {
        return refuse(h, 400, "expected METHOD PATH HTTP/1.1");
    }
    if (line.n != 8 || strncmp(line.p, "HTTP/", 5)) {
        return refuse(h, 400, "this is not HTTP/1.1");
    }
    if (strncmp(line.p, "HTTP/1.1", 8) && strncmp(line.p, "HTTP/1.0", 8)) {
        return refuse(h, 505, "expected HTTP/1.1");
    }
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        found = found || (method.n == strlen(known[i])
                          && !strncmp(method.p, known[i], method.n));
    }
    if (!found) {
        return refuse(h, 405, "this is not done here");
    }
    return *target.p == '/' ? 0 : refuse(h, 400, "expected a path");
}

/* Of these a second one says something else. */
static int
check_once(struct text name, uint32_t *seen, struct http_head *h)
{
    static const char *const once[] = {
        "host", "content-length", "transfer-encoding", "authorization",
        "content-type", "upgrade", "origin", "sec-websocket-key",
        "sec-websocket-version",
    };

    for (unsigned i = 0; i < sizeof once / sizeof once[0]; i++) {
        if (equals(name, once[i])) {
            if (*seen & 1u << i) {
                return refuse(h, 400, i == 1 ? "two Content-Lengths"
                              : "a header that may come once came twice");
            }
            *seen |= 1u << i;
        }
    }
    return 0;
}

/* RFC 9112 section 5: nothing between name and colon, no folded lines. */
static int
check_field(struct text line, uint32_t *seen, struct http_head *h)
{
    const char *colon = memchr(line.p, ':', line.n);

    if (*line.p == ' ' || *line.p == '\t') {
        return refuse(h, 400, "a folded header");
    }
    struct text name = { line.p, colon ? (size_t) (colon - line.p) : 0 };
    if (!is_token(name)) {
        return refuse(h, 400, "a header without a proper name");
    }
    struct text value = { colon + 1, line.n - name.n - 1 };
    if (!is_value(value)) {
        return refuse(h, 400, "a control character in a header");
    }
    while (value.n && (*value.p == ' ' || *value.p == '\t')) {
        value.p++;
        value.n--;
    }
    while (value.n && (value.p[value.n - 1] == ' '
                       || value.p[value.n - 1] == '\t')) {
        value.n--;
    }
    if (equals(name, "upgrade") && !equals(value, "websocket")) {
        /* libwebsockets would answer with a web page of its own. */
        return refuse(h, 400, "Upgrade is to websocket only: ask in HTTP/1.1");
    }
    if (equals(name, "content-length") && value.n <= MAX_NUMBER) {
        uint64_t n = 0;
        for (size_t i = 0; i < value.n; i++) {
            if (value.p[i] < '0' || value.p[i] > '9') {
                break;          /* Looked at, and refused, later. */
            }
            n = n * 10 + (uint64_t) (value.p[i] - '0');
        }
        h->length = n;
    }
    return check_once(name, seen, h);
}

int
http_head_check(const char *p, size_t n, size_t max, struct http_head *h)
{
    uint32_t seen = 0;
    bool first = true;
    size_t at = 0;

    memset(h, 0, sizeof *h);
    while (at < n && at < max) {
        size_t room = n - at < max - at ? n - at : max - at;
        const char *end = memchr(p + at, '\n', room);
        if (!end) {
            break;
        }
        struct text line = { p + at, (size_t) (end - p) - at };
        at += line.n + 1;
        if (!line.n || line.p[--line.n] != '\r') {
            return refuse(h, 400, first ? "this is not HTTP"
                          : "a line that does not end with CR LF");
        }
        if (!line.n && !first) {
            h->size = at;
            return 0;
        }
        int status = first ? check_request_line(line, h)
                           : check_field(line, &seen, h);
        if (status) {
            return status;
        }
        first = false;
    }
    struct text rest = { p, n < max ? n : max };
    rest.n -= rest.n && p[rest.n - 1] == '\r';
    if (first && !is_value(rest)) {
        return refuse(h, 400, "this is not HTTP");      /* TLS, maybe. */
    }
    return n < max ? -EAGAIN
           : refuse(h, first ? 414 : 431, "the head of the request is too "
                    "long");
}

unsigned
http_head_count(const char *p, size_t n, const char *name)
{
    size_t size = strlen(name);
    unsigned count = 0;

    for (const char *end; (end = memchr(p, '\n', n)); ) {
        n -= (size_t) (end + 1 - p);
        p = end + 1;            /* The first line is none. */
        count += n > size && !strncasecmp(p, name, size) && p[size] == ':';
    }
    return count;
}
