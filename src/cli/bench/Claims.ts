/**
 * What a result claims, checked against what the nodes counted: that every write was synced on a majority, and that
 * reads were as consistent as they are called. A figure that was reached otherwise is none.
 */
import type { Result } from "./Measure.ts"

/** Room for what the edges of the measurement cut off. */
const slack = 0.8

/** What else makes rounds of reads: leases that end, at most a few times a second. */
const otherRoundsPerSecond = 10

/** Everything that does not hold, one line each. */
export const brokenClaims = (result: Result): ReadonlyArray<string> => {
  const { clients, count, errors, measureMs, nodes, operation, readRounds, syncsPerSecond } = result
  const problems: Array<string> = []
  const seconds = measureMs / 1000
  const name = `${operation} with ${clients} clients`
  if (count === 0) problems.push(`${name}: nothing was done`)
  if (errors > 0) problems.push(`${name}: ${errors} operations failed`)
  // In a closed loop at most one command of each client is in a sync, and a commit needs the syncs of a majority.
  if (operation === "put" || operation === "txn") {
    const majority = Math.floor(nodes.length / 2) + 1
    const least = majority * count / clients * slack
    if (syncsPerSecond * seconds < least) {
      problems.push(
        `${name}: ${Math.round(syncsPerSecond * seconds)} syncs cannot have made ${count} writes durable on a majority`
      )
    }
  }
  if (operation === "get" && readRounds < count / clients * slack) {
    problems.push(`${name}: ${readRounds} rounds of read index cannot have made ${count} reads linearizable`)
  }
  if (operation === "stale-get" && readRounds > otherRoundsPerSecond * (seconds + 1)) {
    problems.push(`${name}: ${readRounds} rounds of read index were made for reads that need none`)
  }
  return problems
}
