#include <config.h>

#include "collector/identity/past_p.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "collector/identity/block_pool.h"
#include "lib/cursor.h"

int
past_compare_keys(const struct past_row *a, const struct past_row *b)
{
    int d = memcmp(&a->kind, &b->kind, 2);
    return d ? d : memcmp(a->addr, b->addr, 16);
}

int
past_compare_rows(const void *a_, const void *b_)
{
    const struct past_row *a = a_, *b = b_;
    int d = past_compare_keys(a, b);
    d = d ? d : (a->from > b->from) - (a->from < b->from);
    return d ? d : (a->to > b->to) - (a->to < b->to);
}

/* ---- Pages. ---- */

static bool
page_checks(const uint8_t *p)
{
    uint32_t crc;
    memcpy(&crc, p + PAST_USED, sizeof crc);
    return crc32(0, p, PAST_USED) == crc;
}

/* Octets that were read. */
static size_t
read_at(int fd, uint8_t *to, size_t n, uint64_t at)
{
    size_t got = 0;
    while (got < n) {
        ssize_t done = pread(fd, to + got, n - got, (off_t) (at + got));
        if (!done || (done < 0 && errno != EINTR)) {
            break;
        }
        got += done > 0 ? (size_t) done : 0;
    }
    return got;
}

bool
past_reader_init(struct past_reader *r, struct past_run *run, size_t room)
{
    *r = (struct past_reader) { .run = run, .room = room,
                                .data = malloc(room * PAST_PAGE) };
    return r->data;
}

void
past_reader_clear(struct past_reader *r)
{
    free(r->data);
    r->data = NULL;
}

/* NULL if it does not check. */
static const uint8_t *
page_at(struct past_reader *r, uint64_t page)
{
    if (page < r->first || page >= r->first + r->n) {
        size_t got = read_at(r->run->fd, r->data, r->room * PAST_PAGE,
                             page * PAST_PAGE) / PAST_PAGE;
        r->first = page;
        for (r->n = 0; r->n < got
             && page_checks(r->data + r->n * PAST_PAGE); r->n++) {
        }
        if (!r->n) {
            r->run->damaged++;
            return NULL;
        }
    }
    return r->data + (page - r->first) * PAST_PAGE;
}

bool
past_row_at(struct past_reader *r, uint64_t i, struct past_row *row)
{
    const uint8_t *p = page_at(r, 1 + i / PAST_ROWS);
    if (p) {
        memcpy(row, p + i % PAST_ROWS * sizeof *row, sizeof *row);
    }
    return p;
}

/* 'n' octets of the texts, which may lie on several pages. */
static bool
octets_at(struct past_reader *r, uint64_t at, void *to_, size_t n)
{
    uint8_t *to = to_;
    if (at > r->run->h.text_octets || n > r->run->h.text_octets - at) {
        return false;
    }
    while (n) {
        const uint8_t *p = page_at(r, r->run->h.text_page + at / PAST_USED);
        size_t skip = at % PAST_USED, some = PAST_USED - skip;
        if (!p) {
            return false;
        }
        some = some < n ? some : n;
        memcpy(to, p + skip, some);
        to += some;
        at += some;
        n -= some;
    }
    return true;
}

size_t
past_raw_at(struct past_reader *r, uint64_t at, uint8_t *raw)
{
    uint32_t n;
    return octets_at(r, at, &n, sizeof n) && n <= PAST_MAX_TEXTS - sizeof n
           && octets_at(r, at + sizeof n, raw, n) ? n : 0;
}

bool
past_texts_at(struct past_reader *r, uint64_t at, char *copy,
              struct past_interval *v)
{
    uint8_t *raw = (uint8_t *) copy + PAST_MAX_TEXTS;
    size_t n = past_raw_at(r, at, raw);
    if (!n) {
        return false;
    }
    struct cursor c = cur_init(raw, n);
    const char *end = copy + PAST_MAX_TEXTS;
    v->source = identity_take_text(&c, &copy, end);
    v->id = identity_take_text(&c, &copy, end);
    v->interface = identity_take_text(&c, &copy, end);
    for (int i = 0; i < IDENTITY_N_MEMBERS; i++) {
        v->text[i] = identity_take_text(&c, &copy, end);
    }
    return !c.bad;
}

/* ---- Opening. ---- */

/* Whether the header is one, and the file as long as it says. */
static bool
read_header(struct past_run *r)
{
    uint8_t page[PAST_PAGE];
    struct past_header *h = &r->h;
    if (read_at(r->fd, page, PAST_PAGE, 0) != PAST_PAGE
        || !page_checks(page)) {
        return false;
    }
    memcpy(h, page, sizeof *h);
    if (h->magic != PAST_MAGIC || h->n > r->size / sizeof(struct past_row)
        || h->text_octets > r->size || h->text_page > r->size / PAST_PAGE) {
        return false;
    }
    r->row_pages = past_pages(h->n, PAST_ROWS);
    r->text_pages = past_pages(h->text_octets, PAST_USED);
    return h->text_page > r->row_pages
           && r->size == (h->text_page + r->text_pages
                          + past_pages(r->row_pages, PAST_INDEX)) * PAST_PAGE;
}

/* From the pages themselves, where the index is damaged; what can't be read
 * seems to begin as the page before. */
static void
mend_index(struct past_reader *reader, uint64_t from, uint64_t to)
{
    struct past_index *index = reader->run->index;
    for (uint64_t i = from; i < to; i++) {
        struct past_row row;
        if (past_row_at(reader, i * PAST_ROWS, &row)) {
            memcpy(index[i].addr, row.addr, sizeof row.addr);
            index[i].kind = row.kind;
            index[i].len = row.len;
        } else if (i) {
            index[i] = index[i - 1];
        }
        index[i].max_to = INT64_MAX;
    }
}

static bool
read_index(struct past_run *r)
{
    uint64_t page = r->h.text_page + r->text_pages;
    struct past_reader reader;
    r->index = alloc_large((r->row_pages + 1) * sizeof *r->index);
    if (!past_reader_init(&reader, r, 1) || !r->index) {
        past_reader_clear(&reader);
        return false;
    }
    for (uint64_t i = 0; i < r->row_pages; i += PAST_INDEX, page++) {
        uint64_t left = r->row_pages - i;
        uint64_t n = left < PAST_INDEX ? left : PAST_INDEX;
        const uint8_t *p = page_at(&reader, page);
        if (p) {
            memcpy(&r->index[i], p, n * sizeof *r->index);
        } else {
            mend_index(&reader, i, i + n);
        }
    }
    past_reader_clear(&reader);
    return true;
}

struct past_run *
past_open(const char *path)
{
    struct stat st;
    struct past_run *r = calloc(1, sizeof *r);
    int error = 0;
    if (!r) {
        return NULL;
    }
    r->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (r->fd < 0 || fstat(r->fd, &st)) {
        error = errno;
    } else {
        /* A lookup wants a page, not those around it. */
        (void) posix_fadvise(r->fd, 0, 0, POSIX_FADV_RANDOM);
        r->size = (uint64_t) st.st_size;
        error = !read_header(r) ? EINVAL : !read_index(r) ? ENOMEM : 0;
    }
    if (error) {
        past_close(r);
        errno = error;
        return NULL;
    }
    return r;
}

void
past_close(struct past_run *r)
{
    if (r) {
        if (r->fd >= 0) {
            close(r->fd);
        }
        free_large(r->index, (r->row_pages + 1) * sizeof *r->index);
        free(r);
    }
}

/* ---- Looking. ---- */

static int
compare_index(const struct past_index *a, const struct past_row *b)
{
    int d = memcmp(&a->kind, &b->kind, 2);
    return d ? d : memcmp(a->addr, b->addr, 16);
}

/* The first page that may have 'key': the last one that begins before it. */
static uint64_t
first_page(const struct past_run *r, const struct past_row *key)
{
    uint64_t low = 0, high = r->row_pages;
    while (low < high) {
        uint64_t mid = low + (high - low) / 2;
        if (compare_index(&r->index[mid], key) < 0) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low ? low - 1 : 0;
}

/* The first row of a page that is not before 'key'. */
static uint64_t
lower_bound(const uint8_t *page, uint64_t n, const struct past_row *key)
{
    uint64_t from = 0, to = n;
    while (from < to) {
        uint64_t mid = from + (to - from) / 2;
        struct past_row row;
        memcpy(&row, page + mid * sizeof row, sizeof row);
        if (past_compare_keys(&row, key) < 0) {
            from = mid + 1;
        } else {
            to = mid;
        }
    }
    return from;
}

static struct past_interval
interval_of(const struct past_row *row)
{
    struct past_interval v = { .key = { .kind = row->kind, .len = row->len },
                               .from_us = row->from, .to_us = row->to };
    memcpy(v.key.addr.b, row->addr, sizeof row->addr);
    return v;
}

struct looking {
    struct past_reader rows, texts;
    char *copy;
    const struct past_row *key;
    int64_t at_us;
    void (*each)(void *, const struct past_interval *);
    void *aux;
    size_t n;
};

/* Whether the next page may have the key, too. */
static bool
look_in_page(struct looking *l, uint64_t page)
{
    struct past_run *r = l->rows.run;
    const uint8_t *p = page_at(&l->rows, 1 + page);
    uint64_t left = r->h.n - page * PAST_ROWS;
    uint64_t n = left < PAST_ROWS ? left : PAST_ROWS;
    for (uint64_t i = p ? lower_bound(p, n, l->key) : n; i < n; i++) {
        struct past_row row;
        memcpy(&row, p + i * sizeof row, sizeof row);
        if (past_compare_keys(&row, l->key) || row.from > l->at_us) {
            return false;
        }
        struct past_interval v = interval_of(&row);
        if (l->at_us < row.to
            && past_texts_at(&l->texts, row.text, l->copy, &v)) {
            l->each(l->aux, &v);
            l->n++;
        }
    }
    return true;
}

size_t
past_find(struct past_run *r, const struct identity_key *key, int64_t at_us,
          void (*each)(void *aux, const struct past_interval *), void *aux)
{
    if (at_us < r->h.min_from || at_us >= r->h.max_to) {
        return 0;
    }
    struct past_row want = { .kind = key->kind, .len = key->len };
    struct looking l = { .key = &want, .at_us = at_us, .each = each,
                         .aux = aux, .copy = malloc(2 * PAST_MAX_TEXTS) };
    bool ready = past_reader_init(&l.rows, r, 1);
    ready = past_reader_init(&l.texts, r, 1) && ready && l.copy;
    memcpy(want.addr, key->addr.b, sizeof want.addr);
    for (uint64_t i = first_page(r, &want); ready && i < r->row_pages
         && compare_index(&r->index[i], &want) <= 0; i++) {
        if (r->index[i].max_to > at_us && !look_in_page(&l, i)) {
            break;
        }
    }
    past_reader_clear(&l.rows);
    past_reader_clear(&l.texts);
    free(l.copy);
    return l.n;
}

#define AT_ONCE 16              /* Pages of intervals that are read through. */

bool
past_each(struct past_run *r, int64_t from_us, int64_t to_us,
          bool (*each)(void *, const struct past_interval *), void *aux)
{
    if (to_us <= r->h.min_from || from_us >= r->h.max_to) {
        return true;
    }
    struct past_reader rows, texts;
    char *copy = malloc(2 * PAST_MAX_TEXTS);
    bool ready = past_reader_init(&rows, r, AT_ONCE), more = true;
    ready = past_reader_init(&texts, r, 1) && ready && copy;
    for (uint64_t i = 0; ready && more && i < r->h.n; i++) {
        struct past_row row;
        if (r->index[i / PAST_ROWS].max_to <= from_us
            || !past_row_at(&rows, i, &row)) {
            i = (i / PAST_ROWS + 1) * PAST_ROWS - 1;    /* The next page. */
            continue;
        }
        struct past_interval v = interval_of(&row);
        if (row.from < to_us && row.to > from_us
            && past_texts_at(&texts, row.text, copy, &v)) {
            more = each(aux, &v);
        }
    }
    past_reader_clear(&rows);
    past_reader_clear(&texts);
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
