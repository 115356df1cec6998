"""The names that a daemon's parameters have in an API. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rkllm_twisted.errors import InvalidParams

#: A pattern of the daemon's place of a value, and what stands for it in an API.
Renaming = tuple[re.Pattern[str], str]


def with_own_names(error: InvalidParams, renamings: Sequence[Renaming]) -> InvalidParams:
    """Return a daemon's error with the names that the fields have in an API.

    :param renamings: of these the first counts whose pattern a place begins with.
    """
    data = error.data or {}
    place = data.get("parameter")
    if not isinstance(place, str):
        return error
    found = next((one for one in renamings if one[0].match(place)), None)
    if found is None:
        return error
    own = found[0].sub(found[1], place, count=1)
    return InvalidParams(str(error).replace(place, own, 1), {**data, "parameter": own})
