/* api/doctor.h -- why does nothing arrive?  Judges what others have looked at.
 *
 * Pure: plain values in, lines out; api/methods_doctor.c does the looking.
 * Each line says how one thing is, and what to do if it is not well. */
#ifndef API_DOCTOR_H
#define API_DOCTOR_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "collector/input/input.h"
#include "collector/store/store.h"
#include "lib/source.h"
#include "ovsdb/export.h"

enum doctor_status { DOCTOR_PASS, DOCTOR_WARN, DOCTOR_FAIL,
                     N_DOCTOR_STATUS };

/* X(id, name, what is looked at) */
#define DOCTOR_CHECKS(X)                                                      \
    X(SOCKET, "socket", "can the database's socket be opened")                \
    X(OVSDB, "ovsdb", "is the database there, and how old is it")             \
    X(COLUMNS, "columns", "has the database what the policies ask for")       \
    X(VSWITCHD, "vswitchd", "does ovs-vswitchd take up changes")              \
    X(ROW, "row", "export rows in effect, and whose they are")                \
    X(AGENT, "agent", "can Open vSwitch name an sFlow agent")                 \
    X(TARGET, "target", "does something listen where bridges send to")        \
    X(DATA, "data", "do records of a bridge and protocol arrive")             \
    X(LISTEN, "listen", "listening sockets, and what the kernel dropped")     \
    X(DECODE, "decode", "datagrams that do not parse")                        \
    X(TEMPLATE, "template", "data that waits for its template")               \
    X(SAMPLING, "sampling", "flows whose sampling rate nobody told")          \
    X(CLOCK, "clock", "clocks: ours, and those of exporters")                 \
    X(PROBE, "probe", "does each Linux bridge's softflowd run")               \
    X(STORE, "store", "are flows written")                                    \
    X(DISK, "disk", "is there room for what shall be kept")                   \
    X(FILES, "files", "may enough files be open")

enum doctor_check {
#define X(ID, NAME, DOC) DOCTOR_##ID,
    DOCTOR_CHECKS(X)
#undef X
    N_DOCTOR_CHECKS
};

struct doctor_line {
    enum doctor_check check;
    enum doctor_status status;
    char *subject;              /* What was looked at, "" for the host. */
    char *message;              /* How it is. */
    char *remedy;               /* What to do about it; "" if it is well. */
};

/* At most so many lines of one check and status; the others are counted. */
#define DOCTOR_MAX_LINES 8
#define DOCTOR_MAX_BAD_LINES 64

struct doctor {
    struct doctor_line *lines;
    size_t n, room;
    size_t count[N_DOCTOR_CHECKS][N_DOCTOR_STATUS];     /* Of them all. */
    bool all;                   /* No limit. */
};

const char *doctor_check_name(enum doctor_check);
const char *doctor_status_name(enum doctor_status);     /* "pass", ... */

/* The worst status of all. */
enum doctor_status doctor_worst(const struct doctor *);
/* Adds a line for what was only counted.  Call it once, at the end. */
void doctor_finish(struct doctor *);
void doctor_clear(struct doctor *);

/* The socket of a "unix:" remote, as it looks to us. */
struct doctor_socket {
    const char *path;
    int stat_error;             /* errno of stat(), or 0. */
    bool is_socket;
    mode_t mode;
    const char *owner, *group;  /* Names or numbers. */
    int user_error;             /* errno of access() by the user alone, or 0. */
    int access_error;           /* The same for the OVSDB thread, or 0. */
    int connect_error;          /* errno of connect(), or 0. */
};

/* One database.  'socket' is NULL unless it is a "unix:" remote; 'snapshot' is
 * NULL if it has not been heard of. */
struct doctor_remote {
    const char *remote;
    const struct doctor_socket *socket;
    const struct ovs_snapshot *snapshot;
    const char *user;           /* As whom we run. */
};
void doctor_remote(struct doctor *, const struct doctor_remote *,
                   const struct export_policies *);

/* One bridge and protocol. */
struct doctor_export {
    const char *bridge;
    enum export_table table;
    enum export_state state;    /* As OVSDB has it. */
    const char *reason;
    const struct export_row *row;       /* In effect; NULL: none. */
    bool ours;                  /* The row is. */
    bool to_us;                 /* One of its targets is our collector. */
    bool applying;              /* We may write. */
    int64_t applied_us, last_us;        /* Wall clock; 0: never. */
    int64_t expect_within_us;
    uint64_t datagrams, counter_samples;
    int64_t last_datagram_us;   /* Wall clock; 0: never. */
};
void doctor_export(struct doctor *, const struct doctor_export *,
                   int64_t started_us, int64_t now_us);

/* What an sFlow agent's name came to on the host. */
struct doctor_agent {
    const char *bridge, *agent;
    bool is_address;
    bool is_device, has_ipv4;   /* An interface here, with an address. */
    bool receiving;             /* Its data arrives: so it is well. */
    bool ours;
};
void doctor_agent(struct doctor *, const struct doctor_agent *);

/* Where a bridge sends to. */
struct doctor_target {
    const char *bridge, *target;
    enum export_table table;
    bool valid;                 /* An address and a port. */
    bool ours;                  /* Our collector listens there. */
    bool local;                 /* An address of this host. */
    bool taken;                 /* Somebody listens there. */
    const char *listen;         /* Where ours listens for it, or NULL. */
};
void doctor_target(struct doctor *, const struct doctor_target *);

/* A listening address.  'expected': some bridge sends there; 'last_us' is of
 * its protocol; 'wanted' is the configured receive buffer. */
void doctor_listen(struct doctor *, const struct input_status *,
                   bool expected, int64_t last_us, int64_t now_us,
                   uint32_t wanted);

/* What one source has been through. */
void doctor_source(struct doctor *, const struct source *,
                   const char *bridge);
/* After all of them: says what is well. */
void doctor_sources_done(struct doctor *, size_t n_sources);

/* A probe of a Linux bridge; 'reason': why it does not run. */
void doctor_probe(struct doctor *, const char *interface, bool running,
                  bool down, const char *reason);

/* The host: 'synchronized' as the kernel says. */
void doctor_clock(struct doctor *, bool synchronized);
void doctor_store(struct doctor *, const struct store_health *);

struct doctor_disk {
    const char *path;
    uint64_t size, available;   /* Bytes, of the file system. */
    uint64_t used;              /* By the store. */
    uint64_t limit;             /* store/retention/size; 0: none. */
};
void doctor_disk(struct doctor *, const struct doctor_disk *);
void doctor_files(struct doctor *, uint64_t limit, uint64_t open,
                  uint64_t wanted);

/* Whether a line of /proc/net/udp or udp6 says that somebody is bound to
 * 'addr' and 'port', or to every address. */
bool doctor_udp_taken(const char *proc_text, const struct addr *,
                      uint16_t port);

#endif /* api/doctor.h */
