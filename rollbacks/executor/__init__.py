"""The one long-running piece: claims due rollbacks and runs their steps. Services do not import it."""

from rollbacks.executor.run import run_due

__all__ = ["run_due"]
