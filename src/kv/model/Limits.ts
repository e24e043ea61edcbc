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

/** Most bytes of a key and its value. */
export const maxRecordBytes = maxKeyBytes + maxValueBytes

/** Most bytes of keys and values of a page with this limit. */
export const maxPageBytesOf = (limit: number, keysOnly: boolean): number =>
  Math.min(limit * (keysOnly ? maxKeyBytes : maxRecordBytes), maxPageBytes + maxRecordBytes)

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
 * Most sessions at a time. Opening one more evicts a session that is unused or idle (`Sessions.evictable`), and is
 * refused as `Overloaded` when there is none. Every node decides that by itself when it applies the command, so another
 * value of this limit or of the two times below is another format of the log.
 */
export const maxSessions = 10_000

/**
 * Milliseconds of log time after which a session in which nothing was sent gives way before all others. A younger one
 * gives way only when no other does, which protects clients that have just opened theirs from a burst of others.
 */
export const minEvictionUnusedMs = 10_000

/**
 * Milliseconds of log time without a command after which a full table may evict a session that was used. A client
 * acknowledges a reply with its next write, so a client that stopped after its last one leaves a reply behind for good.
 * After this time, twelve times the default deadline of a write, the reply counts as abandoned.
 */
export const minEvictionIdleMs = 60_000

/** Most answers kept for one session until its client has said that it has them. */
export const maxSessionReplies = 16_384

/** Most bytes of such answers, of one session. */
export const maxSessionReplyBytes = 16 * 1024 * 1024

/**
 * Largest term, index, revision, version or time that is taken from a backup or a snapshot: half of what is refused
 * from other nodes, so that what comes after it is still in bounds. A million a second take four years to get there.
 */
export const maxStoredNumber = 2 ** 47

/**
 * Most bytes of kept answers of all sessions, with {@link replyOverheadBytes} for each. One half is divided equally
 * among `maxSessions`, so a session that keeps little is never refused for what others keep. The other half is shared.
 * When that is taken, large answers become digests, the oldest first. When no large one is left, a session above its
 * part is refused as `Overloaded`. Every node decides that by itself when it applies a command, so another value is
 * another format of the log.
 */
export const maxKeptReplyBytes = 64 * 1024 * 1024

/** What a kept answer takes in memory beside its bytes, about. */
export const replyOverheadBytes = 64

/**
 * Most bytes of an answer that is kept whole. A larger one is kept as a digest from the beginning: a command of a few
 * bytes would otherwise write megabytes on every node.
 */
export const maxWholeReplyBytes = 64 * 1024

/** Most bytes of a kept answer that has no row of its own. */
export const maxSmallReplyBytes = 512

/** Bytes of the secret that proves that a command comes from the client which opened the session. */
export const secretBytes = 16

/** Most characters of the name of a session's owner. */
export const maxOwnerLength = 64

/** Most ranges of keys that one watch may have. Each counts as a watch of the node's `maxWatches`. */
export const maxWatchRanges = 512

/** Most bytes of the ranges of one watch, both ends counted. */
export const maxWatchRangeBytes = 64 * 1024

/** Most sessions of one page of the list. */
export const maxSessionPage = 1_000

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
export const limitProblem = (limit: number, field = "limit", maximum = maxScanLimit): Problem | undefined =>
  Number.isInteger(limit) && limit >= 1 && limit <= maximum
    ? undefined
    : problem(field, `${limit} is not an integer from 1 to ${maximum}`)

/** What is wrong with a time to live, if anything. */
export const ttlProblem = (ttlMs: number, field = "ttlMs"): Problem | undefined =>
  Number.isSafeInteger(ttlMs) && ttlMs >= minTtlMs && ttlMs <= maxTtlMs
    ? undefined
    : problem(field, `${ttlMs} is not an integer from ${minTtlMs} to ${maxTtlMs} milliseconds`)

/** What is wrong with the name of a session's owner, if anything. */
export const ownerProblem = (owner: string, field = "owner"): Problem | undefined =>
  owner.length <= maxOwnerLength && /^[A-Za-z0-9._-]*$/.test(owner)
    ? undefined
    : problem(field, `is not up to ${maxOwnerLength} letters, digits, dots, dashes or underscores`)

/** What is wrong with the name of the caller whose a lease or a session is, if anything; it may be empty. */
export const callerProblem = (caller: string): Problem | undefined => ownerProblem(caller, "caller")

/** What is wrong with a session's secret, if anything. */
export const secretProblem = (bytes: number, field = "secret"): Problem | undefined =>
  bytes === secretBytes ? undefined : problem(field, `has ${bytes} bytes; it must have ${secretBytes}`)

/** What is wrong with a revision, an id or a sequence number, if anything. */
export const countProblem = (value: number, field: string): Problem | undefined =>
  Number.isSafeInteger(value) && value >= 0 ? undefined : problem(field, `${value} is not a safe integer of at least 0`)
