/* What it costs to know who is behind an address: memory of 1 M endpoints, time
 * to tell them, and to name both ends of a flow. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <urcu.h>

#include "collector/identity/identity.h"
#include "collector/identity/stage.h"
#include "lib/batch.h"
#include "lib/dict.h"

#define BATCHES 200

static double
cpu_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double) t.tv_sec + (double) t.tv_nsec * 1e-9;
}

static double
resident_mb(void)
{
    FILE *f = fopen("/proc/self/statm", "r");
    long pages = 0;
    if (!f || fscanf(f, "%*d %ld", &pages) != 1) {
        pages = 0;
    }
    if (f) {
        fclose(f);
    }
    return (double) pages * 4096 / 1e6;
}

static struct addr
address_of(uint32_t i)
{
    uint8_t v4[4] = { 10, (uint8_t) (i >> 16), (uint8_t) (i >> 8),
                      (uint8_t) i };
    return addr_from_v4_bytes(v4);
}

static void
tell(struct identity *t, uint32_t i)
{
    char id[40], name[24], tenant[24], network[24], host[24];
    struct addr a = address_of(i);
    struct identity_key k[2] = { identity_key_address(&a),
                                 identity_key_mac(0x020000000000u + i) };
    snprintf(id, sizeof id, "%08x-5a3c-4b7e-9d21-%012x", i * 2654435761u, i);
    snprintf(name, sizeof name, "vm-%u", i);
    snprintf(tenant, sizeof tenant, "tenant-%u", i / 1000);
    snprintf(network, sizeof network, "net-%u", i / 250);
    snprintf(host, sizeof host, "node-%u", i % 1000);
    if (identity_upsert(t, &(struct identity_endpoint) {
            .source = "bench", .id = id, .keys = k, .n_keys = 2,
            .text = { [IDENTITY_NAME] = name, [IDENTITY_TENANT] = tenant,
                      [IDENTITY_NETWORK] = network,
                      [IDENTITY_HOST] = host },
            .from_us = 1, .to_us = IDENTITY_OPEN }, 1000)) {
        abort();
    }
}

static int
compare(const void *a_, const void *b_)
{
    const double *a = a_, *b = b_;
    return (*a > *b) - (*a < *b);
}

/* The median of many batches.  'known' of 100 addresses are those of endpoints. */
static void
name_flows(struct identity *t, uint32_t n, uint32_t known, const char *what)
{
    struct flow_batch *b = batch_create();
    uint64_t r = 88172645463325252u;
    double spent[BATCHES];
    for (int j = 0; j < BATCHES; j++) {
        batch_reset(b);
        b->n = BATCH_ROWS;
        batch_set_valid_range(b, COL_src_addr, 0, b->n);
        batch_set_valid_range(b, COL_dst_addr, 0, b->n);
        batch_set_valid_range(b, COL_src_mac, 0, b->n);
        batch_set_valid_range(b, COL_dst_mac, 0, b->n);
        for (uint32_t i = 0; i < b->n; i++) {
            uint32_t e[2];
            for (int k = 0; k < 2; k++) {
                r ^= r << 13;
                r ^= r >> 7;
                r ^= r << 17;
                /* Who talk with each other are of one tenant, or one of them
                 * is nobody that we know. */
                e[k] = k ? e[0] % n / 1000 * 1000 + (uint32_t) (r >> 8) % 1000
                         : (uint32_t) (r >> 8) % n;
                e[k] += (uint32_t) r % 100 < known ? 0 : n;
            }
            b->src_addr[i] = address_of(e[0]);
            b->dst_addr[i] = address_of(e[1]);
            b->src_mac[i] = 0x020000000000u + e[0];
            b->dst_mac[i] = 0x020000000000u + e[1];
            b->flow_start[i] = b->flow_end[i] = 2000;
        }
        double from = cpu_now();
        identity_process(t, b);
        spent[j] = cpu_now() - from;
    }
    qsort(spent, BATCHES, sizeof *spent, compare);
    printf("%-44s %6.1f ns per end\n", what,
           spent[BATCHES / 2] / BATCH_ROWS / 2 * 1e9);
    batch_destroy(b);
}

int
main(void)
{
    static const uint32_t sizes[] = { 1000, 100000, 1000000 };
    rcu_register_thread();
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint32_t n = sizes[i];
        char what[64];
        struct dict *dict = dict_create(1 << 22, (size_t) 1 << 30);
        double memory = resident_mb(), from = cpu_now();
        struct identity *t = identity_create(
            dict, &(struct identity_limits) { .names = 0 });
        for (uint32_t j = 0; j < n; j++) {
            tell(t, j);
        }
        double told = cpu_now() - from;
        printf("%u endpoints, address and MAC: %.0f MB, %.2f us each\n", n,
               resident_mb() - memory, told / n * 1e6);
        for (int warm = 0; warm < 2; warm++) {
            snprintf(what, sizeof what, "  %u, all known%s", n,
                     warm ? "" : ", names first seen");
            name_flows(t, n, 100, what);
        }
        snprintf(what, sizeof what, "  %u, half known", n);
        name_flows(t, n, 50, what);
        identity_destroy(t);
        dict_destroy(dict);
    }
    rcu_unregister_thread();
    return 0;
}
