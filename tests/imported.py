"""What `scillm-smoke` imports and compiles as it goes, in its own order: `forked` forks from a process that has it."""

from scillm_helpers.smoke import cli, warm  # isort: split

from scillm_helpers.doctor import command  # isort: split

cli._spare_unused()

from jupyter_client.provisioning import KernelProvisionerFactory  # noqa: E402

from scillm_helpers.smoke import engine, nightly, publish, run  # noqa: E402

engine.prepare()
KernelProvisionerFactory.clear_instance()  # it has taken its default from an environment that is not the run's

__all__ = ["cli", "command", "nightly", "publish", "run", "warm"]
