"""The error for a missing extra ``[chat]``."""

from __future__ import annotations


class ExtraMissingError(ImportError):
    """An optional package is missing; the text says in one sentence what to do."""

    @classmethod
    def of(cls, package: str, purpose: str) -> ExtraMissingError:
        """Return the error for a package of the extra.

        :param purpose: the purpose of the package, as in "To …".
        """
        return cls(
            f"To {purpose}, the package {package} is needed:"
            " pip install 'rkllm-twisted[chat]' installs it.",
            name=package,
        )
