collector_libcollector_la_SOURCES += \
	collector/alert/engine.c collector/alert/engine.h \
	collector/alert/engine_p.h \
	collector/alert/model.c collector/alert/model.h \
	collector/alert/rule.c collector/alert/rule.h \
	collector/alert/seen.c collector/alert/seen.h \
	collector/alert/state.c \
	collector/alert/table.c collector/alert/table.h

if HAVE_CUNIT
check_PROGRAMS += tests/unit/test_alert
unit_tests += tests/unit/test_alert
tests_unit_test_alert_SOURCES = tests/unit/test_alert.c tests/unit/alert_day.h
tests_unit_test_alert_LDADD = collector/libcollector.la lib/liblib.la \
	$(CUNIT_LIBS) $(COMMON_LIBS) -lm
endif

bench_programs += tests/bench/bench_alert
tests_bench_bench_alert_SOURCES = tests/bench/bench_alert.c \
	tests/unit/alert_day.h
tests_bench_bench_alert_LDADD = collector/libcollector.la lib/liblib.la \
	$(COMMON_LIBS) -lm

interop_tests += tests/interop/test_alerts.py

fuzz_programs += tests/fuzz/fuzz_alerts
tests_fuzz_fuzz_alerts_SOURCES = tests/fuzz/fuzz_alerts.c \
	tests/fuzz/replay_main.c
tests_fuzz_fuzz_alerts_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_alerts_LDADD = collector/libcollector.la lib/liblib.la \
	$(COMMON_LIBS) -lm
