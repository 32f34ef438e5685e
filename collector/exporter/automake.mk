collector_libcollector_la_SOURCES += \
	collector/exporter/source_table.c collector/exporter/source_table.h
