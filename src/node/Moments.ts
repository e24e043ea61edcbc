/**
 * Views of the state at a moment that is the same on every node: right behind a command that was named beforehand. The
 * command is recognized by its bytes, so the state machine need not know of it.
 */
import { Deferred, Effect, Exit, Scope } from "effect"
import { Unavailable } from "../FlareDbError.ts"
import type { Entry } from "../raft/Types.ts"
import type { StateExport, StateStore } from "../storage/StateStore.ts"
import type { StorageError } from "../storage/StorageError.ts"

interface Moment {
  readonly marker: Uint8Array
  /** Keeps the view open. */
  readonly scope: Scope.Scope
  readonly taken: Deferred.Deferred<StateExport, Unavailable>
}

const skippedMoment = new Unavailable({
  reason: "this node was sent the whole state meanwhile, and never was where the others were compared"
})

export class Moments {
  private readonly state: StateStore["Service"]
  private readonly waiting = new Set<Moment>()

  constructor(state: StateStore["Service"]) {
    this.state = state
  }

  /** Registers for the next command with these bytes; the answer waits for the view behind it. Ends with the scope. */
  await(marker: Uint8Array): Effect.Effect<Effect.Effect<StateExport, Unavailable>, never, Scope.Scope> {
    return Effect.flatMap(Effect.scope, (scope) => {
      const moment: Moment = { marker, scope, taken: Deferred.makeUnsafe() }
      return Effect.map(
        Effect.acquireRelease(
          Effect.sync(() => this.waiting.add(moment)),
          () => Effect.sync(() => this.waiting.delete(moment))
        ),
        () => Deferred.await(moment.taken)
      )
    })
  }

  /** Which of the entries is the first that somebody waits for; -1 for none. */
  find(entries: ReadonlyArray<Entry>): number {
    if (this.waiting.size === 0) return -1
    return entries.findIndex(({ payload }) => this.meant(payload).length > 0)
  }

  /** Takes the views behind an entry that is the last one applied. No other may be applied before it is done. */
  readonly take: (entry: Entry) => Effect.Effect<void, StorageError> = Effect.fnUntraced(
    { self: this },
    function*(this: Moments, entry: Entry) {
      for (const moment of this.meant(entry.payload)) {
        this.waiting.delete(moment)
        const view = yield* Scope.provide(this.state.export, moment.scope)
        Deferred.doneUnsafe(moment.taken, Exit.succeed(view))
      }
    }
  )

  /** Entries were not applied one by one: a snapshot took their place. */
  skipped(): void {
    for (const { taken } of this.waiting) Deferred.doneUnsafe(taken, Exit.fail(skippedMoment))
    this.waiting.clear()
  }

  private meant(payload: Uint8Array): ReadonlyArray<Moment> {
    return [...this.waiting].filter(({ marker }) =>
      marker.byteLength === payload.byteLength && Buffer.compare(marker, payload) === 0
    )
  }
}
