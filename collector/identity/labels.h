/* collector/identity/labels.h -- labels as the text that they are kept as:
 * "key=value,key=value", with a backslash before commas, equals signs and
 * backslashes in them. */
#ifndef COLLECTOR_IDENTITY_LABELS_H
#define COLLECTOR_IDENTITY_LABELS_H 1

#include <stdbool.h>
#include <stddef.h>

/* A label where it stands; 'key_len' of 'len' bytes are its key. */
struct label {
    const char *text;
    size_t key_len, len;
};

/* The first label of '*text', which is moved on behind it; false: none. */
bool labels_next(const char **text, struct label *);
/* Whether 'text' has a label of that key. */
bool labels_have(const char *text, const struct label *);

/* The labels of 'better', and those of 'worse' whose keys it has not, sorted, into
 * 'out' of 'size' bytes; those that do not fit are left out, 'worse' first. */
void labels_merge(char *out, size_t size, const char *better,
                  const char *worse);

#endif /* collector/identity/labels.h */
