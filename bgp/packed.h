/* bgp/packed.h -- files as collectors of routes keep them: plain, gzip or
 * bzip2, also several of these one after the other. */
#ifndef BGP_PACKED_H
#define BGP_PACKED_H 1

#include <stddef.h>
#include <stdint.h>

struct packed;                  /* Opaque. */

/* Takes over 'fd', also on failure.  NULL if out of memory. */
struct packed *packed_open(int fd);
void packed_close(struct packed *);             /* NULL is fine. */

/* Reads up to 'n' octets; less only at the end, or where it is damaged. */
size_t packed_read(struct packed *, void *, size_t n);
/* What is wrong with the file, in words; NULL: nothing. */
const char *packed_error(const struct packed *);
/* Octets of the file that were used up. */
uint64_t packed_used(const struct packed *);

#endif /* bgp/packed.h */
