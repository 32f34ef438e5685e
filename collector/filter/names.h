/* collector/filter/names.h -- IP protocols and transport services by name.
 *
 * Tables of our own and not /etc/protocols and /etc/services: a filter must
 * mean the same on every machine.  IANA's names, and the ones that nfdump
 * knows beside them. */
#ifndef COLLECTOR_NAMES_H
#define COLLECTOR_NAMES_H 1

#include <stdint.h>

/* The name to show, or NULL; and the number of any name (case does not
 * matter): 0 or -EINVAL. */
const char *proto_name(uint8_t number);
int proto_number(const char *name, uint8_t *number);

const char *service_name(uint16_t port);
int service_port(const char *name, uint16_t *port);

/* The 'i'th name of each table, for completion; NULL at the end. */
const char *proto_at(unsigned i);
const char *service_at(unsigned i);

#endif /* collector/filter/names.h */
