/* collector/import/lzo.h -- reading LZO1X, as old flow files have it.
 *
 * Our own, written from the description of the format: the library is under a
 * licence that would become ours. */
#ifndef COLLECTOR_LZO_H
#define COLLECTOR_LZO_H 1

#include <stddef.h>
#include <stdint.h>

/* Decompresses one LZO1X stream of 'n' bytes into 'out', which has room for
 * 'room'.  Returns 0 and the number of bytes made, or -EBADMSG: the stream is
 * damaged, goes on after its end, or makes more than fits. */
int lzo_decompress(const uint8_t *in, size_t n, uint8_t *out, size_t room,
                   size_t *made);

#endif /* collector/import/lzo.h */
