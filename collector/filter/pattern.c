#include <config.h>

#include "collector/filter/pattern.h"

#include <string.h>

/* A tenth of a millisecond or two. */
#define MOST_WAYS 1024.
#define TOO_MANY (2 * MOST_WAYS)

/* Of an expression: how many ways there are ... */
struct ways {
    double through;             /* without eating a character, */
    double first, last;         /* up to the first, and after the last, eaten; */
    double most;                /* and between two, or none, anywhere in it. */
    bool plain;                 /* One of 'through' passes no anchor. */
};

static struct ways parse(const char **p);

static double
more(double a, double b)
{
    return a > b ? a : b;
}

/* Behind a bracket expression, whose "[" was eaten. */
static const char *
skip_bracket(const char *p)
{
    p += *p == '^';
    p += *p == ']';
    while (*p && *p != ']') {
        p++;
    }
    return *p ? p + 1 : p;
}

static struct ways
parse_atom(const char **p)
{
    static const struct ways character = { 0, 1, 1, 0, false };
    static const struct ways anchor = { 1, 0, 0, 0, false };
    char c = *(*p)++;

    if (c == '^' || c == '$') {
        return anchor;
    } else if (c == '[') {
        *p = skip_bracket(*p);
    } else if (c == '(') {
        struct ways w = parse(p);
        *p += **p == ')';
        return w;
    }
    return character;
}

static struct ways
parse_piece(const char **p)
{
    struct ways w = parse_atom(p);

    for (; **p && strchr("*+?", **p); ++*p) {
        if (**p != '?') {       /* After itself, and in circles. */
            w.most = more(w.most, w.through > w.plain ? TOO_MANY
                                  : w.last * w.first);
        }
        if (**p != '+' && !w.plain) {
            w.through++;
            w.plain = true;
        }
    }
    return w;
}

static struct ways
parse_branch(const char **p)
{
    struct ways w = { .through = 1, .plain = true };

    while (**p && **p != '|' && **p != ')') {
        struct ways x = parse_piece(p);
        w.most = more(more(w.most, x.most), w.last * x.first);
        w.first += w.through * x.first;
        w.last = x.last + x.through * w.last;
        w.through *= x.through;
        w.plain &= x.plain;
    }
    return w;
}

static struct ways
parse(const char **p)
{
    struct ways w = parse_branch(p);

    while (**p == '|') {
        ++*p;
        struct ways x = parse_branch(p);
        w.through += x.through - (w.plain && x.plain);
        w.first += x.first;
        w.last += x.last;
        w.most = more(w.most, x.most);
        w.plain |= x.plain;
    }
    return w;
}

bool
pattern_is_cheap(const char *text)
{
    struct ways w = { .most = 0 };

    while (*text) {
        w = parse(&text);
        if (!(more(w.most, w.through) <= MOST_WAYS)) {
            return false;       /* Also if it is no number any more. */
        }
        text += *text == ')';   /* That nothing opened. */
    }
    return true;
}
