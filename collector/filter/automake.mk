AM_YFLAGS = -d -Wno-yacc
collector_libcollector_la_SOURCES += \
	collector/filter/complete.c \
	collector/filter/confine.c collector/filter/confine.h \
	collector/filter/eval.c collector/filter/eval.h \
	collector/filter/eval_p.h collector/filter/eval_shared.c \
	collector/filter/eval_set.c collector/filter/eval_term.c \
	collector/filter/filter.c collector/filter/filter.h \
	collector/filter/filter_p.h \
	collector/filter/grammar.y \
	collector/filter/lexer.l \
	collector/filter/names.c collector/filter/names.h \
	collector/filter/pattern.c collector/filter/pattern.h \
	collector/filter/phrase.c
BUILT_SOURCES += collector/filter/grammar.h

if HAVE_CUNIT
check_PROGRAMS += tests/unit/test_filter
unit_tests += tests/unit/test_filter
tests_unit_test_filter_SOURCES = tests/unit/test_filter.c
tests_unit_test_filter_LDADD = collector/libcollector.la lib/liblib.la \
	$(DUCKDB_LIBS) $(CUNIT_LIBS) $(COMMON_LIBS)

check_PROGRAMS += tests/unit/test_eval
unit_tests += tests/unit/test_eval
tests_unit_test_eval_SOURCES = tests/unit/test_eval.c \
	tests/unit/query_util.h tests/unit/store_util.h
tests_unit_test_eval_CPPFLAGS = $(AM_CPPFLAGS) $(DUCKDB_CPPFLAGS)
tests_unit_test_eval_LDADD = collector/libcollector.la lib/liblib.la \
	$(DUCKDB_LIBS) $(CUNIT_LIBS) $(COMMON_LIBS)
endif

dist_doc_DATA += doc/filter.md doc/queries.md

fuzz_programs += tests/fuzz/fuzz_filter
tests_fuzz_fuzz_filter_SOURCES = tests/fuzz/fuzz_filter.c \
	tests/fuzz/replay_main.c
tests_fuzz_fuzz_filter_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_filter_LDADD = collector/libcollector.la lib/liblib.la \
	$(DUCKDB_LIBS) $(COMMON_LIBS)
