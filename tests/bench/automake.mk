# "make bench" runs these; numbers are printed, never asserted.
bench_scripts += tests/bench/bench_api.py tests/bench/bench_attack.py tests/bench/bench_bgp.py \
	tests/bench/bench_endpoint.py \
	tests/bench/bench_latency.py \
	tests/bench/bench_idle.py \
	tests/bench/bench_ingest.py tests/bench/bench_provision.py \
	tests/bench/bench_query.py
EXTRA_DIST += tests/bench/common.py $(bench_scripts)
