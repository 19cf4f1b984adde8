"""What a panel leaves in a notebook: its live view, and a picture with words for where no kernel answers.

They are two outputs, for JupyterLab and Notebook look no further than a live view, also where it is dead.
`style.css`, which is there with the live view alone, puts the picture away while a kernel answers.
"""

from __future__ import annotations

import os
import sys

from .. import alt
from ..figures import alt_text, map_figure, to_png

SMALL = 30_000  # galaxies at most whose points are drawn larger
PATIENCE = 0.4  # seconds at most that a picture waits for what a panel is about to show
NOTE = "As it was when the cell ran; run the cell to use it."
# Of a dead view JupyterLab says "Error displaying widget: model not found", above its picture.
DEAD = (
    "<style>.jp-OutputArea-child:has(+ .jp-OutputArea-child .galnb-still)"
    " > .jp-OutputArea-output:not(:has(*)) { display: none; }</style>"
)


class Still:
    """Mixed into what shows a session: how a notebook keeps it, in words and as a picture too."""

    def words(self) -> str:
        """What is shown, in a sentence or two for who does not see it: the map."""
        session = self.session
        with session.lock:
            counts = {"n": len(session.latents), "n_selected": session.n_selected}
            return alt_text(self.frame(66, 56), axes=session.axes, **counts)

    def pictured(self):
        """What is shown, as a Figure: the map."""
        return map_figure(self.frame(), axes=self.session.axes)

    def frame(self, width: int = 660, height: int = 560, **options):
        """What a map of the session looks like now."""
        session = self.session
        with session.lock:
            spread = 3 if len(session.latents) < SMALL else "auto"
            return session.frame(width, height, view=session.view, spread=spread, **options)

    def still(self) -> tuple[str, bytes]:
        """What is shown where no kernel is: words and a PNG."""
        picture = to_png(self.pictured())
        return self.words(), picture

    def live_bundle(self) -> dict:
        """The live view's MIME bundle, and words; an error in these is shown, and costs the words alone."""
        bundle = super()._repr_mimebundle_()
        text = f"{type(self).__name__} of {len(self.session.latents):,} galaxies"
        with self.shown():
            text = self.words()
        return {**(bundle[0] if isinstance(bundle, tuple) else bundle or {}), "text/plain": text}

    def still_bundle(self) -> tuple[dict, dict]:
        """A MIME bundle with words and picture alone, and its metadata; empty where drawing fails."""
        with self.shown():
            return alt.bundle(*self.still(), note=NOTE, kind="galnb-still", before=DEAD)
        return {}, {}

    def _repr_mimebundle_(self, **options) -> tuple[dict, dict]:
        still, metadata = self.still_bundle()
        return {**self.live_bundle(), **still}, metadata

    def _ipython_display_(self, **options) -> None:
        from IPython.display import display

        if self._repr_mimebundle_ is None:  # so ipywidgets marks what was closed
            outputs = [({"text/plain": f"{type(self).__name__}, closed"}, {})]
        elif "VSCODE_PID" in os.environ or "google.colab" in sys.modules:  # they know no `style.css`
            outputs = [self._repr_mimebundle_()]
        else:
            outputs = [(self.live_bundle(), {}), None]
        for output in outputs:
            data, metadata = output or self.still_bundle()  # drawn when the live view is on its way
            if data:
                display(data, metadata=metadata, raw=True)
