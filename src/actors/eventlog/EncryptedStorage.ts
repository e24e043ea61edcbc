/**
 * The storage of Effect's encrypted event log server, in FlareDB. It sees ids and ciphertext, never an event.
 *
 * - A batch is stored unless all of its entries are: a client may repeat a write whose answer was lost. Sequences of a
 *   store have no gaps, whichever server gives them; several servers of one name are one server.
 * - `changes` reads what is there in pages and goes on with a watch: what any server stores comes once and in order,
 *   and a reader holds a page at a time.
 * - Stores are told apart by identity and store id, whatever characters these have.
 * - `compaction` is left out: clients do without it, and a store keeps all of its batches.
 *
 * A write whose answer was lost is repeated until its result is known. A batch has at most 400 entries and 1,000 KiB;
 * Effect's clients make batches of up to 100 entries and 256 KiB. Effect leaves no room for failures here: they are
 * defects, with a typed error, and the server answers a write with "Persistence failure".
 */
import { Effect, Layer, RcMap, Stream } from "effect"
import type { Scope } from "effect"
import { EventLogServerEncrypted } from "effect/eventlog"
import type { EventLogEncryption } from "effect/eventlog"
import type { KeyValueEntry } from "../../client/KeyValue.ts"
import type { KeyValue } from "../../client/KeyValue.ts"
import { LatestReads } from "../LatestReads.ts"
import { Watch } from "../../client/Watch.ts"
import { defaultPrefix } from "../persistence/Keys.ts"
import { firstSequence } from "./AppendedRows.ts"
import type { StoreFailure } from "./EncryptedStore.ts"
import { batchBytes, EncryptedStore, maxBatchEntries } from "./EncryptedStore.ts"
import type { InvalidId, RowTooLarge } from "./Failures.ts"
import { idProblem, maxRowBytes, sizeProblem, TooManyEntries } from "./Failures.ts"
import { follow } from "./Follow.ts"
import { sequenceOfKey, ServerKeys, StoreKeys } from "./Layout.ts"
import type { Batch } from "./Rows.ts"
import { decodeBatch } from "./Rows.ts"
import { ServerRows } from "./ServerRows.ts"

type Service = EventLogServerEncrypted.Storage["Service"]
type RemoteBatch = EventLogEncryption.EncryptedRemoteBatch

/** Where the entries of an event log server lie in the store. */
export interface EventLogStorageOptions {
  /** Servers of one name share their id and their stores; those of different names share nothing. Default `default`. */
  readonly name?: string | undefined
  /** Before every key. Default `fx/`. */
  readonly prefix?: string | undefined
}

/** How long the end of a store without writes is remembered. */
const idleTimeToLive = "5 minutes"

/** Bytes of a nonce that make sense. */
const maxIvBytes = 64

const make = Effect.fnUntraced(function*(
  { name = "default", prefix = defaultPrefix }: EventLogStorageOptions
): Effect.fn.Return<Service, never, KeyValue | Watch | Scope.Scope> {
  const kv = yield* LatestReads
  const watch = yield* Watch
  const keys = new ServerKeys(prefix, "ex", name)
  const server = new ServerRows(kv, keys)
  const stores = yield* RcMap.make({
    lookup: (base: string) => Effect.sync(() => new EncryptedStore(kv, new StoreKeys(base))),
    idleTimeToLive
  })

  const withStore = <A, E>(
    publicKey: string,
    storeId: string,
    use: (store: EncryptedStore) => Effect.Effect<A, E>
  ): Effect.Effect<A> =>
    Effect.orDie(Effect.scoped(Effect.flatMap(RcMap.get(stores, keys.store(publicKey, storeId).base), use)))

  return EventLogServerEncrypted.Storage.of({
    getId: server.remoteId,
    firstSequence,
    getOrCreateSessionAuthBinding: (publicKey, signingPublicKey) => server.binding(publicKey, signingPublicKey),
    write: (publicKey, storeId, batches) =>
      withStore(
        publicKey,
        storeId,
        (store): Effect.Effect<ReadonlyArray<RemoteBatch>, StoreFailure | InvalidBatch> => {
          const problem = batches.map(problemOf).find((found) => found !== undefined)
          return problem === undefined ? store.write(batches) : Effect.fail(problem)
        }
      ),
    entrySequences: (publicKey, storeId, entryIds) =>
      withStore(publicKey, storeId, (store) => store.sequences(entryIds)),
    changes: (publicKey, storeId, startSequence) =>
      Stream.unwrap(Effect.gen(function*() {
        const base = keys.store(publicKey, storeId).base
        const { rows } = yield* RcMap.get(stores, base)
        // The batch that holds the first sequence may begin before it.
        const before = yield* rows.before(startSequence)
        const isAsked = ({ entryIds, sequence }: RemoteBatch) => sequence + entryIds.length > startSequence
        return Stream.concat(
          Stream.fromArray(before.row === undefined ? [] : [decoded(before.row)]),
          Stream.flattenIterable(
            Stream.map(follow({ kv, watch }, rows.keys.rows, before.key), (followed) => followed.rows.map(decoded))
          )
        ).pipe(Stream.filter(isAsked))
      })).pipe(Stream.orDie, Stream.scoped)
  })
})

const decoded = (row: KeyValueEntry): RemoteBatch => ({ sequence: sequenceOfKey(row.keyText), ...decodeBatch(row) })

type InvalidBatch = TooManyEntries | RowTooLarge | InvalidId

/** What is wrong with a batch, if anything. */
const problemOf = (batch: Batch): InvalidBatch | undefined => {
  const { entryIds, iv } = batch
  const bytes = batchBytes(batch)
  if (entryIds.length > maxBatchEntries) {
    return new TooManyEntries({
      what: "a batch",
      entries: entryIds.length,
      maxEntries: maxBatchEntries,
      bytes,
      maxBytes: maxRowBytes
    })
  }
  return sizeProblem("a batch", bytes) ?? sizeProblem("a nonce", iv.byteLength, maxIvBytes) ??
    entryIds.map((id) => idProblem("the id of an entry", id)).find((found) => found !== undefined)
}

/**
 * Effect's storage for encrypted event logs, kept in FlareDB; `EventLogServerEncrypted.layer` serves it.
 *
 * **When to use**
 *
 * In a server that keeps event logs which it cannot read.
 */
export const layer = (
  options: EventLogStorageOptions = {}
): Layer.Layer<EventLogServerEncrypted.Storage, never, KeyValue | Watch> =>
  Layer.effect(EventLogServerEncrypted.Storage, make(options))
