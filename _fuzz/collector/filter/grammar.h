/* A Bison parser, made by GNU Bison 3.8.2.  */

/* Bison interface for Yacc-like parsers in C

   Copyright (C) 1984, 1989-1990, 2000-2015, 2018-2021 Free Software Foundation,
   Inc.

   This program is free software: you can redistribute it and/or modify
   it under the terms of the GNU General Public License as published by
   the Free Software Foundation, either version 3 of the License, or
   (at your option) any later version.

   This program is distributed in the hope that it will be useful,
   but WITHOUT ANY WARRANTY; without even the implied warranty of
   MERCHANTABILITY or FITNESS FOR A PARTICULAR PURPOSE.  See the
   GNU General Public License for more details.

   You should have received a copy of the GNU General Public License
   along with this program.  If not, see <https://www.gnu.org/licenses/>.  */

/* As a special exception, you may create a larger work that contains
   part or all of the Bison parser skeleton and distribute that work
   under terms of your choice, so long as that work isn't itself a
   parser generator using the skeleton or a modified version thereof
   as a parser skeleton.  Alternatively, if you modify or redistribute
   the parser skeleton itself, you may (at your option) remove this
   special exception, which will cause the skeleton and the resulting
   Bison output files to be licensed under the GNU General Public
   License without this special exception.

   This special exception was added by the Free Software Foundation in
   version 2.2 of Bison.  */

/* DO NOT RELY ON FEATURES THAT ARE NOT DOCUMENTED in the manual,
   especially those whose name start with YY_ or yy_.  They are
   private implementation details that can be changed or removed.  */

#ifndef YY_FILTER_YY_COLLECTOR_FILTER_GRAMMAR_H_INCLUDED
# define YY_FILTER_YY_COLLECTOR_FILTER_GRAMMAR_H_INCLUDED
/* Debug traces.  */
#ifndef FILTER_YYDEBUG
# if defined YYDEBUG
#if YYDEBUG
#   define FILTER_YYDEBUG 1
#  else
#   define FILTER_YYDEBUG 0
#  endif
# else /* ! defined YYDEBUG */
#  define FILTER_YYDEBUG 0
# endif /* ! defined YYDEBUG */
#endif  /* ! defined FILTER_YYDEBUG */
#if FILTER_YYDEBUG
extern int filter_yydebug;
#endif
/* "%code requires" blocks.  */
#line 2 "../collector/filter/grammar.y"

#include "collector/filter/filter_p.h"

#line 61 "collector/filter/grammar.h"

/* Token kinds.  */
#ifndef FILTER_YYTOKENTYPE
# define FILTER_YYTOKENTYPE
  enum filter_yytokentype
  {
    FILTER_YYEMPTY = -2,
    END = 0,                       /* "end of text"  */
    FILTER_YYerror = 256,          /* error  */
    FILTER_YYUNDEF = 257,          /* "invalid token"  */
    ANY = 258,                     /* "any"  */
    AND = 259,                     /* "and"  */
    OR = 260,                      /* "or"  */
    NOT = 261,                     /* "not"  */
    SRC = 262,                     /* "src"  */
    DST = 263,                     /* "dst"  */
    IN = 264,                      /* "in"  */
    OUT = 265,                     /* "out"  */
    IS = 266,                      /* "is"  */
    NULL_ = 267,                   /* "null"  */
    FLAGS = 268,                   /* "flags"  */
    NEXT = 269,                    /* "next"  */
    OBSERVATION = 270,             /* "observation"  */
    IDENT = 271,                   /* "ident"  */
    FLOWS = 272,                   /* "flows"  */
    IPV4 = 273,                    /* "ipv4"  */
    IPV6 = 274,                    /* "ipv6"  */
    LPAREN = 275,                  /* "("  */
    RPAREN = 276,                  /* ")"  */
    LBRACKET = 277,                /* "["  */
    RBRACKET = 278,                /* "]"  */
    COMPARE = 279,                 /* "comparison"  */
    KIND = 280,                    /* "host, net, port, as, mac, if, mask, vlan"  */
    COMPUTED = 281,                /* "duration, bps, pps, bpp"  */
    PHRASE = 282,                  /* "nat, asa, mpls"  */
    COLUMN = 283,                  /* "column"  */
    WORD = 284,                    /* "value"  */
    BAD = 285                      /* "invalid text"  */
  };
  typedef enum filter_yytokentype filter_yytoken_kind_t;
#endif
/* Token kinds.  */
#define FILTER_YYEMPTY -2
#define END 0
#define FILTER_YYerror 256
#define FILTER_YYUNDEF 257
#define ANY 258
#define AND 259
#define OR 260
#define NOT 261
#define SRC 262
#define DST 263
#define IN 264
#define OUT 265
#define IS 266
#define NULL_ 267
#define FLAGS 268
#define NEXT 269
#define OBSERVATION 270
#define IDENT 271
#define FLOWS 272
#define IPV4 273
#define IPV6 274
#define LPAREN 275
#define RPAREN 276
#define LBRACKET 277
#define RBRACKET 278
#define COMPARE 279
#define KIND 280
#define COMPUTED 281
#define PHRASE 282
#define COLUMN 283
#define WORD 284
#define BAD 285

/* Value type.  */
#if ! defined FILTER_YYSTYPE && ! defined FILTER_YYSTYPE_IS_DECLARED
union FILTER_YYSTYPE
{
#line 39 "../collector/filter/grammar.y"

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

#line 154 "collector/filter/grammar.h"

};
typedef union FILTER_YYSTYPE FILTER_YYSTYPE;
# define FILTER_YYSTYPE_IS_TRIVIAL 1
# define FILTER_YYSTYPE_IS_DECLARED 1
#endif

/* Location type.  */
typedef struct filter_span FILTER_YYLTYPE;




int filter_yyparse (struct filter_parse *fp);


#endif /* !YY_FILTER_YY_COLLECTOR_FILTER_GRAMMAR_H_INCLUDED  */
