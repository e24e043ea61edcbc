/** What a state machine says about rows that come from outside before they become the state of a node. */
import { CodecError } from "../bytes/CodecError.ts"
import type { StateRow } from "../protocol/StateRows.ts"

/** Looks at all rows of a state in the order of their keys. */
export interface RowsCheck {
  /** What is wrong with the next row, if anything. */
  readonly row: (row: StateRow) => string | undefined
  /** What is wrong with the rows as a whole, if anything. */
  readonly end: () => string | undefined
}

/** Takes any rows: for what was checked before, and for tests of what does not look into rows. */
export const anyRows: RowsCheck = { row: () => undefined, end: () => undefined }

const shownBytes = 80

/** A key as an error message may show it: printable, short, and the same in every terminal. */
const keyText = (key: Uint8Array): string => {
  const text = Buffer.from(key.subarray(0, shownBytes)).toString("latin1")
  const escaped = text.replace(/[^\x20-\x7e]|[\\"]/g, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`)
  return key.byteLength > shownBytes ? `"${escaped}"…` : `"${escaped}"`
}

/** Holds rows to a check and says which one is wrong. */
export class CheckedRows {
  private readonly check: RowsCheck
  private count = 0

  constructor(check: RowsCheck) {
    this.check = check
  }

  /** The first row that is wrong. */
  take(rows: ReadonlyArray<StateRow>): CodecError | undefined {
    for (const row of rows) {
      this.count += 1
      const problem = this.check.row(row)
      if (problem !== undefined) return new CodecError(`row ${this.count}, stored as ${keyText(row.key)}: ${problem}`)
    }
    return undefined
  }

  end(): CodecError | undefined {
    const problem = this.check.end()
    return problem === undefined ? undefined : new CodecError(problem)
  }
}
