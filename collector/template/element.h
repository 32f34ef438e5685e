/* collector/template/element.h -- which information element fills which
 * column.
 *
 * The column table names the elements that mean the same as a column; this
 * adds those that need a conversion, those that stand in when the better one
 * is missing, and those of enterprises. */
#ifndef COLLECTOR_ELEMENT_H
#define COLLECTOR_ELEMENT_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/column.h"

#define PEN_REVERSE 29305       /* RFC 5103. */
#define PEN_OVS 6876            /* VMware's, used by Open vSwitch. */

/* How bytes become a value. */
enum element_conv {
    CONV_NONE,                  /* Not wanted. */
    CONV_UINT,                  /* Into an integer column. */
    CONV_V4, CONV_V6,           /* Into an ADDR column. */
    CONV_ADDR,                  /* One of the two, by its size. */
    CONV_MAC,
    CONV_NAME,
    CONV_DIRECTION,
    CONV_TYPE_CODE,             /* type << 8 | code: two ICMP columns. */
    CONV_DSCP,                  /* Into tos. */
    CONV_SECONDS, CONV_MS, CONV_NTP,    /* Times since 1970, 1900. */
    CONV_DELTA_US,              /* Microseconds before the export time. */
    CONV_UPTIME,                /* Milliseconds of sysUptime. */
    CONV_SAMPLER,               /* Look the rate up. */
    CONV_HEX,                   /* Into a NAME column, as hex. */
    CONV_COMMUNITY,             /* A BGP community (RFC 8549), into text, */
    CONV_COMMUNITIES,           /* or a basicList of them. */
    CONV_MPLS,                  /* A label stack entry; see COL_mpls_labels. */
    CONV_FRAGMENT,              /* Offset; sets the column fragment, too. */
    CONV_FRAGMENT_FLAGS,
    CONV_BOOL,                  /* Not zero. */
    CONV_FRAME, CONV_IP_PACKET, /* Packet headers (RFC 5477 section 8.5). */

    /* Kept until the record is complete. */
    CONV_BOOT_MS,               /* systemInitTimeMilliseconds. */
    CONV_DURATION_MS, CONV_DURATION_US,
    CONV_HEADER_SIZE,           /* ethernetHeaderLength. */

    /* Says that there is another direction; read through its twin. */
    CONV_REVERSE,
    N_CONVS
};

struct element {
    uint32_t pen;
    uint16_t id;
    uint8_t conv;               /* enum element_conv. */
    uint8_t rank;               /* Of those for one column the lowest wins. */
    uint16_t column;            /* enum column_id, or N_COLUMNS. */
    uint16_t reverse;           /* Its twin in the other direction, 0: none. */
};

/* NULL if the element is not wanted. */
const struct element *element_find(uint32_t pen, uint16_t id);

/* An element that is to fill a column because the administrator says so,
 * whatever the tables say. */
struct element_mapping {
    uint32_t pen;
    uint16_t id;
    uint16_t column;            /* element_can_fill() it. */
};

#define ELEMENT_MAPPINGS 1024

/* Whether any element can fill a column: it may be absent, and is a number, an
 * address, a MAC address or a name. */
bool element_can_fill(uint16_t column);

/* Templates that are learned from now on are read so; the first 'n', at most
 * ELEMENT_MAPPINGS, are copied.  For the start of a process. */
void element_map(const struct element_mapping *, size_t n);

/* The element that says the same about the other direction (source and
 * destination exchanged); the element itself if it has no twin. */
uint16_t element_twin(uint16_t id);

/* True if a biflow has one value of it for both directions. */
bool element_is_shared(uint16_t id);

#endif /* collector/template/element.h */
