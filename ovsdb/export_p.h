/* ovsdb/export_p.h -- what the files of ovsdb/ share about rows and lists. */
#ifndef OVSDB_EXPORT_P_H
#define OVSDB_EXPORT_P_H 1

#include "lib/text.h"
#include "ovsdb/export.h"

/* external_ids that we write.  To VENTURI_APPEND an owner is added. */
#define VENTURI_OWNER "venturi-owner"
#define VENTURI_POLICY "venturi-policy"
#define VENTURI_HASH "venturi-hash"
#define VENTURI_PREV "venturi-prev"
#define VENTURI_APPEND "venturi-append-"

/* Lists of strings: 'n' pointers, all on the heap.  The functions that grow
 * return 0 or -ENOMEM and leave the list as it was. */
int strings_add(char ***list, size_t *n, const char *);
int strings_copy(char ***to, size_t *n_to, char *const *from, size_t n);
void strings_clear(char ***list, size_t *n);
void strings_sort(char **list, size_t n);
bool strings_has(char *const *list, size_t n, const char *);
bool strings_equal(char *const *a, size_t n_a, char *const *b, size_t n_b);
/* The texts with a space in between; a heap string. */
char *strings_join(char *const *list, size_t n);

/* 'value' as users write it; a heap string, or NULL if it is not set. */
char *export_value_text(const struct export_option *,
                        const struct export_value *);
bool export_value_equal(const struct export_option *,
                        const struct export_value *,
                        const struct export_value *);
int export_row_copy(struct export_row *to, const struct export_row *from);
/* All that we look at is the same. */
bool export_row_equal(const struct export_row *, const struct export_row *,
                      enum export_table);

void export_sample_clear(struct export_sample *);

/* Policies that are for every bridge, for the same bridges in the same words,
 * for none at all. */
bool export_policy_is_everything(const struct export_policy *);
bool export_policy_same_match(const struct export_policy *,
                              const struct export_policy *);
bool export_policy_is_nothing(const struct export_policy *);
/* Equal for policies of the same match. */
uint64_t export_policy_match_hash(const struct export_policy *);

/* The usual text of a target: "local", "ip:port" or "[ip]:port".  The port
 * may be left out.  Returns a heap string, or NULL with errno EINVAL or
 * ENOMEM. */
char *export_target_normal(const char *, enum export_table);

/* What is wrong with a wish, as text in 'message', and where; true if nothing
 * is. */
bool export_wish_check(const struct export_wish *, enum export_table,
                       char *member, size_t member_size,
                       char *message, size_t message_size);

/* Sampling that "auto" starts with, and what it may become: powers of two. */
#define AUTO_SAMPLING 512
#define AUTO_SAMPLING_MIN 64
#define AUTO_SAMPLING_MAX (1 << 20)

#endif /* ovsdb/export_p.h */
