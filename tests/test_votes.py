import errno
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from astropy.table import Table
from hypothesis import given
from hypothesis import strategies as st

from galnb.errors import BadInput, CannotWrite
from galnb.export import KINDS, export
from galnb.latents import Latents
from galnb.votes import CHOICES, Votes, votes_path
from tests.often import often

every_format = pytest.mark.parametrize("ending", KINDS)


@pytest.fixture()
def path(tmp_path):
    return tmp_path / "votes.jsonl"


def some(path, n=6) -> Votes:
    votes = Votes(path, user="vera")
    for k in range(n):
        votes.vote(k, CHOICES[k % 3], note=f"the {k}th")
    return votes


def state(votes: Votes) -> list:
    return [tuple(row) for row in votes.table.iterrows()]


def voting(path, first, *, wait=False) -> subprocess.Popen:
    """Another kernel, which votes without end and says so after every call that returned."""
    code = f"""
import itertools
from galnb.votes import Votes
votes = Votes({str(path)!r}, user="vera")
print("open", flush=True)
{"input()" if wait else ""}
for k in itertools.count({first}):
    votes.vote(k, "interesting")
    print(k, flush=True)
"""
    pipes = {"stdout": subprocess.PIPE, "stdin": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", code], **pipes)


def told(kernel: subprocess.Popen, n: int) -> list[int]:
    """Its first n votes, and those that it told while it was killed."""
    lines = [kernel.stdout.readline() for _ in range(n + 1)]
    kernel.send_signal(signal.SIGKILL)
    lines += kernel.communicate()[0].splitlines()
    return [int(line) for line in lines if line.strip().isdigit()]


def test_a_kernel_that_is_killed_loses_no_vote_whose_call_returned(path):
    returned = told(voting(path, 0), 60)
    found = Votes(path)
    assert len(returned) >= 60 and set(returned) <= set(found) and len(found) <= len(returned) + 1
    found.vote("after", "ordinary")
    assert set(returned) | {"after"} <= set(Votes(path))


def test_two_kernels_that_vote_at_once_lose_nothing(path):
    kernels = [voting(path, first, wait=True) for first in (0, 10**6)]
    for kernel in kernels:
        assert kernel.stdout.readline() == "open\n"
    for kernel in kernels:
        print(file=kernel.stdin, flush=True)
    mine = Votes(path)
    for k in range(30):
        mine.vote(f"mine {k}", "ordinary")
    returned = [k for kernel in kernels for k in told(kernel, 40)]
    assert {*returned, *(f"mine {k}" for k in range(30))} <= set(mine)
    assert state(mine) == state(Votes(path)) and mine.damaged == []


def test_threads_that_vote_at_once_lose_nothing(path):
    votes = Votes(path)
    work = [
        threading.Thread(target=lambda t=t: [votes.vote(100 * t + k, "ordinary") for k in range(20)])
        for t in range(4)
    ]
    [thread.start() for thread in work], [thread.join() for thread in work]
    assert len(votes) == 80 and state(votes) == state(Votes(path))


def test_a_kernel_sees_and_is_told_what_another_votes(path):
    one, two, seen = Votes(path), Votes(path), []
    one.on_change(seen.append)
    two.vote(7, "artefact")
    assert one[7] == "artefact" and seen == [(7,)]
    assert one.undo() == 7 and 7 not in two and two.redo() == 7 and one.get(7) == "artefact"


def test_opening_again_gives_the_same_votes_and_the_same_way_back(path):
    votes = some(path)
    votes.vote(2, "interesting"), votes.clear(0), votes.undo(), votes.undo()
    again = Votes(path)
    assert state(again) == state(votes) and again[2] == "artefact" and again.can_redo
    assert (again.redo(), again.redo(), again.redo()) == (2, 0, None)
    assert again[2] == "interesting" and again.get(0, "none") == "none"
    assert [again.undo() for _ in range(9)] == [0, 2, 5, 4, 3, 2, 1, 0, None] and len(again) == 0


@pytest.mark.parametrize("lost", [1, 2, 40, 100])
def test_a_last_line_that_is_cut_off_is_told_and_skipped(path, lost):
    before = state(some(path))
    path.write_bytes(path.read_bytes()[:-lost])
    votes = Votes(path)
    if lost == 1:  # only its end: the vote itself is whole
        assert votes.damaged == [] and state(votes) == before
    else:
        assert votes.damaged == [(6, "it is cut off")] and state(votes) == before[:-1]
    votes.vote(99, "interesting")
    again = Votes(path)
    assert state(again) == state(votes) and 99 in again and len(again) == 6 + (lost == 1)
    assert [line for line, _ in again.damaged] == [line for line, _ in votes.damaged]


def test_a_changed_byte_costs_its_own_line_and_no_other(path):
    before, whole = state(some(path, 3)), path.read_bytes()
    ends = [k for k, byte in enumerate(whole) if byte == 10]
    for k in range(len(whole)):
        path.write_bytes(whole[:k] + bytes([whole[k] ^ 4]) + whole[k + 1 :])
        votes, line = Votes(path), sum(end < k for end in ends)
        left = state(votes)
        if k not in ends:
            assert left == before[:line] + before[line + 1 :] and votes.damaged[0][0] == line + 1
        elif k != ends[-1]:  # two lines have run into one, and are parted again
            assert left == before and len(votes.damaged) == 1


def test_undo_means_the_same_when_a_line_before_it_is_lost(path):
    votes = some(path, 3)
    votes.undo(), votes.vote(9, "ordinary")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], b"lost\n", *lines[3:]]))
    assert list(Votes(path)) == [0, 1, 9] and Votes(path).damaged[0][0] == 3


@pytest.mark.parametrize("call", ["write", "fsync"])
def test_votes_on_a_full_disk_stay_in_memory_and_are_written_with_the_next(path, monkeypatch, call):
    votes, real = some(path, 2), getattr(os, call)

    def full(*given):
        if call == "write":  # half a line goes onto the disk
            real(given[0], given[1][:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(CannotWrite, match="kept in memory.*the next one: 1: free some space"):
            votes.vote(2, "artefact")
        with pytest.raises(CannotWrite, match="next one: 2:"):
            votes.vote(3, "ordinary", note="later")
        with pytest.raises(CannotWrite, match="next one: 3:"):
            votes.undo()
    assert list(votes) == [0, 1, 2] and votes.waiting == 3 and len(Votes(path)) == 2
    Votes(path).vote("another kernel's", "ordinary")
    assert votes.redo() == 3 and votes.waiting == 0
    again = Votes(path)
    assert state(again) == state(votes) and again[3] == "ordinary" and again.damaged == [] and len(again) == 5


def test_a_folder_that_cannot_be_written_to_is_one_clear_error(tmp_path, path):
    (tmp_path / "file").write_text("")
    votes = Votes(tmp_path / "file" / "votes.jsonl")
    with pytest.raises(CannotWrite, match="kept in memory.*choose another path"):
        votes.vote(1, "ordinary")
    assert votes[1] == "ordinary" and votes.waiting == 1
    (tmp_path / "file").unlink()
    votes.flush()
    assert Votes(votes.path)[1] == "ordinary" and votes.waiting == 0


def test_a_read_only_file_can_be_read_and_not_voted_in(path, monkeypatch):
    before, real = state(some(path)), os.open

    def locked(name, how, *mode, **more):
        if how & (os.O_RDWR | os.O_WRONLY) and str(name) == str(path):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return real(name, how, *mode, **more)

    monkeypatch.setattr(os, "open", locked)  # tests may run as root, whom no mode stops
    votes = Votes(path)
    assert state(votes) == before
    with pytest.raises(CannotWrite, match="Read-only.*make it writable"):
        votes.undo()
    assert 5 not in votes


def test_votes_survive_that_their_file_is_deleted_while_it_is_open(path):
    votes = some(path, 4)
    path.unlink()
    assert len(votes) == 4
    votes.vote(4, "ordinary")
    assert state(Votes(path)) == state(votes) and len(votes) == 5


def test_a_path_that_is_no_file_is_one_clear_error(tmp_path):
    with pytest.raises(BadInput, match="wanted a journal; give another path"):
        Votes(tmp_path)


def test_the_file_lies_in_the_users_own_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("GALNB_VOTES", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("JUPYTERHUB_USER", "vera")
    assert Votes(of="cosmos").path == tmp_path / "galnb" / "votes" / "cosmos-vera.jsonl"
    monkeypatch.setenv("GALNB_VOTES", str(tmp_path / "mine"))
    votes = Votes(of="../../x/é", user="a/b")
    assert votes.path.parent == tmp_path / "mine" and votes.path != votes_path("../../x/è", "a/b")
    votes.vote(1, "ordinary")
    assert votes.path.stat().st_mode & 0o077 == 0 and votes.table["user"][0] == "a/b"


def test_votes_are_asked_for_in_every_way(path):
    votes = some(path, 7)
    votes.clear(3)
    votes.vote(0, "artefact", note="a satellite\n\x00trail ")
    assert votes.of_kind("interesting") == (6,) and votes.of_kind("artefact") == (2, 5, 0)
    assert votes.counts() == {"interesting": 1, "ordinary": 2, "artefact": 3} and len(votes) == 6
    assert votes.table.colnames == ["id", "vote", "note", "user", "time"]
    assert votes.table["note"][-1] == "a satellite  trail" and votes.table["time"][-1].endswith("Z")
    assert list(votes.table["time"]) == sorted(votes.table["time"])
    latents = Latents(np.array([6, 50, 2]), np.zeros((3, 1)))
    assert votes.by_row(latents.id) == {0: "interesting", 2: "artefact"}
    assert votes.by_row(np.array(["6"])) == {} and Votes(path.with_name("new")).by_row([1]) == {}
    with pytest.raises(KeyError, match="no vote on 3"):
        votes[3]


def test_the_same_vote_again_and_clearing_nothing_are_no_steps(path):
    votes, seen = some(path, 1), []
    votes.on_change(seen.append)
    votes.vote(0, "interesting", note="the 0th"), votes.clear(5)
    assert seen == [] and votes.undo() == 0 and votes.undo() is None


def test_what_is_no_vote_is_refused(path):
    with pytest.raises(ValueError, match="did you mean 'artefact'"):
        Votes(path).vote(1, "artifact")
    for id in (1.5, None, True, (1,)):
        with pytest.raises(TypeError, match="wanted int or str"):
            Votes(path).vote(id, "ordinary")
    votes = Votes(path)
    votes.vote(np.int64(3), "ordinary"), votes.vote(np.str_("3"), "artefact")
    assert [(type(id), choice) for id, choice in zip(votes, votes.table["vote"], strict=True)] == [
        (int, "ordinary"),
        (str, "artefact"),
    ]


def test_callbacks_are_told_without_the_lock(path):
    votes, seen = Votes(path), []

    def listen(ids):
        other = threading.Thread(target=lambda: seen.append((ids, votes.counts()["ordinary"])))
        other.start(), other.join(5)

    leave = votes.on_change(listen)
    votes.vote(1, "ordinary"), votes.undo()
    Votes(path).vote(2, "ordinary")
    votes.vote(3, "artefact"), leave(), votes.redo()
    assert seen == [((1,), 1), ((1,), 0), ((2, 3), 1)]


IDS = {"int": [12, -3, 2**62], "text": ["0012", "12", "M 31"], "both": [12, "12", 2**70, "0012"]}


@every_format
@pytest.mark.parametrize("ids", list(IDS))
def test_votes_that_are_exported_and_merged_are_the_same(ending, ids, tmp_path):
    votes = Votes(tmp_path / "a", user="Véra")
    for k, id in enumerate(IDS[ids]):
        votes.vote(id, CHOICES[k % 3], note=["", 'two, "near" nuclei; é < 3'][k % 2])
    other = Votes(tmp_path / "b", user="someone else")
    assert other.merge(votes.save(tmp_path / f"votes{ending}")) == len(IDS[ids])
    assert list(other) == list(votes) == IDS[ids] and list(map(type, other)) == list(map(type, votes))
    assert state(other) == state(votes)
    assert other.merge(tmp_path / f"votes{ending}") == 0
    assert other.undo() == IDS[ids][0] and len(other) == 0


@every_format
def test_no_votes_are_exported_and_merged(ending, tmp_path):
    assert Votes(tmp_path / "b").merge(Votes(tmp_path / "a").save(tmp_path / f"votes{ending}")) == 0


def test_of_two_votes_the_newer_counts(tmp_path):
    mine, theirs = some(tmp_path / "a", 3), Votes(tmp_path / "b")
    old, new = "2001-01-01T00:00:00", "2999-01-01 00:00:00+01:00"
    theirs.merge(Table({"id": [0, 1, 1, 8], "vote": [CHOICES[1]] * 4, "time": [old, new, old, old]}))
    mine.clear(2)
    assert mine.merge(theirs.table) == 2 and mine[0] == "interesting" and mine[1] == "ordinary"
    assert mine.table["time"][-1] == "2998-12-31T23:00:00.000000Z" and 8 in mine
    mine.merge(Table({"id": [2], "vote": ["ordinary"], "time": [old]}))
    assert 2 not in mine


def test_ids_of_a_foreign_csv_are_numbers_if_all_read_as_such(tmp_path):
    for ids, hint, found in [
        ("7 12", None, [7, 12]),
        ("7 0012", None, ["7", "0012"]),
        ("7 12", str, ["7", "12"]),
    ]:
        rows = "".join(f"{id},ordinary,2020-01-01\n" for id in ids.split())
        (tmp_path / "given.csv").write_text("\ufeffid,vote,time\n" + rows)
        votes = Votes(tmp_path / f"{ids}{hint}")
        votes.merge(tmp_path / "given.csv", ids=hint)
        assert list(votes) == found


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"vote": ["ordinary", "artifact"]}, r"row 1 \(id 8\).*did you mean 'artefact'"),
        ({"time": ["2020-01-01", "yesterday"]}, r"row 1 \(id 8\).*yesterday.*mend it or leave it out"),
        ({"id": ["7", "8.5"], "id_kind": ["int", "int"]}, r"row 1 \(id '8.5'\)"),
        ({"id_kind": ["int", "float"]}, "row 1.*id_kind='float' is not one of"),
    ],
)
@every_format
def test_a_damaged_row_is_named_and_none_is_merged(ending, change, reason, path, tmp_path):
    table = {"id": [7, 8], "vote": ["ordinary"] * 2, "time": ["2020-01-01"] * 2} | change
    votes = some(path, 1)
    reason = reason.replace("id 8", "id '?8'?")
    with pytest.raises(BadInput, match=reason):
        votes.merge(export(Table(table), tmp_path / f"bad{ending}"))
    assert list(votes) == [0]


@every_format
def test_a_damaged_file_is_one_clear_error(ending, tmp_path):
    data = some(tmp_path / "a").save(tmp_path / f"votes{ending}").read_bytes()
    (tmp_path / f"half{ending}").write_bytes(data[: len(data) // 2])
    (tmp_path / f"other{ending}").write_bytes(export(Table({"x": [1]}), tmp_path / f"x{ending}").read_bytes())
    votes = Votes(tmp_path / "b")
    with pytest.raises(BadInput, match=f"half{ending}"):
        votes.merge(tmp_path / f"half{ending}")
    with pytest.raises(BadInput, match="no column id or vote or time among x, wanted a file from Votes.save"):
        votes.merge(tmp_path / f"other{ending}")
    with pytest.raises(BadInput, match="not readable"):
        votes.merge(tmp_path / f"none{ending}")
    with pytest.raises(BadInput, match="wanted a name that ends in .csv, .vot, .parquet"):
        votes.merge(tmp_path / "votes.txt")


ids, two = st.sampled_from([1, 2, "1"]), st.integers(0, 1)
moves = st.one_of(
    st.tuples(st.just("vote"), two, ids, st.sampled_from(CHOICES)),
    st.tuples(st.sampled_from(["undo", "redo", "open"]), two),
    st.tuples(st.just("clear"), two, ids),
)


@often(60)
@given(st.lists(moves, max_size=25))
def test_any_walk_of_two_kernels_is_that_of_a_plain_dict(tmp_path_factory, walk):
    path = tmp_path_factory.mktemp("walk") / "votes.jsonl"
    kernels, now, past, future = [Votes(path), Votes(path)], {}, [], []
    for what, who, *given_ in walk:
        if what == "open":
            kernels[who] = Votes(path)
        elif what == "undo":
            kernels[who].undo()
            if past:
                future.append(now)
                now = past.pop()
        elif what == "redo":
            kernels[who].redo()
            if future:
                past.append(now)
                now = future.pop()
        else:
            getattr(kernels[who], what)(*given_)
            after = {k: v for k, v in now.items() if k != given_[0]}
            after |= {given_[0]: given_[1]} if what == "vote" else {}
            if after != now:
                past.append(now), future.clear()
                now = after
        assert [{id: votes[id] for id in votes} for votes in kernels] == [now, now]
