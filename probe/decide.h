/* probe/decide.h -- which interfaces get a probe, and when it is started,
 * stopped and started again.
 *
 * Pure: links and the time come in, actions come out. */
#ifndef PROBE_DECIDE_H
#define PROBE_DECIDE_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROBE_NAME_SIZE 16      /* IFNAMSIZ. */
#define PROBE_MAX 256           /* Probes at the same time. */
#define PROBE_MAX_LINKS 4096    /* Links that are looked at. */

/* What is wanted of some interfaces.  Lists of names with * and ?; all strings
 * are owned.  In a list, the first that selects an interface decides. */
struct probe_config {
    struct probe_config *next;  /* Owned; NULL: the last. */
    char *policy;               /* Which asks for it, or NULL: the probes that
                                 * are for all that no policy decides. */
    bool none;                  /* What it selects gets no probe. */
    char *problem;              /* Why it can't be done, or NULL. */
    char **bridges;             /* Linux bridges. */
    size_t n_bridges;
    char **interfaces;          /* Interfaces of any kind. */
    size_t n_interfaces;
    char **exclude;
    size_t n_exclude;
    char *program;              /* Path of softflowd. */
    char *target;               /* "local", or address and port. */
    unsigned version;           /* 5, 9, 10 (IPFIX). */
    uint32_t sampling;          /* 1 packet in so many. */
    uint32_t max_flows;
    uint32_t active_timeout;    /* Seconds. */
};

/* With all that follow; NULL gives NULL, and is destroyed easily. */
struct probe_config *probe_config_clone(const struct probe_config *);
void probe_config_destroy(struct probe_config *);
/* True if both lead to the same command lines. */
bool probe_config_same_command(const struct probe_config *,
                               const struct probe_config *);

/* A network interface. */
struct probe_link {
    uint32_t ifindex;
    char name[PROBE_NAME_SIZE];
    bool bridge;                /* A Linux bridge. */
    bool up;
};

struct probe_links {
    struct probe_link *list;
    size_t n, room;
    bool changed;               /* Since somebody set it to false. */
};

/* Adds, changes or removes ('gone') a link. */
void probe_links_put(struct probe_links *, const struct probe_link *,
                     bool gone);
/* Takes the messages of one rtnetlink datagram.  Returns 1 at the end of a
 * dump, 0 if there is more to come, or a negative errno. */
int probe_links_read(struct probe_links *, const void *, size_t size);
void probe_links_clear(struct probe_links *);

bool probe_selects(const struct probe_config *, const struct probe_link *);
/* The one of a list that decides about the link; NULL if none does, or if it
 * says that there is to be no probe. */
const struct probe_config *probe_choose(const struct probe_config *,
                                        const struct probe_link *);

enum probe_state {
    PROBE_DOWN,                 /* Selected, but the interface is down. */
    PROBE_STARTING,             /* To be started at once. */
    PROBE_RUNNING,
    PROBE_BACKOFF,              /* It ended; to be started again. */
    PROBE_STOPPING,             /* Told to end. */
    PROBE_HELD,                 /* Selected, but not to run; see 'reason'. */
};
const char *probe_state_name(enum probe_state);

/* One interface with a probe, or which had one that has not ended. */
struct probe_slot {
    uint32_t ifindex;
    char name[PROBE_NAME_SIZE];
    bool bridge;
    bool selected, up;
    const char *held;           /* Why it is not to run, though selected; or
                                 * NULL.  Static, or of 'config'. */
    struct probe_config *config;        /* What decided; owned, alone. */
    struct probe_config *pending;       /* What decides now but for a process
                                         * that must stay; owned, or NULL. */
    enum probe_state state;
    pid_t pid;                  /* 0: none. */
    int64_t started_ms, retry_ms, told_ms;      /* Monotonic. */
    bool killed;
    unsigned failures;          /* In a row. */
    uint32_t starts;            /* In all. */
    char reason[160];           /* Why it is not running, or ended last. */
};

struct probe_table {
    struct probe_slot slots[PROBE_MAX];
    size_t n;
    size_t n_refused;           /* Selected, but beyond PROBE_MAX. */
};

/* Whether a probe must not run for the moment although it is asked for: why, in
 * words that stay; NULL: it may.  Sets '*frozen' (false before) if one that runs
 * must keep its command line. */
typedef const char *probe_hold_func(void *aux, const char *interface,
                                    const char *policy, bool *frozen);

/* Brings the table up to date with links and wishes ('config' NULL: none;
 * 'hold' may be NULL).  Those whose command line differs now are told to end,
 * and start anew, unless they are frozen: then 'pending' waits. */
void probe_table_update(struct probe_table *, const struct probe_config *,
                        const struct probe_links *, probe_hold_func *hold,
                        void *aux);
/* Forgets all slots; their processes are the caller's. */
void probe_table_clear(struct probe_table *);

enum probe_action { PROBE_START, PROBE_TERMINATE, PROBE_KILL };

/* What is to be done now: calls 'act' for each.  PROBE_START must call
 * probe_started().  Removes slots that are over.  Returns milliseconds until
 * there may be more to do, or -1. */
int64_t probe_table_step(struct probe_table *, int64_t now_ms,
                         void (*act)(void *aux, struct probe_slot *,
                                     enum probe_action), void *aux);

/* 'pid' 0: it could not be started, for the reason given. */
void probe_started(struct probe_slot *, pid_t pid, int64_t now_ms,
                   const char *reason);
/* The child has ended; 'said' is the last line of what it said, or NULL. */
void probe_exited(struct probe_slot *, int wait_status, int64_t now_ms,
                  const char *said);

/* The command line; 'target' is where to send.  'argv' has room for
 * PROBE_MAX_ARGS and ends with NULL; texts live in 'buf'. */
#define PROBE_MAX_ARGS 40
#define PROBE_ARGS_SIZE 512
int probe_command(const struct probe_slot *, char *argv[PROBE_MAX_ARGS],
                  char buf[PROBE_ARGS_SIZE]);

#endif /* probe/decide.h */
