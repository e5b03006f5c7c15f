"""What a zygote imports, and which kernels can come from the same one."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

# What is imported unless this variable names something else, separated by commas.
VARIABLE = "SCILLM_WARM_PRELOAD"
# What ipykernel imports as it starts; LiteLLM, and what it imports at its first calls.
PRELOAD = (
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.oinspect",
    "IPython.extensions.storemagic",
    "faulthandler",
    "ipykernel.debugger",
    "ipykernel.ipkernel",
    "ipykernel.zmqshell",
    "psutil",
    "sqlite3",
    "tornado.platform.asyncio",
    "litellm",
    "anyio._backends._asyncio",
    "httpcore",
    "litellm._service_logger",
    "litellm.integrations.generic_api.generic_api_callback",
    "litellm.litellm_core_utils.default_encoding",
    "litellm.litellm_core_utils.logging_callback_manager",
    "litellm.llms.edenai.chat.transformation",
    "litellm.llms.fal_ai.chat.transformation",
    "litellm.llms.github_copilot.common_utils",
    "litellm.llms.litellm_proxy.chat.transformation",
    "litellm.llms.openai.chat.gpt_audio_transformation",
    "litellm.llms.openai_like.dynamic_config",
    "litellm.llms.vertex_ai.vertex_ai_partner_models.anthropic.transformation",
    "litellm.proxy._types",
    "litellm.proxy.guardrails.exception_utils",
    "litellm.proxy.openai_files_endpoints.common_utils",
    "litellm.proxy.spend_tracking.savings",
    "litellm.types.litellm_core_utils.streaming_chunk_builder_utils",
    "litellm.types.router:GenericLiteLLMParams",
    "litellm.types.router:LiteLLM_Params",
    "litellm.types.services:ServiceLoggerPayload",
    "litellm.types.utils:Choices",
    "litellm.types.utils:CompletionTokensDetailsWrapper",
    "litellm.types.utils:Delta",
    "litellm.types.utils:Message",
    "litellm.types.utils:ModelResponse",
    "litellm.types.utils:ModelResponseStream",
    "litellm.types.utils:StreamingChoices",
    "litellm.types.utils:Usage",
    "openai.resources",
    "openai.types.chat.chat_completion:ChatCompletion",
    "openai.types.chat.chat_completion:Choice",
    "openai.types.chat.chat_completion_chunk:ChatCompletionChunk",
    "openai.types.chat.chat_completion_chunk:Choice",
    "openai.types.chat.chat_completion_chunk:ChoiceDelta",
    "openai.types.chat.chat_completion_message:ChatCompletionMessage",
    "starlette.exceptions",
    "tiktoken.load",
)


@dataclass(frozen=True)
class Recipe:
    """Be what a zygote and its kernels have in common: the interpreter with its options, and what it imports."""

    interpreter: tuple[str, ...]
    names: tuple[str, ...]
    cwd: str

    @classmethod
    def of(cls, interpreter: list[str], names: Iterable[str], environ: Mapping[str, str], cwd: str) -> "Recipe":
        """Return the recipe for a kernel in the folder `cwd`."""
        paths = environ.get("PYTHONPATH", "").split(os.pathsep)
        # There the folder matters: Python makes the entries absolute as it starts.
        relative = "PYTHONPATH" in environ and not all(os.path.isabs(path) for path in paths)
        return cls(tuple(interpreter), tuple(names), cwd if relative else _dotenv_folder(cwd))


def _dotenv_folder(cwd: str) -> str:
    """Return the folder of the `.env` file that LiteLLM reads as a kernel in `cwd` imports it, or `/`."""
    files = (folder / ".env" for folder in (Path(cwd), *Path(cwd).parents))
    return next((str(file.resolve().parent) for file in files if file.is_file()), "/")


def modules(environ: Mapping[str, str]) -> list[str]:
    """Return what is to be imported besides ipykernel: what the variable names, or the default."""
    named = [name.strip() for name in environ.get(VARIABLE, "").split(",")]
    return [name for name in named if name] or list(PRELOAD)
