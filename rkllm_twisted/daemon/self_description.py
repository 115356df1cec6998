"""The daemon's description of its methods, as clients get it.

It is made when a client first asks for it: few do, and it is a tenth of the start.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from rkllm_twisted import __version__
from rkllm_twisted.abi.release import Release
from rkllm_twisted.description.describe import describe
from rkllm_twisted.description.introspection import help_of, signatures_of
from rkllm_twisted.description.openrpc import document
from rkllm_twisted.interfaces import IRPCMethod
from rkllm_twisted.values import SelfDescription
from rkllm_twisted.wire.encoding import encode_floats


def describe_for(methods: Mapping[str, IRPCMethod], release: Release) -> SelfDescription:
    """Describe the methods that the loaded release has.

    It is encoded, so that an answer takes no time.

    :param methods: the methods by name.
    """
    every = describe(methods, [release])
    description = attrs.evolve(every, methods=tuple(m for m in every.methods if m.releases))
    return SelfDescription(
        document=encode_floats(document(description, release, __version__)),
        help={method.name: help_of(method, description) for method in description.methods},
        signatures={method.name: signatures_of(method) for method in description.methods},
    )
