/**
 * Takes the state from a leader that has compacted what this node needs: rows go into the inactive place of the state
 * store as they arrive, while the node goes on as before. Only during the exchange nothing is applied.
 *
 * One snapshot at a time. A newer one, or the same one from the beginning, replaces the one that is being received. One
 * of an older leader does not replace a newer leader's.
 */
import { Data, Deferred, Effect, Exit, Queue, Semaphore } from "effect"
import type { Scope } from "effect"
import type { LogLimiter } from "../../LogLimiter.ts"
import { monotonicMs } from "../../Monotonic.ts"
import { CodecError } from "../../bytes/CodecError.ts"
import { SnapshotDecoder } from "../../protocol/SnapshotChunk.ts"
import { checkOf } from "../../machine/StateCheck.ts"
import { CheckedRows } from "../../storage/RowsCheck.ts"
import type { StateImport, StateStore } from "../../storage/StateStore.ts"
import type { StorageError } from "../../storage/StorageError.ts"
import type { SnapshotRequest, SnapshotStream } from "../../transport/PeerTransport.ts"
import { SnapshotRefused } from "../../protocol/SnapshotRefused.ts"
import type { SnapshotProgress } from "./SnapshotSender.ts"

interface Chunk {
  readonly bytes: Uint8Array
  readonly stored: Deferred.Deferred<void, SnapshotRefused>
}

/** The stream of the snapshot has ended, or another snapshot replaces it. */
class Ended extends Data.TaggedError("Ended") {}

interface InboundSnapshot {
  readonly request: SnapshotRequest
  readonly chunks: Queue.Queue<Chunk, Ended>
  readonly done: Deferred.Deferred<void>
  bytes: number
}

export interface SnapshotReceiverOptions {
  readonly state: StateStore["Service"]
  /** Why the owner does not want a snapshot, if it does not. */
  readonly refusalOf: (request: SnapshotRequest) => Effect.Effect<SnapshotRefused | undefined>
  /** Makes an import that is whole the state of this node; `false` when the node had gone past it meanwhile. */
  readonly install: (incoming: StateImport, request: SnapshotRequest) => Effect.Effect<boolean, StorageError>
  /** Bounds the lines that peers can cause. */
  readonly lines: LogLimiter
  /** The identity of the cluster, which a snapshot must be of; `undefined` while this node does not know it. */
  readonly identity: () => string | undefined
  /** The highest feature level that this node knows. A state that needs more is refused. */
  readonly level: number
  /** Gets the number of bytes of each chunk. */
  readonly onReceived: (bytes: number) => void
  /** Starts work whose failure stops the node. */
  readonly fork: (work: Effect.Effect<void, StorageError>) => Effect.Effect<void>
}

const refused = (reason: string, upToDate = false) => new SnapshotRefused({ reason, upToDate })

/** Chunks that wait to be stored; more than a sender has in flight. */
const waitingChunks = 16

/** A state that has less than half the rows of the one before is suspicious, when that had more than these. */
const fewRows = 100

/** Rows of a state that are counted at most; the warning says "at least" beyond this. */
const maxCountedRows = 1_000_000

export class SnapshotReceiver {
  private readonly options: SnapshotReceiverOptions
  private readonly taking = Semaphore.makeUnsafe(1)
  private current: InboundSnapshot | undefined
  /** Bytes received since the start. */
  receivedBytes = 0

  constructor(options: SnapshotReceiverOptions) {
    this.options = options
  }

  get progress(): SnapshotProgress | undefined {
    const { current } = this
    return current === undefined ? undefined : {
      peer: current.request.from,
      point: current.request.point,
      bytes: current.bytes,
      estimatedBytes: current.request.estimatedBytes
    }
  }

  readonly take = (
    request: SnapshotRequest
  ): Effect.Effect<SnapshotStream<SnapshotRefused>, SnapshotRefused, Scope.Scope> =>
    Effect.gen({ self: this }, function*() {
      const reason = yield* this.options.refusalOf(request)
      if (reason !== undefined) return yield* reason
      const earlier = this.current
      if (earlier !== undefined) {
        if (earlier.request.term > request.term) {
          return yield* refused(
            `a snapshot from node ${earlier.request.from} in term ${earlier.request.term} is being received`
          )
        }
        yield* Queue.fail(earlier.chunks, new Ended())
        yield* Deferred.await(earlier.done)
      }
      const inbound: InboundSnapshot = {
        request,
        chunks: yield* Queue.bounded<Chunk, Ended>(waitingChunks),
        done: yield* Deferred.make<void>(),
        bytes: 0
      }
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          this.current = inbound
        }),
        () => Queue.fail(inbound.chunks, new Ended())
      )
      yield* this.options.fork(this.run(inbound))
      return { write: (bytes: Uint8Array) => this.write(inbound, bytes) }
    }).pipe((taking) => Semaphore.withPermit(this.taking, taking))

  private write(inbound: InboundSnapshot, bytes: Uint8Array): Effect.Effect<void, SnapshotRefused> {
    return Effect.suspend(() => {
      const stored = Deferred.makeUnsafe<void, SnapshotRefused>()
      // The sender has fewer in flight than there is room for; one that has more breaks the rules.
      return Queue.offerUnsafe(inbound.chunks, { bytes, stored })
        ? Effect.raceFirst(
          Deferred.await(stored),
          Effect.andThen(Deferred.await(inbound.done), Effect.fail(refused("the transfer has ended")))
        )
        : Effect.fail(refused("the transfer has ended, or is too far ahead"))
    })
  }

  /** One snapshot, from its first chunk to its end, whatever that is. */
  private run(inbound: InboundSnapshot): Effect.Effect<void, StorageError> {
    const { from, point } = inbound.request
    return Effect.scoped(this.receive(inbound)).pipe(
      Effect.catchTag(
        "Ended",
        () =>
          this.options.lines.tell(Effect.logWarning, `the state from node ${from} did not arrive whole; discards it`)
      ),
      Effect.ensuring(
        Effect.suspend(() => {
          if (this.current === inbound) this.current = undefined
          return Deferred.succeed(inbound.done, undefined)
        })
      ),
      Effect.annotateLogs({ peer: from, through: point.index })
    )
  }

  private readonly receive = Effect.fnUntraced(
    { self: this },
    function*(this: SnapshotReceiver, inbound: InboundSnapshot) {
      const { request } = inbound
      const start = yield* monotonicMs
      yield* this.options.lines.tell(
        Effect.logInfo,
        `receives the state through ${request.point.index} from node ${request.from}`
      ).pipe(
        Effect.annotateLogs({ estimatedBytes: request.estimatedBytes })
      )
      const incoming = yield* this.options.state.import
      const decoder = new SnapshotDecoder()
      const { identity, level: known } = this.options
      const rows = new CheckedRows(checkOf({ index: request.point.index, known, identity: identity() }))
      for (;;) {
        const { bytes, stored } = yield* Queue.take(inbound.chunks)
        const decoded = decoder.take(bytes)
        const wrong = decoded instanceof CodecError
          ? undefined
          : decoded._tag === "Rows"
          ? rows.take(decoded.rows)
          : rows.end()
        const part = wrong ?? decoded
        if (part instanceof CodecError) {
          yield* this.options.lines.tell(
            Effect.logWarning,
            `refused a snapshot from node ${request.from}: ${part.message}`
          )
          Deferred.doneUnsafe(stored, Exit.fail(refused(part.message)))
          return
        }
        inbound.bytes += bytes.byteLength
        this.receivedBytes += bytes.byteLength
        this.options.onReceived(bytes.byteLength)
        if (part._tag === "Rows") {
          yield* incoming.write(part.rows)
          Deferred.doneUnsafe(stored, Exit.void)
          continue
        }
        const installed = yield* this.options.install(incoming, request)
        const elapsedMs = Math.round((yield* monotonicMs) - start)
        const { totals } = part
        yield* this.options.lines.tell(
          Effect.logInfo,
          installed
            ? `installed the state through ${request.point.index} from node ${request.from}`
            : `has gone past ${request.point.index} while the state arrived; discards it`
        ).pipe(
          Effect.annotateLogs({ rows: totals.rows, bytes: totals.bytes, elapsedMs, digest: totals.digest.slice(0, 16) })
        )
        Deferred.doneUnsafe(stored, Exit.void)
        if (installed) yield* this.compare(request, totals.rows)
        return
      }
    }
  )

  /** Warns when far fewer rows came than there were. An operator can still save the replaced state, and not later. */
  private readonly compare = Effect.fnUntraced({ self: this }, function*(
    this: SnapshotReceiver,
    { from, point }: SnapshotRequest,
    rows: number
  ) {
    const replaced = yield* this.options.state.replaced
    if (replaced === undefined) return
    const expected = 2 * rows + fewRows
    if ((yield* replaced.countRows(expected + 1)) <= expected) return
    const had = yield* replaced.countRows(maxCountedRows)
    yield* Effect.logWarning(
      `the state from node ${from} through ${point.index} has ${rows} rows, and the one that it replaced, through ` +
        `${replaced.point.index}, ${had === maxCountedRows ? "at least " : ""}${had}. If rows are missing, stop this ` +
        `node before another snapshot comes, and save the replaced state: flaredb backup FILE --from ` +
        `${replaced.path} --replaced; see deploy/runbooks/restore.md`
    ).pipe(Effect.annotateLogs({ rows, had }))
  })
}
