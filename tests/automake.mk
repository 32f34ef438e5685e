# The whole suite: unit programs, replayed fuzz corpora, tests with real parts.
EXTRA_DIST += tests/run tests/tsan.supp tests/unit/unit.h tests/corpus

include tests/bench/automake.mk
include tests/interop/automake.mk

check_PROGRAMS += $(fuzz_programs)
EXTRA_PROGRAMS += $(bench_programs) $(bench_helpers)

check-local:
	$(top_srcdir)/tests/run --builddir . --srcdir $(srcdir) \
		$(TEST_FLAGS) unit $(unit_tests) -- fuzz $(fuzz_programs) -- \
		interop $(interop_tests)

bench: all $(bench_programs) $(bench_helpers) tests/interop/flood$(EXEEXT)
	@for b in $(bench_programs); do \
		echo "== $$b"; ./$$b || exit 1; done
	@for b in $(bench_scripts); do \
		echo "== $$b"; $(top_srcdir)/$$b --builddir . || exit 1; done

if ENABLE_COVERAGE
coverage: check
	lcov --quiet --capture --directory . --output-file coverage.info
	genhtml --quiet --output-directory coverage coverage.info
endif

.PHONY: bench coverage
