/* api/json.h -- JSON text (RFC 8259), strictly.
 *
 * json-c's own parser takes more than JSON and keeps less than it (integers
 * beyond 64 bits are clipped, the same member twice goes unseen).  So texts
 * are scanned here, byte by byte as they come, and the tree is built only from
 * what is known to be JSON of a bounded size. */
#ifndef API_JSON_H
#define API_JSON_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_object;

/* Bounds on one text.  A container costs far more memory than text. */
struct json_limits {
    size_t size;                /* Bytes of the text. */
    uint32_t values;            /* Values of any kind. */
    uint32_t containers;        /* Objects and arrays. */
    uint8_t depth;              /* At most 64. */
};
extern const struct json_limits json_default_limits;

enum json_verdict {
    JSON_MORE,                  /* The value goes on. */
    JSON_DONE,                  /* It is complete. */
    JSON_BAD,                   /* Not JSON; see 'reason'. */
    JSON_LIMIT,                 /* Beyond a limit; see 'reason'. */
};

/* An incremental scanner for one value.  No text is kept. */
struct json_scan {
    const struct json_limits *limits;
    const char *reason;         /* What is wrong, and what was expected. */
    uint64_t stack;             /* Bit set: an object.  Innermost lowest. */
    size_t size;                /* Bytes seen since the value began. */
    uint32_t n_values, n_containers;
    uint32_t line, column;      /* Of the byte last looked at, from 1. */
    uint8_t depth;
    uint8_t state;
    uint8_t utf8_left, utf8_min, utf8_max;      /* Continuation bytes. */
    uint8_t hex_left;           /* Digits of \uXXXX to come. */
    uint16_t hex;
    bool high_surrogate;        /* A low one must follow. */
    bool in_key;
    const char *literal;        /* What remains of true, false, null. */
};

void json_scan_init(struct json_scan *, const struct json_limits *);

/* Looks at up to 'n' bytes, stores how many belong to the value or stand
 * before it in '*used' (of a number at top level, not the byte that ends it).
 * After any verdict but JSON_MORE, call json_scan_init() again. */
enum json_verdict json_scan_feed(struct json_scan *, const char *, size_t n,
                                 size_t *used);

/* The end of input: JSON_DONE if a number at top level was complete. */
enum json_verdict json_scan_end(struct json_scan *);

/* True if nothing but white space was seen. */
bool json_scan_empty(const struct json_scan *);

/* What is wrong with a text. */
struct json_error {
    bool limit;                 /* Too big rather than wrong. */
    uint32_t line, column;      /* From 1. */
    char message[160];
};

#define JSON_UNIQUE 0x01        /* Refuse the same member twice. */
#define JSON_SCANNED 0x02       /* json_scan_feed() found it complete. */

/* Parses one text of 'n' bytes.  Returns 0 and the tree (NULL is JSON's null),
 * which the caller owns, or -EINVAL, -E2BIG or -ENOMEM with '*error' (which
 * may be NULL).  Numbers that no integer of 64 bits can hold keep their
 * text. */
int json_parse(const char *, size_t n, const struct json_limits *,
               unsigned flags, struct json_object **, struct json_error *);

/* A member of an object, borrowed; NULL if it is null or not there, or there is
 * no object.  And its value as text. */
struct json_object *json_member(struct json_object *, const char *name);
const char *json_text(struct json_object *, const char *name);

#endif /* api/json.h */
