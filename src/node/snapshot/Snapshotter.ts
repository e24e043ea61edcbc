/**
 * Keeps the log short, and brings followers on that the short log can no longer help: compaction, and the state as a
 * whole from one node to another.
 *
 * **Compaction.** The state of a node is written lazily: after a power loss it may be older than what was applied, and
 * is brought forward from the log. So before entries go, the state is synced; only what is applied and durable in it is
 * ever removed. A leader keeps what a follower that it is sending to still needs, up to {@link holdFactor} times the
 * limits, and behind a transfer of the state as long as that has more bytes: without those entries it would need the
 * state again, and for ever where that takes so long. A log that outgrows the state while it is sent comes faster than
 * the follower takes it, and no log could be long enough.
 *
 * **Installing**, in this order, each step durable before the next one begins:
 *
 * 1. The rows arrive in the inactive place of the state store. A crash leaves a part of a state; the next start
 *    discards it.
 * 2. Applying pauses. The import ends: its applied point, the mark that it is whole, then the one write that makes it
 *    the active one and says up to which entry it goes. After a crash behind this write the state is the new one and
 *    the log still the old one, which may end before the state does, or contradict it. The log store sees this at the
 *    next start and restarts the log at that entry, unless the log holds it: then what follows is its continuation,
 *    and stays.
 * 3. The state machine reads its memory again, and the owner hears of it. From then on the core acknowledges the
 *    snapshot, which is honest: the state covers it. The log restarts in order with the other writes of the core, so
 *    that no earlier write can reach the disk after it.
 */
import type { SnapshotStatus } from "./SnapshotStatus.ts"
import { Deferred, Effect } from "effect"
import type { Scope } from "effect"
import type { LogLimiter } from "../../LogLimiter.ts"
import type { StateMachine } from "../../machine/StateMachine.ts"
import type { SendSnapshot } from "../../raft/Output.ts"
import type { Status } from "../../raft/Raft.ts"
import type { Entry, LogIndex, LogPoint, NodeId } from "../../raft/Types.ts"
import { minIndex } from "../../raft/Types.ts"
import type { LogStore, RecoveredLog } from "../../storage/LogStore.ts"
import type { StateImport, StateStore } from "../../storage/StateStore.ts"
import type { StorageError } from "../../storage/StorageError.ts"
import type { PeerTransport, SnapshotRequest } from "../../transport/PeerTransport.ts"
import type { SnapshotRefused } from "../../protocol/SnapshotRefused.ts"
import type { Applier } from "../Applier.ts"
import type { Inbox } from "../Inbox.ts"
import type { LogMeterLimits } from "../LogMeter.ts"
import { LogMeter } from "../LogMeter.ts"
import type { NodeMetrics } from "../NodeMetrics.ts"
import { SnapshotReceiver } from "./SnapshotReceiver.ts"
import { SnapshotSender } from "./SnapshotSender.ts"

/** How far past its limits a log may grow while a follower still needs it. */
const holdFactor = 4

export interface SnapshotterOptions {
  readonly nodeId: NodeId
  readonly limits: LogMeterLimits
  readonly log: LogStore["Service"]
  readonly state: StateStore["Service"]
  readonly machine: StateMachine["Service"]
  readonly transport: PeerTransport["Service"]
  readonly applier: Applier
  readonly inbox: Inbox
  /** Bounds the lines that peers can cause. */
  readonly lines: LogLimiter
  readonly metrics: NodeMetrics
  /** The identity of the cluster, once this node knows it. */
  readonly identity: () => string | undefined
  /** The highest feature level that this node knows. */
  readonly level: number
  /** Starts work beside the owner; its failure stops the node. */
  readonly fork: (work: Effect.Effect<void, StorageError>) => Effect.Effect<void>
}

export class Snapshotter {
  private readonly options: SnapshotterOptions
  private readonly meter: LogMeter
  private readonly sender: SnapshotSender
  private readonly receiver: SnapshotReceiver
  private compacting = false

  private constructor(options: SnapshotterOptions, sender: SnapshotSender, recovered: RecoveredLog, applied: LogIndex) {
    this.options = options
    this.sender = sender
    this.meter = new LogMeter(
      options.limits,
      { compacted: recovered.compacted.index, lastIndex: recovered.lastIndex, bytes: recovered.bytes },
      applied
    )
    this.receiver = new SnapshotReceiver({
      state: options.state,
      lines: options.lines,
      fork: options.fork,
      identity: options.identity,
      level: options.level,
      onReceived: options.metrics.snapshotReceived,
      refusalOf: (request) => this.refusalOf(request),
      install: (incoming, request) => this.install(incoming, request.point)
    })
  }

  /** Takes snapshots and sends them until the scope closes. */
  static readonly make = (
    options: SnapshotterOptions,
    applied: LogIndex
  ): Effect.Effect<Snapshotter, never, Scope.Scope> =>
    Effect.gen(function*() {
      const sender = yield* SnapshotSender.make({
        nodeId: options.nodeId,
        state: options.state,
        transport: options.transport,
        lines: options.lines,
        onSent: options.metrics.snapshotSent
      })
      const snapshotter = new Snapshotter(options, sender, options.log.recovered, applied)
      yield* options.fork(sender.join)
      yield* options.transport.takeSnapshots(snapshotter.receiver.take)
      return snapshotter
    })

  /** Where snapshots stand. For the owner. */
  get status(): SnapshotStatus {
    const { receiver, sender } = this
    return {
      sending: sender.progress,
      receiving: receiver.progress,
      sentBytes: sender.sentBytes,
      receivedBytes: receiver.receivedBytes
    }
  }

  /** Counts applied entries. For the owner, once per batch. */
  applied(entries: ReadonlyArray<Entry>): void {
    this.meter.applied(entries)
  }

  /** Whether it is time to look what of the log can go. For the owner, once per batch. */
  get isDue(): boolean {
    return !this.compacting && this.meter.isOver()
  }

  /**
   * Through where the log can go now, if that is further than it has gone. The core hears of old entries once all that
   * it asked for are applied, and the meter of each part; it drops none that it does not know to be applied. For the
   * owner.
   */
  compactable(
    { applied, firstIndex, matches }: Pick<Status, "applied" | "firstIndex" | "matches">
  ): LogIndex | undefined {
    const { meter, sender } = this
    const isLong = meter.isOver(holdFactor)
    let through = minIndex(meter.excess(), applied)
    for (const { match, peer, state } of matches) {
      if (isLong && meter.exceeds(sender.bytesFor(peer))) continue
      const needs = state === "replicate"
        ? match
        : state === "snapshot"
        ? sender.pointFor(peer)?.index
        : undefined
      if (needs !== undefined) through = minIndex(through, needs)
    }
    return through >= firstIndex ? through : undefined
  }

  /** Removes the log through `point`, which is applied, and tells the owner. One at a time. */
  compact(point: LogPoint): Effect.Effect<void> {
    const { fork, inbox, lines, log, state } = this.options
    this.compacting = true
    const overtaken = this.sender.progress.filter((sending) => sending.point.index < point.index)
    return fork(
      Effect.gen(function*() {
        for (const { peer } of overtaken) {
          yield* lines.tell(
            Effect.logWarning,
            `the log has more bytes than the state that node ${peer} is being sent, and what follows that state ` +
              "goes: it will need the state again. Write less until it has caught up, or raise maxLogBytes and " +
              "maxLogEntries"
          )
        }
        yield* state.sync
        yield* log.compact(point)
        inbox.post({ _tag: "Compacted", through: point.index })
        yield* Effect.logInfo(`compacted the log through ${point.index}`)
      })
    )
  }

  /** The log is gone through `through`. For the owner. */
  compacted(through: LogIndex): void {
    this.compacting = false
    this.options.metrics.compacted()
    this.meter.compacted(through)
  }

  /** A snapshot took the place of the state through `through`. For the owner. */
  installed(through: LogIndex): void {
    this.meter.compacted(through)
  }

  /** Sends the state to a follower beside the owner, who hears how it went. */
  send(request: SendSnapshot): Effect.Effect<void> {
    const { peer } = request
    return this.sender.send(
      request,
      (installed) => Effect.sync(() => this.options.inbox.post({ _tag: "SnapshotReported", peer, installed }))
    )
  }

  /** Leadership is lost: transfers end. */
  abandon(): void {
    this.sender.abandonUnsafe()
  }

  private refusalOf(request: SnapshotRequest): Effect.Effect<SnapshotRefused | undefined> {
    return Effect.suspend(() => {
      const answer = Deferred.makeUnsafe<SnapshotRefused | undefined>()
      this.options.inbox.post({ _tag: "SnapshotRequested", request, answer })
      return Deferred.await(answer)
    })
  }

  /** Steps 2 and 3 of the header. */
  private install(incoming: StateImport, point: LogPoint): Effect.Effect<boolean, StorageError> {
    const { applier, inbox, machine } = this.options
    const exchange = Effect.gen(function*() {
      if (applier.applied() >= point.index) return undefined
      yield* incoming.finish(point)
      yield* machine.reload
      applier.skipUnsafe(point.index)
      const known = yield* Deferred.make<void>()
      inbox.post({ _tag: "Installed", point, logTimeMs: machine.logTimeMs(), known })
      return known
    })
    return Effect.flatMap(
      // Begun it has to be ended: a state that is exchanged on the disk and not in memory would be two states.
      Effect.uninterruptible(applier.whilePaused(exchange)),
      (known) => known === undefined ? Effect.succeed(false) : Effect.as(Deferred.await(known), true)
    )
  }
}
