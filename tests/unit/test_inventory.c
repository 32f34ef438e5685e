/* Lists of networks and hosts, and what engines say of containers. */
#include <config.h>

#include "api/inventory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <urcu.h>

#include <json-c/json.h>

#include "collector/identity/record.h"
#include "lib/dict.h"
#include "unit.h"

static struct dict *dict;

/* What a text tells, applied to an empty table. */
struct told {
    struct identity *table;
    struct inventory_result r;
    int parsed, error;          /* 0, or what went wrong. */
};

static struct told
tell_as(enum inventory_format format, const char *text, size_t size,
        const char *tenant)
{
    struct told t = { .table = identity_create(dict,
                          &(struct identity_limits) { .names = 0 }) };
    struct inventory_telling telling = { .source = "list:x",
                                         .tenant = tenant, .generation = 5,
                                         .now_us = 1000 };
    struct identity_buffer b = { .data = NULL };
    struct identity_scratch s = { .text = malloc(IDENTITY_RECORD_MAX) };
    struct identity_record rec;
    char *copy = malloc(size ? size : 1);
    memcpy(copy, text, size);
    struct json_object *list = inventory_parse(format, copy, size, "node-1",
                                               &t.r);
    free(copy);
    t.parsed = list ? 0 : -EINVAL;
    if (list) {
        t.error = inventory_tell(list, &telling, 0, dict, &b, &t.r);
        struct cursor c = cur_init(b.data, b.n);
        while (identity_record_read(&c, dict, &s, &rec) == IDENTITY_READ_OK) {
            identity_apply(t.table, &rec);
        }
    }
    json_object_put(list);
    identity_buffer_free(&b);
    free(s.text);
    return t;
}

static struct told
tell(const char *text)
{
    return tell_as(INVENTORY_AUTO, text, strlen(text), NULL);
}

/* The member of who has 'address'; "-" if nobody. */
static const char *
of(const struct told *t, const char *address, enum identity_member member)
{
    struct identity_interval v;
    struct identity_key k;
    struct addr a;
    CU_ASSERT_EQUAL_FATAL(addr_parse(address, &a), 0);
    k = identity_key_address(&a);
    return identity_find(t->table, &k, 2000, &v, 1)
           ? identity_text(v.face, member) : "-";
}

#define IS(T, ADDRESS, MEMBER, TEXT) \
    CU_ASSERT_STRING_EQUAL(of(&(T), ADDRESS, IDENTITY_##MEMBER), TEXT)

static void
test_csv(void)
{
    struct told t = tell(
        "\xef\xbb\xbf# our networks\r\n"
        "Prefix,name,tenant,Site,role\r\n"
        "10.1.0.0/16,\"office, \"\"north\"\"\",blue,ams,users\r\n"
        "\r\n"
        "10.1.2.3, printer ,,,\r\n"
        "\"2001:db8::/32 2001:db9::1\",six,red,,\"line\nbreak\"");
    CU_ASSERT_EQUAL(t.r.refused, 0);
    CU_ASSERT_EQUAL(t.r.accepted, 3);
    IS(t, "10.1.9.9", NAME, "office, \"north\"");
    IS(t, "10.1.9.9", TENANT, "blue");
    IS(t, "10.1.9.9", LABELS, "role=users,site=ams");
    IS(t, "10.1.2.3", NAME, "printer");
    IS(t, "10.1.2.3", TENANT, "");
    IS(t, "2001:db8:7::1", NAME, "six");
    IS(t, "2001:db9::1", NAME, "six");
    IS(t, "2001:db9::1", LABELS, "role=line\nbreak");
    IS(t, "10.2.0.1", NAME, "-");
    identity_destroy(t.table);

    t = tell("address;mac;name\n192.0.2.1;52:54:00:00:00:01;a;b\n"
             "192.0.2.2;;c\n");
    CU_ASSERT_EQUAL(t.r.accepted, 1);
    CU_ASSERT_EQUAL(t.r.refused, 1);
    CU_ASSERT_STRING_EQUAL(t.r.error, "line 2: more fields than columns");
    IS(t, "192.0.2.2", NAME, "c");
    identity_destroy(t.table);

    t = tell_as(INVENTORY_AUTO, "vni\tnetwork\n5001\tblue\n", 22, "acme");
    CU_ASSERT_EQUAL(t.r.accepted, 1);
    struct identity_key k = identity_key_vni(5001);
    struct identity_interval v;
    CU_ASSERT_EQUAL_FATAL(identity_find(t.table, &k, 2000, &v, 1), 1);
    CU_ASSERT_STRING_EQUAL(identity_text(v.face, IDENTITY_TENANT), "acme");
    identity_destroy(t.table);
}

static void
test_json(void)
{
    struct told t = tell(
        " [{\"prefix\": \"10.0.0.0/8\", \"name\": \"ten\", \"site\": 7,"
        "  \"labels\": {\"a\": \"b\"}},"
        " {\"addresses\": [\"192.0.2.1\", \"192.0.2.2\"], \"vni\": 4,"
        "  \"id\": \"x\", \"tenant\": \"t\"}]");
    CU_ASSERT_EQUAL(t.r.accepted, 2);
    CU_ASSERT_EQUAL(t.r.refused, 0);
    IS(t, "10.9.9.9", NAME, "ten");
    IS(t, "10.9.9.9", LABELS, "a=b,site=7");
    IS(t, "192.0.2.2", TENANT, "t");
    identity_destroy(t.table);

    t = tell("{\"10.0.0.0/8\": \"ten\", \"192.0.2.1\": {\"name\": \"one\"}}");
    CU_ASSERT_EQUAL(t.r.accepted, 2);
    IS(t, "10.0.0.1", NAME, "ten");
    IS(t, "192.0.2.1", NAME, "one");
    identity_destroy(t.table);
}

static void
test_containers(void)
{
    static const char text[] =
        "[{\"Id\":\"0123456789abcdef\",\"Names\":[\"/web\"],\"Image\":\"i:1\","
        "\"Labels\":{\"com.docker.compose.project\":\"shop\",\"tier\":\"f\"},"
        "\"NetworkSettings\":{\"Networks\":{"
        "\"front\":{\"IPAddress\":\"172.18.0.2\",\"GlobalIPv6Address\":\"\","
        "\"MacAddress\":\"02:42:ac:12:00:02\"},"
        "\"back\":{\"IPAddress\":\"172.19.0.2\",\"MacAddress\":null}}}},"
        "{\"Id\":\"ff\",\"Names\":null,\"Labels\":null,\"NetworkSettings\":{"
        "\"Networks\":{\"host\":{\"IPAddress\":\"\"}}}}, 7]";
    struct told t = tell_as(INVENTORY_CONTAINERS, text, sizeof text - 1,
                            NULL);
    CU_ASSERT_EQUAL(t.r.accepted, 2);
    CU_ASSERT_EQUAL(t.r.refused, 0);
    IS(t, "172.18.0.2", NAME, "web");
    IS(t, "172.18.0.2", TYPE, "container");
    IS(t, "172.18.0.2", TENANT, "shop");
    IS(t, "172.18.0.2", NETWORK, "front");
    IS(t, "172.18.0.2", HOST, "node-1");
    IS(t, "172.19.0.2", NETWORK, "back");
    CU_ASSERT_PTR_NOT_NULL(strstr(of(&t, "172.18.0.2", IDENTITY_LABELS),
                                  "image=i:1"));
    identity_destroy(t.table);
    t = tell_as(INVENTORY_CONTAINERS, "{\"message\":\"no\"}", 16, NULL);
    CU_ASSERT_EQUAL(t.parsed, -EINVAL);
    identity_destroy(t.table);
}

static void
test_libvirt(void)
{
    static const char text[] =
        "<machines><machine><?xml version='1.0'?><domain type='kvm' id='1'>"
        "<name>vm &lt;1&gt;</name><uuid>u-1</uuid><title>x<![CDATA[<y>]]>"
        "</title><devices>"
        "<interface type='network'><mac address='52:54:00:00:00:01'/>"
        "<source network='default' bridge='virbr0'/><target dev='vnet0'/>"
        "</interface>"
        "<interface type='bridge'><mac address='52:54:00:00:00:02'/>"
        "<source bridge=\"br-int\"/><target dev='vnet1'/><virtualport "
        "type='openvswitch'><parameters interfaceid='p-2'/></virtualport>"
        "</interface><interface type='user'/></devices></domain>"
        "<address mac='52:54:00:00:00:01' address='192.168.122.7'/>"
        "<address mac='52:54:00:00:00:01' address='192.168.122.7'/>"
        "<address mac='52:54:00:00:00:09' address='192.168.122.9'/>"
        "</machine><machine><domain type='lxc'><name>ct</name>"
        "<uuid>u-2</uuid><metadata><n:instance xmlns:n='N'><n:name>shown"
        "</n:name><n:owner><n:project uuid='i'>blue</n:project></n:owner>"
        "<n:ports><n:port uuid='p-3'><n:ip address='10.0.0.3'/></n:port>"
        "<n:port uuid='p-2'><n:ip address='10.0.0.2'/></n:port></n:ports>"
        "</n:instance></metadata><devices><interface><mac "
        "address='52:54:00:00:00:03'/><virtualport><parameters "
        "interfaceid='p-3'/></virtualport></interface></devices></domain>"
        "</machine></machines>";
    struct told t = tell_as(INVENTORY_LIBVIRT, text, sizeof text - 1, NULL);
    struct identity_interval v;
    struct identity_key k;
    CU_ASSERT_EQUAL(t.r.accepted, 3);
    CU_ASSERT_EQUAL(t.r.refused, 0);
    IS(t, "192.168.122.7", NAME, "vm <1>");
    IS(t, "192.168.122.7", TYPE, "vm");
    IS(t, "192.168.122.7", NETWORK, "default");
    IS(t, "192.168.122.7", HOST, "node-1");
    IS(t, "192.168.122.7", LABELS, "domain=vm <1>,title=x<y>,uuid=u-1");
    IS(t, "192.168.122.9", NAME, "-");          /* Nobody's MAC address. */
    IS(t, "10.0.0.2", NAME, "-");               /* Another machine's port. */
    IS(t, "10.0.0.3", NAME, "shown");
    IS(t, "10.0.0.3", TENANT, "blue");
    IS(t, "10.0.0.3", TYPE, "container");
    k = identity_key_mac(UINT64_C(0x525400000002));
    CU_ASSERT_EQUAL_FATAL(identity_find(t.table, &k, 2000, &v, 1), 1);
    CU_ASSERT_STRING_EQUAL(identity_text(v.face, IDENTITY_BRIDGE), "br-int");
    CU_ASSERT_STRING_EQUAL(identity_text(v.face, IDENTITY_PORT), "vnet1");
    identity_destroy(t.table);
    for (size_t n = 0; n < sizeof text - 1; n++) {
        t = tell_as(INVENTORY_LIBVIRT, text, n, NULL);
        CU_ASSERT_EQUAL(t.parsed, -EINVAL);
        identity_destroy(t.table);
    }
}

static void
test_no_xml(void)
{
    static const struct {
        const char *text, *why;
    } bad[] = {
        { "", "there is no element" },
        { "<a>", "an element does not end" },
        { "<a></b>", "an element ends that did not begin" },
        { "</a>", "an element ends that did not begin" },
        { "<a", "a tag does not end" },
        { "<a b='>", "a tag does not end" },
        { "<a></a", "a tag does not end" },
        { "<>", "an element has no name" },
        { "<a/><b/>", "there is more than one outermost element" },
        { "<a/>x", "there is text outside of elements" },
        { "<a><!-- </a>", "a comment does not end" },
        { "<?xml ", "an instruction does not end" },
        { "<!DOCTYPE a [<!ENTITY x 'y'>", "a document type does not end" },
        { "<a><![CDATA[</a>", "a CDATA section does not end" },
    };
    char deep[65 * 3 + 1] = "";
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct told t = tell_as(INVENTORY_LIBVIRT, bad[i].text,
                                strlen(bad[i].text), NULL);
        CU_ASSERT_EQUAL(t.parsed, -EINVAL);
        CU_ASSERT_STRING_EQUAL(t.r.error, bad[i].why);
        identity_destroy(t.table);
    }
    for (size_t i = 0; i < 65; i++) {
        strcat(deep, "<a>");
    }
    struct told t = tell_as(INVENTORY_LIBVIRT, deep, strlen(deep), NULL);
    CU_ASSERT_STRING_EQUAL(t.r.error, "elements are nested too deeply");
    identity_destroy(t.table);
    t = tell_as(INVENTORY_LIBVIRT, "<!DOCTYPE a><machines/>", 23, NULL);
    CU_ASSERT_EQUAL(t.parsed, 0);
    identity_destroy(t.table);
}

/* A text that is no inventory, and why. */
static void
test_no_inventory(void)
{
    static const struct {
        const char *text, *why;
    } bad[] = {
        { "", "the first line must name the columns, one of them prefix, "
              "address, mac or vni" },
        { "name,tenant\na,b\n", "the first line must name the columns, one "
          "of them prefix, address, mac or vni" },
        { "prefix,name\n10.0.0.0/8,\"never\nends", "line 2: a quoted field "
          "does not end" },
        { "[{\"prefix\": \"10.0.0.0/8\"", NULL },
        { "{\"10.0.0.0/8\": \"a\", \"10.0.0.0/8\": \"b\"}", NULL },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct told t = tell(bad[i].text);
        CU_ASSERT_EQUAL(t.parsed, -EINVAL);
        CU_ASSERT(*t.r.error);
        if (bad[i].why) {
            CU_ASSERT_STRING_EQUAL(t.r.error, bad[i].why);
        }
        identity_destroy(t.table);
    }
}

/* One entry that is wrong is refused with its place; the others hold. */
static void
test_bad_entries(void)
{
    static const struct {
        const char *text, *why;
    } bad[] = {
        { "prefix,name\n10.0.0.0/33,x\n192.0.2.0/24,y\n",
          "line 2: prefixes[0]: a prefix such as 10.0.0.0/8 is expected" },
        { "prefix,name\n10.0.0.0.1,x\n192.0.2.0/24,y\n",
          "line 2: addresses[0]: an IPv4 or IPv6 address is expected" },
        { "vni,prefix\nfive,10.0.0.0/8\n,192.0.2.0/24\n",
          "line 2: vnis[0]: a virtual network identifier is expected" },
        { "prefix,name\n,x\n192.0.2.0/24,y\n",
          "line 2: no prefix, address, mac, vni or port" },
        { "prefix,name\n192.0.2.0/24,x\n192.0.2.0/24,y\n",
          "line 3: id: an entry before has the same" },
        { "[7, {\"prefix\": \"192.0.2.0/24\"}]",
          "entry 1: an object is expected" },
        { "[{\"prefix\": \"10.0.0.0/8\", \"labels\": 0, \"role\": \"x\"},"
          " {\"prefix\": \"192.0.2.0/24\"}]",
          "entry 1: a member is told twice, as values of different types" },
        { "[{\"prefix\": \"10.0.0.0/8\", \"tenant\": {}},"
          " {\"prefix\": \"192.0.2.0/24\"}]",
          "entry 1: tenant: a string is expected" },
        { "[{\"prefix\": \"10.0.0.0/8\", \"sites\": []},"
          " {\"prefix\": \"192.0.2.0/24\"}]",
          "entry 1: sites: there is no such member" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct told t = tell(bad[i].text);
        CU_ASSERT_EQUAL(t.parsed, 0);
        CU_ASSERT_EQUAL(t.r.refused, 1);
        CU_ASSERT_EQUAL(t.r.accepted, 1);
        CU_ASSERT_STRING_EQUAL(t.r.error, bad[i].why);
        CU_ASSERT_STRING_NOT_EQUAL(of(&t, "192.0.2.1", IDENTITY_TYPE), "-");
        identity_destroy(t.table);
    }
}

/* The same again is known by its hash; every prefix of a text is harmless. */
static void
test_again_and_cut(void)
{
    static const char text[] = "prefix,name\n10.0.0.0/8,\"a\"\"b\"\n";
    struct told t = tell(text), u = tell("prefix,name\n10.0.0.0/8,c\n");
    CU_ASSERT_NOT_EQUAL(t.r.hash, u.r.hash);
    struct inventory_result r;
    struct identity_buffer b = { .data = NULL };
    struct json_object *list = inventory_parse(INVENTORY_CSV, text,
                                               sizeof text - 1, NULL, &r);
    CU_ASSERT_EQUAL(inventory_tell(list, &(struct inventory_telling) {
                        .source = "list:x", .now_us = 9 }, t.r.hash, dict,
                        &b, &r), -EEXIST);
    CU_ASSERT_EQUAL(b.n, 0);
    json_object_put(list);
    identity_destroy(t.table);
    identity_destroy(u.table);
    for (size_t n = 0; n < sizeof text; n++) {
        t = tell_as(INVENTORY_CSV, text, n, NULL);
        identity_destroy(t.table);
        t = tell_as(INVENTORY_JSON, text, n, NULL);
        identity_destroy(t.table);
    }
}

static void
test_begin(void)
{
    dict = dict_create(1000, 1 << 20);
    rcu_register_thread();
}

static void
test_end(void)
{
    dict_destroy(dict);
    rcu_unregister_thread();
}

UNIT_MAIN("inventory", UNIT_TEST(test_begin), UNIT_TEST(test_csv),
          UNIT_TEST(test_json), UNIT_TEST(test_containers),
          UNIT_TEST(test_libvirt), UNIT_TEST(test_no_xml),
          UNIT_TEST(test_no_inventory), UNIT_TEST(test_bad_entries),
          UNIT_TEST(test_again_and_cut), UNIT_TEST(test_end))
