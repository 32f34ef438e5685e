/* api/model.h -- the YANG model (api/yang/venturi.yang, which is part of the
 * program) through libyang.
 *
 * A model takes a megabyte or two and is made in a millisecond: make one,
 * use it, drop it. */
#ifndef API_MODEL_H
#define API_MODEL_H 1

#include <stdbool.h>

#include "api/config.h"

struct json_object;
struct lys_module;
struct model;

#define MODEL_ROOT "venturi:venturi"

extern const char model_yang[];         /* The text of the module. */

struct model *model_create(void);       /* NULL: out of memory. */
void model_destroy(struct model *);

/* For tests that look at the schema. */
const struct lys_module *model_module(const struct model *);

/* Validates a configuration (RFC 7951 JSON; a member null says nothing).
 * '*explicit_' gets what it says, in the model's order; '*full' the same with
 * all defaults.  Both are the caller's; either may be NULL.  Returns 0, or
 * -EINVAL or -ENOMEM with '*error'. */
int model_validate(struct model *, struct json_object *,
                   struct json_object **explicit_, struct json_object **full,
                   struct config_error *error);

/* 'base' with 'edit' merged into it: containers member by member, lists entry
 * by entry (by key), everything else replaced, null deletes.  Nothing is
 * validated.  Returns a new tree, or NULL with '*error'. */
struct json_object *model_merge(struct model *, struct json_object *base,
                                struct json_object *edit,
                                struct config_error *error);

#endif /* api/model.h */
