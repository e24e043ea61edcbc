/**
 * What a conformance suite is made of: named effects that fail when a back end breaks the contract. They use no test
 * runner, so that any one can register them.
 */
import type { Effect } from "effect"

/** One promise of a contract, and a program that fails or dies when a back end does not keep it. */
export interface ConformanceCase {
  readonly name: string
  readonly effect: Effect.Effect<void, unknown>
}
