"""What an endpoint lists: `GET /models`."""

import difflib

from .errors import AuthError, EndpointError


def list_models(api_base: str, api_key: str, timeout: float) -> list[str]:
    """Return the names of the models that the endpoint lists, in its order; `timeout` is in seconds.

    Raises AuthError where the key is refused, and EndpointError where no list comes back within that time, or one of
    more than `bounded.MAX_BYTES`.
    """
    # 0.1 s that a notebook which names its model need not wait for.
    import httpx

    from . import bounded

    url = f"{api_base}/models"
    try:
        answer = bounded.fetch("GET", url, seconds=timeout, headers={"Authorization": f"Bearer {api_key}"})
    except (bounded.ReplyTooLarge, httpx.DecodingError) as error:
        raise EndpointError(f"{url} answered with {error}; check CHUTES_API_BASE.") from error
    except httpx.ReadTimeout as error:
        raise EndpointError(f"{url} sent no whole list within {timeout:g} s; check CHUTES_API_BASE.") from error
    except (httpx.RequestError, httpx.InvalidURL) as error:
        why = bounded.reason(error)
        raise EndpointError(f"{api_base} cannot be reached ({why}); check CHUTES_API_BASE and the network.") from error
    if answer.status_code in (401, 403):
        raise AuthError(f"{api_base} refused the key (HTTP {answer.status_code}); check CHUTES_API_KEY.")
    if not answer.is_success:
        raise EndpointError(f"{url} answered HTTP {answer.status_code}; check that CHUTES_API_BASE ends in /v1.")
    try:
        entries = [entry["id"] for entry in answer.json()["data"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise EndpointError(f"{url} answered with no list of models; check CHUTES_API_BASE.") from error
    names = list(dict.fromkeys(filter(_is_name, entries)))
    if entries and not names:
        raise EndpointError(f"{url} lists models without a name; check CHUTES_API_BASE.")
    return names


def _is_name(entry: object) -> bool:
    """Return whether a listed id can be sent in a request and set as an environment variable."""
    if not isinstance(entry, str) or not entry or "\0" in entry:
        return False
    try:
        return bool(entry.encode())
    except UnicodeEncodeError:
        return False


def unknown_model(model: str, listed: list[str], api_base: str) -> str:
    """Return the line that says that `model` is not served, with the nearest names of `listed`."""
    near = nearest(model, listed)
    others = ", ".join(listed[:5]) + (", ..." if len(listed) > 5 else "")
    remedy = f"did you mean {' or '.join(near)}?" if near else f"it lists {others or 'none'}."
    return f"{model} is not a model that {api_base} serves; {remedy}"


def nearest(name: str, names: list[str]) -> list[str]:
    """Return up to three of `names` that look most like `name`, whatever their case."""
    lower = {known.lower(): known for known in names}
    return [lower[match] for match in difflib.get_close_matches(name.lower(), lower, n=3, cutoff=0.4)]
