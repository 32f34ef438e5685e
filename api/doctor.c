#include <config.h>

#include "api/doctor.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/addr.h"
#include "lib/clock.h"
#include "lib/column.h"

#define SECOND INT64_C(1000000)
/* A clock that is off by more than this moves flows to another minute. */
#define MAX_SKEW_US (5 * SECOND)

static const char *const check_names[] = {
#define X(ID, NAME, DOC) NAME,
    DOCTOR_CHECKS(X)
#undef X
};

const char *
doctor_check_name(enum doctor_check c)
{
    return check_names[c];
}

const char *
doctor_status_name(enum doctor_status s)
{
    static const char *const names[] = { "pass", "warn", "fail" };
    return names[s];
}

/* ---- Lines. ---- */

static bool
over_limit(const struct doctor *d, enum doctor_check c, enum doctor_status s)
{
    size_t max = s == DOCTOR_PASS ? DOCTOR_MAX_LINES : DOCTOR_MAX_BAD_LINES;
    return !d->all && d->count[c][s] > max;
}

static struct doctor_line *
new_line(struct doctor *d)
{
    if (d->n == d->room) {
        size_t room = d->room ? 2 * d->room : 32;
        struct doctor_line *p = realloc(d->lines, room * sizeof *p);
        if (!p) {
            return NULL;
        }
        d->lines = p;
        d->room = room;
    }
    return &d->lines[d->n++];
}

/* One line; 'text' is the message and, after a newline, the remedy. */
static void __attribute__((format(printf, 5, 6)))
say(struct doctor *d, enum doctor_check check, enum doctor_status status,
    const char *subject, const char *text, ...)
{
    va_list args;
    char *message = NULL;

    d->count[check][status]++;
    if (over_limit(d, check, status)) {
        return;
    }
    va_start(args, text);
    int n = vasprintf(&message, text, args);
    va_end(args);
    struct doctor_line *l = n < 0 ? NULL : new_line(d);
    if (!l) {
        free(n < 0 ? NULL : message);
        return;
    }
    char *newline = strchr(message, '\n');
    l->check = check;
    l->status = status;
    l->subject = strdup(subject);
    l->remedy = strdup(newline ? newline + 1 : "");
    if (newline) {
        *newline = '\0';
    }
    l->message = message;
}

void
doctor_finish(struct doctor *d)
{
    for (int c = 0; c < N_DOCTOR_CHECKS; c++) {
        for (int s = 0; s < N_DOCTOR_STATUS; s++) {
            size_t n = d->count[c][s], max = s == DOCTOR_PASS
                ? DOCTOR_MAX_LINES : DOCTOR_MAX_BAD_LINES;
            if (!d->all && n > max) {
                d->count[c][s] = 0;     /* This one shall get through. */
                say(d, (enum doctor_check) c, (enum doctor_status) s, "",
                    "and %zu more", n - max);
                d->count[c][s] = n;
            }
        }
    }
}

void
doctor_clear(struct doctor *d)
{
    for (size_t i = 0; i < d->n; i++) {
        free(d->lines[i].subject);
        free(d->lines[i].message);
        free(d->lines[i].remedy);
    }
    free(d->lines);
    memset(d, 0, sizeof *d);
}

enum doctor_status
doctor_worst(const struct doctor *d)
{
    enum doctor_status worst = DOCTOR_PASS;
    for (int c = 0; c < N_DOCTOR_CHECKS; c++) {
        for (int s = 0; s < N_DOCTOR_STATUS; s++) {
            if (d->count[c][s] && (enum doctor_status) s > worst) {
                worst = (enum doctor_status) s;
            }
        }
    }
    return worst;
}

/* "3 min", for people. */
static const char *
ago(int64_t us, char buf[32])
{
    int64_t s = us / SECOND;
    if (s < 120) {
        snprintf(buf, 32, "%" PRId64 " s", s);
    } else if (s < 7200) {
        snprintf(buf, 32, "%" PRId64 " min", s / 60);
    } else {
        snprintf(buf, 32, "%" PRId64 " h", s / 3600);
    }
    return buf;
}

/* ---- Databases. ---- */

/* The group's bits are the way in that survives a restart of Open vSwitch
 * least badly: its own packages make the socket anew each time. */
static void
say_no_rights(struct doctor *d, const struct doctor_remote *r)
{
    const struct doctor_socket *s = r->socket;
    bool group_may = (s->mode & 060) == 060 && strcmp(s->group, "root");

    if (s->stat_error) {
        say(d, DOCTOR_SOCKET, DOCTOR_FAIL, r->remote,
            "user \"%s\" may not look into the directory of %s\n"
            "let it in (chmod a+x on the directory), or start venturid as "
            "root: it then keeps the one capability that this takes",
            r->user, s->path);
    } else if (group_may) {
        say(d, DOCTOR_SOCKET, DOCTOR_FAIL, r->remote,
            "user \"%s\" may not open %s, which belongs to %s:%s with mode "
            "%04o\nusermod -aG %s %s, then restart venturid", r->user,
            s->path, s->owner, s->group, (unsigned) s->mode & 07777,
            s->group, r->user);
    } else {
        say(d, DOCTOR_SOCKET, DOCTOR_FAIL, r->remote,
            "user \"%s\" may not open %s, which belongs to %s:%s with mode "
            "%04o\nstart venturid as root (it becomes \"venturi\" and keeps "
            "only the capability that this takes); or, until Open vSwitch is "
            "restarted: chgrp %s %s && chmod g+rw %s", r->user, s->path,
            s->owner, s->group, (unsigned) s->mode & 07777, r->user, s->path,
            s->path);
    }
}

static void
check_socket(struct doctor *d, const struct doctor_remote *r)
{
    const struct doctor_socket *s = r->socket;
    bool connected = r->snapshot && r->snapshot->connected;

    if (connected) {
        say(d, DOCTOR_SOCKET, DOCTOR_PASS, r->remote, s->user_error
            ? "open, thanks to CAP_DAC_OVERRIDE (user \"%s\" alone may not)"
            : "open; user \"%s\" may", r->user);
    } else if (s->stat_error == ENOENT || s->stat_error == ENOTDIR) {
        say(d, DOCTOR_SOCKET, DOCTOR_FAIL, r->remote,
            "there is no %s: ovsdb-server does not run, or its socket is "
            "elsewhere\nsystemctl start openvswitch-switch; or tell venturid "
            "where it is: venturictl config edit '{\"venturi:venturi\": "
            "{\"ovsdb\": {\"remote\": [\"unix:PATH\"]}}}'", s->path);
    } else if (!s->stat_error && !s->is_socket) {
        say(d, DOCTOR_SOCKET, DOCTOR_FAIL, r->remote,
            "%s is not a socket\nset ovsdb/remote to ovsdb-server's socket, "
            "usually unix:/var/run/openvswitch/db.sock", s->path);
    } else if (s->stat_error == EACCES || s->access_error == EACCES
               || s->connect_error == EACCES) {
        say_no_rights(d, r);
    } else if (s->connect_error == ECONNREFUSED) {
        say(d, DOCTOR_SOCKET, DOCTOR_FAIL, r->remote,
            "%s is there, but nobody listens: ovsdb-server has ended\n"
            "systemctl restart openvswitch-switch", s->path);
    } else if (s->stat_error || s->connect_error) {
        say(d, DOCTOR_SOCKET, DOCTOR_FAIL, r->remote, "%s: %s\n"
            "check ovsdb/remote and ovsdb-server's log", s->path,
            strerror(s->stat_error ? s->stat_error : s->connect_error));
    } else {
        say(d, DOCTOR_SOCKET, DOCTOR_PASS, r->remote, "user \"%s\" may open "
            "%s", r->user, s->path);
    }
}

/* "3.1.0" as 301; 0 if it says nothing. */
static unsigned
version_number(const char *text)
{
    unsigned major = 0, minor = 0;
    return sscanf(text ? text : "", "%u.%u", &major, &minor) == 2
           && major < 1000 && minor < 100 ? major * 100 + minor : 0;
}

/* What to do about a database that is reached by TCP or TLS, and is not. */
static const char *const network_remedies[N_CAUSES] = {
    [CAUSE_OTHER] = "check address, port and firewall, that ovsdb-server "
        "listens there (ovs-appctl -t ovsdb-server ovsdb-server/list-remotes), "
        "and certificates if it is ssl:",
    [CAUSE_REFUSED] = "check the port; on that host: ovs-appctl -t "
        "ovsdb-server ovsdb-server/list-remotes; if it is not there: ovs-vsctl "
        "set-manager ptcp:6640 (pssl:6640 for TLS)",
    [CAUSE_NO_ROUTE] = "check the address in ovsdb/remote, and the way to it: "
        "ip route get ADDRESS",
    [CAUSE_NO_ANSWER] = "check the address in ovsdb/remote, that its host is "
        "up, and that firewalls on the way let TCP to that port pass",
    [CAUSE_CLOSES] = "if the server listens with pssl: write ssl: instead of "
        "tcp: in ovsdb/remote, and set ovsdb/tls; if not, check the port",
    [CAUSE_PROTOCOL] = "check the port: an ovsdb-server must listen there; if "
        "it does with pssl, use ssl: in ovsdb/remote",
    [CAUSE_TLS_CLOSES] = "if the server listens with ptcp: write tcp: instead "
        "of ssl: in ovsdb/remote; if not, have ovsdb/tls/certificate signed by "
        "the CA that the server trusts (ovs-vsctl get-ssl)",
    [CAUSE_HANDSHAKE] = "set ovsdb/tls/ca to the CA that signed the server's "
        "certificate; what it presents, and until when: openssl s_client "
        "-connect ADDRESS:PORT; if it listens with ptcp, use tcp:",
    [CAUSE_TLS_FILES] = "set ovsdb/tls/private-key, certificate and ca to PEM "
        "files that the user of venturid may read, then restart venturid",
};

static void
check_database(struct doctor *d, const struct doctor_remote *r)
{
    const struct ovs_snapshot *s = r->snapshot;

    if (!s || !s->connected) {
        say(d, DOCTOR_OVSDB, DOCTOR_FAIL, r->remote, "not connected: %s\n%s",
            s && s->reason ? s->reason : "no answer yet",
            r->socket ? "see the line about its socket"
            : network_remedies[s ? s->cause : CAUSE_OTHER]);
        return;
    }
    unsigned version = version_number(s->ovs_version);
    if (version && version < 209) {
        say(d, DOCTOR_OVSDB, DOCTOR_WARN, r->remote, "Open vSwitch %s is "
            "older than 2.9: its IPFIX templates are not built in, and "
            "agents by address are not known to it\nupdate Open vSwitch",
            s->ovs_version);
    } else {
        /* ovs-ctl writes the version down, not the programs. */
        say(d, DOCTOR_OVSDB, DOCTOR_PASS, r->remote, "Open vSwitch%s%s, "
            "%zu bridge%s", version ? " " : " of a version that nobody told",
            version ? s->ovs_version : "", s->n_bridges,
            s->n_bridges == 1 ? "" : "s");
    }
}

static bool
asked_for(const struct export_policies *p, int option, const char **policy)
{
    enum export_table t = export_options[option].table;
    for (size_t i = 0; p && i < p->n; i++) {
        if (p->list[i].wish[t].wanted
            && p->list[i].wish[t].value[option].set) {
            *policy = p->list[i].name;
            return true;
        }
    }
    return false;
}

static void
check_columns(struct doctor *d, const struct doctor_remote *r,
              const struct export_policies *policies)
{
    const struct ovs_snapshot *s = r->snapshot;
    const char *policy;
    size_t n = 0;

    for (int o = 0; o < N_EXPORT_OPTIONS; o++) {
        if (s->missing_options[0] >> o & 1 && asked_for(policies, o,
                                                        &policy)) {
            n++;
            say(d, DOCTOR_COLUMNS, DOCTOR_WARN, r->remote,
                "policy %s sets %s/%s, which this Open vSwitch does not "
                "have: it is left out\nupdate Open vSwitch, or take the "
                "option out of the policy", policy,
                export_table_name(export_options[o].table),
                export_options[o].name);
        }
    }
    if (!n) {
        say(d, DOCTOR_COLUMNS, DOCTOR_PASS, r->remote,
            "has every column that the policies ask for");
    }
}

static void
check_vswitchd(struct doctor *d, const struct doctor_remote *r)
{
    const struct ovs_snapshot *s = r->snapshot;

    if (s->cur_cfg < s->next_cfg) {
        say(d, DOCTOR_VSWITCHD, DOCTOR_FAIL, r->remote,
            "ovs-vswitchd has not taken up the latest changes (next_cfg %"
            PRId64 ", cur_cfg %" PRId64 "): it does not run, or hangs\n"
            "look at its log, usually /var/log/openvswitch/ovs-vswitchd.log; "
            "systemctl restart openvswitch-switch", s->next_cfg, s->cur_cfg);
    } else {
        say(d, DOCTOR_VSWITCHD, DOCTOR_PASS, r->remote,
            "ovs-vswitchd has taken up every change");
    }
}

void
doctor_remote(struct doctor *d, const struct doctor_remote *r,
              const struct export_policies *policies)
{
    if (r->socket) {
        check_socket(d, r);
    }
    check_database(d, r);
    if (r->snapshot && r->snapshot->connected) {
        check_columns(d, r, policies);
        check_vswitchd(d, r);
    }
}

/* ---- Rows and their data. ---- */

static void
name_export(const struct doctor_export *e, char buf[300])
{
    snprintf(buf, 300, "%.255s %s", e->bridge, export_table_name(e->table));
}

static void
check_row(struct doctor *d, const struct doctor_export *e,
          const char *subject)
{
    const char *reason = e->reason && *e->reason ? e->reason : "";

    switch (e->state) {
    case STATE_ERROR:
        say(d, DOCTOR_ROW, DOCTOR_FAIL, subject, "%s\nventurictl export plan "
            "--bridge %s shows what would be written", reason, e->bridge);
        break;
    case STATE_CONFLICT:
        say(d, DOCTOR_ROW, DOCTOR_WARN, subject, "%s\nlet the other program "
            "go, or say in the policy how to live with it: \"foreign\": "
            "\"append\" adds our target, \"replace\" takes its place",
            reason);
        break;
    case STATE_PENDING:
        say(d, DOCTOR_ROW, DOCTOR_WARN, subject, "not in place yet: %s\n%s",
            reason, e->applying ? "if it stays so, see the lines about the "
            "database and ovs-vswitchd" : "venturictl export apply");
        break;
    default:
        if (e->row) {
            say(d, DOCTOR_ROW, DOCTOR_PASS, subject, "%s%s%s%s",
                e->ours ? "ours, in place" : "not ours, left alone; owner ",
                e->ours ? "" : e->row->owner ? e->row->owner : "not told",
                e->row->n_refs > 1 ? ", shared with other bridges" : "",
                !e->ours && e->row->n_appended ? "; our target was added"
                                               : "");
        }
        break;
    }
}

/* No record came since the row was taken up; 'recent': datagrams do. */
static void
check_silence(struct doctor *d, const struct doctor_export *e,
              const char *subject, int64_t quiet_us, bool recent)
{
    char quiet[32];

    ago(quiet_us, quiet);
    if (recent && e->counter_samples) {
        say(d, DOCTOR_DATA, DOCTOR_PASS, subject, "counter samples arrive, "
            "so export works; no packet was sampled for %s", quiet);
    } else if (recent && e->datagrams) {
        say(d, DOCTOR_DATA, DOCTOR_WARN, subject, "%" PRIu64 " datagrams "
            "came, but no record that could be decoded\nventurictl "
            "exporters; the lines about templates say more", e->datagrams);
    } else if (e->table == EXPORT_SFLOW) {
        /* Counter samples come without traffic, too. */
        say(d, DOCTOR_DATA, DOCTOR_FAIL, subject, "nothing came for %s, not "
            "even counter samples\nonly ovs-vswitchd's log says why: grep -E "
            "'sflow|collector' /var/log/openvswitch/ovs-vswitchd.log", quiet);
    } else {
        say(d, DOCTOR_DATA, DOCTOR_WARN, subject, "nothing came for %s: no "
            "traffic, or ovs-vswitchd could not open the collector\nsend "
            "traffic through %s; if still nothing comes: grep -E "
            "'netflow|ipfix|collector' "
            "/var/log/openvswitch/ovs-vswitchd.log", quiet, e->bridge);
    }
}

static void
check_data(struct doctor *d, const struct doctor_export *e,
           const char *subject, int64_t started_us, int64_t now_us)
{
    int64_t since = e->applied_us > started_us ? e->applied_us : started_us;
    char text[32];

    if (e->last_us && e->last_us >= e->applied_us
        && now_us - e->last_us <= e->expect_within_us) {
        say(d, DOCTOR_DATA, DOCTOR_PASS, subject, "the last record came %s "
            "ago", ago(now_us - e->last_us, text));
    } else if (e->last_us && e->last_us >= e->applied_us) {
        say(d, DOCTOR_DATA, DOCTOR_WARN, subject, "the last record came %s "
            "ago\nis there traffic on %s?  If so: does ovs-vswitchd still "
            "export (its log)?", ago(now_us - e->last_us, text), e->bridge);
    } else if (now_us - since <= e->expect_within_us) {
        say(d, DOCTOR_DATA, DOCTOR_PASS, subject, "in place for %s; the "
            "first record may take %" PRId64 " s", ago(now_us - since, text),
            e->expect_within_us / SECOND);
    } else {
        int64_t heard = e->last_datagram_us;
        check_silence(d, e, subject, now_us - (heard > since ? heard : since),
                      now_us - heard <= e->expect_within_us);
    }
}

void
doctor_export(struct doctor *d, const struct doctor_export *e,
              int64_t started_us, int64_t now_us)
{
    char subject[300];

    name_export(e, subject);
    check_row(d, e, subject);
    if (e->row && e->to_us && e->state != STATE_PENDING) {
        check_data(d, e, subject, started_us, now_us);
    }
}

void
doctor_agent(struct doctor *d, const struct doctor_agent *a)
{
    if (a->is_address || a->receiving) {
        say(d, DOCTOR_AGENT, DOCTOR_PASS, a->bridge, a->is_address
            ? "agent %s is an address" : "agent %s; its data arrives",
            a->agent);
    } else if (a->is_device && a->has_ipv4) {
        say(d, DOCTOR_AGENT, DOCTOR_PASS, a->bridge,
            "agent %s is an interface with an IPv4 address", a->agent);
    } else {
        say(d, DOCTOR_AGENT, DOCTOR_FAIL, a->bridge,
            "agent %s %s: unless it has a route to the target, Open vSwitch "
            "switches sFlow off and says so only in its log\n%s", a->agent,
            a->is_device ? "is an interface without an IPv4 address"
            : "is neither an address nor an interface of this host", a->ours
            ? "take sflow/agent out of the policy (venturid then chooses an "
            "address), or put an address there"
            : "put an address there: ovs-vsctl set sFlow ... "
            "agent=ADDRESS, or agent=INTERFACE of one that has an address");
    }
}

void
doctor_target(struct doctor *d, const struct doctor_target *t)
{
    char subject[300];

    snprintf(subject, sizeof subject, "%.200s %s", t->bridge,
             export_table_name(t->table));
    if (t->ours) {
        say(d, DOCTOR_TARGET, DOCTOR_PASS, subject,
            "sends to our collector, %s", t->target);
    } else if (!t->valid) {
        say(d, DOCTOR_TARGET, DOCTOR_WARN, subject, "target %s is not an "
            "address and a port: Open vSwitch takes names only if it was "
            "built for that\nwrite the address", t->target);
    } else if (!t->local) {
        say(d, DOCTOR_TARGET, DOCTOR_PASS, subject,
            "target %s is not on this host, and was not checked", t->target);
    } else if (t->taken) {
        say(d, DOCTOR_TARGET, DOCTOR_PASS, subject,
            "another program listens on %s", t->target);
    } else {
        say(d, DOCTOR_TARGET, DOCTOR_FAIL, subject, "nothing listens on %s: "
            "what this bridge sends there is lost\nstart what should listen, "
            "or let venturid: venturictl config edit '{\"venturi:venturi\": "
            "{\"collector\": {\"%s\": {\"listen\": [%s%s%s\"%s\"]}}}}'",
            t->target, export_table_name(t->table), t->listen ? "\"" : "",
            t->listen ? t->listen : "", t->listen ? "\", " : "", t->target);
    }
}

/* ---- Receiving. ---- */

void
doctor_listen(struct doctor *d, const struct input_status *s, bool expected,
              int64_t last_us, int64_t now_us, uint32_t wanted)
{
    char subject[128], text[32];

    snprintf(subject, sizeof subject, "%s %s", s->name, s->address);
    if (s->kernel_drops) {
        say(d, DOCTOR_LISTEN, DOCTOR_WARN, subject, "the kernel dropped %"
            PRIu64 " of %" PRIu64 " datagrams: the buffer of %" PRIu32
            " bytes was full\nsysctl -w net.core.rmem_max=%" PRIu32 ", a "
            "larger collector/receive-buffer, or more collector/workers; "
            "then restart venturid", s->kernel_drops,
            s->datagrams + s->kernel_drops, s->receive_buffer, 2 * wanted);
    } else if (s->receive_buffer < wanted) {
        say(d, DOCTOR_LISTEN, DOCTOR_WARN, subject, "the kernel granted a "
            "buffer of %" PRIu32 " bytes, not %" PRIu32 ": bursts may get "
            "lost\nsysctl -w net.core.rmem_max=%" PRIu32 ", then restart "
            "venturid", s->receive_buffer, wanted, wanted);
    } else if (!s->datagrams && expected) {
        say(d, DOCTOR_LISTEN, DOCTOR_WARN, subject, "bridges send here, but "
            "no datagram has come yet\nsee the lines about their data; does "
            "a firewall or another network namespace stand between?");
    } else if (!s->datagrams) {
        say(d, DOCTOR_LISTEN, DOCTOR_PASS, subject, "listening; nothing has "
            "come yet, and no bridge is told to send here");
    } else {
        say(d, DOCTOR_LISTEN, DOCTOR_PASS, subject, "%" PRIu64 " datagrams, "
            "none dropped%s%s%s", s->datagrams, last_us ? "; the last came "
            : "", last_us ? ago(now_us - last_us, text) : "",
            last_us ? " ago" : "");
    }
}

static void
check_source_data(struct doctor *d, const struct source *s,
                  const char *subject)
{
    uint64_t no_template = counter_get(&s->n.no_template);
    uint64_t unknown = counter_get(&s->n.rate_unknown);
    uint64_t malformed = counter_get(&s->n.malformed);
    uint64_t lost = counter_get(&s->n.ring_full)
                    + counter_get(&s->n.store_lost);

    if (malformed) {
        say(d, DOCTOR_DECODE, DOCTOR_WARN, subject, "%" PRIu64 " datagrams, "
            "sets or samples do not parse\nif it goes on: is it the protocol "
            "it claims to be?  tcpdump -w it and report it", malformed);
    }
    if (lost) {
        say(d, DOCTOR_STORE, DOCTOR_WARN, subject, "%" PRIu64 " records were "
            "received and could not be stored\nsee the lines about store and "
            "disk; sample less", lost);
    }
    if (no_template && !counter_get(&s->n.flow_records)) {
        say(d, DOCTOR_TEMPLATE, DOCTOR_WARN, subject, "%" PRIu64 " data sets "
            "came, and no template for them yet: they cannot be read\nwait "
            "for the exporter to repeat its templates, or set it to do so "
            "more often (template timeout, 60 s)", no_template);
    }
    if (unknown) {
        say(d, DOCTOR_SAMPLING, DOCTOR_WARN, subject, "%" PRIu64 " flows "
            "came without a sampling rate: their counts are as sent\nlet the "
            "exporter announce its rate (options template with "
            "samplingInterval)", unknown);
    }
}

static void
check_source_clock(struct doctor *d, const struct source *s,
                   const char *subject)
{
    uint64_t corrected = counter_get(&s->n.time_corrected);
    int64_t skew = atomic_load_explicit(&s->skew_us, memory_order_relaxed);

    if (skew > MAX_SKEW_US || skew < -MAX_SKEW_US) {
        say(d, DOCTOR_CLOCK, DOCTOR_WARN, subject, "its clock is %" PRId64
            " s %s ours\nsynchronize both (chrony, systemd-timesyncd)",
            (skew < 0 ? -skew : skew) / SECOND, skew < 0 ? "behind"
                                                         : "ahead of");
    } else if (corrected) {
        say(d, DOCTOR_CLOCK, DOCTOR_WARN, subject, "%" PRIu64 " flows had "
            "times that cannot be; the time of arrival was taken instead\n"
            "check the exporter's clock and time zone", corrected);
    }
}

void
doctor_source(struct doctor *d, const struct source *s, const char *bridge)
{
    char subject[400], addr[ADDR_STRLEN];
    const char *protocol = column_word_name(&columns[COL_export_protocol],
                                            s->key.protocol);

    snprintf(subject, sizeof subject, "%s %s%s%.255s",
             addr_format(&s->key.exporter, addr), protocol ? protocol : "?",
             bridge ? " " : "", bridge ? bridge : "");
    check_source_data(d, s, subject);
    check_source_clock(d, s, subject);
}

static bool
none_bad(const struct doctor *d, enum doctor_check c)
{
    return !d->count[c][DOCTOR_WARN] && !d->count[c][DOCTOR_FAIL];
}

void
doctor_sources_done(struct doctor *d, size_t n)
{
    static const struct {
        enum doctor_check check;
        const char *text;
    } list[] = {
        { DOCTOR_DECODE, "everything parses" },
        { DOCTOR_TEMPLATE, "no data waits for its template" },
        { DOCTOR_SAMPLING, "every rate is known" },
        { DOCTOR_CLOCK, "their clocks agree with ours" },
    };

    for (size_t i = 0; n && i < sizeof list / sizeof list[0]; i++) {
        if (none_bad(d, list[i].check)) {
            say(d, list[i].check, DOCTOR_PASS, "exporters", "%s (%zu source%s"
                ")", list[i].text, n, n == 1 ? "" : "s");
        }
    }
}

/* ---- The host. ---- */

void
doctor_probe(struct doctor *d, const char *interface, bool running, bool down,
             const char *reason)
{
    if (running) {
        say(d, DOCTOR_PROBE, DOCTOR_PASS, interface, "softflowd runs");
    } else if (down) {
        say(d, DOCTOR_PROBE, DOCTOR_PASS, interface,
            "the interface is down; softflowd waits for it");
    } else {
        say(d, DOCTOR_PROBE, DOCTOR_FAIL, interface, "softflowd does not "
            "run: %s\napt-get install softflowd if it is not there; a right "
            "that is missing is kept by a venturid that root starts with "
            "probe/softflowd configured", reason);
    }
}

void
doctor_clock(struct doctor *d, bool synchronized)
{
    if (synchronized) {
        say(d, DOCTOR_CLOCK, DOCTOR_PASS, "this host",
            "the clock is synchronized");
    } else {
        say(d, DOCTOR_CLOCK, DOCTOR_WARN, "this host", "the kernel says that "
            "the clock is not synchronized\ntimedatectl set-ntp true, or "
            "chrony; harmless if the machine's host keeps its clock");
    }
}

void
doctor_store(struct doctor *d, const struct store_health *h)
{
    char since[TIME_STRLEN];

    if (!h) {
        say(d, DOCTOR_STORE, DOCTOR_FAIL, "flows", "not running\nsee "
            "venturid's log");
    } else if (!h->writing) {
        say(d, DOCTOR_STORE, DOCTOR_FAIL, "flows", "not written since %s: "
            "%s\nfree space, or see to the file system; venturid goes on by "
            "itself", time_format_us(h->since_us, since), h->reason);
    } else {
        say(d, DOCTOR_STORE, DOCTOR_PASS, "flows", "written; %" PRIu32
            " segments, %" PRIu64 " bytes", h->n_segments, h->bytes);
    }
}

#define MB UINT64_C(1000000)

void
doctor_disk(struct doctor *d, const struct doctor_disk *k)
{
    uint64_t room = k->available + k->used;

    if (k->available < 100 * MB) {
        say(d, DOCTOR_DISK, DOCTOR_FAIL, k->path, "%" PRIu64 " MB are free\n"
            "free space, or lower store/retention/size", k->available / MB);
    } else if (!k->limit || k->limit > room) {
        say(d, DOCTOR_DISK, DOCTOR_WARN, k->path, "store/retention/size is %"
            PRIu64 " MB, but there is room for %" PRIu64 " MB: the disk may "
            "fill before old flows go\nventurictl config edit "
            "'{\"venturi:venturi\": {\"store\": {\"retention\": {\"size\": "
            "\"%" PRIu64 "MB\"}}}}'", k->limit / MB, room / MB,
            room / MB * 9 / 10);
    } else {
        say(d, DOCTOR_DISK, DOCTOR_PASS, k->path, "%" PRIu64 " MB are free",
            k->available / MB);
    }
}

void
doctor_files(struct doctor *d, uint64_t limit, uint64_t open,
             uint64_t wanted)
{
    if (open * 10 >= limit * 9) {
        say(d, DOCTOR_FILES, DOCTOR_FAIL, "", "%" PRIu64 " of %" PRIu64
            " files are open\nraise LimitNOFILE of venturid.service, then "
            "restart it", open, limit);
    } else if (limit < wanted) {
        say(d, DOCTOR_FILES, DOCTOR_WARN, "", "%" PRIu64 " files may be "
            "open; api/max-clients and the workers may take %" PRIu64 "\n"
            "LimitNOFILE=%" PRIu64 " in venturid.service, or a smaller "
            "api/max-clients", limit, wanted, wanted);
    } else {
        say(d, DOCTOR_FILES, DOCTOR_PASS, "", "%" PRIu64 " of %" PRIu64
            " files are open", open, limit);
    }
}

/* ---- /proc/net/udp. ---- */

/* An address as the kernel prints it: words of 32 bits in host order. */
static bool
proc_addr(const char *hex, size_t digits, struct addr *a)
{
    uint8_t raw[16];

    for (size_t i = 0; i < digits / 8; i++) {
        char word[9];
        memcpy(word, hex + 8 * i, 8);
        word[8] = '\0';
        char *end;
        uint32_t v = (uint32_t) strtoul(word, &end, 16);
        if (*end) {
            return false;
        }
        memcpy(raw + 4 * i, &v, 4);
    }
    *a = digits == 8 ? addr_from_v4_bytes(raw) : addr_from_v6_bytes(raw);
    return true;
}

bool
doctor_udp_taken(const char *text, const struct addr *addr, uint16_t port)
{
    static const struct addr any4 = { { [10] = 0xff, [11] = 0xff } };

    while (text && *text) {
        const char *line = text;
        char local[64];
        text = strchr(line, '\n');
        text = text ? text + 1 : NULL;
        if (sscanf(line, " %*u: %63s", local) != 1) {
            continue;
        }
        char *colon = strchr(local, ':');
        struct addr a;
        size_t n = colon ? (size_t) (colon - local) : 0;
        if ((n != 8 && n != 32) || !proc_addr(local, n, &a)
            || strtoul(colon + 1, NULL, 16) != port) {
            continue;
        }
        if (addr_equal(&a, addr) || addr_is_zero(&a)
            || (addr_equal(&a, &any4) && addr_is_v4(addr))) {
            return true;
        }
    }
    return false;
}
