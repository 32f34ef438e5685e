/* lib/text.h -- a short text that is put together piece by piece, and what else
 * texts want.
 *
 * The short text grows as far as there is room; a piece that does not fit is left out as a
 * whole, with all that would follow, and an ellipsis at the end tells. */
#ifndef LIB_TEXT_H
#define LIB_TEXT_H 1

#include <stdbool.h>
#include <stddef.h>

#define TEXT_SIZE 1024

struct text {
    char s[TEXT_SIZE];
    size_t n;
    bool cut;
};

__attribute__((format(printf, 2, 3)))
void text_add(struct text *, const char *format, ...);

/* Puts the ellipsis, if one is needed, and a NUL, which 'n' does not count. */
const char *text_finish(struct text *);

/* True if both are NULL or have the same text. */
bool text_equal(const char *, const char *);

#endif /* lib/text.h */
