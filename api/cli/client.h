/* api/cli/client.h -- one connection to venturid: ask, wait for the answer. */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H 1

#include <stdbool.h>
#include <stdint.h>

struct client;
struct json_object;

/* Where to, and as whom.  Strings are borrowed. */
struct client_to {
    const char *address;        /* "/path", "unix:/path", "tcp://host:port",
                                 * "tls://...", "http://...", "https://..." */
    const char *token;          /* Not for unix sockets; NULL: none. */
    const char *ca, *certificate, *private_key; /* PEM files, or NULL. */
};

/* Connects, and logs in where a token is to be shown.  NULL and a message to
 * free(), which says what to do about it, on failure.  From then on
 * SIGINT and SIGTERM end what waits for an answer. */
struct client *client_connect(const struct client_to *, char **error);
void client_close(struct client *);
/* Has SIGINT or SIGTERM come? */
bool client_interrupted(void);

/* A daemon that says nothing at all for so long will not answer. */
#define CLIENT_SILENCE_MS 120000

struct client_request {
    const char *method;
    struct json_object *params; /* Taken over; may be NULL. */
    int fd;                     /* Sent along, if it is above 0. */
    int64_t timeout_ms;         /* For all of it; 0: no limit. */
    int64_t silence_ms;         /* Without a byte; 0: no limit. */
    /* Gets the parameters of "progress" (borrowed); may be NULL. */
    void (*progress)(void *aux, struct json_object *params);
    void *aux;
};

/* Returns 0 with the result, or -1 with the answer's error object, in
 * '*reply'; or another negative errno and a message to free() in '*error'.
 * -EINTR: SIGINT or SIGTERM came; the connection cannot be used any more, and
 * closing it ends the request in the daemon. */
int client_call(struct client *, const struct client_request *,
                struct json_object **reply, char **error);

/* The next JSON text: after client_call(), news of a subscription.  0 or a
 * negative errno, -ECONNRESET at the end, and a message to free(). */
int client_next(struct client *, struct json_object **, char **error);

#endif /* api/cli/client.h */
