/* venturid -- see daemon/daemon.h for how it is put together. */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>

#include "daemon/daemon.h"
#include "daemon/options.h"

int
main(int argc, char *argv[])
{
    struct options options;
    if (options_parse(argc, argv, &options)) {
        return 2;
    }
    if (options.help) {
        options_help();
        return EXIT_SUCCESS;
    }
    if (options.version) {
        puts("venturid " PACKAGE_VERSION);
        return EXIT_SUCCESS;
    }
    if (options.check_config) {
        return daemon_check_config(&options);
    }
    struct daemon *d = daemon_create(&options);
    if (!d) {
        return EXIT_FAILURE;
    }
    daemon_run(d);
    daemon_destroy(d);
    return EXIT_SUCCESS;
}
