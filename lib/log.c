#include <config.h>

#include "lib/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#ifdef HAVE_SYSTEMD
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>
#endif

#include "lib/clock.h"

/* After <syslog.h>, whose LOG_INFO and so on are not our names. */

static const char *const module_names[] = {
#define X(NAME, DOC) #NAME,
    LOG_MODULES(X)
#undef X
};

static const char *const module_docs[] = {
#define X(NAME, DOC) DOC,
    LOG_MODULES(X)
#undef X
};

static const struct {
    const char *name, *tag;
    int priority;
} levels[] = {
    [LOG_L_OFF] = { "off", "", LOG_EMERG },
    [LOG_L_ERR] = { "error", "ERR", LOG_ERR },
    [LOG_L_WARN] = { "warning", "WARN", LOG_WARNING },
    [LOG_L_NOTICE] = { "notice", "NOTICE", LOG_NOTICE },
    [LOG_L_INFO] = { "info", "INFO", LOG_INFO },
    [LOG_L_DBG] = { "debug", "DBG", LOG_DEBUG },
};

enum log_level log_levels[N_LOG_MODULES] = {
#define X(NAME, DOC) LOG_L_INFO,
    LOG_MODULES(X)
#undef X
};

static enum log_target target = LOG_T_STDERR;

void
log_open(enum log_target t, const char *program)
{
    static const char *const sockets[] = {
        [LOG_T_SYSLOG] = "/dev/log",
        [LOG_T_JOURNAL] = "/run/systemd/journal/socket",
    };
    target = t;
    if (t != LOG_T_STDERR && access(sockets[t], F_OK)) {
        target = LOG_T_STDERR;
        LOG(main, WARN, "there is no %s: logging to stderr", sockets[t]);
    }
    if (target == LOG_T_SYSLOG) {
        openlog(program, LOG_PID | LOG_NDELAY, LOG_DAEMON);
    }
}

int
log_set_level(const char *spec)
{
    const char *colon = strchr(spec, ':');
    const char *name = colon ? colon + 1 : spec;
    int level = -1;
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        if (!strcmp(levels[i].name, name)) {
            level = (int) i;
        }
    }
    if (level < 0) {
        return -EINVAL;
    }
    bool found = false;
    for (size_t i = 0; i < N_LOG_MODULES; i++) {
        if (!colon || (strlen(module_names[i]) == (size_t) (colon - spec)
                       && !strncmp(module_names[i], spec,
                                   (size_t) (colon - spec)))) {
            __atomic_store_n(&log_levels[i], (enum log_level) level,
                             __ATOMIC_RELAXED);
            found = true;
        }
    }
    return found ? 0 : -EINVAL;
}

enum log_level
log_level(enum log_module m)
{
    return __atomic_load_n(&log_levels[m], __ATOMIC_RELAXED);
}

const char *
log_module_name(enum log_module m)
{
    return module_names[m];
}

const char *
log_module_doc(enum log_module m)
{
    return module_docs[m];
}

const char *
log_level_name(enum log_level l)
{
    return levels[l].name;
}

/* Control characters of a peer must not forge lines or drive a terminal. */
static void
clean(char *s)
{
    for (; *s; s++) {
        if ((unsigned char) *s < 0x20 || *s == 0x7f) {
            *s = '?';
        }
    }
}

void
log_write(enum log_module m, enum log_level l, const char *format, ...)
{
    char text[2048];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    clean(text);

    if (target == LOG_T_SYSLOG) {
        syslog(levels[l].priority, "%s: %s", module_names[m], text);
        return;
    }
#ifdef HAVE_SYSTEMD
    if (target == LOG_T_JOURNAL) {
        sd_journal_send("MESSAGE=%s: %s", module_names[m], text,
                        "PRIORITY=%i", levels[l].priority,
                        "VENTURI_MODULE=%s", module_names[m], NULL);
        return;
    }
#endif
    char when[TIME_STRLEN], line[2200];
    time_format_us(clock_wall_us() / 1000 * 1000, when);
    int n = snprintf(line, sizeof line, "%s|%s|%s|%s\n", when,
                     module_names[m], levels[l].tag, text);
    if (n > 0) {
        ssize_t done = write(STDERR_FILENO, line, (size_t) n);
        (void) done;                    /* Nobody left to tell. */
    }
}

bool
log_limit_pass(struct log_limit *limit, uint64_t *suppressed)
{
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    const int64_t interval_ms = 10000, burst = 5;
    int64_t now = clock_mono_ms();
    bool pass;

    pthread_mutex_lock(&mutex);
    if (!limit->last_ms) {
        limit->tokens_ms = burst * interval_ms;
    } else {
        limit->tokens_ms += now - limit->last_ms;
        if (limit->tokens_ms > burst * interval_ms) {
            limit->tokens_ms = burst * interval_ms;
        }
    }
    limit->last_ms = now ? now : 1;
    pass = limit->tokens_ms >= interval_ms;
    if (pass) {
        limit->tokens_ms -= interval_ms;
        *suppressed = limit->suppressed;
        limit->suppressed = 0;
    } else {
        limit->suppressed++;
    }
    pthread_mutex_unlock(&mutex);
    return pass;
}
