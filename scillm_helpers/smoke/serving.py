"""The command `serve`: what its arguments ask to be served."""

from argparse import Namespace

from ..endpoint import serve
from ..environment import environment
from ..errors import FaultError, UsageError
from ..listing import list_models
from ..settings import Settings
from .redact import Redactor, tell_not_redacted


def start(arguments: Namespace) -> serve.Server:
    """Start to serve: the embedded endpoint with its faults, a recording, or a replay.

    Raises UsageError for arguments that exclude each other, OSError where the port is taken, and what each of the
    three raises.
    """
    _check(arguments)
    if arguments.record is not None:
        return _record(arguments)
    if arguments.replay is not None:
        return _replay(arguments)
    return _embedded(arguments)


def _check(arguments: Namespace) -> None:
    faults = "--fault" if arguments.faults else "--model-fault" if arguments.model_faults else None
    named = [("--record", arguments.record), ("--replay", arguments.replay), (faults, faults)]
    given = [name for name, value in named if name is not None and value is not None]
    if len(given) > 1:
        raise UsageError(f"{given[0]} and {given[1]} exclude each other; leave one of them out.")
    if arguments.timing and arguments.replay is None:
        raise UsageError("--timing is for what is replayed; write --replay DIR --timing.")


def _embedded(arguments: Namespace) -> serve.Endpoint:
    endpoint = serve.start(port=arguments.port)
    try:
        endpoint.faults.add(*arguments.faults)
        for model, fault in arguments.model_faults:
            endpoint.faults.of_model(model, fault)
    except FaultError:
        endpoint.stop()
        raise
    return endpoint


def _record(arguments: Namespace) -> serve.Server:
    """Record the endpoint that the environment names; that it answers is seen before anything is served."""
    settings = Settings.from_env(environment())
    if settings.api_base is None or settings.api_key is None:
        raise UsageError("CHUTES_API_BASE is not set; export it and CHUTES_API_KEY, of the endpoint to record.")
    api_key = settings.api_key.get_secret_value()
    listed = list_models(settings.api_base, api_key, settings.timeout)
    model = settings.model or next(iter(listed), "")
    local_key = serve.new_key()
    recording = serve.record(
        arguments.record,
        settings.api_base,
        api_key,
        clean=_redactor(api_key, local_key).pieces,
        port=arguments.port,
        model=model,
        local_key=local_key,
    )
    # A run asks for the models first of all: so that it can be replayed, whoever asked while it was recorded.
    list_models(recording.api_base, local_key, settings.timeout)
    return recording


def _replay(arguments: Namespace) -> serve.Server:
    local_key = serve.new_key()
    clean = _redactor(local_key).pieces
    return serve.replay(
        arguments.replay, clean=clean, timing=arguments.timing, port=arguments.port, local_key=local_key
    )


def _redactor(*keys: str) -> Redactor:
    """Return what takes secrets out of cassettes: keys are named as a client knows them, whichever it is given."""
    tell_not_redacted()
    return Redactor.of_environment(dict.fromkeys(keys, "CHUTES_API_KEY"))
