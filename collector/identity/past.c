#include <config.h>

#include "collector/identity/past.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "collector/identity/record.h"
#include "lib/cursor.h"

/* The file: a header of one page, pages of intervals, pages of texts, and the
 * CRC-32 of each of these pages and of the header.  Numbers are little endian,
 * as both of our machines are. */
#define PAGE 65536u
#define MAGIC UINT64_C(0x31545341504e4556)      /* "VENPAST1" */

struct header {
    uint64_t magic;
    uint64_t n;                 /* Intervals. */
    uint64_t text_octets;
    int64_t min_from, max_to;
    uint64_t lengths[3];        /* Of prefixes, as bits. */
};

struct row {
    uint8_t addr[16];
    uint8_t kind, len;
    uint8_t zero[6];
    uint64_t text;              /* Offset of the texts. */
    int64_t from, to;
};
_Static_assert(sizeof(struct row) == 48, "no padding in files");
#define ROWS (PAGE / sizeof(struct row))        /* In a page. */

static int
compare_keys(const struct row *a, const struct row *b)
{
    int d = memcmp(&a->kind, &b->kind, 2);
    return d ? d : memcmp(a->addr, b->addr, 16);
}

static int
compare_rows(const void *a_, const void *b_)
{
    const struct row *a = a_, *b = b_;
    int d = compare_keys(a, b);
    return d ? d : (a->from > b->from) - (a->from < b->from);
}

/* ---- Writing, a page at a time. ---- */

struct stream {                 /* Of pages. */
    off_t at;                   /* In the file, of the next page. */
    uint8_t *page;
    size_t n;                   /* In the page. */
    uint32_t *crc;
    size_t n_crc;
};

struct writer {
    int fd;
    int error;
    struct header h;
    struct stream rows, texts;
    struct identity_buffer scratch;
};

static uint64_t
pages_of_rows(uint64_t n)
{
    return (n + ROWS - 1) / ROWS;
}

static uint64_t
pages_of_text(uint64_t octets)
{
    return (octets + PAGE - 1) / PAGE;
}

static void
write_at(struct writer *w, const void *p, size_t n, off_t at)
{
    const uint8_t *from = p;
    while (n && !w->error) {
        ssize_t done = pwrite(w->fd, from, n, at);
        if (done < 0 && errno != EINTR) {
            w->error = -errno;
        } else if (done > 0) {
            from += done;
            at += done;
            n -= (size_t) done;
        }
    }
}

static void
end_page(struct writer *w, struct stream *s)
{
    uint32_t *crc = realloc(s->crc, (s->n_crc + 1) * sizeof *crc);
    if (!crc) {
        w->error = -ENOMEM;
        return;
    }
    memset(s->page + s->n, 0, PAGE - s->n);
    s->crc = crc;
    s->crc[s->n_crc++] = (uint32_t) crc32(0, s->page, PAGE);
    write_at(w, s->page, PAGE, s->at);
    s->at += PAGE;
    s->n = 0;
}

static void
stream_put(struct writer *w, struct stream *s, const void *p, size_t n,
           size_t usable)
{
    const uint8_t *from = p;
    while (n && !w->error) {
        size_t room = usable - s->n < n ? usable - s->n : n;
        memcpy(s->page + s->n, from, room);
        s->n += room;
        from += room;
        n -= room;
        if (s->n == usable) {
            end_page(w, s);
        }
    }
}

static int
writer_open(struct writer *w, const char *path, uint64_t n)
{
    *w = (struct writer) {
        .h = { .magic = MAGIC, .n = n, .min_from = INT64_MAX,
               .max_to = INT64_MIN },
        .rows = { .at = PAGE, .page = malloc(PAGE) },
        .texts = { .at = (off_t) ((1 + pages_of_rows(n)) * PAGE),
                   .page = malloc(PAGE) },
    };
    w->fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0640);
    if (w->fd < 0) {
        w->error = -errno;
    } else if (!w->rows.page || !w->texts.page) {
        w->error = -ENOMEM;
    }
    return w->error;
}

/* Appends texts; returns their offset. */
static uint64_t
put_texts(struct writer *w, const struct past_interval *v)
{
    uint64_t at = w->h.text_octets;
    w->scratch.n = 0;
    identity_put_text(&w->scratch, v->source);
    identity_put_text(&w->scratch, v->id);
    identity_put_text(&w->scratch, v->interface);
    for (int i = 0; i < IDENTITY_N_MEMBERS; i++) {
        identity_put_text(&w->scratch, v->text[i]);
    }
    if (w->scratch.failed) {
        w->error = -ENOMEM;
        return 0;
    }
    stream_put(w, &w->texts, w->scratch.data, w->scratch.n, PAGE);
    w->h.text_octets += w->scratch.n;
    return at;
}

static void
put_row(struct writer *w, const struct row *r)
{
    struct header *h = &w->h;
    h->min_from = r->from < h->min_from ? r->from : h->min_from;
    h->max_to = r->to > h->max_to ? r->to : h->max_to;
    if (r->kind == IDENTITY_KEY_PREFIX) {
        h->lengths[r->len / 64] |= UINT64_C(1) << r->len % 64;
    }
    stream_put(w, &w->rows, r, sizeof *r, ROWS * sizeof *r);
}

/* Writes what is left and makes the file last; on an error it is deleted. */
static int
writer_close(struct writer *w, const char *path)
{
    if (!w->error && w->rows.n) {
        end_page(w, &w->rows);
    }
    if (!w->error && w->texts.n) {
        end_page(w, &w->texts);
    }
    if (!w->error) {
        uint8_t *page = w->rows.page;
        memset(page, 0, PAGE);
        memcpy(page, &w->h, sizeof w->h);
        uint32_t crc = (uint32_t) crc32(0, page, PAGE);
        off_t at = w->texts.at;
        write_at(w, page, PAGE, 0);
        write_at(w, w->rows.crc, w->rows.n_crc * sizeof crc, at);
        at += (off_t) (w->rows.n_crc * sizeof crc);
        write_at(w, w->texts.crc, w->texts.n_crc * sizeof crc, at);
        at += (off_t) (w->texts.n_crc * sizeof crc);
        write_at(w, &crc, sizeof crc, at);
    }
    if (!w->error && fsync(w->fd)) {
        w->error = -errno;
    }
    if (w->fd >= 0) {
        close(w->fd);
        if (w->error) {
            unlink(path);
        }
    }
    free(w->rows.page);
    free(w->texts.page);
    free(w->rows.crc);
    free(w->texts.crc);
    identity_buffer_free(&w->scratch);
    return w->error;
}

/* ---- Collecting. ---- */

struct past_builder {
    struct row *rows;
    struct past_face {
        const struct identity_face *face;
        const char *source;
    } *faces;
    size_t n, size;
};

struct past_builder *
past_builder_create(void)
{
    return calloc(1, sizeof(struct past_builder));
}

void
past_builder_destroy(struct past_builder *b)
{
    if (b) {
        free(b->rows);
        free(b->faces);
        free(b);
    }
}

size_t
past_builder_count(const struct past_builder *b)
{
    return b->n;
}

void
past_builder_add(struct past_builder *b, const struct identity_interval *v)
{
    if (v->key.kind == IDENTITY_KEY_PORT) {
        return;
    }
    if (b->n == b->size) {
        size_t size = b->size ? b->size * 2 : 1024;
        struct row *rows = realloc(b->rows, size * sizeof *rows);
        b->rows = rows ? rows : b->rows;
        struct past_face *faces = realloc(b->faces, size * sizeof *faces);
        b->faces = faces ? faces : b->faces;
        if (!rows || !faces) {
            return;             /* It stays in memory. */
        }
        b->size = size;
    }
    struct row *r = &b->rows[b->n];
    *r = (struct row) { .kind = v->key.kind, .len = v->key.len,
                        .text = b->n, .from = v->from_us, .to = v->to_us };
    memcpy(r->addr, v->key.addr.b, sizeof r->addr);
    b->faces[b->n++] = (struct past_face) { v->face, v->source };
}

int
past_builder_write(struct past_builder *b, const char *path)
{
    struct writer w;
    const struct identity_face *last = NULL;
    uint64_t at = 0;
    writer_open(&w, path, b->n);
    /* The keys of an endpoint are closed one after the other: texts are
     * written in that order, so that each is written about once. */
    uint64_t *texts = malloc((b->n + 1) * sizeof *texts);
    for (size_t i = 0; texts && i < b->n && !w.error; i++) {
        const struct past_face *f = &b->faces[i];
        if (f->face != last) {
            struct past_interval v = {
                .source = f->source, .id = identity_id(f->face),
                .interface = identity_interface(f->face),
            };
            for (int j = 0; j < IDENTITY_N_MEMBERS; j++) {
                v.text[j] = identity_text(f->face, j);
            }
            at = put_texts(&w, &v);
            last = f->face;
        }
        texts[i] = at;
    }
    if (!texts) {
        w.error = -ENOMEM;
    }
    qsort(b->rows, b->n, sizeof *b->rows, compare_rows);
    for (size_t i = 0; i < b->n && !w.error; i++) {
        struct row r = b->rows[i];
        r.text = texts[r.text];
        put_row(&w, &r);
    }
    free(texts);
    return writer_close(&w, path);
}

/* ---- Reading. ---- */

struct past_run {
    const uint8_t *map;
    size_t size;
    struct header h;
    uint64_t row_pages, text_pages;
    uint8_t *checked;           /* A bit per page: 1: it checks. */
    uint64_t damaged;
    struct row *first;          /* Of each page. */
};

static const uint8_t *
page_at(struct past_run *r, uint64_t i)
{
    const uint8_t *p = r->map + (1 + i) * PAGE;
    if (r->checked[i / 8] >> i % 8 & 1) {
        return p;
    }
    uint32_t crc;
    memcpy(&crc, r->map + (1 + r->row_pages + r->text_pages) * PAGE
                 + i * sizeof crc, sizeof crc);
    if (crc32(0, p, PAGE) != crc) {
        r->damaged++;
        return NULL;
    }
    r->checked[i / 8] |= (uint8_t) (1 << i % 8);
    return p;
}

static bool
header_fits(struct past_run *r)
{
    const struct header *h = &r->h;
    uint64_t pages;
    uint32_t crc;
    if (h->magic != MAGIC || h->n > r->size / sizeof(struct row)
        || h->text_octets > r->size) {
        return false;
    }
    r->row_pages = pages_of_rows(h->n);
    r->text_pages = pages_of_text(h->text_octets);
    pages = r->row_pages + r->text_pages;
    if (r->size != (1 + pages) * PAGE + (pages + 1) * sizeof crc) {
        return false;
    }
    memcpy(&crc, r->map + r->size - sizeof crc, sizeof crc);
    return crc32(0, r->map, PAGE) == crc;
}

struct past_run *
past_open(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return NULL;
    }
    struct past_run *r = calloc(1, sizeof *r);
    if (!r || fstat(fd, &st) || st.st_size < (off_t) PAGE) {
        errno = r ? EINVAL : ENOMEM;
        close(fd);
        free(r);
        return NULL;
    }
    r->size = (size_t) st.st_size;
    void *map = mmap(NULL, r->size, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (map == MAP_FAILED) {
        free(r);
        return NULL;
    }
    r->map = map;
    memcpy(&r->h, map, sizeof r->h);
    if (!header_fits(r)) {
        past_close(r);
        errno = EINVAL;
        return NULL;
    }
    r->checked = calloc(1, (r->row_pages + r->text_pages) / 8 + 1);
    r->first = calloc(r->row_pages + 1, sizeof *r->first);
    if (!r->checked || !r->first) {
        past_close(r);
        errno = ENOMEM;
        return NULL;
    }
    for (uint64_t i = 0; i < r->row_pages; i++) {
        memcpy(&r->first[i], r->map + (1 + i) * PAGE, sizeof *r->first);
    }
    return r;
}

void
past_close(struct past_run *r)
{
    if (r) {
        munmap((void *) r->map, r->size);
        free(r->checked);
        free(r->first);
        free(r);
    }
}

/* Row 'i'; false if its page is damaged. */
static bool
row_at(struct past_run *r, uint64_t i, struct row *row)
{
    const uint8_t *p = page_at(r, i / ROWS);
    if (p) {
        memcpy(row, p + i % ROWS * sizeof *row, sizeof *row);
    }
    return p;
}

/* The first row that is not before 'key'; damaged pages are passed over. */
static uint64_t
lower_bound(struct past_run *r, const struct row *key)
{
    uint64_t low = 0, high = r->row_pages;
    while (low < high) {                /* First page that begins at or after. */
        uint64_t mid = low + (high - low) / 2;
        if (compare_keys(&r->first[mid], key) < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    if (!low) {
        return 0;
    }
    const uint8_t *p = page_at(r, low - 1);
    uint64_t from = (low - 1) * ROWS, to = low * ROWS;
    to = to > r->h.n ? r->h.n : to;
    if (!p) {
        return to;
    }
    while (from < to) {
        uint64_t mid = from + (to - from) / 2;
        struct row row;
        memcpy(&row, p + mid % ROWS * sizeof row, sizeof row);
        if (compare_keys(&row, key) < 0) {
            from = mid + 1;
        } else {
            to = mid;
        }
    }
    return from;
}

/* Texts may lie on several pages. */
#define MAX_TEXTS ((3 + IDENTITY_N_MEMBERS) * (IDENTITY_MAX_TEXT + 2))

static bool
texts_at(struct past_run *r, uint64_t at, char *copy, struct past_interval *v)
{
    if (at >= r->h.text_octets) {
        return false;
    }
    uint64_t left = r->h.text_octets - at;
    size_t n = left < MAX_TEXTS ? (size_t) left : MAX_TEXTS;
    struct cursor c = cur_init(r->map + (1 + r->row_pages) * PAGE + at, n);
    const uint8_t *begin = c.p;
    char *end = copy + MAX_TEXTS + 16;
    v->source = identity_take_text(&c, &copy, end);
    v->id = identity_take_text(&c, &copy, end);
    v->interface = identity_take_text(&c, &copy, end);
    for (int i = 0; i < IDENTITY_N_MEMBERS; i++) {
        v->text[i] = identity_take_text(&c, &copy, end);
    }
    if (c.bad) {
        return false;
    }
    uint64_t last = at + (uint64_t) (c.p - begin) - 1;
    for (uint64_t i = at / PAGE; i <= last / PAGE; i++) {
        if (!page_at(r, r->row_pages + i)) {
            return false;
        }
    }
    return true;
}

static size_t
find_exact(struct past_run *r, const struct row *key, int64_t at_us,
           char *copy,
           void (*each)(void *, const struct past_interval *), void *aux)
{
    size_t n = 0;
    struct row row;
    for (uint64_t i = lower_bound(r, key); i < r->h.n; i++) {
        if (!row_at(r, i, &row)) {
            i = (i / ROWS + 1) * ROWS - 1;      /* The rest of the page. */
            continue;
        }
        if (compare_keys(&row, key) || row.from > at_us) {
            break;
        }
        struct past_interval v = {
            .key = { .kind = row.kind, .len = row.len },
            .from_us = row.from, .to_us = row.to,
        };
        memcpy(v.key.addr.b, row.addr, sizeof row.addr);
        if (at_us < row.to && texts_at(r, row.text, copy, &v)) {
            each(aux, &v);
            n++;
        }
    }
    return n;
}

size_t
past_find(struct past_run *r, const struct identity_key *key, int64_t at_us,
          void (*each)(void *aux, const struct past_interval *), void *aux)
{
    if (at_us < r->h.min_from || at_us >= r->h.max_to) {
        return 0;
    }
    struct row want = { .kind = key->kind, .len = key->len };
    char *copy = malloc(MAX_TEXTS + 16);
    if (!copy) {
        return 0;
    }
    memcpy(want.addr, key->addr.b, sizeof want.addr);
    size_t n = find_exact(r, &want, at_us, copy, each, aux);
    free(copy);
    return n;
}

bool
past_each(struct past_run *r, int64_t from_us, int64_t to_us,
          bool (*each)(void *, const struct past_interval *), void *aux)
{
    char *copy = to_us <= r->h.min_from || from_us >= r->h.max_to
                 ? NULL : malloc(MAX_TEXTS + 16);
    bool more = true;
    struct row row;
    for (uint64_t i = 0; copy && more && i < r->h.n; i++) {
        if (!row_at(r, i, &row)) {
            i = (i / ROWS + 1) * ROWS - 1;      /* The rest of the page. */
            continue;
        }
        struct past_interval v = {
            .key = { .kind = row.kind, .len = row.len },
            .from_us = row.from, .to_us = row.to,
        };
        memcpy(v.key.addr.b, row.addr, sizeof row.addr);
        if (row.from < to_us && row.to > from_us
            && texts_at(r, row.text, copy, &v)) {
            more = each(aux, &v);
        }
    }
    free(copy);
    return more;
}

const uint64_t *
past_lengths(const struct past_run *r)
{
    return r->h.lengths;
}

uint64_t
past_count(const struct past_run *r)
{
    return r->h.n;
}

int64_t
past_newest(const struct past_run *r)
{
    return r->h.max_to;
}

uint64_t
past_size(const struct past_run *r)
{
    return r->size;
}

uint64_t
past_damaged(const struct past_run *r)
{
    return r->damaged;
}

/* ---- Merging. ---- */

#define SEEN 65536              /* Texts that are remembered as written. */

struct merge {
    struct past_run *const *runs;
    size_t n;
    uint64_t *at;               /* Next row of each. */
    int64_t since;
    struct {
        uint64_t from;          /* Offset in its run, plus 1. */
        uint64_t to;
        size_t run;
    } *seen;
    char *copy;
};

/* Moves 'm->at[i]' on to a row that counts; false at the end. */
static bool
peek(struct merge *m, size_t i, struct row *row)
{
    while (m->at[i] < m->runs[i]->h.n) {
        if (!row_at(m->runs[i], m->at[i], row)) {
            m->at[i] = (m->at[i] / ROWS + 1) * ROWS;
        } else if (row->to <= m->since) {
            m->at[i]++;
        } else {
            return true;
        }
    }
    return false;
}

/* The run with the smallest row, or -1. */
static int
smallest(struct merge *m, struct row *row)
{
    int best = -1;
    struct row r;
    for (size_t i = 0; i < m->n; i++) {
        if (peek(m, i, &r) && (best < 0 || compare_rows(&r, row) < 0)) {
            *row = r;
            best = (int) i;
        }
    }
    return best;
}

static uint64_t
count_rows(struct merge *m)
{
    uint64_t n = 0;
    struct row row;
    for (size_t i = 0; i < m->n; i++) {
        while (peek(m, i, &row)) {
            m->at[i]++;
            n++;
        }
        m->at[i] = 0;
    }
    return n;
}

static void
merge_row(struct merge *m, struct writer *w, size_t run, struct row *row)
{
    size_t slot = (row->text * 31 + run) % SEEN;
    if (m->seen[slot].from != row->text + 1 || m->seen[slot].run != run) {
        struct past_interval v = { .from_us = 0 };
        if (!texts_at(m->runs[run], row->text, m->copy, &v)) {
            /* Damaged: the interval stays, nobody's. */
            v = (struct past_interval) { .source = "", .id = "damaged" };
        }
        m->seen[slot].to = put_texts(w, &v);
        m->seen[slot].from = row->text + 1;
        m->seen[slot].run = run;
    }
    row->text = m->seen[slot].to;
    put_row(w, row);
    m->at[run]++;
}

int
past_merge(struct past_run *const *runs, size_t n, int64_t since_us,
           const char *path)
{
    struct merge m = { .runs = runs, .n = n, .since = since_us,
                       .at = calloc(n + 1, sizeof *m.at),
                       .seen = calloc(SEEN, sizeof *m.seen),
                       .copy = malloc(MAX_TEXTS + 16) };
    int error = -ENOMEM;
    if (m.at && m.seen && m.copy) {
        struct writer w;
        struct row row;
        int run;
        writer_open(&w, path, count_rows(&m));
        while (!w.error && (run = smallest(&m, &row)) >= 0) {
            merge_row(&m, &w, (size_t) run, &row);
        }
        error = writer_close(&w, path);
    }
    free(m.at);
    free(m.seen);
    free(m.copy);
    return error;
}
