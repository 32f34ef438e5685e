#include <config.h>

#include "api/caller.h"

#include <string.h>

static const char *const names[N_ROLES] = {
    [ROLE_VIEWER] = "viewer", [ROLE_OPERATOR] = "operator",
    [ROLE_ORCHESTRATOR] = "orchestrator", [ROLE_ADMIN] = "admin",
    [ROLE_ANYBODY] = "anybody",
};

const char *
role_name(enum api_role role)
{
    return names[role];
}

int
role_find(const char *name)
{
    for (int i = 0; i < ROLE_ANYBODY; i++) {
        if (!strcmp(names[i], name)) {
            return i;
        }
    }
    return -1;
}

bool
role_may(enum api_role has, enum api_role needs)
{
    if (needs == ROLE_ANYBODY || has == ROLE_ADMIN) {
        return true;
    }
    return has != ROLE_ANYBODY && (needs == ROLE_VIEWER || needs == has);
}
