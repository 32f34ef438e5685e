/* tests/fuzz/fuzz_mrt.c -- any bytes as an MRT file. */
#include <config.h>

#include <stdlib.h>

#include "bgp/mrt.h"

static uint64_t sum;

static void
on_table(void *aux, const char *view, const struct mrt_peer *peers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        sum += peers[i].as + peers[i].id;
    }
    sum += (uint8_t) *view;
}

static void
on_route(void *aux, const struct mrt_route *r)
{
    if (r->nlri.prefix.len > 128 || r->nlri.family >= BGP_N_FAMILIES) {
        abort();
    }
    for (uint32_t i = 0; i < r->attrs->n_as_path; i++) {
        sum += r->attrs->as_path[i];
    }
    sum += r->peer->as + r->nlri.path_id + r->attrs->n_communities;
}

static void
on_announce(void *aux, uint32_t peer, const struct bgp_nlri *n,
            const struct bgp_attrs *a)
{
    if (n->prefix.len > 128) {
        abort();
    }
    sum += a->n_as_path;
}

static void
on_withdraw(void *aux, uint32_t peer, const struct bgp_nlri *n)
{
    sum += n->prefix.len;
}

static void
on_end_of_rib(void *aux, uint32_t peer, enum bgp_family f)
{
    sum += f;
}

static void
on_message(void *decoder, const struct mrt_message *m)
{
    static const struct bgp_sink sink = {
        .announce = on_announce, .withdraw = on_withdraw,
        .end_of_rib = on_end_of_rib,
    };
    struct bgp_params params = {
        .as4 = m->peer.as4, .internal = true, .lenient = true,
        .guess_paths = !m->add_path, .families = UINT32_MAX,
        .add_path = m->add_path ? UINT32_MAX : 0,
    };
    struct bgp_update u;
    if (m->type == BGP_UPDATE) {
        bgp_update_decode(decoder, &params, m->body, &u);
        bgp_update_deliver(&params, &u, &sink, 0);
    }
}

static void
on_state(void *aux, const struct mrt_state *s)
{
    sum += s->now;
}

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct bgp_decoder *decoder;
    if (!decoder) {
        decoder = bgp_decoder_create();
    }
    struct mrt_reader *r = mrt_reader_create();
    struct mrt_handler to = { decoder, true, on_table, on_route, on_message,
                              on_state };
    size_t at = 0;
    while (size - at >= MRT_HEADER_SIZE) {
        struct mrt_header h;
        if (!mrt_header_parse(data + at, &h)
            || h.size > size - at - MRT_HEADER_SIZE) {
            break;
        }
        mrt_record(r, &h, data + at + MRT_HEADER_SIZE, &to);
        at += MRT_HEADER_SIZE + h.size;
    }
    mrt_reader_destroy(r);
    return 0;
}
