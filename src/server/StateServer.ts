/**
 * The whole state of this node, for operators: as the bytes of a backup, and as a hash. Either holds a view of the
 * state open, which keeps what it sees on the disk, so there are few at a time, and each ends.
 */
import { Context, Effect, Layer, Queue, Stream } from "effect"
import type { Scope } from "effect"
import { formatDuration } from "../DurationText.ts"
import { watchTables } from "../BoundedTables.ts"
import type { HashStep, StateError } from "../protocol/StateRpcs.ts"
import { maxBackups, maxMarkerWaitMs, maxStateHashes } from "../protocol/StateRpcs.ts"
import { InvalidArgument, Overloaded, Unavailable } from "../FlareDbError.ts"
import { RaftNode } from "../node/RaftNode.ts"
import { backupStream } from "./BackupStream.ts"
import { hashState } from "./StateHash.ts"

/** Longest command that a state can be hashed behind, in bytes. */
const maxMarkerBytes = 64 * 1024

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

const make = Effect.fnUntraced(function*(options: { readonly clusterId: string; readonly nodeId: number }) {
  const { nodeId } = options
  const node = yield* RaftNode
  const backups = places("maxBackups", maxBackups)
  const hashes = places("maxStateHashes", maxStateHashes)
  yield* watchTables([
    { table: "backups", entries: backups.taken, limit: maxBackups, setting: "maxBackups" },
    { table: "state_hashes", entries: hashes.taken, limit: maxStateHashes, setting: "maxStateHashes" }
  ])

  const backup = Effect.andThen(backups.enter, backupStream(node, options))

  const hashBehind = Effect.fnUntraced(function*(marker: Uint8Array, report: (step: HashStep) => void) {
    if (marker.byteLength === 0 || marker.byteLength > maxMarkerBytes) {
      return yield* new InvalidArgument({
        field: "marker",
        problem: `has ${marker.byteLength} bytes; 1 to ${maxMarkerBytes} are allowed`
      })
    }
    yield* hashes.enter
    const exported = yield* node.exportAtMarker(marker)
    report({ _tag: "Armed", nodeId })
    const state = yield* Effect.timeoutOrElse(exported, {
      duration: maxMarkerWaitMs,
      orElse: () =>
        Effect.fail(
          new Unavailable({ reason: `the command was not applied within ${formatDuration(maxMarkerWaitMs)}` })
        )
    })
    report({ _tag: "Hashing", bytes: 0, estimatedBytes: state.estimatedBytes })
    return yield* hashState(nodeId, state, report)
  }, Effect.scoped)

  /** Reports that are not taken in time are dropped; the first and the last one are not. */
  const hashBehindMarker = (marker: Uint8Array): Stream.Stream<HashStep, StateError> =>
    Stream.callback<HashStep, StateError>((queue) =>
      hashBehind(marker, (step) => Queue.offerUnsafe(queue, step)).pipe(
        Effect.flatMap((hashed) => Queue.offer(queue, hashed)),
        Effect.andThen(Queue.end(queue))
      )
    )

  return StateServer.of({ backup: Stream.unwrap(backup), hashState: hashBehindMarker })
})
