/* api/http_head.h -- is this the head of an HTTP/1 request, beyond doubt?
 *
 * libwebsockets reads more than RFC 9112 allows: folded lines, blanks before a
 * colon, bare CR and LF.  Where two that stand behind each other disagree
 * about what a request is, one's body is the other's next request.  So what
 * comes is looked at first. */
#ifndef API_HTTP_HEAD_H
#define API_HTTP_HEAD_H 1

#include <stddef.h>
#include <stdint.h>

struct http_head {
    size_t size;                /* Bytes, with the empty line. */
    uint64_t length;            /* Content-Length, if it is one number. */
    const char *reason;         /* Of a refusal. */
};

/* Looks at the first 'n' bytes of a request whose head may have 'max'.  0: the
 * head is complete; -EAGAIN: it goes on; or the status to refuse it with. */
int http_head_check(const char *p, size_t n, size_t max, struct http_head *);

/* How often a header comes in the 'n' bytes of a head that is in order. */
unsigned http_head_count(const char *p, size_t n, const char *name);

#endif /* api/http_head.h */
