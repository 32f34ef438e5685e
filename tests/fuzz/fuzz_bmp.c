/* tests/fuzz/fuzz_bmp.c -- any bytes as a stream of BMP messages of one
 * router, of whose peers some may be up. */
#include <config.h>

#include <stdlib.h>

#include "bgp/bmp_router.h"

static uint64_t sum;
static uint32_t n_peers, n_up;

static void
on_announce(void *aux, uint32_t peer, const struct bgp_nlri *n,
            const struct bgp_attrs *a)
{
    if (peer >= n_peers || n->prefix.len > 128) {
        abort();
    }
    sum += a->n_as_path + n->path_id;
}

static void
on_withdraw(void *aux, uint32_t peer, const struct bgp_nlri *n)
{
    sum += n->path_id;
}

static void
on_end_of_rib(void *aux, uint32_t peer, enum bgp_family f)
{
    sum += f;
}

static uint32_t
on_up(void *aux, const struct bgp_peer_info *info)
{
    sum += info->as;
    n_up++;
    return n_peers++;
}

static void
on_down(void *aux, uint32_t peer)
{
    n_up--;
}

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct bgp_decoder *decoder;
    static const struct bgp_sink sink = {
        .announce = on_announce, .withdraw = on_withdraw,
        .end_of_rib = on_end_of_rib, .peer_up = on_up, .peer_down = on_down,
    };
    struct addr a = { { 0 } };
    if (!decoder) {
        decoder = bgp_decoder_create();
    }
    struct bmp_router_config config = {
        .max_peers = 16, .families = UINT32_MAX, .views = UINT32_MAX,
        .sink = &sink, .decoder = decoder,
    };
    struct bmp_router *r = bmp_router_create(&a);
    size_t used = 0;
    n_peers = n_up = 0;
    while (size - used >= BMP_HEADER_SIZE) {
        struct bmp_header h;
        if (!bmp_header_parse(data + used, &h) || h.size > size - used) {
            break;
        }
        bmp_router_message(r, &config, &h, data + used);
        used += h.size;
    }
    bmp_router_destroy(r, &config);
    if (n_up) {
        abort();                /* A peer was not given back. */
    }
    return 0;
}
