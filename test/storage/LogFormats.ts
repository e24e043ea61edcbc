/**
 * The two ways in which a directory keeps the entries of its log. What a log promises holds in both, and a test of it runs
 * in both.
 */
import { Effect } from "effect"
import { readdirSync, readFileSync, statSync } from "node:fs"
import { join } from "node:path"
import { NewFormat } from "../../src/storage/DirectoryMarker.ts"
import { headerBytes, sequenceOf } from "../../src/storage/segments/SegmentFormat.ts"

export type LogFormat = "rows" | "segments"

export const logFormats: ReadonlyArray<LogFormat> = ["segments", "rows"]

/** Has the directories that `use` makes keep their logs that way. */
export const inFormat = <A, E, R>(format: LogFormat, use: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.provideService(use, NewFormat, format === "rows" ? 4 : 6)

/** RocksDB's write-ahead logs in a directory, the oldest first. */
export const walsIn = (path: string): ReadonlyArray<string> =>
  readdirSync(path).filter((name) => /^\d+\.log$/.test(name)).toSorted()

/** The segments in a directory, the oldest first. */
export const segmentsIn = (path: string): ReadonlyArray<string> =>
  readdirSync(path).filter((name) => sequenceOf(name) !== undefined).toSorted()

/** Bytes of a file up to the last one that is not zero: a segment in use ends with zeros. */
export const usedBytes = (file: string): number => {
  const bytes = readFileSync(file)
  let end = bytes.byteLength
  while (end > 0 && bytes[end - 1] === 0) end -= 1
  return end
}

/** The newest segment with something in it. */
export const segmentInUse = (path: string): string | undefined =>
  segmentsIn(path).findLast((name) => usedBytes(join(path, name)) > 0)

/** The file of a directory that the last entries of its log were written to, and where in it they end. */
export const endOfLog = (path: string, format: LogFormat): { readonly file: string; readonly size: number } => {
  const file = join(path, (format === "rows" ? walsIn(path).at(-1) : segmentInUse(path)) ?? "")
  return { file, size: format === "rows" ? statSync(file).size : Math.max(headerBytes, usedBytes(file)) }
}
