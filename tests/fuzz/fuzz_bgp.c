/* tests/fuzz/fuzz_bgp.c -- any bytes as OPEN, NOTIFICATION, ROUTE-REFRESH and
 * UPDATE.  The first octet picks how the rest is read: lowest bits the type of
 * message, the others the parameters of the session.  Inputs that begin with a
 * marker are whole messages. */
#include <config.h>

#include <stdlib.h>

#include "bgp/attribute.h"

static uint64_t sum;            /* So that nothing is optimised away. */

static void
on_announce(void *aux, uint32_t peer, const struct bgp_nlri *n,
            const struct bgp_attrs *a)
{
    for (uint32_t i = 0; i < a->n_as_path; i++) {
        sum += a->as_path[i];
    }
    for (uint32_t i = 0; i < a->n_communities; i++) {
        sum += a->communities[i];
    }
    for (uint32_t i = 0; i < a->n_unknown; i++) {
        sum += a->unknown[i];
    }
    if (n->prefix.len > 128 || n->family >= BGP_N_FAMILIES) {
        abort();
    }
    sum += n->path_id + n->rd;
}

static void
on_withdraw(void *aux, uint32_t peer, const struct bgp_nlri *n)
{
    sum += n->path_id + n->rd;
}

static void
on_end_of_rib(void *aux, uint32_t peer, enum bgp_family f)
{
    sum += f;
}

static void
update(struct cursor c, uint8_t how)
{
    static struct bgp_decoder *decoder;
    static const struct bgp_sink sink = {
        .announce = on_announce, .withdraw = on_withdraw,
        .end_of_rib = on_end_of_rib,
    };
    struct bgp_params params = {
        .as4 = how & 8, .internal = how & 16, .lenient = how & 32,
        .guess_as4 = how & 64, .guess_paths = how & 64, .families = UINT32_MAX,
        .add_path = how & 128 ? UINT32_MAX : 0,
        .ext_next_hop = how & 8 ? UINT32_MAX : 0,
    };
    struct bgp_update u;
    if (!decoder) {
        decoder = bgp_decoder_create();
    }
    bgp_update_decode(decoder, &params, c, &u);
    bgp_update_deliver(&params, &u, &sink, 0);
    bgp_attrs_decode(decoder, &params, c, &u);
    sum += u.n_discarded;
}

static void
one(uint8_t type, struct cursor c, uint8_t how)
{
    struct bgp_error e = { .code = 0 };
    struct bgp_open o;
    struct bgp_refresh r;
    char text[600];
    if (type == BGP_OPEN) {
        bgp_open_parse(c, &o, &e);
        sum += o.as;
    } else if (type == BGP_UPDATE) {
        update(c, how);
    } else if (type == BGP_NOTIFICATION) {
        bgp_notification_parse(c, &e);
    } else if (type == BGP_ROUTE_REFRESH) {
        bgp_refresh_parse(c, &r, &e);
        sum += (uint64_t) r.family;
    }
    bgp_error_format(&e, text, sizeof text);
    sum += (uint8_t) text[0];
}

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bgp_header h;
    struct bgp_error e;
    if (size >= BGP_HEADER_SIZE
        && bgp_header_parse(data, BGP_MAX_EXTENDED, &h, &e)
        && h.size <= size) {
        for (unsigned how = 0; how < 256; how += 8) {
            one(h.type, cur_init(data + BGP_HEADER_SIZE,
                                 h.size - BGP_HEADER_SIZE), (uint8_t) how);
        }
    } else if (size) {
        one(data[0] & 7, cur_init(data + 1, size - 1), data[0]);
    }
    return 0;
}
