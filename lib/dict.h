/* lib/dict.h -- names as small integers, for the life of the process.
 *
 * A text gets an id the first time it is seen and keeps it until the process
 * ends; id 0 is the empty text.  Looking up an id that exists takes no lock.
 * The number of texts and the bytes they take are bounded: when the dictionary
 * is full, dict_intern() answers the id of DICT_OVERFLOW and counts. */
#ifndef LIB_DICT_H
#define LIB_DICT_H 1

#include <stddef.h>
#include <stdint.h>

#define DICT_OVERFLOW "(dictionary full)"

struct dict;

struct dict *dict_create(uint32_t max_entries, size_t max_bytes);
void dict_destroy(struct dict *);

/* The id of the 'len' bytes at 'text', which need not end in NUL; invalid
 * UTF-8 is kept as it is.  Thread-safe. */
uint32_t dict_intern(struct dict *, const char *text, size_t len);

/* The text of 'id', NUL-terminated, valid until dict_destroy().  "" for an id
 * that was never given out.  Thread-safe, takes no lock. */
const char *dict_text(const struct dict *, uint32_t id);

uint32_t dict_count(const struct dict *);       /* Ids are below this. */
uint64_t dict_refused(const struct dict *);     /* Texts that did not fit. */

#endif /* lib/dict.h */
