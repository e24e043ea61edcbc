/** What a key, a value and a page may measure. Every limit is checked before a command reaches the log. */

/** Longest key in bytes. Keys are never empty. */
export const maxKeyBytes = 4 * 1024

/** Longest value in bytes. */
export const maxValueBytes = 1024 * 1024

/** Rows of a page when the caller names no limit. */
export const defaultScanLimit = 1000

/** Most rows of a page. */
export const maxScanLimit = 10_000

/** A page ends with the row that takes it past this many bytes of keys and values, so it is at most one row larger. */
export const maxPageBytes = 4 * 1024 * 1024

/** One argument that is malformed or over a limit. */
export interface Problem {
  readonly _tag: "Problem"
  /** The argument's name: "key", "value", "prefix", "limit", "cursor". */
  readonly field: string
  readonly problem: string
}

export const problem = (field: string, text: string): Problem => ({ _tag: "Problem", field, problem: text })

/** What is wrong with a key, if anything. */
export const keyProblem = (bytes: number, field = "key"): Problem | undefined =>
  bytes === 0
    ? problem(field, "is empty; a key has at least one byte")
    : bytes > maxKeyBytes
    ? problem(field, `has ${bytes} bytes; at most ${maxKeyBytes} are allowed`)
    : undefined

/** What is wrong with a value, if anything. */
export const valueProblem = (bytes: number): Problem | undefined =>
  bytes > maxValueBytes
    ? problem(
      "value",
      `has ${bytes} bytes; at most ${maxValueBytes} are allowed. Store larger data elsewhere and its name here`
    )
    : undefined

/** What is wrong with a page's limit, if anything. */
export const limitProblem = (limit: number): Problem | undefined =>
  Number.isInteger(limit) && limit >= 1 && limit <= maxScanLimit
    ? undefined
    : problem("limit", `${limit} is not an integer from 1 to ${maxScanLimit}`)
