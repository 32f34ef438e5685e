#include <config.h>

#include "probe/decide.h"

#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define FIRST_RETRY_MS 1000
#define LAST_RETRY_MS 60000
#define STABLE_MS 60000         /* Who ran so long has not failed. */
#define KILL_AFTER_MS 5000

/* ---- Wishes. ---- */

static void
list_free(char **list, size_t n)
{
    for (size_t i = 0; list && i < n; i++) {
        free(list[i]);
    }
    free(list);
}

static bool
list_copy(char ***to, size_t *n_to, char *const *from, size_t n)
{
    *n_to = 0;
    *to = calloc(n ? n : 1, sizeof **to);
    for (size_t i = 0; *to && i < n; i++) {
        if (!((*to)[i] = strdup(from[i]))) {
            return false;
        }
        ++*n_to;
    }
    return *to != NULL;
}

void
probe_config_destroy(struct probe_config *c)
{
    while (c) {
        struct probe_config *next = c->next;
        list_free(c->bridges, c->n_bridges);
        list_free(c->interfaces, c->n_interfaces);
        list_free(c->exclude, c->n_exclude);
        free(c->policy);
        free(c->problem);
        free(c->program);
        free(c->target);
        free(c);
        c = next;
    }
}

/* Without those that follow. */
static struct probe_config *
clone_one(const struct probe_config *from)
{
    struct probe_config *c = malloc(sizeof *c);
    if (!c) {
        return NULL;
    }
    *c = *from;
    c->next = NULL;
    c->policy = from->policy ? strdup(from->policy) : NULL;
    c->problem = from->problem ? strdup(from->problem) : NULL;
    c->bridges = c->interfaces = c->exclude = NULL;
    c->n_bridges = c->n_interfaces = c->n_exclude = 0;
    c->program = strdup(from->program);
    c->target = strdup(from->target);
    if (!c->program || !c->target || (from->policy && !c->policy)
        || (from->problem && !c->problem)
        || !list_copy(&c->bridges, &c->n_bridges, from->bridges,
                      from->n_bridges)
        || !list_copy(&c->interfaces, &c->n_interfaces, from->interfaces,
                      from->n_interfaces)
        || !list_copy(&c->exclude, &c->n_exclude, from->exclude,
                      from->n_exclude)) {
        probe_config_destroy(c);
        return NULL;
    }
    return c;
}

struct probe_config *
probe_config_clone(const struct probe_config *from)
{
    struct probe_config *first = NULL, **at = &first;
    for (; from; from = from->next) {
        if (!(*at = clone_one(from))) {
            probe_config_destroy(first);
            return NULL;
        }
        at = &(*at)->next;
    }
    return first;
}

bool
probe_config_same_command(const struct probe_config *a,
                          const struct probe_config *b)
{
    return a && b && !strcmp(a->program, b->program)
           && !strcmp(a->target, b->target) && a->version == b->version
           && a->sampling == b->sampling && a->max_flows == b->max_flows
           && a->active_timeout == b->active_timeout;
}

static bool
list_matches(char *const *list, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (!fnmatch(list[i], name, 0)) {
            return true;
        }
    }
    return false;
}

bool
probe_selects(const struct probe_config *c, const struct probe_link *l)
{
    return !list_matches(c->exclude, c->n_exclude, l->name)
           && ((l->bridge && list_matches(c->bridges, c->n_bridges, l->name))
               || list_matches(c->interfaces, c->n_interfaces, l->name));
}

const struct probe_config *
probe_choose(const struct probe_config *c, const struct probe_link *l)
{
    while (c && !probe_selects(c, l)) {
        c = c->next;
    }
    return c && !c->none ? c : NULL;
}

/* ---- Links. ---- */

void
probe_links_put(struct probe_links *links, const struct probe_link *link,
                bool gone)
{
    for (size_t i = 0; i < links->n; i++) {
        struct probe_link *l = &links->list[i];
        if (l->ifindex != link->ifindex) {
            continue;
        }
        if (gone) {
            *l = links->list[--links->n];
            links->changed = true;
        } else if (memcmp(l, link, sizeof *l)) {
            *l = *link;
            links->changed = true;
        }
        return;
    }
    if (gone || links->n >= PROBE_MAX_LINKS) {
        return;
    }
    if (links->n == links->room) {
        size_t room = links->room ? 2 * links->room : 32;
        struct probe_link *p = realloc(links->list, room * sizeof *p);
        if (!p) {
            return;
        }
        links->list = p;
        links->room = room;
    }
    links->list[links->n++] = *link;
    links->changed = true;
}

void
probe_links_clear(struct probe_links *links)
{
    free(links->list);
    memset(links, 0, sizeof *links);
}

/* ---- Slots. ---- */

const char *
probe_state_name(enum probe_state s)
{
    static const char *const names[] = {
        [PROBE_DOWN] = "down", [PROBE_STARTING] = "starting",
        [PROBE_RUNNING] = "running", [PROBE_BACKOFF] = "failed",
        [PROBE_STOPPING] = "stopping", [PROBE_HELD] = "held",
    };
    return names[s];
}

static struct probe_slot *
slot_of(struct probe_table *t, uint32_t ifindex)
{
    for (size_t i = 0; i < t->n; i++) {
        if (t->slots[i].ifindex == ifindex) {
            return &t->slots[i];
        }
    }
    return NULL;
}

static void
slot_clear(struct probe_slot *s)
{
    probe_config_destroy(s->config);
    probe_config_destroy(s->pending);
}

void
probe_table_clear(struct probe_table *t)
{
    for (size_t i = 0; i < t->n; i++) {
        slot_clear(&t->slots[i]);
    }
    t->n = 0;
}

/* Takes over what is wanted of it; another command line needs another
 * process, which a 'frozen' one does not get. */
static void
slot_configure(struct probe_slot *s, const struct probe_config *c,
               bool frozen)
{
    bool same = probe_config_same_command(s->config, c);
    struct probe_config *copy = clone_one(c);
    if (!copy) {
        return;                 /* As it was, until the next time. */
    }
    probe_config_destroy(s->pending);
    s->pending = NULL;
    if (frozen && s->pid && !same) {
        s->pending = copy;
        return;
    }
    bool first = !s->config;
    probe_config_destroy(s->config);
    s->config = copy;
    if (!same && !first) {
        s->failures = 0;
        s->retry_ms = 0;
        if (s->pid) {
            s->state = PROBE_STOPPING;
        }
    }
}

void
probe_table_update(struct probe_table *t, const struct probe_config *config,
                   const struct probe_links *links, probe_hold_func *hold,
                   void *aux)
{
    for (size_t i = 0; i < t->n; i++) {
        t->slots[i].selected = t->slots[i].up = false;
    }
    t->n_refused = 0;
    for (size_t i = 0; i < links->n; i++) {
        const struct probe_link *l = &links->list[i];
        const struct probe_config *c = probe_choose(config, l);
        if (!c) {
            continue;
        }
        struct probe_slot *s = slot_of(t, l->ifindex);
        if (!s && t->n >= PROBE_MAX) {
            t->n_refused++;
            continue;
        }
        if (!s) {
            s = &t->slots[t->n++];
            *s = (struct probe_slot) { .ifindex = l->ifindex };
        }
        memcpy(s->name, l->name, sizeof s->name);
        s->bridge = l->bridge;
        bool frozen = false;
        const char *held = hold ? hold(aux, s->name, c->policy, &frozen)
                                : NULL;
        slot_configure(s, c, frozen);
        s->selected = s->config != NULL;
        s->held = s->config && s->config->problem ? s->config->problem : held;
        s->up = l->up;
    }
}

/* The states that follow from wishes, not from the child. */
static void
settle(struct probe_slot *s, int64_t now_ms)
{
    if (s->pid) {
        if (!s->selected || !s->up || s->held) {
            s->state = PROBE_STOPPING;
        }
    } else if (s->held) {
        s->state = PROBE_HELD;
        s->failures = 0;
        s->retry_ms = 0;
        snprintf(s->reason, sizeof s->reason, "%s", s->held);
    } else if (!s->up) {
        s->state = PROBE_DOWN;
        s->failures = 0;
        s->retry_ms = 0;
        snprintf(s->reason, sizeof s->reason, "the interface is down");
    } else {
        s->state = now_ms >= s->retry_ms ? PROBE_STARTING : PROBE_BACKOFF;
    }
}

static int64_t
sooner(int64_t a, int64_t b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* Returns when to come again, or -1. */
static int64_t
step_slot(struct probe_slot *s, int64_t now_ms,
          void (*act)(void *, struct probe_slot *, enum probe_action),
          void *aux)
{
    settle(s, now_ms);
    if (s->state == PROBE_STARTING) {
        act(aux, s, PROBE_START);
        return s->pid ? -1 : s->retry_ms - now_ms;
    } else if (s->state == PROBE_BACKOFF) {
        return s->retry_ms - now_ms;
    } else if (s->state != PROBE_STOPPING) {
        return -1;
    }
    if (!s->told_ms) {
        s->told_ms = now_ms;
        act(aux, s, PROBE_TERMINATE);
    } else if (!s->killed && now_ms - s->told_ms >= KILL_AFTER_MS) {
        s->killed = true;
        act(aux, s, PROBE_KILL);
    }
    return s->killed ? -1 : s->told_ms + KILL_AFTER_MS - now_ms;
}

int64_t
probe_table_step(struct probe_table *t, int64_t now_ms,
                 void (*act)(void *, struct probe_slot *, enum probe_action),
                 void *aux)
{
    int64_t wake = -1;

    for (size_t i = 0; i < t->n; ) {
        if (!t->slots[i].selected && !t->slots[i].pid) {
            slot_clear(&t->slots[i]);
            t->slots[i] = t->slots[--t->n];
        } else {
            wake = sooner(wake, step_slot(&t->slots[i++], now_ms, act, aux));
        }
    }
    return wake;
}

static void
fail(struct probe_slot *s, int64_t now_ms)
{
    int64_t wait = FIRST_RETRY_MS;

    for (unsigned i = 0; i < s->failures && wait < LAST_RETRY_MS; i++) {
        wait *= 2;
    }
    s->failures++;
    s->retry_ms = now_ms + (wait < LAST_RETRY_MS ? wait : LAST_RETRY_MS);
    s->state = PROBE_BACKOFF;
}

void
probe_started(struct probe_slot *s, pid_t pid, int64_t now_ms,
              const char *reason)
{
    s->starts++;
    s->pid = pid;
    s->started_ms = now_ms;
    s->told_ms = 0;
    s->killed = false;
    snprintf(s->reason, sizeof s->reason, "%s", reason ? reason : "");
    if (pid) {
        s->state = PROBE_RUNNING;
    } else {
        fail(s, now_ms);
    }
}

void
probe_exited(struct probe_slot *s, int status, int64_t now_ms,
             const char *said)
{
    bool told = s->told_ms != 0;
    const char *sep = said && *said ? ": " : "";

    s->pid = 0;
    s->told_ms = 0;
    if (now_ms - s->started_ms >= STABLE_MS) {
        s->failures = 0;
    }
    if (told) {                 /* As it should be. */
        s->failures = 0;
        s->retry_ms = 0;
        s->state = PROBE_STARTING;
        return;
    }
    if (WIFSIGNALED(status)) {
        snprintf(s->reason, sizeof s->reason, "softflowd was ended by signal "
                 "%d%s%s", WTERMSIG(status), sep, said ? said : "");
    } else {
        snprintf(s->reason, sizeof s->reason, "softflowd ended with status "
                 "%d%s%s", WEXITSTATUS(status), sep, said ? said : "");
    }
    fail(s, now_ms);
}

/* ---- The command line. ---- */

struct args {
    char **argv, *buf;
    size_t n, used;
    bool full;
};

static void __attribute__((format(printf, 2, 3)))
add(struct args *a, const char *format, ...)
{
    va_list list;
    size_t room = PROBE_ARGS_SIZE - a->used;

    va_start(list, format);
    int n = vsnprintf(a->buf + a->used, room, format, list);
    va_end(list);
    if (n < 0 || (size_t) n >= room || a->n + 1 >= PROBE_MAX_ARGS) {
        a->full = true;
        return;
    }
    a->argv[a->n++] = a->buf + a->used;
    a->argv[a->n] = NULL;
    a->used += (size_t) n + 1;
}

int
probe_command(const struct probe_slot *s, char *argv[PROBE_MAX_ARGS],
              char buf[PROBE_ARGS_SIZE])
{
    const struct probe_config *c = s->config;
    struct args a = { .argv = argv, .buf = buf };
    uint32_t expire = c->active_timeout / 4;

    add(&a, "%s", c->program);
    /* In the foreground; promiscuous, because only then a bridge shows what it
     * forwards from port to port. */
    add(&a, "-d");
    add(&a, "-i");
    add(&a, "%" PRIu32 ":%s", s->ifindex, s->name);
    add(&a, "-n");
    add(&a, "%s", c->target);
    add(&a, "-v");
    add(&a, "%u", c->version);
    add(&a, "-m");
    add(&a, "%" PRIu32, c->max_flows);
    /* A flow that is quiet is reported as soon as one that goes on; the ends
     * of TCP connections after half of that. */
    static const char *const timeouts[] = {
        "maxlife", "general", "tcp", "udp", "icmp",
    };
    for (size_t i = 0; i < sizeof timeouts / sizeof timeouts[0]; i++) {
        add(&a, "-t");
        add(&a, "%s=%" PRIu32, timeouts[i], c->active_timeout);
    }
    static const char *const ends[] = { "tcp.fin", "tcp.rst" };
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        add(&a, "-t");
        add(&a, "%s=%" PRIu32, ends[i], (c->active_timeout + 1) / 2);
    }
    add(&a, "-t");
    add(&a, "expint=%" PRIu32, expire ? expire < 10 ? expire : 10 : 1);
    if (c->sampling > 1) {
        add(&a, "-s");
        add(&a, "%" PRIu32, c->sampling);
    }
    add(&a, "-p");              /* We know its pid, */
    add(&a, "/dev/null");
    add(&a, "-c");              /* and talk to it by signals. */
    add(&a, "none");
    return a.full ? -E2BIG : 0;
}
