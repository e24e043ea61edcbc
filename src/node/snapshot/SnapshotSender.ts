/**
 * Sends the state to followers that need what the log no longer has: one transfer per follower at a time, each over its
 * own stream, a few chunks ahead of what the follower has stored. A transfer belongs to one leadership and ends with
 * it.
 *
 * A transfer that breaks is not resumed. It is reported as failed after a pause, the core finds out again where the
 * follower stands, and asks for a new one if there is need.
 */
import { Effect, Fiber, FiberMap } from "effect"
import type { Scope } from "effect"
import type { LogLimiter } from "../../LogLimiter.ts"
import { monotonicMs } from "../../Monotonic.ts"
import { maxChunkBytes, SnapshotEncoder } from "../../protocol/SnapshotChunk.ts"
import type { SendSnapshot } from "../../raft/Output.ts"
import type { LogPoint, NodeId } from "../../raft/Types.ts"
import type { StateStore } from "../../storage/StateStore.ts"
import type { StorageError } from "../../storage/StorageError.ts"
import type { PeerTransport, SnapshotLost, SnapshotStream } from "../../transport/PeerTransport.ts"
import { SnapshotRefused } from "../../protocol/SnapshotRefused.ts"

/** Chunks that may be in flight at once: enough to hide a round trip, few enough to hold in memory. */
const chunksInFlight = 4

/** How long a failed transfer keeps the core waiting before it tries again. */
const pauseAfterFailure = "500 millis"

/** A transfer and how far it is, for status and metrics. */
export interface SnapshotProgress {
  readonly peer: NodeId
  /** The last entry it covers. */
  readonly point: LogPoint
  readonly bytes: number
  /** About how many bytes it will have. */
  readonly estimatedBytes: number
}

type Stream = SnapshotStream<SnapshotRefused | SnapshotLost>

export interface SnapshotSenderOptions {
  readonly nodeId: NodeId
  readonly state: StateStore["Service"]
  readonly transport: PeerTransport["Service"]
  /** Bounds the lines that peers can cause. */
  readonly lines: LogLimiter
  /** Gets the number of bytes of each chunk that a peer has stored. */
  readonly onSent: (bytes: number) => void
}

export class SnapshotSender {
  private readonly options: SnapshotSenderOptions
  private readonly transfers: FiberMap.FiberMap<NodeId, void, StorageError>
  private readonly running = new Map<NodeId, SnapshotProgress & { bytes: number }>()
  /** Bytes of the last transfer to each follower in this leadership, as far as they are known. */
  private readonly sizes = new Map<NodeId, number>()
  /** Bytes sent since the start. */
  sentBytes = 0

  private constructor(
    options: SnapshotSenderOptions,
    transfers: FiberMap.FiberMap<NodeId, void, StorageError>
  ) {
    this.options = options
    this.transfers = transfers
  }

  static readonly make = (options: SnapshotSenderOptions): Effect.Effect<SnapshotSender, never, Scope.Scope> =>
    Effect.map(
      FiberMap.make<NodeId, void, StorageError>(),
      (transfers) => new SnapshotSender(options, transfers)
    )

  get progress(): ReadonlyArray<SnapshotProgress> {
    return [...this.running.values()]
  }

  /** The last entry of the snapshot that is being sent to `peer`. */
  pointFor(peer: NodeId): LogPoint | undefined {
    return this.running.get(peer)?.point
  }

  /** What a transfer to `peer` costs, by the last one; 0 when there was none in this leadership. */
  bytesFor(peer: NodeId): number {
    return this.sizes.get(peer) ?? 0
  }

  /** Ends all transfers: their leadership is over. Nothing is reported of them, and no caller waits for them to end. */
  abandonUnsafe(): void {
    for (const [, transfer] of this.transfers) transfer.interruptUnsafe()
    this.sizes.clear()
  }

  /** Fails when the state cannot be read. Never succeeds. */
  readonly join: Effect.Effect<void, StorageError> = Effect.suspend(() => FiberMap.join(this.transfers))

  /** Sends the state as it is now, and `report` gets the outcome. Replaces an earlier transfer to the peer. */
  send(
    request: SendSnapshot,
    report: (installed: LogPoint | undefined) => Effect.Effect<void>
  ): Effect.Effect<void> {
    const { peer } = request
    const transfer = Effect.scoped(this.transfer(request)).pipe(
      Effect.matchEffect({
        onSuccess: (point) => report(point),
        onFailure: (failure) =>
          failure._tag === "SnapshotLost" || failure._tag === "SnapshotRefused"
            ? this.options.lines.tell(
              Effect.logWarning,
              `could not send the state to node ${peer}: ${failure.message}; tries again`
            ).pipe(
              Effect.andThen(Effect.sleep(pauseAfterFailure)),
              Effect.andThen(report(undefined))
            )
            : Effect.fail(failure)
      }),
      Effect.annotateLogs({ peer })
    )
    return Effect.asVoid(FiberMap.run(this.transfers, peer, transfer))
  }

  private readonly transfer = Effect.fnUntraced({ self: this }, function*(this: SnapshotSender, request: SendSnapshot) {
    const { peer, term } = request
    const { nodeId, onSent, transport } = this.options
    const start = yield* monotonicMs
    const exported = yield* this.options.state.export
    const { estimatedBytes, point } = exported
    const progress = { peer, point, bytes: 0, estimatedBytes }
    this.sizes.set(peer, estimatedBytes)
    yield* Effect.acquireRelease(
      Effect.sync(() => this.running.set(peer, progress)),
      () => Effect.sync(() => this.running.get(peer) === progress && this.running.delete(peer))
    )
    yield* this.options.lines.tell(
      Effect.logInfo,
      `sends node ${peer} the state through ${point.index}: ` +
        `it needs entries up to ${request.atLeast.index} that are compacted`
    ).pipe(Effect.annotateLogs({ estimatedBytes }))
    const opened = transport.sendSnapshot({ from: nodeId, to: peer, term, point, estimatedBytes })
    const stream = yield* Effect.catchIf(
      opened,
      (failure) => failure instanceof SnapshotRefused && failure.upToDate,
      () => Effect.succeed(undefined)
    )
    if (stream === undefined) {
      yield* this.options.lines.tell(
        Effect.logInfo,
        `node ${peer} has applied everything through ${point.index} already`
      )
      return point
    }

    const encoder = new SnapshotEncoder()
    const inFlight: Array<Fiber.Fiber<void, SnapshotRefused | SnapshotLost>> = []
    const write = Effect.fnUntraced({ self: this }, function*(this: SnapshotSender, stream: Stream, chunk: Uint8Array) {
      const oldest = inFlight.length === chunksInFlight ? inFlight.shift() : undefined
      if (oldest !== undefined) yield* Fiber.join(oldest)
      const stored = Effect.map(stream.write(chunk), () => {
        progress.bytes += chunk.byteLength
        this.sizes.set(peer, Math.max(estimatedBytes, progress.bytes))
        this.sentBytes += chunk.byteLength
        onSent(chunk.byteLength)
      })
      inFlight.push(yield* Effect.forkScoped(stored, { startImmediately: true }))
    })
    for (;;) {
      const rows = yield* exported.next(maxChunkBytes)
      if (rows.length === 0) break
      for (const row of rows) {
        for (const chunk of encoder.add(row)) yield* write(stream, chunk)
      }
    }
    const { chunks, totals } = encoder.end()
    for (const chunk of chunks) yield* write(stream, chunk)
    for (const fiber of inFlight) yield* Fiber.join(fiber)
    const elapsedMs = Math.round((yield* monotonicMs) - start)
    yield* this.options.lines.tell(Effect.logInfo, `node ${peer} has installed the state through ${point.index}`).pipe(
      Effect.annotateLogs({ rows: totals.rows, bytes: totals.bytes, elapsedMs, digest: totals.digest.slice(0, 16) })
    )
    return point
  })
}
