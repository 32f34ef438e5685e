#include <config.h>

#include "api/wire.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/addr.h"

struct wire_tls {
    SSL_CTX *context;
};

const char *
wire_reason(void)
{
    unsigned long e = ERR_peek_last_error();

    if (ERR_GET_REASON(e) == ERR_R_SYS_LIB) {
        e = ERR_peek_error();   /* What the system said came before. */
    }
    const char *text = !e ? NULL : ERR_SYSTEM_ERROR(e)
                       ? strerror(ERR_GET_REASON(e))
                       : ERR_reason_error_string(e);
    return text ? text : "the peer closed the connection";
}

const char *
wire_handshake_reason(const struct wire *l)
{
    return !wire_distrusts(l) ? wire_reason()
           : X509_verify_cert_error_string(SSL_get_verify_result(l->ssl));
}

bool
wire_distrusts(const struct wire *l)
{
    return l->ssl && SSL_get_verify_result(l->ssl) != X509_V_OK;
}

static struct wire_tls *
refuse(struct wire_tls *t, char **error, const char *what, const char *file)
{
    if (asprintf(error, "%s %s: %s", what, file ? file : "",
                 wire_reason()) < 0) {
        *error = NULL;
    }
    wire_tls_destroy(t);
    return NULL;
}

static struct wire_tls *
create(const SSL_METHOD *method, const struct wire_files *f, char **error)
{
    struct wire_tls *t = calloc(1, sizeof *t);

    *error = NULL;
    ERR_clear_error();
    if (!t || !(t->context = SSL_CTX_new(method))) {
        return refuse(t, error, "TLS", NULL);
    }
    SSL_CTX_set_min_proto_version(t->context, TLS1_2_VERSION);
    SSL_CTX_set_session_cache_mode(t->context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(t->context, SSL_OP_NO_RENEGOTIATION
                                    | SSL_OP_NO_TICKET
                                    | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(t->context, SSL_MODE_RELEASE_BUFFERS
                                 | SSL_MODE_ENABLE_PARTIAL_WRITE
                                 | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (f->certificate
        && SSL_CTX_use_certificate_chain_file(t->context,
                                              f->certificate) != 1) {
        return refuse(t, error, "certificate", f->certificate);
    }
    if (f->private_key
        && (SSL_CTX_use_PrivateKey_file(t->context, f->private_key,
                                        SSL_FILETYPE_PEM) != 1
            || SSL_CTX_check_private_key(t->context) != 1)) {
        return refuse(t, error, "private key", f->private_key);
    }
    if (f->ca
        && SSL_CTX_load_verify_locations(t->context, f->ca, NULL) != 1) {
        return refuse(t, error, "CA", f->ca);
    }
    return t;
}

/* Whoever wants something else but HTTP/1.1 is told nothing, and may find out
 * or go. */
static int
on_alpn(SSL *ssl, const unsigned char **out, unsigned char *n,
        const unsigned char *in, unsigned in_size, void *aux)
{
    static const unsigned char http[] = "\x08http/1.1";
    unsigned char *chosen;

    (void) aux;
    if (!SSL_get_app_data(ssl)
        || SSL_select_next_proto(&chosen, n, http, sizeof http - 1, in,
                                 in_size) != OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_NOACK;
    }
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

struct wire_tls *
wire_tls_server(const struct wire_files *f, char **error)
{
    struct wire_tls *t = create(TLS_server_method(), f, error);

    if (t) {
        SSL_CTX_set_alpn_select_cb(t->context, on_alpn, NULL);
    }
    if (t && f->ca) {
        SSL_CTX_set_client_CA_list(t->context, SSL_load_client_CA_file(f->ca));
        SSL_CTX_set_verify(t->context,
                           SSL_VERIFY_PEER
                           | (f->require_client
                              ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
    }
    return t;
}

struct wire_tls *
wire_tls_client(const struct wire_files *f, char **error)
{
    struct wire_tls *t = create(TLS_client_method(), f, error);

    if (t) {
        if (!f->ca) {
            SSL_CTX_set_default_verify_paths(t->context);
        }
        SSL_CTX_set_verify(t->context, SSL_VERIFY_PEER, NULL);
    }
    return t;
}

void
wire_tls_destroy(struct wire_tls *t)
{
    if (t) {
        SSL_CTX_free(t->context);
        free(t);
    }
}

static int
open_wire(struct wire *l, int fd, struct wire_tls *tls)
{
    *l = (struct wire) { .fd = fd };
    if (tls) {
        l->ssl = SSL_new(tls->context);
        if (!l->ssl || !SSL_set_fd(l->ssl, fd)) {
            SSL_free(l->ssl);
            l->ssl = NULL;
            return -ENOMEM;
        }
    }
    return 0;
}

int
wire_accept(struct wire *l, int fd, struct wire_tls *tls)
{
    int err = open_wire(l, fd, tls);

    if (!err && l->ssl) {
        SSL_set_accept_state(l->ssl);
    }
    return err;
}

int
wire_connect(struct wire *l, int fd, struct wire_tls *tls, const char *host)
{
    int err = open_wire(l, fd, tls);
    struct addr addr;

    if (err || !l->ssl) {
        return err;
    }
    SSL_set_connect_state(l->ssl);
    if (!addr_parse(host, &addr)) {
        X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(l->ssl), host);
    } else {
        SSL_set1_host(l->ssl, host);
        SSL_set_tlsext_host_name(l->ssl, host);
    }
    return 0;
}

void
wire_offer_http(struct wire *l)
{
    if (l->ssl) {
        SSL_set_app_data(l->ssl, l);
    }
}

void
wire_close(struct wire *l)
{
    if (l->ssl) {
        if (SSL_is_init_finished(l->ssl)) {
            SSL_shutdown(l->ssl);       /* Tells the peer, does not wait. */
        }
        SSL_free(l->ssl);
        l->ssl = NULL;
        ERR_clear_error();
    }
    if (l->fd >= 0) {
        close(l->fd);
        l->fd = -1;
    }
}

static ssize_t
again(struct wire *l, int result)
{
    switch (SSL_get_error(l->ssl, result)) {
    case SSL_ERROR_WANT_WRITE:
        l->want_write = true;
        return -EAGAIN;
    case SSL_ERROR_WANT_READ:
        l->want_read = true;
        return -EAGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        return -EPROTO;
    }
}

int
wire_handshake(struct wire *l)
{
    l->want_read = l->want_write = false;
    if (wire_is_open(l)) {
        return 0;
    }
    ERR_clear_error();
    int done = SSL_do_handshake(l->ssl);
    ssize_t result = done == 1 ? 0 : again(l, done);
    return done == 1 ? 0 : result ? (int) result : -EPROTO;
}

ssize_t
wire_recv(struct wire *l, void *buf, size_t n)
{
    l->want_write = false;
    if (!l->ssl) {
        ssize_t got = recv(l->fd, buf, n, MSG_DONTWAIT);
        return got >= 0 ? got
               : errno == EWOULDBLOCK || errno == EINTR ? -EAGAIN : -errno;
    }
    ERR_clear_error();
    int got = SSL_read(l->ssl, buf, n > INT_MAX ? INT_MAX : (int) n);
    if (got > 0) {
        return got;
    }
    ssize_t result = again(l, got);
    l->want_read = false;       /* A reader waits for that anyway. */
    return result;
}

ssize_t
wire_send(struct wire *l, const void *buf, size_t n)
{
    l->want_read = false;
    if (!l->ssl) {
        ssize_t done = send(l->fd, buf, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        return done >= 0 ? done
               : errno == EWOULDBLOCK || errno == EINTR ? -EAGAIN : -errno;
    }
    ERR_clear_error();
    int done = SSL_write(l->ssl, buf, n > INT_MAX ? INT_MAX : (int) n);
    if (done > 0) {
        return done;
    }
    ssize_t result = again(l, done);
    l->want_write = false;
    return result ? result : -EPIPE;
}

/* Not SSL_has_pending(): that counts half a record, which only more bytes end. */
bool
wire_pending(const struct wire *l)
{
    return l->ssl && SSL_pending(l->ssl) > 0;
}

void
wire_shutdown(struct wire *l)
{
    if (l->ssl && SSL_is_init_finished(l->ssl)) {
        SSL_shutdown(l->ssl);
    }
    shutdown(l->fd, SHUT_WR);
}

bool
wire_is_open(const struct wire *l)
{
    return !l->ssl || SSL_is_init_finished(l->ssl);
}

static void
add_name(char *names[], size_t *n, const ASN1_STRING *text)
{
    unsigned char *utf8 = NULL;
    int size = text ? ASN1_STRING_to_UTF8(&utf8, text) : -1;

    /* A name with a NUL is none that a rule could mean. */
    if (size > 0 && *n < WIRE_MAX_NAMES
        && strlen((char *) utf8) == (size_t) size
        && (names[*n] = strdup((char *) utf8))) {
        ++*n;
    }
    OPENSSL_free(utf8);
}

size_t
wire_peer_names(struct ssl_st *ssl, char *names[WIRE_MAX_NAMES])
{
    X509 *cert = ssl && SSL_get_verify_result(ssl) == X509_V_OK
                 ? SSL_get1_peer_certificate(ssl) : NULL;
    size_t n = 0;

    if (!cert) {
        return 0;
    }
    X509_NAME *subject = X509_get_subject_name(cert);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (at >= 0) {
        add_name(names, &n,
                 X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    }
    GENERAL_NAMES *alt = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL,
                                          NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(alt); i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(alt, i);
        if (g->type == GEN_DNS || g->type == GEN_EMAIL || g->type == GEN_URI) {
            add_name(names, &n, g->d.ia5);
        }
    }
    GENERAL_NAMES_free(alt);
    X509_free(cert);
    return n;
}
