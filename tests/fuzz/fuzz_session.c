/* tests/fuzz/fuzz_session.c -- TCP and TLS sessions of the collector, over
 * socket pairs: bytes in pieces of any size, in turns, torn off anywhere, and
 * TLS records that were tampered with.
 *
 * An input is a byte (bit 0: TLS), then steps of a byte each: what to do in the
 * upper four bits, the session in the two lowest; most are followed by a length
 * and as many bytes. */
#include <config.h>

#include <errno.h>
#include <ev.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "collector/decode/stream.h"
#include "collector/input/tcp.h"
#include "collector/input/tls.h"
#include "lib/log.h"
#include "tests/fuzz/fuzz_decode.h"

enum {
    STEP_RAW,                   /* Sends the bytes as they are. */
    STEP_DATA,                  /* The same under TLS, if there is any. */
    STEP_TAMPER,                /* The next TLS record is changed: two bytes
                                 * of offset, one to add. */
    STEP_TEAR,                  /* Of the next, only so much is sent. */
    STEP_SHUT,                  /* Sends no more, */
    STEP_CLOSE,                 /* or is gone. */
    N_STEPS
};

#define N_CLIENTS 4

struct sum {
    size_t messages, octets;
};

/* The other end of a session. */
struct client {
    int fd;                     /* -1: none. */
    bool shut;
    SSL *ssl;
    BIO *in, *out;              /* Borrowed from 'ssl'. */
    struct ipfix_stream stream; /* What the session should make of it. */
    bool broken;
};

static struct ev_loop *loop;
static struct tls *tls;
static SSL_CTX *client_context;
static struct tcp_sessions *sessions;
static struct tcp_server *servers[2];
static struct tcp_counters counters;
static struct client clients[N_CLIENTS];
static struct sum got, expected;
static size_t n_ended;
static uint16_t tamper_at, tear_at;
static uint8_t tamper_add;
static bool tamper, tear;

static void
need(bool ok)
{
    if (!ok) {
        abort();
    }
}

/* ---- The collector's side. ---- */

static bool
allowed(void *aux, const struct addr *a)
{
    (void) aux;
    (void) a;
    return true;
}

static void
on_message(void *aux, const struct datagram *d)
{
    (void) aux;
    got.messages++;
    got.octets += d->size;
    need(d->size >= 16 && d->data[1] == 10 && d->session >= 1
         && d->session <= N_CLIENTS);
}

static void
on_pause(void *aux)
{
    (void) aux;
}

static void
on_end(void *aux, const struct addr *a, uint16_t session)
{
    (void) aux;
    (void) a;
    need(session >= 1 && session <= N_CLIENTS);
    n_ended++;
}

/* A key and a certificate, which are read from a file. */
static void
make_tls(void)
{
    char name[] = "/tmp/venturi-fuzz-XXXXXX";
    FILE *f = fdopen(mkstemp(name), "w");
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    need(f && key && x);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -86400);
    X509_gmtime_adj(X509_getm_notAfter(x), 86400);
    X509_set_pubkey(x, key);
    need(X509_sign(x, key, EVP_sha256()) > 0);
    PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
    PEM_write_X509(f, x);
    fclose(f);
    struct tls_config c = { .certificate = name, .private_key = name };
    char *error;
    tls = tls_create(&c, &error);
    need(tls);
    unlink(name);
    X509_free(x);
    EVP_PKEY_free(key);
    client_context = SSL_CTX_new(TLS_client_method());
    need(client_context);
}

static void
make_servers(void)
{
    signal(SIGPIPE, SIG_IGN);
    log_set_level("off");
    make_tls();
    loop = ev_loop_new(EVFLAG_AUTO);
    sessions = tcp_sessions_create(64, N_CLIENTS);
    need(loop && sessions);
    for (unsigned i = 0; i < 2; i++) {
        struct tcp_config c = {
            .loop = loop, .address = "fuzz", .tls = i ? tls : NULL,
            .sessions = sessions, .n = &counters, .idle_ms = 3600000,
            .message_ms = 3600000, .allowed = allowed, .message = on_message,
            .pause = on_pause, .end = on_end,
        };
        servers[i] = tcp_server_create(&c, dup(0));
        need(servers[i]);
    }
}

/* ---- The exporter's side. ---- */

static void
expect(void *aux, const uint8_t *p, size_t n)
{
    (void) aux;
    (void) p;
    expected.messages++;
    expected.octets += n;
}

static void
client_close(struct client *c)
{
    if (c->fd >= 0) {
        close(c->fd);
        SSL_free(c->ssl);
        ipfix_stream_clear(&c->stream);
    }
    *c = (struct client) { .fd = -1 };
}

static void
client_open(struct client *c, bool with_tls)
{
    static const struct addr peer = { { 1 } };
    int pair[2];
    need(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
                     pair));
    *c = (struct client) { .fd = pair[0] };
    if (with_tls) {
        c->ssl = SSL_new(client_context);
        c->in = BIO_new(BIO_s_mem());
        c->out = BIO_new(BIO_s_mem());
        need(c->ssl && c->in && c->out);
        SSL_set_bio(c->ssl, c->in, c->out);
        SSL_set_connect_state(c->ssl);
    }
    tcp_server_adopt(servers[with_tls], pair[1], &peer, 1);
}

/* Lets the collector do what there is to do, and takes its answers. */
static void
turn(struct client *c)
{
    uint8_t buf[4096];
    for (unsigned i = 0; i < 4; i++) {
        ev_run(loop, EVRUN_NOWAIT);
    }
    ssize_t n;
    while ((n = recv(c->fd, buf, sizeof buf, 0)) > 0) {
        if (c->ssl) {
            BIO_write(c->in, buf, (int) n);
        }
    }
    if (n == 0 || (n < 0 && errno != EAGAIN)) {
        client_close(c);
    }
}

static void
send_raw(struct client *c, const uint8_t *p, size_t n)
{
    if (c->fd >= 0 && !c->shut && n) {
        ssize_t sent = send(c->fd, p, n, MSG_NOSIGNAL);
        if (!c->ssl && sent > 0 && !c->broken) {
            c->broken = ipfix_stream_feed(&c->stream, p, (size_t) sent, expect,
                                          NULL) != 0;
        }
        turn(c);
    }
}

/* Sends what OpenSSL has ready, record by record as it likes. */
static void
send_records(struct client *c)
{
    uint8_t *p;
    long n = c->fd >= 0 ? BIO_get_mem_data(c->out, &p) : 0;
    if (n <= 0) {
        return;
    }
    uint8_t *copy = malloc((size_t) n);
    need(copy);
    memcpy(copy, p, (size_t) n);
    BIO_reset(c->out);
    if (tamper) {
        copy[tamper_at % n] = (uint8_t) (copy[tamper_at % n] + tamper_add);
        tamper = false;
    }
    if (tear) {
        n = tear_at % n;
        tear = false;
    }
    send_raw(c, copy, (size_t) n);
    free(copy);
}

static void
send_data(struct client *c, const uint8_t *p, size_t n)
{
    if (!c->ssl) {
        send_raw(c, p, n);
        return;
    }
    for (unsigned i = 0; i < 4 && c->fd >= 0 && !SSL_is_init_finished(c->ssl);
         i++) {
        SSL_do_handshake(c->ssl);
        send_records(c);
    }
    if (c->fd >= 0 && n && SSL_write(c->ssl, p, (int) n) > 0) {
        send_records(c);
    }
}

static void
step(unsigned what, struct client *c, struct cursor *in, bool with_tls)
{
    size_t n = what <= STEP_DATA ? cur_u16(in) % 8192 : 0;
    if (n > cur_left(in)) {
        n = cur_left(in);
    }
    const uint8_t *p = cur_take(in, n);
    if (c->fd < 0 && what <= STEP_DATA) {
        client_open(c, with_tls);
    }
    switch (what) {
    case STEP_RAW:
        send_raw(c, p, n);
        break;
    case STEP_DATA:
        send_data(c, p, n);
        break;
    case STEP_TAMPER:
        tamper_at = cur_u16(in);
        tamper_add = cur_u8(in);
        tamper = true;
        break;
    case STEP_TEAR:
        tear_at = cur_u16(in);
        tear = true;
        break;
    case STEP_SHUT:
        if (c->fd >= 0) {
            shutdown(c->fd, SHUT_WR);
            c->shut = true;
            turn(c);
        }
        break;
    case STEP_CLOSE:
        client_close(c);
        break;
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!loop) {
        make_servers();
    }
    for (unsigned i = 0; i < N_CLIENTS; i++) {
        clients[i].fd = -1;
    }
    got = expected = (struct sum) { 0, 0 };
    tamper = tear = false;
    n_ended = 0;
    uint64_t accepted = counter_get(&counters.accepted);
    struct cursor in = cur_init(data, size);
    bool with_tls = cur_u8(&in) & 1;
    for (unsigned i = 0; i < 64 && cur_more(&in); i++) {
        uint8_t b = cur_u8(&in);
        step((b >> 4) % N_STEPS, &clients[b % N_CLIENTS], &in, with_tls);
    }
    for (unsigned i = 0; i < N_CLIENTS; i++) {
        client_close(&clients[i]);
    }
    for (unsigned i = 0; i < 64 && tcp_sessions_open(sessions); i++) {
        ev_run(loop, EVRUN_NOWAIT);
    }
    /* Each session has ended, once, and has let go of its number. */
    need(!tcp_sessions_open(sessions));
    need(n_ended == counter_get(&counters.accepted) - accepted);
    /* However it came, what came is what was sent. */
    need(with_tls || (got.messages == expected.messages
                      && got.octets == expected.octets));
    return 0;
}
