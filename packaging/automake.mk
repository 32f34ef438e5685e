# What installs our dependencies, and what runs venturid.
EXTRA_DIST += packaging/deps/debian.sh packaging/deps/ovs.sh \
	packaging/deps/duckdb.sh packaging/deps/duckdb.lock \
	packaging/systemd/venturid.service.in packaging/debian \
	packaging/prometheus/venturi.rules.yml \
	packaging/grafana/venturi.json packaging/container/Containerfile \
	packaging/container/try packaging/container/venturi.json \
	packaging/rpm/venturi.spec

systemunitdir = $(prefix)/lib/systemd/system
nodist_systemunit_DATA = packaging/systemd/venturid.service
CLEANFILES += packaging/systemd/venturid.service
packaging/systemd/venturid.service: packaging/systemd/venturid.service.in
	$(AM_V_GEN)$(MKDIR_P) packaging/systemd && \
	  $(SED) 's|@sbindir[@]|$(sbindir)|g' \
	    $(top_srcdir)/packaging/systemd/venturid.service.in > $@.tmp && \
	  mv $@.tmp $@

sysusersdir = $(prefix)/lib/sysusers.d
dist_sysusers_DATA = packaging/sysusers/venturi.conf
