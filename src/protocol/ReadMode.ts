/** What a caller asks of a read. */

/** How recent an answer has to be; `ReadOptions` explains it. */
export type Consistency = "linearizable" | "stale"

/** Which node may answer. */
export type ReadFrom = "leader" | "any"
