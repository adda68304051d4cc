"""`ObjectResponse.of`: one response for a route, another one for each of its keys."""

from typing import Any

from sluicegate import ObjectResponse, TransferRecord

from .fakes import CHUNK, Exchange, ScriptedSource


async def served(response: ObjectResponse, **more: Any) -> Exchange:
    exchange = Exchange(**more)
    await response(exchange.scope, exchange.receive, exchange.send)
    return exchange


def source() -> ScriptedSource:
    return ScriptedSource((CHUNK,), len(CHUNK))


def without_id(exchange: Exchange) -> dict[str, str]:
    return {name: value for name, value in exchange.headers.items() if name != "x-request-id"}


async def test_another_key_is_served_as_a_response_that_was_made_for_it() -> None:
    settings: dict[str, Any] = {
        "disposition": "inline",
        "media_type": "image/jpeg",
        "cache_control": "no-cache",
        "headers": {"x-own": "1"},
    }
    derived = await served(ObjectResponse(source(), "a/one.jpg", **settings).of("b/two.jpg"))
    made = await served(ObjectResponse(source(), "b/two.jpg", **settings))
    assert without_id(derived) == without_id(made)
    assert derived.headers["content-disposition"] == 'inline; filename="two.jpg"'
    assert derived.content == made.content == CHUNK


async def test_file_name_that_was_given_stays_for_every_key() -> None:
    response = ObjectResponse(source(), "a/one.jpg", filename="photo.jpg")
    exchange = await served(response.of("b/two.jpg", filename="two.jpg"))
    assert exchange.headers["content-disposition"] == 'attachment; filename="photo.jpg"'


async def test_file_name_in_place_of_the_one_of_the_key() -> None:
    response = ObjectResponse(source(), "a/one.jpg", disposition="attachment")
    exchange = await served(response.of("b/two%20.jpg", filename="two .jpg"))
    assert exchange.headers["content-disposition"] == 'attachment; filename="two .jpg"'


async def test_fields_set_on_one_response_stay_its_own() -> None:
    route = ObjectResponse(source(), "a", headers={"x-own": "1"})
    route.headers["x-before"] = "1"
    one, other = route.of("b"), route.of("c")
    one.headers["x-own"] = "2"
    one.set_cookie("seen", "yes")
    assert (await served(one)).headers["x-own"] == "2"
    assert without_id(await served(other)) == without_id(await served(route))
    assert (await served(other)).headers["x-before"] == "1"
    assert "set-cookie" not in (await served(other)).headers


async def test_records_name_the_key_that_was_served() -> None:
    records: list[TransferRecord] = []
    route = ObjectResponse(source(), "a", observe=records.append, route="/{key}", store="images")
    await served(route.of("b"))
    assert [(record.key, record.route, record.store) for record in records] == [("b", "/{key}", "images")]
