/* bgp/speaker_p.h -- inside bgp/speaker*.c. */
#ifndef BGP_SPEAKER_P_H
#define BGP_SPEAKER_P_H 1

#include <ev.h>

#include "bgp/speaker.h"
#include "lib/acceptor.h"

/* A message always fits, whatever is left over of those before. */
#define IN_SIZE 65536u
#define OUT_MAX 65536u          /* Of one who does not read. */
#define READ_SIZE 8192u        /* In a turn. */
#define SLICE_US 2000
#define MAX_LINGER 64
#define LINGER_S 2.
#define MAX_LISTEN 20

struct neighbor;

/* A socket and what waits on either side of it. */
struct link {
    struct neighbor *neighbor;
    enum bgp_slot slot;
    int fd;                     /* -1: none. */
    ev_io readable, writable;
    bool connecting;
    bool in_turn;               /* Waits for its turn to be read. */
    struct link *next;          /* In turn. */
    uint64_t serial;            /* Never the same for two sockets. */
    int error;                  /* Errno that the session does not know yet. */
    uint8_t *in;                /* IN_SIZE, while the socket is open. */
    size_t n_in;
    uint8_t *out;
    size_t n_out, at_out;
    uint16_t remote_port;
};

struct neighbor {
    struct bgp_speaker *speaker;
    struct bgp_neighbor config; /* 'password' is ours. */
    struct bgp_session *session;
    struct link link[BGP_N_SLOTS];
    ev_timer timer;
    int64_t armed_ms;           /* When the timer fires. */
    bool dynamic;
    bool keep;                  /* In the new configuration. */
    size_t range;
    struct neighbor *next;
};

/* A socket whose last words are still on their way. */
struct farewell {
    int fd;
    ev_io readable;
    ev_timer timer;
    struct farewell *next;
    struct bgp_speaker *speaker;
};

struct listener {
    struct bgp_listen at;       /* As configured. */
    int fd;
    uint16_t port;              /* Really. */
    struct acceptor acceptor;
    struct bgp_speaker *speaker;
};

struct bgp_speaker {
    struct ev_loop *loop;
    struct bgp_sink sink;
    struct bgp_speaker_hooks hooks;
    struct bgp_decoder *decoder;
    struct neighbor *neighbors, *dynamic;
    struct listener listeners[MAX_LISTEN];
    size_t n_listeners;
    struct bgp_range *ranges;   /* Passwords are ours. */
    size_t n_ranges;
    unsigned *n_of_range;
    struct bgp_speaker_counters n;
    ev_idle turn;
    struct link *first, **last; /* In turn. */
    struct farewell *lingering;
    size_t n_lingering;
    uint32_t seed;
    uint64_t n_opened;
};

/* speaker_link.c */
void link_init(struct link *, struct neighbor *, enum bgp_slot);
/* Takes over a socket; 'connecting': it is not connected yet.  Returns 0 or
 * -ENOMEM, and then 'fd' is closed. */
int link_open(struct link *, int fd, bool connecting);
void link_connect(struct link *);
void link_send(struct link *, const uint8_t *, size_t);
/* Closes after what was sent has gone out, if 'gently'. */
void link_close(struct link *, bool gently);
void link_turns(struct bgp_speaker *);  /* Sets up the turns. */
void link_read_now(struct link *);      /* One more turn, out of turn. */
/* Sends some last words on a socket that nobody will own. */
void link_last_words(struct bgp_speaker *, int fd, const uint8_t *, size_t);
void link_end_lingering(struct bgp_speaker *);

/* speaker.c: sets the timer of a neighbour after its session did something. */
void neighbor_arm(struct neighbor *);

#endif /* bgp/speaker_p.h */
