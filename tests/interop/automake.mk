# Real Open vSwitch in network namespaces; see harness.py.  demo.py is what the
# quickstart shows.
EXTRA_DIST += tests/interop/bgp_peer.py tests/interop/routes_made.py tests/interop/nfcapd.py tests/interop/parquet.py \
	tests/interop/harness.py tests/interop/traffic.py \
	tests/interop/demo.py tests/interop/front.py $(interop_tests)
interop_tests += tests/interop/test_accuracy.py tests/interop/test_audit.py \
	tests/interop/test_cli.py tests/interop/test_clients.py \
	tests/interop/test_clock.py \
	tests/interop/test_compilers.py \
	tests/interop/test_filter_manual.py tests/interop/test_names.py \
	tests/interop/test_identity_ovn_servers.py \
	tests/interop/test_first_light.py tests/interop/test_front.py \
	tests/interop/test_refusals.py \
	tests/interop/test_openrpc.py \
	tests/interop/test_doctor.py tests/interop/test_provision_data.py \
	tests/interop/test_provision_traps.py \
	tests/interop/test_policy.py tests/interop/test_probe.py \
	tests/interop/test_restart.py tests/interop/test_routes.py \
	tests/interop/test_deb.py \
	tests/interop/test_guide.py tests/interop/test_package.py \
	tests/interop/test_reload.py tests/interop/test_tenants.py \
	tests/interop/test_top.py \
	tests/interop/test_quickstart_demo.py

clean-local:
	rm -rf tests/log

# Loaded into venturid, see test_clock.py; built as probe/softflowd-now.so is.
check_DATA = tests/interop/clock_shift.so
EXTRA_DIST += tests/interop/clock_shift.c
CLEANFILES += tests/interop/clock_shift.so
tests/interop/clock_shift.so: tests/interop/clock_shift.c
	$(AM_V_GEN)$(MKDIR_P) tests/interop && \
	  $(CC) -O2 -fPIC -shared -o $@ $(top_srcdir)/tests/interop/clock_shift.c
