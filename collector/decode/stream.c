#include <config.h>

#include "collector/decode/stream.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/cursor.h"

#define IPFIX_VERSION 10
#define HEADER_SIZE 16
#define LENGTH_SIZE 4           /* Version and length. */

bool
ipfix_stream_looks(const uint8_t *p, size_t n)
{
    return (n < 1 || p[0] == 0) && (n < 2 || p[1] == IPFIX_VERSION)
           && (n < 4 || be16_at(p + 2) >= HEADER_SIZE);
}

bool
ipfix_stream_partial(const struct ipfix_stream *s)
{
    return s->n_held != 0;
}

void
ipfix_stream_clear(struct ipfix_stream *s)
{
    free(s->held);
    *s = (struct ipfix_stream) { .held = NULL };
}

/* Room for the first 'need' bytes of a message of 'size': a sender pays for
 * memory with bytes, not with the length that it announces. */
static bool
make_room(struct ipfix_stream *s, size_t need, size_t size)
{
    if (need <= s->room) {
        return true;
    }
    size_t room = need > 2 * s->room ? need : 2 * s->room;
    room = room < size ? room : size;
    uint8_t *p = realloc(s->held, room);
    if (!p) {
        return false;
    }
    s->held = p;
    s->room = room;
    return true;
}

static size_t
hold(struct ipfix_stream *s, const uint8_t *p, size_t n, size_t upto)
{
    size_t take = upto - s->n_held < n ? upto - s->n_held : n;
    memcpy(s->held + s->n_held, p, take);
    s->n_held += take;
    return take;
}

/* Goes on with the message that has begun.  Returns how many bytes it took, or
 * a negative errno. */
static long
complete(struct ipfix_stream *s, const uint8_t *p, size_t n,
         ipfix_message_fn *each, void *aux)
{
    size_t used = 0;
    if (!make_room(s, LENGTH_SIZE, LENGTH_SIZE)) {
        return -ENOMEM;
    }
    if (s->n_held < LENGTH_SIZE) {
        used = hold(s, p, n, LENGTH_SIZE);
    }
    if (!ipfix_stream_looks(s->held, s->n_held)) {
        return -EBADMSG;
    }
    if (s->n_held < LENGTH_SIZE) {
        return (long) used;
    }
    size_t size = be16_at(s->held + 2);
    size_t upto = s->n_held + (n - used);
    upto = upto < size ? upto : size;
    if (!make_room(s, upto, size)) {
        return -ENOMEM;
    }
    used += hold(s, p + used, n - used, upto);
    if (s->n_held == size) {
        each(aux, s->held, size);
        ipfix_stream_clear(s);
    }
    return (long) used;
}

int
ipfix_stream_feed(struct ipfix_stream *s, const uint8_t *p, size_t n,
                  ipfix_message_fn *each, void *aux)
{
    while (n) {
        size_t used;
        if (!s->n_held && n >= LENGTH_SIZE && ipfix_stream_looks(p, n)
            && be16_at(p + 2) <= n) {
            used = be16_at(p + 2);      /* Whole: no copy. */
            each(aux, p, used);
        } else {
            long took = complete(s, p, n, each, aux);
            if (took < 0) {
                return (int) took;
            }
            used = (size_t) took;
        }
        p += used;
        n -= used;
    }
    return 0;
}
