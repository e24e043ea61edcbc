/**
 * What clients asked of a store, when, and what they were told: the history that {@link ./Checker.ts} judges.
 *
 * Every operation is one conditional write: expectations, what is written when all of them hold, and what the answer
 * said of the keys as they were just before. A get writes nothing, a put expects nothing, and a compare-and-set or a
 * transaction over several keys needs no model of its own.
 */

/** A key's value; `null` when the key does not exist. Values are compared, never looked into: keep them short. */
export type Value = string | null

/** What an answer said of a key as it was just before the operation. */
export type Observation =
  | { readonly _tag: "Value"; readonly key: string; readonly value: Value }
  | { readonly _tag: "Exists"; readonly key: string; readonly exists: boolean }

export interface Action {
  /** For people. */
  readonly name: string
  /** All of these must hold for `writes` to happen. */
  readonly expects: ReadonlyArray<readonly [key: string, value: Value]>
  readonly writes: ReadonlyArray<readonly [key: string, value: Value]>
}

export type Outcome =
  | { readonly _tag: "Ok"; readonly succeeded: boolean; readonly seen: ReadonlyArray<Observation> }
  /** It certainly did not take effect and never will. */
  | { readonly _tag: "Failed"; readonly reason: string }
  /** It may take effect at any time after its call, or never. */
  | { readonly _tag: "Unknown"; readonly reason: string }

export interface Operation {
  readonly client: string
  readonly action: Action
  /** Place of the call among all calls and answers. */
  readonly call: number
  /** Place of the answer among them. Without a meaning when the outcome is unknown. */
  readonly end: number
  readonly callMs: number
  readonly endMs: number
  readonly outcome: Outcome
}

export const get = (key: string): Action => ({ name: `get ${key}`, expects: [], writes: [] })

export const put = (key: string, value: string): Action => ({
  name: `put ${key} ${value}`,
  expects: [],
  writes: [[key, value]]
})

export const remove = (key: string): Action => ({ name: `delete ${key}`, expects: [], writes: [[key, null]] })

export const compareAndSet = (key: string, expected: Value, value: Value): Action => ({
  name: `set ${key} ${expected ?? "absent"} -> ${value ?? "absent"}`,
  expects: [[key, expected]],
  writes: [[key, value]]
})

/** Writes all of `writes`, whatever is there. */
export const putAll = (writes: ReadonlyArray<readonly [key: string, value: Value]>): Action => ({
  name: `put ${writes.map(([key, value]) => `${key} ${value ?? "absent"}`).join(", ")}`,
  expects: [],
  writes
})

/** Reads several keys at one moment. */
export const getAll = (keys: ReadonlyArray<string>): Action => ({
  name: `get ${keys.join(", ")}`,
  expects: [],
  writes: []
})

export const saw = (key: string, value: Value): Observation => ({ _tag: "Value", key, value })

export const existed = (key: string, exists: boolean): Observation => ({ _tag: "Exists", key, exists })

export const ok = (seen: ReadonlyArray<Observation> = [], succeeded = true): Outcome => ({
  _tag: "Ok",
  succeeded,
  seen
})

/** Gathers a history from many fibers of one process. Calls and answers get places in the order they are told. */
export class Recorder {
  private place = 0
  private readonly finished: Array<Operation> = []
  private readonly nowMs: () => number

  constructor(nowMs: () => number) {
    this.nowMs = nowMs
  }

  /** Notes a call; the function that is returned notes its end. */
  begin(client: string, action: Action): (outcome: Outcome) => void {
    const call = this.place++
    const callMs = this.nowMs()
    return (outcome) => {
      this.finished.push({ client, action, call, end: this.place++, callMs, endMs: this.nowMs(), outcome })
    }
  }

  get operations(): ReadonlyArray<Operation> {
    return this.finished
  }
}
