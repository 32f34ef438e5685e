/* A BGP speaker that announces a full table, as fast as the other side reads.
 *
 *     bgp_feed LOCAL REMOTE AS PREFIXES
 *
 * Everything to send is made before it connects.  It prints "ready" when the
 * session is established, then does what lines on its standard input say:
 *
 *     table            announces all and sends End-of-RIB; prints "sent" and
 *                      the seconds that took
 *     churn RATE S     so many route changes per second for S seconds, a
 *                      quarter of them withdrawals of what comes again later;
 *                      prints "churned", how many, and the longest time that
 *                      one was late
 *
 * and ends with its input. */
#include <config.h>

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/routes.h"

#define SEED 7
#define MAX_MESSAGE 4096

struct bytes {
    uint8_t *p;
    size_t n, room;
};

static int fd;
static uint32_t own_as;
static double last_keepalive;

static double
now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double) t.tv_sec + 1e-9 * (double) t.tv_nsec;
}

static void
die(const char *what)
{
    fprintf(stderr, "bgp_feed: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void
put(struct bytes *b, const void *p, size_t n)
{
    if (b->n + n > b->room) {
        b->room = 2 * (b->n + n);
        b->p = realloc(b->p, b->room);
        if (!b->p) {
            die("memory");
        }
    }
    memcpy(b->p + b->n, p, n);
    b->n += n;
}

static void
put_u8(struct bytes *b, unsigned v)
{
    put(b, &(uint8_t) { (uint8_t) v }, 1);
}

static void
put_u16(struct bytes *b, unsigned v)
{
    put(b, &(uint16_t) { htons((uint16_t) v) }, 2);
}

static void
put_u32(struct bytes *b, uint32_t v)
{
    put(b, &(uint32_t) { htonl(v) }, 4);
}

static size_t
begin(struct bytes *b, unsigned type)
{
    size_t at = b->n;
    for (int i = 0; i < 16; i++) {
        put_u8(b, 0xff);
    }
    put_u16(b, 0);
    put_u8(b, type);
    return at;
}

static void
set_u16(struct bytes *b, size_t at, size_t v)
{
    b->p[at] = (uint8_t) (v >> 8);
    b->p[at + 1] = (uint8_t) v;
}

static void
end(struct bytes *b, size_t at)
{
    set_u16(b, at + 16, b->n - at);
}

static void
put_prefix(struct bytes *b, const struct prefix *p)
{
    unsigned len = p->len - 96u;
    put_u8(b, len);
    put(b, p->addr.b + 12, (len + 7) / 8);
}

static void
put_attributes(struct bytes *b, uint64_t path, uint32_t next_hop)
{
    struct route_path rp;
    routes_path(own_as, path, SEED, &rp);
    put(b, "\x40\x01\x01\x00", 4);
    put(b, "\x40\x02", 2);
    put_u8(b, 2 + 4 * rp.n_as);
    put_u8(b, 2);
    put_u8(b, rp.n_as);
    for (unsigned i = 0; i < rp.n_as; i++) {
        put_u32(b, rp.as[i]);
    }
    put(b, "\x40\x03\x04", 3);
    put(b, &next_hop, 4);
    put(b, "\x80\x04\x04", 3);
    put_u32(b, rp.med);
    if (rp.n_communities) {
        put(b, "\xc0\x08", 2);
        put_u8(b, 4 * rp.n_communities);
        for (unsigned i = 0; i < rp.n_communities; i++) {
            put_u32(b, rp.communities[i]);
        }
    }
}

static void
put_update(struct bytes *b, uint64_t path, uint32_t next_hop,
           const struct prefix *p, size_t n)
{
    size_t at = begin(b, 2);
    put_u16(b, 0);
    size_t size = b->n;
    put_u16(b, 0);
    put_attributes(b, path, next_hop);
    set_u16(b, size, b->n - size - 2);
    for (size_t i = 0; i < n; i++) {
        put_prefix(b, &p[i]);
    }
    end(b, at);
}

static void
put_withdrawal(struct bytes *b, const struct prefix *p)
{
    size_t at = begin(b, 2), size = b->n;
    put_u16(b, 0);
    put_prefix(b, p);
    set_u16(b, size, b->n - size - 2);
    put_u16(b, 0);
    end(b, at);
}

static void
make_table(struct bytes *b, uint32_t next_hop, const struct prefix *p,
           size_t n)
{
    size_t at = 0;
    for (uint64_t g = 0; at < n; g++) {
        size_t share = routes_share(g, SEED);
        share = share > n - at ? n - at : share;
        put_update(b, g, next_hop, p + at, share);
        at += share;
    }
    size_t eor = begin(b, 2);
    put_u32(b, 0);
    end(b, eor);
}

/* What the other side says is not of interest. */
static void
discard(void)
{
    uint8_t buf[65536];
    ssize_t n = recv(fd, buf, sizeof buf, MSG_DONTWAIT);
    if (!n || (n < 0 && errno != EAGAIN)) {
        die("the session ended");
    }
    for (ssize_t i = 18; i < n; i++) {
        if (buf[i] == 3 && !memcmp(buf + i - 18, "\xff\xff\xff\xff", 4)) {
            fprintf(stderr, "bgp_feed: NOTIFICATION %u/%u\n",
                    i + 1 < n ? buf[i + 1] : 0, i + 2 < n ? buf[i + 2] : 0);
            exit(1);
        }
    }
}

static void
send_all(const uint8_t *p, size_t n)
{
    while (n) {
        ssize_t sent = send(fd, p, n < 1 << 20 ? n : 1 << 20, MSG_DONTWAIT);
        if (sent > 0) {
            p += sent;
            n -= (size_t) sent;
        } else if (errno != EAGAIN) {
            die("send");
        }
        struct pollfd f = { fd, (short) (POLLIN | (sent > 0 ? 0 : POLLOUT)),
                            0 };
        poll(&f, 1, sent > 0 ? 0 : -1);
        if (f.revents & POLLIN) {
            discard();
        }
    }
}

static void
keepalive(void)
{
    if (now() - last_keepalive > 10) {
        struct bytes b = { 0 };
        end(&b, begin(&b, 4));
        send_all(b.p, b.n);
        free(b.p);
        last_keepalive = now();
    }
}

static void
establish(const char *local, const char *remote)
{
    struct sockaddr_in from = { .sin_family = AF_INET };
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(179) };
    inet_pton(AF_INET, local, &from.sin_addr);
    inet_pton(AF_INET, remote, &to.sin_addr);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(fd, (struct sockaddr *) &from, sizeof from)) {
        die(local);
    }
    for (int i = 0; connect(fd, (struct sockaddr *) &to, sizeof to); i++) {
        if (i == 100) {
            die(remote);
        }
        usleep(100000);
    }
    struct bytes b = { 0 };
    size_t at = begin(&b, 1);
    put_u8(&b, 4);
    put_u16(&b, own_as);
    put_u16(&b, 90);
    put(&b, &from.sin_addr, 4);
    put_u8(&b, 14);
    put(&b, "\x02\x0c\x01\x04\x00\x01\x00\x01\x41\x04", 10);
    put_u32(&b, own_as);
    end(&b, at);
    end(&b, begin(&b, 4));
    if (send(fd, b.p, b.n, 0) != (ssize_t) b.n) {
        die("send");
    }
    free(b.p);
    /* OPEN and KEEPALIVE. */
    uint8_t m[MAX_MESSAGE];
    for (int type = 0; type != 4;) {
        if (recv(fd, m, 19, MSG_WAITALL) != 19) {
            die("no OPEN");
        }
        type = m[18];
        size_t rest = (size_t) (m[16] << 8 | m[17]) - 19;
        if (rest > sizeof m
            || (rest && recv(fd, m, rest, MSG_WAITALL) != (ssize_t) rest)) {
            die("no OPEN");
        }
        if (type == 3) {
            errno = EPROTO;
            die("NOTIFICATION");
        }
    }
    last_keepalive = now();
}

static void
churn(unsigned rate, double seconds, const struct prefix *p, size_t n,
      uint32_t next_hop)
{
    double start = now(), late = 0;
    uint64_t done = 0, total = (uint64_t) (rate * seconds);
    struct bytes b = { 0 };
    while (done < total) {
        double t = now() - start;
        uint64_t due = (uint64_t) (t * rate) + 1;
        due = due > total ? total : due;
        b.n = 0;
        if (due > done) {
            double behind = t - (double) done / rate;
            late = behind > late ? behind : late;
        }
        for (; done < due; done++) {
            uint64_t r = routes_hash(done / 2 + 991);
            const struct prefix *x = &p[r % n];
            if (done % 4 == 2) {
                put_withdrawal(&b, x);
            } else {
                put_update(&b, UINT64_C(1) << 40 | routes_hash(done),
                           next_hop, x, 1);
            }
        }
        if (b.n) {
            send_all(b.p, b.n);
        }
        keepalive();
        usleep(1000);
    }
    free(b.p);
    printf("churned %" PRIu64 " %.4f\n", done, late);
}

int
main(int argc, char *argv[])
{
    if (argc != 5) {
        fprintf(stderr, "bgp_feed LOCAL REMOTE AS PREFIXES\n");
        return 2;
    }
    size_t n = strtoul(argv[4], NULL, 10);
    struct prefix *p = routes_prefixes(true, n, 1);
    struct bytes table = { 0 };
    uint32_t next_hop;
    char line[100];
    own_as = (uint32_t) strtoul(argv[3], NULL, 10);
    inet_pton(AF_INET, argv[1], &next_hop);
    make_table(&table, next_hop, p, n);
    establish(argv[1], argv[2]);
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("ready %zu\n", table.n);
    for (;;) {
        unsigned rate;
        double seconds, start = now();
        struct pollfd f[2] = { { 0, POLLIN, 0 }, { fd, POLLIN, 0 } };
        poll(f, 2, 1000);
        keepalive();
        if (f[1].revents) {
            discard();
        }
        if (!f[0].revents) {
            continue;
        }
        ssize_t got = read(0, line, sizeof line - 1);
        if (got <= 0) {
            return 0;
        }
        line[got] = '\0';
        if (!strncmp(line, "table", 5)) {
            start = now();
            send_all(table.p, table.n);
            printf("sent %.3f\n", now() - start);
        } else if (sscanf(line, "churn %u %lf", &rate, &seconds) == 2) {
            churn(rate, seconds, p, n, next_hop);
        }
    }
}
