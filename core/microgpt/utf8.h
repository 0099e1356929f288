/* UTF-8 (RFC 3629), a character at a time. No state, no memory. [any] */
#ifndef MICROGPT_UTF8_H
#define MICROGPT_UTF8_H

#include <stdint.h>

/* Reads the character at text, of which `size` bytes are there, into *c, a code point up to
 * U+10FFFF. Its length in bytes, 1 to 4; or 0, and *c as it was, where none begins: no bytes left,
 * a character that is cut off, an overlong form, a surrogate (section 3). */
static inline unsigned mgpt_utf8_read(const char *text, uint64_t size, uint32_t *c)
{
    const unsigned char *b = (const unsigned char *)text;
    unsigned n = !size         ? 0
                 : b[0] < 0x80 ? 1
                 : b[0] < 0xc2 ? 0
                 : b[0] < 0xe0 ? 2
                 : b[0] < 0xf0 ? 3
                               : 4;
    uint32_t code;

    if (n == 0 || n > size)
        return 0;
    code = n == 1 ? b[0] : b[0] & (0x7fu >> n);
    for (unsigned i = 1; i < n; i++) {
        if ((b[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (b[i] & 0x3fu);
    }
    if ((n == 3 && code < 0x800) ||
        (n == 4 && (b[0] > 0xf4 || code < 0x10000 || code > 0x10ffff)) ||
        (code >= 0xd800 && code < 0xe000))
        return 0;
    *c = code;
    return n;
}

/* Writes code point c, at most U+10FFFF and no surrogate, and nothing behind it. Its length in
 * bytes, 1 to 4. */
static inline unsigned mgpt_utf8_write(uint32_t c, char out[4])
{
    unsigned n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

    for (unsigned i = n; i-- > 1; c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)(n == 1 ? c : (0xf00u >> n & 0xff) | c);
    return n;
}

/* May a terminal have it? Not the control characters but newline and tab, those of Latin-1 (U+0080
 * to U+009F, ECMA-48) among them. */
static inline int mgpt_utf8_plain(uint32_t c)
{
    return c == '\n' || c == '\t' || (c >= ' ' && c < 0x7f) || c > 0x9f;
}

#endif
