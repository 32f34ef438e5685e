collector_libcollector_la_SOURCES += \
	collector/decode/dataset.c \
	collector/decode/decoder.c collector/decode/decoder.h \
	collector/decode/decoder_p.h \
	collector/decode/ipfix.c \
	collector/decode/netflow5.c \
	collector/decode/netflow9.c \
	collector/decode/packet.c collector/decode/packet.h \
	collector/decode/sflow.c
