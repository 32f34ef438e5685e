noinst_LTLIBRARIES += collector/libcollector.la
collector_libcollector_la_SOURCES =
collector_libcollector_la_CPPFLAGS = $(AM_CPPFLAGS) $(DUCKDB_CPPFLAGS) \
	$(URCU_CFLAGS)
collector_libcollector_la_LIBADD = $(ZLIB_LIBS)

include collector/alert/automake.mk
include collector/channel/automake.mk
include collector/decode/automake.mk
include collector/event/automake.mk
include collector/exporter/automake.mk
include collector/filter/automake.mk
include collector/identity/automake.mk
include collector/import/automake.mk
include collector/input/automake.mk
include collector/query/automake.mk
include collector/store/automake.mk
include collector/template/automake.mk
