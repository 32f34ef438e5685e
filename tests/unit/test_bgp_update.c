#include <config.h>

#include "bgp/attribute.h"

#include "tests/unit/bgp_util.h"

#define ALL ((1u << BGP_N_FAMILIES) - 1)

static const struct bgp_params ebgp = { .as4 = true, .families = ALL };
static const struct bgp_params ibgp = { .as4 = true, .families = ALL,
                                        .internal = true };

static struct bgp_decoder *decoder;
static struct bgp_update update;
static struct recorder seen;
static uint8_t *held;           /* The body that 'update' borrows from. */

/* Decodes an UPDATE made of its three parts and hands it over. */
static enum bgp_action
decode(const struct bgp_params *params, const char *withdrawn,
       const char *attributes, const char *nlri)
{
    size_t n[3], at = 0;
    uint8_t *part[3] = { unhex(withdrawn, &n[0]), unhex(attributes, &n[1]),
                         unhex(nlri, &n[2]) };
    free(held);
    held = malloc(n[0] + n[1] + n[2] + 4);
    for (int i = 0; i < 3; i++) {
        if (i < 2) {
            held[at++] = (uint8_t) (n[i] >> 8);
            held[at++] = (uint8_t) n[i];
        }
        memcpy(held + at, part[i], n[i]);
        at += n[i];
        free(part[i]);
    }
    if (!decoder) {
        decoder = bgp_decoder_create();
    }
    memset(&seen, 0, sizeof seen);
    struct bgp_sink sink = recorder_sink(&seen);
    bgp_update_decode(decoder, params, cur_init(held, at), &update);
    return bgp_update_deliver(params, &update, &sink, 0);
}

static void
expect(enum bgp_action action, enum bgp_action wanted, const char *text)
{
    CU_ASSERT_EQUAL(action, wanted);
    if (strcmp(seen.text, text)) {
        fprintf(stderr, "got  %sfor  %s(%s)\n", seen.text, text,
                update.why ? update.why : "no reason");
        CU_FAIL("routes");
    }
}

/* ORIGIN IGP, AS_PATH 65001 65002, NEXT_HOP 192.0.2.1. */
#define ORIGIN "400101 00 "
#define AS_PATH "40020a 0202 0000fde9 0000fdea "
#define NEXT_HOP "400304 c0000201 "
#define GOOD ORIGIN AS_PATH NEXT_HOP
#define NET "18 0a0102 "        /* 10.1.2.0/24 */
#define ADDED "+ ipv4-unicast 10.1.2.0/24\n"
#define TAKEN "- ipv4-unicast 10.1.2.0/24\n"

static void
test_good(void)
{
    expect(decode(&ibgp, "10 0a09",
                  GOOD "800404 00000007" "400504 00000064" "400600"
                  "c00708 0000fdea c0000202" "c00808 fde90001 ffffff01"
                  "800904 c0000203" "800a08 c0000204 c0000205"
                  "c01010 0002fde900000001 0102c00002010002"
                  "c0200c 0000fde9 00000001 00000002"
                  "c02304 0000fde9" "801a0b 01000b 0000000000000009"
                  "c0f703 010203",
                  NET "00 20 0a010203 13 c0a8ff"), BGP_ACCEPT,
           "- ipv4-unicast 10.9.0.0/16\n" ADDED
           "+ ipv4-unicast 0.0.0.0/0\n+ ipv4-unicast 10.1.2.3/32\n"
           "+ ipv4-unicast 192.168.224.0/19\n");
    const struct bgp_attrs *a = &seen.attrs;
    char text[ADDR_STRLEN];
    CU_ASSERT_EQUAL(a->has & BGP_HAS_ORIGIN, BGP_HAS_ORIGIN);
    CU_ASSERT_EQUAL(a->n_as_path, 3);
    CU_ASSERT_EQUAL(a->as_path[0], BGP_AS_SEQUENCE << 16 | 2);
    CU_ASSERT_EQUAL(a->as_path[1], 65001);
    CU_ASSERT_EQUAL(a->as_path[2], 65002);
    CU_ASSERT_STRING_EQUAL(addr_format(&a->next_hop, text), "192.0.2.1");
    CU_ASSERT_EQUAL(a->med, 7);
    CU_ASSERT_EQUAL(a->local_pref, 100);
    CU_ASSERT(a->has & BGP_HAS_ATOMIC_AGGREGATE);
    CU_ASSERT_EQUAL(a->aggregator_as, 65002);
    CU_ASSERT_STRING_EQUAL(addr_format(&a->aggregator, text), "192.0.2.2");
    CU_ASSERT_EQUAL(a->n_communities, 2);
    CU_ASSERT_EQUAL(a->communities[1], 0xffffff01);
    CU_ASSERT_EQUAL(a->originator_id, 0xc0000203);
    CU_ASSERT_EQUAL(a->n_cluster_list, 2);
    CU_ASSERT_EQUAL(a->cluster_list[1], 0xc0000205);
    CU_ASSERT_EQUAL(a->n_ext_communities, 2);
    CU_ASSERT_EQUAL(a->ext_communities[1], 0x0102c00002010002);
    CU_ASSERT_EQUAL(a->n_large_communities, 1);
    CU_ASSERT_EQUAL(a->large_communities[0][2], 2);
    CU_ASSERT_EQUAL(a->otc, 65001);
    CU_ASSERT_EQUAL(a->aigp, 9);
    CU_ASSERT_EQUAL(a->n_unknown, 6);
    CU_ASSERT_EQUAL(memcmp(a->unknown, "\xc0\xf7\x03\x01\x02\x03", 6), 0);
    CU_ASSERT_EQUAL(update.n_announced, 4);
    CU_ASSERT_EQUAL(update.n_withdrawn, 1);
    CU_ASSERT_PTR_NULL(update.why);
}

/* Each class of RFC 7606, one row: what is wrong, what is to be done for a
 * route of an external and of an internal peer, and what the NOTIFICATION says
 * if there is no route that could be withdrawn (section 5.2). */
static const struct error_case {
    const char *attributes;
    enum bgp_action external, internal;
    unsigned subcode;
} error_cases[] = {
    /* Section 3 c: flags. */
    { "800101 00" AS_PATH NEXT_HOP, BGP_WITHDRAW, BGP_WITHDRAW, 4 },
    { "c00101 00" AS_PATH NEXT_HOP, BGP_WITHDRAW, BGP_WITHDRAW, 4 },
    { GOOD "c00404 00000001", BGP_WITHDRAW, BGP_WITHDRAW, 4 },
    { GOOD "800804 fde90001", BGP_WITHDRAW, BGP_WITHDRAW, 4 },
    { GOOD "c00600", BGP_DISCARD, BGP_DISCARD, 0 },
    { GOOD "800708 0000fdea c0000202", BGP_DISCARD, BGP_DISCARD, 0 },
    { GOOD "e00804 fde90001", BGP_ACCEPT, BGP_ACCEPT, 0 },   /* Partial. */
    { GOOD "d0080004 fde90001", BGP_ACCEPT, BGP_ACCEPT, 0 }, /* Extended. */
    /* d: something is missing. */
    { ORIGIN AS_PATH, BGP_WITHDRAW, BGP_WITHDRAW, 0 },
    { ORIGIN NEXT_HOP, BGP_WITHDRAW, BGP_WITHDRAW, 0 },
    { AS_PATH NEXT_HOP, BGP_WITHDRAW, BGP_WITHDRAW, 0 },
    /* g: twice. */
    { GOOD "400101 02", BGP_DISCARD, BGP_DISCARD, 0 },
    { GOOD "c0f700 c0f700", BGP_DISCARD, BGP_DISCARD, 0 },
    /* Section 4: more than the total, or no room for a length. */
    { GOOD "800404 0000", BGP_WITHDRAW, BGP_WITHDRAW, 1 },
    { GOOD "8004", BGP_WITHDRAW, BGP_WITHDRAW, 1 },
    { GOOD "900400", BGP_WITHDRAW, BGP_WITHDRAW, 1 },
    { GOOD "80", BGP_WITHDRAW, BGP_WITHDRAW, 1 },
    /* Section 7.1: ORIGIN. */
    { "400101 03" AS_PATH NEXT_HOP, BGP_WITHDRAW, BGP_WITHDRAW, 6 },
    { "400100" AS_PATH NEXT_HOP, BGP_WITHDRAW, BGP_WITHDRAW, 5 },
    { "400102 0000" AS_PATH NEXT_HOP, BGP_WITHDRAW, BGP_WITHDRAW, 5 },
    /* 7.2: AS_PATH: type, too long, too short, empty segment, AS 0. */
    { ORIGIN NEXT_HOP "400206 0701 0000fde9", BGP_WITHDRAW, BGP_WITHDRAW,
      11 },
    { ORIGIN NEXT_HOP "400206 0202 0000fde9", BGP_WITHDRAW, BGP_WITHDRAW,
      11 },
    { ORIGIN NEXT_HOP "400207 0201 0000fde9 02", BGP_WITHDRAW, BGP_WITHDRAW,
      11 },
    { ORIGIN NEXT_HOP "400208 0201 0000fde9 0200", BGP_WITHDRAW,
      BGP_WITHDRAW, 11 },
    { ORIGIN NEXT_HOP "400206 0201 00000000", BGP_WITHDRAW, BGP_WITHDRAW,
      11 },
    { ORIGIN NEXT_HOP "400200", BGP_ACCEPT, BGP_ACCEPT, 0 },
    /* 7.3: NEXT_HOP. */
    { ORIGIN AS_PATH "400303 c00002", BGP_WITHDRAW, BGP_WITHDRAW, 5 },
    { ORIGIN AS_PATH "400304 00000000", BGP_WITHDRAW, BGP_WITHDRAW, 8 },
    { ORIGIN AS_PATH "400304 e0000001", BGP_WITHDRAW, BGP_WITHDRAW, 8 },
    /* 7.4 to 7.7 */
    { GOOD "800403 000000", BGP_WITHDRAW, BGP_WITHDRAW, 5 },
    { GOOD "400503 000000", BGP_ACCEPT, BGP_WITHDRAW, 5 },
    { GOOD "400504 00000064", BGP_ACCEPT, BGP_ACCEPT, 0 },
    { GOOD "400601 00", BGP_DISCARD, BGP_DISCARD, 0 },
    { GOOD "c00706 fdea c0000202", BGP_DISCARD, BGP_DISCARD, 0 },
    { GOOD "c00709 0000fdea c0000202 00", BGP_DISCARD, BGP_DISCARD, 0 },
    { GOOD "c00708 00000000 c0000202", BGP_DISCARD, BGP_DISCARD, 0 },
    /* 7.8 to 7.10 */
    { GOOD "c00806 fde90001 0000", BGP_WITHDRAW, BGP_WITHDRAW, 5 },
    { GOOD "c00800", BGP_WITHDRAW, BGP_WITHDRAW, 5 },
    { GOOD "800903 c00002", BGP_ACCEPT, BGP_WITHDRAW, 5 },
    { GOOD "800a00", BGP_ACCEPT, BGP_WITHDRAW, 5 },
    { GOOD "800a05 c000020401", BGP_ACCEPT, BGP_WITHDRAW, 5 },
    /* 7.14, 7.15; RFC 8092, 9234, 7311, 6514, 6793. */
    { GOOD "c01009 0002fde900000001 00", BGP_WITHDRAW, BGP_WITHDRAW, 5 },
    { GOOD "c01000", BGP_WITHDRAW, BGP_WITHDRAW, 5 },
    { GOOD "c01904 00000000", BGP_WITHDRAW, BGP_WITHDRAW, 5 },
    { GOOD "c0200d 0000fde9 00000001 00000002 00", BGP_WITHDRAW,
      BGP_WITHDRAW, 5 },
    { GOOD "c02000", BGP_WITHDRAW, BGP_WITHDRAW, 5 },
    { GOOD "c02303 00fde9", BGP_WITHDRAW, BGP_WITHDRAW, 5 },
    { GOOD "801a03 01000b", BGP_ACCEPT, BGP_DISCARD, 0 },
    { GOOD "801a0a 01000a 00000000000000", BGP_ACCEPT, BGP_DISCARD, 0 },
    { GOOD "c01604 00000000", BGP_WITHDRAW, BGP_WITHDRAW, 5 },
    { GOOD "c01106 0201 0000fde9", BGP_ACCEPT, BGP_ACCEPT, 0 },
    /* Unknown: optional ones pass, well-known ones end the session. */
    { GOOD "80f701 00", BGP_ACCEPT, BGP_ACCEPT, 0 },
    { GOOD "c0f701 00", BGP_ACCEPT, BGP_ACCEPT, 0 },
    { GOOD "40f701 00", BGP_RESET, BGP_RESET, 2 },
    /* 3 g, 7.11: there is no telling where the routes are. */
    { GOOD "800f03 000201 800f03 000201", BGP_RESET, BGP_RESET, 1 },
    { GOOD "800e05 0019410000 800e05 0019410000", BGP_RESET, BGP_RESET, 1 },
    { GOOD "800e09 000201 04 c0000201 00", BGP_RESET, BGP_RESET, 9 },
    { GOOD "800e04 000201 05", BGP_RESET, BGP_RESET, 9 },
    { GOOD "800e01 00", BGP_RESET, BGP_RESET, 9 },
    { GOOD "800f02 0002", BGP_RESET, BGP_RESET, 9 },
    /* The strongest counts: 3 h. */
    { GOOD "400601 00 800403 000000", BGP_WITHDRAW, BGP_WITHDRAW, 5 },
    { GOOD "800403 000000 400601 00", BGP_WITHDRAW, BGP_WITHDRAW, 5 },
    { GOOD "800403 000000 40f700", BGP_RESET, BGP_RESET, 2 },
};

static void
check_case(const struct error_case *t, bool internal)
{
    const struct bgp_params *params = internal ? &ibgp : &ebgp;
    enum bgp_action want = internal ? t->internal : t->external;
    expect(decode(params, "", t->attributes, NET), want,
           want == BGP_RESET ? "" : want == BGP_WITHDRAW ? TAKEN : ADDED);
    bool noted = update.why || update.n_discarded || update.n_unknown;
    CU_ASSERT(want == BGP_ACCEPT || noted);
    CU_ASSERT_EQUAL(update.why != NULL, want != BGP_ACCEPT);
    /* Without a route: those that would be withdrawn end the session. */
    bool missing = !t->subcode && want == BGP_WITHDRAW;
    want = missing ? BGP_ACCEPT : want == BGP_WITHDRAW ? BGP_RESET : want;
    expect(decode(params, "", t->attributes, ""), want, "");
    if (want == BGP_RESET) {
        CU_ASSERT_EQUAL(update.error.code, BGP_E_UPDATE);
        CU_ASSERT_EQUAL(update.error.subcode, t->subcode);
        CU_ASSERT(update.error.n_data || t->subcode == BGP_E_UPDATE_LIST);
    }
}

static void
test_errors(void)
{
    for (size_t i = 0; i < sizeof error_cases / sizeof error_cases[0]; i++) {
        unsigned before = CU_get_number_of_failures();
        check_case(&error_cases[i], false);
        check_case(&error_cases[i], true);
        if (CU_get_number_of_failures() != before) {
            fprintf(stderr, "%s: %s\n", error_cases[i].attributes,
                    update.why ? update.why : "");
        }
    }
    /* The data of the NOTIFICATION are the attribute (RFC 4271 6.3). */
    decode(&ebgp, "", "400101 07", "");
    CU_ASSERT_EQUAL(update.error.n_data, 4);
    CU_ASSERT_EQUAL(memcmp(update.error.data, "\x40\x01\x01\x07", 4), 0);
}

static void
decode_raw(const char *hex)
{
    size_t n;
    free(held);
    held = unhex(hex, &n);
    memset(&seen, 0, sizeof seen);
    struct bgp_sink sink = recorder_sink(&seen);
    bgp_update_decode(decoder, &ebgp, cur_init(held, n), &update);
    bgp_update_deliver(&ebgp, &update, &sink, 0);
}

/* RFC 7606 sections 3 b, 3 i, 5.3 and 5.4. */
static void
test_fields(void)
{
    static const char *const lengths[] = {
        "0001 0000", "0000 0001", "0005 00000000 0000", "00", "0000 00", "",
    };
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        decode_raw(lengths[i]);
        CU_ASSERT_EQUAL(update.action, BGP_RESET);
        CU_ASSERT_EQUAL(update.error.subcode, BGP_E_UPDATE_LIST);
    }
    /* Prefixes of 33 bits, and with octets missing. */
    expect(decode(&ebgp, "", GOOD, "21 0a01020304"), BGP_RESET, "");
    CU_ASSERT_EQUAL(update.error.subcode, BGP_E_UPDATE_NETWORK);
    expect(decode(&ebgp, "", GOOD, "18 0a01"), BGP_RESET, "");
    CU_ASSERT_EQUAL(update.error.subcode, BGP_E_UPDATE_NETWORK);
    expect(decode(&ebgp, "21 0a01020304", "", ""), BGP_RESET, "");
    CU_ASSERT_EQUAL(update.error.subcode, BGP_E_UPDATE_NETWORK);
    expect(decode(&ebgp, "", "800f05 000201 81 20", ""), BGP_RESET, "");
    CU_ASSERT_EQUAL(update.error.subcode, BGP_E_UPDATE_OPTIONAL);
    /* Flags of MP_UNREACH_NLRI alone: what it withdraws is there (5.2). */
    expect(decode(&ebgp, "", "c00f08 000201 20 20010db8", ""), BGP_WITHDRAW,
           "- ipv6-unicast 2001:db8::/32\n");
    expect(decode(&ebgp, "", "c00f08 000201 20 20010db8 400101 00", ""),
           BGP_RESET, "");
    expect(decode(&ebgp, "", "800f08 000201 20 20010db8 80", ""), BGP_RESET,
           "");
    /* An unknown type of EVPN route, one that is too short: passed over. */
    expect(decode(&ebgp, "", "800f09 001946 09 01 00 03 01 00", ""),
           BGP_ACCEPT, "");
    CU_ASSERT_EQUAL(update.n_bad_nlri, 2);
    expect(decode(&ebgp, "", "800f06 001946 02 05 00", ""), BGP_RESET, "");
    /* The same prefix withdrawn and announced: it is there. */
    expect(decode(&ebgp, NET, GOOD, NET), BGP_ACCEPT, TAKEN ADDED);
}

static void
test_families(void)
{
    expect(decode(&ebgp, "", ORIGIN AS_PATH
                  "800e[0002 01 20 20010db8000000000000000000000001"
                  "fe800000000000000000000000000001 00 20 20010db8 00]", ""),
           BGP_ACCEPT,
           "+ ipv6-unicast 2001:db8::/32\n+ ipv6-unicast ::/0\n");
    char text[ADDR_STRLEN];
    CU_ASSERT_STRING_EQUAL(addr_format(&seen.attrs.next_hop, text),
                           "2001:db8::1");
    CU_ASSERT_STRING_EQUAL(addr_format(&seen.attrs.link_local, text),
                           "fe80::1");
    /* VPN: one label, RD, prefix; then two labels. */
    expect(decode(&ebgp, "", ORIGIN AS_PATH
                  "800e[0001 80 0c 0000000000000000 c0000209 00"
                  "70 000641 0000fde900000007 0a0102"
                  "80 000640 000651 0001 c0000201 0008 0a01]", ""),
           BGP_ACCEPT,
           "+ vpnv4-unicast 10.1.2.0/24 rd 65001:7 label 100\n"
           "+ vpnv4-unicast 10.1.0.0/16 rd 192.0.2.1:8 label 100\n");
    CU_ASSERT_EQUAL(seen.nlri.n_labels, 2);
    CU_ASSERT_STRING_EQUAL(addr_format(&seen.attrs.next_hop, text),
                           "192.0.2.9");
    /* Withdrawn with 0x800000 for a label. */
    expect(decode(&ebgp, "", "800f[0001 80 70 800000 0000fde900000007"
                  "0a0102]", ""), BGP_ACCEPT,
           "- vpnv4-unicast 10.1.2.0/24 rd 65001:7\n");
    expect(decode(&ebgp, "", ORIGIN AS_PATH
                  "800e[0001 04 04 c0000209 00 30 000641 0a0102"
                  "18 000651]", ""), BGP_ACCEPT,
           "+ ipv4-labeled-unicast 10.1.2.0/24 label 100\n"
           "+ ipv4-labeled-unicast 0.0.0.0/0 label 101\n");
    expect(decode(&ebgp, "", ORIGIN AS_PATH
                  "800e[0002 80 18 0000000000000000"
                  "20010db8000000000000000000000001 00"
                  "88 000641 0002000100000009 20010db80001]", ""),
           BGP_ACCEPT,
           "+ vpnv6-unicast 2001:db8:1::/48 rd 65536:9 label 100\n");
    /* Families that are not kept, or not wanted, are skipped. */
    expect(decode(&ebgp, "", ORIGIN AS_PATH
                  "800e[4004 47 04 c0000201 00 000100]", ""), BGP_ACCEPT,
           "");
    CU_ASSERT_EQUAL(update.n_skipped, 1);
    struct bgp_params v4 = ebgp;
    v4.families = 1u << BGP_IPV4_UNICAST;
    expect(decode(&v4, "", "800f[0002 01 20 20010db8]", ""), BGP_ACCEPT,
           "");
    CU_ASSERT_EQUAL(update.n_skipped, 1);
}

#define EVPN_HEAD ORIGIN AS_PATH "900e"

static void
test_evpn(void)
{
    /* Type 2 with IPv4 and two labels, type 3, type 5. */
    expect(decode(&ebgp, "", EVPN_HEAD "(0019 46 04 c0000209 00"
                  "02 [0001c00002010064 00010203040506070809 00000005"
                  "30 020000000001 20 0a000001 001388 001389]"
                  "03 [0001c00002010064 00000005 20 c0000209]"
                  "05 [0001c00002010064 00000000000000000000 00000000"
                  "18 0a0a0a00 00000000 00138a])", ""), BGP_ACCEPT,
           "+ l2vpn-evpn 10.0.0.1/32 rd 192.0.2.1:100 label 5000\n"
           "+ l2vpn-evpn 192.0.2.9/32 rd 192.0.2.1:100\n"
           "+ l2vpn-evpn 10.10.10.0/24 rd 192.0.2.1:100 label 5002\n");
    expect(decode(&ebgp, "", EVPN_HEAD "(0019 46 04 c0000209 00"
                  "02 [0001c00002010064 00010203040506070809 00000005"
                  "30 020000000001 00 001388])", ""), BGP_ACCEPT,
           "+ l2vpn-evpn ::/0 rd 192.0.2.1:100 label 5000\n");
    CU_ASSERT_EQUAL(seen.nlri.mac, 0x020000000001);
    CU_ASSERT_EQUAL(seen.nlri.ethernet_tag, 5);
    CU_ASSERT_EQUAL(seen.nlri.esi[9], 9);
    CU_ASSERT_EQUAL(seen.nlri.evpn_type, 2);
    expect(decode(&ebgp, "", EVPN_HEAD "(0019 46 04 c0000209 00"
                  "05 [0001c00002010064 00000000000000000000 00000000"
                  "40 20010db8000000010000000000000000"
                  "20010db8000000000000000000000001 00138a])", ""),
           BGP_ACCEPT,
           "+ l2vpn-evpn 2001:db8:0:1::/64 rd 192.0.2.1:100 label 5002\n");
    char text[ADDR_STRLEN];
    CU_ASSERT_STRING_EQUAL(addr_format(&seen.nlri.gateway, text),
                           "2001:db8::1");
}

static void
test_add_path(void)
{
    struct bgp_params params = ebgp;
    params.add_path = 1u << BGP_IPV4_UNICAST | 1u << BGP_IPV6_UNICAST;
    expect(decode(&params, "00000007 08 0a", GOOD "800e[0002 01 10"
                  "20010db8000000000000000000000001 00"
                  "00000009 20 20010db8]", "00000001 18 0a0102"
                  "00000002 18 0a0102"), BGP_ACCEPT,
           "- ipv4-unicast 10.0.0.0/8 id 7\n"
           "+ ipv4-unicast 10.1.2.0/24 id 1\n"
           "+ ipv4-unicast 10.1.2.0/24 id 2\n"
           "+ ipv6-unicast 2001:db8::/32 id 9\n");
    expect(decode(&params, "", GOOD, "00000001"), BGP_RESET, "");
    /* A capture does not tell: it is guessed. */
    struct bgp_params guess = { .guess_as4 = true,
                                .guess_paths = true, .lenient = true,
                                .families = ALL };
    expect(decode(&guess, "", GOOD, "00000001 18 0a0102"), BGP_ACCEPT,
           "+ ipv4-unicast 10.1.2.0/24 id 1\n");
    expect(decode(&guess, "", GOOD, NET), BGP_ACCEPT, ADDED);
    CU_ASSERT_EQUAL(seen.attrs.as_path[1], 65001);
    expect(decode(&guess, "", ORIGIN NEXT_HOP "400206 0202 fde9 fdea", NET),
           BGP_ACCEPT, ADDED);
    CU_ASSERT_EQUAL(seen.attrs.as_path[2], 65002);
}

static void
test_next_hops(void)
{
    struct bgp_params params = ebgp;
    const char *v4_over_v6 = ORIGIN AS_PATH "800e[0001 01 10"
        "20010db8000000000000000000000001 00 18 0a0102]";
    expect(decode(&params, "", v4_over_v6, ""), BGP_RESET, "");
    params.ext_next_hop = 1u << BGP_IPV4_UNICAST;
    expect(decode(&params, "", v4_over_v6, ""), BGP_ACCEPT, ADDED);
    /* Both fields in one message: each has its own next hop. */
    char text[ADDR_STRLEN];
    expect(decode(&ebgp, "", GOOD "800e[0002 01 10"
                  "20010db8000000000000000000000001 00 20 20010db8]", NET),
           BGP_ACCEPT, ADDED "+ ipv6-unicast 2001:db8::/32\n");
    CU_ASSERT_STRING_EQUAL(addr_format(&update.attrs.next_hop, text),
                           "192.0.2.1");
    CU_ASSERT_STRING_EQUAL(addr_format(&update.mp_attrs.next_hop, text),
                           "2001:db8::1");
    CU_ASSERT_NOT_EQUAL(update.attrs.serial, update.mp_attrs.serial);
}

/* RFC 4724 section 2 */
static void
test_end_of_rib(void)
{
    expect(decode(&ebgp, "", "", ""), BGP_ACCEPT, "eor ipv4-unicast\n");
    expect(decode(&ebgp, "", "800f03 000201", ""), BGP_ACCEPT,
           "eor ipv6-unicast\n");
    expect(decode(&ebgp, "", "900f0003 001946", ""), BGP_ACCEPT,
           "eor l2vpn-evpn\n");
    expect(decode(&ebgp, "", "800f03 000185", ""), BGP_ACCEPT, "");
    /* An MP_REACH_NLRI without routes is none. */
    expect(decode(&ebgp, "", "800e05 0002010000", ""), BGP_RESET, "");
    for (int f = 0; f < BGP_N_FAMILIES; f++) {
        uint8_t buf[BGP_MAX_SIZE];
        size_t n = bgp_end_of_rib_write((enum bgp_family) f, buf);
        struct bgp_sink sink = recorder_sink(&seen);
        memset(&seen, 0, sizeof seen);
        bgp_update_decode(decoder, &ebgp, cur_init(buf + 19, n - 19),
                          &update);
        bgp_update_deliver(&ebgp, &update, &sink, 0);
        CU_ASSERT_EQUAL(update.end_of_rib, 1u << f);
    }
}

static void
check_path(const char *attributes, const char *path)
{
    struct bgp_params params = ebgp;
    char text[200] = "";
    params.as4 = false;
    expect(decode(&params, "", attributes, NET), BGP_ACCEPT, ADDED);
    const struct bgp_attrs *a = &update.attrs;
    for (uint32_t i = 0, end = 0; i < a->n_as_path; i++) {
        bool head = i == end;
        sprintf(text + strlen(text), head ? "%s%u:" : "%s%u ", "",
                head ? a->as_path[i] >> 16 : a->as_path[i]);
        end += head ? 1 + (a->as_path[i] & 0xffff) : 0;
    }
    CU_ASSERT_STRING_EQUAL(text, path);
}

/* RFC 6793 section 4.2.3 */
static void
test_as4(void)
{
    const char *old = ORIGIN NEXT_HOP;
    char text[400];
    static const struct {
        const char *attributes, *path;
    } cases[] = {
        { "400206 0202 fde9 5ba0", "2:65001 23456 " },
        { "400208 0203 fde9 5ba0 fdeb c0110a 0202 00010000 0000fdeb",
          "2:65001 65536 65003 " },
        { "400206 0202 5ba0 5ba0 c0110a 0202 00010000 00010001",
          "2:65536 65537 " },
        /* Longer than AS_PATH: ignored. */
        { "400204 0201 5ba0 c0110a 0202 00010000 00010001", "2:23456 " },
        /* A set counts once. */
        { "40020c 0202 fde9 5ba0 0102 fdea fdeb"
          "c01110 0201 00010000 0102 0000fdea 0000fdeb",
          "2:65001 65536 1:65002 65003 " },
        /* A confederation in front stays, one in AS4_PATH goes. */
        { "40020a 0301 fff0 0202 fde9 5ba0 c0110c 0301 0000fff0"
          "0201 00010000", "3:65520 2:65001 65536 " },
        /* Malformed: dropped. */
        { "400204 0201 5ba0 c01105 0201 000100", "2:23456 " },
        { "400204 0201 5ba0 c01106 0901 00010000", "2:23456 " },
        /* AGGREGATOR is none of AS_TRANS: AS4_PATH is not to be believed. */
        { "400204 0201 5ba0 c01106 0201 00010000 c00706 fdea c0000202"
          "c01208 00010000 c0000202", "2:23456 " },
        { "400204 0201 5ba0 c01106 0201 00010000 c00706 5ba0 c0000202"
          "c01208 00010000 c0000203", "2:65536 " },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bgp_params params = ebgp;
        snprintf(text, sizeof text, "%s%s", old, cases[i].attributes);
        if (i != 6 && i != 7) { /* Those drop an attribute. */
            check_path(text, cases[i].path);
            continue;
        }
        params.as4 = false;
        expect(decode(&params, "", text, NET), BGP_DISCARD, ADDED);
        CU_ASSERT_EQUAL(update.attrs.n_as_path, 2);
        CU_ASSERT_EQUAL(update.attrs.as_path[1], BGP_AS_TRANS);
    }
    CU_ASSERT_EQUAL(update.attrs.aggregator_as, 65536);
}

/* Table dumps have only the next hop in MP_REACH_NLRI (RFC 6396, 4.3.4). */
static void
test_dump(void)
{
    struct bgp_params params = { .as4 = true, .lenient = true,
                                 .families = ALL };
    char text[ADDR_STRLEN];
    size_t n;
    free(held);
    held = unhex(ORIGIN AS_PATH
                 "800e11 10 20010db8000000000000000000000001", &n);
    bgp_attrs_decode(decoder, &params, cur_init(held, n), &update);
    CU_ASSERT_EQUAL(update.action, BGP_ACCEPT);
    CU_ASSERT_STRING_EQUAL(addr_format(&update.mp_attrs.next_hop, text),
                           "2001:db8::1");
    CU_ASSERT_EQUAL(update.mp_attrs.n_as_path, 3);
    free(held);
    held = unhex(ORIGIN AS_PATH "800e19 0002 01 10"
                 "20010db8000000000000000000000002 00 00000000", &n);
    bgp_attrs_decode(decoder, &params, cur_init(held, n), &update);
    CU_ASSERT_STRING_EQUAL(addr_format(&update.mp_attrs.next_hop, text),
                           "2001:db8::2");
}

/* Codes ascend, names are there, flags make sense. */
static void
test_table(void)
{
    uint8_t last = 0;
    for (const struct bgp_attr_def *d = bgp_attr_defs; d->code; d++) {
        CU_ASSERT(d->code > last || d->code == BGP_A_ORIGINATOR_ID
                  || d->code == BGP_A_CLUSTER_LIST);
        CU_ASSERT_STRING_EQUAL(bgp_attr_name(d->code), d->name);
        CU_ASSERT_EQUAL(d->flags & ~0xc0, 0);
        CU_ASSERT_NOT_EQUAL(d->flags, 0);
        CU_ASSERT(d->unit > 0);
        CU_ASSERT(d->what || (!d->least && !d->most));
        CU_ASSERT(d->on_error != BGP_ACCEPT && d->on_flags != BGP_ACCEPT);
        CU_ASSERT(d->decode || d->keep || d->code == 24 || d->code == 29
                  || d->code == 33);
        last = d->code;
    }
    CU_ASSERT_PTR_NULL(bgp_attr_name(200));
}

/* Every cut of a good message: an error, or fewer routes; ASan watches. */
static void
test_guillotine(void)
{
    size_t n;
    uint8_t *whole = unhex("(10 0a09) (" GOOD "c008[fde90001] 800e[0002 01 10"
                           "20010db8000000000000000000000001 00 20 20010db8"
                           "80 20010db8000000000000000000000001])", &n);
    struct bgp_sink sink = recorder_sink(&seen);
    for (size_t i = 0; i <= n; i++) {
        uint8_t *cut = memdup_exact(whole, i);
        bgp_update_decode(decoder, &ebgp, cur_init(cut, i), &update);
        bgp_update_deliver(&ebgp, &update, &sink, 0);
        CU_ASSERT_EQUAL(update.action == BGP_RESET, i < n);
        free(cut);
    }
    CU_ASSERT_EQUAL(update.n_announced, 2);
    free(whole);
    free(held);
    held = NULL;
    bgp_decoder_destroy(decoder);
}

UNIT_MAIN("bgp update", UNIT_TEST(test_good), UNIT_TEST(test_errors),
          UNIT_TEST(test_fields), UNIT_TEST(test_families),
          UNIT_TEST(test_evpn), UNIT_TEST(test_add_path),
          UNIT_TEST(test_next_hops), UNIT_TEST(test_end_of_rib),
          UNIT_TEST(test_as4), UNIT_TEST(test_dump), UNIT_TEST(test_table),
          UNIT_TEST(test_guillotine))
