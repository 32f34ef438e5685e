/* api/cli/decode_bgp.h -- venturictl decode: what BGP, BMP and MRT say, one
 * line of JSON for each message or record, or all counted. */
#ifndef CLI_DECODE_BGP_H
#define CLI_DECODE_BGP_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct capture_tap;
struct json_object;
struct routes_show;             /* Opaque. */

/* NULL if out of memory.  Without 'out' only counts are kept. */
struct routes_show *routes_show_create(FILE *out);
void routes_show_destroy(struct routes_show *); /* NULL is fine. */

/* For streams of captures. */
const struct capture_tap *routes_show_tap(struct routes_show *);

/* Whether a file that begins so is one of messages or of MRT records. */
bool routes_show_looks(const uint8_t *, size_t n);

/* Such a file, piece by piece; at the end NULL.  Returns what is wrong with its
 * end, or NULL. */
const char *routes_show_file(struct routes_show *, const uint8_t *, size_t);

/* Adds members "bgp", "bmp" and "mrt" of what there was; to 'errors' what went
 * wrong. */
void routes_show_summary(struct routes_show *, struct json_object *,
                         struct json_object *errors);

#endif /* api/cli/decode_bgp.h */
