"""The default survey, prepared once and kept, and the report on it that needs no browser."""

import html.parser
import stat

import numpy as np
import pytest
import torch
from PIL import Image

from galnb import demo, disk
from galnb.latents import Latents


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """An own cache folder that does not exist yet, for the whole file."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("home") / "deep" / "cache"
        patch.setenv("GALNB_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def survey(cache):
    return demo.default_survey(progress=False)


@pytest.fixture
def kept(cache, survey):
    (path,) = cache.iterdir()
    return path


@pytest.fixture(scope="module")
def page(survey, tmp_path_factory):
    return demo.report(tmp_path_factory.mktemp("report") / "new" / "demo", progress=False)


def same(one: Latents, other: Latents) -> bool:
    return one.hash() == other.hash() and all(
        np.array_equal(one[name], other[name], equal_nan=one[name].dtype.kind == "f") for name in one.columns
    )


def test_how_many_threads_torch_has_changes_no_bit(survey, tmp_path, monkeypatch):
    monkeypatch.setenv("GALNB_CACHE", str(tmp_path))
    threads = torch.get_num_threads()
    torch.set_num_threads(3 - min(threads, 2))
    try:
        assert same(demo.default_survey(progress=False).latents, survey.latents)
    finally:
        torch.set_num_threads(threads)


def test_the_survey_has_at_least_800_galaxies_with_measured_columns(survey):
    images, latents, model = survey
    assert len(images) == len(latents) >= 800 and list(images.id) == list(latents.id)
    assert latents.latent_dim == model.config["latent_dim"] == 16
    assert images.bands == model.bands and images.shape == (model.size, model.size)
    assert {"color", "concentration", "asymmetry", "half_light_radius"} <= set(latents.columns)
    assert latents.table["half_light_radius"].unit == "pix"


def test_the_second_call_reads_what_the_first_one_kept(survey, kept, monkeypatch):
    def forbidden(*_, **__):
        raise AssertionError("it was prepared again")

    monkeypatch.setattr(demo, "encode", forbidden)
    monkeypatch.setattr(demo, "measure", forbidden)
    before = kept.read_bytes()
    again = demo.default_survey(progress=False)
    assert kept.read_bytes() == before and same(again.latents, survey.latents)
    assert np.array_equal(again.images.pixels, survey.images.pixels)
    assert again.images.table.colnames == survey.images.table.colnames


def flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: flip(data, len(data) // 2),
        lambda data: flip(data, data.index(b"asymmetry")),
    ],
    ids=["empty", "truncated", "a flipped bit", "another column"],
)
def test_a_damaged_file_in_the_cache_is_replaced(survey, kept, damage, monkeypatch):
    good = kept.read_bytes()
    monkeypatch.setattr(demo, "encode", lambda images, model: survey.latents)  # it takes seconds
    monkeypatch.setattr(demo, "measure", lambda images: survey.latents.table)
    kept.write_bytes(damage(good))
    assert same(demo.default_survey(progress=False).latents, survey.latents)
    assert kept.read_bytes() == good


def test_the_cache_is_where_galnb_cache_says_and_its_owners_alone(cache, survey):
    assert disk.cache_folder() == cache
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700


def test_without_galnb_cache_it_is_below_the_platforms_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for unset in (lambda: monkeypatch.delenv("GALNB_CACHE"), lambda: monkeypatch.setenv("GALNB_CACHE", "")):
        unset()
        assert disk.cache_folder() == tmp_path / "galnb"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GALNB_CACHE", "~/mine")
    assert disk.cache_folder() == tmp_path / "mine"


def test_the_report_leaves_catalogue_map_reconstructions_neighbors_and_page(page, survey):
    pictures = {"map.png", "reconstructions.png", "neighbors.png"}
    assert {path.name for path in page.parent.iterdir()} == pictures | {"latents.parquet", "index.html"}
    assert same(Latents.read(page.with_name("latents.parquet")), survey.latents)
    for name in pictures:
        with Image.open(page.with_name(name)) as picture:
            colors = np.unique(np.asarray(picture.convert("L")))
            assert min(picture.size) >= 250 and len(colors) > 50, f"{name} is blank"


def test_the_page_refers_to_nothing_outside_itself_and_describes_each_picture(page):
    tags = []
    reader = html.parser.HTMLParser()
    reader.handle_starttag = lambda tag, attributes: tags.append((tag, dict(attributes)))
    text = page.read_text(encoding="utf-8")
    reader.feed(text)
    pictures = [attributes for tag, attributes in tags if tag == "img"]
    assert len(pictures) == 3 and all(len(picture["alt"]) > 40 for picture in pictures)
    assert all(picture["src"].startswith("data:image/png;base64,") for picture in pictures)
    assert not {tag for tag, _ in tags} & {"script", "link", "iframe", "object", "a"}
    assert "url(" not in text and "@import" not in text and "http" not in text
    assert "192 times fewer numbers, 48 times fewer bytes" in text
