dnl VENTURI_FEATURES: --enable-sanitizers, --enable-fuzzers, --enable-coverage,
dnl --enable-werror.
AC_DEFUN([VENTURI_FEATURES], [
  AC_ARG_ENABLE([sanitizers],
    [AS_HELP_STRING([--enable-sanitizers@<:@=LIST@:>@],
       [build with sanitizers (default LIST: address,undefined; or thread)])],
    [], [enable_sanitizers=no])
  AS_IF([test "$enable_sanitizers" = yes],
        [enable_sanitizers=address,undefined])
  AS_IF([test "$enable_sanitizers" != no], [
    VENTURI_CFLAGS="$VENTURI_CFLAGS -fsanitize=$enable_sanitizers"
    VENTURI_CFLAGS="$VENTURI_CFLAGS -fno-omit-frame-pointer"
    AS_CASE([$enable_sanitizers], [*undefined*],
      [VENTURI_CFLAGS="$VENTURI_CFLAGS -fno-sanitize-recover=undefined"])
    VENTURI_LDFLAGS="$VENTURI_LDFLAGS -fsanitize=$enable_sanitizers"
  ])
  AC_SUBST([SANITIZERS], [$enable_sanitizers])

  AC_ARG_ENABLE([fuzzers],
    [AS_HELP_STRING([--enable-fuzzers],
       [link the fuzz targets with libFuzzer (needs CC=clang)])],
    [], [enable_fuzzers=no])
  AS_IF([test "$enable_fuzzers" = yes],
    [VENTURI_CFLAGS="$VENTURI_CFLAGS -fsanitize=fuzzer-no-link"
     FUZZ_LDFLAGS=-fsanitize=fuzzer
     AC_DEFINE([ENABLE_FUZZERS], [1], [Define to 1 to link with libFuzzer.])])
  AC_SUBST([FUZZ_LDFLAGS])
  AM_CONDITIONAL([ENABLE_FUZZERS], [test "$enable_fuzzers" = yes])

  AC_ARG_ENABLE([coverage],
    [AS_HELP_STRING([--enable-coverage],
       [build for gcov; "make coverage" makes a report with lcov])],
    [], [enable_coverage=no])
  AS_IF([test "$enable_coverage" = yes],
    [VENTURI_CFLAGS="$VENTURI_CFLAGS --coverage -O0"
     VENTURI_LDFLAGS="$VENTURI_LDFLAGS --coverage"])
  AM_CONDITIONAL([ENABLE_COVERAGE], [test "$enable_coverage" = yes])

  AC_ARG_ENABLE([werror],
    [AS_HELP_STRING([--enable-werror], [make warnings errors (for CI)])],
    [], [enable_werror=no])
  AS_IF([test "$enable_werror" = yes],
    [VENTURI_CFLAGS="$VENTURI_CFLAGS -Werror"])
])

dnl VENTURI_OVS: a built Open vSwitch source tree, for libopenvswitch.  There is
dnl no development package of it; see packaging/deps/ovs.sh.
AC_DEFUN([VENTURI_OVS], [
  AC_ARG_WITH([ovs-source],
    [AS_HELP_STRING([--with-ovs-source=DIR],
       [configured and built Open vSwitch source tree (default: the cache
        that packaging/deps/ovs.sh fills)])],
    [ovs_dir=$withval], [ovs_dir=])
  AC_MSG_CHECKING([for a built Open vSwitch source tree])
  AS_IF([test -z "$ovs_dir"],
        [ovs_dir=`"$srcdir/packaging/deps/ovs.sh" --print-dir`])
  AS_IF([test -f "$ovs_dir/lib/.libs/libopenvswitch.a" &&
         test -f "$ovs_dir/lib/vswitch-idl.h"],
        [AC_MSG_RESULT([$ovs_dir])],
        [AC_MSG_RESULT([no])
         AC_MSG_ERROR([no built Open vSwitch in "$ovs_dir"; run
packaging/deps/ovs.sh, or point --with-ovs-source at such a tree])])
  OVS_DIR=$ovs_dir
  AC_SUBST([OVS_DIR])
  OVS_CPPFLAGS="-isystem $ovs_dir -isystem $ovs_dir/include -isystem $ovs_dir/lib"
  ovs_libs=`$SED -n "s/^dependency_libs='\(.*\)'/\1/p" "$ovs_dir/lib/libopenvswitch.la"`
  # Open vSwitch and json-c both have a json_object_put(), and in one program
  # each would call the other's: ours is a copy with theirs renamed.
  AC_CHECK_TOOL([OBJCOPY], [objcopy])
  AS_IF([test -z "$OBJCOPY"], [AC_MSG_ERROR([objcopy (binutils) is needed])])
  AS_MKDIR_P([ovsdb])
  AS_IF([$OBJCOPY --redefine-sym json_object_put=ovs_json_object_put \
           "$ovs_dir/lib/.libs/libopenvswitch.a" ovsdb/libopenvswitch.a],
        [], [AC_MSG_ERROR([objcopy failed])])
  OVS_LIBS="`pwd`/ovsdb/libopenvswitch.a"
  for lib in $ovs_libs; do
    AS_CASE([$lib], [-l*|-L*], [OVS_LIBS="$OVS_LIBS $lib"])
  done
  AC_SUBST([OVS_CPPFLAGS])
  AC_SUBST([OVS_LIBS])
])

dnl VENTURI_DUCKDB: libduckdb and its C header; see packaging/deps/duckdb.sh.
AC_DEFUN([VENTURI_DUCKDB], [
  AC_ARG_WITH([duckdb],
    [AS_HELP_STRING([--with-duckdb=DIR],
       [DuckDB: DIR/lib/libduckdb.so and DIR/include/duckdb.h (default: the
        cache that packaging/deps/duckdb.sh fills)])],
    [duckdb_dir=$withval], [duckdb_dir=])
  AC_MSG_CHECKING([for DuckDB])
  AS_IF([test -z "$duckdb_dir"],
        [duckdb_dir=`"$srcdir/packaging/deps/duckdb.sh" --print-dir`])
  AS_IF([test -f "$duckdb_dir/lib/libduckdb.so" &&
         test -f "$duckdb_dir/include/duckdb.h"],
        [AC_MSG_RESULT([$duckdb_dir])],
        [AC_MSG_RESULT([no])
         AC_MSG_ERROR([no DuckDB in "$duckdb_dir"; run
packaging/deps/duckdb.sh, or point --with-duckdb at it])])
  DUCKDB_DIR=$duckdb_dir
  DUCKDB_CPPFLAGS="-isystem $duckdb_dir/include"
  # The build tree finds it through a link beside the programs, so that what is
  # installed does not name the directory that it was built with.
  AS_MKDIR_P([.duckdb])
  rm -f .duckdb/libduckdb.so
  $LN_S "`cd "$duckdb_dir/lib" && pwd`/libduckdb.so" .duckdb/libduckdb.so
  DUCKDB_LIBS="-L$duckdb_dir/lib -lduckdb"' -Wl,-rpath,'\''$$ORIGIN/.duckdb'\'' -Wl,-rpath,'\''$$ORIGIN/../../.duckdb'\'' -Wl,-rpath,$(pkglibdir)'
  AC_SUBST([DUCKDB_DIR])
  AC_SUBST([DUCKDB_CPPFLAGS])
  AC_SUBST([DUCKDB_LIBS])
])
