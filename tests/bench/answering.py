"""A server of bytes: whatever it is asked, it gives the same answer, and closes the connection."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


def whole(content: bytes, *fields: str, status: str = "200 OK", length: int | None = None) -> bytes:
    """An answer; `length` is what it promises, if that is not what it has."""
    promised = len(content) if length is None else length
    lines = (f"HTTP/1.1 {status}", f"content-length: {promised}", *fields, "", "")
    return "\r\n".join(lines).encode() + content


@asynccontextmanager
async def answering(answer: bytes, asked: Callable[[], None]) -> AsyncIterator[str]:
    """Serve on loopback; `asked` is called for each request. Yields a URL with a query."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked()
        writer.write(answer)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1")
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"http://{host}:{port}/object?link=token"
