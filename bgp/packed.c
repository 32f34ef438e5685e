#include <config.h>

#include "bgp/packed.h"

#include <bzlib.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#define IN_SIZE 65536

enum kind { PLAIN, GZIP, BZIP2 };

struct packed {
    int fd;
    enum kind kind;
    bool begun;                 /* A stream has been set up. */
    bool at_end;                /* Of the file. */
    const char *error;
    uint64_t read;
    z_stream gz;
    bz_stream bz;
    uint8_t in[IN_SIZE];
    size_t n, at;               /* Of 'in'. */
};

struct packed *
packed_open(int fd)
{
    struct packed *p = calloc(1, sizeof *p);
    if (!p) {
        close(fd);
        return NULL;
    }
    p->fd = fd;
    return p;
}

static void
end_stream(struct packed *p)
{
    if (p->begun && p->kind == GZIP) {
        inflateEnd(&p->gz);
    } else if (p->begun && p->kind == BZIP2) {
        BZ2_bzDecompressEnd(&p->bz);
    }
    p->begun = false;
}

void
packed_close(struct packed *p)
{
    if (p) {
        end_stream(p);
        close(p->fd);
        free(p);
    }
}

/* Makes sure that there are at least 'least' octets, if the file has them. */
static void
fill(struct packed *p, size_t least)
{
    while (p->n - p->at < least && !p->at_end && !p->error) {
        if (p->at) {
            memmove(p->in, p->in + p->at, p->n - p->at);
            p->n -= p->at;
            p->at = 0;
        }
        ssize_t got = read(p->fd, p->in + p->n, sizeof p->in - p->n);
        if (got < 0 && errno == EINTR) {
            continue;
        } else if (got < 0) {
            p->error = strerror(errno);
        }
        p->at_end = !got;
        p->n += got > 0 ? (size_t) got : 0;
        p->read += got > 0 ? (uint64_t) got : 0;
    }
}

/* Sets up what the next octets are.  Padding after a stream is no stream. */
static bool
begin(struct packed *p, bool first)
{
    fill(p, 4);
    const uint8_t *m = p->in + p->at;
    size_t n = p->n - p->at;
    bool gz = n >= 2 && m[0] == 0x1f && m[1] == 0x8b;
    bool bz = n >= 4 && !memcmp(m, "BZh", 3) && m[3] >= '1' && m[3] <= '9';
    int error = 0;
    if (first) {
        p->kind = gz ? GZIP : bz ? BZIP2 : PLAIN;
    } else if (!(p->kind == GZIP ? gz : bz)) {
        return false;
    }
    if (p->kind == GZIP) {
        memset(&p->gz, 0, sizeof p->gz);
        error = inflateInit2(&p->gz, 15 + 16);
    } else if (p->kind == BZIP2) {
        memset(&p->bz, 0, sizeof p->bz);
        error = BZ2_bzDecompressInit(&p->bz, 0, 0);
    }
    p->begun = !error;
    if (error) {
        p->error = "out of memory";
    }
    return !error;
}

/* Returns how much came out; 'end' if the stream has ended. */
static size_t
unpack(struct packed *p, uint8_t *out, size_t n, bool *end)
{
    size_t left = p->n - p->at;
    if (p->kind == GZIP) {
        p->gz.next_in = p->in + p->at;
        p->gz.avail_in = (uInt) left;
        p->gz.next_out = out;
        p->gz.avail_out = (uInt) n;
        int result = inflate(&p->gz, Z_NO_FLUSH);
        p->at += left - p->gz.avail_in;
        *end = result == Z_STREAM_END;
        if (result != Z_OK && result != Z_BUF_ERROR && !*end) {
            p->error = "damaged (gzip)";
        }
        return n - p->gz.avail_out;
    }
    p->bz.next_in = (char *) p->in + p->at;
    p->bz.avail_in = (unsigned) left;
    p->bz.next_out = (char *) out;
    p->bz.avail_out = (unsigned) n;
    int result = BZ2_bzDecompress(&p->bz);
    p->at += left - p->bz.avail_in;
    *end = result == BZ_STREAM_END;
    if (result != BZ_OK && !*end) {
        p->error = "damaged (bzip2)";
    }
    return n - p->bz.avail_out;
}

static size_t
read_some(struct packed *p, uint8_t *out, size_t n)
{
    bool end = false;
    n = n > 1 << 20 ? 1 << 20 : n;
    fill(p, 1);
    if (p->kind == PLAIN) {
        size_t left = p->n - p->at;
        n = n < left ? n : left;
        memcpy(out, p->in + p->at, n);
        p->at += n;
        return n;
    }
    size_t had = p->n - p->at;
    size_t got = unpack(p, out, n, &end);
    if (end) {
        end_stream(p);
        begin(p, false);
    } else if (!got && !had && p->at_end && !p->error) {
        p->error = "ends too early";
    }
    return got;
}

size_t
packed_read(struct packed *p, void *buf, size_t n)
{
    uint8_t *out = buf;
    size_t done = 0;
    if (!p->begun && !p->read && !p->error) {
        begin(p, true);
    }
    while (done < n && !p->error && p->begun) {
        size_t got = read_some(p, out + done, n - done);
        done += got;
        if (!got && p->kind == PLAIN) {
            break;
        }
    }
    return done;
}

const char *
packed_error(const struct packed *p)
{
    return p->error;
}

uint64_t
packed_used(const struct packed *p)
{
    return p->read - (p->n - p->at);
}
