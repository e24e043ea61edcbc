/**
 * What one transaction may look at: the records of the keys it names and of every row that its ranges come by, also
 * those that only tell whether there is more.
 *
 * The limits on what a transaction says and is answered do not bound the work in between, which every node does for
 * it, one transaction after the other. What is charged depends on the state and the transaction alone, so every node
 * refuses the same ones, however it reads its rows.
 */
import { maxTransactionReadBytes, maxTransactionReadRows } from "./Limits.ts"

export class ReadBudget {
  /** Records looked at. */
  rows = 0
  /** Bytes of their keys and values. */
  bytes = 0

  /** Counts a record in. `false` once there was too much. */
  charge(keyBytes: number, valueBytes: number): boolean {
    this.rows += 1
    this.bytes += keyBytes + valueBytes
    return !this.exceeded
  }

  get exceeded(): boolean {
    return this.rows > maxTransactionReadRows || this.bytes > maxTransactionReadBytes
  }
}
