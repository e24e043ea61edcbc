/** Histories for tests: written by hand on a time line, or made by a store that is right by construction. */
import type { Random } from "../simulation/Random.ts"
import type { Action, Operation, Outcome, Value } from "./History.ts"
import * as H from "./History.ts"

/** An operation called at `call` and answered at `end`. */
export const operation = (client: string, call: number, end: number, action: Action, outcome: Outcome): Operation => ({
  client,
  action,
  call,
  end,
  callMs: call,
  endMs: end,
  outcome
})

export interface RandomHistory {
  readonly random: Random
  readonly clients: number
  readonly operations: number
  readonly keys: number
  /** How likely an answer is lost, with or without the operation having taken effect. */
  readonly lost: number
  /** How likely an operation takes two keys. */
  readonly double: number
  /** Few values make histories that have many orders; by default every write has a value of its own. */
  readonly values?: number
}

interface UnderWay {
  readonly call: number
  readonly action: Action
  /** What the answer says, once it took effect. */
  outcome: Outcome | undefined
}

/** What a store that keeps one copy and answers late would do: every client calls, takes effect, is answered. */
export const randomHistory = (options: RandomHistory): ReadonlyArray<Operation> => {
  const { clients, random } = options
  const values = new Map<string, Value>()
  const history: Array<Operation> = []
  const underWay = new Map<number, UnderWay>()
  /** Unanswered for good; they may still take effect. */
  const orphans: Array<Action> = []
  let place = 0
  let called = 0
  let written = 0
  const key = () => `k${random.below(options.keys)}`
  const fresh = () => options.values === undefined ? `v${++written}` : `v${random.below(options.values)}`
  const value = (of: string) => values.get(of) ?? null

  const action = (): Action => {
    if (random.chance(options.double)) {
      const two = [key(), key()]
      return random.chance(0.5)
        ? H.getAll(two)
        : H.putAll([...new Set(two)].map((one) => [one, random.chance(0.2) ? null : fresh()]))
    }
    switch (random.below(5)) {
      case 0:
        return H.put(key(), fresh())
      case 1:
        return H.remove(key())
      case 2: {
        const of = key()
        return H.compareAndSet(of, random.chance(0.7) ? value(of) : null, fresh())
      }
      default:
        return H.get(key())
    }
  }
  const effect = (of: Action): Outcome => {
    const holds = of.expects.every(([one, expected]) => value(one) === expected)
    const keys = of.name.startsWith("get ") ? of.name.slice(4).split(", ") : []
    const seen = of.name.startsWith("delete ")
      ? of.writes.map(([one]) => H.existed(one, value(one) !== null))
      : [...keys, ...of.expects.map(([one]) => one)].map((one) => H.saw(one, value(one)))
    if (holds) { for (const [one, next] of of.writes) values.set(one, next) }
    return H.ok(seen, holds)
  }

  while (called < options.operations || underWay.size > 0) {
    const client = random.below(clients)
    const current = underWay.get(client)
    if (orphans.length > 0 && random.chance(0.1)) effect(orphans.splice(random.below(orphans.length), 1)[0] as Action)
    if (current === undefined) {
      if (called >= options.operations) continue
      called++
      underWay.set(client, { call: place++, action: action(), outcome: undefined })
    } else if (random.chance(options.lost)) {
      const { action, call, outcome } = current
      if (outcome === undefined && random.chance(0.7)) orphans.push(action)
      underWay.delete(client)
      history.push(operation(`c${client}`, call, place++, action, { _tag: "Unknown", reason: "lost" }))
    } else if (current.outcome === undefined) {
      current.outcome = effect(current.action)
    } else {
      underWay.delete(client)
      history.push(operation(`c${client}`, current.call, place++, current.action, current.outcome))
    }
  }
  return history
}
