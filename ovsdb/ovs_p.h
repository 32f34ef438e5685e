/* ovsdb/ovs_p.h -- the headers of Open vSwitch, all of them, in one place.
 *
 * A file that includes this does not include our <config.h>: OVS's own, whose
 * macros are the same and mean something else, has to come first.  It is found
 * by a path that only its tree has.  OVS's headers are not written for our
 * warnings. */
#ifndef OVSDB_OVS_P_H
#define OVSDB_OVS_P_H 1

#include <openvswitch/../../config.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#pragma GCC diagnostic ignored "-Wsign-compare"
#pragma GCC diagnostic ignored "-Wstrict-prototypes"

#include <lib/fatal-signal.h>
#include <lib/hash.h>
#include <lib/ovs-rcu.h>
#include <lib/ovs-thread.h>
#include <lib/ovsdb-data.h>
#include <lib/ovsdb-idl.h>
#include <lib/ovsdb-idl-provider.h>
#include <lib/smap.h>
#include <lib/stream-ssl.h>
#include <lib/timeval.h>
#include <lib/util.h>
#include <lib/uuid.h>
#include <openvswitch/dynamic-string.h>
#include <openvswitch/hmap.h>
#include <openvswitch/json.h>
#include <openvswitch/poll-loop.h>
#include <openvswitch/shash.h>
#include <openvswitch/vlog.h>

#pragma GCC diagnostic pop

#endif /* ovsdb/ovs_p.h */
