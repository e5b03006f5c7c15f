"""What the endpoint answers when it cannot answer: errors in OpenAI's shape."""

from typing import Any


class Problem(Exception):
    """Refuse a request with an HTTP status and an error body.

    The body has the shape of `ErrorResponse` in OpenAI's API specification:
    `{"error": {"message", "type", "param", "code"}}`.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body: dict[str, Any] = {"error": {"message": message, "type": type, "param": param, "code": code}}


def bad_request(message: str, param: str | None = None, code: str | None = None) -> Problem:
    """Return a 400 that names the field at fault."""
    return Problem(400, message, param=param, code=code)
