"""Whether somebody sits at the notebook."""


def is_attended() -> bool:
    """Tell whether who has this cell executed can be asked: JupyterLab and VS Code can, papermill and nbconvert cannot.

    Each request to execute says so in `allow_stdin`. Source: Jupyter's messaging protocol, "Execute".
    """
    from IPython.core.getipython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    return kernel is not None and bool(kernel.get_parent("shell").get("content", {}).get("allow_stdin"))
