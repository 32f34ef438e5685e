/* api/token.h -- bearer tokens (RFC 6750): who has one is somebody.
 *
 * A token is "venturi_ID_SECRET"; only a SHA-256 of the secret, which is 256
 * random bits, is kept.  The file is replaced at once by each change. */
#ifndef API_TOKEN_H
#define API_TOKEN_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/caller.h"

struct confine;
struct tokens;

#define TOKEN_ID_STRLEN 13
#define TOKEN_STRLEN 96
#define TOKEN_MAX 10000

struct token {
    char id[TOKEN_ID_STRLEN];
    char name[64];
    enum api_role role;
    const struct confine *confine;      /* filter/confine.h; NULL: not. */
    int64_t created_us, expires_us;     /* Wall clock; 0: does not expire. */
    int64_t used_us;            /* Last time, since venturid runs; or 0. */
    uint8_t hash[32];
};

/* Reads 'path', which need not exist.  NULL after logging why. */
struct tokens *tokens_open(const char *path);
void tokens_close(struct tokens *);             /* NULL is fine. */

/* A new token; its text, which nobody will ever see again, goes to 'text'
 * (TOKEN_STRLEN).  0, -EEXIST (the name is taken), -ENOSPC, or what writing
 * the file said. */
int tokens_create(struct tokens *, const char *name, enum api_role,
                  const struct confine *, int64_t expires_us, char *text,
                  const struct token **);

/* By id or name.  Borrowed; NULL: there is none. */
const struct token *tokens_find(const struct tokens *, const char *);
int tokens_revoke(struct tokens *, const char *id_or_name);

/* Whose token is this?  NULL: nobody's; '*expired': not any more. */
const struct token *tokens_check(struct tokens *, const char *text,
                                 int64_t now_us, bool *expired);

size_t tokens_count(const struct tokens *);
const struct token *tokens_at(const struct tokens *, size_t);

#endif /* api/token.h */
