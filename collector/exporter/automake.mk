collector_libcollector_la_SOURCES += \
	collector/exporter/interface_counters.c \
	collector/exporter/interface_counters.h \
	collector/exporter/source_table.c collector/exporter/source_table.h
