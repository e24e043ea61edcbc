/**
 * What keys, values, pages, transactions, leases and sessions may measure. Checked before a command reaches the log.
 */

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

/** Most compares, and most operations in each of the two lists, of a transaction. */
export const maxTransactionOperations = 512

/** Most bytes of a transaction, encoded: compares, keys and values of both lists. */
export const maxTransactionBytes = 4 * 1024 * 1024

/** Most keys that one delete-range of a transaction may remove, and that the end of one lease may. */
export const maxRangeDeletes = 10_000

/**
 * Most records that one transaction may look at: the keys it names, and the rows of all its ranges. Beyond it the
 * whole transaction is refused. Every node decides that by itself when it applies the transaction, so another value is
 * another format of the log: nodes with different values would come to different states.
 */
export const maxTransactionReadRows = 40_000

/** Most bytes of keys and values of these records. The same holds. */
export const maxTransactionReadBytes = 32 * 1024 * 1024

/** Shortest and longest time to live of a lease or a session, in milliseconds. */
export const minTtlMs = 1_000
export const maxTtlMs = 30 * 24 * 3_600_000

/** Most leases at a time; a grant beyond it is refused as `Overloaded`. */
export const maxLeases = 100_000

/** Most keys attached to one lease; a put beyond it is refused as `Overloaded`. */
export const maxLeaseKeys = maxRangeDeletes

/**
 * Most sessions at a time. Opening one more evicts a session that was idle for long enough (the two times below), and
 * is refused as `Overloaded` when there is none. Every node decides that by itself when it applies the command, so
 * another value of any of the three is another format of the log.
 */
export const maxSessions = 10_000

/**
 * Milliseconds of log time without a command after which a full table may evict a session that keeps no reply. It
 * protects clients that have just opened theirs from a burst of others.
 */
export const minEvictionIdleMs = 10_000

/**
 * The same for a session that keeps replies. A client acknowledges a reply with its next write, so a client that
 * stopped after its last one leaves a reply behind for good. After this time, twelve times the default deadline of a
 * write, the reply counts as abandoned.
 */
export const minEvictionUnacknowledgedMs = 60_000

/** Most answers kept for one session until its client has said that it has them. */
export const maxSessionReplies = 16_384

/** Most bytes of such answers, of one session. */
export const maxSessionReplyBytes = 16 * 1024 * 1024

/**
 * Largest term, index, revision, version or time that is taken from a backup or a snapshot: half of what is refused from
 * other nodes, so that what comes after it is still in bounds. A million a second take four years to get there.
 */
export const maxStoredNumber = 2 ** 47

/** One argument that is malformed or over a limit. */
export interface Problem {
  readonly _tag: "Problem"
  /** The argument's name: "key", "value", "prefix", "limit", "cursor", "success[3].key" … */
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
export const valueProblem = (bytes: number, field = "value"): Problem | undefined =>
  bytes > maxValueBytes
    ? problem(
      field,
      `has ${bytes} bytes; at most ${maxValueBytes} are allowed. Store larger data elsewhere and its name here`
    )
    : undefined

/** What is wrong with a page's limit, if anything. */
export const limitProblem = (limit: number, field = "limit"): Problem | undefined =>
  Number.isInteger(limit) && limit >= 1 && limit <= maxScanLimit
    ? undefined
    : problem(field, `${limit} is not an integer from 1 to ${maxScanLimit}`)

/** What is wrong with a time to live, if anything. */
export const ttlProblem = (ttlMs: number, field = "ttlMs"): Problem | undefined =>
  Number.isSafeInteger(ttlMs) && ttlMs >= minTtlMs && ttlMs <= maxTtlMs
    ? undefined
    : problem(field, `${ttlMs} is not an integer from ${minTtlMs} to ${maxTtlMs} milliseconds`)

/** What is wrong with a revision, an id or a sequence number, if anything. */
export const countProblem = (value: number, field: string): Problem | undefined =>
  Number.isSafeInteger(value) && value >= 0 ? undefined : problem(field, `${value} is not a safe integer of at least 0`)
