/* The JSON-RPC core with the real method table and nothing behind it: every
 * text gets at most one answer, which is JSON again. */
#include <config.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api/context.h"
#include "api/jsonrpc.h"
#include "api/methods.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int n_answers;

static void
on_send(void *aux, const char *text, size_t n)
{
    struct json_limits limits = json_default_limits;
    struct json_object *o;

    (void) aux;
    limits.size = SIZE_MAX;
    limits.containers = limits.values = UINT32_MAX;
    n_answers++;
    if (json_parse(text, n, &limits, 0, &o, NULL)) {
        abort();
    }
    json_object_put(o);
}

static const struct rpc_transport transport = { .send = on_send };

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct rpc_core *core;
    static struct api_context context;  /* Nothing runs. */

    if (!core) {
        core = rpc_core_create(method_tables, &json_default_limits, NULL,
                               &context);
    }
    struct rpc_peer *peer = rpc_peer_create(core, &transport, NULL, NULL);
    n_answers = 0;
    rpc_peer_text(peer, (const char *) data, size, false);
    if (n_answers > 1) {
        abort();
    }
    rpc_peer_destroy(peer);
    return 0;
}
