#include <config.h>

#include "bgp/message.h"

#include <stdio.h>
#include <string.h>

/* ---- Names. ---- */

static const char *const type_names[] = {
    [BGP_OPEN] = "OPEN", [BGP_UPDATE] = "UPDATE",
    [BGP_NOTIFICATION] = "NOTIFICATION", [BGP_KEEPALIVE] = "KEEPALIVE",
    [BGP_ROUTE_REFRESH] = "ROUTE-REFRESH",
};

static const struct {
    uint16_t afi;
    uint8_t safi;
    const char *name;
} families[BGP_N_FAMILIES] = {
#define X(ID, AFI, SAFI, NAME) [BGP_##ID] = { AFI, SAFI, NAME },
    BGP_FAMILIES(X)
#undef X
};

#define N_ERRORS 8
#define N_SUBCODES 12

/* IANA "BGP Error (Notification) Codes": RFC 4271, 4486, 5492, 6608, 7313,
 * 8538, 9234, 9384. */
static const char *const error_names[N_ERRORS] = {
    [BGP_E_HEADER] = "Message Header Error",
    [BGP_E_OPEN] = "OPEN Message Error",
    [BGP_E_UPDATE] = "UPDATE Message Error",
    [BGP_E_HOLD_TIMER] = "Hold Timer Expired",
    [BGP_E_FSM] = "Finite State Machine Error",
    [BGP_E_CEASE] = "Cease",
    [BGP_E_REFRESH] = "ROUTE-REFRESH Message Error",
};

static const char *const error_subnames[N_ERRORS][N_SUBCODES] = {
    [BGP_E_HEADER] = {
        [1] = "Connection Not Synchronized", [2] = "Bad Message Length",
        [3] = "Bad Message Type",
    },
    [BGP_E_OPEN] = {
        [1] = "Unsupported Version Number", [2] = "Bad Peer AS",
        [3] = "Bad BGP Identifier", [4] = "Unsupported Optional Parameter",
        [5] = "Authentication Failure", [6] = "Unacceptable Hold Time",
        [7] = "Unsupported Capability", [11] = "Role Mismatch",
    },
    [BGP_E_UPDATE] = {
        [1] = "Malformed Attribute List",
        [2] = "Unrecognized Well-known Attribute",
        [3] = "Missing Well-known Attribute",
        [4] = "Attribute Flags Error", [5] = "Attribute Length Error",
        [6] = "Invalid ORIGIN Attribute", [7] = "AS Routing Loop",
        [8] = "Invalid NEXT_HOP Attribute", [9] = "Optional Attribute Error",
        [10] = "Invalid Network Field", [11] = "Malformed AS_PATH",
    },
    [BGP_E_FSM] = {
        [1] = "Unexpected Message in OpenSent State",
        [2] = "Unexpected Message in OpenConfirm State",
        [3] = "Unexpected Message in Established State",
    },
    [BGP_E_CEASE] = {
        [1] = "Maximum Number of Prefixes Reached",
        [2] = "Administrative Shutdown", [3] = "Peer De-configured",
        [4] = "Administrative Reset", [5] = "Connection Rejected",
        [6] = "Other Configuration Change",
        [7] = "Connection Collision Resolution", [8] = "Out of Resources",
        [9] = "Hard Reset", [10] = "BFD Down",
    },
    [BGP_E_REFRESH] = { [1] = "Invalid Message Length" },
};

const char *
bgp_type_name(uint8_t type)
{
    return type < sizeof type_names / sizeof type_names[0]
           ? type_names[type] : NULL;
}

const char *
bgp_family_name(enum bgp_family f)
{
    return f < BGP_N_FAMILIES ? families[f].name : "unknown";
}

uint16_t
bgp_family_afi(enum bgp_family f)
{
    return families[f].afi;
}

uint8_t
bgp_family_safi(enum bgp_family f)
{
    return families[f].safi;
}

int
bgp_family_find(uint16_t afi, uint8_t safi)
{
    for (int i = 0; i < BGP_N_FAMILIES; i++) {
        if (families[i].afi == afi && families[i].safi == safi) {
            return i;
        }
    }
    return -1;
}

int
bgp_family_by_name(const char *name)
{
    for (int i = 0; i < BGP_N_FAMILIES; i++) {
        if (!strcmp(families[i].name, name)) {
            return i;
        }
    }
    return -1;
}

/* ---- Errors. ---- */

void
bgp_error_set(struct bgp_error *e, uint8_t code, uint8_t subcode,
              const void *data, size_t n)
{
    e->code = code;
    e->subcode = subcode;
    e->n_data = (uint16_t) (!data ? 0 : n < BGP_ERROR_DATA ? n
                            : BGP_ERROR_DATA);
    if (e->n_data) {
        memcpy(e->data, data, e->n_data);
    }
}

const char *
bgp_error_name(uint8_t code)
{
    return code < N_ERRORS && error_names[code] ? error_names[code]
                                                : "Unknown Error";
}

const char *
bgp_error_subname(uint8_t code, uint8_t subcode)
{
    if (code < N_ERRORS && subcode < N_SUBCODES
        && error_subnames[code][subcode]) {
        return error_subnames[code][subcode];
    }
    return subcode ? "Unknown" : "Unspecific";
}

/* Octets of the UTF-8 character at 'p', or 0 if it is none. */
static size_t
utf8_size(const uint8_t *p, size_t n)
{
    size_t size = *p < 0x80 ? 1 : *p >= 0xc2 && *p < 0xe0 ? 2
                  : *p >= 0xe0 && *p < 0xf0 ? 3
                  : *p >= 0xf0 && *p < 0xf5 ? 4 : 0;
    for (size_t i = 1; i < size; i++) {
        if (i >= n || (p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return size;
}

bool
bgp_error_text(const struct bgp_error *e, char *buf, size_t size)
{
    bool cease = e->code == BGP_E_CEASE
                 && (e->subcode == BGP_E_CEASE_SHUTDOWN
                     || e->subcode == BGP_E_CEASE_RESET);
    size_t n = e->n_data ? e->data[0] : 0, at = 0;
    if (!cease || !n || n + 1 > e->n_data || !size) {
        return false;
    }
    const uint8_t *p = e->data + 1;
    for (size_t i = 0, step; i < n; i += step ? step : 1) {
        step = utf8_size(p + i, n - i);
        if (at + (step ? step : 1) >= size) {
            break;
        }
        if (step == 1 && (p[i] < 0x20 || p[i] == 0x7f)) {
            buf[at++] = ' ';    /* No one paints our terminals. */
        } else if (step) {
            memcpy(buf + at, p + i, step);
            at += step;
        } else {
            buf[at++] = '?';
        }
    }
    buf[at] = '\0';
    return true;
}

void
bgp_error_set_text(struct bgp_error *e, const char *text)
{
    size_t n = strlen(text);
    if (n > 255) {
        n = 255;
        while (n && ((uint8_t) text[n] & 0xc0) == 0x80) {
            n--;                /* Do not cut through a character. */
        }
    }
    if (n) {
        e->data[0] = (uint8_t) n;
        memcpy(e->data + 1, text, n);
        e->n_data = (uint16_t) (n + 1);
    }
}

char *
bgp_error_format(const struct bgp_error *e, char *buf, size_t size)
{
    char text[256];
    int n = snprintf(buf, size, "%s", bgp_error_name(e->code));
    if (e->subcode && n > 0 && (size_t) n < size) {
        n += snprintf(buf + n, size - (size_t) n, ": %s",
                      bgp_error_subname(e->code, e->subcode));
    }
    if (bgp_error_text(e, text, sizeof text) && n > 0 && (size_t) n < size) {
        snprintf(buf + n, size - (size_t) n, " (%s)", text);
    }
    return buf;
}

/* ---- Header. ---- */

/* The least size of each type (RFC 4271 section 6.1), and whether there is no
 * other. */
static const struct {
    uint8_t least;
    bool exact, never_extended;
} sizes[] = {
    [BGP_OPEN] = { 29, false, true },
    [BGP_UPDATE] = { 23, false, false },
    [BGP_NOTIFICATION] = { 21, false, false },
    [BGP_KEEPALIVE] = { 19, true, true },
    /* Wrong lengths have an error of their own (RFC 7313). */
    [BGP_ROUTE_REFRESH] = { 19, false, false },
};

bool
bgp_header_parse(const uint8_t *p, size_t max, struct bgp_header *h,
                 struct bgp_error *e)
{
    static const uint8_t marker[16] = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff
    };
    h->size = be16_at(p + 16);
    h->type = p[18];
    if (memcmp(p, marker, sizeof marker)) {
        bgp_error_set(e, BGP_E_HEADER, BGP_E_HEADER_MARKER, NULL, 0);
        return false;
    }
    if (h->size < BGP_HEADER_SIZE || h->size > max) {
        bgp_error_set(e, BGP_E_HEADER, BGP_E_HEADER_LENGTH, p + 16, 2);
        return false;
    }
    if (!bgp_type_name(h->type)) {
        bgp_error_set(e, BGP_E_HEADER, BGP_E_HEADER_TYPE, p + 18, 1);
        return false;
    }
    if (h->size < sizes[h->type].least
        || (sizes[h->type].exact && h->size != sizes[h->type].least)
        || (sizes[h->type].never_extended && h->size > BGP_MAX_SIZE)) {
        bgp_error_set(e, BGP_E_HEADER, BGP_E_HEADER_LENGTH, p + 16, 2);
        return false;
    }
    return true;
}

/* ---- Small messages. ---- */

static uint8_t *
put_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t) (v >> 8);
    p[1] = (uint8_t) v;
    return p + 2;
}

static size_t
finish(uint8_t *buf, uint8_t type, size_t size)
{
    memset(buf, 0xff, 16);
    put_u16(buf + 16, (uint16_t) size);
    buf[18] = type;
    return size;
}

size_t
bgp_keepalive_write(uint8_t *buf)
{
    return finish(buf, BGP_KEEPALIVE, BGP_HEADER_SIZE);
}

size_t
bgp_notification_write(const struct bgp_error *e, uint8_t *buf)
{
    buf[19] = e->code;
    buf[20] = e->subcode;
    memcpy(buf + 21, e->data, e->n_data);
    return finish(buf, BGP_NOTIFICATION, 21u + e->n_data);
}

size_t
bgp_refresh_write(enum bgp_family f, uint8_t subtype, uint8_t *buf)
{
    put_u16(buf + 19, families[f].afi);
    buf[21] = subtype;
    buf[22] = families[f].safi;
    return finish(buf, BGP_ROUTE_REFRESH, 23);
}

size_t
bgp_end_of_rib_write(enum bgp_family f, uint8_t *buf)
{
    uint8_t *p = put_u16(buf + BGP_HEADER_SIZE, 0);
    if (f == BGP_IPV4_UNICAST) {
        p = put_u16(p, 0);
    } else {
        p = put_u16(p, 6);
        *p++ = 0x80;            /* Optional, MP_UNREACH_NLRI, 3 octets. */
        *p++ = 15;
        *p++ = 3;
        p = put_u16(p, families[f].afi);
        *p++ = families[f].safi;
    }
    return finish(buf, BGP_UPDATE, (size_t) (p - buf));
}

void
bgp_notification_parse(struct cursor c, struct bgp_error *e)
{
    uint8_t code = cur_u8(&c), subcode = cur_u8(&c);
    bgp_error_set(e, code, subcode, c.p, cur_left(&c));
}

bool
bgp_refresh_parse(struct cursor c, struct bgp_refresh *r, struct bgp_error *e)
{
    uint8_t whole[BGP_ERROR_DATA];
    size_t n = cur_left(&c), keep = n < sizeof whole - BGP_HEADER_SIZE
                                    ? n : sizeof whole - BGP_HEADER_SIZE;
    const uint8_t *start = c.p;
    r->afi = cur_u16(&c);
    r->subtype = cur_u8(&c);
    r->safi = cur_u8(&c);
    r->family = bgp_family_find(r->afi, r->safi);
    /* A request may be longer: it may hold filters (RFC 5291). */
    if (!c.bad && (!cur_more(&c) || !r->subtype)) {
        return true;
    }
    /* RFC 7313 section 5: the data are the whole message. */
    if (keep) {
        memcpy(whole + BGP_HEADER_SIZE, start, keep);
    }
    finish(whole, BGP_ROUTE_REFRESH, BGP_HEADER_SIZE + n);
    bgp_error_set(e, BGP_E_REFRESH, BGP_E_REFRESH_LENGTH, whole,
                  BGP_HEADER_SIZE + keep);
    return false;
}
