#include <config.h>

#include "collector/identity/record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "lib/dict.h"

/* ---- Writing. ---- */

static uint8_t *
reserve(struct identity_buffer *b, size_t n)
{
    if (b->n + n > b->size) {
        size_t size = b->size ? b->size * 2 : 4096;
        while (size < b->n + n) {
            size *= 2;
        }
        uint8_t *data = realloc(b->data, size);
        if (!data) {
            b->failed = true;
            return NULL;
        }
        b->data = data;
        b->size = size;
    }
    b->n += n;
    return b->data + b->n - n;
}

void
identity_buffer_free(struct identity_buffer *b)
{
    free(b->data);
    *b = (struct identity_buffer) { .data = NULL };
}

void
identity_put_bytes(struct identity_buffer *b, const void *p, size_t n)
{
    uint8_t *to = reserve(b, n);
    if (to && n) {
        memcpy(to, p, n);
    }
}

void
identity_put_uint(struct identity_buffer *b, uint64_t v, unsigned int size)
{
    uint8_t *to = reserve(b, size);
    for (unsigned int i = 0; to && i < size; i++) {
        to[i] = (uint8_t) (v >> (size - 1 - i) * 8);
    }
}

void
identity_put_text(struct identity_buffer *b, const char *s)
{
    size_t n = s ? strlen(s) : 0;
    n = n > IDENTITY_MAX_TEXT ? IDENTITY_MAX_TEXT : n;
    identity_put_uint(b, n, 2);
    identity_put_bytes(b, s, n);
}

static void
put_key(struct identity_buffer *b, struct dict *dict,
        const struct identity_key *k)
{
    uint64_t w[2];
    memcpy(w, k->addr.b, sizeof w);
    identity_put_uint(b, k->kind, 1);
    identity_put_uint(b, k->len, 1);
    if (k->kind == IDENTITY_KEY_PORT) {
        identity_put_text(b, dict_text(dict, (uint32_t) w[0]));
        identity_put_text(b, dict_text(dict, (uint32_t) w[1]));
    } else {
        identity_put_bytes(b, k->addr.b, sizeof k->addr.b);
    }
}

static void
put_endpoint(struct identity_buffer *b, struct dict *dict,
             const struct identity_endpoint *e)
{
    identity_put_text(b, e->id);
    identity_put_text(b, e->interface);
    for (int i = 0; i < IDENTITY_N_MEMBERS; i++) {
        identity_put_text(b, e->text[i]);
    }
    identity_put_uint(b, e->n_keys, 2);
    for (size_t i = 0; i < e->n_keys; i++) {
        put_key(b, dict, &e->keys[i]);
    }
}

void
identity_record_put(struct identity_buffer *b, struct dict *dict,
                    const struct identity_record *r)
{
    size_t at = b->n;
    identity_put_uint(b, 0, 8);
    identity_put_uint(b, r->op, 1);
    identity_put_uint(b, (uint64_t) r->told_us, 8);
    identity_put_text(b, r->e.source);
    identity_put_uint(b, r->e.generation, 8);
    identity_put_uint(b, (uint64_t) r->e.from_us, 8);
    identity_put_uint(b, (uint64_t) r->e.to_us, 8);
    if (r->op == IDENTITY_UPSERT) {
        put_endpoint(b, dict, &r->e);
    } else if (r->op == IDENTITY_DELETE) {
        identity_put_text(b, r->e.id);
    }
    if (b->failed) {
        b->n = at;
        return;
    }
    size_t n = b->n - at - 8;
    uint32_t head[2] = {
        __builtin_bswap32((uint32_t) n),
        __builtin_bswap32((uint32_t) crc32(0, b->data + at + 8, (uInt) n)),
    };
    memcpy(b->data + at, head, sizeof head);
}

/* ---- Reading. ---- */

const char *
identity_take_text(struct cursor *c, char **at, const char *end)
{
    size_t n = cur_u16(c);
    const uint8_t *p = cur_take(c, n);
    if (!p || n > IDENTITY_MAX_TEXT || (size_t) (end - *at) < n + 1
        || memchr(p, 0, n)) {
        c->bad = true;
        return NULL;
    }
    char *s = *at;
    memcpy(s, p, n);
    s[n] = '\0';
    *at += n + 1;
    return s;
}

static void
take_key(struct cursor *c, struct dict *dict, struct identity_key *k)
{
    *k = (struct identity_key) { .kind = cur_u8(c) };
    k->len = cur_u8(c);
    if (k->kind == IDENTITY_KEY_PORT) {
        uint32_t id[2] = { 0, 0 };
        for (int i = 0; i < 2; i++) {
            size_t n = cur_u16(c);
            const uint8_t *p = cur_take(c, n);
            id[i] = p ? dict_passing(dict, (const char *) p, n) : 0;
        }
        *k = identity_key_port(id[0], id[1]);
        return;
    }
    const uint8_t *p = cur_take(c, sizeof k->addr.b);
    if (!p || k->kind >= IDENTITY_N_KEYS || k->len > 128
        || (k->len < 128 && k->kind != IDENTITY_KEY_PREFIX)) {
        c->bad = true;
        return;
    }
    memcpy(k->addr.b, p, sizeof k->addr.b);
}

static void
take_endpoint(struct cursor *c, struct dict *dict, struct identity_scratch *s,
              char **at, const char *end, struct identity_endpoint *e)
{
    e->id = identity_take_text(c, at, end);
    e->interface = identity_take_text(c, at, end);
    for (int i = 0; i < IDENTITY_N_MEMBERS; i++) {
        e->text[i] = identity_take_text(c, at, end);
    }
    size_t n = cur_u16(c);
    if (n > IDENTITY_MAX_KEYS) {
        c->bad = true;
        return;
    }
    for (size_t i = 0; i < n && !c->bad; i++) {
        take_key(c, dict, &s->keys[i]);
    }
    e->keys = s->keys;
    e->n_keys = n;
}

enum identity_read
identity_record_read(struct cursor *c, struct dict *dict,
                     struct identity_scratch *s, struct identity_record *r)
{
    uint32_t n = cur_u32(c), crc = cur_u32(c);
    struct cursor in = cur_sub(c, n);
    if (c->bad || !n || n > IDENTITY_RECORD_MAX) {
        return IDENTITY_READ_END;
    }
    if (crc32(0, in.p, (uInt) n) != crc) {
        return IDENTITY_READ_BAD;
    }
    char *at = s->text;
    const char *end = s->text + IDENTITY_RECORD_MAX;
    *r = (struct identity_record) { .op = cur_u8(&in) };
    r->told_us = (int64_t) cur_u64(&in);
    r->e.source = identity_take_text(&in, &at, end);
    r->e.generation = cur_u64(&in);
    r->e.from_us = (int64_t) cur_u64(&in);
    r->e.to_us = (int64_t) cur_u64(&in);
    if (r->op == IDENTITY_UPSERT) {
        take_endpoint(&in, dict, s, &at, end, &r->e);
    } else if (r->op == IDENTITY_DELETE) {
        r->e.id = identity_take_text(&in, &at, end);
    } else if (r->op != IDENTITY_SYNC && r->op != IDENTITY_GAP) {
        return IDENTITY_READ_BAD;
    }
    return in.bad || cur_more(&in) ? IDENTITY_READ_BAD : IDENTITY_READ_OK;
}

int
identity_apply(struct identity *t, const struct identity_record *r)
{
    switch (r->op) {
    case IDENTITY_UPSERT:
        return identity_upsert(t, &r->e, r->told_us);
    case IDENTITY_DELETE:
        return identity_delete(t, r->e.source, r->e.id, r->e.from_us)
               ? 0 : -ENOENT;
    case IDENTITY_SYNC:
        if (r->e.generation < identity_generation_of(t, r->e.source)) {
            return -ESTALE;
        }
        identity_sync(t, r->e.source, r->e.generation, r->e.from_us);
        return 0;
    case IDENTITY_GAP:
        identity_gap(t, r->e.source, r->e.from_us, r->e.to_us);
        return 0;
    }
    return -EINVAL;
}
