/* api/libvirt.h -- asks a libvirt daemon on this host who runs there.
 *
 * Speaks libvirt's own protocol (RFC 4506's encoding behind a header, program
 * 0x20008086, version 1, which libvirt promises to keep) over the socket that
 * is for reading only, so neither its library nor rights are needed.
 *
 * Calls wait; they are for a thread of their own. */
#ifndef API_LIBVIRT_H
#define API_LIBVIRT_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LIBVIRT_ERROR_SIZE 256

struct libvirt;

/* Connects to 'socket' and opens 'uri' ("qemu:///system"; NULL or "": the one
 * that the daemon chooses).  'stopped(aux)' is asked once in a while whether to
 * give up.  Returns 0 or a negative errno, with the reason in 'error'. */
int libvirt_open(const char *socket, const char *uri,
                 bool (*stopped)(void *aux), void *aux, struct libvirt **,
                 char error[LIBVIRT_ERROR_SIZE]);
/* The same over a socket that is connected; takes it, also on failure. */
int libvirt_attach(int fd, const char *uri, bool (*stopped)(void *aux),
                   void *aux, struct libvirt **,
                   char error[LIBVIRT_ERROR_SIZE]);
void libvirt_close(struct libvirt *);           /* NULL is fine. */

/* All machines that run, at most 'max' octets for free(): an element "machines"
 * with for each a "machine", which has what libvirt calls "domain", and an
 * "address" with "mac" and "address" for each that the daemon knows from leases
 * or neighbours.  Returns 0 or a negative errno; after that, close it. */
int libvirt_fetch(struct libvirt *, size_t max, char **text, size_t *n,
                  char error[LIBVIRT_ERROR_SIZE]);

/* Waits until something has happened to machines since the last call of
 * libvirt_fetch() began, or for 'us' microseconds.  Negative if the connection
 * is no more; close it. */
int libvirt_await(struct libvirt *, int64_t us);

#endif /* api/libvirt.h */
