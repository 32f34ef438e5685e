#include <config.h>

#include "collector/store/segfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/column.h"

#define FILE_MAGIC UINT64_C(0x31574f4c46545656)         /* "VVTFLOW1" */
#define HEADER_MAX 65536
/* So much is read at once where blocks are looked for. */
#define WINDOW (256 * 1024)

struct file_head {
    uint64_t magic;
    uint64_t checksum;          /* Of the header, this being 0. */
    uint32_t size;              /* With the columns. */
    uint32_t n_columns;
    /* Then, for each: type, length of the name, name; zeros up to a multiple
     * of 8. */
};
_Static_assert(sizeof(struct file_head) == 24, "this is on disk");

/* ---- Reading and writing. ---- */

static int
read_all(int fd, uint64_t offset, void *buf, size_t size)
{
    uint8_t *p = buf;
    while (size) {
        ssize_t n = pread(fd, p, size, (off_t) offset);
        if (n < 0 && errno == EINTR) {
            continue;
        } else if (n <= 0) {
            return n ? -errno : -EBADMSG;
        }
        p += n;
        offset += (uint64_t) n;
        size -= (size_t) n;
    }
    return 0;
}

static int
write_all(int fd, uint64_t offset, const void *buf, size_t size)
{
    const uint8_t *p = buf;
    while (size) {
        ssize_t n = pwrite(fd, p, size, (off_t) offset);
        if (n < 0 && errno == EINTR) {
            continue;
        } else if (n <= 0) {
            return n ? -errno : -ENOSPC;
        }
        p += n;
        offset += (uint64_t) n;
        size -= (size_t) n;
    }
    return 0;
}

/* ---- Blocks. ---- */

struct segblock *
segblock_ref(struct segblock *b)
{
    atomic_fetch_add(&b->n_refs, 1);
    return b;
}

void
segblock_unref(struct segblock *b)
{
    if (b && atomic_fetch_sub(&b->n_refs, 1) == 1) {
        free(b->bytes);
        free(b->head);
        free(b);
    }
}

int
segblock_fetch(void *aux, uint64_t offset, void *buf, size_t size)
{
    const struct segblock *b = aux;
    if (offset > b->head->size || size > b->head->size - offset) {
        return -EBADMSG;
    } else if (b->bytes) {
        memcpy(buf, b->bytes + offset, size);
        return 0;
    }
    return read_all(b->fd, b->offset + offset, buf, size);
}

void
segblock_expect(const struct segblock *b, uint64_t offset, size_t size)
{
    if (!b->bytes) {
        (void) posix_fadvise(b->fd, (off_t) (b->offset + offset),
                             (off_t) size, POSIX_FADV_WILLNEED);
    }
}

int
segblocks_add(struct segblocks *l, struct segblock *b)
{
    if (l->n == l->allocated) {
        size_t n = l->allocated ? 2 * l->allocated : 16;
        struct segblock **p = realloc(l->list, n * sizeof *p);
        if (!p) {
            return -ENOMEM;
        }
        l->list = p;
        l->allocated = n;
    }
    l->list[l->n++] = b;
    return 0;
}

void
segblocks_clear(struct segblocks *l)
{
    for (size_t i = 0; i < l->n; i++) {
        segblock_unref(l->list[i]);
    }
    free(l->list);
    memset(l, 0, sizeof *l);
}

/* A block whose header is at 'p'; NULL if that is damaged. */
static struct segblock *
make_block(const struct segfile *f, const uint8_t *p, size_t size)
{
    struct block_head *h = block_head_read(p, size, &f->columns);
    struct segblock *b = h ? calloc(1, sizeof *b) : NULL;
    if (!b) {
        free(h);
        return NULL;
    }
    b->n_refs = 1;
    b->fd = f->fd;
    b->head = h;
    return b;
}

/* ---- The header. ---- */

int
segfile_header(struct bytes *out)
{
    struct file_head h = { .magic = FILE_MAGIC, .n_columns = N_COLUMNS };
    size_t start = out->size;

    bytes_put(out, &h, sizeof h);
    for (unsigned i = 0; i < N_COLUMNS; i++) {
        uint8_t head[2] = { (uint8_t) columns[i].type,
                            (uint8_t) strlen(columns[i].name) };
        bytes_put(out, head, sizeof head);
        bytes_put(out, columns[i].name, head[1]);
    }
    bytes_pad(out, 8);
    if (out->failed) {
        return -ENOMEM;
    }
    h.size = (uint32_t) (out->size - start);
    memcpy(out->data + start, &h, sizeof h);
    h.checksum = pack_checksum(out->data + start, h.size);
    memcpy(out->data + start, &h, sizeof h);
    return 0;
}

/* Reads the header.  0, or -EBADMSG. */
static int
parse_header(struct segfile *f, uint8_t *p, size_t size)
{
    struct file_head h, zero;

    if (size < sizeof h) {
        return -EBADMSG;
    }
    memcpy(&h, p, sizeof h);
    if (h.magic != FILE_MAGIC || h.size < sizeof h || h.size > size
        || h.size % 8 || h.n_columns > BLOCK_MAX_COLUMNS) {
        return -EBADMSG;
    }
    zero = h;
    zero.checksum = 0;
    memcpy(p, &zero, sizeof zero);
    if (pack_checksum(p, h.size) != h.checksum) {
        return -EBADMSG;
    }
    size_t at = sizeof h;
    f->columns.n = h.n_columns;
    f->ours = h.n_columns == N_COLUMNS;
    for (unsigned i = 0; i < h.n_columns; i++) {
        char name[256];
        if (h.size - at < 2 || h.size - at - 2 < p[at + 1]) {
            return -EBADMSG;
        }
        memcpy(name, p + at + 2, p[at + 1]);
        name[p[at + 1]] = '\0';
        const struct column *c = column_by_name(name);
        bool known = c && c->type == p[at];
        f->columns.id[i] = known ? (uint16_t) (c - columns) : N_COLUMNS;
        f->ours = f->ours && f->columns.id[i] == i;
        at += 2u + p[at + 1];
    }
    f->size = h.size;
    return 0;
}

/* ---- Finding blocks. ---- */

/* Looks for the next header from 'at' on.  Returns where it is, or 'end'. */
static uint64_t
resync(struct segfile *f, uint64_t at, uint64_t end)
{
    uint8_t *p = malloc(WINDOW + BLOCK_HEAD_MAX);

    at = (at + 7) / 8 * 8;
    while (p && at + BLOCK_HEAD_FIXED <= end) {
        size_t n = end - at < WINDOW + BLOCK_HEAD_MAX
                   ? (size_t) (end - at) : WINDOW + BLOCK_HEAD_MAX;
        if (read_all(f->fd, at, p, n)) {
            break;
        }
        for (size_t i = 0; i < WINDOW && i + BLOCK_HEAD_FIXED <= n; i += 8) {
            uint32_t head, whole;
            if (block_sizes(p + i, &head, &whole)) {
                struct block_head *h = block_head_read(p + i, n - i,
                                                       &f->columns);
                free(h);
                if (h) {
                    free(p);
                    return at + i;
                }
            }
        }
        at += WINDOW;
    }
    free(p);
    return end;
}

/* The block at 'at', of a file that ends at 'end'.  NULL: it is damaged or was
 * not written to its end, then '*torn' is set. */
static struct segblock *
find_block(struct segfile *f, uint64_t at, uint64_t end, bool *torn)
{
    uint8_t p[8192], *all = p;
    uint32_t head, whole;
    size_t n = end - at < sizeof p ? (size_t) (end - at) : sizeof p;

    *torn = n < BLOCK_HEAD_FIXED;
    if (*torn || read_all(f->fd, at, p, n) || !block_sizes(p, &head, &whole)) {
        return NULL;
    }
    *torn = whole > end - at;
    if (*torn) {
        return NULL;
    }
    if (head > n) {
        all = malloc(head);
        if (!all || read_all(f->fd, at, all, head)) {
            free(all);
            return NULL;
        }
        n = head;
    }
    struct segblock *b = make_block(f, all, n);
    if (all != p) {
        free(all);
    }
    if (b) {
        b->offset = at;
    }
    return b;
}

static int
keep_block(struct segfile *f, struct segblock *b, bool in_memory)
{
    int retval = 0;
    if (in_memory) {
        b->bytes = malloc(b->head->size);
        retval = b->bytes ? read_all(f->fd, b->offset, b->bytes,
                                     b->head->size) : -ENOMEM;
    }
    if (!retval) {
        retval = segblocks_add(&f->blocks, b);
    }
    if (retval) {
        segblock_unref(b);
        return retval;
    }
    uint64_t next = b->head->first_row + b->head->n_rows;
    f->next_row = next > f->next_row ? next : f->next_row;
    return 0;
}

static int
find_blocks(struct segfile *f, uint64_t end, bool in_memory)
{
    uint64_t at = f->size;

    while (at < end) {
        bool torn;
        struct segblock *b = find_block(f, at, end, &torn);
        if (b) {
            at += b->head->size;
            int e = keep_block(f, b, in_memory);
            if (e) {
                return e;
            }
            f->size = at;
            continue;
        }
        uint64_t next = resync(f, at + 8, end);
        if (next == end && torn) {
            return 0;           /* The next one is written over it. */
        }
        f->damaged += next - at;
        f->size = at = next;
    }
    return 0;
}

/* A question wants some columns of a block, each as a whole: what the kernel
 * would read ahead is what nobody asked for. */
static void
read_no_more(int fd)
{
    (void) posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
}

int
segfile_open(struct segfile *f, const char *path, bool in_memory)
{
    struct stat st;
    uint8_t *p = NULL;
    int retval = -EBADMSG;

    memset(f, 0, sizeof *f);
    f->fd = open(path, O_RDWR | O_CLOEXEC);
    if (f->fd < 0 && errno != ENOENT) {
        f->only_read = -errno;
        f->fd = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (f->fd < 0) {
        return -errno;
    }
    read_no_more(f->fd);
    if (fstat(f->fd, &st)) {
        retval = -errno;
    } else if (!S_ISREG(st.st_mode)) {
        retval = -EBADMSG;
    } else {
        uint64_t end = (uint64_t) st.st_size;
        size_t n = end < HEADER_MAX ? (size_t) end : HEADER_MAX;
        p = malloc(n + 1);
        retval = p ? read_all(f->fd, 0, p, n) : -ENOMEM;
        if (!retval) {
            retval = parse_header(f, p, n);
        }
        if (!retval) {
            retval = find_blocks(f, end, in_memory);
        }
    }
    free(p);
    if (retval) {
        segfile_close(f);
    }
    return retval;
}

int
segfile_create(struct segfile *f, const char *path)
{
    struct bytes b = { 0 };
    int retval = segfile_header(&b);

    memset(f, 0, sizeof *f);
    f->fd = -1;
    if (!retval) {
        f->fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
        retval = f->fd < 0 ? -errno : write_all(f->fd, 0, b.data, b.size);
        if (!retval) {
            read_no_more(f->fd);
        }
    }
    f->size = b.size;
    bytes_free(&b);
    if (retval) {
        segfile_close(f);
        return retval;
    }
    f->columns = segfile_our_columns();
    f->ours = true;
    return 0;
}

void
segfile_close(struct segfile *f)
{
    segblocks_clear(&f->blocks);
    if (f->fd >= 0) {
        close(f->fd);
    }
    memset(f, 0, sizeof *f);
    f->fd = -1;
}

int
segfile_write(struct segfile *f, const uint8_t *bytes, size_t size)
{
    int retval = f->only_read ? f->only_read
                              : write_all(f->fd, f->size, bytes, size);
    if (retval && !f->only_read) {
        /* Should that fail, the next one is written over it. */
        (void) !ftruncate(f->fd, (off_t) f->size);
    }
    return retval;
}

int
segfile_add(struct segfile *f, uint8_t *bytes, size_t size, bool in_memory)
{
    struct segblock *b = make_block(f, bytes, size);
    if (!b || segblocks_add(&f->blocks, b)) {
        segblock_unref(b);
        return -ENOMEM;
    }
    b->offset = f->size;
    b->bytes = in_memory ? bytes : NULL;
    f->size += size;
    f->next_row = b->head->first_row + b->head->n_rows;
    return 0;
}

int
segfile_trim(struct segfile *f)
{
    struct stat st;
    if (f->only_read) {
        return f->only_read;
    } else if (fstat(f->fd, &st)) {
        return -errno;
    }
    return (uint64_t) st.st_size > f->size
           && ftruncate(f->fd, (off_t) f->size) ? -errno : 0;
}

int
segfile_truncate(struct segfile *f)
{
    struct bytes b = { 0 };
    int retval = f->only_read ? f->only_read : segfile_header(&b);
    if (!retval) {
        retval = ftruncate(f->fd, (off_t) b.size) ? -errno : 0;
    }
    if (!retval) {
        f->size = b.size;
        segblocks_clear(&f->blocks);
    }
    bytes_free(&b);
    return retval;
}

struct block_columns
segfile_our_columns(void)
{
    struct block_columns c = { .n = N_COLUMNS };
    for (unsigned i = 0; i < N_COLUMNS; i++) {
        c.id[i] = (uint16_t) i;
    }
    return c;
}
