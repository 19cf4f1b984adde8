"""What a picture carries comes out as it went in; what was cut, damaged or made by others is refused."""

import io
import json
import re
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure
from PIL import Image

from galnb import imprint
from galnb.imprint import KINDS, put, sealed, take, unsealed

TOLD = {"code": "a <b> & c ]]> </metadata>\n# é\x1b %%EOF endstream", "n": [1, 2.5, None]}


@pytest.fixture(scope="module")
def pictures():
    figure = Figure(figsize=(1, 1))
    figure.add_subplot().plot([1, 2])

    def drawn(kind):
        file = io.BytesIO()
        figure.savefig(file, format=kind[1:])
        return file.getvalue()

    return {kind: drawn(kind) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_gives_back_itself_and_its_document(pictures, kind):
    picture, document = take(put(pictures[kind], sealed(TOLD)))
    assert picture == pictures[kind] and unsealed(document) == TOLD


def test_other_programs_read_it_too(pictures):
    told = sealed(TOLD)
    assert Image.open(io.BytesIO(put(pictures[".png"], told))).text["galnb-provenance"] == told.decode()
    tree = ElementTree.fromstring(put(pictures[".svg"], told))
    assert tree.find("*[@id='galnb-provenance']").text == told.decode()
    pdf = put(pictures[".pdf"], told)
    table = int(re.search(rb"startxref\s+(\d+)\s+%%EOF\s*\Z", pdf)[1])
    entries = re.findall(rb"(\d+) 1\n(\d{10}) 00000 n \n", pdf[table:])
    assert pdf.startswith(b"xref\n", table) and len(entries) == 3
    for number, at in entries:  # each where the table of the file says
        assert pdf.startswith(b"%s 0 obj\n" % number, int(at))
    assert b"/EmbeddedFiles" in pdf and b"/Prev %d" % pictures[".pdf"].rfind(b"xref\n0") in pdf


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_cut_off_is_refused_wherever_it_was(pictures, kind):
    whole = put(pictures[kind], sealed(TOLD))
    for length in [*range(0, len(whole) - 8, max(1, len(whole) // 300)), len(whole) - 9]:
        with pytest.raises(ValueError):
            take(whole[:length])


@pytest.mark.parametrize("kind", KINDS)
def test_one_changed_byte_of_the_document_is_refused(pictures, kind):
    whole = put(pictures[kind], sealed(TOLD))
    at = whole.index(b"code", whole.index(b"galnb-provenance")) if kind != ".pdf" else whole.rindex(b"code")
    with pytest.raises(ValueError):
        unsealed(take(whole[:at] + b"k" + whole[at + 1 :])[1])


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_of_others_says_that_nothing_is_in_it(pictures, kind):
    with pytest.raises(ValueError, match="no galnb provenance"):
        take(pictures[kind])


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"null",
        b'{"a": 1}',
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b'{"seal": ' + b"9" * 10_000 + b"}",
        b"\xff\xfe",
        b" " * (imprint.LIMIT + 1),
        sealed(TOLD) + b" ",
        json.dumps({**TOLD, "seal": "0"}).encode(),
    ],
    ids=lambda text: f"{text[:8]!r}, {len(text)} bytes",
)
def test_a_document_of_others_is_refused_without_a_traceback_of_json(text):
    with pytest.raises(ValueError, match="document"):
        unsealed(text)


def test_a_length_that_lies_is_refused(pictures):
    whole = put(pictures[".pdf"], sealed(TOLD))
    length = b"/Length %d " % len(sealed(TOLD))
    for lie in (b"/Length 0 ", b"/Length 9999999999 ", b"/Length 99999999999999999999 ", b"/Length -1 "):
        with pytest.raises(ValueError):
            unsealed(take(whole.replace(length, lie))[1])


def test_too_long_a_document_is_not_written(pictures):
    with pytest.raises(ValueError, match="tell less"):
        put(pictures[".png"], b"x" * (imprint.LIMIT + 1))
