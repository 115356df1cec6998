"""What is said where the extra ``[chat]`` is not installed."""

from __future__ import annotations


class ExtraMissingError(ImportError):
    """An optional package is missing; the text is one sentence that says what to do."""

    @classmethod
    def of(cls, package: str, purpose: str) -> ExtraMissingError:
        """Return the error for a package of the extra.

        :param purpose: what it is for, as in "To …".
        """
        return cls(
            f"To {purpose}, the package {package} is needed:"
            " pip install 'rkllm-twisted[chat]' installs it.",
            name=package,
        )
