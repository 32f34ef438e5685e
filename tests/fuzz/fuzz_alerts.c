/* tests/fuzz/fuzz_alerts.c -- any bytes as the file of what alert rules have
 * learned, for the rules that are built in.  What was taken is judged by, and
 * what is written after that is taken whole. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/alert/engine.h"
#include "collector/alert/rule.h"
#include "collector/filter/filter.h"
#include "lib/dict.h"

#define NOW INT64_C(1700000000)
#define TICKS 4

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
tell(void *aux, const struct alert_change *c)
{
    (void) aux;
    (void) c;
}

static struct alert_engine *
start(struct dict *dict)
{
    struct alert_engine *e = alert_engine_create(dict);
    struct filter_error error;
    size_t bad;
    if (!e || alert_engine_set(e, alert_builtin, n_alert_builtin, &bad,
                               &error, tell, NULL)) {
        abort();
    }
    return e;
}

static int
load(struct alert_engine *e, const void *data, size_t size)
{
    FILE *f = fmemopen((void *) data, size, "r");
    int error = f ? alert_engine_load(e, f) : -1;
    if (f) {
        fclose(f);
    }
    return error;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dict *dict = dict_create(10000, 1 << 20);
    struct alert_engine *e = start(dict), *again = start(dict);
    char *text = NULL;
    size_t n = 0;

    if (size) {
        load(e, data, size);
    }
    for (int i = 0; i < TICKS; i++) {
        alert_engine_tick(e, NOW + i, 1, tell, NULL);
    }
    FILE *out = open_memstream(&text, &n);
    if (!out || alert_engine_save(e, out) || fclose(out)
        || load(again, text, n)) {
        abort();
    }
    free(text);
    alert_engine_destroy(e);
    alert_engine_destroy(again);
    dict_destroy(dict);
    return 0;
}
