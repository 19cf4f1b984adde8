"""How often hypothesis tries: the same few examples each time, or as many new ones as GALNB_EXAMPLES says."""

from __future__ import annotations

import os

from hypothesis import settings

EXAMPLES = int(os.environ.get("GALNB_EXAMPLES", "0"))


def often(examples: int, **options) -> settings:
    """Settings of a property's test: so many examples, which do not change from run to run."""
    at_random = {"max_examples": max(examples, EXAMPLES), "derandomize": not EXAMPLES}
    return settings(deadline=None, print_blob=True, **at_random, **options)
