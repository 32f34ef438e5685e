/* lib/dict.h -- names as small integers.
 *
 * A text gets an id when it is seen, and keeps it as long as anybody needs it;
 * id 0 is the empty text.  Looking up an id that exists takes no lock.  The
 * number of texts and the bytes they take are bounded: when the dictionary is
 * full, the answer is the id of DICT_OVERFLOW, and that is counted.
 *
 * Three ways to keep a name:
 *   - dict_intern(): until the process ends.  For names that a person gave.
 *   - dict_hold(): until dict_release().  For names in tables that are bounded
 *     themselves.
 *   - dict_passing(): while it is used again and again.  For names that come
 *     with data: whoever sends new ones all the time cannot fill the dictionary
 *     for good, nor take the last eighth of it, which is for the other kinds.
 *
 * Nothing is forgotten while three quarters of the room for passing names are
 * free.  Beyond that dict_age() begins a generation now and then; a name that
 * was not asked for during a whole one goes, and its id is given out again one
 * generation later.  So an id that somebody got from dict_passing() is good for
 * DICT_GOOD_MS at least, which is plenty for a batch of flows on its way to the
 * store; who keeps one longer, asks again when dict_generation() has changed,
 * or holds it. */
#ifndef LIB_DICT_H
#define LIB_DICT_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DICT_OVERFLOW "(dictionary full)"
#define DICT_GOOD_MS 30000

struct dict;

struct dict *dict_create(uint32_t max_entries, size_t max_bytes);
void dict_destroy(struct dict *);

/* The id of the 'len' bytes at 'text', which need not end in NUL; invalid
 * UTF-8 is kept as it is.  Thread-safe. */
uint32_t dict_intern(struct dict *, const char *text, size_t len);
uint32_t dict_passing(struct dict *, const char *text, size_t len);

/* What one thread asked for last, for names that come with every record.  All
 * zero at first. */
#define DICT_RECENT_SLOTS 64
#define DICT_RECENT_LEN 16      /* Longer texts are not remembered. */
struct dict_recent {
    uint32_t generation;        /* Of all slots. */
    struct dict_recent_slot {
        uint64_t first, last;   /* Bytes of the text, which overlap. */
        uint32_t len, id;       /* 'len' 0: free. */
    } slots[DICT_RECENT_SLOTS];
};

/* As dict_passing(), always with the same dictionary. */
uint32_t dict_passing_recent(struct dict *, struct dict_recent *,
                             const char *text, size_t len);

/* Keeps a name that the caller has just got.  Each dict_hold() wants one
 * dict_release().  Thread-safe. */
void dict_hold(struct dict *, uint32_t id);
void dict_release(struct dict *, uint32_t id);

/* The text of 'id', NUL-terminated, valid as long as the id is.  "" for an id
 * that is not given out.  Thread-safe, takes no lock. */
const char *dict_text(const struct dict *, uint32_t id);

/* Never 0; changes only when names begin to be forgotten.  Thread-safe. */
uint32_t dict_generation(const struct dict *);

/* To be called every few seconds by one thread: forgets if it is time to, at
 * most 'budget' names looked at.  Returns true if there is more to do at
 * once. */
bool dict_age(struct dict *, int64_t now_ms, uint32_t budget);

/* What a text's place follows from: another number in each dictionary, so that
 * nobody can look for texts that end in one chain. */
uint64_t dict_hash(const struct dict *, const char *text, size_t len);

uint32_t dict_count(const struct dict *);       /* Texts that are there. */
uint64_t dict_refused(const struct dict *);     /* Texts that did not fit. */
uint64_t dict_forgotten(const struct dict *);   /* Texts that went. */

#endif /* lib/dict.h */
