#include <config.h>

#include "lib/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void
text_add(struct text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t room = sizeof t->s - sizeof "..." - t->n;
    int n = t->cut ? 0 : vsnprintf(t->s + t->n, room, format, args);
    va_end(args);
    if (n >= 0 && (size_t) n < room) {
        t->n += (size_t) n;
    } else {
        t->cut = true;
    }
}

const char *
text_finish(struct text *t)
{
    if (t->cut) {
        memcpy(t->s + t->n, "...", 3);
        t->n += 3;
        t->cut = false;
    }
    t->s[t->n] = '\0';
    return t->s;
}

bool
text_equal(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}
