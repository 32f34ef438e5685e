/* api/caller.h -- who asks: a name for logs, and a role that decides what is
 * answered.
 *
 * Every connection has one.  Roles are no ladder: an operator does not speak
 * for the orchestration, nor the other way round. */
#ifndef API_CALLER_H
#define API_CALLER_H 1

#include <stdbool.h>
#include <stdint.h>

/* Of a method: the least that it needs.  Of a caller: what it is. */
enum api_role {
    ROLE_VIEWER,                /* Reads. */
    ROLE_OPERATOR,              /* And changes what is exported and counted. */
    ROLE_ORCHESTRATOR,          /* Reads, and tells who is behind addresses. */
    ROLE_ADMIN,                 /* All. */
    ROLE_ANYBODY,               /* Has not said who it is. */
};
#define N_ROLES 5

struct confine;

struct rpc_caller {
    enum api_role role;
    const struct confine *confine;      /* To tenants (filter/confine.h); NULL:
                                         * not. */
    char name[128];             /* "user root", "token grafana". */
    char from[64];              /* "unix", "192.0.2.1:40312". */
    const char *transport;      /* "unix", "tcp", "tls", "http", "ws". */
    char token[16];             /* Id of the token that it showed, or "". */
    int64_t expires_us;         /* Wall clock; from then on it is nobody. */
};

/* "viewer", ...; "anybody". */
const char *role_name(enum api_role);

/* The role of that name, or -1; "anybody" is none. */
int role_find(const char *name);

/* May one of role 'has' call what needs 'needs'? */
bool role_may(enum api_role has, enum api_role needs);

#endif /* api/caller.h */
