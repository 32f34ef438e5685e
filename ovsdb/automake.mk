# The only folder that includes headers of Open vSwitch.  Who links this library
# links $(OVS_LIBS) as well.
noinst_LTLIBRARIES += ovsdb/libovsdb.la
ovsdb_libovsdb_la_SOURCES = \
	ovsdb/region.c ovsdb/region.h \
	ovsdb/budget.c ovsdb/budget.h \
	ovsdb/export.c ovsdb/export.h ovsdb/export_p.h \
	ovsdb/export_load.c \
	ovsdb/export_match.c \
	ovsdb/export_plan.c ovsdb/export_plan_p.h \
	ovsdb/export_row.c \
	ovsdb/export_sample.c \
	ovsdb/orders.c ovsdb/orders.h \
	ovsdb/ovs_p.h \
	ovsdb/ovs_rows.c ovsdb/ovs_rows.h \
	ovsdb/ovs_schema.c ovsdb/ovs_schema.h \
	ovsdb/ovsdb.c ovsdb/ovsdb.h ovsdb/ovsdb_p.h \
	ovsdb/ovsdb_notes.c \
	ovsdb/ovsdb_sampling.c \
	ovsdb/ovsdb_status.c \
	ovsdb/ovsdb_write.c \
	ovsdb/snapshot.c ovsdb/snapshot_p.h \
	ovsdb/watch.c ovsdb/watch.h ovsdb/watch_p.h \
	ovsdb/watch_northbound.c \
	ovsdb/watch_rule.c \
	ovsdb/watch_southbound.c \
	ovsdb/watch_switch.c
ovsdb_libovsdb_la_CPPFLAGS = $(AM_CPPFLAGS) $(OVS_CPPFLAGS)

if HAVE_CUNIT
ovsdb_tests = tests/unit/test_budget tests/unit/test_export_plan \
	tests/unit/test_orders tests/unit/test_ovsdb
check_PROGRAMS += $(ovsdb_tests)
unit_tests += $(ovsdb_tests)
tests_unit_test_budget_SOURCES = tests/unit/test_budget.c
tests_unit_test_budget_LDADD = ovsdb/libovsdb.la lib/liblib.la $(OVS_LIBS) \
	$(CUNIT_LIBS) $(COMMON_LIBS)
tests_unit_test_export_plan_SOURCES = tests/unit/test_export_plan.c
tests_unit_test_export_plan_LDADD = ovsdb/libovsdb.la lib/liblib.la \
	$(OVS_LIBS) $(CUNIT_LIBS) $(COMMON_LIBS)
tests_unit_test_orders_SOURCES = tests/unit/test_orders.c
tests_unit_test_orders_LDADD = ovsdb/libovsdb.la lib/liblib.la $(OVS_LIBS) \
	$(CUNIT_LIBS) $(COMMON_LIBS)
tests_unit_test_ovsdb_SOURCES = tests/unit/test_ovsdb.c
tests_unit_test_ovsdb_LDADD = ovsdb/libovsdb.la lib/liblib.la $(OVS_LIBS) \
	$(CUNIT_LIBS) $(COMMON_LIBS)
endif

# The thread alone, scripted by tests/interop/test_ovsdb_*.py.
check_PROGRAMS += tests/interop/ovsdb_driver
tests_interop_ovsdb_driver_SOURCES = tests/interop/ovsdb_driver.c
tests_interop_ovsdb_driver_LDADD = ovsdb/libovsdb.la lib/liblib.la \
	$(OVS_LIBS) $(COMMON_LIBS)
EXTRA_DIST += tests/interop/ovsdb_driver.py
interop_tests += tests/interop/test_ovsdb_api.py \
	tests/interop/test_ovsdb_policy.py \
	tests/interop/test_ovsdb_rows.py \
	tests/interop/test_ovsdb_races.py

dist_doc_DATA += doc/provisioning.md
