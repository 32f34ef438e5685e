#include <config.h>

#include "daemon/options.h"

#include <fcntl.h>
#include <getopt.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static int
parse(struct options *o, int argc, char *argv[])
{
    /* What it says on stderr is not of interest here. */
    int saved = dup(STDERR_FILENO);
    int null = open("/dev/null", O_WRONLY);
    dup2(null, STDERR_FILENO);
    optind = 0;
    int error = options_parse(argc, argv, o);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(null);
    return error;
}

#define PARSE(O, ...)                                                   \
    parse(O, (int) (sizeof (char *[]) { __VA_ARGS__ } / sizeof(char *)), \
          (char *[]) { __VA_ARGS__, NULL })

static void
test_good(void)
{
    struct options o;
    CU_ASSERT_EQUAL(PARSE(&o, "venturid"), 0);
    CU_ASSERT_PTR_NULL(o.config);
    CU_ASSERT_EQUAL(o.n_api, 0);
    CU_ASSERT_EQUAL(PARSE(&o, "venturid", "--config", "a.json", "--api",
                          "unix:/x", "--api=unix:/y", "--ovsdb", "none",
                          "--check-config", "-f", "-l", "ovsdb:debug"), 0);
    CU_ASSERT_STRING_EQUAL(o.config, "a.json");
    CU_ASSERT_EQUAL(o.n_api, 2);
    CU_ASSERT_STRING_EQUAL(o.api[1], "unix:/y");
    CU_ASSERT_STRING_EQUAL(o.ovsdb[0], "none");
    CU_ASSERT_STRING_EQUAL(o.log[0], "ovsdb:debug");
    CU_ASSERT_TRUE(o.check_config && o.foreground);
    CU_ASSERT_FALSE(o.help || o.version);
}

static void
test_bad(void)
{
    struct options o;
    CU_ASSERT_NOT_EQUAL(PARSE(&o, "venturid", "--nonsense"), 0);
    CU_ASSERT_NOT_EQUAL(PARSE(&o, "venturid", "word"), 0);
    CU_ASSERT_NOT_EQUAL(PARSE(&o, "venturid", "--config"), 0);
    CU_ASSERT_NOT_EQUAL(PARSE(&o, "venturid", "--state-dir", ""), 0);

    char *many[2 * OPTIONS_MAX + 4] = { "venturid" };
    int argc = 1;
    for (int i = 0; i <= OPTIONS_MAX; i++) {
        many[argc++] = "--api";
        many[argc++] = "unix:/x";
    }
    CU_ASSERT_NOT_EQUAL(parse(&o, argc, many), 0);
    CU_ASSERT_EQUAL(o.n_api, OPTIONS_MAX);
}

UNIT_MAIN("options", UNIT_TEST(test_good), UNIT_TEST(test_bad))
