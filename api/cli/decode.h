/* api/cli/decode.h -- "venturictl decode": captures, by our own decoders. */
#ifndef CLI_DECODE_H
#define CLI_DECODE_H 1

#include "api/cli/command.h"

extern const struct cli_option cli_decode_options[];

int cli_decode(struct cli *);

#endif /* api/cli/decode.h */
