/* collector/template/structured.h -- structured data (RFC 6313) as text.
 *
 * A list says how its values belong together, then the values:
 *
 *   allOf[interfaceName "eth0" "eth1"]
 *   ordered[257(sourceIPv4Address 10.0.0.1 octetDeltaCount 5)(...)]
 *
 * Lists in lists are followed to a small depth; what is deeper, or of a type
 * or template that is not known, is in hex. */
#ifndef COLLECTOR_STRUCTURED_H
#define COLLECTOR_STRUCTURED_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/template/registry.h"

struct dict;
struct source;
struct template_cache;
struct text;

#define STRUCTURED_DEPTH 4

/* Whether elements of that type are lists. */
static inline bool
structured_is(enum registry_type type)
{
    return type == REG_LIST || type == REG_STL || type == REG_STML;
}

/* Appends the list in the 'n' bytes at 'p'.  Sub-templates are looked up in
 * 'templates' (NULL: none is known), under template_read_lock().  False if it
 * is malformed: 'text' is then as before.  Names that the source gave to elements
 * are ids of 'dict' (both NULL: the registry's names only). */
bool structured_format(struct text *, enum registry_type type,
                       const uint8_t *p, size_t n,
                       const struct template_cache *,
                       const struct source *, const struct dict *);

/* Appends one value, which may be a list: by its type or, where the size is not
 * right for it, in hex. */
void structured_value(struct text *, enum registry_type type,
                      const uint8_t *p, size_t n,
                      const struct template_cache *,
                      const struct source *, const struct dict *);

/* Appends the BGP communities of a basicList (RFC 8549), or the one of a plain
 * element 483, in the way of column "communities".  False if it holds
 * something else. */
bool structured_communities(struct text *, const uint8_t *p,
                            size_t n);
void structured_community(struct text *, uint32_t);

#endif /* collector/template/structured.h */
