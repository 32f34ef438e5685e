/* A Bison parser, made by GNU Bison 3.8.2.  */

/* Bison implementation for Yacc-like parsers in C

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

/* C LALR(1) parser skeleton written by Richard Stallman, by
   simplifying the original so-called "semantic" parser.  */

/* DO NOT RELY ON FEATURES THAT ARE NOT DOCUMENTED in the manual,
   especially those whose name start with YY_ or yy_.  They are
   private implementation details that can be changed or removed.  */

/* All symbols defined below should begin with yy or YY, to avoid
   infringing on user name space.  This should be done even for local
   variables, as they might otherwise be expanded by user macros.
   There are some unavoidable exceptions within include files to
   define necessary library symbols; they are noted "INFRINGES ON
   USER NAME SPACE" below.  */

/* Identify Bison output, and Bison version.  */
#define YYBISON 30802

/* Bison version string.  */
#define YYBISON_VERSION "3.8.2"

/* Skeleton name.  */
#define YYSKELETON_NAME "yacc.c"

/* Pure parsers.  */
#define YYPURE 2

/* Push parsers.  */
#define YYPUSH 0

/* Pull parsers.  */
#define YYPULL 1

/* Substitute the type names.  */
#define YYSTYPE         FILTER_YYSTYPE
#define YYLTYPE         FILTER_YYLTYPE
/* Substitute the variable and function names.  */
#define yyparse         filter_yyparse
#define yylex           filter_yylex
#define yyerror         filter_yyerror
#define yydebug         filter_yydebug
#define yynerrs         filter_yynerrs


# ifndef YY_CAST
#  ifdef __cplusplus
#   define YY_CAST(Type, Val) static_cast<Type> (Val)
#   define YY_REINTERPRET_CAST(Type, Val) reinterpret_cast<Type> (Val)
#  else
#   define YY_CAST(Type, Val) ((Type) (Val))
#   define YY_REINTERPRET_CAST(Type, Val) ((Type) (Val))
#  endif
# endif
# ifndef YY_NULLPTR
#  if defined __cplusplus
#   if 201103L <= __cplusplus
#    define YY_NULLPTR nullptr
#   else
#    define YY_NULLPTR 0
#   endif
#  else
#   define YY_NULLPTR ((void*)0)
#  endif
# endif

/* Use api.header.include to #include this header
   instead of duplicating it here.  */
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

#line 123 "collector/filter/grammar.c"

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

#line 216 "collector/filter/grammar.c"

};
typedef union FILTER_YYSTYPE FILTER_YYSTYPE;
# define FILTER_YYSTYPE_IS_TRIVIAL 1
# define FILTER_YYSTYPE_IS_DECLARED 1
#endif

/* Location type.  */
typedef struct filter_span FILTER_YYLTYPE;




int filter_yyparse (struct filter_parse *fp);


#endif /* !YY_FILTER_YY_COLLECTOR_FILTER_GRAMMAR_H_INCLUDED  */
/* Symbol kind.  */
enum yysymbol_kind_t
{
  YYSYMBOL_YYEMPTY = -2,
  YYSYMBOL_YYEOF = 0,                      /* "end of text"  */
  YYSYMBOL_YYerror = 1,                    /* error  */
  YYSYMBOL_YYUNDEF = 2,                    /* "invalid token"  */
  YYSYMBOL_ANY = 3,                        /* "any"  */
  YYSYMBOL_AND = 4,                        /* "and"  */
  YYSYMBOL_OR = 5,                         /* "or"  */
  YYSYMBOL_NOT = 6,                        /* "not"  */
  YYSYMBOL_SRC = 7,                        /* "src"  */
  YYSYMBOL_DST = 8,                        /* "dst"  */
  YYSYMBOL_IN = 9,                         /* "in"  */
  YYSYMBOL_OUT = 10,                       /* "out"  */
  YYSYMBOL_IS = 11,                        /* "is"  */
  YYSYMBOL_NULL_ = 12,                     /* "null"  */
  YYSYMBOL_FLAGS = 13,                     /* "flags"  */
  YYSYMBOL_NEXT = 14,                      /* "next"  */
  YYSYMBOL_OBSERVATION = 15,               /* "observation"  */
  YYSYMBOL_IDENT = 16,                     /* "ident"  */
  YYSYMBOL_FLOWS = 17,                     /* "flows"  */
  YYSYMBOL_IPV4 = 18,                      /* "ipv4"  */
  YYSYMBOL_IPV6 = 19,                      /* "ipv6"  */
  YYSYMBOL_LPAREN = 20,                    /* "("  */
  YYSYMBOL_RPAREN = 21,                    /* ")"  */
  YYSYMBOL_LBRACKET = 22,                  /* "["  */
  YYSYMBOL_RBRACKET = 23,                  /* "]"  */
  YYSYMBOL_COMPARE = 24,                   /* "comparison"  */
  YYSYMBOL_KIND = 25,                      /* "host, net, port, as, mac, if, mask, vlan"  */
  YYSYMBOL_COMPUTED = 26,                  /* "duration, bps, pps, bpp"  */
  YYSYMBOL_PHRASE = 27,                    /* "nat, asa, mpls"  */
  YYSYMBOL_COLUMN = 28,                    /* "column"  */
  YYSYMBOL_WORD = 29,                      /* "value"  */
  YYSYMBOL_BAD = 30,                       /* "invalid text"  */
  YYSYMBOL_YYACCEPT = 31,                  /* $accept  */
  YYSYMBOL_filter = 32,                    /* filter  */
  YYSYMBOL_expr = 33,                      /* expr  */
  YYSYMBOL_term = 34,                      /* term  */
  YYSYMBOL_side = 35,                      /* side  */
  YYSYMBOL_dir = 36,                       /* dir  */
  YYSYMBOL_io = 37,                        /* io  */
  YYSYMBOL_compare = 38,                   /* compare  */
  YYSYMBOL_version = 39,                   /* version  */
  YYSYMBOL_list = 40                       /* list  */
};
typedef enum yysymbol_kind_t yysymbol_kind_t;



/* Unqualified %code blocks.  */
#line 6 "../collector/filter/grammar.y"

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

#line 52 "../collector/filter/grammar.y"

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

#line 325 "collector/filter/grammar.c"

#ifdef short
# undef short
#endif

/* On compilers that do not define __PTRDIFF_MAX__ etc., make sure
   <limits.h> and (if available) <stdint.h> are included
   so that the code can choose integer types of a good width.  */

#ifndef __PTRDIFF_MAX__
# include <limits.h> /* INFRINGES ON USER NAME SPACE */
# if defined __STDC_VERSION__ && 199901 <= __STDC_VERSION__
#  include <stdint.h> /* INFRINGES ON USER NAME SPACE */
#  define YY_STDINT_H
# endif
#endif

/* Narrow types that promote to a signed type and that can represent a
   signed or unsigned integer of at least N bits.  In tables they can
   save space and decrease cache pressure.  Promoting to a signed type
   helps avoid bugs in integer arithmetic.  */

#ifdef __INT_LEAST8_MAX__
typedef __INT_LEAST8_TYPE__ yytype_int8;
#elif defined YY_STDINT_H
typedef int_least8_t yytype_int8;
#else
typedef signed char yytype_int8;
#endif

#ifdef __INT_LEAST16_MAX__
typedef __INT_LEAST16_TYPE__ yytype_int16;
#elif defined YY_STDINT_H
typedef int_least16_t yytype_int16;
#else
typedef short yytype_int16;
#endif

/* Work around bug in HP-UX 11.23, which defines these macros
   incorrectly for preprocessor constants.  This workaround can likely
   be removed in 2023, as HPE has promised support for HP-UX 11.23
   (aka HP-UX 11i v2) only through the end of 2022; see Table 2 of
   <https://h20195.www2.hpe.com/V2/getpdf.aspx/4AA4-7673ENW.pdf>.  */
#ifdef __hpux
# undef UINT_LEAST8_MAX
# undef UINT_LEAST16_MAX
# define UINT_LEAST8_MAX 255
# define UINT_LEAST16_MAX 65535
#endif

#if defined __UINT_LEAST8_MAX__ && __UINT_LEAST8_MAX__ <= __INT_MAX__
typedef __UINT_LEAST8_TYPE__ yytype_uint8;
#elif (!defined __UINT_LEAST8_MAX__ && defined YY_STDINT_H \
       && UINT_LEAST8_MAX <= INT_MAX)
typedef uint_least8_t yytype_uint8;
#elif !defined __UINT_LEAST8_MAX__ && UCHAR_MAX <= INT_MAX
typedef unsigned char yytype_uint8;
#else
typedef short yytype_uint8;
#endif

#if defined __UINT_LEAST16_MAX__ && __UINT_LEAST16_MAX__ <= __INT_MAX__
typedef __UINT_LEAST16_TYPE__ yytype_uint16;
#elif (!defined __UINT_LEAST16_MAX__ && defined YY_STDINT_H \
       && UINT_LEAST16_MAX <= INT_MAX)
typedef uint_least16_t yytype_uint16;
#elif !defined __UINT_LEAST16_MAX__ && USHRT_MAX <= INT_MAX
typedef unsigned short yytype_uint16;
#else
typedef int yytype_uint16;
#endif

#ifndef YYPTRDIFF_T
# if defined __PTRDIFF_TYPE__ && defined __PTRDIFF_MAX__
#  define YYPTRDIFF_T __PTRDIFF_TYPE__
#  define YYPTRDIFF_MAXIMUM __PTRDIFF_MAX__
# elif defined PTRDIFF_MAX
#  ifndef ptrdiff_t
#   include <stddef.h> /* INFRINGES ON USER NAME SPACE */
#  endif
#  define YYPTRDIFF_T ptrdiff_t
#  define YYPTRDIFF_MAXIMUM PTRDIFF_MAX
# else
#  define YYPTRDIFF_T long
#  define YYPTRDIFF_MAXIMUM LONG_MAX
# endif
#endif

#ifndef YYSIZE_T
# ifdef __SIZE_TYPE__
#  define YYSIZE_T __SIZE_TYPE__
# elif defined size_t
#  define YYSIZE_T size_t
# elif defined __STDC_VERSION__ && 199901 <= __STDC_VERSION__
#  include <stddef.h> /* INFRINGES ON USER NAME SPACE */
#  define YYSIZE_T size_t
# else
#  define YYSIZE_T unsigned
# endif
#endif

#define YYSIZE_MAXIMUM                                  \
  YY_CAST (YYPTRDIFF_T,                                 \
           (YYPTRDIFF_MAXIMUM < YY_CAST (YYSIZE_T, -1)  \
            ? YYPTRDIFF_MAXIMUM                         \
            : YY_CAST (YYSIZE_T, -1)))

#define YYSIZEOF(X) YY_CAST (YYPTRDIFF_T, sizeof (X))


/* Stored state numbers (used for stacks). */
typedef yytype_int8 yy_state_t;

/* State numbers in computations.  */
typedef int yy_state_fast_t;

#ifndef YY_
# if defined YYENABLE_NLS && YYENABLE_NLS
#  if ENABLE_NLS
#   include <libintl.h> /* INFRINGES ON USER NAME SPACE */
#   define YY_(Msgid) dgettext ("bison-runtime", Msgid)
#  endif
# endif
# ifndef YY_
#  define YY_(Msgid) Msgid
# endif
#endif


#ifndef YY_ATTRIBUTE_PURE
# if defined __GNUC__ && 2 < __GNUC__ + (96 <= __GNUC_MINOR__)
#  define YY_ATTRIBUTE_PURE __attribute__ ((__pure__))
# else
#  define YY_ATTRIBUTE_PURE
# endif
#endif

#ifndef YY_ATTRIBUTE_UNUSED
# if defined __GNUC__ && 2 < __GNUC__ + (7 <= __GNUC_MINOR__)
#  define YY_ATTRIBUTE_UNUSED __attribute__ ((__unused__))
# else
#  define YY_ATTRIBUTE_UNUSED
# endif
#endif

/* Suppress unused-variable warnings by "using" E.  */
#if ! defined lint || defined __GNUC__
# define YY_USE(E) ((void) (E))
#else
# define YY_USE(E) /* empty */
#endif

/* Suppress an incorrect diagnostic about yylval being uninitialized.  */
#if defined __GNUC__ && ! defined __ICC && 406 <= __GNUC__ * 100 + __GNUC_MINOR__
# if __GNUC__ * 100 + __GNUC_MINOR__ < 407
#  define YY_IGNORE_MAYBE_UNINITIALIZED_BEGIN                           \
    _Pragma ("GCC diagnostic push")                                     \
    _Pragma ("GCC diagnostic ignored \"-Wuninitialized\"")
# else
#  define YY_IGNORE_MAYBE_UNINITIALIZED_BEGIN                           \
    _Pragma ("GCC diagnostic push")                                     \
    _Pragma ("GCC diagnostic ignored \"-Wuninitialized\"")              \
    _Pragma ("GCC diagnostic ignored \"-Wmaybe-uninitialized\"")
# endif
# define YY_IGNORE_MAYBE_UNINITIALIZED_END      \
    _Pragma ("GCC diagnostic pop")
#else
# define YY_INITIAL_VALUE(Value) Value
#endif
#ifndef YY_IGNORE_MAYBE_UNINITIALIZED_BEGIN
# define YY_IGNORE_MAYBE_UNINITIALIZED_BEGIN
# define YY_IGNORE_MAYBE_UNINITIALIZED_END
#endif
#ifndef YY_INITIAL_VALUE
# define YY_INITIAL_VALUE(Value) /* Nothing. */
#endif

#if defined __cplusplus && defined __GNUC__ && ! defined __ICC && 6 <= __GNUC__
# define YY_IGNORE_USELESS_CAST_BEGIN                          \
    _Pragma ("GCC diagnostic push")                            \
    _Pragma ("GCC diagnostic ignored \"-Wuseless-cast\"")
# define YY_IGNORE_USELESS_CAST_END            \
    _Pragma ("GCC diagnostic pop")
#endif
#ifndef YY_IGNORE_USELESS_CAST_BEGIN
# define YY_IGNORE_USELESS_CAST_BEGIN
# define YY_IGNORE_USELESS_CAST_END
#endif


#define YY_ASSERT(E) ((void) (0 && (E)))

#if 1

/* The parser invokes alloca or malloc; define the necessary symbols.  */

# ifdef YYSTACK_ALLOC
   /* Pacify GCC's 'empty if-body' warning.  */
#  define YYSTACK_FREE(Ptr) do { /* empty */; } while (0)
#  ifndef YYSTACK_ALLOC_MAXIMUM
    /* The OS might guarantee only one guard page at the bottom of the stack,
       and a page size can be as small as 4096 bytes.  So we cannot safely
       invoke alloca (N) if N exceeds 4096.  Use a slightly smaller number
       to allow for a few compiler-allocated temporary stack slots.  */
#   define YYSTACK_ALLOC_MAXIMUM 4032 /* reasonable circa 2006 */
#  endif
# else
#  define YYSTACK_ALLOC YYMALLOC
#  define YYSTACK_FREE YYFREE
#  ifndef YYSTACK_ALLOC_MAXIMUM
#   define YYSTACK_ALLOC_MAXIMUM YYSIZE_MAXIMUM
#  endif
#  if (defined __cplusplus && ! defined EXIT_SUCCESS \
       && ! ((defined YYMALLOC || defined malloc) \
             && (defined YYFREE || defined free)))
#   include <stdlib.h> /* INFRINGES ON USER NAME SPACE */
#   ifndef EXIT_SUCCESS
#    define EXIT_SUCCESS 0
#   endif
#  endif
#  ifndef YYMALLOC
#   define YYMALLOC malloc
#   if ! defined malloc && ! defined EXIT_SUCCESS
void *malloc (YYSIZE_T); /* INFRINGES ON USER NAME SPACE */
#   endif
#  endif
#  ifndef YYFREE
#   define YYFREE free
#   if ! defined free && ! defined EXIT_SUCCESS
void free (void *); /* INFRINGES ON USER NAME SPACE */
#   endif
#  endif
# endif
# define YYCOPY_NEEDED 1
#endif /* 1 */

#if (! defined yyoverflow \
     && (! defined __cplusplus \
         || (defined FILTER_YYLTYPE_IS_TRIVIAL && FILTER_YYLTYPE_IS_TRIVIAL \
             && defined FILTER_YYSTYPE_IS_TRIVIAL && FILTER_YYSTYPE_IS_TRIVIAL)))

/* A type that is properly aligned for any stack member.  */
union yyalloc
{
  yy_state_t yyss_alloc;
  YYSTYPE yyvs_alloc;
  YYLTYPE yyls_alloc;
};

/* The size of the maximum gap between one aligned stack and the next.  */
# define YYSTACK_GAP_MAXIMUM (YYSIZEOF (union yyalloc) - 1)

/* The size of an array large to enough to hold all stacks, each with
   N elements.  */
# define YYSTACK_BYTES(N) \
     ((N) * (YYSIZEOF (yy_state_t) + YYSIZEOF (YYSTYPE) \
             + YYSIZEOF (YYLTYPE)) \
      + 2 * YYSTACK_GAP_MAXIMUM)

# define YYCOPY_NEEDED 1

/* Relocate STACK from its old location to the new one.  The
   local variables YYSIZE and YYSTACKSIZE give the old and new number of
   elements in the stack, and YYPTR gives the new location of the
   stack.  Advance YYPTR to a properly aligned location for the next
   stack.  */
# define YYSTACK_RELOCATE(Stack_alloc, Stack)                           \
    do                                                                  \
      {                                                                 \
        YYPTRDIFF_T yynewbytes;                                         \
        YYCOPY (&yyptr->Stack_alloc, Stack, yysize);                    \
        Stack = &yyptr->Stack_alloc;                                    \
        yynewbytes = yystacksize * YYSIZEOF (*Stack) + YYSTACK_GAP_MAXIMUM; \
        yyptr += yynewbytes / YYSIZEOF (*yyptr);                        \
      }                                                                 \
    while (0)

#endif

#if defined YYCOPY_NEEDED && YYCOPY_NEEDED
/* Copy COUNT objects from SRC to DST.  The source and destination do
   not overlap.  */
# ifndef YYCOPY
#  if defined __GNUC__ && 1 < __GNUC__
#   define YYCOPY(Dst, Src, Count) \
      __builtin_memcpy (Dst, Src, YY_CAST (YYSIZE_T, (Count)) * sizeof (*(Src)))
#  else
#   define YYCOPY(Dst, Src, Count)              \
      do                                        \
        {                                       \
          YYPTRDIFF_T yyi;                      \
          for (yyi = 0; yyi < (Count); yyi++)   \
            (Dst)[yyi] = (Src)[yyi];            \
        }                                       \
      while (0)
#  endif
# endif
#endif /* !YYCOPY_NEEDED */

/* YYFINAL -- State number of the termination state.  */
#define YYFINAL  43
/* YYLAST -- Last index in YYTABLE.  */
#define YYLAST   119

/* YYNTOKENS -- Number of terminals.  */
#define YYNTOKENS  31
/* YYNNTS -- Number of nonterminals.  */
#define YYNNTS  10
/* YYNRULES -- Number of rules.  */
#define YYNRULES  46
/* YYNSTATES -- Number of states.  */
#define YYNSTATES  100

/* YYMAXUTOK -- Last valid token kind.  */
#define YYMAXUTOK   285


/* YYTRANSLATE(TOKEN-NUM) -- Symbol number corresponding to TOKEN-NUM
   as returned by yylex, with out-of-bounds checking.  */
#define YYTRANSLATE(YYX)                                \
  (0 <= (YYX) && (YYX) <= YYMAXUTOK                     \
   ? YY_CAST (yysymbol_kind_t, yytranslate[YYX])        \
   : YYSYMBOL_YYUNDEF)

/* YYTRANSLATE[TOKEN-NUM] -- Symbol number corresponding to TOKEN-NUM
   as returned by yylex.  */
static const yytype_int8 yytranslate[] =
{
       0,     2,     2,     2,     2,     2,     2,     2,     2,     2,
       2,     2,     2,     2,     2,     2,     2,     2,     2,     2,
       2,     2,     2,     2,     2,     2,     2,     2,     2,     2,
       2,     2,     2,     2,     2,     2,     2,     2,     2,     2,
       2,     2,     2,     2,     2,     2,     2,     2,     2,     2,
       2,     2,     2,     2,     2,     2,     2,     2,     2,     2,
       2,     2,     2,     2,     2,     2,     2,     2,     2,     2,
       2,     2,     2,     2,     2,     2,     2,     2,     2,     2,
       2,     2,     2,     2,     2,     2,     2,     2,     2,     2,
       2,     2,     2,     2,     2,     2,     2,     2,     2,     2,
       2,     2,     2,     2,     2,     2,     2,     2,     2,     2,
       2,     2,     2,     2,     2,     2,     2,     2,     2,     2,
       2,     2,     2,     2,     2,     2,     2,     2,     2,     2,
       2,     2,     2,     2,     2,     2,     2,     2,     2,     2,
       2,     2,     2,     2,     2,     2,     2,     2,     2,     2,
       2,     2,     2,     2,     2,     2,     2,     2,     2,     2,
       2,     2,     2,     2,     2,     2,     2,     2,     2,     2,
       2,     2,     2,     2,     2,     2,     2,     2,     2,     2,
       2,     2,     2,     2,     2,     2,     2,     2,     2,     2,
       2,     2,     2,     2,     2,     2,     2,     2,     2,     2,
       2,     2,     2,     2,     2,     2,     2,     2,     2,     2,
       2,     2,     2,     2,     2,     2,     2,     2,     2,     2,
       2,     2,     2,     2,     2,     2,     2,     2,     2,     2,
       2,     2,     2,     2,     2,     2,     2,     2,     2,     2,
       2,     2,     2,     2,     2,     2,     2,     2,     2,     2,
       2,     2,     2,     2,     2,     2,     1,     2,     3,     4,
       5,     6,     7,     8,     9,    10,    11,    12,    13,    14,
      15,    16,    17,    18,    19,    20,    21,    22,    23,    24,
      25,    26,    27,    28,    29,    30
};

#if FILTER_YYDEBUG
/* YYRLINE[YYN] -- Source line where rule number YYN was defined.  */
static const yytype_uint8 yyrline[] =
{
       0,   117,   117,   118,   122,   123,   124,   125,   126,   130,
     131,   133,   135,   137,   139,   141,   143,   145,   147,   156,
     158,   160,   162,   164,   166,   168,   173,   175,   177,   179,
     181,   189,   190,   194,   195,   196,   197,   198,   199,   203,
     204,   208,   209,   213,   214,   218,   219
};
#endif

/** Accessing symbol of state STATE.  */
#define YY_ACCESSING_SYMBOL(State) YY_CAST (yysymbol_kind_t, yystos[State])

#if 1
/* The user-facing name of the symbol whose (internal) number is
   YYSYMBOL.  No bounds checking.  */
static const char *yysymbol_name (yysymbol_kind_t yysymbol) YY_ATTRIBUTE_UNUSED;

static const char *
yysymbol_name (yysymbol_kind_t yysymbol)
{
  static const char *const yy_sname[] =
  {
  "end of text", "error", "invalid token", "any", "and", "or", "not",
  "src", "dst", "in", "out", "is", "null", "flags", "next", "observation",
  "ident", "flows", "ipv4", "ipv6", "(", ")", "[", "]", "comparison",
  "host, net, port, as, mac, if, mask, vlan", "duration, bps, pps, bpp",
  "nat, asa, mpls", "column", "value", "invalid text", "$accept", "filter",
  "expr", "term", "side", "dir", "io", "compare", "version", "list", YY_NULLPTR
  };
  return yy_sname[yysymbol];
}
#endif

#define YYPACT_NINF (-73)

#define yypact_value_is_default(Yyn) \
  ((Yyn) == YYPACT_NINF)

#define YYTABLE_NINF (-32)

#define yytable_value_is_error(Yyn) \
  0

/* YYPACT[STATE-NUM] -- Index in YYTABLE of the portion describing
   STATE-NUM.  */
static const yytype_int8 yypact[] =
{
      47,   -73,    73,    14,    35,   -73,   -73,    13,   -17,    22,
      23,    34,   -73,   -73,    73,    34,    39,     3,    30,    44,
     -73,    45,    -8,    -3,   -73,   -73,    61,    63,    70,    71,
      55,   -73,    34,    56,   -73,   -73,    65,     2,    66,    34,
      74,    20,    68,   -73,    73,    73,     4,    77,    34,    34,
      78,   -73,   -73,   -73,   -73,   -73,   -73,    69,    34,   -73,
     -73,   -73,    75,    76,    94,   -73,   -73,   -73,   103,    86,
      80,    88,    82,    83,    12,   -73,    84,   -73,   -73,   -13,
     -73,    76,    85,    76,   -73,   -73,    93,    87,   -73,   -73,
     -73,     6,   -73,    15,    76,   -73,   -73,   -73,    18,   -73
};

/* YYDEFACT[STATE-NUM] -- Default reduction number in state STATE-NUM.
   Performed when YYTABLE does not specify something else to do.  Zero
   means the default is an error.  */
static const yytype_int8 yydefact[] =
{
       2,     9,    31,    33,    34,    39,    40,     0,     0,     0,
       0,    41,    43,    44,    31,    41,     0,    41,     0,     3,
       4,     0,    32,    31,    26,     6,     0,     0,     0,     0,
       0,    19,    41,     0,    21,    42,     0,     0,     0,    41,
       0,     0,     0,     1,    31,    31,    41,     0,    41,    41,
       0,    32,    37,    35,    38,    36,    20,     0,    41,    22,
       5,    23,     0,     0,     0,    29,    27,     7,     8,     0,
       0,     0,     0,     0,    41,    18,     0,    24,    45,     0,
      30,     0,    10,     0,    17,    16,     0,     0,    25,    28,
      46,     0,    11,     0,     0,    14,    12,    13,     0,    15
};

/* YYPGOTO[NTERM-NUM].  */
static const yytype_int8 yypgoto[] =
{
     -73,   -73,     1,   -73,    95,    96,   -73,   -15,   -73,   -72
};

/* YYDEFGOTO[NTERM-NUM].  */
static const yytype_int8 yydefgoto[] =
{
       0,    18,    19,    20,    21,    22,    23,    36,    24,    79
};

/* YYTABLE[YYPACT[STATE-NUM]] -- What to do in state STATE-NUM.  If
   positive, shift that token.  If negative, reduce the rule whose
   number is the opposite.  If YYTABLE_NINF, syntax error.  */
static const yytype_int8 yytable[] =
{
      38,    47,    42,    25,     3,     4,    44,    45,    32,    91,
      89,    93,    40,    69,    41,    37,    90,    57,    26,    27,
      48,    86,    98,    60,    62,    49,    64,    35,    35,    96,
      43,    70,    65,    72,    73,    90,    35,    30,    97,    28,
      29,    99,    31,    76,    90,    67,    68,    90,    44,    45,
       1,    33,    34,     2,     3,     4,     5,     6,    35,    87,
       7,     8,     9,    10,    11,    12,    13,    14,    39,    52,
      46,    53,   -31,    15,    16,    17,     1,    54,    55,     2,
       3,     4,     5,     6,    56,    58,     7,     8,     9,    10,
      11,    12,    13,    14,    59,    61,    63,    66,    75,    15,
      16,    17,    71,    74,    77,    78,    80,    44,    81,    82,
      83,    84,    85,    88,    92,    94,    95,     0,    50,    51
};

static const yytype_int8 yycheck[] =
{
      15,     9,    17,     2,     7,     8,     4,     5,    25,    81,
      23,    83,     9,     9,    11,    14,    29,    32,     4,     5,
      28,     9,    94,    21,    39,    28,     6,    24,    24,    23,
       0,    46,    12,    48,    49,    29,    24,    24,    23,     4,
       5,    23,    29,    58,    29,    44,    45,    29,     4,     5,
       3,    29,    29,     6,     7,     8,     9,    10,    24,    74,
      13,    14,    15,    16,    17,    18,    19,    20,    29,     8,
      25,     8,    25,    26,    27,    28,     3,     7,     7,     6,
       7,     8,     9,    10,    29,    29,    13,    14,    15,    16,
      17,    18,    19,    20,    29,    29,    22,    29,    29,    26,
      27,    28,    25,    25,    29,    29,    12,     4,    22,    29,
      22,    29,    29,    29,    29,    22,    29,    -1,    23,    23
};

/* YYSTOS[STATE-NUM] -- The symbol kind of the accessing symbol of
   state STATE-NUM.  */
static const yytype_int8 yystos[] =
{
       0,     3,     6,     7,     8,     9,    10,    13,    14,    15,
      16,    17,    18,    19,    20,    26,    27,    28,    32,    33,
      34,    35,    36,    37,    39,    33,     4,     5,     4,     5,
      24,    29,    25,    29,    29,    24,    38,    33,    38,    29,
       9,    11,    38,     0,     4,     5,    25,     9,    28,    28,
      35,    36,     8,     8,     7,     7,    29,    38,    29,    29,
      21,    29,    38,    22,     6,    12,    29,    33,    33,     9,
      38,    25,    38,    38,    25,    29,    38,    29,    29,    40,
      12,    22,    29,    22,    29,    29,     9,    38,    29,    23,
      29,    40,    29,    40,    22,    29,    23,    23,    40,    23
};

/* YYR1[RULE-NUM] -- Symbol kind of the left-hand side of rule RULE-NUM.  */
static const yytype_int8 yyr1[] =
{
       0,    31,    32,    32,    33,    33,    33,    33,    33,    34,
      34,    34,    34,    34,    34,    34,    34,    34,    34,    34,
      34,    34,    34,    34,    34,    34,    34,    34,    34,    34,
      34,    35,    35,    36,    36,    36,    36,    36,    36,    37,
      37,    38,    38,    39,    39,    40,    40
};

/* YYR2[RULE-NUM] -- Number of symbols on the right-hand side of rule RULE-NUM.  */
static const yytype_int8 yyr2[] =
{
       0,     2,     0,     1,     1,     3,     2,     3,     3,     1,
       4,     5,     6,     6,     5,     7,     4,     4,     4,     2,
       3,     2,     3,     3,     4,     5,     1,     3,     5,     3,
       4,     0,     1,     1,     1,     3,     3,     3,     3,     1,
       1,     0,     1,     1,     1,     1,     2
};


enum { YYENOMEM = -2 };

#define yyerrok         (yyerrstatus = 0)
#define yyclearin       (yychar = FILTER_YYEMPTY)

#define YYACCEPT        goto yyacceptlab
#define YYABORT         goto yyabortlab
#define YYERROR         goto yyerrorlab
#define YYNOMEM         goto yyexhaustedlab


#define YYRECOVERING()  (!!yyerrstatus)

#define YYBACKUP(Token, Value)                                    \
  do                                                              \
    if (yychar == FILTER_YYEMPTY)                                        \
      {                                                           \
        yychar = (Token);                                         \
        yylval = (Value);                                         \
        YYPOPSTACK (yylen);                                       \
        yystate = *yyssp;                                         \
        YY_LAC_DISCARD ("YYBACKUP");                              \
        goto yybackup;                                            \
      }                                                           \
    else                                                          \
      {                                                           \
        yyerror (&yylloc, fp, YY_("syntax error: cannot back up")); \
        YYERROR;                                                  \
      }                                                           \
  while (0)

/* Backward compatibility with an undocumented macro.
   Use FILTER_YYerror or FILTER_YYUNDEF. */
#define YYERRCODE FILTER_YYUNDEF

/* YYLLOC_DEFAULT -- Set CURRENT to span from RHS[1] to RHS[N].
   If N is 0, then set CURRENT to the empty location which ends
   the previous symbol: RHS[0] (always defined).  */

#ifndef YYLLOC_DEFAULT
# define YYLLOC_DEFAULT(Current, Rhs, N)                                \
    do                                                                  \
      if (N)                                                            \
        {                                                               \
          (Current).first_line   = YYRHSLOC (Rhs, 1).first_line;        \
          (Current).first_column = YYRHSLOC (Rhs, 1).first_column;      \
          (Current).last_line    = YYRHSLOC (Rhs, N).last_line;         \
          (Current).last_column  = YYRHSLOC (Rhs, N).last_column;       \
        }                                                               \
      else                                                              \
        {                                                               \
          (Current).first_line   = (Current).last_line   =              \
            YYRHSLOC (Rhs, 0).last_line;                                \
          (Current).first_column = (Current).last_column =              \
            YYRHSLOC (Rhs, 0).last_column;                              \
        }                                                               \
    while (0)
#endif

#define YYRHSLOC(Rhs, K) ((Rhs)[K])


/* Enable debugging if requested.  */
#if FILTER_YYDEBUG

# ifndef YYFPRINTF
#  include <stdio.h> /* INFRINGES ON USER NAME SPACE */
#  define YYFPRINTF fprintf
# endif

# define YYDPRINTF(Args)                        \
do {                                            \
  if (yydebug)                                  \
    YYFPRINTF Args;                             \
} while (0)


/* YYLOCATION_PRINT -- Print the location on the stream.
   This macro was not mandated originally: define only if we know
   we won't break user code: when these are the locations we know.  */

# ifndef YYLOCATION_PRINT

#  if defined YY_LOCATION_PRINT

   /* Temporary convenience wrapper in case some people defined the
      undocumented and private YY_LOCATION_PRINT macros.  */
#   define YYLOCATION_PRINT(File, Loc)  YY_LOCATION_PRINT(File, *(Loc))

#  elif defined FILTER_YYLTYPE_IS_TRIVIAL && FILTER_YYLTYPE_IS_TRIVIAL

/* Print *YYLOCP on YYO.  Private, do not rely on its existence. */

YY_ATTRIBUTE_UNUSED
static int
yy_location_print_ (FILE *yyo, YYLTYPE const * const yylocp)
{
  int res = 0;
  int end_col = 0 != yylocp->last_column ? yylocp->last_column - 1 : 0;
  if (0 <= yylocp->first_line)
    {
      res += YYFPRINTF (yyo, "%d", yylocp->first_line);
      if (0 <= yylocp->first_column)
        res += YYFPRINTF (yyo, ".%d", yylocp->first_column);
    }
  if (0 <= yylocp->last_line)
    {
      if (yylocp->first_line < yylocp->last_line)
        {
          res += YYFPRINTF (yyo, "-%d", yylocp->last_line);
          if (0 <= end_col)
            res += YYFPRINTF (yyo, ".%d", end_col);
        }
      else if (0 <= end_col && yylocp->first_column < end_col)
        res += YYFPRINTF (yyo, "-%d", end_col);
    }
  return res;
}

#   define YYLOCATION_PRINT  yy_location_print_

    /* Temporary convenience wrapper in case some people defined the
       undocumented and private YY_LOCATION_PRINT macros.  */
#   define YY_LOCATION_PRINT(File, Loc)  YYLOCATION_PRINT(File, &(Loc))

#  else

#   define YYLOCATION_PRINT(File, Loc) ((void) 0)
    /* Temporary convenience wrapper in case some people defined the
       undocumented and private YY_LOCATION_PRINT macros.  */
#   define YY_LOCATION_PRINT  YYLOCATION_PRINT

#  endif
# endif /* !defined YYLOCATION_PRINT */


# define YY_SYMBOL_PRINT(Title, Kind, Value, Location)                    \
do {                                                                      \
  if (yydebug)                                                            \
    {                                                                     \
      YYFPRINTF (stderr, "%s ", Title);                                   \
      yy_symbol_print (stderr,                                            \
                  Kind, Value, Location, fp); \
      YYFPRINTF (stderr, "\n");                                           \
    }                                                                     \
} while (0)


/*-----------------------------------.
| Print this symbol's value on YYO.  |
`-----------------------------------*/

static void
yy_symbol_value_print (FILE *yyo,
                       yysymbol_kind_t yykind, YYSTYPE const * const yyvaluep, YYLTYPE const * const yylocationp, struct filter_parse *fp)
{
  FILE *yyoutput = yyo;
  YY_USE (yyoutput);
  YY_USE (yylocationp);
  YY_USE (fp);
  if (!yyvaluep)
    return;
  YY_IGNORE_MAYBE_UNINITIALIZED_BEGIN
  YY_USE (yykind);
  YY_IGNORE_MAYBE_UNINITIALIZED_END
}


/*---------------------------.
| Print this symbol on YYO.  |
`---------------------------*/

static void
yy_symbol_print (FILE *yyo,
                 yysymbol_kind_t yykind, YYSTYPE const * const yyvaluep, YYLTYPE const * const yylocationp, struct filter_parse *fp)
{
  YYFPRINTF (yyo, "%s %s (",
             yykind < YYNTOKENS ? "token" : "nterm", yysymbol_name (yykind));

  YYLOCATION_PRINT (yyo, yylocationp);
  YYFPRINTF (yyo, ": ");
  yy_symbol_value_print (yyo, yykind, yyvaluep, yylocationp, fp);
  YYFPRINTF (yyo, ")");
}

/*------------------------------------------------------------------.
| yy_stack_print -- Print the state stack from its BOTTOM up to its |
| TOP (included).                                                   |
`------------------------------------------------------------------*/

static void
yy_stack_print (yy_state_t *yybottom, yy_state_t *yytop)
{
  YYFPRINTF (stderr, "Stack now");
  for (; yybottom <= yytop; yybottom++)
    {
      int yybot = *yybottom;
      YYFPRINTF (stderr, " %d", yybot);
    }
  YYFPRINTF (stderr, "\n");
}

# define YY_STACK_PRINT(Bottom, Top)                            \
do {                                                            \
  if (yydebug)                                                  \
    yy_stack_print ((Bottom), (Top));                           \
} while (0)


/*------------------------------------------------.
| Report that the YYRULE is going to be reduced.  |
`------------------------------------------------*/

static void
yy_reduce_print (yy_state_t *yyssp, YYSTYPE *yyvsp, YYLTYPE *yylsp,
                 int yyrule, struct filter_parse *fp)
{
  int yylno = yyrline[yyrule];
  int yynrhs = yyr2[yyrule];
  int yyi;
  YYFPRINTF (stderr, "Reducing stack by rule %d (line %d):\n",
             yyrule - 1, yylno);
  /* The symbols being reduced.  */
  for (yyi = 0; yyi < yynrhs; yyi++)
    {
      YYFPRINTF (stderr, "   $%d = ", yyi + 1);
      yy_symbol_print (stderr,
                       YY_ACCESSING_SYMBOL (+yyssp[yyi + 1 - yynrhs]),
                       &yyvsp[(yyi + 1) - (yynrhs)],
                       &(yylsp[(yyi + 1) - (yynrhs)]), fp);
      YYFPRINTF (stderr, "\n");
    }
}

# define YY_REDUCE_PRINT(Rule)          \
do {                                    \
  if (yydebug)                          \
    yy_reduce_print (yyssp, yyvsp, yylsp, Rule, fp); \
} while (0)

/* Nonzero means print parse trace.  It is left uninitialized so that
   multiple parsers can coexist.  */
int yydebug;
#else /* !FILTER_YYDEBUG */
# define YYDPRINTF(Args) ((void) 0)
# define YY_SYMBOL_PRINT(Title, Kind, Value, Location)
# define YY_STACK_PRINT(Bottom, Top)
# define YY_REDUCE_PRINT(Rule)
#endif /* !FILTER_YYDEBUG */


/* YYINITDEPTH -- initial size of the parser's stacks.  */
#ifndef YYINITDEPTH
# define YYINITDEPTH 200
#endif

/* YYMAXDEPTH -- maximum size the stacks can grow to (effective only
   if the built-in stack extension method is used).

   Do not make this value too large; the results are undefined if
   YYSTACK_ALLOC_MAXIMUM < YYSTACK_BYTES (YYMAXDEPTH)
   evaluated with infinite-precision integer arithmetic.  */

#ifndef YYMAXDEPTH
# define YYMAXDEPTH 10000
#endif


/* Given a state stack such that *YYBOTTOM is its bottom, such that
   *YYTOP is either its top or is YYTOP_EMPTY to indicate an empty
   stack, and such that *YYCAPACITY is the maximum number of elements it
   can hold without a reallocation, make sure there is enough room to
   store YYADD more elements.  If not, allocate a new stack using
   YYSTACK_ALLOC, copy the existing elements, and adjust *YYBOTTOM,
   *YYTOP, and *YYCAPACITY to reflect the new capacity and memory
   location.  If *YYBOTTOM != YYBOTTOM_NO_FREE, then free the old stack
   using YYSTACK_FREE.  Return 0 if successful or if no reallocation is
   required.  Return YYENOMEM if memory is exhausted.  */
static int
yy_lac_stack_realloc (YYPTRDIFF_T *yycapacity, YYPTRDIFF_T yyadd,
#if FILTER_YYDEBUG
                      char const *yydebug_prefix,
                      char const *yydebug_suffix,
#endif
                      yy_state_t **yybottom,
                      yy_state_t *yybottom_no_free,
                      yy_state_t **yytop, yy_state_t *yytop_empty)
{
  YYPTRDIFF_T yysize_old =
    *yytop == yytop_empty ? 0 : *yytop - *yybottom + 1;
  YYPTRDIFF_T yysize_new = yysize_old + yyadd;
  if (*yycapacity < yysize_new)
    {
      YYPTRDIFF_T yyalloc = 2 * yysize_new;
      yy_state_t *yybottom_new;
      /* Use YYMAXDEPTH for maximum stack size given that the stack
         should never need to grow larger than the main state stack
         needs to grow without LAC.  */
      if (YYMAXDEPTH < yysize_new)
        {
          YYDPRINTF ((stderr, "%smax size exceeded%s", yydebug_prefix,
                      yydebug_suffix));
          return YYENOMEM;
        }
      if (YYMAXDEPTH < yyalloc)
        yyalloc = YYMAXDEPTH;
      yybottom_new =
        YY_CAST (yy_state_t *,
                 YYSTACK_ALLOC (YY_CAST (YYSIZE_T,
                                         yyalloc * YYSIZEOF (*yybottom_new))));
      if (!yybottom_new)
        {
          YYDPRINTF ((stderr, "%srealloc failed%s", yydebug_prefix,
                      yydebug_suffix));
          return YYENOMEM;
        }
      if (*yytop != yytop_empty)
        {
          YYCOPY (yybottom_new, *yybottom, yysize_old);
          *yytop = yybottom_new + (yysize_old - 1);
        }
      if (*yybottom != yybottom_no_free)
        YYSTACK_FREE (*yybottom);
      *yybottom = yybottom_new;
      *yycapacity = yyalloc;
    }
  return 0;
}

/* Establish the initial context for the current lookahead if no initial
   context is currently established.

   We define a context as a snapshot of the parser stacks.  We define
   the initial context for a lookahead as the context in which the
   parser initially examines that lookahead in order to select a
   syntactic action.  Thus, if the lookahead eventually proves
   syntactically unacceptable (possibly in a later context reached via a
   series of reductions), the initial context can be used to determine
   the exact set of tokens that would be syntactically acceptable in the
   lookahead's place.  Moreover, it is the context after which any
   further semantic actions would be erroneous because they would be
   determined by a syntactically unacceptable token.

   YY_LAC_ESTABLISH should be invoked when a reduction is about to be
   performed in an inconsistent state (which, for the purposes of LAC,
   includes consistent states that don't know they're consistent because
   their default reductions have been disabled).  Iff there is a
   lookahead token, it should also be invoked before reporting a syntax
   error.  This latter case is for the sake of the debugging output.

   For parse.lac=full, the implementation of YY_LAC_ESTABLISH is as
   follows.  If no initial context is currently established for the
   current lookahead, then check if that lookahead can eventually be
   shifted if syntactic actions continue from the current context.
   Report a syntax error if it cannot.  */
#define YY_LAC_ESTABLISH                                                \
do {                                                                    \
  if (!yy_lac_established)                                              \
    {                                                                   \
      YYDPRINTF ((stderr,                                               \
                  "LAC: initial context established for %s\n",          \
                  yysymbol_name (yytoken)));                            \
      yy_lac_established = 1;                                           \
      switch (yy_lac (yyesa, &yyes, &yyes_capacity, yyssp, yytoken))    \
        {                                                               \
        case YYENOMEM:                                                  \
          YYNOMEM;                                                      \
        case 1:                                                         \
          goto yyerrlab;                                                \
        }                                                               \
    }                                                                   \
} while (0)

/* Discard any previous initial lookahead context because of Event,
   which may be a lookahead change or an invalidation of the currently
   established initial context for the current lookahead.

   The most common example of a lookahead change is a shift.  An example
   of both cases is syntax error recovery.  That is, a syntax error
   occurs when the lookahead is syntactically erroneous for the
   currently established initial context, so error recovery manipulates
   the parser stacks to try to find a new initial context in which the
   current lookahead is syntactically acceptable.  If it fails to find
   such a context, it discards the lookahead.  */
#if FILTER_YYDEBUG
# define YY_LAC_DISCARD(Event)                                           \
do {                                                                     \
  if (yy_lac_established)                                                \
    {                                                                    \
      YYDPRINTF ((stderr, "LAC: initial context discarded due to "       \
                  Event "\n"));                                          \
      yy_lac_established = 0;                                            \
    }                                                                    \
} while (0)
#else
# define YY_LAC_DISCARD(Event) yy_lac_established = 0
#endif

/* Given the stack whose top is *YYSSP, return 0 iff YYTOKEN can
   eventually (after perhaps some reductions) be shifted, return 1 if
   not, or return YYENOMEM if memory is exhausted.  As preconditions and
   postconditions: *YYES_CAPACITY is the allocated size of the array to
   which *YYES points, and either *YYES = YYESA or *YYES points to an
   array allocated with YYSTACK_ALLOC.  yy_lac may overwrite the
   contents of either array, alter *YYES and *YYES_CAPACITY, and free
   any old *YYES other than YYESA.  */
static int
yy_lac (yy_state_t *yyesa, yy_state_t **yyes,
        YYPTRDIFF_T *yyes_capacity, yy_state_t *yyssp, yysymbol_kind_t yytoken)
{
  yy_state_t *yyes_prev = yyssp;
  yy_state_t *yyesp = yyes_prev;
  /* Reduce until we encounter a shift and thereby accept the token.  */
  YYDPRINTF ((stderr, "LAC: checking lookahead %s:", yysymbol_name (yytoken)));
  if (yytoken == YYSYMBOL_YYUNDEF)
    {
      YYDPRINTF ((stderr, " Always Err\n"));
      return 1;
    }
  while (1)
    {
      int yyrule = yypact[+*yyesp];
      if (yypact_value_is_default (yyrule)
          || (yyrule += yytoken) < 0 || YYLAST < yyrule
          || yycheck[yyrule] != yytoken)
        {
          /* Use the default action.  */
          yyrule = yydefact[+*yyesp];
          if (yyrule == 0)
            {
              YYDPRINTF ((stderr, " Err\n"));
              return 1;
            }
        }
      else
        {
          /* Use the action from yytable.  */
          yyrule = yytable[yyrule];
          if (yytable_value_is_error (yyrule))
            {
              YYDPRINTF ((stderr, " Err\n"));
              return 1;
            }
          if (0 < yyrule)
            {
              YYDPRINTF ((stderr, " S%d\n", yyrule));
              return 0;
            }
          yyrule = -yyrule;
        }
      /* By now we know we have to simulate a reduce.  */
      YYDPRINTF ((stderr, " R%d", yyrule - 1));
      {
        /* Pop the corresponding number of values from the stack.  */
        YYPTRDIFF_T yylen = yyr2[yyrule];
        /* First pop from the LAC stack as many tokens as possible.  */
        if (yyesp != yyes_prev)
          {
            YYPTRDIFF_T yysize = yyesp - *yyes + 1;
            if (yylen < yysize)
              {
                yyesp -= yylen;
                yylen = 0;
              }
            else
              {
                yyesp = yyes_prev;
                yylen -= yysize;
              }
          }
        /* Only afterwards look at the main stack.  */
        if (yylen)
          yyesp = yyes_prev -= yylen;
      }
      /* Push the resulting state of the reduction.  */
      {
        yy_state_fast_t yystate;
        {
          const int yylhs = yyr1[yyrule] - YYNTOKENS;
          const int yyi = yypgoto[yylhs] + *yyesp;
          yystate = (0 <= yyi && yyi <= YYLAST && yycheck[yyi] == *yyesp
                     ? yytable[yyi]
                     : yydefgoto[yylhs]);
        }
        if (yyesp == yyes_prev)
          {
            yyesp = *yyes;
            YY_IGNORE_USELESS_CAST_BEGIN
            *yyesp = YY_CAST (yy_state_t, yystate);
            YY_IGNORE_USELESS_CAST_END
          }
        else
          {
            if (yy_lac_stack_realloc (yyes_capacity, 1,
#if FILTER_YYDEBUG
                                      " (", ")",
#endif
                                      yyes, yyesa, &yyesp, yyes_prev))
              {
                YYDPRINTF ((stderr, "\n"));
                return YYENOMEM;
              }
            YY_IGNORE_USELESS_CAST_BEGIN
            *++yyesp = YY_CAST (yy_state_t, yystate);
            YY_IGNORE_USELESS_CAST_END
          }
        YYDPRINTF ((stderr, " G%d", yystate));
      }
    }
}

/* Context of a parse error.  */
typedef struct
{
  yy_state_t *yyssp;
  yy_state_t *yyesa;
  yy_state_t **yyes;
  YYPTRDIFF_T *yyes_capacity;
  yysymbol_kind_t yytoken;
  YYLTYPE *yylloc;
} yypcontext_t;

/* Put in YYARG at most YYARGN of the expected tokens given the
   current YYCTX, and return the number of tokens stored in YYARG.  If
   YYARG is null, return the number of expected tokens (guaranteed to
   be less than YYNTOKENS).  Return YYENOMEM on memory exhaustion.
   Return 0 if there are more than YYARGN expected tokens, yet fill
   YYARG up to YYARGN. */
static int
yypcontext_expected_tokens (const yypcontext_t *yyctx,
                            yysymbol_kind_t yyarg[], int yyargn)
{
  /* Actual size of YYARG. */
  int yycount = 0;

  int yyx;
  for (yyx = 0; yyx < YYNTOKENS; ++yyx)
    {
      yysymbol_kind_t yysym = YY_CAST (yysymbol_kind_t, yyx);
      if (yysym != YYSYMBOL_YYerror && yysym != YYSYMBOL_YYUNDEF)
        switch (yy_lac (yyctx->yyesa, yyctx->yyes, yyctx->yyes_capacity, yyctx->yyssp, yysym))
          {
          case YYENOMEM:
            return YYENOMEM;
          case 1:
            continue;
          default:
            if (!yyarg)
              ++yycount;
            else if (yycount == yyargn)
              return 0;
            else
              yyarg[yycount++] = yysym;
          }
    }
  if (yyarg && yycount == 0 && 0 < yyargn)
    yyarg[0] = YYSYMBOL_YYEMPTY;
  return yycount;
}




/* The kind of the lookahead of this context.  */
static yysymbol_kind_t
yypcontext_token (const yypcontext_t *yyctx) YY_ATTRIBUTE_UNUSED;

static yysymbol_kind_t
yypcontext_token (const yypcontext_t *yyctx)
{
  return yyctx->yytoken;
}

/* The location of the lookahead of this context.  */
static YYLTYPE *
yypcontext_location (const yypcontext_t *yyctx) YY_ATTRIBUTE_UNUSED;

static YYLTYPE *
yypcontext_location (const yypcontext_t *yyctx)
{
  return yyctx->yylloc;
}

/* User defined function to report a syntax error.  */
static int
yyreport_syntax_error (const yypcontext_t *yyctx, struct filter_parse *fp);

/*-----------------------------------------------.
| Release the memory associated to this symbol.  |
`-----------------------------------------------*/

static void
yydestruct (const char *yymsg,
            yysymbol_kind_t yykind, YYSTYPE *yyvaluep, YYLTYPE *yylocationp, struct filter_parse *fp)
{
  YY_USE (yyvaluep);
  YY_USE (yylocationp);
  YY_USE (fp);
  if (!yymsg)
    yymsg = "Deleting";
  YY_SYMBOL_PRINT (yymsg, yykind, yyvaluep, yylocationp);

  YY_IGNORE_MAYBE_UNINITIALIZED_BEGIN
  switch (yykind)
    {
    case YYSYMBOL_expr: /* expr  */
#line 109 "../collector/filter/grammar.y"
            { filter_destroy(((*yyvaluep).filter)); }
#line 1456 "collector/filter/grammar.c"
        break;

    case YYSYMBOL_term: /* term  */
#line 109 "../collector/filter/grammar.y"
            { filter_destroy(((*yyvaluep).filter)); }
#line 1462 "collector/filter/grammar.c"
        break;

    case YYSYMBOL_list: /* list  */
#line 110 "../collector/filter/grammar.y"
            { filter_list_destroy(((*yyvaluep).list)); }
#line 1468 "collector/filter/grammar.c"
        break;

      default:
        break;
    }
  YY_IGNORE_MAYBE_UNINITIALIZED_END
}






/*----------.
| yyparse.  |
`----------*/

int
yyparse (struct filter_parse *fp)
{
/* Lookahead token kind.  */
int yychar;


/* The semantic value of the lookahead symbol.  */
/* Default value used for initialization, for pacifying older GCCs
   or non-GCC compilers.  */
YY_INITIAL_VALUE (static YYSTYPE yyval_default;)
YYSTYPE yylval YY_INITIAL_VALUE (= yyval_default);

/* Location data for the lookahead symbol.  */
static YYLTYPE yyloc_default
# if defined FILTER_YYLTYPE_IS_TRIVIAL && FILTER_YYLTYPE_IS_TRIVIAL
  = { 1, 1, 1, 1 }
# endif
;
YYLTYPE yylloc = yyloc_default;

    /* Number of syntax errors so far.  */
    int yynerrs = 0;

    yy_state_fast_t yystate = 0;
    /* Number of tokens to shift before error messages enabled.  */
    int yyerrstatus = 0;

    /* Refer to the stacks through separate pointers, to allow yyoverflow
       to reallocate them elsewhere.  */

    /* Their size.  */
    YYPTRDIFF_T yystacksize = YYINITDEPTH;

    /* The state stack: array, bottom, top.  */
    yy_state_t yyssa[YYINITDEPTH];
    yy_state_t *yyss = yyssa;
    yy_state_t *yyssp = yyss;

    /* The semantic value stack: array, bottom, top.  */
    YYSTYPE yyvsa[YYINITDEPTH];
    YYSTYPE *yyvs = yyvsa;
    YYSTYPE *yyvsp = yyvs;

    /* The location stack: array, bottom, top.  */
    YYLTYPE yylsa[YYINITDEPTH];
    YYLTYPE *yyls = yylsa;
    YYLTYPE *yylsp = yyls;

    yy_state_t yyesa[20];
    yy_state_t *yyes = yyesa;
    YYPTRDIFF_T yyes_capacity = 20 < YYMAXDEPTH ? 20 : YYMAXDEPTH;

  /* Whether LAC context is established.  A Boolean.  */
  int yy_lac_established = 0;
  int yyn;
  /* The return value of yyparse.  */
  int yyresult;
  /* Lookahead symbol kind.  */
  yysymbol_kind_t yytoken = YYSYMBOL_YYEMPTY;
  /* The variables used to return semantic value and location from the
     action routines.  */
  YYSTYPE yyval;
  YYLTYPE yyloc;

  /* The locations where the error started and ended.  */
  YYLTYPE yyerror_range[3];



#define YYPOPSTACK(N)   (yyvsp -= (N), yyssp -= (N), yylsp -= (N))

  /* The number of symbols on the RHS of the reduced rule.
     Keep to zero when no symbol should be popped.  */
  int yylen = 0;

  YYDPRINTF ((stderr, "Starting parse\n"));

  yychar = FILTER_YYEMPTY; /* Cause a token to be read.  */

  yylsp[0] = yylloc;
  goto yysetstate;


/*------------------------------------------------------------.
| yynewstate -- push a new state, which is found in yystate.  |
`------------------------------------------------------------*/
yynewstate:
  /* In all cases, when you get here, the value and location stacks
     have just been pushed.  So pushing a state here evens the stacks.  */
  yyssp++;


/*--------------------------------------------------------------------.
| yysetstate -- set current state (the top of the stack) to yystate.  |
`--------------------------------------------------------------------*/
yysetstate:
  YYDPRINTF ((stderr, "Entering state %d\n", yystate));
  YY_ASSERT (0 <= yystate && yystate < YYNSTATES);
  YY_IGNORE_USELESS_CAST_BEGIN
  *yyssp = YY_CAST (yy_state_t, yystate);
  YY_IGNORE_USELESS_CAST_END
  YY_STACK_PRINT (yyss, yyssp);

  if (yyss + yystacksize - 1 <= yyssp)
#if !defined yyoverflow && !defined YYSTACK_RELOCATE
    YYNOMEM;
#else
    {
      /* Get the current used size of the three stacks, in elements.  */
      YYPTRDIFF_T yysize = yyssp - yyss + 1;

# if defined yyoverflow
      {
        /* Give user a chance to reallocate the stack.  Use copies of
           these so that the &'s don't force the real ones into
           memory.  */
        yy_state_t *yyss1 = yyss;
        YYSTYPE *yyvs1 = yyvs;
        YYLTYPE *yyls1 = yyls;

        /* Each stack pointer address is followed by the size of the
           data in use in that stack, in bytes.  This used to be a
           conditional around just the two extra args, but that might
           be undefined if yyoverflow is a macro.  */
        yyoverflow (YY_("memory exhausted"),
                    &yyss1, yysize * YYSIZEOF (*yyssp),
                    &yyvs1, yysize * YYSIZEOF (*yyvsp),
                    &yyls1, yysize * YYSIZEOF (*yylsp),
                    &yystacksize);
        yyss = yyss1;
        yyvs = yyvs1;
        yyls = yyls1;
      }
# else /* defined YYSTACK_RELOCATE */
      /* Extend the stack our own way.  */
      if (YYMAXDEPTH <= yystacksize)
        YYNOMEM;
      yystacksize *= 2;
      if (YYMAXDEPTH < yystacksize)
        yystacksize = YYMAXDEPTH;

      {
        yy_state_t *yyss1 = yyss;
        union yyalloc *yyptr =
          YY_CAST (union yyalloc *,
                   YYSTACK_ALLOC (YY_CAST (YYSIZE_T, YYSTACK_BYTES (yystacksize))));
        if (! yyptr)
          YYNOMEM;
        YYSTACK_RELOCATE (yyss_alloc, yyss);
        YYSTACK_RELOCATE (yyvs_alloc, yyvs);
        YYSTACK_RELOCATE (yyls_alloc, yyls);
#  undef YYSTACK_RELOCATE
        if (yyss1 != yyssa)
          YYSTACK_FREE (yyss1);
      }
# endif

      yyssp = yyss + yysize - 1;
      yyvsp = yyvs + yysize - 1;
      yylsp = yyls + yysize - 1;

      YY_IGNORE_USELESS_CAST_BEGIN
      YYDPRINTF ((stderr, "Stack size increased to %ld\n",
                  YY_CAST (long, yystacksize)));
      YY_IGNORE_USELESS_CAST_END

      if (yyss + yystacksize - 1 <= yyssp)
        YYABORT;
    }
#endif /* !defined yyoverflow && !defined YYSTACK_RELOCATE */


  if (yystate == YYFINAL)
    YYACCEPT;

  goto yybackup;


/*-----------.
| yybackup.  |
`-----------*/
yybackup:
  /* Do appropriate processing given the current state.  Read a
     lookahead token if we need one and don't already have one.  */

  /* First try to decide what to do without reference to lookahead token.  */
  yyn = yypact[yystate];
  if (yypact_value_is_default (yyn))
    goto yydefault;

  /* Not known => get a lookahead token if don't already have one.  */

  /* YYCHAR is either empty, or end-of-input, or a valid lookahead.  */
  if (yychar == FILTER_YYEMPTY)
    {
      YYDPRINTF ((stderr, "Reading a token\n"));
      yychar = yylex (&yylval, &yylloc, fp);
    }

  if (yychar <= END)
    {
      yychar = END;
      yytoken = YYSYMBOL_YYEOF;
      YYDPRINTF ((stderr, "Now at end of input.\n"));
    }
  else if (yychar == FILTER_YYerror)
    {
      /* The scanner already issued an error message, process directly
         to error recovery.  But do not keep the error token as
         lookahead, it is too special and may lead us to an endless
         loop in error recovery. */
      yychar = FILTER_YYUNDEF;
      yytoken = YYSYMBOL_YYerror;
      yyerror_range[1] = yylloc;
      goto yyerrlab1;
    }
  else
    {
      yytoken = YYTRANSLATE (yychar);
      YY_SYMBOL_PRINT ("Next token is", yytoken, &yylval, &yylloc);
    }

  /* If the proper action on seeing token YYTOKEN is to reduce or to
     detect an error, take that action.  */
  yyn += yytoken;
  if (yyn < 0 || YYLAST < yyn || yycheck[yyn] != yytoken)
    {
      YY_LAC_ESTABLISH;
      goto yydefault;
    }
  yyn = yytable[yyn];
  if (yyn <= 0)
    {
      if (yytable_value_is_error (yyn))
        goto yyerrlab;
      yyn = -yyn;
      YY_LAC_ESTABLISH;
      goto yyreduce;
    }

  /* Count tokens shifted since error; after three, turn off error
     status.  */
  if (yyerrstatus)
    yyerrstatus--;

  /* Shift the lookahead token.  */
  YY_SYMBOL_PRINT ("Shifting", yytoken, &yylval, &yylloc);
  yystate = yyn;
  YY_IGNORE_MAYBE_UNINITIALIZED_BEGIN
  *++yyvsp = yylval;
  YY_IGNORE_MAYBE_UNINITIALIZED_END
  *++yylsp = yylloc;

  /* Discard the shifted token.  */
  yychar = FILTER_YYEMPTY;
  YY_LAC_DISCARD ("shift");
  goto yynewstate;


/*-----------------------------------------------------------.
| yydefault -- do the default action for the current state.  |
`-----------------------------------------------------------*/
yydefault:
  yyn = yydefact[yystate];
  if (yyn == 0)
    goto yyerrlab;
  goto yyreduce;


/*-----------------------------.
| yyreduce -- do a reduction.  |
`-----------------------------*/
yyreduce:
  /* yyn is the number of a rule to reduce with.  */
  yylen = yyr2[yyn];

  /* If YYLEN is nonzero, implement the default value of the action:
     '$$ = $1'.

     Otherwise, the following line sets YYVAL to garbage.
     This behavior is undocumented and Bison
     users should not rely upon it.  Assigning to YYVAL
     unconditionally makes the parser a bit smaller, and it avoids a
     GCC warning that YYVAL may be used uninitialized.  */
  yyval = yyvsp[1-yylen];

  /* Default location. */
  YYLLOC_DEFAULT (yyloc, (yylsp - yylen), yylen);
  yyerror_range[1] = yyloc;
  YY_REDUCE_PRINT (yyn);
  {
    int yychar_backup = yychar;
    switch (yyn)
      {
  case 2: /* filter: %empty  */
#line 117 "../collector/filter/grammar.y"
                { CHECK(fp->tree = filter_make(fp, FILTER_ANY, NULL, NULL)); }
#line 1784 "collector/filter/grammar.c"
    break;

  case 3: /* filter: expr  */
#line 118 "../collector/filter/grammar.y"
                { fp->tree = (yyvsp[0].filter); }
#line 1790 "collector/filter/grammar.c"
    break;

  case 5: /* expr: "(" expr ")"  */
#line 123 "../collector/filter/grammar.y"
                        { (yyval.filter) = (yyvsp[-1].filter); }
#line 1796 "collector/filter/grammar.c"
    break;

  case 6: /* expr: "not" expr  */
#line 124 "../collector/filter/grammar.y"
                        { CHECK((yyval.filter) = filter_make_not(fp, (yyvsp[0].filter))); }
#line 1802 "collector/filter/grammar.c"
    break;

  case 7: /* expr: expr "and" expr  */
#line 125 "../collector/filter/grammar.y"
                        { CHECK((yyval.filter) = filter_make(fp, FILTER_AND, (yyvsp[-2].filter), (yyvsp[0].filter))); }
#line 1808 "collector/filter/grammar.c"
    break;

  case 8: /* expr: expr "or" expr  */
#line 126 "../collector/filter/grammar.y"
                        { CHECK((yyval.filter) = filter_make(fp, FILTER_OR, (yyvsp[-2].filter), (yyvsp[0].filter))); }
#line 1814 "collector/filter/grammar.c"
    break;

  case 9: /* term: "any"  */
#line 130 "../collector/filter/grammar.y"
                { CHECK((yyval.filter) = filter_make(fp, FILTER_ANY, NULL, NULL)); }
#line 1820 "collector/filter/grammar.c"
    break;

  case 10: /* term: side "host, net, port, as, mac, if, mask, vlan" compare "value"  */
#line 132 "../collector/filter/grammar.y"
    { CHECK((yyval.filter) = filter_make_kind(fp, (yyvsp[-2].kind), IO_ANY, (yyvsp[-3].side), (yyvsp[-1].cmp), &(yyvsp[0].word), &(yylsp[0]))); }
#line 1826 "collector/filter/grammar.c"
    break;

  case 11: /* term: side "host, net, port, as, mac, if, mask, vlan" compare "value" "value"  */
#line 134 "../collector/filter/grammar.y"
    { CHECK((yyval.filter) = filter_make_netmask(fp, (yyvsp[-3].kind), (yyvsp[-4].side), &(yyvsp[-1].word), &(yyvsp[0].word), &(yylsp[0]))); }
#line 1832 "collector/filter/grammar.c"
    break;

  case 12: /* term: side "host, net, port, as, mac, if, mask, vlan" "in" "[" list "]"  */
#line 136 "../collector/filter/grammar.y"
    { CHECK((yyval.filter) = filter_make_list(fp, (yyvsp[-4].kind), IO_ANY, (yyvsp[-5].side), COL_src_addr, (yyvsp[-1].list))); }
#line 1838 "collector/filter/grammar.c"
    break;

  case 13: /* term: dir "in" "host, net, port, as, mac, if, mask, vlan" "[" list "]"  */
#line 138 "../collector/filter/grammar.y"
    { CHECK((yyval.filter) = filter_make_list(fp, (yyvsp[-3].kind), IO_ANY, (yyvsp[-5].side), COL_src_addr, (yyvsp[-1].list))); }
#line 1844 "collector/filter/grammar.c"
    break;

  case 14: /* term: io side "host, net, port, as, mac, if, mask, vlan" compare "value"  */
#line 140 "../collector/filter/grammar.y"
    { CHECK((yyval.filter) = filter_make_kind(fp, (yyvsp[-2].kind), (yyvsp[-4].io), (yyvsp[-3].side), (yyvsp[-1].cmp), &(yyvsp[0].word), &(yylsp[0]))); }
#line 1850 "collector/filter/grammar.c"
    break;

  case 15: /* term: io side "host, net, port, as, mac, if, mask, vlan" "in" "[" list "]"  */
#line 142 "../collector/filter/grammar.y"
    { CHECK((yyval.filter) = filter_make_list(fp, (yyvsp[-4].kind), (yyvsp[-6].io), (yyvsp[-5].side), COL_src_addr, (yyvsp[-1].list))); }
#line 1856 "collector/filter/grammar.c"
    break;

  case 16: /* term: io "column" compare "value"  */
#line 144 "../collector/filter/grammar.y"
    { CHECK((yyval.filter) = filter_make_io(fp, (yyvsp[-3].io), (yyvsp[-2].column), (yyvsp[-1].cmp), &(yyvsp[0].word), &(yylsp[-3]), &(yylsp[0]))); }
#line 1862 "collector/filter/grammar.c"
    break;

  case 17: /* term: dir "column" compare "value"  */
#line 146 "../collector/filter/grammar.y"
    { CHECK((yyval.filter) = filter_make_column(fp, (yyvsp[-2].column), (yyvsp[-1].cmp), &(yyvsp[0].word), &(yylsp[0]))); }
#line 1868 "collector/filter/grammar.c"
    break;

  case 18: /* term: "next" "host, net, port, as, mac, if, mask, vlan" compare "value"  */
#line 148 "../collector/filter/grammar.y"
    {
        if ((yyvsp[-2].kind) != KIND_HOST) {
            filter_fail(fp, (yylsp[-2]).start, "ip", "no column says this of the next "
                        "AS");
            YYABORT;
        }
        CHECK((yyval.filter) = filter_make_column(fp, COL_next_hop, (yyvsp[-1].cmp), &(yyvsp[0].word), &(yylsp[0])));
    }
#line 1881 "collector/filter/grammar.c"
    break;

  case 19: /* term: "flags" "value"  */
#line 157 "../collector/filter/grammar.y"
    { CHECK((yyval.filter) = filter_make_flags(fp, false, CMP_EQ, &(yyvsp[0].word), &(yylsp[0]))); }
#line 1887 "collector/filter/grammar.c"
    break;

  case 20: /* term: "flags" "comparison" "value"  */
#line 159 "../collector/filter/grammar.y"
    { CHECK((yyval.filter) = filter_make_flags(fp, true, (yyvsp[-1].cmp), &(yyvsp[0].word), &(yylsp[0]))); }
#line 1893 "collector/filter/grammar.c"
    break;

  case 21: /* term: "ident" "value"  */
#line 161 "../collector/filter/grammar.y"
    { CHECK((yyval.filter) = filter_make_ident(fp, &(yyvsp[0].word), &(yylsp[0]))); }
#line 1899 "collector/filter/grammar.c"
    break;

  case 22: /* term: "flows" compare "value"  */
#line 163 "../collector/filter/grammar.y"
    { CHECK((yyval.filter) = filter_make_flows(fp, (yyvsp[-1].cmp), &(yyvsp[0].word), &(yylsp[0]))); }
#line 1905 "collector/filter/grammar.c"
    break;

  case 23: /* term: "duration, bps, pps, bpp" compare "value"  */
#line 165 "../collector/filter/grammar.y"
    { CHECK((yyval.filter) = filter_make_value(fp, (yyvsp[-2].value), (yyvsp[-1].cmp), &(yyvsp[0].word), &(yylsp[0]))); }
#line 1911 "collector/filter/grammar.c"
    break;

  case 24: /* term: "nat, asa, mpls" "value" compare "value"  */
#line 167 "../collector/filter/grammar.y"
    { CHECK((yyval.filter) = filter_make_phrase(fp, &(yyvsp[-3].word), &(yyvsp[-2].word), (yyvsp[-1].cmp), &(yyvsp[0].word), &(yylsp[-2]), &(yylsp[0]))); }
#line 1917 "collector/filter/grammar.c"
    break;

  case 25: /* term: "observation" "value" "value" compare "value"  */
#line 169 "../collector/filter/grammar.y"
    {
        struct filter_word first = { "observation", 11, false };
        CHECK((yyval.filter) = filter_make_phrase(fp, &first, &(yyvsp[-3].word), (yyvsp[-1].cmp), &(yyvsp[0].word), &(yylsp[-3]), &(yylsp[0])));
    }
#line 1926 "collector/filter/grammar.c"
    break;

  case 26: /* term: version  */
#line 174 "../collector/filter/grammar.y"
    { CHECK((yyval.filter) = filter_make_number(fp, COL_ip_version, (yyvsp[0].number))); }
#line 1932 "collector/filter/grammar.c"
    break;

  case 27: /* term: "column" compare "value"  */
#line 176 "../collector/filter/grammar.y"
    { CHECK((yyval.filter) = filter_make_column(fp, (yyvsp[-2].column), (yyvsp[-1].cmp), &(yyvsp[0].word), &(yylsp[0]))); }
#line 1938 "collector/filter/grammar.c"
    break;

  case 28: /* term: "column" "in" "[" list "]"  */
#line 178 "../collector/filter/grammar.y"
    { CHECK((yyval.filter) = filter_make_list(fp, -1, IO_ANY, SIDE_ANY, (yyvsp[-4].column), (yyvsp[-1].list))); }
#line 1944 "collector/filter/grammar.c"
    break;

  case 29: /* term: "column" "is" "null"  */
#line 180 "../collector/filter/grammar.y"
    { CHECK((yyval.filter) = filter_make_null(fp, (yyvsp[-2].column))); }
#line 1950 "collector/filter/grammar.c"
    break;

  case 30: /* term: "column" "is" "not" "null"  */
#line 182 "../collector/filter/grammar.y"
    {
        CHECK((yyval.filter) = filter_make_null(fp, (yyvsp[-3].column)));
        CHECK((yyval.filter) = filter_make(fp, FILTER_NOT, (yyval.filter), NULL));
    }
#line 1959 "collector/filter/grammar.c"
    break;

  case 31: /* side: %empty  */
#line 189 "../collector/filter/grammar.y"
                { (yyval.side) = SIDE_ANY; }
#line 1965 "collector/filter/grammar.c"
    break;

  case 32: /* side: dir  */
#line 190 "../collector/filter/grammar.y"
                { (yyval.side) = (yyvsp[0].side); }
#line 1971 "collector/filter/grammar.c"
    break;

  case 33: /* dir: "src"  */
#line 194 "../collector/filter/grammar.y"
                        { (yyval.side) = SIDE_SRC; }
#line 1977 "collector/filter/grammar.c"
    break;

  case 34: /* dir: "dst"  */
#line 195 "../collector/filter/grammar.y"
                        { (yyval.side) = SIDE_DST; }
#line 1983 "collector/filter/grammar.c"
    break;

  case 35: /* dir: "src" "or" "dst"  */
#line 196 "../collector/filter/grammar.y"
                        { (yyval.side) = SIDE_ANY; }
#line 1989 "collector/filter/grammar.c"
    break;

  case 36: /* dir: "dst" "or" "src"  */
#line 197 "../collector/filter/grammar.y"
                        { (yyval.side) = SIDE_ANY; }
#line 1995 "collector/filter/grammar.c"
    break;

  case 37: /* dir: "src" "and" "dst"  */
#line 198 "../collector/filter/grammar.y"
                        { (yyval.side) = SIDE_BOTH; }
#line 2001 "collector/filter/grammar.c"
    break;

  case 38: /* dir: "dst" "and" "src"  */
#line 199 "../collector/filter/grammar.y"
                        { (yyval.side) = SIDE_BOTH; }
#line 2007 "collector/filter/grammar.c"
    break;

  case 39: /* io: "in"  */
#line 203 "../collector/filter/grammar.y"
                { (yyval.io) = IO_IN; }
#line 2013 "collector/filter/grammar.c"
    break;

  case 40: /* io: "out"  */
#line 204 "../collector/filter/grammar.y"
                { (yyval.io) = IO_OUT; }
#line 2019 "collector/filter/grammar.c"
    break;

  case 41: /* compare: %empty  */
#line 208 "../collector/filter/grammar.y"
                { (yyval.cmp) = CMP_EQ; }
#line 2025 "collector/filter/grammar.c"
    break;

  case 42: /* compare: "comparison"  */
#line 209 "../collector/filter/grammar.y"
                { (yyval.cmp) = (yyvsp[0].cmp); }
#line 2031 "collector/filter/grammar.c"
    break;

  case 43: /* version: "ipv4"  */
#line 213 "../collector/filter/grammar.y"
                { (yyval.number) = 4; }
#line 2037 "collector/filter/grammar.c"
    break;

  case 44: /* version: "ipv6"  */
#line 214 "../collector/filter/grammar.y"
                { (yyval.number) = 6; }
#line 2043 "collector/filter/grammar.c"
    break;

  case 45: /* list: "value"  */
#line 218 "../collector/filter/grammar.y"
                { CHECK((yyval.list) = filter_list_add(fp, NULL, &(yyvsp[0].word), &(yylsp[0]))); }
#line 2049 "collector/filter/grammar.c"
    break;

  case 46: /* list: list "value"  */
#line 219 "../collector/filter/grammar.y"
                { CHECK((yyval.list) = filter_list_add(fp, (yyvsp[-1].list), &(yyvsp[0].word), &(yylsp[0]))); }
#line 2055 "collector/filter/grammar.c"
    break;


#line 2059 "collector/filter/grammar.c"

        default: break;
      }
    if (yychar_backup != yychar)
      YY_LAC_DISCARD ("yychar change");
  }
  /* User semantic actions sometimes alter yychar, and that requires
     that yytoken be updated with the new translation.  We take the
     approach of translating immediately before every use of yytoken.
     One alternative is translating here after every semantic action,
     but that translation would be missed if the semantic action invokes
     YYABORT, YYACCEPT, or YYERROR immediately after altering yychar or
     if it invokes YYBACKUP.  In the case of YYABORT or YYACCEPT, an
     incorrect destructor might then be invoked immediately.  In the
     case of YYERROR or YYBACKUP, subsequent parser actions might lead
     to an incorrect destructor call or verbose syntax error message
     before the lookahead is translated.  */
  YY_SYMBOL_PRINT ("-> $$ =", YY_CAST (yysymbol_kind_t, yyr1[yyn]), &yyval, &yyloc);

  YYPOPSTACK (yylen);
  yylen = 0;

  *++yyvsp = yyval;
  *++yylsp = yyloc;

  /* Now 'shift' the result of the reduction.  Determine what state
     that goes to, based on the state we popped back to and the rule
     number reduced by.  */
  {
    const int yylhs = yyr1[yyn] - YYNTOKENS;
    const int yyi = yypgoto[yylhs] + *yyssp;
    yystate = (0 <= yyi && yyi <= YYLAST && yycheck[yyi] == *yyssp
               ? yytable[yyi]
               : yydefgoto[yylhs]);
  }

  goto yynewstate;


/*--------------------------------------.
| yyerrlab -- here on detecting error.  |
`--------------------------------------*/
yyerrlab:
  /* Make sure we have latest lookahead translation.  See comments at
     user semantic actions for why this is necessary.  */
  yytoken = yychar == FILTER_YYEMPTY ? YYSYMBOL_YYEMPTY : YYTRANSLATE (yychar);
  /* If not already recovering from an error, report this error.  */
  if (!yyerrstatus)
    {
      ++yynerrs;
      {
        yypcontext_t yyctx
          = {yyssp, yyesa, &yyes, &yyes_capacity, yytoken, &yylloc};
        if (yychar != FILTER_YYEMPTY)
          YY_LAC_ESTABLISH;
        if (yyreport_syntax_error (&yyctx, fp) == 2)
          YYNOMEM;
      }
    }

  yyerror_range[1] = yylloc;
  if (yyerrstatus == 3)
    {
      /* If just tried and failed to reuse lookahead token after an
         error, discard it.  */

      if (yychar <= END)
        {
          /* Return failure if at end of input.  */
          if (yychar == END)
            YYABORT;
        }
      else
        {
          yydestruct ("Error: discarding",
                      yytoken, &yylval, &yylloc, fp);
          yychar = FILTER_YYEMPTY;
        }
    }

  /* Else will try to reuse lookahead token after shifting the error
     token.  */
  goto yyerrlab1;


/*---------------------------------------------------.
| yyerrorlab -- error raised explicitly by YYERROR.  |
`---------------------------------------------------*/
yyerrorlab:
  /* Pacify compilers when the user code never invokes YYERROR and the
     label yyerrorlab therefore never appears in user code.  */
  if (0)
    YYERROR;
  ++yynerrs;

  /* Do not reclaim the symbols of the rule whose action triggered
     this YYERROR.  */
  YYPOPSTACK (yylen);
  yylen = 0;
  YY_STACK_PRINT (yyss, yyssp);
  yystate = *yyssp;
  goto yyerrlab1;


/*-------------------------------------------------------------.
| yyerrlab1 -- common code for both syntax error and YYERROR.  |
`-------------------------------------------------------------*/
yyerrlab1:
  yyerrstatus = 3;      /* Each real token shifted decrements this.  */

  /* Pop stack until we find a state that shifts the error token.  */
  for (;;)
    {
      yyn = yypact[yystate];
      if (!yypact_value_is_default (yyn))
        {
          yyn += YYSYMBOL_YYerror;
          if (0 <= yyn && yyn <= YYLAST && yycheck[yyn] == YYSYMBOL_YYerror)
            {
              yyn = yytable[yyn];
              if (0 < yyn)
                break;
            }
        }

      /* Pop the current state because it cannot handle the error token.  */
      if (yyssp == yyss)
        YYABORT;

      yyerror_range[1] = *yylsp;
      yydestruct ("Error: popping",
                  YY_ACCESSING_SYMBOL (yystate), yyvsp, yylsp, fp);
      YYPOPSTACK (1);
      yystate = *yyssp;
      YY_STACK_PRINT (yyss, yyssp);
    }

  /* If the stack popping above didn't lose the initial context for the
     current lookahead token, the shift below will for sure.  */
  YY_LAC_DISCARD ("error recovery");

  YY_IGNORE_MAYBE_UNINITIALIZED_BEGIN
  *++yyvsp = yylval;
  YY_IGNORE_MAYBE_UNINITIALIZED_END

  yyerror_range[2] = yylloc;
  ++yylsp;
  YYLLOC_DEFAULT (*yylsp, yyerror_range, 2);

  /* Shift the error token.  */
  YY_SYMBOL_PRINT ("Shifting", YY_ACCESSING_SYMBOL (yyn), yyvsp, yylsp);

  yystate = yyn;
  goto yynewstate;


/*-------------------------------------.
| yyacceptlab -- YYACCEPT comes here.  |
`-------------------------------------*/
yyacceptlab:
  yyresult = 0;
  goto yyreturnlab;


/*-----------------------------------.
| yyabortlab -- YYABORT comes here.  |
`-----------------------------------*/
yyabortlab:
  yyresult = 1;
  goto yyreturnlab;


/*-----------------------------------------------------------.
| yyexhaustedlab -- YYNOMEM (memory exhaustion) comes here.  |
`-----------------------------------------------------------*/
yyexhaustedlab:
  yyerror (&yylloc, fp, YY_("memory exhausted"));
  yyresult = 2;
  goto yyreturnlab;


/*----------------------------------------------------------.
| yyreturnlab -- parsing is finished, clean up and return.  |
`----------------------------------------------------------*/
yyreturnlab:
  if (yychar != FILTER_YYEMPTY)
    {
      /* Make sure we have latest lookahead translation.  See comments at
         user semantic actions for why this is necessary.  */
      yytoken = YYTRANSLATE (yychar);
      yydestruct ("Cleanup: discarding lookahead",
                  yytoken, &yylval, &yylloc, fp);
    }
  /* Do not reclaim the symbols of the rule whose action triggered
     this YYABORT or YYACCEPT.  */
  YYPOPSTACK (yylen);
  YY_STACK_PRINT (yyss, yyssp);
  while (yyssp != yyss)
    {
      yydestruct ("Cleanup: popping",
                  YY_ACCESSING_SYMBOL (+*yyssp), yyvsp, yylsp, fp);
      YYPOPSTACK (1);
    }
#ifndef yyoverflow
  if (yyss != yyssa)
    YYSTACK_FREE (yyss);
#endif
  if (yyes != yyesa)
    YYSTACK_FREE (yyes);

  return yyresult;
}

#line 222 "../collector/filter/grammar.y"


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

    int n = yypcontext_expected_tokens(c, expected, YYNTOKENS);
    for (int i = 0; fp->completion && i < n; i++) {
        filter_complete_token(fp, yysymbol_name(expected[i]));
    }
    for (int i = 0; i < n; i++) {
        const char *name = yysymbol_name(expected[i]);
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
