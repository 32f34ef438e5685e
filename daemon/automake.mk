sbin_PROGRAMS += venturid
venturid_SOURCES = \
	daemon/main.c \
	daemon/bridges.c daemon/collect.c daemon/probes.c daemon/reload.c daemon/state.c \
	daemon/daemon.c daemon/daemon.h daemon/daemon_p.h \
	daemon/names.c daemon/names.h \
	daemon/alerts.c daemon/alerts.h \
	daemon/events.c daemon/events.h \
	daemon/observe.c daemon/observe.h \
	daemon/options.c daemon/options.h \
	daemon/privilege.c daemon/privilege.h \
	daemon/route_events.c daemon/route_events.h \
	daemon/routing.c daemon/routing.h \
	daemon/watch.c daemon/watch.h \
	daemon/turns.c
venturid_CPPFLAGS = $(AM_CPPFLAGS) $(JSONC_CFLAGS) $(SYSTEMD_CFLAGS)
venturid_LDADD = api/libapi.la probe/libprobe.la bgp/libbgp.la ovsdb/libovsdb.la \
	collector/libcollector.la \
	lib/liblib.la $(OVS_LIBS) $(DUCKDB_LIBS) $(YANG_LIBS) $(JSONC_LIBS) \
	$(WEBSOCKETS_LIBS) $(CURL_LIBS) $(SSL_LIBS) $(ZLIB_LIBS) $(EV_LIBS) $(CAPNG_LIBS) \
	$(SYSTEMD_LIBS) $(IMPORT_LIBS) $(COMMON_LIBS)

if HAVE_CUNIT
check_PROGRAMS += tests/unit/test_observe tests/unit/test_options
unit_tests += tests/unit/test_observe tests/unit/test_options
tests_unit_test_observe_SOURCES = tests/unit/test_observe.c daemon/observe.c
tests_unit_test_observe_LDADD = ovsdb/libovsdb.la lib/liblib.la $(OVS_LIBS) \
	$(CUNIT_LIBS) $(COMMON_LIBS)
tests_unit_test_options_SOURCES = tests/unit/test_options.c daemon/options.c
tests_unit_test_options_LDADD = lib/liblib.la $(CUNIT_LIBS) $(COMMON_LIBS)
endif
