/**
 * The whole state of this node, for operators: as the bytes of a backup, and as a hash. Either holds a view of the
 * state open, which keeps what it sees on the disk, so there are few at a time and none for ever.
 */
import { Clock, Context, Effect, Exit, Layer, Queue, Scope, Stream } from "effect"
import { watchTables } from "../BoundedTables.ts"
import { monotonicMsOf } from "../Monotonic.ts"
import type { HashStep, StateError } from "../client/StateRpcs.ts"
import { maxBackupIdleMs, maxBackups, maxMarkerWaitMs, maxStateHashes } from "../client/StateRpcs.ts"
import type { BackupHeader } from "../codec/BackupFile.ts"
import { encodeBackupHeader } from "../codec/BackupFile.ts"
import { maxChunkBytes, SnapshotEncoder } from "../codec/SnapshotChunk.ts"
import { InvalidArgument, Overloaded, Unavailable } from "../FlareDbError.ts"
import type { StateFacts } from "../machine/StateFacts.ts"
import { factsOf } from "../machine/StateFacts.ts"
import type { NodeExport } from "../node/RaftNode.ts"
import { RaftNode } from "../node/RaftNode.ts"
import type { StateRow } from "../storage/StateStore.ts"
import { version } from "../Version.ts"

/** Longest command that a state can be hashed behind, in bytes. */
const maxMarkerBytes = 64 * 1024

/** Rows hashed between two reports of how far it is, in bytes. */
const reportBytes = 8 * 1024 * 1024

export class StateServer extends Context.Service<StateServer, {
  /** See `StateRpcs.Backup`. */
  readonly backup: Stream.Stream<Uint8Array, StateError>
  /** See `StateRpcs.HashState`. */
  readonly hashState: (marker: Uint8Array) => Stream.Stream<HashStep, StateError>
}>()("flaredb/server/StateServer") {
  static readonly layer = (
    options: { readonly clusterId: string; readonly nodeId: number }
  ): Layer.Layer<StateServer, never, RaftNode> => Layer.effect(StateServer, make(options))
}

/** Lets in as many as there are places, for as long as their scope. */
const places = (limit: string, maximum: number) => {
  let taken = 0
  const enter: Effect.Effect<void, Overloaded, Scope.Scope> = Effect.asVoid(Effect.acquireRelease(
    Effect.suspend(() => {
      if (taken >= maximum) return Effect.fail(new Overloaded({ limit, current: taken, maximum }))
      taken += 1
      return Effect.void
    }),
    () =>
      Effect.sync(() => {
        taken -= 1
      })
  ))
  return { enter, taken: () => taken }
}

/** What the state says about itself, with the rows that were read to know it. */
const begin = Effect.fnUntraced(function*(exported: NodeExport) {
  const rows = yield* exported.next(maxChunkBytes)
  return { rows, facts: factsOf(rows) }
})

const make = Effect.fnUntraced(function*(options: { readonly clusterId: string; readonly nodeId: number }) {
  const { clusterId, nodeId } = options
  const node = yield* RaftNode
  const backups = places("maxBackups", maxBackups)
  const hashes = places("maxStateHashes", maxStateHashes)
  yield* watchTables([
    { table: "backups", entries: backups.taken, limit: maxBackups, setting: "maxBackups" },
    { table: "state_hashes", entries: hashes.taken, limit: maxStateHashes, setting: "maxStateHashes" }
  ])

  const headerOf = (
    exported: NodeExport,
    { identity, logTimeMs, machine, revision }: StateFacts,
    createdMs: number
  ) =>
    encodeBackupHeader(
      {
        clusterId,
        // It is in the state behind the fence.
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

  const backup = Effect.fnUntraced(function*() {
    yield* backups.enter
    yield* node.fence
    // A scope of its own, so that the view can be closed under a client that does not come back.
    const view = yield* Scope.fork(yield* Effect.scope)
    const exported = yield* Scope.provide(node.exportState, view)
    const clock = yield* Clock.Clock
    const { facts, rows } = yield* begin(exported)
    const createdMs = clock.currentTimeMillisUnsafe()
    yield* Effect.logInfo(`sends a backup of the state through ${exported.point.index}`)

    let askedMs = monotonicMsOf(clock)
    let sending = false
    let idle = false
    yield* Effect.forkScoped(
      Effect.gen(function*() {
        for (;;) {
          yield* Effect.sleep(maxBackupIdleMs / 4)
          if (sending || monotonicMsOf(clock) - askedMs < maxBackupIdleMs) continue
          idle = true
          yield* Scope.close(view, Exit.void)
          return yield* Effect.logWarning(`gives up a backup: its client took nothing for ${maxBackupIdleMs} ms`)
        }
      })
    )

    const encoder = new SnapshotEncoder()
    let next: ReadonlyArray<StateRow> | undefined = rows
    let ended = false
    const ready: Array<Uint8Array> = [headerOf(exported, facts, createdMs)]
    /** One chunk for each question. */
    const piece = Effect.gen(function*() {
      while (ready.length === 0 && !ended) {
        if (idle) {
          return yield* new Unavailable({
            reason: `the backup was given up: nothing was taken for ${maxBackupIdleMs} ms`
          })
        }
        const part: ReadonlyArray<StateRow> = next ?? (yield* exported.next(maxChunkBytes))
        next = undefined
        if (part.length === 0) {
          ready.push(...encoder.end().chunks)
          ended = true
        }
        for (const row of part) ready.push(...encoder.add(row))
      }
      return ready.shift()
    })
    const timed = Effect.suspend(() => {
      sending = true
      return Effect.ensuring(
        piece,
        Effect.sync(() => {
          sending = false
          askedMs = monotonicMsOf(clock)
        })
      )
    })
    return Stream.unfold(
      undefined,
      () => Effect.map(timed, (chunk) => chunk === undefined ? undefined : [chunk, undefined] as const)
    )
  })

  /** Goes through a state, a part at a time, so that everything else goes on beside it. */
  const hash = Effect.fnUntraced(function*(exported: NodeExport, report: (step: HashStep) => void) {
    const { estimatedBytes, point } = exported
    const encoder = new SnapshotEncoder()
    const { facts, rows: first } = yield* begin(exported)
    let rows = first
    let reported = 0
    while (rows.length > 0) {
      for (const row of rows) encoder.add(row)
      if (encoder.encodedBytes - reported >= reportBytes) {
        reported = encoder.encodedBytes
        report({ _tag: "Hashing", bytes: reported, estimatedBytes })
      }
      rows = yield* exported.next(maxChunkBytes)
    }
    const { bytes, digest, rows: count } = encoder.end().totals
    return {
      _tag: "Hashed",
      nodeId,
      index: point.index,
      term: point.term,
      revision: facts.revision,
      rows: count,
      bytes,
      digest
    } satisfies HashStep
  })

  const hashBehind = Effect.fnUntraced(function*(marker: Uint8Array, report: (step: HashStep) => void) {
    if (marker.byteLength === 0 || marker.byteLength > maxMarkerBytes) {
      return yield* new InvalidArgument({
        field: "marker",
        problem: `has ${marker.byteLength} bytes; 1 to ${maxMarkerBytes} are allowed`
      })
    }
    yield* hashes.enter
    const exported = yield* node.exportBehind(marker)
    report({ _tag: "Armed", nodeId })
    const state = yield* Effect.timeoutOrElse(exported, {
      duration: maxMarkerWaitMs,
      orElse: () => Effect.fail(new Unavailable({ reason: `the command was not applied within ${maxMarkerWaitMs} ms` }))
    })
    report({ _tag: "Hashing", bytes: 0, estimatedBytes: state.estimatedBytes })
    return yield* hash(state, report)
  }, Effect.scoped)

  /** Reports that are not taken in time are dropped; the first and the last one are not. */
  const hashState = (marker: Uint8Array): Stream.Stream<HashStep, StateError> =>
    Stream.callback<HashStep, StateError>((queue) =>
      hashBehind(marker, (step) => Queue.offerUnsafe(queue, step)).pipe(
        Effect.flatMap((hashed) => Queue.offer(queue, hashed)),
        Effect.andThen(Queue.end(queue))
      )
    )

  return StateServer.of({ backup: Stream.unwrap(backup()), hashState })
})
