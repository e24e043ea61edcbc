/** What a failed write means to a caller that may repeat it. */
import type { WriteFailure } from "../client/KeyValue.ts"

/**
 * `unknown`: it may have taken effect, now or later; only a write that cannot take effect twice may be repeated.
 * `done`: it took effect. `later`: it did not, and may be repeated. `refused`: it did not, and never will.
 */
export type Outcome = "unknown" | "done" | "later" | "refused"

export const outcomeOf = (failure: WriteFailure): Outcome => {
  switch (failure._tag) {
    case "Indeterminate":
    case "SessionExpired":
      return "unknown"
    case "ResultsNotKept":
      return "done"
    case "Unavailable":
    case "Overloaded":
      return "later"
    default:
      return "refused"
  }
}
