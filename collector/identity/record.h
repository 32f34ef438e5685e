/* collector/identity/record.h -- what is told of endpoints, as bytes.
 *
 * A record is: length of what follows the checksum (u32), CRC-32 of it (u32), an
 * operation (u8) and its fields.  Integers are big endian, texts are a u16
 * length and the octets.  Snapshots and the log of the journal are made of
 * records; the log is replayed by applying them again. */
#ifndef COLLECTOR_IDENTITY_RECORD_H
#define COLLECTOR_IDENTITY_RECORD_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "collector/identity/identity.h"
#include "lib/cursor.h"

struct dict;

enum identity_op {
    IDENTITY_UPSERT = 1,
    IDENTITY_DELETE = 2,        /* source, id, from_us: when. */
    IDENTITY_SYNC = 3,          /* source, generation, from_us: when. */
    IDENTITY_GAP = 4,           /* source ("": all), from_us, to_us: nothing
                                 * is known of changes between. */
};

/* One operation; which members count is said above.  Texts and keys are
 * borrowed: of identity_record_read(), from its scratch memory. */
struct identity_record {
    enum identity_op op;
    int64_t told_us;            /* When it was told: "now" of a replay. */
    struct identity_endpoint e;
};

/* Bytes that grow. */
struct identity_buffer {
    uint8_t *data;
    size_t n, size;
    bool failed;                /* Out of memory: what was put is not whole. */
};

void identity_buffer_free(struct identity_buffer *);

/* Appends a record.  'dict' tells the names of ports. */
void identity_record_put(struct identity_buffer *, struct dict *,
                         const struct identity_record *);

#define IDENTITY_RECORD_MAX (1 << 20)   /* Octets. */

struct identity_scratch {
    char *text;                 /* IDENTITY_RECORD_MAX octets. */
    struct identity_key keys[IDENTITY_MAX_KEYS];
};

enum identity_read {
    IDENTITY_READ_OK,
    IDENTITY_READ_END,          /* Nothing is left, or a torn record. */
    IDENTITY_READ_BAD,          /* A record that is damaged; it was skipped. */
};

/* Takes one record off 'c'.  Never fails in another way, whatever the bytes. */
enum identity_read identity_record_read(struct cursor *, struct dict *,
                                        struct identity_scratch *,
                                        struct identity_record *);

/* Fields, for other files of the journal. */
void identity_put_text(struct identity_buffer *, const char *);
void identity_put_bytes(struct identity_buffer *, const void *, size_t);
void identity_put_uint(struct identity_buffer *, uint64_t, unsigned int size);
/* A text, copied to '*at', which is moved on; NULL if it does not fit. */
const char *identity_take_text(struct cursor *, char **at, const char *end);

/* Applies an operation.  As identity_upsert(); -ENOENT for the deletion of what
 * is not there. */
int identity_apply(struct identity *, const struct identity_record *);

#endif /* collector/identity/record.h */
