/* collector/input/input_p.h -- what input.c (workers) and listen.c (addresses)
 * share. */
#ifndef COLLECTOR_INPUT_P_H
#define COLLECTOR_INPUT_P_H 1

#include <ev.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "collector/input/input.h"
#include "collector/input/pace.h"
#include "collector/input/steer.h"

struct flow_batch;

#define RX_BURST BURST_MAX      /* Datagrams of one recvmmsg(). */

/* A listening address. */
struct listener {
    char asked[64];             /* As it was configured, */
    char address[64];           /* and with the port that it got. */
    const char *name;
    enum input_transport transport;
    counter_t datagrams, octets, kernel_drops, not_allowed;
    struct tcp_counters tcp;
    uint32_t receive_buffer;
    struct port *ports;         /* As steer.h numbers them. */
    unsigned n_ports;
    bool steered;               /* UDP: the kernel knows who goes where. */
};

/* A worker's socket of a listener. */
struct port {
    struct worker *worker;
    struct listener *listener;
    enum steer_lane lane;
    int fd;                     /* UDP; -1: another worker has it. */
    unsigned burst;             /* Datagrams to take at once: fewer where they
                                 * take long, so that others get a turn. */
    _Atomic uint32_t drops;     /* The kernel's count so far; it wraps. */
    ev_io io;
    struct tcp_server *tcp;     /* TCP and TLS. */
};

struct rx {
    struct mmsghdr msgs[RX_BURST];
    struct iovec iov[RX_BURST];
    struct sockaddr_storage from[RX_BURST];
    _Alignas(8) char control[RX_BURST][CMSG_SPACE(sizeof(uint32_t))];
    uint8_t *data;              /* RX_BURST * RX_SIZE. */
};

/* Known exporters have batches of their own: where the writer cannot keep up,
 * those of anybody are lost first. */
struct lane {
    struct flow_batch *batch;   /* Being filled. */
    struct flow_batch *spare;   /* Could not be submitted. */
};

struct worker {
    struct input *input;
    pthread_t thread;
    bool started;
    struct ev_loop *loop;
    ev_timer flush;
    ev_async stop, change;
    ev_tstamp turn;             /* When datagrams were taken last. */
    unsigned number;
    struct decoder *decoder;
    struct lane lanes[2];       /* STEER_ANYBODY, STEER_KNOWN. */
    enum steer_lane lane;       /* The one at hand. */
    struct rx rx;
};

/* Listeners that come and go while workers run: each worker does its part. */
struct change {
    struct listener **add, **remove;
    size_t n_add, n_remove;
    unsigned n_open;            /* Workers that are not done yet. */
};

struct input {
    struct input_config config;
    struct listener **listeners;
    size_t n_listeners;
    pthread_mutex_t mutex;      /* 'change' */
    pthread_cond_t changed;
    struct change change;
    struct worker *workers;
    unsigned n_workers;
    struct prefix *allow;
    struct addr *known;
    size_t n_known;
    _Atomic bool has_known;
    uint32_t secret;
    struct tls *tls;
    struct tcp_sessions *sessions;
};

/* A port with a socket (-1: none), which is closed on failure.  0 or -ENOMEM. */
int port_open(struct port *, int fd);
/* Its worker does not run, or calls it. */
void port_close(struct port *);

/* Takes note that the kernel's count of dropped datagrams is 'total'.  Worker
 * and main thread both come here; the count only goes forward.  Returns how
 * many are new and were a loss: those of the socket for who may not send were
 * not. */
uint32_t port_note_drops(struct port *, uint32_t total);

/* A listener that is open, or NULL and a message to free(). */
struct listener *listener_open(struct input *, const struct input_listen *,
                               char **error);
/* Closes what its ports still have; their workers do not run. */
void listener_destroy(struct listener *);

#endif /* collector/input/input_p.h */
