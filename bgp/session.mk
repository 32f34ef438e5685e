dist_doc_DATA += doc/bgp.md

# Messages, sessions, BMP.  What the RIB needs is in bgp/automake.mk.
bgp_libbgp_la_SOURCES += \
	bgp/attribute.c bgp/attribute.h \
	bgp/bmp.c bgp/bmp.h \
	bgp/bmp_message.c bgp/bmp_message.h \
	bgp/bmp_router.c bgp/bmp_router.h \
	bgp/message.c bgp/message.h \
	bgp/mrt.c bgp/mrt.h \
	bgp/nlri.c \
	bgp/open.c \
	bgp/packed.c bgp/packed.h \
	bgp/route_import.c bgp/route_import.h \
	bgp/session.c bgp/session.h bgp/session_p.h \
	bgp/leak.c bgp/leak.h \
	bgp/session_open.c \
	bgp/session_stale.c \
	bgp/socket.c bgp/socket.h \
	bgp/speaker.c bgp/speaker.h bgp/speaker_p.h \
	bgp/speaker_link.c

if HAVE_CUNIT
bgp_session_tests = \
	tests/unit/test_bgp_message \
	tests/unit/test_bgp_session \
	tests/unit/test_bgp_update \
	tests/unit/test_bmp
check_PROGRAMS += $(bgp_session_tests)
unit_tests += $(bgp_session_tests)
tests_unit_test_bgp_message_SOURCES = tests/unit/test_bgp_message.c \
	tests/unit/bgp_util.h
tests_unit_test_bgp_message_LDADD = $(bgp_test_libs)
tests_unit_test_bgp_session_SOURCES = tests/unit/test_bgp_session.c
tests_unit_test_bgp_session_LDADD = $(bgp_test_libs)
tests_unit_test_bmp_SOURCES = tests/unit/test_bmp.c
tests_unit_test_bmp_LDADD = $(bgp_test_libs)
tests_unit_test_bgp_update_SOURCES = tests/unit/test_bgp_update.c
tests_unit_test_bgp_update_LDADD = $(bgp_test_libs)
endif

fuzz_programs += tests/fuzz/fuzz_bgp
tests_fuzz_fuzz_bgp_SOURCES = tests/fuzz/fuzz_bgp.c tests/fuzz/replay_main.c
tests_fuzz_fuzz_bgp_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_bgp_LDADD = bgp/libbgp.la lib/liblib.la $(ZLIB_LIBS) \
	$(BZ2_LIBS) $(COMMON_LIBS)

interop_tests += tests/interop/test_bgp_errors.py \
	tests/interop/test_bgp_peers.py tests/interop/test_bgp_wire.py \
	tests/interop/test_route_history.py \
	tests/interop/test_decode_routes.py \
	tests/interop/test_decode_forms.py \
	tests/interop/test_route_import.py

fuzz_programs += tests/fuzz/fuzz_bmp
tests_fuzz_fuzz_bmp_SOURCES = tests/fuzz/fuzz_bmp.c tests/fuzz/replay_main.c
tests_fuzz_fuzz_bmp_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_bmp_LDADD = bgp/libbgp.la lib/liblib.la $(ZLIB_LIBS) \
	$(BZ2_LIBS) $(COMMON_LIBS)

fuzz_programs += tests/fuzz/fuzz_mrt
tests_fuzz_fuzz_mrt_SOURCES = tests/fuzz/fuzz_mrt.c tests/fuzz/replay_main.c
tests_fuzz_fuzz_mrt_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_mrt_LDADD = bgp/libbgp.la lib/liblib.la $(ZLIB_LIBS) \
	$(BZ2_LIBS) $(COMMON_LIBS)
