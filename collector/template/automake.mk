collector_libcollector_la_SOURCES += \
	collector/template/element.c collector/template/element.h \
	collector/template/ovs.c collector/template/ovs.h \
	collector/template/plan.c collector/template/plan.h \
	collector/template/template.c collector/template/template.h
