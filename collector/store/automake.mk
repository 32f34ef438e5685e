collector_libcollector_la_SOURCES += \
	collector/store/append.c \
	collector/store/block.h collector/store/block_p.h \
	collector/store/block_fetch.c collector/store/block_load.c \
	collector/store/block_reader_p.h \
	collector/store/block_read.c collector/store/block_write.c \
	collector/store/engine.c \
	collector/store/pack.c collector/store/pack.h \
	collector/store/prune.c collector/store/prune.h \
	collector/store/scan.c collector/store/scan.h \
	collector/store/scan_p.h collector/store/scan_sums.c \
	collector/store/schema.c collector/store/schema.h \
	collector/store/segfile.c collector/store/segfile.h \
	collector/store/segment.c \
	collector/store/store.c collector/store/store.h \
	collector/store/store_p.h \
	collector/store/sums.c collector/store/sums.h \
	collector/store/sums_few.c \
	collector/store/sums_key.c collector/store/sums_p.h \
	collector/store/sums_part.c \
	collector/store/sums_top.c \
	collector/store/table.c collector/store/table.h \
	collector/store/utf8.c collector/store/utf8.h \
	collector/store/view.c collector/store/view.h \
	collector/store/writer.c

if HAVE_CUNIT
check_PROGRAMS += tests/unit/test_block
unit_tests += tests/unit/test_block
tests_unit_test_block_SOURCES = tests/unit/test_block.c \
	tests/unit/store_util.h
tests_unit_test_block_LDADD = collector/libcollector.la lib/liblib.la \
	$(DUCKDB_LIBS) $(CUNIT_LIBS) $(COMMON_LIBS)

check_PROGRAMS += tests/unit/test_sums
unit_tests += tests/unit/test_sums
tests_unit_test_sums_SOURCES = tests/unit/test_sums.c \
	tests/unit/store_util.h
tests_unit_test_sums_LDADD = collector/libcollector.la lib/liblib.la \
	$(DUCKDB_LIBS) $(CUNIT_LIBS) $(COMMON_LIBS)

check_PROGRAMS += tests/unit/test_sums_top
unit_tests += tests/unit/test_sums_top
tests_unit_test_sums_top_SOURCES = tests/unit/test_sums_top.c \
	tests/unit/query_util.h tests/unit/store_util.h
tests_unit_test_sums_top_CPPFLAGS = $(AM_CPPFLAGS) $(DUCKDB_CPPFLAGS)
tests_unit_test_sums_top_LDADD = collector/libcollector.la lib/liblib.la \
	$(DUCKDB_LIBS) $(CUNIT_LIBS) $(COMMON_LIBS)

check_PROGRAMS += tests/unit/test_store
unit_tests += tests/unit/test_store
tests_unit_test_store_SOURCES = tests/unit/test_store.c tests/unit/store_util.h
tests_unit_test_store_CPPFLAGS = $(AM_CPPFLAGS) $(DUCKDB_CPPFLAGS)
tests_unit_test_store_LDADD = collector/libcollector.la lib/liblib.la \
	$(DUCKDB_LIBS) $(CUNIT_LIBS) $(COMMON_LIBS)
endif

fuzz_programs += tests/fuzz/fuzz_block
tests_fuzz_fuzz_block_SOURCES = tests/fuzz/fuzz_block.c \
	tests/fuzz/replay_main.c
tests_fuzz_fuzz_block_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_block_LDADD = collector/libcollector.la lib/liblib.la \
	$(DUCKDB_LIBS) $(COMMON_LIBS)

bench_programs += tests/bench/bench_store
tests_bench_bench_store_SOURCES = tests/bench/bench_store.c \
	tests/unit/store_util.h
tests_bench_bench_store_LDADD = collector/libcollector.la lib/liblib.la \
	$(DUCKDB_LIBS) $(COMMON_LIBS)

dist_doc_DATA += doc/store.md
