/** What a caller asks of a read. */

/**
 * `linearizable` sees every write acknowledged before the read began; `stale` answers at once from what the node has
 * applied, which may be arbitrarily old when it is cut off.
 */
export type Consistency = "linearizable" | "stale"

/** Which node may answer: the leader alone, or any. */
export type ReadFrom = "leader" | "any"
