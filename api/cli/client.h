/* api/cli/client.h -- one connection to venturid: ask, wait for the answer. */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H 1

struct client;
struct json_object;

/* Connects to "unix:/path" or "/path".  NULL and a message to free(), which
 * says what to do about it, on failure. */
struct client *client_connect(const char *address, char **error);
void client_close(struct client *);

/* Calls 'method' with 'params' (taken over; may be NULL).  Returns 0 with the
 * result, or -1 with the answer's error object, in '*reply'; or a negative
 * errno and a message to free() in '*error'. */
int client_call(struct client *, const char *method,
                struct json_object *params, struct json_object **reply,
                char **error);

/* The next JSON text: after client_call(), news of a subscription.  0 or a
 * negative errno, -ECONNRESET at the end, and a message to free(). */
int client_next(struct client *, struct json_object **, char **error);

#endif /* api/cli/client.h */
