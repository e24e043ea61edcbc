/** What requests and watches of the API may take of a node at a time. */
import { Effect } from "effect"
import type { BoundedTable } from "../../BoundedTables.ts"
import type { Limits } from "../../config/Limits.ts"
import { Overloaded } from "../../FlareDbError.ts"

export type PermitLimits = Pick<Limits, "maxHttpBodyBytes" | "maxHttpRequests" | "maxHttpWatches">

type Permit = keyof PermitLimits

export class RequestPermits {
  private readonly limits: PermitLimits
  private readonly taken: Record<Permit, number> = { maxHttpRequests: 0, maxHttpBodyBytes: 0, maxHttpWatches: 0 }

  constructor(limits: PermitLimits) {
    this.limits = limits
  }

  /** Holds `count` of a limit while `work` is done. Refuses what would go beyond it. */
  within<A, E, R>(
    limit: Permit,
    count: number,
    work: Effect.Effect<A, E, R>
  ): Effect.Effect<A, E | Overloaded, R> {
    return Effect.suspend((): Effect.Effect<A, E | Overloaded, R> => {
      const refusal = this.take(limit, count)
      return refusal === undefined
        ? Effect.ensuring(work, Effect.sync(() => this.release(limit, count)))
        : Effect.fail(refusal)
    })
  }

  /** Takes `count` of a limit, which are to be given back with {@link release}, or refuses them. */
  take(limit: Permit, count: number): Overloaded | undefined {
    const [current, maximum] = [this.taken[limit], this.limits[limit]]
    if (current + count > maximum) return new Overloaded({ limit, current, maximum })
    this.taken[limit] += count
    return undefined
  }

  release(limit: Permit, count: number): void {
    this.taken[limit] -= count
  }

  get tables(): ReadonlyArray<BoundedTable> {
    const table = (name: string, setting: Permit): BoundedTable => ({
      table: name,
      entries: () => this.taken[setting],
      limit: this.limits[setting],
      setting
    })
    return [
      table("http_requests", "maxHttpRequests"),
      table("http_body_bytes", "maxHttpBodyBytes"),
      table("http_watches", "maxHttpWatches")
    ]
  }
}
