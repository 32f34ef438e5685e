#include <config.h>

#include "api/cli/decode.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "api/value.h"
#include "collector/exporter/counter_log.h"
#include "collector/exporter/interface_counters.h"
#include "collector/template/explained.h"
#include "collector/template/registry.h"
#include "collector/template/structured.h"
#include "collector/template/template.h"
#include "lib/clock.h"
#include "lib/column.h"
#include "lib/cursor.h"
#include "lib/dict.h"
#include "lib/source.h"
#include "lib/text.h"

/* Options records and counter samples as JSON, one a line, with a member
 * "record" that flow records do not have. */

static void
put_head(FILE *f, const char *record, const struct source *s,
         int64_t received_us)
{
    char buf[TIME_STRLEN > ADDR_STRLEN ? TIME_STRLEN : ADDR_STRLEN];
    const struct addr *exporter = s->key.protocol == PROTO_SFLOW5
                                  ? &s->key.agent : &s->key.exporter;
    fprintf(f, "{\"record\":\"%s\",\"received\":\"%s\"", record,
            time_format_us(received_us, buf));
    fprintf(f, ",\"exporter\":\"%s\",\"export_protocol\":\"%s\","
            "\"observation_domain_id\":%" PRIu32, addr_format(exporter, buf),
            column_word_name(&columns[COL_export_protocol], s->key.protocol),
            s->key.domain);
}

/* ---- Options. ---- */

/* Scopes of NetFlow v9 (RFC 3954 section 6.1). */
static const char *const scopes9[] = {
    [1] = "system", [2] = "interface", [3] = "lineCard", [4] = "cache",
    [5] = "template",
};
#define N_SCOPES9 (sizeof scopes9 / sizeof scopes9[0])

static void
put_hex(FILE *f, const uint8_t *p, size_t n)
{
    putc('"', f);
    for (size_t i = 0; i < n; i++) {
        fprintf(f, "%02x", p[i]);
    }
    putc('"', f);
}

static void
put_string(FILE *f, const uint8_t *p, size_t n)
{
    char text[1024];
    size_t size = strnlen((const char *) p, n);
    size = size < sizeof text ? size : sizeof text - 1;
    memcpy(text, p, size);
    text[size] = '\0';
    value_put_string(f, text);
}

static void
put_float(FILE *f, const uint8_t *p, size_t n)
{
    double v = 0;
    if (n == 8) {
        uint64_t bits = be64_at(p);
        memcpy(&v, &bits, sizeof v);
    } else {
        uint32_t bits = be32_at(p);
        float f32;
        memcpy(&f32, &bits, sizeof f32);
        v = (double) f32;
    }
    fprintf(f, isfinite(v) ? "%.9g" : "null", v);
}

static void
put_time(FILE *f, enum registry_type type, const uint8_t *p, size_t n)
{
    char buf[TIME_STRLEN];
    uint64_t v = be_uint_at(p, n);
    int64_t us = type == REG_SEC ? (int64_t) (v & UINT32_MAX) * 1000000
                 : type == REG_MS ? (int64_t) (v % (INT64_MAX / 1000)) * 1000
                 : ((int64_t) (v >> 32) - INT64_C(2208988800)) * 1000000
                   + (int64_t) (((v & UINT32_MAX) * 1000000) >> 32);
    fprintf(f, "\"%s\"", time_format_us(us, buf));
}

static void
put_address(FILE *f, const uint8_t *p, size_t n)
{
    char buf[ADDR_STRLEN];
    struct addr a = n == 4 ? addr_from_v4_bytes(p) : addr_from_v6_bytes(p);
    fprintf(f, "\"%s\"", addr_format(&a, buf));
}

static void
put_integer(FILE *f, const uint8_t *p, size_t n, bool sign)
{
    uint64_t v = be_uint_at(p, n);
    unsigned unused = 64 - 8 * (unsigned) n;
    if (sign) {
        fprintf(f, "%" PRId64, (int64_t) (v << unused) >> unused);
    } else {
        fprintf(f, "%" PRIu64, v);
    }
}

/* A list (RFC 6313), in words.  False if it is malformed. */
static bool
put_list(FILE *f, enum registry_type type, const uint8_t *p, size_t n)
{
    struct text t = { .n = 0 };
    bool good = structured_format(&t, type, p, n, NULL, NULL, NULL);
    if (good) {
        value_put_string(f, text_finish(&t));
    }
    return good;
}

/* By its type, or, where the size is not right for it, in hex. */
static void
put_field(FILE *f, enum registry_type type, const uint8_t *p, size_t n)
{
    bool number = n >= 1 && n <= 8;
    if (type == REG_STR) {
        put_string(f, p, n);
    } else if (type <= REG_U64 && number) {
        put_integer(f, p, n, false);
    } else if (type <= REG_S64 && number) {
        put_integer(f, p, n, true);
    } else if (type == REG_F64 && (n == 4 || n == 8)) {
        put_float(f, p, n);
    } else if (type == REG_BOOL && n == 1) {
        fputs(*p == 1 ? "true" : "false", f);
    } else if (type == REG_MAC && n == 6) {
        fprintf(f, "\"%02x:%02x:%02x:%02x:%02x:%02x\"", p[0], p[1], p[2],
                p[3], p[4], p[5]);
    } else if ((type == REG_SEC && n == 4) || (type == REG_MS && n == 8)
               || (type == REG_US && n == 8) || (type == REG_NS && n == 8)) {
        put_time(f, type, p, n);
    } else if ((type == REG_V4 && n == 4) || (type == REG_V6 && n == 16)) {
        put_address(f, p, n);
    } else if (!structured_is(type) || !put_list(f, type, p, n)) {
        put_hex(f, p, n);
    }
}

/* The name of field 'i'; one that was there before gets its number. */
static void
put_name(FILE *f, const struct template *t, unsigned i, const char *name)
{
    const struct template_field *field = &t->fields[i];
    unsigned before = 0;
    for (unsigned k = i < t->n_scope ? 0 : t->n_scope; k < i; k++) {
        before += t->fields[k].id == field->id
                  && t->fields[k].pen == field->pen;
    }
    putc('"', f);
    fputs(name, f);
    if (before) {
        fprintf(f, "#%u", before + 1);
    }
    fputs("\":", f);
}

void
decode_put_options(FILE *f, const struct dict *dict, const struct source *s,
                   const struct template *t,
                   const uint8_t *p, int64_t received_us)
{
    put_head(f, "options", s, received_us);
    fprintf(f, ",\"template\":%u,\"scope\":{", t->id);
    if (!t->n_scope) {
        fputs("},\"fields\":{", f);
    }
    for (unsigned i = 0; i < t->n_fields; i++) {
        const struct template_field *field = &t->fields[i];
        bool scope9 = i < t->n_scope && t->protocol == PROTO_NETFLOW9;
        size_t size = field->size;
        if (size == TEMPLATE_VARLEN) {
            size = *p++;
            if (size == 255) {
                size = be16_at(p);
                p += 2;
            }
        }
        if (i && i == t->n_scope) {
            fputs("},\"fields\":{", f);
        } else if (i) {
            putc(',', f);
        }
        struct explained e = { .type = REG_U64 };
        if (scope9) {
            snprintf(e.name, sizeof e.name, "%s",
                     field->id < N_SCOPES9 && scopes9[field->id]
                     ? scopes9[field->id] : "scope");
        } else {
            explained_get(s, dict, field->pen, field->id, &e);
        }
        put_name(f, t, i, e.name);
        put_field(f, e.type, p, size);
        p += size;
    }
    if (t->n_scope && t->n_scope >= t->n_fields) {
        fputs("},\"fields\":{", f);
    }
    fputs("}}\n", f);
}

/* ---- Counters. ---- */

static void
put_mac(FILE *f, uint64_t mac)
{
    for (int shift = 40; shift >= 0; shift -= 8) {
        fprintf(f, "%02x%s", (unsigned) (mac >> shift & 0xff),
                shift ? ":" : "");
    }
}

static void
put_adapters(FILE *f, const struct interface_counters *k)
{
    if (!k->n_adapters) {
        return;
    }
    fputs(",\"adapters\":[", f);
    for (unsigned i = 0; i < k->n_adapters; i++) {
        fprintf(f, "%s{\"if_index\":%" PRIu32 ",\"mac\":\"", i ? "," : "",
                k->adapters[i].if_index);
        put_mac(f, k->adapters[i].mac);
        fputs("\"}", f);
    }
    putc(']', f);
}

void
decode_put_counters(FILE *f, const struct dict *dict, const struct source *s,
                    const struct interface_counters *k,
                    const uint32_t *formats, size_t n)
{
    struct counter_point p;
    interface_counters_point(k, dict, &p);
    put_head(f, "counters", s, k->updated_us);
    fprintf(f, ",\"data_source\":%" PRIu64 ",\"structures\":[",
            k->data_source);
    for (size_t i = 0; i < n; i++) {
        fprintf(f, i ? ",%" PRIu32 : "%" PRIu32, formats[i]);
    }
    putc(']', f);
    if (k->parts & COUNTERS_GENERIC) {
        fprintf(f, ",\"if_index\":%" PRIu32, k->if_index);
    }
    if (k->parts & (COUNTERS_NAME | COUNTERS_HOST)) {
        fputs(",\"name\":", f);
        value_put_string(f, p.name);
    }
    if (k->parts & COUNTERS_HOST) {
        fputs(",\"uuid\":", f);
        put_hex(f, k->uuid, sizeof k->uuid);
        fputs(",\"os_release\":", f);
        value_put_string(f, dict_text(dict, k->release));
    }
    put_adapters(f, k);
    for (unsigned i = 0; i < N_COUNTER_FIELDS; i++) {
        if (counter_set_has(&p.v.has, i)) {
            fprintf(f, ",\"%s\":%" PRIu64, counter_fields[i].name,
                    p.v.value[i]);
        }
    }
    fputs("}\n", f);
}
