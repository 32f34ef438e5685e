/* probe/netlink.c -- links as rtnetlink tells them (rtnetlink(7)). */
#include <config.h>

#include "probe/decide.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>

/* The attribute 'type' among the 'size' bytes at 'p', or NULL. */
static const struct rtattr *
find_attr(const void *p, size_t size, unsigned short type)
{
    const struct rtattr *a = p;
    int left = (int) size;

    for (; RTA_OK(a, left); a = RTA_NEXT(a, left)) {
        if ((a->rta_type & NLA_TYPE_MASK) == type) {
            return a;
        }
    }
    return NULL;
}

/* Whether IFLA_INFO_KIND within IFLA_LINKINFO says "bridge". */
static bool
is_bridge(const struct rtattr *info)
{
    const struct rtattr *kind = info
        ? find_attr(RTA_DATA(info), RTA_PAYLOAD(info), IFLA_INFO_KIND) : NULL;
    size_t n = kind ? RTA_PAYLOAD(kind) : 0;
    const char *text = kind ? RTA_DATA(kind) : "";

    n = strnlen(text, n);
    return n == 6 && !memcmp(text, "bridge", 6);
}

static void
read_link(struct probe_links *links, const struct nlmsghdr *h)
{
    struct probe_link link;
    struct ifinfomsg info;

    if (h->nlmsg_len < NLMSG_LENGTH(sizeof info)) {
        return;
    }
    memset(&link, 0, sizeof link);      /* Compared as a whole. */
    memcpy(&info, NLMSG_DATA(h), sizeof info);
    const char *attrs = (const char *) NLMSG_DATA(h)
                        + NLMSG_ALIGN(sizeof info);
    size_t size = h->nlmsg_len - NLMSG_LENGTH(sizeof info);
    const struct rtattr *name = find_attr(attrs, size, IFLA_IFNAME);
    link.ifindex = (uint32_t) info.ifi_index;
    link.up = (info.ifi_flags & IFF_UP) != 0;
    link.bridge = is_bridge(find_attr(attrs, size, IFLA_LINKINFO));
    if (name) {
        size_t n = strnlen(RTA_DATA(name), RTA_PAYLOAD(name));
        if (n >= sizeof link.name) {
            return;
        }
        memcpy(link.name, RTA_DATA(name), n);
    }
    /* What is said about a bridge's port in the family AF_BRIDGE is not about
     * the link. */
    if (info.ifi_family == 0 && (name || h->nlmsg_type == RTM_DELLINK)) {
        probe_links_put(links, &link, h->nlmsg_type == RTM_DELLINK);
    }
}

int
probe_links_read(struct probe_links *links, const void *data, size_t size)
{
    const char *p = data;

    while (size >= sizeof(struct nlmsghdr)) {
        const struct nlmsghdr *h = (const struct nlmsghdr *) (const void *) p;
        struct nlmsgerr e;
        if (h->nlmsg_len < sizeof *h || h->nlmsg_len > size) {
            break;
        }
        size_t step = NLMSG_ALIGN((size_t) h->nlmsg_len);
        p += step < size ? step : size;
        size -= step < size ? step : size;
        switch (h->nlmsg_type) {
        case NLMSG_DONE:
            return 1;
        case NLMSG_ERROR:
            if (h->nlmsg_len < NLMSG_LENGTH(sizeof e)) {
                return -EBADMSG;
            }
            memcpy(&e, NLMSG_DATA(h), sizeof e);
            if (e.error) {
                return e.error < 0 ? e.error : -EBADMSG;
            }
            break;
        case RTM_NEWLINK:
        case RTM_DELLINK:
            read_link(links, h);
            break;
        default:
            break;
        }
    }
    return 0;
}
