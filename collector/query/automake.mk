collector_libcollector_la_SOURCES += \
	collector/query/dialect_duckdb.c \
	collector/query/exec.c collector/query/exec_p.h \
	collector/query/resolver.c collector/query/resolver.h \
	collector/query/export.c collector/query/export.h \
	collector/query/groups.c \
	collector/query/insert.h \
	collector/query/key.c collector/query/key.h \
	collector/query/metric.c collector/query/metric.h \
	collector/query/pool.c \
	collector/query/query.c collector/query/query.h \
	collector/query/rollup.c collector/query/rollup.h \
	collector/query/rollup_p.h \
	collector/query/rollup_plan.c collector/query/rollup_plan.h \
	collector/query/sql.c collector/query/sql.h \
	collector/query/sql_filter.c collector/query/sql_key.c \
	collector/query/sql_p.h

if HAVE_CUNIT
check_PROGRAMS += tests/unit/test_query
unit_tests += tests/unit/test_query
tests_unit_test_query_SOURCES = tests/unit/test_query.c \
	tests/unit/query_util.h tests/unit/store_util.h
tests_unit_test_query_CPPFLAGS = $(AM_CPPFLAGS) $(DUCKDB_CPPFLAGS)
tests_unit_test_query_LDADD = collector/libcollector.la lib/liblib.la \
	$(DUCKDB_LIBS) $(CUNIT_LIBS) $(COMMON_LIBS)

check_PROGRAMS += tests/unit/test_rollup
unit_tests += tests/unit/test_rollup
tests_unit_test_rollup_SOURCES = tests/unit/test_rollup.c \
	tests/unit/query_util.h tests/unit/store_util.h
tests_unit_test_rollup_CPPFLAGS = $(AM_CPPFLAGS) $(DUCKDB_CPPFLAGS)
tests_unit_test_rollup_LDADD = collector/libcollector.la lib/liblib.la \
	$(DUCKDB_LIBS) $(CUNIT_LIBS) $(COMMON_LIBS)

check_PROGRAMS += tests/unit/test_flow
unit_tests += tests/unit/test_flow
tests_unit_test_flow_SOURCES = tests/unit/test_flow.c tests/unit/store_util.h
tests_unit_test_flow_CPPFLAGS = $(AM_CPPFLAGS) $(JSONC_CFLAGS)
tests_unit_test_flow_LDADD = $(api_test_libs) $(CUNIT_LIBS)
endif

interop_tests += tests/interop/test_queries.py \
	tests/interop/test_query_load.py tests/interop/test_query_values.py

bench_programs += tests/bench/bench_scale
tests_bench_bench_scale_SOURCES = tests/bench/bench_scale.c \
	tests/unit/query_util.h tests/unit/store_util.h
tests_bench_bench_scale_LDADD = collector/libcollector.la lib/liblib.la \
	$(DUCKDB_LIBS) $(COMMON_LIBS) -lm

bench_programs += tests/bench/bench_rollup
tests_bench_bench_rollup_SOURCES = tests/bench/bench_rollup.c \
	tests/unit/store_util.h
tests_bench_bench_rollup_LDADD = collector/libcollector.la lib/liblib.la \
	$(DUCKDB_LIBS) $(COMMON_LIBS)
