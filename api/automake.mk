noinst_LTLIBRARIES += api/libapi.la
api_libapi_la_SOURCES = \
	api/access.c api/access.h \
	api/alert.c api/alert.h api/alert_p.h api/alert_detail.c \
	api/alert_file.c api/alert_file.h \
	api/audit.c api/audit.h \
	api/caller.c api/caller.h \
	api/client.c \
	api/config.c api/config.h api/config_file.c api/config_make.c \
	api/config_p.h api/config_policy.c \
	api/config_bgp.c api/config_bgp.h \
	api/config_alert.c api/config_alert.h \
	api/config_event.c api/config_event.h \
	api/config_route.c api/config_route.h \
	api/config_api.c api/config_api.h \
	api/config_inventory.c api/config_inventory.h \
	api/config_identity.c api/config_identity.h \
	api/config_probe.c api/config_probe.h \
	api/confine.c api/confine.h \
	api/context.h \
	api/deliver.c api/deliver.h \
	api/discover.c \
	api/doctor.c api/doctor.h \
	api/events.h \
	api/export.h \
	api/export_state.h api/export_watch.c \
	api/fd_pass.c api/fd_pass.h \
	api/import.h \
	api/inventories.c api/inventories.h \
	api/inventory.c api/inventory.h api/inventory_p.h \
	api/inventory_libvirt.c \
	api/libvirt.c api/libvirt.h \
	api/xml.c api/xml.h \
	api/history.c api/history.h \
	api/http.c api/http_answer.c api/http_guard.c api/http_head.c \
	api/http_head.h api/http_p.h api/http_request.c api/http_tls.c \
	api/http_ws.c \
	api/json.c api/json.h \
	api/jsonrpc.c api/jsonrpc.h api/jsonrpc_p.h \
	api/jsonrpc_params.c api/jsonrpc_text.c \
	api/listen.c \
	api/method.h \
	api/metrics.c api/metrics.h \
	api/methods.c api/methods.h \
	api/methods_alert.c \
	api/methods_bgp.c \
	api/methods_config.c \
	api/endpoint.c api/endpoint.h \
	api/methods_counters.c \
	api/methods_data.c \
	api/methods_endpoint.c \
	api/methods_watch.c \
	api/methods_doctor.c \
	api/methods_event.c \
	api/methods_export.c \
	api/methods_exporter.c \
	api/live.h \
	api/methods_import.c \
	api/flow_text.c api/flow_text.h \
	api/methods_flow.c \
	api/methods_live.c \
	api/methods_policy.c \
	api/methods_profile.c \
	api/methods_probe.c \
	api/methods_session.c \
	api/methods_route.c \
	api/methods_route_history.c \
	api/methods_route_import.c \
	api/route_json.c api/route_json.h \
	api/methods_system.c \
	api/model.c api/model.h \
	api/profile.c api/profile.h \
	api/rate.c api/rate.h \
	api/reply.c \
	api/schema.c api/schema.h \
	api/server.c api/server.h api/server_p.h \
	api/subscribe.c api/subscribe.h \
	api/token.c api/token.h \
	api/value.c api/value.h \
	api/wire.c api/wire.h
nodist_api_libapi_la_SOURCES = api/yang/venturi_yang.c
api_libapi_la_LIBADD = probe/libprobe.la bgp/libbgp.la
api_libapi_la_CPPFLAGS = $(AM_CPPFLAGS) $(JSONC_CFLAGS) $(YANG_CFLAGS) \
	$(WEBSOCKETS_CFLAGS) $(CURL_CFLAGS) $(SSL_CFLAGS) $(ZLIB_CFLAGS) \
	$(DUCKDB_CPPFLAGS)

# The model lives in the binary, so that no file is needed at run time, and is
# installed for other tools.
yangdir = $(pkgdatadir)/yang
dist_yang_DATA = api/yang/venturi.yang
BUILT_SOURCES += api/yang/venturi_yang.c
CLEANFILES += api/yang/venturi_yang.c
api/yang/venturi_yang.c: api/yang/venturi.yang
	$(AM_V_GEN)$(MKDIR_P) api/yang && { \
	  echo '#include "api/model.h"'; \
	  echo 'const char model_yang[] ='; \
	  sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/    "/' -e 's/$$/\\n"/' \
	    $(top_srcdir)/api/yang/venturi.yang; \
	  echo '    ;'; } > $@.tmp && mv $@.tmp $@

bin_PROGRAMS += venturictl
venturictl_SOURCES = \
	api/cli/alerts.c \
	api/cli/ask.c \
	api/cli/bgp.c \
	api/cli/client.c api/cli/client.h \
	api/cli/complete.c \
	api/cli/data.c \
	api/cli/command.c api/cli/command.h \
	api/cli/commands.c \
	api/cli/decode.c api/cli/decode.h \
	api/cli/decode_bgp.c api/cli/decode_bgp.h api/cli/decode_bgp_p.h \
	api/cli/decode_bgp_text.c \
	api/cli/decode_show.c \
	api/cli/doctor.c \
	api/cli/events.c \
	api/cli/export.c \
	api/cli/counters.c \
	api/cli/endpoints.c \
	api/cli/flows.c \
	api/cli/import.c \
	api/cli/front.c \
	api/cli/route.c \
	api/cli/main.c api/cli/show.h \
	api/cli/manual.c api/cli/manual.h \
	api/cli/table.c api/cli/table.h \
	api/cli/top.c api/cli/top.h api/cli/top_view.c \
	api/cli/watch.c
venturictl_CPPFLAGS = $(AM_CPPFLAGS) $(JSONC_CFLAGS) $(ZLIB_CFLAGS) \
	$(CURSES_CFLAGS)
venturictl_LDADD = api/libapi.la collector/libcollector.la lib/liblib.la \
	$(JSONC_LIBS) $(SSL_LIBS) $(ZLIB_LIBS) $(CURSES_LIBS) \
	$(BZ2_LIBS) $(COMMON_LIBS)

bashcompdir = $(datadir)/bash-completion/completions
nodist_bashcomp_DATA = api/cli/completion/venturictl
zshcompdir = $(datadir)/zsh/site-functions
nodist_zshcomp_DATA = api/cli/completion/_venturictl
CLEANFILES += api/cli/completion/venturictl api/cli/completion/_venturictl
api/cli/completion/venturictl: venturictl
	$(AM_V_GEN)$(MKDIR_P) api/cli/completion && \
	  ./venturictl completion bash > $@.tmp && mv $@.tmp $@
api/cli/completion/_venturictl: venturictl
	$(AM_V_GEN)$(MKDIR_P) api/cli/completion && \
	  ./venturictl completion zsh > $@.tmp && mv $@.tmp $@

# The filter language is in the tables of the program.
nodist_man_MANS = doc/venturi-filter.7
CLEANFILES += doc/venturi-filter.7
doc/venturi-filter.7: venturictl
	$(AM_V_GEN)$(MKDIR_P) doc && ./venturictl manual filter > $@.tmp && \
	  mv $@.tmp $@

dist_man_MANS += doc/venturictl.1 doc/venturi.json.5
dist_doc_DATA += doc/api.md doc/configuration.md doc/ovs-vsctl.md

api_test_libs = api/libapi.la collector/libcollector.la ovsdb/libovsdb.la \
	lib/liblib.la $(JSONC_LIBS) $(YANG_LIBS) $(EV_LIBS) $(DUCKDB_LIBS) \
	$(WEBSOCKETS_LIBS) $(CURL_LIBS) $(SSL_LIBS) $(ZLIB_LIBS) $(OVS_LIBS) \
	$(IMPORT_LIBS) \
	$(COMMON_LIBS)
if HAVE_CUNIT
api_tests = \
	tests/unit/test_audit \
	tests/unit/test_cli \
	tests/unit/test_config \
	tests/unit/test_doctor \
	tests/unit/test_http_head \
	tests/unit/test_inventory \
	tests/unit/test_jsonrpc \
	tests/unit/test_methods \
	tests/unit/test_subscribe \
	tests/unit/test_wire
check_PROGRAMS += $(api_tests)
unit_tests += $(api_tests)
tests_unit_test_audit_SOURCES = tests/unit/test_audit.c
tests_unit_test_audit_LDADD = $(api_test_libs) $(CUNIT_LIBS)
tests_unit_test_cli_SOURCES = tests/unit/test_cli.c \
	api/cli/alerts.c \
	api/cli/ask.c api/cli/bgp.c api/cli/client.c api/cli/command.c \
	api/cli/commands.c \
	api/cli/decode.c api/cli/decode_show.c api/cli/doctor.c \
	api/cli/decode_bgp.c api/cli/decode_bgp_text.c \
	api/cli/complete.c api/cli/counters.c api/cli/data.c \
	api/cli/endpoints.c api/cli/events.c api/cli/export.c api/cli/flows.c \
	api/cli/front.c api/cli/import.c api/cli/route.c \
	api/cli/manual.c api/cli/table.c api/cli/top.c api/cli/top_view.c api/cli/watch.c
tests_unit_test_cli_CPPFLAGS = $(AM_CPPFLAGS) $(CURSES_CFLAGS)
tests_unit_test_cli_LDADD = $(api_test_libs) $(CURSES_LIBS) $(CUNIT_LIBS)
tests_unit_test_config_SOURCES = tests/unit/test_config.c
tests_unit_test_config_LDADD = $(api_test_libs) $(CUNIT_LIBS)
tests_unit_test_doctor_SOURCES = tests/unit/test_doctor.c
tests_unit_test_doctor_LDADD = $(api_test_libs) $(CUNIT_LIBS)
tests_unit_test_http_head_SOURCES = tests/unit/test_http_head.c
tests_unit_test_http_head_LDADD = $(api_test_libs) $(CUNIT_LIBS)
tests_unit_test_inventory_SOURCES = tests/unit/test_inventory.c
tests_unit_test_inventory_LDADD = $(api_test_libs) $(CUNIT_LIBS)
tests_unit_test_jsonrpc_SOURCES = tests/unit/test_jsonrpc.c
tests_unit_test_jsonrpc_LDADD = $(api_test_libs) $(CUNIT_LIBS)
tests_unit_test_methods_SOURCES = tests/unit/test_methods.c
tests_unit_test_methods_LDADD = $(api_test_libs) $(CUNIT_LIBS)
tests_unit_test_subscribe_SOURCES = tests/unit/test_subscribe.c
tests_unit_test_subscribe_LDADD = $(api_test_libs) $(CUNIT_LIBS)
tests_unit_test_wire_SOURCES = tests/unit/test_wire.c
tests_unit_test_wire_LDADD = $(api_test_libs) $(CUNIT_LIBS)
endif

fuzz_programs += tests/fuzz/fuzz_jsonrpc tests/fuzz/fuzz_config \
	tests/fuzz/fuzz_http tests/fuzz/fuzz_http_head \
	tests/fuzz/fuzz_inventory
tests_fuzz_fuzz_http_head_SOURCES = tests/fuzz/fuzz_http_head.c \
	tests/fuzz/replay_main.c
tests_fuzz_fuzz_http_head_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_http_head_LDADD = $(api_test_libs)
tests_fuzz_fuzz_inventory_SOURCES = tests/fuzz/fuzz_inventory.c \
	tests/fuzz/replay_main.c
tests_fuzz_fuzz_inventory_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_inventory_LDADD = $(api_test_libs)
tests_fuzz_fuzz_http_SOURCES = tests/fuzz/fuzz_http.c \
	tests/fuzz/replay_main.c
tests_fuzz_fuzz_http_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_http_LDADD = $(api_test_libs)
tests_fuzz_fuzz_jsonrpc_SOURCES = tests/fuzz/fuzz_jsonrpc.c \
	tests/fuzz/replay_main.c
tests_fuzz_fuzz_jsonrpc_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_jsonrpc_LDADD = $(api_test_libs)
tests_fuzz_fuzz_config_SOURCES = tests/fuzz/fuzz_config.c \
	tests/fuzz/replay_main.c
tests_fuzz_fuzz_config_LDFLAGS = $(AM_LDFLAGS) $(FUZZ_LDFLAGS)
tests_fuzz_fuzz_config_LDADD = $(api_test_libs)
