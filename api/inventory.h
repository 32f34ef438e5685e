/* api/inventory.h -- lists of networks, hosts and containers that others keep,
 * as endpoints: CSV, JSON, what a container engine answers, and libvirt's
 * machines.
 *
 * All of it works on text that somebody has fetched; daemon/inventory.c does
 * that. */
#ifndef API_INVENTORY_H
#define API_INVENTORY_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dict;
struct identity_buffer;
struct json_object;

enum inventory_format {
    INVENTORY_AUTO,             /* JSON if it begins like it, else CSV. */
    INVENTORY_CSV,              /* RFC 4180, with a line of names first; commas,
                                 * semicolons or tabs between fields. */
    INVENTORY_JSON,             /* An array of endpoints, or an object with
                                 * prefixes or addresses as names. */
    INVENTORY_CONTAINERS,       /* Docker's and Podman's /containers/json. */
    INVENTORY_LIBVIRT,          /* What libvirt_fetch() makes of machines. */
};

#define INVENTORY_MAX_SIZE ((size_t) 64 << 20)  /* Octets of text. */
#define INVENTORY_MAX_ENTRIES 1000000
#define INVENTORY_ERROR_SIZE 256

/* What came of a text. */
struct inventory_result {
    size_t accepted, refused;
    uint64_t hash;              /* Of what it says, whatever its order of
                                 * members and white space. */
    char error[INVENTORY_ERROR_SIZE];   /* The first one: where, and what. */
};

/* The endpoints of 'text' as an array of objects that endpoint_read() takes,
 * each with a member "where" ("line 7") for complaints.  What is said of
 * containers and machines is made endpoints at 'host', which may be NULL.
 * NULL, with 'result->error', if it is not of that format at all. */
struct json_object *inventory_parse(enum inventory_format, const char *text,
                                    size_t size, const char *host,
                                    struct inventory_result *);

/* What an inventory is called, and when it was told. */
struct inventory_telling {
    const char *source;
    const char *tenant, *network;       /* Of entries that do not say; NULL. */
    uint64_t generation;
    int64_t now_us;
};

/* Appends records of what inventory_parse() made, and, if none of it was
 * refused, one that ends what is not mentioned: a mistake in one line must not
 * end others.  Returns 0, -ENOMEM, or -EEXIST if 'known' is the hash of what
 * was told last: nothing was appended then. */
int inventory_tell(struct json_object *list, const struct inventory_telling *,
                   uint64_t known, struct dict *, struct identity_buffer *,
                   struct inventory_result *);

#endif /* api/inventory.h */
