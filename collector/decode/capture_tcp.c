#include <config.h>

#include "collector/decode/capture_p.h"

#include <stdlib.h>

/* TCP streams (RFC 9293), as much of them as a reader of captures needs: bytes
 * in order, each once.  One direction is one stream. */

enum { FIN = 1, SYN = 2, RST = 4 };

struct tcp {
    uint16_t src_port, dst_port;
    uint32_t seq;
    uint8_t flags;
};

static void
drop_waiting(struct stream *s)
{
    for (unsigned i = 0; i < s->n_waiting; i++) {
        free(s->waiting[i].data);
    }
    s->n_waiting = 0;
    s->waiting_bytes = 0;
}

/* What waits comes after octets that never came.  The tap goes on behind
 * them. */
static void take_waiting(struct stream *);

static void
skip_gap(struct stream *s)
{
    const struct capture_tap *tap = s->capture->tap;
    while (s->n_waiting) {
        uint32_t next = s->waiting[0].seq;
        for (unsigned i = 1; i < s->n_waiting; i++) {
            if ((int32_t) (s->waiting[i].seq - next) < 0) {
                next = s->waiting[i].seq;
            }
        }
        counter_inc(&s->capture->n.stream_gap);
        tap->gap(s->tap);
        s->next = next;
        take_waiting(s);
    }
}

/* The rest of the stream is not looked at. */
static void
give_up(struct stream *s, counter_t *reason)
{
    if (!s->dead) {
        counter_inc(reason);
    }
    s->dead = true;
    drop_waiting(s);
    ipfix_stream_clear(&s->ipfix);
}

/* Nothing more will come that is new. */
static void
finish(struct stream *s)
{
    struct capture_counters *n = &s->capture->n;
    if (s->tap) {
        skip_gap(s);
        s->capture->tap->end(s->tap);
        s->tap = NULL;
        s->dead = true;
    }
    if (!s->dead && s->n_waiting) {
        give_up(s, &n->stream_gap);
    } else if (!s->dead && ipfix_stream_partial(&s->ipfix)) {
        give_up(s, &n->stream_end);
    }
    drop_waiting(s);
    ipfix_stream_clear(&s->ipfix);
    s->dead = s->ended = true;
}

static void
end(struct stream *s)
{
    if (!s->ended) {
        finish(s);
    }
    memset(s, 0, sizeof *s);
}

static struct stream *
find_stream(struct capture *cap, const struct segment *seg,
            const struct tcp *tcp)
{
    struct stream *oldest = &cap->streams[0];
    for (size_t i = 0; i < N_STREAMS; i++) {
        struct stream *s = &cap->streams[i];
        if (s->used && s->src_port == tcp->src_port
            && s->dst_port == tcp->dst_port && addr_equal(&s->src, &seg->src)
            && addr_equal(&s->dst, &seg->dst)) {
            return s;
        } else if (s->age < oldest->age) {
            oldest = s;
        }
    }
    if (oldest->used) {
        if (!oldest->dead && !oldest->tap && !oldest->ended) {
            give_up(oldest, &cap->n.stream_limit);
        }
        end(oldest);
    }
    *oldest = (struct stream) {
        .src = seg->src, .dst = seg->dst, .src_port = tcp->src_port,
        .dst_port = tcp->dst_port, .used = true, .capture = cap,
        .next = tcp->seq + !!(tcp->flags & SYN),
    };
    return oldest;
}

static void
on_message(void *stream, const uint8_t *p, size_t n)
{
    struct stream *s = stream;
    struct datagram d = {
        .data = p, .size = n, .src = s->src, .src_port = s->src_port,
        .received_us = s->time_us,
    };
    s->capture->each(s->capture->aux, &d);
}

/* Bytes that are next. */
static void
deliver(struct stream *s, const uint8_t *p, size_t n)
{
    s->first = s->begun ? s->first : s->next;
    s->next += (uint32_t) n;
    bool first = !s->begun;
    s->begun = true;
    if (s->dead || !n) {
        return;
    }
    const struct capture_tap *tap = s->capture->tap;
    if (first && tap) {
        struct capture_stream info = { s->src, s->dst, s->src_port,
                                       s->dst_port, s->from_start };
        s->tap = tap->begin(tap->aux, &info, p, n);
    }
    if (s->tap) {
        tap->bytes(s->tap, p, n, s->time_us);
        return;
    }
    if (ipfix_stream_feed(&s->ipfix, p, n, on_message, s)) {
        give_up(s, first ? &s->capture->n.not_ipfix
                         : &s->capture->n.stream_gap);
    }
}

static void take(struct stream *, uint32_t seq, const uint8_t *, size_t);

static void
wait_for_gap(struct stream *s, uint32_t seq, const uint8_t *p, size_t n)
{
    if (s->dead) {
        return;
    }
    uint8_t *copy = NULL;
    if (s->n_waiting < MAX_WAITING_SEGMENTS
        && s->waiting_bytes + n <= MAX_WAITING) {
        copy = malloc(n);
    }
    if (!copy && s->tap && s->n_waiting) {
        skip_gap(s);
        take(s, seq, p, n);
        return;
    } else if (!copy) {
        give_up(s, &s->capture->n.stream_gap);
        return;
    }
    memcpy(copy, p, n);
    s->waiting[s->n_waiting++] = (struct waiting) { seq, n, copy };
    s->waiting_bytes += n;
}

/* Data at 'seq': before, at or after what comes next. */
static void
take(struct stream *s, uint32_t seq, const uint8_t *p, size_t n)
{
    uint32_t known = s->next - seq;     /* Bytes that have been delivered. */
    if ((int32_t) (seq - s->next) > 0) {
        wait_for_gap(s, seq, p, n);
    } else if (known < n) {
        deliver(s, p + known, n - known);
    }
}

/* What waited and has become next. */
static void
take_waiting(struct stream *s)
{
    for (unsigned i = 0; i < s->n_waiting; ) {
        struct waiting w = s->waiting[i];
        if ((int32_t) (w.seq - s->next) > 0) {
            i++;
            continue;
        }
        s->waiting[i] = s->waiting[--s->n_waiting];
        s->waiting_bytes -= w.n;
        take(s, w.seq, w.data, w.n);
        free(w.data);
        i = 0;
    }
}

/* Whether a segment belongs to a connection after the one that 's' was.  What
 * of that one is sent again does not. */
static bool
begins_anew(const struct stream *s, const struct tcp *tcp, size_t n)
{
    uint32_t at = tcp->seq - s->first;
    if (tcp->flags & SYN) {
        return s->begun || s->ended;
    }
    return s->ended && n
           && (!s->begun || at >= s->next - s->first
               || n > s->next - s->first - at);
}

void
capture_tcp(struct capture *cap, struct segment *seg)
{
    const uint8_t *h = cur_take(&seg->c, 20);
    size_t head = h ? (h[12] >> 4) * 4u : 0;
    if (head < 20) {
        counter_inc(&cap->n.cut_short);
        return;
    }
    struct tcp tcp = { be16_at(h), be16_at(h + 2), be32_at(h + 4), h[13] };
    cur_skip(&seg->c, head - 20);
    size_t n = cur_left(&seg->c);
    if (!n && !(tcp.flags & (SYN | FIN | RST))) {
        return;                 /* An acknowledgement. */
    }
    struct stream *s = find_stream(cap, seg, &tcp);
    s->age = cap->now;
    s->time_us = seg->time_us;
    if (begins_anew(s, &tcp, n)) {      /* The ports are used again. */
        end(s);
        s = find_stream(cap, seg, &tcp);
        s->age = cap->now;
        s->time_us = seg->time_us;
    }
    if (tcp.flags & SYN) {
        s->next = tcp.seq + 1;
        s->from_start = true;
        s->syn_data = n != 0;
    } else if (n && s->syn_data) {
        /* Captures that were made up: SYN has data and does not count. */
        s->next -= s->begun && tcp.seq == s->next - 1;
        s->syn_data = false;
    }
    if (n) {
        counter_inc(&cap->n.tcp);
        take(s, tcp.seq + !!(tcp.flags & SYN), seg->c.p, n);
        take_waiting(s);
    }
    if (tcp.flags & FIN && !s->fin) {
        s->fin = true;
        s->fin_at = tcp.seq + !!(tcp.flags & SYN) + (uint32_t) n;
    }
    /* Segments may change places with the one that has the FIN. */
    if (!s->ended && (tcp.flags & RST || (s->fin && !s->n_waiting
                         && (int32_t) (s->next - s->fin_at) >= 0))) {
        finish(s);
    }
}

void
capture_tcp_finish(struct capture *cap)
{
    for (size_t i = 0; i < N_STREAMS; i++) {
        if (cap->streams[i].used) {
            end(&cap->streams[i]);
        }
    }
}
