collector_libcollector_la_SOURCES += \
	collector/exporter/accuracy.c collector/exporter/accuracy.h \
	collector/exporter/counter_field.c \
	collector/exporter/counter_field.h \
	collector/exporter/counter_log.c collector/exporter/counter_log.h \
	collector/exporter/interface_counters.c \
	collector/exporter/interface_counters.h \
	collector/exporter/source_table.c collector/exporter/source_table.h

if HAVE_CUNIT
check_PROGRAMS += tests/unit/test_counter_log
unit_tests += tests/unit/test_counter_log
tests_unit_test_counter_log_SOURCES = tests/unit/test_counter_log.c
tests_unit_test_counter_log_LDADD = collector/libcollector.la lib/liblib.la \
	$(CUNIT_LIBS) $(COMMON_LIBS)
endif
