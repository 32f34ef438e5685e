/* api/xml.h -- the XML that programs write, piece by piece, in place.
 *
 * Elements, attributes, text, CDATA, and the five entities with references to
 * characters (XML 1.0, sections 2 to 4).  Comments, processing instructions and
 * a document type are skipped, so nothing is ever expanded or fetched.
 * Prefixes of namespaces are not looked at: an element is known by what follows
 * the colon. */
#ifndef API_XML_H
#define API_XML_H 1

#include <stdbool.h>
#include <stddef.h>

#define XML_DEPTH 64            /* Elements within each other. */

enum xml_piece {
    XML_BEGIN,                  /* An element; an empty one ends next. */
    XML_END,
    XML_TEXT,                   /* Of the innermost element, or a part of it. */
    XML_DONE,
    XML_BAD,                    /* See 'reason'; nothing comes any more. */
};

struct xml_span {
    const char *s;
    size_t n;
};

struct xml {
    const char *at, *end;
    const char *reason;
    struct xml_span names[XML_DEPTH];   /* Of open elements, as written. */
    size_t depth;
    struct xml_span attributes, text;   /* Of this piece, as written. */
    bool verbatim;              /* The text is CDATA. */
    bool empty, ended;          /* The element ends without more ado; at
                                 * XML_END, its name is still in 'names'. */
    bool seen;                  /* There was an element. */
};

/* The text is on loan until the last call. */
void xml_init(struct xml *, const char *text, size_t n);
enum xml_piece xml_next(struct xml *);

/* Whether the innermost element is at the end of 'path', such as
 * "domain/devices/interface", which begins with the outermost. */
bool xml_at(const struct xml *, const char *path);

/* The value of an attribute of the element that begins, or the text at hand,
 * without entities, for free(); NULL if there is none, or out of memory. */
char *xml_attribute(const struct xml *, const char *name);
char *xml_text(const struct xml *);

#endif /* api/xml.h */
