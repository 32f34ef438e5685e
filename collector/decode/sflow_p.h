/* collector/decode/sflow_p.h -- a flow sample and its records.  Inside only. */
#ifndef COLLECTOR_SFLOW_P_H
#define COLLECTOR_SFLOW_P_H 1

#include "collector/decode/decoder_p.h"

/* A sampled packet on its way into a row. */
struct sflow_sample {
    struct decoder *dec;
    struct flow_batch *b;
    uint32_t row;
    bool has_header;            /* A header has filled the row. */
    bool has_ip;                /* It had an IP packet in it. */
    bool has_length;            /* b->bytes is set. */
    bool has_tunnel;
};

/* Reads one record of a sample into its row.  False if it does not fit. */
bool sflow_record(struct sflow_sample *, struct cursor *);

/* A string, padded to four bytes, of which at most 1,024 count; NULL if there is
 * none. */
const char *sflow_string(struct cursor *, size_t *size);

/* Reads an address with its type before it.  False if there is none. */
bool sflow_address(struct cursor *, struct addr *);

#endif /* collector/decode/sflow_p.h */
