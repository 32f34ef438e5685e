/* Each state that a doctor should know, and the remedy that it names. */
#include <config.h>

#include "api/doctor.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "lib/addr.h"
#include "lib/column.h"
#include "tests/unit/unit.h"

#define SECOND INT64_C(1000000)

/* The line of a check; there must be one only. */
static const struct doctor_line *
line(const struct doctor *d, enum doctor_check c)
{
    const struct doctor_line *found = NULL;
    for (size_t i = 0; i < d->n; i++) {
        if (d->lines[i].check == c) {
            CU_ASSERT_PTR_NULL(found);
            found = &d->lines[i];
        }
    }
    return found;
}

static void
expect(struct doctor *d, enum doctor_check c, enum doctor_status status,
       const char *message, const char *remedy)
{
    const struct doctor_line *l = line(d, c);
    CU_ASSERT_PTR_NOT_NULL_FATAL(l);
    CU_ASSERT_EQUAL(l->status, status);
    if (!strstr(l->message, message) || !strstr(l->remedy, remedy)) {
        printf("\n%s: %s -> %s\n", l->subject, l->message, l->remedy);
        CU_FAIL("text");
    }
    CU_ASSERT_EQUAL(status == DOCTOR_PASS, !*l->remedy);
    doctor_clear(d);
}

static struct doctor_socket
good_socket(void)
{
    return (struct doctor_socket) {
        .path = "/run/ovs/db.sock", .is_socket = true,
        .mode = S_IFSOCK | 0750, .owner = "root", .group = "root",
    };
}

static void
test_socket(void)
{
    struct doctor d = { .n = 0 };
    struct doctor_socket s = good_socket();
    struct ovs_snapshot snap = { .connected = false, .reason = "why" };
    struct doctor_remote r = {
        .remote = "unix:/run/ovs/db.sock", .socket = &s, .snapshot = &snap,
        .user = "venturi",
    };

    s.stat_error = ENOENT;
    doctor_remote(&d, &r, NULL);
    CU_ASSERT_EQUAL(doctor_worst(&d), DOCTOR_FAIL);
    expect(&d, DOCTOR_SOCKET, DOCTOR_FAIL, "there is no /run/ovs/db.sock",
           "systemctl start openvswitch-switch");
    s = good_socket();
    s.is_socket = false;
    doctor_remote(&d, &r, NULL);
    expect(&d, DOCTOR_SOCKET, DOCTOR_FAIL, "not a socket", "ovsdb/remote");
    s = good_socket();
    s.access_error = EACCES;
    doctor_remote(&d, &r, NULL);
    expect(&d, DOCTOR_SOCKET, DOCTOR_FAIL, "root:root with mode 0750",
           "chgrp venturi /run/ovs/db.sock && chmod g+rw");
    s.group = "openvswitch";
    s.mode = S_IFSOCK | 0770;
    doctor_remote(&d, &r, NULL);
    expect(&d, DOCTOR_SOCKET, DOCTOR_FAIL, "may not open",
           "usermod -aG openvswitch venturi");
    s = good_socket();
    s.stat_error = EACCES;
    doctor_remote(&d, &r, NULL);
    expect(&d, DOCTOR_SOCKET, DOCTOR_FAIL, "directory", "chmod a+x");
    s = good_socket();
    s.connect_error = ECONNREFUSED;
    doctor_remote(&d, &r, NULL);
    expect(&d, DOCTOR_SOCKET, DOCTOR_FAIL, "nobody listens", "restart");
    s = good_socket();
    doctor_remote(&d, &r, NULL);
    CU_ASSERT_STRING_EQUAL(line(&d, DOCTOR_OVSDB)->message,
                           "not connected: why");
    expect(&d, DOCTOR_SOCKET, DOCTOR_PASS, "may open", "");
    s.user_error = EACCES;              /* And yet we are in. */
    snap.connected = true;
    snap.ovs_version = (char *) "3.1.0";
    doctor_remote(&d, &r, NULL);
    CU_ASSERT_EQUAL(doctor_worst(&d), DOCTOR_PASS);
    expect(&d, DOCTOR_SOCKET, DOCTOR_PASS, "CAP_DAC_OVERRIDE", "");
}

/* Each cause has a remedy of its own. */
static void
test_network(void)
{
    static const char *const remedies[N_CAUSES] = {
        [CAUSE_OTHER] = "check address, port and firewall",
        [CAUSE_REFUSED] = "ovs-vsctl set-manager ptcp:6640",
        [CAUSE_NO_ROUTE] = "ip route get",
        [CAUSE_NO_ANSWER] = "firewalls on the way",
        [CAUSE_CLOSES] = "write ssl: instead of tcp:",
        [CAUSE_PROTOCOL] = "an ovsdb-server must listen there",
        [CAUSE_TLS_CLOSES] = "write tcp: instead of ssl:",
        [CAUSE_HANDSHAKE] = "set ovsdb/tls/ca to the CA that signed",
        [CAUSE_TLS_FILES] = "may read, then restart venturid",
    };
    struct doctor d = { .n = 0 };
    struct ovs_snapshot snap = { .connected = false,
                                 .reason = (char *) "why" };
    struct doctor_remote r = { .remote = "ssl:192.0.2.1:6640",
                               .snapshot = &snap, .user = "venturi" };
    for (int c = 0; c < N_CAUSES; c++) {
        snap.cause = (enum ovsdb_cause) c;
        doctor_remote(&d, &r, NULL);
        for (int other = 0; other < N_CAUSES; other++) {
            CU_ASSERT_EQUAL(other == c, strstr(line(
                &d, DOCTOR_OVSDB)->remedy, remedies[other]) != NULL);
        }
        expect(&d, DOCTOR_OVSDB, DOCTOR_FAIL, "not connected: why",
               remedies[c]);
    }
    r.snapshot = NULL;
    doctor_remote(&d, &r, NULL);
    expect(&d, DOCTOR_OVSDB, DOCTOR_FAIL, "no answer yet",
           remedies[CAUSE_OTHER]);
}

static void
test_database(void)
{
    struct doctor d = { .n = 0 };
    struct ovs_snapshot snap = {
        .connected = true, .ovs_version = (char *) "2.5.1",
        .missing_options = { UINT64_C(1) << OPT_IX_TEMPLATE_INTERVAL },
        .next_cfg = 5, .cur_cfg = 5,
    };
    struct doctor_remote r = { .remote = "tcp:192.0.2.1:6640",
                               .snapshot = &snap, .user = "venturi" };
    struct export_policy p = { .name = (char *) "p" };
    struct export_policies policies = { .list = &p, .n = 1 };

    doctor_remote(&d, &r, &policies);
    expect(&d, DOCTOR_OVSDB, DOCTOR_WARN, "older than 2.9", "update");
    snap.ovs_version = (char *) "";
    doctor_remote(&d, &r, &policies);
    expect(&d, DOCTOR_OVSDB, DOCTOR_PASS, "nobody told", "");
    snap.ovs_version = (char *) "3.1.0";
    doctor_remote(&d, &r, &policies);
    expect(&d, DOCTOR_COLUMNS, DOCTOR_PASS, "every column", "");
    p.wish[EXPORT_IPFIX].wanted = true;
    p.wish[EXPORT_IPFIX].value[OPT_IX_TEMPLATE_INTERVAL].set = true;
    doctor_remote(&d, &r, &policies);
    expect(&d, DOCTOR_COLUMNS, DOCTOR_WARN, "ipfix/template_interval",
           "update");
    doctor_remote(&d, &r, &policies);
    expect(&d, DOCTOR_VSWITCHD, DOCTOR_PASS, "every change", "");
    snap.next_cfg = 6;
    doctor_remote(&d, &r, &policies);
    expect(&d, DOCTOR_VSWITCHD, DOCTOR_FAIL, "next_cfg 6, cur_cfg 5",
           "restart");
    r.snapshot = NULL;
    doctor_remote(&d, &r, &policies);
    CU_ASSERT_PTR_NULL(line(&d, DOCTOR_VSWITCHD));
    expect(&d, DOCTOR_OVSDB, DOCTOR_FAIL, "no answer yet", "firewall");
}

static void
test_rows(void)
{
    struct doctor d = { .n = 0 };
    struct export_row row = { .present = true, .n_refs = 1,
                              .owner = (char *) "hsflowd" };
    struct doctor_export e = {
        .bridge = "br0", .table = EXPORT_SFLOW, .state = STATE_CONFLICT,
        .reason = "a row of somebody else is in effect", .row = &row,
    };

    doctor_export(&d, &e, 0, 100 * SECOND);
    expect(&d, DOCTOR_ROW, DOCTOR_WARN, "somebody else", "append");
    e.state = STATE_ERROR;
    doctor_export(&d, &e, 0, 100 * SECOND);
    expect(&d, DOCTOR_ROW, DOCTOR_FAIL, "somebody else", "plan --bridge br0");
    e.state = STATE_PENDING;
    doctor_export(&d, &e, 0, 100 * SECOND);
    expect(&d, DOCTOR_ROW, DOCTOR_WARN, "not in place",
           "venturictl export apply");
    e.state = STATE_OFF;
    doctor_export(&d, &e, 0, 100 * SECOND);
    expect(&d, DOCTOR_ROW, DOCTOR_PASS, "owner hsflowd", "");
    e.ours = true;
    e.state = STATE_IN_SYNC;
    doctor_export(&d, &e, 0, 100 * SECOND);
    expect(&d, DOCTOR_ROW, DOCTOR_PASS, "ours", "");
    e.row = NULL;
    e.state = STATE_OFF;
    doctor_export(&d, &e, 0, 100 * SECOND);
    CU_ASSERT_EQUAL(d.n, 0);
}

static void
test_data(void)
{
    struct doctor d = { .n = 0 };
    struct export_row row = { .present = true, .n_refs = 1 };
    struct doctor_export e = {
        .bridge = "br0", .table = EXPORT_SFLOW, .state = STATE_IN_SYNC,
        .row = &row, .ours = true, .to_us = true,
        .applied_us = 100 * SECOND, .expect_within_us = 20 * SECOND,
    };

    doctor_export(&d, &e, 0, 110 * SECOND);
    expect(&d, DOCTOR_DATA, DOCTOR_PASS, "may take 20 s", "");
    doctor_export(&d, &e, 0, 200 * SECOND);
    expect(&d, DOCTOR_DATA, DOCTOR_FAIL, "not even counter samples", "grep");
    e.datagrams = 3;
    e.counter_samples = 1;
    e.last_datagram_us = 150 * SECOND;
    doctor_export(&d, &e, 0, 200 * SECOND);
    expect(&d, DOCTOR_DATA, DOCTOR_FAIL, "nothing came for 50 s", "grep");
    e.counter_samples = 0;
    e.last_datagram_us = 190 * SECOND;
    doctor_export(&d, &e, 0, 200 * SECOND);
    expect(&d, DOCTOR_DATA, DOCTOR_WARN, "3 datagrams", "exporters");
    e.counter_samples = 3;
    doctor_export(&d, &e, 0, 200 * SECOND);
    expect(&d, DOCTOR_DATA, DOCTOR_PASS, "counter samples arrive", "");
    e.last_us = 195 * SECOND;
    doctor_export(&d, &e, 0, 200 * SECOND);
    expect(&d, DOCTOR_DATA, DOCTOR_PASS, "5 s ago", "");
    doctor_export(&d, &e, 0, 10000 * SECOND);
    expect(&d, DOCTOR_DATA, DOCTOR_WARN, "2 h ago", "traffic on br0");
    e.table = EXPORT_IPFIX;
    e.last_us = 0;
    e.datagrams = e.counter_samples = 0;
    doctor_export(&d, &e, 0, 200 * SECOND);
    expect(&d, DOCTOR_DATA, DOCTOR_WARN, "nothing came", "send traffic");
    e.to_us = false;
    doctor_export(&d, &e, 0, 200 * SECOND);
    CU_ASSERT_PTR_NULL(line(&d, DOCTOR_DATA));
    doctor_clear(&d);
}

static void
test_agent(void)
{
    struct doctor d = { .n = 0 };
    struct doctor_agent a = { .bridge = "br0", .agent = "eth9" };

    doctor_agent(&d, &a);
    expect(&d, DOCTOR_AGENT, DOCTOR_FAIL, "neither an address nor",
           "ovs-vsctl set sFlow");
    a.ours = true;
    doctor_agent(&d, &a);
    expect(&d, DOCTOR_AGENT, DOCTOR_FAIL, "neither", "out of the policy");
    a.is_device = true;
    doctor_agent(&d, &a);
    expect(&d, DOCTOR_AGENT, DOCTOR_FAIL, "without an IPv4 address", "put");
    a.has_ipv4 = true;
    doctor_agent(&d, &a);
    expect(&d, DOCTOR_AGENT, DOCTOR_PASS, "interface", "");
    a.has_ipv4 = false;
    a.receiving = true;
    doctor_agent(&d, &a);
    expect(&d, DOCTOR_AGENT, DOCTOR_PASS, "its data arrives", "");
    a.is_address = true;
    doctor_agent(&d, &a);
    expect(&d, DOCTOR_AGENT, DOCTOR_PASS, "is an address", "");
}

static void
test_target(void)
{
    struct doctor d = { .n = 0 };
    struct doctor_target t = {
        .bridge = "br0", .target = "127.0.0.1:9995", .table = EXPORT_NETFLOW,
        .valid = true, .local = true, .listen = "127.0.0.1:2055",
    };

    doctor_target(&d, &t);
    expect(&d, DOCTOR_TARGET, DOCTOR_FAIL, "nothing listens on "
           "127.0.0.1:9995", "{\"netflow\": {\"listen\": "
           "[\"127.0.0.1:2055\", \"127.0.0.1:9995\"]}}");
    t.taken = true;
    doctor_target(&d, &t);
    expect(&d, DOCTOR_TARGET, DOCTOR_PASS, "another program", "");
    t.ours = true;
    doctor_target(&d, &t);
    expect(&d, DOCTOR_TARGET, DOCTOR_PASS, "our collector", "");
    t.ours = t.local = false;
    doctor_target(&d, &t);
    expect(&d, DOCTOR_TARGET, DOCTOR_PASS, "not on this host", "");
    t.valid = false;
    doctor_target(&d, &t);
    expect(&d, DOCTOR_TARGET, DOCTOR_WARN, "not an address", "address");
}

static void
test_listen(void)
{
    struct doctor d = { .n = 0 };
    struct input_status s = { .address = "127.0.0.1:6343", .name = "sflow",
                              .receive_buffer = 1000 };

    doctor_listen(&d, &s, false, 0, 100 * SECOND, 1000);
    expect(&d, DOCTOR_LISTEN, DOCTOR_PASS, "nothing has come", "");
    doctor_listen(&d, &s, true, 0, 100 * SECOND, 1000);
    expect(&d, DOCTOR_LISTEN, DOCTOR_WARN, "no datagram", "firewall");
    doctor_listen(&d, &s, true, 0, 100 * SECOND, 2000);
    expect(&d, DOCTOR_LISTEN, DOCTOR_WARN, "granted a buffer of 1000",
           "net.core.rmem_max=2000");
    s.datagrams = 90;
    doctor_listen(&d, &s, true, 97 * SECOND, 100 * SECOND, 1000);
    expect(&d, DOCTOR_LISTEN, DOCTOR_PASS, "the last came 3 s ago", "");
    s.kernel_drops = 10;
    doctor_listen(&d, &s, true, 0, 100 * SECOND, 1000);
    expect(&d, DOCTOR_LISTEN, DOCTOR_WARN, "dropped 10 of 100", "rmem_max");
}

static void
test_sources(void)
{
    struct doctor d = { .n = 0 };
    struct source s = { .key = { .protocol = PROTO_NETFLOW9 } };

    addr_parse("192.0.2.7", &s.key.exporter);
    doctor_source(&d, &s, "br0");
    CU_ASSERT_EQUAL(d.n, 0);
    doctor_sources_done(&d, 1);
    CU_ASSERT_EQUAL(d.n, 4);
    CU_ASSERT_EQUAL(doctor_worst(&d), DOCTOR_PASS);
    doctor_clear(&d);

    counter_add(&s.n.no_template, 4);
    doctor_source(&d, &s, NULL);
    CU_ASSERT_STRING_EQUAL(d.lines[0].subject, "192.0.2.7 netflow9");
    doctor_sources_done(&d, 1);
    expect(&d, DOCTOR_TEMPLATE, DOCTOR_WARN, "4 data sets", "template");
    counter_add(&s.n.flow_records, 1);  /* It has come since. */
    counter_add(&s.n.rate_unknown, 1);
    counter_add(&s.n.malformed, 2);
    counter_add(&s.n.time_corrected, 3);
    doctor_source(&d, &s, "br0");
    CU_ASSERT_PTR_NULL(line(&d, DOCTOR_TEMPLATE));
    CU_ASSERT_EQUAL(line(&d, DOCTOR_DECODE)->status, DOCTOR_WARN);
    CU_ASSERT_PTR_NOT_NULL(strstr(line(&d, DOCTOR_CLOCK)->message,
                                  "3 flows"));
    expect(&d, DOCTOR_SAMPLING, DOCTOR_WARN, "1 flows", "samplingInterval");
    s.skew_us = -3600 * SECOND;
    doctor_source(&d, &s, "br0");
    expect(&d, DOCTOR_CLOCK, DOCTOR_WARN, "3600 s behind ours", "chrony");
    counter_add(&s.n.ring_full, 1);
    doctor_source(&d, &s, "br0");
    expect(&d, DOCTOR_STORE, DOCTOR_WARN, "could not be stored", "disk");
}

static void
test_host(void)
{
    struct doctor d = { .n = 0 };
    struct store_health h = { .writing = false, .since_us = SECOND,
                              .reason = "No space left on device" };
    struct doctor_disk k = { .path = "/s", .available = 10000000000,
                             .used = 1000, .limit = 5000000000 };

    doctor_store(&d, &h);
    expect(&d, DOCTOR_STORE, DOCTOR_FAIL, "No space left", "free space");
    h.writing = true;
    doctor_store(&d, &h);
    expect(&d, DOCTOR_STORE, DOCTOR_PASS, "written", "");
    doctor_disk(&d, &k);
    expect(&d, DOCTOR_DISK, DOCTOR_PASS, "10000 MB", "");
    k.limit = 50000000000;
    doctor_disk(&d, &k);
    expect(&d, DOCTOR_DISK, DOCTOR_WARN, "room for 10000 MB",
           "\"size\": \"9000MB\"");
    k.available = 1000;
    doctor_disk(&d, &k);
    expect(&d, DOCTOR_DISK, DOCTOR_FAIL, "0 MB", "free space");
    doctor_files(&d, 1024, 100, 500);
    expect(&d, DOCTOR_FILES, DOCTOR_PASS, "100 of 1024", "");
    doctor_files(&d, 1024, 100, 5000);
    expect(&d, DOCTOR_FILES, DOCTOR_WARN, "1024", "LimitNOFILE=5000");
    doctor_files(&d, 1024, 1000, 500);
    expect(&d, DOCTOR_FILES, DOCTOR_FAIL, "1000 of 1024", "LimitNOFILE");
    doctor_clock(&d, true);
    expect(&d, DOCTOR_CLOCK, DOCTOR_PASS, "synchronized", "");
    doctor_clock(&d, false);
    expect(&d, DOCTOR_CLOCK, DOCTOR_WARN, "not synchronized", "chrony");
}

static void
test_probe(void)
{
    struct doctor d = { .n = 0 };

    doctor_probe(&d, "br-lan", true, false, "");
    expect(&d, DOCTOR_PROBE, DOCTOR_PASS, "runs", "");
    doctor_probe(&d, "br-lan", false, true, "the interface is down");
    expect(&d, DOCTOR_PROBE, DOCTOR_PASS, "down", "");
    doctor_probe(&d, "br-lan", false, false, "ended with status 126");
    expect(&d, DOCTOR_PROBE, DOCTOR_FAIL, "status 126", "apt-get install");
}

static void
test_limits(void)
{
    struct doctor d = { .n = 0 };

    for (int i = 0; i < 100; i++) {
        doctor_clock(&d, i % 2);
    }
    doctor_finish(&d);
    CU_ASSERT_EQUAL(d.n, DOCTOR_MAX_LINES + 1 + 50);
    CU_ASSERT_STRING_EQUAL(d.lines[d.n - 1].message, "and 42 more");
    CU_ASSERT_EQUAL(d.count[DOCTOR_CLOCK][DOCTOR_PASS], 50);
    doctor_clear(&d);
    d.all = true;
    for (int i = 0; i < 100; i++) {
        doctor_clock(&d, i % 2);
    }
    doctor_finish(&d);
    CU_ASSERT_EQUAL(d.n, 100);
    doctor_clear(&d);
}

static void
test_udp_taken(void)
{
    static const char text[] =
        "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when\n"
        "  123: 0100007F:18C7 00000000:0000 07 00000000:00000000 00:00000000\n"
        "  124: 00000000:0807 00000000:0000 07 00000000:00000000 00:00000000\n"
        "junk\n"
        "  125: 00000000000000000000000001000000:1283 0:0 07 0 0\n"
        "  126: 0100007F";
    struct addr lo, other, lo6;

    addr_parse("127.0.0.1", &lo);
    addr_parse("192.0.2.1", &other);
    addr_parse("::1", &lo6);
    CU_ASSERT_TRUE(doctor_udp_taken(text, &lo, 6343));
    CU_ASSERT_FALSE(doctor_udp_taken(text, &other, 6343));
    CU_ASSERT_TRUE(doctor_udp_taken(text, &other, 2055));
    CU_ASSERT_TRUE(doctor_udp_taken(text, &lo6, 4739));
    CU_ASSERT_FALSE(doctor_udp_taken(text, &lo, 4739));
    CU_ASSERT_FALSE(doctor_udp_taken(NULL, &lo, 4739));
    CU_ASSERT_FALSE(doctor_udp_taken("", &lo, 4739));
}

UNIT_MAIN("doctor", UNIT_TEST(test_socket), UNIT_TEST(test_network),
          UNIT_TEST(test_database),
          UNIT_TEST(test_rows), UNIT_TEST(test_data), UNIT_TEST(test_agent),
          UNIT_TEST(test_target), UNIT_TEST(test_listen),
          UNIT_TEST(test_sources), UNIT_TEST(test_host), UNIT_TEST(test_probe),
          UNIT_TEST(test_limits), UNIT_TEST(test_udp_taken))
