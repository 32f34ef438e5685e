/* lib/log.h -- log lines for the operator: module tag, who, what we did.
 *
 * Each module is a row of LOG_MODULES and has a level of its own.  What a
 * packet can trigger goes through LOG_RATE.  Thread-safe; a line is one
 * write. */
#ifndef LIB_LOG_H
#define LIB_LOG_H 1

#include <stdbool.h>
#include <stdint.h>

#define LOG_MODULES(X)                                                  \
    X(main, "start, configuration, shutdown")                           \
    X(ovsdb, "OVSDB sessions and what is written to them")              \
    X(input, "sockets that receive flow exports")                       \
    X(decode, "NetFlow, IPFIX and sFlow decoders, templates")           \
    X(exporter, "who sends: sequence gaps, sampling")                   \
    X(store, "flow segments, the writer, retention")                    \
    X(query, "queries over stored flows")                               \
    X(bgp, "BGP neighbours and BMP routers")                            \
    X(api, "JSON-RPC, its transports and clients")                      \
    X(config, "configuration file, validation, edits")                  \
    X(probe, "softflowd on Linux bridges")                              \
    X(identity, "endpoints, and what is kept of them")

enum log_module {
#define X(NAME, DOC) LOG_MODULE_##NAME,
    LOG_MODULES(X)
#undef X
    N_LOG_MODULES
};

/* syslog's severities that we use. */
enum log_level { LOG_L_OFF, LOG_L_ERR, LOG_L_WARN, LOG_L_NOTICE, LOG_L_INFO,
                 LOG_L_DBG };

enum log_target { LOG_T_STDERR, LOG_T_SYSLOG, LOG_T_JOURNAL };

/* Picks where lines go; before the first call they go to stderr, and so they do
 * if nobody is there to take them. */
void log_open(enum log_target, const char *program);

/* "info", or "module:level" ("ovsdb:debug"); levels are off, error, warning,
 * notice, info, debug.  Returns 0 or -EINVAL. */
int log_set_level(const char *spec);
enum log_level log_level(enum log_module);
const char *log_module_name(enum log_module);
const char *log_module_doc(enum log_module);
const char *log_level_name(enum log_level);

extern enum log_level log_levels[N_LOG_MODULES];
void log_write(enum log_module, enum log_level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Levels change with the configuration while all threads log.  No <stdatomic.h>:
 * Open vSwitch's headers have such names of their own. */
static inline bool
log_wants(enum log_module m, enum log_level l)
{
    return __atomic_load_n(&log_levels[m], __ATOMIC_RELAXED) >= l;
}

#define LOG(MODULE, LEVEL, ...)                                         \
    do {                                                                \
        if (log_wants(LOG_MODULE_##MODULE, LOG_L_##LEVEL)) {            \
            log_write(LOG_MODULE_##MODULE, LOG_L_##LEVEL, __VA_ARGS__); \
        }                                                               \
    } while (0)

/* At most 'burst' lines at once and one per 'interval_s' after that from this
 * place in the code; the next line that passes says how many did not. */
struct log_limit { int64_t tokens_ms, last_ms; uint64_t suppressed; };
bool log_limit_pass(struct log_limit *, uint64_t *suppressed);

#define LOG_RATE(MODULE, LEVEL, FMT, ...)                               \
    do {                                                                \
        static struct log_limit limit__;                                \
        uint64_t n__;                                                   \
        if (log_wants(LOG_MODULE_##MODULE, LOG_L_##LEVEL)               \
            && log_limit_pass(&limit__, &n__)) {                        \
            if (n__) {                                                  \
                log_write(LOG_MODULE_##MODULE, LOG_L_##LEVEL,           \
                          FMT " (%llu like it not shown)", __VA_ARGS__, \
                          (unsigned long long) n__);                    \
            } else {                                                    \
                log_write(LOG_MODULE_##MODULE, LOG_L_##LEVEL,           \
                          FMT, __VA_ARGS__);                            \
            }                                                           \
        }                                                               \
    } while (0)

#endif /* lib/log.h */
