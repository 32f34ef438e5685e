/* ovsdb/orders.c -- export.apply and export.remove over a restart.
 *
 * The file: a line that names the format, then one line for each order, the
 * oldest first: "remove" or "apply", the bridge, the policy.  "*" is any, and
 * a name comes after "=", with everything but letters, digits and "._:@-" as
 * "%xx".  The last line is "end", so that a file that was cut is noticed. */
#include "ovsdb/ovs_p.h"

#include "ovsdb/orders.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ovsdb/export_p.h"

#define HEAD "venturi-orders 1"
#define TAIL "end"

static void
order_clear(struct export_order *order)
{
    free(order->bridge);
    free(order->policy);
}

void
orders_clear(struct orders *o)
{
    for (size_t i = 0; i < o->n; i++) {
        order_clear(&o->list[i]);
    }
    free(o->list);
    o->list = NULL;
    o->n = 0;
}

void
orders_add(struct orders *o, bool apply, const char *bridge,
           const char *policy)
{
    size_t n = 0;
    if (!bridge && !policy) {
        orders_clear(o);
    }
    for (size_t i = 0; i < o->n; i++) {
        struct export_order *old = &o->list[i];
        if (text_equal(old->bridge, bridge)
            && text_equal(old->policy, policy)) {
            order_clear(old);
        } else {
            o->list[n++] = *old;
        }
    }
    o->list = xrealloc(o->list, (n + 1) * sizeof *o->list);
    o->list[n] = (struct export_order) {
        .apply = apply,
        .bridge = nullable_xstrdup(bridge),
        .policy = nullable_xstrdup(policy),
    };
    o->n = n + 1;
}

int
orders_give(struct orders *o, bool apply, const char *bridge,
            const char *policy, const char *path)
{
    struct orders new_ = { .n = 0 };
    if (!apply || bridge || policy) {
        new_.list = xcalloc(o->n + 1, sizeof *new_.list);
        for (size_t i = 0; i < o->n; i++) {
            const struct export_order *old = &o->list[i];
            new_.list[new_.n++] = (struct export_order) {
                .apply = old->apply,
                .kept = old->kept,
                .bridge = nullable_xstrdup(old->bridge),
                .policy = nullable_xstrdup(old->policy),
            };
        }
        orders_add(&new_, apply, bridge, policy);
    }
    int error = path ? orders_save(&new_, path) : 0;
    if (error) {
        orders_clear(&new_);
        return error;
    }
    orders_clear(o);
    *o = new_;
    return 0;
}

/* Text. */

static bool
is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
           || (c >= '0' && c <= '9') || (c && strchr("._:@-", c));
}

static void
put_name(struct ds *ds, const char *name)
{
    ds_put_cstr(ds, name ? " =" : " *");
    for (const char *p = name; p && *p; p++) {
        if (is_plain(*p)) {
            ds_put_char(ds, *p);
        } else {
            ds_put_format(ds, "%%%02x", (unsigned) (unsigned char) *p);
        }
    }
}

char *
orders_format(const struct orders *o)
{
    size_t first = 0;
    while (first < o->n && o->list[first].apply) {
        first++;                /* Nothing before it that it would lift. */
    }
    if (first == o->n) {
        return NULL;
    }
    struct ds ds = DS_EMPTY_INITIALIZER;
    ds_put_cstr(&ds, HEAD "\n");
    for (size_t i = first; i < o->n; i++) {
        ds_put_cstr(&ds, o->list[i].apply ? "apply" : "remove");
        put_name(&ds, o->list[i].bridge);
        put_name(&ds, o->list[i].policy);
        ds_put_char(&ds, '\n');
    }
    ds_put_cstr(&ds, TAIL "\n");
    return ds_steal_cstr(&ds);
}

static int
hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A name, in heap, or NULL for any.  False: neither. */
static bool
get_name(const char *word, char **name)
{
    *name = NULL;
    if (!word || *word != '=') {
        return word && !strcmp(word, "*");
    }
    char *out = xmalloc(strlen(word));
    size_t n = 0;
    for (const char *p = word + 1; *p; p++) {
        if (*p != '%') {
            out[n++] = *p;
        } else {
            int high = hex_digit(p[1]);
            int low = high < 0 ? -1 : hex_digit(p[2]);
            if (low < 0 || !(high | low)) {
                free(out);
                return false;
            }
            out[n++] = (char) (high << 4 | low);
            p += 2;
        }
    }
    out[n] = '\0';
    *name = out;
    return true;
}

/* One line of an order. */
static bool
parse_line(struct orders *o, char *line)
{
    char *save, *bridge = NULL, *policy = NULL;
    const char *verb = strtok_r(line, " ", &save);
    bool apply = verb && !strcmp(verb, "apply");
    bool ok = verb && (apply || !strcmp(verb, "remove"))
              && get_name(strtok_r(NULL, " ", &save), &bridge)
              && get_name(strtok_r(NULL, " ", &save), &policy)
              && !strtok_r(NULL, " ", &save);
    if (ok) {
        orders_add(o, apply, bridge, policy);
        o->list[o->n - 1].kept = true;
    }
    free(bridge);
    free(policy);
    return ok;
}

int
orders_parse(struct orders *o, const char *text, size_t size)
{
    char *copy = xmemdup0(text, size), *save = NULL;
    const char *head = strtok_r(copy, "\n", &save);
    bool ok = strlen(copy) < size && head && !strcmp(head, HEAD);
    bool ended = false;
    char *line;
    while (ok && (line = strtok_r(NULL, "\n", &save))) {
        ok = !ended;
        ended = !strcmp(line, TAIL);
        ok = ok && (ended || parse_line(o, line));
    }
    ok = ok && ended && !memchr(text, '\0', size);
    free(copy);
    if (!ok) {
        orders_clear(o);
    }
    return ok ? 0 : -EBADMSG;
}

/* The file. */

int
orders_save(const struct orders *o, const char *path)
{
    char *text = orders_format(o);
    if (!text) {
        return unlink(path) && errno != ENOENT ? -errno : 0;
    }
    char *tmp = xasprintf("%s.tmp", path);
    unlink(tmp);
    int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                  0640);
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
    int error = f ? 0 : -errno;
    if (f) {
        error = fputs(text, f) < 0 || fflush(f) || fsync(fd) ? -errno : 0;
        if (fclose(f) && !error) {
            error = -errno;
        }
    }
    if (!error && rename(tmp, path)) {
        error = -errno;
    }
    if (error) {
        unlink(tmp);
    }
    free(tmp);
    free(text);
    return error;
}

int
orders_load(struct orders *o, const char *path)
{
    FILE *f = fopen(path, "re");
    if (!f) {
        return errno == ENOENT ? 0 : -errno;
    }
    char *text = xmalloc(ORDERS_FILE_MAX + 1);
    size_t size = fread(text, 1, ORDERS_FILE_MAX + 1, f);
    int error = ferror(f) ? -EIO
                : size > ORDERS_FILE_MAX ? -EBADMSG
                : orders_parse(o, text, size);
    fclose(f);
    free(text);
    return error;
}
