/* The log of changes, read from its end back. */
#include <config.h>

#include "api/audit.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <json-c/json.h>

#include "api/json.h"
#include "tests/unit/unit.h"

static char dir[] = "/tmp/venturi-test-audit-XXXXXX";
static char path[64];

static void
begin(void)
{
    strcpy(dir + sizeof dir - 7, "XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/audit.log", dir);
}

static void
end(void)
{
    DIR *d = opendir(dir);
    struct dirent *e;

    while (d && (e = readdir(d))) {
        unlinkat(dirfd(d), e->d_name, 0);
    }
    if (d) {
        closedir(d);
    }
    CU_ASSERT_EQUAL(rmdir(dir), 0);
}

static FILE *
file(const char *suffix)
{
    char name[96];
    snprintf(name, sizeof name, "%s%s", path, suffix);
    FILE *f = fopen(name, "a");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    return f;
}

/* An entry of the time 'n', with so many bytes of text. */
static void
entry(FILE *f, int n, size_t size)
{
    fprintf(f, "{\"time\":\"%06d\",\"what\":\"", n);
    for (size_t i = 0; i < size; i++) {
        fputc('a' + n % 26, f);
    }
    fputs("\"}\n", f);
}

/* The times of what is read, and "+" if there is more. */
static const char *
times(size_t n)
{
    static char text[4096];
    bool more = false;
    struct audit *a = audit_open(path);
    CU_ASSERT_PTR_NOT_NULL_FATAL(a);
    struct json_object *list = audit_read(a, n, &more);
    *text = '\0';
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        const char *what = json_text(o, "what");
        int time = atoi(json_text(o, "time"));
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%d",
                 i ? " " : "", time);
        for (const char *p = what; p && *p; p++) {
            if (*p != 'a' + time % 26) {
                CU_FAIL("another one's text");
                break;
            }
        }
    }
    strcat(text, more ? " +" : "");
    json_object_put(list);
    audit_close(a);
    return text;
}

static void
test_order(void)
{
    begin();
    CU_ASSERT_STRING_EQUAL(times(10), "");
    FILE *f = file(".1");
    entry(f, 1, 10);
    entry(f, 2, 200000);        /* Some blocks long. */
    entry(f, 5, 65536 - 40);
    fclose(f);
    f = file("");
    entry(f, 6, 0);
    fputs("not JSON\n\n[1]\n{\"time\":\"7\"", f);       /* Cut off. */
    fclose(f);
    f = file(".refused");
    entry(f, 3, 3);
    entry(f, 8, 3);
    fclose(f);
    f = file(".endpoints.4");
    entry(f, 4, 70000);
    fclose(f);
    CU_ASSERT_STRING_EQUAL(times(100), "8 6 5 4 3 2 1");
    CU_ASSERT_STRING_EQUAL(times(7), "8 6 5 4 3 2 1");
    CU_ASSERT_STRING_EQUAL(times(6), "8 6 5 4 3 2 +");
    CU_ASSERT_STRING_EQUAL(times(1), "8 +");
    end();
}

/* Entries of every length around a block's, so that each way of a line's lying
 * across its ends is seen. */
static void
test_blocks(void)
{
    begin();
    FILE *f = file("");
    entry(f, 1, 0);
    for (int i = 2; i <= 130; i++) {
        entry(f, i, 65536 - 100 + (size_t) i);
    }
    fclose(f);
    char expected[4096] = "";
    for (int i = 130; i > 70; i--) {
        snprintf(expected + strlen(expected),
                 sizeof expected - strlen(expected), "%d ", i);
    }
    strcat(expected, "+");
    CU_ASSERT_STRING_EQUAL(times(60), expected);
    end();
}

static void
test_bounds(void)
{
    begin();
    FILE *f = file("");
    entry(f, 1, 0);
    for (int i = 0; i < 8 << 20; i++) {         /* No line of ours. */
        fputc('x', f);
    }
    fputc('\n', f);
    entry(f, 2, 900000);
    entry(f, 3, 900000);
    entry(f, 4, 900000);
    entry(f, 5, 900000);
    entry(f, 6, 900000);
    fclose(f);
    CU_ASSERT_STRING_EQUAL(times(1000), "6 5 4 3 +");   /* 4 MB. */
    f = file("");
    for (int i = 0; i < 8 << 20; i++) {
        fputc('x', f);
    }
    fclose(f);
    CU_ASSERT_STRING_EQUAL(times(1), "6 +");
    end();

    begin();
    f = file("");
    entry(f, 1, 0);
    for (int i = 0; i < 8 << 20; i++) {
        fputc('x', f);
    }
    fputc('\n', f);
    fclose(f);
    CU_ASSERT_STRING_EQUAL(times(1000), "1");
    end();
}

UNIT_MAIN("audit", UNIT_TEST(test_order), UNIT_TEST(test_blocks),
          UNIT_TEST(test_bounds))
