/* tests/interop/clock_shift.c -- loaded into venturid (LD_PRELOAD): its clock of
 * the day is as many seconds ahead as the text in the file $CLOCK_SHIFT says,
 * at each moment.  The monotonic clock goes on as it does when somebody sets the
 * clock. */
#define _GNU_SOURCE 1
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int fd = -1;

/* While we may: venturid changes its user. */
__attribute__((constructor)) static void
begin(void)
{
    const char *path = getenv("CLOCK_SHIFT");

    fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
}

static time_t
shift(void)
{
    char text[32];
    ssize_t n = fd >= 0 ? pread(fd, text, sizeof text - 1, 0) : 0;

    text[n > 0 ? n : 0] = '\0';
    return (time_t) strtoll(text, NULL, 10);
}

int
clock_gettime(clockid_t id, struct timespec *ts)
{
    long retval = syscall(SYS_clock_gettime, id, ts);

    if (!retval && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
        ts->tv_sec += shift();
    }
    return (int) retval;
}

int
gettimeofday(struct timeval *restrict tv, void *restrict zone)
{
    struct timespec ts;
    int retval = clock_gettime(CLOCK_REALTIME, &ts);

    (void) zone;
    tv->tv_sec = ts.tv_sec;
    tv->tv_usec = ts.tv_nsec / 1000;
    return retval;
}

time_t
time(time_t *t)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    if (t) {
        *t = ts.tv_sec;
    }
    return ts.tv_sec;
}
