noinst_LTLIBRARIES += lib/liblib.la
lib_liblib_la_SOURCES = \
	lib/acceptor.c lib/acceptor.h \
	lib/addr.c lib/addr.h \
	lib/batch.c lib/batch.h \
	lib/binding.h \
	lib/clock.c lib/clock.h \
	lib/column.c lib/column.h \
	lib/counter.h \
	lib/cursor.h \
	lib/dict.c lib/dict.h \
	lib/event.c lib/event.h lib/event_counters.h \
	lib/file.c lib/file.h \
	lib/log.c lib/log.h \
	lib/ring.c lib/ring.h \
	lib/seed.c lib/seed.h \
	lib/source.c lib/source.h \
	lib/fnv.h lib/mix.h lib/text.c lib/text.h \
	lib/thread.c lib/thread.h \
	lib/turns.h
lib_liblib_la_CPPFLAGS = $(AM_CPPFLAGS) $(SYSTEMD_CFLAGS)
lib_liblib_la_LIBADD = $(SYSTEMD_LIBS)

if HAVE_CUNIT
lib_tests = \
	tests/unit/test_addr \
	tests/unit/test_batch \
	tests/unit/test_clock \
	tests/unit/test_cursor \
	tests/unit/test_dict \
	tests/unit/test_log \
	tests/unit/test_ring \
	tests/unit/test_source
lib_test_libs = lib/liblib.la $(CUNIT_LIBS) $(COMMON_LIBS)
check_PROGRAMS += $(lib_tests)
unit_tests += $(lib_tests)
tests_unit_test_addr_SOURCES = tests/unit/test_addr.c
tests_unit_test_addr_LDADD = $(lib_test_libs)
tests_unit_test_batch_SOURCES = tests/unit/test_batch.c
tests_unit_test_batch_LDADD = $(lib_test_libs)
tests_unit_test_clock_SOURCES = tests/unit/test_clock.c
tests_unit_test_clock_LDADD = $(lib_test_libs)
tests_unit_test_cursor_SOURCES = tests/unit/test_cursor.c
tests_unit_test_cursor_LDADD = $(lib_test_libs)
tests_unit_test_dict_SOURCES = tests/unit/test_dict.c
tests_unit_test_dict_LDADD = $(lib_test_libs)
tests_unit_test_log_SOURCES = tests/unit/test_log.c
tests_unit_test_log_LDADD = $(lib_test_libs)
tests_unit_test_ring_SOURCES = tests/unit/test_ring.c
tests_unit_test_ring_LDADD = $(lib_test_libs)
tests_unit_test_source_SOURCES = tests/unit/test_source.c
tests_unit_test_source_LDADD = $(lib_test_libs)
endif
