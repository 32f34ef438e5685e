/* api/cli/decode.h -- venturictl decode: what captures and datagrams say,
 * without a daemon. */
#ifndef CLI_DECODE_H
#define CLI_DECODE_H 1

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "api/cli/command.h"

struct dict;
struct interface_counters;
struct source;
struct template;

extern const struct cli_option cli_decode_options[];
int cli_decode(struct cli *);

/* decode_show.c: what is no flow record, as one line of JSON. */
void decode_put_options(FILE *, const struct dict *, const struct source *,
                        const struct template *, const uint8_t *record,
                        int64_t received_us);
void decode_put_counters(FILE *, const struct dict *, const struct source *,
                         const struct interface_counters *,
                         const uint32_t *formats, size_t n);

#endif /* api/cli/decode.h */
