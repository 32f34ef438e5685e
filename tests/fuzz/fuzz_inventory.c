/* tests/fuzz/fuzz_inventory.c -- any bytes as a list of endpoints in each of the
 * formats there are, and as what a libvirt daemon answers.  The first byte
 * chooses. */
#include <config.h>

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <urcu.h>

#include <json-c/json.h>

#include "api/inventory.h"
#include "api/libvirt.h"
#include "collector/identity/record.h"
#include "lib/dict.h"

#define MAX_ANSWER 16384        /* More calls than fit into a socket. */

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
take(enum inventory_format format, const char *text, size_t size)
{
    struct dict *dict = dict_create(10000, 1 << 20);
    struct inventory_telling telling = { .source = "list:x", .generation = 5,
                                         .now_us = 1000 };
    struct identity_buffer b = { .data = NULL };
    struct inventory_result r;
    struct json_object *list = inventory_parse(format, text, size, "host",
                                               &r);
    if (!list && !*r.error) {
        abort();                /* Nobody would know why. */
    }
    if (list) {
        size_t n = json_object_array_length(list);
        inventory_tell(list, &telling, 0, dict, &b, &r);
        if (r.accepted + r.refused != n || (r.refused && !*r.error)) {
            abort();
        }
    }
    json_object_put(list);
    identity_buffer_free(&b);
    dict_destroy(dict);
}

static bool
go_on(void *aux)
{
    (void) aux;
    return false;
}

static void
answer(const uint8_t *data, size_t size)
{
    char error[LIBVIRT_ERROR_SIZE] = "", *text;
    struct libvirt *v;
    size_t n;
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds)) {
        return;
    }
    size = size > MAX_ANSWER ? MAX_ANSWER : size;
    if (write(fds[1], data, size) != (ssize_t) size) {
        abort();
    }
    shutdown(fds[1], SHUT_WR);
    int e = libvirt_attach(fds[0], "test:///default", go_on, NULL, &v, error);
    if (!e) {
        e = libvirt_fetch(v, 1 << 20, &text, &n, error);
        if (!e) {
            take(INVENTORY_LIBVIRT, text, n);
            free(text);
            libvirt_await(v, 1000);
        }
        libvirt_close(v);
    }
    if (e && !*error) {
        abort();
    }
    close(fds[1]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool started;
    if (!started) {
        rcu_register_thread();
        started = true;
    }
    if (!size) {
        return 0;
    }
    unsigned choice = *data % (INVENTORY_LIBVIRT + 2);
    if (choice <= INVENTORY_LIBVIRT) {
        take((enum inventory_format) choice, (const char *) data + 1,
             size - 1);
    } else {
        answer(data + 1, size - 1);
    }
    return 0;
}
