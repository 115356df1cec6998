"""The error if the extra ``[chat]`` is not installed."""

from __future__ import annotations


class ExtraMissingError(ImportError):
    """An optional package is missing. The error's text says what to do, in one sentence."""

    @classmethod
    def of(cls, package: str, purpose: str) -> ExtraMissingError:
        """Return the error for a missing package of the extra.

        :param purpose: the purpose of the package, in words that can follow "To".
        """
        return cls(
            f"To {purpose}, the package {package} is needed:"
            " pip install 'rkllm-twisted[chat]' installs it.",
            name=package,
        )
