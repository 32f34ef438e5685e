# The traffic generator; its parts are a library so that tests can link them.
bin_PROGRAMS += venturi-gen
venturi_gen_SOURCES = gen/main.c
venturi_gen_LDADD = gen/libgen.la lib/liblib.la $(COMMON_LIBS)

noinst_LTLIBRARIES += gen/libgen.la
gen_libgen_la_SOURCES = \
	gen/gen.h \
	gen/model.c \
	gen/netflow5.c \
	gen/options.c gen/options.h \
	gen/ovs_ipfix.c \
	gen/sflow.c \
	gen/sink.c gen/sink.h \
	gen/template.c \
	gen/totals.c gen/totals.h

if HAVE_CUNIT
check_PROGRAMS += tests/unit/test_gen
unit_tests += tests/unit/test_gen
tests_unit_test_gen_SOURCES = tests/unit/test_gen.c
tests_unit_test_gen_LDADD = gen/libgen.la lib/liblib.la $(CUNIT_LIBS) \
	$(COMMON_LIBS)
endif

dist_man_MANS += doc/venturi-gen.1
EXTRA_DIST += tests/interop/generator.py
interop_tests += tests/interop/test_gen.py tests/interop/test_ingest.py \
	tests/interop/test_bad_input.py tests/interop/test_kill9.py \
	tests/interop/test_diskfull.py tests/interop/test_store_faults.py
