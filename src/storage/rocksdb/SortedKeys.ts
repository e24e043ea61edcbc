/**
 * The keys of a map that only grows, in order. Nothing is sorted until somebody asks, and then only what is new: it
 * becomes a run of its own, and runs of like length are merged, so that there are few (a log-structured merge tree in
 * small). Runs never change, so a scan may keep those it began with.
 */
export type SortedRun = ReadonlyArray<string>

export class SortedKeys {
  private readonly keys: MapIterator<string>
  private readonly source: ReadonlyMap<string, unknown>
  private sorted = 0
  private runs: ReadonlyArray<SortedRun> = []

  constructor(source: ReadonlyMap<string, unknown>) {
    this.source = source
    this.keys = source.keys()
  }

  /** Few sorted runs that have every key of the map once. */
  sortedRuns(): ReadonlyArray<SortedRun> {
    const fresh: Array<string> = []
    // The iterator is never asked for more than there is: once it ended, it would not see what is added.
    for (; this.sorted < this.source.size; this.sorted++) fresh.push(this.keys.next().value as string)
    if (fresh.length === 0) return this.runs
    const runs = [...this.runs]
    let last: SortedRun = fresh.sort(byText)
    for (let before = runs.pop(); before !== undefined; before = runs.pop()) {
      if (before.length >= 2 * last.length) {
        runs.push(before)
        break
      }
      last = merged(before, last)
    }
    this.runs = [...runs, last]
    return this.runs
  }
}

const byText = (one: string, other: string): number => one < other ? -1 : 1

const merged = (left: SortedRun, right: SortedRun): SortedRun => {
  const all: Array<string> = []
  let [l, r] = [0, 0]
  while (l < left.length && r < right.length) {
    all.push((left[l] as string) < (right[r] as string) ? left[l++] as string : right[r++] as string)
  }
  while (l < left.length) all.push(left[l++] as string)
  while (r < right.length) all.push(right[r++] as string)
  return all
}

/** The first place in a run whose key is not before `text`. */
const lowerBound = (run: SortedRun, text: string): number => {
  let [low, high] = [0, run.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((run[middle] as string) < text) low = middle + 1
    else high = middle
  }
  return low
}

export interface TextRange {
  readonly gte: string
  readonly lt: string
  readonly reverse: boolean
}

/** The keys of several runs within a range, in its direction, each once. */
export function* keysIn(runs: ReadonlyArray<SortedRun>, { gte, lt, reverse }: TextRange): Generator<string, void> {
  const step = reverse ? -1 : 1
  const heads = runs.map((run) => {
    const [first, end] = [lowerBound(run, gte), lowerBound(run, lt)]
    return { run, at: reverse ? end - 1 : first, end: reverse ? first - 1 : end }
  }).filter(({ at, end }) => at !== end)
  for (;;) {
    let next: string | undefined
    for (const { at, end, run } of heads) {
      if (at === end) continue
      const text = run[at] as string
      if (next === undefined || (reverse ? text > next : text < next)) next = text
    }
    if (next === undefined) return
    for (const head of heads) {
      if (head.at !== head.end && head.run[head.at] === next) head.at += step
    }
    yield next
  }
}
