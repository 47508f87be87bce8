"""JSON Merge Patch (RFC 7396), as a function of values.

Written here since the libraries for it are fewer lines than their dependency: the RFC's own
pseudocode is eight, its vectors are the test (`tests/core/test_merge_patch.py`).
"""

from typing import Any


def merged(target: Any, patch: Any) -> Any:
    """`target` after `patch`: null removes a member, an object is merged into, and whatever
    else replaces. Neither is changed."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result
