#include <config.h>

#include "collector/query/export.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "collector/exporter/correct.h"
#include "collector/filter/filter.h"
#include "collector/query/insert.h"
#include "collector/query/query.h"
#include "collector/query/sql.h"
#include "collector/store/schema.h"
#include "collector/store/store.h"
#include "collector/store/view.h"
#include "lib/addr.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/thread.h"

#define HOUR_US INT64_C(3600000000)
#define DAY_US (24 * HOUR_US)
/* Rows that DuckDB holds in memory until it writes them: with all columns half a
 * kilobyte each. */
#define GROUP_ROWS 40960
#define PATH_LEN 4096
#define COPY_SIZE 65536

struct data_export {
    struct data_export_config c;
    char *dir;
    void (*progress)(void *aux, double part, uint64_t rows);
    void (*done)(void *aux, const struct data_export_result *);
    void *aux;
    pthread_t thread;
    bool joined;
    _Atomic bool stop;
    struct data_export_result r;
    char scratch[PATH_LEN];     /* The file that is being written. */
    size_t allocated;
    int64_t started_ms;
};

static const struct {
    const char *name, *options;
} formats[N_DATA_FORMATS] = {
    [DATA_PARQUET] = { "parquet", "FORMAT PARQUET, COMPRESSION ZSTD" },
    [DATA_CSV] = { "csv", "FORMAT CSV, HEADER" },
    [DATA_NDJSON] = { "ndjson", "FORMAT JSON" },
};

const char *
data_format_name(enum data_format format)
{
    return formats[format].name;
}

int
data_format_find(const char *name)
{
    for (int i = 0; i < N_DATA_FORMATS; i++) {
        if (!strcmp(formats[i].name, name)) {
            return i;
        }
    }
    return -1;
}

/* ---- Values in words: functions for DuckDB. ---- */

typedef int format_fn(const void *values, idx_t row, char *buf);

static int
put_addr(const void *values, idx_t row, char *buf)
{
    struct addr a = schema_to_addr(((const duckdb_uhugeint *) values)[row]);
    return (int) strlen(addr_format(&a, buf));
}

static int
put_mac(const void *values, idx_t row, char *buf)
{
    return (int) strlen(mac_format(((const uint64_t *) values)[row], buf));
}

static void
format_all(duckdb_data_chunk in, duckdb_vector out, format_fn *format)
{
    duckdb_vector v = duckdb_data_chunk_get_vector(in, 0);
    uint64_t *valid = duckdb_vector_get_validity(v), *out_valid = NULL;
    const void *values = duckdb_vector_get_data(v);
    idx_t n = duckdb_data_chunk_get_size(in);
    char buf[ADDR_STRLEN];

    for (idx_t i = 0; i < n; i++) {
        if (!valid || duckdb_validity_row_is_valid(valid, i)) {
            int size = format(values, i, buf);
            duckdb_vector_assign_string_element_len(out, i, buf,
                                                    (idx_t) size);
            continue;
        }
        if (!out_valid) {
            duckdb_vector_ensure_validity_writable(out);
            out_valid = duckdb_vector_get_validity(out);
        }
        duckdb_validity_set_row_invalid(out_valid, i);
    }
}

static void
format_addr(duckdb_function_info info, duckdb_data_chunk in,
            duckdb_vector out)
{
    (void) info;
    format_all(in, out, put_addr);
}

static void
format_mac(duckdb_function_info info, duckdb_data_chunk in,
           duckdb_vector out)
{
    (void) info;
    format_all(in, out, put_mac);
}

static void
register_one(duckdb_connection conn, const char *name, enum column_type type,
             duckdb_scalar_function_t f)
{
    duckdb_scalar_function s = duckdb_create_scalar_function();
    duckdb_logical_type in = duckdb_create_logical_type(schema_type(type));
    duckdb_logical_type out
        = duckdb_create_logical_type(DUCKDB_TYPE_VARCHAR);

    duckdb_scalar_function_set_name(s, name);
    duckdb_scalar_function_add_parameter(s, in);
    duckdb_scalar_function_set_return_type(s, out);
    duckdb_scalar_function_set_special_handling(s);
    duckdb_scalar_function_set_function(s, f);
    duckdb_register_scalar_function(conn, s);   /* It may be there. */
    duckdb_destroy_logical_type(&in);
    duckdb_destroy_logical_type(&out);
    duckdb_destroy_scalar_function(&s);
}

/* One column; of sets all words that hold, with blanks between them. */
static void
put_column(FILE *f, const struct column *c, unsigned k,
           enum data_format format)
{
    fputs(k ? ", " : "", f);
    switch (c->type) {
    case COLUMN_T_ADDR:
        fprintf(f, "venturi_addr(k%u)", k);
        break;
    case COLUMN_T_MAC:
        fprintf(f, "venturi_mac(k%u)", k);
        break;
    case COLUMN_T_TIME:
        /* Of Parquet, times are times. */
        fprintf(f, format == DATA_PARQUET ? "k%u"
                : "strftime(k%u, '%%Y-%%m-%%dT%%H:%%M:%%S.%%fZ')", k);
        break;
    case COLUMN_T_ENUM:
        fprintf(f, "CASE k%u", k);
        for (const struct column_word *w = c->words; w && w->name; w++) {
            fprintf(f, " WHEN %" PRIu32 " THEN '%s'", w->value, w->name);
        }
        fprintf(f, " ELSE k%u::VARCHAR END", k);
        break;
    case COLUMN_T_BITS:
        fputs("concat_ws(' '", f);
        for (const struct column_word *w = c->words; w && w->name; w++) {
            fprintf(f, ", CASE WHEN k%u & %" PRIu32 " <> 0 THEN '%s' END", k,
                    w->value, w->name);
        }
        fputs(")", f);
        break;
    default:
        fprintf(f, "k%u", k);
    }
    fprintf(f, " AS \"%s\"", c->name);
}

/* What stands before the query. */
static char *
before(const struct query *q, enum data_format format)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    if (!f) {
        return NULL;
    }
    fputs("COPY (SELECT ", f);
    put_column(f, &columns[COL_flow_end], 0, format);
    for (unsigned i = 0; i < q->records.n_fields; i++) {
        put_column(f, &columns[q->records.fields[i]], i + 1, format);
    }
    fputs(" FROM (", f);
    return fclose(f) ? (free(text), NULL) : text;
}

/* And after it. */
static char *
after(const char *path, enum data_format format)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);

    if (!f) {
        return NULL;
    }
    fputs(")) TO '", f);
    for (; *path; path++) {
        fputs(*path == '\'' ? "''" : "", f);
        fputc(*path, f);
    }
    fputc('\'', f);
    fprintf(f, format == DATA_PARQUET ? " (%s, ROW_GROUP_SIZE %d)" : " (%s)",
            formats[format].options, GROUP_ROWS);
    return fclose(f) ? (free(text), NULL) : text;
}

/* ---- One file. ---- */

static int
fail(struct data_export *x, const char *what, int e)
{
    x->r.status = DATA_FAILED;
    snprintf(x->r.error, sizeof x->r.error, "%.180s: %s", what,
             strerror(-e));
    return e;
}

/* Writes the flows of a range into the scratch file. */
static int
write_scratch(struct data_export *x, int64_t from_us, int64_t to_us,
              uint64_t *n_rows)
{
    struct store_view view;
    char why[256] = "";
    struct query q = {
        .from_us = from_us, .to_us = to_us, .filter = x->c.filter,
        .all_observations = !x->c.canonical, .limit = 1, .order = -1,
        .records = { .on = true, .all = true },
    };
    for (unsigned i = 0; i < N_COLUMNS; i++) {
        if (i != COL_flow_end) {
            q.records.fields[q.records.n_fields++] = i;
        }
    }
    char *first = before(&q, x->c.format);
    char *last = after(x->scratch, x->c.format);
    int e = first && last ? store_view_open(x->c.store, from_us, to_us, &view,
                                            why, sizeof why) : -ENOMEM;
    if (!e) {
        register_one(view.conn, "venturi_addr", COLUMN_T_ADDR, format_addr);
        register_one(view.conn, "venturi_mac", COLUMN_T_MAC, format_mac);
        *n_rows = 0;
        e = query_insert(&view, &q, first, last, &x->stop, n_rows, why,
                         sizeof why);
        store_view_close(&view);
    }
    if (e && atomic_load(&x->stop)) {
        x->r.status = DATA_CANCELLED;
        snprintf(x->r.error, sizeof x->r.error, "the export was cancelled");
    } else if (e) {
        x->r.status = DATA_FAILED;
        snprintf(x->r.error, sizeof x->r.error, "%s",
                 why[0] ? why : strerror(-e));
    }
    free(first);
    free(last);
    return e;
}

/* Copies the scratch file to 'to'.  0 and its size, or a negative errno. */
static int
copy_scratch(struct data_export *x, int to, uint64_t *bytes)
{
    char buf[COPY_SIZE];
    int from = open(x->scratch, O_RDONLY | O_CLOEXEC), e = 0;
    ssize_t n = 0;

    *bytes = 0;
    if (from < 0) {
        return -errno;
    }
    while (!e && (n = read(from, buf, sizeof buf)) > 0) {
        for (ssize_t done = 0; !e && done < n; ) {
            ssize_t wrote = write(to, buf + done, (size_t) (n - done));
            if (atomic_load(&x->stop)) {
                e = -ECANCELED;
            } else if (wrote < 0 && errno != EINTR) {
                e = -errno;
            } else if (wrote > 0) {
                done += wrote;
                *bytes += (uint64_t) wrote;
            }
        }
    }
    e = e ? e : n < 0 ? -errno : 0;
    close(from);
    return e;
}

/* DIR/day=.../hour=.../flows.FORMAT; makes the directories. */
static int
make_path(struct data_export *x, int64_t begin_us, char relative[128],
          char path[PATH_LEN])
{
    time_t t = begin_us / 1000000;
    struct tm tm;
    char day[32], hour[16] = "";

    gmtime_r(&t, &tm);
    strftime(day, sizeof day, "day=%Y-%m-%d", &tm);
    if (x->c.partition == DATA_BY_HOUR) {
        strftime(hour, sizeof hour, "/hour=%H", &tm);
    }
    snprintf(path, PATH_LEN, "%s", x->dir);
    if (mkdir(path, 0750) && errno != EEXIST) {
        return -errno;
    }
    snprintf(path, PATH_LEN, "%s/%s", x->dir, day);
    if (mkdir(path, 0750) && errno != EEXIST) {
        return -errno;
    }
    snprintf(path, PATH_LEN, "%s/%s%s", x->dir, day, hour);
    if (hour[0] && mkdir(path, 0750) && errno != EEXIST) {
        return -errno;
    }
    snprintf(relative, 128, "%s%s/flows.%s", day, hour,
             formats[x->c.format].name);
    int n = snprintf(path, PATH_LEN, "%s/%s", x->dir, relative);
    return n < PATH_LEN ? 0 : -ENAMETOOLONG;
}

static struct data_file *
add_file(struct data_export *x)
{
    struct data_export_result *r = &x->r;
    if (r->n_files == x->allocated) {
        size_t n = x->allocated ? x->allocated * 2 : 16;
        struct data_file *p = realloc(r->files, n * sizeof *p);
        if (!p) {
            return NULL;
        }
        r->files = p;
        x->allocated = n;
    }
    return &r->files[r->n_files++];
}

/* Puts the scratch file to its place in one step. */
static int
publish(struct data_export *x, int64_t begin_us, uint64_t rows)
{
    char relative[128], path[PATH_LEN], fresh[PATH_LEN + 8];
    struct stat st;
    int e = make_path(x, begin_us, relative, path);

    if (e) {
        return fail(x, path, e);
    }
    if (rename(x->scratch, path)) {
        /* Another file system: copy it beside its place first. */
        snprintf(fresh, sizeof fresh, "%s.new", path);
        int fd = errno == EXDEV
                 ? open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640)
                 : -1;
        uint64_t bytes;
        e = fd < 0 ? -errno : copy_scratch(x, fd, &bytes);
        if (fd >= 0) {
            close(fd);
        }
        if (e || rename(fresh, path)) {
            e = e ? e : -errno;
            unlink(fresh);
            return fail(x, path, e);
        }
    }
    struct data_file *f = add_file(x);
    if (f) {
        memcpy(f->path, relative, sizeof f->path);
        f->rows = rows;
        f->bytes = !stat(path, &st) ? (uint64_t) st.st_size : 0;
        x->r.bytes += f->bytes;
    }
    return 0;
}

/* ---- All of it. ---- */

static void
into_directory(struct data_export *x)
{
    int64_t span = x->c.partition == DATA_BY_HOUR ? HOUR_US : DAY_US;
    int64_t first = x->c.from_us - x->c.from_us % span;

    for (int64_t at = first; at < x->c.to_us && x->r.status == DATA_OK;
         at += span) {
        int64_t from = at > x->c.from_us ? at : x->c.from_us;
        int64_t to = at + span < x->c.to_us ? at + span : x->c.to_us;
        uint64_t rows = 0;
        if (!write_scratch(x, from, to, &rows) && rows
            && !publish(x, at, rows)) {
            x->r.rows += rows;
        }
        unlink(x->scratch);
        if (x->progress) {
            x->progress(x->aux, (double) (at + span - first)
                        / (double) (x->c.to_us - first + span), x->r.rows);
        }
    }
}

static void
into_file(struct data_export *x)
{
    if (!write_scratch(x, x->c.from_us, x->c.to_us, &x->r.rows)) {
        int e = copy_scratch(x, x->c.fd, &x->r.bytes);
        if (e) {
            fail(x, "cannot write the file", e);
        }
    }
    unlink(x->scratch);
}

/* The part of the range in which there can be flows.  Of a segment that was not
 * opened yet the store knows only when its flows arrived. */
static void
clip_range(struct data_export *x)
{
    struct store_health h;

    store_health(x->c.store, &h);
    int64_t first = h.oldest_us - CORRECT_MAX_PAST_US;
    int64_t last = h.newest_us + HOUR_US;
    if (first > x->c.from_us) {
        x->c.from_us = first;
    }
    if (!h.newest_us || last < x->c.to_us) {
        x->c.to_us = h.newest_us ? last : x->c.from_us;
    }
}

static void *
run(void *x_)
{
    struct data_export *x = x_;
    size_t n;
    int e = store_scratch(x->c.store, x->scratch, sizeof x->scratch - 64);

    if (e) {
        fail(x, x->scratch, e);
    } else {
        n = strlen(x->scratch);
        snprintf(x->scratch + n, sizeof x->scratch - n, "/export-%d-%p.%s",
                 (int) getpid(), (void *) x, formats[x->c.format].name);
        if (x->c.fd >= 0) {
            into_file(x);
        } else {
            clip_range(x);
            into_directory(x);
        }
    }
    x->r.elapsed_ms = (double) (clock_mono_ms() - x->started_ms);
    x->done(x->aux, &x->r);
    return NULL;
}

/* ---- Life. ---- */

static void
destroy(struct data_export *x)
{
    if (x->c.fd >= 0) {
        close(x->c.fd);
    }
    filter_destroy(x->c.filter);
    free(x->r.files);
    free(x->dir);
    free(x);
}

struct data_export *
data_export_start(const struct data_export_config *config,
                  void (*progress)(void *aux, double part, uint64_t rows),
                  void (*done)(void *aux, const struct data_export_result *),
                  void *aux)
{
    struct data_export *x = calloc(1, sizeof *x);

    if (!x) {
        if (config->fd >= 0) {
            close(config->fd);
        }
        filter_destroy(config->filter);
        return NULL;
    }
    x->c = *config;
    x->dir = config->dir ? strdup(config->dir) : NULL;
    x->progress = progress;
    x->done = done;
    x->aux = aux;
    x->started_ms = clock_mono_ms();
    if ((config->dir && !x->dir)
        || thread_start(&x->thread, "export", run, x)) {
        destroy(x);
        return NULL;
    }
    return x;
}

void
data_export_cancel(struct data_export *x)
{
    atomic_store(&x->stop, true);
}

void
data_export_wait(struct data_export *x)
{
    if (!x->joined) {
        pthread_join(x->thread, NULL);
        x->joined = true;
    }
}

void
data_export_finish(struct data_export *x)
{
    if (x) {
        data_export_wait(x);
        destroy(x);
    }
}
