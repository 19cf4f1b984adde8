"""The site with all notebooks run and all public names: `python -m docs.gallery` builds build/gallery.

Notebooks that have not changed, nor the code they import, are not run again. With `--unexecuted` none is.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import io
import os
import re
import shutil
import sys
import tempfile
from base64 import b64decode
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # of kernels; before they load numpy
    os.environ.setdefault(variable, "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "2")

import nbformat  # noqa: E402

from docs import reference  # noqa: E402
from tests.running import NOTEBOOKS, ROOT, executed  # noqa: E402

VIEW = "application/vnd.jupyter.widget-view+json"
CARD = """::::{{grid-item-card}} {title}
:link: {stem}
:link-type: doc
{picture}
{question}
:::{{card-footer}}
{after}
:::
::::
"""
CARDS = """# Notebooks

Each asks one question, and answers it in its last cell.

:::::{{grid}} 1 2 2 3
:gutter: 3

{cards}:::::

```{{toctree}}
:hidden:

{stems}
```
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT / "build" / "gallery")
    parser.add_argument("--unexecuted", action="store_true", help="show notebooks as they come")
    options = parser.parse_args()
    kept = options.folder.parent / "gallery-kept"  # what makes the next build quick
    if options.unexecuted:
        notebooks = {path: nbformat.read(path, as_version=4) for path in NOTEBOOKS}
    else:
        notebooks = run_all(kept / "notebooks")
    lay_out(kept / "sources", notebooks)
    return build(kept / "sources", kept / "doctrees", options.folder)


def run_all(folder: Path) -> dict[Path, nbformat.NotebookNode]:
    """Notebooks with their outputs, run where they have to be; all that fail are named, with their cells."""
    folder.mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(min(4, os.cpu_count())) as pool:
        errors = list(pool.map(run, NOTEBOOKS, [folder] * len(NOTEBOOKS)))
    if any(errors):
        sys.exit("\n\n".join(error for error in errors if error))
    return {path: nbformat.read(folder / path.name, as_version=4) for path in NOTEBOOKS}


def run(path: Path, folder: Path) -> str:
    """Run a notebook into the folder, unless that was done; what went wrong, and in which cell."""
    from nbclient.exceptions import CellControlSignal, DeadKernelError

    notebook, done = nbformat.read(path, as_version=4), folder / path.name
    made_of = hashlib.sha256(path.read_bytes() + code().encode()).hexdigest()
    if done.exists() and nbformat.read(done, as_version=4).metadata.get("made_of") == made_of:
        return ""
    print(f"running {path.name}", flush=True)
    try:
        with tempfile.TemporaryDirectory() as home:
            executed(notebook, Path(home))
    except (CellControlSignal, DeadKernelError) as error:
        last = max((k for k, cell in enumerate(notebook.cells) if "execution" in cell.metadata), default=0)
        return f"{path.name}, cell {last + 1} of {len(notebook.cells)}: {error}"
    notebook.metadata["made_of"] = made_of
    nbformat.write(notebook, done)
    return ""


@cache
def code() -> str:
    """The code of galnb, without its docstrings."""
    trees = []
    for file in sorted((ROOT / "galnb").rglob("*.py")):
        trees.append(ast.parse(file.read_text()))
        for node in ast.walk(trees[-1]):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
                node.body = node.body[1:]
    return "".join(map(ast.dump, trees))


def lay_out(folder: Path, notebooks: dict) -> None:
    """Write the sources of all pages: the repository, with `docs/` laid over its root."""
    files = {f"{name}.rst": text.encode() for name, text in reference.pages().items()}
    files["README.md"] = (ROOT / "README.md").read_text().replace("](docs/", "](").encode()
    for path in sorted((ROOT / "docs").glob("*.*")):
        if path.suffix == ".md":
            text = path.read_text()
            for link in re.findall(r"\]\(\.\./([^)#]+)", text):  # to files that are no pages
                if (ROOT / link).is_file() and link not in files:
                    files[link] = (ROOT / link).read_bytes()
            files[path.name] = text.replace("](../", "](").encode()
        elif path.suffix in (".png", ".svg"):
            files[path.name] = path.read_bytes()
    cards = ""
    for path, notebook in notebooks.items():
        cards += card(path.stem, notebook, files)
        files[f"notebooks/{path.name}"] = nbformat.writes(still(notebook)).encode()
    stems = "\n".join(path.stem for path in notebooks)
    files["notebooks/index.md"] = CARDS.format(cards=cards, stems=stems).encode()
    for old in [p for p in folder.rglob("*") if p.is_file() and str(p.relative_to(folder)) not in files]:
        old.unlink()
    for name, data in files.items():
        path = folder / name
        if not path.exists() or path.read_bytes() != data:  # what has not changed is not made again
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


def card(stem: str, notebook, files: dict) -> str:
    """The card of a notebook: title, question, what comes before it, and a picture that joins the files."""
    lines = [line for line in notebook.cells[0].source.splitlines() if line.strip()]
    after = re.search(r"\*(After [^.]+)\.", notebook.cells[0].source)
    picture = thumbnail(notebook)
    if picture:
        files[f"notebooks/{stem}.png"] = picture
    return CARD.format(
        title=lines[0].lstrip("# "),
        stem=stem,
        question=lines[1].strip("* "),
        after=after[1].replace("\n", " ") if after else stem[:2],
        picture=f":img-top: {stem}.png\n" if picture else "",
    )


def thumbnail(notebook) -> bytes | None:
    """The first figure that is large enough and neither a strip nor a tower, 3:2, as PNG bytes."""
    from PIL import Image, ImageChops, ImageOps

    outputs = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])]
    pictures = [Image.open(io.BytesIO(b64decode(o["image/png"]))) for o in outputs if "image/png" in o]
    good = [p for p in pictures if p.height >= 250 and 0.7 < p.width / p.height < 2.2] or pictures
    if not good:
        return None
    picture, file = good[0].convert("RGB"), io.BytesIO()
    paper = picture.getpixel((0, 0))
    drawn = ImageChops.difference(picture, Image.new("RGB", picture.size, paper)).getbbox()
    picture = ImageOps.expand(picture.crop(drawn), 12, fill=paper)
    ImageOps.pad(picture, (720, 480), color=paper).save(file, "png", optimize=True)
    return file.getvalue()


def still(notebook):
    """The notebook without live views, which need a kernel; a panel's picture and words come beside them."""
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if "outputs" in cell:
            cell.outputs = [o for o in cell.outputs if VIEW not in o.get("data", {}) or "image/png" in o.data]
            for output in cell.outputs:
                output.get("data", {}).pop(VIEW, None)
    notebook.metadata.pop("widgets", None)
    return notebook


def build(sources: Path, doctrees: Path, folder: Path) -> int:
    """Have Sphinx make the site; a warning, a broken link or a request to the outside fails it."""
    from sphinx.cmd.build import main as sphinx

    strict = ["-W", "--keep-going", "-q", "-j", "auto"]
    places = ["-c", str(ROOT / "docs"), "-d", str(doctrees), str(sources), str(folder)]
    failed = sphinx([*strict, "-b", "html", *places])
    if failed:
        shutil.rmtree(doctrees, ignore_errors=True)  # or else the next build would not warn again
        return failed
    wrong = complaints(folder)
    print("\n".join(wrong) or f"open {folder / 'index.html'}")
    return bool(wrong)


class Page(HTMLParser):
    """What a page has names for, leads to, and loads when it is opened."""

    def __init__(self, path: Path):
        super().__init__()
        self.names, self.links, self.loads = set(), set(), set()
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.names |= {values[key] for key in ("id", "name") if values.get(key)}
        loaded = values.get("src") or (values.get("href") if tag == "link" else None)
        if loaded:
            self.loads.add(loaded)
        elif values.get("href"):
            self.links.add(values["href"])


def complaints(site: Path) -> list[str]:
    """Links of a site that lead nowhere in it, and what its pages would fetch from elsewhere."""
    pages, wrong = {path.resolve(): Page(path) for path in sorted(site.rglob("*.html"))}, []
    for path, page in pages.items():
        for link in sorted(page.links | page.loads):
            parts = urlsplit(link)
            if parts.scheme == "data":
                continue
            if parts.scheme or parts.netloc:
                if link in page.loads:
                    wrong.append(f"{path.name} fetches {link[:80]}")
                continue
            there = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            named = not parts.fragment or there not in pages or unquote(parts.fragment) in pages[there].names
            if not there.exists() or not named:
                wrong.append(f"{path.name} leads to {link[:80]}, which is not there")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
