/** What the state machine keeps in memory between batches; all of it is in the store as well. */
import type { Figures } from "./Figures.ts"
import { noFigures } from "./Figures.ts"
import { Leases } from "./Lease.ts"
import { maxSessions } from "./Limits.ts"
import { Sessions } from "./Session.ts"

export class State {
  figures: Figures = noFigures
  readonly leases = new Leases()
  readonly sessions = new Sessions()
  /** Most sessions at a time. Only tests give another than `Limits.maxSessions`, which is the same on all nodes. */
  readonly maxSessions: number

  constructor(options: { readonly maxSessions?: number } = {}) {
    this.maxSessions = options.maxSessions ?? maxSessions
  }
}
