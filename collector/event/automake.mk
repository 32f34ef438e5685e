collector_libcollector_la_SOURCES += \
	collector/event/exporters.c collector/event/exporters.h \
	collector/event/journal.c collector/event/journal.h

if HAVE_CUNIT
check_PROGRAMS += tests/unit/test_event
unit_tests += tests/unit/test_event
tests_unit_test_event_SOURCES = tests/unit/test_event.c
tests_unit_test_event_LDADD = collector/libcollector.la lib/liblib.la \
	$(CUNIT_LIBS) $(COMMON_LIBS) $(ZLIB_LIBS)
endif

interop_tests += tests/interop/test_events.py

fuzz_programs += tests/fuzz/fuzz_event
tests_fuzz_fuzz_event_SOURCES = tests/fuzz/fuzz_event.c \
	tests/fuzz/replay_main.c
tests_fuzz_fuzz_event_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_event_LDADD = collector/libcollector.la lib/liblib.la \
	$(COMMON_LIBS) $(ZLIB_LIBS)
