#include <config.h>

#include "collector/query/sql.h"

#include <inttypes.h>

static void
table(FILE *f, const char *schema, const char *name)
{
    fprintf(f, "%s.main.%s", schema, name);
}

static void
parameter(FILE *f, size_t n, enum column_type type)
{
    if (type == COLUMN_T_NAME) {
        fprintf(f, "$%zu::VARCHAR", n);
    } else {
        fprintf(f, "$%zu::%s", n, schema_sql_type(type));
    }
}

static void
null(FILE *f, enum column_type type)
{
    fprintf(f, "NULL::%s", schema_sql_type(type));
}

static void
bucket(FILE *f, const char *time, size_t n)
{
    /* time_bucket() counts from 2000; everybody else from 1970. */
    fprintf(f, "make_timestamp(epoch_us(%s) - epoch_us(%s) %% $%zu::BIGINT)",
            time, time, n);
}

static void
wide(FILE *f, bool begin)
{
    fputs(begin ? "(" : ")::UHUGEINT", f);
}

static void
elapsed_ms(FILE *f, bool begin)
{
    fputs(begin ? "greatest(date_sub('millisecond', " : "), 0)", f);
}

static void
label(FILE *f, enum sql_label part)
{
    static const char *const parts[] = {
        [SQL_LABEL_COLUMN] = "regexp_replace(regexp_extract(',' || (",
        [SQL_LABEL_PATTERN] = "), ",
        [SQL_LABEL_END] = ", 1), '\\\\([,=\\\\])', '\\1', 'g')",
    };
    fputs(parts[part], f);
}

static void
percentile(FILE *f, const char *column, uint64_t n)
{
    uint64_t rank = n - n / 20; /* ceil(0.95 n), from 1. */
    /* The zeros are the smallest: only if there are fewer than 'rank' of them
     * it is one of the values. */
    fprintf(f, "CASE WHEN count(%s) > %" PRIu64 " THEN list_sort(list(%s) "
            "FILTER (WHERE %s IS NOT NULL))[%" PRIu64 " - (%" PRIu64
            " - count(%s))] ELSE 0 END", column, n - rank, column, column,
            rank, n, column);
}

const struct sql_dialect sql_duckdb = {
    .name = "duckdb",
    .table = table,
    .parameter = parameter,
    .null = null,
    .bucket = bucket,
    .wide = wide,
    .elapsed_ms = elapsed_ms,
    .label = label,
    .percentile = percentile,
};
