#include <config.h>

#include "bgp/route_import.h"

#include <errno.h>
#include <ev.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bgp/packed.h"
#include "bgp/rib.h"
#include "lib/clock.h"
#include "lib/fnv.h"
#include "lib/thread.h"

#define ALL_FAMILIES ((1u << BGP_N_FAMILIES) - 1)
#define PIECE (256u << 10)      /* Records that are handed over at once. */
#define MAX_PIECES 4            /* That wait. */
#define MAX_IMPORTS 64
#define MAX_PEERS 2048          /* Of an import; the RIB has 4096. */
#define SLICE_US 2000
#define GLANCE 2048             /* Octets between looks at the clock. */
#define PAUSE_S 0.001
#define PROGRESS_MS 200
#define CHECK_PART 0.3          /* Of the way, seeing if it is whole. */

struct file_peer {
    struct addr address;
    uint32_t as, id;
    uint32_t number;            /* In the RIB. */
    bool told;                  /* In the import that runs. */
};

struct import {
    char name[ROUTE_IMPORT_NAME];
    int64_t time_us;
    struct file_peer *peers;
    uint32_t *numbers;          /* The same, for route_imports_each(). */
    size_t n_peers;
    struct import *next;
};

/* Whole records. */
struct piece {
    struct piece *next;
    uint8_t *data;
    size_t n;
    double part;                /* Of the file, behind it. */
};

struct job {
    struct route_imports *all;
    struct route_import_config c;
    char name[ROUTE_IMPORT_NAME];
    struct import *import;
    uint64_t size;              /* Of the file. */
    int64_t began_ms, told_ms;
    pthread_t thread;

    /* Main loop. */
    struct mrt_reader *reader;
    struct bgp_decoder *decoder;
    struct route_import_result r;
    struct piece *piece;        /* Being taken. */
    size_t at;
    size_t last_peer;
    uint32_t waits_for;         /* Peer to be cleared up; or RIB_NO_PEER. */
    bool applying;              /* The RIB has been touched. */

    atomic_bool cancel;
    pthread_mutex_t mutex;      /* Of what follows. */
    pthread_cond_t wake;
    struct piece *first, **end;
    unsigned n_pieces;
    bool checked, go, finished;
    double part;
    uint64_t records;           /* That were checked. */
    const char *wrong;          /* With the file; static. */
    bool no_mrt;
};

struct route_imports {
    struct ev_loop *loop;
    struct bgp_sink sink;
    struct import *list;
    unsigned n;
    struct job *job;
    ev_async told;
    ev_timer slice;
};

/* ---- The thread. ---- */

struct source {
    struct job *job;
    struct packed *packed;
    uint8_t *buf;
    size_t n, room;
};

/* Reads on until there are 'n' octets; false at the end. */
static bool
need(struct source *s, size_t n)
{
    if (n > s->room) {
        size_t room = n + PIECE;
        uint8_t *buf = realloc(s->buf, room);
        if (!buf) {
            return false;
        }
        s->buf = buf;
        s->room = room;
    }
    if (s->n < n) {
        s->n += packed_read(s->packed, s->buf + s->n, n - s->n);
    }
    return s->n >= n;
}

/* The next record, at the begin of the buffer; its size, or 0. */
static size_t
next_record(struct source *s, const char **wrong)
{
    struct mrt_header h;
    if (!need(s, MRT_HEADER_SIZE)) {
        *wrong = packed_error(s->packed) ? packed_error(s->packed)
                 : s->n ? "ends inside a record" : NULL;
        return 0;
    }
    if (!mrt_header_parse(s->buf, &h)) {
        *wrong = "has no record of MRT where one should begin";
        return 0;
    }
    if (!need(s, MRT_HEADER_SIZE + (size_t) h.size)) {
        *wrong = packed_error(s->packed) ? packed_error(s->packed)
                                         : "ends inside a record";
        return 0;
    }
    return MRT_HEADER_SIZE + (size_t) h.size;
}

static void
tell(struct job *j)
{
    ev_async_send(j->all->loop, &j->all->told);
}

/* Looks whether the file is whole. */
static void
check(struct source *s)
{
    struct job *j = s->job;
    const char *wrong = NULL;
    uint64_t n = 0;
    size_t size;
    bool looks = need(s, MRT_HEADER_SIZE) && mrt_looks(s->buf, s->n);
    while (looks && !atomic_load(&j->cancel)
           && (size = next_record(s, &wrong))) {
        s->n = 0;               /* A record is read exactly. */
        n++;
        if (n % 1024 == 0) {
            pthread_mutex_lock(&j->mutex);
            j->part = CHECK_PART * (double) packed_used(s->packed)
                      / (double) (j->size + 1);
            j->records = n;
            pthread_mutex_unlock(&j->mutex);
            tell(j);
        }
    }
    pthread_mutex_lock(&j->mutex);
    j->records = n;
    j->no_mrt = !looks && !packed_error(s->packed);
    j->wrong = looks ? wrong : packed_error(s->packed)
               ? packed_error(s->packed) : "is no MRT file";
    j->checked = true;
    tell(j);
    while (!j->go && !atomic_load(&j->cancel)) {
        pthread_cond_wait(&j->wake, &j->mutex);
    }
    pthread_mutex_unlock(&j->mutex);
}

static void
hand_over(struct job *j, uint8_t *data, size_t n, double part)
{
    struct piece *p = malloc(sizeof *p);
    if (!p) {
        free(data);
        return;
    }
    *p = (struct piece) { .data = data, .n = n, .part = part };
    pthread_mutex_lock(&j->mutex);
    while (j->n_pieces >= MAX_PIECES && !atomic_load(&j->cancel)) {
        pthread_cond_wait(&j->wake, &j->mutex);
    }
    *j->end = p;
    j->end = &p->next;
    j->n_pieces++;
    pthread_mutex_unlock(&j->mutex);
    tell(j);
}

static void
feed(struct source *s)
{
    struct job *j = s->job;
    const char *wrong;
    uint8_t *data = NULL;
    size_t n = 0, room = 0, size;
    while (!atomic_load(&j->cancel) && (size = next_record(s, &wrong))) {
        if (n + size > room) {
            room = n + size > PIECE ? n + size : PIECE;
            uint8_t *more = realloc(data, room);
            if (!more) {
                break;
            }
            data = more;
        }
        memcpy(data + n, s->buf, size);
        n += size;
        s->n = 0;
        if (n > PIECE / 2) {
            hand_over(j, data, n, (double) packed_used(s->packed)
                                  / (double) (j->size + 1));
            data = NULL;
            n = room = 0;
        }
    }
    if (n) {
        hand_over(j, data, n, 1);
    } else {
        free(data);
    }
}

static bool
open_source(struct source *s)
{
    int fd = lseek(s->job->c.fd, 0, SEEK_SET) < 0 ? -1 : dup(s->job->c.fd);
    s->n = 0;
    s->packed = fd < 0 ? NULL : packed_open(fd);
    return s->packed != NULL;
}

static void *
run(void *job)
{
    struct job *j = job;
    struct source s = { .job = j };
    if (open_source(&s)) {
        check(&s);
        packed_close(s.packed);
    } else {
        pthread_mutex_lock(&j->mutex);
        j->wrong = "cannot be read from its begin: is it a file?";
        j->checked = true;
        pthread_mutex_unlock(&j->mutex);
        tell(j);
    }
    if (j->go && !atomic_load(&j->cancel) && open_source(&s)) {
        feed(&s);
        packed_close(s.packed);
    }
    free(s.buf);
    pthread_mutex_lock(&j->mutex);
    j->finished = true;
    pthread_mutex_unlock(&j->mutex);
    tell(j);
    return NULL;
}

/* ---- What records say. ---- */

/* Its number in the RIB; it is told that it is up when it is seen first. */
static uint32_t
peer_of(struct job *j, const struct mrt_peer *p)
{
    struct import *m = j->import;
    const struct bgp_sink *sink = &j->all->sink;
    size_t i = j->last_peer;
    if (i >= m->n_peers || !addr_equal(&m->peers[i].address, &p->address)) {
        for (i = 0; i < m->n_peers; i++) {
            if (addr_equal(&m->peers[i].address, &p->address)) {
                break;
            }
        }
    }
    if (i == m->n_peers) {
        if (m->n_peers == MAX_PEERS) {
            return RIB_NO_PEER;
        }
        m->peers[m->n_peers++] = (struct file_peer) {
            .address = p->address, .number = RIB_NO_PEER };
    }
    j->last_peer = i;
    struct file_peer *f = &m->peers[i];
    if (f->told) {
        return f->number;
    }
    char address[ADDR_STRLEN], name[ROUTE_IMPORT_NAME + ADDR_STRLEN];
    snprintf(name, sizeof name, "%s %s", m->name,
             addr_format(&p->address, address));
    struct bgp_peer_info info = {
        .kind = BGP_PEER_FILE, .address = p->address,
        .rd = fnv_text(FNV_START, m->name), .as = p->as, .id = p->id,
        .name = name,
    };
    bool again = f->number != RIB_NO_PEER;
    f->told = true;
    f->as = p->as;
    f->id = p->id;
    if (again) {
        for (enum bgp_family k = 0; k < BGP_N_FAMILIES; k++) {
            sink->mark_stale(sink->aux, f->number, k);
        }
    }
    f->number = sink->peer_up(sink->aux, &info);
    m->numbers[i] = f->number;
    return f->number;
}

static void
on_route(void *job, const struct mrt_route *r)
{
    struct job *j = job;
    const struct bgp_sink *sink = &j->all->sink;
    uint32_t peer = peer_of(j, r->peer);
    if (peer == RIB_NO_PEER) {
        j->r.refused_peers++;
        return;
    }
    sink->announce(sink->aux, peer, &r->nlri, r->attrs);
    j->r.announced++;
}

static void
ignore_end_of_rib(void *aux, uint32_t peer, enum bgp_family f)
{
    (void) aux;
    (void) peer;
    (void) f;
}

static void
on_message(void *job, const struct mrt_message *m)
{
    struct job *j = job;
    struct bgp_params params = {
        .as4 = m->peer.as4, .internal = true, .lenient = true,
        .guess_paths = !m->add_path, .families = ALL_FAMILIES,
        .add_path = m->add_path ? ALL_FAMILIES : 0,
    };
    struct bgp_update u;
    if (m->type != BGP_UPDATE || m->local) {
        return;
    }
    uint32_t peer = peer_of(j, &m->peer);
    if (peer == RIB_NO_PEER) {
        j->r.refused_peers++;
        return;
    }
    /* A file ends somewhere: nothing of it completes a table. */
    struct bgp_sink sink = j->all->sink;
    sink.end_of_rib = ignore_end_of_rib;
    bgp_update_decode(j->decoder, &params, m->body, &u);
    bgp_update_deliver(&params, &u, &sink, peer);
    j->r.announced += u.n_announced;
    j->r.withdrawn += u.n_withdrawn;
}

static void
on_state(void *job, const struct mrt_state *s)
{
    struct job *j = job;
    const struct bgp_sink *sink = &j->all->sink;
    const uint16_t established = 6;
    uint32_t peer = s->old == established && s->now != established
                    ? peer_of(j, &s->peer) : RIB_NO_PEER;
    for (enum bgp_family f = 0; peer != RIB_NO_PEER && f < BGP_N_FAMILIES;
         f++) {
        sink->purge(sink->aux, peer, f, false);
    }
    if (peer != RIB_NO_PEER) {
        j->waits_for = peer;
    }
}

/* A file in which a peer comes and goes all the time goes no faster than what
 * it leaves can be cleared up: that is done when the main loop is idle. */
static bool
must_wait(struct job *j)
{
    const struct bgp_sink *sink = &j->all->sink;
    if (j->waits_for != RIB_NO_PEER
        && (!sink->ready || sink->ready(sink->aux, j->waits_for))) {
        j->waits_for = RIB_NO_PEER;
    }
    return j->waits_for != RIB_NO_PEER;
}

/* ---- Imports. ---- */

static struct import **
find(struct route_imports *all, const char *name)
{
    struct import **link = &all->list;
    while (*link && strcmp((*link)->name, name)) {
        link = &(*link)->next;
    }
    return link;
}

static void
import_free(struct import *m)
{
    if (m) {
        free(m->peers);
        free(m->numbers);
        free(m);
    }
}

static struct import *
import_create(const char *name)
{
    struct import *m = calloc(1, sizeof *m);
    if (m) {
        snprintf(m->name, sizeof m->name, "%s", name);
        m->peers = calloc(MAX_PEERS, sizeof *m->peers);
        m->numbers = calloc(MAX_PEERS, sizeof *m->numbers);
    }
    if (m && (!m->peers || !m->numbers)) {
        import_free(m);
        return NULL;
    }
    return m;
}

/* All its peers go. */
static void
drop(struct route_imports *all, struct import **link)
{
    struct import *m = *link;
    for (size_t i = 0; i < m->n_peers; i++) {
        if (m->peers[i].number != RIB_NO_PEER) {
            all->sink.peer_down(all->sink.aux, m->peers[i].number);
        }
    }
    *link = m->next;
    all->n--;
    import_free(m);
}

/* What was not told again goes. */
static void
complete(struct job *j)
{
    struct route_imports *all = j->all;
    struct import *m = j->import;
    size_t n = 0;
    for (size_t i = 0; i < m->n_peers; i++) {
        struct file_peer f = m->peers[i];
        if (!f.told && f.number != RIB_NO_PEER) {
            all->sink.peer_down(all->sink.aux, f.number);
        }
        for (enum bgp_family k = 0; f.told && f.number != RIB_NO_PEER
             && k < BGP_N_FAMILIES; k++) {
            all->sink.end_of_rib(all->sink.aux, f.number, k);
        }
        if (f.told && f.number != RIB_NO_PEER) {
            f.told = false;
            m->numbers[n] = f.number;
            m->peers[n++] = f;
        }
    }
    m->n_peers = n;
    m->time_us = clock_wall_us();
    j->r.n_peers = n;
}

/* ---- The main loop. ---- */

static void
free_pieces(struct piece *p)
{
    while (p) {
        struct piece *next = p->next;
        free(p->data);
        free(p);
        p = next;
    }
}

/* The thread has ended, or is told to. */
static void
finish(struct job *j, enum route_import_status status, const char *error)
{
    struct route_imports *all = j->all;
    atomic_store(&j->cancel, true);
    pthread_mutex_lock(&j->mutex);
    pthread_cond_broadcast(&j->wake);
    pthread_mutex_unlock(&j->mutex);
    pthread_join(j->thread, NULL);
    ev_timer_stop(all->loop, &all->slice);
    all->job = NULL;
    if (status == ROUTE_IMPORT_OK) {
        complete(j);
    } else if (j->import) {
        struct import **link = find(all, j->name);
        if (j->applying || !(*link)->n_peers) {
            drop(all, link);    /* Half of it is worse than none. */
        }
    }
    j->r.status = status;
    if (error) {
        snprintf(j->r.error, sizeof j->r.error, "%s", error);
    }
    if (j->reader) {
        j->r.n = *mrt_reader_counters(j->reader);
    }
    j->r.elapsed_ms = clock_mono_ms() - j->began_ms;
    j->c.done(j->c.aux, &j->r);
    mrt_reader_destroy(j->reader);
    bgp_decoder_destroy(j->decoder);
    free_pieces(j->first);
    free_pieces(j->piece);
    pthread_mutex_destroy(&j->mutex);
    pthread_cond_destroy(&j->wake);
    close(j->c.fd);
    free(j);
}

static void
tell_progress(struct job *j, double part, uint64_t records)
{
    int64_t now = clock_mono_ms();
    if (j->c.progress && now - j->told_ms >= PROGRESS_MS) {
        j->told_ms = now;
        j->c.progress(j->c.aux, part, records);
    }
}

/* The file has been looked through.  False: that was all. */
static bool
begin_applying(struct job *j)
{
    char error[200];
    if (j->wrong && (j->no_mrt || !j->records || !j->c.damaged)) {
        snprintf(error, sizeof error, "%s%s", j->wrong,
                 j->no_mrt || !j->records ? "" : "; nothing was imported");
        finish(j, j->no_mrt || !j->records ? ROUTE_IMPORT_BAD_FILE
                                           : ROUTE_IMPORT_DAMAGED, error);
        return false;
    }
    if (j->wrong) {
        snprintf(j->r.error, sizeof j->r.error, "%s", j->wrong);
    }
    struct route_imports *all = j->all;
    struct import **link = find(all, j->name);
    j->r.replaced = *link != NULL;
    if (!*link && all->n < MAX_IMPORTS && (*link = import_create(j->name))) {
        all->n++;
    }
    j->import = *link;
    j->reader = mrt_reader_create();
    j->decoder = bgp_decoder_create();
    if (!j->import || !j->reader || !j->decoder) {
        finish(j, ROUTE_IMPORT_FAILED, all->n < MAX_IMPORTS
               ? "out of memory" : "there are 64 imports already");
        return false;
    }
    j->applying = true;
    j->waits_for = RIB_NO_PEER;
    pthread_mutex_lock(&j->mutex);
    j->go = true;
    pthread_cond_broadcast(&j->wake);
    pthread_mutex_unlock(&j->mutex);
    return true;
}

static struct piece *
next_piece(struct job *j, bool *finished)
{
    pthread_mutex_lock(&j->mutex);
    struct piece *p = j->first;
    if (p) {
        j->first = p->next;
        j->end = j->first ? j->end : &j->first;
        p->next = NULL;
        j->n_pieces--;
        pthread_cond_broadcast(&j->wake);
    }
    *finished = !p && j->finished;
    pthread_mutex_unlock(&j->mutex);
    return p;
}

/* Takes records for a while. */
static void
apply(struct job *j)
{
    const struct mrt_handler to = { j, false, NULL, on_route, on_message,
                                    on_state };
    int64_t end_us = clock_mono_us() + SLICE_US;
    struct route_imports *all = j->all;
    bool finished = false, more = true;
    size_t taken = 0;
    while (!must_wait(j)) {
        if (!j->piece) {
            j->piece = next_piece(j, &finished);
            j->at = 0;
        }
        if (!j->piece) {
            more = false;       /* The thread tells when there is. */
            break;
        }
        struct mrt_header h;
        mrt_header_parse(j->piece->data + j->at, &h);
        mrt_record(j->reader, &h, j->piece->data + j->at + MRT_HEADER_SIZE,
                   &to);
        j->at += MRT_HEADER_SIZE + h.size;
        taken += MRT_HEADER_SIZE + h.size;
        if (j->at == j->piece->n) {
            tell_progress(j, CHECK_PART + (1 - CHECK_PART) * j->piece->part,
                          counter_get(&mrt_reader_counters(j->reader)
                                      ->records));
            free_pieces(j->piece);
            j->piece = NULL;
        }
        if (taken >= GLANCE) {  /* A record may hold a thousand routes. */
            taken = 0;
            if (clock_mono_us() >= end_us) {
                break;
            }
        }
    }
    if (finished) {
        finish(j, ROUTE_IMPORT_OK, NULL);
    } else if (more) {
        ev_timer_set(&all->slice, PAUSE_S, 0.);
        ev_timer_start(all->loop, &all->slice);
    }
}

static void
on_slice(struct ev_loop *loop, ev_timer *w, int revents)
{
    struct route_imports *all = w->data;
    (void) loop;
    (void) revents;
    if (all->job) {
        apply(all->job);
    }
}

static void
on_told(struct ev_loop *loop, ev_async *w, int revents)
{
    struct route_imports *all = w->data;
    struct job *j = all->job;
    (void) loop;
    (void) revents;
    if (!j) {
        return;
    }
    pthread_mutex_lock(&j->mutex);
    bool checked = j->checked;
    double part = j->part;
    uint64_t records = j->records;
    pthread_mutex_unlock(&j->mutex);
    if (!checked) {
        tell_progress(j, part, records);
    } else if (!j->applying) {
        begin_applying(j);
    } else if (!ev_is_active(&all->slice) && !ev_is_pending(&all->slice)) {
        apply(j);               /* Else its slice has yet to come. */
    }
}

/* ---- From outside. ---- */

int
route_import_start(struct route_imports *all,
                   const struct route_import_config *c)
{
    struct stat st;
    struct job *j = all->job ? NULL : calloc(1, sizeof *j);
    if (!j) {
        close(c->fd);
        return all->job ? -EBUSY : -ENOMEM;
    }
    j->all = all;
    j->c = *c;
    snprintf(j->name, sizeof j->name, "%s", c->name);
    j->end = &j->first;
    j->size = fstat(c->fd, &st) ? 0 : (uint64_t) st.st_size;
    j->began_ms = j->told_ms = clock_mono_ms();
    pthread_mutex_init(&j->mutex, NULL);
    pthread_cond_init(&j->wake, NULL);
    int error = thread_start(&j->thread, "route-import", run, j);
    if (error) {
        close(c->fd);
        pthread_mutex_destroy(&j->mutex);
        pthread_cond_destroy(&j->wake);
        free(j);
        return error;
    }
    all->job = j;
    return 0;
}

void
route_import_cancel(struct route_imports *all)
{
    if (all->job) {
        finish(all->job, ROUTE_IMPORT_CANCELLED, "cancelled");
    }
}

int
route_import_remove(struct route_imports *all, const char *name)
{
    struct import **link = find(all, name);
    if (!*link) {
        return -ENOENT;
    }
    if (all->job && all->job->import == *link) {
        return -EBUSY;
    }
    drop(all, link);
    return 0;
}

void
route_imports_each(const struct route_imports *all, route_import_fn *each,
                   void *aux)
{
    for (const struct import *m = all->list; m; m = m->next) {
        struct route_import_info info = { m->name, m->time_us, m->numbers,
                                          m->n_peers };
        each(aux, &info);
    }
}

struct route_imports *
route_imports_create(struct ev_loop *loop, const struct bgp_sink *sink)
{
    struct route_imports *all = calloc(1, sizeof *all);
    if (all) {
        all->loop = loop;
        all->sink = *sink;
        ev_async_init(&all->told, on_told);
        ev_timer_init(&all->slice, on_slice, PAUSE_S, 0.);
        all->told.data = all->slice.data = all;
        ev_async_start(loop, &all->told);
    }
    return all;
}

void
route_imports_destroy(struct route_imports *all)
{
    if (!all) {
        return;
    }
    route_import_cancel(all);
    while (all->list) {
        drop(all, &all->list);
    }
    ev_timer_stop(all->loop, &all->slice);
    ev_async_stop(all->loop, &all->told);
    free(all);
}
