#include <config.h>

#include "collector/store/store_p.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"

/* Large queries may put so many times their memory on disk. */
#define TEMP_FACTOR 4
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

bool
engine_says_fatal(const char *error)
{
    return strstr(error, "FATAL Error") || strstr(error, "INTERNAL Error");
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
    char memory[32], threads[16], text[256] = "";
    char *why = NULL;

    snprintf(memory, sizeof memory, "%lluB",
             (unsigned long long) s->config.memory_limit);
    snprintf(threads, sizeof threads, "%u",
             s->config.query_threads ? s->config.query_threads : 1);
    const struct { const char *name, *value; } options[] = {
        { "threads", threads },
        { "memory_limit", memory },
        { "autoinstall_known_extensions", "false" },
        { "autoload_known_extensions", "false" },
    };

    memset(e, 0, sizeof *e);
    bool ok = duckdb_create_config(&config) == DuckDBSuccess;
    for (size_t i = 0; ok && i < sizeof options / sizeof options[0]; i++) {
        ok = duckdb_set_config(config, options[i].name, options[i].value)
             == DuckDBSuccess;
    }
    ok = ok && duckdb_open_ext(NULL, &e->db, config, &why) == DuckDBSuccess
         && duckdb_connect(e->db, &e->ctl) == DuckDBSuccess
         && !scan_register(s) && !restrict_access(s, text, sizeof text);
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
    char *why = NULL;

    engine_close(s);
    int retval = engine_open(s, &why);
    if (retval) {
        LOG(store, ERR, "%s", why ? why : "cannot start DuckDB");
        atomic_store(&s->engine.broken, true);
    } else {
        LOG(store, NOTICE, "started DuckDB anew");
    }
    free(why);
    return retval;
}
