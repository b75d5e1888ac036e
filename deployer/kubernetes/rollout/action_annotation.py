"""What a person asks of a rollout, as an annotation of its ModelDeployment: `ORDER:GENERATION[:MARK]`. Pure.

An order is not a wish for a state, as the spec is: it is taken once, and only while the spec is the one that its author
has seen. `MARK` tells one from the same order before.
"""

from __future__ import annotations

from deployer.kubernetes.objects.kinds import Object
from deployer.kubernetes.objects.names import GROUP
from deployer.kubernetes.status.model import DeploymentStatus, OrderStatus
from deployer.rollout.actions import refusal
from deployer.rollout.state import Order
from deployer.rollout.status import MAX_MESSAGE

ANNOTATION = f"{GROUP}/order"


def written(order: Order, generation: int, mark: str) -> str:
    """The annotation for an order to the spec of that generation."""
    return f"{order}:{generation}:{mark}"


def taken(resource: Object, said: DeploymentStatus | None) -> tuple[OrderStatus | None, tuple[str, Order] | None]:
    """What to say of the order, and the order itself with a token, where it is a new one that holds. `said`: the status
    as it is."""
    metadata, last = resource["metadata"], said.order if said is not None else None
    text = metadata.get("annotations", {}).get(ANNOTATION, "")[:MAX_MESSAGE]
    if not text or (last is not None and last.text == text):
        return last, None
    word, _, rest = text.partition(":")
    generation = rest.partition(":")[0]
    if word not in set(Order) or not (generation.isascii() and generation.isdigit()):
        return OrderStatus(text=text, refused=f"{text!r} is no order; {_FORM}"), None
    if int(generation) != metadata["generation"]:
        why = (
            f"{word} was meant for generation {generation} of the spec, which is at {metadata['generation']} now: look "
            "what has changed, and ask again"
        )
        return OrderStatus(text=text, refused=why), None
    if said is None or said.rollout is None:
        return OrderStatus(text=text, refused=f"there is no rollout to {word}"), None
    if why := refusal(said.rollout, Order(word)):
        return OrderStatus(text=text, refused=why), None
    return OrderStatus(text=text), (text, Order(word))


_FORM = f"{ANNOTATION} has ORDER:GENERATION, and may have a mark after that, with one of {', '.join(Order)}"
