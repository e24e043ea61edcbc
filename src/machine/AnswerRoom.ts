/**
 * Room for the answers to the queries of one call. A machine reserves before it reads, as much as the answer may have,
 * and gives back what the answer does not need. The rest is free again once the client has taken the answers.
 */
import type { Effect } from "effect"
import type { Overloaded } from "../FlareDbError.ts"

/** Room for answers of queries, in bytes, which a port gives. */
export interface AnswerRoom {
  /**
   * Has the call hold `bytes` at least. One that was answered nothing yet waits for room; one that holds answers is
   * refused at once, because others may wait for what it holds. Succeeds with the refusal.
   */
  readonly reserve: (bytes: number) => Effect.Effect<Overloaded | undefined>
  /** The answers so far have `bytes`, and the call holds no more. */
  readonly trim: (bytes: number) => void
}
