/* lib/addr.h -- addresses, prefixes, MAC addresses and sockets in words.
 *
 * Every address is 16 bytes in network order; an IPv4 address is kept as its
 * IPv4-mapped IPv6 address (RFC 4291 section 2.5.5.2), so that one column and
 * one comparison serve both families. */
#ifndef LIB_ADDR_H
#define LIB_ADDR_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct sockaddr;

struct addr {
    uint8_t b[16];
};

/* A prefix; 'len' counts bits of the 128, so 10.0.0.0/8 has 'len' 104. */
struct prefix {
    struct addr addr;
    uint8_t len;
};

#define ADDR_STRLEN 46          /* Longest text of an address, with the NUL. */
#define PREFIX_STRLEN (ADDR_STRLEN + 4)
#define MAC_STRLEN 18
/* "[address]:port" of the longest address, with the NUL. */
#define ENDPOINT_STRLEN (ADDR_STRLEN + 8)

static inline struct addr
addr_from_v4_bytes(const uint8_t *p)
{
    struct addr a = { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff,
                        p[0], p[1], p[2], p[3] } };
    return a;
}

static inline struct addr
addr_from_v6_bytes(const uint8_t *p)
{
    struct addr a;
    memcpy(a.b, p, sizeof a.b);
    return a;
}

static inline bool
addr_is_v4(const struct addr *a)
{
    static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                        0xff, 0xff };
    return !memcmp(a->b, mapped, sizeof mapped);
}

/* 224.0.0.0/4 or ff00::/8. */
static inline bool
addr_is_multicast(const struct addr *a)
{
    return addr_is_v4(a) ? a->b[12] >> 4 == 0xe : a->b[0] == 0xff;
}

static inline bool
addr_is_zero(const struct addr *a)
{
    static const uint8_t zero[16];
    return !memcmp(a->b, zero, sizeof zero);
}

static inline bool
addr_equal(const struct addr *a, const struct addr *b)
{
    return !memcmp(a->b, b->b, sizeof a->b);
}

/* A 64-bit hash, not keyed. */
uint64_t addr_hash(const struct addr *);

/* Writes the usual text ("192.0.2.1", RFC 5952 for IPv6) into 'buf', which
 * has room for ADDR_STRLEN, and returns 'buf'. */
char *addr_format(const struct addr *, char *buf);

/* Parses IPv4 or IPv6 text.  Returns 0 or -EINVAL. */
int addr_parse(const char *, struct addr *);

/* Parses "10.0.0.0/8", "2001:db8::/32" or a plain address (a host prefix), and
 * clears the bits beyond the length.  nfdump's short forms "10/8" and
 * "10.1/16" are taken as well.  Returns 0 or -EINVAL. */
int prefix_parse(const char *, struct prefix *);
char *prefix_format(const struct prefix *, char *buf);  /* PREFIX_STRLEN. */
bool prefix_contains(const struct prefix *, const struct addr *);

/* The first and the last address of a prefix. */
void prefix_range(const struct prefix *, struct addr *first,
                  struct addr *last);

/* The low 48 bits of 'mac' as "aa:bb:cc:dd:ee:ff", into MAC_STRLEN. */
char *mac_format(uint64_t mac, char *buf);
int mac_parse(const char *, uint64_t *mac);

/* The address and port of an AF_INET or AF_INET6 socket address; false and
 * zeros for any other family. */
bool addr_from_sockaddr(const struct sockaddr *, struct addr *,
                        uint16_t *port);

/* Parses "192.0.2.1:2055", "[2001:db8::1]:4739" or, with a nonzero
 * 'default_port', the address alone.  Returns 0 or -EINVAL. */
int endpoint_parse(const char *, uint16_t default_port, struct addr *,
                   uint16_t *port);
char *endpoint_format(const struct addr *, uint16_t port, char *buf);

#endif /* lib/addr.h */
