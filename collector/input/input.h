/* collector/input/input.h -- sockets and workers: datagrams from the network
 * to batches at the writer.
 *
 * Each worker is a thread with its own libev loop and its own socket per
 * listening address (SO_REUSEPORT); it decodes, runs the stages and hands full
 * or old batches to the sink. */
#ifndef COLLECTOR_INPUT_H
#define COLLECTOR_INPUT_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/decode/decoder.h"
#include "lib/batch.h"

struct input;

struct input_listen {
    const char *address;        /* "127.0.0.1:2055", "[::1]:4739". */
    const char *name;           /* "netflow", "ipfix", "sflow". */
};

struct input_config {
    const struct input_listen *listen;
    size_t n_listen;
    unsigned workers;           /* 0: one per core. */
    uint32_t receive_buffer;    /* SO_RCVBUF, bytes. */
    struct dict *dict;
    struct source_table *sources;
    struct template_cache *templates;
    struct decoder_counters *counters;
    const struct stage *stages; /* Run in order on each batch. */
    size_t n_stages;

    /* Batches come from here and go there (the store). */
    struct flow_batch *(*get)(void *aux);       /* NULL: none free. */
    bool (*submit)(void *aux, struct flow_batch *);
    void *aux;
};

/* What one listening address has seen. */
struct input_status {
    char address[64];
    const char *name;
    uint64_t datagrams, octets;
    uint64_t kernel_drops;      /* SO_RXQ_OVFL. */
    uint32_t receive_buffer;    /* What the kernel granted. */
};

/* Binds every socket; nothing is received yet.  NULL and a message to free()
 * on failure. */
struct input *input_open(const struct input_config *, char **error);
/* Starts the workers. */
int input_start(struct input *);
/* Reads what the sockets still hold, hands over every batch, joins. */
void input_stop(struct input *);
void input_destroy(struct input *);

/* Fills up to 'max' rows, returns how many there are. */
size_t input_status(struct input *, struct input_status *, size_t max);
unsigned input_n_workers(const struct input *);

#endif /* collector/input/input.h */
