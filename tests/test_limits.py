import os

import pytest

from galnb.errors import BadInput, one_line
from galnb.limits import LARGE, LARGE_TIMES, MOST, TIMES, modest, most, regular


def test_what_a_file_may_become_grows_with_it():
    modest("x", MOST, 1)
    modest("x", TIMES * (MOST >> 2), MOST >> 2)
    with pytest.raises(BadInput, match="x: its 1 bytes would become"):
        modest("x", MOST + 1, 1)
    with pytest.raises(BadInput):
        modest("x", TIMES * (MOST >> 2) + 1, MOST >> 2)


def test_what_becomes_half_a_gigabyte_was_stored_in_a_twentieth_of_it():
    assert most(LARGE // TIMES) <= LARGE == most(LARGE // LARGE_TIMES) and most(LARGE) == LARGE_TIMES * LARGE
    sizes = [most(1 << k) for k in range(40)]
    assert sizes == sorted(sizes)


@pytest.mark.parametrize("kind", ["a folder", "a pipe or device", "a broken link", "nothing there"])
def test_only_files_are_read(tmp_path, kind):
    path = tmp_path / "x"
    if kind == "a folder":
        path.mkdir()
    elif kind == "a pipe or device":
        os.mkfifo(path)
    elif kind == "a broken link":
        path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(BadInput, match=f"x: not readable: it is {kind}, wanted a file"):
        regular(path)
    (tmp_path / "y").write_bytes(b"123")
    assert regular(tmp_path / "y") == 3


def test_an_error_is_one_line_whatever_a_library_said():
    error = BadInput("a\nb\x1b[31m", "first\nsecond\ud800" + 5000 * "x")
    assert str(error).isprintable() and len(str(error)) < 1200
    assert one_line("é ü") == "é ü"
