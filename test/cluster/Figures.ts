/** What tests measure on the way. Printed with `FIGURES=1`: what the documents quote comes from these lines. */

/** The value below which `share` of the sorted values lie. */
const percentile = (sorted: ReadonlyArray<number>, share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN

export interface Summary {
  readonly count: number
  readonly p50: number
  readonly p99: number
  readonly max: number
}

export const summarize = (values: ReadonlyArray<number>): Summary => {
  const sorted = [...values].sort((a, b) => a - b)
  return {
    count: sorted.length,
    p50: percentile(sorted, 0.5),
    p99: percentile(sorted, 0.99),
    max: percentile(sorted, 1)
  }
}

/** Whether somebody asked for figures. */
export const asksForFigures = process.env["FIGURES"] !== undefined

/** Tells of a figure when somebody asked for them; a test that passes prints nothing otherwise. */
export const figure = (text: string): void => {
  if (asksForFigures) process.stdout.write(`FIGURE ${text}\n`)
}

/** Tells of durations in milliseconds as percentiles, and gives them. */
export const report = (name: string, values: ReadonlyArray<number>): Summary => {
  const summary = summarize(values)
  const { count, max, p50, p99 } = summary
  figure(
    `${name}: n=${count} p50=${p50.toFixed(1)} ms p99=${p99.toFixed(1)} ms max=${max.toFixed(1)} ms`
  )
  return summary
}
