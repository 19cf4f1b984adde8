"""Tables of README and docs, made from what they tell of: `python -m tests.tables` writes them there."""

from __future__ import annotations

import json
import re
from pathlib import Path

from galnb import abilities, models
from galnb.models.base import ABILITIES

ROOT = Path(__file__).parents[1]
WORKSHOP = ROOT / "docs" / "workshop.md"


def model_table() -> str:
    """One row a model: what it is, and which abilities it has."""
    rows = [("model", "class", *(a.replace("_", " ") for a in ABILITIES), "what it is")]
    for model in models.capabilities():
        marks = ["yes" if model[ability] else "" for ability in ABILITIES]
        rows.append((f"`{model['name']}`", f"`{model['class']}`", *marks, model["summary"]))
    return _markdown(rows)


def ability_table(table: list[dict]) -> str:
    """One row a model or density: what running a small one of it showed."""
    rows = [("", "trains on data", "draws in one pass", "exact likelihood", "free-form Jacobian")]
    for row in table:
        many = "more passes with more dimensions" if row["grows"] else "a few passes"
        one = "" if row["passes"] is None else "yes" if row["passes"] == 1 else many
        free = {None: "has no such map", True: "yes", False: ""}[row["free"]]
        marks = ["yes" if row[name] else "" for name in ("trains", "exact")]
        rows.append((f"`{row['name']}`", marks[0], one, marks[1], free))
    return _markdown(rows)


def between(text: str, name: str) -> str:
    return text.split(f"<!-- {name} -->")[1].split(f"<!-- end of {name} -->")[0].strip()


def notebook_table(folder: Path) -> str:
    """One row a notebook: its title and the question of its first cell."""
    rows = [("notebook", "question")]
    for path in sorted(folder.glob("*.ipynb")):
        first = "".join(json.loads(path.read_text())["cells"][0]["source"]).splitlines()
        question = next(line for line in first[1:] if line.strip())
        rows.append((f"[{path.stem}](notebooks/{path.name})", question.strip().strip("*")))
    return _markdown(rows)


SERIES = re.compile(r"\*After (nothing|\d\d(?:, \d\d)*); (\d+) minutes\. You will learn to ([^*]+)\.\*")


def series_table(folder: Path, took: dict[str, str]) -> str:
    """One row a notebook: what comes before, how long a class takes, how long it ran, what one learns."""
    rows = [("notebook", "after", "in a class", "runs in", "you will learn to")]
    for path in sorted(folder.glob("*.ipynb")):
        first = "".join(json.loads(path.read_text())["cells"][0]["source"])
        before, minutes, learned = SERIES.search(first.replace("\n", " ")).groups()
        name = f"[{first.splitlines()[0].strip('# ')}](../notebooks/{path.name})"
        rows.append(
            (f"{path.stem[:2]} {name}", before, f"{minutes} min", took.get(path.stem[:2], ""), learned)
        )
    return _markdown(rows)


def taken(table: str) -> dict[str, str]:
    """Of `series_table`, how long each notebook ran: by number."""
    rows = [line.split("|") for line in table.splitlines()[2:]]
    return {row[1].split()[0]: row[4].strip() for row in rows}


def format_table() -> str:
    """One row a kind of file: its endings, what decodes it and where, and within which limits."""
    from galnb import export, imprint, limits, votes
    from galnb.sources import arrays, fits, folder, parquet, supervised

    megabytes = lambda size: f"{size >> 20:,} MB"  # noqa: E731
    child = (
        f"{supervised.MEGABYTES:,} MB; {supervised.PATIENCE:g} s of processor time and "
        f"{supervised.PATIENCE_A_MEGABYTE:g} s a megabyte; {supervised.SECONDS:g} s in all"
    )
    growth = (
        f"{megabytes(limits.MOST)}, or {limits.TIMES} times its size; "
        f"beyond {megabytes(limits.LARGE)}, {limits.LARGE_TIMES} times"
    )
    weighed = f"growth, weighed {parquet.ROWS:,} rows at a time"
    rows = [
        ("what", "files", "decoded by", "where", "limits"),
        ("*child*: any file there", "", "", "child", child),
        ("*growth*: what a file may become", "", "", "", growth),
        ("images", _endings(folder.FITS | {".fits.gz"}), "astropy", "child",
         f"growth, where compressed; {fits.LARGEST >> 30} GB of pixels"),
        ("pictures", _endings(folder.PICTURES), "Pillow", "parent", "growth, by its header"),
        ("arrays of images", _endings(arrays.KINDS), "numpy", "parent", "growth, of npz; npy is mapped"),
        ("tables to join", "what astropy reads, but HDF5", "astropy", "child", "growth"),
        ("votes", _endings({".csv"}), "csv, of Python", "parent", "its own size"),
        ("votes", _endings({".vot"}), "astropy", "child", "growth"),
        ("votes, latents", _endings({".parquet"}), "pyarrow", "child, then parent", weighed),
        ("catalogues of others", "`.hats` folders", "pyarrow", "child, then parent",
         f"{weighed}, of each partition"),
        ("catalogues of galnb", "`.hats` folders", "pyarrow", "parent",
         "sha256; growth, by the footer of each partition"),
        ("weights, checkpoints, forests", _endings({".safetensors", ".checkpoint"}), "safetensors", "parent",
         "a digest; a card makes no larger model than its tensors fill"),
        ("cards, sessions, maps, manifests, journals", _endings({".json", ".jsonl"}), "json, of Python",
         "parent", "its own size; packed selections no further than their catalogue"),
        ("figures", _endings({*imprint.KINDS, ".json"}), "galnb", "parent",
         f"{megabytes(imprint.LARGEST)}; {megabytes(imprint.LIMIT)} of what made it"),
        ("films", _endings({".gif"}), "Pillow", "parent", "its header and comment alone"),
        ("recipes", _endings({".toml"}), "tomllib, of Python", "parent", "its own size"),
        ("search indexes", "in the cache folder", "faiss", "parent", "only with the HMAC of one's own key"),
    ]  # fmt: skip
    assert set(votes.KINDS) == set(export.KINDS) == {".csv", ".vot", ".parquet"}
    return _markdown(rows)


def _endings(kinds) -> str:
    return " ".join(f"`{kind}`" for kind in sorted(kinds))


def _markdown(rows: list[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|" + " --- |" * len(rows[0]))
    return "\n".join(lines)


def main() -> None:
    tables = {
        "models": model_table(),
        "abilities": ability_table(abilities.table()),
        "notebooks": notebook_table(ROOT / "notebooks"),
    }
    write(ROOT / "README.md", tables)
    write(ROOT / "docs" / "promises.md", {"formats": format_table()})
    took = taken(between(WORKSHOP.read_text(), "series"))
    write(WORKSHOP, {"series": series_table(ROOT / "notebooks", took)})


def write(path: Path, tables: dict[str, str]) -> None:
    """Put tables between the marks that name them."""
    text = path.read_text()
    for name, table in tables.items():
        before, rest = text.split(f"<!-- {name} -->")
        _, after = rest.split(f"<!-- end of {name} -->")
        text = f"{before}<!-- {name} -->\n{table}\n<!-- end of {name} -->{after}"
    path.write_text(text)


if __name__ == "__main__":
    main()
