#include <config.h>

#include "collector/store/store_p.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/log.h"

/* How long the writer waits for queries that must let go. */
#define REPLACE_WAIT_S 5
/* Large queries may put so many times their memory on disk. */
#define TEMP_FACTOR 4
/* So much of a log is worked into its segment at once.  That takes time for
 * each table, whatever is new; and a start after a kill reads that much. */
#define CHECKPOINT_BYTES "64MB"
/* What an idle engine may keep. */
#define TRIM_MEMORY (8ULL << 20)

static int
run_va(duckdb_connection conn, duckdb_result *r, char *error, size_t size,
       const char *format, va_list args)
{
    char *sql = NULL;
    if (vasprintf(&sql, format, args) < 0) {
        snprintf(error, size, "out of memory");
        return -ENOMEM;
    }
    int retval = 0;
    if (duckdb_query(conn, sql, r) != DuckDBSuccess) {
        const char *why = duckdb_result_error(r);
        snprintf(error, size, "%s", why ? why : "unknown error");
        duckdb_destroy_result(r);
        retval = -EIO;
    }
    free(sql);
    return retval;
}

int
engine_run(duckdb_connection conn, char *error, size_t size,
           const char *format, ...)
{
    duckdb_result r;
    va_list args;
    va_start(args, format);
    int retval = run_va(conn, &r, error, size, format, args);
    va_end(args);
    if (!retval) {
        duckdb_destroy_result(&r);
    }
    return retval;
}

int
engine_integers(duckdb_connection conn, int64_t *values, size_t n,
                char *error, size_t size, const char *format, ...)
{
    duckdb_result r;
    va_list args;
    va_start(args, format);
    int retval = run_va(conn, &r, error, size, format, args);
    va_end(args);
    if (retval) {
        return retval;
    }
    memset(values, 0, n * sizeof *values);
    duckdb_data_chunk chunk = duckdb_fetch_chunk(r);
    if (!chunk || !duckdb_data_chunk_get_size(chunk)
        || duckdb_data_chunk_get_column_count(chunk) < n) {
        snprintf(error, size, "no answer");
        retval = -EIO;
    }
    for (size_t i = 0; !retval && i < n; i++) {
        duckdb_vector v = duckdb_data_chunk_get_vector(chunk, i);
        uint64_t *valid = duckdb_vector_get_validity(v);
        if (!valid || duckdb_validity_row_is_valid(valid, 0)) {
            values[i] = ((int64_t *) duckdb_vector_get_data(v))[0];
        }
    }
    if (chunk) {
        duckdb_destroy_data_chunk(&chunk);
    }
    duckdb_destroy_result(&r);
    return retval;
}

static bool
says_one_of(const char *error, const char *const *words)
{
    for (; *words; words++) {
        if (strstr(error, *words)) {
            return true;
        }
    }
    return false;
}

bool
engine_says_corrupt(const char *error)
{
    /* What DuckDB 1.5 says when bits of a file were flipped, or it was cut.  A
     * full disk, missing rights or another owner are nobody's damage. */
    static const char *const damage[] = {
        "not a valid DuckDB database", "Corrupt", "corrupt", "checksum",
        "Could not read enough bytes", "Is a directory", "deserializ",
        "Serialization Error", "replaying WAL", "INTERNAL Error",
        "does not exist!", NULL
    };
    static const char *const passing[] = {
        "No space left", "Permission denied", "Read-only file system",
        "Too many open files", "Could not set lock", "Cannot allocate",
        "Out of Memory", "Quota exceeded", "quota", NULL
    };
    return says_one_of(error, damage) && !says_one_of(error, passing);
}

bool
engine_says_fatal(const char *error)
{
    static const char *const fatal[] = { "FATAL Error", "INTERNAL Error",
                                         NULL };
    return says_one_of(error, fatal);
}

/* Text as an SQL literal: quotes are doubled. */
static void
print_quoted(FILE *f, const char *text)
{
    putc('\'', f);
    for (; *text; text++) {
        if (*text == '\'') {
            putc('\'', f);
        }
        putc(*text, f);
    }
    putc('\'', f);
}

static int
restrict_access(struct store *s, char *error, size_t size)
{
    char *sql = NULL;
    size_t sql_size;
    FILE *f = open_memstream(&sql, &sql_size);
    if (!f) {
        snprintf(error, size, "out of memory");
        return -ENOMEM;
    }
    /* Our SQL names no other file; should it ever, DuckDB refuses. */
    fputs("SET temp_directory = ", f);
    char *tmp = NULL;
    if (asprintf(&tmp, "%s/tmp", s->dir) < 0) {
        tmp = NULL;
    }
    print_quoted(f, tmp ? tmp : "");
    free(tmp);
    fprintf(f, "; SET max_temp_directory_size = '%lluB'",
            (unsigned long long) s->config.memory_limit * TEMP_FACTOR);
    fputs("; SET allowed_directories = [", f);
    print_quoted(f, s->dir);
    fputs("]; SET enable_external_access = false", f);
    if (fclose(f)) {
        free(sql);
        return -ENOMEM;
    }
    int retval = engine_run(s->engine.ctl, error, size, "%s", sql);
    free(sql);
    return retval;
}

int
engine_open(struct store *s, char **error)
{
    struct engine *e = &s->engine;
    duckdb_config config = NULL;
    char memory[32], text[256] = "";
    char *why = NULL;

    snprintf(memory, sizeof memory, "%lluB",
             (unsigned long long) s->config.memory_limit);
    const struct { const char *name, *value; } options[] = {
        { "threads", "1" },
        { "memory_limit", memory },
        { "checkpoint_threshold", CHECKPOINT_BYTES },
        { "autoinstall_known_extensions", "false" },
        { "autoload_known_extensions", "false" },
    };

    memset(e, 0, sizeof *e);
    e->threads = 1;
    bool ok = duckdb_create_config(&config) == DuckDBSuccess;
    for (size_t i = 0; ok && i < sizeof options / sizeof options[0]; i++) {
        ok = duckdb_set_config(config, options[i].name, options[i].value)
             == DuckDBSuccess;
    }
    ok = ok && duckdb_open_ext(NULL, &e->db, config, &why) == DuckDBSuccess
         && duckdb_connect(e->db, &e->ctl) == DuckDBSuccess
         && !restrict_access(s, text, sizeof text);
    duckdb_destroy_config(&config);
    if (!ok) {
        if (error && asprintf(error, "cannot start DuckDB: %s",
                              why ? why : text) < 0) {
            *error = NULL;
        }
        engine_close(s);
    }
    duckdb_free(why);
    return ok ? 0 : -EIO;
}

void
engine_close(struct store *s)
{
    if (s->engine.ctl) {
        duckdb_disconnect(&s->engine.ctl);
    }
    if (s->engine.db) {
        duckdb_close(&s->engine.db);
    }
}

void
engine_set_threads(struct store *s, unsigned n)
{
    char why[256];

    n = n ? n : 1;
    if (s->engine.ctl && s->engine.threads != n
        && !engine_run(s->engine.ctl, why, sizeof why, "SET threads = %u",
                       n)) {
        s->engine.threads = n;
    }
}

void
engine_trim(struct store *s)
{
    char why[256];
    unsigned long long limit = s->config.memory_limit;

    /* DuckDB evicts what is above a new limit and gives memory of its
     * allocator back to the system then, and only then. */
    if (s->engine.ctl
        && !engine_run(s->engine.ctl, why, sizeof why,
                       "SET memory_limit = '%lluB'", TRIM_MEMORY)) {
        engine_run(s->engine.ctl, why, sizeof why,
                   "SET memory_limit = '%lluB'", limit);
    }
}

int
engine_replace(struct store *s)
{
    struct timespec until;
    int retval = 0;

    atomic_store(&s->engine.broken, true);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += REPLACE_WAIT_S;

    pthread_mutex_lock(&s->lock);
    while (s->n_views && !retval) {
        retval = -pthread_cond_timedwait(&s->views_gone, &s->lock, &until);
    }
    if (!s->n_views) {
        char *why = NULL;
        for (size_t i = 0; i < s->n_segments; i++) {
            s->segments[i]->state = SEGMENT_DETACHED;
        }
        engine_close(s);
        retval = engine_open(s, &why);
        if (retval) {
            LOG(store, ERR, "%s", why ? why : "cannot start DuckDB");
        } else {
            LOG(store, NOTICE, "started DuckDB anew after a fatal error");
        }
        free(why);
    }
    pthread_mutex_unlock(&s->lock);
    return retval;
}
