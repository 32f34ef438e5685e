#include <config.h>

#include "collector/input/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>

struct tls {
    SSL_CTX *context;
};

/* A session is OpenSSL's; the name hides it. */
static SSL *
ssl(const struct tls_session *s)
{
    return (SSL *) s;
}

const char *
tls_reason(void)
{
    unsigned long e = ERR_peek_last_error();
    const char *text = e ? ERR_reason_error_string(e) : NULL;
    return text ? text : "the peer closed the connection";
}

static struct tls *
refuse(struct tls *t, char **error, const char *what, const char *file)
{
    if (asprintf(error, "%s %s: %s", what, file ? file : "",
                 tls_reason()) < 0) {
        *error = NULL;
    }
    tls_destroy(t);
    return NULL;
}

struct tls *
tls_create(const struct tls_config *c, char **error)
{
    struct tls *t = calloc(1, sizeof *t);
    *error = NULL;
    ERR_clear_error();
    if (!t || !(t->context = SSL_CTX_new(TLS_server_method()))) {
        return refuse(t, error, "TLS", NULL);
    }
    SSL_CTX_set_min_proto_version(t->context, TLS1_2_VERSION);
    /* An exporter sends for days: nothing is to be resumed. */
    SSL_CTX_set_session_cache_mode(t->context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(t->context, SSL_OP_NO_RENEGOTIATION
                                    | SSL_OP_NO_TICKET);
    SSL_CTX_set_mode(t->context, SSL_MODE_RELEASE_BUFFERS);
    if (SSL_CTX_use_certificate_chain_file(t->context, c->certificate) != 1) {
        return refuse(t, error, "certificate", c->certificate);
    } else if (SSL_CTX_use_PrivateKey_file(t->context, c->private_key,
                                           SSL_FILETYPE_PEM) != 1
               || SSL_CTX_check_private_key(t->context) != 1) {
        return refuse(t, error, "private key", c->private_key);
    }
    if (c->ca) {
        if (SSL_CTX_load_verify_locations(t->context, c->ca, NULL) != 1) {
            return refuse(t, error, "CA", c->ca);
        }
        SSL_CTX_set_client_CA_list(t->context, SSL_load_client_CA_file(c->ca));
        SSL_CTX_set_verify(t->context,
                           SSL_VERIFY_PEER
                           | (c->require_client
                              ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
    }
    return t;
}

void
tls_destroy(struct tls *t)
{
    if (t) {
        SSL_CTX_free(t->context);
        free(t);
    }
}

struct tls_session *
tls_accept(struct tls *t, int fd)
{
    SSL *s = SSL_new(t->context);
    if (s && !SSL_set_fd(s, fd)) {
        SSL_free(s);
        s = NULL;
    }
    if (s) {
        SSL_set_accept_state(s);
    }
    return (struct tls_session *) s;
}

void
tls_close(struct tls_session *s)
{
    if (s) {
        if (SSL_is_init_finished(ssl(s))) {
            SSL_shutdown(ssl(s));       /* Tells the peer, does not wait. */
        }
        SSL_free(ssl(s));
        ERR_clear_error();
    }
}

int
tls_read(struct tls_session *s, void *buf, size_t n, bool *want_write)
{
    ERR_clear_error();
    *want_write = false;
    int got = SSL_read(ssl(s), buf, n > INT32_MAX ? INT32_MAX : (int) n);
    if (got > 0) {
        return got;
    }
    switch (SSL_get_error(ssl(s), got)) {
    case SSL_ERROR_WANT_WRITE:
        *want_write = true;
        return -EAGAIN;
    case SSL_ERROR_WANT_READ:
        return -EAGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        /* An end without a farewell could be cut off by anyone. */
        return -EPROTO;
    }
}

bool
tls_is_open(const struct tls_session *s)
{
    return SSL_is_init_finished(ssl(s));
}

void
tls_peer(const struct tls_session *s, char *buf, size_t size)
{
    X509 *certificate = SSL_get1_peer_certificate(ssl(s));
    buf[0] = '\0';
    if (certificate) {
        X509_NAME_oneline(X509_get_subject_name(certificate), buf,
                          (int) size);
        X509_free(certificate);
    }
}
