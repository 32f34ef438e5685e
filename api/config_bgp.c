#include <config.h>

#include "api/config_bgp.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "api/json.h"
#include "lib/clock.h"

#define ROOT "/venturi:venturi/"

/* The model says that it is there. */
static const char *
word_of(struct json_object *o, const char *name)
{
    const char *text = json_text(o, name);
    return text ? text : "";
}

static uint64_t
number_of(struct json_object *o, const char *name)
{
    return (uint64_t) json_object_get_int64(json_member(o, name));
}

static bool
is_set(struct json_object *o, const char *name)
{
    return json_object_get_boolean(json_member(o, name));
}

static size_t
length_of(struct json_object *o)
{
    return o ? json_object_array_length(o) : 0;
}

static int __attribute__((format(printf, 3, 4)))
refuse(struct config_error *e, const char *path, const char *format, ...)
{
    va_list args;
    snprintf(e->path, sizeof e->path, ROOT "%s", path);
    va_start(args, format);
    vsnprintf(e->message, sizeof e->message, format, args);
    va_end(args);
    return -EINVAL;
}

/* ---- Lists. ---- */

static int
get_listen(struct json_object *list, const char *path,
           const struct bgp_listen **out, size_t *n, struct config_error *e)
{
    struct bgp_listen *l = calloc(length_of(list) + 1, sizeof *l);
    *out = l;
    if (!l) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < length_of(list); i++) {
        const char *s = json_object_get_string(
            json_object_array_get_idx(list, i));
        if (endpoint_parse(s, 0, &l[i].addr, &l[i].port)) {
            return refuse(e, path, "%s is not an address and port; expected "
                          "such as 127.0.0.1:179 or [::1]:179", s);
        }
        ++*n;
    }
    return 0;
}

static uint32_t
get_families(struct json_object *list)
{
    uint32_t families = 0;
    for (size_t i = 0; i < length_of(list); i++) {
        families |= 1u << bgp_family_by_name(json_object_get_string(
            json_object_array_get_idx(list, i)));
    }
    return families;
}

/* ---- Neighbours. ---- */

static int
get_seconds(struct json_object *o, const char *path, const char *name,
            int64_t max_s, const char *most, uint32_t *s,
            struct config_error *e)
{
    const char *text = word_of(o, name);
    char where[300];
    int64_t us = 0;
    if (duration_parse_us(text, &us) || us > max_s * 1000000) {
        snprintf(where, sizeof where, "%s/%s", path, name);
        return refuse(e, where, "%s is out of range; expected 0 to %s", text,
                      most);
    }
    *s = (uint32_t) (us / 1000000);
    return 0;
}

/* Whatever neighbours and ranges have in common. */
static int
get_options(struct json_object *o, const char *path, struct bgp_neighbor *nb,
            struct config_error *e)
{
    struct bgp_config *c = &nb->session;
    const char *source = json_text(o, "source-address");
    const char *password = json_text(o, "password");
    const char *role = json_text(o, "role");
    const char *name = json_text(o, "description");
    const char *words = json_text(o, "shutdown-message");
    char where[300];

    c->families = get_families(json_member(o, "families"));
    c->hold_s = (uint16_t) number_of(o, "hold-time");
    c->connect_retry_s = (uint16_t) number_of(o, "connect-retry");
    c->add_path = is_set(o, "add-path");
    c->graceful = is_set(o, "graceful-restart");
    c->role = role ? (uint8_t) bgp_role_by_name(role) : BGP_ROLE_NONE;
    c->role_strict = is_set(o, "role-strict");
    c->max_prefixes = number_of(o, "max-prefixes");
    c->warn_percent = (uint8_t) number_of(o, "max-prefixes-warning");
    c->shutdown = is_set(o, "shutdown");
    snprintf(c->name, sizeof c->name, "%s", name ? name : "");
    snprintf(c->shutdown_text, sizeof c->shutdown_text, "%s",
             words ? words : "");
    nb->ttl_security = json_member(o, "ttl-security")
                       ? (unsigned) number_of(o, "ttl-security") : 0;
    if (source && addr_parse(source, &c->local)) {
        snprintf(where, sizeof where, "%s/source-address", path);
        return refuse(e, where, "%s is not an address; expected such as "
                      "192.0.2.1 or 2001:db8::1", source);
    }
    if (c->role_strict && c->role == BGP_ROLE_NONE) {
        snprintf(where, sizeof where, "%s/role-strict", path);
        return refuse(e, where, "needs a role of our own; expected role, or "
                      "role-strict false");
    }
    if (password && !(nb->password = strdup(password))) {
        return -ENOMEM;
    }
    int err = get_seconds(o, path, "stale-time", 4095, "4095s",
                          &c->stale_max_s, e);
    err = err ? err : get_seconds(o, path, "long-stale-time", 16777215,
                                  "194d", &c->long_stale_max_s, e);
    return err ? err : get_seconds(o, path, "max-prefixes-restart", 86400,
                                   "1d", &c->idle_after_limit_s, e);
}

/* "65001" or "64512-65534". */
static int
get_as_range(const char *text, struct bgp_config *c)
{
    char *end;
    unsigned long long first = strtoull(text, &end, 10);
    unsigned long long last = *end == '-' ? strtoull(end + 1, &end, 10)
                                          : first;
    c->as_first = (uint32_t) first;
    c->as_last = (uint32_t) last;
    return *end || !first || first > last || last > UINT32_MAX ? -EINVAL : 0;
}

static int
get_neighbor(struct json_object *o, struct bgp_neighbor *nb,
             struct config_error *e)
{
    const char *address = word_of(o, "address");
    char path[128];
    snprintf(path, sizeof path, "bgp/neighbor[address='%.64s']", address);
    if (addr_parse(address, &nb->session.address)) {
        return refuse(e, path, "%s is not an address; expected such as "
                      "192.0.2.1 or 2001:db8::1", address);
    }
    nb->session.as_first = nb->session.as_last =
        (uint32_t) number_of(o, "remote-as");
    nb->session.port = (uint16_t) number_of(o, "port");
    nb->session.passive = is_set(o, "passive");
    return get_options(o, path, nb, e);
}

static int
get_range(struct json_object *o, struct bgp_range *r, struct config_error *e)
{
    const char *prefix = word_of(o, "prefix"), *as = word_of(o, "remote-as");
    char path[128];
    snprintf(path, sizeof path, "bgp/range[prefix='%.64s']", prefix);
    if (prefix_parse(prefix, &r->prefix)) {
        return refuse(e, path, "%s is not a prefix; expected such as "
                      "192.0.2.0/24 or 2001:db8::/32", prefix);
    }
    if (get_as_range(as, &r->like.session)) {
        return refuse(e, path, "remote-as %s is not an AS, nor a range of "
                      "them; expected such as 65001 or 64512-65534", as);
    }
    r->max_neighbors = (unsigned) number_of(o, "max-neighbors");
    r->like.session.passive = true;
    return get_options(o, path, &r->like, e);
}

static int
check_unique(const struct bgp_speaker_config *c, struct config_error *e)
{
    for (size_t i = 0; i < c->n_neighbors; i++) {
        const struct addr *a = &c->neighbors[i].session.address;
        for (size_t k = 0; k < i; k++) {
            if (addr_equal(a, &c->neighbors[k].session.address)) {
                char text[ADDR_STRLEN];
                return refuse(e, "bgp/neighbor", "%s is there twice",
                              addr_format(a, text));
            }
        }
    }
    return 0;
}

/* Who we are, to everyone. */
static int
set_identity(struct json_object *bgp, struct bgp_neighbor *neighbors,
             size_t n, struct bgp_range *ranges, size_t n_ranges,
             struct config_error *e)
{
    const char *id = json_text(bgp, "router-id");
    struct addr a;
    if (id && (addr_parse(id, &a) || !addr_is_v4(&a)
               || !be32_at(a.b + 12))) {
        return refuse(e, "bgp/router-id", "%s is not a BGP identifier; "
                      "expected such as 192.0.2.1", id);
    }
    if (!n && !n_ranges) {
        return 0;
    }
    if (!id || !json_member(bgp, "local-as")) {
        return refuse(e, "bgp", "neighbors need our own %s",
                      id ? "local-as" : "router-id");
    }
    for (size_t i = 0; i < n + n_ranges; i++) {
        struct bgp_config *c = i < n ? &neighbors[i].session
                                     : &ranges[i - n].like.session;
        c->local_as = (uint32_t) number_of(bgp, "local-as");
        c->router_id = be32_at(a.b + 12);
    }
    return 0;
}

static int
get_bgp(struct json_object *bgp, struct bgp_speaker_config *c,
        struct config_error *e)
{
    struct json_object *list = json_member(bgp, "neighbor");
    struct json_object *range_list = json_member(bgp, "range");
    struct bgp_neighbor *neighbors = calloc(length_of(list) + 1,
                                            sizeof *neighbors);
    struct bgp_range *ranges = calloc(length_of(range_list) + 1,
                                      sizeof *ranges);
    c->neighbors = neighbors;
    c->ranges = ranges;
    int err = neighbors && ranges ? 0 : -ENOMEM;
    for (size_t i = 0; !err && i < length_of(list); i++) {
        err = get_neighbor(json_object_array_get_idx(list, i),
                           &neighbors[c->n_neighbors++], e);
    }
    for (size_t i = 0; !err && i < length_of(range_list); i++) {
        err = get_range(json_object_array_get_idx(range_list, i),
                        &ranges[c->n_ranges++], e);
    }
    err = err ? err : get_listen(json_member(bgp, "listen"), "bgp/listen",
                                 &c->listen, &c->n_listen, e);
    err = err ? err : check_unique(c, e);
    return err ? err : set_identity(bgp, neighbors, c->n_neighbors, ranges,
                                    c->n_ranges, e);
}

/* ---- BMP. ---- */

static uint32_t
get_views(struct json_object *list)
{
    static const char *const names[] = {
        [BGP_VIEW_IN_PRE] = "in-pre", [BGP_VIEW_IN_POST] = "in-post",
        [BGP_VIEW_OUT_PRE] = "out-pre", [BGP_VIEW_OUT_POST] = "out-post",
        [BGP_VIEW_LOCAL] = "local",
    };
    uint32_t views = 0;
    for (size_t i = 0; i < length_of(list); i++) {
        const char *s = json_object_get_string(
            json_object_array_get_idx(list, i));
        for (size_t v = 0; v < sizeof names / sizeof names[0]; v++) {
            views |= (uint32_t) !strcmp(s, names[v]) << v;
        }
    }
    return views;
}

static int
get_text(struct json_object *o, const char *name, char **out)
{
    const char *text = json_text(o, name);
    *out = text ? strdup(text) : NULL;
    return text && !*out ? -ENOMEM : 0;
}

static int
get_tls(struct json_object *tls, struct bmp_config *c, struct config_error *e)
{
    if (get_text(tls, "certificate", &c->certificate)
        || get_text(tls, "private-key", &c->private_key)
        || get_text(tls, "ca", &c->ca)) {
        return -ENOMEM;
    }
    c->require_client = is_set(tls, "require-client-certificate");
    if (c->n_tls_listen && (!c->certificate || !c->private_key)) {
        return refuse(e, "bmp/tls", "listen needs a certificate and a "
                      "private-key");
    } else if (c->n_tls_listen && c->require_client && !c->ca) {
        return refuse(e, "bmp/tls", "require-client-certificate needs the ca "
                      "that signs them; expected ca, or require-client-"
                      "certificate false");
    }
    return 0;
}

static int
get_bmp(struct json_object *bmp, struct bmp_config *c,
        struct config_error *e)
{
    struct json_object *allow = json_member(bmp, "allow");
    struct json_object *tls = json_member(bmp, "tls");
    struct prefix *prefixes = calloc(length_of(allow) + 1, sizeof *prefixes);
    c->allow = prefixes;
    if (!prefixes) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < length_of(allow); i++) {
        const char *s = json_object_get_string(
            json_object_array_get_idx(allow, i));
        if (prefix_parse(s, &prefixes[c->n_allow++])) {
            return refuse(e, "bmp/allow", "%s is not a prefix; expected such "
                          "as 192.0.2.0/24 or 2001:db8::1", s);
        }
    }
    c->max_routers = (unsigned) number_of(bmp, "max-routers");
    c->max_peers = (unsigned) number_of(bmp, "max-peers");
    c->families = get_families(json_member(bmp, "families"));
    c->views = get_views(json_member(bmp, "views"));
    int err = get_listen(json_member(bmp, "listen"), "bmp/listen", &c->listen,
                         &c->n_listen, e);
    err = err ? err : get_listen(json_member(tls, "listen"), "bmp/tls/listen",
                                 &c->tls_listen, &c->n_tls_listen, e);
    return err ? err : get_tls(tls, c, e);
}

/* ---- Both. ---- */

int
config_bgp_make(struct json_object *root, struct config_bgp **out,
                struct config_error *e)
{
    struct config_bgp *c = calloc(1, sizeof *c);
    int err = c ? get_bgp(json_member(root, "bgp"), &c->speaker, e) : -ENOMEM;
    err = err ? err : get_bmp(json_member(root, "bmp"), &c->bmp, e);
    if (err) {
        config_bgp_destroy(c);
        c = NULL;
    }
    *out = c;
    return err;
}

void
config_bgp_destroy(struct config_bgp *c)
{
    if (!c) {
        return;
    }
    for (size_t i = 0; i < c->speaker.n_neighbors; i++) {
        free(c->speaker.neighbors[i].password);
    }
    for (size_t i = 0; i < c->speaker.n_ranges; i++) {
        free(c->speaker.ranges[i].like.password);
    }
    free((void *) c->speaker.neighbors);
    free((void *) c->speaker.ranges);
    free((void *) c->speaker.listen);
    free((void *) c->bmp.listen);
    free((void *) c->bmp.tls_listen);
    free((void *) c->bmp.allow);
    free(c->bmp.certificate);
    free(c->bmp.private_key);
    free(c->bmp.ca);
    free(c);
}
