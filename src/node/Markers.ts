/**
 * Views of the state at a marker: a command that was named beforehand, so that the view is the same on every node. The
 * command is recognized by its bytes, and the state machine need not know of it.
 */
import { Deferred, Effect, Exit, Scope } from "effect"
import { Unavailable } from "../FlareDbError.ts"
import type { Entry } from "../raft/Types.ts"
import type { StateExport, StateStore } from "../storage/StateStore.ts"
import type { StorageError } from "../storage/StorageError.ts"

interface Marker {
  readonly command: Uint8Array
  /** Keeps the view open. */
  readonly scope: Scope.Scope
  readonly taken: Deferred.Deferred<StateExport, Unavailable>
}

const skippedMarker = new Unavailable({
  reason: "this node received the whole state meanwhile, and so did not apply the marker by itself; try again"
})

export class Markers {
  private readonly state: StateStore["Service"]
  private readonly waiting = new Set<Marker>()

  constructor(state: StateStore["Service"]) {
    this.state = state
  }

  /** Registers for the next command with these bytes; the answer waits for the view behind it. Ends with the scope. */
  await(command: Uint8Array): Effect.Effect<Effect.Effect<StateExport, Unavailable>, never, Scope.Scope> {
    return Effect.flatMap(Effect.scope, (scope) => {
      const marker: Marker = { command, scope, taken: Deferred.makeUnsafe() }
      return Effect.map(
        Effect.acquireRelease(
          Effect.sync(() => this.waiting.add(marker)),
          () => Effect.sync(() => this.waiting.delete(marker))
        ),
        () => Deferred.await(marker.taken)
      )
    })
  }

  /** Which of the entries is the first marker that a caller waits for; -1 for none. */
  find(entries: ReadonlyArray<Entry>): number {
    if (this.waiting.size === 0) return -1
    return entries.findIndex(({ payload }) => this.awaiting(payload).length > 0)
  }

  /** Takes the views behind an entry that is the last one applied. No other may be applied before it is done. */
  readonly take: (entry: Entry) => Effect.Effect<void, StorageError> = Effect.fnUntraced(
    { self: this },
    function*(this: Markers, entry: Entry) {
      for (const marker of this.awaiting(entry.payload)) {
        this.waiting.delete(marker)
        const view = yield* Scope.provide(this.state.export, marker.scope)
        Deferred.doneUnsafe(marker.taken, Exit.succeed(view))
      }
    }
  )

  /** Entries were not applied one by one: a snapshot took their place. */
  skipped(): void {
    for (const { taken } of this.waiting) Deferred.doneUnsafe(taken, Exit.fail(skippedMarker))
    this.waiting.clear()
  }

  private awaiting(payload: Uint8Array): ReadonlyArray<Marker> {
    return [...this.waiting].filter(({ command }) =>
      command.byteLength === payload.byteLength && Buffer.compare(command, payload) === 0
    )
  }
}
