#include <config.h>

#include "probe/probe.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/log.h"

/* A child and what it says; beside its slot, which may move. */
struct child {
    struct probe *probe;
    uint32_t ifindex;
    ev_child watch;
    ev_io output;
    int fd;                     /* Its stdout and stderr; -1: closed. */
    char line[120];             /* The last one. */
    size_t n_line;
    bool new_line;
    struct child *next;
};

struct probe {
    struct ev_loop *loop;
    int (*prepare)(void);
    probe_hold_func *hold;      /* Or NULL. */
    void (*changed)(void *aux); /* Or NULL. */
    void *aux;
    struct probe_config *config;
    struct probe_links links;
    struct probe_table table;
    struct child *children;
    int fd;                     /* rtnetlink; -1: none. */
    ev_io on_links;
    ev_timer timer;
    bool resync;                /* Messages were lost. */
    bool dumping;               /* 'links' is not complete yet. */
    char error[160];
    char preload[512];          /* "LD_PRELOAD=...", or "". */
};

static void step(struct probe *);

/* ---- Children. ---- */

static struct probe_slot *
slot_of(struct probe *p, uint32_t ifindex)
{
    for (size_t i = 0; i < p->table.n; i++) {
        if (p->table.slots[i].ifindex == ifindex) {
            return &p->table.slots[i];
        }
    }
    return NULL;
}

/* Keeps the beginning of the last line. */
static void
hear(struct child *c, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '\n') {
            c->new_line = true;
            continue;
        }
        if (c->new_line) {
            c->new_line = false;
            c->n_line = 0;
        }
        if (c->n_line < sizeof c->line - 1) {
            c->line[c->n_line++] = text[i] >= ' ' && text[i] < 127 ? text[i]
                                                                   : '?';
        }
        c->line[c->n_line] = '\0';
    }
}

static void
read_output(struct child *c)
{
    char buf[1024];
    ssize_t n = 0;

    for (int i = 0; i < 16 && c->fd >= 0; i++) {
        n = read(c->fd, buf, sizeof buf);
        if (n <= 0) {
            break;
        }
        hear(c, buf, (size_t) n);
    }
    if (c->fd >= 0 && (n == 0 || (n < 0 && errno != EAGAIN
                                  && errno != EINTR))) {
        ev_io_stop(c->probe->loop, &c->output);
        close(c->fd);
        c->fd = -1;
    }
}

static void
on_output(struct ev_loop *loop, ev_io *w, int revents)
{
    (void) loop;
    (void) revents;
    read_output(w->data);
}

static void
child_destroy(struct child *c)
{
    struct child **at = &c->probe->children;

    while (*at != c) {
        at = &(*at)->next;
    }
    *at = c->next;
    ev_child_stop(c->probe->loop, &c->watch);
    if (c->fd >= 0) {
        ev_io_stop(c->probe->loop, &c->output);
        close(c->fd);
    }
    free(c);
}

static void
on_exit_of_child(struct ev_loop *loop, ev_child *w, int revents)
{
    struct child *c = w->data;
    struct probe *p = c->probe;
    struct probe_slot *s = slot_of(p, c->ifindex);

    (void) loop;
    (void) revents;
    read_output(c);
    if (s && s->pid == w->rpid) {
        bool told = s->told_ms != 0;
        probe_exited(s, w->rstatus, clock_mono_ms(), c->line);
        if (!told) {
            LOG_RATE(probe, NOTICE, "%s: %s", s->name, s->reason);
        }
    }
    child_destroy(c);
    step(p);
}

/* Between fork() and exec(): only what is safe there. */
static void __attribute__((noreturn))
become(struct probe *p, char *argv[], int out, pid_t parent)
{
    int null = open("/dev/null", O_RDWR);
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    dup2(null, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    syscall(SYS_close_range, 3u, ~0u, 0u);
    int error = p->prepare ? p->prepare() : 0;
    if (!error) {
        /* Also if we are killed with -9. */
        prctl(PR_SET_PDEATHSIG, (long) SIGTERM);
        if (getppid() == parent) {
            char *envp[] = { p->preload[0] ? p->preload : NULL, NULL };
            execve(argv[0], argv, envp);
            error = -errno;
        }
    }
    static const char text[] = "cannot be started: ";
    const char *why = error == -ENOENT ? "not installed (softflowd)"
                      : error == -EPERM ? "without CAP_NET_RAW: start "
                        "venturid as root with the probe configured"
                      : error == -EACCES ? "no permission" : "system error";
    if (write(STDERR_FILENO, text, sizeof text - 1) > 0
        && write(STDERR_FILENO, why, strlen(why)) > 0) {
        _exit(126);
    }
    _exit(127);
}

/* Returns its pid, or a negative errno. */
static pid_t
spawn(struct probe *p, char *argv[], int *out)
{
    int fds[2];
    pid_t parent = getpid();

    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK)) {
        return -errno;
    }
    pid_t pid = fork();
    if (!pid) {
        become(p, argv, fds[1], parent);
    }
    int error = errno;
    close(fds[1]);
    if (pid < 0) {
        close(fds[0]);
        return -error;
    }
    *out = fds[0];
    return pid;
}

static void
start(struct probe *p, struct probe_slot *s)
{
    char *argv[PROBE_MAX_ARGS], buf[PROBE_ARGS_SIZE];
    struct child *c = calloc(1, sizeof *c);
    int error = c ? probe_command(s, argv, buf) : -ENOMEM;
    pid_t pid = error ? error : spawn(p, argv, &c->fd);

    if (pid < 0) {
        free(c);
        probe_started(s, 0, clock_mono_ms(), strerror(-pid));
        return;
    }
    c->probe = p;
    c->ifindex = s->ifindex;
    c->next = p->children;
    p->children = c;
    ev_child_init(&c->watch, on_exit_of_child, pid, 0);
    c->watch.data = c;
    ev_child_start(p->loop, &c->watch);
    ev_io_init(&c->output, on_output, c->fd, EV_READ);
    c->output.data = c;
    ev_io_start(p->loop, &c->output);
    probe_started(s, pid, clock_mono_ms(), NULL);
    LOG(probe, INFO, "%s: softflowd started, process %d", s->name,
        (int) pid);
}

static void
act(void *p_, struct probe_slot *s, enum probe_action action)
{
    struct probe *p = p_;

    if (action == PROBE_START) {
        start(p, s);
    } else {
        LOG(probe, INFO, "%s: stopping softflowd, process %d", s->name,
            (int) s->pid);
        kill(s->pid, action == PROBE_KILL ? SIGKILL : SIGTERM);
    }
}

static void
step(struct probe *p)
{
    int64_t wake = probe_table_step(&p->table, clock_mono_ms(), act, p);

    ev_timer_stop(p->loop, &p->timer);
    if (p->resync && (wake < 0 || wake > 1000)) {
        wake = 1000;
    }
    if (wake >= 0) {
        ev_timer_set(&p->timer, (double) wake / 1000 + 0.001, 0.);
        ev_timer_start(p->loop, &p->timer);
    }
}

/* ---- Links. ---- */

static int
ask_for_links(struct probe *p)
{
    struct {
        struct nlmsghdr h;
        struct ifinfomsg i;
    } q = {
        .h = { .nlmsg_len = NLMSG_LENGTH(sizeof q.i),
               .nlmsg_type = RTM_GETLINK,
               .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP, .nlmsg_seq = 1 },
    };
    if (send(p->fd, &q, sizeof q, 0) < 0) {
        return -errno;
    }
    p->dumping = true;
    return 0;
}

/* Nothing is stopped because a list is not complete. */
static void
links_changed(struct probe *p)
{
    if (!p->dumping) {
        p->links.changed = false;
        probe_table_update(&p->table, p->config, &p->links, p->hold, p->aux);
        if (p->changed) {
            p->changed(p->aux);
        }
    }
    step(p);
}

/* Messages were lost, or a dump was interrupted: what went away in between is
 * not told again, so all is asked anew. */
static void
resync(struct probe *p)
{
    p->links.n = 0;
    p->links.changed = true;
    p->resync = ask_for_links(p) != 0;
}

static void
on_links(struct ev_loop *loop, ev_io *w, int revents)
{
    struct probe *p = w->data;
    union {
        struct nlmsghdr h;
        char bytes[32768];
    } buf;

    (void) loop;
    (void) revents;
    /* A batch, then others get their turn. */
    for (int i = 0; i < 32; i++) {
        ssize_t n = recv(p->fd, &buf, sizeof buf, MSG_DONTWAIT);
        if (n < 0 && errno == ENOBUFS) {
            resync(p);
            continue;
        }
        if (n <= 0) {
            break;
        }
        int result = probe_links_read(&p->links, &buf, (size_t) n);
        if (result < 0) {
            p->resync = true;   /* By the timer: not again and again. */
        } else if (result) {
            p->dumping = false;
        }
    }
    if (p->links.changed || p->resync) {
        links_changed(p);
    }
}

static void
on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct probe *p = w->data;

    (void) loop;
    (void) revents;
    if (p->resync) {
        resync(p);
    }
    step(p);
}

static int
open_netlink(struct probe *p)
{
    struct sockaddr_nl nl = { .nl_family = AF_NETLINK,
                              .nl_groups = RTMGRP_LINK };

    if (p->fd >= 0) {
        return 0;
    }
    p->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
                   NETLINK_ROUTE);
    int error = p->fd < 0 ? -errno : 0;
    if (!error && (bind(p->fd, (struct sockaddr *) &nl, sizeof nl)
                   || ask_for_links(p))) {
        error = -errno;
        close(p->fd);
        p->fd = -1;
    }
    if (error) {
        snprintf(p->error, sizeof p->error, "rtnetlink: %s",
                 strerror(-error));
        LOG(probe, ERR, "%s", p->error);
        return error;
    }
    p->error[0] = '\0';
    ev_io_set(&p->on_links, p->fd, EV_READ);
    ev_io_start(p->loop, &p->on_links);
    return 0;
}

static void
close_netlink(struct probe *p)
{
    if (p->fd >= 0) {
        ev_io_stop(p->loop, &p->on_links);
        close(p->fd);
        p->fd = -1;
    }
    probe_links_clear(&p->links);
    p->resync = p->dumping = false;
}

/* ---- Life. ---- */

/* See probe/softflowd_now.c.  VENTURI_LIBDIR is for trees that are not
 * installed. */
static void
find_preload(struct probe *p)
{
    const char *dir = getenv("VENTURI_LIBDIR");
    static const char name[] = "LD_PRELOAD=";
    int n = snprintf(p->preload, sizeof p->preload, "%s%s/softflowd-now.so",
                     name, dir ? dir : PKGLIBDIR);
    if (n < 0 || (size_t) n >= sizeof p->preload
        || access(p->preload + sizeof name - 1, R_OK)) {
        p->preload[0] = '\0';
    }
}

struct probe *
probe_create(struct ev_loop *loop, int (*prepare)(void))
{
    struct probe *p = calloc(1, sizeof *p);

    if (p) {
        p->loop = loop;
        p->prepare = prepare;
        p->fd = -1;
        find_preload(p);
        ev_init(&p->on_links, on_links);
        p->on_links.data = p;
        ev_init(&p->timer, on_timer);
        p->timer.data = p;
    }
    return p;
}

int
probe_configure(struct probe *p, const struct probe_config *config)
{
    struct probe_config *c = config ? probe_config_clone(config) : NULL;

    if (config && !c) {
        return -ENOMEM;
    }
    probe_config_destroy(p->config);
    p->config = c;
    int error = 0;
    if (c) {
        error = open_netlink(p);
    } else {
        close_netlink(p);
    }
    links_changed(p);
    return error;
}

void
probe_set_hooks(struct probe *p, probe_hold_func *hold,
                void (*changed)(void *aux), void *aux)
{
    p->hold = hold;
    p->changed = changed;
    p->aux = aux;
}

void
probe_review(struct probe *p)
{
    links_changed(p);
}

const char *
probe_error(const struct probe *p)
{
    return p->error[0] ? p->error : NULL;
}

const struct probe_table *
probe_table(const struct probe *p)
{
    return &p->table;
}

/* Waits for all children; the loop does not run any more. */
static void
reap(struct probe *p)
{
    int64_t end = clock_mono_ms() + 2000;
    bool killed = false;

    while (p->children) {
        for (struct child *c = p->children, *next; c; c = next) {
            next = c->next;
            int status;
            if (waitpid(c->watch.pid, &status, WNOHANG) != 0) {
                child_destroy(c);
            } else if (!killed && clock_mono_ms() >= end) {
                kill(c->watch.pid, SIGKILL);
            }
        }
        killed |= clock_mono_ms() >= end;
        usleep(2000);
    }
}

void
probe_destroy(struct probe *p)
{
    if (!p) {
        return;
    }
    for (struct child *c = p->children; c; c = c->next) {
        kill(c->watch.pid, SIGTERM);
    }
    reap(p);
    close_netlink(p);
    ev_timer_stop(p->loop, &p->timer);
    probe_table_clear(&p->table);
    probe_config_destroy(p->config);
    free(p);
}
