/** Rows of text in columns. */
import { printable } from "../../Printable.ts"

/** Each column as wide as its widest cell; the last cell of a row may be longer without widening its column. */
export const table = (rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths: Array<number> = []
  const shown = rows.map((row) => row.map(printable))
  for (const row of shown) {
    for (let i = 0; i < row.length - 1; i++) widths[i] = Math.max(widths[i] ?? 0, (row[i] as string).length)
  }
  return shown
    .map((row) => row.map((cell, i) => i === row.length - 1 ? cell : cell.padEnd(widths[i] ?? 0)).join("  ").trimEnd())
    .join("\n")
}
