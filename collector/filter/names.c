#include <config.h>

#include "collector/filter/names.h"

#include <errno.h>
#include <stddef.h>
#include <strings.h>

struct name {
    const char *name;
    uint16_t number;
};

/* The first of a number is the one that is shown. */
static const struct name protos[] = {
    { "hopopt", 0 }, { "icmp", 1 }, { "igmp", 2 }, { "ggp", 3 },
    { "ipip", 4 }, { "ipv4", 4 }, { "ipencap", 4 }, { "st", 5 },
    { "tcp", 6 }, { "cbt", 7 }, { "egp", 8 }, { "igp", 9 }, { "pup", 12 },
    { "chaos", 16 }, { "udp", 17 }, { "mux", 18 }, { "hmp", 20 },
    { "xns-idp", 22 }, { "rdp", 27 }, { "irtp", 28 }, { "iso-tp4", 29 },
    { "dccp", 33 }, { "3pc", 34 }, { "idpr", 35 }, { "xtp", 36 },
    { "ddp", 37 }, { "il", 40 }, { "ipv6", 41 }, { "sdrp", 42 },
    { "ipv6-route", 43 }, { "ipv6-frag", 44 }, { "idrp", 45 },
    { "rsvp", 46 }, { "gre", 47 }, { "dsr", 48 }, { "esp", 50 },
    { "ah", 51 }, { "i-nlsp", 52 }, { "swipe", 53 }, { "narp", 54 },
    { "mobile", 55 }, { "tlsp", 56 }, { "skip", 57 }, { "icmp6", 58 },
    { "ipv6-icmp", 58 }, { "icmpv6", 58 }, { "ipv6-nonxt", 59 },
    { "ipv6-opts", 60 }, { "rspf", 73 }, { "wsn", 74 }, { "vmtp", 81 },
    { "eigrp", 88 }, { "ospf", 89 }, { "ospfigp", 89 }, { "larp", 91 },
    { "mtp", 92 }, { "ax.25", 93 }, { "ipip-old", 94 }, { "etherip", 97 },
    { "encap", 98 }, { "pim", 103 }, { "ipcomp", 108 }, { "snp", 109 },
    { "vrrp", 112 }, { "pgm", 113 }, { "l2tp", 115 }, { "isis", 124 },
    { "crtp", 126 }, { "sctp", 132 }, { "fc", 133 },
    { "mobility-header", 135 }, { "udplite", 136 }, { "mpls-in-ip", 137 },
    { "manet", 138 }, { "hip", 139 }, { "shim6", 140 }, { "wesp", 141 },
    { "rohc", 142 }, { "ethernet", 143 }, { "aggfrag", 144 }, { "nsh", 145 },
};

/* What operators meet, from IANA's registry of service names. */
static const struct name services[] = {
    { "tcpmux", 1 }, { "echo", 7 }, { "discard", 9 }, { "daytime", 13 },
    { "chargen", 19 }, { "ftp-data", 20 }, { "ftp", 21 }, { "ssh", 22 },
    { "telnet", 23 }, { "smtp", 25 }, { "time", 37 }, { "tacacs", 49 },
    { "dns", 53 }, { "domain", 53 }, { "dhcp-server", 67 }, { "bootps", 67 },
    { "dhcp-client", 68 }, { "bootpc", 68 }, { "tftp", 69 }, { "gopher", 70 },
    { "finger", 79 }, { "http", 80 }, { "kerberos", 88 }, { "pop3", 110 },
    { "sunrpc", 111 }, { "ident", 113 }, { "nntp", 119 }, { "ntp", 123 },
    { "loc-srv", 135 }, { "epmap", 135 }, { "netbios-ns", 137 },
    { "netbios-dgm", 138 }, { "netbios-ssn", 139 }, { "imap", 143 },
    { "snmp", 161 }, { "snmp-trap", 162 }, { "snmptrap", 162 },
    { "bgp", 179 }, { "irc", 194 }, { "ldap", 389 }, { "https", 443 },
    { "microsoft-ds", 445 }, { "submissions", 465 }, { "isakmp", 500 },
    { "login", 513 }, { "syslog", 514 }, { "printer", 515 }, { "rip", 520 },
    { "ripng", 521 }, { "dhcpv6-client", 546 }, { "dhcpv6-server", 547 },
    { "rtsp", 554 }, { "submission", 587 }, { "ipp", 631 }, { "ldaps", 636 },
    { "ldp", 646 }, { "dns-over-tls", 853 }, { "domain-s", 853 },
    { "rsync", 873 }, { "ftps-data", 989 }, { "ftps", 990 },
    { "imaps", 993 }, { "pop3s", 995 }, { "socks", 1080 },
    { "openvpn", 1194 }, { "ms-sql-s", 1433 }, { "ms-sql-m", 1434 },
    { "oracle", 1521 }, { "l2tp", 1701 }, { "pptp", 1723 },
    { "radius", 1812 }, { "radius-acct", 1813 }, { "mqtt", 1883 },
    { "ssdp", 1900 }, { "nfs", 2049 }, { "netflow", 2055 },
    { "gtp-control", 2123 }, { "gtp-user", 2152 }, { "docker", 2375 },
    { "etcd-client", 2379 }, { "etcd-server", 2380 }, { "iscsi", 3260 },
    { "mysql", 3306 }, { "rdp", 3389 }, { "ms-wbt-server", 3389 },
    { "stun", 3478 }, { "bfd-control", 3784 }, { "svn", 3690 },
    { "ipsec-nat-t", 4500 }, { "ipfix", 4739 }, { "ipfixs", 4740 },
    { "vxlan", 4789 }, { "sip", 5060 }, { "sips", 5061 }, { "xmpp", 5222 },
    { "mdns", 5353 }, { "llmnr", 5355 }, { "postgresql", 5432 },
    { "amqps", 5671 }, { "amqp", 5672 }, { "vnc", 5900 },
    { "couchdb", 5984 }, { "x11", 6000 }, { "geneve", 6081 },
    { "sflow", 6343 }, { "redis", 6379 }, { "kube-apiserver", 6443 },
    { "ovsdb", 6640 }, { "openflow", 6653 }, { "ircd", 6667 },
    { "p2p", 6681 }, { "bittorrent", 6682 }, { "http-alt", 8080 },
    { "https-alt", 8443 }, { "secure-mqtt", 8883 }, { "prometheus", 9090 },
    { "kafka", 9092 }, { "jetdirect", 9100 }, { "elasticsearch", 9200 },
    { "git", 9418 }, { "kubelet", 10250 }, { "memcached", 11211 },
    { "mongodb", 27017 }, { "wireguard", 51820 },
};

static const char *
find_number(const struct name *list, size_t n, uint16_t number)
{
    for (size_t i = 0; i < n; i++) {
        if (list[i].number == number) {
            return list[i].name;
        }
    }
    return NULL;
}

static const struct name *
find_name(const struct name *list, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (!strcasecmp(list[i].name, name)) {
            return &list[i];
        }
    }
    return NULL;
}

#define N(LIST) (sizeof (LIST) / sizeof (LIST)[0])

const char *
proto_name(uint8_t number)
{
    return find_number(protos, N(protos), number);
}

int
proto_number(const char *name, uint8_t *number)
{
    const struct name *p = find_name(protos, N(protos), name);
    if (!p) {
        return -EINVAL;
    }
    *number = (uint8_t) p->number;
    return 0;
}

const char *
service_name(uint16_t port)
{
    return find_number(services, N(services), port);
}

int
service_port(const char *name, uint16_t *port)
{
    const struct name *p = find_name(services, N(services), name);
    if (!p) {
        return -EINVAL;
    }
    *port = p->number;
    return 0;
}

const char *
proto_at(unsigned i)
{
    return i < N(protos) ? protos[i].name : NULL;
}

const char *
service_at(unsigned i)
{
    return i < N(services) ? services[i].name : NULL;
}
