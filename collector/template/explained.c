#include <config.h>

#include "collector/template/explained.h"

#include <stdio.h>
#include <string.h>

#include "collector/exporter/source_table.h"
#include "lib/dict.h"

/* A name is kept as one text, so that it never has another's type: the type as a
 * letter, 'A' being the first, and the name. */
#define LONGEST (REGISTRY_NAMELEN - 1)

/* IANA's registry "IPFIX Information Element Data Types", by number.  float32
 * is told from float64 by its size. */
static const uint8_t types[] = {
    REG_OCT, REG_U8, REG_U16, REG_U32, REG_U64, REG_S8, REG_S16, REG_S32,
    REG_S64, REG_F64, REG_F64, REG_BOOL, REG_MAC, REG_STR, REG_SEC, REG_MS,
    REG_US, REG_NS, REG_V4, REG_V6, REG_LIST, REG_STL, REG_STML,
};

static uint64_t
number_of(uint32_t pen, uint16_t id)
{
    return (uint64_t) pen << 16 | id;
}

static bool
is_plain(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
           || (c >= '0' && c <= '9') || (c && strchr("._-:", c));
}

void
explained_set(struct source *s, struct dict *dict, uint32_t pen, uint16_t id,
              uint64_t type, const uint8_t *name, size_t size)
{
    char text[1 + LONGEST];

    if (!pen || !size || registry_find(pen, id)) {
        return;
    }
    size = size < LONGEST ? size : LONGEST;
    text[0] = (char) ('A' + (type < sizeof types ? types[type] : REG_OCT));
    for (size_t i = 0; i < size; i++) {
        text[1 + i] = is_plain(name[i]) ? (char) name[i] : '_';
    }
    source_name_set(s, SOURCE_NAME_ELEMENT, number_of(pen, id), dict,
                    dict_passing(dict, text, 1 + size));
}

void
explained_get(const struct source *s, const struct dict *dict, uint32_t pen,
              uint16_t id, struct explained *x)
{
    const struct registry_entry *e = registry_find(pen, id);
    uint32_t text = e || !s || !pen || !source_has_names(s) ? 0
                    : source_name(s, SOURCE_NAME_ELEMENT, number_of(pen, id));

    x->type = e ? (enum registry_type) e->type : REG_OCT;
    x->by_exporter = text != 0;
    if (text) {
        const char *t = dict_text(dict, text);
        x->type = (enum registry_type) (t[0] - 'A');
        snprintf(x->name, sizeof x->name, "%s", t + 1);
    } else {
        registry_name(pen, id, x->name);
    }
}
