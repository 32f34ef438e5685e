/* collector/input/input.h -- sockets and workers: datagrams from the network
 * to batches at the writer.
 *
 * Each worker is a thread with its own libev loop and its own socket per
 * listening address (SO_REUSEPORT; of a multicast group there is one only); it
 * decodes, runs the stages and hands full or old batches to the sink. */
#ifndef COLLECTOR_INPUT_H
#define COLLECTOR_INPUT_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/decode/decoder.h"
#include "collector/input/tcp.h"
#include "collector/input/tls.h"
#include "lib/batch.h"

struct input;

enum input_transport { INPUT_UDP, INPUT_TCP, INPUT_TLS };

struct input_listen {
    const char *address;        /* "127.0.0.1:2055", "[::1]:4739". */
    const char *name;           /* "netflow", "ipfix", "sflow". */
    enum input_transport transport;
};

/* Defaults of struct input_config. */
#define INPUT_MAX_SESSIONS 1024
#define INPUT_MAX_SESSIONS_OF_PEER 16
#define INPUT_IDLE_MS 3600000
#define INPUT_MESSAGE_MS 30000

struct input_config {
    const struct input_listen *listen;
    size_t n_listen;
    unsigned workers;           /* 0: one per core. */
    uint32_t receive_buffer;    /* SO_RCVBUF, bytes. */
    struct dict *dict;
    struct source_table *sources;
    struct template_cache *templates;
    struct decoder_counters *counters;
    bool keep_unknown;          /* See decoder.h. */
    const struct stage *stages; /* Run in order on each batch. */
    size_t n_stages;

    /* Who may send; nobody is listed: everyone. */
    const struct prefix *allow;
    size_t n_allow;
    const char *multicast_interface;    /* NULL: the kernel chooses. */
    const struct tls_config *tls;       /* For INPUT_TLS; else NULL. */
    size_t max_sessions;        /* TCP and TLS; 0: the default. */
    int64_t idle_ms, message_ms;        /* 0: the defaults. */

    /* Batches come from here and go there (the store). */
    struct flow_batch *(*get)(void *aux);       /* NULL: none free. */
    /* 'first': where there is little room, it is for these. */
    bool (*submit)(void *aux, struct flow_batch *, bool first);
    void *aux;
};

/* What one listening address has seen. */
struct input_status {
    char address[64];
    const char *name;
    enum input_transport transport;
    uint64_t datagrams, octets; /* Messages, over TCP. */
    uint64_t kernel_drops;      /* SO_RXQ_OVFL. */
    uint64_t not_allowed;       /* Datagrams, or TCP connections. */
    struct tcp_counters tcp;
    uint32_t receive_buffer;    /* What the kernel granted; UDP only. */
};

/* Binds every socket; nothing is received yet.  NULL and a message to free()
 * on failure. */
struct input *input_open(const struct input_config *, char **error);
/* Starts the workers. */
int input_start(struct input *);
/* Listens on these from now on: what is open already stays as it is, with its
 * sessions and what is on its way; what is not in the list is read to its end
 * and closed.  All or nothing: -EADDRINUSE with a message to free(); -ENOMEM;
 * -EBUSY if a new address wants the port of one that is to go, or TLS for the
 * first time: then another input has to be opened. */
int input_change(struct input *, const struct input_listen *, size_t n,
                 char **error);
/* Exporters that are known, by address: over UDP they have receive buffers and
 * batches of their own, and their turn first, so that others cannot crowd them
 * out (steer.h).  Replaces those of before; copied.  0 or -ENOMEM. */
int input_set_known(struct input *, const struct addr *, size_t n);

/* Reads what the sockets still hold, hands over every batch, joins. */
void input_stop(struct input *);
void input_destroy(struct input *);

/* Fills up to 'max' rows, returns how many there are. */
size_t input_status(struct input *, struct input_status *, size_t max);
unsigned input_n_workers(const struct input *);

#endif /* collector/input/input.h */
