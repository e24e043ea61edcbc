/**
 * The key-value store as a service, for other services. `FlareDb.layerClient` provides it over the network,
 * `FlareDb.layer` beside a node of this process, `FlareDb.layerMemory` for tests.
 */
import { Clock, Context, Effect, Option, Random, Stream } from "effect"
import { monotonicMs, monotonicMsOf } from "../Monotonic.ts"
import { Conflict, InvalidArgument, ResultsNotKept, Unavailable } from "../FlareDbError.ts"
import type { KeyRange } from "../bytes/KeyRange.ts"
import { contains, prefixRange, successor } from "../bytes/KeyRange.ts"
import { defaultScanLimit, keyProblem, maxKeyBytes } from "../kv/model/Limits.ts"
import type { Query } from "../kv/model/Query.ts"
import { onlyReads } from "../kv/model/Transaction.ts"
import type { Data } from "./Entry.ts"
import { bytesOf, KeyValueEntry } from "./Entry.ts"
import { KeyTurns } from "./KeyTurns.ts"
import type {
  Answer,
  OperationOptions,
  ReadFailure,
  ReadOptions,
  RequestPort,
  WriteFailure
} from "./session/Requests.ts"
import { invalid, unexpected } from "./session/Requests.ts"
import { countFromOneProblem, timeLeft, timeoutProblem } from "./session/Timeout.ts"
import type { DeleteResult, Ops, PutResult, Txn, TxnResult } from "./Txn.ts"
import { Compare, Op, resultOf, transactionOf } from "./Txn.ts"
import { utf8Text } from "../bytes/Utf8.ts"

export type { Data, DeleteResult, OperationOptions, PutResult, ReadFailure, ReadOptions, WriteFailure }
export { KeyValueEntry }

/** Which page of a scan to read, and how. */
export interface ScanOptions extends ReadOptions {
  /** Most entries of the page, 1 to 10,000. Default 1000. A page also ends at 4 MiB. */
  readonly limit?: number | undefined
  /** The `cursor` of the page before. */
  readonly cursor?: Data | undefined
  /** From the last key to the first. */
  readonly reverse?: boolean | undefined
  /** Leave the values out. */
  readonly keysOnly?: boolean | undefined
}

/** Part of the keys with a prefix. Two pages are two reads: writes between them may show in the second. */
export interface Page {
  readonly entries: ReadonlyArray<KeyValueEntry>
  /** Pass it to get the next page; absent when this was the last. */
  readonly cursor: Uint8Array | undefined
  /** The store's revision when the page was read. */
  readonly revision: number
}

/** How a key is put. */
export interface PutOptions extends OperationOptions {
  /** The lease that the key is to live as long as. Without one, the key is detached from the lease it had. */
  readonly lease?: number | undefined
}

/**
 * `consistency` and `readFrom` are for transactions that only read. One that may write is decided on the latest state.
 */
export type TransactOptions = ReadOptions

/** How a change of a key is written, and how often it is tried. */
export interface ModifyOptions extends PutOptions {
  /** Times that the key is read and written before the call fails as `Conflict`. Default 100. */
  readonly attempts?: number | undefined
}

/** What `modify` did. */
export interface ModifyResult {
  /** The revision it took; the store's revision when there was nothing to delete. */
  readonly revision: number
  /** What the key held before. */
  readonly previous: Option.Option<KeyValueEntry>
  /** The value it holds since; absent when the key was deleted. */
  readonly value: Uint8Array | undefined
}

/**
 * The key-value store of a cluster: keys and values are bytes or text, keys in byte order.
 *
 * **When to use**
 *
 * For state that has to survive the loss of a machine: orders, sessions, configuration, counters. `layer` of
 * `flaredb/client` gives it over the network, `FlareDb.layer` beside a node of this process, `FlareDb.layerMemory` in
 * tests.
 *
 * **Details**
 *
 * A write is answered once a majority of the nodes has it on disk and it was applied, and takes effect exactly once: it
 * is sent again under the same number until its deadline (`timeoutMs`, in milliseconds). Reads see every write that was
 * acknowledged before they began, unless they ask for `stale`. A key has 1 to 4096 bytes, a value at most 1 MiB, a
 * transaction at most 4 MiB. Operations asked for at the same time share one call, so ask for many at a time.
 *
 * **Gotchas**
 *
 * `Indeterminate` says that a write may have taken effect: read the key before you repeat it. Two pages of one scan are
 * two reads. A put without a lease takes the key from the lease that it had.
 */
export class KeyValue extends Context.Service<KeyValue, {
  /** The entry of a key. A key has 1 to 4096 bytes. */
  readonly get: (key: Data, options?: ReadOptions) => Effect.Effect<Option.Option<KeyValueEntry>, ReadFailure>

  /**
   * Sets a key. Returns once a majority holds the write durably and it was applied: it is never lost again. Values
   * have at most 1 MiB. After `Indeterminate`, read the key before repeating the put.
   */
  readonly put: (key: Data, value: Data, options?: PutOptions) => Effect.Effect<PutResult, WriteFailure>

  /** Removes a key; a key that does not exist is no error. */
  readonly delete: (key: Data, options?: OperationOptions) => Effect.Effect<DeleteResult, WriteFailure>

  /** A page of the keys that begin with `prefix`, in byte order; the empty prefix means all. */
  readonly scan: (prefix: Data, options?: ScanOptions) => Effect.Effect<Page, ReadFailure>

  /** All keys that begin with `prefix`, page by page as they are consumed. `limit` is the size of a page. */
  readonly scanAll: (prefix: Data, options?: Omit<ScanOptions, "cursor">) => Stream.Stream<KeyValueEntry, ReadFailure>

  /** How many keys begin with `prefix`. The store goes through all of them. */
  readonly count: (prefix: Data, options?: ReadOptions) => Effect.Effect<number, ReadFailure>

  /**
   * Carries out a transaction (`Txn.ts`) atomically: in one revision, all of it or nothing. The result of each
   * operation has the type that the operation says. A whole transaction has at most 4 MiB. `ResultsNotKept` says that
   * it took effect, and that its first answer was lost and too large to be kept.
   */
  readonly transact: <const Do extends Ops = readonly [], const Else extends Ops = readonly []>(
    txn: Txn<Do, Else>,
    options?: TransactOptions
  ) => Effect.Effect<TxnResult<Do, Else>, WriteFailure>

  /**
   * Replaces the value of a key by a function of it, even when others write to the key meanwhile: the key is read,
   * `change` says what it shall hold, and that is written if the key is still as it was read; if not, all of it is done
   * again, at most `attempts` times and within the deadline. `change` may be called several times; it returns the new
   * value, or `undefined` for "the key shall not exist", or an effect of either.
   */
  readonly modify: <E = never, R = never>(
    key: Data,
    change: (
      current: Option.Option<KeyValueEntry>
    ) => Data | undefined | Effect.Effect<Data | undefined, E, R>,
    options?: ModifyOptions
  ) => Effect.Effect<ModifyResult, WriteFailure | Conflict | E, R>
}>()("flaredb/client/KeyValue") {}

/** Attempts of `modify` unless its options say otherwise. */
const defaultAttempts = 100

/** The longest pause after a conflict of `modify`, in milliseconds. It grows up to there, and its length is random. */
const longestConflictPauseMs = 64

/** Has a query answered that is not about a lease. */
type Read = (query: Query, options: ReadOptions | undefined) => Effect.Effect<Answer, ReadFailure>

const scanOver = (read: Read): KeyValue["Service"]["scan"] => (prefix, options) => {
  const reverse = options?.reverse ?? false
  const range = pageRange(
    bytesOf(prefix),
    options?.cursor === undefined ? undefined : bytesOf(options.cursor),
    reverse
  )
  if (range instanceof InvalidArgument) return Effect.fail(range)
  const query: Query = {
    _tag: "Scan",
    range,
    limit: options?.limit ?? defaultScanLimit,
    keysOnly: options?.keysOnly ?? false,
    reverse
  }
  return Effect.map(read(query, options), (reply) => {
    if (reply._tag !== "ScanReply") throw unexpected(reply)
    const entries = reply.rows.map((row) => new KeyValueEntry(row.key, row.record))
    return { entries, cursor: reply.more ? entries[entries.length - 1]?.key : undefined, revision: reply.revision }
  })
}

const transactOver = (requests: RequestPort): KeyValue["Service"]["transact"] => (txn, options) => {
  const transaction = transactionOf(txn)
  const answered = onlyReads(transaction)
    ? requests.read({ _tag: "Transact", transaction }, options)
    : requests.write({ _tag: "Transact", transaction }, options)
  return Effect.flatMap(answered, (reply) => {
    if (reply._tag === "DigestReply") {
      const { revision, succeeded } = reply
      return Effect.fail(new ResultsNotKept({ revision, succeeded }))
    }
    if (reply._tag !== "TransactionReply") throw unexpected(reply)
    return Effect.succeed(resultOf(txn, reply))
  })
}

/** Reads a key and writes what `change` makes of it, until no other write came in between. */
const modifyKey = Effect.fnUntraced(function*<E, R>(
  { get, transact }: Pick<KeyValue["Service"], "get" | "transact">,
  key: Uint8Array,
  change: (current: Option.Option<KeyValueEntry>) => Data | undefined | Effect.Effect<Data | undefined, E, R>,
  options: ModifyOptions | undefined,
  deadlineMs: number
) {
  const clock = yield* Clock.Clock
  const left = () => ({ timeoutMs: timeLeft(deadlineMs, monotonicMsOf(clock)) })
  const attempts = options?.attempts ?? defaultAttempts
  // What it decides on is the latest state, as of a transaction that writes.
  let previous = yield* get(key, { consistency: "linearizable", ...left() })
  for (let attempt = 1;; attempt++) {
    const changed = change(previous)
    const next = Effect.isEffect(changed) ? yield* changed : changed
    const value = next === undefined ? undefined : bytesOf(next)
    const swap = transact({
      if: [Compare.modRevision(key).equals(Option.isSome(previous) ? previous.value.modRevision : 0)],
      do: [value === undefined ? Op.delete(key) : Op.put(key, value, { lease: options?.lease })],
      else: [Op.get(key)]
    }, left())
    // A write that leaves behind the deadline would only leave its caller in doubt.
    if (monotonicMsOf(clock) >= deadlineMs) return yield* conflict(key, attempt - 1)
    const { results, revision, succeeded } = yield* Effect.catchTags(swap, {
      // Only what the key held can be too large to keep, and a list that only reads takes place again.
      ResultsNotKept: Effect.die,
      InvalidArgument: ({ field, problem }) =>
        Effect.fail(new InvalidArgument({ field: field.replace(/^do\[0\]\./, ""), problem }))
    })
    if (succeeded) return { revision, previous, value } satisfies ModifyResult
    if (attempt >= attempts || monotonicMsOf(clock) >= deadlineMs) {
      return yield* conflict(key, attempt)
    }
    previous = results[0]
    // Others in this process wait for their turn; this one gives way to other processes.
    yield* Effect.sleep(yield* Random.nextIntBetween(0, Math.min(2 ** attempt, longestConflictPauseMs)))
  }
})

/** The service over requests. */
export const make = (requests: RequestPort): KeyValue["Service"] => {
  const turns = new KeyTurns()

  const read = (query: Query, options: ReadOptions | undefined) =>
    // Only questions about a lease are answered by it.
    Effect.catchTag(requests.read(query, options), "LeaseNotFound", (error) => Effect.die(error))

  const scan = scanOver(read)

  const transact = transactOver(requests)

  const get: KeyValue["Service"]["get"] = (key, options) => {
    const bytes = bytesOf(key)
    return Effect.map(read({ _tag: "Get", key: bytes }, options), (reply) => {
      if (reply._tag !== "GetReply") throw unexpected(reply)
      return reply.record === undefined ? Option.none() : Option.some(new KeyValueEntry(bytes, reply.record))
    })
  }

  return KeyValue.of({
    get,
    put: (key, value, options) =>
      Effect.map(
        requests.write(
          { _tag: "Put", key: bytesOf(key), value: bytesOf(value), lease: options?.lease ?? 0 },
          options
        ),
        (reply) => {
          if (reply._tag !== "PutReply") throw unexpected(reply)
          return { revision: reply.revision, created: reply.version === 1, version: reply.version }
        }
      ),
    delete: (key, options) =>
      Effect.map(
        requests.write({ _tag: "Delete", key: bytesOf(key) }, options),
        (reply) => {
          if (reply._tag !== "DeleteReply") throw unexpected(reply)
          return { revision: reply.revision, deleted: reply.deleted }
        }
      ),
    scan,
    scanAll: (prefix, options) =>
      Stream.paginate(
        undefined as Uint8Array | undefined,
        (cursor) =>
          Effect.map(scan(prefix, { ...options, cursor }), (page) =>
            [
              page.entries,
              page.cursor === undefined ? Option.none() : Option.some<Uint8Array | undefined>(page.cursor)
            ] as const)
      ),
    count: (prefix, options) => {
      const bytes = bytesOf(prefix)
      const problem = prefixProblem(bytes)
      if (problem !== undefined) return Effect.fail(problem)
      return Effect.map(read({ _tag: "Count", range: prefixRange(bytes) }, options), (reply) => {
        if (reply._tag !== "CountReply") throw unexpected(reply)
        return reply.count
      })
    },
    transact,
    modify: (key, change, options) => {
      const bytes = bytesOf(key)
      const timeoutMs = options?.timeoutMs ?? requests.requestTimeoutMs
      const { attempts = defaultAttempts } = options ?? {}
      const problem = timeoutProblem(timeoutMs) ?? countFromOneProblem("attempts", attempts)
      if (problem !== undefined) return Effect.fail(problem)
      return Effect.flatMap(
        monotonicMs,
        (nowMs) =>
          turns.take(
            bytes,
            timeoutMs,
            () => notItsTurn(bytes, timeoutMs),
            modifyKey({ get, transact }, bytes, change, options, nowMs + timeoutMs)
          )
      )
    }
  })
}

const notItsTurn = (key: Uint8Array, waitedMs: number): Unavailable =>
  new Unavailable({
    reason: `other changes of the key ${JSON.stringify(utf8Text(key))} by this process took ${waitedMs} ms, and this ` +
      "one was not begun"
  })

const conflict = (key: Uint8Array, attempts: number): Conflict => new Conflict({ key: utf8Text(key), attempts })

const prefixProblem = (prefix: Uint8Array): InvalidArgument | undefined =>
  prefix.byteLength > maxKeyBytes
    ? new InvalidArgument({
      field: "prefix",
      problem: `has ${prefix.byteLength} bytes; at most ${maxKeyBytes} are allowed`
    })
    : undefined

/** The keys of a prefix that are behind a cursor, or before it when the page goes backwards. */
const pageRange = (
  prefix: Uint8Array,
  cursor: Uint8Array | undefined,
  reverse: boolean
): KeyRange | InvalidArgument => {
  const tooLong = prefixProblem(prefix)
  if (tooLong !== undefined) return tooLong
  const range = prefixRange(prefix)
  if (cursor === undefined) return range
  const problem = keyProblem(cursor.byteLength, "cursor")
  if (problem !== undefined) return invalid(problem)
  if (!contains(range, cursor)) {
    return new InvalidArgument({
      field: "cursor",
      problem: "does not begin with the prefix; pass the cursor of the page before, unchanged"
    })
  }
  return reverse ? { gte: range.gte, lt: cursor } : { gte: successor(cursor), lt: range.lt }
}
