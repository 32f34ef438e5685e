/* api/subscribe.h -- subscriptions: what a connection hears without asking
 * again, over any transport that goes both ways.
 *
 * A method that subscribes calls rpc_subscribe() instead of rpc_reply(), keeps
 * the pointer, and calls rpc_notify() when there is news.  The subscription
 * ends with the connection, by subscription.cancel, or by rpc_unsubscribe();
 * in the first two cases 'ended' says so, once, and the pointer is no more.
 *
 * A client that does not keep up is not waited for: rpc_notify() says -EAGAIN,
 * that piece of news is dropped and counted, and the next one that goes out
 * tells how many are missing.  Main thread only, like all of JSON-RPC. */
#ifndef API_SUBSCRIBE_H
#define API_SUBSCRIBE_H 1

#include <stdbool.h>
#include <stdint.h>

struct json_object;
struct rpc_call;
struct rpc_subscription;

#define RPC_MAX_SUBSCRIPTIONS 64        /* Of one connection. */
#define RPC_NOTIFY_ROOM 262144  /* Bytes that may wait when news are added. */

struct rpc_subscriber {
    void (*ended)(void *aux);           /* Frees what 'aux' is. */
    /* After -EAGAIN: there is room again.  May be NULL. */
    void (*writable)(void *aux);
};

/* Answers 'call' with {"subscription": ID} and the members of 'more' (taken
 * over; may be NULL).  Returns NULL after an error answer if the transport goes
 * one way only, or there are too many; then 'ended' is not called. */
struct rpc_subscription *rpc_subscribe(struct rpc_call *call,
                                       const struct rpc_subscriber *,
                                       void *aux, struct json_object *more);

/* Sends {"jsonrpc":"2.0","method":"subscription.data","params":{"subscription":
 * ID,"sequence":N,"result":'result'}}; the first after dropped ones also has
 * "dropped":N.  0, -EAGAIN if too much waits already, or -ENOMEM.  Takes over
 * 'result'. */
int rpc_notify(struct rpc_subscription *, struct json_object *result);
/* The same for JSON text (borrowed): one that many get. */
int rpc_notify_text(struct rpc_subscription *, const char *result);

/* Would rpc_notify() take something?  Ask before building something large. */
bool rpc_subscription_ready(const struct rpc_subscription *);

uint64_t rpc_subscription_id(const struct rpc_subscription *);

/* The news end: tells the client why ("subscription.end"), frees it; 'ended' is
 * not called.  NULL is fine. */
void rpc_unsubscribe(struct rpc_subscription *, const char *reason);

#endif /* api/subscribe.h */
