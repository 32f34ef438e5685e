collector_libcollector_la_SOURCES += \
	collector/identity/again.c collector/identity/again.h \
	collector/identity/binding.c \
	collector/identity/face.c \
	collector/identity/identity.c collector/identity/identity.h \
	collector/identity/identity_p.h \
	collector/identity/journal.c collector/identity/journal.h \
	collector/identity/labels.c collector/identity/labels.h \
	collector/identity/numbered.c collector/identity/numbered.h \
	collector/identity/past.c collector/identity/past.h \
	collector/identity/past_p.h \
	collector/identity/past_set.c collector/identity/past_set.h \
	collector/identity/past_write.c \
	collector/identity/block_pool.c collector/identity/block_pool.h \
	collector/identity/record.c collector/identity/record.h \
	collector/identity/resolve.c \
	collector/identity/stage.c collector/identity/stage.h \
	collector/identity/why.c collector/identity/why.h

if HAVE_CUNIT
check_PROGRAMS += tests/unit/test_identity
unit_tests += tests/unit/test_identity
tests_unit_test_identity_SOURCES = tests/unit/test_identity.c
tests_unit_test_identity_LDADD = collector/libcollector.la lib/liblib.la \
	$(CUNIT_LIBS) $(COMMON_LIBS)
endif

bench_programs += tests/bench/bench_identity
tests_bench_bench_identity_SOURCES = tests/bench/bench_identity.c
tests_bench_bench_identity_LDADD = collector/libcollector.la lib/liblib.la \
	$(COMMON_LIBS)

if HAVE_CUNIT
check_PROGRAMS += tests/unit/test_journal
unit_tests += tests/unit/test_journal
tests_unit_test_journal_SOURCES = tests/unit/test_journal.c \
	tests/unit/identity_dir.h
tests_unit_test_journal_LDADD = collector/libcollector.la lib/liblib.la \
	$(CUNIT_LIBS) $(COMMON_LIBS) $(ZLIB_LIBS)
endif

if HAVE_CUNIT
check_PROGRAMS += tests/unit/test_past
unit_tests += tests/unit/test_past
tests_unit_test_past_SOURCES = tests/unit/test_past.c \
	tests/unit/identity_dir.h
tests_unit_test_past_LDADD = collector/libcollector.la lib/liblib.la \
	$(CUNIT_LIBS) $(COMMON_LIBS) $(ZLIB_LIBS)
endif

interop_tests += tests/interop/test_identity.py \
	tests/interop/test_identity_ovn.py tests/interop/test_identity_ovsdb.py \
	tests/interop/test_inventory.py \
	tests/interop/test_libvirt.py
EXTRA_DIST += tests/interop/ovn.py
