/* The filter language.  See doc/filter.md. */
%code requires {
#include "collector/filter/filter_p.h"
}

%code {
#include <config.h>

#include <stdio.h>
#include <string.h>

#include "collector/filter/filter_p.h"

/* Bounds how deep parentheses nest. */
#define YYMAXDEPTH 1000

/* Where a rule stands is from its first to its last symbol. */
#define YYLLOC_DEFAULT(CURRENT, RHS, N)                         \
    do {                                                        \
        if (N) {                                                \
            (CURRENT).start = YYRHSLOC(RHS, 1).start;           \
            (CURRENT).end = YYRHSLOC(RHS, N).end;               \
        } else {                                                \
            (CURRENT).start = (CURRENT).end                     \
                = YYRHSLOC(RHS, 0).end;                         \
        }                                                       \
    } while (0)

}

%define api.pure full
%define api.prefix {filter_yy}
%define api.location.type {struct filter_span}
%define parse.error custom
%define parse.lac full
%locations
%param { struct filter_parse *fp }

%union {
    struct filter *filter;
    struct filter_word word;
    struct filter_list *list;
    enum column_id column;
    enum filter_cmp cmp;
    enum filter_kind kind;
    enum filter_side side;
    enum filter_io io;
    enum filter_value value;
    uint64_t number;
}

%code {
static int filter_yylex(FILTER_YYSTYPE *, FILTER_YYLTYPE *,
                        struct filter_parse *);
static void filter_yyerror(const FILTER_YYLTYPE *, struct filter_parse *,
                           const char *);
int filter_lex(FILTER_YYSTYPE *, FILTER_YYLTYPE *, struct filter_parse *);

/* A constructor returned NULL: the error is told, the parse ends. */
#define CHECK(TREE)                             \
    do {                                        \
        if (!(TREE)) {                          \
            YYABORT;                            \
        }                                       \
    } while (0)
}

%token END 0 "end of text"
%token ANY "any"
%token AND "and"
%token OR "or"
%token NOT "not"
%token SRC "src"
%token DST "dst"
%token IN "in"
%token OUT "out"
%token IS "is"
%token NULL_ "null"
%token FLAGS "flags"
%token NEXT "next"
%token PREV "prev"
%token OBSERVATION "observation"
%token IDENT "ident"
%token FLOWS "flows"
%token IPV4 "ipv4"
%token IPV6 "ipv6"
%token LPAREN "("
%token RPAREN ")"
%token LBRACKET "["
%token RBRACKET "]"
%token <cmp> COMPARE "comparison"
%token <kind> KIND "host, net, port, as, mac, if, mask, vlan"
%token <value> COMPUTED "duration, bps, pps, bpp"
%token <word> PHRASE "nat, asa, mpls, pblock"
%token <column> COLUMN "column"
%token <word> LABEL "label.KEY"
%token <word> WORD "value"
%token BAD "invalid text"

%type <filter> expr term
%type <side> side dir adjacent
%type <io> io
%type <cmp> compare
%type <number> version
%type <list> list

%left OR
%left AND
%precedence NOT

%destructor { filter_destroy($$); } <filter>
%destructor { filter_list_destroy($$); } <list>

%start filter

%%

filter:
    %empty      { CHECK(fp->tree = filter_make(fp, FILTER_ANY, NULL, NULL)); }
  | expr        { fp->tree = $1; }
  ;

expr:
    term
  | "(" expr ")"        { $$ = $2; }
  | "not" expr          { CHECK($$ = filter_make_not(fp, $2)); }
  | expr "and" expr     { CHECK($$ = filter_make(fp, FILTER_AND, $1, $3)); }
  | expr "or" expr      { CHECK($$ = filter_make(fp, FILTER_OR, $1, $3)); }
  ;

term:
    "any"       { CHECK($$ = filter_make(fp, FILTER_ANY, NULL, NULL)); }
  | side KIND compare WORD
    { CHECK($$ = filter_make_kind(fp, $2, IO_ANY, $1, $3, &$4, &@4)); }
  | side KIND compare WORD WORD
    { CHECK($$ = filter_make_netmask(fp, $2, $1, &$4, &$5, &@5)); }
  | side LABEL compare WORD
    { CHECK($$ = filter_make_label(fp, &$2, $1, $3, &$4, &@2, &@4)); }
  | side LABEL "in" "[" list "]"
    { CHECK($$ = filter_make_labels(fp, &$2, $1, $5, &@2)); }
  | side KIND "in" "[" list "]"
    { CHECK($$ = filter_make_list(fp, $2, IO_ANY, $1, COL_src_addr, $5)); }
  | side KIND "[" list "]"
    { CHECK($$ = filter_make_list(fp, $2, IO_ANY, $1, COL_src_addr, $4)); }
  | dir "in" KIND "[" list "]"
    { CHECK($$ = filter_make_list(fp, $3, IO_ANY, $1, COL_src_addr, $5)); }
  | io side KIND compare WORD
    { CHECK($$ = filter_make_kind(fp, $3, $1, $2, $4, &$5, &@5)); }
  | io side KIND "in" "[" list "]"
    { CHECK($$ = filter_make_list(fp, $3, $1, $2, COL_src_addr, $6)); }
  | io COLUMN compare WORD
    { CHECK($$ = filter_make_io(fp, $1, $2, $3, &$4, &@1, &@4)); }
  | dir COLUMN compare WORD
    { CHECK($$ = filter_make_dir(fp, $1, $2, $3, &$4, &@1, &@4)); }
  | adjacent KIND compare WORD
    { CHECK($$ = filter_make_adjacent(fp, $1, $2, $3, &$4, &@2, &@4)); }
  | adjacent KIND "in" "[" list "]"
    { CHECK($$ = filter_make_adjacents(fp, $1, $2, $5, &@2)); }
  | "flags" WORD
    { CHECK($$ = filter_make_flags(fp, false, CMP_EQ, &$2, &@2)); }
  | "flags" COMPARE WORD
    { CHECK($$ = filter_make_flags(fp, true, $2, &$3, &@3)); }
  | "ident" WORD
    { CHECK($$ = filter_make_ident(fp, &$2, &@2)); }
  | "flows" compare WORD
    { CHECK($$ = filter_make_flows(fp, $2, &$3, &@3)); }
  | COMPUTED compare WORD
    { CHECK($$ = filter_make_value(fp, $1, $2, &$3, &@3)); }
  | PHRASE WORD compare WORD
    { CHECK($$ = filter_make_phrase(fp, &$1, &$2, $3, &$4, &@2, &@4)); }
  | PHRASE WORD compare WORD WORD
    { CHECK($$ = filter_make_denied(fp, &$1, &$2, &$4, &$5, &@5)); }
  | "observation" WORD WORD compare WORD
    {
        struct filter_word first = { "observation", 11, false };
        CHECK($$ = filter_make_phrase(fp, &first, &$2, $4, &$5, &@2, &@5));
    }
  | version
    { CHECK($$ = filter_make_number(fp, COL_ip_version, $1)); }
  | COLUMN compare WORD
    { CHECK($$ = filter_make_column(fp, $1, $2, &$3, &@3)); }
  | COLUMN "in" "[" list "]"
    { CHECK($$ = filter_make_list(fp, -1, IO_ANY, SIDE_ANY, $1, $4)); }
  | COLUMN "is" "null"
    { CHECK($$ = filter_make_null(fp, $1)); }
  | COLUMN "is" "not" "null"
    {
        CHECK($$ = filter_make_null(fp, $1));
        CHECK($$ = filter_make(fp, FILTER_NOT, $$, NULL));
    }
  ;

side:
    %empty      { $$ = SIDE_ANY; }
  | dir         { $$ = $1; }
  ;

dir:
    "src"               { $$ = SIDE_SRC; }
  | "dst"               { $$ = SIDE_DST; }
  | "src" "or" "dst"    { $$ = SIDE_ANY; }
  | "dst" "or" "src"    { $$ = SIDE_ANY; }
  | "src" "and" "dst"   { $$ = SIDE_BOTH; }
  | "dst" "and" "src"   { $$ = SIDE_BOTH; }
  ;

adjacent:
    "prev"      { $$ = SIDE_SRC; }
  | "next"      { $$ = SIDE_DST; }
  ;

io:
    "in"        { $$ = IO_IN; }
  | "out"       { $$ = IO_OUT; }
  ;

compare:
    %empty      { $$ = CMP_EQ; }
  | COMPARE     { $$ = $1; }
  ;

version:
    "ipv4"      { $$ = 4; }
  | "ipv6"      { $$ = 6; }
  ;

list:
    WORD        { CHECK($$ = filter_list_add(fp, NULL, &$1, &@1)); }
  | list WORD   { CHECK($$ = filter_list_add(fp, $1, &$2, &@2)); }
  ;

%%

static int
filter_yylex(FILTER_YYSTYPE *value, FILTER_YYLTYPE *span,
             struct filter_parse *fp)
{
    return filter_lex(value, span, fp);
}

/* Bison's own troubles: out of memory, and a stack that is too deep. */
static void
filter_yyerror(const FILTER_YYLTYPE *span, struct filter_parse *fp,
               const char *message)
{
    filter_fail(fp, span->start, "", "%s",
                strstr(message, "memory") ? "nested too deeply" : message);
}

static int
yyreport_syntax_error(const yypcontext_t *c, struct filter_parse *fp)
{
    yysymbol_kind_t expected[YYNTOKENS];
    char list[sizeof fp->error->expected] = "";
    size_t used = 0;
    const FILTER_YYLTYPE *at = yypcontext_location(c);
    yysymbol_kind_t token = yypcontext_token(c);
    /* What was not expected is the latest of them, unless it is none. */
    int last = fp->before[token != YYSYMBOL_YYEOF && token != YYSYMBOL_BAD];

    int n = yypcontext_expected_tokens(c, expected, YYNTOKENS);
    for (int i = 0; fp->completion && i < n; i++) {
        filter_complete_token(fp, yysymbol_name(expected[i]));
    }
    for (int i = 0; i < n; i++) {
        char buf[200];
        const char *name = filter_expected(fp, last,
                                           yysymbol_name(expected[i]), buf,
                                           sizeof buf);
        size_t len = strlen(name);
        /* All or an ellipsis: no half words. */
        if (used + len + 8 >= sizeof list) {
            strcpy(list + used, ", ...");
            break;
        }
        used += (size_t) snprintf(list + used, sizeof list - used, "%s%s",
                                  used ? ", " : "", name);
    }
    if (token == YYSYMBOL_YYEOF) {
        filter_fail(fp, at->start, list, "the filter ends too early");
    } else {
        int len = (int) (at->end - at->start);
        filter_fail(fp, at->start, list, "unexpected \"%.*s\"",
                    len > 40 ? 40 : len, fp->text + at->start);
    }
    return 0;
}
