#include <config.h>

#include "lib/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/unit/unit.h"

/* What 'emit' writes to stderr. */
static void
capture(void (*emit)(void), char *buf, size_t size)
{
    int fds[2], saved = dup(STDERR_FILENO);
    CU_ASSERT_EQUAL_FATAL(pipe(fds), 0);
    dup2(fds[1], STDERR_FILENO);
    emit();
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(fds[1]);
    ssize_t n = read(fds[0], buf, size - 1);
    buf[n > 0 ? n : 0] = '\0';
    close(fds[0]);
}

static void
emit_forged(void)
{
    LOG(api, WARN, "client %s", "x\n2026|main|ERR|forged\033[31m");
}

static void
emit_debug(void)
{
    LOG(store, DBG, "%s", "quiet");
    LOG(ovsdb, DBG, "%s", "loud");
}

static void
emit_many(void)
{
    for (int i = 0; i < 100; i++) {
        LOG_RATE(decode, WARN, "bad datagram %d", i);
    }
}

static void
test_lines(void)
{
    char out[4096];
    capture(emit_forged, out, sizeof out);
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "|api|WARN|client x?2026"));
    CU_ASSERT_PTR_NULL(strchr(out, '\033'));
    CU_ASSERT_PTR_EQUAL(strchr(out, '\n'), out + strlen(out) - 1);
}

static void
test_levels(void)
{
    char out[4096];
    CU_ASSERT_EQUAL(log_set_level("ovsdb:debug"), 0);
    CU_ASSERT_NOT_EQUAL(log_set_level("ovsdb:loud"), 0);
    CU_ASSERT_NOT_EQUAL(log_set_level("nobody:debug"), 0);
    CU_ASSERT_NOT_EQUAL(log_set_level(""), 0);
    capture(emit_debug, out, sizeof out);
    CU_ASSERT_PTR_NULL(strstr(out, "quiet"));
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "|ovsdb|DBG|loud"));
    CU_ASSERT_EQUAL(log_set_level("info"), 0);
    CU_ASSERT_EQUAL(log_level(LOG_MODULE_ovsdb), LOG_L_INFO);
}

static void
test_rate(void)
{
    char out[16384];
    capture(emit_many, out, sizeof out);
    unsigned lines = 0;
    for (char *p = out; (p = strchr(p, '\n')); p++) {
        lines++;
    }
    CU_ASSERT_EQUAL(lines, 5);
}

UNIT_MAIN("log", UNIT_TEST(test_lines), UNIT_TEST(test_levels),
          UNIT_TEST(test_rate))
