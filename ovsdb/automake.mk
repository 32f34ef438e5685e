# The only folder that includes headers of Open vSwitch.  Who links this library
# links $(OVS_LIBS) as well.
noinst_LTLIBRARIES += ovsdb/libovsdb.la
ovsdb_libovsdb_la_SOURCES = \
	ovsdb/export.c ovsdb/export.h ovsdb/export_p.h \
	ovsdb/export_plan.c \
	ovsdb/export_row.c \
	ovsdb/ovs_p.h \
	ovsdb/ovs_rows.c ovsdb/ovs_rows.h \
	ovsdb/ovsdb.c ovsdb/ovsdb.h \
	ovsdb/snapshot.c ovsdb/snapshot_p.h
ovsdb_libovsdb_la_CPPFLAGS = $(AM_CPPFLAGS) $(OVS_CPPFLAGS)

if HAVE_CUNIT
check_PROGRAMS += tests/unit/test_export_plan
unit_tests += tests/unit/test_export_plan
tests_unit_test_export_plan_SOURCES = tests/unit/test_export_plan.c
tests_unit_test_export_plan_LDADD = ovsdb/libovsdb.la lib/liblib.la \
	$(CUNIT_LIBS) $(COMMON_LIBS)
endif

# The thread alone, scripted by tests/interop/test_ovsdb_*.py.
check_PROGRAMS += tests/interop/ovsdb_driver
tests_interop_ovsdb_driver_SOURCES = tests/interop/ovsdb_driver.c
tests_interop_ovsdb_driver_LDADD = ovsdb/libovsdb.la lib/liblib.la \
	$(OVS_LIBS) $(COMMON_LIBS)
