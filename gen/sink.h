/* gen/sink.h -- where datagrams go: UDP sockets, one per exporter, or a file
 * in pcap format.
 *
 * Exporters are told apart by their source address (127.1.0.1 and up) when the
 * target is an IPv4 loopback address, else by their source port. */
#ifndef GEN_SINK_H
#define GEN_SINK_H 1

#include <stddef.h>
#include <stdint.h>

#include "gen/gen.h"

#define SINK_BURST 64           /* Datagrams of one system call. */

struct sink;

/* Resolves the target and opens the sockets or the file of 'g', whose
 * exporters it gives their addresses, and their streams other domains if they
 * share an address.  Call gen_prepare() after it.  On failure returns NULL and
 * a message to free() in '*error' (NULL if out of memory). */
struct sink *sink_open(struct gen *g, char **error);

/* Returns 0, or a negative errno if not all could be written to the file. */
int sink_close(struct sink *);

/* The buffer of datagram 'i' of the burst, GEN_MAX_PAYLOAD bytes. */
uint8_t *sink_buffer(struct sink *, unsigned i);

/* Sends the first 'n' buffers with 'sizes' from an exporter.  Returns 0 or a
 * negative errno. */
int sink_send(struct sink *, uint32_t exporter, const size_t *sizes,
              unsigned n, int64_t now_us);

/* Datagrams that had to be sent again because nobody listened. */
uint64_t sink_refused(const struct sink *);

/* "127.0.0.1:2055", or the name of the file. */
const char *sink_target(const struct sink *);

/* Source address and port of an exporter. */
void sink_source(const struct sink *, uint32_t exporter, struct addr *,
                 uint16_t *port);

#endif /* gen/sink.h */
