"""Writes over HTTP at the edge that owns the twin: put before its machine, which commits them."""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from fastapi import HTTPException, Request, Response
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from twin_runtime.adapters.ditto_http import (
    Json,
    kind_of,
    no_thing,
    path_as_sent,
    refusal,
    unmet,
)
from twin_runtime.adapters.http_problem import UNAVAILABLE, has_body
from twin_runtime.adapters.writes_http import (
    TWIN_TYPE,
    Conditions,
    bad_value,
    content_of,
    twin_of,
    unavailable_now,
)
from twin_runtime.core import effects
from twin_runtime.core.effects import Answer, AwaitStable, Edit, Edited, Instruct, Refused
from twin_runtime.core.errors import Unavailable
from twin_runtime.core.limits import ANSWER_S, EDITED_BYTES_MAX
from twin_runtime.core.messages import FeatureName
from twin_runtime.core.scalar import Scalar

_ARGUMENTS = TypeAdapter(dict[FeatureName, Scalar])
_METHODS: dict[str, Literal["put", "patch", "delete"]] = {
    "PUT": "put",
    "PATCH": "patch",
    "DELETE": "delete",
}
# What a machine refuses, as a status, Ditto's code (KIND: of what is written) and what to do.
_REFUSALS = {
    "moving": (UNAVAILABLE, "things:thing.unavailable", "Ask again in a second."),
    "busy": (UNAVAILABLE, "things:thing.unavailable", "Ask again in a second."),
    "read_only": (403, "things:KIND.notmodifiable", "Write attributes or desiredProperties."),
    "not_found": (404, "things:KIND.notfound", "Read the thing to see what it has."),
    "no_feature": (404, "things:feature.notfound", "Read the thing to see what it has."),
    "invalid": (400, "things:value.invalid", "docs/api.md says what may be written."),
    "too_large": (413, "things:thing.toolarge", "What is large is a blob: see docs/moves.md."),
    "too_many": (413, "things:thing.toolarge", "Delete what is done."),
    "no_answer": (408, "command.timeout", "Read the thing before sending it again."),
}


class Ask(Protocol):
    """Puts a request before the machine."""

    def __call__(self, request: effects.Request, within_s: float = ...) -> Awaitable[Answer]: ...


@dataclass(frozen=True, slots=True)
class Commits:
    """`ask` puts a request before the machine; `site` is the namespace of thing ids."""

    ask: Ask
    site: str

    async def edit(
        self, request: Request, thing_id: str, path: tuple[str, ...], said: Conditions
    ) -> Response:
        """See `Carrier.edit`."""
        twin = twin_of(thing_id, self.site)
        edit, _ = await edit_of(request, twin, path, said, self.site)
        patience_s = said.patience_s()
        answer = await self._asked(edit)
        edited: Edited = answer.value
        if patience_s is not None:
            await self._persisted(twin, edited, patience_s)
        headers = {"ETag": edited.tag} if edited.tag else {}
        if request.headers.get("accept") == TWIN_TYPE:
            status = 201 if edited.is_new and edit.method == "put" else 200
            return Response(edited.document, status, headers, TWIN_TYPE)
        if edited.is_new and edit.method == "put":
            return Json(to_json(edit.value), 201, {**headers, "Location": path_as_sent(request)})
        return Response(status_code=204, headers=headers)

    async def _persisted(self, twin: str, edited: Edited, patience_s: float) -> None:
        try:
            await self._asked(AwaitStable(twin, edited.epoch, edited.revision), patience_s)
        except HTTPException:
            text = f"It is written here, but no checkpoint of it came within {patience_s:g} s."
            advice = "It stands; read it, or write it again to wait longer."
            raise refusal(408, "acknowledgement:request.timeout", text, advice) from None

    async def _asked(self, wanted: effects.Request, within_s: float = ANSWER_S) -> Answer:
        try:
            answer = await self.ask(wanted, within_s)
        except Unavailable as unavailable:
            raise unavailable_now(str(unavailable)) from None
        if answer.refused is not None:
            raise refused_as(answer.refused, wanted)
        return answer

    async def command(
        self, request: Request, thing_id: str, subject: str, within_s: float
    ) -> Response:
        """See `Carrier.command`."""
        twin = twin_of(thing_id, self.site)
        wanted = Instruct(twin, subject, await arguments_of(request), within_s)
        outcome = (await self._asked(wanted, within_s + ANSWER_S)).value
        if outcome.outcome == "done":
            return Json(to_json({"outcome": "done", "reason": outcome.reason}))
        said = f"The device has {outcome.outcome} it: {outcome.reason or 'it gave no reason'}."
        raise refusal(409, f"messages:command.{outcome.outcome}", said, "See the reason.")


async def edit_of(
    request: Request, twin: str, path: tuple[str, ...], said: Conditions, site: str
) -> tuple[Edit, bytes]:
    """What a request wants written, and its body as it came; or 400, 413, 415."""
    method = _METHODS[request.method]
    raw, value = (b"", None) if method == "delete" else await content_of(request)
    if not path:
        value = _of_this_thing(value, (twin, f"{site}:{twin}"))
    return Edit(twin, method, path, value, said.guard(), site, said.valid_for_s()), raw


async def arguments_of(request: Request) -> dict[str, Any]:
    """A command's arguments, or 400."""
    if not has_body(request):
        return {}
    arguments = (await content_of(request)).value
    try:
        checked = _ARGUMENTS.validate_python(arguments, strict=True)
    except ValidationError:
        raise bad_value("Arguments are one object of numbers, texts, true, false, null") from None
    if len(to_json(checked)) > EDITED_BYTES_MAX:
        raise bad_value(f"Arguments take at most {EDITED_BYTES_MAX} bytes")
    return checked


def _of_this_thing(value: Any, names: tuple[str, str]) -> Any:
    """The content of a thing, whose id may be said again."""
    if not isinstance(value, dict) or "thingId" not in value:
        return value
    if value["thingId"] not in names:
        text = f"thingId {str(value['thingId'])[:80]!r} is not the one of the path."
        raise refusal(400, "things:id.notsettable", text, "Leave it out, or say the same.")
    return {name: content for name, content in value.items() if name != "thingId"}


def refused_as(refused: Refused, wanted: effects.Request) -> HTTPException:
    """What a machine refuses, as an answer."""
    code, text = refused
    if code == "unknown_twin":
        return no_thing(text.partition(" ")[0])
    if code in ("changed", "condition"):
        return unmet("condition" if code == "condition" else "precondition", text)
    status, error, advice = _REFUSALS[code]
    if isinstance(wanted, Edit):
        error = error.replace("KIND", kind_of(wanted.path))
    refused_so = refusal(status, error, f"{text[:1].upper()}{text[1:]}.", advice)
    if status == UNAVAILABLE:
        refused_so.headers = {"Retry-After": "1"}
    return refused_so
