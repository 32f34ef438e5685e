/* Texts for others: UTF-8, and integers that JavaScript can hold. */
#include <config.h>

#include "api/jsonrpc_p.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t
utf8_span(const char *text, size_t n)
{
    size_t i = 0;

    while (i < n) {
        uint64_t word;
        if (n - i >= 8) {
            memcpy(&word, text + i, 8);
            if (!(word & UINT64_C(0x8080808080808080))) {
                i += 8;
                continue;
            }
        }
        uint8_t c = (uint8_t) text[i], lo = 0x80, hi = 0xbf;
        unsigned more = c < 0x80 ? 0 : c >= 0xc2 && c <= 0xdf ? 1
                        : (c & 0xf0) == 0xe0 ? 2
                        : c >= 0xf0 && c <= 0xf4 ? 3 : 9;
        lo = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : lo;
        hi = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : hi;
        bool ok = more < 9 && more < n - i;
        for (unsigned k = 1; ok && k <= more; k++) {
            uint8_t d = (uint8_t) text[i + k];
            ok = d >= lo && d <= hi;
            lo = 0x80;
            hi = 0xbf;
        }
        if (!ok) {
            return i;
        }
        i += more + 1;
    }
    return n;
}

void
clean_utf8(char *text, size_t n)
{
    size_t i = 0;

    while ((i += utf8_span(text + i, n - i)) < n) {
        text[i++] = '?';
    }
}

/* Beyond Number.MAX_SAFE_INTEGER: 'n' digits. */
static bool
is_big(const char *digits, size_t n)
{
    static const char most[] = "9007199254740991";
    const size_t size = sizeof most - 1;

    return n > size || (n == size && strncmp(digits, most, size) > 0);
}

char *
quote_big(char *text)
{
    const char *from = text, *p = text;
    char *out = NULL;
    size_t size;
    FILE *f = NULL;
    bool string = false;

    for (; *p; p++) {
        if (string) {
            string = *p != '"';
            p += *p == '\\' && p[1];
            continue;
        }
        string = *p == '"';
        if (*p < '0' || *p > '9') {
            continue;
        }
        const char *first = p - (p > text && p[-1] == '-');
        size_t n = strspn(p, "0123456789");
        size_t rest = strspn(p + n, "0123456789.eE+-");
        if (!rest && is_big(p, n)) {
            f = f ? f : open_memstream(&out, &size);
            if (!f) {
                free(text);
                return NULL;
            }
            fwrite(from, 1, (size_t) (first - from), f);
            fprintf(f, "\"%.*s\"", (int) (p + n - first), first);
            from = p + n;
        }
        p += n + rest - 1;
    }
    if (!f) {
        return text;
    }
    fputs(from, f);
    free(text);
    if (fclose(f)) {
        free(out);
        out = NULL;
    }
    return out;
}
