"""The README's tables, made from the families: `python -m tests.tables` writes them into it."""

from __future__ import annotations

import json
from pathlib import Path

from galnb import models
from galnb.models.base import ABILITIES

ROOT = Path(__file__).parents[1]


def model_table() -> str:
    """One row a model: what it is, and which abilities it has."""
    rows = [("model", "class", *(a.replace("_", " ") for a in ABILITIES), "what it is")]
    for model in models.capabilities():
        marks = ["yes" if model[ability] else "" for ability in ABILITIES]
        rows.append((f"`{model['name']}`", f"`{model['class']}`", *marks, model["summary"]))
    return _markdown(rows)


def notebook_table(folder: Path) -> str:
    """One row a notebook: its title and the question of its first cell."""
    rows = [("notebook", "question")]
    for path in sorted(folder.glob("*.ipynb")):
        first = "".join(json.loads(path.read_text())["cells"][0]["source"]).splitlines()
        question = next(line for line in first[1:] if line.strip())
        rows.append((f"[{path.stem}](notebooks/{path.name})", question.strip().strip("*")))
    return _markdown(rows)


def _markdown(rows: list[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|" + " --- |" * len(rows[0]))
    return "\n".join(lines)


def main() -> None:
    path = ROOT / "README.md"
    text = path.read_text()
    for name, table in (("models", model_table()), ("notebooks", notebook_table(ROOT / "notebooks"))):
        before, rest = text.split(f"<!-- {name} -->")
        _, after = rest.split(f"<!-- end of {name} -->")
        text = f"{before}<!-- {name} -->\n{table}\n<!-- end of {name} -->{after}"
    path.write_text(text)


if __name__ == "__main__":
    main()
