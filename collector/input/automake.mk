collector_libcollector_la_SOURCES += \
	collector/exporter/correct.c collector/exporter/correct.h \
	collector/input/input.c collector/input/input.h \
	collector/input/input_p.h collector/input/listen.c \
	collector/input/pace.h \
	collector/input/socket.c collector/input/socket.h \
	collector/input/steer.c collector/input/steer.h \
	collector/input/tcp.c collector/input/tcp.h \
	collector/input/tls.c collector/input/tls.h

if HAVE_CUNIT
check_PROGRAMS += tests/unit/test_correct tests/unit/test_input
unit_tests += tests/unit/test_correct tests/unit/test_input
tests_unit_test_correct_SOURCES = tests/unit/test_correct.c
tests_unit_test_correct_LDADD = collector/libcollector.la lib/liblib.la \
	$(CUNIT_LIBS) $(COMMON_LIBS)
tests_unit_test_input_SOURCES = tests/unit/test_input.c
tests_unit_test_input_LDADD = collector/libcollector.la lib/liblib.la \
	$(CUNIT_LIBS) $(EV_LIBS) $(SSL_LIBS) $(COMMON_LIBS)
endif
fuzz_programs += tests/fuzz/fuzz_session
tests_fuzz_fuzz_session_SOURCES = tests/fuzz/fuzz_session.c \
	tests/fuzz/replay_main.c
tests_fuzz_fuzz_session_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_session_LDADD = collector/libcollector.la lib/liblib.la \
	$(EV_LIBS) $(SSL_LIBS) $(COMMON_LIBS)
interop_tests += tests/interop/test_transport.py
EXTRA_DIST += tests/interop/ipfix.py
interop_tests += tests/interop/test_exporters.py
interop_tests += tests/interop/test_attack.py
check_PROGRAMS += tests/interop/flood
tests_interop_flood_SOURCES = tests/interop/flood.c
dist_doc_DATA += doc/input.md
