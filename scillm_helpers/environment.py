"""The variables that a process of the project sees: those of `.env`, overlaid with its environment."""

import os

from dotenv import dotenv_values, find_dotenv

from .errors import SettingsError


def environment() -> dict[str, str]:
    """Return what `.env` sets, overlaid with `os.environ`. Raises SettingsError as `env_file` does."""
    return env_file() | dict(os.environ)


def env_file() -> dict[str, str]:
    """Return what the nearest `.env` file sets, upward from the working directory.

    Raises SettingsError for a file that is not UTF-8.
    """
    path = find_dotenv(usecwd=True)
    try:
        values = dotenv_values(path)
    except ValueError as error:
        raise SettingsError(f"{path} is not UTF-8 text; save it as UTF-8.") from error
    return {name: value for name, value in values.items() if value is not None}
