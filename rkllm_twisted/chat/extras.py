"""The error if an extra, such as ``[chat]``, is not installed."""

from __future__ import annotations


class ExtraMissingError(ImportError):
    """An optional package is missing. The error's text says what to do, in one sentence."""

    @classmethod
    def of(cls, package: str, purpose: str, extra: str = "chat") -> ExtraMissingError:
        """Return the error for a missing package of the extra.

        :param purpose: the purpose of the package, in words that can follow "To".
        :param extra: its name.
        """
        return cls(
            f"To {purpose}, the package {package} is needed:"
            f" pip install 'rkllm-twisted[{extra}]' installs it.",
            name=package,
        )
