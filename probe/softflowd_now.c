/* probe/softflowd_now.c -- loaded into softflowd (LD_PRELOAD) so that it sees
 * packets when they come.
 *
 * softflowd 1.0 and 1.1 open the interface with a read timeout of 0, which for
 * libpcap on Linux means: only when a block of the ring, a quarter of a
 * megabyte, is full.  On a quiet bridge that takes hours.  A timeout of a
 * quarter of a second is what it should have asked for. */
#include <config.h>

#include <dlfcn.h>
#include <stddef.h>

#define TIMEOUT_MS 250

struct pcap;
int pcap_set_timeout(struct pcap *, int);

int
pcap_set_timeout(struct pcap *p, int ms)
{
    void *symbol = dlsym(RTLD_NEXT, "pcap_set_timeout");
    int (*real)(struct pcap *, int);

    if (!symbol) {
        return -1;              /* PCAP_ERROR. */
    }
    /* POSIX makes this cast right where ISO C does not. */
    *(void **) &real = symbol;
    return real(p, ms > 0 ? ms : TIMEOUT_MS);
}
