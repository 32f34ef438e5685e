#include <config.h>

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "collector/filter/filter_p.h"
#include "collector/filter/grammar.h"
#include "collector/filter/names.h"

static void
add(struct filter_parse *fp, const char *word)
{
    struct filter_completion *c = fp->completion;
    if (!word || c->n >= FILTER_MAX_WORDS
        || strncasecmp(word, fp->prefix, fp->prefix_len)) {
        return;
    }
    for (unsigned i = 0; i < c->n; i++) {
        if (!strcmp(c->words[i], word)) {
            return;
        }
    }
    c->words[c->n++] = word;
}

/* Values of the column before the cursor, as far as they can be listed. */
static void
add_values(struct filter_parse *fp)
{
    const struct column *c = &columns[fp->column];
    fp->completion->value = true;
    for (const struct column_word *w = c->words; w && w->name; w++) {
        add(fp, w->name);
    }
    for (unsigned i = 0; c == &columns[COL_proto] && proto_at(i); i++) {
        add(fp, proto_at(i));
    }
    for (unsigned i = 0; (c == &columns[COL_src_port]
                          || c == &columns[COL_dst_port]) && service_at(i);
         i++) {
        add(fp, service_at(i));
    }
    if (c->type == COLUMN_T_BOOL) {
        add(fp, "true");
        add(fp, "false");
    }
}

/* Terms of several words: which may come next. */
static void
add_phrase(struct filter_parse *fp)
{
    const char *word;
    int column;

    for (unsigned i = 0; fp->n_phrase == 1
                         && (word = filter_phrase_at(&fp->phrase[0], i));
         i++) {
        add(fp, word);
    }
    for (unsigned i = 0; fp->n_phrase == 3 && fp->denied
                         && (word = filter_denial_at(i)); i++) {
        add(fp, word);
    }
    if (fp->n_phrase == 2) {
        column = filter_phrase_column(&fp->phrase[0], &fp->phrase[1]);
        fp->completion->value = true;
        if (column >= 0) {
            fp->column = (enum column_id) column;
            add_values(fp);
        }
    }
}

/* After words that go with few others only.  False: these are others. */
static bool
add_few(struct filter_parse *fp, const char *name)
{
    int last = fp->before[0];
    bool kind = !strncmp(name, "host, ", 6), column = !strcmp(name, "column");

    if (!kind && !column) {
        return false;
    } else if (last == PREV || last == NEXT) {
        add(fp, "as");
        add(fp, last == NEXT ? "ip" : NULL);
        return true;
    } else if (column && (last == SRC || last == DST)) {
        add(fp, last == SRC ? "tos" : NULL);
        return true;
    } else if ((last != IN && last != OUT)
               || (fp->before[1] == SRC || fp->before[1] == DST)) {
        return false;
    }
    add(fp, kind ? "if" : last == IN ? "bytes" : NULL);
    add(fp, kind ? "interface" : last == IN ? "packets" : NULL);
    add(fp, kind ? "mac" : NULL);
    return true;
}

void
filter_complete_token(struct filter_parse *fp, const char *name)
{
    static const char *const compares[] = { "=", "!=", "<", "<=", ">", ">=" };
    if (add_few(fp, name)) {
        return;
    } else if (fp->n_phrase && !strcmp(name, "value")) {
        add_phrase(fp);
    } else if (!strcmp(name, "column")) {
        for (unsigned i = 0; i < N_COLUMNS; i++) {
            add(fp, columns[i].name);
        }
    } else if (!strcmp(name, "value")) {
        add_values(fp);
    } else if (!strcmp(name, "comparison")) {
        for (unsigned i = 0; i < 6; i++) {
            add(fp, compares[i]);
        }
    } else if (!strcmp(name, "label.KEY")) {
        add(fp, "label.");
    } else if (!strncmp(name, "duration,", 9)) {
        for (int v = FV_COLUMN + 1; v < N_FILTER_VALUES; v++) {
            add(fp, filter_value_name((enum filter_value) v));
        }
    } else if (filter_word_at(name, 0)) {
        for (unsigned i = 0; filter_word_at(name, i); i++) {
            add(fp, filter_word_at(name, i));
        }
    } else if (strcmp(name, "end of text") && strcmp(name, "invalid text")) {
        add(fp, name);
    }
}

const char *
filter_expected(const struct filter_parse *fp, int last, const char *name,
                char *buf, size_t size)
{
    bool kind = !strncmp(name, "host, ", 6);
    const char *word;
    size_t used = 0;

    if (kind && last == PREV) {
        return "as";
    } else if (kind && last == NEXT) {
        return "ip, as";
    } else if (fp->n_phrase != 1 || strcmp(name, "value")) {
        return name;
    }
    for (unsigned i = 0; used < size
                         && (word = filter_phrase_at(&fp->phrase[0], i));
         i++) {
        used += (size_t) snprintf(buf + used, size - used, "%s%s",
                                  i ? ", " : "", word);
    }
    return buf;
}

/* Bytes of words, as the lexer has them. */
static bool
is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
           || (c >= '0' && c <= '9') || (c && strchr("_./:*%+@-", c));
}

void
filter_complete(const char *text, size_t cursor, struct filter_completion *c)
{
    struct filter_error error;
    size_t len = strlen(text);

    memset(c, 0, sizeof *c);
    c->start = cursor < len ? cursor : len;
    if (c->start > FILTER_MAX_TEXT) {
        return;
    }
    cursor = c->start;
    while (c->start && is_word(text[c->start - 1])) {
        c->start--;
    }
    struct filter_parse fp = {
        .text = text, .size = c->start, .error = &error, .completion = c,
        .prefix = text + c->start, .prefix_len = cursor - c->start,
    };
    if (filter_scanner_open(&fp)) {
        return;
    }
    filter_yyparse(&fp);
    filter_scanner_close(&fp);
    filter_destroy(fp.tree);
}
