noinst_LTLIBRARIES += probe/libprobe.la
probe_libprobe_la_SOURCES = \
	probe/decide.c probe/decide.h \
	probe/netlink.c \
	probe/probe.c probe/probe.h
probe_libprobe_la_CPPFLAGS = $(AM_CPPFLAGS) -DPKGLIBDIR='"$(pkglibdir)"'

# Loaded into softflowd, not linked with anything of ours: built by hand, as
# libtool makes no shared libraries here, and without sanitizers.
probelibdir = $(pkglibdir)
nodist_probelib_DATA = probe/softflowd-now.so
EXTRA_DIST += probe/softflowd_now.c
CLEANFILES += probe/softflowd-now.so
probe/softflowd-now.so: probe/softflowd_now.c
	$(AM_V_GEN)$(MKDIR_P) probe && \
	  $(CC) $(DEFS) $(DEFAULT_INCLUDES) $(CPPFLAGS) -O2 -fPIC -shared \
	    -o $@ $(top_srcdir)/probe/softflowd_now.c -ldl

if HAVE_CUNIT
check_PROGRAMS += tests/unit/test_probe
unit_tests += tests/unit/test_probe
tests_unit_test_probe_SOURCES = tests/unit/test_probe.c
tests_unit_test_probe_LDADD = probe/libprobe.la lib/liblib.la $(EV_LIBS) \
	$(CUNIT_LIBS) $(COMMON_LIBS)
endif

dist_doc_DATA += doc/probe.md

fuzz_programs += tests/fuzz/fuzz_netlink
tests_fuzz_fuzz_netlink_SOURCES = tests/fuzz/fuzz_netlink.c \
	tests/fuzz/replay_main.c
tests_fuzz_fuzz_netlink_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_netlink_LDADD = probe/libprobe.la lib/liblib.la \
	$(COMMON_LIBS)
