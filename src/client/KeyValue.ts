/**
 * The key-value store as a service, for other services. `FlareDb.layerClient` provides it over the network,
 * `FlareDb.layer` beside a node of this process, `FlareDb.layerMemory` for tests.
 */
import { Context, Effect, Option, Stream } from "effect"
import type { Indeterminate, Overloaded, Unavailable } from "../FlareDbError.ts"
import { InvalidArgument } from "../FlareDbError.ts"
import type { Command } from "../kv/Command.ts"
import { commandProblem, encodeCommand } from "../kv/Command.ts"
import type { KeyRecord } from "../kv/KeyRecord.ts"
import type { Problem } from "../kv/Limits.ts"
import type { KeyRange } from "../kv/KeyRange.ts"
import { contains, prefixRange, successor } from "../kv/KeyRange.ts"
import { defaultScanLimit, keyProblem, maxKeyBytes } from "../kv/Limits.ts"
import type { Query } from "../kv/Query.ts"
import { encodeQuery, queryProblem } from "../kv/Query.ts"
import type { Reply } from "../kv/Reply.ts"
import { decodeReply } from "../kv/Reply.ts"
import type { Pipeline } from "./Pipeline.ts"

/** A key or a value: bytes, or text that becomes its UTF-8 bytes. */
export type Data = string | Uint8Array

/** How a write fails. `Indeterminate` alone leaves open whether it took effect. */
export type WriteFailure = InvalidArgument | Overloaded | Unavailable | Indeterminate

/** How a read fails. */
export type ReadFailure = InvalidArgument | Overloaded | Unavailable

const encoder = new TextEncoder()
const decoder = new TextDecoder()

const bytesOf = (data: Data): Uint8Array => typeof data === "string" ? encoder.encode(data) : data

/** A key with its value, as it was at one moment. */
export class KeyValueEntry {
  readonly key: Uint8Array
  /** Empty when only keys were asked for. */
  readonly value: Uint8Array
  /** The revision that created the key. */
  readonly createRevision: number
  /** The revision of its last put. */
  readonly modRevision: number
  /** Puts since it was created, from 1. */
  readonly version: number
  /** The lease that the key lives as long as; 0 for none. */
  readonly lease: number

  constructor(key: Uint8Array, record: KeyRecord) {
    this.key = key
    this.value = record.value
    this.createRevision = record.createRevision
    this.modRevision = record.modRevision
    this.version = record.version
    this.lease = record.lease
  }

  /** The key as UTF-8 text. */
  get keyText(): string {
    return decoder.decode(this.key)
  }

  /** The value as UTF-8 text. */
  get text(): string {
    return decoder.decode(this.value)
  }
}

export interface OperationOptions {
  /** Milliseconds until the operation is given up; the client's `requestTimeoutMs` when absent. */
  readonly timeoutMs?: number | undefined
}

export interface ReadOptions extends OperationOptions {
  /**
   * `linearizable` (the default) sees every write that was acknowledged before the read began. `stale` answers from
   * whatever a node has applied: cheaper, and arbitrarily old when that node is cut off.
   */
  readonly consistency?: "linearizable" | "stale" | undefined
}

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

/** Part of the keys with a prefix. Two pages are of two moments: writes between them may show in the second. */
export interface Page {
  readonly entries: ReadonlyArray<KeyValueEntry>
  /** Pass it to get the next page; absent when this was the last. */
  readonly cursor: Uint8Array | undefined
  /** The store's revision at the moment of the page. */
  readonly revision: number
}

export interface PutResult {
  /** The revision this write took: one gapless sequence for the whole store. */
  readonly revision: number
  /** Whether the key did not exist before. */
  readonly created: boolean
  /** Puts since the key was created. */
  readonly version: number
}

export interface DeleteResult {
  /** The revision this delete took; the store's revision when there was nothing to delete. */
  readonly revision: number
  /** Whether the key existed. */
  readonly deleted: boolean
}

export class KeyValue extends Context.Service<KeyValue, {
  /** The entry of a key. A key has 1 to 4096 bytes. */
  readonly get: (key: Data, options?: ReadOptions) => Effect.Effect<Option.Option<KeyValueEntry>, ReadFailure>

  /**
   * Sets a key. Returns once a majority holds the write durably and it was applied: it is never lost again. Values
   * have at most 1 MiB. After `Indeterminate`, read the key before repeating the put.
   */
  readonly put: (key: Data, value: Data, options?: OperationOptions) => Effect.Effect<PutResult, WriteFailure>

  /** Removes a key; a key that does not exist is no error. */
  readonly delete: (key: Data, options?: OperationOptions) => Effect.Effect<DeleteResult, WriteFailure>

  /** A page of the keys that begin with `prefix`, in byte order; the empty prefix means all. */
  readonly scan: (prefix: Data, options?: ScanOptions) => Effect.Effect<Page, ReadFailure>

  /** All keys that begin with `prefix`, page by page as they are consumed. `limit` is the size of a page. */
  readonly scanAll: (prefix: Data, options?: Omit<ScanOptions, "cursor">) => Stream.Stream<KeyValueEntry, ReadFailure>
}>()("flaredb/client/KeyValue") {}

export interface KeyValuePipelines {
  readonly writes: Pipeline
  readonly reads: Pipeline
  readonly staleReads: Pipeline
  readonly requestTimeoutMs: number
}

/** The service over pipelines of commands and queries. */
export const make = (pipelines: KeyValuePipelines): KeyValue["Service"] => {
  const timeout = (options: OperationOptions | undefined): number => options?.timeoutMs ?? pipelines.requestTimeoutMs

  const write = (command: Command, options: OperationOptions | undefined): Effect.Effect<Reply, WriteFailure> => {
    const problem = commandProblem(command)
    if (problem !== undefined) return Effect.fail(invalid(problem))
    return Effect.map(pipelines.writes.submit(encodeCommand(command), timeout(options)), replyOf)
  }

  const read = (query: Query, options: ReadOptions | undefined): Effect.Effect<Reply, ReadFailure> => {
    const problem = queryProblem(query)
    if (problem !== undefined) return Effect.fail(invalid(problem))
    const pipeline = options?.consistency === "stale" ? pipelines.staleReads : pipelines.reads
    return Effect.map(
      // Reads are repeated instead of being answered by "outcome unknown".
      Effect.catchTag(pipeline.submit(encodeQuery(query), timeout(options)), "Indeterminate", Effect.die),
      replyOf
    )
  }

  const scan: KeyValue["Service"]["scan"] = (prefix, options) => {
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

  return KeyValue.of({
    get: (key, options) => {
      const bytes = bytesOf(key)
      return Effect.map(read({ _tag: "Get", key: bytes }, options), (reply) => {
        if (reply._tag !== "GetReply") throw unexpected(reply)
        return reply.record === undefined ? Option.none() : Option.some(new KeyValueEntry(bytes, reply.record))
      })
    },
    put: (key, value, options) =>
      Effect.map(write({ _tag: "Put", key: bytesOf(key), value: bytesOf(value), lease: 0 }, options), (reply) => {
        if (reply._tag !== "PutReply") throw unexpected(reply)
        return { revision: reply.revision, created: reply.version === 1, version: reply.version }
      }),
    delete: (key, options) =>
      Effect.map(write({ _tag: "Delete", key: bytesOf(key) }, options), (reply) => {
        if (reply._tag !== "DeleteReply") throw unexpected(reply)
        return { revision: reply.revision, deleted: reply.deleted }
      }),
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
      )
  })
}

/** The keys of a prefix that are behind a cursor, or before it when the page goes backwards. */
const pageRange = (
  prefix: Uint8Array,
  cursor: Uint8Array | undefined,
  reverse: boolean
): KeyRange | InvalidArgument => {
  if (prefix.byteLength > maxKeyBytes) {
    return new InvalidArgument({
      field: "prefix",
      problem: `has ${prefix.byteLength} bytes; at most ${maxKeyBytes} are allowed`
    })
  }
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

const invalid = ({ field, problem }: Problem): InvalidArgument => new InvalidArgument({ field, problem })

const replyOf = (bytes: Uint8Array): Reply => {
  const reply = decodeReply(bytes)
  if (reply._tag === "Problem") throw new Error(`${reply.field} ${reply.problem}`)
  return reply
}

const unexpected = (reply: Reply): Error => new Error(`a ${reply._tag} answers another kind of question`)
