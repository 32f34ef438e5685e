noinst_LTLIBRARIES += bgp/libbgp.la
bgp_libbgp_la_SOURCES = bgp/rib.h bgp/route.h
bgp_libbgp_la_CPPFLAGS = $(AM_CPPFLAGS) $(URCU_CFLAGS)
