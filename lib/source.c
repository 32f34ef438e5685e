#include <config.h>

#include "lib/source.h"

#include <pthread.h>
#include <stdlib.h>

const struct counter_def source_counter_defs[] = {
#define X(NAME, DOC) { #NAME, offsetof(struct source_counters, NAME), DOC },
    SOURCE_COUNTERS(X)
#undef X
    { NULL, 0, NULL },
};

/* How well 'o' fits, from 1; 0 if not at all. */
static int
fit(const struct observation *o, const struct source_key *key)
{
    if (o->virtual_id || o->match.protocol != key->protocol
        || (o->match_domain && o->match.domain != key->domain)
        || (o->match_agent && !addr_equal(&o->match.agent, &key->agent))) {
        return 0;
    }
    bool any = addr_is_zero(&o->match.exporter);
    if (!any && !addr_equal(&o->match.exporter, &key->exporter)) {
        return 0;
    }
    return 1 + o->match_domain + o->match_agent + !any;
}

struct observation *
observation_find(const struct observation_map *map,
                 const struct source_key *key)
{
    struct observation *best = NULL;
    int best_fit = 0;
    for (uint32_t i = 0; map && i < map->n; i++) {
        int f = fit(&map->list[i], key);
        if (f > best_fit) {
            best_fit = f;
            best = &map->list[i];
        }
    }
    return best;
}

struct observation *
observation_find_source(const struct observation_map *map,
                        const struct source *source)
{
    struct observation *o = observation_find(map, &source->key);
    uint64_t id = atomic_load_explicit(&source->datapath_id,
                                       memory_order_relaxed);
    for (uint32_t i = 0; id && map && !(o && o->bridge) && i < map->n; i++) {
        struct observation *other = &map->list[i];
        if (other->datapath_id == id && !other->virtual_id
            && other->match.protocol == source->key.protocol) {
            return other;
        }
    }
    return o;
}

struct observation *
observation_of(const struct observation_map *map, struct source *source)
{
    if (!map) {
        return NULL;
    }
    uint64_t cache = atomic_load_explicit(&source->obs_cache,
                                          memory_order_relaxed);
    if (cache >> 24 != (map->gen & ((UINT64_C(1) << 40) - 1))) {
        struct observation *o = observation_find_source(map, source);
        cache = map->gen << 24 | (o ? (uint64_t) (o - map->list) + 1 : 0);
        atomic_store_explicit(&source->obs_cache, cache,
                              memory_order_relaxed);
    }
    uint32_t index = (uint32_t) cache & 0xffffff;
    return index ? &map->list[index - 1] : NULL;
}

struct observation *
observation_of_virtual(const struct observation_map *map,
                       const struct source *source, uint32_t virtual_id)
{
    for (uint32_t low = map->n - map->n_virtual, high = map->n;
         low < high; ) {
        uint32_t mid = low + (high - low) / 2;
        struct observation *o = &map->list[mid];
        if (o->virtual_id == virtual_id) {
            /* Anybody can write the text, not everybody comes from there. */
            return o->match.protocol == source->key.protocol
                   && (addr_is_zero(&o->match.exporter)
                       || addr_equal(&o->match.exporter,
                                     &source->key.exporter)) ? o : NULL;
        } else if (o->virtual_id < virtual_id) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return NULL;
}

const struct observation_if *
observation_if_find(const struct observation *o, uint32_t number)
{
    uint32_t low = 0, high = o->n_ifs;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (o->ifs[mid].number < number) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low < o->n_ifs && o->ifs[low].number == number ? &o->ifs[low]
                                                          : NULL;
}

void
observation_map_destroy(struct observation_map *map)
{
    if (map) {
        free(map->list);
        free(map->ifs);
        free(map);
    }
}

#define MAX_OBSERVATION_STATS 65536

struct observation_stats *
observation_stats_get(uint32_t bridge, uint8_t protocol)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static struct observation_stats **list;
    static size_t n, allocated;
    struct observation_stats *found = NULL;

    pthread_mutex_lock(&mutex);
    for (size_t i = 0; i < n && !found; i++) {
        if (list[i]->bridge == bridge && list[i]->protocol == protocol) {
            found = list[i];
        }
    }
    if (!found && n < MAX_OBSERVATION_STATS) {
        if (n == allocated) {
            size_t more = allocated ? allocated * 2 : 16;
            void *p = realloc(list, more * sizeof *list);
            if (p) {
                list = p;
                allocated = more;
            }
        }
        if (n < allocated && (found = calloc(1, sizeof *found))) {
            found->bridge = bridge;
            found->protocol = protocol;
            list[n++] = found;
        }
    }
    pthread_mutex_unlock(&mutex);
    return found;
}
