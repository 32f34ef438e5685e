noinst_LTLIBRARIES += bgp/libbgp.la
bgp_libbgp_la_SOURCES = \
	bgp/arena.c bgp/arena.h \
	bgp/attr_write.c \
	bgp/attrs.c bgp/attrs.h \
	bgp/routelog.c bgp/routelog.h bgp/routelog_p.h \
	bgp/routelog_block.c bgp/routelog_file.c \
	bgp/routelog_query.c bgp/routelog_record.c \
	bgp/lpm.c bgp/lpm.h \
	bgp/rib.c bgp/rib.h bgp/rib_p.h \
	bgp/route.h \
	bgp/stamp.c bgp/stamp.h \
	bgp/view.c bgp/view.h
bgp_libbgp_la_CPPFLAGS = $(AM_CPPFLAGS) $(URCU_CFLAGS) $(ZLIB_CFLAGS)

if HAVE_CUNIT
bgp_tests = \
	tests/unit/test_routelog \
	tests/unit/test_lpm \
	tests/unit/test_rib \
	tests/unit/test_stamp
bgp_test_libs = bgp/libbgp.la lib/liblib.la $(CUNIT_LIBS) $(ZLIB_LIBS) \
	$(BZ2_LIBS) $(COMMON_LIBS)
check_PROGRAMS += $(bgp_tests)
unit_tests += $(bgp_tests)
tests_unit_test_routelog_SOURCES = tests/unit/test_routelog.c
tests_unit_test_routelog_LDADD = $(bgp_test_libs)
tests_unit_test_lpm_SOURCES = tests/unit/test_lpm.c
tests_unit_test_lpm_LDADD = $(bgp_test_libs)
tests_unit_test_rib_SOURCES = tests/unit/test_rib.c
tests_unit_test_rib_LDADD = $(bgp_test_libs)
tests_unit_test_stamp_SOURCES = tests/unit/test_stamp.c
tests_unit_test_stamp_LDADD = $(bgp_test_libs)
endif

include bgp/session.mk

bench_helpers += tests/bench/bgp_feed
tests_bench_bgp_feed_SOURCES = tests/bench/bgp_feed.c tests/bench/routes.c \
	tests/bench/routes.h
tests_bench_bgp_feed_LDADD = lib/liblib.la $(COMMON_LIBS)
bench_programs += tests/bench/bench_rib
tests_bench_bench_rib_SOURCES = tests/bench/bench_rib.c \
	tests/bench/routes.c tests/bench/routes.h
tests_bench_bench_rib_LDADD = bgp/libbgp.la lib/liblib.la $(ZLIB_LIBS) \
	$(BZ2_LIBS) $(COMMON_LIBS)

bench_programs += tests/bench/bench_routelog
tests_bench_bench_routelog_SOURCES = tests/bench/bench_routelog.c \
	tests/bench/routes.c tests/bench/routes.h
tests_bench_bench_routelog_LDADD = bgp/libbgp.la lib/liblib.la $(ZLIB_LIBS) \
	$(BZ2_LIBS) $(COMMON_LIBS)
