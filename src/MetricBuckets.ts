/** The buckets of histograms: fixed, so that those of all nodes and versions can be added up. */

/** From a tenth of a millisecond, less than any sync, to the end of patience. */
export const secondsBuckets = [
  0.0001,
  0.00025,
  0.0005,
  0.001,
  0.0025,
  0.005,
  0.01,
  0.025,
  0.05,
  0.1,
  0.25,
  0.5,
  1,
  2.5,
  5,
  10
] as const

export const entriesBuckets = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 4_096] as const

/**
 * The value that a `share` of what was observed is at most, as Prometheus computes it: within a bucket the observations
 * are taken to be spread evenly, and those above all `bounds` to be at the last. `counts` has one more than `bounds`.
 * `undefined` when nothing was observed.
 */
export const quantileIn = (
  bounds: ReadonlyArray<number>,
  counts: ReadonlyArray<number>,
  share: number
): number | undefined => {
  const rank = share * counts.reduce((sum, count) => sum + count, 0)
  let below = 0
  for (const [at, own] of counts.entries()) {
    const low = bounds[at - 1] ?? 0
    if (own > 0 && below + own >= rank) return low + ((bounds[at] ?? low) - low) * ((rank - below) / own)
    below += own
  }
  return undefined
}
