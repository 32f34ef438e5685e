collector_libcollector_la_SOURCES += \
	collector/import/import.c collector/import/import.h \
	collector/import/lzo.c collector/import/lzo.h \
	collector/import/nfcapd.c collector/import/nfcapd.h \
	collector/import/nfcapd_name.c \
	collector/import/nfcapd_p.h collector/import/nfcapd_record.c

if HAVE_CUNIT
check_PROGRAMS += tests/unit/test_nfcapd
unit_tests += tests/unit/test_nfcapd
tests_unit_test_nfcapd_SOURCES = tests/unit/test_nfcapd.c
tests_unit_test_nfcapd_LDADD = collector/libcollector.la lib/liblib.la \
	$(IMPORT_LIBS) $(CUNIT_LIBS) $(COMMON_LIBS)
endif

fuzz_programs += tests/fuzz/fuzz_nfcapd
tests_fuzz_fuzz_nfcapd_SOURCES = tests/fuzz/fuzz_nfcapd.c \
	tests/fuzz/replay_main.c
tests_fuzz_fuzz_nfcapd_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_nfcapd_LDADD = collector/libcollector.la lib/liblib.la \
	$(IMPORT_LIBS) $(COMMON_LIBS)

interop_tests += tests/interop/test_import.py \
	tests/interop/test_export_data.py tests/interop/test_times.py
dist_doc_DATA += doc/import.md
