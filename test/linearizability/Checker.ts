/**
 * Decides whether a history is linearizable: whether there is one order of its operations that respects real time (what
 * was answered before another call comes first) and in which every answer is what a single copy would have said.
 *
 * It is the search of Wing and Gong: take any operation that nothing unanswered precedes, see whether its answer fits,
 * go on; go back when nothing fits. These keep it short:
 *
 * - Lowe's memory of what was tried: the same set of operations that leads to the same state is not looked at twice,
 *   nor is one that spent more unknown operations on it.
 * - An answer that fits and wrote nothing is taken at once: whatever order exists, moving it to the front of the rest
 *   leaves an order.
 * - An operation whose outcome is unknown is taken only where the next one needs it: if the next one comes to the same
 *   without it, there is a shorter order without it. Of those that differ in nothing that anybody could see, the one
 *   called first is taken first.
 *
 * Keys that no operation connects are judged on their own: a history is linearizable if each part is.
 */
import type { Operation, Value } from "./History.ts"

export interface Violation {
  readonly _tag: "Violation"
  readonly keys: ReadonlyArray<string>
  /** Everything about these keys, by call. */
  readonly operations: ReadonlyArray<Operation>
  /** The longest order that was found. */
  readonly longest: ReadonlyArray<Operation>
  /** The keys' values after it. */
  readonly state: ReadonlyArray<Value>
  /** What could have come next, and did not fit. */
  readonly stuck: ReadonlyArray<Operation>
}

export type Verdict =
  | { readonly _tag: "Linearizable"; readonly parts: number; readonly steps: number }
  | Violation
  /** The search took too long; nothing is known. */
  | { readonly _tag: "GaveUp"; readonly keys: ReadonlyArray<string>; readonly steps: number }

export interface CheckOptions {
  /** Operations tried in one part before it is given up. */
  readonly maxSteps?: number
}

const defaultMaxSteps = 50_000_000

/** Judges a history in which every key is absent at first. */
export const check = (history: ReadonlyArray<Operation>, options: CheckOptions = {}): Verdict => {
  let parts = 0
  let steps = 0
  for (const { keys, operations } of partition(history)) {
    const verdict = new Search(keys, operations, options.maxSteps ?? defaultMaxSteps).run()
    if (verdict._tag !== "Linearizable") return verdict
    parts += 1
    steps += verdict.steps
  }
  return { _tag: "Linearizable", parts, steps }
}

const keysOf = ({ action, outcome }: Operation): ReadonlyArray<string> => [
  ...action.expects.map(([key]) => key),
  ...action.writes.map(([key]) => key),
  ...outcome._tag === "Ok" ? outcome.seen.map(({ key }) => key) : []
]

interface Part {
  readonly keys: ReadonlyArray<string>
  readonly operations: ReadonlyArray<Operation>
}

/** Groups of keys that operations connect, each with its operations by call. What certainly failed says nothing. */
export const partition = (history: ReadonlyArray<Operation>): ReadonlyArray<Part> => {
  const parents = new Map<string, string>()
  const root = (key: string): string => {
    let current = key
    for (;;) {
      const parent = parents.get(current)
      if (parent === undefined || parent === current) return current
      current = parent
    }
  }
  const told = history.filter(({ outcome }) => outcome._tag !== "Failed")
  for (const operation of told) {
    const [first, ...rest] = keysOf(operation)
    if (first === undefined) continue
    if (!parents.has(first)) parents.set(first, first)
    for (const key of rest) {
      if (!parents.has(key)) parents.set(key, key)
      parents.set(root(key), root(first))
    }
  }
  const parts = new Map<string, { readonly keys: Array<string>; readonly operations: Array<Operation> }>()
  for (const key of parents.keys()) {
    const part = parts.get(root(key))
    if (part === undefined) parts.set(root(key), { keys: [key], operations: [] })
    else part.keys.push(key)
  }
  for (const operation of told) {
    const [first] = keysOf(operation)
    if (first !== undefined) parts.get(root(first))?.operations.push(operation)
  }
  for (const { operations } of parts.values()) operations.sort((a, b) => a.call - b.call)
  return [...parts.values()]
}

/** An operation with its keys as places in the state. */
interface Compiled {
  readonly expects: ReadonlyArray<readonly [place: number, value: Value]>
  readonly writes: ReadonlyArray<readonly [place: number, value: Value]>
  readonly values: ReadonlyArray<readonly [place: number, value: Value]>
  readonly exists: ReadonlyArray<readonly [place: number, exists: boolean]>
  /** Absent when the outcome is unknown. */
  readonly succeeded: boolean | undefined
  /** It certainly wrote nothing. */
  readonly reads: boolean
}

/** One place in the search: what can come next, and what was taken to get here. */
interface Frame {
  readonly candidates: ReadonlyArray<number>
  /** How many of them were tried. */
  tried: number
  readonly state: number
  /** The state before the operation taken last, if that one's outcome is unknown; otherwise -1. */
  readonly before: number
  /** The operation taken last; -1 at the start. */
  readonly taken: number
  /** The last of the answered operations that were taken. */
  readonly furthest: number
  /** The unknown ones that were taken, ascending. */
  readonly unknowns: ReadonlyArray<number>
}

/** How one set of answered operations and one state were come to before. */
interface Tried {
  readonly before: number
  readonly unknowns: ReadonlyArray<number>
}

/** Whether the same was tried with as much or more left to take; if not, it is remembered. */
const known = (all: Map<string, Array<Tried>>, place: string, now: Tried): boolean => {
  const earlier = all.get(place)
  if (earlier === undefined) {
    all.set(place, [now])
    return false
  }
  const as = ({ before, unknowns }: Tried) => (before < 0 || before === now.before) && isSubset(unknowns, now.unknowns)
  if (earlier.some(as)) return true
  earlier.push(now)
  return false
}

const isSubset = (some: ReadonlyArray<number>, all: ReadonlyArray<number>): boolean => {
  let at = 0
  for (const one of some) {
    while (at < all.length && (all[at] as number) < one) at++
    if (all[at] !== one) return false
    at++
  }
  return true
}

const impossible = -1

/** The search in one part. Operations are numbered: first those that were answered by call, then the unknown ones. */
class Search {
  private readonly keys: ReadonlyArray<string>
  private readonly operations: ReadonlyArray<Operation>
  private readonly compiled: ReadonlyArray<Compiled>
  private readonly answered: number
  private readonly maxSteps: number
  /** Every state met, and its number by what it looks like. */
  private readonly states: Array<ReadonlyArray<Value>> = []
  private readonly stateNumbers = new Map<string, number>()
  /** The answered operations that were not taken yet, as a list in both directions; `answered` is its end. */
  private readonly next: Int32Array
  private readonly previous: Int32Array
  private left: number
  /** The unknown operations in groups that nobody can tell apart, each by call, and how many of each were taken. */
  private readonly groups: ReadonlyArray<ReadonlyArray<number>>
  private readonly groupOf = new Map<number, number>()
  private readonly takenOf: Int32Array

  constructor(keys: ReadonlyArray<string>, operations: ReadonlyArray<Operation>, maxSteps: number) {
    this.keys = keys
    this.maxSteps = maxSteps
    const answered = operations.filter(({ outcome }) => outcome._tag === "Ok")
    this.answered = answered.length
    this.operations = [...answered, ...operations.filter(({ outcome }) => outcome._tag !== "Ok")]
    const places = new Map(keys.map((key, place) => [key, place]))
    const compiled = this.operations.map((operation) => compile(operation, places))
    this.compiled = withoutUnseenValues(compiled)
    this.left = this.answered
    // One more place than operations, for the end of the list; it comes before the first one, too.
    this.next = Int32Array.from({ length: this.answered + 1 }, (_, i) => i + 1)
    this.previous = Int32Array.from({ length: this.answered + 1 }, (_, i) => i - 1)
    this.next[this.answered] = 0
    this.previous[0] = this.answered
    const groups = new Map<string, Array<number>>()
    for (let i = this.answered; i < this.operations.length; i++) {
      const { expects, writes } = this.compiled[i] as Compiled
      const same = JSON.stringify([expects, writes])
      const group = groups.get(same)
      if (group === undefined) groups.set(same, [i])
      else group.push(i)
    }
    this.groups = [...groups.values()]
    this.groups.forEach((group, number) => group.forEach((i) => this.groupOf.set(i, number)))
    this.takenOf = new Int32Array(this.groups.length)
  }

  run(): Verdict {
    const tried = new Map<string, Array<Tried>>()
    const start = this.number(this.keys.map(() => null))
    const stack: Array<Frame> = [this.frame(start, -1, -1, -1, [])]
    let steps = 0
    let longest: ReadonlyArray<number> = []
    let longestLeft = this.answered + 1
    let longestState = start
    while (this.left > 0) {
      const frame = stack[stack.length - 1]
      if (frame === undefined) return this.violation(longest, longestState)
      if (this.left < longestLeft) {
        longestLeft = this.left
        longest = []
        longestState = frame.state
      }
      const candidate = frame.candidates[frame.tried++]
      if (candidate === undefined) {
        if (this.left === longestLeft && longest.length === 0) {
          longest = stack.flatMap(({ taken }) => taken < 0 ? [] : [taken])
        }
        stack.pop()
        if (frame.taken >= 0) this.putBack(frame.taken)
        continue
      }
      if (++steps > this.maxSteps) return { _tag: "GaveUp", keys: this.keys, steps }
      const state = this.step(frame.state, candidate)
      if (state === impossible) continue
      const unknown = candidate >= this.answered
      if (unknown && state === frame.state) continue
      if (frame.before >= 0 && this.step(frame.before, candidate) === state) continue
      this.take(candidate)
      const furthest = unknown ? frame.furthest : Math.max(frame.furthest, candidate)
      const unknowns = unknown ? [...frame.unknowns, candidate].sort((a, b) => a - b) : frame.unknowns
      const before = unknown ? frame.state : -1
      if (known(tried, this.describe(furthest, state), { before, unknowns })) {
        this.putBack(candidate)
        continue
      }
      stack.push(this.frame(state, before, candidate, furthest, unknowns))
    }
    return { _tag: "Linearizable", parts: 1, steps }
  }

  private frame(
    state: number,
    before: number,
    taken: number,
    furthest: number,
    unknowns: ReadonlyArray<number>
  ): Frame {
    return { candidates: this.candidates(state), tried: 0, state, before, taken, furthest, unknowns }
  }

  /** What nothing unanswered precedes, the most urgent first and the unknown ones last. */
  private candidates(state: number): ReadonlyArray<number> {
    const found: Array<number> = []
    let firstEnd = Infinity
    for (let i = this.next[this.answered] as number; i !== this.answered; i = this.next[i] as number) {
      const { call, end } = this.operations[i] as Operation
      if (call > firstEnd) break
      // Fits and writes nothing: no order is lost by taking it now.
      if ((this.compiled[i] as Compiled).reads && this.step(state, i) === state) return [i]
      if (end < firstEnd) firstEnd = end
      found.push(i)
    }
    const end = (i: number) => (this.operations[i] as Operation).end
    found.sort((a, b) => end(a) - end(b))
    for (let group = 0; group < this.groups.length; group++) {
      const i = this.groups[group]?.[this.takenOf[group] as number]
      if (i !== undefined && (this.operations[i] as Operation).call <= firstEnd) found.push(i)
    }
    return found
  }

  /** The state after an operation, or {@link impossible} when its answer does not fit. */
  private step(state: number, operation: number): number {
    const values = this.states[state] as ReadonlyArray<Value>
    const { exists, expects, succeeded, values: seen, writes } = this.compiled[operation] as Compiled
    let holds = true
    for (const [place, value] of expects) if (values[place] !== value) holds = false
    if (succeeded !== undefined) {
      if (holds !== succeeded) return impossible
      for (const [place, value] of seen) if (values[place] !== value) return impossible
      for (const [place, there] of exists) if ((values[place] !== null) !== there) return impossible
    }
    if (!holds || writes.length === 0) return state
    const after = [...values]
    for (const [place, value] of writes) after[place] = value
    return this.number(after)
  }

  private number(values: ReadonlyArray<Value>): number {
    const text = values.length === 1 && values[0] !== null ? values[0] as string : JSON.stringify(values)
    const known = this.stateNumbers.get(text)
    if (known !== undefined) return known
    this.stateNumbers.set(text, this.states.length)
    this.states.push(values)
    return this.states.length - 1
  }

  private take(operation: number): void {
    const group = this.groupOf.get(operation)
    if (group !== undefined) {
      this.takenOf[group] = (this.takenOf[group] as number) + 1
      return
    }
    this.left -= 1
    const [after, before] = [this.next[operation] as number, this.previous[operation] as number]
    this.next[before] = after
    this.previous[after] = before
  }

  private putBack(operation: number): void {
    const group = this.groupOf.get(operation)
    if (group !== undefined) {
      this.takenOf[group] = (this.takenOf[group] as number) - 1
      return
    }
    this.left += 1
    this.next[this.previous[operation] as number] = operation
    this.previous[this.next[operation] as number] = operation
  }

  /**
   * Where the search is, in few letters: up to the furthest answered operation all were taken except a few, because all
   * of those are under way at its call.
   */
  private describe(furthest: number, state: number): string {
    let text = `${furthest}:`
    for (let i = this.next[this.answered] as number; i < furthest; i = this.next[i] as number) text += `${i},`
    return `${text}:${state}`
  }

  private violation(longest: ReadonlyArray<number>, state: number): Violation {
    const chosen = new Set(longest)
    const rest = this.operations.filter((operation, i) => !chosen.has(i) && operation.outcome._tag === "Ok")
    const firstEnd = rest.reduce((least, { end }) => Math.min(least, end), Infinity)
    return {
      _tag: "Violation",
      keys: this.keys,
      operations: [...this.operations].sort((a, b) => a.call - b.call),
      longest: longest.map((i) => this.operations[i] as Operation),
      state: this.states[state] as ReadonlyArray<Value>,
      stuck: rest.filter(({ call }) => call <= firstEnd)
    }
  }
}

const compile = ({ action, outcome }: Operation, places: ReadonlyMap<string, number>): Compiled => {
  const placed = <A>([key, value]: readonly [key: string, value: A]): readonly [number, A] => {
    const place = places.get(key)
    if (place === undefined) throw new Error(`the key ${key} is in no part`)
    return [place, value]
  }
  const seen = outcome._tag === "Ok" ? outcome.seen : []
  return {
    expects: action.expects.map(placed),
    writes: action.writes.map(placed),
    values: seen.flatMap((one) => one._tag === "Value" ? [placed([one.key, one.value])] : []),
    exists: seen.flatMap((one) => one._tag === "Exists" ? [placed([one.key, one.exists])] : []),
    succeeded: outcome._tag === "Ok" ? outcome.succeeded : undefined,
    reads: outcome._tag === "Ok" && (!outcome.succeeded || action.writes.length === 0)
  }
}

/** Stands for every value that no answer and no expectation names. */
const unseen = "(a value never seen)"

/** Makes unknown operations alike that differ only in values which nobody ever asked about. */
const withoutUnseenValues = (all: ReadonlyArray<Compiled>): ReadonlyArray<Compiled> => {
  const seen = new Set<string>()
  for (const { expects, values } of all) {
    for (const [place, value] of [...expects, ...values]) seen.add(`${place}:${value}`)
  }
  return all.map((one) => ({
    ...one,
    writes: one.writes.map(([place, value]) =>
      one.succeeded !== undefined || value === null || seen.has(`${place}:${value}`) ? [place, value] : [place, unseen]
    )
  }))
}

/** A verdict in a few lines, for a terminal. */
export const describeVerdict = (verdict: Verdict): string => {
  switch (verdict._tag) {
    case "Linearizable":
      return `linearizable: ${verdict.parts} parts, ${verdict.steps} steps`
    case "GaveUp":
      return `not decided after ${verdict.steps} steps in the part of ${verdict.keys.join(", ")}`
    case "Violation":
      return [
        `NOT linearizable: ${verdict.keys.join(", ")}`,
        `after ${verdict.longest.length} of ${verdict.operations.length} operations the values are ${
          verdict.state.map((value) => value ?? "absent").join(", ")
        }, and none of these fits:`,
        ...verdict.stuck.map((operation) => `  ${describeOperation(operation)}`)
      ].join("\n")
  }
}

export const describeOperation = ({ action, call, client, end, outcome }: Operation): string => {
  const seen = outcome._tag === "Ok"
    ? `${outcome.succeeded ? "ok" : "not done"}${
      outcome.seen.map((one) =>
        one._tag === "Value"
          ? ` ${one.key}=${one.value ?? "absent"}`
          : ` ${one.key} ${one.exists ? "existed" : "did not exist"}`
      ).join("")
    }`
    : `${outcome._tag.toLowerCase()} (${outcome.reason})`
  return `${client} [${call}, ${outcome._tag === "Unknown" ? "" : end}] ${action.name}: ${seen}`
}
