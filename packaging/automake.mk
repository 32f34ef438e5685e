# What installs our dependencies, and what runs venturid.
EXTRA_DIST += packaging/deps/debian.sh packaging/deps/ovs.sh \
	packaging/deps/duckdb.sh packaging/deps/duckdb.lock \
	packaging/systemd/venturid.service.in packaging/debian \
	packaging/container/Containerfile \
	packaging/container/try packaging/container/venturi.json \
	packaging/rpm/venturi.spec

# For Prometheus and Grafana, wherever they are.
prometheusdir = $(pkgdatadir)/prometheus
dist_prometheus_DATA = packaging/prometheus/venturi.rules.yml
grafanadir = $(pkgdatadir)/grafana
dist_grafana_DATA = packaging/grafana/venturi.json

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
