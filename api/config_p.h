/* api/config_p.h -- what the files of the configuration share: config.c holds
 * it, config_make.c makes plain values of its tree, config_policy.c those of
 * export policies, config_file.c reads and writes its file. */
#ifndef API_CONFIG_P_H
#define API_CONFIG_P_H 1

#include "api/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <time.h>

struct json_object;

/* config_make.c.  A member of the full tree can only be absent where the model
 * has no default. */

/* 'code', after saying where and why. */
int config_refuse(struct config_error *, int code, const char *path,
                  const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The member at "a/b/c", or NULL. */
struct json_object *config_at(struct json_object *, const char *path);
/* The same as a path of the model; valid until the next call. */
const char *config_data_path(const char *path);
int config_add_string(char ***list, size_t *n, const char *);
void config_free_strings(char **list, size_t n);
/* The strings of a leaf-list; "none" stands for none. */
int config_get_strings(struct json_object *root, const char *path,
                       char ***list, size_t *n);
unsigned config_get_uint(struct json_object *root, const char *path);

/* Inside these files they need no other name. */
#define refuse config_refuse
#define at(O, PATH) config_at(O, PATH)
#define data_path(PATH) config_data_path(PATH)
#define add_string(LIST, N, S) config_add_string(LIST, N, S)
#define free_strings(LIST, N) config_free_strings(LIST, N)
#define get_strings(ROOT, PATH, LIST, N) \
    config_get_strings(ROOT, PATH, LIST, N)
#define get_uint(ROOT, PATH) config_get_uint(ROOT, PATH)

int config_make(struct json_object *full, const struct config_override *,
                struct config **, struct config_error *);
void config_free(struct config *);              /* NULL is fine. */

/* config_policy.c */
int config_get_policies(struct json_object *root, struct config *,
                        struct config_error *);
/* The policies as the model writes them, for the model to complete. */
struct json_object *
config_policies_to_json(const struct export_policies *);

/* config_file.c */

/* What a file was when we read or wrote it. */
struct config_stamp {
    bool exists;
    dev_t dev;
    ino_t ino;
    off_t size;
    struct timespec mtime;
};

/* False if there is no such file. */
bool config_stamp_read(const char *path, struct config_stamp *);
bool config_stamp_equal(const struct config_stamp *,
                        const struct config_stamp *);
/* The tree in 'path'; an absent file is the empty configuration unless it is
 * 'required'. */
int config_read_file(const char *path, bool required, struct json_object **,
                     struct config_stamp *, struct config_error *);
/* Replaces the file at once: after a crash it is the old or the new one. */
int config_write_file(const char *path, struct json_object *,
                      struct config_stamp *, struct config_error *);

#endif /* api/config_p.h */
