#include <config.h>

#include "api/deliver.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>
#include <json-c/json.h>

#include "api/methods.h"
#include "lib/addr.h"
#include "lib/clock.h"
#include "lib/event.h"
#include "lib/log.h"
#include "lib/ring.h"
#include "lib/text.h"
#include "lib/thread.h"

#define LOOK_MS 10              /* At a program that runs. */
#define BACKOFF_MS 1000         /* After the first attempt; then 4 times. */
#define SYSLOG_FACILITY 3       /* daemon */
#define SYSLOG_MAX 2048

const struct counter_def deliver_counter_defs[] = {
#define X(NAME, DOC) { #NAME, offsetof(struct deliver_counters, NAME), DOC },
    DELIVER_COUNTERS(X)
#undef X
    { NULL, 0, NULL }
};

struct parcel {
    enum event_severity severity;
    char *message;              /* Words, for syslog. */
    char text[];                /* JSON. */
};

struct delivery {
    struct config_delivery c;
    struct deliver_counters n;
    struct ring *queue;
    pthread_t thread;
    bool started, failing;
    _Atomic bool stop;
    pthread_mutex_t mutex;      /* For waiting. */
    pthread_cond_t wake;
    char error[160];            /* Of the last attempt; of the thread. */
};

struct deliveries {
    struct delivery *list[DELIVERIES_MAX];
    size_t n;
};

/* ---- Webhooks. ---- */

static size_t
swallow(char *data, size_t size, size_t n, void *aux)
{
    (void) data;
    (void) aux;
    return size * n;
}

static bool
stopping(void *delivery)
{
    return atomic_load(&((struct delivery *) delivery)->stop);
}

static int
on_progress(void *delivery, curl_off_t a, curl_off_t b, curl_off_t c,
            curl_off_t d)
{
    (void) a;
    (void) b;
    (void) c;
    (void) d;
    return stopping(delivery);
}

static int
send_webhook(struct delivery *d, const struct parcel *p)
{
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = curl_slist_append(
        NULL, "Content-Type: application/json");
    long status = 0;

    for (unsigned i = 0; i < d->c.n_words; i++) {
        headers = curl_slist_append(headers, d->c.words[i]);
    }
    if (!curl || !headers) {
        curl_easy_cleanup(curl);
        curl_slist_free_all(headers);
        snprintf(d->error, sizeof d->error, "out of memory");
        return -ENOMEM;
    }
    curl_easy_setopt(curl, CURLOPT_URL, d->c.url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, (const char *) p->text);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "venturid/" PACKAGE_VERSION);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long) d->c.timeout_ms);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, swallow);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, d);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (code) {
        snprintf(d->error, sizeof d->error, "%s", curl_easy_strerror(code));
    } else if (status < 200 || status > 299) {
        snprintf(d->error, sizeof d->error, "HTTP status %ld", status);
        code = CURLE_HTTP_RETURNED_ERROR;
    }
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    return code ? -EIO : 0;
}

/* ---- Programs. ---- */

/* In the child: only what is safe after a fork of one thread. */
static void __attribute__((noreturn))
become(char *const argv[], int in)
{
    static char *const envp[] = { (char *) "PATH=/usr/bin:/bin",
                                  (char *) "LANG=C.UTF-8", NULL };
    const struct rlimit none = { 0, 0 }, files = { 64, 64 };
    int null = open("/dev/null", O_RDWR);
    sigset_t set;

    setsid();
    signal(SIGPIPE, SIG_DFL);
    sigemptyset(&set);
    sigprocmask(SIG_SETMASK, &set, NULL);
    if (dup2(in, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0
        || dup2(null, STDERR_FILENO) < 0 || chdir("/")) {
        _exit(126);
    }
    syscall(SYS_close_range, 3u, ~0u, 0u);
    setrlimit(RLIMIT_CORE, &none);
    setrlimit(RLIMIT_NOFILE, &files);
    prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L);
    prctl(PR_SET_PDEATHSIG, (long) SIGKILL, 0L, 0L, 0L);
    execve(argv[0], argv, envp);
    _exit(127);
}

/* Watches over the program, and is the one that waits for it: libev, in the main
 * thread, takes the status of every child of the daemon.  Exits with the
 * program's status, 124 after the timeout. */
static void __attribute__((noreturn))
supervise(char *const argv[], int in, unsigned timeout_ms)
{
    prctl(PR_SET_PDEATHSIG, (long) SIGKILL, 0L, 0L, 0L);
    pid_t pid = (pid_t) syscall(SYS_clone, SIGCHLD, 0L, 0L, 0L, 0L);
    if (!pid) {
        become(argv, in);
    }
    if (pid < 0) {
        _exit(126);
    }
    for (unsigned ms = 0;; ms += LOOK_MS) {
        const struct timespec pause = { 0, LOOK_MS * 1000000L };
        int status;
        if (waitpid(pid, &status, WNOHANG) == pid) {
            kill(-pid, SIGKILL);        /* What it left behind. */
            _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 125);
        }
        if (ms >= timeout_ms) {
            kill(-pid, SIGKILL);
            kill(pid, SIGKILL);
            _exit(124);
        }
        nanosleep(&pause, NULL);
    }
}

static int
send_exec(struct delivery *d, const struct parcel *p)
{
    int status = -1, in = memfd_create("alert", MFD_CLOEXEC);
    size_t size = strlen(p->text);

    /* A pipe may have less room than a large alert needs, and would wait for
     * the program. */
    if (in < 0 || write(in, p->text, size) != (ssize_t) size
        || lseek(in, 0, SEEK_SET)) {
        snprintf(d->error, sizeof d->error, "standard input: %s",
                 strerror(errno));
        if (in >= 0) {
            close(in);
        }
        return -EIO;
    }
    /* No signal at its end: then nobody else waits for it. */
    pid_t pid = (pid_t) syscall(SYS_clone, 0L, 0L, 0L, 0L, 0L);
    if (!pid) {
        supervise(d->c.words, in, d->c.timeout_ms);
    }
    close(in);
    while (pid > 0 && !waitpid(pid, &status, WNOHANG | __WCLONE)) {
        const struct timespec pause = { 0, LOOK_MS * 1000000L };
        if (stopping(d)) {
            kill(pid, SIGKILL); /* And with it what it watches. */
        }
        nanosleep(&pause, NULL);
    }
    int code = pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    if (code) {
        snprintf(d->error, sizeof d->error,
                 code == 124 ? "%s took longer than its timeout (%d)"
                 : code == 127 ? "%s cannot be run (%d)"
                 : "%s ended with status %d", d->c.words[0], code);
    }
    return code ? -EIO : 0;
}

/* ---- syslog (RFC 5424). ---- */

static int
send_syslog(struct delivery *d, const struct parcel *p)
{
    static const int levels[N_EVENT_SEVERITIES] = { 6, 5, 4, 3, 2 };
    const char *server = d->c.server ? d->c.server : "/dev/log";
    union {
        struct sockaddr sa;
        struct sockaddr_un un;
        struct sockaddr_in in;
        struct sockaddr_in6 in6;
    } to = { .un = { .sun_family = AF_UNIX } };
    socklen_t size = sizeof to.un;
    char line[SYSLOG_MAX], time[TIME_STRLEN], host[65] = "-";
    struct addr a;
    uint16_t port;

    if (server[0] == '/') {
        snprintf(to.un.sun_path, sizeof to.un.sun_path, "%s", server);
    } else if (!endpoint_parse(server, 514, &a, &port)) {
        if (addr_is_v4(&a)) {
            memset(&to, 0, sizeof to);
            to.in.sin_family = AF_INET;
            to.in.sin_port = htons(port);
            memcpy(&to.in.sin_addr, a.b + 12, 4);
            size = sizeof to.in;
        } else {
            memset(&to, 0, sizeof to);
            to.in6.sin6_family = AF_INET6;
            to.in6.sin6_port = htons(port);
            memcpy(&to.in6.sin6_addr, a.b, 16);
            size = sizeof to.in6;
        }
    }
    gethostname(host, sizeof host - 1);
    int n = snprintf(line, sizeof line, "<%d>1 %s %s venturid %d alert - %s",
                     SYSLOG_FACILITY * 8 + levels[p->severity],
                     time_format_us(clock_wall_us(), time), host,
                     (int) getpid(), p->message);
    if (n >= (int) sizeof line) {       /* Not within a character. */
        n = (int) sizeof line - 1;
        while (n && ((unsigned char) line[n - 1] & 0xc0) == 0x80) {
            n--;
        }
        n -= n && (unsigned char) line[n - 1] >= 0xc0;
    }
    for (int i = 0; i < n; i++) {       /* A name does not make lines. */
        line[i] = (unsigned char) line[i] < ' ' || line[i] == 0x7f
                  ? ' ' : line[i];
    }
    int fd = socket(to.sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC
                                     | SOCK_NONBLOCK, 0);
    ssize_t done = fd < 0 ? -1 : sendto(fd, line, (size_t) n, MSG_NOSIGNAL,
                                        &to.sa, size);
    if (done < 0) {
        snprintf(d->error, sizeof d->error, "%s: %s", server,
                 strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
    return done < 0 ? -EIO : 0;
}

/* ---- Threads. ---- */

static const struct {
    const char *name;
    int (*send)(struct delivery *, const struct parcel *);
} types[] = {
    [DELIVER_WEBHOOK] = { "webhook", send_webhook },
    [DELIVER_EXEC] = { "exec", send_exec },
    [DELIVER_SYSLOG] = { "syslog", send_syslog },
};

/* False: it is to stop. */
static bool
pause_ms(struct delivery *d, unsigned ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    pthread_mutex_lock(&d->mutex);
    while (!stopping(d)
           && !pthread_cond_timedwait(&d->wake, &d->mutex, &until)) {
        continue;
    }
    pthread_mutex_unlock(&d->mutex);
    return !stopping(d);
}

static void
deliver(struct delivery *d, const struct parcel *p)
{
    unsigned wait_ms = BACKOFF_MS;
    int err = types[d->c.type].send(d, p);

    for (unsigned i = 0; err && i < d->c.retries; i++, wait_ms *= 4) {
        if (!pause_ms(d, wait_ms)) {
            return;
        }
        counter_inc(&d->n.retried);
        err = types[d->c.type].send(d, p);
    }
    if (!err) {
        counter_inc(&d->n.delivered);
        d->failing = false;
        return;
    }
    counter_inc(&d->n.failed);
    if (!d->failing && !stopping(d)) {
        d->failing = true;
        event_post(EVENT_alert_delivery, d->c.name,
                   EVENT_DETAIL(EVENT_TEXT("type", types[d->c.type].name),
                                EVENT_TEXT("reason", d->error)),
                   "alerts do not reach %s: %s", d->c.name, d->error);
        LOG_RATE(main, NOTICE, "alerts do not reach %s: %s", d->c.name,
                 d->error);
    }
}

static void
parcel_free(struct parcel *p)
{
    if (p) {
        free(p->message);
        free(p);
    }
}

static void *
run(void *delivery)
{
    struct delivery *d = delivery;

    while (!stopping(d)) {
        struct parcel *p = ring_pop(d->queue, -1);
        if (p && !stopping(d)) {
            deliver(d, p);
        }
        parcel_free(p);
    }
    return NULL;
}

static void
delivery_destroy(struct delivery *d)
{
    struct parcel *p;

    if (!d) {
        return;
    }
    if (d->started) {
        atomic_store(&d->stop, true);
        pthread_mutex_lock(&d->mutex);
        pthread_cond_broadcast(&d->wake);
        pthread_mutex_unlock(&d->mutex);
        ring_wake(d->queue);
        pthread_join(d->thread, NULL);
    }
    while (d->queue && (p = ring_pop(d->queue, 0))) {
        parcel_free(p);
    }
    ring_destroy(d->queue);
    for (unsigned i = 0; i < d->c.n_words; i++) {
        free(d->c.words[i]);
    }
    free(d->c.url);
    free(d->c.server);
    pthread_mutex_destroy(&d->mutex);
    pthread_cond_destroy(&d->wake);
    free(d);
}

static char *
copy_text(const char *text)
{
    return text ? strdup(text) : NULL;
}

static struct delivery *
delivery_create(const struct config_delivery *c)
{
    struct delivery *d = calloc(1, sizeof *d);
    pthread_condattr_t attr;

    if (!d) {
        return NULL;
    }
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&d->wake, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&d->mutex, NULL);
    memcpy(&d->c, c, sizeof d->c);
    d->c.url = copy_text(c->url);
    d->c.server = copy_text(c->server);
    for (unsigned i = 0; i < c->n_words; i++) {
        d->c.words[i] = copy_text(c->words[i]);
    }
    d->queue = ring_create(DELIVER_QUEUE);
    d->started = d->queue && !thread_start(&d->thread, "deliver", run, d);
    if (!d->started) {
        delivery_destroy(d);
        return NULL;
    }
    return d;
}

static bool
same(const struct config_delivery *a, const struct config_delivery *b)
{
    bool is = !strcmp(a->name, b->name) && a->type == b->type
              && a->severity == b->severity && a->n_words == b->n_words
              && a->timeout_ms == b->timeout_ms && a->retries == b->retries
              && text_equal(a->url, b->url) && text_equal(a->server, b->server);
    for (unsigned i = 0; is && i < a->n_words; i++) {
        is = text_equal(a->words[i], b->words[i]);
    }
    return is;
}

struct deliveries *
deliveries_create(void)
{
    static bool once;
    if (!once) {
        once = !curl_global_init(CURL_GLOBAL_DEFAULT);
    }
    return calloc(1, sizeof(struct deliveries));
}

void
deliveries_destroy(struct deliveries *s)
{
    if (s) {
        for (size_t i = 0; i < s->n; i++) {
            delivery_destroy(s->list[i]);
        }
        free(s);
    }
}

int
deliveries_set(struct deliveries *s, const struct config_delivery *list,
               size_t n)
{
    struct delivery *next[DELIVERIES_MAX];
    int err = 0;
    size_t count = 0;

    for (size_t i = 0; i < n && i < DELIVERIES_MAX; i++) {
        struct delivery *d = NULL;
        for (size_t k = 0; k < s->n && !d; k++) {
            if (s->list[k] && same(&s->list[k]->c, &list[i])) {
                d = s->list[k];
                s->list[k] = NULL;
            }
        }
        d = d ? d : delivery_create(&list[i]);
        if (d) {
            next[count++] = d;
        } else {
            err = -ENOMEM;
        }
    }
    for (size_t k = 0; k < s->n; k++) {
        delivery_destroy(s->list[k]);
    }
    memcpy(s->list, next, count * sizeof *next);
    s->n = count;
    return err;
}

static bool
wanted(const struct delivery *d, char *const *names, unsigned n)
{
    bool is = !n;
    for (unsigned i = 0; i < n && !is; i++) {
        is = !strcmp(names[i], d->c.name);
    }
    return is;
}

void
deliveries_send(struct deliveries *s, char *const *names, unsigned n,
                enum event_severity severity, const char *text,
                const char *message)
{
    for (size_t i = 0; i < s->n; i++) {
        struct delivery *d = s->list[i];
        if (severity < d->c.severity || !wanted(d, names, n)) {
            continue;
        }
        struct parcel *p = malloc(sizeof *p + strlen(text) + 1);
        if (p) {
            p->severity = severity;
            strcpy(p->text, text);
            p->message = strdup(message);
        }
        if (!p || !p->message || !ring_push(d->queue, p)) {
            counter_inc(&d->n.dropped);
            parcel_free(p);
        }
    }
}

struct json_object *
deliveries_status(struct deliveries *s)
{
    struct json_object *list = json_object_new_array();

    for (size_t i = 0; s && i < s->n; i++) {
        struct delivery *d = s->list[i];
        struct json_object *o = json_object_new_object();
        reply_string(o, "name", d->c.name);
        reply_string(o, "type", types[d->c.type].name);
        reply_uint(o, "waiting", ring_length(d->queue));
        for (const struct counter_def *c = deliver_counter_defs; c->name;
             c++) {
            reply_uint(o, c->name, counter_at(&d->n, c));
        }
        json_object_array_add(list, o);
    }
    return list;
}
