"""What the daemon says of itself: made when it starts, so that answering takes no time."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from rkllm_twisted import __version__
from rkllm_twisted.abi.release import releases
from rkllm_twisted.description.describe import describe
from rkllm_twisted.description.introspection import help_of, signatures_of
from rkllm_twisted.description.openrpc import document
from rkllm_twisted.interfaces import IRPCMethod
from rkllm_twisted.values import RuntimeVersion, SelfDescription
from rkllm_twisted.wire.encoding import encode_floats


def describe_for(methods: Mapping[str, IRPCMethod], runtime: RuntimeVersion) -> SelfDescription:
    """Describe the methods that are possible with the loaded release.

    :param methods: by name.
    """
    release = releases()[runtime.abi]
    every = describe(methods, [release])
    description = attrs.evolve(every, methods=tuple(m for m in every.methods if m.releases))
    return SelfDescription(
        document=encode_floats(document(description, release, __version__)),
        help={method.name: help_of(method) for method in description.methods},
        signatures={method.name: signatures_of(method) for method in description.methods},
    )
