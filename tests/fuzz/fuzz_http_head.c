/* The head of a request, as it comes: what is taken is beyond doubt.  The rules
 * of RFC 9112 are checked here once more, in another way: line by line, on text
 * that a regular reader would see. */
#include <config.h>

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/http_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX 512

static void
must(bool ok)
{
    if (!ok) {
        abort();
    }
}

/* A block of its own, so that the byte behind it is seen by ASan. */
static int
check(const uint8_t *data, size_t n, struct http_head *h)
{
    char *copy = malloc(n ? n : 1);

    if (!copy) {
        exit(1);
    }
    memcpy(copy, data, n);
    int status = http_head_check(copy, n, MAX, h);
    if (!status) {
        must(http_head_count(copy, h->size, "Host") <= 1);
    }
    free(copy);
    return status;
}

/* 'text' is a head that was taken. */
static void
look(char *text, size_t n, const struct http_head *h)
{
    unsigned lengths = 0, hosts = 0, codings = 0;

    must(n >= 4 && n <= MAX && !memcmp(text + n - 4, "\r\n\r\n", 4));
    must(strlen(text) == n);
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char) text[i];
        must(c >= 0x20 || c == '\t' || (c == '\r' && text[i + 1] == '\n')
             || (c == '\n' && i && text[i - 1] == '\r'));
        must(c != 0x7f);
    }
    char *line = text, *end;
    for (bool first = true; (end = strstr(line, "\r\n")) && end > line;
         line = end + 2, first = false) {
        *end = '\0';
        if (first) {            /* Three words, no more. */
            const char *word = strchr(line, ' ');
            const char *last = strrchr(line, ' ');
            must(word && last > word && !memchr(word + 1, ' ', (size_t)
                                                (last - word - 1)));
            must(!strncmp(last, " HTTP/1.", 8) && strlen(last) == 9);
            continue;
        }
        size_t name = strcspn(line, ":");
        must(name > 0 && line[name] == ':' && line[0] != ' '
             && line[0] != '\t' && strcspn(line, " \t") > name);
        line[name] = '\0';
        lengths += !strcasecmp(line, "content-length");
        hosts += !strcasecmp(line, "host");
        codings += !strcasecmp(line, "transfer-encoding");
    }
    must(end == line && lengths <= 1 && hosts <= 1 && codings <= 1);
    must(lengths || !h->length);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_head whole, part;
    int status = check(data, size, &whole);

    must(status == 0 || status == -EAGAIN
         || (status >= 400 && status <= 599 && whole.reason));
    must(status != -EAGAIN || size < MAX);
    if (!status) {
        must(whole.size && whole.size <= size);
        char *text = strndup((const char *) data, whole.size);
        if (!text) {
            exit(1);
        }
        look(text, whole.size, &whole);
        free(text);
    }
    /* However it is cut, it comes to the same: what was refused stays so, and
     * half of what is taken goes on. */
    for (size_t n = 0; n < size && n <= MAX; n++) {
        int early = check(data, n, &part);
        if (!status && n < whole.size) {
            must(early == -EAGAIN);
        } else if (!status) {
            must(!early && part.size == whole.size
                 && part.length == whole.length);
        } else if (status == -EAGAIN) {
            must(early == -EAGAIN);
        } else {
            must(early == -EAGAIN || early >= 400);
        }
    }
    return 0;
}
