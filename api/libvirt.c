#include <config.h>

#include "api/libvirt.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/cursor.h"

#define PROGRAM 0x20008086u
#define PROTOCOL 1
#define HEADER 28               /* Octets, the length among them. */
#define MAX_MESSAGE (32u << 20) /* libvirt's own limit. */
#define MAX_CALL 4096
#define MAX_MACHINES 65536
#define CALL_MS 30000           /* A call that takes longer has failed. */
#define SLICE_MS 250            /* Once in so long 'stopped' is asked. */

#define READ_ONLY 1             /* VIR_CONNECT_RO */
#define ACTIVE 1                /* VIR_CONNECT_LIST_DOMAINS_ACTIVE */

enum message_type { CALL = 0, REPLY = 1, MESSAGE = 2 };
enum message_status { OK = 0 };

/* Numbers of procedures, from libvirt's remote_protocol.x. */
enum procedure {
    CONNECT_OPEN = 1,
    DOMAIN_GET_XML_DESC = 14,
    AUTH_LIST = 66,
    CONNECT_LIST_ALL_DOMAINS = 273,
    EVENT_REGISTER_ANY = 316,
    DOMAIN_INTERFACE_ADDRESSES = 353,
};

/* Kinds of events that may change what is told. */
static const uint32_t event_kinds[] = {
    0,                          /* Lifecycle. */
    15,                         /* A device was removed. */
    19,                         /* One was added. */
    23,                         /* Metadata changed. */
};

struct libvirt {
    int fd;
    bool (*stopped)(void *aux);
    void *aux;
    uint32_t serial;
    bool news;                  /* An event came. */
    uint8_t *in;                /* The message at hand, without its length. */
    size_t n_in;
};

/* What a call has as arguments. */
struct out {
    uint8_t data[MAX_CALL];
    size_t n;
    bool full;
};

#define FAIL(E, ERROR, ...)                                             \
    (snprintf(ERROR, LIBVIRT_ERROR_SIZE, __VA_ARGS__), -(E))

/* ---- RFC 4506. ---- */

static void
put_u32(struct out *o, uint32_t v)
{
    if (o->n + 4 > sizeof o->data) {
        o->full = true;
        return;
    }
    for (int shift = 24; shift >= 0; shift -= 8) {
        o->data[o->n++] = (uint8_t) (v >> shift);
    }
}

static void
put_fixed(struct out *o, const void *data, size_t n)
{
    size_t padded = (n + 3) & ~(size_t) 3;
    if (padded > sizeof o->data - o->n) {
        o->full = true;
        return;
    }
    memset(o->data + o->n, 0, padded);
    memcpy(o->data + o->n, data, n);
    o->n += padded;
}

static void
put_text(struct out *o, const void *text, size_t n)
{
    put_u32(o, (uint32_t) n);
    put_fixed(o, text, n);
}

/* Text that need not be terminated. */
struct span {
    const char *s;
    size_t n;
};

static struct span
take_fixed(struct cursor *c, size_t n)
{
    const uint8_t *p = cur_take(c, n);
    cur_skip(c, (4 - n % 4) % 4);
    return c->bad ? (struct span) { "", 0 }
                  : (struct span) { (const char *) p, n };
}

static struct span
take_text(struct cursor *c)
{
    return take_fixed(c, cur_u32(c));
}

static struct span
take_optional(struct cursor *c)
{
    return cur_u32(c) ? take_text(c) : (struct span) { "", 0 };
}

/* ---- Messages. ---- */

/* Waits for 'events'.  0, or a negative errno; -ETIMEDOUT at 'until_ms'. */
static int
await_fd(struct libvirt *v, short events, int64_t until_ms)
{
    for (;;) {
        int64_t left = until_ms - clock_mono_ms();
        if (v->stopped(v->aux)) {
            return -EINTR;
        }
        if (left <= 0) {
            return -ETIMEDOUT;
        }
        struct pollfd p = { .fd = v->fd, .events = events };
        int n = poll(&p, 1, (int) (left < SLICE_MS ? left : SLICE_MS));
        if (n > 0) {
            return 0;
        }
        if (n < 0 && errno != EINTR) {
            return -errno;
        }
    }
}

static int
transfer(struct libvirt *v, uint8_t *data, size_t n, bool out,
         int64_t until_ms)
{
    while (n) {
        ssize_t done = out ? send(v->fd, data, n, MSG_NOSIGNAL | MSG_DONTWAIT)
                           : recv(v->fd, data, n, MSG_DONTWAIT);
        if (done > 0) {
            data += done;
            n -= (size_t) done;
        } else if (!done) {
            return -ECONNRESET;
        } else if (errno == EAGAIN || errno == EINTR) {
            int e = await_fd(v, out ? POLLOUT : POLLIN, until_ms);
            if (e) {
                return e;
            }
        } else {
            return -errno;
        }
    }
    return 0;
}

/* The next message to 'v->in'. */
static int
take_message(struct libvirt *v, int64_t until_ms)
{
    uint8_t length[4];
    int e = transfer(v, length, sizeof length, false, until_ms);
    if (e) {
        return e;
    }
    struct cursor c = cur_init(length, sizeof length);
    uint32_t n = cur_u32(&c);
    if (n < HEADER || n > MAX_MESSAGE) {
        return -EPROTO;
    }
    free(v->in);
    v->n_in = n - sizeof length;
    v->in = malloc(v->n_in);
    return v->in ? transfer(v, v->in, v->n_in, false, until_ms) : -ENOMEM;
}

struct header {
    uint32_t program, version, procedure, type, serial, status;
};

static struct header
take_header(struct cursor *c)
{
    struct header h;
    h.program = cur_u32(c);
    h.version = cur_u32(c);
    h.procedure = cur_u32(c);
    h.type = cur_u32(c);
    h.serial = cur_u32(c);
    h.status = cur_u32(c);
    return h;
}

static void
note_event(struct libvirt *v, const struct header *h)
{
    v->news |= h->program == PROGRAM && h->type == MESSAGE;
}

/* What remote_error says. */
static int
take_refusal(struct cursor *c, char error[LIBVIRT_ERROR_SIZE])
{
    cur_u32(c);                         /* Code, and domain. */
    cur_u32(c);
    struct span s = take_optional(c);
    return FAIL(EREMOTEIO, error, "libvirt: %.*s",
                s.n ? (int) (s.n > 200 ? 200 : s.n) : 8,
                s.n ? s.s : "an error");
}

/* Calls, and sets '*reply' to what is answered, good until the next call.
 * -EREMOTEIO: the daemon refuses; the connection is as good as before. */
static int
call(struct libvirt *v, enum procedure procedure, const struct out *args,
     struct cursor *reply, char error[LIBVIRT_ERROR_SIZE])
{
    int64_t until_ms = clock_mono_ms() + CALL_MS;
    struct out m = { .n = 0 };

    put_u32(&m, (uint32_t) (HEADER + args->n));
    put_u32(&m, PROGRAM);
    put_u32(&m, PROTOCOL);
    put_u32(&m, procedure);
    put_u32(&m, CALL);
    put_u32(&m, ++v->serial);
    put_u32(&m, OK);
    put_fixed(&m, args->data, args->n);
    if (args->full || m.full) {
        return FAIL(E2BIG, error, "a name is too long");
    }
    int e = transfer(v, m.data, m.n, true, until_ms);
    while (!e && !(e = take_message(v, until_ms))) {
        *reply = cur_init(v->in, v->n_in);
        struct header h = take_header(reply);
        note_event(v, &h);
        if (h.program != PROGRAM || h.type != REPLY
            || h.serial != v->serial) {
            continue;
        }
        return h.status == OK ? 0 : take_refusal(reply, error);
    }
    return FAIL(-e, error, "%s", e == -EPROTO ? "not libvirt's protocol"
                                 : e == -ETIMEDOUT ? "no answer"
                                 : strerror(-e));
}

/* ---- The connection. ---- */

static int
connect_to(const char *path, char error[LIBVIRT_ERROR_SIZE])
{
    struct sockaddr_un sun = { .sun_family = AF_UNIX };
    if (strlen(path) >= sizeof sun.sun_path) {
        return FAIL(ENAMETOOLONG, error, "the path is too long");
    }
    strcpy(sun.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *) &sun, sizeof sun)) {
        int e = errno;
        if (fd >= 0) {
            close(fd);
        }
        return FAIL(e, error, "%s", strerror(e));
    }
    return fd;
}

/* Whoever may connect to this socket is let in, or else needs to show who he
 * is, which we don't. */
static int
authenticate(struct libvirt *v, char error[LIBVIRT_ERROR_SIZE])
{
    struct out nothing = { .n = 0 };
    struct cursor c;
    int e = call(v, AUTH_LIST, &nothing, &c, error);
    if (e) {
        return e;
    }
    uint32_t n = cur_u32(&c);
    bool free_entry = !n;
    while (n-- && !c.bad) {
        free_entry |= !cur_u32(&c) && !c.bad;
    }
    return free_entry ? 0 : FAIL(EACCES, error, "it wants authentication; "
                                 "auth_unix_ro must be \"none\"");
}

static int
open_uri(struct libvirt *v, const char *uri, char error[LIBVIRT_ERROR_SIZE])
{
    struct out args = { .n = 0 };
    struct cursor c;
    put_u32(&args, uri && *uri);
    if (uri && *uri) {
        put_text(&args, uri, strlen(uri));
    }
    put_u32(&args, READ_ONLY);
    return call(v, CONNECT_OPEN, &args, &c, error);
}

/* A driver need not have all kinds of events; time tells then. */
static int
register_events(struct libvirt *v, char error[LIBVIRT_ERROR_SIZE])
{
    int e = 0;
    for (size_t i = 0; i < sizeof event_kinds / sizeof event_kinds[0]; i++) {
        struct out args = { .n = 0 };
        struct cursor c;
        put_u32(&args, event_kinds[i]);
        put_u32(&args, 0);              /* Of any machine. */
        e = call(v, EVENT_REGISTER_ANY, &args, &c, error);
        if (e && e != -EREMOTEIO) {
            return e;
        }
    }
    return 0;
}

int
libvirt_attach(int fd, const char *uri, bool (*stopped)(void *aux), void *aux,
               struct libvirt **out, char error[LIBVIRT_ERROR_SIZE])
{
    struct libvirt *v = calloc(1, sizeof *v);
    *out = NULL;
    if (!v) {
        close(fd);
        return FAIL(ENOMEM, error, "out of memory");
    }
    v->fd = fd;
    v->stopped = stopped;
    v->aux = aux;
    int e = authenticate(v, error);
    e = e ? e : open_uri(v, uri, error);
    e = e ? e : register_events(v, error);
    if (e) {
        libvirt_close(v);
        return e;
    }
    *out = v;
    return 0;
}

int
libvirt_open(const char *socket, const char *uri, bool (*stopped)(void *aux),
             void *aux, struct libvirt **out, char error[LIBVIRT_ERROR_SIZE])
{
    *out = NULL;
    int fd = connect_to(socket, error);
    return fd < 0 ? fd : libvirt_attach(fd, uri, stopped, aux, out, error);
}

void
libvirt_close(struct libvirt *v)
{
    if (v) {
        close(v->fd);
        free(v->in);
        free(v);
    }
}

/* ---- Machines. ---- */

struct machine {
    char *name;                 /* 'n_name' octets. */
    size_t n_name;
    uint8_t uuid[16];
    uint32_t id;
};

struct machines {
    struct machine *m;
    size_t n;
};

static void
machines_free(struct machines *all)
{
    for (size_t i = 0; i < all->n; i++) {
        free(all->m[i].name);
    }
    free(all->m);
}

static int
list_machines(struct libvirt *v, struct machines *all,
              char error[LIBVIRT_ERROR_SIZE])
{
    struct out args = { .n = 0 };
    struct cursor c;
    *all = (struct machines) { .n = 0 };
    put_u32(&args, 1);                  /* Names are wanted. */
    put_u32(&args, ACTIVE);
    int e = call(v, CONNECT_LIST_ALL_DOMAINS, &args, &c, error);
    if (e) {
        return e;
    }
    uint32_t n = cur_u32(&c);
    if (c.bad || n > MAX_MACHINES) {
        return FAIL(EPROTO, error, "more than %d machines", MAX_MACHINES);
    }
    all->m = calloc(n + 1, sizeof *all->m);
    for (; all->m && all->n < n && !c.bad; all->n++) {
        struct machine *m = &all->m[all->n];
        struct span name = take_text(&c), uuid = take_fixed(&c, 16);
        m->id = cur_u32(&c);
        m->name = c.bad ? NULL : malloc(name.n + 1);
        if (!m->name) {
            break;
        }
        memcpy(m->name, name.s, name.n);
        m->n_name = name.n;
        memcpy(m->uuid, uuid.s, 16);
    }
    return c.bad ? FAIL(EPROTO, error, "a list of machines is malformed")
           : all->n < n || !all->m ? FAIL(ENOMEM, error, "out of memory") : 0;
}

static void
put_machine(struct out *o, const struct machine *m)
{
    put_text(o, m->name, m->n_name);
    put_fixed(o, m->uuid, 16);
    put_u32(o, m->id);
}

static void
write_attribute(FILE *f, const char *name, struct span s)
{
    fprintf(f, " %s='", name);
    for (size_t i = 0; i < s.n; i++) {
        if (strchr("<>&'\"", s.s[i])) {
            fprintf(f, "&#%d;", s.s[i]);
        } else {
            fputc(s.s[i], f);
        }
    }
    fputc('\'', f);
}

/* remote_domain_interface<>. */
static void
write_addresses(FILE *f, struct cursor *c)
{
    for (uint32_t n = cur_u32(c); n && !c->bad; n--) {
        take_text(c);                   /* Its name. */
        struct span mac = take_optional(c);
        for (uint32_t k = cur_u32(c); k && !c->bad; k--) {
            cur_u32(c);                 /* Its family, */
            struct span address = take_text(c);
            cur_u32(c);                 /* and prefix. */
            if (!c->bad && mac.n && address.n) {
                fputs("<address", f);
                write_attribute(f, "mac", mac);
                write_attribute(f, "address", address);
                fputs("/>", f);
            }
        }
    }
}

/* What leases say, and what neighbours.  A driver that does not know is no
 * error, as is a machine that has gone by now. */
static int
write_machine(struct libvirt *v, FILE *f, const struct machine *m,
              char error[LIBVIRT_ERROR_SIZE])
{
    static const uint32_t sources[] = { 0 /* Leases. */, 2 /* ARP. */ };
    struct out args = { .n = 0 };
    struct cursor c;
    put_machine(&args, m);
    put_u32(&args, 0);
    int e = call(v, DOMAIN_GET_XML_DESC, &args, &c, error);
    if (e) {
        return e == -EREMOTEIO ? 0 : e;
    }
    struct span xml = take_text(&c);
    fputs("<machine>", f);
    fwrite(xml.s, 1, xml.n, f);
    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++) {
        args.n = 0;
        put_machine(&args, m);
        put_u32(&args, sources[i]);
        put_u32(&args, 0);
        e = call(v, DOMAIN_INTERFACE_ADDRESSES, &args, &c, error);
        if (e && e != -EREMOTEIO) {
            return e;
        }
        if (!e) {
            write_addresses(f, &c);
        }
    }
    fputs("</machine>", f);
    return 0;
}

int
libvirt_fetch(struct libvirt *v, size_t max, char **text, size_t *n,
              char error[LIBVIRT_ERROR_SIZE])
{
    struct machines all;
    *text = NULL;
    *n = 0;
    v->news = false;
    FILE *f = open_memstream(text, n);
    if (!f) {
        return FAIL(ENOMEM, error, "out of memory");
    }
    fputs("<machines>", f);
    int e = list_machines(v, &all, error);
    for (size_t i = 0; !e && i < all.n; i++) {
        e = write_machine(v, f, &all.m[i], error);
        if (!e && (size_t) ftell(f) > max) {
            e = FAIL(EFBIG, error, "more than %zu MB", max >> 20);
        }
    }
    fputs("</machines>", f);
    machines_free(&all);
    if (fclose(f) && !e) {
        e = FAIL(ENOMEM, error, "out of memory");
    }
    if (e) {
        free(*text);
        *text = NULL;
    }
    return e;
}

int
libvirt_await(struct libvirt *v, int64_t us)
{
    int64_t until_ms = clock_mono_ms() + us / 1000;
    int e = 0;
    while (!v->news && !(e = await_fd(v, POLLIN, until_ms))
           && !(e = take_message(v, clock_mono_ms() + CALL_MS))) {
        struct cursor c = cur_init(v->in, v->n_in);
        struct header h = take_header(&c);
        note_event(v, &h);
    }
    return e == -ETIMEDOUT ? 0 : e;
}
