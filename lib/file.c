#include <config.h>

#include "lib/file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int
file_sync_dir(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int error = fd < 0 || fsync(fd) ? -errno : 0;

    if (fd >= 0) {
        close(fd);
    }
    return error;
}
