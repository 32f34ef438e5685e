/* collector/template/explained.h -- what exporters say of information elements
 * (RFC 5610): names and types of those of enterprises, which no registry here
 * has.  Others mean what the registry says, whatever an exporter says. */
#ifndef COLLECTOR_EXPLAINED_H
#define COLLECTOR_EXPLAINED_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/template/registry.h"

struct dict;
struct source;

/* What one element is, as far as it is known. */
struct explained {
    enum registry_type type;    /* REG_OCT if nobody says. */
    bool by_exporter;           /* It says so, not the registry. */
    char name[REGISTRY_NAMELEN];        /* "enterprise/id" if nobody says. */
};

/* Keeps what one options record of the source says: 'type' is a number of
 * IANA's registry of data types, the 'size' octets at 'name' are the name, of
 * which what is no letter, digit or one of "._-:" becomes "_".  Ignored: an
 * element of IANA's or in the registry, an empty name.  Bounded with the other
 * names of the source (source_name_set()). */
void explained_set(struct source *, struct dict *, uint32_t pen, uint16_t id,
                   uint64_t type, const uint8_t *name, size_t size);

/* What an element is.  Without a source (NULL) what the registry says. */
void explained_get(const struct source *, const struct dict *, uint32_t pen,
                   uint16_t id, struct explained *);

#endif /* collector/template/explained.h */
