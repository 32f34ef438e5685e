#include <config.h>

#include "collector/input/steer.h"

#include <errno.h>
#include <linux/filter.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/cursor.h"

/* Offsets from the network header; the program itself begins after UDP's. */
#define NET (uint32_t) SKF_NET_OFF
#define SRC_V4 (NET + 12)
#define SRC_V6 (NET + 8)
#define PORT_V4 (NET + 20)      /* Without IP options: others spread worse. */
#define PORT_V6 (NET + 40)

struct program {
    struct sock_filter *insns;
    size_t n, max;
    bool full;
    bool v6;
};

static void
put(struct program *p, unsigned code, uint32_t k, uint8_t jt, uint8_t jf)
{
    if (p->n < p->max) {
        p->insns[p->n++] = (struct sock_filter) { (uint16_t) code, jt, jf,
                                                  k };
    } else {
        p->full = true;
    }
}

static void
load_source(struct program *p, unsigned word)
{
    put(p, BPF_LD | BPF_W | BPF_ABS, (p->v6 ? SRC_V6 : SRC_V4) + 4 * word,
        0, 0);
}

/* Goes on after a jump that is put last, whose place is returned, if the source
 * is in the prefix; else after that jump. */
static size_t
put_match(struct program *p, const struct prefix *x)
{
    const uint8_t *b = x->addr.b + (p->v6 ? 0 : 12);
    unsigned len = x->len - (p->v6 ? 0u : 96u);
    size_t first = p->n;
    for (unsigned w = 0; w * 32 < len; w++) {
        unsigned bits = len - w * 32 < 32 ? len - w * 32 : 32;
        uint32_t mask = UINT32_MAX << (32 - bits);
        load_source(p, w);
        if (bits < 32) {
            put(p, BPF_ALU | BPF_AND | BPF_K, mask, 0, 0);
        }
        put(p, BPF_JMP | BPF_JEQ | BPF_K, be32_at(b + 4 * w) & mask, 0, 0);
    }
    for (size_t i = first; i < p->n; i++) {     /* Another: past the jump. */
        if (BPF_CLASS(p->insns[i].code) == BPF_JMP) {
            p->insns[i].jf = (uint8_t) (p->n - i);
        }
    }
    put(p, BPF_JMP | BPF_JA, 0, 0, 0);
    return p->n - 1;
}

/* Makes the jumps at 'from' to 'to - 1' that lead nowhere yet lead here.
 * Within that range only put_match() puts any. */
static void
land_here(struct program *p, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        if (p->insns[i].code == (BPF_JMP | BPF_JA)) {
            p->insns[i].k = (uint32_t) (p->n - i - 1);
        }
    }
}

/* Answers a number from 'base' to 'base + n - 1' by address and port. */
static void
put_spread(struct program *p, const struct steer *s, unsigned base)
{
    unsigned words = p->v6 ? 4 : 1;
    put(p, BPF_LD | BPF_IMM, s->secret, 0, 0);
    for (unsigned w = 0; w <= words; w++) {
        put(p, BPF_ALU | BPF_MUL | BPF_K, 0x9e3779b1, 0, 0);
        put(p, BPF_MISC | BPF_TAX, 0, 0, 0);
        if (w < words) {
            load_source(p, w);
        } else {
            put(p, BPF_LD | BPF_H | BPF_ABS, p->v6 ? PORT_V6 : PORT_V4, 0, 0);
        }
        put(p, BPF_ALU | BPF_XOR | BPF_X, 0, 0, 0);
    }
    put(p, BPF_ALU | BPF_MUL | BPF_K, s->secret | 1, 0, 0);
    put(p, BPF_ALU | BPF_RSH | BPF_K, 16, 0, 0);
    put(p, BPF_ALU | BPF_MOD | BPF_K, s->n_workers, 0, 0);
    put(p, BPF_ALU | BPF_ADD | BPF_K, base, 0, 0);
    put(p, BPF_RET | BPF_A, 0, 0, 0);
}

#define SPREAD_SIZE 26          /* Of put_spread(), at most. */

static bool
is_of_family(const struct prefix *x, bool v6)
{
    return addr_is_v4(&x->addr) ? !v6 && x->len >= 96 : v6;
}

/* Who is not in the list goes to the last socket. */
static void
put_allowed(struct program *p, const struct steer *s)
{
    size_t first = p->n;
    for (size_t i = 0; i < s->n_allow && !p->full; i++) {
        if (is_of_family(&s->allow[i], p->v6)) {
            put_match(p, &s->allow[i]);
        }
    }
    put(p, BPF_RET | BPF_K, 2 * s->n_workers, 0, 0);
    if (p->full) {
        p->n = first;
        p->full = false;
        return;
    }
    land_here(p, first, p->n);
}

size_t
steer_program(const struct steer *s, bool v6, struct sock_filter *insns,
              size_t max)
{
    struct program p = { .insns = insns, .v6 = v6, };
    if (max < 2 * SPREAD_SIZE) {
        return 0;
    }
    p.max = max - 2 * SPREAD_SIZE;
    if (s->n_allow) {
        put_allowed(&p, s);
    }
    size_t first = p.n, end = p.n;
    for (size_t i = 0; i < s->n_known && !p.full; i++) {
        struct prefix x = { .addr = s->known[i], .len = 128 };
        if (is_of_family(&x, v6)) {
            put_match(&p, &x);
            end = p.full ? end : p.n;
        }
    }
    p.n = end;
    p.full = false;
    p.max = max;
    put_spread(&p, s, 0);
    land_here(&p, first, end);
    put_spread(&p, s, s->n_workers);
    return p.full ? 0 : p.n;
}

int
steer_attach(int fd, const struct steer *s, bool v6)
{
    struct sock_filter *insns = calloc(STEER_MAX, sizeof *insns);
    struct sock_fprog program = { .filter = insns };
    if (!insns) {
        return -ENOMEM;
    }
    int error = -E2BIG;
    /* Some kernels grant less than others (net.core.optmem_max). */
    for (size_t max = STEER_MAX; error && max >= 64; max /= 2) {
        program.len = (uint16_t) steer_program(s, v6, insns, max);
        error = setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF,
                           &program, sizeof program) ? -errno : 0;
    }
    free(insns);
    return error;
}
