/** The figures of a `/metrics` page, and what two of them say of the time between. */

import { quantileIn } from "../../MetricBuckets.ts"

interface Sample {
  readonly labels: string
  readonly value: number
}

export class MetricsPage {
  private readonly samples = new Map<string, Array<Sample>>()

  constructor(text: string) {
    for (const line of text.split("\n")) {
      const [, name, labels = "", value] = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line) ?? []
      if (name === undefined) continue
      const known = this.samples.get(name)
      const sample = { labels, value: Number(value === "+Inf" ? Infinity : value) }
      if (known === undefined) this.samples.set(name, [sample])
      else known.push(sample)
    }
  }

  /** The sum over all labels; `undefined` when the node has no such metric. */
  sum(name: string): number | undefined {
    const found = this.samples.get(name)
    return found?.reduce((sum, { value }) => sum + value, 0)
  }

  /** The values by one label. */
  by(name: string, label: string): ReadonlyMap<string, number> {
    const values = new Map<string, number>()
    for (const { labels, value } of this.samples.get(name) ?? []) {
      const found = new RegExp(`(?:^|,)${label}="([^"]*)"`).exec(labels)?.[1]
      if (found !== undefined) values.set(found, (values.get(found) ?? 0) + value)
    }
    return values
  }

  /** The upper ends of a histogram's buckets with how many observations are at most as large, in order. */
  buckets(name: string): ReadonlyArray<readonly [bound: number, count: number]> {
    return [...this.by(`${name}_bucket`, "le")]
      .map(([bound, count]) => [bound === "+Inf" ? Infinity : Number(bound), count] as const)
      .sort(([a], [b]) => a - b)
  }
}

/** The value that a `share` of what was observed since `before` is at most; `undefined` when that is nothing. */
export const quantile = (
  now: MetricsPage,
  name: string,
  share: number,
  before?: MetricsPage
): number | undefined => {
  const earlier = new Map(before?.buckets(name) ?? [])
  const buckets = now.buckets(name).map(([bound, count]) => [bound, count - (earlier.get(bound) ?? 0)] as const)
  // A node that began again counts from 0.
  if (buckets.some(([, count]) => count < 0)) return quantile(now, name, share)
  const bounds = buckets.map(([bound]) => bound).filter(Number.isFinite)
  return quantileIn(bounds, buckets.map(([, count], at) => count - (buckets[at - 1]?.[1] ?? 0)), share)
}

/**
 * The growth of a counter per second, of what has `label` where one is given; `undefined` without an earlier page, and
 * after a restart.
 */
export const rate = (
  now: MetricsPage,
  name: string,
  before: MetricsPage | undefined,
  elapsedMs: number,
  label?: readonly [name: string, value: string]
): number | undefined => {
  const valueOf = (page: MetricsPage | undefined) =>
    label === undefined ? page?.sum(name) : page?.by(name, label[0]).get(label[1])
  const [later, earlier] = [valueOf(now), valueOf(before)]
  if (later === undefined || earlier === undefined || later < earlier || elapsedMs <= 0) return undefined
  return ((later - earlier) / elapsedMs) * 1_000
}

export interface Fill {
  readonly table: string
  readonly entries: number
  readonly limit: number
}

/** The bounded tables of the node, the fullest first. */
export const fills = (page: MetricsPage): ReadonlyArray<Fill> => {
  const limits = page.by("flaredb_table_limit", "table")
  return [...page.by("flaredb_table_entries", "table")]
    .map(([table, entries]) => ({ table, entries, limit: limits.get(table) ?? Infinity }))
    .sort((a, b) => b.entries / b.limit - a.entries / a.limit)
}
