/** How far an import is, as the row that it keeps in FlareDB. */

export interface Totals {
  /** Keys of etcd that were looked at. */
  readonly keys: number
  /** Bytes of their keys and values. */
  readonly bytes: number
  /** Keys that were put. */
  readonly written: number
  /** Of these, the ones that were written over. */
  readonly replaced: number
  /** Keys that were equal already. */
  readonly equal: number
  /** Keys that differ and were kept as they are. */
  readonly kept: number
  /** Keys that FlareDB does not take, and that were left out. */
  readonly refused: number
  /** Keys whose lease had ended. */
  readonly ended: number
  /** Leases that were granted. */
  readonly leases: number
  /** Keys that etcd does not have, and those of them that were deleted. */
  readonly others: number
  readonly deleted: number
}

export const noTotals: Totals = {
  keys: 0,
  bytes: 0,
  written: 0,
  replaced: 0,
  equal: 0,
  kept: 0,
  refused: 0,
  ended: 0,
  leases: 0,
  others: 0,
  deleted: 0
}

export interface Position {
  /** The revision of etcd that is read. */
  readonly revision: number
  /** The last key in FlareDB that is done, as base64; empty before the first. */
  readonly after: string
  readonly done: boolean
  /** Bytes of all keys and values, for the progress. */
  readonly ofBytes: number
  /** The process that writes, so that a second one is found. */
  readonly run: string
  /** The two prefixes as base64, for people. */
  readonly prefix: string
  readonly toPrefix: string
  readonly totals: Totals
}

const format = 1

export const encode = (position: Position): string => JSON.stringify({ v: format, ...position })

const names = Object.keys(noTotals) as ReadonlyArray<keyof Totals>

/** The position that a row holds; `undefined` when it is of another format. */
export const decode = (text: string): Position | undefined => {
  try {
    const { after, done, ofBytes, prefix, revision, run, toPrefix, totals, v } = JSON.parse(text) as Partial<
      Position & { readonly v: number }
    >
    const isKnown = v === format && Number.isSafeInteger(revision) && Number.isSafeInteger(ofBytes) &&
      [after, run, prefix, toPrefix].every((field) => typeof field === "string") &&
      names.every((name) => Number.isSafeInteger(totals?.[name]))
    return isKnown
      ? { after, done: done === true, ofBytes, prefix, revision, run, toPrefix, totals } as Position
      : undefined
  } catch {
    return undefined
  }
}
