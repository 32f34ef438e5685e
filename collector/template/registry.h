/* collector/template/registry.h -- names and types of information elements,
 * of those too that no column takes. */
#ifndef COLLECTOR_REGISTRY_H
#define COLLECTOR_REGISTRY_H 1

#include <stddef.h>
#include <stdint.h>

#define PEN_CISCO 9
#define PEN_NOKIA 637
#define PEN_JUNIPER 2636
#define PEN_NTOP 35632

/* Abstract data types (RFC 7011 section 6.1, RFC 6313). */
#define REGISTRY_TYPES(X)                                                   \
    X(U8, "unsigned8") X(U16, "unsigned16") X(U32, "unsigned32")            \
    X(U64, "unsigned64") X(S8, "signed8") X(S16, "signed16")                \
    X(S32, "signed32") X(S64, "signed64") X(F64, "float64")                 \
    X(BOOL, "boolean") X(MAC, "macAddress") X(OCT, "octetArray")            \
    X(STR, "string") X(SEC, "dateTimeSeconds") X(MS, "dateTimeMilliseconds")\
    X(US, "dateTimeMicroseconds") X(NS, "dateTimeNanoseconds")              \
    X(V4, "ipv4Address") X(V6, "ipv6Address") X(LIST, "basicList")          \
    X(STL, "subTemplateList") X(STML, "subTemplateMultiList")

enum registry_type {
#define X(ID, NAME) REG_##ID,
    REGISTRY_TYPES(X)
#undef X
    N_REGISTRY_TYPES
};

struct registry_entry {
    uint32_t pen;
    uint16_t id;
    uint8_t type;               /* enum registry_type. */
    const char *name;
};

/* All of them, sorted by enterprise and id. */
extern const struct registry_entry registry[];
extern const size_t n_registry;

/* NULL if it is not known.  Reverse elements (RFC 5103) are found as the
 * element they reverse; see registry_name(). */
const struct registry_entry *registry_find(uint32_t pen, uint16_t id);

/* Writes the name of an element, or "enterprise/id", into 'buf' and returns
 * 'buf'. */
#define REGISTRY_NAMELEN 80
char *registry_name(uint32_t pen, uint16_t id, char buf[REGISTRY_NAMELEN]);

const char *registry_type_name(enum registry_type);

/* The name of an enterprise, or NULL. */
const char *registry_enterprise(uint32_t pen);

#endif /* collector/template/registry.h */
