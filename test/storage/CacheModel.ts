/** What readers of the state rows see, compared with a plain map. */
import { assert } from "@effect/vitest"
import type { RangeOptions } from "../../src/storage/rocksdb/Reader.ts"
import type { Random } from "../simulation/Random.ts"
import { textOf } from "./ScriptedStore.ts"

export const keys = Array.from({ length: 24 }, (_, i) => `k${String(i).padStart(2, "0")}`)

export interface Question {
  readonly range: Required<Pick<RangeOptions, "gte" | "lt" | "limit" | "reverse">>
  /** The rows of the range in a plain map. */
  readonly answer: ReadonlyArray<readonly [string, string]>
}

/** A drawn range and what it holds; `undefined` when it is empty. */
export const drawRange = (random: Random, content: ReadonlyMap<string, string>): Question | undefined => {
  const [gte, lt] = [random.pick(keys), random.chance(0.3) ? "z" : random.pick(keys)].sort() as [string, string]
  const [limit, reverse] = [1 + random.below(30), random.chance(0.5)]
  if (gte === lt) return undefined
  const answer = [...content].filter(([key]) => key >= gte && key < lt).sort(([a], [b]) => a < b ? -1 : 1)
  if (reverse) answer.reverse()
  return { range: { gte: Buffer.from(gte), lt: Buffer.from(lt), limit, reverse }, answer: answer.slice(0, limit) }
}

export const checkRows = (
  { answer }: Question,
  found: ReadonlyArray<{ readonly key: Uint8Array; readonly value: Uint8Array }>
): void => assert.deepStrictEqual(found.map(({ key, value }) => [textOf(key), textOf(value)] as const), answer)
