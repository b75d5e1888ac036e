"""The Target on this machine: model servers as processes, and the gateway beside them."""

from __future__ import annotations

import contextlib
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from deployer.errors import TurnoutError
from deployer.local import gateway_process, ports, reporter, state_folder
from deployer.local.desired import Desired
from deployer.local.gateway_process import GATEWAY, Gateway
from deployer.local.launcher import Launcher
from deployer.local.policy.backoff import Trouble
from deployer.local.policy.plan import Action, End, Leave, Need, ObservedReplica, Phase, Start, plan
from deployer.local.policy.routes import routes
from deployer.local.prober import ALIVE_EVERY, Prober
from deployer.local.probes import Failed, NotYet, Ready
from deployer.local.replicas import Replica, Replicas, Run
from deployer.local.rollouts import Keep, Rollouts
from deployer.local.state_folder import Record, StateFolder, stem
from deployer.runtimes.base import ModelMissing
from gateway.contract import route_table
from gateway.contract.route_table import RouteTable

INTERVAL = 0.1
"""Seconds between rounds: a replica that died leaves the route table within that."""
DRAIN_MARGIN = 10.0
"""Seconds that a leaving replica has beyond the deadline of the last requests to it."""
TIMEOUT = 60.0
"""The deadline of requests to a deployment that has none: the gateway's own."""
PATIENCE = 10.0
"""Seconds between TERM and KILL for a model server. TensorFlow Serving heeds no TERM (tensorflow/serving#1853)."""


@dataclass(frozen=True)
class Route:
    """Write the route table."""

    table: RouteTable


@dataclass(frozen=True)
class Observed:
    """What should run and what does. `table` is what the gateway should have, `keeps` what to keep of rollouts."""

    needs: Sequence[Need]
    held: set[tuple[str, str]]
    seen: Sequence[ObservedReplica]
    table: RouteTable
    keeps: Sequence[Keep]
    now: float


class Supervisor:
    """`say` gets a line for each thing that happens."""

    def __init__(self, folder: StateFolder, gateway: Gateway, say: Callable[[str], None]) -> None:
        self._state = folder
        self._gateway = gateway
        self._say = say
        self._desired = Desired(folder)
        self._replicas = Replicas(folder)
        self._launches = Launcher(folder.work)
        self._prober = Prober()
        self._table = RouteTable(revision=0)
        self._reporter = reporter.Reporter(folder)
        self._rollouts = Rollouts(folder, gateway, say)
        self._stopping = False
        self._hurried = False
        self._troubles: set[str] = set()
        """Of this round."""
        self._troubles_before: set[str] = set()
        """Of the round before."""
        self._requested_actions: object = None
        self._at_rest = False
        """All is as declared, so that only news asks for a whole round."""
        self._looked = -math.inf

    def begin(self) -> None:
        """Take over what an earlier supervisor left. The gateway has a table from the first moment."""
        with contextlib.suppress(OSError, route_table.TableError):
            self._table = route_table.read(self._state.routes.read_bytes()).table
        for replica in self._replicas.adopt(time.monotonic()):
            self._say(f"{replica.name}: taken over, process {replica.record.identity.pid}")
        if self._table.revision == 0:
            self.apply(Route(RouteTable(revision=1)))

    def stop(self) -> None:
        """From now on all is ended in order: the gateway drains, then the replicas. Asked twice: at once."""
        self._hurried = self._stopping
        self._stopping = True

    @property
    def done(self) -> bool:
        return self._stopping and not self._replicas.by_name

    def troubled(self, error: OSError) -> None:
        trouble = str(error)
        if trouble not in self._troubles_before | self._troubles:  # once, for as long as each round meets it
            self._say(f"can't go on for now: {trouble}")
        self._troubles.add(trouble)

    def finish(self) -> None:
        """Leave no status of what runs no more."""
        self._state.keep_statuses(set())
        self._rollouts.finish()
        self._gateway.close()

    def observe(self) -> Observed | None:
        """None: all is at rest, and nothing is new since; looking at everything would cost as much each time."""
        now = time.monotonic()
        self._troubles_before, self._troubles = self._troubles, set()
        self._replicas.write_missing()
        if not self._any_news(now) and self._at_rest and not self._stopping:
            return None
        self._at_rest = False
        self._launches.refresh({document.spec.runtime for document in self._desired.documents.values()}, now)
        self._look_at_all(now)
        self._watch_troubles(now)
        serving = any(replica.key == GATEWAY for replica in self._replicas.by_name.values())
        held: set[tuple[str, str]] = set()
        after = self._table
        if not self._stopping:
            self._rollouts.look(self._desired, self._replicas.by_name.values(), self._table)
            documents = list(self._desired.documents.values())
            after = routes(self._table, documents, self._replicas.endpoints(), self._rollouts.roles)
            held = {(d.key, d.stable) for d in after.deployments if (d.key, d.stable) not in self._desired}
        needs = self._needs(serving, now)
        try:
            if not self._stopping and self._reporter.write(self._desired.documents.values(), self._facts(needs, after)):
                self._say("all is as declared")
        except OSError as error:
            self.troubled(error)  # and act all the same
        seen = [self._seen(replica, serving, now) for replica in self._replicas.by_name.values()]
        return Observed(needs, held, seen, after, [] if self._stopping else self._rollouts.plan(), now)

    def plan(self, observed: Observed | None) -> list[Action | Keep | Route]:
        """What rollouts came to is kept before anything follows from it, but for what is to be started: where nothing
        can be kept, as on a full disk, what has died comes back."""
        if observed is None:
            return []
        planned = plan(observed.needs, observed.held, observed.seen, observed.now)
        actions: list[Action | Keep | Route] = [action for action in planned if isinstance(action, Start)]
        actions += observed.keeps
        actions += [action for action in planned if not isinstance(action, Start)]
        if observed.table is not self._table:
            actions.append(Route(observed.table))
        self._at_rest = not actions and not self._troubles and self._reporter.settled and self._all_ready
        return actions

    def apply(self, action: Action | Keep | Route) -> None:
        now = time.monotonic()
        match action:
            case Keep():
                self._rollouts.keep(action)
            case Route(after):
                state_folder.replace(self._state.routes, route_table.write(after))
                for line in reporter.changes(self._table, after):
                    self._say(line)
                self._table = after
                self._gateway.ask(now, after.revision)
            case Start(deployment, version, index):
                self._start(deployment, version, index, now)
            case Leave(name, why):
                replica = self._replicas.by_name[name]
                routed = replica.phase is Phase.READY and replica.key != GATEWAY
                # From the table before this round's, which has what is no longer declared.
                replica.timeout = self._timeout(replica)
                replica.enter(Phase.LEAVING if routed else Phase.ENDING, now, why)
                self._say(f"{name}: to end, {why}")
            case End(name, number):
                replica = self._replicas.by_name[name]
                if replica.phase is not Phase.ENDING:
                    replica.enter(Phase.ENDING, now, replica.reason)
                # The gateway's first process ends its workers itself, once they have drained.
                gentle = replica.key == GATEWAY and not replica.asked and not self._hurried
                self._replicas.signal(replica, number, leader_only=gentle)

    def _any_news(self, now: float) -> bool:
        """Whether a document or an action was written, a process has ended or does not listen any more, or the gateway
        says something new."""
        news = self._read_documents()
        leaving = not self._at_rest and any(r.phase is Phase.LEAVING for r in self._replicas.by_name.values())
        if self._gateway.look(now, urgent=leaving or self._gateway.revision < self._table.revision):
            self._desired.sample(self._gateway, now)
            news = news or not (self._gateway.idle and self._desired.idle)
        if self._at_rest and now - self._looked >= ALIVE_EVERY:
            self._look_at_all(now)
            news = news or not self._all_ready
        before, self._requested_actions = self._requested_actions, self._state.actions()
        return news or before != self._requested_actions or self._replicas.any_ended()

    def _read_documents(self) -> bool:
        """Whether they have changed."""
        try:
            changed = self._desired.refresh(replica.key for replica in self._replicas.by_name.values())
        except TurnoutError as error:
            self._say(str(error))
            return True
        if changed:
            self._at_rest = False  # also if what is looked at next fails: the change is not seen again
            for replica in self._replicas.by_name.values():
                if replica.record.deployment in changed:
                    replica.process = None  # made anew from the document
        return bool(changed)

    def _needs(self, serving: bool, now: float) -> list[Need]:
        """While stopping, the replicas go on for as long as the gateway drains, but nothing is started."""
        needs = list(self._desired.needs(self._launches, self._rollouts.floors, now))
        if self._stopping:
            return [replace(need, not_before=math.inf) for need in needs] if serving else []
        return [*needs, Need(*GATEWAY, 1, self._desired.troubles[GATEWAY].backoff.not_before, in_place=True)]

    @property
    def _all_ready(self) -> bool:
        replicas = self._replicas.by_name.values()
        return all(replica.phase is Phase.READY and not replica.unrecorded for replica in replicas)

    def _look_at_all(self, now: float) -> None:
        self._looked = now
        self._prober.collect()
        for replica in list(self._replicas.by_name.values()):
            self._look(replica, now)
        self._prober.ask()

    def _look(self, replica: Replica, now: float) -> None:
        """Bring what is known of one process up to date."""
        version = replica.key
        if replica.phase is Phase.ENDING:
            if self._replicas.gone(replica):
                self._say(f"{replica.name}: ended")
            return
        if (how := self._replicas.ending(replica)) is not None:
            self._fail(replica, how, now)
            return
        if replica.phase is Phase.LEAVING:
            if replica.left_at is None and not replica.routed(self._table):
                replica.left_at = self._table.revision
            return
        if version == GATEWAY:
            replica.current = replica.record.digest == self._gateway.run().digest()
            verdict: Ready | NotYet | Failed | None = self._gateway.verdict(replica, now)
        else:
            self._describe(replica)
            verdict = self._prober.look(replica, now)
        match verdict:
            case Ready(note):
                self._replicas.ready(replica, now)
                self._say(f"{replica.name}: ready" + (f" ({note})" if note else ""))
            case NotYet(reason):
                # It may be at work on the longest request that there may be, and able to do one at a time.
                replica.timeout = self._timeout(replica)
                replica.enter(Phase.STARTING, now, reason)
                self._say(
                    f"{replica.name}: not ready, {reason}; to be started again after {replica.timeout:.0f} s of it"
                )
            case Failed(reason):
                loading = replica.phase is Phase.STARTING and version != GATEWAY and not replica.record.ready
                self._fail(replica, reason, now, hopeless=loading)

    def _timeout(self, replica: Replica) -> float:
        return max(TIMEOUT, replica.deadline_in(self._table) or 0.0)

    def _watch_troubles(self, now: float) -> None:
        """A version that runs as wanted for long is in trouble no more."""
        phases = Counter((r.key, r.phase) for r in self._replicas.by_name.values())
        for version in {version for version, phase in phases if phase in (Phase.STARTING, Phase.READY)}:
            if trouble := self._desired.troubles.get(version):
                trouble.watch(phases[version, Phase.READY] >= self._desired.replicas(version), now)

    def _facts(self, needs: Sequence[Need], after: RouteTable) -> reporter.Facts:
        """By the table that is to be: what it changes is not in force before it is written."""
        desired = {(need.deployment, need.version): need.replicas for need in needs}
        replicas: dict[tuple[str, str], list[reporter.ReplicaFacts]] = {version: [] for version in desired}
        for replica in self._replicas.by_name.values():
            replicas.setdefault(replica.key, []).append(reporter.ReplicaFacts.of(replica))
        versions: dict[str, dict[str, reporter.VersionFacts]] = {}
        for (deployment, version), of_version in replicas.items():
            document = self._desired.documents.get(deployment)
            versions.setdefault(deployment, {})[version] = reporter.VersionFacts(
                replicas=tuple(of_version),
                desired=desired.get((deployment, version), 0),
                trouble=replace(self._desired.troubles.get((deployment, version)) or Trouble()),
                problem=self._launches.problem(document.spec.runtime) if document else None,
                rates=self._gateway.rates((deployment, version)),
            )
        gateway = self._desired.troubles[GATEWAY].reason or self._gateway.why
        address = self._gateway.address if self._gateway.ready else ""
        return reporter.Facts(
            after,
            self._gateway.revision,
            address,
            gateway,
            versions,
            self._rollouts.decisions,
            self._gateway.refused,
        )

    def _describe(self, replica: Replica) -> None:
        """Make out how the replica would be started now, unless that is known."""
        deployment, version = replica.key
        document = self._desired.documents.get(deployment)
        if replica.process is not None or document is None or version not in document.by_name:
            return
        try:
            replica.process = self._launches.process(document, version, replica.name, replica.record.ports)
        except ModelMissing as error:
            replica.reason = str(error)  # what runs has loaded it already
        if replica.process is not None:
            replica.current = Run.of(replica.process).digest() == replica.record.digest

    def _start(self, deployment: str, version: str, index: int, now: float) -> None:
        trouble = self._desired.troubles[deployment, version]
        try:
            if (deployment, version) == GATEWAY:
                process, run, on = None, self._gateway.run(), self._gateway.ports
                self._gateway.started()
            else:
                on = self._ports(deployment, version)
                document, name = self._desired.documents[deployment], stem(deployment, version, index)
                process = self._launches.process(document, version, name, on)
                if process is None:
                    return
                run = Run.of(process)
            record = Record(deployment=deployment, version=version, index=index, ports=on)
            replica = self._replicas.start(record, run, now)
        except (ModelMissing, OSError) as error:
            trouble.failed(str(error), now, random.random())
            self._say(f"{version} of {deployment} can't be started: {error}")
            return
        replica.process = process
        trouble.restarts += trouble.backoff.failures > 0
        served_by = f", {process.server}" if process else f" on {self._gateway.address}"
        self._say(f"{replica.name}: started{served_by}, process {replica.record.identity.pid}")
        if replica.unrecorded:
            self._say(f"{replica.name}: not recorded, and tried again until it is: {replica.unrecorded}")

    def _ports(self, deployment: str, version: str) -> dict[str, int]:
        """Those that the route table still has of one that ended, where a table without them could not be written:
        there requests come. Else free ones."""
        taken = self._replicas.ports()
        routed = {d.key: d for d in self._table.deployments}.get(deployment)
        of_version = routed.by_name.get(version) if routed is not None else None
        for endpoint in of_version.endpoints if of_version is not None else ():
            pair = endpoint.rest, endpoint.grpc
            if not taken & {*pair} and all(ports.is_free(port) for port in pair):
                return {"rest": endpoint.rest, "grpc": endpoint.grpc}
        rest, grpc = ports.free(2, taken)
        return {"rest": rest, "grpc": grpc}

    def _fail(self, replica: Replica, reason: str, now: float, *, hopeless: bool = False) -> None:
        """The process has ended without being told to, or is of no use: end what is left of it."""
        replica.enter(Phase.ENDING, now, reason)
        trouble = self._desired.troubles.get(replica.key)
        if trouble is None or self._stopping:
            return
        trouble.failed(reason, now, random.random(), hopeless=hopeless)
        wait = trouble.backoff.not_before - now
        self._say(f"{replica.name}: {reason}; to be started again in {wait:.1f} s")

    def _seen(self, replica: Replica, serving: bool, now: float) -> ObservedReplica:
        port = replica.record.ports.get("rest", 0)
        left = (
            replica.left_at is not None
            and self._gateway.revision >= replica.left_at
            and replica.record.deployment not in self._gateway.refused
        )
        drained = left and self._gateway.in_flight(replica.key, port) == 0
        patience = gateway_process.PATIENCE if replica.key == GATEWAY else PATIENCE
        return ObservedReplica(
            name=replica.name,
            deployment=replica.key[0],
            version=replica.key[1],
            index=replica.record.index,
            phase=replica.phase,
            current=replica.current,
            drained=drained or not serving or now - replica.since > replica.timeout + DRAIN_MARGIN,
            asked=replica.asked,
            overdue=self._hurried or now - replica.since > patience,
        )
