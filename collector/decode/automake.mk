collector_libcollector_la_SOURCES += \
	collector/decode/capture.c collector/decode/capture.h \
	collector/decode/capture_link.c collector/decode/capture_p.h \
	collector/decode/capture_tcp.c \
	collector/decode/capture_tunnel.c \
	collector/decode/dataset.c \
	collector/decode/decoder.c collector/decode/decoder.h \
	collector/decode/decoder_p.h \
	collector/decode/ipfix.c \
	collector/decode/netflow5.c \
	collector/decode/netflow9.c \
	collector/decode/packet.c collector/decode/packet.h \
	collector/decode/pending.c \
	collector/decode/pcap.c collector/decode/pcap.h \
	collector/decode/sflow.c collector/decode/sflow_counters.c \
	collector/decode/sflow_p.h collector/decode/sflow_record.c \
	collector/decode/stream.c collector/decode/stream.h

if HAVE_CUNIT
decode_tests = \
	tests/unit/test_capture \
	tests/unit/test_corpora \
	tests/unit/test_corpora_fields \
	tests/unit/test_elements \
	tests/unit/test_flood \
	tests/unit/test_ipfix \
	tests/unit/test_nat \
	tests/unit/test_netflow5 \
	tests/unit/test_netflow9 \
	tests/unit/test_packet \
	tests/unit/test_sflow \
	tests/unit/test_source_table \
	tests/unit/test_template
decode_test_libs = collector/libcollector.la lib/liblib.la $(CUNIT_LIBS) \
	$(COMMON_LIBS)
check_PROGRAMS += $(decode_tests)
unit_tests += $(decode_tests)
EXTRA_DIST += tests/unit/corpora.h tests/unit/decode_util.h \
	tests/unit/pcap.h
tests_unit_test_capture_SOURCES = tests/unit/test_capture.c
tests_unit_test_capture_LDADD = $(decode_test_libs)
tests_unit_test_corpora_SOURCES = tests/unit/test_corpora.c
tests_unit_test_corpora_CPPFLAGS = $(AM_CPPFLAGS) $(JSONC_CFLAGS) \
	-DCORPORA_DEFAULT='"$(abs_top_srcdir)/../shared/corpora"'
tests_unit_test_corpora_LDADD = $(decode_test_libs) $(JSONC_LIBS)
tests_unit_test_corpora_fields_SOURCES = tests/unit/test_corpora_fields.c
tests_unit_test_corpora_fields_CPPFLAGS = $(tests_unit_test_corpora_CPPFLAGS)
tests_unit_test_corpora_fields_LDADD = $(decode_test_libs) $(JSONC_LIBS)
tests_unit_test_elements_SOURCES = tests/unit/test_elements.c
tests_unit_test_elements_LDADD = $(decode_test_libs)
tests_unit_test_nat_SOURCES = tests/unit/test_nat.c
tests_unit_test_nat_LDADD = $(decode_test_libs)
tests_unit_test_flood_SOURCES = tests/unit/test_flood.c
tests_unit_test_flood_LDADD = $(decode_test_libs)
tests_unit_test_ipfix_SOURCES = tests/unit/test_ipfix.c
tests_unit_test_ipfix_LDADD = $(decode_test_libs)
tests_unit_test_netflow5_SOURCES = tests/unit/test_netflow5.c
tests_unit_test_netflow5_LDADD = $(decode_test_libs)
tests_unit_test_netflow9_SOURCES = tests/unit/test_netflow9.c
tests_unit_test_netflow9_LDADD = $(decode_test_libs)
tests_unit_test_packet_SOURCES = tests/unit/test_packet.c
tests_unit_test_packet_LDADD = $(decode_test_libs)
tests_unit_test_sflow_SOURCES = tests/unit/test_sflow.c
tests_unit_test_sflow_LDADD = $(decode_test_libs)
tests_unit_test_source_table_SOURCES = tests/unit/test_source_table.c
tests_unit_test_source_table_LDADD = $(decode_test_libs)
tests_unit_test_template_SOURCES = tests/unit/test_template.c
tests_unit_test_template_LDADD = $(decode_test_libs)
endif

# Fuzz targets; tests/corpus/NAME holds runs of datagrams, each after its
# length in two bytes.
fuzz_programs += tests/fuzz/fuzz_capture
tests_fuzz_fuzz_capture_SOURCES = tests/fuzz/fuzz_capture.c \
	tests/fuzz/replay_main.c
tests_fuzz_fuzz_capture_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_capture_LDADD = collector/libcollector.la lib/liblib.la \
	$(COMMON_LIBS)
fuzz_programs += tests/fuzz/fuzz_stream
tests_fuzz_fuzz_stream_SOURCES = tests/fuzz/fuzz_stream.c \
	tests/fuzz/replay_main.c
tests_fuzz_fuzz_stream_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_stream_LDADD = collector/libcollector.la lib/liblib.la \
	$(COMMON_LIBS)
fuzz_programs += tests/fuzz/fuzz_ipfix tests/fuzz/fuzz_netflow \
	tests/fuzz/fuzz_sflow
EXTRA_DIST += tests/fuzz/fuzz_decode.h
tests_fuzz_fuzz_ipfix_SOURCES = tests/fuzz/fuzz_ipfix.c \
	tests/fuzz/replay_main.c
tests_fuzz_fuzz_ipfix_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_ipfix_LDADD = collector/libcollector.la lib/liblib.la \
	$(COMMON_LIBS)
tests_fuzz_fuzz_netflow_SOURCES = tests/fuzz/fuzz_netflow.c \
	tests/fuzz/replay_main.c
tests_fuzz_fuzz_netflow_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_netflow_LDADD = collector/libcollector.la lib/liblib.la \
	$(COMMON_LIBS)
tests_fuzz_fuzz_sflow_SOURCES = tests/fuzz/fuzz_sflow.c \
	tests/fuzz/replay_main.c
tests_fuzz_fuzz_sflow_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_sflow_LDADD = collector/libcollector.la lib/liblib.la \
	$(COMMON_LIBS)

bench_programs += tests/bench/bench_decode
tests_bench_bench_decode_SOURCES = tests/bench/bench_decode.c
tests_bench_bench_decode_LDADD = collector/libcollector.la lib/liblib.la \
	$(COMMON_LIBS)

bench_programs += tests/bench/bench_exporters
tests_bench_bench_exporters_SOURCES = tests/bench/bench_exporters.c
tests_bench_bench_exporters_LDADD = collector/libcollector.la lib/liblib.la \
	$(COMMON_LIBS)

dist_doc_DATA += doc/decoding.md
interop_tests += tests/interop/test_decode_corpora.py \
	tests/interop/test_decode_captures.py \
	tests/interop/test_decode_tshark.py
