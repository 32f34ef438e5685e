#include <config.h>

#include "collector/exporter/counter_field.h"

const struct counter_field_def counter_fields[N_COUNTER_FIELDS] = {
#define X(NAME, TOTAL, DOC) { #NAME, TOTAL, DOC },
    COUNTER_FIELDS(X)
#undef X
};

size_t
counter_set_count(const struct counter_set *s)
{
    size_t n = 0;
    for (unsigned i = 0; i < COUNTER_WORDS; i++) {
        n += (size_t) __builtin_popcountll(s->word[i]);
    }
    return n;
}

void
counter_values_pack(const struct counter_values *v, uint64_t *packed)
{
    for (unsigned i = 0; i < N_COUNTER_FIELDS; i++) {
        if (counter_set_has(&v->has, i)) {
            *packed++ = v->value[i];
        }
    }
}

void
counter_values_unpack(struct counter_values *v, const struct counter_set *has,
                      const uint64_t *packed)
{
    v->has = *has;
    for (unsigned i = 0; i < N_COUNTER_FIELDS; i++) {
        v->value[i] = counter_set_has(has, i) ? *packed++ : 0;
    }
}
