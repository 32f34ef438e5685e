/* collector/decode/stream.h -- IPFIX messages out of a stream of bytes.
 *
 * RFC 7011 section 10.4: over TCP, messages follow one another, each with its
 * length in its header.  What is kept is at most one message. */
#ifndef COLLECTOR_STREAM_H
#define COLLECTOR_STREAM_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ipfix_stream {
    uint8_t *held;              /* The begin of a message, or NULL. */
    size_t n_held, room;
};

/* The message is lent. */
typedef void ipfix_message_fn(void *aux, const uint8_t *, size_t);

/* True if 'n' bytes at the begin of a stream can be IPFIX. */
bool ipfix_stream_looks(const uint8_t *, size_t n);

/* Takes the next bytes, calls 'each' for every message that they complete.
 * Returns 0, -EBADMSG if they cannot be IPFIX (then the stream is over: nobody
 * knows where the next message begins), or -ENOMEM. */
int ipfix_stream_feed(struct ipfix_stream *, const uint8_t *, size_t n,
                      ipfix_message_fn *each, void *aux);

/* True inside a message. */
bool ipfix_stream_partial(const struct ipfix_stream *);
void ipfix_stream_clear(struct ipfix_stream *);

#endif /* collector/decode/stream.h */
