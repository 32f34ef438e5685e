collector_libcollector_la_SOURCES += \
	collector/channel/channel.c collector/channel/channel.h \
	collector/channel/tap.c collector/channel/tap.h

if HAVE_CUNIT
check_PROGRAMS += tests/unit/test_channel
unit_tests += tests/unit/test_channel
tests_unit_test_channel_SOURCES = tests/unit/test_channel.c \
	tests/unit/store_util.h
tests_unit_test_channel_CPPFLAGS = $(AM_CPPFLAGS) $(JSONC_CFLAGS)
tests_unit_test_channel_LDADD = $(api_test_libs) $(CUNIT_LIBS)

check_PROGRAMS += tests/unit/test_tap
unit_tests += tests/unit/test_tap
tests_unit_test_tap_SOURCES = tests/unit/test_tap.c tests/unit/store_util.h
tests_unit_test_tap_LDADD = collector/libcollector.la lib/liblib.la \
	$(DUCKDB_LIBS) $(CUNIT_LIBS) $(COMMON_LIBS)
endif

bench_programs += tests/bench/bench_channel
tests_bench_bench_channel_SOURCES = tests/bench/bench_channel.c \
	tests/unit/store_util.h
tests_bench_bench_channel_LDADD = collector/libcollector.la lib/liblib.la \
	$(DUCKDB_LIBS) $(COMMON_LIBS)
