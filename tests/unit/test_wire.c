#include <config.h>

#include "api/wire.h"

#include <errno.h>
#include <signal.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/unit.h"

#define SIZE 1000               /* Of what is said in one record. */

/* A key, and a certificate that it has signed itself. */
static void
make_files(const char *certificate, const char *private_key)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    FILE *f;

    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), 0);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, key);
    X509_sign(cert, key, EVP_sha256());
    f = fopen(certificate, "w");
    PEM_write_X509(f, cert);
    fclose(f);
    f = fopen(private_key, "w");
    PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
    fclose(f);
    X509_free(cert);
    EVP_PKEY_free(key);
}

/* A server's wire, and a client whose bytes go where the test wants. */
struct pair {
    struct wire_tls *tls;
    struct wire wire;
    SSL_CTX *context;
    SSL *client;
    BIO *from_client, *to_client;
    int fd;                     /* The client's end. */
};

static void
pair_init(struct pair *p)
{
    char dir[] = "/tmp/venturi-wire-XXXXXX", cert[80], key[80], *error;
    int fds[2];

    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
    snprintf(cert, sizeof cert, "%s/cert", dir);
    snprintf(key, sizeof key, "%s/key", dir);
    make_files(cert, key);
    struct wire_files files = { .certificate = cert, .private_key = key };
    p->tls = wire_tls_server(&files, &error);
    unlink(cert);
    unlink(key);
    rmdir(dir);
    CU_ASSERT_PTR_NOT_NULL_FATAL(p->tls);
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
                                     fds), 0);
    CU_ASSERT_EQUAL_FATAL(wire_accept(&p->wire, fds[0], p->tls), 0);
    p->fd = fds[1];
    p->context = SSL_CTX_new(TLS_client_method());
    p->client = SSL_new(p->context);
    p->from_client = BIO_new(BIO_s_mem());
    p->to_client = BIO_new(BIO_s_mem());
    SSL_set_bio(p->client, p->to_client, p->from_client);
    SSL_set_connect_state(p->client);
}

static void
pair_clear(struct pair *p)
{
    wire_close(&p->wire);
    wire_tls_destroy(p->tls);
    SSL_free(p->client);
    SSL_CTX_free(p->context);
    close(p->fd);
}

/* What the client has to say. */
static size_t
take(struct pair *p, char *buf, size_t size)
{
    int n = BIO_read(p->from_client, buf, (int) size);

    return n > 0 ? (size_t) n : 0;
}

static void
shake_hands(struct pair *p)
{
    char buf[8192];
    ssize_t n;

    for (int i = 0; i < 10 && !wire_is_open(&p->wire); i++) {
        SSL_do_handshake(p->client);
        size_t said = take(p, buf, sizeof buf);
        CU_ASSERT_EQUAL(write(p->fd, buf, said), (ssize_t) said);
        CU_ASSERT_EQUAL(wire_recv(&p->wire, buf, sizeof buf), -EAGAIN);
        while ((n = read(p->fd, buf, sizeof buf)) > 0) {
            BIO_write(p->to_client, buf, (int) n);
        }
    }
    CU_ASSERT_TRUE(wire_is_open(&p->wire));
}

/* A record cut anywhere, in the handshake too, is nothing to come back for:
 * who did would do nothing else until the rest comes, if ever it does. */
static void
test_half_a_record(void)
{
    char text[SIZE] = "", record[2 * SIZE], buf[2 * SIZE];
    struct pair p;

    signal(SIGPIPE, SIG_IGN);   /* As the daemon does. */
    pair_init(&p);
    SSL_do_handshake(p.client);
    size_t n = take(&p, record, sizeof record);
    CU_ASSERT_TRUE_FATAL(n > 100);
    for (size_t i = 0; i < 100; i++) {
        CU_ASSERT_EQUAL(write(p.fd, record + i, 1), 1);
        CU_ASSERT_EQUAL(wire_recv(&p.wire, buf, sizeof buf), -EAGAIN);
        CU_ASSERT_FALSE(wire_pending(&p.wire));
    }
    pair_clear(&p);

    pair_init(&p);
    shake_hands(&p);
    CU_ASSERT_EQUAL(SSL_write(p.client, text, SIZE), SIZE);
    n = take(&p, record, sizeof record);
    CU_ASSERT_TRUE_FATAL(n > SIZE);
    for (size_t i = 0; i < n - 1; i++) {
        CU_ASSERT_EQUAL(write(p.fd, record + i, 1), 1);
        CU_ASSERT_EQUAL(wire_recv(&p.wire, buf, sizeof buf), -EAGAIN);
        CU_ASSERT_FALSE(wire_pending(&p.wire));
    }
    CU_ASSERT_EQUAL(write(p.fd, record + n - 1, 1), 1);
    CU_ASSERT_EQUAL(wire_recv(&p.wire, buf, sizeof buf), SIZE);
    pair_clear(&p);
}

/* poll() knows nothing of what was decrypted and not taken yet. */
static void
test_pending(void)
{
    char text[SIZE] = "", record[2 * SIZE], buf[SIZE];
    struct pair p;

    pair_init(&p);
    shake_hands(&p);
    CU_ASSERT_EQUAL(SSL_write(p.client, text, SIZE), SIZE);
    size_t n = take(&p, record, sizeof record);
    CU_ASSERT_EQUAL(write(p.fd, record, n), (ssize_t) n);
    CU_ASSERT_EQUAL(wire_recv(&p.wire, buf, SIZE - 1), SIZE - 1);
    CU_ASSERT_TRUE(wire_pending(&p.wire));
    CU_ASSERT_EQUAL(wire_recv(&p.wire, buf, SIZE), 1);
    CU_ASSERT_FALSE(wire_pending(&p.wire));
    CU_ASSERT_EQUAL(wire_recv(&p.wire, buf, SIZE), -EAGAIN);
    close(p.fd);
    p.fd = -1;
    CU_ASSERT_EQUAL(wire_recv(&p.wire, buf, SIZE), 0);
    pair_clear(&p);
}

UNIT_MAIN("wire", UNIT_TEST(test_half_a_record), UNIT_TEST(test_pending))
