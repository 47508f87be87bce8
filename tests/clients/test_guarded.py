"""What stands before all that /openapi.json lists, whoever serves it: the token, a bound."""

import re
from collections.abc import Iterator

import httpx
import pytest

from tests.clients.site import Site
from twin_runtime.core.limits import HTTP_HEAD_BYTES_MAX

pytestmark = [pytest.mark.system, pytest.mark.clients]

READING = {"get", "head", "options"}


def writes(site: Site, address: str) -> Iterator[tuple[str, str]]:
    """Each method and URL that a server says it writes by, of things that are there."""
    twin = next(iter(site.rig.devices))
    known = {"thing_id": twin, "twin": twin, "edge": "e-1"}
    paths = httpx.get(f"http://{address}/openapi.json").json()["paths"]
    for path, operations in paths.items():
        url = re.sub(r"{(\w+)(:path)?}", lambda found: known.get(found[1], "x"), path)
        for method in operations.keys() - READING:
            yield method.upper(), f"http://{address}{url}"


def test_no_write_gets_through_without_the_token(site: Site) -> None:
    for server in (site.rig.cloud, *site.rig.edges):
        found = list(writes(site, site.at(server)))
        assert {"PUT", "PATCH", "DELETE", "POST"} <= {method for method, _ in found}
        for method, url in found:
            answer = httpx.request(method, url)
            assert answer.status_code == 401, f"{method} {url}"
            assert answer.headers["www-authenticate"].startswith("Bearer")
            wrong = httpx.request(method, url, headers={"Authorization": "Bearer guess"})
            assert wrong.status_code == 403, f"{method} {url}"
    states = {edge["state"] for edge in httpx.get(f"http://{site.cloud}/api/v1/edges").json()}
    assert states == {"serving"}


def test_no_head_is_larger_than_its_bound_whoever_serves(site: Site) -> None:
    much = {"If-None-Match": "x" * HTTP_HEAD_BYTES_MAX}
    for server in (site.rig.cloud, *site.rig.edges):
        answer = httpx.get(f"http://{site.at(server)}/api/2/things", headers=much)
        assert answer.status_code == 431
