"""What a person asks of a rollout, as an annotation of its ModelDeployment: `ACTION:GENERATION[:TOKEN]`. Pure.

An action is not a wish for a state, as the spec is: it is taken once, and only while the spec is the one that its
author has seen. `TOKEN` tells one from the same action before.
"""

from __future__ import annotations

from deployer.kubernetes.objects.kinds import Object
from deployer.kubernetes.objects.names import GROUP
from deployer.kubernetes.status.model import ActionStatus, DeploymentStatus
from deployer.rollout.actions import refusal
from deployer.rollout.state import Action
from deployer.rollout.status import MAX_MESSAGE

ANNOTATION = f"{GROUP}/action"


def written(action: Action, generation: int, token: str) -> str:
    """The annotation for an action on the spec of that generation."""
    return f"{action}:{generation}:{token}"


def taken(resource: Object, status: DeploymentStatus | None) -> tuple[ActionStatus | None, tuple[str, Action] | None]:
    """What to say of the action, and the action itself with a token, where it is a new one that holds. `status`: as it
    is."""
    metadata, last = resource["metadata"], status.action if status is not None else None
    text = metadata.get("annotations", {}).get(ANNOTATION, "")[:MAX_MESSAGE]
    if not text or (last is not None and last.text == text):
        return last, None
    word, _, rest = text.partition(":")
    generation = rest.partition(":")[0]
    if word not in set(Action) or not (generation.isascii() and generation.isdigit()):
        return ActionStatus(text=text, refused=f"{text!r} is no action; {_FORM}"), None
    if int(generation) != metadata["generation"]:
        why = (
            f"{word} was meant for generation {generation} of the spec, which is at {metadata['generation']} now: look "
            "what has changed, and ask again"
        )
        return ActionStatus(text=text, refused=why), None
    if status is None or status.rollout is None:
        return ActionStatus(text=text, refused=f"there is no rollout to {word}"), None
    if why := refusal(status.rollout, Action(word)):
        return ActionStatus(text=text, refused=why), None
    return ActionStatus(text=text), (text, Action(word))


_FORM = f"{ANNOTATION} has ACTION:GENERATION, and may have a token after that, with one of {', '.join(Action)}"
