/* tests/unit/identity_dir.h -- a directory and a dictionary for tests of what
 * identities leave on disk; test_begin and test_end are a suite's first and last
 * test. */
#ifndef TESTS_IDENTITY_DIR_H
#define TESTS_IDENTITY_DIR_H 1

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>
#include <urcu.h>

#include "lib/dict.h"
#include "tests/unit/unit.h"

static char dir[] = "/tmp/venturi-identity-XXXXXX";
static struct dict *dict;

static void
empty_dir(void)
{
    DIR *d = opendir(dir);
    CU_ASSERT_FATAL(d != NULL);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (e->d_name[0] != '.') {
            CU_ASSERT_EQUAL_FATAL(unlinkat(dirfd(d), e->d_name, 0), 0);
        }
    }
    closedir(d);
}

static void
test_begin(void)
{
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
    dict = dict_create(1 << 16, 1 << 22);
    rcu_register_thread();
}

static void
test_end(void)
{
    dict_destroy(dict);
    rmdir(dir);
    rcu_unregister_thread();
}

#endif /* tests/unit/identity_dir.h */
