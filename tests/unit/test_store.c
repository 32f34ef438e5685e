#include <config.h>

#include "collector/store/store.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "collector/store/scan.h"
#include "collector/store/view.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "tests/unit/store_util.h"
#include "tests/unit/unit.h"

static struct dict *dict;
static struct source source;

/* One integer expression over all rows; -1 on error. */
static int64_t
total(struct store *s, const char *expression, unsigned *n_segments)
{
    struct store_view v;
    struct scan_spec everything = { .filter = NULL };
    char error[256], sql[512], relation[SCAN_RELATION_LEN];
    int64_t sum = -1;
    duckdb_result r;

    if (store_view_open(s, 0, INT64_MAX, &v, error, sizeof error)) {
        fprintf(stderr, "view: %s\n", error);
        return -1;
    }
    if (n_segments) {
        *n_segments = (unsigned) v.n_segments;
    }
    struct scan *scan = scan_open(&v, &everything);
    scan_relation(scan, relation);
    snprintf(sql, sizeof sql, "SELECT %s FROM %s f", expression, relation);
    if (duckdb_query(v.conn, sql, &r) != DuckDBSuccess) {
        fprintf(stderr, "%s\n", duckdb_result_error(&r));
    } else {
        duckdb_data_chunk c = duckdb_fetch_chunk(r);
        sum = *(int64_t *) duckdb_vector_get_data(
            duckdb_data_chunk_get_vector(c, 0));
        duckdb_destroy_data_chunk(&c);
    }
    duckdb_destroy_result(&r);
    scan_close(scan);
    store_view_close(&v);
    return sum;
}

static int64_t
count(struct store *s, const char *where)
{
    char sql[256];
    snprintf(sql, sizeof sql, "count(*) FILTER (%s)", where);
    return total(s, sql, NULL);
}

/* Files of DIR/flows whose name contains 'part'. */
static unsigned
n_files(const char *dir, const char *part)
{
    char path[512];
    unsigned n = 0;
    snprintf(path, sizeof path, "%s/flows", dir);
    DIR *d = opendir(path);
    struct dirent *e;
    while (d && (e = readdir(d))) {
        n += strstr(e->d_name, part) != NULL;
    }
    if (d) {
        closedir(d);
    }
    return n;
}

static bool
put(struct store *s, uint32_t n, int64_t arrival, uint64_t *seed)
{
    struct flow_batch *b = store_batch_get(s);
    if (!b) {
        return false;
    }
    util_fill(b, n, arrival, seed, dict, &source);
    if (!store_submit(s, b)) {
        store_batch_put(s, b);
        return false;
    }
    return true;
}

static bool
ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && !strcmp(text + n - m, end);
}

/* Every value of every type comes back, and null stays null. */
static void
test_types(void)
{
    char *dir = util_mkdir();
    struct store *s = util_open(dir, dict, NULL);
    CU_ASSERT_FATAL(s != NULL);
    CU_ASSERT_EQUAL(n_files(dir, ".flows"), 0);        /* Lazy. */

    struct flow_batch *b = store_batch_get(s);
    struct addr v6 = { { 0x20, 1, 0xd, 0xb8, [15] = 9 } };
    b->oldest_us = UTIL_T0;
    for (unsigned id = 0; id < N_COLUMNS; id++) {
        if (!(columns[id].flags & CF_NULL)) {
            batch_set_valid_range(b, id, 0, 3);
        }
    }
    batch_zero_rows(b, 0, 3);
    for (uint32_t i = 0; i < 3; i++) {
        b->flow_end[i] = UTIL_T0 + i;
        b->bytes[i] = UINT64_MAX - i;
        b->canonical[i] = 7;            /* Any nonzero is true. */
    }
    BATCH_SET(b, src_addr, 1, addr_from_v4_bytes((uint8_t[]) { 10, 0, 0, 1 }));
    BATCH_SET(b, src_addr, 2, v6);
    BATCH_SET(b, src_mac, 2, 0x0000ffffffffffff);
    BATCH_SET(b, bridge, 1, dict_intern(dict, "br-int", 6));
    BATCH_SET(b, bridge, 2, dict_intern(dict, "", 0));
    b->flow_start[0] = INT64_MIN;       /* Not infinity, not an error. */
    b->flow_start[1] = INT64_MAX;
    b->n = 3;
    batch_add_span(b, &source, 0);
    CU_ASSERT(store_submit(s, b));
    CU_ASSERT(util_wait(s, 3));

    CU_ASSERT_EQUAL(total(s, "count(*)", NULL), 3);
    CU_ASSERT_EQUAL(count(s, "src_addr IS NULL AND bridge IS NULL"), 1);
    CU_ASSERT_EQUAL(count(s, "src_addr = 281470849515521"), 1);
    CU_ASSERT_EQUAL(count(s, "src_addr = 42540766411282592856903984951653826"
                          "569"), 1);
    CU_ASSERT_EQUAL(count(s, "bridge = 'br-int'"), 1);
    CU_ASSERT_EQUAL(count(s, "bridge = ''"), 1);
    CU_ASSERT_EQUAL(count(s, "src_mac = 281474976710655"), 1);
    CU_ASSERT_EQUAL(count(s, "bytes = 18446744073709551615"), 1);
    CU_ASSERT_EQUAL(count(s, "canonical"), 3);
    CU_ASSERT_EQUAL(count(s, "flow_start = '1970-01-01'"), 2);
    CU_ASSERT_EQUAL(count(s, "isfinite(flow_start)"), 3);
    struct store_health h;
    store_health(s, &h);
    CU_ASSERT(h.writing);
    CU_ASSERT_EQUAL(h.n_segments, 1);
    CU_ASSERT_EQUAL(h.oldest_us, UTIL_T0);
    CU_ASSERT_EQUAL(h.newest_us, UTIL_T0 + 2);
    store_close(s);
    util_rmdir(dir);
    free(dir);
}

/* Random batches: sums and names are those that were put in, also after the
 * store was closed and opened, and went on within the hour. */
static void
test_sums_and_reopen(void)
{
    char *dir = util_mkdir();
    uint64_t seed = 1, rows = 0;
    int64_t bytes = 0, nulls = 0, br_int = 0;
    uint32_t id = dict_intern(dict, "br-int", 6);

    for (int round = 0; round < 3; round++) {
        struct store *s = util_open(dir, dict, NULL);
        CU_ASSERT_FATAL(s != NULL);
        for (int i = 0; i < 20; i++) {
            struct flow_batch *b = store_batch_get(s);
            util_fill(b, 1 + (uint32_t) (util_random(&seed) % BATCH_ROWS),
                      UTIL_T0 + i, &seed, dict, &source);
            for (uint32_t r = 0; r < b->n; r++) {
                bytes += (int64_t) b->bytes[r];
                nulls += !batch_is_valid(b, COL_vni, r);
                br_int += batch_is_valid(b, COL_bridge, r)
                          && b->bridge[r] == id;
            }
            rows += b->n;
            while (!store_submit(s, b)) {
                usleep(1000);
            }
        }
        store_close(s);
        CU_ASSERT_EQUAL(n_files(dir, ".corrupt"), 0);
        s = util_open(dir, dict, NULL);
        CU_ASSERT_EQUAL(total(s, "count(*)", NULL), (int64_t) rows);
        CU_ASSERT_EQUAL(total(s, "sum(bytes)::BIGINT", NULL), bytes);
        CU_ASSERT_EQUAL(count(s, "vni IS NULL"), nulls);
        CU_ASSERT_EQUAL(count(s, "bridge = 'br-int'"), br_int);
        store_close(s);
    }
    CU_ASSERT_EQUAL(n_files(dir, ".flows"), 1);
    util_rmdir(dir);
    free(dir);
}

/* Rows that all say the same little: what is left out, derived or narrowed on
 * disk comes back as it was. */
static void
fill_plain(struct flow_batch *b, uint32_t n, uint64_t *seed, uint32_t variant)
{
    b->oldest_us = UTIL_T0;
    batch_zero_rows(b, 0, n);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t r = util_random(seed);
        bool v6 = variant & 1 && r % 5 == 0;
        struct addr a = { { 0x20, 1, 0xd, 0xb8, [15] = (uint8_t) (r >> 8) } };
        if (!v6) {
            a = addr_from_v4_bytes((uint8_t[]) { 192, 168, (uint8_t) (r >> 16),
                                                 (uint8_t) (r >> 8) });
        }
        b->flow_end[i] = b->flow_start[i] = b->received[i]
            = UTIL_T0 + (int64_t) (r >> 40);
        b->exporter[i] = addr_from_v4_bytes((uint8_t[]) { 10, 0, 0, 9 });
        b->export_protocol[i] = PROTO_SFLOW5;
        b->canonical[i] = 1;
        BATCH_SET(b, src_addr, i, a);
        BATCH_SET(b, dst_addr, i, a);
        BATCH_SET(b, ip_version, i, v6 ? 6 : 4);
        BATCH_SET(b, sampling, i, variant & 2 ? 1000 : 1);
        b->raw_packets[i] = 1;
        b->raw_bytes[i] = 40 + r % 1400;
        b->packets[i] = b->sampling[i];
        b->bytes[i] = b->raw_bytes[i] * b->sampling[i];
        if (variant & 4 && r % 1000 == 0) {
            b->bytes[i] = b->raw_bytes[i] = UINT64_C(1) << 40;
            b->flow_start[i] -= 7;
            b->canonical[i] = 0;
            BATCH_SET(b, next_hop, i, a);
        }
        if (variant & 8) {
            BATCH_SET(b, dst_port, i, (uint16_t) (r & 511));
        }
    }
    b->n = n;
    batch_add_span(b, &source, 0);
}

/* Sums that tell one set of rows from another. */
struct sums {
    int64_t rows, bytes, raw_bytes, packets, v6, addrs, canonical, hops, ports,
            started, exporter, sampled;
};

static void
add_sums(struct sums *s, const struct flow_batch *b)
{
    s->rows += b->n;
    for (uint32_t i = 0; i < b->n; i++) {
        s->bytes += (int64_t) b->bytes[i];
        s->raw_bytes += (int64_t) b->raw_bytes[i];
        s->packets += (int64_t) b->packets[i];
        s->v6 += b->ip_version[i] == 6;
        s->addrs += b->src_addr[i].b[15];
        s->canonical += b->canonical[i];
        s->hops += batch_is_valid(b, COL_next_hop, i);
        s->ports += batch_is_valid(b, COL_dst_port, i) ? b->dst_port[i] : 0;
        s->started += b->flow_end[i] - b->flow_start[i];
        s->exporter += b->exporter[i].b[15];
        s->sampled += b->sampling[i];
    }
}

static void
check_sums(struct store *s, const struct sums *x)
{
    CU_ASSERT_EQUAL(total(s, "count(*)", NULL), x->rows);
    CU_ASSERT_EQUAL(total(s, "sum(bytes)::BIGINT", NULL), x->bytes);
    CU_ASSERT_EQUAL(total(s, "sum(raw_bytes)::BIGINT", NULL), x->raw_bytes);
    CU_ASSERT_EQUAL(total(s, "sum(packets)::BIGINT", NULL), x->packets);
    CU_ASSERT_EQUAL(count(s, "ip_version = 6"), x->v6);
    CU_ASSERT_EQUAL(count(s, "src_addr NOT BETWEEN 281470681743360 AND "
                          "281474976710655"), x->v6);
    CU_ASSERT_EQUAL(count(s, "src_addr IS DISTINCT FROM dst_addr"), 0);
    CU_ASSERT_EQUAL(total(s, "sum((src_addr & 255)::BIGINT)::BIGINT", NULL),
                    x->addrs);
    CU_ASSERT_EQUAL(count(s, "canonical"), x->canonical);
    CU_ASSERT_EQUAL(count(s, "next_hop IS NOT NULL"), x->hops);
    CU_ASSERT_EQUAL(total(s, "coalesce(sum(dst_port), 0)::BIGINT", NULL),
                    x->ports);
    CU_ASSERT_EQUAL(total(s, "sum(epoch_us(flow_end) - epoch_us(flow_start))"
                          "::BIGINT", NULL), x->started);
    CU_ASSERT_EQUAL(total(s, "sum((exporter & 255)::BIGINT)::BIGINT", NULL),
                    x->exporter);
    CU_ASSERT_EQUAL(total(s, "sum(sampling)::BIGINT", NULL), x->sampled);
    CU_ASSERT_EQUAL(count(s, "vni IS NOT NULL OR bridge IS NOT NULL OR "
                          "src_port IS NOT NULL"), 0);
}

static void
test_shapes(void)
{
    char *dir = util_mkdir();
    uint64_t seed = 77;
    struct sums x = { 0 };

    /* Large transactions and small ones, each variant twice, then again
     * after the segment was closed and opened. */
    for (int life = 0; life < 2; life++) {
        struct store *s = util_open(dir, dict, NULL);
        CU_ASSERT_FATAL(s != NULL);
        uint64_t submitted = 0;
        for (uint32_t variant = 0; variant < 32; variant++) {
            uint32_t batches = variant < 16 ? 9 : 1;
            for (uint32_t i = 0; i < batches; i++) {
                struct flow_batch *b;
                while (!(b = store_batch_get(s))) {
                    usleep(1000);
                }
                fill_plain(b, batches > 1 ? BATCH_ROWS : 100, &seed,
                           variant & 15);
                add_sums(&x, b);
                submitted += b->n;
                CU_ASSERT(store_submit(s, b));
            }
            if (variant % 4 == 3) {
                CU_ASSERT(util_wait(s, submitted));
            }
        }
        check_sums(s, &x);
        CU_ASSERT_EQUAL(counter_get(&store_counters(s)->lost), 0);
        store_close(s);
        s = util_open(dir, dict, NULL);
        check_sums(s, &x);
        store_close(s);
    }
    CU_ASSERT_EQUAL(n_files(dir, ".flows"), 1);
    util_rmdir(dir);
    free(dir);
}

/* A clock that jumps years ahead makes nothing expire. */
static void
test_clock_jump(void)
{
    char *dir = util_mkdir();
    uint64_t seed = 3;
    struct store_config c = { .retention_us = 48 * UTIL_HOUR };
    struct store *s = util_open(dir, dict, &c);
    for (int h = 0; h < 3; h++) {
        CU_ASSERT(put(s, 10, UTIL_T0 + h * UTIL_HOUR, &seed));
        CU_ASSERT(util_wait(s, (uint64_t) (h + 1) * 10));
    }
    log_set_level("off");
    CU_ASSERT(put(s, 10, UTIL_T0 + 100000 * UTIL_HOUR, &seed));
    CU_ASSERT(util_wait(s, 40));
    CU_ASSERT(put(s, 10, UTIL_T0 + 3 * UTIL_HOUR, &seed));
    CU_ASSERT(util_wait(s, 50));
    store_close(s);
    s = util_open(dir, dict, &c);
    CU_ASSERT(put(s, 10, UTIL_T0 + 200000 * UTIL_HOUR, &seed));
    CU_ASSERT(util_wait(s, 10));
    CU_ASSERT_EQUAL(total(s, "count(*)", NULL), 60);
    CU_ASSERT_EQUAL(counter_get(&store_counters(s)->segments_expired), 0);
    store_close(s);
    log_set_level("info");
    util_rmdir(dir);
    free(dir);
}

/* A new process has a new dictionary with other ids. */
static void
test_names_of_another_life(void)
{
    char *dir = util_mkdir();
    for (int life = 0; life < 2; life++) {
        struct dict *d = dict_create(100, 10000);
        if (life) {
            dict_intern(d, "something else", 14);
        }
        uint32_t name = dict_intern(d, "br-x", 4);
        struct store *s = util_open(dir, d, NULL);
        struct flow_batch *b = store_batch_get(s);
        uint64_t seed = 5;
        util_fill(b, 10, UTIL_T0, &seed, d, &source);
        for (uint32_t i = 0; i < 10; i++) {
            BATCH_SET(b, bridge, i, name);
        }
        CU_ASSERT(store_submit(s, b));
        store_close(s);
        dict_destroy(d);
    }
    struct store *s = util_open(dir, dict, NULL);
    CU_ASSERT_EQUAL(count(s, "bridge = 'br-x'"), 20);
    CU_ASSERT_EQUAL(total(s, "count(DISTINCT bridge)", NULL), 1);
    store_close(s);
    util_rmdir(dir);
    free(dir);
}

static void
test_rotation(void)
{
    char *dir = util_mkdir();
    uint64_t seed = 3;
    struct store *s = util_open(dir, dict, NULL);
    for (int h = 0; h < 5; h++) {
        CU_ASSERT(put(s, 100, UTIL_T0 + h * UTIL_HOUR, &seed));
        CU_ASSERT(put(s, 50, UTIL_T0 + h * UTIL_HOUR + 1, &seed));
    }
    /* The clock went back a little: no old segment is opened for that. */
    CU_ASSERT(put(s, 7, UTIL_T0 + 4 * UTIL_HOUR - 1, &seed));
    CU_ASSERT(util_wait(s, 757));
    CU_ASSERT_EQUAL(n_files(dir, ".flows"), 5);
    CU_ASSERT_EQUAL(counter_get(&store_counters(s)->segments_made), 5);
    CU_ASSERT_EQUAL(total(s, "count(*)", NULL), 757);

    /* A view has only the segments of its time. */
    struct store_view v;
    char error[256];
    CU_ASSERT_EQUAL(store_view_open(s, UTIL_T0 + UTIL_HOUR,
                                    UTIL_T0 + 2 * UTIL_HOUR, &v, error,
                                    sizeof error), 0);
    CU_ASSERT_EQUAL(v.n_segments, 1);
    CU_ASSERT_EQUAL(v.n_blocks, 1);
    store_view_close(&v);
    store_close(s);

    /* Also after a restart, from the index and without it. */
    for (int i = 0; i < 2; i++) {
        unsigned n;
        s = util_open(dir, dict, NULL);
        CU_ASSERT_EQUAL(total(s, "count(*)", &n), 757);
        CU_ASSERT_EQUAL(n, 5);
        store_close(s);
        char path[512];
        snprintf(path, sizeof path, "%s/flows/index", dir);
        CU_ASSERT_EQUAL(unlink(path), 0);
    }
    util_rmdir(dir);
    free(dir);
}

static void
test_retention(void)
{
    char *dir = util_mkdir();
    uint64_t seed = 3, rows = 0;
    struct store_config c = { .retention_us = 3 * UTIL_HOUR };
    struct store *s = util_open(dir, dict, &c);
    for (int h = 0; h < 10; h++) {
        CU_ASSERT(put(s, 100, UTIL_T0 + h * UTIL_HOUR, &seed));
        CU_ASSERT(util_wait(s, rows += 100));
    }
    store_close(s);
    /* 05 ended at 06, three hours before 09 would begin to be too old. */
    CU_ASSERT_EQUAL(n_files(dir, ".flows"), 5);
    CU_ASSERT_EQUAL(n_files(dir, "2026-11-23T11.flows"), 1);

    /* By size: the open one stays whatever its size. */
    c = (struct store_config) { .retention_bytes = 1 };
    s = util_open(dir, dict, &c);
    CU_ASSERT(put(s, 100, UTIL_T0 + 20 * UTIL_HOUR, &seed));
    CU_ASSERT(util_wait(s, 100));
    CU_ASSERT(put(s, 100, UTIL_T0 + 21 * UTIL_HOUR, &seed));
    CU_ASSERT(util_wait(s, 200));
    usleep(200000);
    CU_ASSERT_EQUAL(n_files(dir, ".flows"), 1);
    CU_ASSERT(counter_get(&store_counters(s)->segments_expired) >= 6);
    store_close(s);
    util_rmdir(dir);
    free(dir);
}

/* The process dies at any moment: what was committed is there, whole. */
static void
test_kill(void)
{
    char *dir = util_mkdir();
    for (unsigned round = 0; round < 3; round++) {
        int pipe_fds[2];
        CU_ASSERT_FATAL(pipe(pipe_fds) == 0);
        pid_t pid = fork();
        if (!pid) {
            /* Says each 10 ms how many rows it has submitted. */
            uint64_t seed = round, rows = 0;
            struct store *s = util_open(dir, dict, NULL);
            for (;;) {
                if (put(s, 100, UTIL_T0, &seed)) {
                    rows += 100;
                }
                struct { int64_t ms; uint64_t rows; } said
                    = { clock_mono_ms(), rows };
                if (write(pipe_fds[1], &said, sizeof said) < 0) {
                    _exit(1);
                }
                usleep(10000);
            }
        }
        close(pipe_fds[1]);
        usleep(1500000 + round * 333000);
        kill(pid, SIGKILL);
        int64_t killed_ms = clock_mono_ms();
        waitpid(pid, NULL, 0);

        /* What had been submitted a second before the end. */
        struct { int64_t ms; uint64_t rows; } said;
        uint64_t owed = 0, most = 0;
        while (read(pipe_fds[0], &said, sizeof said) == sizeof said) {
            if (said.ms <= killed_ms - 1000) {
                owed = said.rows;
            }
            most = said.rows + 100;
        }
        close(pipe_fds[0]);
        static int64_t before;
        struct store *s = util_open(dir, dict, NULL);
        CU_ASSERT_FATAL(s != NULL);
        int64_t have = total(s, "count(*)", NULL);
        CU_ASSERT(owed > 0);
        CU_ASSERT(have - before >= (int64_t) owed);
        CU_ASSERT(have - before <= (int64_t) most);
        CU_ASSERT_EQUAL(counter_get(&store_counters(s)->segments_set_aside),
                        0);
        before = have;
        store_close(s);
    }
    util_rmdir(dir);
    free(dir);
}

static void
damage(const char *dir, const char *file, off_t at)
{
    char path[512], junk[64];
    memset(junk, 0x5a, sizeof junk);
    snprintf(path, sizeof path, "%s/flows/%s", dir, file);
    int fd = open(path, O_WRONLY);
    CU_ASSERT(fd >= 0);
    CU_ASSERT_EQUAL(pwrite(fd, junk, sizeof junk, at), sizeof junk);
    close(fd);
}

static off_t
file_size(const char *dir, const char *file)
{
    char path[512];
    struct stat st;
    snprintf(path, sizeof path, "%s/flows/%s", dir, file);
    return stat(path, &st) ? -1 : st.st_size;
}

/* Where a file's n-th block begins. */
static off_t
find_block(const char *dir, const char *file, unsigned n)
{
    char path[512];
    static char data[8 << 20];
    snprintf(path, sizeof path, "%s/flows/%s", dir, file);
    int fd = open(path, O_RDONLY);
    ssize_t size = read(fd, data, sizeof data);
    close(fd);
    for (off_t at = 0; at + 8 <= size; at += 8) {
        if (!memcmp(data + at, "VTBLOCK1", 8) && !n--) {
            return at;
        }
    }
    return -1;
}

/* A segment whose beginning is damaged is set aside; of others the blocks that
 * are well stay. */
static void
test_damage(void)
{
    char *dir = util_mkdir();
    uint64_t seed = 3;
    struct store_health h;
    struct store *s = util_open(dir, dict, NULL);
    for (int hour = 0; hour < 4; hour++) {
        CU_ASSERT(put(s, 100, UTIL_T0 + hour * UTIL_HOUR, &seed));
        CU_ASSERT(util_wait(s, (uint64_t) hour * 100 + 100));
    }
    store_close(s);
    /* A second and a third block for the second hour. */
    for (int i = 0; i < 2; i++) {
        s = util_open(dir, dict, NULL);
        CU_ASSERT(put(s, 10, UTIL_T0 + UTIL_HOUR, &seed));
        CU_ASSERT(util_wait(s, 10));
        CU_ASSERT(put(s, 1, UTIL_T0 + 3 * UTIL_HOUR, &seed));
        store_close(s);
    }
    const char *second = "2026-11-23T03.flows";
    CU_ASSERT_FATAL(find_block(dir, second, 2) > 0);
    damage(dir, "2026-11-23T02.flows", 0);
    damage(dir, second, find_block(dir, second, 1) + 80);  /* Its directory. */
    damage(dir, "2026-11-23T04.flows", file_size(dir, "2026-11-23T04.flows")
                                       - 72);           /* A column. */

    log_set_level("off");
    s = util_open(dir, dict, NULL);
    CU_ASSERT_FATAL(s != NULL);
    CU_ASSERT(put(s, 20, UTIL_T0, &seed));
    CU_ASSERT(util_wait(s, 20));
    CU_ASSERT_EQUAL(n_files(dir, "2026-11-23T02.1.flows"), 1);
    /* The first hour's new rows; of the second all but 10; the third, unless a
     * damaged column is asked for; the fourth. */
    CU_ASSERT_EQUAL(total(s, "count(*)", NULL), 20 + 110 + 100 + 102);
    CU_ASSERT_EQUAL(total(s, "sum(bytes * 0 + 1)::BIGINT", NULL),
                    20 + 110 + 100 + 102);
    CU_ASSERT_EQUAL(total(s, "count(*) FILTER (quality IS NOT NULL)", NULL),
                    20 + 110 + 0 + 102);
    CU_ASSERT_EQUAL(n_files(dir, ".corrupt"), 1);
    CU_ASSERT_EQUAL(counter_get(&store_counters(s)->segments_set_aside), 1);
    CU_ASSERT_EQUAL(counter_get(&store_counters(s)->damaged), 2);
    CU_ASSERT_EQUAL(counter_get(&store_counters(s)->lost), 0);
    store_health(s, &h);
    CU_ASSERT_EQUAL(h.n_damaged, 2);
    /* Writing goes on behind the damage. */
    CU_ASSERT(put(s, 5, UTIL_T0 + UTIL_HOUR, &seed));
    CU_ASSERT(util_wait(s, 25));
    store_close(s);
    s = util_open(dir, dict, NULL);
    CU_ASSERT_EQUAL(total(s, "count(*)", NULL), 20 + 115 + 100 + 102);
    store_close(s);
    log_set_level("info");
    util_rmdir(dir);
    free(dir);
}

/* A process was killed while it wrote: what is not whole is written over, in
 * both files; a tail that was merged is not counted twice. */
static void
test_torn(void)
{
    char *dir = util_mkdir(), path[512];
    const char *main = "2026-11-23T02.flows", *tail = "2026-11-23T02.tail";
    uint64_t seed = 3;
    struct store *s = util_open(dir, dict, NULL);
    CU_ASSERT(put(s, 100, UTIL_T0, &seed));
    store_close(s);
    CU_ASSERT_EQUAL(n_files(dir, ".tail"), 1);
    pid_t pid = fork();
    if (!pid) {
        s = util_open(dir, dict, NULL);
        for (uint64_t i = 1; i <= 3; i++) {
            put(s, 50, UTIL_T0, &seed);
            util_wait(s, 50 * i);
        }
        kill(getpid(), SIGKILL);
    }
    waitpid(pid, NULL, 0);
    off_t size = file_size(dir, tail);
    snprintf(path, sizeof path, "%s/flows/%s", dir, tail);
    CU_ASSERT_EQUAL(truncate(path, size - 8), 0);
    snprintf(path, sizeof path, "%s/flows/%s", dir, main);
    char junk[300];
    memset(junk, 0, sizeof junk);
    memcpy(junk, "VTBLOCK1", 8);
    int fd = open(path, O_WRONLY | O_APPEND);
    CU_ASSERT_EQUAL(write(fd, junk, 40), 40);
    close(fd);

    s = util_open(dir, dict, NULL);
    CU_ASSERT_EQUAL(total(s, "count(*)", NULL), 200);
    CU_ASSERT(put(s, 10, UTIL_T0, &seed));
    CU_ASSERT(util_wait(s, 10));
    CU_ASSERT_EQUAL(total(s, "count(*)", NULL), 210);
    store_close(s);

    /* As if the end had come between the merge and the end of the tail. */
    char *old = NULL;
    snprintf(path, sizeof path, "%s/flows/%s", dir, tail);
    CU_ASSERT_FATAL(asprintf(&old, "%s.old", path) > 0);
    CU_ASSERT_EQUAL(rename(path, old), 0);
    CU_ASSERT_EQUAL(link(old, path), 0);
    char command[1200];
    snprintf(command, sizeof command, "cp '%s' '%s.copy'", old, path);
    CU_ASSERT_EQUAL(system(command), 0);
    s = util_open(dir, dict, NULL);
    CU_ASSERT(put(s, 10, UTIL_T0 + UTIL_HOUR, &seed));
    CU_ASSERT(util_wait(s, 10));
    CU_ASSERT(put(s, 7, UTIL_T0 - 1, &seed));
    CU_ASSERT(util_wait(s, 17));
    store_close(s);
    s = util_open(dir, dict, NULL);
    CU_ASSERT_EQUAL(total(s, "count(*)", NULL), 227);
    CU_ASSERT_EQUAL(counter_get(&store_counters(s)->damaged), 0);
    store_close(s);
    free(old);
    util_rmdir(dir);
    free(dir);
}

/* The disk fills up: receiving goes on, the loss is counted, and when there is
 * room again writing goes on by itself. */
static void
test_disk_full(void)
{
    char *dir = util_mkdir(), path[512];
    if (mount("venturi-test", dir, "tmpfs", 0, "size=48m")) {
        printf("skipped: cannot mount a tmpfs ");
        util_rmdir(dir);
        free(dir);
        return;
    }
    log_set_level("off");
    uint64_t seed = 9, submitted = 0, lost_before
        = counter_get(&source.n.store_lost);
    struct store *s = util_open(dir, dict, NULL);
    CU_ASSERT_FATAL(s != NULL);
    const struct store_counters *n = store_counters(s);
    CU_ASSERT(put(s, 1000, UTIL_T0, &seed));
    CU_ASSERT(util_wait(s, submitted = 1000));

    /* Somebody else takes all there is. */
    snprintf(path, sizeof path, "%s/hog", dir);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    char block[4096] = "";
    while (write(fd, block, sizeof block) == sizeof block) {
        continue;
    }
    struct store_health h;
    for (int i = 0; i < 2000 && !counter_get(&n->lost); i++) {
        if (put(s, 1000, UTIL_T0, &seed)) {
            submitted += 1000;
        }
        usleep(2000);
    }
    store_health(s, &h);
    CU_ASSERT(!h.writing);
    CU_ASSERT(strstr(h.reason, "No space left") != NULL);
    CU_ASSERT(counter_get(&n->lost) > 0);
    CU_ASSERT(counter_get(&n->errors) > 0);
    CU_ASSERT(total(s, "count(*)", NULL) >= 0); /* Still answers. */

    CU_ASSERT_EQUAL(ftruncate(fd, 0), 0);
    close(fd);
    for (int i = 0; i < 500; i++) {
        store_health(s, &h);
        if (h.writing) {
            break;
        }
        usleep(10000);
    }
    CU_ASSERT(h.writing);
    CU_ASSERT(util_wait(s, submitted));
    CU_ASSERT_EQUAL(counter_get(&source.n.store_lost) - lost_before,
                    counter_get(&n->lost));
    int64_t rows = (int64_t) counter_get(&n->rows);
    CU_ASSERT_EQUAL(rows + (int64_t) counter_get(&n->lost),
                    (int64_t) submitted);
    CU_ASSERT_EQUAL(total(s, "count(*)", NULL), rows);
    store_close(s);
    s = util_open(dir, dict, NULL);
    CU_ASSERT_EQUAL(total(s, "count(*)", NULL), rows);
    store_close(s);
    log_set_level("info");
    CU_ASSERT_EQUAL(umount(dir), 0);
    util_rmdir(dir);
    free(dir);
}

static void
test_open_errors(void)
{
    char *dir = util_mkdir(), *error = NULL;
    struct store_config c = { .dir = dir };
    struct store *s = util_open(dir, dict, NULL);
    CU_ASSERT_FATAL(s != NULL);
    CU_ASSERT(!store_open(&c, dict, &error));           /* Twice. */
    CU_ASSERT(error && ends_with(error, "is in use by another process"));
    free(error);
    store_close(s);
    c.dir = "/proc/nothing/here";
    CU_ASSERT(!store_open(&c, dict, &error));
    CU_ASSERT(error && strstr(error, "/proc/nothing/here"));
    free(error);
    store_close(NULL);

    /* An apostrophe in a path is just that. */
    char quoted[512];
    snprintf(quoted, sizeof quoted, "%s/it's", dir);
    s = util_open(quoted, dict, NULL);
    CU_ASSERT_FATAL(s != NULL);
    uint64_t seed = 1;
    CU_ASSERT(put(s, 5, UTIL_T0, &seed));
    store_close(s);
    CU_ASSERT_EQUAL(n_files(quoted, "2026-11-23T02.flows"), 1);
    util_rmdir(dir);
    free(dir);
}

/* The pool has an end, and what is put back can be had again. */
static void
test_pool(void)
{
    char *dir = util_mkdir();
    struct store *s = util_open(dir, dict, NULL);
    struct flow_batch *all[2000];
    unsigned n = 0;
    while (n < 2000 && (all[n] = store_batch_get(s))) {
        n++;
    }
    CU_ASSERT(n > 64 && n < 2000);
    store_batch_put(s, all[--n]);
    CU_ASSERT(store_batch_get(s) != NULL);
    CU_ASSERT(store_batch_get(s) == NULL);
    for (unsigned i = 0; i <= n; i++) {
        store_batch_put(s, all[i]);
    }
    store_close(s);
    util_rmdir(dir);
    free(dir);
}

static void
setup(void)
{
    dict = dict_create(1000, 100000);
}

static void
teardown(void)
{
    dict_destroy(dict);
}

UNIT_MAIN("store", UNIT_TEST(setup), UNIT_TEST(test_types),
          UNIT_TEST(test_sums_and_reopen), UNIT_TEST(test_shapes),
          UNIT_TEST(test_clock_jump),
          UNIT_TEST(test_names_of_another_life), UNIT_TEST(test_rotation),
          UNIT_TEST(test_retention), UNIT_TEST(test_kill),
          UNIT_TEST(test_damage), UNIT_TEST(test_torn),
          UNIT_TEST(test_disk_full), UNIT_TEST(test_open_errors),
          UNIT_TEST(test_pool), UNIT_TEST(teardown))
