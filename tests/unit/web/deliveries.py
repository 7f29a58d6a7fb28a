"""Deliveries as forges make them, signed with the secret of the world behind HTTP."""

import base64
import hashlib
import hmac
import json

from tests.unit.web.conftest import SECRET

COMMIT = "4f1c2d90a7b3e6658c1f0d2b9a8e7c6d5f4a3b2c"
GITHUB_PUSH = {"X-GitHub-Event": "push"}


def body_of(**changes) -> bytes:
    """A push to the ref that is followed; ``None`` of a keyword is null in the body."""
    return json.dumps({"ref": "refs/heads/main", "after": COMMIT} | changes).encode()


def hex_of(body: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def standard(body: bytes, at: float, key: bytes = SECRET.encode(), identity: str = "msg-1") -> dict[str, str]:
    """The headers of Standard Webhooks."""
    signed = f"{identity}.{int(at)}.".encode() + body
    claim = base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    return {"webhook-id": identity, "webhook-timestamp": str(int(at)), "webhook-signature": f"v1,{claim}"}


def github(body: bytes, event: str = "push", secret: str = SECRET) -> dict[str, str]:
    """GitHub's headers, the signature of old times among them."""
    sha1 = hmac.new(secret.encode(), body, hashlib.sha1).hexdigest()
    return {
        "X-GitHub-Event": event,
        "X-Hub-Signature": f"sha1={sha1}",
        "X-Hub-Signature-256": f"sha256={hex_of(body, secret)}",
    }


def gitea(body: bytes, event: str = "push", secret: str = SECRET) -> dict[str, str]:
    """Gitea's headers, which hold GitHub's too."""
    return github(body, event, secret) | {"X-Gitea-Event": event, "X-Gitea-Signature": hex_of(body, secret)}


def forgejo(body: bytes, event: str = "push", secret: str = SECRET) -> dict[str, str]:
    """Forgejo's headers, which hold Gitea's too."""
    return gitea(body, event, secret) | {"X-Forgejo-Event": event, "X-Forgejo-Signature": hex_of(body, secret)}


def gitlab(event: str = "Push Hook", secret: str = SECRET) -> dict[str, str]:
    """GitLab's headers with a secret token."""
    return {"X-Gitlab-Event": event, "X-Gitlab-Token": secret}


def bitbucket(body: bytes, event: str = "repo:push", secret: str = SECRET) -> dict[str, str]:
    return {"X-Event-Key": event, "X-Hub-Signature": f"sha256={hex_of(body, secret)}"}


def generic(body: bytes, secret: str = SECRET) -> dict[str, str]:
    return {"X-Signature-256": f"sha256={hex_of(body, secret)}"}


async def deliver(world, body: bytes, headers, *, content_type: str = "application/json"):
    """Send a delivery; ``headers`` as a mapping, or as pairs where one name stands twice."""
    pairs = [*(headers.items() if hasattr(headers, "items") else headers)]
    pairs += [("Content-Type", content_type)] if content_type else []
    sent = [(name.encode(), value if isinstance(value, bytes) else value.encode("latin-1")) for name, value in pairs]
    return await world.ask("/hooks/git", "POST", content=body, headers=sent)
