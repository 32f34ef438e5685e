#include <config.h>

#include "collector/store/schema.h"

#include <string.h>

static const struct {
    duckdb_type type;
    const char *sql;
} sql_types[N_COLUMN_TYPES] = {
    [COLUMN_T_U8] = { DUCKDB_TYPE_UTINYINT, "UTINYINT" },
    [COLUMN_T_U16] = { DUCKDB_TYPE_USMALLINT, "USMALLINT" },
    [COLUMN_T_U32] = { DUCKDB_TYPE_UINTEGER, "UINTEGER" },
    [COLUMN_T_U64] = { DUCKDB_TYPE_UBIGINT, "UBIGINT" },
    [COLUMN_T_BOOL] = { DUCKDB_TYPE_BOOLEAN, "BOOLEAN" },
    [COLUMN_T_TIME] = { DUCKDB_TYPE_TIMESTAMP, "TIMESTAMP" },
    [COLUMN_T_ADDR] = { DUCKDB_TYPE_UHUGEINT, "UHUGEINT" },
    [COLUMN_T_MAC] = { DUCKDB_TYPE_UBIGINT, "UBIGINT" },
    [COLUMN_T_NAME] = { DUCKDB_TYPE_UINTEGER, "UINTEGER" },
    [COLUMN_T_ENUM] = { DUCKDB_TYPE_UTINYINT, "UTINYINT" },
    [COLUMN_T_BITS] = { DUCKDB_TYPE_UINTEGER, "UINTEGER" },
};

duckdb_type
schema_type(enum column_type type)
{
    return sql_types[type].type;
}

const char *
schema_sql_type(enum column_type type)
{
    return sql_types[type].sql;
}

static uint64_t
load_be64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap64(v);
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "load_be64() and store_be64() swap");

static void
store_be64(uint8_t *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, sizeof v);
}

duckdb_uhugeint
schema_from_addr(const struct addr *a)
{
    return (duckdb_uhugeint) { .upper = load_be64(a->b),
                               .lower = load_be64(a->b + 8) };
}

struct addr
schema_to_addr(duckdb_uhugeint v)
{
    struct addr a;
    store_be64(a.b, v.upper);
    store_be64(a.b + 8, v.lower);
    return a;
}
