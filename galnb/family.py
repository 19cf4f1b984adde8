"""An open family of classes: a list of names and places, each loaded on first use."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from inspect import Parameter, signature

from .errors import one_of


class Configured:
    """A class whose constructor's signature *is* its configuration.

    Plain values, each with a default or given by name; they are kept in `config`, travel with saved weights,
    and build the same again.
    """

    def __new__(cls, *args, **options):
        self = super().__new__(cls)
        bound = signature(cls).bind(*args, **options)
        bound.apply_defaults()
        object.__setattr__(self, "config", dict(bound.arguments))
        return self


class Family:
    """Members by public name ("ae") and by class name (`AE`), imported when first asked for.

    Parameters
    ----------
    kind : str
        What a member is called in errors ("model").
    members : mapping of str to "package.module:Class"
    """

    def __init__(self, kind: str, members: Mapping[str, str]):
        self.kind, self.members = kind, members

    def member(self, name: str) -> type:
        """The class of a public name; ValueError naming the nearest one if it is misspelt."""
        one_of(self.kind, name, self.members)
        module, _, attribute = self.members[name].partition(":")
        return getattr(import_module(module), attribute)

    def load(self, name: str, **options):
        """An instance by public name; ValueError if an option is misspelt or missing."""
        member = self.member(name)
        known = signature(member).parameters
        if not any(parameter.kind is Parameter.VAR_KEYWORD for parameter in known.values()):
            for option in options:
                one_of(f"option of {self.kind} {name!r}", option, known)
        try:
            signature(member).bind(**options)
        except TypeError as error:
            raise ValueError(f"{self.kind} {name!r}: {error}; its options are {', '.join(known)}") from error
        return member(**options)

    def attribute(self, attribute: str) -> type:
        """The module-level `__getattr__` of a family's package."""
        for name, place in self.members.items():
            if place.endswith(f":{attribute}"):
                return self.member(name)
        raise AttributeError(f"no {self.kind} is called {attribute!r}")
