/** The bytes of a backup of this node's state, as its client takes them. */
import { Clock, Effect, Exit, Scope, Stream } from "effect"
import { formatDuration } from "../DurationText.ts"
import { maxBackupIdleMs } from "../protocol/StateRpcs.ts"
import type { BackupHeader } from "../protocol/BackupFile.ts"
import { encodeBackupHeader } from "../protocol/BackupFile.ts"
import { maxChunkBytes, SnapshotEncoder } from "../protocol/SnapshotChunk.ts"
import { Unavailable } from "../FlareDbError.ts"
import type { StateFacts } from "../machine/StateFacts.ts"
import { monotonicMsOf } from "../Monotonic.ts"
import type { NodeExport, RaftNode } from "../node/RaftNode.ts"
import type { StateRow } from "../storage/StateStore.ts"
import { version } from "../Version.ts"
import { beginExport } from "./StateHash.ts"

/** The node that serves it, as the header names it. */
export interface BackupSource {
  readonly clusterId: string
  readonly nodeId: number
}

const headerOf = (
  { clusterId, nodeId }: BackupSource,
  exported: NodeExport,
  { identity, logTimeMs, machine, revision }: StateFacts,
  createdMs: number
) =>
  encodeBackupHeader(
    {
      clusterId,
      // It is in the state behind the read barrier.
      identity: identity ?? "",
      nodeId,
      version,
      machine,
      index: exported.point.index,
      term: exported.point.term,
      revision,
      logTimeMs,
      createdMs,
      estimatedBytes: exported.estimatedBytes
    } satisfies BackupHeader
  )

/** The chunks of a backup, one for each question, and how long ago the last question was. */
class BackupChunks {
  private readonly clock: Clock.Clock
  private readonly exported: NodeExport
  private readonly encoder = new SnapshotEncoder()
  private readonly ready: Array<Uint8Array>
  /** Rows that were read to make the header. */
  private next: ReadonlyArray<StateRow> | undefined
  private ended = false
  private sending = false
  private idle = false
  private askedMs: number

  constructor(clock: Clock.Clock, exported: NodeExport, header: Uint8Array, rows: ReadonlyArray<StateRow>) {
    this.clock = clock
    this.exported = exported
    this.ready = [header]
    this.next = rows
    this.askedMs = monotonicMsOf(clock)
  }

  /** Ends once its client took nothing for {@link maxBackupIdleMs}; what is asked for then fails. */
  readonly untilIdle = Effect.fnUntraced({ self: this }, function*(this: BackupChunks) {
    while (this.sending || monotonicMsOf(this.clock) - this.askedMs < maxBackupIdleMs) {
      yield* Effect.sleep(maxBackupIdleMs / 4)
    }
    this.idle = true
  })

  private readonly encode = Effect.fnUntraced({ self: this }, function*(this: BackupChunks) {
    while (this.ready.length === 0 && !this.ended) {
      if (this.idle) {
        return yield* new Unavailable({
          reason: `the backup was given up: nothing was taken for ${formatDuration(maxBackupIdleMs)}`
        })
      }
      const part: ReadonlyArray<StateRow> = this.next ?? (yield* this.exported.next(maxChunkBytes))
      this.next = undefined
      if (part.length === 0) {
        this.ready.push(...this.encoder.end().chunks)
        this.ended = true
      }
      for (const row of part) this.ready.push(...this.encoder.add(row))
    }
    return this.ready.shift()
  })

  /** The next chunk; `undefined` behind the last one. */
  readonly take = Effect.suspend(() => {
    this.sending = true
    return Effect.ensuring(
      this.encode(),
      Effect.sync(() => {
        this.sending = false
        this.askedMs = monotonicMsOf(this.clock)
      })
    )
  })
}

/**
 * Reads the state behind everything that was acknowledged before, and sends it no faster than it is taken. Closes the
 * view of the state when nothing was taken for too long.
 */
export const backupStream = Effect.fnUntraced(function*(node: RaftNode["Service"], source: BackupSource) {
  yield* node.readBarrier
  // A scope of its own, so that the view can be closed under a client that does not come back.
  const view = yield* Scope.fork(yield* Effect.scope)
  const exported = yield* Scope.provide(node.exportState, view)
  const clock = yield* Clock.Clock
  const { facts, rows } = yield* beginExport(exported)
  const header = headerOf(source, exported, facts, clock.currentTimeMillisUnsafe())
  yield* Effect.logInfo(`sends a backup of the state through ${exported.point.index}`)
  const chunks = new BackupChunks(clock, exported, header, rows)
  yield* Effect.forkScoped(
    chunks.untilIdle().pipe(
      Effect.andThen(Scope.close(view, Exit.void)),
      Effect.andThen(
        Effect.logWarning(`gives up a backup: its client took nothing for ${formatDuration(maxBackupIdleMs)}`)
      )
    )
  )
  return Stream.unfold(
    undefined,
    () => Effect.map(chunks.take, (chunk) => chunk === undefined ? undefined : [chunk, undefined] as const)
  )
})
