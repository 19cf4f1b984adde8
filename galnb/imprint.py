"""A document inside a picture: JSON that PDF, PNG and SVG carry and no viewer shows, put in and taken out.

A PDF has it as an attached file, which readers list; a PNG as a text chunk; an SVG as a metadata element.
What is taken out is bytes and plain JSON values: nothing of it is run.
"""

from __future__ import annotations

import hashlib
import json
import re
import zlib
from pathlib import Path

KINDS = (".pdf", ".png", ".svg")
LIMIT, LARGEST = 16 << 20, 256 << 20  # bytes of a document, and of a figure
NAME = b"galnb-provenance"
PNG = b"\x89PNG\r\n\x1a\n"
HEAD = len(PNG) + 25  # a PNG's first chunk, IHDR, has 13 bytes and 12 around them
NOTHING = "there is no galnb provenance in it"
ENTITIES = ((b"&", b"&amp;"), (b"<", b"&lt;"), (b">", b"&gt;"))
UPDATE = b"%" + NAME + b"\n"  # a comment where our part of a PDF begins


def sealed(document: dict) -> bytes:
    """A document as readable ASCII, the same for the same document, with a hash of itself against damage.

    >>> unsealed(sealed({"seed": 1}))
    {'seed': 1}
    """
    seal = hashlib.sha256(_text(document)).hexdigest()
    return _text({**document, "seal": seal})


def unsealed(text: bytes) -> dict:
    """The document again; ValueError where it is any other than `sealed` gave."""
    if len(text) > LIMIT:
        raise ValueError(f"its document has {len(text):,} bytes, more than the {LIMIT:,} that are read")
    try:
        document = json.loads(text)
        seal = document.pop("seal")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"its document is no JSON of ours ({type(error).__name__})") from error
    if sealed(document) != text or hashlib.sha256(_text(document)).hexdigest() != seal:
        raise ValueError("its document is damaged or was edited")
    return document


def bytes_of(path: Path) -> bytes:
    """A file whole; ValueError where it is larger than figures are."""
    if (size := path.stat().st_size) > LARGEST:
        raise ValueError(f"it has {size:,} bytes, more than the {LARGEST:,} that are read")
    return path.read_bytes()


def put(picture: bytes, document: bytes) -> bytes:
    """A picture as matplotlib writes it (PDF, PNG or SVG), with a document (ASCII) inside."""
    if len(document) > LIMIT:
        raise ValueError(f"the document has {len(document):,} bytes, more than {LIMIT:,}; tell less")
    if picture.startswith(PNG):
        chunk = b"iTXt" + NAME + b"\0\0\0\0\0" + document
        chunk = (len(chunk) - 4).to_bytes(4) + chunk + zlib.crc32(chunk).to_bytes(4)
        return picture[:HEAD] + chunk + picture[HEAD:]
    if picture.startswith(b"%PDF-"):
        return picture + _update(picture, document)
    at = picture.index(b">", picture.index(b"<svg")) + 1
    return (
        picture[:at] + b'<metadata id="' + NAME + b'">' + _escaped(document) + b"</metadata>" + picture[at:]
    )


def take(data: bytes) -> tuple[bytes, bytes]:
    """The picture as it was, and its document; ValueError where it is cut off, or there is none.

    >>> svg, told = b"<svg><g/></svg>", sealed({"code": "a < b"})
    >>> take(put(svg, told)) == (svg, told)
    True
    """
    if data.startswith(PNG):
        return _from_png(data)
    if data.startswith(b"%PDF-"):
        return _from_pdf(data)
    if b"<svg" in data[:4096]:
        return _from_svg(data)
    raise ValueError("it is no PDF, PNG or SVG")


def _from_png(data: bytes) -> tuple[bytes, bytes]:
    at, found, kind = len(PNG), None, b""
    while kind != b"IEND":
        stop = at + 12 + int.from_bytes(data[at : at + 4])
        chunk = data[at + 4 : stop - 4]
        kind = chunk[:4]
        if stop > len(data) or zlib.crc32(chunk) != int.from_bytes(data[stop - 4 : stop]):
            raise ValueError(f"it is cut off or damaged after {at:,} bytes")
        if chunk.startswith(b"iTXt" + NAME + b"\0"):
            found = data[:at] + data[stop:], chunk[4 + len(NAME) + 5 :]
        at = stop
    if found is None:
        raise ValueError(NOTHING)
    return found


def _from_svg(data: bytes) -> tuple[bytes, bytes]:
    begin = b'<metadata id="' + NAME + b'">'
    at = data.find(begin)
    if at < 0:
        raise ValueError(NOTHING)
    stop = data.find(b"</metadata>", at)
    if stop < 0 or b"</svg>" not in data[stop:]:
        raise ValueError("it is cut off")
    document = data[at + len(begin) : stop]
    for plain, entity in reversed(ENTITIES):
        document = document.replace(entity, plain)
    return data[:at] + data[stop + len(b"</metadata>") :], document


def _from_pdf(data: bytes) -> tuple[bytes, bytes]:
    at = data.rfind(UPDATE)
    if at < 0:
        raise ValueError(NOTHING)
    head = re.compile(rb"/Length (\d{1,10}) [^\n]*\nstream\n").search(data, at)
    start = head.end() if head else len(data)
    stop = start + int(head[1]) if head else start
    if not data.startswith(b"\nendstream", stop) or b"%%EOF" not in data[stop:]:
        raise ValueError("it is cut off or damaged")
    return data[:at], data[start:stop]


def _update(picture: bytes, document: bytes) -> bytes:
    """An incremental update of a PDF, as its standard has it: further objects, and the catalog again."""
    end = re.search(rb"trailer\s*<<(.*?)>>\s*startxref\s*(\d+)\s*%%EOF\s*\Z", picture, re.S)
    if end is None:
        raise ValueError("this PDF has no trailer of the kind that matplotlib writes")
    size, root = (int(re.search(rb"/%s (\d+)" % key, end[1])[1]) for key in (b"Size", b"Root"))
    catalog = re.search(rb"\n%d 0 obj\s*<<(.*?)>>\s*endobj" % root, picture, re.S)[1]
    described = b"/Params << /Size %d /CheckSum <%s> >>" % (
        len(document),
        hashlib.md5(document, usedforsecurity=False).hexdigest().encode(),
    )
    name = NAME + b".json"
    bodies = {
        root: b"<<%s /Names << /EmbeddedFiles << /Names [(%s) %d 0 R] >> >> /AF [%d 0 R] >>"
        % (catalog.rstrip(), name, size + 1, size + 1),
        size: b"<< /Type /EmbeddedFile /Subtype /application#2Fjson /Length %d %s >>\nstream\n%s\nendstream"
        % (len(document), described, document),
        size + 1: b"<< /Type /Filespec /F (%s) /UF (%s) /AFRelationship /Source /EF << /F %d 0 R >> >>"
        % (name, name, size),
    }
    text, table = bytearray(UPDATE), b"xref\n"
    for number, body in bodies.items():
        table += b"%d 1\n%010d 00000 n \n" % (number, len(picture) + len(text))
        text += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    info = re.search(rb"/Info \d+ 0 R", end[1])
    trailer = b"<< /Size %d /Root %d 0 R %s /Prev %d >>" % (
        size + 2, root, info[0] if info else b"", int(end[2]),
    )  # fmt: skip
    start = len(picture) + len(text)
    return bytes(text) + table + b"trailer\n%s\nstartxref\n%d\n%%%%EOF\n" % (trailer, start)


def _escaped(document: bytes) -> bytes:
    for plain, entity in ENTITIES:
        document = document.replace(plain, entity)
    return document


def _text(document: dict) -> bytes:
    return json.dumps(document, indent=1, sort_keys=True, allow_nan=False).encode() + b"\n"
