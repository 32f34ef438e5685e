#include <config.h>

#include "collector/alert/rule.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const alert_type_names[N_ALERT_TYPES] = {
    "threshold", "baseline", "new", "silence",
};
const char *const alert_metric_names[N_ALERT_METRICS] = {
    "bps", "pps", "flows",
};
const char *const alert_metric_units[N_ALERT_METRICS] = {
    "bit/s", "packets/s", "flows/s",
};

#define KEY(COLUMN) .n_keys = 1, .keys = { { COL_##COLUMN, 32, 128 } }
#define DAY 86400

const struct alert_rule alert_rule_default = {
    .enabled = true, .type = ALERT_THRESHOLD, .metric = ALERT_BPS,
    .severity = EVENT_S_WARNING, .filter = (char *) "", .ratio = 4,
    .hold_s = 0, .clear_s = 60, .learn_s = DAY, .remember_s = 30 * DAY,
    .table = 8192,
};

/* The minimum keeps them quiet where there is little; "filter" is "". */
const struct alert_rule alert_builtin[] = {
    {
        .name = "exporter-silent", .enabled = true, .builtin = true,
        .type = ALERT_SILENCE, .severity = EVENT_S_WARNING,
        .filter = (char *) "", .table = 8192,
    }, {
        .name = "traffic-spike", .enabled = true, .builtin = true,
        .type = ALERT_BASELINE, .metric = ALERT_BPS, KEY(dst_addr),
        .severity = EVENT_S_WARNING, .filter = (char *) "", .ratio = 4,
        .minimum = 100e6, .clear_s = 60, .learn_s = DAY, .table = 8192,
    }, {
        .name = "packet-flood", .enabled = true, .builtin = true,
        .type = ALERT_BASELINE, .metric = ALERT_PPS, KEY(dst_addr),
        .severity = EVENT_S_ERROR, .filter = (char *) "", .ratio = 5,
        .minimum = 50e3, .clear_s = 60, .learn_s = DAY, .table = 8192,
    }, {
        .name = "many-flows", .enabled = true, .builtin = true,
        .type = ALERT_BASELINE, .metric = ALERT_FPS, KEY(src_addr),
        .severity = EVENT_S_WARNING, .filter = (char *) "", .ratio = 5,
        .minimum = 2000, .hold_s = 2, .clear_s = 60, .learn_s = DAY,
        .table = 8192,
    },
};
const size_t n_alert_builtin = sizeof alert_builtin / sizeof alert_builtin[0];

int
alert_key_parse(const char *text, struct alert_key *k)
{
    char name[64];
    size_t n = strcspn(text, "/");
    if (n >= sizeof name) {
        return -EINVAL;
    }
    memcpy(name, text, n);
    name[n] = '\0';
    const struct column *c = column_by_name(name);
    if (!c || !(c->flags & CF_KEY)) {
        return -EINVAL;
    }
    *k = (struct alert_key) { (enum column_id) (c - columns), 32, 128 };
    if (!text[n]) {
        return 0;
    }
    char *end;
    unsigned long bits4 = strtoul(text + n + 1, &end, 10), bits6 = 64;
    if (end == text + n + 1 || c->type != COLUMN_T_ADDR) {
        return -EINVAL;
    }
    if (*end == '/') {
        const char *second = end + 1;
        bits6 = strtoul(second, &end, 10);
        if (end == second) {
            return -EINVAL;
        }
    } else if (bits4 > 32) {
        bits6 = bits4;
        bits4 = 32;
    }
    if (*end || bits4 > 32 || bits6 > 128 || !bits6) {
        return -EINVAL;
    }
    k->bits4 = (uint8_t) bits4;
    k->bits6 = (uint8_t) bits6;
    return 0;
}

char *
alert_key_format(const struct alert_key *k, char buf[ALERT_KEY_STRLEN])
{
    int n = snprintf(buf, ALERT_KEY_STRLEN, "%s", columns[k->column].name);
    if (k->bits4 != 32 || k->bits6 != 128) {
        snprintf(buf + n, ALERT_KEY_STRLEN - (size_t) n, "/%u/%u", k->bits4,
                 k->bits6);
    }
    return buf;
}

unsigned
alert_keys_size(const struct alert_key *keys, unsigned n)
{
    unsigned size = 0;
    for (unsigned i = 0; i < n; i++) {
        size += columns[keys[i].column].size;
    }
    return size;
}

void
alert_rule_clear(struct alert_rule *r)
{
    free(r->filter);
    free(r->exporter);
    for (unsigned i = 0; i < r->n_deliver; i++) {
        free(r->deliver[i]);
    }
    memset(r, 0, sizeof *r);
}

int
alert_rule_copy(struct alert_rule *to, const struct alert_rule *from)
{
    bool ok = true;

    memcpy(to, from, sizeof *to);
    to->filter = strdup(from->filter ? from->filter : "");
    to->exporter = from->exporter ? strdup(from->exporter) : NULL;
    ok = to->filter && (!from->exporter || to->exporter);
    for (unsigned i = 0; i < from->n_deliver; i++) {
        to->deliver[i] = strdup(from->deliver[i]);
        ok &= to->deliver[i] != NULL;
    }
    if (!ok) {
        alert_rule_clear(to);
        return -ENOMEM;
    }
    return 0;
}

bool
alert_rule_same_counting(const struct alert_rule *a,
                         const struct alert_rule *b)
{
    bool same = a->type == b->type && a->metric == b->metric
                && a->n_keys == b->n_keys && a->table == b->table
                && a->remember_s == b->remember_s
                && a->minimum == b->minimum && !strcmp(a->filter, b->filter);
    for (unsigned i = 0; same && i < a->n_keys; i++) {
        same = a->keys[i].column == b->keys[i].column
               && a->keys[i].bits4 == b->keys[i].bits4
               && a->keys[i].bits6 == b->keys[i].bits6;
    }
    return same;
}
