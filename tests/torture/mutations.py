"""Ways to damage bytes, from a random number generator alone: the same generator makes the same damage."""

from __future__ import annotations

import json
import re
import struct
import zlib

import numpy as np

EXTREMES = (0, 1, 2, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1,
            2**40, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1)  # fmt: skip
CARDS = re.compile(
    rb"(SIMPLE|BITPIX|NAXIS\d?|ZNAXIS\d?|ZTILE\d|ZBITPIX|PCOUNT|GCOUNT|THEAP|TFORM\d|TTYPE\d|TFIELDS|"
    rb"ZCMPTYPE|ZNAME\d|ZVAL\d|ZQUANTIZ|ZSCALE|ZZERO|ZBLANK|BLANK|BSCALE|BZERO|TSCAL\d|TZERO\d|TNULL\d|TDIM\d|"
    rb"XTENSION|EXTNAME|EXTEND|FILTER\d?|CRVAL\d|CDELT\d|CTYPE\d|CRPIX\d|PIXSCALE|END) *=? "
)
WORDS = (b"-1", b"0", b"1", b"2", b"8", b"16", b"-32", b"-64", b"64", b"65", b"3000", b"99999", b"2147483647",
         b"-2147483648", b"4294967296", b"9" * 18, b"9" * 30, b"1E400", b"NaN", b"T", b"F", b"''",
              b"'1PB(9)'",
         b"'1PE(99999999)'", b"'999999999E'", b"'1QB'", b"'HCOMPRESS_1'", b"'RICE_1  '", b"'PLIO_1  '",
         b"'GZIP_2  '", b"'NOCOMPRESS'", b"'0A'", b"'X'", b"'(9,9,9)'")  # fmt: skip


def damaged(data: bytes, rng: np.random.Generator, other: bytes = b"", special=()) -> bytes:
    """Data after one to three mutations; `special` ones, of the format, as often as all of the others."""
    for _ in range(int(rng.choice([1, 1, 1, 2, 3]))):
        chosen = special if len(special) and rng.random() < 0.5 else ANY
        data = chosen[rng.integers(len(chosen))](data, rng, other)
    return data


def flipped(data: bytes, rng, other=b"") -> bytes:
    """One byte is another."""
    if not data:
        return data
    found = bytearray(data)
    found[rng.integers(len(data))] ^= int(rng.integers(1, 256))
    return bytes(found)


def _bits(data, rng, other):
    found = bytearray(data)
    for _ in range(int(rng.integers(1, 9)) if data else 0):
        found[rng.integers(len(data))] ^= 1 << int(rng.integers(8))
    return bytes(found)


def _head(data, rng, other):
    """A byte near the beginning or the end, where formats keep what they believe."""
    if len(data) < 2:
        return data
    found, at = bytearray(data), int(rng.exponential(200)) % len(data)
    found[at if rng.random() < 0.6 else -1 - at] = int(rng.choice([0, 1, 127, 128, 255, rng.integers(256)]))
    return bytes(found)


def _truncated(data, rng, other):
    return data[: rng.integers(len(data) + 1)]


def _range(data, rng):
    begin = int(rng.integers(len(data) + 1))
    return begin, min(len(data), begin + int(rng.exponential(max(1, len(data) // 20))))


def _inserted(data, rng, other):
    begin, _ = _range(data, rng)
    return data[:begin] + rng.bytes(int(rng.exponential(64))) + data[begin:]


def _deleted(data, rng, other):
    begin, end = _range(data, rng)
    return data[:begin] + data[end:]


def _doubled(data, rng, other):
    begin, end = _range(data, rng)
    return data[:end] + data[begin:end] * int(rng.integers(1, 4)) + data[end:]


def _run(data, rng, other):
    begin, end = _range(data, rng)
    return data[:begin] + bytes([int(rng.choice([0, 255]))]) * (end - begin) + data[end:]


def _crossed(data, rng, other):
    other = other or data
    at = float(rng.random())
    return data[: int(at * len(data))] + other[int(at * len(other)) :]


def _number(data, rng, other):
    """A binary number, where there may be one, set to an extreme."""
    size, order = int(rng.choice([2, 4, 8])), str(rng.choice(["<", ">"]))
    if len(data) < size:
        return data
    at = int(rng.integers(len(data) - size + 1)) if rng.random() < 0.5 else int(rng.exponential(60))
    at = min(at, len(data) - size)
    value = int(EXTREMES[rng.integers(len(EXTREMES))]) % 2 ** (8 * size)
    return data[:at] + value.to_bytes(size, "little" if order == "<" else "big") + data[at + size :]


ANY = (flipped, _bits, _head, _truncated, _inserted, _deleted, _doubled, _run, _crossed, _number)


# FITS


def fits_card(data, rng, other):
    """A card that says how long or of which kind something is says something else."""
    cards = [match.start() for match in CARDS.finditer(data[:40_000]) if match.start() % 80 == 0]
    if not cards:
        return data
    at = cards[rng.integers(len(cards))]
    card = data[at : at + 80]
    digits = [k for k in range(9, len(card)) if card[k : k + 1].isdigit()]
    if digits and rng.random() < 0.6:
        k = digits[rng.integers(min(len(digits), 12))]
        card = card[:k] + b"%d" % rng.integers(10) + card[k + 1 :]
    else:
        word = WORDS[rng.integers(len(WORDS))]
        card = (card[:10] + word.rjust(20) + b" " * 80)[:80]
    return data[:at] + card + data[at + 80 :]


def fits_cards(data, rng, other):
    """Cards swapped, doubled or gone."""
    end = max(2, data[:40_000].find(b"END" + b" " * 77) // 80 + 1)
    a, b = sorted(rng.integers(end, size=2) * 80)
    one, two = data[a : a + 80], data[b : b + 80]
    if rng.random() < 0.5:
        return data[:a] + two + data[a + 80 : b] + one + data[b + 80 :] if a < b else data
    return data[:a] + two + data[a + 80 :]


FITS = (fits_card, fits_card, fits_card, fits_cards)


def gzip_inside(data, rng, other):
    """A gzipped FITS, damaged inside and packed properly again."""
    import gzip

    try:
        inside = gzip.decompress(data)
    except (OSError, EOFError, zlib.error):
        return data
    return gzip.compress(damaged(inside, rng, special=FITS), mtime=0)


# formats with checksums or lengths, which are put right again, so that what is behind them is reached


def png_chunk(data, rng, other):
    """A chunk of a PNG damaged, with a checksum that fits."""
    chunks, at = [], 8
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4])
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    if not chunks:
        return data
    k = int(rng.integers(len(chunks)))
    kind, body = chunks[k]
    if kind == b"IHDR" and rng.random() < 0.7 and len(body) >= 13:
        body = bytearray(body)
        if rng.random() < 0.6:
            side = int(rng.choice([0, 1, 3, 1000, 9000, 16383, 60000, 2**31 - 1]))
            body[(o := 4 * int(rng.integers(2))) : o + 4] = side.to_bytes(4)
        else:
            body[8 + rng.integers(5)] = int(rng.integers(17))
        body = bytes(body)
    elif kind == b"IDAT" and rng.random() < 0.5:
        try:
            body = zlib.compress(damaged(zlib.decompress(body), rng))
        except zlib.error:
            body = damaged(body, rng)
    else:
        body = damaged(body, rng)
    chunks[k] = (kind, body)
    if rng.random() < 0.2:
        chunks.insert(int(rng.integers(len(chunks) + 1)), chunks[rng.integers(len(chunks))])
    whole = [len(b).to_bytes(4) + t + b + zlib.crc32(t + b).to_bytes(4) for t, b in chunks]
    return data[:8] + b"".join(whole)


def npy_header(data, rng, other):
    """Another type or shape in the header of an npy, which has the length that it says."""
    if data[:6] != b"\x93NUMPY" or len(data) < 12:
        return data
    size = struct.unpack("<H", data[8:10])[0]
    text = data[10 : 10 + size].decode("latin1")
    numbers = re.findall(r"\d+", text)
    changes = (
        lambda t: re.sub(r"'descr': '[^']*'", f"'descr': {rng.choice(TYPES)}", t),
        lambda t: t.replace(rng.choice(numbers) if numbers else "0", str(rng.choice(SIZES)), 1),
        lambda t: re.sub(r"\([^)]*\)", rng.choice(SHAPES), t, count=1),
        lambda t: t.replace("False", rng.choice(["True", "None", "3"])),
        lambda t: rng.choice(["(", "[", "-", "{1:"]) * int(rng.choice([50, 900, 9000])) + t,
        lambda t: damaged(t.encode("latin1"), rng).decode("latin1"),
    )
    text = changes[rng.integers(len(changes))](text).encode("latin1", "replace")[:65535]
    return data[:8] + struct.pack("<H", len(text)) + text + data[10 + size :]


TYPES = ("'|O'", "'<f8'", "'<f2'", "'<c16'", "'<U5'", "'|S9'", "'<M8[s]'", "'|V7'", "'<f16'", "'|b1'",
         "'>u2'",
         "'<i8'", "[('a','<f4')]", "[('a','<f4',(99999,))]", "'<U999999999'", "'q'", "None")  # fmt: skip
SIZES = ("0", "1", "2", "7", "65536", "1000000", "99999999", "9" * 12, "9" * 25, "-1", "1.5", "1e9", "None")
SHAPES = ("()", "(0,)", "(4,)", "(2,0,9,9)", "(1,1,1,1,1)", "(1000000,1000,1000)", "(2**9,)", "(4,8,8)",
          "(-1,8,8)", "(1,99999999,3,3)", "[4,8,8]")  # fmt: skip


def zip_members(data, rng, other):
    """An npz whose members are damaged, renamed, doubled or swapped, and zipped properly again."""
    import io
    import zipfile

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(name, archive.read(name)) for name in archive.namelist()]
    except Exception:  # damaged before
        return data
    k = int(rng.integers(len(members)))
    name, body = members[k]
    what = rng.random()
    if what < 0.7:
        body = damaged(body, rng, special=(npy_header,))
    elif what < 0.85:
        name = str(rng.choice(NAMES))
    else:
        members.append(members[rng.integers(len(members))])
    members[k] = (name, body)
    file, method = io.BytesIO(), int(rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
    import warnings

    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", method) as archive:
        warnings.simplefilter("ignore")
        for name, body in members:
            archive.writestr(name, body)
    return file.getvalue()


NAMES = ("../../outside.npy", "/etc/outside.npy", "id", "id.npy", "images.npy", "a\nb.npy", "é\x07.npy",
         "x" * 300,
         "..", "images.npy.npy", "ra.npy", "z\x00.npy")  # fmt: skip


def json_tree(text: bytes, rng, other=b"") -> bytes:
    """JSON with a value of another type, a key gone, a huge number, NaN or deep nesting."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return damaged(text, rng)
    places: list[tuple] = []

    def walk(value):
        for key in value if isinstance(value, dict) else range(len(value) if isinstance(value, list) else 0):
            places.append((value, key))
            walk(value[key])

    walk(document)
    if not places:
        return str(rng.choice(["null", "3", '"x"', "[]", "{}"])).encode()
    for _ in range(int(rng.integers(1, 3))):
        holder, key = places[rng.integers(len(places))]
        what = rng.random()
        if what < 0.15 and isinstance(holder, dict):
            holder.pop(key, None)
        elif what < 0.25 and isinstance(holder, dict):
            holder[str(rng.choice(["", "a\nb", "__class__", "seal", "z" * 200]))] = _strange(rng)
        elif what < 0.35 and isinstance(holder, list):
            holder.extend(holder[: int(rng.integers(1, 200))])
        else:
            value = _strange(rng)
            try:
                holder[key] = value
            except IndexError:
                holder.append(value)
    found = json.dumps(document)
    if rng.random() < 0.05:
        deep = int(rng.choice([100, 3000, 100_000]))
        found = found[:-1] + ', "deep": ' + "[" * deep + "]" * deep + "}"
    return found.encode("utf-8", "surrogatepass")


def _strange(rng):
    nested: object = 1
    for _ in range(60):
        nested = [nested]
    values = (None, True, False, 0, -1, 1, 2**31, 2**63, 10**30, -(2**63), 1e308, float("nan"),
         float("inf"), 0.5,
              "", "x", "é\n\x00", "../../etc", "9" * 400, [], {}, [0], [1, 2, 3], {"a": 1}, nested, "\ud800",
              100_000, 5_000_000, "r", ["r", "r"])  # fmt: skip
    return values[rng.integers(len(values))]


def tensors_header(data: bytes, rng, other=b"") -> bytes:
    """The header of a safetensors file, damaged as JSON, with the length that it has."""
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > len(data) - 8:
        return data
    text, what = data[8 : 8 + size], rng.random()
    if what < 0.6:
        text = json_tree(text, rng)
    elif what < 0.8:
        numbers = list(re.finditer(rb"\d+", text))
        if numbers:
            at = numbers[rng.integers(len(numbers))]
            text = text[: at.start()] + str(rng.choice(SIZES)).encode() + text[at.end() :]
    else:
        swap = rng.choice(["F32", "F64", "I8", "BOOL", "BF16", "F16", "U64", "F8_E4M3", "C64"])
        text = re.sub(rb'"[A-Z]+\d*"', f'"{swap}"'.encode(), text, count=int(rng.integers(1, 4)))
    length = len(text) if rng.random() < 0.9 else int(EXTREMES[rng.integers(len(EXTREMES))])
    return (length % 2**64).to_bytes(8, "little") + text + data[8 + size :]


def parquet_footer(data: bytes, rng, other=b"") -> bytes:
    """The footer of a Parquet file, or its length, damaged."""
    if len(data) < 12:
        return data
    size = int.from_bytes(data[-8:-4], "little")
    if rng.random() < 0.2 or size > len(data) - 12:
        value = int(rng.choice([0, 1, size - 1, size + 1, len(data), 2**31 - 1, 2**31, 2**32 - 1])) % 2**32
        return data[:-8] + value.to_bytes(4, "little") + data[-4:]
    footer = (
        damaged(data[-8 - size : -8], rng) if rng.random() < 0.4 else _bits(data[-8 - size : -8], rng, b"")
    )
    return data[: -8 - size] + footer + len(footer).to_bytes(4, "little") + b"PAR1"


def text_line(data: bytes, rng, other=b"") -> bytes:
    """A line of text gone, doubled, or with another word or number in it."""
    lines = data.split(b"\n")
    k, what = int(rng.integers(len(lines))), rng.random()
    if what < 0.2:
        del lines[k]
    elif what < 0.4:
        lines.insert(int(rng.integers(len(lines))), lines[k])
    elif what < 0.8:
        words = list(re.finditer(rb"[\w.+-]+", lines[k]))
        if words:
            at = words[rng.integers(len(words))]
            new = str(rng.choice([*SIZES, "nan", "..", "a,b", '"', "true", "héé", "\x00", "=", "x" * 9000]))
            lines[k] = lines[k][: at.start()] + new.encode() + lines[k][at.end() :]
    else:
        lines[k] = damaged(lines[k], rng)
    return b"\n".join(lines)
