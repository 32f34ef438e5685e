#include <config.h>

#include "api/token.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <json-c/json.h>

#include "api/confine.h"
#include "api/json.h"
#include "lib/clock.h"
#include "lib/log.h"

#define PREFIX "venturi_"
#define SECRET_SIZE 32

struct tokens {
    char *path;
    struct token *list;
    size_t n;
};

static const struct json_limits limits = {
    .size = 16 << 20, .values = 200000, .containers = 20000, .depth = 4,
};

static void
to_hex(const uint8_t *p, size_t n, char *text)
{
    for (size_t i = 0; i < n; i++) {
        sprintf(text + 2 * i, "%02x", p[i]);
    }
}

/* Exactly 2 * n small hexadecimal digits. */
static bool
from_hex(const char *text, uint8_t *p, size_t n)
{
    static const char digits[] = "0123456789abcdef";

    if (!text || strlen(text) != 2 * n) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        const char *a = strchr(digits, text[2 * i]);
        const char *b = strchr(digits, text[2 * i + 1]);
        if (!a || !b || !*a || !*b) {
            return false;
        }
        p[i] = (uint8_t) ((a - digits) << 4 | (b - digits));
    }
    return true;
}

static bool
hash(const char *secret, uint8_t out[32])
{
    return EVP_Digest(secret, strlen(secret), out, NULL, EVP_sha256(), NULL)
           == 1;
}

/* The file. */

static struct json_object *
to_json(const struct tokens *t)
{
    struct json_object *list = json_object_new_array();
    struct json_object *o = json_object_new_object();

    for (size_t i = 0; i < t->n; i++) {
        const struct token *k = &t->list[i];
        struct json_object *row = json_object_new_object();
        char hex[65];
        to_hex(k->hash, sizeof k->hash, hex);
        json_object_object_add(row, "id", json_object_new_string(k->id));
        json_object_object_add(row, "name", json_object_new_string(k->name));
        json_object_object_add(row, "role", json_object_new_string(
                                   role_name(k->role)));
        json_object_object_add(row, "created_us",
                               json_object_new_int64(k->created_us));
        json_object_object_add(row, "expires_us",
                               json_object_new_int64(k->expires_us));
        json_object_object_add(row, "sha256", json_object_new_string(hex));
        if (k->confine) {
            json_object_object_add(row, "tenants", confine_to_json(k->confine));
        }
        json_object_array_add(list, row);
    }
    json_object_object_add(o, "tokens", list);
    return o;
}

static int
save(const struct tokens *t)
{
    struct json_object *o = to_json(t);
    const char *text = json_object_to_json_string_ext(
        o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE);
    char *tmp = NULL;
    int err = asprintf(&tmp, "%s.tmp", t->path) < 0 ? -ENOMEM : 0;

    if (!err) {
        unlink(tmp);
        int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC
                           | O_NOFOLLOW, 0600);
        FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
        err = f ? 0 : -errno;
        if (f) {
            if (fputs(text, f) < 0 || fputc('\n', f) < 0 || fflush(f)
                || fsync(fd)) {
                err = -errno;
            }
            if (fclose(f) && !err) {
                err = -errno;
            }
        } else if (fd >= 0) {
            close(fd);
        }
        if (!err && rename(tmp, t->path)) {
            err = -errno;
        }
        if (err) {
            unlink(tmp);
        }
    }
    free(tmp);
    json_object_put(o);
    return err;
}

/* A text, "" if there is none. */
static const char *
text_of(struct json_object *o, const char *name)
{
    const char *text = json_text(o, name);

    return text ? text : "";
}

static bool
load_one(struct json_object *o, struct token *k)
{
    struct json_object *created = NULL, *expires = NULL, *tenants = NULL;
    int role = role_find(text_of(o, "role"));

    memset(k, 0, sizeof *k);
    snprintf(k->id, sizeof k->id, "%s", text_of(o, "id"));
    snprintf(k->name, sizeof k->name, "%s", text_of(o, "name"));
    json_object_object_get_ex(o, "created_us", &created);
    json_object_object_get_ex(o, "expires_us", &expires);
    k->created_us = json_object_get_int64(created);
    k->expires_us = json_object_get_int64(expires);
    k->role = (enum api_role) role;
    /* Tenants that cannot be read must not become all tenants. */
    if (json_object_object_get_ex(o, "tenants", &tenants)
        && confine_from_json(tenants, &k->confine)) {
        return false;
    }
    return role >= 0 && strlen(k->id) == TOKEN_ID_STRLEN - 1
           && from_hex(text_of(o, "sha256"), k->hash, sizeof k->hash);
}

static int
load(struct tokens *t)
{
    struct json_object *o = NULL, *list = NULL;
    struct json_error e;
    char *text = NULL;
    size_t room = 0;
    FILE *f = fopen(t->path, "re");

    if (!f) {
        return errno == ENOENT ? 0 : -errno;
    }
    ssize_t n = getdelim(&text, &room, '\0', f);
    fclose(f);
    int err = n < 0 ? -EIO
              : json_parse(text, (size_t) n, &limits, JSON_UNIQUE, &o, &e);
    free(text);
    if (err || !json_object_object_get_ex(o, "tokens", &list)
        || !json_object_is_type(list, json_type_array)) {
        json_object_put(o);
        return -EBADMSG;
    }
    size_t size = json_object_array_length(list);
    t->list = calloc(size + 1, sizeof *t->list);
    for (size_t i = 0; t->list && i < size && i < TOKEN_MAX; i++) {
        if (!load_one(json_object_array_get_idx(list, i), &t->list[t->n])) {
            err = -EBADMSG;
            break;
        }
        t->n++;
    }
    json_object_put(o);
    return t->list ? err : -ENOMEM;
}

struct tokens *
tokens_open(const char *path)
{
    struct tokens *t = calloc(1, sizeof *t);

    if (!t || !(t->path = strdup(path))) {
        tokens_close(t);
        return NULL;
    }
    int err = load(t);
    if (err) {
        LOG(api, ERR, "%s: %s", path, err == -EBADMSG ? "damaged: restore it, "
            "or remove it to start without tokens" : strerror(-err));
        tokens_close(t);
        return NULL;
    }
    return t;
}

void
tokens_close(struct tokens *t)
{
    if (t) {
        free(t->path);
        free(t->list);
        free(t);
    }
}

/* Tokens. */

static struct token *
find(const struct tokens *t, const char *what)
{
    for (size_t i = 0; i < t->n; i++) {
        if (!strcmp(t->list[i].id, what) || !strcmp(t->list[i].name, what)) {
            return &t->list[i];
        }
    }
    return NULL;
}

const struct token *
tokens_find(const struct tokens *t, const char *what)
{
    return find(t, what);
}

int
tokens_create(struct tokens *t, const char *name, enum api_role role,
              const struct confine *confine, int64_t expires_us, char *text,
              const struct token **out)
{
    uint8_t random[SECRET_SIZE + (TOKEN_ID_STRLEN - 1) / 2];
    char secret[2 * SECRET_SIZE + 1];
    struct token k = { .role = role, .confine = confine,
                       .created_us = clock_wall_us(),
                       .expires_us = expires_us };

    if (find(t, name)) {
        return -EEXIST;
    } else if (t->n >= TOKEN_MAX) {
        return -ENOSPC;
    } else if (getrandom(random, sizeof random, 0)
               != (ssize_t) sizeof random) {
        return -EIO;
    }
    snprintf(k.name, sizeof k.name, "%s", name);
    to_hex(random, SECRET_SIZE, secret);
    to_hex(random + SECRET_SIZE, (TOKEN_ID_STRLEN - 1) / 2, k.id);
    OPENSSL_cleanse(random, sizeof random);
    struct token *list = realloc(t->list, (t->n + 1) * sizeof *list);
    if (!list || !hash(secret, k.hash)) {
        return -ENOMEM;
    }
    t->list = list;
    t->list[t->n++] = k;
    int err = save(t);
    if (err) {
        t->n--;
        return err;
    }
    snprintf(text, TOKEN_STRLEN, PREFIX "%s_%s", k.id, secret);
    OPENSSL_cleanse(secret, sizeof secret);
    *out = &t->list[t->n - 1];
    return 0;
}

int
tokens_revoke(struct tokens *t, const char *what)
{
    struct token *k = find(t, what);

    if (!k) {
        return -ENOENT;
    }
    struct token old = *k;
    size_t at = (size_t) (k - t->list);
    memmove(k, k + 1, (t->n - at - 1) * sizeof *k);
    t->n--;
    int err = save(t);
    if (err) {
        memmove(k + 1, k, (t->n - at) * sizeof *k);
        *k = old;
        t->n++;
    }
    return err;
}

const struct token *
tokens_check(struct tokens *t, const char *text, int64_t now_us,
             bool *expired)
{
    const size_t at = strlen(PREFIX), n = TOKEN_ID_STRLEN - 1;
    char id[TOKEN_ID_STRLEN];
    uint8_t got[32];

    *expired = false;
    if (!t || strlen(text) != at + n + 1 + 2 * SECRET_SIZE
        || strncmp(text, PREFIX, at) || text[at + n] != '_') {
        return NULL;
    }
    memcpy(id, text + at, n);
    id[n] = '\0';
    for (size_t i = 0; i < t->n; i++) {
        struct token *k = &t->list[i];
        if (!strcmp(k->id, id)) {
            if (!hash(text + at + n + 1, got)
                || CRYPTO_memcmp(got, k->hash, sizeof got)) {
                return NULL;
            }
            *expired = k->expires_us && now_us >= k->expires_us;
            k->used_us = *expired ? k->used_us : now_us;
            return k;
        }
    }
    return NULL;
}

size_t
tokens_count(const struct tokens *t)
{
    return t->n;
}

const struct token *
tokens_at(const struct tokens *t, size_t i)
{
    return &t->list[i];
}
