#include <config.h>

#include "collector/store/utf8.h"

#include <stdbool.h>
#include <stdint.h>

void
utf8_clean(char *text, size_t n)
{
    uint8_t *p = (uint8_t *) text, *end = p + n;

    while (p < end) {
        size_t more = *p < 0x80 ? 0 : *p >= 0xc2 && *p <= 0xdf ? 1
                      : (*p & 0xf0) == 0xe0 ? 2
                      : *p >= 0xf0 && *p <= 0xf4 ? 3 : 4;
        bool good = more < 4 && more < (size_t) (end - p);
        for (size_t i = 1; good && i <= more; i++) {
            good = (p[i] & 0xc0) == 0x80;
        }
        if (good && more >= 2) {
            /* Overlong, surrogate, or beyond U+10FFFF. */
            good = !(*p == 0xe0 && p[1] < 0xa0)
                   && !(*p == 0xed && p[1] >= 0xa0)
                   && !(*p == 0xf0 && p[1] < 0x90)
                   && !(*p == 0xf4 && p[1] >= 0x90);
        }
        if (!good) {
            *p = '?';
            more = 0;
        }
        p += more + 1;
    }
}
