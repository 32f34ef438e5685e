/* lib/event.h -- what happened, for people and programs: an exporter fell
 * silent, a bridge is fought over, a host sends ten times what it usually does.
 *
 * Any thread posts; whoever keeps events (collector/event/) takes them.  The
 * queue between is bounded, and so is what one kind may post: what does not get
 * in is counted, and the next event of that kind tells how many like it there
 * were.  Without somebody who takes, posting does nothing.
 *
 * A kind is a row of EVENT_KINDS.  An event says what it is about (its
 * subject: an address, a bridge, the name of a rule), a sentence, and details
 * for programs. */
#ifndef LIB_EVENT_H
#define LIB_EVENT_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Names are words with a dot; X(ID, NAME, SEVERITY, DOC). */
#define EVENT_KINDS(X)                                                  \
    X(daemon_started, "daemon.started", INFO,                           \
      "venturid is ready")                                              \
    X(daemon_stopped, "daemon.stopped", INFO,                           \
      "venturid was told to end")                                       \
    X(config_changed, "config.changed", NOTICE,                         \
      "another configuration is in effect")                             \
    X(config_refused, "config.refused", ERROR,                          \
      "a configuration file could not be taken; the old one holds")     \
    X(exporter_new, "exporter.new", NOTICE,                             \
      "somebody sends that was not known")                              \
    X(exporter_silent, "exporter.silent", WARNING,                      \
      "an exporter that used to send sends no more")                    \
    X(exporter_returned, "exporter.returned", NOTICE,                   \
      "a silent exporter sends again")                                  \
    X(export_receiving, "export.receiving", INFO,                       \
      "data of an export that is configured on a bridge arrive")        \
    X(export_silent, "export.silent", WARNING,                          \
      "export is configured on a bridge, and nothing arrives")          \
    X(export_conflict, "export.conflict", WARNING,                      \
      "rows of others keep export from a bridge, or fight with it")     \
    X(export_error, "export.error", ERROR,                              \
      "export cannot be configured on a bridge")                        \
    X(export_removed, "export.removed", INFO,                           \
      "a bridge, or its export, is no more")                            \
    X(ovsdb_connected, "ovsdb.connected", INFO,                         \
      "a database of Open vSwitch answers")                             \
    X(ovsdb_lost, "ovsdb.lost", WARNING,                                \
      "the connection to a database of Open vSwitch is lost")           \
    X(store_failing, "store.failing", CRITICAL,                         \
      "flows cannot be written: disk full, or broken")                  \
    X(store_recovered, "store.recovered", NOTICE,                       \
      "flows are written again")                                        \
    X(store_damaged, "store.damaged", ERROR,                            \
      "a file of the store cannot be read and was set aside")           \
    X(bgp_up, "bgp.up", NOTICE,                                         \
      "a BGP session came up")                                          \
    X(bgp_down, "bgp.down", WARNING,                                    \
      "a BGP session ended, and why")                                   \
    X(bgp_warning, "bgp.warning", WARNING,                              \
      "a neighbour comes near its limit of routes (max-prefixes)")      \
    X(bgp_malformed, "bgp.malformed", WARNING,                          \
      "a neighbour sends what is malformed")                            \
    X(bmp_up, "bmp.up", NOTICE,                                         \
      "a router begins to speak BMP")                                   \
    X(bmp_down, "bmp.down", WARNING,                                    \
      "a router's BMP connection ended")                                \
    X(bmp_peer_up, "bmp.peer-up", INFO,                                 \
      "a router that speaks BMP has a session with a peer")             \
    X(bmp_peer_down, "bmp.peer-down", NOTICE,                           \
      "a router that speaks BMP lost its session with a peer")          \
    X(route_changed, "route.changed", INFO,                             \
      "a route inside of routes/watch changed")                         \
    X(alert_raised, "alert.raised", WARNING,                            \
      "a rule is met; the severity is the rule's")                      \
    X(alert_cleared, "alert.cleared", INFO,                             \
      "what a rule was raised for is over")                             \
    X(alert_delivery, "alert.delivery", WARNING,                        \
      "somebody who is to be told of alerts cannot be reached")         \
    X(event_lost, "event.lost", WARNING,                                \
      "more happened at once than is kept")

enum event_kind {
#define X(ID, NAME, SEVERITY, DOC) EVENT_##ID,
    EVENT_KINDS(X)
#undef X
    N_EVENT_KINDS
};

/* syslog's words, the mildest first. */
enum event_severity { EVENT_S_INFO, EVENT_S_NOTICE, EVENT_S_WARNING,
                      EVENT_S_ERROR, EVENT_S_CRITICAL, N_EVENT_SEVERITIES };

struct event_kind_def {
    const char *name;
    enum event_severity severity;
    const char *doc;
};
extern const struct event_kind_def event_kinds[N_EVENT_KINDS];

const char *event_severity_name(enum event_severity);
/* 0 or -EINVAL. */
int event_severity_find(const char *name, enum event_severity *);

/* One detail.  Ends with a NULL name. */
struct event_member {
    const char *name;
    enum { EVENT_M_TEXT, EVENT_M_INT, EVENT_M_TIME, EVENT_M_JSON } type;
    const char *text;           /* NULL: null.  Of JSON, a whole value. */
    int64_t number;             /* Of a time, microseconds since 1970. */
};
#define EVENT_TEXT(NAME, VALUE) { NAME, EVENT_M_TEXT, VALUE, 0 }
#define EVENT_INT(NAME, VALUE) { NAME, EVENT_M_INT, NULL, VALUE }
#define EVENT_TIME(NAME, US) { NAME, EVENT_M_TIME, NULL, US }
#define EVENT_JSON(NAME, VALUE) { NAME, EVENT_M_JSON, VALUE, 0 }
#define EVENT_DETAIL(...)                                               \
    ((const struct event_member[]) { __VA_ARGS__, { NULL, 0, NULL, 0 } })

#define EVENT_SUBJECT_MAX 255   /* Bytes; longer ones are cut. */
#define EVENT_MESSAGE_MAX 511
#define EVENT_BODY_MAX 16384    /* Of details, whole members are left out. */
#define EVENT_QUEUE 1024        /* That wait to be kept. */
#define EVENT_BURST 256         /* Of one kind at once, ... */
#define EVENT_RATE 16           /* ... and that many a second after it. */

struct event {
    enum event_kind kind;
    enum event_severity severity;
    int64_t time_us;
    size_t size;                /* Of 'body', without the NUL. */
    /* "subject":"...","message":"...","detail":{...}} in valid UTF-8. */
    char body[];
};

/* Makes an event; details may be NULL.  free() it.  NULL: out of memory. */
struct event *event_make(enum event_kind, enum event_severity,
                         int64_t time_us, const char *subject,
                         const struct event_member *, const char *message);

/* Posts, with the severity of the kind, or with another.  Any thread; waits for
 * nothing.
 *
 *     event_post(EVENT_exporter_new, address,
 *                EVENT_DETAIL(EVENT_TEXT("protocol", "ipfix"),
 *                             EVENT_INT("domain", 5)),
 *                "%s sends IPFIX for the first time", address); */
void event_post(enum event_kind, const char *subject,
                const struct event_member *, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void event_post_as(enum event_kind, enum event_severity, const char *subject,
                   const struct event_member *, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* For the one who keeps events: takes from now on; ends it, and forgets what
 * waits.  The oldest that waits, to free(), or NULL if none comes within
 * 'wait_ms' (negative: until one comes or event_wake() is called). */
int event_queue_open(void);     /* 0 or -ENOMEM. */
void event_queue_close(void);
struct event *event_take(int wait_ms);
void event_wake(void);

/* Writes at most 'max' bytes of 'text' as they stand in a JSON string; what is
 * not UTF-8 becomes U+FFFD. */
void event_put_escaped(FILE *, const char *text, size_t max);

#endif /* lib/event.h */
