/** The definition of linearizability, tried in every order: what the checker is compared with on tiny histories. */
import type { Operation, Value } from "./History.ts"

export const isLinearizable = (history: ReadonlyArray<Operation>): boolean => {
  const operations = history.filter(({ outcome }) => outcome._tag !== "Failed")
  const search = (left: ReadonlyArray<Operation>, values: ReadonlyMap<string, Value>): boolean => {
    if (left.every(({ outcome }) => outcome._tag === "Unknown")) return true
    return left.some((operation) => {
      const preceded = left.some((other) => other.outcome._tag === "Ok" && other.end < operation.call)
      if (preceded) return false
      const after = applied(operation, values)
      return after !== undefined && search(left.filter((other) => other !== operation), after)
    })
  }
  return search(operations, new Map())
}

const applied = (
  { action, outcome }: Operation,
  values: ReadonlyMap<string, Value>
): ReadonlyMap<string, Value> | undefined => {
  const value = (key: string) => values.get(key) ?? null
  const holds = action.expects.every(([key, expected]) => value(key) === expected)
  if (outcome._tag === "Ok") {
    if (outcome.succeeded !== holds) return undefined
    const fits = outcome.seen.every((one) =>
      one._tag === "Value" ? value(one.key) === one.value : (value(one.key) !== null) === one.exists
    )
    if (!fits) return undefined
  }
  return holds ? new Map([...values, ...action.writes]) : values
}
