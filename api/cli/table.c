#include <config.h>

#include "api/cli/table.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#define MIN_WRAP 24             /* Nor is text wrapped to less. */

struct column {
    char *name;
    bool right;
    unsigned width;             /* Widest cell, or name. */
    unsigned widest;            /* Widest cell. */
};

struct table {
    struct column *columns;
    size_t n_columns;
    char **cells;
    char **raw;                 /* Of cells with line breaks or tabs: for CSV.
                                 * Else NULL. */
    size_t n_cells, room;
};

struct table *
table_create(void)
{
    return calloc(1, sizeof(struct table));
}

void
table_destroy(struct table *t)
{
    if (!t) {
        return;
    }
    for (size_t i = 0; i < t->n_columns; i++) {
        free(t->columns[i].name);
    }
    for (size_t i = 0; i < t->n_cells; i++) {
        free(t->cells[i]);
        free(t->raw[i]);
    }
    free(t->raw);
    free(t->columns);
    free(t->cells);
    free(t);
}

/* One character of UTF-8 (or one byte of anything else): its length, and the
 * columns it takes. */
static size_t
next_char(const char *s, unsigned *width)
{
    mbstate_t state = { 0 };
    wchar_t wc;
    size_t n = mbrtowc(&wc, s, MB_CUR_MAX, &state);

    if (n == 0 || n > 8) {
        *width = 1;
        return 1;
    }
    int w = wcwidth(wc);
    *width = w > 0 ? (unsigned) w : 0;
    return n;
}

static unsigned
text_width(const char *s)
{
    unsigned total = 0, w;

    while (*s) {
        s += next_char(s, &w);
        total += w;
    }
    return total;
}

/* What a name from the network could do to a terminal, it shall not. */
static char *
clean(const char *text, const char *but)
{
    char *copy = strdup(text ? text : "");

    if (!copy) {
        abort();
    }
    for (char *p = copy; *p; p++) {
        if (strchr(but, *p)) {
            continue;
        } else if ((unsigned char) *p < 0x20 || *p == 0x7f) {
            *p = '?';
        } else if ((unsigned char) *p == 0xc2 && (unsigned char) p[1] >= 0x80
                   && (unsigned char) p[1] < 0xa0) {
            p[0] = p[1] = '?';  /* C1 control characters. */
        }
    }
    return copy;
}

char *
table_clean(const char *text)
{
    return clean(text, "");
}

void
table_column(struct table *t, const char *name, bool right)
{
    struct column *p = realloc(t->columns, (t->n_columns + 1) * sizeof *p);

    if (!p) {
        abort();
    }
    t->columns = p;
    p[t->n_columns].name = table_clean(name);
    p[t->n_columns].right = right;
    p[t->n_columns].width = text_width(name);
    p[t->n_columns].widest = 0;
    t->n_columns++;
}

void
table_cell(struct table *t, const char *text)
{
    struct column *c = &t->columns[t->n_cells % t->n_columns];

    if (t->n_cells == t->room) {
        t->room = t->room ? t->room * 2 : 64;
        t->cells = realloc(t->cells, t->room * sizeof *t->cells);
        t->raw = realloc(t->raw, t->room * sizeof *t->raw);
        if (!t->cells || !t->raw) {
            abort();
        }
    }
    char *s = table_clean(text);
    unsigned w = text_width(s);
    t->raw[t->n_cells] = text && strpbrk(text, "\t\r\n")
                         ? clean(text, "\t\r\n") : NULL;
    t->cells[t->n_cells++] = s;
    c->widest = w > c->widest ? w : c->widest;
    c->width = w > c->width ? w : c->width;
}

size_t
table_rows(const struct table *t)
{
    return t->n_columns ? t->n_cells / t->n_columns : 0;
}

/* To what columns are cut where there is too little room: texts first, then
 * also what stands above numbers, then both to less; numbers never. */
#define N_CUTS 3
static const struct {
    unsigned text, heading;
} cuts[N_CUTS] = { { 6, UINT_MAX }, { 6, 5 }, { 4, 4 } };

static unsigned
least(const struct column *c, size_t cut)
{
    if (!c->right) {
        return cuts[cut].text;
    }
    return c->widest > cuts[cut].heading ? c->widest : cuts[cut].heading;
}

/* Takes from the last column, which can be wrapped, then from the widest
 * column that may give until all fit. */
static void
fit(const struct table *t, unsigned *widths, unsigned limit)
{
    unsigned total = 0, *last = &widths[t->n_columns - 1];

    for (size_t i = 0; i < t->n_columns; i++) {
        widths[i] = t->columns[i].width;
        total += widths[i] + (i ? 2 : 0);
    }
    if (limit && total > limit && *last > MIN_WRAP
        && !t->columns[t->n_columns - 1].right) {
        unsigned less = total - limit;
        less = less < *last - MIN_WRAP ? less : *last - MIN_WRAP;
        *last -= less;
        total -= less;
    }
    for (size_t cut = 0; limit && total > limit && cut < N_CUTS;) {
        size_t widest = t->n_columns;
        for (size_t i = 0; i < t->n_columns; i++) {
            if (widths[i] > least(&t->columns[i], cut)
                && (widest == t->n_columns || widths[i] > widths[widest])) {
                widest = i;
            }
        }
        if (widest == t->n_columns) {
            cut++;
        } else {
            widths[widest]--;
            total--;
        }
    }
}

static void
print_cell(FILE *f, const char *s, unsigned width, bool right, bool last)
{
    unsigned w = text_width(s), used = 0, one;

    if (right) {
        fprintf(f, "%*s", w < width ? (int) (width - w) : 0, "");
    }
    if (w <= width) {
        fputs(s, f);
        used = w;
    } else {
        while (*s) {
            size_t n = next_char(s, &one);
            if (used + one > width - 1) {
                break;
            }
            fwrite(s, 1, n, f);
            used += one;
            s += n;
        }
        fputs(MB_CUR_MAX > 1 ? "\xe2\x80\xa6" : "~", f);       /* "..." */
        used++;
    }
    if (!right && !last) {
        fprintf(f, "%*s", used < width ? (int) (width - used) : 0, "");
    }
}

void
table_wrap(FILE *f, const char *s, unsigned width, unsigned indent)
{
    while (width && text_width(s) > width) {
        size_t n = 0, at = 0;
        unsigned used = 0, one;
        while (used <= width) {
            if (s[n] == ' ') {
                at = n;
            }
            size_t len = next_char(s + n, &one);
            used += one;
            if (used > width) {
                break;
            }
            n += len;
        }
        if (s[n] != ' ' && at) {        /* Between words, if there are. */
            n = at;
        }
        fwrite(s, 1, n, f);
        fprintf(f, "\n%*s", (int) indent, "");
        s += n + (s[n] == ' ');
    }
    fputs(s, f);
}

static void
print_row(const struct table *t, FILE *f, const unsigned *widths,
          char *const *cells)
{
    unsigned indent = 0;

    for (size_t i = 0; i < t->n_columns; i++) {
        const struct column *c = &t->columns[i];
        fputs(i ? "  " : "", f);
        if (cells && i + 1 == t->n_columns && !c->right
            && widths[i] >= MIN_WRAP) {
            table_wrap(f, cells[i], widths[i], indent);
            continue;
        }
        indent += widths[i] + 2;
        print_cell(f, cells ? cells[i] : c->name, widths[i], c->right,
                   i + 1 == t->n_columns);
    }
}

void
table_print(const struct table *t, FILE *f, unsigned width, bool bold)
{
    unsigned *widths = calloc(t->n_columns + 1, sizeof *widths);

    if (!widths) {
        abort();
    }
    fit(t, widths, width);
    fputs(bold ? "\033[1m" : "", f);
    print_row(t, f, widths, NULL);
    fputs(bold ? "\033[0m\n" : "\n", f);
    for (size_t i = 0; i + t->n_columns <= t->n_cells && t->n_columns;
         i += t->n_columns) {
        print_row(t, f, widths, t->cells + i);
        fputc('\n', f);
    }
    free(widths);
}

static void
csv_field(FILE *f, const char *s)
{
    if (!strpbrk(s, ",\"\r\n")) {
        fputs(s, f);
        return;
    }
    fputc('"', f);
    for (; *s; s++) {
        if (*s == '"') {
            fputc('"', f);
        }
        fputc(*s, f);
    }
    fputc('"', f);
}

void
table_csv(const struct table *t, FILE *f)
{
    for (size_t i = 0; i < t->n_columns; i++) {
        fputs(i ? "," : "", f);
        csv_field(f, t->columns[i].name);
    }
    fputs("\r\n", f);
    for (size_t i = 0; i < t->n_cells; i++) {
        csv_field(f, t->raw[i] ? t->raw[i] : t->cells[i]);
        fputs((i + 1) % t->n_columns ? "," : "\r\n", f);
    }
}

char *
human_number(double value, const char *unit, char buf[HUMAN_STRLEN])
{
    static const char *const prefixes[] = { "", "k", "M", "G", "T", "P", "E" };
    bool bytes = unit && !strcmp(unit, "B");
    size_t i = 0;

    while (fabs(value) >= 999.5 && i < 6) {
        value /= 1000;
        i++;
    }
    /* Three digits that matter, and none for what is exact. */
    int digits = !i ? 0 : fabs(value) < 9.995 ? 2 : fabs(value) < 99.95 ? 1
                                                                       : 0;
    snprintf(buf, HUMAN_STRLEN, "%.*f%s%s%s", digits, value,
             i || bytes ? " " : "", prefixes[i], bytes ? "B" : "");
    return buf;
}
