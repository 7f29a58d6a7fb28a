"""Secrets: values from the environment, from files, and sealed in the manifests themselves.

Nothing is kept on disk, and nothing is asked for before a call needs it. Forbidden here: a value in an error's text.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from reconciler.adapters.secrets.files import Files
from reconciler.adapters.secrets.keys import KeyRing
from reconciler.core.model import SecretRef
from reconciler.core.sealed import Sealed
from reconciler.errors import SealingError, SecretError
from schemas.secret import check_variable

_MOST_OPENED: Final = 10_000


class LocalSecrets:
    """Finds secret values on this machine; see ``ports.Secrets``.

    Args:
        environment: of this process.
        folder: ``RECONCILER_SECRETS_DIR``.
        keys: files of private sealing keys, newest first.
    """

    def __init__(
        self,
        environment: Mapping[str, str] = os.environ,
        *,
        folder: Path | None = None,
        keys: Sequence[Path] = (),
    ) -> None:
        self._environment = environment
        self._files = Files(folder)
        self._keys = KeyRing(keys)
        self._opened: dict[tuple[str, str, str], str] = {}

    async def value(self, ref: SecretRef, *, application: str, field: str) -> str:
        """The value that is referred to, as it is now.

        Raises:
            SecretError: there is none, or it cannot be read.
        """
        if ref.kind == "env":
            return self._variable(ref)
        if ref.kind == "file":
            return await self._files.value(ref)
        return self._sealed(ref, application, field)

    def _variable(self, ref: SecretRef) -> str:
        try:
            name = check_variable(ref.name)  # also of a record that somebody has edited
        except ValueError as error:
            raise SecretError(ref, str(error)) from None
        value = self._environment.get(name)
        if value is None:
            raise SecretError(ref, "not set")
        if not value:
            raise SecretError(ref, "set, and empty")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise SecretError(ref, "no text in UTF-8") from None
        return value

    def _sealed(self, ref: SecretRef, application: str, field: str) -> str:
        if self._keys.refresh() or len(self._opened) >= _MOST_OPENED:
            self._opened.clear()
        place = (ref.name, application, field)
        value = self._opened.get(place)
        if value is None:
            try:
                key_id = Sealed.parse(ref.name).key_id
                value = self._keys.open(ref.name, key_id, application=application, field=field)
            except SealingError as error:
                raise SecretError(ref, str(error)) from None
            self._opened[place] = value
        return value
