#include <config.h>

#include "collector/decode/pcap.h"

#include <stdlib.h>

#include "lib/cursor.h"

/* pcap: draft-ietf-opsawg-pcap; pcapng: draft-ietf-opsawg-pcapng. */

#define MAX_INTERFACES 256
#define BLOCK_SECTION 0x0a0d0d0a
#define MAX_BLOCK (PCAP_MAX_FRAME + 65536)

/* What an interface's frames are. */
struct interface {
    uint32_t link;
    uint64_t per_second;        /* Units of its times. */
    int64_t offset_s;
};

struct pcap {
    pcap_read_fn *read;
    void *aux;
    bool started, ng, little;
    size_t packet_header;       /* Of pcap. */
    struct interface interfaces[MAX_INTERFACES];
    unsigned n_interfaces;
    const char *reason;
    uint8_t *buf;               /* MAX_BLOCK. */
};

static const struct {
    uint32_t magic;             /* In the order of the file, if big. */
    uint32_t per_second;
    uint8_t packet_header;
} formats[] = {
    { 0xa1b2c3d4, 1000000, 16 },
    { 0xa1b23c4d, 1000000000, 16 },
    { 0xa1b2cd34, 1000000, 24 },
};

bool
pcap_magic(const uint8_t *p)
{
    uint32_t magic = be32_at(p);
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        if (magic == formats[i].magic
            || magic == __builtin_bswap32(formats[i].magic)) {
            return true;
        }
    }
    return magic == BLOCK_SECTION;
}

struct pcap *
pcap_create(pcap_read_fn *read, void *aux)
{
    struct pcap *f = calloc(1, sizeof *f);
    if (f) {
        f->read = read;
        f->aux = aux;
        f->buf = malloc(MAX_BLOCK);
        if (!f->buf) {
            free(f);
            return NULL;
        }
    }
    return f;
}

void
pcap_destroy(struct pcap *f)
{
    if (f) {
        free(f->buf);
        free(f);
    }
}

const char *
pcap_reason(const struct pcap *f)
{
    return f->reason ? f->reason : "nothing is wrong";
}

static enum pcap_status
bad(struct pcap *f, const char *reason)
{
    f->reason = reason;
    return PCAP_BAD;
}

static enum pcap_status
torn(struct pcap *f)
{
    f->reason = "the file ends inside a frame or block";
    return PCAP_TORN;
}

static bool
fill(struct pcap *f, size_t at, size_t n)
{
    return f->read(f->aux, f->buf + at, n) == n;
}

static uint32_t
get32(const struct pcap *f, struct cursor *c)
{
    uint32_t v = cur_u32(c);
    return f->little ? __builtin_bswap32(v) : v;
}

static uint16_t
get16(const struct pcap *f, struct cursor *c)
{
    uint16_t v = cur_u16(c);
    return f->little ? __builtin_bswap16(v) : v;
}

/* Microseconds; a time that cannot be is 0. */
static int64_t
to_us(const struct interface *i, uint64_t units)
{
    uint64_t s = units / i->per_second;
    if (s > UINT32_MAX) {
        return 0;
    }
    return ((int64_t) s + i->offset_s) * 1000000
           + (int64_t) ((double) (units % i->per_second) * 1e6
                        / (double) i->per_second);
}

/* ---- pcap. ---- */

static enum pcap_status
classic_start(struct pcap *f, uint32_t magic)
{
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        if (magic == formats[i].magic
            || magic == __builtin_bswap32(formats[i].magic)) {
            f->little = magic != formats[i].magic;
            f->packet_header = formats[i].packet_header;
            f->interfaces[0].per_second = formats[i].per_second;
        }
    }
    if (!f->packet_header) {
        return bad(f, "the file is not a capture");
    }
    if (!fill(f, 4, 20)) {
        return torn(f);
    }
    struct cursor c = cur_init(f->buf + 20, 4);
    /* The upper half says something about checksums. */
    f->interfaces[0].link = get32(f, &c) & 0xffff;
    f->n_interfaces = 1;
    return PCAP_FRAME;
}

static enum pcap_status
classic_next(struct pcap *f, struct pcap_frame *frame)
{
    size_t got = f->read(f->aux, f->buf, f->packet_header);
    if (got < f->packet_header) {
        return got ? torn(f) : PCAP_END;
    }
    struct cursor c = cur_init(f->buf, f->packet_header);
    uint32_t s = get32(f, &c), fraction = get32(f, &c), size = get32(f, &c);
    if (size > PCAP_MAX_FRAME) {
        return bad(f, "a frame is larger than any can be");
    }
    if (!fill(f, 0, size)) {
        return torn(f);
    }
    const struct interface *i = &f->interfaces[0];
    *frame = (struct pcap_frame) {
        .data = f->buf, .size = size, .link = i->link,
        .time_us = to_us(i, s * i->per_second + fraction),
    };
    return PCAP_FRAME;
}

/* ---- pcapng. ---- */

/* Options that say how times are to be read. */
static void
interface_options(const struct pcap *f, struct interface *i, struct cursor *c)
{
    enum { OPT_END = 0, OPT_TSRESOL = 9, OPT_TSOFFSET = 14 };
    while (cur_left(c) >= 4) {
        uint16_t code = get16(f, c), size = get16(f, c);
        struct cursor value = cur_sub(c, size);
        cur_skip(c, -size & 3u);
        if (code == OPT_END || value.bad) {
            return;
        } else if (code == OPT_TSRESOL && size >= 1) {
            uint8_t r = cur_u8(&value);
            uint8_t power = r & 0x7f;
            if (r & 0x80 ? power < 63 : power <= 18) {
                i->per_second = 1;
                while (power--) {
                    i->per_second *= r & 0x80 ? 2 : 10;
                }
            }
        } else if (code == OPT_TSOFFSET && size >= 8) {
            uint32_t a = get32(f, &value), b = get32(f, &value);
            int64_t offset = (int64_t) (f->little ? (uint64_t) b << 32 | a
                                                  : (uint64_t) a << 32 | b);
            i->offset_s = offset > -UINT32_MAX && offset < UINT32_MAX
                          ? offset : 0;
        }
    }
}

static enum pcap_status
add_interface(struct pcap *f, struct cursor *c)
{
    if (f->n_interfaces == MAX_INTERFACES) {
        return bad(f, "more interfaces than any capture has");
    }
    struct interface *i = &f->interfaces[f->n_interfaces++];
    *i = (struct interface) { .link = get16(f, c), .per_second = 1000000 };
    cur_skip(c, 6);
    interface_options(f, i, c);
    return PCAP_FRAME;
}

/* Takes a frame out of a block's body, or says false. */
static bool
block_frame(struct pcap *f, uint32_t type, struct cursor *c,
            struct pcap_frame *frame)
{
    enum { OBSOLETE = 2, SIMPLE = 3, ENHANCED = 6 };
    uint32_t number = 0, high = 0, low = 0, size = 0;
    switch (type) {
    case ENHANCED:
        number = get32(f, c);
        high = get32(f, c);
        low = get32(f, c);
        size = get32(f, c);
        cur_skip(c, 4);
        break;
    case OBSOLETE:
        number = get16(f, c);
        cur_skip(c, 2);
        high = get32(f, c);
        low = get32(f, c);
        size = get32(f, c);
        cur_skip(c, 4);
        break;
    case SIMPLE:
        size = get32(f, c);
        size = size < cur_left(c) ? size : (uint32_t) cur_left(c);
        break;
    default:
        return false;
    }
    struct cursor data = cur_sub(c, size);
    if (data.bad || number >= f->n_interfaces) {
        return false;
    }
    const struct interface *i = &f->interfaces[number];
    *frame = (struct pcap_frame) {
        .data = data.p, .size = size, .link = i->link,
        .time_us = to_us(i, (uint64_t) high << 32 | low),
    };
    return true;
}

static bool
skip(struct pcap *f, size_t n)
{
    while (n) {
        size_t chunk = n < MAX_BLOCK ? n : MAX_BLOCK;
        if (!fill(f, 0, chunk)) {
            return false;
        }
        n -= chunk;
    }
    return true;
}

/* A section begins, perhaps in another byte order.  8 bytes are there. */
static enum pcap_status
begin_section(struct pcap *f)
{
    if (!fill(f, 8, 4)) {
        return torn(f);
    }
    uint32_t order = be32_at(f->buf + 8);
    if (order != 0x1a2b3c4d && order != 0x4d3c2b1a) {
        return bad(f, "a section has no byte order");
    }
    f->little = order == 0x4d3c2b1a;
    f->n_interfaces = 0;
    struct cursor c = cur_init(f->buf + 4, 4);
    uint32_t size = get32(f, &c);
    if (size < 28 || size & 3) {
        return bad(f, "a section header has an impossible length");
    }
    return skip(f, size - 12) ? PCAP_FRAME : torn(f);
}

/* One block.  '*found': it was a frame. */
static enum pcap_status
next_block(struct pcap *f, struct pcap_frame *frame, bool *found)
{
    size_t got = f->read(f->aux, f->buf, 8);
    if (got < 8) {
        return got ? torn(f) : PCAP_END;
    }
    if (be32_at(f->buf) == BLOCK_SECTION) {
        return begin_section(f);
    }
    struct cursor c = cur_init(f->buf, 8);
    uint32_t type = get32(f, &c), size = get32(f, &c);
    if (size < 12 || size & 3) {
        return bad(f, "a block has an impossible length");
    }
    if (size - 8 > MAX_BLOCK) {
        return skip(f, size - 8) ? PCAP_FRAME : torn(f);
    }
    if (!fill(f, 0, size - 8)) {
        return torn(f);
    }
    c = cur_init(f->buf, size - 12);
    if (type == 1) {
        return add_interface(f, &c);
    }
    *found = block_frame(f, type, &c, frame);
    return PCAP_FRAME;
}

/* ---- Both. ---- */

static enum pcap_status
start(struct pcap *f)
{
    if (!fill(f, 0, 4)) {
        return torn(f);
    }
    uint32_t magic = be32_at(f->buf);
    f->started = true;
    if (magic != BLOCK_SECTION) {
        return classic_start(f, magic);
    }
    f->ng = true;
    return fill(f, 4, 4) ? begin_section(f) : torn(f);
}

enum pcap_status
pcap_next(struct pcap *f, struct pcap_frame *frame)
{
    if (!f->started) {
        enum pcap_status status = start(f);
        if (status != PCAP_FRAME) {
            return status;
        }
    }
    if (!f->ng) {
        return classic_next(f, frame);
    }
    for (;;) {
        bool found = false;
        enum pcap_status status = next_block(f, frame, &found);
        if (status != PCAP_FRAME || found) {
            return status;
        }
    }
}
