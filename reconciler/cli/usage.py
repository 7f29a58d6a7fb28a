"""How a command line that cannot be understood ends. Forbidden here: a command."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand


class PlanCommand(TyperCommand):
    """``plan``, whose exit code 2 says that there are changes: a pipeline lets that pass, and must not let a typo."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Read the arguments; what is wrong with them ends with exit code 1."""
        try:
            return super().make_context(*args, **kwargs)
        except Exception as error:
            if getattr(error, "exit_code", None) == 2:  # noqa: PLR2004 - typer's for every such error
                error.exit_code = 1  # type: ignore[attr-defined]  # it has one: see above
            raise
