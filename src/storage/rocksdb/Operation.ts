/**
 * What a batch does to a column family, and the checks of its arguments. The binding checks nothing: a wrong argument
 * stores garbage or poisons the database.
 */

/** The column families of a node: log, hard state and markers, and two places for the state, one of them active. */
export const families = ["raft_log", "raft_state", "state_a", "state_b"] as const
export type Family = (typeof families)[number]

export type Operation =
  | { readonly _tag: "Put"; readonly key: Uint8Array | string; readonly value: Uint8Array }
  | { readonly _tag: "Delete"; readonly key: Uint8Array }
  | { readonly _tag: "DeleteRange"; readonly start: Uint8Array; readonly end: Uint8Array }

export const isState = (family: Family): boolean => family === "state_a" || family === "state_b"

export const checkBytes = (what: string, bytes: Uint8Array | string): void => {
  if (typeof bytes !== "string" && !(bytes instanceof Uint8Array)) throw new TypeError(`${what} is not bytes`)
  if (what === "key" && bytes.length === 0) throw new RangeError("a key must not be empty")
}

export const checkRange = (start: Uint8Array, end: Uint8Array): void => {
  checkBytes("key", start)
  checkBytes("key", end)
  if (Buffer.compare(start, end) >= 0) throw new RangeError("a range must end after it starts")
}

export const checkOperation = (operation: Operation): void => {
  if (operation._tag === "DeleteRange") return checkRange(operation.start, operation.end)
  checkBytes("key", operation.key)
  if (operation._tag === "Put") checkBytes("value", operation.value)
}
