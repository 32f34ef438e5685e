#include <config.h>

#include "ovsdb/region.h"

#include "lib/fnv.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Chunks grow from the one to the other.  Those from MAP_FROM on are mapped:
 * what is not used of them costs nothing, and they leave no hole in the
 * heap. */
#define FIRST_CHUNK 4096
#define LAST_CHUNK (256 * 1024)
#define MAP_FROM (64 * 1024)

struct chunk {
    struct chunk *next;
    size_t size, used;
    _Alignas(void *) char bytes[];
};

struct region {
    struct chunk *chunks;       /* The one in use first. */
    size_t next_size;
    char **texts;               /* Open addressing; NULL: empty. */
    size_t n_texts, room;       /* 'room' is a power of two, or 0. */
};

struct region *
region_create(void)
{
    struct region *a = calloc(1, sizeof *a);
    if (a) {
        a->next_size = FIRST_CHUNK;
    }
    return a;
}

static struct chunk *
chunk_create(size_t size)
{
    struct chunk *c;
    if (size < MAP_FROM) {
        c = calloc(1, size);
    } else {
        c = mmap(NULL, size, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        c = c == MAP_FAILED ? NULL : c;
    }
    if (c) {
        c->size = size;
        c->used = sizeof *c;
    }
    return c;
}

void
region_destroy(struct region *a)
{
    while (a && a->chunks) {
        struct chunk *c = a->chunks;
        a->chunks = c->next;
        if (c->size < MAP_FROM) {
            free(c);
        } else {
            munmap(c, c->size);
        }
    }
    if (a) {
        free(a->texts);
        free(a);
    }
}

/* 'align' is a power of two. */
static void *
take(struct region *a, size_t size, size_t align)
{
    struct chunk *c = a->chunks;
    size_t at = c ? (c->used + align - 1) & ~(align - 1) : 0;
    if (!c || size > c->size - (at < c->size ? at : c->size)) {
        size_t need = sizeof *c + size, room = a->next_size;
        if (need < size) {
            return NULL;
        }
        while (room < need) {
            if (room > SIZE_MAX / 2) {
                return NULL;
            }
            room *= 2;
        }
        c = chunk_create(room);
        if (!c) {
            return NULL;
        }
        a->next_size = a->next_size < LAST_CHUNK ? 2 * a->next_size
                                                 : LAST_CHUNK;
        c->next = a->chunks;
        a->chunks = c;
        at = c->used;
    }
    c->used = at + size;
    return (char *) c + at;
}

void *
region_alloc(struct region *a, size_t size)
{
    return take(a, size, sizeof(void *));
}

static size_t
place_of(const char *text, size_t n)
{
    uint64_t h = fnv_bytes(FNV_START, text, n);
    return (size_t) (h ^ h >> 32);
}

/* Where 'text' is, or where it would go. */
static char **
find_text(char **texts, size_t room, const char *text, size_t n)
{
    size_t i = place_of(text, n) & (room - 1);
    while (texts[i] && strcmp(texts[i], text)) {
        i = (i + 1) & (room - 1);
    }
    return &texts[i];
}

static int
grow_texts(struct region *a)
{
    size_t room = a->room ? 2 * a->room : 64;
    char **grown = calloc(room, sizeof *grown);
    if (!grown) {
        return -1;
    }
    for (size_t i = 0; i < a->room; i++) {
        char *text = a->texts[i];
        if (text) {
            *find_text(grown, room, text, strlen(text)) = text;
        }
    }
    free(a->texts);
    a->texts = grown;
    a->room = room;
    return 0;
}

char *
region_text(struct region *a, const char *text)
{
    size_t n = strlen(text);
    if (2 * a->n_texts >= a->room && grow_texts(a)) {
        return NULL;
    }
    char **at = find_text(a->texts, a->room, text, n);
    if (!*at && (*at = take(a, n + 1, 1))) {
        memcpy(*at, text, n + 1);
        a->n_texts++;
    }
    return *at;
}

void
region_seal(struct region *a)
{
    free(a->texts);
    a->texts = NULL;
    a->n_texts = a->room = 0;
}
