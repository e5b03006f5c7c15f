"""The models that the embedded endpoint serves."""

from dataclasses import dataclass

from .problems import Problem


@dataclass(frozen=True)
class Model:
    """Name a model and say what it can do beyond text."""

    id: str
    vision: bool = False
    tools: bool = False
    speed: float = 1.0  # times that of the first: smaller models are faster


# The first one can do everything: it is what a user gets who names no model.
MODELS = (
    Model("embedded/omni-1", vision=True, tools=True),
    Model("embedded/text-1", tools=True, speed=2),
    Model("embedded/mini-1", speed=4),
)
BY_ID = {model.id: model for model in MODELS}


def find(name: str) -> Model:
    """Return the model of that name. Raises Problem (404) where there is none."""
    if name not in BY_ID:
        message = f"The model `{name}` does not exist or you do not have access to it."
        raise Problem(404, message, param="model", code="model_not_found")
    return BY_ID[name]
