"""What a user can hand in that is bad: each gives one error that says what came, what was wanted and what to
do, and nothing else is lost."""

import base64
import html.parser

import numpy as np
import pytest
import torch
from astropy.io import fits
from astropy.table import Table
from PIL import Image

import galnb
from galnb.errors import BandMismatch
from galnb.models import AE, PCA

MARKUP = "<img src=x onerror=alert(1)>"
SIZE = 16


def galaxy(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((SIZE, SIZE)).astype(np.float32)


def model(*bands: str) -> PCA:
    """A fitted model of four numbers a galaxy."""
    made = PCA(bands, SIZE, 4)
    made.fit([torch.from_numpy(np.random.default_rng(1).random((20, len(bands), SIZE, SIZE), np.float32))])
    return made.eval()


def survey(folder, *names):
    """A folder with a FITS file, of filter r, a name."""
    for seed, name in enumerate(names):
        fits.writeto(folder / f"{name}.fits", galaxy(seed), fits.Header({"FILTER": "r"}))
    return folder


def survives(folder, bad: str, reason: str, *told: str):
    """The bad input is named in one error, and is the only galaxy of a folder that encoding leaves out."""
    with pytest.raises(galnb.BadInput) as caught:
        galnb.encode(galnb.Folder(folder), model("r"))
    words = str(caught.value)
    assert bad in words and reason in words and all(part in words for part in told), words
    assert "\n" not in words
    source = galnb.Folder(folder)
    latents = galnb.encode(source, model("r"), skip_bad=True, batch=2)
    assert list(latents.id) == ["a", "c", "d"] and np.isfinite(latents.z).all()
    assert len(source.quarantine) == 1
    assert bad in source.quarantine[0].where and reason in source.quarantine[0].reason


def test_a_truncated_fits(tmp_path):
    path = survey(tmp_path, *"abcd") / "b.fits"
    fits.writeto(path, np.zeros((90, 90), dtype=np.float32), overwrite=True)
    path.write_bytes(path.read_bytes()[:6000])
    survives(tmp_path, "b.fits", "truncated: 6000 bytes for 32400 bytes of pixels", "HDU 0", "copy it again")


def test_a_fits_whose_only_hdu_has_no_data(tmp_path):
    path = survey(tmp_path, *"abcd") / "b.fits"
    fits.HDUList([fits.PrimaryHDU()]).writeto(path, overwrite=True)
    survives(tmp_path, "b.fits", "none of its 1 HDUs has image data", "wanted a 2-D or 3-D image")


def test_an_hdu_without_data_beside_one_that_has_it_loses_nothing(tmp_path):
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(name="EMPTY"), fits.ImageHDU(galaxy(), name="R")]
    fits.HDUList(hdus).writeto(tmp_path / "a.fits")
    images = galnb.Folder(tmp_path).read()
    assert images.bands == ("r",) and np.array_equal(images.pixels[0, 0], galaxy())


def test_nan_pixels_in_a_survey(tmp_path):
    pixels = galaxy()
    pixels[3, 4] = np.nan
    fits.writeto(survey(tmp_path, *"abcd") / "b.fits", pixels, overwrite=True)
    survives(tmp_path, "id b", "NaN or infinite pixels, wanted finite ones", "images[images.finite()]")


def test_nan_pixels_in_an_array_are_left_out_as_the_error_says():
    pixels = np.array([galaxy(seed) for seed in range(5)])[:, None]
    pixels[2, 0, 1, 1] = np.inf
    images = galnb.Images(pixels, bands=("r",))
    with pytest.raises(galnb.BadInput, match=r"id 2: 1 of 5 images .* images\[images.finite\(\)\]"):
        galnb.encode(images, model("r"))
    assert list(galnb.encode(images[images.finite()], model("r")).id) == [0, 1, 3, 4]


def test_nan_in_a_band_that_the_model_does_not_use_costs_no_galaxy(tmp_path):
    pixels = np.array([[galaxy(0), galaxy(1)], [galaxy(2), np.full((SIZE, SIZE), np.nan)]])
    np.savez(tmp_path / "cubes.npz", images=pixels)
    source = galnb.Folder(tmp_path / "cubes.npz", bands=("r", "u"))
    assert len(galnb.encode(source, model("r"), skip_bad=True)) == 2 and not source.quarantine


def test_a_folder_that_is_bad_through_and_through_encodes_to_nothing_and_names_each(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.fits").write_bytes(b"")
    source = galnb.Folder(tmp_path, bands=("r",))
    assert galnb.encode(source, model("r"), skip_bad=True).z.shape == (0, 4)
    assert len(source.quarantine) == 2


def test_a_band_that_the_model_does_not_know():
    images = galnb.Images(np.random.default_rng(0).random((3, 2, SIZE, SIZE)), bands=("g", "z"))
    for use in (galnb.encode, galnb.reconstruct):
        with pytest.raises(BandMismatch) as caught:
            use(images, model("g", "r"))
        said = str(caught.value)
        assert "the images have 2 bands (g, z), wanted are 2 (g, r)" in said and "images.rename(" in said
        assert (caught.value.have, caught.value.want) == (("g", "z"), ("g", "r"))
    assert len(galnb.encode(images.rename("g", "r"), model("g", "r"))) == 3


def test_a_picture_of_zero_bytes_in_a_folder_of_good_ones(tmp_path):
    for seed, name in enumerate("abcd"):
        Image.fromarray((255 * galaxy(seed)).astype(np.uint8)).save(tmp_path / f"{name}.png")
    (tmp_path / "b.png").write_bytes(b"")
    source = galnb.Folder(tmp_path)
    latents = galnb.encode(source, model("grey"), skip_bad=True)
    assert list(latents.id) == ["a", "c", "d"]
    (bad,) = source.quarantine
    assert bad.where.endswith("b.png") and "not readable as a picture" in bad.reason
    assert "wanted PNG or JPEG" in bad.reason


class Tags(html.parser.HTMLParser):
    """The elements that a browser would make of a text, and their attributes."""

    def __init__(self, text):
        super().__init__()
        self.names, self.attributes = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.names.append(tag)
        self.attributes |= {name for name, _ in attributes}


@pytest.fixture
def hostile(tmp_path):
    """An explorer of a survey whose catalogue, read from a CSV file, has markup in names and values."""
    np.savez(tmp_path / "sky.npz", images=np.array([galaxy(k) for k in range(30)]))
    values = [MARKUP, "disc", "bulge"] * 10
    Table({"id": np.arange(30), MARKUP: values, "note": values}).write(tmp_path / "table.csv")
    source = galnb.Folder(tmp_path / "sky.npz", bands=("r",), table=tmp_path / "table.csv")
    latents = galnb.encode(source, model("r"))
    named = galnb.Latents([MARKUP, *(f"g{k}" for k in range(29))], latents.z, latents.table)
    images = galnb.Images(source.read().pixels, named.id, ("r",))
    kept = galnb.Latents.read(named.write(tmp_path / "latents.parquet"))
    return galnb.explore(kept, images, model("r"), color=MARKUP)


def test_markup_in_a_catalogue_stays_text_where_there_is_no_kernel(hostile):
    page = Tags(hostile._repr_mimebundle_()[0]["text/html"])
    assert page.names == ["style", "figure", "img", "figcaption"]
    assert page.attributes == {"src", "alt", "class", "style"}
    hostile.selection = (MARKUP,)
    table = Tags(hostile.selection_table()._repr_html_())
    assert "img" not in table.names and "onerror" not in table.attributes


# A front end of one widget: it draws what the kernel said, with pictures, and returns what a person can see.
DRAW = """async ([esm, state, heard]) => {
    const widget = (await import(URL.createObjectURL(new Blob([esm], { type: "text/javascript" })))).default;
    const listeners = [], el = document.body.appendChild(document.createElement("div"));
    const bytes = (text) => new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
    const model = { get: (name) => state[name], set() {}, save_changes() {}, send() {}, off() {},
                    on: (name, listener) => name === "msg:custom" && listeners.push(listener) };
    await widget.render({ model, el });
    for (const [message, buffers] of heard)
        for (const hear of listeners) await hear(message, buffers.map(bytes));
    await new Promise((done) => setTimeout(done, 300));
    const words = [...el.querySelectorAll("*")].flatMap((e) => [e.title, e.alt, e.ariaLabel]);
    return el.textContent + words.join(" ");
}"""


@pytest.mark.browser
def test_markup_in_a_catalogue_is_shown_as_text_in_a_real_browser(hostile, chromium):
    from playwright.sync_api import sync_playwright

    parts = {part: [] for part in (hostile.map, hostile.gallery, hostile.decoder)}
    for part, heard in parts.items():
        part.send = lambda message, buffers=None, heard=heard: heard.append(
            [message, [base64.b64encode(data).decode() for data in buffers or []]]
        )
    hostile.session.pick(*hostile.session.projection().xy[0], 1e-6, 1e-6)
    view = {"t": "view", "seq": 1, "client": "a", "view": None, "w": 200, "h": 150, "dpr": 1}
    for part in parts:
        for message in ({"t": "hello"}, view, {"t": MARKUP}):  # the last one is answered with a problem
            part._handle_custom_msg(message, [])
    hostile.worker.wait()
    with sync_playwright() as playwright:
        page = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"]).new_page()
        fired = []
        page.on("dialog", lambda dialog: (fired.append(dialog.message), dialog.dismiss()))
        for part, heard in parts.items():
            seen = page.evaluate(DRAW, [part._esm, {"height": 300}, heard])
            assert MARKUP in seen, type(part).__name__
        assert not fired and page.locator("[onerror]").count() == 0


@pytest.mark.parametrize(
    "mistake, meant",
    [
        (lambda here: galnb.sources.load("foldr", path="."), "'folder'"),
        (lambda here: galnb.sources.load("folder", path=".", bnads=("r",)), "'bands'"),
        (lambda here: galnb.models.load("ea"), "'ae'"),
        (lambda here: galnb.models.load("ae", latent_dims=4), "'latent_dim'"),
        (lambda here: AE(sparsity="l2"), "'l1'"),
        (lambda here: galnb.weights.load("ae50-sds"), "'ae50-sdss'"),
        (lambda here: galnb.explore(here, colour="count"), "'color'"),
        (lambda here: galnb.explore(here, color="redshfit"), "'redshift'"),
        (lambda here: galnb.explore(here, plane="umpa"), "'umap'"),
        (lambda here: galnb.widgets.load("mpa", latents=here), "'map'"),
        (lambda here: galnb.Session(here).color_by("redshfit"), "'redshift'"),
        (lambda here: galnb.Session(here).select_box(0, 1, 0, 1, mode="subtrat"), "'subtract'"),
    ],
)
def test_a_mistyped_option_is_answered_with_the_one_that_was_meant(mistake, meant):
    here = galnb.Latents(np.arange(12), np.eye(12), {"redshift": np.linspace(0, 1, 12)})
    with pytest.raises(ValueError) as caught:
        mistake(here)
    assert meant in str(caught.value)
