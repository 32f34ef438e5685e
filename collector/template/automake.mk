collector_libcollector_la_SOURCES += \
	collector/template/element.c collector/template/element.h \
	collector/template/explained.c collector/template/explained.h \
	collector/template/ovs.c collector/template/ovs.h \
	collector/template/persist.c collector/template/persist.h \
	collector/template/plan.c collector/template/plan.h \
	collector/template/registry.c collector/template/registry.h \
	collector/template/registry_ntop.h \
	collector/template/structured.c collector/template/structured.h \
	collector/template/template.c collector/template/template.h

if HAVE_CUNIT
check_PROGRAMS += tests/unit/test_persist
unit_tests += tests/unit/test_persist
tests_unit_test_persist_SOURCES = tests/unit/test_persist.c
tests_unit_test_persist_LDADD = collector/libcollector.la lib/liblib.la \
	$(CUNIT_LIBS) $(COMMON_LIBS)
endif

fuzz_programs += tests/fuzz/fuzz_persist
tests_fuzz_fuzz_persist_SOURCES = tests/fuzz/fuzz_persist.c \
	tests/fuzz/replay_main.c
tests_fuzz_fuzz_persist_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_persist_LDADD = collector/libcollector.la lib/liblib.la \
	$(COMMON_LIBS)

dist_doc_DATA += doc/templates.md
