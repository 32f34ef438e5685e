/* collector/query/metric.c -- see metric.h. */
#include <config.h>

#include "collector/query/metric.h"

#include <stdio.h>
#include <string.h>

const struct metric_fn metric_fns[] = {
    { "min", FN_MIN, "bytes", "smallest of the records; also of times" },
    { "max", FN_MAX, "bytes", "largest of the records; also of times" },
    { "distinct", FN_DISTINCT, "src_addr",
      "how many different values; of any column to group by" },
    { "p95", FN_P95, "bps",
      "95th percentile of the sums of 5 minutes (p95_bucket), empty ones "
      "included" },
    { "share", FN_SHARE, "bytes", "part of the total, 0 to 1" },
    { "previous", FN_PREVIOUS, "bytes",
      "the same so long before as compare says" },
    { "reverse", FN_REVERSE, "bytes",
      "of a bidirectional group: what the server sent" },
    { "error", FN_ERROR, "bytes",
      "half the 95 % confidence interval that sampling leaves to the sum" },
    { "sum", FN_SUM, "bytes", "the sum, which is meant without a word, too" },
    { NULL, FN_SUM, NULL, NULL },
};

const struct metric_word metric_words[] = {
    { "flows", QUERY_METRIC_FLOWS, FN_SUM, false, "flow records" },
    { "fps", QUERY_METRIC_FLOWS, FN_SUM, true, "flow records a second" },
    { "bps", COL_bytes, FN_SUM, true, "bits a second: bytes" },
    { "pps", COL_packets, FN_SUM, true, "packets a second" },
    { "l2_bps", COL_l2_bytes, FN_SUM, true, "bits a second: l2_bytes" },
    { "first", COL_flow_start, FN_MIN, false, "min(flow_start)" },
    { "last", COL_flow_end, FN_MAX, false, "max(flow_end)" },
    { NULL, 0, FN_SUM, false, NULL },
};

const char *
metric_fn_name(enum query_fn fn)
{
    for (const struct metric_fn *f = metric_fns; f->name; f++) {
        if (f->fn == fn) {
            return fn == FN_SUM ? NULL : f->name;
        }
    }
    return NULL;
}

/* Whether 'fn' can be made of 'word', which may stand for one itself. */
static bool
word_takes(const struct metric_word *word, enum query_fn fn)
{
    return fn != FN_DISTINCT && fn != FN_ERROR
           && !((fn == FN_MIN || fn == FN_MAX)
                && (word->rate || word->id == QUERY_METRIC_FLOWS));
}

static bool
column_takes(const struct column *c, enum query_fn fn)
{
    return fn == FN_DISTINCT ? c->flags & CF_KEY
           : c->type == COLUMN_T_TIME ? fn == FN_MIN || fn == FN_MAX
           : c->flags & CF_SUM;
}

/* "p95(bps)" becomes "bps", and *fn. */
static void
take_function(char *text, enum query_fn *fn)
{
    size_t end = strlen(text);

    for (const struct metric_fn *f = metric_fns; f->name; f++) {
        size_t n = strlen(f->name);
        if (end > n + 1 && !strncmp(text, f->name, n) && text[n] == '('
            && text[end - 1] == ')') {
            *fn = f->fn;
            memmove(text, text + n + 1, end - n - 2);
            text[end - n - 2] = '\0';
            return;
        }
    }
}

bool
metric_parse(const char *text, unsigned *id, struct query_calc *calc)
{
    char name[64];
    enum query_fn fn = FN_SUM;

    *calc = (struct query_calc) { FN_SUM, false };
    if (snprintf(name, sizeof name, "%s", text) >= (int) sizeof name) {
        return false;
    }
    take_function(name, &fn);
    for (const struct metric_word *w = metric_words; w->name; w++) {
        if (!strcmp(name, w->name)) {
            *id = w->id;
            calc->rate = w->rate;
            calc->fn = (uint8_t) (fn != FN_SUM ? fn : w->fn);
            return word_takes(w, (enum query_fn) calc->fn);
        }
    }
    const struct column *c = column_by_name(name);
    if (!c) {
        return false;
    }
    *id = (unsigned) (c - columns);
    calc->fn = (uint8_t) fn;
    return column_takes(c, fn);
}
