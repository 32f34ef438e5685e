/* Which interfaces get a probe, and when; rtnetlink messages. */
#include <config.h>

#include "probe/decide.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>

#include "tests/unit/unit.h"

static char *all[] = { (char *) "*" };
static char *veth[] = { (char *) "eth?" };
static char *docker[] = { (char *) "docker*" };

static const struct probe_config config = {
    .bridges = all, .n_bridges = 1,
    .interfaces = veth, .n_interfaces = 1,
    .exclude = docker, .n_exclude = 1,
    .program = (char *) "/usr/sbin/softflowd",
    .target = (char *) "127.0.0.1:2055", .version = 9, .sampling = 1,
    .max_flows = 100, .active_timeout = 60,
};

static struct probe_link
make_link(uint32_t ifindex, const char *name, bool bridge, bool up)
{
    struct probe_link l;
    memset(&l, 0, sizeof l);
    l.ifindex = ifindex;
    l.bridge = bridge;
    l.up = up;
    snprintf(l.name, sizeof l.name, "%s", name);
    return l;
}

static bool
selects(const char *name, bool bridge)
{
    struct probe_link l = make_link(1, name, bridge, true);
    return probe_selects(&config, &l);
}

static void
test_selection(void)
{
    CU_ASSERT_TRUE(selects("br0", true));
    CU_ASSERT_FALSE(selects("br0", false));
    CU_ASSERT_TRUE(selects("eth0", false));
    CU_ASSERT_FALSE(selects("eth10", false));
    CU_ASSERT_FALSE(selects("docker0", true));
}

/* What was asked for. */
struct asked {
    int starts, terms, kills;
    bool fails;
    int64_t now;
    pid_t next_pid;
};

static void
act(void *a_, struct probe_slot *s, enum probe_action action)
{
    struct asked *a = a_;
    if (action == PROBE_START) {
        a->starts++;
        probe_started(s, a->fails ? 0 : ++a->next_pid, a->now, "no fork");
    } else if (action == PROBE_TERMINATE) {
        a->terms++;
    } else {
        a->kills++;
    }
}

static int64_t
step(struct probe_table *t, struct asked *a, int64_t now)
{
    a->now = now;
    return probe_table_step(t, now, act, a);
}

static void
put(struct probe_links *links, uint32_t ifindex, const char *name, bool up)
{
    struct probe_link l = make_link(ifindex, name, true, up);
    probe_links_put(links, &l, false);
}

static void
test_life(void)
{
    static struct probe_table t;
    struct probe_links links = { .n = 0 };
    struct asked a = { .next_pid = 100 };

    put(&links, 5, "br0", false);
    probe_table_update(&t, &config, &links, NULL, NULL);
    CU_ASSERT_EQUAL(step(&t, &a, 0), -1);
    CU_ASSERT_EQUAL(t.n, 1);
    CU_ASSERT_EQUAL(t.slots[0].state, PROBE_DOWN);
    put(&links, 5, "br0", true);
    CU_ASSERT_TRUE(links.changed);
    probe_table_update(&t, &config, &links, NULL, NULL);
    CU_ASSERT_EQUAL(step(&t, &a, 10), -1);
    CU_ASSERT_EQUAL(a.starts, 1);
    CU_ASSERT_EQUAL(t.slots[0].state, PROBE_RUNNING);
    CU_ASSERT_EQUAL(t.slots[0].pid, 101);

    /* It dies again and again: the pauses grow, up to a minute. */
    int64_t now = 20, pause = 1000;
    for (int i = 0; i < 8; i++) {
        probe_exited(&t.slots[0], 1 << 8, now, "no such device");
        CU_ASSERT_EQUAL(step(&t, &a, now), pause);
        CU_ASSERT_EQUAL(t.slots[0].state, PROBE_BACKOFF);
        CU_ASSERT_PTR_NOT_NULL(strstr(t.slots[0].reason, "status 1: no "
                                      "such device"));
        now += pause;
        CU_ASSERT_EQUAL(step(&t, &a, now), -1);
        CU_ASSERT_EQUAL(a.starts, i + 2);
        pause = pause * 2 > 60000 ? 60000 : pause * 2;
    }
    now += 60000;               /* Stable, then killed by somebody. */
    probe_exited(&t.slots[0], 9, now, NULL);
    CU_ASSERT_STRING_EQUAL(t.slots[0].reason,
                           "softflowd was ended by signal 9");
    CU_ASSERT_EQUAL(step(&t, &a, now), 1000);
    now += 1000;
    step(&t, &a, now);

    /* The bridge goes: told, then killed, then forgotten. */
    struct probe_link gone = make_link(5, "br0", true, true);
    probe_links_put(&links, &gone, true);
    probe_table_update(&t, &config, &links, NULL, NULL);
    CU_ASSERT_EQUAL(step(&t, &a, now), 5000);
    CU_ASSERT_EQUAL(step(&t, &a, now + 10), 4990);
    CU_ASSERT_EQUAL(a.terms, 1);
    CU_ASSERT_EQUAL(step(&t, &a, now + 5000), -1);
    CU_ASSERT_EQUAL(a.kills, 1);
    CU_ASSERT_EQUAL(step(&t, &a, now + 9000), -1);
    CU_ASSERT_EQUAL(a.kills, 1);
    probe_exited(&t.slots[0], 9, now, NULL);
    step(&t, &a, now + 9001);
    CU_ASSERT_EQUAL(t.n, 0);
    probe_links_clear(&links);
}

static void
test_restart_and_failure(void)
{
    static struct probe_table t;
    struct probe_links links = { .n = 0 };
    struct asked a = { .fails = true };

    put(&links, 5, "br0", true);
    probe_table_update(&t, &config, &links, NULL, NULL);
    CU_ASSERT_EQUAL(step(&t, &a, 0), 1000);
    CU_ASSERT_STRING_EQUAL(t.slots[0].reason, "no fork");
    a.fails = false;
    step(&t, &a, 1000);
    CU_ASSERT_EQUAL(a.starts, 2);
    struct probe_config other = config;         /* Another command line. */
    other.sampling = 7;
    probe_table_update(&t, &other, &links, NULL, NULL);
    CU_ASSERT_EQUAL(step(&t, &a, 2000), 5000);
    CU_ASSERT_EQUAL(a.terms, 1);
    probe_exited(&t.slots[0], 0, 2100, NULL);
    CU_ASSERT_EQUAL(step(&t, &a, 2100), -1);
    CU_ASSERT_EQUAL(a.starts, 3);
    /* Nothing is wanted. */
    probe_table_update(&t, NULL, &links, NULL, NULL);
    step(&t, &a, 2200);
    CU_ASSERT_EQUAL(a.terms, 2);
    probe_exited(&t.slots[0], 0, 2300, NULL);
    step(&t, &a, 2300);
    CU_ASSERT_EQUAL(t.n, 0);
    probe_links_clear(&links);
}

static const char *
hold_br0(void *why, const char *interface, const char *policy, bool *frozen)
{
    CU_ASSERT_FALSE(*frozen);
    CU_ASSERT_STRING_EQUAL(policy, "first");
    return strcmp(interface, "br0") ? NULL : *(const char **) why;
}

/* The first that selects decides, also that there is none; and what is held
 * does not run. */
static void
test_policies(void)
{
    static char *br0[] = { (char *) "br[02]" }, *br1[] = { (char *) "br1" };
    static struct probe_table t;
    struct probe_links links = { .n = 0 };
    struct asked a = { .next_pid = 100 };
    struct probe_config third = config, second = config, first = config;
    const char *why = "not yet";

    third.policy = (char *) "third";
    third.sampling = 9;
    second.policy = (char *) "second";
    second.bridges = br1;
    second.none = true;
    second.next = &third;
    first.policy = (char *) "first";
    first.bridges = br0;
    first.next = &second;
    put(&links, 1, "br1", true);
    put(&links, 5, "br0", true);
    probe_table_update(&t, &first, &links, hold_br0, &why);
    CU_ASSERT_EQUAL(t.n, 1);
    CU_ASSERT_STRING_EQUAL(t.slots[0].config->policy, "first");
    step(&t, &a, 0);
    CU_ASSERT_EQUAL(t.slots[0].state, PROBE_HELD);
    CU_ASSERT_STRING_EQUAL(t.slots[0].reason, "not yet");
    why = NULL;
    probe_table_update(&t, &first, &links, hold_br0, &why);
    step(&t, &a, 0);
    CU_ASSERT_EQUAL(t.slots[0].state, PROBE_RUNNING);
    why = "removed";            /* While it runs. */
    probe_table_update(&t, &first, &links, hold_br0, &why);
    step(&t, &a, 10);
    CU_ASSERT_EQUAL(a.terms, 1);
    probe_exited(&t.slots[0], 0, 20, NULL);
    step(&t, &a, 20);
    CU_ASSERT_EQUAL(t.slots[0].state, PROBE_HELD);
    /* Another policy decides now: its command line, and nobody holds it. */
    probe_table_update(&t, &third, &links, NULL, NULL);
    step(&t, &a, 30);
    CU_ASSERT_EQUAL(t.n, 2);
    CU_ASSERT_EQUAL(t.slots[0].config->sampling, 9);
    CU_ASSERT_EQUAL(a.starts, 3);
    struct probe_config *copy = probe_config_clone(&first);
    CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
    CU_ASSERT_STRING_EQUAL(copy->next->next->policy, "third");
    CU_ASSERT_PTR_NULL(copy->next->next->next);
    probe_config_destroy(copy);
    probe_table_clear(&t);
    probe_links_clear(&links);
}

static const char *
freeze(void *yes, const char *interface, const char *policy, bool *frozen)
{
    (void) interface;
    (void) policy;
    *frozen = *(bool *) yes;
    return NULL;
}

/* A probe that runs and is frozen keeps its process and its command line; what
 * is wanted of it waits, and comes when it may. */
static void
test_frozen(void)
{
    static struct probe_table t;
    struct probe_links links = { .n = 0 };
    struct asked a = { .next_pid = 100 };
    struct probe_config other = config;
    bool yes = true;

    other.sampling = config.sampling + 7;
    put(&links, 5, "br0", true);
    probe_table_update(&t, &config, &links, freeze, &yes);
    step(&t, &a, 0);
    CU_ASSERT_EQUAL(t.slots[0].state, PROBE_RUNNING);
    for (int i = 0; i < 2; i++) {
        probe_table_update(&t, &other, &links, freeze, &yes);
        step(&t, &a, 10);
        CU_ASSERT_EQUAL(t.slots[0].state, PROBE_RUNNING);
        CU_ASSERT_EQUAL(t.slots[0].config->sampling, config.sampling);
        CU_ASSERT_PTR_NOT_NULL_FATAL(t.slots[0].pending);
        CU_ASSERT_EQUAL(t.slots[0].pending->sampling, other.sampling);
        CU_ASSERT_EQUAL(a.terms, 0);
    }
    /* What it is wanted to be again does not wait. */
    probe_table_update(&t, &config, &links, freeze, &yes);
    CU_ASSERT_PTR_NULL(t.slots[0].pending);
    probe_table_update(&t, &other, &links, freeze, &yes);
    yes = false;
    probe_table_update(&t, &other, &links, freeze, &yes);
    CU_ASSERT_PTR_NULL(t.slots[0].pending);
    CU_ASSERT_EQUAL(t.slots[0].config->sampling, other.sampling);
    step(&t, &a, 20);
    CU_ASSERT_EQUAL(a.terms, 1);
    probe_exited(&t.slots[0], 0, 30, NULL);
    step(&t, &a, 30);
    CU_ASSERT_EQUAL(a.starts, 2);
    probe_table_clear(&t);
    probe_links_clear(&links);
}

static void
test_limit(void)
{
    static struct probe_table t;
    struct probe_links links = { .n = 0 };

    for (uint32_t i = 0; i < PROBE_MAX + 10; i++) {
        put(&links, i + 1, "br", true);
    }
    probe_table_update(&t, &config, &links, NULL, NULL);
    CU_ASSERT_EQUAL(t.n, PROBE_MAX);
    CU_ASSERT_EQUAL(t.n_refused, 10);
    probe_table_clear(&t);
    for (uint32_t i = 0; i < 2 * PROBE_MAX_LINKS; i++) {
        put(&links, i + 1, "x", true);
    }
    CU_ASSERT_EQUAL(links.n, PROBE_MAX_LINKS);
    probe_links_clear(&links);
}

static void
test_command(void)
{
    struct probe_config c = config, *copy;
    struct probe_slot s = { .ifindex = 7, .name = "br0", .config = &c };
    char *argv[PROBE_MAX_ARGS], buf[PROBE_ARGS_SIZE], text[600] = "";

    c.sampling = 10;
    CU_ASSERT_EQUAL(probe_command(&s, argv, buf), 0);
    for (char **p = argv; *p; p++) {
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s",
                 p == argv ? "" : " ", *p);
    }
    CU_ASSERT_STRING_EQUAL(text, "/usr/sbin/softflowd -d -i 7:br0 -n "
                           "127.0.0.1:2055 -v 9 -m 100 -t maxlife=60 -t "
                           "general=60 -t tcp=60 -t udp=60 -t icmp=60 -t "
                           "tcp.fin=30 -t tcp.rst=30 -t expint=10 -s 10 -p /dev/null -c none");
    char long_name[PROBE_ARGS_SIZE + 1];
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    c.program = long_name;
    CU_ASSERT_EQUAL(probe_command(&s, argv, buf), -E2BIG);
    copy = probe_config_clone(&config);
    CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
    CU_ASSERT_TRUE(probe_config_same_command(copy, &config));
    copy->sampling++;
    CU_ASSERT_FALSE(probe_config_same_command(copy, &config));
    CU_ASSERT_FALSE(probe_config_same_command(NULL, &config));
    probe_config_destroy(copy);
}

/* Adds an attribute at 'at' and returns where the next goes. */
static size_t
attr(char *buf, size_t at, unsigned short type, const void *p, size_t n)
{
    struct rtattr a = { .rta_len = (unsigned short) RTA_LENGTH(n),
                        .rta_type = type };
    memcpy(buf + at, &a, sizeof a);
    memcpy(buf + at + RTA_LENGTH(0), p, n);
    return at + RTA_SPACE(n);
}

static size_t
make_message(char *buf, unsigned short type, int index, const char *name,
             const char *kind)
{
    struct nlmsghdr h = { .nlmsg_type = type };
    struct ifinfomsg info = { .ifi_index = index, .ifi_flags = IFF_UP };
    char nested[64];
    size_t at = NLMSG_LENGTH(sizeof info);

    memset(buf, 0, 256);
    at = attr(buf, at, IFLA_IFNAME, name, strlen(name) + 1);
    size_t n = attr(nested, 0, IFLA_INFO_KIND, kind, strlen(kind) + 1);
    at = attr(buf, at, IFLA_LINKINFO, nested, n);
    h.nlmsg_len = (uint32_t) at;
    memcpy(buf, &h, sizeof h);
    memcpy(buf + NLMSG_HDRLEN, &info, sizeof info);
    return at;
}

static void
test_netlink(void)
{
    struct probe_links links = { .n = 0 };
    char buf[256];
    size_t n = make_message(buf, RTM_NEWLINK, 3, "br0", "bridge");

    for (size_t i = 0; i < n; i++) {    /* Cut anywhere: nothing happens. */
        void *cut = memdup_exact(buf, i);
        CU_ASSERT_EQUAL(probe_links_read(&links, cut, i), 0);
        free(cut);
    }
    CU_ASSERT_EQUAL(links.n, 0);
    CU_ASSERT_EQUAL(probe_links_read(&links, buf, n), 0);
    CU_ASSERT_EQUAL(links.n, 1);
    CU_ASSERT_TRUE(links.list[0].bridge && links.list[0].up);
    CU_ASSERT_STRING_EQUAL(links.list[0].name, "br0");
    CU_ASSERT_EQUAL(links.list[0].ifindex, 3);
    links.changed = false;
    probe_links_read(&links, buf, n);
    CU_ASSERT_FALSE(links.changed);     /* Nothing new. */
    n = make_message(buf, RTM_NEWLINK, 4, "gre0", "bridge_slave");
    probe_links_read(&links, buf, n);
    CU_ASSERT_FALSE(links.list[1].bridge);
    n = make_message(buf, RTM_NEWLINK, 5, "a name beyond limits", "bridge");
    probe_links_read(&links, buf, n);
    CU_ASSERT_EQUAL(links.n, 2);
    n = make_message(buf, RTM_DELLINK, 3, "br0", "bridge");
    probe_links_read(&links, buf, n);
    CU_ASSERT_EQUAL(links.n, 1);
    CU_ASSERT_EQUAL(links.list[0].ifindex, 4);

    struct {
        struct nlmsghdr h;
        struct nlmsgerr e;
    } m = { .h = { .nlmsg_len = NLMSG_LENGTH(sizeof m.e),
                   .nlmsg_type = NLMSG_ERROR },
            .e = { .error = -EPERM } };
    CU_ASSERT_EQUAL(probe_links_read(&links, &m, sizeof m), -EPERM);
    m.h.nlmsg_type = NLMSG_DONE;
    CU_ASSERT_EQUAL(probe_links_read(&links, &m, sizeof m), 1);
    probe_links_clear(&links);
}

UNIT_MAIN("probe", UNIT_TEST(test_selection), UNIT_TEST(test_life),
          UNIT_TEST(test_restart_and_failure), UNIT_TEST(test_policies),
          UNIT_TEST(test_frozen),
          UNIT_TEST(test_limit),
          UNIT_TEST(test_command), UNIT_TEST(test_netlink))
