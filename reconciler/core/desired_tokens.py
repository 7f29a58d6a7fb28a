"""Access tokens from their manifests: exactly those that are validly declared let anybody in.

A mistake closes its token and touches nothing else. What is closed stays known, so that reading, which is open on
loopback while no token is declared, does not become open by a mistake. Forbidden here: who may do what
(``core.access``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from reconciler.core.declared import DeclaredToken, Flawed, problem_at
from reconciler.core.desired_alike import Named, for_nobody, with_flawed, with_others
from reconciler.core.model import AccessToken, Problem, Role
from reconciler.core.yaml import Document
from schemas.access_token import AccessToken as Manifest

KIND = "AccessToken"
HAS_PROBLEMS = "its manifest has problems"


def declare_token(manifest: Manifest, document: Document, file: str) -> DeclaredToken:
    """The token of a manifest without faults."""
    spec = manifest.spec
    token = AccessToken(
        name=manifest.metadata.name,
        role=Role(spec.role),
        applications=spec.applications,
        expires_at=spec.expires_at,
        sha256=spec.sha256,
        description=spec.description,
        file=file,
        line=document.place.line,
    )
    count = len(spec.applications) if "applications" in spec.model_fields_set else 0
    return DeclaredToken(
        token=token,
        name_place=document.value_at(("metadata", "name")),
        digest_place=document.value_at(("spec", "sha256")),
        pattern_places=tuple(document.value_at(("spec", "applications", index)) for index in range(count)),
    )


def closed_token(name: str, why: str, *, file: str = "", line: int = 1) -> AccessToken:
    """A token of which nothing is known but that it is declared, or stored."""
    return AccessToken(name=name, role=Role.VIEWER, sha256="", closed=why, file=file, line=line)


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredTokens:
    """The tokens by name, those with problems closed, and the problems that only show together."""

    tokens: Mapping[str, AccessToken]
    problems: tuple[Problem, ...]


def tokens_together(
    declared: Iterable[DeclaredToken],
    flawed: Iterable[Flawed],
    applications: Collection[str],
    hint: Callable[[str], str],
) -> DesiredTokens:
    """Put the tokens of all files together.

    Args:
        declared: in the order of their files.
        flawed: documents with problems, of any kind.
        applications: the names of all Applications, those with problems included.
        hint: what a name that no Application has was probably meant to be.
    """
    declared = tuple(declared)
    flawed = [each for each in flawed if each.kind == KIND]
    found = [(each, problem) for same in _alike(declared, flawed) for each, problem in same]
    doubled = {each.name for each, _ in found}
    problems = [problem for _, problem in found]
    problems += [problem for each in flawed for problem in for_nobody(each, each.patterns, applications, hint)]
    problems += [
        problem for each in declared for problem in for_nobody(each, each.token.applications, applications, hint)
    ]
    tokens = {each.name: each.token for each in reversed(declared)}
    tokens |= {name: replace(tokens[name], closed=HAS_PROBLEMS) for name in doubled & tokens.keys()}
    for each in flawed:
        tokens[each.name] = closed_token(each.name, HAS_PROBLEMS, file=each.file, line=each.place.line)
    return DesiredTokens(tokens=dict(sorted(tokens.items())), problems=tuple(problems))


def _alike(declared: tuple[DeclaredToken, ...], flawed: Iterable[Flawed]) -> Iterator[list[tuple[Named, Problem]]]:
    """Tokens with one name, and names with one token: of neither can it be told what was meant."""
    names: dict[str, list[DeclaredToken]] = {}
    digests: dict[str, list[DeclaredToken]] = {}
    for each in declared:
        names.setdefault(each.name, []).append(each)
        digests.setdefault(each.token.sha256, []).append(each)
    for alike in with_flawed(names, flawed, KIND).values():
        yield [
            (each, problem_at(each.file, each.name_place, "metadata.name", f"another {KIND} has this name: {where}"))
            for each, where in with_others(alike)
        ]
    for same in digests.values():
        if len({each.name for each in same}) > 1:
            yield [
                (each, problem_at(each.file, each.digest_place, "spec.sha256", f"another {KIND} has this one: {where}"))
                for each, where in with_others(same)
            ]
