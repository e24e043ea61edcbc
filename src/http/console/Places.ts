/** What a node has room for at a time. Each holds a place while its scope lives; one too many is refused. */
import { Effect } from "effect"
import { Overloaded } from "../../FlareDbError.ts"

export class Places {
  private readonly limit: string
  private readonly maximum: number
  private taken = 0

  constructor(limit: string, maximum: number) {
    this.limit = limit
    this.maximum = maximum
  }

  readonly take = Effect.acquireRelease(
    Effect.suspend(() => {
      const { limit, maximum, taken } = this
      if (taken >= maximum) return Effect.fail(new Overloaded({ limit, current: taken, maximum }))
      this.taken += 1
      return Effect.void
    }),
    () => Effect.sync(() => void this.taken--)
  )
}
