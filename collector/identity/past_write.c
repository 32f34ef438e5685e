#include <config.h>

#include "collector/identity/past_p.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "collector/identity/block_pool.h"

/* ---- Writing, some pages at a time. ---- */

#define AT_ONCE 16

struct stream {                 /* Of pages. */
    off_t at;                   /* In the file, of what is written next. */
    uint8_t *data;              /* AT_ONCE pages. */
    size_t page, n;             /* The one that is filled, and how far. */
};

struct writer {
    int fd;
    int error;
    struct past_header h;
    struct stream rows, texts;
    struct past_index *index;
    size_t n_index, index_room; /* Of pages. */
    struct identity_buffer scratch;
};

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
stream_flush(struct writer *w, struct stream *s)
{
    write_at(w, s->data, s->page * PAST_PAGE, s->at);
    s->at += (off_t) (s->page * PAST_PAGE);
    s->page = 0;
}

static void
end_page(struct writer *w, struct stream *s)
{
    uint8_t *p = s->data + s->page * PAST_PAGE;
    memset(p + s->n, 0, PAST_USED - s->n);
    uint32_t crc = (uint32_t) crc32(0, p, PAST_USED);
    memcpy(p + PAST_USED, &crc, sizeof crc);
    s->n = 0;
    if (++s->page == AT_ONCE) {
        stream_flush(w, s);
    }
}

/* Of each page 'usable' octets are used. */
static void
stream_put(struct writer *w, struct stream *s, const void *p, size_t n,
           size_t usable)
{
    const uint8_t *from = p;
    while (n && !w->error) {
        size_t room = usable - s->n < n ? usable - s->n : n;
        memcpy(s->data + s->page * PAST_PAGE + s->n, from, room);
        s->n += room;
        from += room;
        n -= room;
        if (s->n == usable) {
            end_page(w, s);
        }
    }
}

static void
stream_end(struct writer *w, struct stream *s)
{
    if (!w->error && s->n) {
        end_page(w, s);
    }
    stream_flush(w, s);
}

/* For at most 'n' intervals: where there are fewer, a hole stays before the
 * texts, which takes no room. */
static void
writer_open(struct writer *w, const char *path, uint64_t n)
{
    uint64_t text_page = 1 + past_pages(n, PAST_ROWS);
    *w = (struct writer) {
        .h = { .magic = PAST_MAGIC, .text_page = text_page,
               .min_from = INT64_MAX, .max_to = INT64_MIN },
        .rows = { .at = PAST_PAGE, .data = malloc(AT_ONCE * PAST_PAGE) },
        .texts = { .at = (off_t) (text_page * PAST_PAGE),
                   .data = malloc(AT_ONCE * PAST_PAGE) },
        .index = alloc_large(text_page * sizeof *w->index),
        .index_room = text_page,
    };
    w->fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0640);
    if (w->fd < 0) {
        w->error = -errno;
    } else if (!w->rows.data || !w->texts.data || !w->index) {
        w->error = -ENOMEM;
    }
}

/* Appends texts; returns their offset. */
static uint64_t
put_raw(struct writer *w, const void *raw, size_t n)
{
    uint64_t at = w->h.text_octets;
    uint32_t size = (uint32_t) n;
    stream_put(w, &w->texts, &size, sizeof size, PAST_USED);
    stream_put(w, &w->texts, raw, n, PAST_USED);
    w->h.text_octets += sizeof size + n;
    return at;
}

static uint64_t
put_texts(struct writer *w, const struct past_interval *v)
{
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
    return put_raw(w, w->scratch.data, w->scratch.n);
}

/* A page of intervals begins with 'r'. */
static void
begin_index(struct writer *w, const struct past_row *r)
{
    struct past_index *x = &w->index[w->n_index++];
    *x = (struct past_index) { .kind = r->kind, .len = r->len,
                               .max_to = r->to };
    memcpy(x->addr, r->addr, sizeof x->addr);
}

static void
put_row(struct writer *w, const struct past_row *r)
{
    struct past_header *h = &w->h;
    if (h->n % PAST_ROWS == 0) {
        begin_index(w, r);
    }
    struct past_index *x = &w->index[w->n_index - 1];
    x->max_to = r->to > x->max_to ? r->to : x->max_to;
    h->min_from = r->from < h->min_from ? r->from : h->min_from;
    h->max_to = r->to > h->max_to ? r->to : h->max_to;
    if (r->kind == IDENTITY_KEY_PREFIX) {
        h->lengths[r->len / 64] |= UINT64_C(1) << r->len % 64;
    }
    h->n++;
    stream_put(w, &w->rows, r, sizeof *r, PAST_ROWS * sizeof *r);
}

/* Writes what is left and makes the file last; on an error it is deleted.  The
 * header comes last: without it this is no file of ours. */
static int
writer_close(struct writer *w, const char *path)
{
    if (!w->error) {
        stream_end(w, &w->rows);
        stream_end(w, &w->texts);
        for (size_t i = 0; i < w->n_index; i++) {
            stream_put(w, &w->texts, &w->index[i], sizeof w->index[i],
                       PAST_INDEX * sizeof w->index[i]);
        }
        stream_end(w, &w->texts);
        if (!w->h.n && !w->error
            && ftruncate(w->fd, (off_t) (w->h.text_page * PAST_PAGE))) {
            w->error = -errno;
        }
        w->rows.at = 0;
        stream_put(w, &w->rows, &w->h, sizeof w->h, PAST_USED);
        stream_end(w, &w->rows);
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
    free(w->rows.data);
    free(w->texts.data);
    free_large(w->index, w->index_room * sizeof *w->index);
    identity_buffer_free(&w->scratch);
    return w->error;
}

/* ---- Collecting. ---- */

struct past_builder {
    struct past_row *rows;
    struct past_face {
        const struct identity_face *face;
        const char *source;
    } *faces;
    size_t n, room;
};

/* Mapped: what is large and soon gone would leave holes in the heap. */
struct past_builder *
past_builder_create(size_t room)
{
    struct past_builder *b = calloc(1, sizeof *b);
    if (b) {
        b->room = room;
        b->rows = alloc_large((room + 1) * sizeof *b->rows);
        b->faces = alloc_large((room + 1) * sizeof *b->faces);
        if (!b->rows || !b->faces) {
            past_builder_destroy(b);
            b = NULL;
        }
    }
    return b;
}

void
past_builder_destroy(struct past_builder *b)
{
    if (b) {
        free_large(b->rows, (b->room + 1) * sizeof *b->rows);
        free_large(b->faces, (b->room + 1) * sizeof *b->faces);
        free(b);
    }
}

size_t
past_builder_count(const struct past_builder *b)
{
    return b->n;
}

bool
past_builder_add(struct past_builder *b, const struct identity_interval *v)
{
    if (v->key.kind == IDENTITY_KEY_PORT) {
        return true;
    }
    if (b->n == b->room) {
        return false;
    }
    struct past_row *r = &b->rows[b->n];
    *r = (struct past_row) { .kind = v->key.kind, .len = v->key.len,
                             .from = v->from_us, .to = v->to_us };
    memcpy(r->addr, v->key.addr.b, sizeof r->addr);
    b->faces[b->n++] = (struct past_face) { v->face, v->source };
    return true;
}

/* Row 'i' of those that were added comes with the texts of its face.  The keys
 * of an endpoint are closed one after the other: in that order each is written
 * about once. */
static void
write_texts(struct past_builder *b, struct writer *w)
{
    const struct identity_face *last = NULL;
    uint64_t at = 0;
    for (size_t i = 0; i < b->n && !w->error; i++) {
        const struct past_face *f = &b->faces[i];
        if (f->face != last) {
            struct past_interval v = {
                .source = f->source, .id = identity_id(f->face),
                .interface = identity_interface(f->face),
            };
            for (int j = 0; j < IDENTITY_N_MEMBERS; j++) {
                v.text[j] = identity_text(f->face, j);
            }
            at = put_texts(w, &v);
            last = f->face;
        }
        b->rows[i].text = at;
    }
}

int
past_builder_write(struct past_builder *b, const char *path)
{
    struct writer w;
    writer_open(&w, path, b->n);
    if (!w.error) {
        write_texts(b, &w);
        qsort(b->rows, b->n, sizeof *b->rows, past_compare_rows);
    }
    for (size_t i = 0; i < b->n && !w.error; i++) {
        put_row(&w, &b->rows[i]);
    }
    return writer_close(&w, path);
}

/* ---- Merging. ---- */

#define SEEN 65536              /* Texts that are remembered as written. */
#define EQUAL 16                /* Rows alike that are compared. */

struct input {
    struct past_reader rows, texts;
    struct past_row row;        /* The next one. */
    uint64_t at;                /* Its number. */
    bool over;
};

struct merge {
    struct input *in;
    size_t n;
    int64_t since;
    struct {
        uint64_t from;          /* Offset in its run, plus 1. */
        uint64_t to;
        size_t run;
    } *seen;
    struct past_row last;       /* Written, and whose texts rows like it have: */
    struct {
        size_t run;
        uint64_t text;
    } equal[EQUAL];
    size_t n_equal;
    uint8_t *raw, *other;
};

/* Moves on to a row that counts, from 'at' on. */
static void
advance(struct merge *m, struct input *in)
{
    const struct past_run *r = in->rows.run;
    while (in->at < r->h.n) {
        if (r->index[in->at / PAST_ROWS].max_to <= m->since
            || !past_row_at(&in->rows, in->at, &in->row)) {
            in->at = (in->at / PAST_ROWS + 1) * PAST_ROWS;
        } else if (in->row.to <= m->since) {
            in->at++;
        } else {
            return;
        }
    }
    in->over = true;
}

/* The run with the smallest row; 'm->n': none has any. */
static size_t
smallest(const struct merge *m)
{
    size_t best = m->n;
    for (size_t i = 0; i < m->n; i++) {
        if (!m->in[i].over
            && (best == m->n || past_compare_rows(&m->in[i].row,
                                                  &m->in[best].row) < 0)) {
            best = i;
        }
    }
    return best;
}

/* Whether the same was written before: a process that was killed may have told
 * twice what it knew once. */
static bool
is_double(struct merge *m, size_t run, const struct past_row *row)
{
    if (past_compare_rows(&m->last, row)) {
        m->last = *row;
        m->n_equal = 0;
    }
    size_t n = m->n_equal ? past_raw_at(&m->in[run].texts, row->text, m->raw)
                          : 0;
    for (size_t i = 0; n && i < m->n_equal; i++) {
        if (past_raw_at(&m->in[m->equal[i].run].texts, m->equal[i].text,
                        m->other) == n && !memcmp(m->raw, m->other, n)) {
            return true;
        }
    }
    if (m->n_equal < EQUAL) {
        m->equal[m->n_equal].run = run;
        m->equal[m->n_equal++].text = row->text;
    }
    return false;
}

static void
merge_row(struct merge *m, struct writer *w, size_t run)
{
    struct past_row row = m->in[run].row;
    m->in[run].at++;
    advance(m, &m->in[run]);
    if (is_double(m, run, &row)) {
        return;
    }
    size_t slot = (row.text * 31 + run) % SEEN;
    if (m->seen[slot].from != row.text + 1 || m->seen[slot].run != run) {
        size_t n = past_raw_at(&m->in[run].texts, row.text, m->raw);
        /* Damaged: the interval stays, nobody's. */
        m->seen[slot].to = n ? put_raw(w, m->raw, n)
                           : put_texts(w, &(struct past_interval) {
                               .source = "", .id = "damaged" });
        m->seen[slot].from = row.text + 1;
        m->seen[slot].run = run;
    }
    row.text = m->seen[slot].to;
    put_row(w, &row);
}

/* False: out of memory. */
static bool
merge_begin(struct merge *m, struct past_run *const *runs, size_t n,
            int64_t since_us)
{
    *m = (struct merge) { .n = n, .since = since_us,
                          .in = calloc(n + 1, sizeof *m->in),
                          .seen = calloc(SEEN, sizeof *m->seen),
                          .raw = malloc(PAST_MAX_TEXTS),
                          .other = malloc(PAST_MAX_TEXTS) };
    bool ready = m->in && m->seen && m->raw && m->other;
    for (size_t i = 0; m->in && i < n; i++) {
        ready = past_reader_init(&m->in[i].rows, runs[i], AT_ONCE) && ready;
        ready = past_reader_init(&m->in[i].texts, runs[i], 1) && ready;
        if (ready) {
            advance(m, &m->in[i]);
        }
    }
    return ready;
}

static void
merge_end(struct merge *m)
{
    for (size_t i = 0; m->in && i < m->n; i++) {
        past_reader_clear(&m->in[i].rows);
        past_reader_clear(&m->in[i].texts);
    }
    free(m->in);
    free(m->seen);
    free(m->raw);
    free(m->other);
}

/* At most so many rows stay. */
static uint64_t
count_rows(const struct merge *m)
{
    uint64_t n = 0;
    for (size_t i = 0; i < m->n; i++) {
        const struct past_run *r = m->in[i].rows.run;
        for (uint64_t page = 0; page < r->row_pages; page++) {
            n += r->index[page].max_to > m->since ? PAST_ROWS : 0;
        }
    }
    return n;
}

int
past_merge(struct past_run *const *runs, size_t n, int64_t since_us,
           const char *path, const _Atomic bool *stop)
{
    struct merge m;
    int error = -ENOMEM;
    if (merge_begin(&m, runs, n, since_us)) {
        struct writer w;
        size_t run;
        writer_open(&w, path, count_rows(&m));
        while (!w.error && (run = smallest(&m)) < n) {
            merge_row(&m, &w, run);
            if (stop && *stop) {
                w.error = -ECANCELED;
            }
        }
        error = writer_close(&w, path);
    }
    merge_end(&m);
    return error;
}
